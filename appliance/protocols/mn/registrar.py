"""The registration of a mobile node: made, kept, moved and taken away.

::

    links, time, answers, orders ─▶ review: what is wanted is compared with what there is
        away from home   AWAY: a slot that is not bound, or due ─▶ exchange ─▶ bound, or denied
        at home          RETURNING: lifetime 0 from the home address (RFC 6275 section 11.5.5) ─▶ AT_HOME
        not wanted       LEAVING: lifetime 0 ─▶ STOPPED

An exchange goes on until it is answered or its care-of address is not wanted (RFC 6275 section 11.8).
"""

from appliance.protocols.mn import denials
from appliance.protocols.mn.agents import Agents
from appliance.protocols.mn.bindings import Bindings
from appliance.protocols.mn.care_of import Suspects, choose
from appliance.protocols.mn.denials import Denial
from appliance.protocols.mn.events import AtHome, Link, MessageReceived
from appliance.protocols.mn.exchanges import Exchanges
from appliance.protocols.mn.grants import bind, take_ipv4
from appliance.protocols.mn.slots import HOME, LEAVE, REGISTER, REMOVE, Exchange, Sent, Slot
from appliance.protocols.mn.state import Shared
from appliance.protocols.mn.tunnels import Surroundings
from appliance.protocols.mn.updates import Answer, proved, read
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BA_R, BU_R, BindingAcknowledgement
from appliance.protocols.timers import Now

AWAY, RETURNING, AT_HOME, LEAVING, STOPPED = "away", "returning", "at home", "leaving", "stopped"
#: RFC 5555 section 4.4.1: unanswered updates after which another address is tried.
ATTEMPTS = 3
#: Changes in a row because of denials; then there is a pause.
FIXES_AT_ONCE = 6
_DISCARDED = "binding-acknowledgement-discarded/"


