"""The show and clear commands of LMA and MAG services, from the typed line to the screen."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import appliance.cli.commands.lma
import appliance.cli.commands.mag
from appliance.cli import match
from appliance.cli.commands.sessions import GROUP_CHOICE, REVOCATION, TRIGGERS
from appliance.cli.grammar import Registry
from appliance.cli.render import CounterScreen, FactsScreen
from appliance.cli.render_sessions import SessionCountersScreen, SessionFullScreen, SessionListScreen
from appliance.cli.values import CommandError
from appliance.counters import LMA, MAG
from appliance.errors import ApplianceError
from appliance.ports import SessionFilter
from test.cli.fake_services import FakeService, FakeSystem, session
from test.cli.fakes import FakeShell


def run(system: FakeSystem, line: str, rights: str = "operator") -> Any:
    """Match a line in exec mode and call its handler; the registry is the real one."""
    return FakeShell(system, rights).result(line)


class CommandTest(SynchronousTestCase):
    """Two LMA services and one MAG service."""

    def setUp(self) -> None:
        """Give each service some counts and sessions."""
        self.one = FakeService("lma", "lma1", [session(), session(call_id=2)])
        self.two = FakeService("lma", "lma2", [session(call_id=3, service="lma2")])
        self.mag = FakeService("mag", "mag1", [session(service="mag1", interface="acc0")])
        self.system = FakeSystem(self.one, self.two, self.mag)

    def failure(self, line: str, system: FakeSystem | None = None, rights: str = "administrator") -> str:
        """What the line fails with."""
        return str(self.assertRaises(ApplianceError, run, system or self.system, line, rights))


class StatisticsTest(CommandTest):
    """show and clear ... statistics."""

    def test_sum_of_all(self) -> None:
        """Without a name the values of all LMA services are added up and their names are shown."""
        accepted = LMA.index("initial-binding-update-requests/accepted")
        self.one.counters.values[accepted] = 4
        self.two.counters.values[accepted] = 5
        screen = run(self.system, "show lma-service statistics")
        self.assertIsInstance(screen, CounterScreen)
        self.assertEqual(screen.lines(0)[0], "LMA Services: lma1, lma2")
        self.assertEqual(screen.data()["binding-updates-received/total-received"], 9)

    def test_one_service(self) -> None:
        """Both ways to name a service show that one alone."""
        self.two.counters.values[LMA.index("dereg-requests/received")] = 5
        for line in ("show lma-service statistics lma-service lma2", "show lma-service statistics name lma2"):
            screen = run(self.system, line)
            self.assertEqual(screen.lines(0)[0], "LMA Service: lma2")
            self.assertEqual(screen.data()["dereg-requests/received"], 5)
        screen = run(self.system, "show lma-service statistics name lma1")
        self.assertEqual(screen.data()["dereg-requests/received"], 0)

    def test_verbose(self) -> None:
        """verbose may stand before or after the name and brings the help texts."""
        for line in ("show lma-service statistics verbose name lma1",
                     "show lma-service statistics lma-service lma1 verbose"):  # fmt: skip
            self.assertIn("      One of these was denied.", run(self.system, line).lines(0))

    def test_abbreviated(self) -> None:
        """An operator's short form means the same."""
        whole = run(self.system, "show lma-service statistics")
        self.assertEqual(run(self.system, "sh lma st").lines(0), whole.lines(0))

    def test_mag(self) -> None:
        """A MAG service shows its own table."""
        self.mag.counters.values[MAG.index("access-links/attach")] = 3
        screen = run(self.system, "show mag-service statistics")
        self.assertEqual(screen.lines(0)[0], "MAG Service: mag1")
        self.assertIn("  Attach:                        3", "\n".join(screen.lines(0)))

    def test_clear(self) -> None:
        """clear starts one service, or all of a kind, from zero and leaves the other kind alone."""
        index = LMA.index("dereg-requests/received")
        attach = MAG.index("access-links/attach")
        self.one.counters.values[index] = self.two.counters.values[index] = 5
        self.mag.counters.values[attach] = 7
        self.assertEqual(run(self.system, "clear lma-service statistics name lma2"), [])
        self.assertEqual((self.one.counters.value(index), self.two.counters.value(index)), (5, 0))
        run(self.system, "clear lma-service statistics")
        self.assertEqual((self.one.counters.value(index), self.mag.counters.value(attach)), (0, 7))
        run(self.system, "clear mag-service statistics")
        self.assertEqual(self.mag.counters.value(attach), 0)

    def test_unknown_name(self) -> None:
        """An unknown name fails and the text names the services that there are."""
        for line in ("show lma-service statistics name x", "show lma-service name x",
                     "clear lma-service statistics name x"):  # fmt: skip
            self.assertEqual(self.failure(line), "No lma-service is named x; there is lma1, lma2")

    def test_none_configured(self) -> None:
        """Without a service of the kind every command fails and says so."""
        empty = FakeSystem(self.mag)
        for line in ("show lma-service statistics", "show lma-service statistics name lma1",
                     "show lma-service all", "show lma-service session", "clear lma-service statistics",
                     "clear lma-service session all"):  # fmt: skip
            self.assertEqual(self.failure(line, empty), "No lma-service is configured", line)

    def test_rights(self) -> None:
        """An inspector may look but not clear."""
        run(self.system, "show lma-service statistics", "inspector")
        for line in ("clear lma-service statistics", "clear mag-service session all"):
            self.failure(line, rights="inspector")
        # An operator only looks; ending sessions is an administrator's, as with clear subscribers.
        self.failure("clear lma-service session all -noconfirm", rights="operator")


