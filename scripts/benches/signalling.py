"""How fast one anchor process answers: attach, refresh, de-register, beside a bare echo.

The anchor is the real ``appliance run`` in one network namespace; the load comes from
another (``scripts/benches/pbu.py``) over real raw IPv6 sockets, through a bridge. The
yardstick is a bare Python process on the same kind of socket in the anchor's namespace,
which sends every message back unread.
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

from scripts.counting.stages import FEATURES, FEATURES_CONTEXT
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, environment, stop

CONFIG = """config
  system hostname bench
  context anchor
    ipv6 pool HOME prefix 2001:db8:8000::/40
    {context}
    subscriber default
      permission pmipv6
      exit
    lma-service lma1
      bind address {address}
      reg-lifetime 3600
      mag-peer {peer}
      {service}
      exit
    exit
end
"""


def config(service: tuple[str, ...] = (), context: tuple[str, ...] = ()) -> str:
    """The anchor's configuration, with more lines of the service and of its context."""
    more = {"service": "\n      ".join(service), "context": "\n    ".join(context)}
    return CONFIG.format(address=LMA_ADDRESS, peer=MAG_ADDRESSES["mag1"], **more)


FLOORS = {"attach_per_s": 6000, "refresh_per_s": 10000}
BINDING_CEILING = 1536


class Load:
    """The generator process in the gateway's namespace."""

    def __init__(self, lab: Lab) -> None:
        self.process = lab.popen(
            "mag1", sys.executable, "-m", "scripts.benches.pbu", "load", MAG_ADDRESSES["mag1"], LMA_ADDRESS,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip

    def phase(self, kind: str, count: int, window: int) -> dict[str, float]:
        """Run one phase to its end; :class:`LabError` if an answer stays away or is a refusal."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{kind} {count} {window}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        result: dict[str, Any] = json.loads(line or '{"error": "the generator died"}')
        if "error" in result:
            raise LabError(str(result["error"]))
        if result["refused"]:
            text = f"{result['refused']} of {count} were refused, last status {result['last_refusal']}"
            raise LabError(f"{kind}: {text}")
        return result


def resident(pid: int) -> int:
    """Resident memory of a process, octets."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_echo(lab: Lab, load: Load, options: argparse.Namespace) -> dict[str, float]:
    """The yardstick: rate of the bare echo process."""
    process = lab.popen(
        "lma", sys.executable, "-m", "scripts.benches.pbu", "echo", LMA_ADDRESS,
        stdout=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        load.phase("echo", 5000, options.window)
        return load.phase("echo", options.refreshes, options.window)
    finally:
        stop(process)


def measure(lab: Lab, work: Path, options: argparse.Namespace, text: str) -> dict[str, float]:
    """All phases with an anchor of this configuration; returns the flat figures."""
    file = work / "bench.conf"
    file.write_text(text)
    load = Load(lab)
    anchor = Appliance(lab, "lma", file, work)
    try:
        echo = measure_echo(lab, load, options)
        anchor.start()
        anchor.wait_ready()
        assert anchor.process is not None
        before = resident(anchor.process.pid)
        attach = load.phase("attach", options.bindings, options.window)
        after = resident(anchor.process.pid)
        if attach["distinct"] != options.bindings:
            raise LabError(f"only {attach['distinct']:g} different prefixes for {options.bindings} bindings")
        refresh = load.phase("refresh", options.refreshes, options.window)
        single = load.phase("refresh", min(2000, options.refreshes), 1)
        deregister = load.phase("deregister", options.refreshes, options.window)
    finally:
        anchor.stop()
        load.process.kill()
        load.process.wait()
    figures = {
        "attach_per_s": attach["rate"],
        "refresh_per_s": refresh["rate"],
        "deregister_per_s": deregister["rate"],
        "echo_per_s": echo["rate"],
        "attach_p50_ms": attach["p50_ms"],
        "attach_p99_ms": attach["p99_ms"],
        "refresh_p50_ms": refresh["p50_ms"],
        "refresh_p99_ms": refresh["p99_ms"],
        "deregister_p99_ms": deregister["p99_ms"],
        "single_refresh_p50_ms": single["p50_ms"],
        "single_refresh_p99_ms": single["p99_ms"],
        "echo_p99_ms": echo["p99_ms"],
        "bindings": options.bindings,
        "binding_bytes": (after - before) / options.bindings,
    }
    for name in ("attach", "refresh", "deregister"):
        figures[f"{name}_to_echo"] = figures[f"{name}_per_s"] / figures["echo_per_s"]
    return {name: round(value, 3 if value < 100 else 0) for name, value in figures.items()}


def report(figures: dict[str, float], window: int) -> None:
    """Print the figures for a person."""
    print(f"one anchor process, {figures['bindings']:.0f} bindings, {window} messages under way")
    for name in ("attach", "refresh", "deregister"):
        print(
            f"  {name:<11}{figures[f'{name}_per_s']:>9.0f} /s   p99 {figures[f'{name}_p99_ms']:.2f} ms"
            f"   {figures[f'{name}_to_echo']:.2f} of the bare echo"
        )
    print(f"  {'bare echo':<11}{figures['echo_per_s']:>9.0f} /s   p99 {figures['echo_p99_ms']:.2f} ms")
    print(
        f"  one refresh at a time: p50 {figures['single_refresh_p50_ms']:.2f} ms,"
        f" p99 {figures['single_refresh_p99_ms']:.2f} ms"
    )
    print(f"  memory: {figures['binding_bytes']:.0f} octets a binding (resident memory of the whole process)")
    for name, floor in FLOORS.items():
        print(f"  {name} {'>=' if figures[name] >= floor else 'BELOW'} the floor of {floor}")
    good = figures["binding_bytes"] <= BINDING_CEILING
    print(f"  binding_bytes {'<=' if good else 'ABOVE'} the ceiling of {BINDING_CEILING}")


def main(argv: Sequence[str]) -> int:
    """``scripts/bench signalling``: returns 0, 1 below a floor (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench signalling", description="Rates of one anchor.")
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--bindings", type=int, default=100_000, help="mobiles to attach (default 100000)")
    parser.add_argument("--refreshes", type=int, default=50_000, help="refreshes, de-registrations, echoes")
    parser.add_argument("--window", type=int, default=64, help="messages under way (default 64)")
    parser.add_argument(
        "--no-features", dest="features", action="store_false", help="not also with everything else on"
    )
    parser.add_argument("--prefix", default="bench", help="in front of the namespaces' names")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a floor is missed")
    options = parser.parse_args(argv)
    options.refreshes = min(options.refreshes, options.bindings)
    lab = Lab(options.prefix)
    more: dict[str, float] = {}
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as work:
            figures = measure(lab, Path(work), options, config())
            report(figures, options.window)
            if options.features:
                more = measure(lab, Path(work), options, config(FEATURES, FEATURES_CONTEXT))
                print("with everything on that an anchor can do beside:")
                report(more, options.window)
    except LabError as failure:
        print(f"scripts/bench signalling: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    if options.json:
        print(json.dumps(figures | {f"features_{name}": value for name, value in more.items()}))
    missed = any(run[name] < floor for run in (figures, more) if run for name, floor in FLOORS.items())
    large = any(run.get("binding_bytes", 0) > BINDING_CEILING for run in (figures, more))
    return 1 if options.strict and (missed or large) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
