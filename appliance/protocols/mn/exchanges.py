"""Updates to the home agent that wait for an answer (RFC 6275 sections 11.7.1 and 11.8)."""

from math import inf

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.events import Link, MessageReceived
from appliance.protocols.mn.sending import packet
from appliance.protocols.mn.slots import HOME, REGISTER, Exchange, Sent, Slot
from appliance.protocols.mn.state import Backoff, Shared
from appliance.protocols.mn.updates import Clock, lifetime_of, proved, update
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.timers import Now

Match = tuple[Exchange, Sent, bytes]


class Exchanges:
    """All exchanges of a mobile node with its home agent."""

    __slots__ = ("_shared", "agent", "all", "clock", "unsure", "valid_until")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.clock = Clock()
        self.agent: Agent | None = None
        self.all: list[Exchange] = []
        #: Whether the home agent may have a binding of ours; after a start nobody knows.
        self.unsure = True
        #: Until when the home address is good, by the prefixes of the home network.
        self.valid_until = inf

    def begin(self, kind: str, name: str, slots: list[Slot], link: Link, bound: bool, now: Now) -> None:
        """Send an update, and wait for its answer; ``bound``: there is a binding already."""
        settings = self._shared.settings
        first = settings.retransmission_initial if bound else settings.retransmission_first
        backoff = Backoff(first / 1000, settings.retransmission_maximum / 1000)
        exchange = Exchange(kind, slots, link, name, backoff)
        for slot in slots:
            slot.busy = True
        self.all.append(exchange)
        self.send(exchange, now)

    def send(self, exchange: Exchange, now: Now) -> None:
        """The next transmission, as soon as the rate allows it."""
        agent, shared = self.agent, self._shared
        assert agent is not None
        allowed = agent.rate.allowed(now.mono)
        if allowed > now.mono:
            exchange.backoff.due = allowed
            return
        agent.rate.spend(now.mono)
        # RFC 6275 section 11.8: a repetition has a number of its own.
        agent.sequence = (agent.sequence + 1) & 0xFFFF
        lifetime = lifetime_of(shared, self.valid_until - now.mono) if exchange.kind == REGISTER else 0
        mh, sent = update(shared, agent, exchange, agent.sequence, lifetime, self.clock, now)
        exchange.note(agent.sequence, sent)
        for slot in exchange.slots:
            slot.sequence = agent.sequence
        self.unsure = self.unsure or exchange.kind == REGISTER
        shared.count(f"binding-update-sent/{exchange.name}{'-re-xmit' if exchange.backoff.tries else ''}")
        shared.out.append(packet(shared, agent, mh, exchange.link, at_home=exchange.kind == HOME))
        exchange.backoff.sent(now.mono)

    def about(self, slot: Slot) -> Exchange | None:
        """The exchange of a slot."""
        return next((exchange for exchange in self.all if slot in exchange.slots), None)

    def cancel(self, slot: Slot) -> None:
        """The answer of its exchange is of no interest any more."""
        exchange = self.about(slot)
        if exchange is not None:
            self.finish(exchange)

    def cancel_all(self) -> None:
        """The same of all of them."""
        for exchange in list(self.all):
            self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """It is over."""
        self.all.remove(exchange)
        for slot in exchange.slots:
            slot.busy = False

    def match(self, event: MessageReceived, message: BindingAcknowledgement) -> Match | None:
        """The transmission that is answered, and the home address that the answer is about."""
        home = self._shared.home
        if not self._shared.named:
            # The home agent has chosen one, and says it by its routing header; a denial has none.
            home = event.home or home
            if not any(home) and message.status < codes.REASON_UNSPECIFIED:
                return None
        elif home != (event.home or event.destination):
            return None
        if message.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            for exchange in self.all:
                sent = next(reversed(exchange.sent.values()), None)
                if sent and proved(self._shared, event.data, message.options, sent.care_of, home):
                    return exchange, sent, home
            return None
        for exchange in self.all:
            if message.sequence in exchange.sent:
                return exchange, exchange.sent[message.sequence], home
        return None
