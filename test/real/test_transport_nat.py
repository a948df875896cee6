"""Gateways behind a real NAT (netfilter): UDP, two with one address, changed ports, keep-alives."""

import re

from scripts.labnet import CN_ADDRESS
from scripts.labrun import wait_for
from test.real.common import SKIP
from test.real.transport_world import INSIDE, MN4, NAT4, Nat, TransportTests, iptables, let_pass


class NatTests(TransportTests):
    """An anchor outside, gateways inside, all of them bound to IPv4 addresses alone."""

    skip = SKIP or (None if iptables() else "the program iptables-legacy is missing (package iptables)")

    def setUp(self) -> None:
        """Build the NAT."""
        super().setUp()
        self.nat = Nat(self)

    def start(self, role: str = "mag1", *lines: str, keepalive: int = 2) -> None:
        """Start the anchor and one gateway, and let the mobile node come."""
        self.lma = self.started(
            self.lma_config("forced-udp-encapsulation", f"nat-keepalive {keepalive}"), "lma"
        )
        self.mag = self.gateway(role, *lines)
        self.arrive()

    def gateway(self, role: str, *lines: str):  # type: ignore[no-untyped-def]
        """A gateway behind the NAT."""
        return self.started(self.mag_config(INSIDE[role], "force-udp-encapsulation", *lines), role)

    def port(self, label: str) -> int:
        """A port that the anchor shows of the session."""
        found = re.search(rf"{label}: +(\d+)", self.session(self.lma, "lma"))
        return int(found.group(1)) if found else 0

    def test_two_gateways_behind_one_address(self) -> None:
        """Traffic both ways through each of two gateways with one address, and a handover between them."""
        self.start("mag1")
        # The first packet comes from outside: the gateway's keep-alive has opened the way already.
        wait_for("the data port", lambda: self.port("Data Port of Peer"), 10)
        self.assertEqual(self.received("cn", MN4), 3)
        self.assert_traffic("first gateway")
        screen = self.session(self.lma, "lma")
        self.assertIn(NAT4, screen)
        self.assertRegex(screen, r"NAT before Gateway: +10\.0\.0\.2")
        self.assertIn("IPv4 UDP (IPv6)", screen)
        self.assertRegex(self.session(self.mag, "mag"), r"NAT before Anchor: +keep-alive every 2 s")
        self.transfer("mn", "cn", CN_ADDRESS)
        self.gateway("mag2")
        self.lab.move("mag1", "mag2")
        self.wait_session(self.lma, "lma", "10.0.0.3")
        self.assertIn(NAT4, self.session(self.lma, "lma"))
        self.assert_traffic("second gateway")
        self.assertNotIn(self.port("Signalling Port of Gateway"), (0, 5436))
        self.assertNotIn(self.port("Data Port of Peer"), (0, 5437))
        self.assertEqual(self.lma.counter("lma", "Handoff Requests", "Accepted"), 1)

    def test_gre_behind_tlv(self) -> None:
        """RFC 5845: keys in UDP behind the TLV header pass the NAT too."""
        self.start("mag1", "tlv-header")
        self.assert_traffic("TLV")
        self.assertIn("IPv4 UDP TLV GRE (IPv6)", self.session(self.lma, "lma"))
        self.assertIn("IPv4 UDP TLV GRE (IPv4)", self.session(self.mag, "mag"))
        self.transfer("mn", "cn", CN_ADDRESS)

    def test_changed_ports(self) -> None:
        """The NAT forgets and gives other ports: keep-alives tell the anchor, and traffic goes on."""
        self.nat.forget_after(1)
        self.start("mag1")
        self.assert_traffic("before")
        self.nat.rule("-p", "udp", "-j", "MASQUERADE", "--to-ports", "45000-45999")

        def changed() -> bool:
            return all(
                45000 <= self.port(each) < 46000
                for each in ("Signalling Port of Gateway", "Data Port of Peer")
            )

        wait_for("other ports", changed, 15)
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        self.assertIn(" handoffs", self.session(self.lma, "lma").lower())
        self.assertEqual(self.lma.counter("lma", "Handoff Requests", "Accepted"), 0)

    def test_keep_alives(self) -> None:
        """A NAT that forgets after four seconds of silence is reminded every second, of both ports."""
        self.nat.forget_after(4)
        self.start("mag1", keepalive=1)
        wait_for("the data port", lambda: self.port("Data Port of Peer"), 10)
        let_pass(8)
        self.assertEqual(self.received("cn", MN4), 3)
        remembered = [line for line in self.nat.log_of().splitlines() if "udp" in line]
        for port in ("dport=5436", "dport=5437"):
            self.assertTrue(any(port in line for line in remembered), remembered)

    def test_without_keep_alives_it_is_forgotten(self) -> None:
        """The counter-check: with a longer time between keep-alives the way in is closed."""
        self.nat.forget_after(1)
        self.start("mag1", keepalive=60)
        wait_for("the data port", lambda: self.port("Data Port of Peer"), 10)
        let_pass(4)
        self.assertEqual(self.received("cn", MN4), 0)
        # The mobile node itself opens it again.
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        self.assertEqual(self.received("cn", MN4), 3)
