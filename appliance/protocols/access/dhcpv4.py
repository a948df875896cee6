"""DHCPv4 messages in Ethernet frames: reading what clients send, building what a server answers (RFC 2131).

::

    Ethernet | IPv4 | UDP 68 ▶ 67 | BOOTP fixed part (236) | cookie | options ... 255

Reading is strict about lengths and checksums, and lenient about the rest; it raises :class:`DecodeError` for
octets that are wrong and returns ``None`` for a sound frame that is no client's message.
"""

from collections.abc import Iterable
from struct import Struct

from attrs import define, field

from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header

ETHERTYPE_IPV4 = 0x0800
SERVER_PORT, CLIENT_PORT = 67, 68

# Message types (RFC 2132 section 9.6).
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

# Options (RFC 2132; RFC 3046 section 2).
SUBNET_MASK, ROUTER, DNS_SERVERS, DOMAIN_NAME, INTERFACE_MTU = 1, 3, 6, 15, 26
REQUESTED_ADDRESS, LEASE_TIME, OVERLOAD, MESSAGE_TYPE, SERVER_IDENTIFIER = 50, 51, 52, 53, 54
MESSAGE, RENEWAL_TIME, REBINDING_TIME, CLIENT_IDENTIFIER, RELAY_INFORMATION = 56, 58, 59, 61, 82

BROADCAST_FLAG = 0x8000
NO_ADDRESS = bytes(4)
EVERYBODY = b"\xff" * 4

_HEADER = 14
_ETHERNET = Struct("!6s6sH")
_IP = Struct("!BBHHHBBH4s4s")
_UDP = Struct("!HHHH")
_FIXED = Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = bytes((99, 130, 83, 99))
_REQUEST_OP, _REPLY_OP = 1, 2
#: RFC 2131 section 2: every client takes a message of this size, so a server never pads to more than BOOTP's.
_SMALLEST = 300
_UDP_PROTOCOL = 17


@define(slots=True)
class Dhcp:
    """One DHCP message. Addresses are packed, 4 octets, zero for none; ``options`` by their number."""

    op: int
    transaction: int
    flags: int = 0
    seconds: int = 0
    ciaddr: bytes = NO_ADDRESS
    yiaddr: bytes = NO_ADDRESS
    siaddr: bytes = NO_ADDRESS
    giaddr: bytes = NO_ADDRESS
    link_layer: bytes = b""
    """chaddr of an Ethernet client, 6 octets."""
    hops: int = 0
    options: dict[int, bytes] = field(factory=dict)

    @property
    def kind(self) -> int:
        """Message type; 0: it has none (BOOTP)."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else 0

    def address(self, option: int) -> bytes | None:
        """An option that is one IPv4 address; ``None``: not there, or of another length."""
        value = self.options.get(option, b"")
        return value if len(value) == 4 else None


def parse(frame: bytes) -> Dhcp | None:
    """Read a whole Ethernet ``frame`` of type 0x0800 that a client sent; ``None``: it is none of a client's.

    The hardware address in it must be the one that the frame came from: a mobile node has its link alone.
    """
    datagram = _datagram(frame)
    if datagram is None:
        return None
    message = decode(datagram)
    if message.op != _REQUEST_OP:
        return None
    if message.link_layer != frame[6:12]:
        raise DecodeError("DHCP client is not the sender of the frame")
    return message


def _datagram(frame: bytes) -> bytes | None:
    """The UDP payload of a frame to the server port."""
    if len(frame) < _HEADER + 20:
        raise DecodeError("IPv4 header cut short")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(frame, _HEADER)
    size = 4 * (first & 15)
    if first >> 4 != 4 or size < 20 or total < size or _HEADER + total > len(frame):
        raise DecodeError("IPv4 lengths do not fit")
    if internet_checksum(frame[_HEADER : _HEADER + size]):
        raise DecodeError("IPv4 header checksum is wrong")
    if protocol != _UDP_PROTOCOL or fragment & 0x3FFF:
        return None
    udp = frame[_HEADER + size : _HEADER + total]
    if len(udp) < 8:
        raise DecodeError("UDP header cut short")
    _, port, length, checksum = _UDP.unpack_from(udp)
    if port != SERVER_PORT:
        return None
    if length < 8 or length > len(udp):
        raise DecodeError("UDP length does not fit")
    if checksum and internet_checksum(pseudo_header(source, destination, length, 17) + udp[:length]):
        raise DecodeError("UDP checksum is wrong")
    return udp[8:length]


def decode(data: bytes) -> Dhcp:
    """Read a BOOTP message with options; DecodeError if it is none of an Ethernet client."""
    if len(data) < _FIXED.size:
        raise DecodeError("DHCP message cut short")
    fields = _FIXED.unpack_from(data)
    op, hardware, size, hops, transaction, seconds, flags = fields[:7]
    ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = fields[7:]
    if (hardware, size) != (1, 6) or cookie != _COOKIE:
        raise DecodeError("DHCP is not for Ethernet, or has no options")
    options: dict[int, bytes] = {}
    _read_options(data[_FIXED.size :], options)
    # RFC 2131 section 4.1: ``file`` first, then ``sname``.
    overload = options.get(OVERLOAD, b"\0")
    if overload[-1:] in (b"\1", b"\3"):
        _read_options(file, options)
    if overload[-1:] in (b"\2", b"\3"):
        _read_options(sname, options)
    return Dhcp(
        op, transaction, flags, seconds, ciaddr, yiaddr, siaddr, giaddr, chaddr[:6], hops, options
    )  # fmt: skip


def parse_reply(data: bytes) -> Dhcp:
    """Read what a server sent to a relay agent; DecodeError if it is no answer."""
    message = decode(data)
    if message.op != _REPLY_OP:
        raise DecodeError("no DHCP answer")
    return message


def _read_options(data: bytes, options: dict[int, bytes]) -> None:
    """RFC 2131 section 4.1, RFC 3396: parts of an option that comes several times are one."""
    at = 0
    while at < len(data):
        number = data[at]
        if number == 0:
            at += 1
            continue
        if number == 255:
            return
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise DecodeError(f"DHCP option {number} runs past the end")
        end = at + 2 + data[at + 1]
        options[number] = options.get(number, b"") + data[at + 2 : end]
        at = end


def encode(message: Dhcp) -> bytes:
    """The octets of a message, its type first, padded to BOOTP's size."""
    out = bytearray(
        _FIXED.pack(
            message.op, 1, 6, message.hops, message.transaction, message.seconds, message.flags,
            message.ciaddr, message.yiaddr, message.siaddr, message.giaddr, message.link_layer,
            b"", b"", _COOKIE,
        )
    )  # fmt: skip
    for number, value in _in_order(message.options.items()):
        # RFC 3396: what is longer than an option can be goes into several.
        for at in range(0, len(value) or 1, 255):
            part = value[at : at + 255]
            out += bytes((number, len(part))) + part
    out.append(255)
    return bytes(out.ljust(_SMALLEST, b"\0"))


