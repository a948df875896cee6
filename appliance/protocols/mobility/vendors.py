"""Vendor Specific mobility options (RFC 5094): whose they are and what their sub-types are called."""

ORGANIZATION_3GPP = 10_415
#: Sub-type of the PDN connection identifier (3GPP TS 29.275).
PDN_CONNECTION_ID = 17

VENDORS = {ORGANIZATION_3GPP: "3GPP", 9: "Cisco", 5535: "3GPP2", 24757: "WiMAX Forum"}

#: Sub-types of 3GPP (TS 29.275).
SUBTYPES_3GPP = {
    1: "Protocol Configuration Options",
    2: "PMIPv6 Error Code",
    3: "PDN GW IP Address",
    4: "DHCPv4 Address Allocation Procedure",
    5: "PDN Connection Set Identifier",
    6: "PDN Type Indication",
    7: "Charging ID",
    8: "Selection Mode",
    9: "I-WLAN Mobility APN",
    10: "Charging Characteristics",
    11: "Mobile Equipment Identity",
    12: "MSISDN",
    13: "Serving Network",
    14: "APN Restriction",
    15: "Maximum APN Restriction",
    16: "Unauthenticated IMSI",
    PDN_CONNECTION_ID: "PDN Connection ID",
    18: "PGW Back-Off Time",
    19: "Signalling Priority Indication",
    20: "Additional Protocol Configuration Options",
    21: "Static IP Address Allocation Indication",
    22: "MME/SGSN Identifier",
    23: "End Marker Notification",
    24: "Trusted WLAN Mode Indication",
    25: "UE Time Zone",
    26: "Access Network Identifier Timestamp",
    27: "Logical Access ID",
    28: "Origination Time Stamp",
    29: "Maximum Wait Time",
    30: "TWAN Capabilities",
}

#: Octets of data that are shown in hexadecimal.
SHOWN = 32


def printable(octets: bytes) -> str:
    """Octets of an identifier as text; what is no UTF-8 in it is written as ``\\xNN``."""
    return octets.decode("utf-8", "backslashreplace")


def describe(vendor: int, subtype: int, data: bytes) -> str:
    """One option as a line for an operator."""
    who = VENDORS.get(vendor, f"vendor {vendor}")
    what = SUBTYPES_3GPP.get(subtype, "") if vendor == ORGANIZATION_3GPP else ""
    value = data[:SHOWN].hex() + ("..." if len(data) > SHOWN else "")
    return f"{who} {subtype}{f' ({what})' if what else ''} {value or '(empty)'}"
