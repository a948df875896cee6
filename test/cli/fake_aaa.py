"""Diameter and AAA as the shell sees them, without anything behind."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from attrs import define, field

from appliance.errors import ApplianceError
from appliance.ports_aaa import (
    ClientView,
    DiameterRouteView,
    DiameterSessionView,
    EndpointView,
    MessageCounts,
    MessagesView,
    PeerView,
    PendingView,
    RecordFilter,
    RecordView,
    ServerView,
    UsageView,
    UserView,
)

#: 2026-11-23 07:10:00 UTC.
RECEIVED = 1_795_417_800.0


def peer(**changes: Any) -> PeerView:
    """An open peer; any field can be given."""
    fields: dict[str, Any] = {
        "context": "anchor", "endpoint": "aaa", "name": "aaa1.home.example", "realm": "home.example",
        "local_name": "lma1.visited.example", "local_realm": "visited.example",
        "address": "192.0.2.9:3868", "local_address": "192.0.2.1:52302", "transport": "TCP",
        "state": "OPEN", "watchdog": "OKAY", "enabled": True, "vendors": (10415,),
        "applications": ("NASREQ", "Diameter Base Accounting"), "product": "mobility-appliance",
        "pending": 3, "queued": 1, "since": RECEIVED - 3_600,
        "counters": {"Requests Sent": 7, "Answers Received": 4, "Timeouts": 0},
    }  # fmt: skip
    return PeerView(**{**fields, **changes})


def record(**changes: Any) -> RecordView:
    """A START record; any field can be given."""
    fields: dict[str, Any] = {
        "server": "home", "received": RECEIVED + 0.123, "end_to_end": 0xA0000012,
        "origin": "lma1.visited.example", "user": "mn1@home.example",
        "session_id": "lma1.visited.example;3973075200;1", "kind": "START", "number": 0,
        "attributes": (
            ("Session-Id", '"lma1.visited.example;3973075200;1"'), ("User-Name", '"mn1@home.example"'),
            ("Class", "0x01"), ("Class", "0x02"),
        ),
    }  # fmt: skip
    return RecordView(**{**fields, **changes})


def stop(**changes: Any) -> RecordView:
    """The STOP record of the same session."""
    fields: dict[str, Any] = {
        "received": RECEIVED + 600, "kind": "STOP", "number": 2, "seconds": 600, "octets_in": 5_000_000_000,
        "octets_out": 70_000_000_000, "packets_in": 4_000_000, "packets_out": 50_000_000,
        "cause": "DIAMETER_LOGOUT",
    }  # fmt: skip
    return record(**{**fields, **changes})


def session(**changes: Any) -> DiameterSessionView:
    """A session of a server; any field can be given."""
    fields: dict[str, Any] = {
        "role": "server", "owner": "home", "session_id": "lma1.visited.example;3973075200;1",
        "user": "mn1@home.example", "application": "NASREQ", "state": "Open",
        "peer": "lma1.visited.example", "realm": "visited.example", "started": RECEIVED,
        "authorization_left": 3_599.7, "multi_session_id": "lma1.visited.example;3973075200;0",
        "addresses": ("2001:db8:1::/64",), "details": (("FeatureVector", "PMIP6_SUPPORTED"),),
    }  # fmt: skip
    return DiameterSessionView(**{**fields, **changes})


@define
class FakeAaa:
    """Gives what it was given; notes what it is told."""

    endpoint_views: list[EndpointView] = field(factory=list)
    peer_views: list[PeerView] = field(factory=list)
    route_views: list[DiameterRouteView] = field(factory=list)
    pending: list[PendingView] = field(factory=list)
    counters: dict[str, dict[str, int]] = field(factory=dict)
    session_views: list[DiameterSessionView] = field(factory=list)
    client_views: list[ClientView] = field(factory=list)
    server_views: list[ServerView] = field(factory=list)
    message_views: list[MessagesView] = field(factory=list)
    user_views: list[UserView] = field(factory=list)
    stored: list[RecordView] = field(factory=list)
    used: list[UsageView] = field(factory=list)
    page: int = 2
    """Records of a page."""
    told: list[tuple[Any, ...]] = field(factory=list)
    refusal: str = ""
    """Why the next question fails."""
    closed: int = 0
    """Readers of records that were closed."""
    fetched: int = 0
    """Pages that were asked for."""

    def endpoints(self) -> list[EndpointView]:
        """All."""
        return self.endpoint_views

    def peers(self, endpoint: str = "", peer: str = "") -> Iterator[PeerView | None]:
        """Those that match, with a pause before each."""
        for view in self.peer_views:
            yield None
            if endpoint in ("", view.endpoint) and peer in ("", view.name):
                yield view

    def routes(self, endpoint: str = "") -> list[DiameterRouteView]:
        """All."""
        return self.route_views

    def queue(self, endpoint: str = "", peer: str = "") -> Iterator[PendingView | None]:
        """All, with a pause before each."""
        for view in self.pending:
            yield None
            yield view

    def statistics(self, endpoint: str = "") -> dict[str, dict[str, int]]:
        """Those that match."""
        return {name: found for name, found in self.counters.items() if endpoint in ("", name)}

    def clear_statistics(self, endpoint: str = "", peer: str = "") -> None:
        """Note it."""
        self.told.append(("clear", endpoint, peer))

    def set_peer(self, endpoint: str, peer: str, enabled: bool) -> None:
        """Note it."""
        self.told.append(("set", endpoint, peer, enabled))

    def sessions(self, user: str = "", session_id: str = "") -> Iterator[DiameterSessionView | None]:
        """Those that match, with a pause before each."""
        for view in self.session_views:
            yield None
            if user in ("", view.user) and session_id in ("", view.session_id):
                yield view

    async def abort(self, session_id: str) -> str:
        """Note it."""
        self.told.append(("abort", session_id))
        if self.refusal:
            raise ApplianceError(self.refusal)
        return "DIAMETER_SUCCESS (2001)"

    def clients(self) -> list[ClientView]:
        """All."""
        return self.client_views

    def messages(self, group: str = "", server: str = "") -> list[MessagesView]:
        """Those that match."""
        return [
            view for view in self.message_views if group in ("", view.group) and server in ("", view.server)
        ]

    def users(self, server: str = "", user: str = "") -> Iterator[UserView | None]:
        """All, with a pause before each."""
        self.told.append(("users", server, user))
        for view in self.user_views:
            yield None
            yield view

    def servers(self) -> list[ServerView]:
        """All."""
        return self.server_views

    async def reload_users(self, server: str = "") -> list[str]:
        """Note it."""
        self.told.append(("reload", server))
        return [f"{view.name}: 2 users" for view in self.server_views if server in ("", view.name)]

    async def records(self, wanted: RecordFilter, full: bool) -> AsyncIterator[Sequence[RecordView]]:
        """All, in pages."""
        self.told.append(("records", wanted, full))
        try:
            for begin in range(0, len(self.stored), self.page):
                self.fetched += 1
                yield self.stored[begin : begin + self.page]
            if self.refusal:
                raise ApplianceError(self.refusal)
        finally:
            self.closed += 1

    async def usage(self, wanted: RecordFilter) -> AsyncIterator[Sequence[UsageView]]:
        """All, in one page."""
        self.told.append(("usage", wanted))
        yield self.used

    async def open_accounting(self, wanted: RecordFilter) -> AsyncIterator[Sequence[RecordView]]:
        """All, in one page."""
        self.told.append(("open", wanted))
        yield self.stored

    async def authenticate(self, context: str, group: str, user: str, key: bytes, spi: int) -> list[str]:
        """Note it."""
        self.told.append(("authenticate", context, group, user, key, spi))
        if self.refusal:
            raise ApplianceError(self.refusal)
        return ["DIAMETER_SUCCESS (2001) from aaa1.home.example"]

    async def account(self, context: str, group: str, user: str) -> list[str]:
        """Note it."""
        self.told.append(("account", context, group, user))
        return ["Record acknowledged by aaa1.home.example"]


def server_view(**changes: Any) -> ServerView:
    """A server that stores in SQLite; any field can be given."""
    fields: dict[str, Any] = {
        "name": "home", "context": "anchor", "endpoint": "aaa", "state": "Started",
        "realms": ("home.example", "other.example"), "users": 2, "sessions": 1,
        "storage": "sqlite /var/lib/appliance/accounting/home.sqlite", "storage_state": "Normal",
        "records": 12, "waiting": 0, "counters": {"Requests/AAR": 4, "Requests/ACR": 12, "Answers/2001": 16},
    }  # fmt: skip
    return ServerView(**{**fields, **changes})


def client_view(**changes: Any) -> ClientView:
    """The client of an anchor; any field can be given."""
    fields: dict[str, Any] = {
        "service": "lma lma1", "group": "home", "authentication": "aaa", "accounting": "aaa",
        "policy": "deny", "spool_records": 17, "spool_octets": 9_000, "spool_oldest": 12.5,
        "spool_state": "Normal", "counters": {"Attempts": 5, "Success": 4},
    }  # fmt: skip
    return ClientView(**{**fields, **changes})


def port() -> FakeAaa:
    """One endpoint with three peers, a client and a server, some of everything."""
    return FakeAaa(
        endpoint_views=[
            EndpointView(
                name="aaa", context="anchor", identity="lma1.visited.example", realm="visited.example",
                state="Started", listeners=("192.0.2.1:3868 [TCP]",),
                applications=("NASREQ", "Diameter Base Accounting"), peers=3, peers_open=1, pending=3,
            ),
            EndpointView(name="spare", context="access", identity="", realm="", state="Initialized"),
        ],
        peer_views=[
            peer(),
            peer(name="aaa2.home.example", state="CLOSED", watchdog="DOWN", address="", local_address="",
                 vendors=(), backoff=12.9, disconnect="REBOOTING", enabled=False, pending=0, queued=0,
                 product="", applications=(), since=0.0, counters={}),
            peer(context="access", endpoint="spare", name="relay.example", state="WAIT-I-CEA",
                 watchdog="INITIAL", transport="TLS", certificate="relay.example", pending=0, queued=0),
        ],
        route_views=[
            DiameterRouteView(endpoint="aaa", realm="home.example", host="", application="*", action="relay",
                              peer="aaa1.home.example", priority=1, weight=1, origin="static", expires=None,
                              usable=True),
            DiameterRouteView(endpoint="aaa", realm="*", host="", application="NASREQ", action="relay",
                              peer="aaa2.home.example", priority=2, weight=5, origin="dynamic", expires=299.5,
                              usable=False),
        ],
        pending=[
            PendingView(endpoint="aaa", peer="aaa1.home.example", direction="out", state="sent",
                        command="ACR", application="Diameter Base Accounting",
                        session_id="lma1.visited.example;3973075200;1", hop_by_hop=0x1A2B,
                        end_to_end=0xA0000012, remaining=19.25, retransmitted=True),
            PendingView(endpoint="aaa", peer="", direction="out", state="parked", command="AAR",
                        application="NASREQ", session_id="lma1.visited.example;3973075200;2", hop_by_hop=-1,
                        end_to_end=0xA0000013, remaining=12.0, retransmitted=False),
        ],
        counters={"aaa": {"Submitted": 100, "Answered": 97, "Timeouts": 3}, "spare": {"Submitted": 0}},
        session_views=[
            session(),
            session(role="client", owner="lma1", state="Pending",
                    session_id="lma1.visited.example;3973075200;2", call_id=0x01CA11B1,
                    user="mn2@home.example", peer="aaa1.home.example",
                    authorization_left=None, details=()),
        ],
        client_views=[client_view(), client_view(service="lma lma2", accounting="", spool_oldest=None)],
        server_views=[server_view()],
        message_views=[
            MessagesView(group="home", server="aaa1.home.example", accounting=False,
                         messages={"AA": MessageCounts(5, 4, 1, 1, 0, 0),
                                   "AS": MessageCounts(2, 2, rejected=1)}),
            MessagesView(group="home", server="aaa2.home.example", accounting=False,
                         messages={"AA": MessageCounts(1, 1)}),
            MessagesView(group="home", server="aaa1.home.example", accounting=True,
                         messages={"AC": MessageCounts(12, 12)}),
        ],
        user_views=[
            UserView(server="home", user="mn1@home.example", source="configuration", enabled=True,
                     services=("pmipv6", "mipv6"), key=True, sessions=1, max_sessions=2,
                     details=(("Home Network Prefix", "2001:db8:1::/64"),)),
            UserView(server="home", user="*@other.example", source="/etc/appliance/users", enabled=False,
                     services=(), key=False),
        ],
        stored=[record(), record(kind="INTERIM", number=1, seconds=300, octets_in=1, octets_out=2), stop()],
        used=[
            UsageView(server="home", user="mn1@home.example", day="2026-11-23", sessions=3, seconds=900,
                      octets_in=10, octets_out=20),
            UsageView(server="home", user="", day="2026-11-24", sessions=1, seconds=1, octets_in=1,
                      octets_out=2),
        ],
    )  # fmt: skip
