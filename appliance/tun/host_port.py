"""UDP port 4191: what hosts in IPv4 networks say, and what they send and receive (RFC 5555 section 4.1).

::

    UDP 4191 ──▶ IPv6 packet with a Mobility Header for us ──▶ on_signalling
             └─▶ anything else: out of the tunnel of its host ──▶ Engine.from_tunnel
    Engine.to_tunnel, HostPort.send ──▶ UDP 4191
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.logger import Logger

from appliance.tun import native
from appliance.tun import packet as ip
from appliance.tun.device import Reader, System
from appliance.tun.encap import HOST_PORT
from appliance.tun.engine import Engine

_log = Logger()
#: Calls of recvmmsg in one wake-up.
BATCHES = 4
#: Seconds between two log lines about packets that raised an exception.
SILENCE = 10.0

#: Gets an IPv6 packet to our own address, the IPv4 address and the port that it came from; says whether it
#: was a mobility message.
Signalling = Callable[[bytes, bytes, int], bool]


class HostPort:
    """The port of one service; open as long as this exists. Raises ResourceError.

    ``engine`` is the service's, ``address`` and ``ipv4_address`` are the home agent's (packed).
    """

    def __init__(
        self,
        reactor: Any,
        engine: Engine,
        address: bytes,
        ipv4_address: bytes,
        on_signalling: Signalling,
        system: System | None = None,
    ) -> None:
        self._reactor = reactor
        self._engine = engine
        self._address = address
        self._on_signalling = on_signalling
        self._silent_until = 0.0
        self._socket = (system or System()).open_raw(ipv4_address, ip.UDP, HOST_PORT)
        self._batch = engine.batch("udp")
        self._reader: Reader | None = Reader(self._socket.fileno(), self._read)
        engine.serve_hosts(native.SendBatch(self._socket.fileno(), 4))
        reactor.addReader(self._reader)

    @property
    def socket(self) -> socket.socket:
        """The socket, to ask the kernel how it is doing."""
        return self._socket

    def stop(self) -> None:
        """Close the port. May be called twice."""
        if self._reader is not None:
            self._reactor.removeReader(self._reader)
            self._engine.serve_hosts(None)
            self._socket.close()
        # It refers back to here.
        self._reader = None

    def send(self, packet: bytes, address: bytes, port: int) -> bool:
        """Send an IPv6 packet of our own to a host's place; False when the system refuses."""
        try:
            self._socket.sendto(packet, (str(ip_address(address)), port))
        except OSError:
            return False
        return True

    def _read(self) -> None:
        engine, fd, address = self._engine, self._socket.fileno(), self._address
        now = engine.clock()
        from_host = engine.forwarding.from_host
        for _ in range(BATCHES):
            try:
                received = self._batch.receive(fd)
            except OSError:
                # An error of an earlier packet that the kernel reports late (ICMP about it).
                engine.forwarding.drop("receive error")
                break
            for data, sender, tos in received:
                source, port = sender[2:], sender[0] << 8 | sender[1]
                if data[24:40] == address and data[0] >> 4 == 6 and self._signals(data, source, port):
                    continue
                found = from_host(source, data, tos, now, port)
                if found is not None:
                    engine.from_tunnel(found[1])
            if len(received) < native.SLOTS:
                break
        engine.flush()

    def _signals(self, data: bytes, source: bytes, port: int) -> bool:
        try:
            return self._on_signalling(data, source, port)
        except Exception:  # noqa: BLE001
            # One packet must not make the reactor close the port for everybody.
            now = self._reactor.seconds()
            if now >= self._silent_until:
                self._silent_until = now + SILENCE
                _log.failure("UDP port {port}: a packet could not be dealt with", port=HOST_PORT)
            return True
