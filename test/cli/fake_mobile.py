"""Mobile nodes as the shell sees them, without any network."""

from typing import Any

from attrs import define, field

from appliance.counters import MN, CounterSet
from appliance.ports_mn import BindingView


@define
class FakeClient:
    """One that is registered."""

    name: str = "mn1"
    kind: str = "mn"
    context: str = "mobile"
    state: str = "Started"
    counters: CounterSet = field(factory=lambda: CounterSet(MN))
    told: list[str] = field(factory=list)

    def facts(self) -> list[tuple[str, str]]:
        """Two of them."""
        return [("Client Name", self.name), ("Client Status", self.state)]

    def overview(self) -> list[tuple[str, str]]:
        """Two of them."""
        return [("Client Name", self.name), ("State", "registered")]

    def bindings(self) -> list[BindingView]:
        """One."""
        view = BindingView(
            client=self.name, peer="2001:db8::1", kind="home", state="registered", interface="wlan0",
            care_of="2001:db8:a::2", bid=0, encapsulation="6in6", lifetime=600, remaining=500, sequence=7,
            status=0, details=(("NAT Found", "No"),),
        )  # fmt: skip
        return [view]

    def command(self, what: str) -> str:
        """Remember it."""
        self.told.append(what)
        return "" if self.state == "Started" else "it is not started"


@define
class FakeMobile:
    """Those that there are."""

    nodes: list[FakeClient] = field(factory=list)

    def clients(self, name: str = "") -> list[Any]:
        """Of a name; empty: all."""
        return [each for each in self.nodes if name in ("", each.name)]
