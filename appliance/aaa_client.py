"""The AAA client of a service: whom it asks about registrations, and whom it tells what sessions use.

::

    LMA driver ──Authorize, Abandon──▶ AaaClient ─▶ AuthorizationDriver ─▶ node of the group's authentication
        ◀── Authorized, SessionEnds ──     │
        ──Account──────────────────────────┴─▶ AccountingDriver ────────▶ node of its accounting
                 tunnel engine ── usage ──────────▲

It lives as long as its service. Group and nodes change with the configuration: then the old accounting is
closed and the new one opened in turn, because both use the same spool; what happens between is kept and told
then.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance.aaa_client_rows import ClientRows
from appliance.diameter_hub import HeldNode, Hub
from appliance.errors import ResourceError
from appliance.ports_aaa import ClientView, DiameterSessionView
from appliance.protocols.diameter.client.accounting_driver import AccountingDriver
from appliance.protocols.diameter.client.accounting_events import Statistics
from appliance.protocols.diameter.client.accounting_records import APPLICATIONS
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.client_driver import AuthorizationDriver, Demands
from appliance.protocols.diameter.client.counted import CountedNode, Exchanges
from appliance.protocols.diameter.events import Advertised, Incoming
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, SessionEnds, Usage
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

NOTHING = Usage()
#: Application Ids of records by the word in the configuration.
ACCOUNTING = {"": APPLICATIONS["base"], **APPLICATIONS}

#: Seconds that servers have to hear of the last ends.
LAST_WORDS = 3.0
#: Seconds until a spool is tried again that could not be opened: its disk was full, another process had it.
OPEN_AGAIN = 15.0
#: What is kept while accounting is closed and opened again.
MOST_KEPT = 100_000


class AaaClient:
    """The AAA client of one service; without a group it does nothing.

    ``hub`` has the nodes, ``exchanges`` counts messages, ``session_ids`` makes Session-Ids; the records that
    wait for a server are below ``state_directory``. ``tell`` takes log lines.
    """

    def __init__(
        self,
        settings: LmaSettings,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        hub: Hub,
        exchanges: Exchanges,
        session_ids: SessionIds,
        state_directory: str,
        tell: Callable[[Notify], object],
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._clock = clock
        self._random_bits = random_bits
        self._hub = hub
        self._exchanges = exchanges
        self._folder = Path(state_directory, "accounting-spool", settings.name)
        self._tell = tell
        self._feed: Callable[[Any], object] = _nobody
        self._count: Callable[[int], tuple[int, int, int, int]] = _nothing
        self._authorization = AuthorizationDriver(
            reactor, clock, session_ids, lambda event: self._feed(event), tell
        )
        self._asked: tuple[HeldNode, Demands, CountedNode] | None = None
        self._accounting: AccountingDriver | None = None
        self._ties = _Ties(_unused, _nobody, _nobody)
        self._place: tuple[str, ...] = ()
        """Context, endpoint and identity of the accounting that there is; empty: there is none."""
        self._announced: tuple[Demands, _Accounts] | None = None
        self._switching: asyncio.Task[None] | None = None
        self._kept: deque[Account] = deque()
        self._before: dict[int, Usage] = {}
        """What sessions have used until their last pause."""
        self._last: dict[int, Usage] = {}
        """What sessions had used that have ended while their end could not be recorded yet."""
        self._unwatch: Callable[[], None] = _nobody
        self._why_closed = ""
        """Why there is no accounting though there should be; empty: there is."""
        self._again: Any = None
        self._started = self._stopped = False
        self._connect()

    # ---- settings

    @property
    def group(self) -> GroupSettings | None:
        """The group that the service has."""
        return self.settings.aaa

    def attach(
        self, feed: Callable[[Any], object], count: Callable[[int], tuple[int, int, int, int]]
    ) -> None:
        """``feed`` takes events for the mobility core, ``count`` gives what the tunnel of a call counts."""
        self._feed, self._count = feed, count

    async def start(self) -> None:
        """Open the accounting, if there is one; what is told from now on is recorded."""
        self._started = True
        self._arrange()
        if self._switching is not None:
            await self._switching

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on by other settings of the same service; to be called before its core knows them."""
        self.settings = settings
        self._connect()
        self._arrange()

    def _connect(self) -> None:
        """Ask whom the group says."""
        group = self.group
        if group is not None and group.authentication.endpoint:
            place = group.context, group.authentication.endpoint
            node = CountedNode(self._hub.node(*place), self._exchanges, (group.context, group.name, False))
            self._asked = self._hub.node(*place), self._hub.demands(*place), node
            self._authorization.reconfigure(group, node, self._asked[1], node)
        elif self._asked is not None:
            # Its servers have still to hear that the sessions are over.
            self._authorization.reconfigure(None, self._asked[2], self._asked[1], self._asked[2])

    # ---- the mobility core (``pmipv6.driver.AaaPort``)

    def authorize(self, question: Authorize) -> None:
        """Ask a server about a registration."""
        self._authorization.authorize(question)

    def abandon(self, dropped: Abandon) -> None:
        """Forget a question."""
        self._authorization.abandon(dropped)

    def account(self, event: Account) -> None:
        """Record what became of a session, then tell the server that has authorized it of its end."""
        call_id = event.subject.call_id
        if self._switching is not None:
            self._keep(event)
        elif self._accounting is not None:
            self._accounting.account(event)
        if event.what == aaa.PAUSE:
            self._before[call_id] = self.usage(call_id)
        elif event.what == aaa.STOP:
            self._before.pop(call_id, None)
            self._authorization.account(event)

    def _keep(self, event: Account) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._tell(Notify("error", "accounting: too much happens while it is opened; a record is lost"))
            return
        if event.what == aaa.STOP:
            self._last[event.subject.call_id] = self.usage(event.subject.call_id)
        self._kept.append(event)

    def usage(self, call_id: int) -> Usage:
        """What a session has used, also before a pause."""
        last = self._last.get(call_id)
        if last is not None:
            return last
        packets_in, octets_in, packets_out, octets_out = self._count(call_id)
        before = self._before.get(call_id, NOTHING)
        return Usage(
            before.octets_in + octets_in,
            before.packets_in + packets_in,
            before.octets_out + octets_out,
            before.packets_out + packets_out,
        )

    # ---- accounting

    def _wanted(self) -> tuple[str, ...]:
        """Where records are to go: context, endpoint, and our identity there; empty: nowhere."""
        group = self.group
        if group is None or not self.settings.aaa_accounting or not group.accounting.endpoint:
            return ()
        if self._stopped or not self._started:
            return ()
        place = group.context, group.accounting.endpoint
        identity = self._hub.node(*place).identity
        return (*place, identity) if identity else ()

    def _arrange(self) -> None:
        """Have the accounting that the group says, now or as soon as the old one is closed."""
        self._watch()
        if self._switching is not None:
            return
        if self._wanted() != self._place:
            self._switching = asyncio.ensure_future(self._switch())
        elif self._accounting is not None and self.group is not None:
            self._accounting.reconfigure(self.group)

    def _watch(self) -> None:
        """The endpoint may start only later, or anew under another name."""
        self._unwatch()
        self._unwatch = _nobody
        group = self.group
        if group is not None and group.accounting.endpoint and not self._stopped:
            node = self._hub.node(group.context, group.accounting.endpoint)
            self._unwatch = node.on_usable(self._node_came)

    def _node_came(self) -> None:
        if self._switching is None and self._wanted() != self._place:
            self._arrange()

    async def _switch(self) -> None:
        try:
            while (wanted := self._wanted()) != self._place:
                await self._close(aaa.ADMINISTRATIVE)
                self._place = wanted
                if wanted:
                    await self._open()
        finally:
            self._switching = None
            kept, self._kept = self._kept, deque()
            for event in kept:
                if self._accounting is not None:
                    self._accounting.account(event)
            self._last.clear()

    async def _close(self, cause: int) -> None:
        """End the sessions of the accounting that there is, and have it write everything down."""
        driver, self._accounting = self._accounting, None
        if self._announced is not None:
            self._announced[0].leave(self._announced[1])
            self._announced = None
        if driver is not None:
            await driver.stop(cause).asFuture(asyncio.get_running_loop())
        self._ties.cut()

    async def _open(self) -> None:
        group = self.group
        assert group is not None
        place = group.context, group.accounting.endpoint
        node = CountedNode(self._hub.node(*place), self._exchanges, (group.context, group.name, True))
        ties = self._ties = _Ties(self.usage, self._authorization.later, self._tell)
        driver = AccountingDriver(
            self._reactor,
            self._clock,
            group,
            node,
            self._folder,
            ties.count,
            ties.end,
            ties.say,
            self._random_bits,
            self.settings.name,
            node.origin_state_id,
        )
        try:
            await driver.start().asFuture(asyncio.get_running_loop())
        except ResourceError as error:
            self._not_open(str(error))
            return
        if self._why_closed:
            self._why_closed = ""
            self._tell(Notify("info", "accounting: the spool is open, records are made again"))
        accounts = _Accounts(ACCOUNTING[group.accounting.application])
        self._announced = self._hub.demands(*place), accounts
        self._announced[0].join(accounts)
        self._accounting = driver

    def _not_open(self, why: str) -> None:
        """There is no spool: say so once, and try again from time to time."""
        if why != self._why_closed:
            self._why_closed = why
            self._tell(Notify("error", f"accounting: {why}; nothing is recorded until it can be opened"))
        self._cancel_again()
        self._again = self._reactor.callLater(OPEN_AGAIN, self._open_again)

    def _open_again(self) -> None:
        self._again = None
        if self._accounting is None and self._switching is None:
            self._place = ()
            self._arrange()

    def _cancel_again(self) -> None:
        again, self._again = self._again, None
        if again is not None:
            again.cancel()

    # ---- the end

    async def stop(self, cause: int) -> None:
        """End all sessions for a Termination-Cause: records and ends are told, or kept for the next start.

        The tunnels have to be there still, for their counters; nodes too.
        """
        if self._stopped:
            return
        self._stopped = True
        self._feed = _nobody
        self._unwatch()
        self._unwatch = _nobody
        if self._switching is not None:
            await self._switching
        self._cancel_again()
        told = self._authorization.stop(LAST_WORDS)
        await self._close(cause)
        await told.asFuture(asyncio.get_running_loop())
        self._count, self._tell = _nothing, _nobody

    # ---- what the shell asks (``aaa_port.AaaClient``)

    def client_view(self) -> ClientView:
        """What it asks, reports and keeps."""
        return self._rows().client_view()

    def client_sessions(self, user: str, session_id: str) -> Iterator[DiameterSessionView | None]:
        """Its sessions that match; ``*`` and ``$`` are wildcards in ``user``."""
        return self._rows().client_sessions(user, session_id)

    def _rows(self) -> ClientRows:
        # Not kept: it refers to this client, and a service that goes must leave no cycle.
        return ClientRows(self._authorization.core, lambda: self.settings, self._statistics, self._clock)

    def _statistics(self) -> Statistics | None:
        return None if self._accounting is None else self._accounting.statistics()


