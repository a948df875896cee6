"""The sockets that mobility messages come and go by, as descriptors of the reactor.

::

    IPv6, Next Header 135 ─┐                                ┌─▶ on_packet(PacketReceived)
    UDP port 5436 (IPv4) ──┴─▶ doRead: at most BATCH reads ─┘
                                  └─ too much of it: triage
    driver ──send()──▶ socket, or a bounded queue while the socket is full

Bounded on both sides: a wake-up reads at most ``BATCH`` messages, and what cannot be
queued for sending is reported to the caller, never kept.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.socket_reader import SocketReader
from appliance.protocols.triage import Judge, Triage

#: RFC 6275 section 6.1: Next Header value of the Mobility Header.
IPPROTO_MH = 135
#: RFC 5844 section 4.1: signalling over IPv4.
PMIPV6_UDP_PORT = 5436
BATCH = 64
QUEUE_LIMIT = 4096
#: Text forms remembered for peers; strangers can fill it, so it is emptied when full.
CACHE_LIMIT = 8192
# RFC 6275 section 6.1.1: Header Len is one octet, so no message is longer than 2048 octets.
LARGEST_MESSAGE = 4096
#: Asked for in both directions, so that a burst of a few thousand messages survives a pause.
BUFFER_OCTETS = 8 * 1024 * 1024
# Absent from the socket module; values of <linux/in6.h> and <asm-generic/socket.h>.
IPV6_CHECKSUM = 7
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33


def explain(error: OSError, what: str) -> str:
    """One line for an operator: what could not be had, and how to give it.

    ``what`` names the thing with its address, for example ``raw socket on 2001:db8::1``.
    """
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{what}: permission denied; run as root or give the process CAP_NET_RAW and CAP_NET_ADMIN"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{what}: the address is not on this host; "
            "add it to a device, or configure it with 'interface DEVICE' in the context"
        )
    if error.errno == errno.EADDRINUSE:
        return f"{what}: in use by another process; stop it or choose another address"
    return f"{what}: {os.strerror(error.errno or 0)}"


def enlarge_buffers(sock: socket.socket) -> None:
    """Ask for large socket buffers, beyond the host's limit where we may."""
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_OCTETS)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_OCTETS)


