"""An anchor whose registrations an AAA server decides about; the test is that server."""

from typing import Any

from appliance.protocols.diameter.settings import GroupSettings, ServerGroup
from appliance.protocols.mobility.aaa import (
    ACCEPT,
    Abandon,
    Account,
    Authorize,
    Authorized,
    Grant,
    Reauthorize,
    SessionEnds,
)
from test.protocols.pmipv6.lma_fakes import World

SIDE = ServerGroup(endpoint="aaa")
AUTH = "mip-aaa-authentication/"


def group(**changes: Any) -> GroupSettings:
    """A group that authenticates and accounts."""
    fields: dict[str, Any] = {"name": "g", "authentication": SIDE, "accounting": SIDE, **changes}
    return GroupSettings(**fields)


class AaaWorld(World):
    """A world with an AAA group."""

    def __init__(self, random_bits: Any = None, **changes: Any) -> None:
        super().__init__(random_bits, **{"aaa": group(), "aaa_group": "g", **changes})

    def ask(self, **what: Any) -> Authorize:
        """Send an update that AAA is asked about; returns the question."""
        assert self.send(**what) is None, "it was answered at once"
        return self.question()

    def question(self) -> Authorize:
        """The one question among the last effects."""
        (found,) = self.of_kind(Authorize)
        assert isinstance(found, Authorize)
        return found

    def tell(self, event: Any) -> list[Any]:
        """Give the anchor an event; returns the effects."""
        self._before = self.counters.snapshot()
        self.lma.receive(event, self.now)
        self.effects = self.lma.take()
        return self.effects

    def reply(self, question: Authorize | int, verdict: str = ACCEPT, **grant: Any) -> Any:
        """Answer a question; returns the acknowledgement to the gateway, if there is one."""
        token = question if isinstance(question, int) else question.token
        self.tell(Authorized(token=token, verdict=verdict, grant=Grant(session_id="s;1;1", **grant)))
        return self.answer()

    def attach(self, **what: Any) -> Any:
        """Have a session authorized and made; returns its entry."""
        grant = what.pop("grant", {})
        answer = self.reply(self.ask(**what), **grant)
        assert answer is not None and answer.status == 0, answer
        return list(self.lma.sessions())[-1]

    def end(self, call_id: int, cause: int) -> list[Any]:
        """The AAA client ends a session."""
        return self.tell(SessionEnds(call_id=call_id, cause=cause))

    def again(self, call_id: int) -> list[Any]:
        """The AAA client wants a session authorized again."""
        return self.tell(Reauthorize(call_id))

    def told(self) -> list[tuple[str, int]]:
        """What accounting heard last: what, and the cause."""
        return [(each.what, each.cause) for each in self.of_kind(Account)]

    def abandoned(self) -> list[tuple[int, int]]:
        """Questions dropped last: token, and call id."""
        return [(each.token, each.call_id) for each in self.of_kind(Abandon)]

    def asked(self) -> tuple[int, int, int, int]:
        """Attempts, successes, refusals, failures without a verdict."""
        rows = ("attempts", "success", "actual-auth-failures", "misc-auth-failures")
        a, b, c, d = (self.value(AUTH + row) for row in rows)
        return a, b, c, d
