"""A dual-stack host and a real home agent: behind a real NAT, in a plain IPv4 network, in IPv6 (RFC 5555)."""

import json
import subprocess
import sys
import time
from typing import Any

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import Appliance, environment, find_counter
from test.real.common import SKIP
from test.real.transport_world import INSIDE, LMA4, MAG4, NAT4, Nat, TransportTests, iptables

ALICE, HOME, HOME4 = "alice@example.org", "2001:db8:1:100::5", "203.0.113.1"
KEY = bytes(range(16)).hex()
CONFIG = f"""config
context anchor
ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
ip pool HOME4 203.0.113.0/24 default-router 203.0.113.254
subscriber default
exit
subscriber name {ALICE}
ipv4 access
mn-ha-spi spi-number 256 secret 0x{KEY}
exit
lma-service lma1
bind address {LMA_ADDRESS} ipv4-address {LMA4}
mipv6 enable
mipv6 home-address-pool HOSTS
%s
exit
exit
end
"""
KEEPALIVES_NOT_NEEDED = 0xFFFFFFFF
F_FLAG = 0xC100
NO_SESSION = ("Errors", "No Session Found")


class DualStackTests(TransportTests):
    """One host in the namespace of the first gateway."""

    def mobile(self, own: str, **want: Any) -> None:
        """Start it; it is ended after the test."""
        fields = {
            "agent": LMA_ADDRESS, "agent4": LMA4, "home": HOME, "own": own, "mn": ALICE, "key": KEY,
            "spi": 256, "target": CN_ADDRESS, "target4": CN_ADDRESS_4, **want,
        }  # fmt: skip
        python = (sys.executable, "-m", "test.real.mobile4", json.dumps(fields))
        pipe = subprocess.PIPE
        self.child = self.lab.popen("mag1", *python, stdin=pipe, stdout=pipe, env=environment())
        self.addCleanup(self.end)
        self.sequence = 0
        assert self.child.stdout is not None
        self.assertEqual(self.child.stdout.readline(), "{}\n")

    def end(self) -> None:
        """The host is switched off."""
        self.child.communicate()

    def tell(self, **ask: Any) -> dict[str, Any]:
        """Give the host a command; returns its answer."""
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.write(json.dumps(ask) + "\n")
        self.child.stdin.flush()
        found: dict[str, Any] = json.loads(self.child.stdout.readline())
        return found

    def register(self, via: str = "udp", **ask: Any) -> dict[str, Any]:
        """An update; the acknowledgement must be authentic."""
        self.sequence += 1
        answer = self.tell(**{"via": via, "sequence": self.sequence, "lifetime": 150, "wish": HOME4, **ask})
        if answer:
            self.assertEqual((answer["authentic"], answer["checksum"], answer["way"]), (True, True, via))
        return answer

    def assert_both_ways(self, text: str, forms: set[str]) -> None:
        """Both families go both ways, and come to the host in these forms."""
        self.tell()
        self.assertEqual(self.received("mag1", CN_ADDRESS), 3, f"{text}: IPv6 up")
        self.assertEqual(self.received("mag1", CN_ADDRESS_4), 3, f"{text}: IPv4 up")
        self.assertEqual(self.received("cn", HOME), 3, f"{text}: IPv6 down")
        self.assertEqual(self.received("cn", HOME4), 3, f"{text}: IPv4 down")
        self.assertEqual(set(self.tell()), forms, text)

    def session_of(self, anchor: Appliance) -> str:
        """The only session's screen."""
        return self.session(anchor, "lma")


