"""The access core: who is on which link, and what the router on that link says to them.

::

    frame ─▶ known link-layer address? ─▶ MobileAttached ─▶ (MAG registers) ─▶ Advertise
                                                                  │
    ┌── Router Advertisements now, three at first, then periodic ◀┘
    │
    silence > reachable time ─▶ probes ─▶ no answer ─▶ MobileDetached
    LinkDown ───────────────────────────────────────▶ MobileDetached (all of the link)

Each mobile node has a point-to-point link with the router (RFC 5213 section 6.8): whatever is
sent goes in a unicast frame to its link-layer address, also when the IPv6 destination is
all-nodes (RFC 6085). The router has the addresses of RFC 6543 on every link.
"""

from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.access import arp, dhcp6_link, dhcpv4, frames, ndp
from appliance.protocols.access.dhcp6_link import Datagram, LinkDelegator
from appliance.protocols.access.dhcp_server import DhcpServer
from appliance.protocols.access.dhcpv4 import Dhcp
from appliance.protocols.access.events import (
    Activity,
    DhcpRelayed,
    FrameReceived,
    LinkDown,
    LinkUp,
    MobileSeen,
    SendFrame,
)  # fmt: skip
from appliance.protocols.access.mobiles import Mobile, Strangers
from appliance.protocols.bits import DecodeError
from appliance.protocols.pmipv6.events import (
    Advertise,
    MobileAttached,
    MobileDetached,
    Notify,
    Reconfigure,
    Withdraw,
)  # fmt: skip
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter, PolicyTable
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Deadlines, Now

#: RFC 4861 section 10: so many first advertisements follow each other faster.
MAX_INITIAL_RTR_ADVERTISEMENTS = 3
MAX_INITIAL_RTR_ADVERT_INTERVAL = 16.0
#: Seconds between two advertisements that a mobile node's own solicitations cause.
MIN_ANSWER_INTERVAL = 0.5
#: Seconds between two attach reports of a mobile that the MAG has not answered yet.
MIN_TRIGGER_INTERVAL = 1.0


