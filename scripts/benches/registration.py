"""How fast one home agent answers hosts: first registration, refresh, de-registration, beside a bare echo.

The home agent is the real ``appliance run`` with a ``mipv6ha-service`` in one network namespace; the Binding
Updates of the hosts come from another (``scripts/benches/hostbu.py``), each with a Home Address option and an
MN-HA option, whose HMAC both sides compute. The yardstick is that of the signalling bench.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benches.signalling import Load, measure_echo, resident
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, environment

KEY = bytes(range(16)).hex()
CONFIG = f"""config
  system hostname bench
  context home
    ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
    subscriber default
      exit
    mipv6ha-service ha1
      bind address {LMA_ADDRESS}
      reg-lifetime 3600
      home-address-pool HOSTS
      mn-ha-spi spi-number 256 secret 0x{KEY}
      exit
    exit
end
"""
#: Units of 4 s.
LIFETIME = 900
FLOORS = {"registrations_per_s": 5000, "refreshes_per_s": 5000}
BINDING_CEILING = 1536


def busy(pid: int) -> float:
    """Processor time that a process has had, its own and the kernel's for it, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Hosts:
    """The generator process."""

    def __init__(self, lab: Lab) -> None:
        address = MAG_ADDRESSES["mag1"]
        self.process = lab.popen(
            "mag1", sys.executable, "-m", "scripts.benches.hostbu", address, LMA_ADDRESS, KEY,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip

    def phase(self, lifetime: int, count: int, window: int) -> dict[str, float]:
        """Run one phase to its end; :class:`LabError` if an answer is missing, a refusal or forged."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{lifetime} {count} {window}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        result: dict[str, Any] = json.loads(line or '{"error": "the generator died"}')
        if "error" in result:
            raise LabError(str(result["error"]))
        if result["refused"] or result["forged"]:
            text = f"{result['refused']} of {count} refused, last status {result['last_refusal']}"
            raise LabError(f"{text}; {result['forged']} answers not authentic")
        return result

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def echo_rate(lab: Lab, options: argparse.Namespace) -> float:
    """The yardstick."""
    load = Load(lab)
    try:
        return measure_echo(lab, load, options)["rate"]
    finally:
        load.process.kill()
        load.process.wait()


def measure(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """All phases; returns the flat figures."""
    file = work / "bench.conf"
    file.write_text(CONFIG)
    echo = echo_rate(lab, options)
    hosts = Hosts(lab)
    agent = Appliance(lab, "lma", file, work)
    try:
        agent.start()
        agent.wait_ready()
        assert agent.process is not None
        pid = agent.process.pid
        before, idle = resident(pid), busy(pid)
        first = hosts.phase(LIFETIME, options.bindings, options.window)
        after, made = resident(pid), busy(pid)
        refresh = hosts.phase(LIFETIME, options.refreshes, options.window)
        refreshed = busy(pid)
        single = hosts.phase(LIFETIME, min(2000, options.refreshes), 1)
        leave = hosts.phase(0, options.refreshes, options.window)
        counted = agent.counter("mipv6ha", "Initial Binding Update Requests", "Accepted")
        if counted != options.bindings:
            raise LabError(f"{counted} initial registrations counted, not {options.bindings}")
    finally:
        agent.stop()
        hosts.stop()
    figures = {
        "registrations_per_s": first["rate"],
        "refreshes_per_s": refresh["rate"],
        "deregistrations_per_s": leave["rate"],
        "echo_per_s": echo,
        "registration_p50_ms": first["p50_ms"],
        "registration_p99_ms": first["p99_ms"],
        "refresh_p50_ms": refresh["p50_ms"],
        "refresh_p99_ms": refresh["p99_ms"],
        "single_refresh_p50_ms": single["p50_ms"],
        "single_refresh_p99_ms": single["p99_ms"],
        # What it costs does not depend on who else is busy on the machine.
        "registration_cpu_us": (made - idle) / options.bindings * 1e6,
        "refresh_cpu_us": (refreshed - made) / options.refreshes * 1e6,
        "bindings": options.bindings,
        "binding_bytes": (after - before) / options.bindings,
    }
    for name in ("registrations", "refreshes", "deregistrations"):
        figures[f"{name}_to_echo"] = figures[f"{name}_per_s"] / echo
    return {name: round(value, 3 if value < 100 else 0) for name, value in figures.items()}


def report(figures: dict[str, float], window: int) -> None:
    """Print the figures for a person."""
    print(f"one home agent process, {figures['bindings']:.0f} bindings, {window} messages under way")
    for name in ("registrations", "refreshes", "deregistrations"):
        print(
            f"  {name:<16}{figures[f'{name}_per_s']:>9.0f} /s   {figures[f'{name}_to_echo']:.2f} of the bare"
            f" echo ({figures['echo_per_s']:.0f} /s)"
        )
    print(
        f"  one refresh at a time: p50 {figures['single_refresh_p50_ms']:.2f} ms,"
        f" p99 {figures['single_refresh_p99_ms']:.2f} ms"
    )
    print(
        f"  processor time: {figures['registration_cpu_us']:.0f} us a registration,"
        f" {figures['refresh_cpu_us']:.0f} us a refresh"
    )
    print(f"  memory: {figures['binding_bytes']:.0f} octets a binding (resident memory of the whole process)")
    for name, floor in FLOORS.items():
        print(f"  {name} {'>=' if figures[name] >= floor else 'BELOW'} the floor of {floor}")
    good = figures["binding_bytes"] <= BINDING_CEILING
    print(f"  binding_bytes {'<=' if good else 'ABOVE'} the ceiling of {BINDING_CEILING}")


def main(argv: Sequence[str]) -> int:
    """``scripts/bench registration``: returns 0, 1 below a floor (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench registration", description="Rates of a home agent.")
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--bindings", type=int, default=50_000, help="hosts to register (default 50000)")
    parser.add_argument("--refreshes", type=int, default=50_000, help="refreshes, de-registrations, echoes")
    parser.add_argument("--window", type=int, default=64, help="messages under way (default 64)")
    parser.add_argument("--prefix", default="bench", help="in front of the namespaces' names")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a floor is missed")
    options = parser.parse_args(argv)
    options.refreshes = min(options.refreshes, options.bindings)
    lab = Lab(options.prefix)
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as work:
            figures = measure(lab, Path(work), options)
    except LabError as failure:
        print(f"scripts/bench registration: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    report(figures, options.window)
    if options.json:
        print(json.dumps(figures))
    good = all(figures[name] >= floor for name, floor in FLOORS.items())
    return 0 if not options.strict or (good and figures["binding_bytes"] <= BINDING_CEILING) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
