"""Complete tunnel packets, verified with tshark and Scapy, one per encapsulation."""

LMA6, MAG6 = "2001:db8:ffff::1", "2001:db8:a::1"
LMA4, MAG4 = "198.51.100.1", "192.0.2.1"

INNER6_DOWN = bytes.fromhex(
    "60000000000c3a4020010db8eeee0000000000000000008020010db8000100010000000000000005800055fe0001000170696e67"
)
INNER6_UP = bytes.fromhex(
    "60000000000c3a4020010db800010001000000000000000520010db8eeee00000000000000000080800055fe0001000170696e67"
)
INNER4_DOWN = bytes.fromhex(
    "4500002000000000 40017c82c0000250cb00710a0800192d0001000170696e67".replace(" ", "")
)
_OUTER_DOWN = "20010db8ffff0000000000000000000120010db8000a00000000000000000001"
_OUTER_UP = "20010db8000a0000000000000000000120010db8ffff00000000000000000001"

#: name: (whole packet, source, destination, GRE key, inner packet)
PACKETS = {
    "6in6": (
        bytes.fromhex("6000000000342940" + _OUTER_DOWN) + INNER6_DOWN,
        LMA6,
        MAG6,
        None,
        INNER6_DOWN,
    ),
    "4in6": (
        bytes.fromhex("6000000000200440" + _OUTER_DOWN) + INNER4_DOWN,
        LMA6,
        MAG6,
        None,
        INNER4_DOWN,
    ),
    "IPv6 GRE (IPv4)": (
        bytes.fromhex("6000000000282f40" + _OUTER_DOWN + "2000080000001001") + INNER4_DOWN,
        LMA6,
        MAG6,
        0x1001,
        INNER4_DOWN,
    ),
    "IPv6 GRE (IPv6)": (
        bytes.fromhex("60000000003c2f40" + _OUTER_UP + "200086dd00002001") + INNER6_UP,
        MAG6,
        LMA6,
        0x2001,
        INNER6_UP,
    ),
    "IPv4 UDP (IPv6)": (
        bytes.fromhex("450000500000000040118e67c6336401c0000201153d153d003c4ebf") + INNER6_DOWN,
        LMA4,
        MAG4,
        None,
        INNER6_DOWN,
    ),
    "IPv4 UDP TLV GRE (IPv4)": (
        bytes.fromhex("450000480000000040118e6fc6336401c0000201153d153d0034b07d002f00282000080000001001")
        + INNER4_DOWN,
        LMA4,
        MAG4,
        0x1001,
        INNER4_DOWN,
    ),
}

WITH_LIMIT = bytes.fromhex("60000000003c3c40" + _OUTER_DOWN + "2900040104010100") + INNER6_DOWN
"""6in6 behind a Destination Options header with Tunnel Encapsulation Limit 4."""
