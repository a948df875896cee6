"""Diameter, AAA and accounting commands: what they ask the port for, what they refuse, what they write."""

import csv
import json
import os
from typing import Any

from appliance.cli.match import match, split
from appliance.cli.render_accounting import RecordScreen, csv_lines, json_line
from appliance.cli.values import CommandError
from appliance.errors import ApplianceError
from appliance.files import Export
from appliance.ports_aaa import RecordFilter
from test.cli.fake_aaa import RECEIVED, FakeAaa, client_view, peer, record, server_view, session, stop
from test.cli.fakes import pulled
from test.cli.worlds import ViewCase


class AaaCase(ViewCase):
    """A world with everything that the fake port has."""

    def setUp(self) -> None:
        super().setUp()
        self.aaa: FakeAaa = self.system.aaa
        self.shell.context = "anchor"

    def refused(self, line: str) -> str:
        """What the line fails with."""
        return str(self.assertRaises(ApplianceError, self.shell.run, line))

    def told(self) -> list[tuple[Any, ...]]:
        """What the port was told since the last call."""
        found = list(self.aaa.told)
        self.aaa.told.clear()
        return found


class PeerTests(AaaCase):
    """Peers, and what changes them."""

    def test_measures(self) -> None:
        """The columns and blanks of the capture: the task at 42, its line 80 wide, the queue's 40."""
        lines = self.shell.run("show diameter peers full")
        self.assertEqual(
            lines[:3], ["", "Context: anchor   Endpoint: aaa", " Peer Hostname: aaa1.home.example"]
        )
        task = next(line for line in lines if "Task:" in line)
        self.assertEqual((task.index("CPU:"), task.index("Task:"), len(task)), (2, 42, 80))
        waiting = next(line for line in lines if "Queued" in line)
        self.assertEqual((waiting.rstrip(), len(waiting)), ("  Messages Out/Queued: 3/1", 40))
        self.assertIn("  State: OPEN [TCP]", lines)
        self.assertIn("  Admin Status: Enable ", lines)
        self.assertIn("  Peer Backoff Timer running:N/A", lines)
        self.assertEqual(lines[-5:], [
            " Peers Summary:", "  Peers in OPEN state: 1 ", "  Peers in CLOSED state: 1 ",
            "  Peers in intermediate state: 1 ", "  Total peers matching specified criteria: 3",
        ])  # fmt: skip

    def test_filters(self) -> None:
        """By endpoint and by name; an endpoint that is not there is named."""
        self.assertEqual(len(self.shell.data("show diameter peers endpoint aaa")), 2)
        self.assertEqual(self.shell.data("show diameter peers peer relay.example")[0]["endpoint"], "spare")
        self.assertEqual(self.shell.run("show diameter peers peer x.y")[0][:8], "No peers")
        self.assertEqual(
            self.refused("show diameter peers endpoint none"),
            "No diameter endpoint is named none; there is aaa, spare",
        )
        self.aaa.endpoint_views.clear()
        self.assertIn("none is configured", self.refused("show diameter statistics endpoint aaa"))
        self.assertIn("No diameter endpoint is configured", self.refused("show diameter endpoint"))

    def test_verbose(self) -> None:
        """What StarOS has no line for stands behind what it has."""
        self.system.wall = lambda: RECEIVED  # type: ignore[method-assign]
        lines = self.shell.run("show diameter peers verbose peer aaa1.home.example")
        at = lines.index("  Peer Backoff Timer running:N/A")
        self.assertEqual(lines[at + 1 : at + 5], [
            "  Since: 2026-11-23 06:10:00 UTC for 3600 seconds", "  Watchdog State: OKAY", "  Dynamic: No",
            "  Applications: NASREQ, Diameter Base Accounting",
        ])  # fmt: skip
        self.assertIn(
            "  Requests Sent:                 7             Answers Received:              4", lines
        )

    def test_disable(self) -> None:
        """An open peer is asked about; the endpoint is found out."""
        line = "diameter disable peer aaa1.home.example"
        self.assertEqual(
            self.shell.run(line), ["Peer aaa1.home.example of diameter endpoint aaa is disabled"]
        )
        self.assertEqual(
            self.shell.asked, [["This closes the connection to aaa1.home.example; 4 requests wait there"]]
        )
        self.shell.run("diameter disable peer relay.example")
        self.shell.run("diameter enable peer aaa2.home.example endpoint aaa")
        self.assertEqual(len(self.shell.asked), 1)
        self.assertEqual(self.told(), [
            ("set", "aaa", "aaa1.home.example", False), ("set", "spare", "relay.example", False),
            ("set", "aaa", "aaa2.home.example", True),
        ])  # fmt: skip
        self.shell.answer = CommandError("not confirmed")
        self.assertIn("not confirmed", self.refused(line))
        self.assertEqual(self.told(), [])

    def test_which_peer(self) -> None:
        """One that is not there, or is there twice."""
        self.assertIn("No peer is named x.y", self.refused("diameter enable peer x.y"))
        self.assertIn(
            "No peer of diameter endpoint spare", self.refused("diameter enable peer x.y endpoint spare")
        )
        self.aaa.peer_views.append(peer(endpoint="spare"))
        line = "diameter disable peer aaa1.home.example"
        self.assertIn("several endpoints: aaa, spare; add 'endpoint NAME'", self.refused(line))
        self.shell.run(f"{line} endpoint spare -noconfirm")
        self.assertEqual(self.told(), [("set", "spare", "aaa1.home.example", False)])

    def test_clear_statistics(self) -> None:
        """Of all, of an endpoint, of a peer."""
        for words, expected in (
            ("", ("clear", "", "")), (" endpoint aaa", ("clear", "aaa", "")),
            (" peer relay.example", ("clear", "spare", "relay.example")),
        ):  # fmt: skip
            self.shell.run(f"clear diameter statistics{words}")
            self.assertEqual(self.told(), [expected])

    def test_statistics_as_data(self) -> None:
        """Keys of counters are as those of services."""
        data = self.shell.data("show diameter statistics endpoint aaa")
        self.assertEqual(data["endpoints"], {"aaa": {"submitted": 100, "answered": 97, "timeouts": 3}})
        self.assertEqual(data["peers"][0]["counters"]["requests-sent"], 7)
        self.aaa.server_views = [server_view()]
        counters = self.shell.data("show aaa statistics server home")[0]["counters"]
        self.assertEqual(counters, {"requests/aar": 4, "requests/acr": 12, "answers/2001": 16})

    def test_lists_as_data(self) -> None:
        """What there may be several of is a list always."""
        for realms, expected in ((("r",), ["r"]), ((), []), (("r", "s"), ["r", "s"])):
            self.aaa.server_views = [server_view(realms=realms)]
            self.assertEqual(self.shell.data("show aaa servers")[0]["realm"], expected)
        for each in self.shell.data("show diameter endpoint"):
            self.assertIsInstance(each["application"], list)
            self.assertIsInstance(each["listening_at"], list)


