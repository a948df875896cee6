"""The way out of the tunnels onto a home link (RFC 6275 section 10.4).

The route of the home prefix leads to the TUN device, before the one that the kernel has made for the link: so
every packet for the prefix comes to the engine, wherever it is from. What is for a host that is away goes to
its tunnel; the rest goes out here, by a socket that is bound to the device. For that socket the kernel takes
the route of the link, and does Neighbor Discovery itself.
"""

import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address

from appliance.errors import ResourceError
from appliance.tun.device import System
from appliance.tun.forwarding import Forwarding

#: The socket is of a device that is not there any more: the next packet tries to find another by its name.
_GONE = frozenset((errno.ENODEV, errno.ENXIO, errno.ENETUNREACH, errno.EHOSTUNREACH))


class HomeExit:
    """The socket for packets to nodes of one home link; it is there from the first packet on."""

    def __init__(self, system: System, forwarding: Forwarding, interface: str) -> None:
        self.interface = interface
        self._system = system
        self._forwarding = forwarding
        self._socket: socket.socket | None = None

    def send(self, packet: bytes, segments: Callable[[], list[bytes]], now: float) -> None:
        """Send what came out of the TUN device; ``segments`` makes single packets of it."""
        pieces = segments()
        if not pieces:
            self._forwarding.drop("malformed")
            return
        try:
            if self._socket is None:
                self._socket = self._system.open_whole(self.interface)
            to = str(ip_address(packet[24:40])), 0
            for piece in pieces:
                self._socket.sendto(piece, to)
        except BlockingIOError:
            self._forwarding.drop("home link busy")
        except ResourceError:
            self._forwarding.unreachable(packet, "home link down", now)
        except OSError as error:
            self._failed(packet, error, now)

    def _failed(self, packet: bytes, error: OSError, now: float) -> None:
        if error.errno == errno.EMSGSIZE:
            self._forwarding.too_big(packet, self._system.link_mtu(self.interface), now)
            return
        if error.errno in _GONE:
            self.close()
            self._forwarding.unreachable(packet, "home link down", now)
            return
        self._forwarding.drop(f"home link {errno.errorcode.get(error.errno or 0, 'error')}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
