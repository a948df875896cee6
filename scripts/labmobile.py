"""The laboratory as a mobile node with its own mobility sees it: networks of two kinds, and a home agent.

::

    mn --mn0=acc0-- mag1 (router, 2001:db8:a1::/64) --backhaul--+
         (acc0)---- mag2 (router, 2001:db8:a2::/64) --backhaul--+-- lma (home agent) -- cn
       --cell0=in0- aaa (NAT, 10.0.0.0/24, IPv4 only) --backhaul+

It is the laboratory of :mod:`scripts.labnet` with other people in its houses: the gateways are plain IPv6
routers, the house of the AAA server has a NAT. ``python -m scripts.labmobile`` (``scripts/lab mobile``) lets
a mobile node roam through all of it with one TCP connection and prints what it cost.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, LineConnection, Ping, environment, stop, wait_for

PREFIXES = {"mag1": "2001:db8:a1::", "mag2": "2001:db8:a2::"}
LMA_ADDRESS_4 = "198.51.100.1"
HOME, HOME_4 = "2001:db8:1:100::5", "203.0.113.5"
NAI, KEY = "alice@example.org", "0x000102030405060708090a0b0c0d0e0f"
INSIDE, CELL = "10.0.0.1", "10.0.0.2"

HOME_AGENT = f"""config
  context home
    ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
    ip pool HOSTS4 203.0.113.0/24 default-router 203.0.113.254
    subscriber default
    exit
    subscriber name {NAI}
      mn-ha-spi spi-number 256 secret {KEY}
      ipv4 access
      ipv4-home-address {HOME_4}
    exit
    mipv6ha-service ha1
      bind address {LMA_ADDRESS} ipv4-address {LMA_ADDRESS_4}
      home-address-pool HOSTS
%s
    exit
  exit
end
"""
MOBILE_NODE = f"""config
  context mobile
    mn-client mn1
      home-agent address {LMA_ADDRESS} ipv4-address {LMA_ADDRESS_4}
      home-address {HOME}
      nai {NAI}
      mn-ha-spi spi-number 256 secret {KEY}
      interface mn0 preference 200
      interface cell0 preference 100
%s
    exit
  exit