class MessageTests(AaaCase):
    """``show diameter aaa-statistics``."""

    def test_layout(self) -> None:
        """Columns of the capture: labels at 1 and 32, values at 21 and 51."""
        lines = self.shell.run("show diameter aaa-statistics")
        self.assertEqual(lines[:3], ["Authentication Servers Summary", "-" * 31, "Message Stats :"])
        self.assertEqual(lines[3], " Total AA Requests:  6          Total AA Answers:  5")
        self.assertEqual(
            [lines[3].index(text) for text in ("Total AA R", "6", "Total AA A", "5")], [1, 21, 32, 51]
        )
        self.assertEqual(lines[4], " AAR - Retries:      1          AAA Timeouts:      1")
        self.assertEqual(lines[5], " AAA - Dropped:      0")
        self.assertIn(" ASR - Rejected:     1", lines)
        self.assertIn(" Total AC Requests:  12         Total AC Answers:  12", lines)

    def test_filters(self) -> None:
        """By group and server; as data each of them."""
        self.assertEqual(len(self.shell.data("show diameter aaa-statistics all")), 3)
        found = self.shell.data("show diameter aaa-statistics server aaa2.home.example")
        self.assertEqual([view["messages"]["AA"]["requests"] for view in found], [1])
        self.assertIn(" Total AA Requests:  0", self.shell.run("show diameter aaa-statistics group x")[3])


