"""An anchor's AAA client and a Mobile AAA server with a network between them: no part is made up."""

import asyncio
import gc
import os
import secrets
import time
import weakref
from collections.abc import Callable
from typing import Any

from attrs import evolve

from appliance import aaa_client
from appliance.aaa.settings import AaaServerSettings, Realm, User
from appliance.aaa_client import AaaClient
from appliance.aaa_service import AaaService
from appliance.counters import LMA, CounterSet
from appliance.diameter_hub import Hub
from appliance.ports_aaa import RecordFilter
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.counted import Exchanges
from appliance.protocols.diameter.settings import GroupSettings, Listener, PeerSettings, Server, ServerGroup
from appliance.protocols.driver import CoreDriver
from appliance.protocols.mobility.aaa import ADMINISTRATIVE, Abandon, Account, Authorize
from appliance.protocols.mobility.codec import decode
from appliance.protocols.pmipv6.events import (
    ClearSessions,
    Install,
    Notify,
    PacketReceived,
    Reach,
    Reconfigure,
    Remove,
    Send,
    Unreach,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.settings import LmaSettings
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, World, packed, prefixes_of
from test.protocols.pmipv6.lma_fakes import settings as lma_settings
from test.real.diameter_case import NodeCase, clock, free_port

LOCAL = bytes((127, 0, 0, 1))
SERVER, CLIENT = "server.example", "client.example"
USERS = (
    User(
        nai="mn1@example",
        prefixes=((packed("2001:db8:77:1::"), 64),),
        class_=b"gold",
        interim_interval=300,
    ),
    User(nai="mn2@example", max_sessions=1),
    User(nai="mn3@example", newer_session="pcrf.example"),
    User(nai="mn4@example", newer_session="pcs.example"),
    User(nai="mn5@example", newer_session=SERVER),
)
COUNTS = (10, 2_000, 20, 3_000)
"""Packets and octets of every tunnel, from the mobile node and to it."""


class Anchor:
    """An anchor's core with its AAA client, but without sockets and tunnels."""

    def __init__(self, case: "AaaCase", settings: LmaSettings) -> None:
        self.settings = settings
        self.counters = CounterSet(LMA)
        self.core = LocalMobilityAnchor(settings, self.counters, secrets.randbits)
        self.client = AaaClient(
            settings,
            reactor=case.reactor,
            clock=clock,
            random_bits=secrets.randbits,
            hub=case.hub,
            exchanges=case.exchanges,
            session_ids=SessionIds(time.time()),
            state_directory=str(case.work),
            tell=lambda line: case.tell(line.level, line.text),
        )
        self.effects: list[Any] = []
        perform: dict[type, Callable[[Any], object]] = dict.fromkeys(
            (Send, Install, Remove, Reach, Unreach, Notify), self.effects.append
        )
        perform |= {
            Authorize: self.client.authorize,
            Abandon: self.client.abandon,
            Account: self.client.account,
        }
        self.driver = CoreDriver(case.reactor, clock, self.core, perform)
        self.client.attach(self.driver.feed, self.count)
        self._sequence = 0

    def count(self, call_id: int) -> tuple[int, int, int, int]:
        """What the tunnel of a session has counted; without a tunnel there is nothing."""
        for effect in reversed(self.effects):
            if isinstance(effect, (Install, Remove)) and effect.call_id == call_id:
                return COUNTS if isinstance(effect, Install) else (0, 0, 0, 0)
        return 0, 0, 0, 0

    def send(self, **what: Any) -> None:
        """A gateway sends an update."""
        self._sequence += 1
        fields = {"time": time.time(), "sequence": self._sequence, "lifetime": 150, **what}
        data, source, port = World().build(**fields)
        self.driver.feed(PacketReceived(data, source, LMA_ADDRESS, port))

    def answers(self) -> list[Any]:
        """The acknowledgements so far."""
        return [decode(effect.data)[0] for effect in self.effects if isinstance(effect, Send)]

    def reconfigure(self, settings: LmaSettings) -> None:
        """Other settings, as a service gives them."""
        self.settings = settings
        self.client.reconfigure(settings)
        self.driver.feed(Reconfigure(settings))


class AaaCase(NodeCase):
    """An anchor that asks, and a server that answers."""

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.work.mkdir()
        self.port = free_port()
        self.exchanges = Exchanges()
        self.hub = self.call(lambda: Hub(lambda function: self.reactor.callLater(0, function)))
        self.server_node = self.serve()
        self.service = self.serve_users(self.server_node)
        target = PeerSettings(name=SERVER, realm="example", addresses=(LOCAL,), port=self.port)
        self.client_node = self.node(self.settings("client", addresses=(LOCAL,), peers=(target,)))
        self.call(self.hub.node("", "ep").attach, self.client_node)

    def serve(self) -> Any:
        """A server's node."""
        listener = Listener(address=LOCAL, port=self.port)
        peer = PeerSettings(name=CLIENT)
        settings = self.settings("server", addresses=(LOCAL,), listeners=(listener,), peers=(peer,))
        return self.node(settings)

    def serve_users(self, node: Any) -> AaaService:
        """The server itself."""
        settings = AaaServerSettings(
            name="m", endpoint="x", realms=(Realm(name="example"),), users=USERS, session_binding=0
        )
        service: AaaService = self.call(
            lambda: AaaService(
                settings,
                node,
                reactor=self.reactor,
                clock=clock,
                random_bits=secrets.randbits,
                tell=self.tell,
                state_directory=str(self.work),
            )
        )
        self.do(service.start())
        self.addCleanup(lambda: self.do(service.stop()))
        return service

    def group(self, **changes: Any) -> GroupSettings:
        """A group of the endpoint that this process has."""
        side = ServerGroup(endpoint="ep", servers=(Server(host=SERVER),), request_timeout=2, max_retries=0)
        fields: dict[str, Any] = {"name": "g", "authentication": side, "accounting": side, **changes}
        return GroupSettings(**fields)

    def anchor(self, **changes: Any) -> Anchor:
        """An anchor whose client is open."""
        group = changes.pop("group", self.group())
        settings = lma_settings(name=f"lma-{os.getpid()}", aaa=group, aaa_group="g", **changes)
        made: Anchor = self.call(lambda: Anchor(self, settings))
        self.do(made.client.start())
        self.addCleanup(lambda: self.do(made.client.stop(ADMINISTRATIVE)))
        self.addCleanup(lambda: self.call(made.driver.stop))
        # A peer is to be had, and it says that it serves both applications.
        self.wait(lambda: self.client_node.usable("example", 1, False))
        return made

    def answer(self, anchor: Anchor, **what: Any) -> Any:
        """Send an update and wait for its acknowledgement."""
        before = len(anchor.answers())
        self.call(lambda: anchor.send(**what))
        self.wait(lambda: len(anchor.answers()) > before)
        return anchor.answers()[-1]

    def records(self) -> list[Any]:
        """The accounting records that the server has stored, oldest first."""

        async def read() -> list[Any]:
            return [each async for page in self.service.records(RecordFilter(), True) for each in page]

        found: list[Any] = self.do(read())
        return found

    def kinds(self) -> list[str]:
        """Their types."""
        return [each.kind for each in self.records()]

    def until(self, *kinds: str) -> list[Any]:
        """Wait until these records are stored; returns them."""
        until = time.monotonic() + 10
        while self.kinds() != list(kinds):
            if time.monotonic() > until:
                self.fail(f"{self.kinds()} instead of {list(kinds)}: {self.lines}")
            time.sleep(0.02)
        return self.records()

    def live(self) -> list[Any]:
        """The live sessions of the server."""
        return [
            each for each in self.call(lambda: list(self.service.sessions())) if each and each.state != "Idle"
        ]


class TestClient(AaaCase):
    def test_life(self) -> None:
        """A mobile attaches, is refreshed and leaves: asked for, assigned, recorded, ended with its cause."""
        anchor = self.anchor(min_delay_before_bce_delete=0)
        answer = self.answer(anchor, mn=b"mn1@example")
        self.assertEqual((answer.status, prefixes_of(answer)), (0, [("2001:db8:77:1::", 64)]))
        self.assertEqual(
            [each.prefix for each in anchor.effects if isinstance(each, Reach)], [packed("2001:db8:77:1::")]
        )
        (view,) = self.call(lambda: [each for each in anchor.client.client_sessions("", "") if each])
        self.assertEqual(
            (view.user, view.state, view.peer, view.owner),
            ("mn1@example", "Open", SERVER, anchor.settings.name),
        )
        (session,) = self.live()
        self.assertEqual(session.session_id, view.session_id)
        self.assertEqual(self.answer(anchor, mn=b"mn1@example", hi=5).status, 0)
        self.assertEqual(self.answer(anchor, mn=b"mn1@example", hi=4, lifetime=0).status, 0)
        start, stop = self.until("START", "STOP")
        self.assertEqual({start.session_id, stop.session_id}, {view.session_id})
        self.assertEqual((stop.octets_in, stop.octets_out), (2_000, 3_000))
        self.assertIn("LOGOUT", stop.cause)
        self.assertIn(("Class", "0x" + b"gold".hex()), start.attributes)
        self.wait(lambda: not self.live_now())
        counts = self.exchanges.of(("", "g", False))[SERVER]
        self.assertEqual((counts["AA"].requests, counts["ST"].answers), (1, 1))

    def live_now(self) -> list[Any]:
        """As :meth:`live`, for the reactor's thread."""
        return [each for each in self.service.sessions() if each and each.state != "Idle"]

    def test_refused(self) -> None:
        """A user whom the server does not know, and one with too many sessions."""
        anchor = self.anchor()
        self.assertEqual(self.answer(anchor, mn=b"nobody@example").status, 152)
        self.assertEqual(self.answer(anchor, mn=b"mn2@example").status, 0)
        second = self.answer(anchor, mn=b"mn2@example", ll=b"\2\0\0\0\0\7")
        self.assertEqual(second.status, 130)
        self.until("START")

    def test_newer_session(self) -> None:
        """A newer session elsewhere is counted by who has seen it, as the group names the hosts."""
        names = (("pcrf.example", "pcrf"), ("pcs.example", "pcs"))
        anchor = self.anchor(group=self.group(newer_sessions=names))
        for user, who in (("mn3", "pcrf"), ("mn4", "pcs"), ("mn5", "aaa")):
            self.assertEqual(self.answer(anchor, mn=f"{user}@example".encode()).status, 128)
            row = f"update-denied-unspecified-reason/newer-session-detected-by-{who}"
            self.assertEqual(anchor.counters.value(row), 1)
        self.assertEqual(anchor.counters.value("mip-aaa-authentication/actual-auth-failures"), 3)

    def test_aborted(self) -> None:
        """The server aborts a session: it ends here, with the cause that the server has given."""
        anchor = self.anchor()
        self.answer(anchor, mn=b"mn1@example")
        (session,) = self.live()
        self.assertIn("2001", self.do(self.service.abort(session.session_id)).replace("SUCCESS", "2001"))
        self.wait(lambda: not anchor.core.session_count)
        _, stop = self.until("START", "STOP")
        self.assertIn("ADMINISTRATIVE", stop.cause)
        self.wait(lambda: not self.live_now())
        self.assertEqual(self.exchanges.of(("", "g", False))[SERVER]["AS"].answers, 1)

    def test_authorized_again(self) -> None:
        """The server wants a session authorized again, and gets what it wants."""
        anchor = self.anchor()
        self.answer(anchor, mn=b"mn1@example")
        (session,) = self.live()
        self.do(self.service.reauthorize(session.session_id))
        counts = self.exchanges.of(("", "g", False))[SERVER]
        self.wait(lambda: counts["AA"].answers == 2)
        self.wait(lambda: anchor.counters.value("mip-aaa-authentication/success") == 2)
        self.assertEqual((anchor.core.session_count, len(self.live())), (1, 1))

    def test_server_gone(self) -> None:
        """A dead server: denied, or by the local profile, or as soon as it is back."""
        for policy, status in (("deny", 128), ("local", 0)):
            anchor = self.anchor(group=self.group(failure_policy=policy, accounting=ServerGroup()))
            self.do(self.server_node.stop())
            self.wait(lambda: not self.client_node.usable("example", 1, False))
            self.assertEqual(self.answer(anchor, mn=b"mn1@example").status, status, policy)
            self.server_node = self.serve()
            self.service = self.serve_users(self.server_node)
            self.wait(lambda: self.client_node.usable("example", 1, False))
        anchor = self.anchor(group=self.group(failure_policy="queue", accounting=ServerGroup()))
        self.do(self.server_node.stop())
        self.wait(lambda: not self.client_node.usable("example", 1, False))
        self.call(lambda: anchor.send(mn=b"mn2@example"))
        self.call(lambda: anchor.send(mn=b"mn2@example"))
        time.sleep(0.3)
        self.assertEqual(anchor.answers(), [])
        self.server_node = self.serve()
        self.service = self.serve_users(self.server_node)
        self.wait(lambda: len(anchor.answers()) == 1)
        self.assertEqual((anchor.answers()[0].status, anchor.answers()[0].sequence), (0, 2))

    def test_group_changes(self) -> None:
        """The group goes and comes back while there is a session: ended there, kept here, asked about."""
        anchor = self.anchor()
        self.answer(anchor, mn=b"mn1@example")
        (first,) = self.live()
        without = evolve(anchor.settings, aaa=None, aaa_group="")
        with_group = anchor.settings
        self.call(lambda: anchor.reconfigure(without))
        self.wait(lambda: not self.live_now())
        _, stop = self.until("START", "STOP")
        self.assertIn("ADMINISTRATIVE", stop.cause)
        self.assertEqual(self.answer(anchor, mn=b"mn1@example", hi=5).status, 0)
        self.call(lambda: anchor.reconfigure(with_group))
        self.assertEqual(self.answer(anchor, mn=b"mn1@example", hi=5).status, 0)
        (second,) = self.live()
        self.assertNotEqual(first.session_id, second.session_id)
        self.until("START", "STOP", "START")
        self.assertEqual(anchor.core.session_count, 1)

    def test_stop(self) -> None:
        """A service that stops ends its sessions: recorded, and told to the server."""
        anchor = self.anchor()
        self.answer(anchor, mn=b"mn1@example")
        self.answer(anchor, mn=b"mn2@example")
        self.do(anchor.client.stop(17))
        found = self.until("START", "START", "STOP", "STOP")
        self.assertEqual({each.cause for each in found[2:]}, {found[2].cause})
        self.assertEqual({each.octets_in for each in found[2:]}, {2_000})
        self.assertEqual(self.live(), [])

    def test_no_spool_at_first(self) -> None:
        """The directory of the spool cannot be made, then it can: what goes on then is recorded."""
        self.patch(aaa_client, "OPEN_AGAIN", 0.2)
        place = self.work / "accounting-spool"
        place.write_text("in the way")
        anchor = self.anchor()
        self.assertEqual(self.answer(anchor, mn=b"mn1@example").status, 0)
        time.sleep(0.5)
        self.assertEqual(sum("nothing is recorded" in text for _, text in self.lines), 1)
        place.unlink()
        self.wait(lambda: self.said("the spool is open"))
        self.answer(anchor, mn=b"mn1@example", hi=5)
        self.until("START")

    def test_cleared(self) -> None:
        """What an operator clears while it is paused has left by itself, with what it used before that."""
        anchor = self.anchor()
        self.answer(anchor, mn=b"mn1@example")
        self.answer(anchor, mn=b"mn1@example", hi=4, lifetime=0)
        self.call(lambda: anchor.driver.feed(ClearSessions()))
        _, stop = self.until("START", "STOP")
        self.assertIn("LOGOUT", stop.cause)
        self.assertEqual((stop.octets_in, stop.packets_in), (2_000, 10))

    def test_nothing_stays_in_memory(self) -> None:
        """A client that has stopped is freed at once, with its sessions: full collections are rare."""

        async def story() -> None:
            made = Anchor(self, lma_settings(name="gone", aaa=self.group(), aaa_group="g"))
            await made.client.start()
            made.send(mn=b"mn1@example")
            while not made.answers():
                await asyncio.sleep(0.01)
            gone = weakref.ref(made.client), weakref.ref(made.client._authorization.core)
            gc.collect()
            gc.disable()
            try:
                await made.client.stop(ADMINISTRATIVE)
                made.driver.stop()
                del made
                for _ in range(5):
                    await asyncio.sleep(0.01)
                self.assertEqual([each() for each in gone], [None, None])
            finally:
                gc.enable()

        self.wait(lambda: self.client_node.running)
        self.do(story())
