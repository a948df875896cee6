"""The ICMPv6 messages of Mobile IPv6 (RFC 6275 sections 6.5 to 6.8) and what it adds to Router Advertisements
(sections 7.1 to 7.4), from octets and to octets.

::

    144, 145  Home Agent Address Discovery   mobile node, no binding needed ⇄ Home-Agents anycast address
    146, 147  Mobile Prefix                  mobile node with a binding ⇄ its home agent
    134       Router Advertisement           home agents of one link tell each other what they are

A message is all of the ICMPv6 part of a packet, from its type octet on.
"""

from struct import Struct
from typing import NamedTuple

from appliance.protocols.bits import DecodeError, internet_checksum, pseudo_header

ICMPV6 = 58
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = 133, 134
DISCOVERY_REQUEST, DISCOVERY_REPLY, PREFIX_SOLICITATION, PREFIX_ADVERTISEMENT = 144, 145, 146, 147

#: RFC 6275 section 10.5.1: a reply fits the minimum MTU of 1280 octets.
MOST_ADDRESSES = (1280 - 40 - 8) // 16

_HEAD = Struct(">BBHHH")
_ADVERTISEMENT = Struct(">BBHBBHII")
_PREFIX = Struct(">BBBBIII16s")
_AGENT = Struct(">BBHHH")
_INTERVAL = Struct(">BBHI")
_PREFIX_OPTION, _INTERVAL_OPTION, _AGENT_OPTION = 3, 7, 8
_H_FLAG = 0x20
_ON_LINK, _AUTONOMOUS, _ROUTER = 0x80, 0x40, 0x20
#: RFC 2526 section 2: the last 7 bits of the Home-Agents anycast address, and how many bits those are.
_HOME_AGENTS, _ANYCAST_BITS = 126, 7


class Prefix(NamedTuple):
    """A Prefix Information option (RFC 4861 section 4.6.2, RFC 6275 section 7.2); lifetimes in seconds."""

    prefix: bytes
    """With ``router`` a whole address of the sender."""
    length: int
    valid: int
    preferred: int
    on_link: bool = True
    autonomous: bool = True
    router: bool = False

    @property
    def octets(self) -> bytes:
        """The option."""
        flags = _ON_LINK * self.on_link | _AUTONOMOUS * self.autonomous | _ROUTER * self.router
        return _PREFIX.pack(_PREFIX_OPTION, 4, self.length, flags, self.valid, self.preferred, 0, self.prefix)


class Router(NamedTuple):
    """A Router Advertisement as a home agent looks at it (RFC 6275 section 10.5.1)."""

    home_agent: bool
    """The H flag."""
    preference: int
    lifetime: int
    """Of the home agent, seconds."""
    prefixes: tuple[Prefix, ...]


def anycast(prefix: bytes, length: int) -> bytes | None:
    """The Mobile IPv6 Home-Agents anycast address of a subnet (RFC 2526 section 2); ``None``: it has none.

    A prefix of 64 bits has interface identifiers in EUI-64 format, whose universal/local bit is 0 in it.
    """
    bits = 128 - length
    if bits < _ANYCAST_BITS + 1:
        return None
    identifier = (1 << bits) - 1 - ((1 << _ANYCAST_BITS) - 1) + _HOME_AGENTS
    if bits == 64:
        identifier &= ~(1 << 57)
    network = int.from_bytes(prefix, "big") >> bits << bits
    return (network | identifier).to_bytes(16, "big")


def reserved(address: bytes, length: int) -> bool:
    """Whether an address of a subnet is no host's: that of its routers (RFC 4291 section 2.6.1), or one of
    the 128 of RFC 2526."""
    bits = 128 - length
    identifier = int.from_bytes(address, "big") & ((1 << bits) - 1)
    first = anycast(address, length)
    if first is None:
        return False
    last = (int.from_bytes(first, "big") & ((1 << bits) - 1)) | ((1 << _ANYCAST_BITS) - 1)
    return not identifier or last >> _ANYCAST_BITS == identifier >> _ANYCAST_BITS


def sealed(message: bytes, source: bytes, destination: bytes) -> bytes:
    """A message with its checksum, whose field was zero; the addresses are those that upper layers see."""
    pseudo = pseudo_header(source, destination, len(message), ICMPV6)
    return message[:2] + internet_checksum(pseudo + message).to_bytes(2, "big") + message[4:]


def intact(message: bytes, source: bytes, destination: bytes) -> bool:
    """Whether the checksum of a message is right."""
    pseudo = pseudo_header(source, destination, len(message), ICMPV6)
    return internet_checksum(pseudo + message) == 0


def identifier_of(message: bytes, kind: int) -> int:
    """The identifier of a request or a solicitation; raises DecodeError when it is none."""
    if len(message) < _HEAD.size:
        raise DecodeError(f"ICMPv6 message of {len(message)} octets")
    found, code, _, identifier, _ = _HEAD.unpack_from(message)
    if found != kind or code:
        raise DecodeError(f"ICMPv6 type {found} code {code}")
    return int(identifier)