class SessionTests(AaaCase):
    """Diameter sessions, and their end by the server."""

    def test_filters(self) -> None:
        """User and Session-Id go to the port."""
        self.assertEqual(len(self.shell.data("show diameter sessions user mn1@home.example")), 1)
        (one,) = self.shell.data("show diameter sessions session lma1.visited.example;3973075200;2 full")
        self.assertEqual((one["call_id"], one["role"], one["details"]), ("01ca11b1", "client", {}))
        (one,) = self.shell.data("show diameter sessions session lma1.visited.example;3973075200;1")
        self.assertEqual(one["details"], {"featurevector": "PMIP6_SUPPORTED"})
        self.assertEqual(self.shell.run("show diameter sessions user x")[0][:11], "No sessions")

    def test_abort(self) -> None:
        """Only sessions of a server that are open; each client's answer is a line."""
        self.assertEqual(self.shell.run("clear diameter session id lma1.visited.example;3973075200;1"), [
            "lma1.visited.example;3973075200;1: DIAMETER_SUCCESS (2001)",
            "Number of Diameter sessions aborted: 1",
        ])  # fmt: skip
        self.assertEqual(self.shell.asked, [["This asks clients to end 1 session"]])
        self.assertEqual(self.told(), [("abort", "lma1.visited.example;3973075200;1")])
        self.assertIn("No AAA server", self.refused("clear diameter session user mn2@home.example"))

    def test_abort_of_many(self) -> None:
        """All of a user; one that fails does not keep the others; history is left alone."""
        self.aaa.session_views = [session(session_id=f"a;1;{number}") for number in range(40)]
        self.aaa.session_views.append(session(session_id="a;1;99", state="Idle"))
        lines = self.shell.run("clear diameter session user mn1@home.example -noconfirm")
        self.assertEqual((len(lines), lines[-1][-2:]), (41, "40"))
        self.aaa.refusal = "no answer"
        lines = self.shell.run("clear diameter session user mn1@home.example -noconfirm")
        self.assertEqual((lines[0], lines[-1][-2:]), ("a;1;0: no answer", " 0"))


