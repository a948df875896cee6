"""What a home agent says on a real home link for hosts that are away (RFC 6275 section 10.4.1, RFC 4861).

::

    binding made ─▶ Neighbor Advertisement to all nodes, three times, and an MLD report
    Neighbor Solicitation for a bound address ─▶ Neighbor Advertisement
    frame for a bound link-local address ─▶ ICMPv6 unreachable

There is no list of what is defended: the binding cache is asked. So nothing is answered for a binding that is
de-registered, from that moment on. Home addresses are announced at the device's own link-layer address: the
kernel takes the packets and routes them to the TUN device. Link-local ones are announced at a second address,
which the kernel does not know: it would send their packets on along the link.
"""

from collections import deque
from collections.abc import Iterator
from ipaddress import ip_address

from appliance.protocols.access import ndp
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.binding import HostBinding, host_of
from appliance.protocols.mipv6.events import HomeFrame, HomeLinkDown, HomeLinkUp, SendHomeFrame
from appliance.protocols.mipv6.features import HostFeature, HostFeatures
from appliance.protocols.mipv6.home_link_groups import TO_EXCLUDE, Listening, report
from appliance.protocols.mipv6.request import DUPLICATE, HostRequest
from appliance.protocols.mobility.messages import BU_L
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Budget, Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.tun import packet as ip

#: RFC 4861 section 10 (MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER): how often, and seconds between.
ANNOUNCEMENTS, INTERVAL = 3, 1.0
#: Bindings that wait for another announcement; of more than these the first one has to do.
MOST = 20_000
#: When the link comes up all bindings are announced: so many at a time, and seconds between.
SLICE, PAUSE = 100, 0.1
#: Announcements of one tick.
PER_TICK = 500
#: ICMPv6 errors a second and at once (RFC 4443 section 2.4 f).
ERRORS, AT_ONCE = 100.0, 50.0
_ALL_NODES_LINK = bytes.fromhex("333300000001")
LINK_LOCAL = bytes.fromhex("fe80000000000000")


def second_address(link_layer: bytes) -> bytes:
    """The link-layer address for link-local addresses of hosts: a locally administered one like our own."""
    first = link_layer[0] ^ 4 if link_layer[0] & 2 else link_layer[0] | 2
    return bytes((first,)) + link_layer[1:]


