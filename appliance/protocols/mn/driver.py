"""The core of a mobile node on the reactor: sockets of its care-of addresses, TUN device, host.

::

    LinkWatch ──Snapshot──▶ Movement ──Links──▶            ──SendMessage, SendIcmp──▶ End, Traffic
    End, Traffic ──MessageReceived, IcmpReceived──▶ core   ──Tunnel, Optimize──▶ Traffic
    operator ──Command, Reconfigure──▶          (CoreDriver) ──HomeAddress, AtHome──▶ HostState
"""

import contextlib
from collections.abc import Callable
from typing import Any

from attrs import evolve

from appliance.counters import CounterSet
from appliance.counters_mn import MN
from appliance.errors import ResourceError
from appliance.protocols.driver import CoreDriver
from appliance.protocols.mn.ends import End
from appliance.protocols.mn.events import (
    AtHome,
    Command,
    CorrespondentSeen,
    EndOptimize,
    HomeAddress,
    IcmpReceived,
    Link,
    Links,
    MessageReceived,
    Notify,
    Optimize,
    Reconfigure,
    RemoveTunnel,
    SendIcmp,
    SendMessage,
    Tunnel,
)
from appliance.protocols.mn.homelink import announce, solicit
from appliance.protocols.mn.hoststate import HostState
from appliance.protocols.mn.movement import Movement, Snapshot
from appliance.protocols.mn.packets import home_packet, plain, verified
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.mn.traffic import Traffic
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.pmipv6.probe import Probe
from appliance.protocols.timers import Now
from appliance.tun import packet as ip
from appliance.tun.device import System as Host

MOBILITY = 135
#: Octets of a type 2 routing header.
ROUTING_HEADER = 24
_NOT_SENT, _LINK_CHANGES = MN.index("surroundings/not-sent"), MN.index("surroundings/link-changes")