class ClientAndServerTests(AaaCase):
    """``show aaa``, ``aaa reload``, ``test aaa``."""

    def test_nothing_there(self) -> None:
        """Without services and servers it is said."""
        self.system.aaa = FakeAaa()
        self.assertEqual(self.shell.run("show aaa clients"), ["No service has an aaa group"])
        self.assertEqual(len(self.shell.run("show aaa statistics")), 1)
        for line in ("show aaa servers", "show aaa users", "show accounting records", "aaa reload users"):
            self.assertEqual(self.refused(line), "No aaa-server is configured")

    def test_names(self) -> None:
        """What is not there is named, and what is."""
        self.assertEqual(self.refused("show aaa servers name x"), "No aaa-server is named x; there is home")
        self.assertEqual(self.refused("show aaa group name x"), "No aaa group is named x; there is home")
        self.assertIn("No service with an aaa group is named x", self.refused("show aaa clients service x"))
        self.assertEqual(len(self.shell.data("show aaa clients service lma2")), 1)
        self.assertEqual(len(self.shell.data("show aaa statistics service lma1")), 1)

    def test_users(self) -> None:
        """The filter goes to the port; keys do not come back."""
        found = self.shell.data("show aaa users server home user mn*")
        self.assertEqual(self.told(), [("users", "home", "mn*")])
        self.assertEqual([user["key"] for user in found], [True, False])

    def test_reload(self) -> None:
        """Of one or all servers."""
        self.assertEqual(self.shell.run("aaa reload users"), ["home: 2 users"])
        self.shell.run("aaa reload users server home")
        self.assertEqual(self.told(), [("reload", ""), ("reload", "home")])
        self.aaa.server_views = [server_view(name="other")]
        self.assertIn("is named home", self.refused("aaa reload users server home"))

    def test_authenticate(self) -> None:
        """With and without a key, which is text or hexadecimal."""
        line = "test aaa authenticate group home user mn1@home.example"
        self.assertEqual(self.shell.run(line), ["DIAMETER_SUCCESS (2001) from aaa1.home.example"])
        self.shell.run(f"{line} spi 100 secret 0x00ff")
        self.shell.run(f"{line} spi 100 secret abcd")
        self.shell.run("test aaa accounting group home user mn1@home.example")
        who = ("anchor", "home", "mn1@home.example")
        self.assertEqual(self.told(), [
            ("authenticate", *who, b"", 0), ("authenticate", *who, b"\0\xff", 256),
            ("authenticate", *who, b"abcd", 256), ("account", *who),
        ])  # fmt: skip
        self.assertIn("hexadecimal", self.refused(f"{line} spi 100 secret 0x00f"))
        self.assertIn("No aaa group is named x", self.refused("test aaa accounting group x user mn1"))

    def test_secret_is_not_audited(self) -> None:
        """The audit log gets the line without the key."""
        from appliance.config_secrets import masked

        line = "test aaa authenticate group home user mn1 spi 100 secret 0x0badcafe"
        self.assertEqual(masked(line), "test aaa authenticate group home user mn1 spi 100 secret ********")

    def test_rights(self) -> None:
        """Looking is for inspectors; what a user did is for operators; what changes something is not."""
        for line, rights in (
            ("show diameter peers", "inspector"), ("show aaa servers", "inspector"),
            ("show accounting spool", "inspector"), ("show aaa users", "operator"),
            ("show accounting records", "operator"), ("show accounting summary", "operator"),
            ("clear diameter statistics", "operator"), ("test aaa authenticate group g user u", "operator"),
            ("test aaa accounting group g user u", "administrator"), ("aaa reload users", "administrator"),
            ("clear diameter session id x", "administrator"), ("diameter enable peer x", "administrator"),
            ("export accounting records /x csv", "administrator"),
        ):  # fmt: skip
            self.assertEqual(
                match("exec", split(line), "security-administrator").command.rights, rights, line
            )


