"""DHCPv6 messages: reading what clients and relay agents send, building what a server answers (RFC 8415).

::

    type, transaction (3), options              client and server messages (section 8)
    type, hops, link (16), peer (16), options   relay messages (section 9)
    option: code (2), length (2), data          IA_PD and IA Prefix have options of their own (section 21.21)

Reading raises :class:`DecodeError` for octets that are wrong.
"""

from collections.abc import Iterator
from struct import Struct

from attrs import define, field

from appliance.protocols.bits import DecodeError

SERVER_PORT, CLIENT_PORT = 547, 546
#: All_DHCP_Relay_Agents_and_Servers, All_DHCP_Servers (section 7.1).
AGENTS, SERVERS = bytes.fromhex("ff02" + "00" * 11 + "010002"), bytes.fromhex("ff05" + "00" * 11 + "010003")

# Message types (section 7.3).
SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE = range(1, 10)
INFORMATION_REQUEST, RELAY_FORWARD, RELAY_REPLY = 11, 12, 13
# Options (section 21).
CLIENT_ID, SERVER_ID, IA_NA, IA_TA, IA_ADDRESS, OPTION_REQUEST, PREFERENCE, ELAPSED, RELAY_MESSAGE = (
    range(1, 10)
)
STATUS, RAPID_COMMIT, INTERFACE_ID, IA_PD, IA_PREFIX = 13, 14, 18, 25, 26
# Status codes (section 21.13).
SUCCESS, UNSPECIFIED, NO_ADDRESSES, NO_BINDING, NOT_ON_LINK, USE_MULTICAST, NO_PREFIXES = range(7)

#: Section 11: a DUID has at most 128 octets beside its type, and at least one.
LONGEST_DUID, SHORTEST_DUID = 130, 3
#: Section 7.6 (HOP_COUNT_LIMIT): relay agents between client and server.
HOPS = 8

_OPTION = Struct("!HH")
_IA = Struct("!III")
_PREFIX = Struct("!IIB16s")

Option = tuple[int, bytes]
Prefix = tuple[bytes, int]


@define(slots=True)
class Message:
    """A message of a client or a server; its options in their order."""

    kind: int
    transaction: bytes
    """3 octets."""
    options: list[Option] = field(factory=list)

    def first(self, code: int) -> bytes | None:
        """The data of the first option of a kind; ``None``: there is none."""
        return _first(self.options, code)


@define(slots=True)
class Relayed:
    """A message of a relay agent, or to one."""

    kind: int
    hops: int
    link: bytes
    peer: bytes
    options: list[Option] = field(factory=list)

    def first(self, code: int) -> bytes | None:
        """The data of the first option of a kind; ``None``: there is none."""
        return _first(self.options, code)


@define(slots=True)
class Leased:
    """An IA Prefix option (section 21.22); lifetimes in seconds."""

    prefix: bytes
    length: int
    preferred: int = 0
    valid: int = 0


@define(slots=True)
class Association:
    """An IA_PD option (section 21.21): what a client calls one set of prefixes."""

    iaid: int
    t1: int = 0
    t2: int = 0
    prefixes: list[Leased] = field(factory=list)
    status: int | None = None


def _first(options: list[Option], code: int) -> bytes | None:
    return next((data for each, data in options if each == code), None)


def decode(data: bytes) -> Message | Relayed:
    """Read a message; options of unknown codes stay as they are."""
    if len(data) < 4:
        raise DecodeError("DHCPv6 message cut short")
    if data[0] not in (RELAY_FORWARD, RELAY_REPLY):
        return Message(data[0], data[1:4], list(_options(data, 4)))
    if len(data) < 34:
        raise DecodeError("DHCPv6 relay message cut short")
    return Relayed(data[0], data[1], data[2:18], data[18:34], list(_options(data, 34)))


def _options(data: bytes, at: int) -> Iterator[Option]:
    while at < len(data):
        if at + 4 > len(data):
            raise DecodeError(f"DHCPv6 option at {at} cut short")
        code, length = _OPTION.unpack_from(data, at)
        at += 4 + length
        if at > len(data):
            raise DecodeError(f"DHCPv6 option {code} runs past its end")
        yield code, data[at - length : at]


def encode(message: Message | Relayed) -> bytes:
    """Write a message."""
    if isinstance(message, Message):
        head = bytes((message.kind,)) + message.transaction
    else:
        head = bytes((message.kind, message.hops)) + message.link + message.peer
    return head + pack(message.options)


def pack(options: list[Option]) -> bytes:
    """Write options one behind the other."""
    return b"".join(_OPTION.pack(code, len(data)) + data for code, data in options)


def association(data: bytes) -> Association:
    """Read the data of an IA_PD option."""
    if len(data) < _IA.size:
        raise DecodeError("IA_PD cut short")
    found = Association(*_IA.unpack_from(data))
    for code, inner in _options(data, _IA.size):
        if code == STATUS:
            found.status = status_of(inner)
        elif code == IA_PREFIX:
            if len(inner) < _PREFIX.size:
                raise DecodeError("IA Prefix cut short")
            preferred, valid, length, prefix = _PREFIX.unpack_from(inner)
            if length > 128:
                raise DecodeError(f"IA Prefix of {length} bits")
            found.prefixes.append(Leased(prefix, length, preferred, valid))
    return found


def pack_association(wanted: Association) -> Option:
    """An IA_PD option."""
    inner: list[Option] = [
        (IA_PREFIX, _PREFIX.pack(each.preferred, each.valid, each.length, each.prefix))
        for each in wanted.prefixes
    ]
    if wanted.status is not None:
        inner.append(status(wanted.status))
    return IA_PD, _IA.pack(wanted.iaid, wanted.t1, wanted.t2) + pack(inner)


def status(code: int, text: str = "") -> Option:
    """A Status Code option."""
    return STATUS, code.to_bytes(2, "big") + text.encode()


def status_of(data: bytes) -> int:
    """Read the data of a Status Code option."""
    if len(data) < 2:
        raise DecodeError("status code cut short")
    return data[0] << 8 | data[1]
