"""Mobile routers in namespaces (RFC 3963, 5648, 6276): a network behind one, several tunnels, DHCPv6."""

import json
import re
import shutil
import subprocess
import sys
from typing import Any

from scripts.labnet import CN_ADDRESS, HOME_POOL, LMA_ADDRESS, MAG_ADDRESSES, run
from scripts.labrun import environment, wait_for
from test.real.common import LabTests, demo_config

ALICE = "alice@example.org"
HOME, HOME_OF_BOB = "2001:db8:1:100::5", "2001:db8:1:100::6"
NETWORK, GATEWAY, NODE = "2001:db8:1:2200::/56", "2001:db8:1:2200::1", "2001:db8:1:2200::2"
SECOND = "2001:db8:ffff::b1"
KEY = bytes(range(16)).hex()
ROUTER = 0xC400
CONFIG = f"""config
context anchor
ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
prefix-delegation pool NETS 2001:db8:1:3000::/54 delegated-length 56
subscriber default
permission prefix-delegation
exit
subscriber name {ALICE}
mn-ha-spi spi-number 256 secret 0x{KEY}
mobile-network-prefix {NETWORK}
permission prefix-delegation
exit
mipv6ha-service ha1
bind address {LMA_ADDRESS}
home-address-pool HOSTS
mn-ha-spi spi-number 256 secret 0x{KEY}
mobile-routers
%s
exit
exit
end
"""


