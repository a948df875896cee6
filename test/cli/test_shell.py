"""Transcripts of shell sessions in Exec mode."""

import json
import os
import time
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.grammar import Registry, command
from appliance.cli.shell import SLICE, Shell
from appliance.errors import ApplianceError
from test.cli.fakes import FakeGateway
from test.cli.shells import MemorySystem, Recorder, Result, make_shell, run

CASES = int(os.environ.get("FUZZ", "200"))

TEXT = """\
config
  system hostname node1
  context access
    interface eth1
      ipv6 address 2001:db8:a::1/64
      exit
    mag-service mag1
      reg-lifetime 900
      exit
    exit
  context a-context-with-a-long-name
    exit
end
"""


class ShellCase(SynchronousTestCase):
    """Gives each test a shell without date lines."""

    def setUp(self) -> None:
        """Make the shell; the clock is in UTC."""
        before = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()

        def restore() -> None:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        self.gateway = FakeGateway()
        self.system = MemorySystem(TEXT, [self.gateway])
        self.shell = self.make("administrator")

    def make(self, rights: str) -> Shell:
        """A shell for a user of this privilege."""
        return make_shell(self.system, rights)

    def do(self, line: str) -> Result:
        """What one line gives."""
        return run(self.shell, line)

    def complete(self, text: str) -> list[str]:
        """The keywords that the last word could become."""
        return [each.text for each in self.shell.candidates(text) if each.word]

    def does(self, line: str, *lines: str) -> None:
        """Expect success and these lines."""
        self.assertEqual(self.do(line), Result(list(lines), 0))

    def fails(self, line: str, text: str) -> None:
        """Expect this failure."""
        self.assertEqual(self.do(line), Result([f"Failure: {text}"], 1))


class ShellTests(ShellCase):
    """One line at a time."""

    def test_prompt(self) -> None:
        """Context and host; ``>`` for who may not configure."""
        self.assertEqual(self.shell.prompt, "[local]node1# ")
        self.does("context access")
        self.assertEqual(self.shell.prompt, "[access]node1# ")
        self.assertEqual(self.make("operator").prompt, "[local]node1> ")
        self.fails("context none", "No context is named none; there is access, a-context-with-a-long-name")
        self.assertRaises(ApplianceError, self.make, "king")

    def test_show_configuration(self) -> None:
        """The running configuration, and one context of it."""
        self.does("show configuration", *TEXT.splitlines())
        self.does("show conf context a-context-with-a-long-name",
                  "config", "  context a-context-with-a-long-name", "    exit", "end")  # fmt: skip
        self.fails(
            "show conf context b", "No context is named b; there is access, a-context-with-a-long-name"
        )
        self.fails("show clocks", "Unknown keyword 'clocks' after 'show': did you mean clock?")
        self.shell = self.make("inspector")
        self.fails(
            "show configuration", "'show configuration' needs the privilege operator; this user is inspector"
        )

    def test_system(self) -> None:
        """Version, uptime, clock, load."""
        self.does("show system uptime", "System uptime: 1D 1H 34M")
        self.does("show clock", "Sunday September 09 01:46:40 UTC 2001")
        self.assertIn("Loop Lag Now:                  1.2 ms", self.do("show system").lines)
        self.assertEqual(self.do("show version").lines[0], "Active Software:")
        keys = json.loads("\n".join(self.do("show version | json").lines))
        self.assertIn("image_version", keys)
        self.assertIn("source_commit_id", keys)

    def test_tables(self) -> None:
        """Columns as measured on captures; a long name pushes the rest to the right."""
        self.does(
            "show context all",
            "Context Name    ContextID    State     Description",
            "--------------- --------- ----------   -----------------------",
            "local           1            Active",
            "access          2            Active",
            "a-context-with-a-long-name 3 Active",
        )
        self.does(
            "show service all",
            "ContextID   ServiceID   ContextName   ServiceName   State         Sessions   Type",
            "---------   ---------   -----------   -----------   ----------    ----------- ----",
            "2           1           access        mag1          Started       3             mag",
        )
        data = json.loads("\n".join(self.do("show service all | json").lines))
        self.assertEqual(
            data[0],
            {
                "context_id": 2, "service_id": 1, "context_name": "access", "service_name": "mag1",
                "state": "Started", "sessions": 3, "type": "mag",
            },
        )  # fmt: skip

    def test_date_line(self) -> None:
        """The first line of an output is the date unless it is turned off; JSON and nothing have none."""
        self.does("timestamps")
        self.does("show clock", *["Sunday September 09 01:46:40 UTC 2001"] * 2)
        self.assertEqual(self.do("show clock | json").lines[0], "{")
        self.does("terminal length 0")
        self.does("no timestamps")
        self.does("show clock", "Sunday September 09 01:46:40 UTC 2001")

    def test_pipes(self) -> None:
        """grep with its options, more, several in a row."""
        self.does("show conf |grep -i HOST", "  system hostname node1")
        self.does("show conf | grep -v t | grep -v o | grep d$", "end")
        self.does(
            'show conf | grep -E "hostname|ipv6"',
            "  system hostname node1",
            "      ipv6 address 2001:db8:a::1/64",
        )
        self.does("show conf | grep 'hostname|ipv6'")
        self.does('show conf | GR -iE "HOST|xyz"', "  system hostname node1")
        self.does("do show system uptime | more", "System uptime: 1D 1H 34M")
        self.fails("show conf | sort", "Unknown pipe 'sort': grep, json, more")
        self.fails("show conf |", "Unknown pipe '': grep, json, more")
        self.fails("| grep a", "Incomplete command: a command is wanted before |")
        self.fails("show conf | more x", "Unexpected 'x': nothing follows '| more'")
        self.fails("show conf | grep -z a", "Unknown option '-z' of grep: -v, -i, -E")
        self.fails("show conf | grep", "grep needs one pattern of 1 to 128 characters; quote one with spaces")
        self.fails("show conf | grep -E '(a'", "grep: '(a' is no regular expression: missing ): (a")

    def test_slow_expressions(self) -> None:
        """Expressions that a backtracking matcher would take hours for are matched like any other."""
        for pattern in ("(a+)+~", "(a|a)*~", ".*.*.*.*~", "[a-z ]*[a-z ]*[a-z ]*~", "a?" * 30 + "~"):
            self.does(f"show conf | grep -E '{pattern}'")
        self.does(r"show conf | grep -E '^ +system [a-z*+?(]+\(?'", "  system hostname node1")
        for pattern in (r"(a)\1", "(?=a)", "((a{1,100}){1,100}){1,100}"):
            self.assertIn("is no regular expression", self.do(f"show conf | grep -E '{pattern}'").lines[0])

    def test_attach_and_detach(self) -> None:
        """The gateway is told what was typed; its refusal is the failure."""
        self.does(
            "mag-service mag1 attach mac-address 02-00-5e-10-00-01 interface acc0",
            "Attach of 02:00:5e:10:00:01 has begun",
        )
        self.does(
            "mag-service mag1 att user a@b.c mac 02:00:5e:10:00:01 int acc0 hand 1",
            "Attach of a@b.c has begun",
        )
        self.does("mag-service mag1 detach username a@b.c", "Detach of a@b.c has begun")
        self.assertEqual(
            self.gateway.calls,
            [("attach", "", "acc0", "02:00:5e:10:00:01", 4),
             ("attach", "a@b.c", "acc0", "02:00:5e:10:00:01", 1),
             ("detach", "a@b.c", "", "")],
        )  # fmt: skip
        self.gateway.refusal = "no such interface"
        self.fails("mag-service mag1 attach username a@b.c interface acc1", "no such interface")
        self.fails("mag-service mag1 detach username a@b.c", "no such interface")
        self.fails("mag-service mag2 detach username a@b.c", "No mag-service is named mag2")

    def test_terminal(self) -> None:
        """Settings of the session; remarks and empty lines do nothing."""
        for line in ("terminal length 40", "terminal width 512", "", "   ", "##### remark", "# show | x"):
            self.does(line)
        self.assertEqual((self.shell.length, self.shell.width), (40, 512))
        self.does("exit  # good night")
        self.assertTrue(self.shell.closed)

    def test_completion(self) -> None:
        """The shell completes in its own mode, also after ``do``."""
        self.assertEqual(self.complete("sh"), ["show"])
        self.assertEqual(self.complete("do sh"), ["show"])
        self.assertIn("uptime", self.complete("show system "))
        self.shell = self.make("inspector")
        self.assertNotIn("configuration", self.complete("show c"))

    @settings(deadline=None, max_examples=CASES)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(["show", "do", "|", "grep", "json", "context", "no", "-v", '"']),
                st.text(),
            )
        )
    )
    def test_anything(self, words: list[str]) -> None:
        """No line makes the shell raise; each gives 0, or 1 and Failure lines."""
        result = self.do(" ".join(words))
        self.assertIn(result.status, (0, 1))
        self.shell.candidates(" ".join(words))
        if result.status:
            self.assertTrue(all(line.startswith("Failure: ") for line in result.lines))