class FactsTest(CommandTest):
    """show lma-service { all | name NAME }."""

    def test_all_and_name(self) -> None:
        """all shows every service of the kind, name the one; a line with Status is there to grep."""
        screen = run(self.system, "show lma-service all")
        self.assertIsInstance(screen, FactsScreen)
        status = [line for line in screen.lines(80) if "Status" in line]
        self.assertEqual(status, ["  Service Status: Started"] * 2)
        self.assertEqual(run(self.system, "show lma-service name lma2").lines(80)[0], "Service Name: lma2")
        self.assertEqual(run(self.system, "show mag-service all").lines(80)[0], "Service Name: mag1")


class SessionTest(CommandTest):
    """show and clear ... session."""

    def test_forms(self) -> None:
        """The bare form lists, full shows blocks, summary adds up; each over all services of the kind."""
        for line in ("show lma-service session", "show lma-service session all"):
            plain = run(self.system, line)
            self.assertIsInstance(plain, SessionListScreen)
            data = FakeShell(self.system).data(line)
            self.assertEqual([view["call_id"] for view in data], ["01ca11b1", "00000002", "00000003"])
        self.assertIsInstance(run(self.system, "show lma-service session full"), SessionFullScreen)
        self.assertIsInstance(run(self.system, "show lma-service session counters"), SessionCountersScreen)
        data = FakeShell(self.system).data("show lma-service session all summary")
        self.assertEqual((data["totals"]["total"], len(data["sessions"])), (3, 3))

    def test_peer(self) -> None:
        """The other end is the MAG for an LMA and the LMA for a MAG."""
        for kind, peer in (("lma", "2001:db8:ffff::a1"), ("mag", "2001:db8:ffff::1")):
            data = FakeShell(self.system).data(f"show {kind}-service session summary")
            self.assertEqual(list(data["totals"]["peers"]), [peer])

    def test_filters(self) -> None:
        """Each filter reaches the services as it is meant, addresses in canonical form."""
        for words, wanted in (
            ("", SessionFilter()),
            ("username mn*@example.org", SessionFilter(username="mn*@example.org")),
            ("ip-address 2001:DB8:1:0::0", SessionFilter(ip_address="2001:db8:1::")),
            ("ip-address 203.0.113.7", SessionFilter(ip_address="203.0.113.7")),
            ("callid 01CA11B1", SessionFilter(call_id=0x01CA11B1)),
            ("imsi 240999990000001", SessionFilter(imsi="240999990000001")),
            ("msid 240999990000001", SessionFilter(imsi="240999990000001")),
            ("user mn1@x.org ip 203.0.113.7", SessionFilter(username="mn1@x.org", ip_address="203.0.113.7")),
        ):
            for form in ("", "full ", "summary ", "counters "):
                FakeShell(self.system).run(f"show lma-service session {form}{words}")
                self.assertEqual(self.one.filters[-1], wanted)
                self.assertEqual(self.two.filters[-1], wanted)
        self.assertEqual(self.mag.filters, [])

    def test_bad_filters(self) -> None:
        """Values that cannot be are refused before any service is asked."""
        for words in ("callid 0", "callid 123456789", "callid xyz", "ip-address mn1", "ip-address fe80::1%e",
                      "imsi 24099999000000x"):  # fmt: skip
            for verb in ("show", "clear"):
                self.failure(f"{verb} lma-service session {words}")
        self.assertEqual(self.one.filters, [])
        self.assertIn("00000000", self.failure("clear lma-service session callid 00000000 -noconfirm"))

    def test_clear(self) -> None:
        """clear asks with the number of sessions, ends those that match and tells how many."""
        for line, asked, said, left in (
            ("callid 3 -noconfirm", None, "Number of LMA sessions cleared: 1", (2, 0, 1)),
            ("callid 3", None, "Number of LMA sessions cleared: 0", (2, 0, 1)),
            ("callid 2", "This ends 1 session", "Number of LMA sessions cleared: 1", (1, 0, 1)),
            ("all", "This ends 1 session", "Number of LMA sessions cleared: 1", (0, 0, 1)),
        ):
            shell = FakeShell(self.system, "administrator")
            self.assertEqual(shell.run(f"clear lma-service session {line}"), [said])
            self.assertEqual(shell.asked, [] if asked is None else [[asked]])
            self.assertEqual(tuple(s.session_count() for s in (self.one, self.two, self.mag)), left)

    def test_clear_by_revocation(self) -> None:
        """What gateways are told, whole realms and groups; what one message cannot say is refused."""
        for line, manner in (
            ("callid 9 revocation-trigger user", {"trigger": 5}),
            ("callid 9 ipv4-only", {"ipv4_only": True}),
            ("callid 9 ipv4-only revocation-trigger out-of-sync", {"trigger": 7, "ipv4_only": True}),
            ("bulk-group 4 -noconfirm", {"group": 4}),
            ("username @example.net revocation-trigger local-policy", {"trigger": 129}),
            ("all revocation-trigger per-peer-policy", {"trigger": 128}),
        ):
            FakeShell(self.system, "administrator").run(f"clear lma-service session {line}")
            self.assertEqual(self.one.manners[-1], manner)
        for line in (
            "callid 9 revocation-trigger per-peer-policy",
            "all revocation-trigger local-policy",
            "username a@x revocation-trigger local-policy",
            "username *@* revocation-trigger local-policy",
            "all ipv4-only revocation-trigger per-peer-policy",
            "bulk-group 4 ipv4-only",
            "bulk-group 0",
        ):
            self.failure(f"clear lma-service session {line} -noconfirm")
        self.failure("clear mag-service session all revocation-trigger user")
        # Each trigger says what it means.
        line = "clear lma-service session all revocation-trigger "
        found = {each.text: each.help for each in match.candidates("exec", line, "administrator")}
        self.assertEqual(set(found), set(TRIGGERS))
        self.assertEqual(len(set(found.values())), len(TRIGGERS))

    def test_not_confirmed(self) -> None:
        """A "no" ends nothing."""
        shell = FakeShell(self.system, "administrator")
        shell.answer = CommandError("not confirmed")
        self.assertRaises(CommandError, shell.run, "clear mag-service session all")
        self.assertEqual(shell.asked, [["This ends 1 session"]])
        self.assertEqual(self.mag.session_count(), 1)

    def test_clear_in_slices(self) -> None:
        """Many sessions are ended a few at a time, and a username is looked for in slices before."""
        many = FakeService("lma", "lma1", [session(call_id=number) for number in range(1, 1001)])
        shell = FakeShell(FakeSystem(many), "administrator")
        self.assertEqual(shell.run("clear lma-service session all"), ["Number of LMA sessions cleared: 1000"])
        self.assertGreaterEqual(shell.face.pauses, 1000 // 20)

    def test_clear_needs_a_choice(self) -> None:
        """clear without saying which sessions is incomplete and ends none."""
        self.failure("clear lma-service session")
        self.failure("clear lma-service session -noconfirm")
        self.assertEqual(self.one.session_count(), 2)


class DeclarationTest(SynchronousTestCase):
    """Both modules declare the same commands."""

    def test_same_for_both(self) -> None:
        """LMA and MAG have the same command forms; only anchors say more when they clear sessions."""
        self.assertTrue(appliance.cli.commands.lma and appliance.cli.commands.mag)
        registry = Registry()
        for kind in ("lma", "mag"):
            appliance.cli.commands.lma.declare(kind, registry)
        forms = [command.syntax for command in registry.commands("exec")]
        anchor = [form.replace("lma-", "mag-") for form in forms[:5]]
        anchor[4] = anchor[4].replace(GROUP_CHOICE, "").replace(REVOCATION, "")
        self.assertEqual(anchor, forms[5:])
