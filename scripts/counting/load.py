"""``scripts/lab mag-load``: many mobile nodes, and what the anchor counted of them.

Mobile nodes attach at a rate, are refreshed, handed over and sent packets to and from, and leave again. Every
message and packet is counted here on the way out and on the way in; at the end each figure stands beside
the anchor's own. They agree, or the table says where they do not.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.counting.cases import ACK, CLASSES, DISCARD, ENDED, RECEIVED, SENT
from scripts.counting.crowd import Crowd, Scripted
from scripts.counting.crowd_appliance import Attended
from scripts.counting.stages import Stage, anchor
from scripts.counting.world import World
from scripts.labnet import Lab, LabError

MOST = 60_000

Row = dict[str, Any]


def compare(crowd: Crowd, before: dict[str, int], after: dict[str, int], sessions: int) -> list[Row]:
    """What was seen here beside what the anchor counted."""
    seen = crowd.seen
    found: list[Row] = []

    def row(what: str, here: int, there: int) -> None:
        found.append({"what": what, "here": here, "there": there, "ok": here == there})

    def counted(*keys: str) -> int:
        return sum(after[key] - before[key] for key in keys)

    for kind, heading in CLASSES.items():
        row(f"{kind}: updates sent / received", seen[kind, "sent"], counted(f"{heading}/received"))
        row(f"{kind}: accepted", seen[kind, "accepted"], counted(f"{heading}/accepted"))
        row(f"{kind}: refused / denied", seen[kind, "refused"], counted(f"{heading}/denied"))
    answers = sum(seen[kind, what] for kind in CLASSES for what in ("accepted", "refused"))
    discards = [key for key in after if key.startswith(DISCARD)]
    row("acknowledgements received / sent", answers, counted(f"{ACK}/total"))
    row("updates without an answer / discarded", seen["", "unanswered"], counted(*discards))
    row("mobile nodes that are attached / sessions", crowd.attached, sessions)
    row("mobile nodes that have left", seen["dereg", "accepted"], counted(f"{ENDED}/deregistrations"))
    for unit in ("packets", "octets"):
        total = f"total-{unit.replace('octets', 'bytes')}"
        row(f"{unit} into the tunnel / out of it", seen["up", unit], counted(f"{RECEIVED}/{total}"))
        row(f"{unit} out of the tunnel / into it", seen["down", unit], counted(f"{SENT}/{total}"))
    row("packets that came to the correspondent", seen["up", "heard"], counted(f"{RECEIVED}/total-packets"))
    row("packets that the correspondent has sent", seen["down", "sent"], counted(f"{SENT}/total-packets"))
    return found


def run(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One load; returns the figures."""
    stage = Stage("load", anchor(("reg-lifetime 3600",)))
    with World(lab, stage, work) as world:
        crowd: Crowd = (Attended if options.appliance else Scripted)(world, options)
        try:
            crowd.prepare()
            before = world.counters()
            crowd.attach()
            most = crowd.attached
            crowd.live()
            middle = compare(crowd, before, world.settled(), world.sessions())
            crowd.leave()
            rows = compare(crowd, before, world.settled(), world.sessions())
        finally:
            crowd.close()
    for one, other in zip(middle, rows, strict=True):
        # What did not agree while they were attached may look well once they have left.
        if not one["ok"] and other["ok"]:
            other |= one | {"what": f"{one['what']} (before they left)"}
    return {
        "agreement": all(row["ok"] for row in rows),
        "mobiles": most,
        "attach_per_s": round(crowd.rates["attach"], 1),
        "updates": sum(crowd.seen[kind, "sent"] for kind in CLASSES),
        "handoffs": crowd.seen["handoff", "accepted"],
        "refreshes": crowd.seen["refresh", "accepted"],
        "unanswered": crowd.seen["", "unanswered"],
        "answer_p50_ms": crowd.latency(50),
        "answer_p99_ms": crowd.latency(99),
        "packets_up": crowd.seen["up", "packets"],
        "packets_down": crowd.seen["down", "packets"],
        "differences": [row for row in rows if not row["ok"]],
        "rows": rows,
    }


def report(figures: dict[str, Any]) -> None:
    """The table, for a person."""
    wide = max(len(row["what"]) for row in figures["rows"])
    print(f"{'':<{wide}} {'here':>9} {'there':>9}")
    for row in figures["rows"]:
        print(
            f"{row['what']:<{wide}} {row['here']:>9} {row['there']:>9} {'ok' if row['ok'] else 'DIFFERENT'}"
        )
    print(
        f"{figures['mobiles']} mobile nodes attached at {figures['attach_per_s']:.0f}/s, "
        f"{figures['refreshes']} refreshes, {figures['handoffs']} handovers; "
        f"answers after p50 {figures['answer_p50_ms']:.2f} ms, p99 {figures['answer_p99_ms']:.2f} ms"
    )
    print(
        "total agreement" if figures["agreement"] else f"{len(figures['differences'])} figures do not agree"
    )


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(prog="scripts/lab mag-load", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--mobiles", type=int, default=1000, help=f"mobile nodes, at most {MOST} (default 1000)"
    )
    parser.add_argument("--rate", type=float, default=500.0, help="updates a second (default 500)")
    parser.add_argument(
        "--handoffs", type=int, help="handovers in all (default: a tenth of the mobile nodes)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long they stay attached (default 5)")
    parser.add_argument(
        "--traffic", type=float, default=200.0, help="packets a second each way (default 200)"
    )
    parser.add_argument(
        "--appliance", action="store_true", help="a gateway that is an appliance, without handovers"
    )
    parser.add_argument("--json", action="store_true", help="print one object on the last line")
    parser.add_argument("--prefix", default="load", help="in front of the namespaces' names")
    options = parser.parse_args(argv)
    if not 1 <= options.mobiles <= MOST:
        parser.error(f"--mobiles: 1 to {MOST}")
    if options.rate <= 0 or options.seconds < 0 or options.traffic < 0 or (options.handoffs or 0) < 0:
        parser.error("--rate must be positive, the other numbers must not be negative")
    if options.appliance and options.handoffs:
        parser.error("--handoffs: not with --appliance, which is one gateway")
    if options.handoffs is None:
        options.handoffs = 0 if options.appliance else options.mobiles // 10
    return options


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0 total agreement, 1 not, 2 it cannot run."""
    options = parsed(argv)
    lab = Lab(options.prefix)
    work = Path(tempfile.mkdtemp(prefix="appliance-load-"))
    try:
        lab.up()
        begun = time.monotonic()
        figures = run(lab, work, options)
    except LabError as failure:
        print(f"scripts/lab mag-load: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
        shutil.rmtree(work, ignore_errors=True)
    figures["run_s"] = round(time.monotonic() - begun, 1)
    report(figures)
    if options.json:
        print(json.dumps(figures))
    return 0 if figures["agreement"] else 1
