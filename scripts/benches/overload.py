"""What an anchor still does under five times the load that it can bear.

The anchor is the real ``appliance run`` in one network namespace; the load (``scripts/benches/flood.py``)
comes from another. First the best: known mobiles refresh at their rate, and new ones come as fast as they
are answered. Then new ones are thrown at five times that rate, answered or not. Goodput is every update
that was accepted, of known mobiles and new ones; a known session is lost when its lifetime ends because no
refresh of it got through, or when a refresh is refused.

Both take turns, so that neither has the machine at its better time, and the sessions that pile up
burden both alike::

    best  over  best  over  best  over ...      ratio: each over beside the best before it; their median
"""

import argparse
import json
import math
import statistics
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


class Phases:
    """All phases of one kind."""

    def __init__(self) -> None:
        self.phases: list[dict[str, float]] = []
        self._cpu = 0.0

    def add(self, phase: dict[str, float], cpu: float) -> None:
        """Add what the load told of one, and the anchor's seconds of processor time."""
        self.phases.append(phase)
        self._cpu += cpu

    def sum(self, name: str) -> float:
        """Over all phases."""
        return sum(phase[name] for phase in self.phases)

    def rate(self, name: str) -> float:
        """A second."""
        return self.sum(name) / self.sum("seconds")

    @property
    def goodputs(self) -> list[float]:
        """Accepted updates a second, of each phase."""
        return [(phase["refreshed"] + phase["admitted"]) / phase["seconds"] for phase in self.phases]

    @property
    def last(self) -> float:
        """Of the last one."""
        return self.goodputs[-1]

    @property
    def goodput(self) -> float:
        """Of all of them."""
        return self.rate("refreshed") + self.rate("admitted")

    @property
    def cpu(self) -> float:
        """Share of one processor that the anchor had."""
        return self._cpu / self.sum("seconds")


def busy(anchor: Appliance, load: Load, *words: object) -> tuple[dict[str, float], float]:
    """A phase of the load, and how many seconds of processor time the anchor had meanwhile."""
    before = anchor.json("show system")["cpu"]
    result = load.ask("run", *words)
    return result, anchor.json("show system")["cpu"] - before


def measure(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """All phases; returns the flat figures."""
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
        best, over = Phases(), Phases()
        for _ in range(options.rounds):
            best.add(*busy(anchor, load, options.seconds, every, 0, WINDOW))
            over.add(*busy(anchor, load, options.seconds, every, TIMES * best.last, 0))
        # Whoever was thrown out of the anchor by then finds out now.
        after = load.ask("run", every + 1, every, 0, 1)
        expired = anchor.counter("lma", "Total Disconnects", "Lifetime expiry")
        discarded = anchor.counter("lma", "Binding Updates Discard Reasons", "Congestion Discarded")
        health = anchor.json("show system")
    finally:
        anchor.stop()
        stop(load.process)
    refused = best.sum("refused") + over.sum("refused") + after["refused"]
    ratios = [a / b for a, b in zip(over.goodputs, best.goodputs, strict=True)]
    figures = {
        "goodput_ratio": statistics.median(ratios),
        "goodput_ratio_least": min(ratios),
        "goodput_ratio_sums": over.goodput / best.goodput,
        "known_sessions_lost": max(expired, refused) + after["late"],
        "goodput_ratio_cpu": (over.goodput / over.cpu) / (best.goodput / best.cpu),
        "best_per_s": best.goodput,
        "best_cpu": best.cpu,
        "overload_cpu": over.cpu,
        "overload_per_s": over.goodput,
        "offered_per_s": over.rate("thrown") + over.rate("refreshed"),
        "refreshes_per_s": over.rate("refreshed"),
        "refreshes_repeated": over.sum("repeated"),
        "refreshes_outdated": over.sum("outdated"),
        "refresh_worst_ms": max(phase["worst_ms"] for phase in over.phases),
        "admitted_per_s": over.rate("admitted"),
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
    print(
        f"  goodput    {figures['goodput_ratio']:>8.2f} of the best (floor {FLOORS['goodput_ratio']}):"
        f" median of the rounds, least {figures['goodput_ratio_least']:.2f}"
    )
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
    parser.add_argument("--rounds", type=int, default=9, help="phases of each kind (default 9)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each phase (default 3)")
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
