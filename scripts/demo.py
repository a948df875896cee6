"""The main job, shown and checked: a mobile node moves and keeps its address.

Builds the laboratory, starts the real appliance in the anchor and in both gateways, and
follows one ordinary Linux host through arrival, traffic, handover and departure. Every
claim is a line ``ok`` or ``FAILED`` with the value that was seen; the exit status is 0
only when none failed.
"""

import argparse
import ipaddress
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, HOME_POOL, Lab, LabError
from scripts.labrun import ROOT, Appliance, LineConnection, Ping, find_counter, wait_for

MN_IPV4 = "203.0.113.77"
MN_ROUTER = "203.0.113.1"
NAI = "mn1@example.org"


class Demo:
    """One run of the demonstration.

    :param lab: the laboratory to build.
    :param work: empty directory for state, sockets and logs.
    :param say: where the lines go.
    """

    def __init__(self, lab: Lab, work: Path, say: Callable[[str], None] = print) -> None:
        self.lab, self.work, self.say = lab, work, say
        self.failed: list[str] = []
        self.nodes = {
            role: Appliance(lab, role, ROOT / "etc" / "demo" / f"{role}.conf", work)
            for role in ("aaa", "lma", "mag1", "mag2")
        }
        self.lines: LineConnection | None = None
        self.pings: list[Ping] = []

    def check(self, what: str, good: object, value: object = "") -> None:
        """Print one claim with the value seen, and remember it if it does not hold."""
        self.say(f"{'ok    ' if good else 'FAILED'}  {what}{f': {value}' if value != '' else ''}")
        if not good:
            self.failed.append(what)

    def run(self) -> bool:
        """All steps in order; returns whether every claim held."""
        try:
            self._boot()
            address = self._arrive()
            self._move(address)
            self._screens()
            self._leave()
            self._counters()
            self._accounting()
            self._halt()
        except LabError as failure:
            self.check(str(failure), False)
        finally:
            self.clean()
        return not self.failed

    def _boot(self) -> None:
        """The network and the four appliances."""
        self.lab.up()
        begun = time.monotonic()
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            node.wait_ready()
        self.check("aaa, lma, mag1 and mag2 are ready", True, f"{time.monotonic() - begun:.1f} s")

        def connected() -> bool:
            return self.nodes["lma"].json("show diameter peers")[0]["state"] == "OPEN"

        wait_for("the anchor's connection to the AAA server is open", connected, 40)

    def _address(self) -> str:
        """The mobile node's global address, when it is inside the home pool."""
        pool = ipaddress.ip_network(HOME_POOL)
        found = [text for text in self.lab.addresses("mn", "mn0") if ipaddress.ip_address(text) in pool]
        return found[0] if found else ""

    def _arrive(self) -> str:
        """The mobile node appears at gateway 1 and reaches the correspondent."""
        begun = time.monotonic()
        self.lab.attach()
        address = wait_for(f"an address from {HOME_POOL} on the mobile node", self._address, 20)
        self.check("address by router advertisement", True, f"{address}, {time.monotonic() - begun:.1f} s")
        self.lab.ip("mn", f"addr add {MN_IPV4}/24 dev mn0", f"route add default via {MN_ROUTER}")
        for target in (CN_ADDRESS, CN_ADDRESS_4):
            out = self.lab.exec("mn", "ping", "-n", "-c", "5", "-i", "0.05", "-W", "2", target, check=False)
            summary = [line for line in out.splitlines() if "packets transmitted" in line]
            self.check(f"ping {target} through mag1", ", 5 received" in out, summary[0] if summary else out)
        self.lines = LineConnection(self.lab, address, self.work)
        count = self.lines.wait_lines(25, 10)
        self.check("TCP connection is exchanging numbered lines", True, f"{count} lines")
        return address

    def _move(self, address: str) -> None:
        """Handover to gateway 2, with traffic running in both directions."""
        assert self.lines is not None
        self.pings = [Ping(self.lab, "mn", CN_ADDRESS), Ping(self.lab, "cn", address)]
        time.sleep(0.5)
        self.lab.move("mag1", "mag2")
        count = self.lines.wait_lines(50, 20)
        self.check("TCP connection goes on after the move to mag2", True, f"{count} lines")
        time.sleep(0.5)
        self.check("the address is the same", self._address() == address, self._address())
        self.check("the mobile node's cable ends in mag2", self.lab.where() == "mag2", self.lab.where())
        ways = ("mobile node to correspondent", "correspondent to mobile node")
        for ping, way in zip(self.pings, ways, strict=True):
            seen = ping.finish()
            text = f"{seen['lost']} of {seen['sent']} lost, longest silence {seen['gap_s']} s"
            self.check(f"ping across the move, {way}", seen["received"] and seen["gap_s"] < 5, text)
        self.pings = []
        result = self.lines.finish()
        text = f"{result.get('answered')} lines in order, longest silence {result.get('longest_silence_s')} s"
        self.check("TCP: nothing lost, nothing out of order", not result["error"], result["error"] or text)
        out = self.lab.exec("mn", "ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", CN_ADDRESS_4, check=False)
        self.check("IPv4 goes through mag2 as well", ", 3 received" in out)

    def _screens(self) -> None:
        """What the operator sees while the session is there."""
        for role, command in (
            ("lma", "show lma-service session full"),
            ("mag1", "show mag-service session"),
            ("mag2", "show mag-service session"),
        ):
            self._show(role, command)
        full = self.nodes["lma"].cli("show lma-service session full")
        self.check("the anchor's session names the mobile node", NAI in full)
        self.check("its care-of address is mag2", "2001:db8:ffff::a2" in full)
        self.check("mag2 has the mobile", self._mobiles("mag2") == 1, self._mobiles("mag2"))
        self.check("mag1 has it no more", self._mobiles("mag1") == 0, self._mobiles("mag1"))

    def _mobiles(self, role: str) -> int:
        """How many mobile nodes a gateway's session table names."""
        return self.nodes[role].cli("show mag-service session full").count(NAI)

    def _show(self, role: str, command: str) -> None:
        """Print a screen of one appliance under its command."""
        self.say(f"\n[{role}] {command}")
        self.say(self.nodes[role].cli(command).rstrip() + "\n")

    def _leave(self) -> None:
        """The mobile node goes away; nothing of it may stay."""
        self.lab.detach()
        lma = self.nodes["lma"]

        def gone() -> bool:
            return NAI not in lma.cli("show lma-service session full")

        begun = time.monotonic()
        # RFC 5213 section 9.1: a de-registered binding is kept for MinDelayBeforeBCEDelete (10 s)
        wait_for("the anchor has no session any more", gone, 20)
        self.check("de-registered and gone after it left", True, f"{time.monotonic() - begun:.1f} s")
        self.check("mag2 has the mobile no more", self._mobiles("mag2") == 0)

    def _counters(self) -> None:
        """The statistics of the anchor tell the same story."""
        self._show("lma", "show lma-service statistics")
        screen = self.nodes["lma"].cli("show lma-service statistics")
        expected: tuple[tuple[str, str, Callable[[int], bool]], ...] = (
            ("Initial Binding Update Requests", "Accepted", lambda value: value == 1),
            ("Handoff Requests", "Accepted", lambda value: value >= 1),
            ("DeReg Requests", "Accepted", lambda value: value >= 1),
            ("Binding Updates Received", "Total Denied", lambda value: value == 0),
            ("Binding Updates Received", "Total Discarded", lambda value: value == 0),
        )
        for heading, label, good in expected:
            value = find_counter(screen, heading, label)
            self.check(f"statistics: {heading} / {label}", good(value), value)
        parts = [
            find_counter(screen, "Binding Updates Received", f"Total {part}")
            for part in ("Received", "Accepted", "Denied", "Discarded")
        ]
        self.check("statistics: received = accepted + denied + discarded", parts[0] == sum(parts[1:]), parts)
        for way in ("Received", "Sent"):
            for form, least in (("6in6", 100), ("4in6", 5)):
                value = find_counter(screen, f"Tunnel Data {way}", "Total Packets", form)
                self.check(f"statistics: {form} packets {way.lower()}", value >= least, value)

    def _accounting(self) -> None:
        """What the AAA server has stored about the mobile node."""
        aaa = self.nodes["aaa"]
        command = f"show accounting records user {NAI}"

        def kinds() -> list[str]:
            return [record["type"] for record in aaa.json(command)]

        wait_for("the STOP record of the mobile node", lambda: "STOP" in kinds(), 20)
        self._show("lma", "show diameter peers full")
        self._show("aaa", f"{command} full")
        self._show("aaa", "show accounting summary")
        self._show("aaa", command)
        found = kinds()
        good = found[0] == "START" and found[-1] == "STOP" and "INTERIM" in found
        self.check("accounting: START, INTERIM at the handover, STOP", good, " ".join(found))
        stop = aaa.json(command)[-1]
        used = stop["octets_in"], stop["octets_out"]
        self.check("accounting: octets in both directions", min(used) > 1000, f"{used[0]} in, {used[1]} out")

    def _halt(self) -> None:
        """An orderly end: exit status 0 and no trace in the host's network."""
        for role, node in self.nodes.items():
            status = node.stop()
            self.check(f"{role} ends on SIGTERM", status == 0, f"exit status {status}")
        routes = self.lab.exec("lma", "ip", "-6", "route", "show")
        self.check("the anchor's routes are removed", "2001:db8:1:" not in routes)
        errors = [
            f"{role}: {line}"
            for role, node in self.nodes.items()
            for line in node.log.read_text().splitlines()
            if "Traceback" in line or "[error]" in line or "[critical]" in line
        ]
        self.check("no error in any log", not errors, "; ".join(errors))

    def clean(self) -> None:
        """End what we started, by process, and take the network away."""
        for ping in self.pings:
            ping.process.kill()
            ping.process.wait()
        if self.lines is not None:
            self.lines.kill()
        for node in self.nodes.values():
            node.stop()
        if self.failed:
            for role, node in self.nodes.items():
                tail = node.log.read_text().splitlines()[-15:] if node.log.exists() else []
                self.say("\n".join([f"-- last lines of the log of {role}", *tail]))
        self.lab.down()


def _interrupted(signum: int, _: Any) -> None:
    """A signal becomes an exception, so that the cleaning up is done."""
    raise LabError(f"interrupted by {signal.Signals(signum).name}")


def main(argv: Sequence[str]) -> int:
    """``scripts/demo``: returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--prefix", default="demo", help="in front of the namespaces' names (default: demo)")
    options = parser.parse_args(argv)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    begun = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="appliance-demo-"))
    try:
        demo = Demo(Lab(options.prefix), work)
        good = demo.run()
    except LabError as failure:
        print(f"scripts/demo: {failure}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(work, ignore_errors=True)
    verdict = "all of it happened" if good else "NOT all of it happened"
    print(f"\n{verdict} ({time.monotonic() - begun:.1f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