def _in_order(options: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Message type first, as clients expect, and the relay agent's last (RFC 3046 section 2.1)."""
    return sorted(options, key=lambda each: (each[0] != MESSAGE_TYPE, each[0] == RELAY_INFORMATION))


def reply_to(request: Dhcp, kind: int, options: dict[int, bytes]) -> Dhcp:
    """A server's answer, still without addresses (RFC 2131 section 4.3.1 table 3, RFC 6842)."""
    found = {MESSAGE_TYPE: bytes((kind,)), **options}
    if CLIENT_IDENTIFIER in request.options:
        found[CLIENT_IDENTIFIER] = request.options[CLIENT_IDENTIFIER]
    return Dhcp(
        _REPLY_OP,
        request.transaction,
        request.flags,
        giaddr=request.giaddr,
        link_layer=request.link_layer,
        options=found,
    )


def frame_to_client(message: Dhcp, source_link_layer: bytes, source: bytes, link_layer: bytes) -> bytes:
    """The whole Ethernet frame of a server's message to the client at ``link_layer``.

    RFC 2131 section 4.1: to ciaddr; else everybody if the client wants that, or it is refused; else yiaddr.
    """
    if message.kind == NAK:
        destination = EVERYBODY
    elif message.ciaddr != NO_ADDRESS:
        destination = message.ciaddr
    elif message.flags & BROADCAST_FLAG or message.yiaddr == NO_ADDRESS:
        destination = EVERYBODY
    else:
        destination = message.yiaddr
    data = encode(message)
    length = 8 + len(data)
    head = _UDP.pack(SERVER_PORT, CLIENT_PORT, length, 0)
    checksum = internet_checksum(pseudo_header(source, destination, length, 17) + head + data) or 0xFFFF
    udp = head[:6] + checksum.to_bytes(2, "big") + data
    ip = _IP.pack(0x45, 0, 20 + length, 0, 0x4000, 64, _UDP_PROTOCOL, 0, source, destination)
    ip = ip[:10] + internet_checksum(ip).to_bytes(2, "big") + ip[12:]
    return _ETHERNET.pack(link_layer, source_link_layer, ETHERTYPE_IPV4) + ip + udp