def claim(text: str) -> socket.socket:
    """Take an address for this process; raises OSError (EADDRINUSE) when another one has it.

    Linux lets any number of raw sockets bind to one address, and each would answer. A name in the
    abstract UNIX namespace exists once in a network namespace and goes with its process.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0mobility-appliance/{IPPROTO_MH}/{text}")
    except OSError:
        holder.close()
        raise
    return holder


@implementer(IReadWriteDescriptor)
class MobilitySocket(SocketReader):
    """One bound socket for mobility messages.

    ``address`` is the packed local address: 16 octets give a raw IPv6 socket for Next Header
    135, 4 octets a UDP socket on port 5436. ``on_packet`` gets each :class:`PacketReceived`;
    ``on_lost`` is called for each queued message that the host refuses in the end. Raises
    :class:`ResourceError` when the socket cannot be had.
    """

    def __init__(
        self,
        reactor: Any,
        address: bytes,
        on_packet: Callable[[PacketReceived], None],
        on_lost: Callable[[], object] = lambda: None,
    ) -> None:
        self._address = address
        self._on_packet = on_packet
        self._on_lost = on_lost
        self._queue: deque[tuple[bytes, tuple[str, int]]] = deque()
        self._packed: dict[str, bytes] = {}
        self._text: dict[bytes, str] = {}
        self._triage: Triage | None = None
        self._v6 = len(address) == 16
        self._family = socket.AF_INET6 if self._v6 else socket.AF_INET
        text = socket.inet_ntop(self._family, address)
        self._claim: socket.socket | None = None
        name = f"mobility raw socket on {text}" if self._v6 else f"UDP port {PMIPV6_UDP_PORT} on {text}"
        try:
            sock = self._open(text)
        except OSError as error:
            raise ResourceError(explain(error, name)) from error
        super().__init__(reactor, sock, name)

    def _open(self, text: str) -> socket.socket:
        if not self._v6:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        else:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_MH)
        try:
            sock.setblocking(False)
            enlarge_buffers(sock)
            if self._v6:
                # Linux makes and checks the Mobility Header checksum by itself unless told
                # otherwise; bad ones would vanish uncounted.
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, -1)
                sock.bind((text, 0))
                self._claim = claim(text)
            else:
                sock.bind((text, PMIPV6_UDP_PORT))
        except OSError:
            sock.close()
            raise
        return sock

    def sort_by(self, judge: Judge, feed: Callable[[Any], None]) -> None:
        """While more comes in than can be dealt with, let ``judge`` say what goes first; see ``triage``."""
        self._triage = Triage(self._reactor, self._socket, self._address, judge, self._on_packet, feed)

    def stop(self) -> None:
        """Stop reading and writing and close the socket."""
        self._reactor.removeWriter(self)
        if self._triage is not None:
            self._triage.stop()
        self._queue.clear()
        super().stop()
        if self._claim is not None:
            self._claim.close()

    @property
    def address(self) -> bytes:
        """Our own address, packed."""
        return self._address

    @property
    def waiting(self) -> int:
        """How many messages wait here to be sent."""
        return len(self._queue)

    def doRead(self) -> None:
        """Read at most ``BATCH`` messages and hand each over."""
        triage = self._triage
        if triage is not None and triage.active:
            try:
                triage.read()
            except Exception:  # noqa: BLE001
                self.stumbled()
            return
        receive, packed, destination = self._socket.recvfrom, self._packed, self._address
        for _ in range(BATCH):
            try:
                data, sender = receive(LARGEST_MESSAGE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # A pending ICMP error of an earlier send; the send itself told the caller nothing,
                # and a peer that does not answer is found by time-outs.
                continue
            text = sender[0]
            source = packed.get(text)
            if source is None:
                if len(packed) >= CACHE_LIMIT:
                    packed.clear()
                source = packed[text] = socket.inet_pton(self._family, text.partition("%")[0])
            try:
                self._on_packet(PacketReceived(data, source, destination, 0 if self._v6 else sender[1]))
            except Exception:  # noqa: BLE001
                # An exception that leaves doRead makes the reactor close the socket: one message must not
                # end the service for everybody.
                self.stumbled()
        if triage is not None:
            triage.consider()

    def send(self, data: bytes, destination: bytes, port: int = 0) -> bool:
        """Send one message; ``port`` is the UDP port, 0 for IPv6.

        Returns False when it could not be sent or queued (no route, queue full).
        """
        text = self._text.get(destination)
        if text is None:
            if len(self._text) >= CACHE_LIMIT:
                self._text.clear()
            text = self._text[destination] = socket.inet_ntop(self._family, destination)
        where = (text, port)
        if not self._queue:
            try:
                self._socket.sendto(data, where)
                return True
            except (BlockingIOError, InterruptedError):
                self._reactor.addWriter(self)
            except OSError:
                return False
        if len(self._queue) >= QUEUE_LIMIT:
            return False
        self._queue.append((data, where))
        return True

    def doWrite(self) -> None:
        """Send what had to wait."""
        queue = self._queue
        while queue:
            data, where = queue[0]
            try:
                self._socket.sendto(data, where)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._on_lost()
            queue.popleft()
        self._reactor.removeWriter(self)


class IcmpSender:
    """Sends ICMPv6 errors from a bound address; the kernel fills their checksum in."""

    def __init__(self, address: bytes) -> None:
        text = socket.inet_ntop(socket.AF_INET6, address)
        try:
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            self._socket.setblocking(False)
            # RFC 3542 section 3.2: block every type; this socket only sends.
            self._socket.setsockopt(socket.IPPROTO_ICMPV6, 1, b"\xff" * 32)
            self._socket.bind((text, 0))
        except OSError as error:
            raise ResourceError(explain(error, f"ICMPv6 raw socket on {text}")) from error

    def send(self, data: bytes, destination: bytes) -> bool:
        """Send one ICMPv6 message; False when the host refuses."""
        try:
            self._socket.sendto(data, (socket.inet_ntop(socket.AF_INET6, destination), 0))
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Close the socket."""
        self._socket.close()