class HomeLink(HostFeature):
    """The home link of one service; without one in the settings each hook does nothing."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, reports: Reports) -> None:
        self._sessions = sessions
        self._reports = reports
        self._errors = Budget(ERRORS, AT_ONCE)
        self._link: HomeLinkUp | None = None
        self._second = b""
        #: (due, call id, announcements left), in the order of time.
        self._again: deque[tuple[float, int, int]] = deque()
        #: Call ids still to be announced since the link came up, and when the next of them are due.
        self._all: deque[int] = deque()
        self._all_due = 0.0
        #: By the lower half, whose link-local addresses are defended too.
        self._link_locals: dict[bytes, BindingCacheEntry] = {}
        #: The same the other way round, by call id: a binding that has ended has no home address any more.
        self._halves: dict[int, bytes] = {}
        #: Call ids of those that have de-registered something since they were announced.
        self._left: set[int] = set()
        self._listening = Listening()
        self._wanted = settings.mipv6_home_link if settings.mipv6 else ""

    def join(self, features: HostFeatures) -> None:
        """Take part in updates, and take the events of the link."""
        features.add(self)
        features.events |= {HomeLinkUp: self.up, HomeLinkDown: self.down, HomeFrame: self.frame}

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Another link, or none, has to come up first."""
        self._wanted = settings.mipv6_home_link if settings.mipv6 else ""
        if self._link is not None and self._link.interface != self._wanted:
            self._gone()

    # ---- bindings

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """RFC 6275 section 10.3.1: what the test on the link cannot find, since it is we who defend it."""
        if not self._wanted or request.leaves or not request.flags & BU_L:
            return None
        other = self._link_locals.get(request.home[8:])
        free = other is None or other.deleting or other.mn_id == request.mn_id
        return None if free else DUPLICATE

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """A binding that begins is announced; which addresses it has does not change after that."""
        if not self._wanted:
            return None
        if first or entry.call_id in self._left:
            self._left.discard(entry.call_id)
            if request.flags & BU_L:
                self._link_locals[request.home[8:]] = entry
                self._halves[entry.call_id] = request.home[8:]
            self._announce(entry, ANNOUNCEMENTS, now)
        return None

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """It may come back before the binding is forgotten."""
        if self._wanted:
            self._left.add(entry.call_id)

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Nothing is kept of it."""
        self._left.discard(entry.call_id)
        half = self._halves.pop(entry.call_id, b"")
        if self._link_locals.get(half) is entry:
            del self._link_locals[half]

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """Where it is defended."""
        if not self._wanted:
            return []
        home = entry.prefix or bytes(16)
        if entry.deleting or self._link is None:
            text = "no" if entry.deleting else f"no: {self._wanted} is not up"
        else:
            too = self._link_locals.get(home[8:]) is entry
            text = f"on {self._wanted}" + (", link-local address too" if too else "")
        return [("Defended", text)]

    def _bound(self, address: bytes) -> BindingCacheEntry | None:
        """The binding that an address is defended for."""
        if ndp.is_link_local(address):
            entry = self._link_locals.get(address[8:]) if address.startswith(LINK_LOCAL) else None
        else:
            entry = self._sessions.cache.prefixes.get(address)
        return None if entry is None or entry.deleting or host_of(entry) is None else entry

    def _defended(self, entry: BindingCacheEntry | None) -> list[bytes]:
        """The addresses that are defended for a binding."""
        if entry is None or entry.deleting or entry.prefix is None:
            return []
        home = entry.prefix
        return [home, LINK_LOCAL + home[8:]] if self._link_locals.get(home[8:]) is entry else [home]

    # ---- announcements

    def _announce(self, entry: BindingCacheEntry, times: int, now: Now) -> None:
        """RFC 6275 section 10.4.1: to all nodes, unsolicited, overriding; repeated as RFC 4861 allows."""
        addresses = self._defended(entry)
        if self._link is None or not addresses:
            return
        if times > 1 and ndp.is_link_local(self._link.address):
            # Both addresses have the same group. Twice is enough (RFC 3810 section 9.1).
            self._send(report(self._link, TO_EXCLUDE, (ndp.solicited_node(addresses[0]),)))
        for address in addresses:
            self._advertise(address, ndp.NA_OVERRIDE, ndp.ALL_NODES, _ALL_NODES_LINK)
        if times > 1 and len(self._again) < MOST:
            due = now.mono + INTERVAL
            self._again.append((due, entry.call_id, times - 1))
            self.schedule(due)

    def _advertise(self, address: bytes, flags: int, destination: bytes, link_destination: bytes) -> None:
        assert self._link is not None
        ours = self._second if ndp.is_link_local(address) else self._link.link_layer
        host = host_of(self._bound(address))
        if host is not None and host.router:
            # RFC 3963 section 6.2: a mobile router would say so itself.
            flags |= ndp.NA_ROUTER
        message = ndp.NeighborAdvertisement(address, flags, ours)
        self._send(ndp.build(ndp.Received(ours, link_destination, self._link.address, destination, message)))

    def _send(self, frame: bytes) -> None:
        assert self._link is not None
        self._sessions.effects.append(SendHomeFrame(self._link.interface, frame))

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        times = [self._again[0][0]] if self._again else []
        if self._all:
            times.append(self._all_due)
        if self._listening.deadline is not None:
            times.append(self._listening.deadline)
        return min(times, default=None)

    def tick(self, now: Now) -> None:
        """Announce again what is due."""
        calls = self._sessions.cache.calls
        for _ in range(PER_TICK):
            if not self._again or self._again[0][0] > now.mono:
                break
            _, call_id, left = self._again.popleft()
            entry = calls.get(call_id)
            if entry is not None and not entry.deleting:
                self._announce(entry, left, now)
        if self._all and self._all_due <= now.mono:
            for _ in range(min(SLICE, len(self._all))):
                entry = calls.get(self._all.popleft())
                if entry is not None and not entry.deleting:
                    self._announce(entry, ANNOUNCEMENTS, now)
            self._all_due = now.mono + PAUSE
        if self._link is not None:
            for frame in self._listening.tick(self._link, self._members, now):
                self._send(frame)

    def _members(self, call_id: int) -> list[bytes]:
        """One address of each group of a binding."""
        return self._defended(self._sessions.cache.calls.get(call_id))[:1]

    # ---- events

    def up(self, event: HomeLinkUp, now: Now) -> None:
        """Who comes to the link, or stays on it, has to hear of all bindings."""
        if event.interface != self._wanted:
            return
        self._gone()
        self._link, self._second = event, second_address(event.link_layer)
        self._all.extend(self._hosts())
        self._all_due = now.mono
        self.schedule(now.mono)

    def down(self, event: HomeLinkDown, now: Now) -> None:
        """Nothing can be said there."""
        if self._link is not None and self._link.interface == event.interface:
            self._gone()

    def _gone(self) -> None:
        self._link = None
        self._again.clear()
        self._all.clear()
        self._listening.forget()

    def frame(self, event: HomeFrame, now: Now) -> None:
        """Answer a question for a bound address; anything else of Neighbor Discovery is none of ours."""
        if self._link is None or event.interface != self._link.interface:
            return
        try:
            received = ndp.parse(event.frame)
        except DecodeError:
            return
        if received is None:
            if event.frame[:6] == self._second:
                self._unreachable(event.frame, now)
            else:
                self._asked(event.frame, now)
        elif isinstance(received.message, ndp.NeighborSolicitation):
            if self._bound(received.message.target) is not None:
                self._reply(received, received.message)
        elif isinstance(received.message, ndp.NeighborAdvertisement):
            target = received.message.target
            if self._bound(target) is not None:
                text = (
                    f"{ip_address(target)} is bound, and answered for on {event.interface} "
                    f"by {received.link_source.hex(':')} as well"
                )
                self._reports.notice("home-address-conflict", text, now, self._sessions.effects)

    def _reply(self, received: ndp.Received, message: ndp.NeighborSolicitation) -> None:
        """RFC 4861 section 7.2.4: to the one who asks; to all nodes if it has no address yet.

        That is a test of the same address, which fails by it, or a host at home that looks for us
        (RFC 6275 section 11.5.5). RFC 4861 section 7.2.8: a proxy that is asked does not override, so that
        the host itself goes before; R is 0 (RFC 6275 section 10.4.1).
        """
        if received.source == ndp.UNSPECIFIED:
            self._advertise(message.target, 0, ndp.ALL_NODES, _ALL_NODES_LINK)
        elif received.source[0] != 0xFF:
            to = message.link_layer or received.link_source
            self._advertise(message.target, ndp.NA_SOLICITED, received.source, to)

    def _asked(self, frame: bytes, now: Now) -> None:
        """Perhaps a router, or a switch, wants to know which groups we are in (RFC 3810)."""
        if self._link is None or not ndp.is_link_local(self._link.address):
            return
        answer = self._listening.asked(frame, self._hosts(), self._link, now)
        if answer:
            self._send(answer)
        if self._listening.deadline is not None:
            self.schedule(self._listening.deadline)

    def _hosts(self) -> Iterator[int]:
        """The call ids of all bindings of hosts."""
        return (call_id for call_id, entry in self._sessions.cache.calls.items() if entry.of_host)

    def _unreachable(self, frame: bytes, now: Now) -> None:
        """RFC 6275 section 10.4.2: nothing for a link-local address is tunnelled; its sender is told."""
        assert self._link is not None
        about = ip.trimmed(frame[ndp.HEADER :])
        if about is None or ip.version(about) != 6:
            return
        source, destination = ip.addresses(about)
        if not ndp.is_link_local(destination) or self._bound(destination) is None:
            return
        if ip.group(source) or not any(source) or _is_error(about) or not self._errors.spend(now.mono):
            return
        ours = self._link.address
        packet = ip.ipv6_packet(ours, source, ip.ICMP6, ip.icmp6_error(1, 3, 0, about, ours, source))
        self._send(frame[6:12] + self._link.link_layer + frame[12:14] + packet)


def _is_error(packet: bytes) -> bool:
    """RFC 4443 section 2.4 (e): no error about an error, nor about a fragment that is not the first."""
    found = ip.transport(packet)
    if found is None:
        return True
    protocol, offset = found
    return protocol == ip.ICMP6 and (offset >= len(packet) or packet[offset] < 128)
