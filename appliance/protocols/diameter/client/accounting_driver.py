"""Accounting on the reactor: between a mobility core, the spool's thread and a Diameter node.

::

    LMA driver ──Account──▶ AccountingClient ──Store──▶ job ──▶ spool thread: on the disk
        ◀──SessionEnds──        ▲                                   │ result
                                │Outcome                            ▼
    NodePort ◀──Submit── pump ◀── Delivery ◀──────── stored, refused, loaded
        └──Answered──▶ turn ──────▶ answered, marks ──▶ next job

Work comes in turns: each handles some answers and sends some records, then the rest of the reactor has its
turn. The disk side is :mod:`.accounting_store`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred

from appliance.protocols.diameter.client.accounting import AccountingClient, Session
from appliance.protocols.diameter.client.accounting_answers import judge
from appliance.protocols.diameter.client.accounting_events import (
    ADMIN_REBOOT,
    Finish,
    Outcome,
    Reconfigure,
    Release,
    Statistics,
    Store,
)
from appliance.protocols.diameter.client.accounting_records import DELAY_TIME, DESTINATION_HOST, RecordBuilder
from appliance.protocols.diameter.client.accounting_store import RecordStore
from appliance.protocols.diameter.client.delivery import ACKNOWLEDGED, BUSY, REFUSED, SILENT, Delivery
from appliance.protocols.diameter.client.spool_format import KINDS, Entry, route_parts
from appliance.protocols.diameter.client.spool_worker import SpoolWorker
from appliance.protocols.diameter.events import Answered, NodePort, Submit
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.driver import CoreDriver
from appliance.protocols.mobility.aaa import Account, SessionEnds, Usage
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now

ACR = 271
#: Answers that one turn handles, and records that it sends.
TURN = 48
#: What a turn may take of the time that others have had since the last one, once that is more than this many
#: seconds; and how many records it sends all the same. Signalling comes before records that can wait.
SHARE, QUIET_LOOP, LEAST = 0.015, 0.0003, 1
#: How long a service that ends waits for its last records to be delivered, and how often it looks, seconds.
LAST_WORDS, LOOK = 2.0, 0.01
#: Seconds between two log lines about answers that refuse records.
QUIET = 60.0
#: Routes that are remembered in their parts.
MOST_ROUTES = 1_000


@define(slots=True, frozen=True)
class Tried:
    """What came of ``test aaa accounting``."""

    code: int
    """Result-Code; 0: there was none."""
    reason: str
    """Why there was none."""
    peer: str
    seconds: float


class AccountingDriver:
    """The accounting of one service.

    ``settings``: the AAA group; ``node``: the endpoint of its accounting; ``folder``: directory of the spool,
    for this service only; ``usage(call_id)``: counts of the tunnel engine, also from before a pause;
    ``ends``: takes a :class:`SessionEnds` for the mobility core; ``tell``: takes a :class:`Notify`;
    ``random_bits(n)``: chance; ``label``: name of the service, for Session-Ids; ``state_id``: Origin-State-Id
    of the node; ``end_to_end``: of :func:`end_to_end_ids`, one for all services of a node; ``worker``: runs
    the spool.
    """

    def __init__(
        self,
        reactor: Any,
        clock: Callable[[], Now],
        settings: GroupSettings,
        node: NodePort,
        folder: Path,
        usage: Callable[[int], Usage],
        ends: Callable[[SessionEnds], object],
        tell: Callable[[Notify], object],
        random_bits: Callable[[int], int],
        label: str = "acct",
        state_id: int = 0,
        end_to_end: Callable[[], int] | None = None,
        worker: Any = None,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._settings = settings
        self._node = node
        self._tell = tell
        self._random_bits = random_bits
        builder = RecordBuilder(node.identity, node.realm, settings.accounting.application, state_id)
        ids = end_to_end or end_to_end_ids(clock, random_bits)
        self.core = AccountingClient(settings, builder, usage, random_bits, ids, label)
        self.store = RecordStore(
            reactor,
            clock,
            worker or SpoolWorker(reactor, folder, settings.spool_limit),
            self._make_delivery,
            self.core,
            lambda event: self._loop.feed(event),
            self._soon,
            tell,
        )
        self._loop = CoreDriver(
            reactor,
            clock,
            self.core,
            {
                Store: lambda effect: self.store.put(effect.entry),
                Release: lambda effect: self.store.release(effect.serial),
                SessionEnds: ends,
                Notify: tell,
            },
        )
        self._tries = {BUSY: 0, SILENT: 0}
        self._routes: dict[bytes, tuple[int, str, str]] = {}
        self._answers: deque[tuple[int, Answered]] = deque()
        self._said: dict[int, tuple[int | None, int | None]] = {}
        self._refusals_told = -QUIET
        self._turn_call: Any = None
        self._turn_end = 0.0
        #: What a record costs a turn, seconds: a running mean.
        self._cost = 50e-6
        self._look_call: Any = None
        self._unwatch: Callable[[], None] = lambda: None
        self._stopping: Deferred[None] | None = None
        self._stop_by = 0.0

    def _make_delivery(self, boundary: int, last: int) -> Delivery:
        retries = self._settings.accounting.max_retries
        return Delivery(self._usable, boundary, last, retries, lambda: self._random_bits(16) / 65536)

    # ---- life

    def start(self) -> Deferred[None]:
        """Take the spool; fails with ResourceError. What waits in it is delivered from now on."""
        return self.store.start().addCallback(self._started)

    def _started(self, _nothing: None) -> None:
        self._unwatch = self._node.on_usable(self._peers_came)
        self._soon()

    def account(self, event: Account) -> None:
        """Take what a mobility core says; after :meth:`start` has fired."""
        self._loop.feed(event)

    def reconfigure(self, settings: GroupSettings) -> None:
        """Go on with other settings of the AAA group; its endpoint is the same."""
        self._settings = settings
        self.store.delivery.retries = settings.accounting.max_retries
        self.store.limit(settings.spool_limit)
        self._loop.feed(Reconfigure(settings))

    def stop(self, cause: int = ADMIN_REBOOT) -> Deferred[None]:
        """End: open sessions get their STOP with ``cause``, and all that waits is on the disk.

        Fires when the spool is closed. The node should still run: the last records are delivered if a server
        takes them at once. The tunnels have to be there still, for their counters.
        """
        if self._stopping is None:
            self._stopping = Deferred()
            self._stop_by = self._clock().mono + LAST_WORDS
            self._ending(cause)
        return self._stopping

    def _ending(self, cause: int) -> None:
        self._loop.feed(Finish(cause))
        store = self.store
        if self.core.sessions and store.open:
            self._reactor.callLater(0, self._ending, cause)
            return
        delivery = store.delivery
        sending = delivery.flying or delivery.can_send or delivery.hungry or self._answers
        if store.open and (store.unsettled or (sending and self._clock().mono < self._stop_by)):
            self._reactor.callLater(LOOK, self._ending, cause)
            return
        self._unwatch()
        self._loop.stop()
        closed = store.close()
        for call in (self._turn_call, self._look_call):
            if call is not None and call.active():
                call.cancel()
        assert self._stopping is not None
        closed.chainDeferred(self._stopping)

    # ---- turns

    def _soon(self) -> None:
        """Have a turn."""
        if self._turn_call is None and self.store.open:
            self._turn_call = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        self._turn_call = None
        now = self._clock().mono
        delivery, answers = self.store.delivery, self._answers
        most = self._allowance(now)
        judged = min(TURN, len(answers))
        for _ in range(judged):
            self._judge(*answers.popleft(), now)
        deadline = delivery.deadline
        if deadline is not None and deadline <= now:
            delivery.look(now)
        delivery.pump(now, most)
        sends, delivery.sends = delivery.sends, []
        for entry, repeated in sends:
            self._send(entry, repeated)
        self._tell_core()
        self._turn_end = self._clock().mono
        if done := judged + len(sends):
            self._cost += ((self._turn_end - now) / done - self._cost) / 16
        if answers or (sends and delivery.can_send):
            self._soon()
        self.store.kick()
        self._watch(now)

    def _allowance(self, now: float) -> int:
        """How many records this turn sends: fewer while the loop is busy with other things.

        To receive an answer costs the loop about as much as it costs a turn, and is no work of others.
        """
        others = now - self._turn_end - len(self._answers) * self._cost
        if not QUIET_LOOP < others < 1.0:
            return TURN
        return min(TURN, max(LEAST, int(SHARE * others / self._cost)))

    def _tell_core(self) -> None:
        """What became of records, to the sessions that they are of."""
        delivery = self.store.delivery
        outcomes, delivery.outcomes = delivery.outcomes, []
        for entry, what in outcomes:
            interval, realtime = self._said.pop(entry.serial, (None, None))
            self._loop.feed(Outcome(entry, what, interval, realtime))

    def _watch(self, now: float) -> None:
        """Have a turn when a route without a server is to be tried again."""
        deadline = self.store.delivery.deadline
        call = self._look_call
        if call is not None and call.active():
            if deadline is not None and abs(call.getTime() - self._reactor.seconds() - deadline + now) < LOOK:
                return
            call.cancel()
        self._look_call = None
        if deadline is not None and self.store.open:
            self._look_call = self._reactor.callLater(max(0.0, deadline - now), self._soon)

    def _peers_came(self) -> None:
        self.store.delivery.wake(self._clock().mono)
        self._soon()

    def _usable(self, route: bytes) -> bool:
        application, realm, _ = self._parts(route)
        return self._node.usable(realm, application, True)

    def _parts(self, route: bytes) -> tuple[int, str, str]:
        parts = self._routes.get(route)
        if parts is None:
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            parts = self._routes[route] = route_parts(route)
        return parts

    def _send(self, entry: Entry, repeated: bool) -> None:
        application, realm, host = self._parts(entry.route)
        group = self._settings.accounting
        avps = entry.body
        if not host and len(group.servers) == 1:
            host = group.servers[0].host
        if entry.tries > group.max_retries:
            # That server has had its chances: any one of the realm is better than none.
            host = ""
        if host:
            avps += DESTINATION_HOST.encode(host)
        waited = int(self._clock().wall - entry.made)
        if waited > 0:
            avps += DELAY_TIME.encode(min(waited, 0xFFFFFFFF))
        count = self.store.counts[entry.kind]
        count.sent += 1
        count.repeated += repeated
        submit = self._submit(application, avps, realm, host)
        submit.end_to_end, submit.repeated = entry.end_to_end, repeated
        serial = entry.serial
        self._node.send(submit, lambda answered: self._answered(serial, answered))

    def _submit(self, application: int, avps: bytes, realm: str, host: str) -> Submit:
        group = self._settings.accounting
        prefer = tuple((server.host, server.priority) for server in group.servers)
        return Submit(
            ACR, application, avps, realm, host, group.request_timeout, accounting=True, prefer=prefer
        )

    def _answered(self, serial: int, answered: Answered) -> None:
        if self.store.open:
            self._answers.append((serial, answered))
            self._soon()

    def _judge(self, serial: int, answered: Answered, now: float) -> None:
        entry = self.store.delivery.flying[serial]
        how, code, interval, realtime = judge(answered)
        count = self.store.counts[entry.kind]
        if how == ACKNOWLEDGED:
            count.acknowledged += 1
            if entry.call_id and (interval is not None or realtime is not None):
                self._said[serial] = interval, realtime
        elif how == REFUSED:
            count.refused += 1
            self._refusal(entry, code, answered.peer, now)
        elif how in self._tries:
            self._tries[how] += 1
        self.store.delivery.answered(serial, how, now)

    def _refusal(self, entry: Entry, code: int, peer: str, now: float) -> None:
        if now - self._refusals_told >= QUIET:
            self._refusals_told = now
            kind, session = KINDS[entry.kind], entry.key.decode("utf-8", "backslashreplace")
            text = f"accounting: {kind} record of session {session} is refused with {code} by way of {peer}"
            self._tell(Notify("warning", text))

    # ---- what the shell asks

    def test(self, user: bytes, local: bytes) -> Deferred[Tried]:
        """Send one EVENT record for a user name, not stored; ``local``: address of the service."""
        begun = self._clock()
        body, application, realm = self.core.test_record(user, local, begun)
        done: Deferred[Tried] = Deferred()

        def answered(answer: Answered) -> None:
            code = judge(answer)[1]
            reason = answer.reason or ("" if code else "the answer has no Result-Code")
            done.callback(Tried(code, reason, answer.peer, self._clock().mono - begun.mono))

        self._node.send(self._submit(application, body, realm, ""), answered)
        return done

    def sessions(self) -> Iterator[Session]:
        """The sessions that are accounted now."""
        return iter(list(self.core.sessions.values()))

    def statistics(self) -> Statistics:
        """What has become of the records, as of now."""
        store = self.store
        delivery, state, waiting = store.delivery, store.state, store.waiting()
        made = Statistics(
            kinds={KINDS[kind]: count for kind, count in store.counts.items()},
            sessions=len(self.core.sessions),
            waiting=sum(waiting),
            waiting_kinds={name: waiting[kind] for kind, name in KINDS.items()},
            spool_limit=self._settings.spool_limit,
            under_way=len(delivery.flying),
            in_memory_only=len(delivery.unstored),
            busy=self._tries[BUSY],
            unanswered=self._tries[SILENT],
            ended_by_policy=self.core.ended_by_policy,
            left_behind=self.core.left_behind,
            full=store.full,
        )
        made.counted = state is not None and state.counted and not state.more_left
        if state is not None:
            made.waiting_octets = state.octets
            made.oldest = min(filter(None, (state.oldest, delivery.oldest())), default=0.0)
        now = self._clock().mono
        for lane in delivery.lanes.values():
            _, realm, host = self._parts(lane.route) if lane.route else (0, "others", "")
            how = f"down, next try in {max(0, round(lane.until - now))} s" if lane.down else "up"
            made.routes.append((realm, host, how))
        return made


def end_to_end_ids(clock: Callable[[], Now], random_bits: Callable[[int], int]) -> Callable[[], int]:
    """End-to-End Ids (RFC 6733 section 3): 12 bits of the time, 20 random ones, then counting.

    The node's own ids begin with the same 12 bits but one; so they are half of all numbers away.
    """
    latest = ((int(clock().wall) & 0xFFF) ^ 0x800) << 20 | random_bits(20)

    def next_id() -> int:
        nonlocal latest
        latest = (latest + 1) & 0xFFFFFFFF or 1
        return latest

    return next_id
