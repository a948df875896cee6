"""One object per configured service: core, sockets, tunnel engine, and its face to the shell.

::

    System ──start──▶ LmaService ── LmaDriver ── core        pool routes ─▶ Kernel
                  └─▶ MagService ── MagDriver ── cores       link watch ◀── Kernel
    Shell ──ServicePort──▶ facts, sessions, clear, attach, detach
"""

import ipaddress
from collections.abc import Callable, Iterator
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

from appliance import counters, facts, views
from appliance.counters import CounterSet
from appliance.ports import Census, PoolView, QueueView, SessionFilter, SessionView
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.driver import LmaDriver, MagDriver
from appliance.protocols.pmipv6.events import ClearSessions, MobileAttached, MobileDetached, Notify
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings
from appliance.protocols.rawsock import QUEUE_LIMIT
from appliance.protocols.timers import Now
from appliance.record import Recorder, Sink, chance
from appliance.tun.device import System as Host
from appliance.tun.engine import Engine
from appliance.tun.kernel import Kernel

Clock = Callable[[], Now]
Tell = Callable[[str, str], None]
#: Linux: IFNAMSIZ less the closing zero.
DEVICE_NAME_LENGTH = 15


def address_text(packed: bytes | None) -> str:
    """Text of a packed address; empty for none."""
    # Lists of sessions have several for each line: the C library is ten times as fast as ipaddress.
    return inet_ntop(AF_INET6 if len(packed) == 16 else AF_INET, packed) if packed else ""


def prefix_text(prefix: tuple[bytes, int]) -> str:
    """Text of a (packed prefix, length) pair."""
    return f"{address_text(prefix[0])}/{prefix[1]}"


def address_bytes(text: str) -> bytes:
    """Packed form of an address, or of a prefix without its length."""
    return ipaddress.ip_address(text.partition("/")[0]).packed


class _Service:
    """What both kinds of service share."""

    kind = ""
    _core: Any
    _driver: Any = None

    def __init__(self, name: str, context: str, table: counters.Table, clock: Clock, tell: Tell) -> None:
        self.name = name
        self.context = context
        self.state = "Initialized"
        self.counters = CounterSet(table)
        self._clock = clock
        self._tell = tell
        self._engine: Engine | None = None
        self._recorder: Recorder | None = None

    def _random(self, random_bits: Callable[[int], int]) -> Callable[[int], int]:
        """While recording, chance must be such that it can be repeated."""
        return random_bits if self._recorder is None else chance(self._recorder.seed, self._label)

    def _sink(self, core: str) -> Sink | None:
        return None if self._recorder is None else self._recorder.sink(self._label, core)

    @property
    def _label(self) -> str:
        return f"{self.kind} {self.name}"

    def notify(self, effect: Notify) -> None:
        """Log what a core has to say."""
        self._tell(effect.level, f"{self._label}: {effect.text}")

    def _entries(self, wanted: SessionFilter) -> Iterator[Any]:
        raise AssertionError("each kind of service has its own")

    def _view(self, entry: Any, now: Now) -> SessionView:
        raise AssertionError("each kind of service has its own")

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView | None]:
        """Yield the sessions that match, one by one; ``None``: still looking."""
        now = self._clock()
        for entry in self._entries(wanted):
            yield None if entry is None else self._view(entry, now)

    def census(self, wanted: SessionFilter) -> Iterator[Census | None]:
        """Count the sessions that match: ``None`` while counting, the result at the end."""
        return views.tally(self._entries(wanted), self._clock().wall)

    def _keys(self, wanted: SessionFilter) -> dict[str, Any]:
        """Turn what needs no wildcard into keys that the core finds without a search."""
        plain = wanted.username and not set(wanted.username) & set("*$")
        return {
            "mn_id": wanted.username.encode() if plain else b"",
            "address": address_bytes(wanted.ip_address) if wanted.ip_address else b"",
            "call_id": wanted.call_id,
        }

    def session_count(self) -> int:
        """Return how many sessions there are now."""
        count: int = self._core.session_count
        return count

    def clear_sessions(self, wanted: SessionFilter) -> Iterator[bool]:
        """End the sessions that match, one at each ``True``; a gateway de-registers them."""
        if self._driver is None:
            return iter(())
        feed = self._driver.feed
        return views.clear(self._entries(wanted), lambda call_id: feed(ClearSessions(call_id=call_id)))

    def pools(self) -> list[PoolView]:
        """Return its pools; a gateway has none."""
        return []

    def devices(self) -> list[str]:
        """Return the network devices that it uses."""
        return []

    def queues(self) -> list[QueueView]:
        """Return how full the queues of its signalling sockets are."""
        sockets = self._driver.sockets if self.state == "Started" else []
        return [
            views.queue_view(self._label, each.address, each.socket, each.waiting, QUEUE_LIMIT)
            for each in sockets
        ]

    def stop(self) -> None:
        """Close everything; the sessions end with the process."""
        if self._driver is not None:
            self._driver.stop()
        if self._engine is not None:
            self._engine.stop()
        self.state = "Initialized"

    def _common(self, entry: Any) -> dict[str, Any]:
        """The fields of a session's view that an anchor and a gateway keep alike."""
        usage = self._engine.usage(entry.call_id) if self._engine is not None else (0, 0, 0, 0)
        return {
            "call_id": entry.call_id,
            "username": entry.mn_id.decode("utf-8", "replace"),
            "service": self.name,
            "state": entry.state,
            "prefixes": tuple(prefix_text(prefix) for prefix in entry.prefixes),
            "ipv4_address": address_text(entry.ipv4_address),
            "link_layer": entry.link_layer.hex(":"),
            "access_technology": entry.technology,
            "send_key": entry.send_key,
            "sequence": entry.sequence,
            "created": entry.created,
            "updated": entry.updated,
            "handoffs": entry.handoffs,
            **dict(zip(("packets_in", "octets_in", "packets_out", "octets_out"), usage, strict=True)),
        }


