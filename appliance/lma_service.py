"""A local mobility anchor as a service: its core, its sockets, its tunnels."""

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from appliance import counters, facts, views
from appliance.aaa_client import AaaClient
from appliance.config_plan import device_name
from appliance.counters import CounterSet
from appliance.ports import PoolView, SessionFilter, SessionView
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.driver import LmaDriver
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.service import ADMIN_REBOOT, Service, address_text, encapsulation_text
from appliance.tun.device import System as Host
from appliance.tun.engine import Engine
from appliance.tun.single_routes import SingleRoutes

#: What a service gives its AAA client on.
CLIENT_TOOLS = (
    "reactor", "clock", "random_bits", "hub", "exchanges", "session_ids", "state_directory"
)  # fmt: skip


def _no_access_side(_interface: str, _octets: bytes) -> None:
    """An anchor has no access links; its engine never calls this."""


class LmaService(Service):
    """A local mobility anchor."""

    kind = "lma"
    settings: LmaSettings
    _core: LocalMobilityAnchor
    _client: AaaClient | None = None
    _routes: SingleRoutes | None = None

    def __init__(self, settings: LmaSettings, values: CounterSet | None = None, **tools: Any) -> None:
        """``values``: counters to go on with; ``tools`` as of :class:`Service`; no hub: no AAA."""
        if tools.get("hub") is not None:
            wanted = {name: tools[name] for name in CLIENT_TOOLS}
            self._client = AaaClient(settings, tell=self.notify, **wanted)
        super().__init__(settings, values or CounterSet(counters.LMA), **tools)

    @property
    def aaa(self) -> AaaClient | None:
        """Its AAA client; ``None``: it has no AAA group."""
        return self._client if self.settings.aaa is not None else None

    def _known(self, settings: LmaSettings) -> LmaSettings:
        """What the core knows of the settings: nothing of AAA when there is no client to ask."""
        return settings if self._client is not None else evolve(settings, aaa=None)

    def _make_cores(self) -> None:
        self._core = LocalMobilityAnchor(self._known(self.settings), self.counters, self._random())

    async def start(self) -> None:
        """Open sockets and TUN device; raises ResourceError. Routes to the device are the caller's."""
        settings = self.settings
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
        )
        self._engine.start()
        self._routes = SingleRoutes(device_name(self.name), self._complain)
        self._driver = LmaDriver(
            self._reactor,
            self._clock,
            self._core,
            self._engine,
            self.notify,
            self._sink("lma"),
            self._probe(),
            self._client,
            self._routes,
        )
        if self._client is not None:
            self._client.attach(self._driver.feed, self._engine.usage)
            await self._client.start()
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        self.state = "Started"

    def _complain(self, text: str) -> None:
        self.notify(Notify("error", text))

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on by other settings of the same name and addresses; sessions that may not stay end."""
        self.settings = settings
        if self._client is not None:
            self._client.reconfigure(settings)
        if self._driver is not None:
            self._driver.reconfigure(self._known(settings))
        else:
            self._make_cores()

    async def farewell(self, cause: int = ADMIN_REBOOT) -> None:
        """End all sessions with their AAA servers; there are no new ones from now on."""
        if self._driver is not None:
            self._driver.stop()
        if self._client is not None:
            await self._client.stop(cause)

    def stop(self) -> None:
        """Close everything; the sessions that there are still end without a word."""
        if self._routes is not None:
            self._routes.close()
            self._routes = None
        super().stop()

    def dissolve(self) -> int:
        """Count all sessions as dropped by the operator; their gateways find out at the next refresh."""
        return self._core.dissolve()

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show lma-service name NAME``."""
        return facts.lma_facts(self.settings, self.state)

    def pools(self) -> list[PoolView]:
        """Return the pools that it hands out home network prefixes and addresses from."""
        return views.pool_views(self._core.pools, self.name, self.context)

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
            service_selection=entry.service.decode("utf-8", "replace"),
            encapsulation=encapsulation_text(
                entry.care_of,
                bool(entry.prefixes),
                entry.ipv4_address is not None,
                entry.gre,
                entry.udp,
                entry.extras is not None and entry.extras.tlv,
            ),
            receive_key=entry.receive_key,
            lifetime=4 * entry.lifetime,
            remaining=max(0, round(entry.due - now.mono)),
        )
