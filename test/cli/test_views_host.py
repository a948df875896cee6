"""Screens of the network and the log, tech-support, and the programs behind ping and traceroute."""

from typing import Any

from attrs import evolve

from appliance.cli import ours
from appliance.config import load
from test.cli.fake_services import FakeSystem
from test.cli.fakes import FakeShell, FakeTerminal
from test.cli.worlds import ViewCase


class NetworkTests(ViewCase):
    """Interfaces, routes and pools of the current context."""

    def test_contexts(self) -> None:
        """A context has what it configures and what its services use; local has the rest."""
        for context, names in (
            ("anchor", ["eth1", "tun-lma1", "eth9"]), ("access", ["acc0"]), ("local", ["lo"]),
        ):  # fmt: skip
            self.shell.context = context
            data = self.shell.data("show ip interface")
            self.assertEqual([each["name"] for each in data], names)
        self.shell.context = "anchor"
        self.assertEqual(self.shell.data("show ip interface summary")[2]["state"], "missing")

    def test_no_such_pool(self) -> None:
        """The failure names the pools that there are; the other family's are not among them."""
        self.assertEqual(self.failure("show ip pool pool-name x"), "No pool is named x; there is home4")
        self.shell.context = "access"
        self.assertEqual(self.failure("show ip pool pool-name home4"),
                         "No pool is named home4; there is none")  # fmt: skip
        self.assertEqual(self.shell.run("show ip pool summary"), ["No pools in this context"])

    def test_many_routes(self) -> None:
        """A table without end is cut, and reading it lets others run."""
        route = self.system.host.kernel[4][0]
        self.system.host.kernel[4] = [evolve(route, interface="lo")] * 10_050
        before = self.shell.face.pauses
        lines = self.shell.run("show ip route")
        self.assertEqual(lines[-1], "Only the first 10000 routes are shown")
        self.assertEqual(lines[-4], "Total route count : 10000")
        self.assertEqual(self.shell.face.pauses - before, 500)


class LogTests(ViewCase):
    """show logs, logging."""

    def texts(self, line: str) -> list[str]:
        """The texts of the lines that are shown."""
        return [each["text"] for each in self.shell.data(line)]

    def test_filters(self) -> None:
        """By level, by facility and those below it, by number."""
        everything = ["lma lma1: peer is back", "too many clients", "gone"]
        self.assertEqual(self.texts("show logs"), everything)
        self.assertEqual(self.texts("show logs level warning"), everything[1:])
        self.assertEqual(self.texts("show logs facility appliance"), [everything[0], everything[2]])
        self.assertEqual(self.texts("show logs facility all last 1"), everything[2:])
        self.assertEqual(self.texts("show logs last 2 level info"), everything[1:])
        lines = self.shell.run("show logs level critical")
        self.assertEqual(lines, ["No log lines match the specified criteria"])

    def test_live(self) -> None:
        """Lines go to the terminal until the operator says no, or is gone."""
        self.assertIn("only to a terminal", self.failure("logging active"))
        self.shell.face = terminal = FakeTerminal()
        self.shell.operator = self.system.people[0]
        self.shell.run("logging filter active facility control level debug")
        self.shell.run("logging active")
        say, present = self.system.log.followers[3]
        say(["a line"])
        self.assertEqual((terminal.notices, present()), (["a line"], True))
        self.assertEqual(self.shell.run("show logging active"), ["facility control level debug"])
        self.system.people.pop(0)
        self.assertFalse(present())
        self.shell.run("no logging active")
        self.assertIn("are not shown", self.failure("no logging active"))


class TechSupportTests(ViewCase):
    """show tech-support."""

    def test_parts(self) -> None:
        """Every screen stands under its heading; a part that fails says so and the rest follows."""
        text = "config\n  local-user username anna password Secret-word1\nend\n"
        self.system.configuration = load(text, "x")
        lines = self.shell.run("show tech-support")
        headings = [line[9:-9] for line in lines if line.startswith("######## ")]
        self.assertEqual(headings, list(ours.TECH_SUPPORT))
        text = "\n".join(lines)
        self.assertNotIn("Secret-word1", text)
        self.assertIn("Total Disconnects: 10000000010", text)
        bare = FakeSystem()
        bare.configuration = load("config\nend\n", "x")
        shell = FakeShell(bare)
        self.assertIn("Failure: No lma-service is configured", shell.run("show tech-support"))

    def test_rights(self) -> None:
        """An inspector may not."""
        self.shell.rights = "inspector"
        self.assertIn("needs the privilege operator", self.failure("show tech-support"))
        self.assertIn("needs the privilege operator", self.failure("show logs"))