def _no_access_side(_interface: str, _octets: bytes) -> None:
    """An anchor has no access links; its engine never calls this."""


class LmaService(_Service):
    """A local mobility anchor."""

    kind = "lma"

    def __init__(
        self,
        settings: LmaSettings,
        *,
        reactor: Any,
        clock: Clock,
        random_bits: Callable[[int], int],
        tell: Tell,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(settings.name, settings.context, counters.LMA, clock, tell)
        self.settings = settings
        self._reactor = reactor
        self._recorder = recorder
        self._core = LocalMobilityAnchor(settings, self.counters, self._random(random_bits))

    async def start(self, kernel: Kernel) -> None:
        """Open sockets and TUN device, route the pools to it; raises ResourceError."""
        settings = self.settings
        device = f"tun-{self.name}"[:DEVICE_NAME_LENGTH]
        self._engine = Engine(
            self._reactor,
            Host(),
            self.counters,
            settings.address,
            settings.ipv4_address,
            settings.path_mtu,
            settings.tunnel_traffic_class,
            device,
            "lma",
            on_control=_no_access_side,
            on_activity=_no_access_side,
        )
        self._engine.start()
        self._driver = LmaDriver(
            self._reactor, self._clock, self._core, self._engine, self.notify, self._sink("lma")
        )
        pools = [(pool.prefix, pool.prefix_length) for pool in settings.prefix_pools]
        pools += [(pool.network, pool.prefix_length) for pool in settings.address_pools]
        pools += [prefix for profile in settings.profiles for prefix in profile.prefixes]
        families = {len(prefix) for prefix, _ in pools}
        for family in sorted(families):
            await kernel.enable_forwarding(6 if family == 16 else 4)
        for prefix, length in _outermost(pools):
            await kernel.add_route(prefix, length, device)
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        self.state = "Started"

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show lma-service name NAME``."""
        return facts.lma_facts(self.settings, self.state)

    def pools(self) -> list[PoolView]:
        """Return the pools that it hands out home network prefixes and addresses from."""
        return views.pool_views(self._core.pools, self.name, self.context)

    def devices(self) -> list[str]:
        """Return its TUN device."""
        return [f"tun-{self.name}"[:DEVICE_NAME_LENGTH]]

    def _entries(self, wanted: SessionFilter) -> Iterator[BindingCacheEntry]:
        return views.select(self._core.sessions(**self._keys(wanted)), wanted)

    def _view(self, entry: BindingCacheEntry, now: Now) -> SessionView:
        return SessionView(
            **self._common(entry),
            ipv4_router=address_text(self._core.subnet(entry)[1]),
            care_of=address_text(entry.care_of),
            anchor=address_text(entry.local),
            interface="",
            link_local=address_text(entry.link_local),
            service_selection=entry.service.decode("utf-8", "replace"),
            encapsulation=encapsulation_text(
                len(entry.care_of) == 16,
                bool(entry.prefixes),
                entry.ipv4_address is not None,
                entry.gre,
                entry.udp,
            ),
            receive_key=entry.receive_key,
            lifetime=4 * entry.lifetime,
            remaining=max(0, round(entry.due - now.mono)),
        )


def _outermost(pools: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Leave out what lies inside another of ``pools``: one aggregate route is enough."""
    networks = [ipaddress.ip_network(pool) for pool in pools]
    keep: list[tuple[bytes, int]] = []
    for family in (4, 6):
        same: list[Any] = [network for network in networks if network.version == family]
        keep += [(n.network_address.packed, n.prefixlen) for n in ipaddress.collapse_addresses(same)]
    return keep


def encapsulation_text(outer_v6: bool, ipv6: bool, ipv4: bool, gre: bool, udp: bool) -> str:
    """Names of the encapsulations in use, as the counters call them."""
    names = []
    for inner, used in (("6", ipv6), ("4", ipv4)):
        if not used:
            continue
        if gre:
            names.append(f"IPv{'6' if outer_v6 else '4'} GRE (IPv{inner})")
        elif udp:
            names.append(f"IPv4 UDP (IPv{inner})")
        else:
            names.append(f"{inner}in{'6' if outer_v6 else '4'}")
    return ", ".join(names)


class MagService(_Service):
    """A mobile access gateway."""

    kind = "mag"

    def __init__(
        self,
        settings: MagSettings,
        *,
        reactor: Any,
        clock: Clock,
        random_bits: Callable[[int], int],
        tell: Tell,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(settings.name, settings.context, counters.MAG, clock, tell)
        self.settings = settings
        self._reactor = reactor
        self._recorder = recorder
        self._core = MobileAccessGateway(settings, self.counters, self._random(random_bits))
        self._access = AccessLink(settings, self.counters)
        self._links: set[str] = set()

    async def start(self, kernel: Kernel) -> None:
        """Open the sockets; access links follow as their devices come up."""
        settings = self.settings
        self._engine = Engine(
            self._reactor,
            Host(),
            self.counters,
            settings.address,
            settings.ipv4_address,
            settings.path_mtu,
            settings.tunnel_traffic_class,
            None,
            "mag",
            on_control=self._control,
            on_activity=self._activity,
            local_routing=settings.local_routing,
        )
        self._engine.start()
        self._driver = MagDriver(
            self._reactor,
            self._clock,
            self._core,
            self._access,
            self._engine,
            self.notify,
            self._sink("mag"),
            self._sink("access"),
        )
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        self.state = "Started"

    def _control(self, interface: str, frame: bytes) -> None:
        if self._driver is not None:
            self._driver.control_frame(interface, frame)

    def _activity(self, interface: str, link_layer: bytes) -> None:
        if self._driver is not None:
            self._driver.activity(interface, link_layer)

    def link_changed(self, name: str, is_up: bool, present: bool) -> None:
        """Follow a device of the host that is one of our access interfaces."""
        if self._engine is None or self._driver is None:
            return
        if name not in {link.name for link in self.settings.access_interfaces}:
            return
        if present and is_up:
            if name not in self._links:
                self._engine.add_link(name)
                self._links.add(name)
                self._driver.link(name, True)
        elif name in self._links:
            self._links.discard(name)
            self._driver.link(name, False)
            self._engine.remove_link(name)

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show mag-service name NAME``."""
        return facts.mag_facts(self.settings, self.state)

    def devices(self) -> list[str]:
        """Return its access interfaces."""
        return [link.name for link in self.settings.access_interfaces]

    def _entries(self, wanted: SessionFilter) -> Iterator[BindingUpdateListEntry]:
        # The gateway's list has no index by address: its search is done in slices here.
        keys = self._keys(wanted)
        address = keys.pop("address")
        return views.select(self._core.find(**keys), wanted, address)

    def attach(self, mn_id: str, interface: str, link_layer: str, handoff: int) -> str:
        """Register a mobile by hand; returns an empty text or why it cannot be done."""
        if self._driver is None:
            return f"mag-service {self.name} is not started"
        if interface not in self._links:
            return f"access interface {interface} is not up in mag-service {self.name}"
        mac = bytes.fromhex(link_layer.replace(":", "").replace("-", ""))
        self._driver.feed(MobileAttached(interface, mac, mn_id.encode(), handoff))
        return ""

    def detach(self, mn_id: str, interface: str, link_layer: str) -> str:
        """De-register by hand; returns an empty text or why it cannot be done."""
        if self._driver is None:
            return f"mag-service {self.name} is not started"
        before = [e for e in self._core.sessions() if e.mn_id == mn_id.encode()] if mn_id else None
        if before == []:
            return f"no mobile node {mn_id} in mag-service {self.name}"
        mac = bytes.fromhex(link_layer.replace(":", "").replace("-", ""))
        self._driver.feed(MobileDetached(interface, mac, mn_id.encode()))
        return ""

    def _view(self, entry: BindingUpdateListEntry, now: Now) -> SessionView:
        return SessionView(
            **self._common(entry),
            ipv4_router=address_text(entry.ipv4_router),
            care_of=address_text(self.settings.address),
            anchor=address_text(entry.lma),
            interface=entry.interface,
            link_local=address_text(self.settings.link_local),
            service_selection=entry.policy.service.decode("utf-8", "replace"),
            encapsulation=encapsulation_text(
                True, bool(entry.prefixes), entry.ipv4_address is not None, entry.gre, False
            ),
            receive_key=entry.call_id if entry.gre else None,
            lifetime=entry.lifetime,
            remaining=0 if entry.expires is None else max(0, round(entry.expires - now.mono)),
        )
