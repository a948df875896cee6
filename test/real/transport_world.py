"""What the real tests of IPv4 transport share: configurations, a NAT before the gateways, traffic."""

import os
import shutil
import subprocess
import sys
import time

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, HOME_POOL, NETNS_DIR, run
from scripts.labrun import Appliance, environment, wait_for
from test.real.common import LabTests

LMA4 = "198.51.100.1"
NAT4 = "198.51.100.9"
MAG4 = {"mag1": "198.51.100.161", "mag2": "198.51.100.162"}
INSIDE = {"mag1": "10.0.0.2", "mag2": "10.0.0.3"}
MN4, ROUTER4 = "203.0.113.77", "203.0.113.1"
NAI = "mn1@example.org"

SENDER = """
import socket, sys
sock = socket.create_connection((sys.argv[1], 7011), timeout=20)
sock.sendall(bytes(int(sys.argv[2])))
sock.shutdown(socket.SHUT_WR)
sock.recv(1)
"""
RECEIVER = """
import socket, sys
with socket.create_server((sys.argv[1], 7011), family=socket.AF_INET6) as listener:
    print("listening", flush=True)
    sock, _ = listener.accept()
    print(sum(len(data) for data in iter(lambda: sock.recv(65536), b"")), flush=True)
"""


def iptables() -> str:
    """The program that sets NAT rules by way of x_tables, which this kernel has; empty: there is none."""
    return shutil.which("iptables-legacy") or ""


