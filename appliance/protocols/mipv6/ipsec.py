"""Mobility messages that the kernel's IPsec has protected, and no others (RFC 6275 section 5.1, RFC 4877).

::

    IPv6, Home Address option, ESP, message ──kernel: option, ESP──▶ socket whose own policy wants both
    SendRouted ──▶ the same socket ──kernel: type 2 routing header, ESP──▶ host

A policy of one socket (IPV6_XFRM_POLICY) is what the kernel holds each packet for that socket against: a
packet that no security association with ESP in transport mode has covered never gets here. Which association
may speak for which home address its selector says, which the kernel checks too. Nothing here knows keys.

The kernel has to know Mobile IPv6 (CONFIG_IPV6_MIP6), because what stands behind the Home Address option is
encrypted; one state lets it take that option from anybody, and it drops all that no policy wants.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.errors import ResourceError
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.events import ProtectedReceived, SendRouted
from appliance.protocols.mipv6.incoming import home_address
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.mobility.discovery_messages import ICMPV6, PREFIX_SOLICITATION
from appliance.protocols.rawsock import BATCH, IPV6_CHECKSUM, enlarge_buffers, explain
from appliance.protocols.socket_reader import SocketReader

# <linux/xfrm.h>, <linux/in6.h>
_XFRM, _REQUEST_ACK, _CREATE = 6, 5, 0x400
_NEW_STATE, _DELETE_STATE = 0x10, 0x11
_AUTHENTICATION, _ENCRYPTION, _CARE_OF = 1, 2, 14
_TRANSPORT, _ROUTE_OPTIMIZATION = 0, 2
_IN, _OUT, _ALLOW = 0, 1, 0
_WILD_RECEIVE = 8
_ANY_AMOUNT = 0xFFFF_FFFF_FFFF_FFFF
_ANY_ALGORITHM = 0xFFFF_FFFF
_POLICY, _RECEIVE_OPTIONS, _OPTIONS, _ROUTING = 35, 58, 59, 57
_ICMP_FILTER = 1
_V6 = socket.IPPROTO_IPV6
_ESP, _DESTINATION_OPTIONS = 50, 60
#: SPI of the state that is only made to see whether there can be one.
_TRIAL_SPI = 0x4D_49_50_36
LARGEST = 8192

_SELECTOR = struct.pack("=32x8xHBBBxxxiI", socket.AF_INET6, 0, 0, 0, 0, 0)
_LIMITS = struct.pack("=8Q", *[_ANY_AMOUNT] * 4, *[0] * 4)


def _ask(kind: int, body: bytes, flags: int = 0) -> None:
    """One request by netlink; raises OSError."""
    message = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_ACK | flags, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _XFRM) as netlink:
        netlink.sendto(message, (0, 0))
        failure: int = -struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if failure:
        raise OSError(failure, os.strerror(failure))


def _attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def _state(destination: bytes, protocol: int, spi: int, mode: int, attributes: bytes) -> None:
    """``struct xfrm_usersa_info`` of a state for what comes from anybody."""
    identity = destination + struct.pack(">IB3x", spi, protocol)
    rest = struct.pack("=12xIIHBBB7x", 0, 0, socket.AF_INET6, mode, 0, _WILD_RECEIVE)
    body = _SELECTOR + identity + bytes(16) + _LIMITS + bytes(32) + rest
    _ask(_NEW_STATE, body + attributes, _CREATE)


def _forget(destination: bytes, protocol: int, spi: int, attributes: bytes = b"") -> None:
    """``struct xfrm_usersa_id``."""
    body = destination + struct.pack(">I", spi) + struct.pack("=HBx", socket.AF_INET6, protocol)
    _ask(_DELETE_STATE, body + attributes)


def _algorithm(name: bytes, key: bytes) -> bytes:
    return struct.pack("=64sI", name, 8 * len(key)) + key


def require_esp(address: bytes) -> None:
    """Find out whether the kernel has ESP for IPv6; raises ResourceError with what is missing."""
    attributes = _attribute(_AUTHENTICATION, _algorithm(b"hmac(sha256)", bytes(32)))
    attributes += _attribute(_ENCRYPTION, _algorithm(b"ecb(cipher_null)", b""))
    try:
        _state(address, _ESP, _TRIAL_SPI, _TRANSPORT, attributes)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        text = f"require ipsec: this kernel has no ESP for IPv6 (CONFIG_INET6_ESP; module esp6): {why}"
        raise ResourceError(text) from error
    with contextlib.suppress(OSError):
        _forget(address, _ESP, _TRIAL_SPI)


def admit_home_addresses(address: bytes) -> None:
    """Let the kernel take Home Address options of packets to ``address``; raises ResourceError.

    What an ended process left behind is good for the next one.
    """
    with contextlib.suppress(OSError):
        refuse_home_addresses(address)
    try:
        _state(address, _DESTINATION_OPTIONS, 0, _ROUTE_OPTIMIZATION, _attribute(_CARE_OF, bytes(16)))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        text = f"require ipsec: this kernel knows no Mobile IPv6 (CONFIG_IPV6_MIP6; module mip6): {why}"
        raise ResourceError(text) from error


def refuse_home_addresses(address: bytes) -> None:
    """Take that back; raises OSError."""
    _forget(address, _DESTINATION_OPTIONS, 0, _attribute(13, bytes(16)))


def _template(protocol: int, mode: int, optional: bool) -> bytes:
    """``struct xfrm_user_tmpl``."""
    identity = bytes(16) + struct.pack(">IB3x", 0, protocol)
    middle = struct.pack("=H2x16xIBBBx", socket.AF_INET6, 0, mode, 0, optional)
    return identity + middle + struct.pack("=III", *[_ANY_ALGORITHM] * 3)


def _policy(direction: int) -> bytes:
    """``struct xfrm_userpolicy_info`` and templates: ESP in transport mode, coming in behind a Home Address
    option or not."""
    templates = _template(_ESP, _TRANSPORT, False)
    if direction == _IN:
        templates += _template(_DESTINATION_OPTIONS, _ROUTE_OPTIMIZATION, True)
    head = _SELECTOR + _LIMITS + bytes(32)
    return head + struct.pack("=IIBBBB4x", 0, 0, direction, _ALLOW, 0, 0) + templates


class ProtectedSocket(SocketReader):
    """A raw socket for protocol 135, or for Mobile Prefix Solicitations (58); raises ResourceError."""

    def __init__(
        self, reactor: Any, address: bytes, protocol: int, on_packet: Callable[[ProtectedReceived], None]
    ) -> None:
        self._address = address
        self._protocol = protocol
        self._on_packet = on_packet
        name = f"IPsec-protected raw socket for protocol {protocol} on {ip_address(address)}"
        sock = None
        try:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
            sock.setblocking(False)
            enlarge_buffers(sock)
            if protocol == MOBILITY_HEADER:
                sock.setsockopt(_V6, IPV6_CHECKSUM, -1)
            else:
                sock.setsockopt(ICMPV6, _ICMP_FILTER, _only(PREFIX_SOLICITATION))
            for direction in (_IN, _OUT):
                sock.setsockopt(_V6, _POLICY, _policy(direction))
            sock.setsockopt(_V6, _RECEIVE_OPTIONS, 1)
            sock.bind((str(ip_address(address)), 0))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise ResourceError(explain(error, name)) from error
        super().__init__(reactor, sock, name)

    def doRead(self) -> None:
        """Read at most ``BATCH`` messages and hand each over."""
        for _ in range(BATCH):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(LARGEST, 1024)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # A pending ICMP error of an earlier send.
                continue
            home = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            care_of = b""
            for level, kind, value in ancillary:
                if level == _V6 and kind == _OPTIONS:
                    care_of = care_of or _care_of(value)
            self.hand(
                self._on_packet, ProtectedReceived(data, home, self._address, care_of, self._protocol)
            )

    def send(self, effect: SendRouted) -> bool:
        """Send one; False when the host refuses, for one because there is no security association."""
        ancillary: list[tuple[int, int, bytes]] = []
        if effect.destination != effect.home:
            # The kernel takes the care-of address from here and puts the home address in its place.
            header = struct.pack(">BBBBI", 0, 2, 2, 1, 0) + effect.destination
            ancillary.append((_V6, _ROUTING, header))
        try:
            where = socket.inet_ntop(socket.AF_INET6, effect.home), 0
            self._socket.sendmsg([effect.data], ancillary, 0, where)
        except OSError:
            return False
        return True


def _only(kind: int) -> bytes:
    """A filter that lets one ICMPv6 type through."""
    words = [0xFFFF_FFFF] * 8
    words[kind // 32] &= ~(1 << kind % 32)
    return struct.pack("=8I", *words)


def _care_of(header: bytes) -> bytes:
    """What the kernel has put in the place of the home address, where that option was."""
    with contextlib.suppress(DecodeError, IndexError):
        return home_address(header, 2, min(len(header), 8 * header[1] + 8)) or b""
    return b""


class ProtectedPort:
    """The sockets of one service whose hosts have to use IPsec."""

    def __init__(self, reactor: Any, address: bytes, feed: Callable[[ProtectedReceived], None]) -> None:
        require_esp(address)
        admit_home_addresses(address)
        self._address = address
        self._sockets: dict[int, ProtectedSocket] = {}
        try:
            for protocol in (MOBILITY_HEADER, ICMPV6):
                self._sockets[protocol] = ProtectedSocket(reactor, address, protocol, feed)
        except ResourceError:
            self.stop()
            raise
        for each in self._sockets.values():
            each.start()

    def send(self, effect: SendRouted) -> bool:
        """Send a message to a host; False when the host refuses."""
        return self._sockets[effect.protocol].send(effect)

    def stop(self) -> None:
        """Close all; the kernel takes no Home Address options any more."""
        for each in self._sockets.values():
            each.stop()
        self._sockets.clear()
        with contextlib.suppress(OSError):
            refuse_home_addresses(self._address)