class _Ties:
    """What the accounting of a service knows it by; cut, it keeps nothing of the service in memory."""

    def __init__(
        self,
        count: Callable[[int], Usage],
        end: Callable[[Any], object],
        say: Callable[[Notify], object],
    ) -> None:
        self._count, self._end, self._say = count, end, say

    def count(self, call_id: int) -> Usage:
        """What a session has used."""
        return self._count(call_id)

    def end(self, event: SessionEnds) -> None:
        """A session is to end."""
        self._end(event)

    def say(self, line: Notify) -> None:
        """Something for the log."""
        self._say(line)

    def cut(self) -> None:
        """Nothing is wanted of the service any more."""
        self._count, self._end, self._say = _unused, _nobody, _nobody


class _Accounts:
    """What a node says that it can do because of our accounting; servers want nothing by it."""

    def __init__(self, application: int) -> None:
        self.advertised = (Advertised(application, acct=True),)

    def has(self, session_id: str) -> bool:
        """No session is known by it."""
        return False

    def demanded(self, incoming: Incoming) -> None:
        """Never called, because no session is known by it."""
        raise AssertionError("a session without a client")


def _nobody(*_: Any) -> None:
    """Who listens when nobody does."""


def _unused(_call_id: int) -> Usage:
    return NOTHING


def _nothing(_call_id: int) -> tuple[int, int, int, int]:
    return 0, 0, 0, 0