class RouterTests(LabTests):
    """A mobile router in the namespace of a gateway, with a node behind it."""

    def register(self, sequence: int, **want: Any) -> dict[str, Any]:
        """A Binding Update of the router, and the answer."""
        fields = {"agent": LMA_ADDRESS, "care_of": MAG_ADDRESSES["mag1"], "home": HOME, "mn": ALICE,
                  "key": KEY, "spi": 256, "lifetime": 150, "flags": ROUTER, "sequence": sequence}  # fmt: skip
        python = (sys.executable, "-m", "test.real.mobile", "register", json.dumps(fields | want))
        child = self.lab.popen("mag1", *python, stdout=-1, stderr=-1, env=environment())
        out, trouble = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, trouble)
        found: dict[str, Any] = json.loads(out)
        return found

    def router(self, *care_of: str, relay: str = "") -> "subprocess.Popen[str]":
        """Start the tunnels; the node behind them has its address and its way out."""
        self.lab.sysctl("mag1", ipv6__conf__all__forwarding=1, ipv6__conf__all__accept_dad=0)
        self.lab.sysctl("mn", ipv6__conf__all__accept_dad=0, ipv6__conf__mn0__accept_dad=0)
        self.lab.attach()
        want = {"agent": LMA_ADDRESS, "home": HOME, "care_of": care_of, "relay": relay}
        python = (sys.executable, "-m", "test.real.router", json.dumps(want))
        child = self.lab.popen("mag1", *python, stdin=-1, stdout=-1, env=environment())
        self.addCleanup(child.wait, 10)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "ready\n")
        self.lab.ip(
            "mag1",
            "link set nemo0 up",
            "addr add fe80::1/64 dev nemo0 nodad",
            f"addr add {GATEWAY}/64 dev acc0 nodad",
            f"route add {CN_ADDRESS}/128 dev nemo0",
        )
        self.lab.ip("mn", f"addr add {NODE}/64 dev mn0 nodad", f"route add default via {GATEWAY}")
        return child

    def seen(self, child: "subprocess.Popen[str]") -> dict[str, Any]:
        """Stop the tunnels, and read what went through them."""
        out, _ = child.communicate(timeout=10)
        found: dict[str, Any] = json.loads(out)
        return found

    def test_a_network_behind_a_mobile_router(self) -> None:
        """Both ways; nobody else's addresses; gone with the binding."""
        anchor = self.started(CONFIG % "")
        child = self.router(MAG_ADDRESSES["mag1"])
        answer = self.register(1)
        self.assertEqual((answer["status"], answer["router"], answer["authentic"]), (0, True, True))
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS))
        self.assertIn(" 0% packet loss", self.ping("cn", NODE))
        shown = anchor.cli("show mipv6ha-service session full")
        self.assertIn(NETWORK, shown)
        # An address that is not the network's does not come out of the tunnel.
        self.lab.ip("mag1", "addr add 2001:db8:1:2300::1/64 dev acc0 nodad")
        self.lab.ip("mn", "addr add 2001:db8:1:2300::2/64 dev mn0 nodad")
        self.assertIn("100% packet loss", self.ping("mn", CN_ADDRESS, "-I", "2001:db8:1:2300::2"))
        self.assertEqual(self.register(2, lifetime=0)["status"], 0)
        self.assertIn("100% packet loss", self.ping("cn", NODE))
        self.assertGreaterEqual(self.seen(child)["packets"][MAG_ADDRESSES["mag1"]], 6)

    def test_statuses(self) -> None:
        """140 to 143 and 4, 5, 164 to 169, by real packets."""
        anchor = self.started(CONFIG % "home-and-foreign")
        lines = ("configure", "context anchor", "mipv6ha-service ha1")
        first = MAG_ADDRESSES["mag1"]
        host = {"flags": 0xC000}
        for status, want in (
            (142, {"networks": [["2001:db8:1:2300::", 56]]}),
            (141, {"networks": [["2001:db8:1:2200::", 0]]}),
            (140, {"flags": 0x8400}),
            (143, {"mn": "bob@example.org", "home": HOME_OF_BOB}),
            (164, {**host, "bids": [[0, first]]}),
            (167, {**host, "bids": [[9, ""]]}),
            (169, {**host, "bids": [[1, "", 1]]}),
            (5, {**host, "bids": [[1, "", 1], [2, first]]}),
            (4, {**host, "bids": [[2, first], [7, ""]]}),
            (0, {**host}),
            (165, {**host, "bids": [[1, first]]}),
            (139, {}),
            (0, {**host, "lifetime": 0}),
        ):
            self.assertEqual(self.register(self.next, **want)["status"], status, want)
        for line, status, want in (
            ("multiple-care-of-addresses single", 168, {**host, "bids": [[1, first], [2, SECOND]]}),
            ("multiple-care-of-addresses prohibited", 166, {**host, "bids": [[1, first]]}),
            ("no home-and-foreign", 166, {**host, "bids": [[1, "", 1]]}),
            ("no mobile-routers", 140, {}),
        ):
            anchor.cli(*lines, line, "end")
            self.assertEqual(self.register(self.next, **want)["status"], status, line)

    _sequence = 0

    @property
    def next(self) -> int:
        """Another sequence number."""
        self._sequence += 1
        return self._sequence

    def flows(self, ports: range) -> None:
        """The correspondent sends three datagrams of each of these flows to the node."""
        code = (
            "import socket,time\n"
            f"for port in range({ports.start}, {ports.stop}):\n"
            "  s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', port))\n"
            f"  [s.sendto(b'x', ('{NODE}', 9)) for _ in range(3)]\n"
            "  time.sleep(0.002)\n"
        )
        self.lab.exec("cn", sys.executable, "-c", code)

    def test_flows_over_two_care_of_addresses(self) -> None:
        """Both are used, each flow keeps to one; all flows are with the other when one is gone."""
        self.started(CONFIG % "flow-policy round-robin")
        self.lab.ip("mag1", f"addr add {SECOND}/64 dev backhaul nodad")
        both = (MAG_ADDRESSES["mag1"], SECOND)
        child = self.router(*both)
        answer = self.register(1, bids=[[1, both[0]], [2, both[1]]])
        self.assertEqual((answer["status"], answer["bids"]), (0, [[1, 0], [2, 0]]))
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS))
        self.flows(range(20000, 20040))
        self.assertEqual(self.register(2, lifetime=0, bids=[[1, ""]])["status"], 0)
        self.flows(range(21000, 21040))
        seen = self.seen(child)["flows"]
        one, two = ({port for port, _ in map(tuple, seen[each])} for each in both)
        self.assertFalse(one & two)
        before = set(range(20000, 20040))
        self.assertEqual((one | two) & before, before)
        self.assertGreater(min(len(one), len(two & before)), 5)
        self.assertEqual(two & set(range(21000, 21040)), set(range(21000, 21040)))

    def test_prefix_delegation_to_a_real_client(self) -> None:
        """dhclient gets a prefix through the router's relay agent; then it is forwarded, and given back."""
        if shutil.which("dhclient") is None:
            self.skipTest("the program dhclient is missing (package isc-dhcp-client)")
        anchor = self.started(CONFIG % "dhcpv6-prefix-delegation\ndelegation-lifetime 600")
        child = self.router(MAG_ADDRESSES["mag1"], relay="acc0")
        self.assertEqual(self.register(1)["status"], 0)
        lease = self.work / "lease"
        words = ("dhclient", "-6", "-P", "-1", "-cf", "/dev/null", "-sf", "/bin/true")
        words += ("-lf", str(lease), "-pf", str(self.work / "pid"))
        lease.write_text("")
        self.lab.exec("mn", *words, "mn0")
        (prefix,) = set(re.findall(r"iaprefix (\S+) ", lease.read_text()))
        self.assertEqual(prefix, "2001:db8:1:3000::/56")
        self.assertIn(prefix, anchor.cli("show mipv6ha-service session full"))
        inside = prefix.replace("::/56", "::2")
        self.lab.ip("mag1", f"route add {prefix} via {NODE}")
        self.lab.ip("mn", f"addr add {inside}/64 dev lo nodad")
        self.assertIn(" 0% packet loss", self.ping("cn", inside))
        self.lab.exec("mn", *words, "-r", "mn0")
        wait_for("the release", lambda: prefix not in anchor.cli("show mipv6ha-service session full"), 5)
        self.assertIn("100% packet loss", self.ping("cn", inside))
        self.assertGreaterEqual(self.seen(child)["relayed"], 3)

    def test_a_request_through_the_tunnel(self) -> None:
        """The home agent answers DHCPv6 out of the tunnel too, and nobody who is not in one."""
        self.started(CONFIG % "dhcpv6-prefix-delegation")
        self.router(MAG_ADDRESSES["mag1"])
        self.lab.ip("mag1", f"addr add {HOME}/128 dev nemo0 nodad", "route add ::/0 dev nemo0 table 7")
        run("ip", "-n", self.lab.name("mag1"), "-6", "rule", "add", "from", HOME, "table", "7")
        self.assertEqual(self.register(1)["status"], 0)
        solicit = bytes((1, 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, 1)) + bytes((0, 25, 0, 12)) + bytes(12)
        code = (
            "import socket,sys\n"
            "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[2]))\n"
            "s.bind((sys.argv[1], 546))\n"
            f"s.sendto(bytes.fromhex('{solicit.hex()}'), ('{LMA_ADDRESS}', 547))\n"
            "print(s.recv(2000)[0])"
        )
        self.assertEqual(self.lab.exec("mag1", sys.executable, "-c", code, HOME, "3").strip(), "2")
        told = self.lab.exec("mag1", sys.executable, "-c", code, MAG_ADDRESSES["mag1"], "0.5", check=False)
        self.assertEqual(told, "")


