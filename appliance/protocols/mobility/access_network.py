"""The Access Network Identifier (RFC 6757): what its sub-options say, for the cores, for people and for AAA.

Sub-options travel as (type, octets), in the order in which they came.
"""

from appliance.protocols.mobility.vendors import printable

SubOptions = tuple[tuple[int, bytes], ...]

NETWORK, GEO_LOCATION, OPERATOR = 1, 2, 3
#: Operator identifier types (section 3.1.3).
ENTERPRISE, REALM = 1, 2
#: Network names that are UTF-8 have this flag set (section 3.1.1).
UTF8 = 0x80
#: Octets that the names of a Network-Identifier have together: its length is at most 32 (section 3.1.1).
LONGEST_NAMES = 29
#: Units of a degree: 9 whole bits of 24 (section 3.1.2).
DEGREE = 1 << 15


def network_identifier(network: bytes, access_point: bytes) -> tuple[int, bytes]:
    """The sub-option that names network and access point; the latter may be empty."""
    data = bytes((UTF8, len(network))) + network + bytes((len(access_point),)) + access_point
    return NETWORK, data


def geo_location(latitude: int, longitude: int) -> tuple[int, bytes]:
    """The sub-option for a place, both in units of 1/32768 degree."""
    data = latitude.to_bytes(3, "big", signed=True) + longitude.to_bytes(3, "big", signed=True)
    return GEO_LOCATION, data


def operator_identifier(enterprise: int, realm: bytes) -> tuple[int, bytes]:
    """The sub-option for an operator, by its realm or else by its private enterprise number."""
    if realm:
        return OPERATOR, bytes((REALM,)) + realm
    size = max(1, (enterprise.bit_length() + 7) // 8)
    return OPERATOR, bytes((ENTERPRISE,)) + enterprise.to_bytes(size, "big")


def names(data: bytes) -> tuple[bytes, bytes] | None:
    """Network name and access point of a Network-Identifier; ``None``: malformed."""
    if len(data) < 4:
        return None
    end = 2 + data[1]
    if not data[1] or len(data) <= end or len(data) < end + 1 + data[end]:
        return None
    return data[2:end], data[end + 1 : end + 1 + data[end]]


def place(data: bytes) -> tuple[int, int] | None:
    """Latitude and longitude of a Geo-Location in units of 1/32768 degree; ``None``: malformed."""
    if len(data) != 6:
        return None
    latitude, longitude = (int.from_bytes(part, "big", signed=True) for part in (data[:3], data[3:]))
    return None if abs(latitude) > 90 * DEGREE or abs(longitude) > 180 * DEGREE else (latitude, longitude)


def operator(data: bytes) -> str:
    """Who an Operator-Identifier names; empty: malformed, or a type without a meaning."""
    if len(data) < 2:
        return ""
    if data[0] == ENTERPRISE:
        return f"enterprise {int.from_bytes(data[1:], 'big')}" if len(data) <= 5 else ""
    return f"realm {printable(data[1:])}" if data[0] == REALM else ""


def accepted(items: list[tuple[int, bytes]]) -> SubOptions:
    """Those of an option that are understood: one of each type, well-formed (section 3.1)."""
    found: dict[int, bytes] = {}
    readers = {NETWORK: names, GEO_LOCATION: place, OPERATOR: operator}
    for kind, data in items:
        if kind in readers and kind not in found and readers[kind](data):
            found[kind] = data
    return tuple(found.items())


def describe(items: SubOptions) -> list[tuple[str, str]]:
    """Labels and texts for an operator."""
    lines = []
    for kind, data in items:
        if kind == NETWORK and (both := names(data)):
            lines.append(("Access Network", printable(both[0])))
            if both[1]:
                lines.append(("Access Point", printable(both[1])))
        elif kind == GEO_LOCATION and (where := place(data)):
            lines.append(("Geo Location", f"{where[0] / DEGREE:.5f} {where[1] / DEGREE:.5f}"))
        elif kind == OPERATOR and (who := operator(data)):
            lines.append(("Access Operator", who))
    return lines


def called_station(items: SubOptions) -> str:
    """Called-Station-Id (RFC 7155 section 4.2.5) as RFC 3580 section 3.20 writes it: ``ACCESS POINT:SSID``.

    Empty: no network is named. Only the name when the access point is not known.
    """
    for kind, data in items:
        if kind == NETWORK and (both := names(data)):
            # The AVP is of 7-bit characters.
            network, access_point = (
                printable(each).encode("ascii", "backslashreplace").decode() for each in both
            )
            return f"{access_point}:{network}" if access_point else network
    return ""
