"""Rows of Diameter and AAA screens: names for numbers, nothing left out, servers merged by time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from appliance import diameter_rows as rows
from appliance.aaa_client_rows import ClientRows
from appliance.aaa_port import PAGE, merged
from appliance.ports_aaa import RecordView
from appliance.protocols.diameter.client.accounting_events import Counts, Statistics
from appliance.protocols.diameter.client.auth_requests import Origin
from appliance.protocols.diameter.client.auth_sessions import OPEN, AuthSession, SessionIds
from appliance.protocols.diameter.client.authorization import AuthorizationClient
from appliance.protocols.diameter.client.counted import Exchange
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.node.stats import NodeStatistics, PeerStatistics
from appliance.protocols.diameter.settings import (
    EndpointSettings,
    GroupSettings,
    Listener,
    PeerSettings,
    ServerGroup,
)
from appliance.protocols.diameter.transport.link import TransportCounters
from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from test.cli.fake_aaa import record

V4, V6 = bytes((192, 0, 2, 9)), bytes.fromhex("20010db8000000000000000000000009")
ENDPOINT = EndpointSettings(
    name="aaa", context="anchor", identity="lma1.visited.example", realm="visited.example",
    listeners=(Listener(address=V4, port=3868), Listener(address=V6, port=5868, transport="tls"),
               Listener(address=V6, port=3868, transport="sctp"),
               Listener(address=V4, port=3868, transport="sctp")),
    peers=(PeerSettings(name="aaa1.home.example", addresses=(V6,), port=3869),),
)  # fmt: skip


def row(**changes: Any) -> readouts.PeerView:
    """A peer of the node that is open."""
    fields: dict[str, Any] = {
        "name": "aaa1.home.example", "realm": "home.example", "kind": "static", "state": "I-Open",
        "watchdog": "OKAY", "usable": True, "transport": "tcp", "secure": False, "connection": "over tcp",
        "since": 1.0, "pending": 2, "queued": 1, "round_trip": 0.0, "auth": (1, 8), "acct": (3,),
        "relay": False, "product": "x", "vendor": 0, "vendors": (10415,), "firmware": 1, "state_id": 1,
        "addresses": (),
        "certificate": ("aaa1.home.example",), "compat": False, "next_try": None, "lifetime": None,
        "last_error": "", "disabled": False, "farewell": None, "link": 1, "remote": V6, "port": 3869,
        "local": (V4, V6), "statistics": PeerStatistics(requests_sent=7),
    }  # fmt: skip
    return readouts.PeerView(**{**fields, **changes})


class NodeRowTests(SynchronousTestCase):
    """Peers, endpoints, requests."""

    def view(self, **changes: Any) -> Any:
        """The view of a peer."""
        return rows.peer_view(row(**changes), ENDPOINT, 40_001)

    def test_open(self) -> None:
        """State, applications and addresses by name."""
        view = self.view()
        self.assertEqual((view.state, view.transport, view.disconnect), ("OPEN", "TCP", ""))
        self.assertFalse(view.dynamic)
        self.assertEqual((view.address, view.local_address), ("[2001:db8::9]:3869", "[2001:db8::9]:40001"))
        self.assertEqual(view.applications[1], "Diameter Base Accounting")
        self.assertEqual(view.counters["Requests Sent"], 7)
        self.assertEqual(len(view.counters), len(fields(PeerStatistics)))
        self.assertEqual(self.view(relay=True).applications[-1], "Relay")
        for transport, secure, shown in (
            ("tls", True, "TLS"), ("tls-inband", True, "TLS"), ("sctp", False, "SCTP"),
            ("tls-inband", False, "TLS-INBAND"),
        ):  # fmt: skip
            self.assertEqual(self.view(transport=transport, secure=secure).transport, shown)

    def test_closed(self) -> None:
        """The configured address; why it is closed; what RFC 6733 calls the states in between."""
        closed = {"remote": b"", "port": 0, "local": (), "state": "Closed"}
        view = self.view(**closed, farewell=2, disabled=True)
        self.assertEqual((view.state, view.enabled, view.address), ("CLOSED", False, "[2001:db8::9]:3869"))
        self.assertEqual((view.disconnect, view.local_address), ("DO_NOT_WANT_TO_TALK_TO_YOU", ""))
        self.assertEqual(self.view(**closed, farewell=9).disconnect, "9")
        self.assertEqual(self.view(**closed, last_error="refused").disconnect, "refused")
        self.assertEqual(self.view(**closed, name="other.example", kind="wildcard").address, "")
        for state, shown in (("Disabled", "CLOSED"), ("Idle", "CLOSED"), ("R-Open", "OPEN"),
                             ("Wait-I-CEA", "WAIT-I-CEA"), ("Closing", "CLOSING")):  # fmt: skip
            self.assertEqual(self.view(state=state).state, shown)

    def test_endpoint(self) -> None:
        """Every place that it listens at; peers by state."""
        states = ["I-Open", "R-Open", "Closed", "Wait-TLS"]
        view = rows.endpoint_view(ENDPOINT, "Started", ["A"], states, 5)
        self.assertEqual((view.peers, view.peers_open, view.pending), (4, 2, 5))
        self.assertEqual(view.listeners, (
            "192.0.2.9:3868 [TCP]", "[2001:db8::9]:5868 [TLS]", "[2001:db8::9]:3868 [SCTP]",
            "192.0.2.9:3868 [SCTP]",
        ))  # fmt: skip

    def test_request(self) -> None:
        """Command and application by name; unknown ones by number."""
        queued = readouts.QueueView(
            direction="out", state="sent", peer="p", code=271, application=3, session="s;1;2", end_to_end=5,
            hop_by_hop=-1, repeated=True, source="", remaining=2.5,
        )  # fmt: skip
        view = rows.pending_view(queued, "aaa")
        self.assertEqual((view.command, view.application, view.hop_by_hop, view.retransmitted),
                         ("ACR", "Diameter Base Accounting", -1, True))  # fmt: skip
        view = rows.pending_view(evolve(queued, code=9_999, application=77), "aaa")
        self.assertEqual((view.command, view.application), ("9999", "77"))

    def test_counters(self) -> None:
        """Those of the node and of its connections, each with its group."""
        found = rows.node_counters(NodeStatistics(submitted=3), TransportCounters(garbage=2))
        self.assertEqual((found["Node/Submitted"], found["Connections/Garbage"]), (3, 2))

    def test_messages(self) -> None:
        """Counts go over as they are."""
        exchange = Exchange(requests=6, answers=5, retries=4, timeouts=3, dropped=2, rejected=1)
        view = rows.messages_view(("anchor", "home", True), "aaa1", {"AC": exchange})
        counts = view.messages["AC"]
        self.assertEqual((view.group, view.accounting), ("home", True))
        self.assertEqual([getattr(counts, each.name) for each in fields(Exchange)], [6, 5, 4, 3, 2, 1])


class ClientRowTests(SynchronousTestCase):
    """The AAA client of a service."""

    def setUp(self) -> None:
        self.group = GroupSettings(name="home", authentication=ServerGroup(endpoint="aaa"))
        self.settings = LmaSettings(name="lma1", aaa=self.group)
        self.core = AuthorizationClient(self.group, Origin("lma1.visited.example"), SessionIds(0.0))
        self.core.statistics.accepted = 3
        self.sessions = self.core.sessions
        self.accounting: Statistics | None = None
        self.rows = ClientRows(
            self.core, lambda: self.settings, lambda: self.accounting, lambda: Now(100.0, 1_000.0)
        )

    def add(self, number: int, user: str = "mn1@home.example") -> AuthSession:
        """A session that is open."""
        session = AuthSession(number, user.encode(), "home.example", 1)
        session.state, session.host, session.started = OPEN, "aaa1.home.example", 990.0
        session.grant = Grant(prefixes=((V6[:8] + bytes(8), 64),), ipv4_address=V4, multi_session_id="m")
        session.again, session.ends = 160.0, 400.0
        self.sessions.add(session)
        self.sessions.name(session, f"lma1;1;{number}")
        return session

    def test_sessions(self) -> None:
        """Fields, filters, and one that is ending."""
        self.add(1)
        ending = self.add(2, "mn2@home.example")
        self.sessions.unwanted(ending)
        views = [view for view in self.rows.client_sessions("", "") if view is not None]
        self.assertEqual([view.state for view in views], ["Open", "Discon"])
        view = views[0]
        self.assertEqual((view.authorization_left, view.timeout_left, view.call_id), (60.0, 300.0, 1))
        self.assertEqual((view.addresses, view.peer), (("2001:db8::/64", "192.0.2.9"), "aaa1.home.example"))
        for user, session_id, count in (
            ("mn1@home.example", "", 1), ("mn*", "", 2), ("", "lma1;1;2", 1), ("", "x", 0),
            ("mn1@home.example", "lma1;1;2", 0),
        ):  # fmt: skip
            found = [view for view in self.rows.client_sessions(user, session_id) if view is not None]
            self.assertEqual(len(found), count, (user, session_id))
        for number in range(100, 300):
            self.add(number, "mn3@home.example")
        self.assertIn(None, list(self.rows.client_sessions("mn2@home.example", "")))

    def test_view(self) -> None:
        """Without accounting there is no spool; with it, how full it is and what is wrong."""
        view = self.rows.client_view()
        self.assertEqual((view.authentication, view.accounting, view.spool_state), ("aaa", "", "Closed"))
        self.assertEqual(view.counters["Authentication/Accepted"], 3)
        self.group.accounting = ServerGroup(endpoint="acct")
        self.accounting = Statistics(
            kinds={"start": Counts(sent=5, acknowledged=4)}, waiting=7, waiting_octets=900, oldest=990.0,
            routes=[("home.example", "", "up")],
        )  # fmt: skip
        view = self.rows.client_view()
        self.assertEqual((view.accounting, view.spool_records, view.spool_oldest), ("acct", 7, 10.0))
        self.assertEqual(view.counters["Accounting/START Acknowledged"], 4)
        self.settings.aaa_accounting = False
        self.assertEqual(self.rows.client_view().accounting, "")
        for changes, state in (
            ({"full": "No space left on device"}, "Full: No space left on device"),
            ({"routes": [("home.example", "aaa1", "down, next try in 3 s")]}, "aaa1 down, next try in 3 s"),
            ({"counted": False}, "Counting what was left"),
        ):
            self.accounting = evolve(Statistics(), **changes)
            self.assertEqual(self.rows.client_view().spool_state, state)


class Stream:
    """Pages of records at these times; notes when it is closed."""

    def __init__(self, *pages: Sequence[int]) -> None:
        self.pages = pages
        self.closed = 0

    async def read(self) -> AsyncIterator[Sequence[RecordView]]:
        """The pages."""
        try:
            for page in self.pages:
                yield [record(received=float(time)) for time in page]
        finally:
            self.closed += 1


class MergeTests(SynchronousTestCase):
    """Records of several servers."""

    def merge(self, newest: int, *streams: Stream, most: int = 1_000) -> list[int]:
        """Times of the merged records, of at most so many pages."""

        async def read() -> list[int]:
            found: list[int] = []
            pages: Any = merged([stream.read() for stream in streams], newest)
            async for page in pages:
                found += [int(view.received) for view in page]
                most_pages.append(len(page))
                if len(most_pages) == most:
                    break
            await pages.aclose()
            return found

        most_pages: list[int] = []
        return asyncio.run(read())

    def test_oldest_first(self) -> None:
        """By time, over empty pages."""
        one, two = Stream([1, 4], [], [9]), Stream([], [2, 3, 5])
        self.assertEqual(self.merge(0, one, two), [1, 2, 3, 4, 5, 9])
        self.assertEqual((one.closed, two.closed), (1, 1))
        self.assertEqual(self.merge(0, Stream(), Stream()), [])

    def test_newest(self) -> None:
        """Only so many in all."""
        self.assertEqual(self.merge(3, Stream([9, 4, 1]), Stream([8, 7])), [9, 8, 7])
        self.assertEqual(self.merge(10, Stream([9, 4]), Stream([8])), [9, 8, 4])

    def test_left_early(self) -> None:
        """Who wants no more leaves no stream open."""
        one, two = Stream(*[range(100)] * 5), Stream(*[range(100)] * 5)
        self.assertEqual(len(self.merge(0, one, two, most=1)), PAGE)
        self.assertEqual((one.closed, two.closed), (1, 1))
