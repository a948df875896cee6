"""What an operator is shown of a host's binding beside the fields that all sessions have."""

from ipaddress import ip_address

from appliance.protocols.mipv6.binding import HostBinding, host_of, primary
from appliance.protocols.pmipv6.bce import BindingCacheEntry


def details(entry: BindingCacheEntry) -> list[tuple[str, str]]:
    """Labels and texts; none for a session of a gateway. Never a key."""
    host = host_of(entry)
    if host is None:
        return []
    found = [("Type", "MIPv6"), ("Home address", str(ip_address(entry.prefix or bytes(16))))]
    if host.several is not None:
        found += _several(host)
    source = " (key from AAA)" if host.key else ""
    found.append(("MN-HA SPI", "None" if host.spi is None else f"{host.spi}{source}"))
    found.append(("Replay protection", "MESG-ID" if host.mesg_id else "Sequence number"))
    return found


def _several(host: HostBinding) -> list[tuple[str, str]]:
    several = host.several or {}
    first = primary(several) if several else b""
    lines = []
    for bid, care in sorted(several.items()):
        note = " (at home)" if care.at_home else " (primary)" if care.address == first else ""
        lines.append((f"Care-of address BID {bid}", f"{ip_address(care.address)}{note}"))
    return lines