class StreamTests(ShellCase):
    """Output that is long, or that nobody wants to the end."""

    def test_only_what_is_taken_is_computed(self) -> None:
        """A handler's lines are pulled a slice at a time; ``q`` at a page ends the command."""
        pulled: list[int] = []

        def lines() -> Iterator[str | None]:
            for number in range(10_000):
                pulled.append(number)
                yield f"line {number}" if number % 2 else None

        registry = Registry()
        command("exec", "count", help={"count": "Counts"}, registry=registry)(lambda _shell, _args: lines())
        self.shell._registry = registry
        face = Recorder(patience=3)
        self.assertEqual(run(self.shell, "count", face).status, 1)
        self.assertEqual(len(pulled), 4 * SLICE)
        self.assertEqual(face.written, [f"line {number}" for number in range(3 * SLICE) if number % 2])

    def test_json_of_a_stream(self) -> None:
        """Lines that come one by one are one JSON array."""
        registry = Registry()
        command("exec", "count", help={"count": "Counts"}, registry=registry)(
            lambda _shell, _args: (f"line {number}" if number % 2 else None for number in range(500))
        )
        self.shell._registry = registry
        data = json.loads("\n".join(self.do("count | json").lines))
        self.assertEqual(data, [f"line {number}" for number in range(1, 500, 2)])

    def test_help_in_a_script(self) -> None:
        """A line that ends in ``?`` gives what may follow; in a pattern it is a character."""
        self.does("show system up?", "  uptime  Time since the process started")
        self.does("terminal length ?", "  <0-4294967295>  Number of lines; 0: no paging")
        self.does("show clock bogus ?", "Nothing that is known can follow")
        self.assertEqual(self.do("show clock | grep -v x?").lines, ["Sunday September 09 01:46:40 UTC 2001"])

    def test_what_must_not_be_is_a_failure(self) -> None:
        """A handler's error after half of its output is told behind that half."""

        def lines() -> Iterator[str]:
            yield "one"
            raise ApplianceError("the rest is gone")

        registry = Registry()
        command("exec", "half", help={"half": "Fails"}, registry=registry)(lambda _shell, _args: lines())
        self.shell._registry = registry
        self.assertEqual(self.do("half"), Result(["one", "Failure: the rest is gone"], 1))