ANCHOR = f"""config
context anchor
ipv6 pool HOME prefix {HOME_POOL}
prefix-delegation pool NETS 2001:db8:d::/48 delegated-length 56
subscriber default
permission pmipv6
permission prefix-delegation
exit
lma-service lma1
bind address {LMA_ADDRESS}
mag-peer {MAG_ADDRESSES["mag1"]}
prefix-delegation
exit
exit
end
"""


class GatewayTests(LabTests):
    """A mobile router that does not move by itself, behind a gateway (RFC 7148)."""

    def test_a_prefix_on_demand(self) -> None:
        """dhclient makes the gateway ask the anchor; what it gives back the anchor has again."""
        if shutil.which("dhclient") is None:
            self.skipTest("the program dhclient is missing (package isc-dhcp-client)")
        anchor = self.started(ANCHOR)
        text = demo_config("mag1").replace(" ipv4\n", "\n")
        more = "encapsulation ipip\nprefix-delegation dhcpv6"
        self.started(text.replace("encapsulation ipip", more), "mag1")
        self.lab.ip("cn", "route add 2001:db8:d::/48 via 2001:db8:eeee::1")
        self.lab.attach()
        wait_for("a session", lambda: "mn1@" in anchor.cli("show lma-service session full"), 20)
        self.assertNotIn("Delegated Prefix", anchor.cli("show lma-service session full"))
        lease = self.work / "lease"
        lease.write_text("")
        words = ("dhclient", "-6", "-P", "-1", "-cf", "/dev/null", "-sf", "/bin/true", "-lf", str(lease))
        words += ("-pf", str(self.work / "pid"))
        self.lab.exec("mn", *words, "mn0")
        self.assertIn("iaprefix 2001:db8:d::/56 ", lease.read_text())
        self.assertIn("2001:db8:d::/56", anchor.cli("show lma-service session full"))
        self.lab.ip("mn", "addr add 2001:db8:d::1/128 dev lo")
        wait_for("an answer", lambda: ", 0% packet loss" in self.ping("cn", "2001:db8:d::1"), 10)
        self.lab.exec("mn", *words, "-r", "mn0")
        wait_for("the release", lambda: "db8:d::" not in anchor.cli("show lma-service session full"), 5)
