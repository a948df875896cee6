"""The Exec commands of mobile nodes."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import shell
from appliance.cli.values import CommandError
from test.cli.fake_mobile import FakeClient, FakeMobile
from test.cli.fakes import FakeShell, FakeSystem

assert shell.COMMAND_MODULES


class MobileCommandTests(SynchronousTestCase):
    """Two mobile nodes."""

    def setUp(self) -> None:
        """A shell before them."""
        self.first, self.second = FakeClient(), FakeClient(name="mn2", state="Initialized")
        self.shell = FakeShell(FakeSystem(mobile=FakeMobile([self.first, self.second])))

    def test_screens(self) -> None:
        """Settings, state, bindings, counters: of all, or of one."""
        self.assertEqual(self.shell.run("show mn-client all").count("  Client Status: Started"), 1)
        self.assertEqual(self.shell.run("show mn-client name mn2")[0], "Client Name: mn2")
        self.assertEqual(len(self.shell.data("show mn-client session")), 2)
        table = self.shell.run("show mn-client bindings name mn1")
        self.assertIn("2001:db8:a::2", table[-1])
        full = self.shell.run("show mn-client bindings full")
        self.assertEqual(sum("NAT Found" in line for line in full), 2)
        data = self.shell.data("show mn-client bindings full")
        self.assertEqual((data[0]["details"], data[0]["remaining"]), ({"nat_found": "No"}, 500))
        self.first.counters.values[0] += 3
        screen = self.shell.run("show mn-client statistics")
        self.assertEqual(screen[0], "MN Clients: mn1, mn2")
        self.shell.run("clear mn-client statistics name mn1")
        self.assertEqual(sum(self.first.counters.snapshot()), 0)
        self.assertTrue(self.shell.run("show mn-client statistics name mn1 verbose"))

    def test_orders(self) -> None:
        """What an operator wants is passed on, or it is said why not."""
        for word, noun in (
            ("register", "Registration"),
            ("refresh", "Refresh"),
            ("deregister", "De-registration"),
        ):
            self.assertEqual(self.shell.run(f"mn-client mn1 {word}"), [f"{noun} of mn1 has begun"])
        self.assertEqual(self.first.told, ["register", "refresh", "deregister"])
        self.assertRaises(CommandError, self.shell.run, "mn-client mn2 register")
        error = self.assertRaises(CommandError, self.shell.run, "show mn-client name x")
        self.assertEqual(str(error), "No mn-client is named x; there is mn1, mn2")
        none = FakeShell(FakeSystem())
        self.assertIn("No mn-client", str(self.assertRaises(CommandError, none.run, "show mn-client all")))
