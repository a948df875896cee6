"""The UDP port that a gateway relays DHCP by."""

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol

from appliance.errors import ResourceError
from appliance.protocols.access.dhcpv4 import SERVER_PORT
from appliance.protocols.access.events import DhcpRelayed, RelayDhcp


class RelayPort(DatagramProtocol):
    """Sends to DHCP servers and hears from them; ``feed`` takes :class:`DhcpRelayed`."""

    def __init__(self, feed: Callable[[DhcpRelayed], None]) -> None:
        self._feed = feed
        #: The port in listening; also what is written to.
        self._port: Any = None

    def open(self, reactor: Any, address: bytes) -> None:
        """Listen on an IPv4 address of ours; raises ResourceError."""
        text = str(ip_address(address))
        try:
            self._port = reactor.listenUDP(SERVER_PORT, self, interface=text, maxPacketSize=4096)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            what = f"DHCP relay on {text} UDP port {SERVER_PORT}"
            raise ResourceError(f"{what}: {reason}; is another DHCP server running there?") from error

    def datagramReceived(self, data: bytes, address: tuple[str, int]) -> None:
        """Hand over what a server says."""
        self._feed(DhcpRelayed(data, ip_address(address[0]).packed))

    def send(self, effect: RelayDhcp) -> None:
        """Send to a server; what the host refuses is lost, and the client asks again."""
        if self._port is not None:
            with suppress(OSError):
                self._port.write(effect.data, (str(ip_address(effect.server)), SERVER_PORT))

    def close(self) -> None:
        """Listen no more."""
        if self._port is not None:
            self._port.stopListening()
            self._port = None
