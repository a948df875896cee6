"""The tunnel engine on real devices and sockets, in network namespaces, without signalling."""

import json
import os
import subprocess
import sys
import tempfile
import time

from twisted.trial.unittest import SynchronousTestCase

from scripts.benches import tunnel

END = str(tunnel.HERE / "tunnel_end.py")
MN4, ROUTER4, CN4 = "203.0.113.10", "203.0.113.1", "192.0.2.80"
BASE = {"call_id": 1, "prefixes": ["2001:db8:1:1::/64"], "ipv4": MN4}
SERVER = """
import socket
s = socket.create_server(("::", 9001), family=socket.AF_INET6)
print("ready", flush=True)
c, _ = s.accept()
n = 0
while data := c.recv(65536):
    n += len(data)
print(n, flush=True)
"""
CLIENT = """
import socket, sys
c = socket.create_connection((sys.argv[1], 9001), 5)
for _ in range(200):
    c.sendall(bytes(50000))
"""


class TunnelTests(SynchronousTestCase):
    """MN - MAG - LMA - CN with an engine at each tunnel end."""

    skip = tunnel.missing(("ip", "ping")) or None

    def setUp(self) -> None:
        """Build the namespaces."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.lab = tunnel.Lab(f"tt{os.getpid()}", directory.name)
        self.addCleanup(self.lab.remove)
        self.lab.build()
        self.lab.use("engine")
        self.lab.ip("mn", f"addr add {MN4}/24 dev acc0")
        self.lab.ip("mn", f"neigh add {ROUTER4} lladdr 00:00:5e:00:52:13 dev acc0")
        self.lab.ip("mn", f"route add default via {ROUTER4} dev acc0")
        for node, address in (("lma", "192.0.2.1"), ("cn", CN4)):
            self.lab.ip(node, f"addr add {address}/24 dev cn0")
        self.lab.ip("cn", "route add default via 192.0.2.1")

    def start(self, lma: dict[str, object] | None = None, mag: dict[str, object] | None = None) -> None:
        """Start both engines; the dictionaries change both ends' sessions."""
        access = {"interface": "acc0", "link_layer": tunnel.MAC.replace(":", ""), "ipv4_router": ROUTER4}
        self.lma = self.lab.start(
            "lma",
            sys.executable,
            END,
            json.dumps(
                {
                    "role": "lma",
                    "local": tunnel.LMA,
                    "local_ipv4": (lma or {}).get("local"),
                    "tun": "tun-lma",
                    "state": self.lab.directory,
                    "pools": ["2001:db8:1::/48", "203.0.113.0/24"],
                    "addresses": [["2001:db8:ffff::2", 64, "bh0"]],
                    "sessions": [{**BASE, "local": tunnel.LMA, "peer": tunnel.MAG, **(lma or {})}],
                }
            ),
        )
        self.mag = self.lab.start(
            "mag",
            sys.executable,
            END,
            json.dumps(
                {
                    "role": "mag",
                    "local": tunnel.MAG,
                    "local_ipv4": (mag or {}).get("local"),
                    "links": ["acc0"],
                    "sessions": [{**BASE, "local": tunnel.MAG, "peer": tunnel.LMA, **access, **(mag or {})}],
                }
            ),
        )

    def state(self, process: "subprocess.Popen[str]") -> dict[str, dict[str, int]]:
        """Counters and drops of one end."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def ping(self, address: str, *options: str, node: str = "mn") -> int:
        """How many of two echo requests were answered."""
        call = self.lab.command(node, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", *options, address)
        output = subprocess.run(call, capture_output=True, text=True).stdout
        return int(output.split(" received")[0].rsplit(" ", 1)[1]) if " received" in output else 0

    def test_ping(self) -> None:
        """IPv6 and IPv4 echoes go through, counted under 6in6 and 4in6 at both ends."""
        self.start()
        self.assertEqual(self.ping(tunnel.CN), 2)
        self.assertEqual(self.ping(CN4), 2)
        for end in (self.lma, self.mag):
            counters = self.state(end)["counters"]
            for way in ("received", "sent"):
                self.assertEqual(counters[f"tunnel-data-{way}/total-packets/6in6"], 2)
                self.assertEqual(counters[f"tunnel-data-{way}/total-bytes/4in6"], 2 * (84 + 40))

    def test_gre(self) -> None:
        """With keys agreed the same traffic goes in GRE."""
        self.start(
            {"gre": True, "send_key": 1, "receive_key": 2}, {"gre": True, "send_key": 2, "receive_key": 1}
        )
        self.assertEqual((self.ping(tunnel.CN), self.ping(CN4)), (2, 2))
        counters = self.state(self.lma)["counters"]
        self.assertEqual(counters["tunnel-data-received/total-packets/ipv6-gre-ipv6"], 2)
        self.assertEqual(counters["tunnel-data-sent/total-bytes/ipv6-gre-ipv4"], 2 * (84 + 48))

    def test_ipv4_transport(self) -> None:
        """Both inner versions go over IPv4 as well: plain, GRE, UDP, and GRE in UDP behind the TLV header."""
        here, there = "198.51.100.1", "198.51.100.2"
        self.lab.ip("lma", f"addr add {here}/24 dev bh0")
        self.lab.ip("mag", f"addr add {there}/24 dev bh0")
        for form, rows in (
            ({}, ("6in4", "4in4")),
            ({"gre": True}, ("ipv4-gre",)),
            ({"udp": True}, ("ipv4-udp-ipv6", "ipv4-udp-ipv4")),
            ({"udp": True, "gre": True}, ("ipv4-udp-ipv6", "ipv4-udp-ipv4")),
        ):
            keys = {"send_key": 5, "receive_key": 5} if "gre" in form else {}
            self.start(
                {"local": here, "peer": there, **form, **keys}, {"local": there, "peer": here, **form, **keys}
            )
            self.assertEqual((self.ping(tunnel.CN), self.ping(CN4)), (2, 2), str(form))
            counters = self.state(self.lma)["counters"]
            for row in rows:
                packets = counters[f"tunnel-data-received/total-packets/{row}"]
                self.assertEqual(packets, 4 // len(rows), f"{form} {row}")
            self.lab.finish()

    def test_encapsulation_limit(self) -> None:
        """RFC 2473 section 4.1.1: a packet with a limit goes out with a lower one and is decapsulated."""
        self.start()
        sender = (
            "import socket\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
            "s.setsockopt(41, 59, bytes((0, 0, 4, 1, 9, 1, 1, 0)))\n"
            f"s.sendto(b'data', ('{tunnel.CN}', 9))\n"
        )
        capture = (
            "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))\n"
            "s.bind(('bh0', 0x86dd))\nprint('ready', flush=True)\n"
            "while (f := s.recv(2000))[20] != 60:\n    pass\nprint(f[54:62].hex(), flush=True)\n"
        )
        seen = self.lab.start("lma", sys.executable, "-c", capture)
        subprocess.run(self.lab.command("mn", sys.executable, "-c", sender), check=True)
        output, _ = seen.communicate(timeout=5)
        self.lab.running.remove(seen)
        self.assertEqual(output.strip(), "2900040108010100")
        counters = self.state(self.lma)["counters"]
        self.assertEqual(counters["tunnel-data-received/total-packets/6in6"], 1)

    def test_tcp_both_ways(self) -> None:
        """TCP with 1500-octet segments works at once through a 1500-octet access network."""
        self.start()
        for server, client, address in (("cn", "mn", tunnel.CN), ("mn", "cn", tunnel.MN["engine"])):
            listener = self.lab.start(server, sys.executable, "-c", SERVER)
            begin = time.monotonic()
            call = self.lab.command(client, sys.executable, "-c", CLIENT, address)
            subprocess.run(call, check=True, timeout=20)
            output, _ = listener.communicate(timeout=10)
            self.lab.running.remove(listener)
            self.assertEqual(int(output), 10_000_000)
            self.assertLess(time.monotonic() - begin, 5)
        self.assertGreater(self.state(self.mag)["drops"]["too-big"], 0)

    def test_ingress_filter(self) -> None:
        """A source that is not the mobile's is dropped at the gateway, a foreign gateway at the anchor."""
        self.start(lma={"peer": "2001:db8:ffff::dd"})
        self.assertEqual(self.ping(tunnel.CN, "-I", tunnel.MN["plain"]), 0)
        self.assertEqual(self.state(self.mag)["counters"]["access-links/ingress-filtered"], 2)
        self.assertEqual(self.ping(tunnel.CN), 0)
        counters = self.state(self.lma)["counters"]
        self.assertEqual(counters["tunnel-data-received/errors/no-session-found"], 2)

    def test_small_path(self) -> None:
        """Packets of 1280 octets pass a path that is too small for the tunnel packet: fragmented outside."""
        for node in ("mag", "lma"):
            self.lab.ip(node, "link set bh0 mtu 1300")
        self.start()
        self.assertEqual(self.ping(tunnel.CN, "-s", "1232"), 2)
        # 1460 octets and DF: the sender learns of 1280 by Packet Too Big, then fragments itself.
        self.ping(tunnel.CN, "-s", "1412")
        self.assertEqual(self.ping(tunnel.CN, "-s", "1412"), 2)

    def test_packet_too_big(self) -> None:
        """An error from inside the tunnel lowers the path MTU and reaches the sender."""
        self.start()
        self.lab.ip("lma", "link set bh0 mtu 1400")
        sender = (
            "import socket\nfrom appliance.tun import packet as ip\n"
            "from ipaddress import ip_address as a\n"
            f"l, m, c, n = (a(x).packed for x in ('{tunnel.LMA}', '{tunnel.MAG}', '{tunnel.CN}',"
            f" '{tunnel.MN['engine']}'))\n"
            "inner = ip.ipv6_packet(n, c, 17, bytes(1420))\nouter = ip.ipv6_packet(m, l, 41, inner)\n"
            "s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)\n"
            f"s.sendto(ip.icmp6_error(2, 0, 1400, outer, l, m), ('{tunnel.MAG}', 0))\n"
        )
        subprocess.run(self.lab.command("lma", sys.executable, "-c", sender), check=True)
        time.sleep(0.3)
        state = self.state(self.mag)
        self.assertEqual(state["path_mtu"], [1400])
        self.assertEqual(state["counters"]["tunnel-icmpv6-packets/packet-too-big-rcvd"], 1)
        self.assertEqual(state["counters"]["tunnel-icmpv6-packets/packet-too-big-relayed"], 1)
        call = self.lab.command("mn", "ip", "-6", "route", "get", tunnel.CN)
        self.ping(tunnel.CN, "-s", "1400")
        self.assertIn("mtu 1360", subprocess.run(call, capture_output=True, text=True).stdout)

    def links(self, node: str) -> str:
        """Devices, addresses and routes of a namespace."""
        calls = (("ip", "-d", "link"), ("ip", "addr"), ("ip", "-6", "route"), ("ip", "route"))
        return "".join(
            subprocess.run(self.lab.command(node, *call), capture_output=True, text=True, check=True).stdout
            for call in calls
        )

    def test_device_and_clean_stop(self) -> None:
        """The device has a long queue and the tunnel's MTU; nothing is left after a stop."""
        self.start()
        state = self.links("lma")
        self.assertIn("qlen 10000", state)
        self.assertIn("mtu 1460", state)
        self.assertIn("2001:db8:ffff::2/64", state)
        self.lab.finish()
        after = self.links("lma")
        for left in ("tun-lma", "2001:db8:1::/48"):
            self.assertNotIn(left, after)

    def test_recovery(self) -> None:
        """After kill -9 the next start takes away what was left."""
        self.start()
        self.lma.kill()
        self.lma.wait()
        self.lab.running.remove(self.lma)
        self.assertIn("2001:db8:ffff::2/64", self.links("lma"))
        lma = {"role": "lma", "local": tunnel.LMA, "tun": "tun-lma", "state": self.lab.directory}
        self.lab.start("lma", sys.executable, END, json.dumps(lma))
        self.assertNotIn("2001:db8:ffff::2/64", self.links("lma"))

    def test_missing_address(self) -> None:
        """An address that is not on the host is one clear line."""
        settings = {"role": "mag", "local": "2001:db8::99"}
        call = self.lab.command("mag", sys.executable, END, json.dumps(settings))
        output = subprocess.run(call, capture_output=True, text=True, timeout=10)
        self.assertIn("2001:db8::99: the address is not on this host", output.stderr)
        self.assertEqual(len(output.stderr.splitlines()), 1)
