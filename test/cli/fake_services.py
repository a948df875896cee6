"""Services as the shell sees them, without anything behind."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from appliance.counters import LMA, MAG, MIPV6HA, CounterSet
from appliance.ports import (
    AGES,
    Census,
    Operator,
    PoolView,
    QueueView,
    ServicePort,
    SessionFilter,
    SessionView,
)
from appliance.ports_health import HeartbeatView
from appliance.ports_load import CongestionView
from test.cli.fake_aaa import FakeAaa
from test.cli.fake_mobile import FakeMobile
from test.cli.fakes import FakeHost, FakeLog


def session(**changes: Any) -> SessionView:
    """One session of an LMA; any field can be given."""
    fields: dict[str, Any] = {
        "call_id": 0x01CA11B1,
        "username": "mn1@example.org",
        "service": "lma1",
        "state": "active",
        "prefixes": ("2001:db8:1::/64",),
        "ipv4_address": "",
        "ipv4_router": "",
        "care_of": "2001:db8:ffff::a1",
        "anchor": "2001:db8:ffff::1",
        "link_layer": "02:00:5e:10:00:01",
        "access_technology": 4,
        "interface": "",
        "link_local": "fe80::200:5eff:fe00:5213",
        "service_selection": "",
        "encapsulation": "6in6",
        "send_key": None,
        "receive_key": None,
        "sequence": 7,
        "lifetime": 600,
        "remaining": 432,
        "created": 1_700_000_000.25,
        "updated": 1_700_000_168.0,
        "handoffs": 1,
        "packets_in": 11,
        "octets_in": 1_100,
        "packets_out": 22,
        "octets_out": 2_200,
    }
    return SessionView(**{**fields, **changes})


class FakeService:
    """A service with a list of sessions; records what was asked of it."""

    def __init__(self, kind: str, name: str, sessions: list[SessionView] | None = None) -> None:
        self.kind = kind
        self.name = name
        self.context = "anchor"
        self.state = "Started"
        self.counters = CounterSet({"lma": LMA, "mipv6ha": MIPV6HA, "mag": MAG}[kind])
        self.filters: list[SessionFilter] = []
        #: What clear commands said beside the filter.
        self.manners: list[dict[str, Any]] = []
        self._sessions = sessions or []
        self.pool_views: list[PoolView] = []
        self.queue_views: list[QueueView] = []
        self.heartbeat_views: list[HeartbeatView] = []
        self.notified: list[tuple[str, int, tuple[int, int, bytes]]] = []
        self.refusal = ""
        self.congestion_view: CongestionView | None = None

    def facts(self) -> list[tuple[str, str]]:
        """Two facts."""
        return [("Service Name", self.name), ("Service Status", self.state)]

    def session_count(self) -> int:
        """All of the list."""
        return len(self._sessions)

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """Note the filter; give those with its call id, or all."""
        self.filters.append(wanted)
        return (view for view in self._sessions if wanted.call_id in (0, view.call_id))

    def census(self, wanted: SessionFilter) -> Iterator[Census | None]:
        """Count those of :meth:`sessions`."""
        census = Census()
        for view in self.sessions(wanted):
            kind = (view.state, bool(view.prefixes), bool(view.ipv4_address), view.of_host)
            census.kinds[kind] = census.kinds.get(kind, 0) + 1
            age = WALL - view.created
            census.ages[sum(age >= limit for limit in AGES)] += 1
            yield None
        yield census

    def clear_sessions(self, wanted: SessionFilter, **manner: Any) -> Iterator[bool]:
        """Note the filter and drop those that match, one by one."""
        self.manners.append(manner)
        for view in list(self.sessions(wanted)):
            self._sessions.remove(view)
            yield True

    def pools(self) -> list[PoolView]:
        """What was put into ``pool_views``."""
        return self.pool_views

    def devices(self) -> list[str]:
        """A TUN device, or an access interface."""
        return [f"tun-{self.name}"] if self.kind != "mag" else ["acc0"]

    def queues(self) -> list[QueueView]:
        """What was put into ``queue_views``."""
        return self.queue_views

    def restart_counter(self) -> int:
        """Twelve."""
        return 12

    def heartbeats(self) -> list[HeartbeatView]:
        """What was put into ``heartbeat_views``."""
        return self.heartbeat_views

    def notify_update(self, username: str, reason: int, vendor: tuple[int, int, bytes]) -> tuple[int, str]:
        """Note it; three are concerned."""
        self.notified.append((username, reason, vendor))
        return 3, self.refusal

    def congestion(self) -> CongestionView | None:
        """What was put into ``congestion_view``."""
        return self.congestion_view


#: The moment that the fake system's clock stands at.
WALL = 1_700_000_200.0


class FakeSystem:
    """A process with these services."""

    def __init__(self, *services: FakeService) -> None:
        self._services = services
        self.configuration: Any = SimpleNamespace(contexts=(), hostname="lma1")
        self.host = FakeHost()
        self.log = FakeLog()
        self.aaa = FakeAaa()
        self.mobile = FakeMobile()
        self.people: list[Operator] = []
        self.boot_file = "/etc/appliance/appliance.conf"

    def operators(self) -> list[Operator]:
        """Who is logged in."""
        return self.people

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The services of a kind and name; empty means all."""
        return [
            service for service in self._services if kind in ("", service.kind) and name in ("", service.name)
        ]

    def uptime(self) -> float:
        """One minute."""
        return 60.0

    def wall(self) -> float:
        """A fixed moment."""
        return WALL
