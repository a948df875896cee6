"""What an anchor still does under five times the load that it can bear.

The anchor is the real ``appliance run`` in one network namespace; the load (``scripts/benches/flood.py``)
comes from another. First the best: known mobiles refresh at their rate, and new ones come as fast as they
are answered. Then new ones are thrown at five times that rate, answered or not. Goodput is every update
that was accepted, of known mobiles and new ones; a known session is lost when its lifetime ends because no
refresh of it got through, or when a refresh is refused.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benches import signalling
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, environment, stop

FLOORS = {"goodput_ratio": 0.9}
#: Lifetime of the known sessions in units of 4 s, and seconds between two refreshes of each, if refreshes are
#: then no more than this share of what the anchor answers.
UNITS, EVERY = 2, 4.0
SHARE = 0.25
TIMES = 5
#: Updates of new mobile nodes under way while the best is measured.
WINDOW = 256


class Load:
    """The generator process in the gateway's namespace."""

    def __init__(self, lab: Lab) -> None:
        self.process = lab.popen(
            "mag1", sys.executable, "-m", "scripts.benches.flood", MAG_ADDRESSES["mag1"], LMA_ADDRESS,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip

    def ask(self, *words: object) -> dict[str, float]:
        """Have one phase run to its end; :class:`LabError` if it cannot."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        result: dict[str, Any] = json.loads(line or '{"error": "the generator died"}')
        if "error" in result:
            raise LabError(str(result["error"]))
        return result


def goodput(result: dict[str, float]) -> float:
    """Accepted updates a second."""
    return (result["refreshed"] + result["admitted"]) / result["seconds"]


def busy(anchor: Appliance, load: Load, *words: object) -> tuple[dict[str, float], float]:
    """A phase of the load, and how many seconds of processor time the anchor had meanwhile."""
    before = anchor.json("show system")["cpu"]
    result = load.ask("run", *words)
    return result, anchor.json("show system")["cpu"] - before


def measure(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Both phases; returns the flat figures."""
    config = work / "bench.conf"
    config.write_text(signalling.config().replace("  context anchor", f"{options.line}  context anchor", 1))
    load = Load(lab)
    anchor = Appliance(lab, "lma", config, work)
    try:
        anchor.start()
        anchor.wait_ready()
        rate = load.ask("known", min(options.known, 2_000), 900)["rate"]
        every = max(EVERY, options.known / (SHARE * rate))
        units = max(UNITS, math.ceil(every / 2))
        load.ask("known", options.known, units)
        load.ask("run", 2, every, 0, WINDOW)
        best, best_cpu = busy(anchor, load, options.seconds, every, 0, WINDOW)
        sustainable = goodput(best)
        over, over_cpu = busy(anchor, load, options.seconds, every, TIMES * sustainable, 0)
        # Whoever was thrown out of the anchor by then finds out now.
        after = load.ask("run", every + 1, every, 0, 1)
        expired = anchor.counter("lma", "Total Disconnects", "Lifetime expiry")
        discarded = anchor.counter("lma", "Binding Updates Discard Reasons", "Congestion Discarded")
        health = anchor.json("show system")
    finally:
        anchor.stop()
        stop(load.process)
    refused = best["refused"] + over["refused"] + after["refused"]
    figures = {
        "goodput_ratio": goodput(over) / sustainable,
        "known_sessions_lost": max(expired, refused) + after["late"],
        "goodput_ratio_cpu": (goodput(over) / over_cpu) / (sustainable / best_cpu),
        "best_per_s": sustainable,
        "best_cpu": best_cpu / best["seconds"],
        "overload_cpu": over_cpu / over["seconds"],
        "overload_per_s": goodput(over),
        "offered_per_s": (over["thrown"] + over["refreshed"]) / over["seconds"],
        "refreshes_per_s": over["refreshed"] / over["seconds"],
        "refreshes_repeated": over["repeated"],
        "refreshes_outdated": over["outdated"],
        "refresh_worst_ms": over["worst_ms"],
        "admitted_per_s": over["admitted"] / over["seconds"],
        "discarded": discarded,
        "known": options.known,
        "every_s": every,
        "lag_worst_ms": 1000 * health["lag_worst"],
    }
    return {name: round(value, 3 if value < 100 else 0) for name, value in figures.items()}


def report(figures: dict[str, float]) -> None:
    """Print the figures for a person."""
    print(f"{figures['known']:.0f} known sessions, refreshed every {figures['every_s']:g} s; new ones on top")
    print(f"  best       {figures['best_per_s']:>8.0f} /s accepted")
    print(
        f"  overload   {figures['overload_per_s']:>8.0f} /s accepted of {figures['offered_per_s']:.0f}:"
        f" {figures['refreshes_per_s']:.0f} refreshes, {figures['admitted_per_s']:.0f} new"
    )
    print(f"  goodput    {figures['goodput_ratio']:>8.2f} of the best (floor {FLOORS['goodput_ratio']})")
    print(f"  known sessions lost {figures['known_sessions_lost']:.0f} of {figures['known']:.0f}")
    print(
        f"  worst refresh {figures['refresh_worst_ms']:.0f} ms, {figures['refreshes_repeated']:.0f} repeated,"
        f" {figures['refreshes_outdated']:.0f} outdated, loop lag {figures['lag_worst_ms']:.0f} ms"
    )


def main(argv: Sequence[str]) -> int:
    """``scripts/bench overload``: returns 0, 1 below the floor (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench overload", description="An anchor under overload.")
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--known", type=int, default=8_000, help="known sessions (default 8000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each phase (default 10)")
    parser.add_argument("--prefix", default="over", help="in front of the namespaces' names")
    parser.add_argument("--off", action="store_true", help="without congestion control, to compare")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a floor is missed")
    options = parser.parse_args(argv)
    options.line = "  no congestion-control\n" if options.off else ""
    lab = Lab(options.prefix)
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as work:
            figures = measure(lab, Path(work), options)
    except LabError as failure:
        print(f"scripts/bench overload: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    report(figures)
    if options.json:
        print(json.dumps(figures))
    bad = figures["goodput_ratio"] < FLOORS["goodput_ratio"] or figures["known_sessions_lost"] > 0
    return 1 if options.strict and bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