class ProbeTests(ViewCase):
    """ping and traceroute: what is run, and from where."""

    def setUp(self) -> None:
        """The host has the programs."""
        super().setUp()
        self.shell.context = "anchor"
        self.system.host.programs = {name: [f"{name} says"] for name in ("ping", "traceroute", "tracepath")}

    def ran(self, line: str) -> str:
        """The command line that a typed line runs."""
        self.assertIn("says", self.shell.run(line)[0])
        return " ".join(self.system.host.ran[-1])

    def test_ping(self) -> None:
        """The source is the context's address that fits the target; everything has a limit."""
        for line, expected in (
            ("ping 192.0.2.7", "-c 5 -s 56 -i 1 -W 2 -4 -I 192.0.2.1 -- 192.0.2.7 17s"),
            ("ping 2001:DB8:0::7 count 2 size 100",
             "-c 2 -s 100 -i 1 -W 2 -6 -I 2001:db8:ffff::1 -- 2001:db8::7 14s"),
            ("ping 192.0.2.7 src 198.51.100.3", "-c 5 -s 56 -i 1 -W 2 -4 -I 198.51.100.3 -- 192.0.2.7 17s"),
            ("ping host.example interface eth1 count 1",
             "-c 1 -s 56 -i 1 -W 2 -6 -I 2001:db8:ffff::1 -- host.example 13s"),
            ("ping6 host.example count 1", "-c 1 -s 56 -i 1 -W 2 -6 -I 2001:db8:ffff::1 -- host.example 13s"),
            ("ping host.example count 1", "-c 1 -s 56 -i 1 -W 2 -- host.example 13s"),
        ):  # fmt: skip
            self.assertEqual(self.ran(line), f"ping -n {expected}", line)
        self.shell.context = "local"
        self.assertNotIn("-I", self.ran("ping 192.0.2.7"))

    def test_traceroute(self) -> None:
        """traceroute, or tracepath where that is all there is and no source is wanted."""
        self.assertEqual(self.ran("traceroute 192.0.2.7 maximum-ttl 3"),
                         "traceroute -n -m 3 -4 -q 1 -w 2 -s 192.0.2.1 -- 192.0.2.7 19s")  # fmt: skip
        del self.system.host.programs["traceroute"]
        self.shell.context = "local"
        self.assertEqual(self.ran("traceroute 192.0.2.7"), "tracepath -n -m 30 -4 -- 192.0.2.7 100s")
        self.shell.context = "anchor"
        self.assertEqual(self.failure("traceroute 192.0.2.7"), "this host has no program traceroute; install "
                         "the Debian package traceroute")  # fmt: skip

    def test_refused(self) -> None:
        """Families that differ, an interface that is not there, a missing program, options as hosts."""
        for line, text in (
            ("ping 192.0.2.7 src 2001:db8::1", "do not go together"),
            ("ping6 192.0.2.7", "an IPv6 address is wanted"),
            ("ping 192.0.2.7 interface eth7", "context anchor has no interface eth7"),
            ("ping 192.0.2.7 interface eth9", "interface eth9 has no IPv4 address"),
            ("ping -f", "Invalid value"), ("ping --help", "Invalid value"), ("ping a b", "Unknown keyword"),
            ("ping 192.0.2.7 count 0", "Invalid value"), ("ping 192.0.2.7 size 65001", "Invalid value"),
            ("ping 'a;b'", "Invalid value"), ("ping $(id)", "Invalid value"),
        ):  # fmt: skip
            self.assertIn(text, self.failure(line), line)
        self.system.host.programs.clear()
        text = "this host has no program ping; install the Debian package iputils-ping"
        self.assertEqual(self.failure("ping 192.0.2.7"), text)
        self.assertEqual(self.system.host.ran, [])

    def test_interrupted(self) -> None:
        """A terminal that wants no more ends the program."""

        class Gone(Exception):
            pass

        async def write(lines: Any, **_: Any) -> None:
            raise Gone

        self.shell.face.write = write  # type: ignore[method-assign]
        self.assertRaises(Gone, self.shell.run, "ping 192.0.2.7")
        self.assertEqual(self.system.host.killed, 1)
