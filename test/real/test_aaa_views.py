"""The shell's Diameter and AAA over real endpoints, a real AAA server and a real database."""

import csv
import json
import os
import shutil
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance import aaa_tester
from appliance.tap import TappedDiameter
from test.real.aaa_world import AaaWorld


class AaaCase(SynchronousTestCase):
    """One world for each test."""

    USED = True
    """The client's node is used by a service."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="appliance-aaa-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.world = AaaWorld(self.directory)
        self.addCleanup(self.world.stop)
        self.world.start(self.USED)

    def does(self, line: str) -> list[str]:
        """What a line prints that works."""
        status, lines = self.world.do(line)
        self.assertEqual(status, 0, lines)
        return lines

    def data(self, line: str) -> Any:
        """The same as data."""
        return json.loads("\n".join(self.does(f"{line} | json")))

    def fails(self, line: str) -> str:
        """What a line fails with."""
        status, lines = self.world.do(line)
        self.assertEqual(status, 1, lines)
        return "\n".join(lines)


class UnusedTests(AaaCase):
    """A group that no service uses yet."""

    USED = False

    def test_tests(self) -> None:
        """It can be tried all the same: the node connects for that."""
        lines = self.does("test aaa authenticate group home user mn1@home.example")
        self.assertEqual(lines[-1], "Verdict: accept")
        lines = self.does("test aaa accounting group home user mn1@home.example")
        self.assertIn("DIAMETER_SUCCESS (2001)", lines[0])
        self.assertEqual(self.world.views.endpoints()[0].applications, ())


class AaaViewTests(AaaCase):
    """All the views and commands."""

    def test_peers(self) -> None:
        """Both ends of the one connection, with their addresses; disabled, and enabled again."""
        client, server = self.data("show diameter peers")
        self.assertEqual((client["name"], client["state"], client["transport"]),
                         ("aaa1.home.example", "OPEN", "TCP"))  # fmt: skip
        self.assertEqual(client["address"], f"127.0.0.1:{self.world.port}")
        self.assertEqual((server["name"], server["dynamic"]), ("lma1.visited.example", True))
        self.assertEqual(client["local_address"], server["address"])
        self.assertEqual(client["counters"]["opens"], 1)
        lines = self.does("show diameter peers full")
        self.assertIn("Context: anchor   Endpoint: client", lines)
        self.assertIn(" Peer Hostname: aaa1.home.example", lines)
        self.assertIn("  State: OPEN [TCP]", lines)
        self.assertIn("  Total peers matching specified criteria: 2", lines)
        self.does("diameter disable peer aaa1.home.example -noconfirm")
        self.world.wait(lambda: self.data_of_peer()["state"] == "CLOSED")
        self.assertFalse(self.data_of_peer()["enabled"])
        self.assertEqual(self.data_of_peer()["disconnect"], "DO_NOT_WANT_TO_TALK_TO_YOU")
        self.does("diameter enable peer aaa1.home.example")
        self.world.wait(lambda: self.data_of_peer()["state"] == "OPEN")

    def data_of_peer(self) -> dict[str, Any]:
        """The client's peer, read on the loop."""
        (view,) = (each for each in self.world.views.peers("client") if each is not None)
        return {"state": view.state, "enabled": view.enabled, "disconnect": view.disconnect}

    def test_endpoints(self) -> None:
        """Facts, routes, statistics and the empty queue."""
        client, server = self.data("show diameter endpoint")
        self.assertEqual((client["endpoint_status"], client["peers_in_open_state"]), ("Started", "1"))
        self.assertIn(f"127.0.0.1:{self.world.port} [TCP]", server["listening_at"])
        self.assertIn("Diameter Base Accounting", server["application"])
        (route, *_) = self.data("show diameter routes endpoint client")
        self.assertEqual((route["realm"], route["peer"], route["state"]),
                         ("home.example", "aaa1.home.example", "up"))  # fmt: skip
        self.assertEqual(self.does("show diameter message-queue"), ["No requests wait"])
        self.does("test aaa accounting group home user mn1@home.example")
        counters = self.data("show diameter statistics endpoint client")
        self.assertEqual(counters["endpoints"]["client"]["node/submitted"], 1)
        self.assertEqual(counters["endpoints"]["client"]["connections/connected"], 1)
        self.assertEqual(counters["peers"][0]["counters"]["requests-sent"], 1)
        self.does("clear diameter statistics")
        counters = self.data("show diameter statistics")
        self.assertEqual(counters["endpoints"]["client"]["node/submitted"], 0)

    def test_authenticate(self) -> None:
        """A user who may, one who may not, a key that is right and one that is wrong; nothing is left."""
        line = "test aaa authenticate group home user"
        lines = self.does(f"{line} mn1@home.example")
        self.assertRegex(lines[0], r"^AAR: DIAMETER_SUCCESS \(2001\) from aaa1.home.example after [\d.]+ sec")
        self.assertIn("  Home Network Prefix: 2001:db8:1:2::/64", lines)
        self.assertRegex(lines[-2], r"^STR: DIAMETER_SUCCESS \(2001\)")
        self.assertEqual(lines[-1], "Verdict: accept")
        self.assertRegex("".join(self.does(f"{line} mn2@home.example")), r"AAR: .*\(5003\).*Verdict: reject$")
        good = "secret 0x000102030405060708090a0b0c0d0e0f"
        lines = self.does(f"{line} mn1@home.example spi 3 {good}")
        self.assertRegex(lines[0], r"^MIR: DIAMETER_SUCCESS \(2001\)")
        self.assertEqual(lines[-1], "Verdict: accept")
        lines = self.does(f"{line} mn1@home.example spi 3 secret wrongwrong")
        self.assertEqual(lines[-1], "Verdict: bad credentials")
        live = [view for view in self.data("show diameter sessions") if view["state"] == "Open"]
        self.assertEqual(live, [])
        counters = self.data("show aaa statistics server home")[0]["counters"]
        self.assertIn("str-received", counters)

    def test_nobody_answers(self) -> None:
        """Without a server it is said, and quickly."""
        self.patch(aaa_tester, "PATIENCE", 0.2)
        self.does("diameter disable peer aaa1.home.example -noconfirm")
        text = self.fails("test aaa authenticate group home user mn1@home.example")
        self.assertIn("no server has decided about the user", text)
        self.assertIn("no peer", self.fails("test aaa accounting group home user mn1@home.example"))

    def test_records(self) -> None:
        """What was accounted is shown, found, summed up and exported."""
        for user in ("mn1", "mn1", "mn2"):
            lines = self.does(f"test aaa accounting group home user {user}@home.example")
            self.assertRegex(lines[0], r"^ACR: DIAMETER_SUCCESS \(2001\) from aaa1.home.example")
        found = self.data("show accounting records full")
        users = [each["username"] for each in found]
        self.assertEqual(users, ["mn1@home.example"] * 2 + ["mn2@home.example"])
        self.assertEqual((found[0]["type"], found[0]["server"]), ("EVENT", "home"))
        self.assertEqual(found[0]["attributes"]["Accounting-Record-Type"], "EVENT_RECORD")
        for words, count in (
            ("user mn1@home.example", 2), ("user mn*@home.example", 3), ("newest 1", 1), ("after 2100", 0),
            ("before 2100", 3), (f"session {found[1]['session_id']}", 1),
            ("attribute User-Name = mn2@home.example", 1), ("attribute User-Name ~ '^mn1@'", 2),
            ("attribute Origin-Host = lma1.visited.example", 3), ("server home", 3),
        ):  # fmt: skip
            self.assertEqual(len(self.data(f"show accounting records {words}")), count, words)
        self.assertEqual(self.data("show accounting records newest 1")[0]["username"], "mn2@home.example")
        lines = self.does("show accounting records full newest 1")
        self.assertIn('  User-Name = "mn2@home.example"', lines)
        self.assertIn("Total Records: 1", lines)
        self.assertIn("no AVP", self.fails("show accounting records attribute No-Such-Thing = 1"))
        self.assertEqual(len(self.data("show accounting summary")["usage"]), 2)
        path = os.path.join(self.directory, "out.csv")
        self.does(f"export accounting records {path} csv full user mn1@home.example")
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 2)
        self.assertEqual(json.loads(rows[0]["attributes"])["User-Name"], '"mn1@home.example"')

    def test_sessions(self) -> None:
        """A session of the server: shown by user and Session-Id, ended by the operator, then history."""
        session = self.world.authorize("mn1@home.example")
        (view,) = self.data("show diameter sessions user mn1@*")
        self.assertEqual((view["session_id"], view["role"], view["state"], view["peer"]),
                         (session, "server", "Open", "lma1.visited.example"))  # fmt: skip
        self.assertEqual(view["addresses"], ["2001:db8:1:2::/64"])
        lines = self.does(f"show diameter sessions full session {session}")
        self.assertIn("  User-Name:                     mn1@home.example", lines)
        self.assertEqual(self.data("show aaa users user mn1@home.example")[0]["sessions"], 1)
        lines = self.does(f"clear diameter session id {session} -noconfirm")
        self.assertIn("is ended by its client: result 2001", lines[0])
        self.assertEqual(lines[1], "Number of Diameter sessions aborted: 1")
        self.world.terminate(session, "mn1@home.example")
        (view,) = self.data("show diameter sessions")
        self.assertEqual((view["state"], view["session_id"]), ("Idle", session))
        counts = {view["server"]: view["messages"] for view in self.data("show diameter aaa-statistics")}
        self.assertEqual(counts["aaa1.home.example"]["AS"]["answers"], 1)
        self.assertEqual(counts["aaa1.home.example"]["AA"], {
            "requests": 1, "answers": 1, "retries": 0, "timeouts": 0, "dropped": 0, "rejected": 0,
        })  # fmt: skip
        self.assertIn(" Total AS Requests:  1          Total AS Answers:  1",
                      self.does("show diameter aaa-statistics group home"))  # fmt: skip

    def test_accounting_sessions(self) -> None:
        """What has begun and not ended; the sums of a user and day."""
        for number, kind in enumerate((2, 3, 3)):
            self.world.account("a;1;1", "mn1@home.example", kind, number, 60 * number, 1_000 * number)
        for number, kind in enumerate((2, 4)):
            self.world.account("a;1;2", "mn1@home.example", kind, number, 30 * number, 7 * number)
        (view,) = self.data("show accounting sessions")
        self.assertEqual((view["session_id"], view["type"], view["number"], view["seconds"]),
                         ("a;1;1", "INTERIM", 2, 120))  # fmt: skip
        totals = self.data("show accounting summary user mn1@home.example")["totals"]
        self.assertEqual((totals["sessions"], totals["seconds"], totals["octets_in"]), (2, 150, 2_007))
        kinds = [each["type"] for each in self.data("show accounting records session a;1;2")]
        self.assertEqual(kinds, ["START", "STOP"])

    def test_monitor_and_capture(self) -> None:
        """What a subscriber's question looks like on the terminal."""
        subscription = self.world.tap.subscribe()
        self.world.authorize("mn1@home.example")
        seen = [item for item in subscription.take() if isinstance(item, TappedDiameter)]
        subscription.close()
        self.assertEqual([(item.service, item.direction) for item in seen], [
            ("client", "outbound"), ("server", "inbound"), ("server", "outbound"), ("client", "inbound"),
        ])  # fmt: skip
        self.assertEqual({item.name for item in seen}, {"aaa1.home.example", "lma1.visited.example"})
        self.assertEqual(seen[0].destination_port, self.world.port)
        self.assertEqual(seen[0].source_port, seen[1].source_port)
        self.assertGreater(seen[0].source_port, 0)

    def test_servers_and_users(self) -> None:
        """The server, its users, its counters."""
        (server,) = self.data("show aaa servers")
        self.assertEqual((server["server_status"], server["users"]), ("Started", "2"))
        self.assertIn(server["storage_state"], ("Opening", "Normal"))
        users = self.data("show aaa users user mn1@home.example")
        self.assertEqual([(user["source"], user["key"]) for user in users], [("configuration", True)])
        text = "\n".join(self.does("show aaa users full"))
        self.assertNotIn("0001020304", text)
        self.assertEqual(self.does("aaa reload users"), ["No realm has a users file"])
        self.assertIn("No AAA server of this appliance", self.fails("clear diameter session id a;1;2"))

    def test_not_running(self) -> None:
        """What does not run is shown all the same."""
        self.world.run(self.world.desk.stop())
        self.assertEqual([each["endpoint_status"] for each in self.data("show diameter endpoint")],
                         ["Initialized", "Initialized"])  # fmt: skip
        self.assertEqual(self.data("show aaa servers")[0]["server_status"], "Initialized")
        self.assertEqual(self.does("show accounting records")[0][:21], "No accounting records")
        self.assertEqual(self.data("show diameter peers"), [])
        self.assertIn("is not started", self.fails("test aaa authenticate group home user mn1@home.example"))
