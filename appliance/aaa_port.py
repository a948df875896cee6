"""Diameter and AAA as the shell sees them (:class:`~appliance.ports_aaa.AaaPort`), over all that runs.

::

    Shell ──peers, routes, queue ...──▶ AaaViews ──▶ DiameterService of each endpoint   (diameter_rows.py)
          ──sessions, records, users──▶          ──▶ AaaService of each server          (pages, one by one)
          ──clients, messages────────▶           ──▶ AAA client of each service, Exchanges
          ──test aaa─────────────────▶           ──▶ node of the group's endpoint

Endpoints and servers that are configured and do not run are shown too.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Protocol, TypeVar

from appliance import diameter_rows as rows
from appliance.aaa.settings import AaaServerSettings
from appliance.aaa_desk import AaaDesk
from appliance.config import Configuration
from appliance.errors import ApplianceError
from appliance.ports_aaa import (
    ClientView,
    DiameterRouteView,
    DiameterSessionView,
    EndpointView,
    MessagesView,
    PeerView,
    PendingView,
    RecordFilter,
    RecordView,
    ServerView,
    UsageView,
    UserView,
)
from appliance.protocols.diameter.client.counted import Exchanges
from appliance.protocols.diameter.settings import EndpointSettings, GroupSettings

Page = TypeVar("Page")
#: Peers, and requests, that are looked at before others have a turn.
SLICE = 32
#: Records of a page of several servers.
PAGE = 64
NOT_STARTED = "Initialized"


class AaaClient(Protocol):
    """The AAA client of one service."""

    def client_view(self) -> ClientView:
        """What it asks, reports and keeps."""

    def client_sessions(self, user: str, session_id: str) -> Iterator[DiameterSessionView | None]:
        """Its sessions that match; ``*`` and ``$`` are wildcards in ``user``."""


class Tester(Protocol):
    """Tries a group out (``test aaa``)."""

    async def authenticate(self, group: GroupSettings, user: str, key: bytes, spi: int) -> list[str]:
        """Ask about a user."""

    async def account(self, group: GroupSettings, user: str) -> list[str]:
        """Send an EVENT record."""


class AaaViews:
    """The port; ``configuration`` gives what runs now, ``clients`` the AAA clients of services."""

    def __init__(
        self,
        desk: AaaDesk,
        configuration: Callable[[], Configuration],
        clients: Callable[[], Sequence[AaaClient]],
        exchanges: Exchanges,
        tester: Tester,
    ) -> None:
        self._desk = desk
        self._configuration = configuration
        self._clients = clients
        self._exchanges = exchanges
        self._tester = tester

    # ---- endpoints

    def _endpoints(self, name: str = "") -> Iterator[tuple[EndpointSettings, Any]]:
        """Settings and service (``None``: it does not run) of one endpoint, or of all."""
        for settings in self._configuration().endpoints:
            if name in ("", settings.name):
                yield settings, self._desk.endpoints.get(settings.name)

    def endpoints(self) -> list[EndpointView]:
        """All endpoints in the order of the configuration."""
        found = []
        for settings, service in self._endpoints():
            if service is None:
                found.append(rows.endpoint_view(settings, NOT_STARTED, (), (), 0))
                continue
            states, waiting = service.summary()
            applications = [rows.application_name(number) for number in service.advertised()]
            found.append(rows.endpoint_view(settings, service.state, applications, states, waiting))
        return found

    def peers(self, endpoint: str = "", peer: str = "") -> Iterator[PeerView | None]:
        """Peers of one endpoint or of all, of one name or of all."""
        looked = 0
        for settings, service in self._endpoints(endpoint):
            for row in service.peers() if service is not None else ():
                looked += 1
                if looked % SLICE == 0:
                    yield None
                if peer in ("", row.name):
                    yield rows.peer_view(row, settings, service.local_port(row.link))

    def routes(self, endpoint: str = "") -> list[DiameterRouteView]:
        """Realm routing tables."""
        return [
            rows.route_view(row, settings.name)
            for settings, service in self._endpoints(endpoint)
            if service is not None
            for row in service.routes()
        ]

    def queue(self, endpoint: str = "", peer: str = "") -> Iterator[PendingView | None]:
        """Requests without an answer yet."""
        looked = 0
        for settings, service in self._endpoints(endpoint):
            for row in service.queue() if service is not None else ():
                looked += 1
                if looked % SLICE == 0:
                    yield None
                if peer in ("", row.peer):
                    yield rows.pending_view(row, settings.name)

    def statistics(self, endpoint: str = "") -> dict[str, dict[str, int]]:
        """Counters of endpoints as a whole."""
        return {
            settings.name: rows.node_counters(service.statistics, service.transport)
            for settings, service in self._endpoints(endpoint)
            if service is not None
        }

    def clear_statistics(self, endpoint: str = "", peer: str = "") -> None:
        """Start these counters again from zero; without a name also those of AAA clients and servers."""
        for _, service in self._endpoints(endpoint):
            if service is not None:
                service.command("clear", peer)
        if not endpoint and not peer:
            self._exchanges.clear()
            for server in self._desk.servers.values():
                server.clear_statistics()

    def set_peer(self, endpoint: str, peer: str, enabled: bool) -> None:
        """Disable a peer or enable it."""
        service = self._desk.endpoints.get(endpoint)
        if service is None:
            raise ApplianceError(f"diameter endpoint {endpoint} is not started")
        service.command("enable" if enabled else "disable", peer)

    # ---- sessions

    def sessions(self, user: str = "", session_id: str = "") -> Iterator[DiameterSessionView | None]:
        """Sessions of clients and servers."""
        for client in self._clients():
            yield from client.client_sessions(user, session_id)
        for server in self._running():
            yield from server.sessions(user, session_id)

    async def abort(self, session_id: str) -> str:
        """Have the server that has a session abort it."""
        for server in self._running():
            if any(view is not None and view.state != "Idle" for view in server.sessions("", session_id)):
                answer: str = await server.abort(session_id)
                return answer
        raise ApplianceError("it has ended meanwhile")

    # ---- clients

    def clients(self) -> list[ClientView]:
        """The AAA clients of services."""
        return [client.client_view() for client in self._clients()]

    def messages(self, group: str = "", server: str = "") -> list[MessagesView]:
        """What AAA clients have sent and received, by group and server."""
        return [
            rows.messages_view(side, host, exchanges)
            for side, host, exchanges in self._exchanges.all()
            if group in ("", side[1]) and server in ("", host)
        ]

    # ---- servers

    def _running(self, name: str = "") -> list[Any]:
        """The AAA servers that run, in the order of the configuration."""
        return [
            self._desk.servers[settings.name]
            for settings in self._configuration().aaa_servers
            if settings.name in self._desk.servers and name in ("", settings.name)
        ]

    def servers(self) -> list[ServerView]:
        """The AAA servers."""
        running = self._desk.servers
        return [
            running[settings.name].view() if settings.name in running else _idle(settings)
            for settings in self._configuration().aaa_servers
        ]

    def users(self, server: str = "", user: str = "") -> Iterator[UserView | None]:
        """Users of AAA servers."""
        for each in self._running(server):
            yield from each.users(user)

    async def reload_users(self, server: str = "") -> list[str]:
        """Read users files again."""
        lines: list[str] = []
        for each in self._running(server):
            lines += await each.reload_users()
        return lines

    # ---- records

    async def _pages(
        self, wanted: RecordFilter, read: Callable[[Any], AsyncIterator[Sequence[Page]]]
    ) -> AsyncIterator[Sequence[Page]]:
        """The pages of one server after the other, each closed before the next is opened."""
        for server in self._running(wanted.server):
            pages: Any = read(server)
            async with aclosing(pages) as opened:
                async for page in opened:
                    yield page

    def records(self, wanted: RecordFilter, full: bool) -> AsyncIterator[Sequence[RecordView]]:
        """Accounting records in pages; those of several servers by their time."""
        servers = self._running(wanted.server)
        if len(servers) < 2:
            return self._pages(wanted, lambda server: server.records(wanted, full))
        return merged([server.records(wanted, full) for server in servers], wanted.newest)

    def usage(self, wanted: RecordFilter) -> AsyncIterator[Sequence[UsageView]]:
        """Totals per user and day, in pages."""
        return self._pages(wanted, lambda server: server.usage(wanted))

    def open_accounting(self, wanted: RecordFilter) -> AsyncIterator[Sequence[RecordView]]:
        """The latest record of each session that has not ended, in pages."""
        return self._pages(wanted, lambda server: server.open_accounting(wanted))

    # ---- tests

    def _group(self, context: str, name: str) -> GroupSettings:
        for each in self._configuration().contexts:
            for group in each.groups:
                if (each.name, group.name) == (context, name):
                    return group
        raise ApplianceError(f"context {context} has no aaa group {name}")

    async def authenticate(self, context: str, group: str, user: str, key: bytes, spi: int) -> list[str]:
        """Ask the servers of a group about a user."""
        return await self._tester.authenticate(self._group(context, group), user, key, spi)

    async def account(self, context: str, group: str, user: str) -> list[str]:
        """Send one EVENT record."""
        return await self._tester.account(self._group(context, group), user)


class _Source:
    """The records of one server, and how far they have been taken."""

    def __init__(self, pages: AsyncIterator[Sequence[RecordView]]) -> None:
        self.pages: Any = pages
        self._page: Sequence[RecordView] = ()
        self._at = 0

    async def first(self) -> RecordView | None:
        """The next record; ``None``: there are no more."""
        while self._at >= len(self._page):
            try:
                self._page, self._at = await anext(self.pages), 0
            except StopAsyncIteration:
                return None
        return self._page[self._at]

    def take(self) -> None:
        """The next record has been taken."""
        self._at += 1


async def merged(
    streams: Sequence[AsyncIterator[Sequence[RecordView]]], newest: int
) -> AsyncIterator[Sequence[RecordView]]:
    """The records of several servers by their time; ``newest``: only so many, the newest first."""
    async with AsyncExitStack() as stack:
        sources = []
        for stream in streams:
            sources.append(_Source(stream))
            stack.push_async_callback(sources[-1].pages.aclose)
        left, page = newest, list[RecordView]()
        sign = -1 if newest else 1
        while left or not newest:
            heads = [(await source.first(), source) for source in sources]
            known = [(sign * head.received, place) for place, (head, _) in enumerate(heads) if head]
            if not known:
                break
            head, source = heads[min(known)[1]]
            assert head is not None
            source.take()
            page.append(head)
            left -= bool(newest)
            if len(page) == PAGE:
                yield page
                page = []
        yield page


def _idle(settings: AaaServerSettings) -> ServerView:
    """A server that is configured and does not run."""
    return ServerView(
        name=settings.name,
        context=settings.context,
        endpoint=settings.endpoint,
        state=NOT_STARTED,
        realms=tuple(realm.name for realm in settings.realms),
        users=len(settings.users),
        sessions=0,
        storage="none",
        storage_state="Not started",
        records=0,
        waiting=0,
    )
