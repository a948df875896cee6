"""``scripts/bench tunnel``: TCP throughput and 64-octet packet rate MN - MAG - LMA - CN.

Three ways in the same run, over the same four namespaces: (a) our engine at both tunnel ends,
(b) a simple C loop TUN <-> raw socket at both ends, (c) plain kernel forwarding without a tunnel.
Only ratios travel between machines, so they are printed too.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
LMA, MAG, CN = "2001:db8:ffff::1", "2001:db8:ffff::a1", "2001:db8:eeee::80"
MN = {"engine": "2001:db8:1:1::5", "simple": "2001:db8:3:1::5", "plain": "2001:db8:4:1::5"}
MAC = "02:00:5e:10:00:01"
TCP_SECONDS = 4
PACKET_SECONDS = 3
#: 64 octets of IPv6 packet: 40 + 8 + 16.
PAYLOAD = 16
NODES = ("mn", "mag", "lma", "cn")


class Lab:
    """Four namespaces in a row, deleted whatever happens."""

    def __init__(self, prefix: str, directory: str) -> None:
        self.prefix = prefix
        self.directory = directory
        self.running: list[subprocess.Popen[str]] = []

    def ip(self, node: str, command: str) -> None:
        """Run ``ip COMMAND`` in a namespace."""
        subprocess.run(["ip", "-n", f"{self.prefix}-{node}", *command.split()], check=True)

    def command(self, node: str, *arguments: str) -> list[str]:
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", f"{self.prefix}-{node}", *arguments]

    def build(self) -> None:
        """Make namespaces, links and addresses."""
        for node in NODES:
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{node}"], check=True)
            # Without duplicate address detection everything answers at once.
            quick = ("net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
            subprocess.run(self.command(node, "sysctl", "-qw", *quick), check=True)
            self.ip(node, "link set lo up")
        for name, left, right in (("acc0", "mn", "mag"), ("bh0", "mag", "lma"), ("cn0", "lma", "cn")):
            own = f"{self.prefix}-{left}"
            subprocess.run(
                [
                    "ip",
                    "link",
                    "add",
                    name,
                    "netns",
                    own,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    name,
                    "netns",
                    f"{self.prefix}-{right}",
                ],
                check=True,
            )
            for node in (left, right):
                self.ip(node, f"link set {name} up")
        self.ip("mn", f"link set acc0 address {MAC}")
        for node, name, address in (
            ("mag", "acc0", "fe80::1"),
            ("mag", "bh0", MAG),
            ("lma", "bh0", LMA),
            ("lma", "cn0", "2001:db8:eeee::1"),
            ("cn", "cn0", CN),
            *(("mn", "acc0", address) for address in MN.values()),
        ):
            self.ip(node, f"addr add {address}/64 dev {name} nodad")
        for node in ("mag", "lma"):
            routers = ("net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1")
            subprocess.run(self.command(node, "sysctl", "-qw", *routers), check=True)
        self.ip("cn", "route add default via 2001:db8:eeee::1")
        self.ip("mn", "neigh add fe80::200:5eff:fe00:5213 lladdr 00:00:5e:00:52:13 dev acc0")
        for address in MN.values():
            self.ip("mag", f"neigh replace {address} lladdr {MAC} dev acc0")
        self.ip("mag", "route add 2001:db8:4:1::/64 dev acc0")
        self.ip("mag", "route add 2001:db8:3:1::/64 dev acc0")
        self.ip("mag", f"route add 2001:db8:eeee::/64 via {LMA}")
        self.ip("lma", f"route add 2001:db8:4:1::/64 via {MAG}")

    def use(self, kind: str) -> None:
        """Let the mobile send by the way of ``kind``."""
        via = "fe80::200:5eff:fe00:5213" if kind == "engine" else "fe80::1"
        self.ip("mn", f"route replace default via {via} dev acc0 src {MN[kind]}")

    def start(self, node: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a program that says ``ready``."""
        process = subprocess.Popen(
            self.command(node, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if line != "ready":
            raise RuntimeError(f"{arguments[0]} in {node} did not start: {line}")
        return process

    def finish(self) -> None:
        """End the programs that were started, by closing their standard input."""
        while self.running:
            process = self.running.pop()
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def remove(self) -> None:
        """Delete everything."""
        self.finish()
        for node in NODES:
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{node}"], stderr=subprocess.DEVNULL)


def compiled(directory: str, name: str) -> str:
    """Compile one of the C programs beside this file."""
    program = str(Path(directory) / name)
    subprocess.run(["gcc", "-O2", "-o", program, str(HERE / f"{name}.c")], check=True)
    return program


def tcp(lab: Lab, reverse: bool) -> float:
    """Gbit/s of one TCP stream MN to CN (``reverse``: CN to MN), as the receiver counts."""
    server = subprocess.Popen(lab.command("cn", "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        way_back = ["-R"] if reverse else []
        call = lab.command("mn", "iperf3", "-c", CN, "-t", str(TCP_SECONDS), "-J", *way_back)
        output = subprocess.run(call, capture_output=True, text=True, timeout=TCP_SECONDS + 10).stdout
        return float(json.loads(output)["end"]["sum_received"]["bits_per_second"]) / 1e9
    finally:
        if server.poll() is None:
            server.kill()
        server.wait()


def rate(lab: Lab, program: str) -> float:
    """64-octet packets a second that arrive at the CN while the MN sends as fast as it can."""
    length = str(PACKET_SECONDS + 1)
    counter = lab.start("cn", program, "count", CN, "9000", length)
    arguments = ("send", CN, "9000", str(PACKET_SECONDS), str(PAYLOAD))
    subprocess.run(lab.command("mn", program, *arguments), check=True)
    output, _ = counter.communicate(timeout=PACKET_SECONDS + 5)
    lab.running.remove(counter)
    count, seconds = output.split()
    return int(count) / max(float(seconds), 0.001)


@contextlib.contextmanager
def way(lab: Lab, kind: str, simple_loop: str) -> Iterator[None]:
    """Put one of the three ways in place."""
    lab.use(kind)
    if kind == "engine":
        end = str(HERE / "tunnel_end.py")
        session = {"call_id": 1, "prefixes": ["2001:db8:1:1::/64"]}
        lma = {
            "role": "lma",
            "local": LMA,
            "tun": "tun-lma",
            "state": lab.directory,
            "pools": ["2001:db8:1::/48"],
            "sessions": [{**session, "local": LMA, "peer": MAG}],
        }
        access = {"interface": "acc0", "link_layer": MAC.replace(":", "")}
        mag = {
            "role": "mag",
            "local": MAG,
            "links": ["acc0"],
            "sessions": [{**session, "local": MAG, "peer": LMA, **access}],
        }
        lab.start("lma", sys.executable, end, json.dumps(lma))
        lab.start("mag", sys.executable, end, json.dumps(mag))
    elif kind == "simple":
        for node, local, peer, route in (
            ("lma", LMA, MAG, "2001:db8:3:1::/64"),
            ("mag", MAG, LMA, "2001:db8:eeee::/64"),
        ):
            lab.start(node, simple_loop, "ctun", local, peer)
            lab.ip(node, "link set ctun up mtu 1460 txqueuelen 10000")
            lab.ip(node, f"route add {route} dev ctun metric 1")
    try:
        yield
    finally:
        lab.finish()


def missing(programs: tuple[str, ...] = ("ip", "iperf3", "gcc")) -> str:
    """What this machine lacks for the bench (or for ``programs``), or nothing."""
    if os.geteuid() != 0:
        return "root is needed for network namespaces"
    for program in programs:
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    return "" if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun"


def main(argv: list[str]) -> int:
    """Run the bench; ``--json`` prints one flat object on the last line. Returns the exit status."""
    lack = missing()
    if lack:
        print(f"scripts/bench tunnel: {lack}", file=sys.stderr)
        return 2
    results: dict[str, float] = {}
    names = {"engine": "", "simple": "_simple_c", "plain": "_plain"}
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(f"bt{os.getpid()}", directory)
        try:
            lab.build()
            packets, simple_loop = compiled(directory, "packets"), compiled(directory, "simple_loop")
            for kind, suffix in names.items():
                with way(lab, kind, simple_loop):
                    results[f"tcp_gbps{suffix}"] = tcp(lab, reverse=False)
                    results[f"tcp_down_gbps{suffix}"] = tcp(lab, reverse=True)
                    results[f"pps64{suffix}"] = rate(lab, packets)
        finally:
            lab.remove()
    for figure in ("tcp_gbps", "tcp_down_gbps", "pps64"):
        results[f"{figure}_to_simple_c"] = results[figure] / results[f"{figure}_simple_c"]
        results[f"{figure}_to_plain"] = results[figure] / results[f"{figure}_plain"]
    for name, value in results.items():
        print(f"{name:26} {value:12.3f}")
    if "--json" in argv:
        print(json.dumps({name: round(value, 4) for name, value in results.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
