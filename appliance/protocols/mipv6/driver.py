"""The host side of an anchor on the reactor: sockets that know the Home Address option, and the home link.

::

    OptionsSocket ──OptionsReceived──▶ core ──SendRouted──▶ RoutedSender
    AddressTester ──AddressTested────▶      ──TestAddress, StopTest──▶ AddressTester
"""

import contextlib
from collections.abc import Callable
from typing import Any

from appliance.errors import ResourceError
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6 import quiet
from appliance.protocols.mipv6.addresses import AddressTester
from appliance.protocols.mipv6.discovery_driver import DiscoveryPort
from appliance.protocols.mipv6.events import (
    OptionsReceived,
    ProtectedReceived,
    SendOnLink,
    SendRouted,
    StopTest,
    TestAddress,
)
from appliance.protocols.mipv6.incoming import carried
from appliance.protocols.mipv6.ipsec import ProtectedPort
from appliance.protocols.mipv6.sockets import OptionsSocket, RoutedSender
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.pmipv6.events import Notify, PacketReceived, Send
from appliance.protocols.pmipv6.probe import Perform, Probe
from appliance.protocols.pmipv6.settings import LmaSettings

Tell = Callable[[Notify], None]


def _ignore(_event: object) -> None:
    """Nobody is to be told."""


def _nothing() -> None:
    """Nobody is to be told."""


class HostSide:
    """What one service needs to speak with hosts; nothing is open while they are not served."""

    def __init__(
        self, reactor: Any, address: bytes, tell: Tell, probe: Probe | None = None, device: str = "lo"
    ) -> None:
        """``device``: where the anycast addresses of home agents are when the home link is virtual."""
        self._reactor = reactor
        self._address = address
        self._tell = tell
        self._probe = probe
        self._feed: Callable[[Any], None] = _ignore
        self._lost: Callable[[], object] = _nothing
        self._socket: OptionsSocket | None = None
        self._sender: RoutedSender | None = None
        self._tester: AddressTester | None = None
        self._silenced = False
        self._protected: ProtectedPort | None = None
        self._discovery = DiscoveryPort(reactor, device, tell)

    def attach(self, feed: Callable[[Any], None], lost: Callable[[], object]) -> Perform:
        """What performs effects; events go to ``feed``, ``lost`` hears of answers that cannot be sent."""
        self._feed, self._lost = feed, lost
        tester = self._tester = AddressTester(self._reactor, feed)
        return {
            SendRouted: self._send,
            TestAddress: tester.begin,
            StopTest: tester.end,
            SendOnLink: self._discovery.send,
        }

    def apply(self, settings: LmaSettings) -> None:
        """Open or close the sockets; raises ResourceError, then they are closed.

        A service that is bound to IPv4 alone serves no hosts: they come in IPv6 (RFC 6275).
        """
        self._serve(settings.mipv6 and bool(self._address))
        if self._address:
            self._protect(settings.mipv6 and settings.mipv6_require_ipsec)
            self._discovery.apply(settings, lambda event: self._feed(event))

    def _protect(self, required: bool) -> None:
        if required and self._protected is None:
            try:
                self._protected = ProtectedPort(self._reactor, self._address, self._covered)
            except ResourceError:
                self.stop()
                raise
        elif not required and self._protected is not None:
            self._protected.stop()
            self._protected = None

    def _serve(self, serves: bool) -> None:
        if serves == (self._socket is not None):
            return
        if not serves:
            self.stop()
            return
        try:
            self._sender = RoutedSender()
            self._socket = OptionsSocket(self._reactor, self._address, self._received)
        except Exception:
            self.stop()
            raise
        self._silence()
        self._socket.start()

    def _silence(self) -> None:
        try:
            quiet.silence(self._address)
            self._silenced = True
        except OSError as error:
            text = (
                f"the kernel's answers to Home Address options cannot be switched off ({error.strerror}): "
                "on a kernel without CONFIG_IPV6_MIP6 hosts get an error beside each acknowledgement"
            )
            self._tell(Notify("warning", text))

    def _received(self, event: OptionsReceived) -> None:
        if self._probe is not None:
            self._show(event)
        self._feed(event)

    def _covered(self, event: ProtectedReceived) -> None:
        if self._probe is not None and event.protocol == MOBILITY_HEADER:
            packet = PacketReceived(event.data, event.source, event.destination)
            self._probe.received(lambda _event: None)(packet)
        self._feed(event)

    def _show(self, event: OptionsReceived) -> None:
        """Tell the tap of a mobility message, under the address that its checksum is over."""
        with contextlib.suppress(DecodeError):
            found = carried(event.data)
            if found.protocol == 135 and found.home is not None and self._probe is not None:
                data = event.data[found.offset :]
                self._probe.received(lambda _event: None)(PacketReceived(data, found.home, event.destination))

    def _send(self, effect: SendRouted) -> None:
        sender = self._protected or self._sender
        if sender is None or not sender.send(effect):
            self._lost()
        elif self._probe is not None and effect.protocol == MOBILITY_HEADER:
            self._probe.sent(Send(effect.data, effect.source, effect.home))

    def stop(self) -> None:
        """Close everything; the kernel answers again."""
        self._discovery.stop()
        if self._protected is not None:
            self._protected.stop()
            self._protected = None
        if self._tester is not None:
            self._tester.stop()
        if self._socket is not None:
            self._socket.stop()
            self._socket = None
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        if self._silenced:
            self._silenced = False
            with contextlib.suppress(OSError):
                quiet.restore(self._address)

    def close(self) -> None:
        """Stop for good, and let go of the core."""
        self.stop()
        self._feed, self._lost, self._tester = _ignore, _nothing, None
