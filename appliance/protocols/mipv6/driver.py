"""The host side of an anchor on the reactor: sockets that know the Home Address option, and the home link.

::

    OptionsSocket ──OptionsReceived──▶ core ──SendRouted──▶ RoutedSender
    HostPort ────TunnelledReceived───▶      ──SendTunnelled──▶ HostPort
    AddressTester ──AddressTested────▶      ──TestAddress, StopTest──▶ AddressTester
    DatagramPort ──DatagramReceived──▶      ──ListenDatagrams, SendDatagram──▶ DatagramPort
    HomePort ──HomeLinkUp, HomeFrame──▶     ──SendHomeFrame, SendAtHome──▶ HomePort
"""

import contextlib
from collections.abc import Callable
from typing import Any

from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6 import quiet
from appliance.protocols.mipv6.addresses import AddressTester
from appliance.protocols.mipv6.datagrams import DatagramPort
from appliance.protocols.mipv6.discovery_driver import DiscoveryPort
from appliance.protocols.mipv6.events import (
    ListenDatagrams,
    OptionsReceived,
    ProtectedReceived,
    SendAtHome,
    SendDatagram,
    SendHomeFrame,
    SendOnLink,
    SendRouted,
    SendTunnelled,
    StopTest,
    TestAddress,
    TunnelledReceived,
)
from appliance.protocols.mipv6.home_link_driver import HomePort
from appliance.protocols.mipv6.incoming import carried
from appliance.protocols.mipv6.ipsec import ProtectedPort
from appliance.protocols.mipv6.sockets import OptionsSocket, RoutedSender
from appliance.protocols.mobility.codec import MOBILITY_HEADER
from appliance.protocols.mobility.discovery_messages import ICMPV6
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.pmipv6.events import Notify, PacketReceived, Send
from appliance.protocols.pmipv6.probe import Perform, Probe
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.tun.engine import Engine
from appliance.tun.host_port import HostPort
from appliance.tun.packet import ipv6_packet, length_fits

_IPV6_HEADER = 40
Tell = Callable[[Notify], None]


def _ignore(_event: object) -> None:
    """Nobody is to be told."""


def _nothing() -> None:
    """Nobody is to be told."""


