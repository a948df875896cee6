"""Policies and limits of a running anchor, moved by real packets and real lines."""

import sys
from typing import Any

from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import environment, wait_for
from test.real.common import LabTests, lma_config

RESOURCE = "Update Denied - Insufficient Resource Reasons"
ADMIN = "Update Denied - Admin Prohibited Reasons"
DISCARDED = "Binding Updates Discard Reasons"

#: Sends one update of a mobile node and prints the status of the answer, or that there was none.
UPDATE = """
import socket, sys, time
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, to_timestamp
from appliance.protocols.mobility.messages import BU_A, BU_P, BindingUpdate
source, target, name = sys.argv[1:]
found = [opt.MobileNodeIdentifier(1, name.encode()), opt.HomeNetworkPrefix(0, bytes(16)),
         opt.HandoffIndicator(1), opt.AccessTechnologyType(4),
         opt.MobileNodeLinkLayerIdentifier(name.encode()[:6]), opt.Timestamp(to_timestamp(time.time()))]
sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)
sock.bind((source, 0))
sock.settimeout(1.0)
sock.sendto(encode(BindingUpdate(1, BU_A | BU_P, 150, found)), (target, 0))
try:
    print(decode(sock.recv(2048)).message.status)
except TimeoutError:
    print("silence")
"""


class PolicyTests(LabTests):
    """One anchor; the gateway is a raw socket."""

    def setUp(self) -> None:
        """Start the anchor."""
        super().setUp()
        self.lma = self.started(lma_config())
        self.names = iter(f"mobile{number}@example.org" for number in range(100))

    def line(self, *lines: str, mode: str = "lma-service lma1") -> None:
        """Configure some lines."""
        self.lma.cli("configure", "context anchor", mode, *lines, "end")

    def update(self) -> str:
        """What the next new mobile node is told."""
        words = (sys.executable, "-c", UPDATE, MAG_ADDRESSES["mag1"], LMA_ADDRESS, next(self.names))
        path = environment()["PYTHONPATH"]
        return self.lab.exec("mag1", "env", f"PYTHONPATH={path}", *words).strip()

    def moves(self, status: str, *counter: str) -> None:
        """The next update is answered so, and moves this counter by one."""
        before = self.lma.counter("lma", *counter)
        self.assertEqual(self.update(), status)
        self.assertEqual(self.lma.counter("lma", *counter), before + 1)

    def until(self, status: str) -> None:
        """Updates are answered so before long."""
        wait_for(f"status {status}", lambda: self.update() == status, 10)

    def test_lines(self) -> None:
        """Each line acts at once, and its opposite too."""
        cases: tuple[tuple[str, str, str, Any], ...] = (
            ("newcall policy reject", "default newcall policy", "129", (ADMIN, "Policy Rejected")),
            ("newcall policy busyout", "default newcall policy", "130", (RESOURCE, "No Session Manager")),
            ("shutdown", "no shutdown", "silence", (DISCARDED, "HAMGR Not Ready")),
        )
        for line, opposite, status, counter in cases:
            self.line(line)
            self.moves(status, *counter)
            self.line(opposite)
            self.assertEqual(self.update(), "0", line)
        self.line("no service enable", mode="subscriber default")
        self.moves("129", ADMIN, "No Permission")

    def test_memory(self) -> None:
        """A limit below what the process has stops new sessions, until it is lifted."""
        self.line("max-memory 64")
        self.moves("130", RESOURCE, "No Memory")
        self.line("no max-memory")
        self.assertEqual(self.update(), "0")

    def test_tunnel_device(self) -> None:
        """Without the tunnel device there is nobody to take a session."""
        self.assertEqual(self.update(), "0")
        self.lab.ip("lma", "link set tun-lma1 down")
        self.until("130")
        self.moves("130", RESOURCE, "No Session Manager")
        self.lab.ip("lma", "link set tun-lma1 up")
        self.until("0")
