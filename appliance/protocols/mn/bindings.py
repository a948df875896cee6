"""The care-of addresses of a mobile node at its home agent: which there are to be, and what is sent."""

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.care_of import Choice, Suspects
from appliance.protocols.mn.events import Link
from appliance.protocols.mn.exchanges import Exchanges
from appliance.protocols.mn.slots import HOME, LEAVE, REGISTER, REMOVE, Slot
from appliance.protocols.mn.state import Shared
from appliance.protocols.timers import Now


class Bindings:
    """The slots, by binding identifier: the plain one (0), or several (RFC 5648)."""

    __slots__ = ("_exchanges", "_shared", "_suspects", "slots")

    def __init__(self, shared: Shared, exchanges: Exchanges, suspects: Suspects) -> None:
        self._shared = shared
        self._exchanges = exchanges
        self._suspects = suspects
        self.slots: dict[int, Slot] = {}

    @property
    def bound(self) -> bool:
        """Whether there is any binding."""
        return any(slot.bound is not None for slot in self.slots.values())

    @property
    def until(self) -> float:
        """When the last binding ends; 0: there is none."""
        return max((slot.expires for slot in self.slots.values() if slot.bound is not None), default=0.0)

    def ordered(self) -> list[Slot]:
        """The preferred one first, those that did not work a while ago last."""
        return sorted(self.slots.values(), key=lambda slot: (self._failed(slot), -slot.preference, slot.bid))

    def _failed(self, slot: Slot) -> bool:
        return slot.link is not None and slot.link.address in self._suspects

    def clear(self) -> None:
        """Forget all of it."""
        self._exchanges.cancel_all()
        self.slots.clear()

    def expire(self, now: Now) -> None:
        """RFC 6275 section 11.1: an entry whose lifetime is over is no binding."""
        for slot in list(self.slots.values()):
            if slot.bound is not None and slot.expires <= now.mono:
                slot.forget()
                self._shared.count("registration/expired")
                self._shared.notice("expired", "a binding has expired before it was extended", now)
                if slot.link is None and slot.bid:
                    self._exchanges.cancel(slot)
                    del self.slots[slot.bid]

    def assign(self, choices: list[Choice], several: bool) -> None:
        """Say which link each slot is to be on; an exchange for another link is given up."""
        if any(bool(bid) != several for bid in self.slots):
            self.clear()
        if several:
            wanted = {choice.bid: choice for choice in choices}
        else:
            self.slots.setdefault(0, Slot(0, 0))
            wanted = {0: self._settled(choices)} if choices else {}
        for bid, choice in wanted.items():
            self.slots.setdefault(bid, Slot(bid, choice.preference)).preference = choice.preference
        for slot in list(self.slots.values()):
            choice_of = wanted.get(slot.bid)
            link = choice_of.link if choice_of is not None else None
            if link != slot.link:
                slot.retry = 0.0
                slot.link = link
                self._exchanges.cancel(slot)
            if link is None and slot.bid and slot.bound is None:
                del self.slots[slot.bid]

    def _settled(self, choices: list[Choice]) -> Choice:
        """The best of them, or the one in use if that is as good."""
        best, bound = choices[0], self.slots[0].bound
        for choice in choices:
            same = choice.preference == best.preference and choice.link.address not in self._suspects
            if choice.link == bound and same:
                return choice
        return best

    def begin_wanted(self, agent: Agent, now: Now) -> None:
        """Send what is to be sent for the slots."""
        wanting = [slot for slot in self.ordered() if slot.wants(now.mono)]
        if 0 in self.slots:
            groups = [wanting] if wanting else []
        else:
            groups = self._groups(wanting, agent)
        for group in groups:
            self.begin(REGISTER, group, now)
        way = next((slot for slot in self.ordered() if slot.current), None)
        gone = [slot for slot in self.slots.values() if slot.link is None and not slot.busy]
        if way is not None and gone:
            # RFC 5648 section 5.4.
            self.begin(REMOVE, gone, now, way.link)

    def _groups(self, wanting: list[Slot], agent: Agent) -> list[list[Slot]]:
        """Which slots share an update: RFC 5648 sections 5.3, 5.9; over IPv4 none do (section 8.1).

        Neither do those that did not work a while ago: their updates go by their own ways.
        """
        bulk = self._shared.settings.bulk and agent.bulk
        fit = [slot for slot in wanting if bulk and not self._failed(slot)]
        together = [slot for slot in fit if slot.link and len(slot.link.address) == 16]
        groups = [together] if together else []
        groups += [[slot] for slot in wanting if slot not in together]
        if agent.overwrite:
            # The first one replaces all that is there, so nothing may overtake it.
            return groups[:1] if not self._exchanges.all else []
        return groups

    def begin(self, kind: str, slots: list[Slot], now: Now, link: Link | None = None) -> None:
        """Send an update and wait for the answer."""
        way = link or slots[0].link
        assert way is not None
        name = "dereg"
        if kind == REGISTER:
            moved = "handoff" if self.bound else "initial"
            name = "refresh" if all(slot.current for slot in slots) else moved
        bound = self.bound or kind in (HOME, LEAVE)
        self._exchanges.begin(kind, name, slots, way, bound, now)
