"""An AAA server as a service: users files, records, sessions and figures for operators, changes, its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.settings import AaaServerSettings, Realm, TextLog, User
from appliance.aaa_service import AaaService
from appliance.errors import ApplianceError, ResourceError
from appliance.ports_aaa import RecordFilter
from appliance.protocols.diameter.events import Answered, Incoming, Submit
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.timers import Now
from test.aaa.fakes import D, avp, result
from test.aaa.test_pmip6 import aar, info
from test.aaa.test_server import acr
from test.aaa.vectors import message

SECONDS = 10.0


class Loop:
    """What a service uses of a reactor, on the running asyncio loop."""

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def callLater(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
        return asyncio.get_running_loop().call_later(seconds, function, *arguments)

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()


class Node:
    """A Diameter node with one client behind it."""

    identity, realm, origin_state_id = "aaa1.home.example", "home.example", 5

    def __init__(self) -> None:
        self.application: Any = None
        self.served: list[frozenset[str]] = []
        self.answer_to: Callable[[Submit], Answered] = lambda _: Answered(None, "no peer")

    def serve(self, application: Any) -> None:
        self.application = application
        self.served.append(application.realms)

    def withdraw(self, _application: Any) -> None:
        self.application = None

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        asyncio.get_running_loop().call_soon(done, self.answer_to(submit))
        return 1

    def cancel(self, number: int) -> None:
        return

    async def ask(self, request: Message) -> Message:
        """Give the server a request, and wait for its answer."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.application.request(Incoming(request, "peer", False, False, answer.set_result))
        return Message(await asyncio.wait_for(answer, SECONDS))


async def every(pages: AsyncIterator[Any]) -> list[Any]:
    """All of pages in one list."""
    return [each async for page in pages for each in page]


