"""Octets of mobility messages and packets, written by hand.

Nothing of the appliance is used here: what it sends and reads is held against a second
opinion. Layouts: RFC 6275 sections 6.1 and 6.2, RFC 5213 section 8, RFC 5844, 5845, 5846, RFC 4285.
"""

import hashlib
import hmac
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import ip_address

MH, IPV6, IPIP, GRE, UDP, ICMP6 = 135, 41, 4, 47, 17, 58
REFRESH_REQUEST, UPDATE, ACKNOWLEDGEMENT, ERROR, SWITCH, HEARTBEAT, REVOCATION = 0, 5, 6, 7, 12, 13, 16
#: Of gateways (RFC 5844, RFC 5845), and of hosts (RFC 5555).
SIGNALLING_PORT, DATA_PORT, HOST_PORT = 5436, 5437, 4191
ROUTING, DESTINATION_OPTIONS, HOME_ADDRESS = 43, 60, 0xC9

A, H, L, K, R, P, F, T, B = 0x8000, 0x4000, 0x2000, 0x1000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040

MN_ID, ALTERNATE, NONCES, NETWORK, AUTHENTICATION, MESSAGE_ID, SERVICE = 8, 3, 4, 6, 9, 10, 20
PREFIX, INDICATOR, TECHNOLOGY, LINK_LAYER, LINK_LOCAL, TIMESTAMP = 22, 23, 24, 25, 26, 27
IPV4_HOME, IPV4_ACK, IPV4_CARE_OF = 29, 30, 32
NAT_DETECTION, GRE_KEY, BID, IPV4_REQUEST, IPV4_REPLY, GROUP = 31, 33, 35, 36, 37, 50

#: Where the type octet of an option has to stand: (multiple, rest).
_PLACES = {
    2: (2, 0), 3: (8, 6), 4: (2, 0), 6: (8, 4), 9: (4, 1), 10: (8, 2), 19: (4, 2), 22: (8, 4), 25: (4, 0),
    26: (8, 6), 27: (8, 2), 28: (4, 2), 29: (4, 0), 31: (4, 0), 32: (4, 0), 33: (4, 0), 35: (2, 0),
    36: (4, 0), 46: (4, 0), 50: (4, 0), 52: (4, 0), 58: (4, 0),
}  # fmt: skip

Option = tuple[int, bytes]


def packed(text: str) -> bytes:
    """The octets of an address, either family."""
    return ip_address(text).packed