class HostSide:
    """What one service needs to speak with hosts; nothing is open while they are not served."""

    def __init__(
        self,
        reactor: Any,
        address: bytes,
        tell: Tell,
        probe: Probe | None = None,
        device: str = "lo",
        engine: Engine | None = None,
        ipv4_address: bytes | None = None,
    ) -> None:
        """``device``: where tunnels end, and where anycast addresses are while the home link is virtual.
        ``engine`` with an IPv4 address of the service: hosts may be in IPv4 networks (RFC 5555)."""
        self._reactor = reactor
        self._address = address
        self._engine = engine
        self._ipv4_address = ipv4_address
        self._port: HostPort | None = None
        self._tell = tell
        self._probe = probe
        self._feed: Callable[[Any], None] = _ignore
        self._lost: Callable[[], object] = _nothing
        self._socket: OptionsSocket | None = None
        self._sender: RoutedSender | None = None
        self._tester: AddressTester | None = None
        self._home: HomePort | None = None
        self._silenced = False
        self._protected: ProtectedPort | None = None
        self._discovery = DiscoveryPort(reactor, device, tell)
        self._datagrams = DatagramPort(reactor, address, device, tell)

    def attach(self, feed: Callable[[Any], None], lost: Callable[[], object]) -> Perform:
        """What performs effects; events go to ``feed``, ``lost`` hears of answers that cannot be sent."""
        self._feed, self._lost = feed, lost
        tester = self._tester = AddressTester(self._reactor, feed)
        home = self._home = HomePort(self._reactor, self._address, feed, self._tell)
        return {
            SendRouted: self._send,
            SendTunnelled: self._send_inside,
            TestAddress: tester.begin,
            StopTest: tester.end,
            SendOnLink: self._discovery.send,
            ListenDatagrams: self._listen,
            SendDatagram: self._datagrams.send,
            SendHomeFrame: home.send,
            SendAtHome: self._send_at_home,
        }

    def home_link(self, interface: str) -> None:
        """Defend addresses on this device, or on none (empty), once :meth:`apply` has opened the rest."""
        if self._home is not None:
            self._home.apply(interface if self._socket is not None else "")

    def link_changed(self, name: str, is_up: bool) -> None:
        """A device of the host has come, gone or changed."""
        if self._home is not None:
            self._home.changed(name, is_up)

    def _listen(self, effect: ListenDatagrams) -> None:
        self._datagrams.listen(effect, self._feed)

    def apply(self, settings: LmaSettings) -> None:
        """Open or close the sockets; raises ResourceError, then they are closed.

        A service that is bound to IPv4 alone serves no hosts: they come in IPv6 (RFC 6275).
        """
        serves = settings.mipv6 and bool(self._address)
        self._open(serves)
        try:
            self._open_port(serves and settings.mipv6_dual_stack)
            if self._address:
                self._protect(settings.mipv6 and settings.mipv6_require_ipsec)
                self._discovery.apply(settings, lambda event: self._feed(event))
        except Exception:
            self.stop()
            raise

    def _protect(self, required: bool) -> None:
        if required and self._protected is None:
            self._protected = ProtectedPort(self._reactor, self._address, self._covered)
        elif not required and self._protected is not None:
            self._protected.stop()
            self._protected = None

    def _open_port(self, serves: bool) -> None:
        serves = serves and self._engine is not None and self._ipv4_address is not None
        if serves == (self._port is not None):
            return
        if self._port is not None:
            self._port.stop()
            self._port = None
        elif self._engine is not None and self._ipv4_address is not None:
            self._port = HostPort(
                self._reactor, self._engine, self._address, self._ipv4_address, self._heard_inside
            )

    def _open(self, serves: bool) -> None:
        if serves == (self._socket is not None):
            return
        if not serves:
            self.stop()
            return
        try:
            self._sender = RoutedSender()
            self._socket = OptionsSocket(self._reactor, self._address, self._received, self._batch)
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

    def _batch(self, begins: bool) -> None:
        """One system call for the answers to all packets of a batch; whoever watches sees them one by one."""
        if self._sender is None:
            return
        if not begins:
            for _ in range(self._sender.release()):
                self._lost()
        elif self._probe is None or not self._probe.listening:
            self._sender.hold()

    def _received(self, event: OptionsReceived) -> None:
        if self._probe is not None and self._probe.listening:
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
            if found.protocol == MOBILITY_HEADER and found.home is not None and self._probe is not None:
                data = event.data[found.offset :]
                self._probe.came(PacketReceived(data, found.home, event.destination))

    def _heard_inside(self, packet: bytes, address: bytes, port: int) -> bool:
        """Take a packet to ourselves out of UDP; False: it is no mobility message, or ICMPv6 with a Home
        Address option, but data."""
        try:
            found = carried(packet[_IPV6_HEADER:], packet[6])
        except DecodeError:
            return False
        is_control = found.protocol == ICMPV6 and found.home is not None
        if not (found.protocol == MOBILITY_HEADER or is_control) or not length_fits(packet):
            return False
        if self._probe is not None and not is_control:
            source, data = found.home or packet[8:24], packet[_IPV6_HEADER + found.offset :]
            self._probe.received(_ignore)(PacketReceived(data, source, self._address))
        self._feed(TunnelledReceived(packet, address, port, self._ipv4_address or b""))
        return True

    def _send_inside(self, effect: SendTunnelled) -> None:
        packet = ipv6_packet(effect.source, effect.destination, effect.protocol, effect.data)
        sent = self._port is not None and self._port.send(packet, effect.address, effect.port)
        if effect.protocol != MOBILITY_HEADER:
            return
        if not sent and effect.data[2] == BindingAcknowledgement.TYPE:
            self._lost()
        elif sent and self._probe is not None:
            self._probe.sent(Send(effect.data, effect.source, effect.destination))

    def _send(self, effect: SendRouted) -> None:
        sender = self._protected or self._sender
        if sender is None or not sender.send(effect):
            self._lost()
        elif self._probe is not None and self._probe.listening and effect.protocol == MOBILITY_HEADER:
            self._probe.sent(Send(effect.data, effect.source, effect.home))

    def _send_at_home(self, effect: SendAtHome) -> None:
        if self._home is None or self._sender is None:
            self._lost()
            return
        packet, sent = self._home.answer(effect)
        if not sent and not self._sender.send_packet(packet, effect.destination):
            self._lost()
        elif self._probe is not None:
            self._probe.sent(Send(effect.data, effect.source, effect.home or effect.destination))

    def stop(self) -> None:
        """Close everything; the kernel answers again."""
        self._discovery.stop()
        if self._protected is not None:
            self._protected.stop()
            self._protected = None
        self._datagrams.stop()
        if self._tester is not None:
            self._tester.stop()
        if self._home is not None:
            self._home.stop()
        if self._socket is not None:
            self._socket.stop()
            self._socket = None
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        if self._port is not None:
            self._port.stop()
            self._port = None
        if self._silenced:
            self._silenced = False
            with contextlib.suppress(OSError):
                quiet.restore(self._address)

    def close(self) -> None:
        """Stop for good, and let go of the core."""
        self.stop()
        self._feed, self._lost, self._tester, self._home = _ignore, _nothing, None, None
