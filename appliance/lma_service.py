"""A local mobility anchor as a service: its core, its sockets, its tunnels."""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve
from twisted.internet.task import LoopingCall

from appliance import counters, facts, views
from appliance.aaa_client import AaaClient
from appliance.config_plan import device_name, home_networks
from appliance.counters import CounterSet
from appliance.errors import ResourceError
from appliance.host import resident_memory
from appliance.host_orders import HostOrders
from appliance.ports import PoolView, SessionFilter, SessionView
from appliance.ports_load import CongestionView
from appliance.protocols.mipv6.anchor import make_anchor
from appliance.protocols.mipv6.driver import HostSide
from appliance.protocols.mobility.status import REVOKE_LOCAL_POLICY as LOCAL_POLICY
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.driver import LmaDriver
from appliance.protocols.pmipv6.events import (
    Capacity,
    ClearSessions,
    Concluded,
    Depart,
    Entrust,
    Notify,
    NotifyUpdate,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.revocation import MANY
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.service import ADMIN_REBOOT, Service, address_text, encapsulation_text
from appliance.tun.device import System as Host
from appliance.tun.engine import Engine
from appliance.tun.single_routes import SingleRoutes

#: Seconds between two looks at the memory of the process, where that is limited.
MEMORY_INTERVAL = 1.0
_MEBI = 1 << 20
#: What a service gives its AAA client on.
CLIENT_TOOLS = (
    "reactor", "clock", "random_bits", "hub", "exchanges", "session_ids", "state_directory"
)  # fmt: skip


def _no_access_side(_interface: str, _octets: bytes) -> None:
    """An anchor has no access links; its engine never calls this."""


class LmaService(HostOrders, Service):
    """A local mobility anchor."""

    kind = "lma"
    settings: LmaSettings
    table = counters.LMA
    _core: LocalMobilityAnchor
    _client: AaaClient | None = None
    _routes: SingleRoutes | None = None
    _memory_look: LoopingCall | None = None
    #: Home link, its networks, and whether multicast of it is tunnelled.
    _home: tuple[str, tuple[tuple[bytes, int], ...], bool] = "", (), False

    def __init__(self, settings: LmaSettings, values: CounterSet | None = None, **tools: Any) -> None:
        """``values``: counters to go on with; ``tools`` as of :class:`Service`; no hub: no AAA."""
        #: The anchor of this process that has a name; ``None``: there is none now.
        self._neighbour: Callable[[str], LmaService | None] = tools.pop("neighbour", lambda _name: None)
        if tools.get("hub") is not None:
            wanted = {name: tools[name] for name in CLIENT_TOOLS}
            self._client = AaaClient(settings, tell=self.notify, **wanted)
        self._capacity = Capacity()
        super().__init__(settings, values or CounterSet(self.table), **tools)

    @property
    def aaa(self) -> AaaClient | None:
        """Its AAA client; ``None``: it has no AAA group."""
        return self._client if self.settings.aaa is not None else None

    def _known(self, settings: LmaSettings) -> LmaSettings:
        """What the core knows of the settings: nothing of AAA when there is no client to ask."""
        return settings if self._client is not None else evolve(settings, aaa=None)

    def _make_cores(self) -> None:
        self._core = make_anchor(self._known(self.settings), self.counters, self._random())

    async def start(self) -> None:
        """Open sockets and TUN device; raises ResourceError. Routes to the device are the caller's."""
        settings = self.settings
        began = await self._began()
        self._engine = Engine(
            self._reactor,
            Host(),
            self.counters,
            settings.address,
            settings.ipv4_address,
            settings.path_mtu,
            settings.tunnel_traffic_class,
            device_name(self.name),
            "lma",
            on_control=_no_access_side,
            on_activity=_no_access_side,
            others=tuple(filter(None, (settings.user_plane_address, settings.user_plane_ipv4))),
        )
        self._engine.start()
        self._serve_home()
        self._warn_of_kernel_tunnels(Host.kernel_tunnels())
        self._routes = SingleRoutes(device_name(self.name), self._complain)
        self._driver = LmaDriver(
            self._reactor,
            self._clock,
            self._core,
            self._engine,
            self.notify,
            self._sink(self.kind),
            self._probe(),
            self._client,
            self._routes,
            self.keep_peers,
            HostSide(
                self._reactor,
                settings.address,
                self.notify,
                self._probe(),
                device_name(self.name),
                self._engine,
                settings.ipv4_address,
            ),
            self._pass_to_neighbour,
        )
        if self._client is not None:
            self._client.attach(self._driver.feed, self._engine.usage)
            await self._client.start()
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        if began is not None:
            # Nothing has been read from the sockets yet.
            self._driver.feed(began)
        self.state = "Started"
        self._limit_memory()

    def _limit_memory(self) -> None:
        """Look at the memory from time to time if there is a limit."""
        if not self.settings.max_memory:
            self._stop_looking()
            self._carry(memory=True)
        elif self._memory_look is None:
            look = self._memory_look = LoopingCall(self._look_at_memory)
            look.clock = self._reactor
            look.start(MEMORY_INTERVAL)

    def _stop_looking(self) -> None:
        # It knows this service: kept, it would keep the service in memory, with all its sessions.
        look, self._memory_look = self._memory_look, None
        if look is not None and look.running:
            look.stop()

    def _look_at_memory(self) -> None:
        self._carry(memory=resident_memory() <= self.settings.max_memory * _MEBI)

    def link_changed(self, name: str, is_up: bool, present: bool) -> None:
        """Follow the tunnel device, without which nobody's packets get anywhere, and the home link."""
        if name == device_name(self.name):
            self._carry(tunnel=is_up and present)
        elif self._driver is not None:
            self._driver.link_changed(name, is_up and present)

    def _carry(self, **changes: bool) -> None:
        """Tell the core what process and host can carry, if that is news."""
        capacity = evolve(self._capacity, **changes)
        if capacity != self._capacity and self._driver is not None:
            self._capacity = capacity
            self._driver.feed(capacity)

    def retune(self, settings: Any) -> None:
        """Give tunnels and sockets the values of ``settings``; as :meth:`Service.retune`."""
        if self._driver is not None:
            self._driver.serve_hosts(settings)
        try:
            super().retune(settings)
        except ResourceError:
            if self._driver is not None:
                self._driver.serve_hosts(self.settings)
            raise

    def _pass_to_neighbour(self, effect: Entrust | Concluded) -> None:
        """Give another anchor of this process what it is for, once this core is done (RFC 6463)."""

        def hear() -> None:
            neighbour = self._neighbour(effect.service)
            if neighbour is not None and neighbour.hear(effect):
                return
            if isinstance(effect, Entrust):
                self.hear(Concluded(effect.by, effect.token, b""))

        self._reactor.callLater(0, hear)

    def hear(self, event: Entrust | Concluded) -> bool:
        """Take what another anchor of this process says; False: this one does not run."""
        if self._driver is None:
            return False
        self._driver.feed(event)
        return True

    def _serve_home(self) -> None:
        """Let packets to nodes of a real home link out there."""
        settings = self.settings
        if self._engine is not None:
            link = settings.mipv6_home_link if settings.mipv6 else ""
            wanted = link, home_networks(settings), settings.mipv6_multicast
            if wanted != self._home:
                # What is known of the link's groups goes with it.
                self._home = wanted
                self._engine.serve_home(*wanted)

    def _complain(self, text: str) -> None:
        self.notify(Notify("error", text))

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on by other settings of the same name and addresses; sessions that may not stay end."""
        self.settings = settings
        if self._client is not None:
            self._client.reconfigure(settings)
        if self._driver is not None:
            self._driver.reconfigure(self._known(settings))
            self._serve_home()
            self._limit_memory()
        else:
            self._make_cores()

    async def farewell(self, cause: int = ADMIN_REBOOT) -> None:
        """Tell the gateways, end all sessions with their AAA servers; there are no new ones from now on."""
        if self._driver is not None:
            self._driver.feed(Depart())
            await self._part()
            self._driver.stop()
        if self._client is not None:
            await self._client.stop(cause)

    def stop(self) -> None:
        """Close everything; the sessions that there are still end without a word."""
        self._stop_looking()
        self._capacity = Capacity()
        self._home = "", (), False
        if self._routes is not None:
            self._routes.close()
            self._routes = None
        super().stop()
        self._core.close()

    def dissolve(self) -> int:
        """Count all sessions as dropped by the operator; their gateways find out at the next refresh."""
        return self._core.dissolve()

    def clear_sessions(
        self, wanted: SessionFilter, trigger: int = 1, ipv4_only: bool = False, group: int = 0
    ) -> Iterator[bool]:
        """End the sessions that match; those of a group, a realm or all by one message to each gateway."""
        if not group and trigger not in MANY:
            return super().clear_sessions(wanted, trigger, ipv4_only)
        realm = wanted.username.removeprefix("*").encode() if trigger == LOCAL_POLICY else b""
        entries = self._core.members(group) if group else self._entries(wanted)
        return self._at_once(ClearSessions(mn_id=realm, trigger=trigger, group=group), entries)

    def notify_update(self, username: str, reason: int, vendor: tuple[int, int, bytes]) -> tuple[int, str]:
        """Send Update Notifications; returns for how many sessions or gateways, and what prevents it."""
        if self._driver is None:
            return 0, f"{self.kind}-service {self.name} is not started"
        mn_id = username.encode()
        if username:
            found = self._core.sessions(mn_id=mn_id)
            concerned = sum(not (entry.deleting or entry.of_host) for entry in found)
            refusal = "" if concerned else f"no session of {username} in lma-service {self.name}"
        else:
            concerned = self._core.notifications.gateways
            refusal = "" if concerned else f"no gateway has a session in lma-service {self.name}"
        if not refusal:
            self._driver.feed(NotifyUpdate(reason, mn_id, *vendor))
        return concerned, refusal

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show lma-service name NAME``."""
        return facts.lma_facts(self.settings, self.state)

    def pools(self) -> list[PoolView]:
        """Return the pools that it hands out home network prefixes and addresses from."""
        return views.pool_views(self._core.pools, self.name, self.context)

    def congestion(self) -> CongestionView:
        """Return how congested it is."""
        return views.congestion_view(self.kind, self.name, self._core.overload)

    def devices(self) -> list[str]:
        """Return its TUN device."""
        return [device_name(self.name)]

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
            of_host=entry.of_host,
            service_selection=entry.service.decode("utf-8", "replace"),
            encapsulation=encapsulation_text(
                entry.care_of,
                bool(entry.prefixes),
                entry.ipv4_address is not None,
                entry.gre,
                entry.udp,
                entry.extras is not None and entry.extras.tlv,
            ),
            # The key stays for the life of the session, also while it is not used (RFC 5845 section 3.3.2).
            receive_key=entry.receive_key if entry.gre else None,
            lifetime=4 * entry.lifetime,
            remaining=max(0, round(entry.due - now.mono)),
        )
