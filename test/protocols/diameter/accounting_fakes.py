"""A node with a server behind it that can be up, down, silent or refusing; a spool without a thread.

The server keeps each record once, told by Session-Id, Accounting-Sub-Session-Id, Accounting-Record-Number and
Accounting-Record-Type, in the order of coming.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from appliance.errors import ResourceError
from appliance.protocols.diameter.client.accounting_driver import AccountingDriver
from appliance.protocols.diameter.client.spool import Spool
from appliance.protocols.diameter.client.spool_worker import Job, Opened, Result, failed, perform
from appliance.protocols.diameter.events import NO_PEER, TIMEOUT, Answered, Submit
from appliance.protocols.diameter.message.codec import RETRANSMITTED, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.settings import GroupSettings, ServerGroup
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account, Grant, SessionEnds, Subject, Usage
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now

_D = standard()
EPOCH = 1_795_417_200.0
LMA = bytes.fromhex("20010db8000100000000000000000001")
REQUEST = 0xC0


def subject(number: int = 1, **changes: Any) -> Subject:
    """A mobility session; each number another mobile node."""
    values: dict[str, Any] = {
        "call_id": number,
        "mn_id": b"mn%d@home.example" % number,
        "local": LMA,
        "care_of": bytes.fromhex("20010db8009900000000000000000010"),
        "prefixes": ((bytes.fromhex("20010db8") + number.to_bytes(4, "big") + bytes(8), 64),),
        "ipv4_address": b"\x0a\x00" + number.to_bytes(2, "big"),
        "link_layer": bytes.fromhex("002332c97938"),
        "technology": 4,
        "service": b"internet",
        "created": EPOCH,
    }
    values.update(changes)
    return Subject(**values)


class FakeServer:
    """Takes requests as octets, answers with octets, and keeps records once."""

    def __init__(self) -> None:
        self.records: list[Message] = []
        self.keys: Counter[tuple[Any, ...]] = Counter()
        self.seen: list[Message] = []
        self.results: list[int] = []
        """Result-Codes of the next answers; then 2001."""
        self.extra = b""

    def answer(self, request: Message) -> Message:
        """Take a record, and answer."""
        self.seen.append(request)
        result = self.results.pop(0) if self.results else 2001
        if result == 2001:
            key = (
                request.first(_D["Session-Id"]),
                request.first(_D["Accounting-Sub-Session-Id"]),
                request.first(_D["Accounting-Record-Number"]),
                request.first(_D["Accounting-Record-Type"]),
            )
            self.keys[key] += 1
            if self.keys[key] == 1:
                self.records.append(request)
        return Message(request.answer(result, "aaa1.home.example", "home.example", self.extra))

    def stored(self) -> list[tuple[str, int, int]]:
        """Session-Id, number and type of each record that was kept."""
        return [
            (
                each.first(_D["Session-Id"]),
                each.first(_D["Accounting-Record-Number"]),
                each.first(_D["Accounting-Record-Type"]),
            )
            for each in self.records
        ]


class FakeNode:
    """A NodePort whose peers are as ``mode`` says: ``up``, ``down``, ``silent`` (takes, never answers) or
    ``deaf`` (takes what the server then stores, but no answer comes back)."""

    identity = "lma1.home.example"
    realm = "home.example"

    def __init__(self, clock: Clock, server: FakeServer) -> None:
        self.clock = clock
        self.server = server
        self.mode = "up"
        self.down_realms: set[str] = set()
        self.submits: list[Submit] = []
        self.held: list[tuple[Submit, Callable[[Answered], None]]] = []
        self.hold = False
        self.lived = True
        self._told: list[Callable[[], None]] = []

    def serve(self, application: Any) -> None:
        raise AssertionError("a client serves nothing")

    def withdraw(self, application: Any) -> None:
        raise AssertionError("a client serves nothing")

    def cancel(self, number: int) -> None:
        raise AssertionError("records are not cancelled")

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        return self.mode != "down" and realm not in self.down_realms

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        self._told.append(told)
        return lambda: self._told.remove(told)

    def become(self, mode: str) -> None:
        """Change the mode; those who want to know hear of a peer that comes."""
        self.mode = mode
        if mode != "down":
            for told in list(self._told):
                told()

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        self.submits.append(submit)
        self.held.append((submit, done))
        if not self.hold:
            self.clock.callLater(0, self.let_go)
        return len(self.submits)

    def let_go(self) -> None:
        """Answer everything that is held."""
        held, self.held = self.held, []
        for submit, done in held:
            self.settle(submit, done)

    def settle(self, submit: Submit, done: Callable[[Answered], None]) -> None:
        """Let one request have its fate."""
        if not self.lived:
            return
        if self.mode == "down" or submit.realm in self.down_realms:
            done(Answered(None, NO_PEER))
            return
        if self.mode == "silent":
            self.clock.callLater(submit.timeout, done, Answered(None, TIMEOUT))
            return
        flags = REQUEST | (RETRANSMITTED if submit.repeated else 0)
        data = frame(submit.code, submit.application, flags, 1, submit.end_to_end, submit.avps)
        message = self.server.answer(Message(data))
        if self.mode == "deaf":
            self.clock.callLater(submit.timeout, done, Answered(None, TIMEOUT))
        else:
            done(Answered(message, "", "aaa1.home.example", submit.end_to_end))


class InlineWorker:
    """Does the jobs of a spool on the same thread, at the next turn of the clock."""

    def __init__(self, clock: Clock, folder: Path, limit: int, segment_size: int = 1 << 16) -> None:
        self.clock = clock
        self.spool = Spool(folder, limit, segment_size)
        self.jobs: list[Job] = []
        self.queue: list[Job] = []
        """Submitted, and not begun."""
        self.lives = True
        self.broken: Exception | None = None

    def start(self) -> Deferred[Opened]:
        try:
            self.spool.open()
        except ResourceError as error:
            return fail(error)
        return succeed(Opened(self.spool.boundary, self.spool.last, self.spool.alive_until))

    def submit(self, job: Job, done: Callable[[Result], object]) -> None:
        self.queue.append(job)
        self.clock.callLater(0, self._work, job, done)

    def _work(self, job: Job, done: Callable[[Result], object]) -> None:
        if self.lives:
            self.queue.remove(job)
            self.jobs.append(job)
            if self.broken is not None:
                done(failed(self.spool, job, self.broken))
            else:
                done(perform(self.spool, job))

    def die(self) -> None:
        """As kill -9 would do it: nothing more is written, the lock goes with the process."""
        self.lives = False
        for descriptor in (self.spool._output, self.spool._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self.spool._output = self.spool._lock = -1
        self.spool._current = None

    def stop(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.clock.callLater(0, self._stop, done)
        return done

    def _stop(self, done: Deferred[None]) -> None:
        self.spool.close()
        done.callback(None)


class Rig:
    """A driver with everything round it; :meth:`restart` is a new process with the same directory."""

    def __init__(self, folder: Path, application: str = "base", **settings: Any) -> None:
        self.folder = folder
        accounting = settings.pop("accounting", None) or ServerGroup(
            endpoint="e", application=application, request_timeout=10, max_retries=1
        )
        self.settings = GroupSettings(name="g", accounting=accounting, **settings)
        self.server = FakeServer()
        self.clock = Clock()
        self.segment_size = 1 << 16
        self.usages: dict[int, Usage] = {}
        self.ended: list[SessionEnds] = []
        self.said: list[Notify] = []
        self._seed = 1
        self.boot()

    def boot(self) -> None:
        """A new process."""
        self.node = FakeNode(self.clock, self.server)
        self.worker = InlineWorker(self.clock, self.folder, self.settings.spool_limit, self.segment_size)
        self.driver = AccountingDriver(
            self.clock,
            self.now,
            self.settings,
            self.node,
            self.folder,
            lambda call_id: self.usages.get(call_id, Usage()),
            self.ended.append,
            self.said.append,
            self._random,
            label="lma1",
            worker=self.worker,
        )

    def start(self) -> "Rig":
        """Take the spool."""
        failures: list[Any] = []
        self.driver.start().addErrback(failures.append)
        if failures:
            failures[0].raiseException()
        self.run(0.1)
        return self

    def now(self) -> Now:
        """Both clocks."""
        return Now(self.clock.seconds(), EPOCH + self.clock.seconds())

    def _random(self, bits: int) -> int:
        self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return self._seed >> 64 - bits

    def run(self, seconds: float, step: float = 0.005) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / step))):
            self.clock.advance(step)

    def wait(self, seconds: float) -> None:
        """Let much time pass, in steps of a second with many turns in each."""
        for _ in range(round(seconds)):
            self.clock.advance(0.9)
            self.run(0.1)

    def kill(self) -> None:
        """The process is gone, all at once."""
        self.worker.die()
        self.node.lived = False
        self.driver.store.open = False
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()

    def restart(self) -> "Rig":
        """Kill it and start another."""
        self.kill()
        self.boot()
        return self.start()

    def stop(self) -> None:
        """An orderly end."""
        done: list[None] = []
        self.driver.stop().addCallback(done.append)
        for _ in range(100):
            self.run(0.1)
            if done:
                return
        raise AssertionError("the driver does not stop")

    def account(
        self, what: str, number: int = 1, cause: int = 0, grant: Grant | None = None, **changes: Any
    ) -> None:
        """Something of a session."""
        self.driver.account(Account(what=what, subject=subject(number, **changes), cause=cause, grant=grant))

    def begin(self, number: int = 1, **changes: Any) -> None:
        self.account(aaa.START, number, **changes)

    def end(self, number: int = 1, cause: int = aaa.LOGOUT) -> None:
        self.account(aaa.STOP, number, cause)