class RecordTests(AaaCase):
    """``show accounting``."""

    def wanted(self, words: str) -> RecordFilter:
        """The filter that the port gets."""
        self.shell.run(f"show accounting records {words}")
        ((_, which, _),) = self.told()
        assert isinstance(which, RecordFilter)
        return which

    def test_filters(self) -> None:
        """Everything that can be asked for, in any order."""
        self.assertEqual(self.wanted(""), RecordFilter())
        which = self.wanted(
            "newest 5 before 2027 user mn*@home.example server home after 2026-11-23/07:10:05"
        )
        self.assertEqual(which, RecordFilter(
            server="home", user="mn*@home.example", after=RECEIVED + 5, before=1_798_761_600, newest=5,
        ))  # fmt: skip
        which = self.wanted("session a;1;2 attribute User-Name = mn1@home.example")
        self.assertEqual((which.session, which.attribute, which.value, which.matches),
                         ("a;1;2", "User-Name", "mn1@home.example", False))  # fmt: skip
        which = self.wanted("attribute MIP-Home-Agent-Address ~ '^192[.]0'")
        self.assertEqual((which.value, which.matches), ("^192[.]0", True))

    def test_bad_filters(self) -> None:
        """An expression, a time, a span, a server that cannot be."""
        for words, text in (
            ("attribute X ~ '('", "attribute: '(' is no regular expression"),
            ("after 2026-13", "Invalid value '2026-13': a date and time"),
            ("after yesterday", "Invalid value 'yesterday'"),
            ("after 2027 before 2026", "nothing can be received"),
            ("server x", "No aaa-server is named x; there is home"),
        ):
            self.assertIn(text, self.refused(f"show accounting records {words}"))

    def test_times(self) -> None:
        """What is missing at the end is the smallest."""
        for text, expected in (
            ("2026", "2026-01-01/00:00:00"), ("2026-11", "2026-11-01/00:00:00"),
            ("2026-11-23", "2026-11-23/00:00:00"), ("2026-11-23/7", "2026-11-23/07:00:00"),
            ("2026-11-23/07:10", "2026-11-23/07:10:00"), ("2026-1-2/3:4:5", "2026-01-02/03:04:05"),
        ):  # fmt: skip
            command = match("exec", split(f"show accounting records after {text}"), "administrator").command
            args = match("exec", split(f"show accounting records after {text}"), "administrator").args
            self.assertIn(expected, command.render(args))

    def test_forms(self) -> None:
        """Short is what there is without a word; full asks for the attributes."""
        self.assertEqual(
            self.shell.run("show accounting records short"), self.shell.run("show accounting records")
        )
        self.assertEqual([told[-1] for told in self.told()], [False, False])
        self.shell.run("show accounting records full")
        self.assertTrue(self.told()[0][-1])
        self.assertEqual((self.aaa.closed, self.aaa.fetched), (3, 6))

    def test_data(self) -> None:
        """Times in UTC, ids as shown; an attribute that is there twice is a list."""
        data = self.shell.data("show accounting records full")
        self.assertEqual(data[0]["received"], "2026-11-23 07:10:00.123 UTC")
        self.assertEqual(data[0]["end_to_end"], "0xa0000012")
        self.assertEqual(data[0]["attributes"]["Class"], ["0x01", "0x02"])
        self.assertNotIn("attributes", self.shell.data("show accounting records")[0])
        summary = self.shell.data("show accounting summary")
        self.assertEqual(
            summary["totals"], {"sessions": 4, "seconds": 901, "octets_in": 11, "octets_out": 22}
        )
        self.assertEqual(len(summary["usage"]), 2)

    def test_nothing(self) -> None:
        """One line, or an empty array."""
        self.aaa.stored, self.aaa.used = [], []
        for form in ("records", "records full", "sessions", "summary"):
            self.assertEqual(self.shell.run(f"show accounting {form}")[0][:21], "No accounting records")
        self.assertEqual(self.shell.data("show accounting records"), [])

    def test_hostile_user(self) -> None:
        """A name off the wire is shown harmless."""
        (line,) = (line for line in RecordScreen([record(user="a\x1b[2J\n")]).lines(80) if "START" in line)
        self.assertTrue(line.isprintable())

    def test_database_down(self) -> None:
        """What the port refuses is the failure, after what it gave."""
        self.aaa.refusal = "aaa-server home: the database does not answer"
        self.assertIn("does not answer", self.refused("show accounting records"))

    def test_spool(self) -> None:
        """Only services with accounting."""
        self.assertEqual(len(self.shell.data("show accounting spool")), 1)
        self.aaa.client_views = [client_view(accounting="")]
        self.assertEqual(len(self.shell.run("show accounting spool")), 1)


