"""Words for the values of settings that several screens show."""

from ipaddress import ip_address, ip_network

from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings

Facts = list[tuple[str, str]]


def switch(on: bool) -> str:
    """Words for on and off."""
    return "Enabled" if on else "Disabled"


def amount(number: int, unit: str) -> str:
    """A number with its unit: ``1 second``, ``2 seconds``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def address(packed: bytes | None) -> str:
    """An address, or ``None``."""
    return str(ip_address(packed)) if packed else "None"


def network(packed: bytes, length: int) -> str:
    """A prefix with its length."""
    return str(ip_network((packed, length), strict=False))


def traffic_class(value: int | None) -> str:
    """Traffic class of outer headers."""
    return "Copied" if value is None else f"0x{value:02x}"


def listing(label: str, entries: list[str]) -> Facts:
    """One fact an entry; ``None`` when there is none."""
    return [(label, entry) for entry in entries] or [(label, "None")]


def revocation_facts(settings: LmaSettings | MagSettings) -> Facts:
    """Whether bindings are revoked, and how often it is said."""
    if not settings.revocation:
        return [("Revocation", "Disabled")]
    return [
        ("Revocation", "Enabled"),
        ("Revocation Max Retransmissions", str(settings.revocation_max_retransmissions)),
        ("Revocation Retransmission Timeout", amount(settings.revocation_timeout, "second")),
    ]


def revoker_facts(settings: LmaSettings) -> Facts:
    """The same of who decides about updates."""
    found = revocation_facts(settings)
    if settings.revocation:
        found.append(("Revocation Pending Updates", settings.revocation_pending.capitalize()))
    return found


def status(settings: LmaSettings, state: str) -> str:
    """Service Status of an anchor; ``state`` as in ``ServicePort.state``."""
    return "Shutdown" if settings.shutdown and state == "Started" else state


def endpoint(settings: LmaSettings, *, accounting: bool) -> str:
    """The endpoint that the service's AAA group has for this."""
    group = settings.aaa
    if group is None:
        return "None"
    return (group.accounting if accounting else group.authentication).endpoint or "None"
