"""The screens with fixed layouts against transcripts, column by column, and the same commands as JSON.

A transcript in ``test/golden/cli`` is a sequence of prompts with commands, each followed by its output.
"""

from collections.abc import Iterator
from pathlib import Path

from appliance.cli import ours
from appliance.counters import LMA, MAG
from test.cli.fake_services import FakeService, FakeSystem, session
from test.cli.fakes import FakeShell
from test.cli.worlds import GOLDEN, PROMPT, ViewCase, world


def transcript(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Context, command and expected lines of each prompt of a golden file."""
    context = command = ""
    lines: list[str] = []
    for line in [*path.read_text(encoding="utf-8").split("\n")[:-1], f"[]{PROMPT}"]:
        head, mark, typed = line.partition(PROMPT)
        if not mark or not head.startswith("["):
            lines.append(line)
            continue
        if command:
            yield context, command, lines
        context, command, lines = head[1:-1], typed, []


class TranscriptTests(ViewCase):
    """Every golden file."""

    def test_text(self) -> None:
        """Each command prints what the transcript has, blank for blank."""
        files = sorted(GOLDEN.glob("*.txt"))
        self.assertGreater(len(files), 5)
        for path in files:
            for context, command, expected in transcript(path):
                shell = FakeShell(world(), context=context)
                self.assertEqual(shell.run(command), expected, f"{path.name}: {command}")

    def test_json(self) -> None:
        """Each of them is a JSON document that holds something, and a list that streams is an array."""
        for path in sorted(GOLDEN.glob("*.txt")):
            for context, command, _ in transcript(path):
                data = FakeShell(world(), context=context).data(command)
                self.assertIsInstance(data, (dict, list), command)
                self.assertTrue(data, command)

    def test_every_show_command_as_json(self) -> None:
        """What has no transcript of its own is a JSON document all the same."""
        for line in ("show subscribers full", "show subscribers counters", "show system", "show clock",
                     "show tech-support", "show logs", "show administrators",
                     "show ip pool summary"):  # fmt: skip
            self.assertTrue(self.shell.data(line), line)


class MeasureTests(ViewCase):
    """The columns that were measured on captures, by number: a golden file could be wrong itself."""

    def test_subscribers_summary(self) -> None:
        """Labels at 0 and 45, values at 31 and 76, padded to 41 and 86."""
        lines = self.shell.run("show subscribers summary")
        self.assertEqual(lines[0], "Total Subscribers:             6         ")
        for line in lines[1:-1]:
            self.assertEqual(len(line), 86)
            for column in (0, 31, 45, 76):
                self.assertNotEqual(line[column], " ")
                self.assertEqual(line[column - 1], " " if column else line[-1])
        last = "pgw-pmip-ipv4:                 1             pgw-pmip-ipv4-ipv6:            1         "
        self.assertEqual(lines[-2:], [last, "ha-mobile-ipv6:                0         "])

    def test_disconnect_reasons(self) -> None:
        """Counts end before column 65, shares before 77; eleven digits grow to the left."""
        lines = self.shell.run("show session disconnect-reasons")
        title = ["Session Disconnect Statistics", "", "Total Disconnects: 10000000010", ""]
        self.assertEqual(lines[:4], title)
        self.assertEqual(lines[5], f"{'-' * 53}  {'-' * 10}  {'-' * 10}")
        self.assertEqual((lines[4].index("Num Disc") + 8, len(lines[4])), (65, 77))
        row = next(line for line in lines if line.startswith("Absolute-timeout"))
        self.assertEqual((row[54:65], row[65:]), ("10000000000", "   100.00000"))
        self.assertEqual(len(lines), 10)
        verbose = self.shell.run("show session disconnect-reasons verbose")
        self.assertEqual(len(verbose), 6 + len(ours.REASON_ORDER))

    def test_no_disconnects(self) -> None:
        """Before the first disconnect there is no share to compute."""
        shell = FakeShell(FakeSystem(FakeService("lma", "lma1")))
        self.assertEqual(len(shell.run("show session disconnect-reasons")), 6)
        self.assertIn("0.00000", shell.run("show session disconnect-reasons verbose")[6])

    def test_every_disconnect_counter_is_mapped(self) -> None:
        """No row of Total Disconnects is left out of the mapping, which names only known reasons."""
        for kind, table in (("lma", LMA), ("mag", MAG)):
            labels = [row.label for row in table.rows if row.heading == "Total Disconnects"]
            self.assertEqual(list(ours.DISCONNECT_REASONS[kind]), labels)
            self.assertTrue(set(ours.DISCONNECT_REASONS[kind].values()) <= set(ours.REASON_ORDER))

    def test_duration(self) -> None:
        """Labels at 5, counts end before 25; an age that is a limit is of the next class."""
        lines = self.shell.run("show session duration")
        self.assertEqual(lines[0], "In-Progress Call Duration Statistics")
        self.assertEqual({(len(line), line[:5], line[5] != " ") for line in lines[1:]}, {(25, "     ", True)})
        counts = {line[5:13].strip(): int(line[13:]) for line in lines[1:]}
        self.assertEqual(counts, {"<1min": 3, "<2min": 0, "<5min": 1, "<15min": 0, "<1hr": 0, "<4hr": 1,
                                  "<12hr": 0, "<24hr": 0, ">24hr": 1})  # fmt: skip

    def test_progress(self) -> None:
        """Counts end before column 8, one space, the text."""
        lines = self.shell.run("show session progress")
        self.assertEqual(lines[:4], ["       6 In-progress calls", "       4 In-progress active calls",
                                     "       2 In-progress dormant calls",
                                     "       0 In-progress always-on calls"])  # fmt: skip
        self.assertEqual(sum(int(line[:8]) for line in lines[4:]), 6)
        self.assertIn("       1 In-progress calls @ PROXY-MOBILE-IP CONNECTING state", lines)

    def test_routes(self) -> None:
        """The columns of the heading, and of a row that fits."""
        self.shell.context = "anchor"
        lines = self.shell.run("show ip route")
        heading = lines[2]
        for name, column in (("Destination", 1), ("Nexthop", 21), ("Protocol", 38), ("Prec", 49),
                             ("Cost", 54), ("Interface", 59)):  # fmt: skip
            self.assertEqual(heading.index(name), column)
        self.assertEqual([lines[3][column] for column in (0, 1, 21, 38, 49, 54, 59)], list("*01s10e"))
        self.assertEqual(lines[-3:], ["Total route count : 3", "Unique route count: 3",
                                      "Connected: 2 (Framed Route: 0) Static: 1"])  # fmt: skip

    def test_version(self) -> None:
        """Labels at column 2, values at 34."""
        lines = self.shell.run("show version")
        self.assertEqual(lines[0], "Active Software:")
        self.assertEqual([line[2:34].strip() for line in lines[1:]], [
            "Image Version:", "Image Build Number:", "Image Description:", "Image Date:", "Boot Image:",
            "Source Commit ID:",
        ])  # fmt: skip
        self.assertEqual(lines[1][34:], "1.2.3")
        self.system.boot_file = ""
        self.assertIn("standard input", self.shell.run("show version")[5])


class SubscriberTests(ViewCase):
    """show and clear subscribers."""

    def test_legend_first_line(self) -> None:
        """The one line of the legend that is known begins the list; each row has six letters."""
        lines = self.shell.run("show subscribers")
        self.assertTrue(lines[0].startswith("+-----Access  (S) - pdsn-simple-ip     (M) - pdsn-mobile-ip   "))
        rows = lines[len(ours.LEGEND) : -2]
        self.assertEqual([row.split()[0] for row in rows], ["PWCAP6", "PUCAPb", "PWCAP4", "PWdDP6", "H.CAP6",
                                                            "HWcDP6"])  # fmt: skip
        self.assertEqual(rows[1].split()[2], "240999990000001")
        self.assertEqual(lines[-1], "Total subscribers matching specified criteria: 6")

    def test_nothing(self) -> None:
        """A filter that nothing fits gives one line."""
        for form in ("", "full ", "counters "):
            self.assertEqual(self.shell.run(f"show subscribers {form}callid 77"), [ours.NO_SESSIONS])
        self.assertEqual(self.shell.run("show subscribers summary callid 77")[0].split()[-1], "0")

    def test_clear(self) -> None:
        """All services are asked; an operator may not."""
        self.assertEqual(self.shell.run("clear subscribers callid 5"), ["Number of subscribers cleared: 1"])
        self.assertEqual(self.shell.run("clear subscribers all"), ["Number of subscribers cleared: 5"])
        self.assertEqual(self.shell.asked, [["This ends 1 session"], ["This ends 5 sessions"]])
        self.assertEqual(self.shell.run("clear subscribers all -noconfirm")[0][-1], "0")
        self.shell.rights = "operator"
        self.assertIn("needs the privilege administrator", self.failure("clear subscribers all"))

    def test_pauses(self) -> None:
        """Counting lets others run."""
        many = FakeService("lma", "lma1", [session(call_id=number) for number in range(1, 501)])
        shell = FakeShell(FakeSystem(many))
        for line in ("show subscribers summary", "show session duration", "show session progress"):
            before = shell.face.pauses
            shell.run(line)
            self.assertGreater(shell.face.pauses, before + 100)