class TransportTests(LabTests):
    """The laboratory with anchors and gateways that are bound to IPv4 addresses."""

    def lma_config(self, *lines: str, bind: str = f"ipv4-address {LMA4}") -> str:
        """An anchor for one subscriber with IPv4, and for strangers with IPv6 alone."""
        return "\n".join(
            (
                "config",
                "context anchor",
                "ipv6 pool HOME prefix 2001:db8:1::/48",
                "ip pool HOME4 203.0.113.0/24 default-router 203.0.113.1",
                "subscriber default",
                "permission pmipv6",
                "exit",
                f"subscriber name {NAI}",
                "permission pmipv6",
                "ipv4 access",
                f"ipv4-home-address {MN4}",
                "exit",
                "lma-service lma1",
                f"bind {bind}",
                "mag-peer 198.51.100.0/24",
                "mag-peer 2001:db8:ffff::/64",
                *lines,
                "exit",
                "exit",
                "end",
                "",
            )
        )

    def mag_config(self, address: str, *lines: str, bind: str = "", more: tuple[str, ...] = ()) -> str:
        """A gateway for the mobile node; ``more`` are further lines of the service."""
        return "\n".join(
            (
                "config",
                "context access",
                "mag-service mag1",
                f"bind {bind or f'ipv4-address {address}'}",
                f"lma-address {LMA4}",
                "access-interface acc0 access-technology 4",
                f"mobile-node 02:00:5e:10:00:01 nai {NAI} interface acc0 ipv4",
                *more,
                *lines,
                "exit",
                "exit",
                "end",
                "",
            )
        )

    def arrive(self) -> str:
        """Bring the mobile node up and give it its addresses; returns the IPv6 one."""
        self.lab.attach()
        self.lab.ip(
            "mn",
            f"addr add {MN4}/32 dev mn0",
            f"route replace default via {ROUTER4} dev mn0 onlink",
        )
        return wait_for("an address of the mobile node", self.address, 20)

    def address(self, device: str = "mn0") -> str:
        """The mobile node's IPv6 address on a device; empty: none yet."""
        prefix = HOME_POOL.split("::")[0] + ":"
        return next((text for text in self.lab.addresses("mn", device) if text.startswith(prefix)), "")

    def received(self, role: str, target: str, *options: str) -> int:
        """How many of three pings were answered."""
        output = self.ping(role, target, *options)
        return int(output.split(" received")[0].rsplit(" ", 1)[1]) if " received" in output else 0

    def assert_traffic(self, text: str = "") -> None:
        """IPv6 and IPv4 go both ways."""
        self.assertEqual(self.received("mn", CN_ADDRESS), 3, f"{text}: IPv6 up")
        self.assertEqual(self.received("mn", CN_ADDRESS_4), 3, f"{text}: IPv4 up")
        self.assertEqual(self.received("cn", self.address()), 3, f"{text}: IPv6 down")
        self.assertEqual(self.received("cn", MN4), 3, f"{text}: IPv4 down")

    def transfer(self, sender: str, receiver: str, address: str, octets: int = 2_000_000) -> None:
        """Send over TCP and see that all of it comes."""
        python = (sys.executable, "-c")
        server = self.lab.popen(
            receiver, *python, RECEIVER, address, stdout=subprocess.PIPE, env=environment()
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        server.stdout.readline()
        self.lab.exec(sender, *python, SENDER, address, str(octets))
        self.assertEqual(server.stdout.readline().strip(), str(octets))

    def session(self, node: Appliance, kind: str) -> str:
        """The full screen of the only session."""
        return node.cli(f"show {kind}-service session full")

    def wait_session(self, node: Appliance, kind: str, text: str, timeout: float = 15) -> str:
        """Wait until the session's screen has a text in it; returns the screen."""
        return wait_for(
            f"{text!r} in the session of {kind}",
            lambda: screen if text in (screen := self.session(node, kind)) else "",
            timeout,
        )


class Nat:
    """A namespace between the gateways and the rest, which gives them all one address."""

    def __init__(self, tests: TransportTests) -> None:
        self.lab = tests.lab
        self.name = f"{self.lab.prefix}-nat"
        tests.addCleanup(run, "ip", "netns", "del", self.name, check=False)
        run("ip", "netns", "add", self.name)
        self.ip(
            "link add in0 type bridge mcast_snooping 0", "link set in0 up", "addr add 10.0.0.1/24 dev in0"
        )
        self.ip(f"link add out0 type veth peer name nat netns {self.lab.name('net')}")
        self.lab.ip("net", "link set nat master br0", "link set nat up")
        self.ip("link set out0 up", f"addr add {NAT4}/24 dev out0")
        for role, address in INSIDE.items():
            # Nothing leads past the NAT: neither IPv4 nor IPv6 of the cable that there was.
            self.lab.ip(role, "link del backhaul")
            self.ip(
                f"link add {role} type veth peer name inside netns {self.lab.name(role)}",
                f"link set {role} master in0",
                f"link set {role} up",
            )
            self.lab.ip(
                role,
                "link set inside up",
                f"addr add {address}/24 dev inside",
                "route add default via 10.0.0.1",
            )
        self.exec("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.rule("-j", "MASQUERADE")

    def ip(self, *lines: str) -> None:
        """Commands of ``ip`` in the NAT."""
        run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    def exec(self, *command: str) -> str:
        """A program in the NAT."""
        return run("nsenter", f"--net={NETNS_DIR / self.name}", "--", *command)

    def rule(self, *words: str) -> None:
        """Translate what goes out by this rule from now on."""
        self.exec(iptables(), "-w", "-t", "nat", "-F", "POSTROUTING")
        self.exec(iptables(), "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "out0", *words)

    def forget_after(self, seconds: int) -> None:
        """How long it remembers a UDP port that is not used."""
        for kind in ("udp_timeout", "udp_timeout_stream"):
            self.exec("sh", "-c", f"echo {seconds} > /proc/sys/net/netfilter/nf_conntrack_{kind}")

    def log_of(self) -> str:
        """What it remembers."""
        return self.exec("cat", "/proc/net/nf_conntrack") if os.path.exists("/proc/net/nf_conntrack") else ""


def let_pass(seconds: float) -> None:
    """Real time, for clocks of other programs."""
    time.sleep(seconds)


class Router:
    """A router between the first gateway and the rest, with a narrow cable to the gateway."""

    GATEWAY, GATEWAY4 = "2001:db8:fffe::a1", "10.1.0.2"

    def __init__(self, tests: TransportTests, mtu: int) -> None:
        self.lab = tests.lab
        self.name = f"{self.lab.prefix}-rtr"
        tests.addCleanup(run, "ip", "netns", "del", self.name, check=False)
        run("ip", "netns", "add", self.name)
        for version in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.exec("sh", "-c", f"echo 1 > /proc/sys/net/{version}")
        self.ip(f"link add out0 type veth peer name rtr netns {self.lab.name('net')}")
        self.lab.ip("net", "link set rtr master br0", "link set rtr up")
        self.lab.ip("mag1", "link del backhaul")
        self.ip(
            "link set out0 up",
            "addr add 2001:db8:ffff::99/64 dev out0 nodad",
            "addr add 198.51.100.99/24 dev out0",
            f"link add in0 type veth peer name inside netns {self.lab.name('mag1')}",
            "link set in0 up",
            "addr add 2001:db8:fffe::1/64 dev in0 nodad",
            "addr add 10.1.0.1/24 dev in0",
        )
        self.lab.ip(
            "mag1",
            "link set inside up",
            f"addr add {self.GATEWAY}/64 dev inside nodad",
            f"addr add {self.GATEWAY4}/24 dev inside",
            "route add default via 2001:db8:fffe::1",
            "route add default via 10.1.0.1",
        )
        self.lab.ip(
            "lma",
            "route add 2001:db8:fffe::/64 via 2001:db8:ffff::99",
            "route add 10.1.0.0/24 via 198.51.100.99",
        )
        self.narrow(mtu)

    def ip(self, *lines: str) -> None:
        """Commands of ``ip`` in the router."""
        run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    def exec(self, *command: str) -> str:
        """A program in the router."""
        return run("nsenter", f"--net={NETNS_DIR / self.name}", "--", *command)

    def narrow(self, mtu: int) -> None:
        """Set the MTU of the way to the gateway; what comes from it may have any size."""
        self.ip(
            f"route replace {self.GATEWAY}/128 dev in0 mtu lock {max(mtu, 1280)}",
            f"route replace {self.GATEWAY4}/32 dev in0 mtu lock {mtu}",
        )