class ServiceTests(SynchronousTestCase):
    """One service on a node that is made up."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.said: list[str] = []

    def settings(self, **more: Any) -> AaaServerSettings:
        fields: dict[str, Any] = {
            "name": "mobile",
            "context": "aaa",
            "endpoint": "server",
            "realms": (Realm(name="home.example"),),
            "users": (User(nai="mn1@home.example", key=b"secret", interim_interval=60, class_=b"gold"),),
            **more,
        }
        return AaaServerSettings(**fields)

    def run_with(
        self, work: Callable[[AaaService, Node], Awaitable[None]], started: bool = True, **fields: Any
    ) -> None:
        """Run something with a service on an asyncio loop."""

        async def go() -> None:
            node = Node()
            service = AaaService(
                self.settings(**fields),
                node,
                reactor=Loop(),
                clock=lambda: Now(time.monotonic(), time.time()),
                random_bits=lambda bits: (1 << bits) - 1,
                tell=lambda level, text: self.said.append(f"{level}: {text}"),
                state_directory=str(self.directory),
            )
            try:
                if started:
                    await service.start()
                await work(service, node)
            finally:
                await service.stop()

        asyncio.run(asyncio.wait_for(go(), 30))

    def users_file(self, text: str) -> str:
        path = self.directory / "users"
        path.write_text(text)
        return str(path)

    # ---- users

    def test_users_file(self) -> None:
        """Loaded at the start, read again on demand; a mistake leaves what there was."""
        path = self.users_file("mn2\n  PMIPv6 = yes\n")

        async def work(service: AaaService, node: Node) -> None:
            self.assertEqual(result(await node.ask(aar(info(), user="mn2@home.example"))), 2001)
            self.users_file("mn3\n")
            self.assertEqual(await service.reload_users(), [f"1 users of home.example read from {path}"])
            self.assertEqual(result(await node.ask(aar(info(), user="mn2@home.example", session="a"))), 5003)
            self.users_file("mn4\n  Shoe-Size = 9\n")
            with self.assertRaisesRegex(ResourceError, f"{path}:2: unknown attribute"):
                await service.reload_users()
            self.assertEqual(result(await node.ask(aar(info(), user="mn3@home.example", session="b"))), 2001)
            views = [each for each in service.users() if each is not None]
            self.assertEqual([(each.user, each.source) for each in views], [
                ("mn1@home.example", "configuration"), ("mn3@home.example", path),
            ])  # fmt: skip
            self.assertEqual([each.sessions for each in views], [0, 1])

        self.run_with(work, realms=(Realm(name="home.example", users_file=path),))

    def test_users_files_that_cannot_be_read(self) -> None:
        """The start fails with the reason."""

        async def work(service: AaaService, _node: Node) -> None:
            with self.assertRaisesRegex(ResourceError, self.wanted):
                await service.start()

        binary = self.directory / "binary"
        binary.write_bytes(b"mn1\xff\n")
        for path, wanted in (
            ("/nowhere/users", "/nowhere/users: No such file"),
            (str(self.directory), "no regular file"),
            (str(binary), "not UTF-8"),
        ):
            self.wanted = wanted
            self.run_with(work, started=False, realms=(Realm(name="home.example", users_file=path),))

    def test_users_shown(self) -> None:
        """Everything but keys."""

        async def work(service: AaaService, _node: Node) -> None:
            (view,) = [each for each in service.users("mn$@*") if each is not None]
            self.assertTrue(view.key)
            self.assertEqual(view.services, ("pmipv6", "mipv6", "mobile-ip"))
            self.assertIn(("Class", "gold"), view.details)
            self.assertNotIn("secret", repr(view))
            self.assertEqual(list(service.users("other@home.example")), [])

        self.run_with(work)

    # ---- sessions

    def test_sessions(self) -> None:
        """Live ones with their fields, then those that have ended."""

        async def work(service: AaaService, node: Node) -> None:
            await node.ask(aar(info(bytes((64,)) + b"\x20\x01" + bytes(14)), avp("Service-Selection", "ims")))
            (view,) = [each for each in service.sessions() if each is not None]
            self.assertEqual((view.role, view.owner, view.state), ("server", "mobile", "Open"))
            self.assertEqual((view.user, view.peer), ("mn1@home.example", "lma1.home.example"))
            self.assertEqual(view.addresses, ("2001::/64",))
            details = dict(view.details)
            self.assertEqual(details["HA-Session-Id"], "lma1;1;1")
            self.assertEqual(details["Service-Selection"], "ims")
            assert view.authorization_left is not None
            self.assertLess(abs(view.authorization_left - 3_600), 5)
            for found in (service.sessions("mn1@home.example"), service.sessions("mn*"),
                          service.sessions(session_id="lma1;1;1")):  # fmt: skip
                self.assertEqual(len([each for each in found if each is not None]), 1)
            self.assertEqual([each for each in service.sessions("x") if each is not None], [])

            def gone(submit: Submit) -> Answered:
                body = Message(frame(274, 1, 0xC0, 1, 1, submit.avps)).octets(D["Session-Id"])[0]
                body += avp("Result-Code", 5002) + avp("Origin-Host", "l.x") + avp("Origin-Realm", "x")
                return Answered(Message(frame(274, 1, 0x40, 1, 1, body)))

            node.answer_to = gone
            self.assertIn("was unknown to its client", await service.abort("lma1;1;1"))
            self.assertIn("no session", await service.abort("lma1;1;1"))
            (view,) = [each for each in service.sessions() if each is not None]
            self.assertEqual(view.state, "Idle")
            self.assertEqual(dict(view.details)["Termination-Cause"], "DIAMETER_ADMINISTRATIVE")
            self.assertIn("no session", await service.reauthorize("lma1;1;1"))

        self.run_with(work)

    # ---- records

    def test_records(self) -> None:
        """Stored, found by every filter, totalled."""

        async def work(service: AaaService, node: Node) -> None:
            begun = time.time()
            for name in ("ACR_START", "ACR_INTERIM", "ACR_STOP"):
                self.assertEqual(result(await node.ask(message(name))), 2001)
            more = (avp("User-Name", "mn2@home.example"), avp("Accounting-Input-Octets", 9))
            await node.ask(acr(*more, session="s;2"))

            async def kinds(full: bool = False, **wanted: Any) -> list[str]:
                found = await every(service.records(RecordFilter(**wanted), full))
                return [each.kind for each in found]

            self.assertEqual(await kinds(), ["START", "INTERIM", "STOP", "START"])
            self.assertEqual(await kinds(newest=2), ["START", "STOP"])
            self.assertEqual(await kinds(user="mn2*"), ["START"])
            self.assertEqual(await kinds(session="s;2"), ["START"])
            self.assertEqual(await kinds(after=begun + 60), [])
            self.assertEqual(await kinds(before=begun - 60), [])
            by_cause = {"attribute": "Termination-Cause", "value": "DIAMETER_LOGOUT"}
            self.assertEqual(await kinds(**by_cause), ["STOP"])
            self.assertEqual(
                await kinds(attribute="User-Name", value="^mn1", matches=True), ["START", "INTERIM", "STOP"]
            )
            with self.assertRaisesRegex(ApplianceError, "no AVP is named"):
                await kinds(attribute="Shoe-Size", value="9")
            with self.assertRaisesRegex(ApplianceError, "no regular expression"):
                await kinds(attribute="User-Name", value="(", matches=True)

            stop = (await every(service.records(RecordFilter(**by_cause), True)))[0]
            self.assertEqual((stop.octets_in, stop.octets_out, stop.seconds), (5 << 30, 7 << 30, 600))
            self.assertEqual((stop.cause, stop.server, stop.number), ("DIAMETER_LOGOUT", "mobile", 2))
            self.assertIn(("Accounting-Input-Octets", "5368709120"), stop.attributes)
            self.assertLess(abs(stop.received - begun), 20)

            usage = await every(service.usage(RecordFilter()))
            self.assertEqual([(each.user, each.sessions, each.octets_in) for each in usage], [
                ("mn1@home.example", 1, 5 << 30), ("mn2@home.example", 1, 9),
            ])  # fmt: skip
            self.assertEqual(usage[0].day, time.strftime("%Y-%m-%d", time.gmtime(stop.received)))
            self.assertEqual([each.user for each in await every(service.open_accounting(RecordFilter()))], [
                "mn2@home.example"
            ])  # fmt: skip

            view = service.view()
            self.assertEqual((view.storage_state, view.records, view.waiting), ("Normal", 4, 0))
            self.assertIn("mobile.db", view.storage)
            self.assertEqual((view.counters["ACR received"], view.counters["ACA 2001 sent"]), (4, 4))
            service.clear_statistics()
            self.assertNotIn("ACR received", service.view().counters)

        self.run_with(work)

    def test_a_reader_that_has_enough(self) -> None:
        """Half a listing leaves nothing open."""

        async def work(service: AaaService, node: Node) -> None:
            for number in range(80):
                await node.ask(acr(session=f"s;{number}"))
            pages = service.records(RecordFilter(), True)
            async for page in pages:
                self.assertEqual(len(page), 32)
                break
            await pages.aclose()  # type: ignore[attr-defined]

        self.run_with(work)

    def test_stop_keeps_what_was_taken(self) -> None:
        """Records that were on their way are in the database after the end."""

        async def work(service: AaaService, node: Node) -> None:
            for number in range(50):
                asked = Incoming(acr(session=f"s;{number}"), "peer", False, False, lambda _: None)
                node.application.request(asked)

        async def look(service: AaaService, _node: Node) -> None:
            self.assertEqual(len(await every(service.records(RecordFilter(), False))), 50)

        self.run_with(work)
        self.run_with(look)

    # ---- changes

    def test_reconfigured(self) -> None:
        """Users, realms and the text log change while it runs; sessions stay."""

        async def work(service: AaaService, node: Node) -> None:
            await node.ask(aar(info()))
            changed = evolve(
                service.settings,
                realms=(Realm(name="home.example"), Realm(name="other.example")),
                users=(User(nai="*@other.example"),),
                text_log=TextLog(),
            )
            await service.reconfigure(changed)
            self.assertEqual(node.served[-1], {"home.example", "other.example"})
            self.assertEqual(result(await node.ask(aar(info(), user="x@other.example", session="b"))), 2001)
            self.assertEqual(result(await node.ask(aar(info(), session="c"))), 5003)
            self.assertEqual(service.view().sessions, 2)
            await node.ask(acr(session="logged"))
            (path,) = (self.directory / "accounting").iterdir()
            for _ in range(100):
                if path.read_text():
                    break
                await asyncio.sleep(0.05)
            self.assertIn('Session-Id = "logged"', path.read_text())

            bad = evolve(changed, realms=(Realm(name="home.example", users_file="/nowhere"),))
            with self.assertRaisesRegex(ResourceError, "/nowhere"):
                await service.reconfigure(bad)
            self.assertIs(service.settings, changed)
            self.assertEqual(result(await node.ask(aar(info(), user="y@other.example", session="d"))), 2001)

        self.run_with(work)

    def test_database_that_cannot_be_opened(self) -> None:
        """It starts all the same; clients hear the policy's code, operators why."""

        async def work(service: AaaService, node: Node) -> None:
            self.assertEqual(result(await node.ask(acr())), 4002)
            self.assertIn("mobile.db", service.view().storage_state)
            self.assertTrue(
                [text for text in self.said if text.startswith("error: aaa-server mobile: database")]
            )

        (self.directory / "aaa" / "mobile.db").mkdir(parents=True)
        self.run_with(work)

    def test_realm_of_the_node(self) -> None:
        """Requests of the node's own realm are served too, accounting of any realm that leads here."""

        async def work(_service: AaaService, node: Node) -> None:
            self.assertEqual(node.served, [frozenset({"home.example", "customers.example"})])

        self.run_with(work, realms=(Realm(name="Customers.example"),))