class NatTests(DualStackTests):
    """Behind netfilter."""

    skip = SKIP or (None if iptables() else "the program iptables-legacy is missing (package iptables)")

    def test_behind_a_nat(self) -> None:
        """Registers, speaks, keeps the NAT open, gets another port and mends it, leaves."""
        nat = Nat(self)
        anchor = self.started(CONFIG % "mipv6 timestamp-tolerance 30")
        self.mobile(INSIDE["mag1"])
        answer = self.register(wish="0.0.0.0")
        self.assertEqual((answer["status"], answer["ipv4"], answer["nat"]), (0, [0, 32, HOME4], [0, 110]))
        self.assert_both_ways("NAT", {"udp 4", "udp 6"})
        shown = self.session_of(anchor)
        for text in (NAT4, "IPv4 UDP (IPv6)", HOME, HOME4, INSIDE["mag1"]):
            self.assertIn(text, shown)
        # Another port: what comes from it is nobody's, until an update says so.
        nat.forget_after(1)
        self.tell(poke="")
        self.tell(poke="ff")
        self.assertEqual(self.register(key="00" * 16)["status"], 146)
        nat.rule("-p", "udp", "-j", "MASQUERADE", "--to-ports", "45000-45999")
        time.sleep(2.2)
        nat.forget_after(60)
        self.assertEqual(self.received("mag1", CN_ADDRESS), 0)
        self.assertEqual(self.register()["status"], 0)
        self.assert_both_ways("another port", {"udp 4", "udp 6"})
        self.assertRegex(self.session_of(anchor), r"UDP Port of Host: +45\d\d\d")
        answer = self.register(lifetime=0)
        self.assertEqual((answer["status"], answer["lifetime"], answer["ipv4"][0]), (0, 0, 0))
        self.assertEqual(self.received("cn", HOME), 0)
        screen = anchor.cli("show lma-service statistics")
        self.assertEqual(find_counter(screen, *NO_SESSION), 3)
        self.assertEqual(find_counter(screen, "Handoff Requests", "Accepted"), 0)
        self.assertEqual(find_counter(screen, "Errors", "Invalid Pkt Length"), 0)


class PlainTests(DualStackTests):
    """Without a NAT."""

    def test_all_tunnels(self) -> None:
        """6in6 and 4in6, then 6in4 and 4in4, then UDP by the F flag, and IPv6 again."""
        anchor = self.started(CONFIG % "")
        self.mobile(MAG4["mag1"], care_of=MAG_ADDRESSES["mag1"])
        answer = self.register("ipv6", wish="0.0.0.0", data="ipv6")
        self.assertEqual((answer["status"], answer["ipv4"], answer.get("nat")), (0, [0, 32, HOME4], None))
        self.assert_both_ways("IPv6", {"ipv6 4", "ipv6 6"})
        answer = self.register(data="ipv4")
        self.assertEqual((answer["status"], answer["nat"]), (0, [0, KEEPALIVES_NOT_NEEDED]))
        self.assert_both_ways("IPv4", {"ipv4 4", "ipv4 6"})
        answer = self.register(data="udp", flags=F_FLAG)
        self.assertEqual((answer["status"], answer["nat"]), (0, [1, KEEPALIVES_NOT_NEEDED]))
        self.assert_both_ways("UDP", {"udp 4", "udp 6"})
        self.assertEqual(self.register("ipv6", data="ipv6")["status"], 0)
        self.assert_both_ways("IPv6 again", {"ipv6 4", "ipv6 6"})
        # Without the feature nobody listens on the port; the host in IPv6 goes on.
        lines = ("configure", "context anchor", "lma-service lma1")
        screen = anchor.cli("show lma-service statistics", *lines, "no mipv6 dual-stack", "end")
        self.assertEqual(find_counter(screen, "Handoff Requests", "Accepted"), 2)
        for name in ("6in6", "4in6", "6in4", "4in4", "IPv4 UDP (IPv4)", "IPv4 UDP (IPv6)"):
            for heading in ("Tunnel Data Received", "Tunnel Data Sent"):
                self.assertGreater(find_counter(screen, heading, name), 0, (heading, name))
        self.assertEqual(self.register(wait=0.3), {})
        self.assertEqual(self.received("cn", HOME), 3)
