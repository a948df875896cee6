"""The home link of one service on the reactor: frames in and out, and when there is a link at all.

::

    packet socket: Neighbor Discovery, second address ──HomeFrame──▶ core ──SendHomeFrame──▶ packet socket
    packet socket: mobility messages ─▶ whose link-layer address ◀── SendAtHome ◀── core
    device up with an address ──HomeLinkUp──▶ core
"""

from collections import OrderedDict
from collections.abc import Callable
from struct import Struct
from typing import Any

from appliance.protocols.mipv6.events import HomeFrame, HomeLinkDown, HomeLinkUp, SendAtHome, SendHomeFrame
from appliance.protocols.mipv6.home_link import second_address
from appliance.protocols.mipv6.link_socket import LinkSocket, mobility, solicitations
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.mobility.packet import routed
from appliance.protocols.pmipv6.events import Notify
from appliance.tun.device import System

#: Senders of mobility messages on the link that are remembered; only while their update is decided about.
SENDERS = 1024
#: Seconds between two looks for an address of the device.
PATIENCE = 0.5
_HEADER = Struct(">IHBB16s16s")
_IPV6_FRAME = b"\x86\xdd"


def plain(mh: bytes, source: bytes, destination: bytes) -> bytes:
    """A whole IPv6 packet with a sealed mobility message."""
    return _HEADER.pack(6 << 28, len(mh), MOBILITY_HEADER, 64, source, destination) + mh


class HomePort:
    """What one service has open on its home link.

    ``address`` is what updates are sent to; ``feed`` gets events, ``tell`` what an operator wants to read.
    """

    def __init__(
        self, reactor: Any, address: bytes, feed: Callable[[Any], None], tell: Callable[[Notify], None]
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._feed = feed
        self._tell = tell
        self._interface = ""
        self._frames: LinkSocket | None = None
        self._messages: LinkSocket | None = None
        self._senders: OrderedDict[bytes, bytes] = OrderedDict()
        self._link_layer = b""
        self._retry: Any = None

    def apply(self, interface: str) -> None:
        """Serve this link, or none (empty). One that is not there yet is served when it comes."""
        if interface == self._interface:
            return
        self._close()
        self._interface = interface
        self._open()

    def changed(self, name: str, is_up: bool) -> None:
        """A device of the host has come, gone or changed."""
        if name != self._interface or not name:
            return
        known = self._frames
        if known is not None and is_up and self._is_same(known):
            return
        self._close()
        if is_up:
            self._open()

    def _is_same(self, known: LinkSocket) -> bool:
        try:
            return known.link_layer == self._link_layer
        except OSError:
            return False

    def _open(self) -> None:
        """Open the sockets, and tell the core as soon as the device has an address."""
        if not self._interface:
            return
        try:
            self._frames = LinkSocket(
                self._reactor, self._interface, self._heard, solicitations, second_address
            )
            self._messages = LinkSocket(
                self._reactor, self._interface, self._noted, lambda _: mobility(self._address), unicast=True
            )
            self._link_layer = self._frames.link_layer
        except OSError as error:
            self._close()
            text = f"home link {self._interface}: {error.strerror or error}; nothing is defended there"
            self._tell(Notify("warning", text))
            return
        self._begin()

    def _begin(self) -> None:
        self._retry = None
        address = System.link_address(self._interface)
        if address:
            self._feed(HomeLinkUp(self._interface, self._link_layer, address))
        else:
            self._retry = self._reactor.callLater(PATIENCE, self._begin)

    def _close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        was = self._frames is not None
        for sock in (self._frames, self._messages):
            if sock is not None:
                sock.stop()
        self._frames = self._messages = None
        self._senders.clear()
        if was:
            self._feed(HomeLinkDown(self._interface))

    def stop(self) -> None:
        """Close everything."""
        self.apply("")

    def _heard(self, interface: str, frame: bytes) -> None:
        self._feed(HomeFrame(interface, frame))

    def _noted(self, _interface: str, frame: bytes) -> None:
        """Remember which link-layer address a mobility message has come from."""
        source = frame[22:38]
        self._senders[source] = frame[6:12]
        self._senders.move_to_end(source)
        if len(self._senders) > SENDERS:
            self._senders.popitem(last=False)

    def send(self, effect: SendHomeFrame) -> bool:
        """Send a frame; False when the link does not take it."""
        if self._frames is None or self._frames.interface != effect.interface:
            return False
        try:
            self._frames.send(effect.frame)
        except OSError:
            return False
        return True

    def answer(self, effect: SendAtHome) -> tuple[bytes, bool]:
        """Answer a host at home: the whole packet, and whether it has gone out on the link.

        It has not if the update has not come from there; then it takes the way of all packets.
        """
        if effect.home:
            packet = routed(effect.data, effect.source, effect.destination, effect.home)
        else:
            packet = plain(effect.data, effect.source, effect.destination)
        if self._messages is not None:
            # The update is read from another socket, perhaps before its frame was looked at here.
            self._messages.drain(SENDERS)
        to = self._senders.pop(effect.destination, b"")
        if not to or self._link_layer == b"":
            return packet, False
        frame = to + self._link_layer + _IPV6_FRAME + packet
        return packet, self.send(SendHomeFrame(effect.interface, frame))
