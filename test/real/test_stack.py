"""The whole stack in namespaces: one plain Linux host, two gateways, one anchor."""

import hashlib
import json
import subprocess
import sys

from scripts.demo import NAI, Demo
from scripts.labnet import CN_ADDRESS, HOME_POOL, LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import Appliance, environment, find_counter, wait_for
from test.real.common import LabTests, demo_config, lma_config

SENDER = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
sock.sendall(bytes(range(256)) * (int(sys.argv[3]) // 256))
sock.shutdown(socket.SHUT_WR)
sock.recv(1)
"""
RECEIVER = """
import hashlib, socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6) as listener:
    print("listening", flush=True)
    sock, _ = listener.accept()
    digest = hashlib.sha256()
    while data := sock.recv(65536):
        digest.update(data)
    print(digest.hexdigest(), flush=True)
"""


class DemoTests(LabTests):
    """The demonstration itself, step by step."""

    def test_the_demonstration_holds(self) -> None:
        """Arrival, traffic, handover, departure and the statistics are as claimed."""
        lines: list[str] = []
        demo = Demo(self.lab, self.work, lines.append)
        self.assertTrue(demo.run(), "\n".join(lines))
        self.assertFalse(self.lab.exists())

    def test_a_failure_is_reported(self) -> None:
        """A demonstration whose anchor cannot start fails, and cleans up all the same."""
        lines: list[str] = []
        demo = Demo(self.lab, self.work, lines.append)
        broken = self.work / "broken.conf"
        broken.write_text(lma_config(bind="2001:db8:dead::1"))
        demo.nodes["lma"].config = broken
        self.assertFalse(demo.run())
        self.assertTrue(any(line.startswith("FAILED") for line in lines), lines)
        self.assertFalse(self.lab.exists())


class TrafficTests(LabTests):
    """Traffic and signalling through gateway and anchor."""

    def setUp(self) -> None:
        """Start anchor and gateway 1 and let the mobile node arrive."""
        super().setUp()
        self.lma = self.started(demo_config("lma"), "lma")
        self.mag = self.started(demo_config("mag1"), "mag1")
        self.lab.attach()
        self.address = wait_for("an address", self._address, 20)

    def _address(self) -> str:
        prefix = HOME_POOL.split("::")[0] + ":"
        return next((text for text in self.lab.addresses("mn", "mn0") if text.startswith(prefix)), "")

    def transfer(self, sender: str, receiver: str, address: str, size: int) -> None:
        """Send ``size`` octets over TCP and compare their digest at the other end."""
        python = (sys.executable, "-c")
        server = self.lab.popen(
            receiver, *python, RECEIVER, address, "7010", stdout=subprocess.PIPE, env=environment()
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        server.stdout.readline()
        self.lab.exec(sender, *python, SENDER, address, "7010", str(size))
        expected = hashlib.sha256(bytes(range(256)) * (size // 256)).hexdigest()
        self.assertEqual(server.stdout.readline().strip(), expected)

    def test_bulk_transfer_both_ways(self) -> None:
        """Ten megaoctets of TCP arrive whole in each direction over 1500-octet links."""
        size = 10 * 1024 * 1024
        self.transfer("mn", "cn", CN_ADDRESS, size)
        self.transfer("cn", "mn", self.address, size)

    def test_packet_too_big(self) -> None:
        """RFC 2473 section 7.1: a 1500-octet packet that must not be fragmented is answered, with the MTU."""
        out = self.ping("cn", self.address, "-M", "do", "-s", "1452")
        self.assertRegex(out, r"(Packet too big|message too long).*mtu[=:] ?1460")

    def test_a_foreign_source_does_not_pass(self) -> None:
        """RFC 5213 section 6.10.5: a packet from an address that is not the mobile's own is dropped."""
        self.lab.ip("mn", "addr add 2001:db8:1:ffff::1/128 dev mn0 nodad")
        out = self.ping("mn", CN_ADDRESS, "-I", "2001:db8:1:ffff::1")
        self.assertIn(" 0 received", out)
        screen = self.mag.cli("show mag-service statistics")
        self.assertGreaterEqual(find_counter(screen, "Ingress Filtered"), 3)

    def test_silence_ends_the_session(self) -> None:
        """A mobile that vanishes while its link stays up is probed and de-registered."""
        fast = self.work / "fast.conf"
        fast.write_text(
            demo_config("mag1")
            .replace("encapsulation ipip", "encapsulation ipip\n reachable-time 1\n probe timeout 200")
        )
        self.mag.stop()
        self.mag.config = fast
        self.mag.start()
        self.mag.wait_ready()
        # the restarted gateway knows nobody: a neighbour's question is what makes it look
        self.lab.ip("mn", "link set mn0 down")
        self.lab.attach()
        wait_for("the gateway has the mobile", lambda: self._has(self.mag, "mag"), 15)
        # the mobile stays on the link but says nothing any more
        self.lab.exec("mn", "sh", "-c", "tc qdisc add dev mn0 root tbf rate 8bit burst 1 limit 1")
        wait_for("the gateway gave it up", lambda: not self._has(self.mag, "mag"), 15)
        wait_for("the anchor has no active session", lambda: not self._has(self.lma, "lma"), 20)

    @staticmethod
    def _has(node: Appliance, kind: str) -> bool:
        return NAI in node.cli(f"show {kind}-service session full")

    def test_operator_ends_the_session(self) -> None:
        """``clear lma-service session`` removes the binding; traffic stops."""
        self.lma.cli(f"clear lma-service session username {NAI} -noconfirm")
        self.assertFalse(self._has(self.lma, "lma"))
        out = self.ping("mn", CN_ADDRESS)
        self.assertIn(" 0 received", out)


class GreTests(LabTests):
    """The gateway's factory encapsulation, GRE with keys (RFC 5845)."""

    def test_keys_end_to_end(self) -> None:
        """Gateway and anchor agree on keys, and all traffic goes by GRE and nothing else."""
        config = demo_config("mag1").replace("encapsulation ipip", "encapsulation gre")
        lma = self.started(demo_config("lma"), "lma")
        self.started(config, "mag1")
        self.lab.attach()
        wait_for("a session", lambda: NAI in lma.cli("show lma-service session full"), 20)
        wait_for("an answer", lambda: ", 0% packet loss" in self.ping("mn", CN_ADDRESS), 20)
        session = lma.cli("show lma-service session full")
        self.assertRegex(session, r"GRE Key Sent: +0x[0-9a-f]{8}")
        self.assertRegex(session, r"GRE Key Received: +0x[0-9a-f]{8}")
        screen = lma.cli("show lma-service statistics")
        for heading in ("Tunnel Data Received", "Tunnel Data Sent"):
            self.assertGreaterEqual(find_counter(screen, heading, "IPv6 GRE (IPv6)"), 3)
            self.assertEqual(find_counter(screen, heading, "6in6"), 0)


class WireTests(LabTests):
    """What strangers and broken peers get from a running anchor."""

    def load(self, role: str, *phases: str) -> list[dict[str, float]]:
        """Send registrations from a gateway's namespace; one result per phase."""
        out = subprocess.run(
            self.lab.command(
                role, sys.executable, "-m", "scripts.benches.pbu", "load", MAG_ADDRESSES[role], LMA_ADDRESS
            ),
            input="".join(f"{phase}\n" for phase in phases),
            capture_output=True,
            text=True,
            env=environment(),
            timeout=30,
        )
        return [json.loads(line) for line in out.stdout.splitlines()]

    def test_registrations_from_an_independent_sender(self) -> None:
        """Octets that our codec did not make are accepted: attach, refresh, de-register."""
        node = self.started(lma_config())
        results = self.load("mag1", "attach 50 8", "refresh 50 8", "deregister 50 8")
        self.assertEqual([result.get("refused") for result in results], [0, 0, 0], results)
        self.assertEqual(results[0]["distinct"], 50)
        screen = node.cli("show lma-service statistics")
        for kind in ("Initial Binding Update", "Refresh Binding Update", "DeReg"):
            self.assertEqual(find_counter(screen, f"{kind} Requests", "Accepted"), 50, kind)

    def test_unlisted_gateway_is_refused(self) -> None:
        """RFC 5213 section 5.3.1: a MAG that is not listed gets status 154, and it is counted."""
        node = self.started(lma_config(peers=("mag2",)))
        self.assertEqual(self.load("mag1", "attach 5 1")[0].get("refused"), 5)
        screen = node.cli("show lma-service statistics")
        denied = find_counter(screen, "Binding Update Deny Reasons", "Not Authorized For Proxy Reg")
        self.assertEqual(denied, 5)

    def test_garbage_is_counted_and_harmless(self) -> None:
        """Five hundred random messages: no traceback, few log lines, still answering."""
        node = self.started(lma_config())
        program = (
            "import random, socket\n"
            "sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)\n"
            "sock.setsockopt(41, 7, -1)\n"
            f"sock.bind(({MAG_ADDRESSES['mag1']!r}, 0))\n"
            "dice = random.Random(1)\n"
            "for number in range(500):\n"
            # the sending kernel itself refuses less than four octets of Mobility Header
            "    data = bytearray(dice.randbytes(dice.randrange(4, 200)))\n"
            # every other one claims to be a binding update, with the right payload protocol
            "    if number % 2:\n"
            "        data[0], data[2] = 59, 5\n"
            f"    sock.sendto(data, ({LMA_ADDRESS!r}, 0))\n"
        )
        before = len(node.log.read_text().splitlines())
        self.lab.exec("mag1", sys.executable, "-c", program)
        self.assertEqual(self.load("mag1", "attach 5 1")[0].get("refused"), 0)
        log = node.log.read_text()
        self.assertNotIn("Traceback", log)
        self.assertLess(len(log.splitlines()) - before, 50)
        screen = node.cli("show lma-service statistics")
        self.assertGreater(find_counter(screen, "Binding Updates Received", "Total Discarded"), 240)
        assert node.process is not None
        self.assertIsNone(node.process.poll())
