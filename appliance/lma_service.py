"""A local mobility anchor as a service: its core, its sockets, its tunnels."""

from collections.abc import Iterator
from typing import Any

from appliance import counters, facts, views
from appliance.config_plan import device_name
from appliance.counters import CounterSet
from appliance.ports import PoolView, SessionFilter, SessionView
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.driver import LmaDriver
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.service import Service, address_text, encapsulation_text
from appliance.tun.device import System as Host
from appliance.tun.engine import Engine


def _no_access_side(_interface: str, _octets: bytes) -> None:
    """An anchor has no access links; its engine never calls this."""


class LmaService(Service):
    """A local mobility anchor."""

    kind = "lma"
    settings: LmaSettings
    _core: LocalMobilityAnchor

    def __init__(self, settings: LmaSettings, values: CounterSet | None = None, **tools: Any) -> None:
        """``values``: counters to go on with; ``tools`` as of :class:`Service`."""
        super().__init__(settings, values or CounterSet(counters.LMA), **tools)

    def _make_cores(self) -> None:
        self._core = LocalMobilityAnchor(self.settings, self.counters, self._random())

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
        self._driver = LmaDriver(
            self._reactor,
            self._clock,
            self._core,
            self._engine,
            self.notify,
            self._sink("lma"),
            self._probe(),
        )
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        self.state = "Started"

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