def request(identifier: int, source: bytes, destination: bytes) -> bytes:
    """Home Agent Address Discovery Request (section 6.5)."""
    return sealed(_HEAD.pack(DISCOVERY_REQUEST, 0, 0, identifier, 0), source, destination)


def reply(identifier: int, addresses: list[bytes], source: bytes, destination: bytes) -> bytes:
    """Home Agent Address Discovery Reply (section 6.6); the first of the addresses, as many as fit."""
    head = _HEAD.pack(DISCOVERY_REPLY, 0, 0, identifier, 0)
    return sealed(head + b"".join(addresses[:MOST_ADDRESSES]), source, destination)


def solicitation(identifier: int, home: bytes, destination: bytes) -> bytes:
    """Mobile Prefix Solicitation (section 6.7); its packet has a Home Address option."""
    return sealed(_HEAD.pack(PREFIX_SOLICITATION, 0, 0, identifier, 0), home, destination)


def advertisement(identifier: int, prefixes: tuple[Prefix, ...], source: bytes, home: bytes) -> bytes:
    """Mobile Prefix Advertisement (section 6.8); its packet has a type 2 routing header.

    Flags M and O are clear: there is no DHCPv6 service here.
    """
    head = _HEAD.pack(PREFIX_ADVERTISEMENT, 0, 0, identifier, 0)
    return sealed(head + b"".join(each.octets for each in prefixes), source, home)


def router_advertisement(
    prefixes: tuple[Prefix, ...], preference: int, lifetime: int, interval: int
) -> bytes:
    """Router Advertisement of a home agent that is nobody's default router; the checksum is the kernel's.

    ``lifetime`` of the home agent in seconds, 0: it is none any more; ``interval`` in milliseconds.
    """
    flags = _H_FLAG if lifetime else 0
    parts = [_ADVERTISEMENT.pack(ROUTER_ADVERTISEMENT, 0, 0, 64, flags, 0, 0, 0)]
    parts += [each.octets for each in prefixes]
    parts.append(_INTERVAL.pack(_INTERVAL_OPTION, 1, 0, interval))
    if lifetime:
        # Section 7.4: it differs from the lifetime of the router, which is 0.
        parts.append(_AGENT.pack(_AGENT_OPTION, 1, 0, preference, lifetime))
    return b"".join(parts)


def read_router(message: bytes) -> Router:
    """Read a Router Advertisement; raises DecodeError for what RFC 4861 section 6.1.2 has discarded."""
    if len(message) < _ADVERTISEMENT.size or message[0] != ROUTER_ADVERTISEMENT or message[1]:
        raise DecodeError("no Router Advertisement")
    _, _, _, _, flags, lifetime, _, _ = _ADVERTISEMENT.unpack_from(message)
    preference, prefixes = 0, []
    for kind, option in options(message, _ADVERTISEMENT.size):
        if kind == _PREFIX_OPTION and len(option) == _PREFIX.size:
            prefixes.append(_prefix(option))
        elif kind == _AGENT_OPTION and len(option) == _AGENT.size:
            _, _, _, preference, lifetime = _AGENT.unpack(option)
    return Router(bool(flags & _H_FLAG), preference, lifetime, tuple(prefixes))


def read_prefixes(message: bytes) -> tuple[int, tuple[Prefix, ...]]:
    """Identifier and prefixes of a Mobile Prefix Advertisement; raises DecodeError."""
    identifier = identifier_of(message, PREFIX_ADVERTISEMENT)
    found = [
        _prefix(option)
        for kind, option in options(message, _HEAD.size)
        if kind == _PREFIX_OPTION and len(option) == _PREFIX.size
    ]
    return identifier, tuple(found)


def read_reply(message: bytes) -> tuple[int, list[bytes]]:
    """Identifier and home agents of a Home Agent Address Discovery Reply; raises DecodeError."""
    identifier = identifier_of(message, DISCOVERY_REPLY)
    return identifier, [message[at : at + 16] for at in range(_HEAD.size, len(message) - 15, 16)]


def _prefix(option: bytes) -> Prefix:
    _, _, length, flags, valid, preferred, _, prefix = _PREFIX.unpack(option)
    if length > 128:
        raise DecodeError(f"prefix of {length} bits")
    on_link, autonomous, router = (bool(flags & bit) for bit in (_ON_LINK, _AUTONOMOUS, _ROUTER))
    return Prefix(prefix, length, valid, preferred, on_link, autonomous, router)


def options(message: bytes, at: int) -> list[tuple[int, bytes]]:
    """The options of Neighbor Discovery from ``at`` on: type, whole option; raises DecodeError."""
    found = []
    while at < len(message):
        size = 8 * message[at + 1] if at + 2 <= len(message) else 0
        if not size or at + size > len(message):
            raise DecodeError(f"option at {at} has no length, or runs past the end")
        found.append((message[at], message[at : at + size]))
        at += size
    return found