class MnDriver:
    """Runs the core of one client."""

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        core: Any,
        settings: MnSettings,
        counters: CounterSet,
        host_state: HostState,
        tell: Callable[[Notify], None],
        record: Callable[[Any, Now], None] | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._settings = settings
        self._host_state = host_state
        self._tell = tell
        self._probe = probe
        self._values = counters.values
        self._movement = Movement()
        self._snapshot = Snapshot()
        self._links: tuple[Link, ...] | None = None
        self._look: Any = None
        self._ends: dict[tuple[str, bytes], End] = {}
        self._home_end: End | None = None
        self.traffic = Traffic(
            reactor,
            Host(),
            counters,
            settings.path_mtu,
            settings.tunnel_traffic_class,
            self._from_tunnel,
            lambda address: self.feed(CorrespondentSeen(address)),
        )
        self.traffic.follow_correspondents = settings.route_optimization
        self._loop = CoreDriver(
            reactor,
            clock,
            core,
            {
                SendMessage: self._send,
                SendIcmp: self._send_icmp,
                Tunnel: self._tunnel,
                RemoveTunnel: self._no_tunnel,
                HomeAddress: self._home_address,
                AtHome: self._at_home,
                Optimize: self.traffic.optimize,
                EndOptimize: self.traffic.end_optimize,
                Notify: self._notify,
            },
            record,
        )
        self.feed = self._loop.feed

    def start(self, device: str) -> None:
        """Make the TUN device; raises ResourceError. Nothing is sent before :meth:`saw`."""
        self.traffic.start(device)

    # ---- where the node is

    def saw(self, snapshot: Snapshot) -> None:
        """The host's devices, addresses and routes are these."""
        self._snapshot = snapshot
        if self._look is not None:
            self._look.cancel()
            self._look = None
        now = self._clock().mono
        links = self._movement.links(snapshot, self._settings, now)
        for interface in self._movement.ask:
            # Down again already, or without an address of the link: the next look tries again.
            with contextlib.suppress(OSError):
                solicit(interface)
        deadline = self._movement.deadline
        if deadline is not None:
            self._look = self._reactor.callLater(max(0.0, deadline - now), self._look_again)
        if links == self._links:
            return
        links = self._follow(links)
        if links != self._links:
            self._links = links
            self._values[_LINK_CHANGES] += 1
            self._sources()
            self.feed(Links(links))

    def _look_again(self) -> None:
        self._look = None
        self.saw(self._snapshot)

    def _follow(self, links: tuple[Link, ...]) -> tuple[Link, ...]:
        """Open and close sockets; links without sockets cannot be used."""
        wanted = {(link.interface, link.address) for link in links}
        for key in [key for key in self._ends if key not in wanted]:
            end = self._ends.pop(key)
            self.traffic.remove_end(end.address)
            end.stop()
        usable = []
        for link in links:
            key = (link.interface, link.address)
            opened = None if key in self._ends else self._open(*key)
            if opened is not None:
                self._ends[key] = opened
                self.traffic.add_end(opened)
            if key in self._ends:
                usable.append(link)
        return tuple(usable)

    def _open(self, interface: str, address: bytes) -> End | None:
        try:
            return End(self._reactor, interface, address, self)
        except ResourceError as error:
            self._tell(Notify("error", str(error)))
            return None

    def _end(self, interface: str, address: bytes) -> End | None:
        if self._home_end is not None and self._home_end.address == address:
            return self._home_end
        end = self._ends.get((interface, address))
        if end is not None:
            return end
        return next((each for each in self._ends.values() if each.address == address), None)

    def _sources(self) -> None:
        self._want(sources=frozenset(link.address for link in self._links or ()))

    def _want(self, **changes: Any) -> None:
        self._host_state.want(evolve(self._host_state.wanted, **changes))

    # ---- what comes (ends.Hears, and out of the tunnel)

    def message(self, end: End, data: bytes, source: bytes) -> None:
        """A Mobility Header straight to a care-of address."""
        self._received(MessageReceived(data, source, end.address))

    def routed(self, end: End, data: bytes, source: bytes) -> None:
        """A packet with a type 2 routing header: a message for the core, or data of a correspondent."""
        if len(data) < ROUTING_HEADER or data[1:4] != b"\2\2\1":
            return
        home, rest = data[8:ROUTING_HEADER], data[ROUTING_HEADER:]
        if data[0] == MOBILITY:
            self._received(MessageReceived(rest, source, end.address, home))
        elif data[0] == ip.ICMP6 and rest[:1] == b"\x93":
            # A Mobile Prefix Advertisement comes so (RFC 6275 section 6.8).
            self._icmp(rest, source, end.address, home)
        else:
            self.traffic.routed(source, data)

    def icmp(self, end: End, data: bytes, source: bytes) -> None:
        """An ICMP message to a care-of address: an error for the tunnels too."""
        if len(end.address) == 4 or data[:1] == b"\2":
            self.traffic.error(6 if len(end.address) == 16 else 4, data)
            return
        self._icmp(data, source, end.address, b"")

    def _icmp(self, data: bytes, source: bytes, destination: bytes, home: bytes) -> None:
        if verified(data, source, home or destination):
            self.feed(IcmpReceived(data, source, destination, home))

    def _from_tunnel(self, packet: bytes, outer: bytes, port: int) -> None:
        """A mobility message or prefix advertisement out of UDP port 4191 or out of the tunnel."""
        source, destination = ip.addresses(packet)
        if packet[6] == ip.ICMP6:
            self._icmp(packet[40:], source, destination, destination)
            return
        self._received(MessageReceived(packet[40:], source, destination, b"", not outer, outer, port))

    def _received(self, event: MessageReceived) -> None:
        if self._probe is not None:
            to = event.home or event.destination
            told = PacketReceived(event.data, event.source, to, event.port)
            self._probe.received(lambda _event: None)(told)
        self.feed(event)

    # ---- what goes

    def _send(self, effect: SendMessage) -> None:
        if not self._send_now(effect):
            # It is sent again by the core's own timer.
            self._values[_NOT_SENT] += 1
        elif self._probe is not None:
            told = Send(effect.data, effect.home or effect.source, effect.destination, effect.port)
            self._probe.sent(told)

    def _send_now(self, effect: SendMessage) -> bool:
        """Send a message in the way that it asks for."""
        if effect.tunnelled:
            return self.traffic.to_home(plain(MOBILITY, effect))
        if effect.outer:
            end = self._end(effect.interface, effect.outer_source)
            return end is not None and end.send_udp(plain(MOBILITY, effect), effect.outer, effect.port)
        end = self._end(effect.interface, effect.source)
        if end is None:
            return False
        if effect.home:
            return end.send_whole(home_packet(MOBILITY, effect))
        return end.send_message(effect.data, effect.destination)

    def _send_icmp(self, effect: SendIcmp) -> None:
        if effect.tunnelled:
            sent = self.traffic.to_home(plain(ip.ICMP6, effect))
        elif effect.outer:
            end = self._end(effect.interface, effect.outer_source)
            inside = home_packet(ip.ICMP6, effect)
            sent = end is not None and end.send_udp(inside, effect.outer, effect.port)
        else:
            end = self._end(effect.interface, effect.source)
            if effect.home:
                sent = end is not None and end.send_whole(home_packet(ip.ICMP6, effect))
            else:
                sent = end is not None and end.send_icmp(effect.data, effect.destination)
        if not sent:
            self._values[_NOT_SENT] += 1

    def _tunnel(self, effect: Tunnel) -> None:
        try:
            self.traffic.install(effect)
        except ResourceError as error:
            self._tell(Notify("error", str(error)))
            return
        self._want(tunnel=True, networks=effect.networks)

    def _no_tunnel(self, _effect: RemoveTunnel) -> None:
        self.traffic.remove()
        self._want(tunnel=False, networks=())

    def _home_address(self, effect: HomeAddress) -> None:
        length = effect.ipv4_prefix_length
        self._want(home=effect.address, ipv4=effect.ipv4, ipv4_length=length)

    def _at_home(self, effect: AtHome) -> None:
        if self._home_end is not None and self._home_end.address != effect.address:
            self._home_end.stop()
            self._home_end = None
        length = self._settings.home_prefix_length
        self._want(home_link=effect.interface, at_home=effect.address, at_home_length=length)
        if not effect.interface or not effect.address:
            return
        if self._home_end is None:
            self._home_end = self._open(effect.interface, effect.address)
        if effect.advertise:
            try:
                announce(effect.interface, effect.address)
            except OSError as error:
                text = f"the return of {effect.interface} cannot be announced: {error.strerror}"
                self._tell(Notify("warning", text))

    def _notify(self, effect: Notify) -> None:
        self._tell(effect)

    # ---- the operator

    def command(self, what: str) -> None:
        """``register``, ``refresh`` or ``deregister``."""
        self.feed(Command(what))

    def retune(self, settings: MnSettings) -> None:
        """Give the device the values of ``settings``; raises ResourceError."""
        self.traffic.reconfigure(settings.path_mtu, settings.tunnel_traffic_class)

    def reconfigure(self, settings: MnSettings) -> None:
        """Go on by other settings."""
        self._settings = settings
        self.traffic.follow_correspondents = settings.route_optimization
        self.feed(Reconfigure(settings))
        self.saw(self._snapshot)

    def stop(self) -> None:
        """Close the sockets and the device, disarm the timers."""
        self._loop.stop()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for end in (*self._ends.values(), *filter(None, (self._home_end,))):
            end.stop()
        self._ends.clear()
        self._home_end = None
        self.traffic.stop()