class ExportTests(AaaCase):
    """``export accounting records``."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.path = f"{self.folder}/out"
        self.system.export_file = self.export_file  # type: ignore[attr-defined]
        self.system.file_exists = self.file_exists  # type: ignore[attr-defined]

    async def export_file(self, path: str, replace: tuple[str, ...] | None) -> Export:
        """A real file."""
        file = Export(path, replace)
        await file.begin()
        return file

    async def file_exists(self, path: str) -> bool:
        """As the system tells it."""
        return os.path.exists(path)

    def read(self) -> str:
        """What was written."""
        with open(self.path, encoding="utf-8", newline="") as file:
            return file.read()

    def test_csv(self) -> None:
        """A head and a line for each; for the owner only; nothing else is left."""
        lines = self.shell.run(f"export accounting records {self.path} csv user mn1@home.example")
        self.assertEqual(lines, [f"Info: 3 records written to {self.path}"])
        rows = list(csv.DictReader(self.read().splitlines()))
        self.assertEqual([row["type"] for row in rows], ["START", "INTERIM", "STOP"])
        self.assertEqual(rows[2]["octets_out"], "70000000000")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.folder), ["out"])
        self.assertEqual(self.told()[0][1:], (RecordFilter(user="mn1@home.example"), False))

    def test_csv_full(self) -> None:
        """One more column with all attributes."""
        self.shell.run(f"export accounting records {self.path} csv full")
        rows = list(csv.DictReader(self.read().splitlines()))
        self.assertEqual(json.loads(rows[0]["attributes"])["Class"], ["0x01", "0x02"])

    def test_json(self) -> None:
        """An object a line, with all attributes."""
        self.shell.run(f"export accounting records {self.path} json")
        objects = [json.loads(line) for line in self.read().splitlines()]
        self.assertEqual([each["number"] for each in objects], [0, 1, 2])
        self.assertIn("attributes", objects[0])
        self.assertTrue(self.told()[0][-1])

    def test_replace(self) -> None:
        """An export of before is replaced after a question; another file, or a link, is not."""
        line = f"export accounting records {self.path} json"
        self.shell.run(line)
        self.aaa.stored.pop()
        self.shell.run(line)
        self.assertEqual(self.shell.asked, [[f"{self.path} exists and is replaced"]])
        self.assertEqual(self.read().count("\n"), 2)
        self.shell.run(f"export accounting records {self.path} csv")
        self.assertEqual(self.read()[:15], "server,received")
        self.shell.answer = CommandError("not confirmed")
        self.assertIn("not confirmed", self.refused(line))
        self.shell.answer = None
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("root:x:0:0")
        self.assertIn("is no such file as this writes", self.refused(line))
        self.assertEqual(self.read(), "root:x:0:0")
        os.symlink(self.path, f"{self.folder}/link")
        self.assertIn("is a link", self.refused(f"export accounting records {self.folder}/link json"))
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "out"])

    def test_fault(self) -> None:
        """When the database goes away nothing is left, and what was there is still there."""
        self.aaa.refusal = "the database is gone"
        line = f"export accounting records {self.path} csv"
        self.assertIn("is gone", self.refused(line))
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(self.aaa.closed, 1)
        self.assertIn("No such file", self.refused(f"export accounting records {self.folder}/no/out csv"))

    def test_cells(self) -> None:
        """Quotes and commas survive; control characters and formulas do no harm."""
        head, line = csv_lines(full=False)
        for user, expected in (
            ('a,"b"', 'a,"b"'), ("=1+1", "'=1+1"), ("@x", "'@x"), ("a\nb", "a\\u000ab"), ("-5", "'-5"),
        ):  # fmt: skip
            (row,) = csv.DictReader([head, line(record(user=user))])
            self.assertEqual(row["username"], expected)
        self.assertEqual(json.loads(json_line(record(user="=1+1")))["username"], "=1+1")

    def test_many(self) -> None:
        """A long export lets others run and keeps nothing."""
        self.aaa.stored = [stop(number=number) for number in range(1_000)]
        self.aaa.page = 100
        before = self.shell.face.pauses
        self.shell.run(f"export accounting records {self.path} csv")
        self.assertEqual(self.read().count("\n"), 1_001)
        self.assertGreater(self.shell.face.pauses - before, 30)


class PulledTests(AaaCase):
    """Lists let others run."""

    def test_pauses(self) -> None:
        """Each streams."""
        for line in ("show diameter peers", "show diameter message-queue", "show diameter sessions",
                     "show aaa users"):  # fmt: skip
            self.shell.run(line)
            self.assertGreater(self.shell.turns, 1, line)

    def test_first_page_only(self) -> None:
        """What is not read is not fetched."""
        lines = iter(self.shell.result("show accounting records").lines(80))
        self.assertEqual(pulled([next(lines)]), [])
        for _ in range(3):
            next(lines)
        self.assertEqual(self.aaa.fetched, 1)
