"""The PMIPv6 cores on the reactor: sockets on one side, the tunnel engine on the other.

::

            MobilitySocket ─┐                    ┌─▶ MobilitySocket.send
       AAA client of an LMA ├─▶ LMA or MAG core ─┼─▶ Engine.install / remove, routes, AAA client
     AccessLink core ◀──────┘   (CoreDriver)     └─▶ AccessLink core (Advertise, Withdraw)
        ▲      └─ MobileAttached / MobileDetached ─▶ MAG core
        └─ control frames, activity ── Engine ◀── SendFrame
"""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import (
    Activity,
    FrameReceived,
    LinkDown,
    LinkUp,
    MobileSeen,
    RelayDhcp,
    SendFrame,
)
from appliance.protocols.access.relay_driver import RelayPort
from appliance.protocols.driver import CoreDriver
from appliance.protocols.loadmeter import LoadMeter
from appliance.protocols.mipv6.driver import HostSide
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.pmipv6.events import (
    AddressReleased,
    AddressWanted,
    Advertise,
    Concluded,
    Entrust,
    Install,
    KeepPeers,
    MobileAttached,
    MobileDetached,
    Notify,
    PrefixesWanted,
    Reach,
    Reconfigure,
    Remove,
    Send,
    SendIcmp,
    Unreach,
    Withdraw,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.probe import Perform, Probe
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings
from appliance.protocols.rawsock import IcmpSender, MobilitySocket
from appliance.protocols.timers import Now
from appliance.tun.engine import Engine

Clock = Callable[[], Now]
Tell = Callable[[Notify], None]
Keep = Callable[[KeepPeers], None]
Sink = Callable[[Any, Now], None] | None
"""What records the inputs of a core, if anything does."""


class Signalling:
    """The sockets of one service: IPv6 and UDP over IPv4, whichever it has an address for.

    Each carries any mobility message: of which family the source is decides by which socket it goes.
    """

    def __init__(
        self,
        reactor: Any,
        address: bytes,
        ipv4_address: bytes | None,
        feed: Any,
        lost: Callable[[], object] = lambda: None,
        probe: Probe | None = None,
    ) -> None:
        self._probe = probe
        if probe is not None:
            feed = probe.received(feed)
        self._sockets: dict[int, MobilitySocket] = {}
        self._icmp: IcmpSender | None = None
        try:
            if address:
                self._sockets[16] = MobilitySocket(reactor, address, feed, lost)
                self._icmp = IcmpSender(address)
            if ipv4_address is not None:
                self._sockets[4] = MobilitySocket(reactor, ipv4_address, feed, lost)
        except Exception:
            self.stop()
            raise

    @property
    def sockets(self) -> list[MobilitySocket]:
        """The open sockets, IPv6 first."""
        return list(self._sockets.values())

    def start(self) -> None:
        """Begin to read."""
        for sock in self._sockets.values():
            sock.start()

    def stop(self) -> None:
        """Close all sockets."""
        for sock in self._sockets.values():
            sock.stop()
        if self._icmp is not None:
            self._icmp.stop()

    def send(self, effect: Send) -> bool:
        """Send a mobility message by the socket of its address family."""
        sock = self._sockets.get(len(effect.source))
        sent = sock is not None and sock.send(effect.data, effect.destination, effect.port)
        if sent and self._probe is not None:
            self._probe.sent(effect)
        return sent

    def send_icmp(self, effect: SendIcmp) -> None:
        """Send an ICMPv6 error; one that the host refuses is lost, as errors may be."""
        if self._icmp is not None:
            self._icmp.send(effect.data, effect.destination)


class AaaPort(Protocol):
    """An AAA client as an anchor sees it. It answers by events, never before these return."""

    def authorize(self, question: Authorize) -> None:
        """Ask."""

    def abandon(self, dropped: Abandon) -> None:
        """Forget a question."""

    def account(self, account: Account) -> None:
        """Hear what became of a session; the counters of its tunnel can be read now."""


class Routes(Protocol):
    """Routes to the tunnel device besides those of pools."""

    def add(self, prefix: bytes, length: int) -> None:
        """Make one; that it could not be made is logged."""

    def remove(self, prefix: bytes, length: int) -> None:
        """Take it away."""


class LmaDriver:
    """Runs an LMA core with its sockets and its tunnel engine.

    A core whose settings have an AAA group needs ``aaa`` and ``routes``; ``neighbours`` takes what is for
    other anchors of the process.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        core: LocalMobilityAnchor,
        engine: Engine,
        tell: Tell,
        record: Sink = None,
        probe: Probe | None = None,
        aaa: AaaPort | None = None,
        routes: Routes | None = None,
        keep: Keep = lambda _effect: None,
        hosts: HostSide | None = None,
        neighbours: Callable[[Any], object] | None = None,
    ) -> None:
        self._core = core
        self._hosts = hosts
        self._probe = probe
        perform: Perform = {
            Send: self._send,
            SendIcmp: self._send_icmp,
            Install: engine.install,
            Remove: lambda effect: engine.remove(effect.call_id),
            Notify: tell,
            KeepPeers: keep,
        }
        if aaa is not None:
            perform |= {Authorize: aaa.authorize, Abandon: aaa.abandon, Account: aaa.account}
        if routes is not None:
            perform |= {
                Reach: lambda effect: routes.add(effect.prefix, effect.length),
                Unreach: lambda effect: routes.remove(effect.prefix, effect.length),
            }
        if hosts is not None:
            # What hosts send comes only after :meth:`start`, when there is a loop to feed.
            perform |= hosts.attach(lambda event: self.feed(event), core.send_failed)
        if neighbours is not None:
            perform |= {Entrust: neighbours, Concluded: neighbours}
        if probe is not None:
            perform = probe.effects(perform)
        self._loop = CoreDriver(reactor, clock, core, perform, record)
        self.feed = self._loop.feed
        self._signalling: Signalling | None = None
        self._meter = LoadMeter(reactor, lambda: self.sockets, self.feed)

    def start(self, reactor: Any, address: bytes, ipv4_address: bytes | None) -> None:
        """Open the sockets and begin; raises ResourceError."""
        self._signalling = Signalling(
            reactor, address, ipv4_address, self.feed, self._core.send_failed, self._probe
        )
        for sock in self._signalling.sockets:
            sock.sort_by(self._core.sieve, self.feed)
        self.serve_hosts(self._core.settings)
        self._serve_home_link(self._core.settings)
        self._signalling.start()
        self._meter.start()

    @property
    def sockets(self) -> list[MobilitySocket]:
        """The open signalling sockets."""
        return [] if self._signalling is None else self._signalling.sockets

    def serve_hosts(self, settings: LmaSettings) -> None:
        """Open or close the sockets for hosts; raises ResourceError."""
        if self._hosts is not None:
            self._hosts.apply(settings)

    def reconfigure(self, settings: LmaSettings) -> None:
        """Give the core other settings."""
        self.feed(Reconfigure(settings))
        self._serve_home_link(settings)

    def _serve_home_link(self, settings: LmaSettings) -> None:
        if self._hosts is not None:
            self._hosts.home_link(settings.mipv6_home_link if settings.mipv6 else "")

    def link_changed(self, name: str, is_up: bool) -> None:
        """A device of the host has come, gone or changed."""
        if self._hosts is not None:
            self._hosts.link_changed(name, is_up)

    def _send(self, effect: Send) -> None:
        sent = self._signalling is not None and self._signalling.send(effect)
        if not sent and effect.data[2] == BindingAcknowledgement.TYPE:
            self._core.send_failed()

    def _send_icmp(self, effect: SendIcmp) -> None:
        if self._signalling is not None:
            self._signalling.send_icmp(effect)

    def stop(self) -> None:
        """Close the sockets and disarm the timer."""
        self._meter.stop()
        if self._hosts is not None:
            self._hosts.close()
        self._loop.stop()
        if self._signalling is not None:
            self._signalling.stop()


class MagDriver:
    """Runs a MAG core and its access core with sockets and tunnel engine."""

    def __init__(
        self,
        reactor: Any,
        clock: Clock,
        core: MobileAccessGateway,
        access: AccessLink,
        engine: Engine,
        tell: Tell,
        record: Sink = None,
        record_access: Sink = None,
        probe: Probe | None = None,
        keep: Keep = lambda _effect: None,
    ) -> None:
        self._probe = probe
        self._access = CoreDriver(
            reactor,
            clock,
            access,
            {
                MobileAttached: lambda effect: self.feed(effect),
                MobileDetached: lambda effect: self.feed(effect),
                AddressWanted: lambda effect: self.feed(effect),
                AddressReleased: lambda effect: self.feed(effect),
                PrefixesWanted: lambda effect: self.feed(effect),
                SendFrame: lambda effect: engine.send_frame(effect.interface, effect.frame),
                RelayDhcp: lambda effect: self._relay.send(effect),
                Notify: tell,
            },
            record_access,
        )
        perform: Perform = {
            Send: self._send,
            SendIcmp: self._send_icmp,
            Install: engine.install,
            Remove: lambda effect: engine.remove(effect.call_id),
            Advertise: self._access.feed,
            Withdraw: self._access.feed,
            Notify: tell,
            KeepPeers: keep,
        }
        if probe is not None:
            perform = probe.effects(perform)
        self._loop = CoreDriver(reactor, clock, core, perform, record)
        self.feed = self._loop.feed
        self._relay = RelayPort(self._access.feed)
        self._signalling: Signalling | None = None

    def relay(self, reactor: Any, address: bytes | None) -> None:
        """Relay DHCP from this IPv4 address of ours, or not at all; raises ResourceError."""
        self._relay.close()
        if address is not None:
            self._relay.open(reactor, address)

    def start(self, reactor: Any, address: bytes, ipv4_address: bytes | None) -> None:
        """Open the sockets and begin; raises ResourceError."""
        self._signalling = Signalling(reactor, address, ipv4_address, self.feed, probe=self._probe)
        self._signalling.start()

    @property
    def sockets(self) -> list[MobilitySocket]:
        """The open signalling sockets."""
        return [] if self._signalling is None else self._signalling.sockets

    def reconfigure(self, settings: MagSettings) -> None:
        """Give the cores other settings; sessions end first, then the links forget whose they were."""
        self.feed(Reconfigure(settings))
        self._access.feed(Reconfigure(settings))

    def _send(self, effect: Send) -> None:
        # A PBU that cannot go out now is sent again by the retransmission timer.
        if self._signalling is not None:
            self._signalling.send(effect)

    def _send_icmp(self, effect: SendIcmp) -> None:
        if self._signalling is not None:
            self._signalling.send_icmp(effect)

    def control_frame(self, interface: str, frame: bytes) -> None:
        """Take a Neighbor Discovery, MLD, ARP or DHCP frame that a mobile sent."""
        self._access.feed(FrameReceived(interface, frame))

    def activity(self, interface: str, link_layer: bytes) -> None:
        """Note that data of a mobile was seen (reachability)."""
        self._access.feed(Activity(interface, link_layer))

    def meet(self, seen: MobileSeen) -> None:
        """Look for a mobile node that was there before this driver."""
        self._access.feed(seen)

    def link(self, interface: str, is_up: bool) -> None:
        """Note that an access link came up or went down."""
        self._access.feed(LinkUp(interface) if is_up else LinkDown(interface))

    def stop(self) -> None:
        """Close the sockets and disarm the timers."""
        self._relay.close()
        self._access.stop()
        self._loop.stop()
        if self._signalling is not None:
            self._signalling.stop()