class Registrar:
    """The dealings with home agents, one at a time."""

    def __init__(self, shared: Shared, agents: Agents, surroundings: Surroundings) -> None:
        self._shared = shared
        self._agents = agents
        self._around = surroundings
        self._suspects = Suspects()
        self.exchanges = Exchanges(shared)
        self.bindings = Bindings(shared, self.exchanges, self._suspects)
        self._hold = 0.0
        self._fixes = 0
        #: Home agents that have refused us one after the other.
        self._turns = 0
        #: Whom to turn to when the current home agent has let go; empty: the next one.
        self._heirs: list[bytes] | None = None
        #: The link on which we are at home, or about to be.
        self._home_link: Link | None = None
        self.stage = AWAY
        #: True: an operator wants no registration.
        self.down = False
        #: Why no update is sent any more; empty: that is not so.
        self.refused = ""
        #: When :meth:`tick` is wanted.
        self.deadline: float | None = None
        #: The home agent wants us to learn the prefixes of the home network (status 1).
        self.prefixes_wanted = False

    @property
    def care_of(self) -> Link | None:
        """The IPv6 care-of address in use, that the home agent knows."""
        for slot in self.bindings.ordered():
            if slot.current and slot.link is not None and len(slot.link.address) == 16:
                return slot.link
        return None

    @property
    def place(self) -> Link | None:
        """The same, or one of IPv4 if there is no other."""
        known = (slot.link for slot in self.bindings.ordered() if slot.current)
        return self.care_of or next(known, None)

    def state(self) -> str:
        """A word or two for an operator."""
        if self.stage != AWAY:
            return self.stage
        if self.refused:
            return "refused"
        if self.bindings.bound:
            return "registered"
        if self._agents.current is None:
            return "discovering"
        return "registering" if any(slot.link for slot in self.bindings.slots.values()) else "no link"

    # ---- what is wanted

    def review(self, now: Now) -> None:
        """Do what is wanted and not done."""
        self._suspects.expire(now.mono)
        self.bindings.expire(now)
        agent = self.exchanges.agent
        if agent is not None and not self.bindings.bound:
            agent.overwrite = True
        if self.down or self._shared.settings.shutdown:
            self._go_down(now)
        elif self._shared.home_link is not None:
            self._go_home(self._shared.home_link, now)
        else:
            self._go_away(now)
        if self.stage != AWAY:
            self._agents.pause()
        away = self.stage in (AWAY, LEAVING)
        self._around.follow(self.bindings.ordered(), self.exchanges.agent, away)
        self._schedule(now)

    def _schedule(self, now: Now) -> None:
        later = [self._hold, self._suspects.deadline or 0.0]
        later += [time for slot in self.bindings.slots.values() for time in slot.times()]
        times = [exchange.backoff.due for exchange in self.exchanges.all]
        self.deadline = min([*times, *(time for time in later if time > now.mono)], default=None)

    def _go_away(self, now: Now) -> None:
        if self.stage != AWAY:
            if self.stage in (RETURNING, AT_HOME):
                self._shared.out.append(AtHome(""))
            # What was de-registered, or about to be, is to be made anew.
            self.bindings.clear()
            self.stage = AWAY
        if self.refused or self._heirs is not None:
            return
        self._agents.discover(now)
        agent = self._agents.current
        if agent is not self.exchanges.agent:
            self.bindings.clear()
            self.exchanges.agent, self._hold, self._fixes = agent, 0.0, 0
        if agent is None or now.mono < self._hold:
            return
        several = self._shared.settings.multiple_care_of and agent.several
        self.bindings.assign(choose(self._shared, agent, self._suspects), several)
        self.bindings.begin_wanted(agent, now)

    def _go_home(self, link: Link, now: Now) -> None:
        """RFC 6275 section 11.5.5."""
        shared = self._shared
        if self.stage in (RETURNING, AT_HOME):
            if link != self._home_link and shared.named:
                # Another interface on the same link; the update goes on.
                advertise = self.stage == AT_HOME
                shared.out.append(AtHome(link.interface, shared.home, advertise))
            self._home_link = link
            for exchange in self.exchanges.all:
                exchange.link = link
            return
        self.exchanges.cancel_all()
        self._heirs = None
        self.stage, self._home_link = RETURNING, link
        if self.exchanges.agent is None:
            self.exchanges.agent = self._agents.current
        if self.exchanges.agent is None or not self.exchanges.unsure or not shared.named:
            self._arrived()
            return
        shared.out.append(AtHome(link.interface, shared.home))
        self.bindings.begin(HOME, [], now, link)

    def _arrived(self) -> None:
        """The home agent lets us have the address, or has nothing of ours."""
        shared = self._shared
        self.bindings.clear()
        if self.stage != AT_HOME:
            shared.notify("info", "the mobile node is at home")
        self.stage, self.refused = AT_HOME, ""
        self.exchanges.unsure = False
        shared.home_ipv4 = b""
        if shared.named and self._home_link is not None:
            shared.out.append(AtHome(self._home_link.interface, shared.home, advertise=True))

    def _go_down(self, now: Now) -> None:
        if self.stage in (LEAVING, STOPPED):
            return
        self._heirs = None
        home = self.stage in (RETURNING, AT_HOME)
        if home:
            self._shared.out.append(AtHome(""))
        if not home and self._leave(now):
            self.stage = LEAVING
        else:
            self._stop()

    def _stop(self) -> None:
        self.bindings.clear()
        self.stage = STOPPED
        self._shared.home_ipv4 = b""

    def _leave(self, now: Now) -> bool:
        """De-register everything; False: there is nothing, or no way."""
        agent = self.exchanges.agent
        if agent is None or not self.exchanges.unsure or not self._shared.named:
            return False
        choices = choose(self._shared, agent, self._suspects)
        if not choices:
            return False
        self.exchanges.cancel_all()
        self.bindings.begin(LEAVE, [], now, choices[0].link)
        return True

    # ---- silence

    def tick(self, now: Now) -> None:
        """Repeat what was not answered."""
        for exchange in list(self.exchanges.all):
            if exchange in self.exchanges.all and exchange.backoff.due <= now.mono:
                self._overdue(exchange, now)

    def _overdue(self, exchange: Exchange, now: Now) -> None:
        """Nothing has come back in time, or the rate did not allow it before."""
        shared, tries = self._shared, exchange.backoff.tries
        most = shared.settings.max_retransmissions
        if exchange.kind in (LEAVE, REMOVE) and tries > ATTEMPTS:
            self.exchanges.finish(exchange)
            self._gone(exchange, now)
            return
        if exchange.kind == HOME and tries > most and self.bindings.until <= now.mono:
            self.exchanges.finish(exchange)
            self._arrived()
            return
        if exchange.kind == REGISTER:
            if tries == ATTEMPTS and exchange.link.address not in self._suspects:
                self._suspects.add(exchange.link.address, now.mono + shared.settings.retry_interval)
                if exchange.slots[0].bid:
                    # The others, or those behind it, do not wait for this way.
                    self.exchanges.finish(exchange)
                self.review(now)
            elif tries > most and self._turn():
                self.review(now)
        if exchange in self.exchanges.all and exchange.backoff.due <= now.mono:
            self.exchanges.send(exchange, now)

    def _turn(self) -> bool:
        """Ask another home agent (RFC 6275 sections 11.4.1 and 11.7.1); False: there is none."""
        settings = self._shared.settings
        if self._agents.next():
            return True
        if not settings.home_agent and not settings.home_agents:
            # RFC 6275 section 11.4.1: discover anew.
            self._agents.replace([])
            return True
        return False

    def _gone(self, exchange: Exchange, now: Now) -> None:
        """A de-registration has ended."""
        if exchange.kind == REMOVE:
            for slot in exchange.slots:
                slot.forget()
                if slot.link is None:
                    self.bindings.slots.pop(slot.bid, None)
            return
        self.exchanges.unsure = False
        self.bindings.clear()
        if self.stage == LEAVING:
            self._stop()
        elif self._heirs is not None:
            heirs, self._heirs = self._heirs, None
            self._inherit(heirs, now)

    def _inherit(self, heirs: list[bytes], now: Now) -> None:
        if heirs:
            self._agents.replace(heirs)
        elif not self._turn():
            self._hold = now.mono + self._shared.settings.retry_interval

    def switch(self, heirs: list[bytes], now: Now) -> None:
        """Leave the home agent for another one; empty: the next one that is known, or discovered."""
        self._heirs = heirs
        if not self._leave(now):
            self._heirs = None
            self.bindings.clear()
            self._inherit(heirs, now)

    # ---- answers

    def answered(
        self, event: MessageReceived, message: BindingAcknowledgement, faulty: bool, now: Now
    ) -> None:
        """An acknowledgement of the home agent (RFC 6275 section 11.7.3)."""
        shared = self._shared
        found = self.exchanges.match(event, message)
        if faulty or found is None:
            shared.count(_DISCARDED + ("malformed" if faulty else "no-matching-request"))
            if found is None and message.status < codes.REASON_UNSPECIFIED and message.lifetime:
                self._overtaken(now)
            return
        exchange, sent, home = found
        answer = read(message)
        resync = message.status in (codes.MIPV6_ID_MISMATCH, codes.SEQUENCE_NUMBER_OUT_OF_WINDOW)
        if sent.mesg_id and not resync and answer.mesg_id != sent.mesg_id:
            # RFC 4285 section 6.
            shared.count(_DISCARDED + "mesg-id-mismatch")
            return
        if not proved(shared, event.data, message.options, sent.care_of, home):
            shared.count(_DISCARDED + "authentication-failed")
            text = f"an answer of the home agent is not authentic: {denials.name_of(message.status)}"
            shared.notice("authentication", text, now)
            return
        accepted = message.status < codes.REASON_UNSPECIFIED
        shared.count("binding-acknowledgement-rcvd/" + ("accepted" if accepted else "denied"))
        if not accepted:
            self._count_denial(message.status)
        if message.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            self._resequence(exchange, message.sequence, now)
            return
        self.exchanges.finish(exchange)
        if exchange.kind == REGISTER and accepted:
            shared.home = home
            self._accepted(exchange, sent, message, answer, now)
        elif exchange.kind == REGISTER or message.status in denials.FIXES:
            self._denied(exchange, sent, message.status, answer, now)
        elif exchange.kind == HOME:
            shared.count("registration/returned-home")
            self._arrived()
        else:
            shared.count("registration/deregistered")
            self._gone(exchange, now)

    def _overtaken(self, now: Now) -> None:
        """An update that we had given up was accepted after the one that took the binding away.

        Whoever says so: it is taken away once more.
        """
        if self.exchanges.all or self.exchanges.agent is None:
            return
        if self.stage == AT_HOME and self._home_link is not None:
            self.bindings.begin(HOME, [], now, self._home_link)
        elif self.stage == STOPPED:
            self.exchanges.unsure = True
            if self._leave(now):
                self.stage = LEAVING

    def _count_denial(self, status: int) -> None:
        key = self._shared.counters.table.status_key("denied-by-home-agent", status)
        self._shared.count(key or "denied-by-home-agent/other")

    def _resequence(self, exchange: Exchange, last: int, now: Now) -> None:
        """RFC 6275 section 11.7.3: go on behind the last number that the home agent has accepted."""
        agent = self.exchanges.agent
        assert agent is not None
        if last == agent.sequence:
            # It has accepted the last one: its answer is on the way.
            return
        agent.sequence = last
        exchange.sent.clear()
        self._fixes += 1
        if self._fixes <= FIXES_AT_ONCE:
            self.exchanges.send(exchange, now)

    def _accepted(
        self, exchange: Exchange, sent: Sent, message: BindingAcknowledgement, answer: Answer, now: Now
    ) -> None:
        shared, agent = self._shared, self.exchanges.agent
        assert agent is not None
        self._fixes = self._turns = 0
        agent.prove = False
        if exchange.slots[0].bid and not answer.identifiers:
            # RFC 5648 section 5.7: it does not know the option, and has a plain binding.
            agent.several = False
            return
        if exchange.slots[0].bid:
            agent.overwrite = False
        statuses = dict(answer.identifiers)
        for slot in exchange.slots:
            status = slot.status = statuses.get(slot.bid, 0) or message.status
            if status >= codes.REASON_UNSPECIFIED:
                self._denied_one(exchange, slot, sent, answer, now)
            elif bind(shared, agent, slot, sent, message, answer, now) and slot.link is not None:
                self._suspects.drop(slot.link.address)
        take_ipv4(shared, answer, now)
        if message.status == codes.ACCEPTED_PREFIX_DISCOVERY_NECESSARY:
            self.prefixes_wanted = True
        if sent.flags & BU_R and not message.flags & BA_R:
            # RFC 3963 section 5.3.
            shared.notice("router", "the home agent does not support mobile routers", now)
            agent.router = False
            self._try_next(now)

    def _denied(self, exchange: Exchange, sent: Sent, status: int, answer: Answer, now: Now) -> None:
        """The update as a whole was refused."""
        shared, agent = self._shared, self.exchanges.agent
        assert agent is not None
        for slot in exchange.slots:
            slot.status = status
        denial = Denial(shared, agent, exchange, sent, answer, self.exchanges.clock, now)
        action = denials.verdict(denial, status, self._agents.others)
        text = f"the home agent has refused an update: {denials.name_of(status)}"
        shared.notice("denied", text, now)
        if action == denials.AGAIN and self._fixes < FIXES_AT_ONCE:
            self._fixes += 1
            if exchange.kind != REGISTER:
                self.bindings.begin(exchange.kind, exchange.slots, now, exchange.link)
        elif exchange.kind == HOME:
            self._arrived()
        elif exchange.kind != REGISTER:
            self._gone(exchange, now)
        else:
            self._fixes = 0
            self._leave_alone(exchange, action, status, now)

    def _leave_alone(self, exchange: Exchange, action: str, status: int, now: Now) -> None:
        """The update is of no use as it is."""
        shared = self._shared
        pause = now.mono + shared.settings.retry_interval
        if action == denials.STOP:
            self.refused = denials.name_of(status)
            shared.notify("error", f"nothing is sent any more until 'register': {self.refused}")
            if status == codes.DUPLICATE_ADDRESS_DETECTION_FAILED:
                # RFC 6275 section 11.7.1: it is another's address.
                self.bindings.clear()
        elif action == denials.ELSEWHERE:
            self._suspects.add(exchange.link.address, pause)
            for slot in exchange.slots:
                slot.retry = pause
        elif action != denials.NEXT or not self._try_next(now):
            self._hold = pause

    def _try_next(self, now: Now) -> bool:
        """Go to another home agent, once round them; False: all have been asked."""
        self._turns += 1
        if self._turns >= len(self._agents.known):
            self._turns = 0
            return False
        # Who has refused the only update has no binding that would have to be taken away.
        self.exchanges.unsure = self.bindings.bound
        self.switch([], now)
        return True

    def _denied_one(self, exchange: Exchange, slot: Slot, sent: Sent, answer: Answer, now: Now) -> None:
        """One of several care-of addresses was refused (RFC 5648 section 5.7)."""
        shared, agent, status = self._shared, self.exchanges.agent, slot.status
        assert agent is not None
        self._count_denial(status)
        slot.forget()
        alone = Exchange(exchange.kind, [slot], exchange.link, exchange.name, exchange.backoff)
        denial = Denial(shared, agent, alone, sent, answer, self.exchanges.clock, now)
        if denials.verdict(denial, status, others=False) != denials.AGAIN or self._fixes >= FIXES_AT_ONCE:
            slot.retry = now.mono + shared.settings.retry_interval
        self._fixes += 1
        text = f"the home agent has refused care-of address {slot.bid}: {denials.name_of(status)}"
        shared.notice("denied-one", text, now)

    # ---- orders

    def moved(self) -> None:
        """There are other links: what was refused on the former ones may work."""
        self._hold = 0.0

    def revoked(self, bids: list[int], now: Now) -> None:
        """The home agent has taken bindings back; empty: all of them (RFC 5846 section 10)."""
        slots = self.bindings.slots
        pause = now.mono + self._shared.settings.retry_interval
        for slot in [slots[bid] for bid in bids if bid in slots] if bids else list(slots.values()):
            self.exchanges.cancel(slot)
            slot.forget()
            slot.retry = pause
        if not self.bindings.bound:
            self._hold = pause
            self.exchanges.unsure = False

    def refresh(self, now: Now) -> None:
        """Send an update for everything now."""
        for slot in self.bindings.slots.values():
            slot.refresh = now.mono

    def register(self, now: Now) -> None:
        """Begin anew, whatever was before."""
        self.down, self.refused, self._hold, self._fixes = False, "", 0.0, 0
        self._shared.ipv4_revoked = False
        for slot in self.bindings.slots.values():
            slot.retry = 0.0
        self.refresh(now)

    def unsupported(self, now: Now) -> None:
        """The home agent does not know the Mobility Header; of one that has bound us nobody believes it."""
        if self.bindings.bound:
            return
        if self.stage != AWAY or not any(each.kind == REGISTER for each in self.exchanges.all):
            return
        self._shared.notice("foreign", "the home agent does not know Mobile IPv6", now)
        self.exchanges.cancel_all()
        if not self._try_next(now):
            self._hold = now.mono + self._shared.settings.retry_interval

    def quoted(self, mh: bytes) -> bool:
        """Whether an error quotes an update that waits for its answer."""
        sequence = int.from_bytes(mh[6:8], "big")
        return len(mh) >= 8 and any(sequence in exchange.sent for exchange in self.exchanges.all)

    def abandon(self) -> None:
        """There is no time to wait for an answer: what was sent was sent."""
        self._stop()
        self._around.follow([], None, away=False)