end
"""


class MobileLab(Lab):
    """The namespaces with plain routers in them."""

    def __init__(self, prefix: str = "lab") -> None:
        super().__init__(prefix)
        self._routers: dict[str, subprocess.Popen[str]] = {}

    def up(self) -> None:
        """Build everything; ``mn0`` is down, its cable ends in ``mag1``."""
        super().up()
        for role, prefix in PREFIXES.items():
            # Their own addresses are ready at once: what is measured is the mobile node's time.
            self.sysctl(role, ipv6__conf__all__forwarding=1, ipv6__conf__default__accept_dad=0)
            self.ip(role, f"route add default via {LMA_ADDRESS}")
            self.ip("lma", f"route add {prefix}/64 via {MAG_ADDRESSES[role]}")
            for other, address in MAG_ADDRESSES.items():
                if other != role:
                    self.ip(role, f"route add {PREFIXES[other]}/64 via {address}")
            program = (sys.executable, "-m", "scripts.labrouter", "acc0", prefix)
            self._routers[role] = self.popen(role, *program, env=environment())
        self.ip("cn", "route add default via 2001:db8:eeee::1", "route add default via 192.0.2.1")
        self._serve("mag1")

    def nat(self, tool: str) -> None:
        """An IPv4 network behind a NAT, with the device ``cell0`` of the mobile node; ``tool``: iptables."""
        self.ip("mn", f"link add cell0 type veth peer name in0 netns {self.name('aaa')}")
        self.ip("aaa", f"addr add {INSIDE}/24 dev in0", "link set in0 up")
        self.sysctl("aaa", ipv4__ip_forward=1)
        self.exec("aaa", tool, "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "backhaul", "-j", "MASQUERADE")

    def cell(self, there: bool) -> None:
        """The mobile node enters or leaves the IPv4 network."""
        if there:
            self.ip(
                "mn",
                "link set cell0 up",
                f"addr add {CELL}/24 dev cell0",
                f"route add default via {INSIDE} dev cell0",
            )
        else:
            self.ip("mn", "link set cell0 down", "addr flush dev cell0")

    def _serve(self, role: str) -> None:
        """The router gets its address on the cable that ends there."""
        self.ip(role, f"addr replace {PREFIXES[role]}1/64 dev acc0 nodad")

    def move(self, source: str, target: str) -> None:
        """The mobile node comes to another router."""
        super().move(source, target)
        self._serve(target)

    def down(self) -> None:
        """Remove everything."""
        while self._routers:
            stop(self._routers.popitem()[1])
        super().down()


def settled(node: Appliance, care_of: str, timeout: float = 15.0) -> None:
    """Wait until the home agent has accepted a care-of address; a part of it is enough."""

    def there() -> bool:
        found = node.json("show mn-client bindings")
        return any(
            each["kind"] == "home" and each["state"] == "registered" and each["care_of"].startswith(care_of)
            for each in found
        )

    wait_for(f"a binding of {care_of}", there, timeout)


class Roaming:
    """One mobile node on its way, with one TCP connection and pings of both families under watch."""

    def __init__(self, lab: MobileLab, work: Path, tell: Callable[[str], object]) -> None:
        self.lab = lab
        self.work = work
        self.tell = tell
        self.rows: list[dict[str, Any]] = []
        self.nodes: list[Appliance] = []
        self.line: LineConnection | None = None

    def node(self, role: str, text: str) -> Appliance:
        """An appliance that is ready."""
        path = self.work / f"{role}.conf"
        path.write_text(text)
        node = Appliance(self.lab, role, path, self.work)
        self.nodes.append(node)
        node.start()
        node.wait_ready()
        return node

    def run(self) -> dict[str, Any]:
        """All steps; the rows, and what the connection says of itself at the end."""
        lab = self.lab
        self.node("lma", HOME_AGENT % "")
        mn = self.node("mn", MOBILE_NODE % f"ipv4-home-address {HOME_4}")
        begun = time.monotonic()
        lab.attach()
        settled(mn, PREFIXES["mag1"][:-2])
        self._row("arrives in IPv6 network 1", mn, time.monotonic() - begun, {}, {}, 0)
        self.line = LineConnection(lab, HOME, self.work)
        self.line.wait_lines(5, 10)
        moves: tuple[tuple[str, str, Callable[[], None]], ...] = (
            ("cable to IPv6 network 2", PREFIXES["mag2"][:-2], lambda: lab.move("mag1", "mag2")),
            ("IPv4 behind a NAT, IPv6 lost", CELL, self._lose_ipv6),
            ("IPv6 back, then IPv4 lost", PREFIXES["mag2"][:-2], lambda: lab.ip("mn", "link set mn0 up")),
        )
        for title, care_of, move in moves:
            self._move(title, care_of, mn, move)
        lab.cell(False)
        self.line.wait_lines(20, 20)
        return {"rows": self.rows, "connection": self.line.finish()}

    def _lose_ipv6(self) -> None:
        self.lab.cell(True)
        time.sleep(0.3)
        self.lab.ip("mn", "link set mn0 down")

    def _move(self, title: str, care_of: str, mn: Appliance, move: Callable[[], None]) -> None:
        assert self.line is not None
        pings = [Ping(self.lab, "mn", target) for target in (CN_ADDRESS, CN_ADDRESS_4)]
        time.sleep(0.5)
        lines, begun = self.line.answered(), time.monotonic()
        move()
        settled(mn, care_of)
        took = time.monotonic() - begun
        self.line.wait_lines(10, 20)
        time.sleep(0.3)
        six, four = (ping.finish() for ping in pings)
        self._row(title, mn, took, six, four, self.line.answered() - lines)

    def _row(
        self, step: str, mn: Appliance, took: float, six: dict[str, float], four: dict[str, float], lines: int
    ) -> None:
        (seen,) = mn.json("show mn-client session")
        tunnel = str(seen["tunnel"])
        row = {
            "step": step,
            "care_of": seen["care_of_addresses"],
            "tunnel": tunnel.partition(" by ")[0],
            "settled_s": round(took, 2),
            **{f"{name}_ipv6": six.get(name, 0) for name in ("sent", "missed", "gap_s")},
            **{f"{name}_ipv4": four.get(name, 0) for name in ("sent", "missed", "gap_s")},
            "tcp_lines": lines,
        }
        self.rows.append(row)
        self.tell(
            f"{step:<30} {row['care_of']:<28} {row['tunnel']:<36} {row['settled_s']:>6} "
            f"{row['missed_ipv6']:>4}/{row['sent_ipv6']:<4} {row['missed_ipv4']:>4}/{row['sent_ipv4']:<4} "
            f"{max(row['gap_s_ipv6'], row['gap_s_ipv4']):>6} {lines:>6}"
        )

    def end(self) -> None:
        """Stop everything that runs."""
        if self.line is not None:
            self.line.kill()
        for node in reversed(self.nodes):
            node.stop()


@contextmanager
def roaming(prefix: str, tool: str, tell: Callable[[str], object]) -> Iterator[Roaming]:
    """A laboratory with a NAT, taken apart afterwards; ``tool``: iptables."""
    work = Path(tempfile.mkdtemp(prefix="appliance-mobile-"))
    lab = MobileLab(prefix)
    walk = Roaming(lab, work, tell)
    try:
        lab.up()
        lab.nat(tool)
        yield walk
    finally:
        walk.end()
        lab.down()
        shutil.rmtree(work, ignore_errors=True)


def iptables() -> str:
    """The program that makes the NAT; empty: there is none."""
    return shutil.which("iptables-legacy") or shutil.which("iptables") or ""


HEADING = "\n".join(
    "{:<30} {:<28} {:<36} {:>6} {:>9} {:>9} {:>6} {:>6}".format(*words)
    for words in (
        ("step", "care-of address", "tunnel", "secs", "lost/sent", "lost/sent", "gap s", "lines"),
        ("", "", "", "", "IPv6", "IPv4", "", "TCP"),
    )
)


def main(argv: Sequence[str]) -> int:
    """``scripts/lab mobile``: returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/lab mobile",
        description="Let a mobile node roam through IPv6 and IPv4 networks with one TCP connection.",
    )
    parser.add_argument("--prefix", default="labmobile", help="in front of the namespace names")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(argv)
    tool = iptables()
    if not tool:
        print("scripts/lab mobile: the program iptables is missing (package iptables)", file=sys.stderr)
        return 2
    tell: Callable[[str], object] = (lambda _text: None) if options.json else print
    try:
        with roaming(options.prefix, tool, tell) as walk:
            tell(HEADING)
            result = walk.run()
    except LabError as failure:
        print(f"scripts/lab mobile: {failure}", file=sys.stderr)
        return 2
    connection = result["connection"]
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(
            f"\none TCP connection: {connection.get('answered', 0)} of {connection.get('sent', 0)} lines "
            f"answered, longest silence {connection.get('longest_silence_s', 0)} s, "
            f"error: {connection['error'] or 'none'}"
        )
    return 1 if connection["error"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
