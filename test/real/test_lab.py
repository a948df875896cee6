"""The laboratory itself, and what a plain Linux host does in it, without any appliance."""

import signal
import subprocess
import sys
import time

from scripts.labnet import CN_ADDRESS, NETNS_DIR, ROLES, Lab, LabError, run
from scripts.labrun import Ping, environment, find_counter, stop, wait_for
from test.real.common import LabTests

LISTEN = """
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
sock.settimeout(0.2)
print("listening", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    try:
        frame, sender = sock.recvfrom(2048)
    except TimeoutError:
        continue
    if sender[0] == "acc0" and sender[2] != socket.PACKET_OUTGOING:
        print(frame.hex(), flush=True)
"""


class LabItselfTests(LabTests):
    """Building, moving and removing."""

    def test_down_removes_everything_with_processes(self) -> None:
        """Namespaces and the programs inside are gone, also a program that ignores SIGTERM."""
        lab = Lab(f"{self.lab.prefix}-x")
        lab.up()
        deaf = lab.popen("cn", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
        self.addCleanup(stop, deaf)
        self.assertTrue(lab.exists())
        lab.down()
        self.assertFalse(lab.exists())
        self.assertFalse(any((NETNS_DIR / lab.name(role)).exists() for role in ROLES))
        self.assertIsNotNone(deaf.wait(5))
        lab.down()

    def test_up_twice_starts_afresh(self) -> None:
        """A second ``up`` removes what the first left, also in the middle of a move."""
        self.lab.ip("mag1", f"link set acc0 netns {self.lab.name('mag2')}")
        self.lab.up()
        self.assertEqual(self.lab.where(), "mag1")

    def test_the_correspondent_is_reachable_from_the_anchor(self) -> None:
        """Addresses and links of the wired part work at once."""
        self.assertIn(" 3 received", self.ping("lma", CN_ADDRESS))
        self.assertIn(" 3 received", self.ping("mag2", "2001:db8:ffff::1"))

    def test_unknown_names_are_refused(self) -> None:
        """A namespace that is not of the laboratory, or an odd prefix, is a clear error."""
        self.assertRaises(LabError, self.lab.name, "moon")
        self.assertRaises(LabError, Lab, "../x")
        self.assertRaises(LabError, run, "ip", "link", "show", "nonexistent0")

    def test_exec_leaves_its_place_to_the_command(self) -> None:
        """The command's exit status is that of scripts/lab, and a Ctrl-C meets the command alone."""
        lab = (sys.executable, "-m", "scripts.labnet", "--prefix", self.lab.prefix, "exec", "cn", "--")
        command = ("sh", "-c", "trap 'exit 7' INT; echo here; while :; do sleep 0.1; done")
        process = subprocess.Popen((*lab, *command), stdout=subprocess.PIPE, env=environment(), text=True)
        self.addCleanup(stop, process)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), "here\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(5), 7)
        process.stdout.close()

    def test_a_moved_host_keeps_its_address_and_reports_its_groups(self) -> None:
        """After the carrier came back Linux sends MLD reports from its link-local address, and no RS."""
        self.lab.attach()
        self.lab.ip("mn", "addr add 2001:db8:1:5::1/64 dev mn0")
        # until duplicate address detection is done, reports come from the unspecified address
        show = ("ip", "-6", "-o", "addr", "show", "dev", "mn0")
        wait_for("addresses are usable", lambda: "tentative" not in self.lab.exec("mn", *show), 10)
        self.assertIn("fe80::", self.lab.exec("mn", *show))
        self.lab.sysctl("mn", ipv6__conf__mn0__router_solicitations=0)
        listener = self.lab.popen("mag2", sys.executable, "-c", LISTEN, "2.5", stdout=-1)
        assert listener.stdout is not None
        listener.stdout.readline()
        begun = time.monotonic()
        self.lab.move("mag1", "mag2")
        first = bytes.fromhex(listener.stdout.readline().strip())
        took = time.monotonic() - begun
        rest = [bytes.fromhex(line.strip()) for line in listener.stdout]
        stop(listener)
        listener.stdout.close()
        reports = [frame for frame in [first, *rest] if frame[20] == 0 and frame[62] == 143]
        self.assertTrue(reports, [frame.hex() for frame in rest])
        self.assertEqual(reports[0][6:12].hex(":"), "02:00:5e:10:00:01")
        self.assertEqual(reports[0][22:24], b"\xfe\x80")
        self.assertLess(took, 2)
        self.assertEqual(self.lab.addresses("mn", "mn0"), ["2001:db8:1:5::1"])

    def test_ping_figures(self) -> None:
        """Loss and the longest silence are read off ping's own lines."""
        ping = Ping(self.lab, "lma", CN_ADDRESS)
        time.sleep(0.5)
        # answers vanish while the correspondent has no way back
        self.lab.ip("cn", "route add blackhole 2001:db8:eeee::1/128")
        time.sleep(0.5)
        self.lab.ip("cn", "route del blackhole 2001:db8:eeee::1/128")
        time.sleep(0.5)
        seen = ping.finish()
        self.assertGreater(seen["lost"], 10)
        self.assertGreater(seen["gap_s"], 0.4)
        self.assertLess(seen["gap_s"], 1.4)

    def test_counters_are_found_under_their_headings(self) -> None:
        """The same label under two headings gives two values; a missing one is an error."""
        screen = "A Group:\n  Total:    3     Left:   4\n\nB Group:\n  Total:    5\n"
        self.assertEqual(find_counter(screen, "A Group", "Total"), 3)
        self.assertEqual(find_counter(screen, "B Group", "Total"), 5)
        self.assertEqual(find_counter(screen, "Left"), 4)
        self.assertRaises(LabError, find_counter, screen, "C Group", "Total")
        self.assertRaises(LabError, find_counter, screen, "Right")
