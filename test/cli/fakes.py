"""A system port without a system behind it."""

from collections.abc import Iterator

from attrs import define, field

from appliance.counters import MAG, CounterSet
from appliance.ports import ServicePort, SessionFilter, SessionView


@define
class FakeGateway:
    """A MAG service that notes what it was told."""

    name: str = "mag1"
    kind: str = "mag"
    context: str = "access"
    state: str = "Started"
    counters: CounterSet = field(factory=lambda: CounterSet(MAG))
    refusal: str = ""
    calls: list[tuple[object, ...]] = field(factory=list)

    def facts(self) -> list[tuple[str, str]]:
        """One fact."""
        return [("Service name", self.name)]

    def session_count(self) -> int:
        """Always three."""
        return 3

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """None."""
        return iter(())

    def clear_sessions(self, wanted: SessionFilter) -> int:
        """None."""
        return 0

    def attach(self, mn_id: str, interface: str, link_layer: str, handoff: int) -> str:
        """Note it."""
        self.calls.append(("attach", mn_id, interface, link_layer, handoff))
        return self.refusal

    def detach(self, mn_id: str, interface: str, link_layer: str) -> str:
        """Note it."""
        self.calls.append(("detach", mn_id, interface, link_layer))
        return self.refusal


@define
class FakeSystem:
    """A process that is a day and some hours old."""

    gateways: list[FakeGateway] = field(factory=list)

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The gateways that match."""
        return [each for each in self.gateways if kind in ("", each.kind) and name in ("", each.name)]

    def uptime(self) -> float:
        """1 day, 1 hour, 34 minutes."""
        return 86_400 + 3_600 + 34 * 60 + 5.0

    def wall(self) -> float:
        """2001-09-09 01:46:40 UTC."""
        return 1_000_000_000.0

    def status(self) -> list[tuple[str, str]]:
        """One fact."""
        return [("Loop lag", "1 ms")]