def total(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of ``data``."""
    if len(data) % 2:
        data += b"\0"
    number: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while number >> 16:
        number = (number & 0xFFFF) + (number >> 16)
    return number ^ 0xFFFF


def checksum(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """That of ``data`` behind an IPv6 or IPv4 pseudo-header; its own field is to be zero."""
    if len(source) == 16:
        return total(source + destination + struct.pack(">IBBBB", len(data), 0, 0, 0, protocol) + data)
    return total(source + destination + struct.pack(">BBH", 0, protocol, len(data)) + data)


def padding(count: int) -> bytes:
    """Pad1 or PadN of ``count`` octets."""
    return b"" if count == 0 else b"\0" if count == 1 else bytes((1, count - 2)) + bytes(count - 2)


def message(kind: int, fixed: bytes, options: Iterable[Option] = ()) -> bytes:
    """A mobility message with a zero checksum; options where they must stand, the end on 8 octets."""
    out = struct.pack(">BBBBH", 59, 0, kind, 0, 0) + fixed
    for code, data in options:
        multiple, rest = _PLACES.get(code, (1, 0))
        out += padding((rest - len(out)) % multiple) + bytes((code, len(data))) + data
    out += padding(-len(out) % 8)
    return out[:1] + bytes((len(out) // 8 - 1,)) + out[2:]


def sealed(mh: bytes, source: bytes, destination: bytes) -> bytes:
    """The message with its checksum (RFC 6275 section 6.1.1)."""
    plain = mh[:4] + b"\0\0" + mh[6:]
    return mh[:4] + checksum(source, destination, MH, plain).to_bytes(2, "big") + mh[6:]


def update(sequence: int, flags: int, seconds: int, options: Iterable[Option]) -> bytes:
    """A Binding Update (RFC 6275 section 6.1.7); the lifetime goes out in units of four seconds."""
    return message(UPDATE, struct.pack(">HHH", sequence, flags, seconds // 4), options)


def revocation(kind: int, second: int, sequence: int, flags: int, options: Iterable[Option] = ()) -> bytes:
    """RFC 5846 section 6: kind 1 an indication (``second``: trigger), 2 an acknowledgement (status)."""
    return message(REVOCATION, struct.pack(">BBHH", kind, second, sequence, flags), options)


def now_field(offset: float = 0.0) -> bytes:
    """The value of a Timestamp option (RFC 5213 section 8.8): 48 bits of seconds, 16 of fractions."""
    return int((time.time() + offset) * 65536).to_bytes(8, "big")


def ntp_field(offset: float = 0.0) -> bytes:
    """The value of a Message Identification option (RFC 4285 section 6): NTP, 32.32 bits."""
    return int((time.time() + offset + 2_208_988_800) * 2**32).to_bytes(8, "big")


def nai(text: str) -> Option:
    """A Mobile Node Identifier option, subtype 1 (RFC 4283)."""
    return MN_ID, b"\1" + text.encode()


def prefix_option(text: str = "", length: int = 0) -> Option:
    """A Home Network Prefix option; without a prefix it asks for one."""
    return PREFIX, bytes((0, length)) + (packed(text) if text else bytes(16))


def ipv4_request(text: str = "0.0.0.0", length: int = 0) -> Option:
    """An IPv4 Home Address Request option (RFC 5844 section 3.3.1)."""
    return IPV4_REQUEST, struct.pack(">H", length << 10) + packed(text)


def bid(number: int, care_of: bytes = b"", flags: int = 0) -> Option:
    """A Binding Identifier option (RFC 5648 section 4.1)."""
    return BID, struct.pack(">HBB", number, 0, flags) + care_of


def network(text: str, length: int) -> Option:
    """A Mobile Network Prefix option (RFC 3963 section 4.3)."""
    return NETWORK, bytes((0, length)) + packed(text)


def ipv4_home(text: str = "0.0.0.0", length: int = 32, prefix: bool = False) -> Option:
    """An IPv4 Home Address option (RFC 5555 section 3.1.1); ``prefix``: it is about one."""
    return IPV4_HOME, bytes((length << 2 | prefix << 1, 0)) + packed(text)


def by_home_address(care_of: bytes, home: bytes, target: bytes, protocol: int, body: bytes) -> bytes:
    """A packet with a Home Address option (RFC 6275 section 6.3)."""
    header = bytes((protocol, 2, 1, 2, 0, 0, HOME_ADDRESS, 16)) + home
    return ip_packet(care_of, target, DESTINATION_OPTIONS, header + body)


def icmp6(kind: int, identifier: int, source: bytes, target: bytes, code: int = 0) -> bytes:
    """A discovery message of RFC 6275 sections 6.5 and 6.7, with its checksum."""
    plain = struct.pack(">BBHHH", kind, code, 0, identifier, 0)
    return plain[:2] + checksum(source, target, ICMP6, plain).to_bytes(2, "big") + plain[4:]


def home_agent_advertisement(address: str) -> bytes:
    """A Router Advertisement with the H flag (RFC 6275 section 7), of a home agent with this address."""
    prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xE0, 9000, 9000, 0) + packed(address)
    return struct.pack(">BBHBBHII", 134, 0, 0, 64, 0x20, 1800, 0, 0) + prefix


def options_of(data: bytes, start: int) -> list[Option]:
    """The options of a message from ``start`` on, without padding."""
    found: list[Option] = []
    at = start
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        end = at + 2 + data[at + 1]
        if data[at] != 1:
            found.append((data[at], data[at + 2 : end]))
        at = end
    return found


def authenticated(mh: bytes, proofs: Iterable[tuple[int, int, bytes]], care_of: bytes, home: bytes) -> bytes:
    """Put authentication options (RFC 4285 section 5) at the end of a message with a zero checksum.

    ``proofs`` are (subtype, SPI, key): 1 for MN-HA, 2 for MN-AAA, which is the last one. Padding goes in
    front of each, so that it is where it must be (4n+1) and the message ends with the last.
    """
    out, places = mh, []
    for subtype, spi, key in proofs:
        size = 12 if subtype == 1 else 20
        # The option has 7 octets and the authenticator; its end is on a multiple of 8, so its place is 8n+5.
        out += (
            padding(-(len(out) + 7 + size) % 8)
            + bytes((AUTHENTICATION, 5 + size, subtype))
            + spi.to_bytes(4, "big")
        )
        places.append((len(out), subtype, key, size))
        out += bytes(size)
    out = out[:1] + bytes((len(out) // 8 - 1,)) + out[2:]
    for at, subtype, key, size in places:
        covered = care_of + home + out[:at]
        if subtype == 2:
            covered = hashlib.sha1(covered, usedforsecurity=False).digest()
        out = out[:at] + hmac.digest(key, covered, "sha1")[:size] + out[at + size :]
    return out


# Packets of mobiles and tunnels.


def udp_datagram(source: bytes, destination: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    """UDP header and payload with the checksum."""
    head = struct.pack(">HHHH", *ports, 8 + len(payload), 0)
    check = checksum(source, destination, UDP, head + payload) or 0xFFFF
    return head[:6] + check.to_bytes(2, "big") + payload


def ip_packet(source: bytes, destination: bytes, protocol: int, body: bytes, hops: int = 64) -> bytes:
    """A whole IPv6 or IPv4 packet."""
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(body), protocol, hops) + source + destination + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, hops, protocol, 0) + source
    head += destination
    return head[:10] + total(head).to_bytes(2, "big") + head[12:] + body


def udp_packet(source: bytes, destination: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    """A whole packet with UDP in it."""
    return ip_packet(source, destination, UDP, udp_datagram(source, destination, ports, payload))


def gre_header(version: int, key: int | None) -> bytes:
    """RFC 2784 and RFC 2890: the header in front of an IPv6 or IPv4 packet, with or without a key."""
    kind = 0x86DD if version == 6 else 0x0800
    if key is None:
        return struct.pack(">HH", 0, kind)
    return struct.pack(">HHI", 0x2000, kind, key)


def packet_too_big(mtu: int, quoted: bytes) -> bytes:
    """An ICMPv6 Packet Too Big; the kernel fills the checksum of a raw socket in."""
    return struct.pack(">BBHI", 2, 0, 0, mtu) + quoted


def family_of(address: bytes) -> socket.AddressFamily:
    """The socket family of a packed address."""
    return socket.AF_INET6 if len(address) == 16 else socket.AF_INET