class AccessLink:
    """All access links of one MAG service."""

    def __init__(self, settings: MagSettings, counters: CounterSet) -> None:
        self._settings = settings
        self._values = counters.values
        index = counters.table.index
        self._rs = index("access-links/router-solicitations")
        self._ra = index("access-links/router-advertisements")
        self._ns = index("access-links/neighbor-solicitations")
        self._na = index("access-links/neighbor-advertisements")
        self._attach = index("access-links/attach")
        self._detach = index("access-links/detach")
        self._malformed = index("access-links/malformed")
        self._unknown = index("access-links/unknown-mobile")
        self._policies = PolicyTable(settings)
        self._links = frozenset(link.name for link in settings.access_interfaces)
        self._down: set[str] = set()
        self._mobiles: dict[tuple[str, bytes], Mobile] = {}
        self._place: dict[bytes, str] = {}
        #: By interface: the mobile that is attached by a policy line without link-layer address.
        self._sole: dict[str, bytes] = {}
        self._deadlines = Deadlines(self._due)
        self._strangers = Strangers()
        self._limiter = NoticeLimiter()
        self._effects: list[Any] = []
        self._dhcp = DhcpServer(settings, counters)
        self._delegator = LinkDelegator(settings, counters)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is wanted next, in monotonic seconds."""
        return self._deadlines.next

    def close(self) -> None:
        """Break the circle of references: full garbage collections are rare by intention."""
        self._deadlines = Deadlines(lambda key: None)

    @property
    def mobile_count(self) -> int:
        """How many mobile nodes are on the links now."""
        return len(self._mobiles)

    def seen(self) -> list[MobileSeen]:
        """The mobile nodes that a core in the place of this one should look for."""
        mobiles = self._mobiles.values()
        return [MobileSeen(m.interface, m.link_layer, m.link_local) for m in mobiles if m.link_local]

    def take(self) -> list[Any]:
        """Give the effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def receive(self, event: Any, now: Now) -> None:
        """Take one event in; octets of any kind in a frame are counted, never an exception."""
        match event:
            case FrameReceived(interface, frame):
                self._frame(interface, frame, now.mono)
            case Activity(interface, link_layer):
                mobile = self._mobiles.get((interface, link_layer))
                if mobile is not None:
                    self._heard(mobile, now.mono)
            case Advertise():
                self._advertise(event, now.mono)
            case Withdraw():
                self._withdraw(event, now.mono)
            case DhcpRelayed():
                self._dhcp.relayed(event, self._at, now.mono, self._effects)
            case LinkUp(interface):
                self._down.discard(interface)
            case LinkDown(interface):
                self._link_down(interface)
            case MobileSeen(interface, link_layer, link_local):
                self._strangers.note((interface, link_layer), link_local)
                self._meet_strangers(now.mono)
            case Reconfigure(settings):
                assert isinstance(settings, MagSettings)
                self._reconfigure(settings, now.mono)

    # ---- links -----------------------------------------------------------------------------

    def _link_down(self, interface: str) -> None:
        if interface not in self._links:
            return
        # Frames that were still queued when the carrier went must not attach anybody again.
        self._down.add(interface)
        gone = [key for key in self._mobiles if key[0] == interface]
        for key in gone:
            self._forget(key)
        self._values[self._detach] += len(gone)
        self._strangers.forget(interface)
        # Also mobiles that an operator attached end here, so this is said even for an empty link.
        self._effects.append(MobileDetached(interface))

    def _forget(self, key: tuple[str, bytes]) -> None:
        del self._mobiles[key]
        if self._place.get(key[1]) == key[0]:
            del self._place[key[1]]
        if self._sole.get(key[0]) == key[1]:
            del self._sole[key[0]]

    # ---- other settings --------------------------------------------------------------------

    def _reconfigure(self, settings: MagSettings, mono: float) -> None:
        """Go on by other settings; the MAG core had them first and has ended its sessions."""
        old, new = self._policies, PolicyTable(settings)
        before, self._settings, self._policies = self._settings, settings, new
        self._dhcp.reconfigure(settings)
        self._delegator.reconfigure(settings)
        removed = self._links - {link.name for link in settings.access_interfaces}
        self._links = frozenset(link.name for link in settings.access_interfaces)
        for key, mobile in list(self._mobiles.items()):
            if key[0] in removed:
                self._let_go(mobile, mono)
            else:
                self._follow(mobile, old, new, mono)
        self._down -= removed
        self._meet_strangers(mono)
        timing = (before.router_lifetime, before.router_advertisement_interval)
        again = timing != (settings.router_lifetime, settings.router_advertisement_interval)
        for mobile in self._mobiles.values():
            if again:
                mobile.advertise_due = mono
            self._arm(mobile)

    def _follow(self, mobile: Mobile, old: PolicyTable, new: PolicyTable, mono: float) -> None:
        """Let a mobile node stay by its line of now or let it go; with another identity it attaches anew."""
        interface, link_layer = mobile.interface, mobile.link_layer
        before, now = old.at(interface, link_layer), new.at(interface, link_layer)
        if now is None:
            if before is not None:
                self._let_go(mobile, mono)
            return
        sole = self._sole.get(interface)
        if now.link_layer:
            if sole == link_layer:
                del self._sole[interface]
        elif sole not in (None, link_layer):
            self._let_go(mobile, mono)
            self._effects.append(MobileDetached(interface, link_layer))
            return
        else:
            self._sole[interface] = link_layer
        if before is not None and before.mn_id != now.mn_id:
            self._farewell(mobile, mono)
            mobile.triggered = mono
            self._effects.append(MobileAttached(interface, link_layer))

    def _let_go(self, mobile: Mobile, mono: float) -> None:
        self._farewell(mobile, mono)
        self._forget((mobile.interface, mobile.link_layer))
        self._values[self._detach] += 1

    def _farewell(self, mobile: Mobile, mono: float) -> None:
        if mobile.advertise is not None:
            self._withdraw(Withdraw(mobile.interface, mobile.link_layer, mobile.advertise.prefixes), mono)

    def _meet_strangers(self, mono: float) -> None:
        """Take up those who asked before there was a line for them; who has left is found out by probes."""
        for key, link_local in self._strangers.known(self._policies, self._links):
            if key in self._mobiles:
                continue
            mobile = self._arrive(key, mono)
            if mobile is not None:
                mobile.link_local = link_local
                self._trigger(mobile, mono)

    # ---- frames ----------------------------------------------------------------------------

    def _frame(self, interface: str, frame: bytes, mono: float) -> None:
        if interface not in self._links or interface in self._down:
            return
        try:
            kind = ndp.ethertype(frame)
            link_layer = frame[6:12]
            # A group or zero source address is no host's (IEEE 802.3), the fixed one is ours.
            if link_layer[0] & 1 or not any(link_layer):
                raise DecodeError("frame source is not a unicast address")
            if kind == ndp.ETHERTYPE_ARP:
                self._arp(interface, arp.parse(frame), mono)
            elif kind == dhcpv4.ETHERTYPE_IPV4:
                self._dhcp_client(interface, link_layer, dhcpv4.parse(frame), mono)
            elif link_layer != self._settings.link_layer:
                received = ndp.parse(frame)
                if received is not None:
                    self._neighbor_discovery(interface, received, mono)
                else:
                    self._requesting_router(interface, link_layer, dhcp6_link.parse(frame), mono)
        except DecodeError:
            self._values[self._malformed] += 1

    def _dhcp_client(self, interface: str, link_layer: bytes, message: Dhcp | None, mono: float) -> None:
        if message is None or link_layer == self._settings.link_layer:
            return
        mobile = self._client((interface, link_layer), mono)
        if mobile is not None:
            self._dhcp.receive(mobile, message, mono, self._effects)

    def _client(self, key: tuple[str, bytes], mono: float) -> Mobile | None:
        """A DHCP client is on a link: that alone attaches it (RFC 5844 section 3.4.3)."""
        mobile = self._mobiles.get(key) or self._arrive(key, mono)
        if mobile is not None:
            self._heard(mobile, mono)
        return mobile

    def _requesting_router(self, interface: str, source: bytes, asked: Datagram | None, mono: float) -> None:
        """A mobile router wants prefixes for its network (RFC 7148 section 5.1.3): that attaches it too."""
        mobile = None if asked is None else self._client((interface, source), mono)
        if mobile is not None and asked is not None:
            mobile.link_local = asked.source
            if mobile.advertise is None:
                self._trigger(mobile, mono)
            else:
                self._delegator.receive(mobile, asked, mono, self._effects)

    def _at(self, link_layer: bytes) -> Mobile | None:
        return self._mobiles.get((self._place.get(link_layer, ""), link_layer))

    def _arp(self, interface: str, message: arp.Arp, mono: float) -> None:
        """Answer for the default router of an attached mobile and for its home subnet (RFC 5844 3.2.4)."""
        mobile = self._mobiles.get((interface, message.sender_link_layer))
        if mobile is None or mobile.advertise is None or mobile.advertise.ipv4_router is None:
            return
        self._heard(mobile, mono)
        if any(message.sender):
            mobile.ipv4 = message.sender
        if message.operation == arp.REQUEST and mobile.reaches(message.sender, message.target):
            target = message.target
            reply = arp.Arp(arp.REPLY, self._settings.link_layer, target, mobile.link_layer, message.sender)
            self._effects.append(SendFrame(interface, arp.build(reply)))

    def _neighbor_discovery(self, interface: str, received: ndp.Received, mono: float) -> None:
        message, source = received.message, received.source
        values = self._values
        if isinstance(message, ndp.RouterAdvertisement):
            return
        if isinstance(message, ndp.RouterSolicitation):
            values[self._rs] += 1
        elif isinstance(message, ndp.NeighborSolicitation):
            values[self._ns] += 1
        elif isinstance(message, ndp.NeighborAdvertisement):
            values[self._na] += 1
        key = (interface, received.link_source)
        mobile = self._mobiles.get(key)
        link_local = ndp.is_link_local(source)
        if mobile is None:
            # A host whose carrier bounced does not always solicit: Linux repeats its MLD reports.
            if not link_local and not isinstance(message, ndp.RouterSolicitation):
                return
            mobile = self._arrive(key, mono)
            if mobile is None:
                if link_local:
                    self._strangers.note(key, source)
                return
        else:
            self._heard(mobile, mono)
        if link_local and source != self._settings.link_local:
            mobile.link_local = source
        elif (
            isinstance(message, ndp.NeighborSolicitation)
            and source == ndp.UNSPECIFIED
            and ndp.is_link_local(message.target)
            and mobile.link_local is None
        ):
            # RFC 4862 section 5.4.2: the address under test is about to become the mobile's own.
            mobile.link_local = message.target
        solicited = isinstance(message, (ndp.RouterSolicitation, ndp.ListenerReport))
        if mobile.advertise is None:
            if link_local or isinstance(message, ndp.RouterSolicitation):
                self._trigger(mobile, mono)
        elif solicited:
            self._hasten(mobile, mono)
        answer = frames.advertisement(self._settings, received)
        if answer is not None:
            self._send(mobile, source, answer)

    def _arrive(self, key: tuple[str, bytes], mono: float) -> Mobile | None:
        """Note a mobile node on a link, if the policy table knows it (RFC 5213 section 6.9.1.1)."""
        interface, link_layer = key
        policy = self._policies.at(interface, link_layer)
        problem = ""
        if policy is None:
            problem = "no mobile-node line covers it"
        elif not policy.link_layer and self._sole.get(interface, link_layer) != link_layer:
            # A line without address is for the one mobile of a point-to-point link (RFC 5213 section 3);
            # others must not take its session, nor fill the list with made-up addresses.
            problem = "another one is attached by the line for this interface"
        if policy is None or problem:
            self._values[self._unknown] += 1
            if self._limiter.allows(key, mono):
                who = f"{link_layer.hex(':')} on {interface}"
                self._effects.append(Notify("warning", f"Unknown mobile node {who}: {problem}"))
            return None
        if len(self._mobiles) >= self._settings.max_subscribers:
            if self._limiter.allows("full", mono):
                limit = self._settings.max_subscribers
                text = f"Mobile node {link_layer.hex(':')} on {interface} refused: max-subscribers {limit}"
                self._effects.append(Notify("warning", text))
            return None
        if not policy.link_layer:
            self._sole[interface] = link_layer
        return self._remember(key, mono)

    def _remember(self, key: tuple[str, bytes], mono: float) -> Mobile:
        # The same host on another link of ours has moved: the MAG sees that from the new
        # attachment alone and keeps the session (RFC 5213 section 6.9.1.1).
        before = self._place.get(key[1])
        if before is not None and before != key[0]:
            self._forget((before, key[1]))
        mobile = self._mobiles[key] = Mobile(*key, heard=mono, triggered=float("-inf"))
        self._place[key[1]] = key[0]
        self._values[self._attach] += 1
        self._arm(mobile)
        return mobile

    def _trigger(self, mobile: Mobile, mono: float) -> None:
        if mono - mobile.triggered >= MIN_TRIGGER_INTERVAL:
            mobile.triggered = mono
            self._effects.append(MobileAttached(mobile.interface, mobile.link_layer))

    def _send(self, mobile: Mobile, destination: bytes, message: ndp.Message) -> None:
        frame = frames.to_mobile(self._settings, mobile, destination, message)
        self._effects.append(SendFrame(mobile.interface, frame))

    # ---- advertisements --------------------------------------------------------------------

    def _advertise(self, event: Advertise, mono: float) -> None:
        key = (event.interface, event.link_layer)
        if event.interface not in self._links or event.interface in self._down or not event.link_layer:
            return
        # An operator may attach a mobile that has not said anything yet.
        mobile = self._mobiles.get(key) or self._remember(key, mono)
        before = mobile.advertise
        if before is None or before.prefixes != event.prefixes:
            mobile.initial = MAX_INITIAL_RTR_ADVERTISEMENTS
        mobile.advertise = event
        mobile.valid_until = mono + event.lifetime
        mobile.advertise_due = mono
        if event.prefixes:
            self._router_advertisement(mobile, mono)
        self._dhcp.advertised(mobile, mono, self._effects)
        self._arm(mobile)

    def _withdraw(self, event: Withdraw, mono: float) -> None:
        mobile = self._mobiles.get((event.interface, event.link_layer))
        if mobile is None:
            return
        mobile.advertise = None
        if not event.prefixes:
            return
        # Lifetime 0: the router is no default router and the prefixes are off the link. Addresses keep
        # at most two hours, deprecated (RFC 4862 section 5.5.3).
        prefixes = tuple(ndp.PrefixInformation(prefix, length, 0, 0) for prefix, length in event.prefixes)
        message = ndp.RouterAdvertisement(0, prefixes, 0, self._settings.link_layer)
        self._emit_advertisement(mobile, message, mono)

    def _hasten(self, mobile: Mobile, mono: float) -> None:
        """Advertise again because the mobile asked, but not faster than it may ask."""
        due = max(mono, mobile.advertised + MIN_ANSWER_INTERVAL)
        mobile.advertise_due = min(mobile.advertise_due, due)
        if due <= mono:
            self._router_advertisement(mobile, mono)
        self._arm(mobile)

    def _router_advertisement(self, mobile: Mobile, mono: float) -> None:
        """Send the mobile its prefixes for as long as the binding still lasts (RFC 5213 section 6.9.2)."""
        event, settings = mobile.advertise, self._settings
        if event is None or not event.prefixes:
            return
        left = max(0, int(mobile.valid_until - mono))
        prefixes = tuple(
            ndp.PrefixInformation(prefix, length, left, left) for prefix, length in event.prefixes
        )
        router_lifetime = settings.router_lifetime if left else 0
        message = ndp.RouterAdvertisement(router_lifetime, prefixes, event.mtu, settings.link_layer)
        self._emit_advertisement(mobile, message, mono)
        interval = float(settings.router_advertisement_interval)
        if settings.router_lifetime:
            # RFC 4861 section 6.2.1: the router lifetime is never less than the interval; half of it
            # leaves room for one lost advertisement.
            interval = max(4.0, min(interval, settings.router_lifetime / 2))
        if mobile.initial > 0:
            mobile.initial -= 1
        if mobile.initial > 0:
            interval = min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL)
        mobile.advertise_due = mono + interval

    def _emit_advertisement(self, mobile: Mobile, message: ndp.RouterAdvertisement, mono: float) -> None:
        self._send(mobile, mobile.link_local or ndp.ALL_NODES, message)
        self._values[self._ra] += 1
        mobile.advertised = mono

    # ---- reachability ----------------------------------------------------------------------

    def _heard(self, mobile: Mobile, mono: float) -> None:
        mobile.heard = mono
        mobile.probes = 0

    def _due(self, key: tuple[str, bytes]) -> float | None:
        mobile = self._mobiles.get(key)
        return None if mobile is None else mobile.due(self._settings.reachable_time)

    def _arm(self, mobile: Mobile) -> None:
        key = (mobile.interface, mobile.link_layer)
        due = self._due(key)
        if due is not None:
            self._deadlines.set(key, due)

    def tick(self, now: Now) -> None:
        """Send the advertisements and probes that are due; let go of mobiles that stay silent."""
        for key in self._deadlines.pop_due(now.mono):
            mobile = self._mobiles[key]
            if mobile.advertise is not None and mobile.advertise_due <= now.mono:
                self._router_advertisement(mobile, now.mono)
            probe_at = mobile.probe_at(self._settings.reachable_time)
            if probe_at <= now.mono and not self._probe(mobile, now.mono):
                self._forget(key)
                self._values[self._detach] += 1
                self._effects.append(MobileDetached(*key))
                continue
            self._arm(mobile)

    def _probe(self, mobile: Mobile, mono: float) -> bool:
        """Ask a silent mobile whether it is there (RFC 4861 section 7.3); False: it has had its chances."""
        settings = self._settings
        if mobile.probes >= settings.probe_count:
            return False
        frame = frames.probe(settings, mobile)
        if frame:
            self._effects.append(SendFrame(mobile.interface, frame))
        elif mobile.advertise is not None:
            # An operator attached it and it never spoke: nothing is known that could be asked for.
            mobile.heard = mono
            return True
        mobile.probes += 1
        mobile.probe_due = mono + settings.probe_timeout / 1000
        return True
