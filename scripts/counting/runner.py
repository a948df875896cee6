"""``scripts/lab counters``: makes every counter rise and every status be answered, and tells of each."""

import argparse
import fnmatch
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.counting import decode, statuses
from scripts.counting.cases import CASES, Case, Moves, expected, plus
from scripts.counting.stages import Stage
from scripts.counting.table import AGENT_COUNTERS, AGENT_WAITING, COUNTERS, STAGES, WAITING
from scripts.counting.world import World
from scripts.labnet import Lab, LabError

#: Until the counters must stand where they should, and how long they then must stay there (seconds).
PATIENCE, SETTLING = 3.0, 0.03
#: The stages of each laboratory, by what is behind the prefix in its name.
LABS = {"": ("plain", "ipv4"), "-b": ("revocation", "hosts", "routers", "aaa"), "-ha": ("agent",)}


class Outcome:
    """How a case has gone."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.before: Moves = {}
        self.after: Moves = {}
        self.wanted: Moves = {}
        self.problem = ""
        #: Counters that moved as they should not.
        self.wrong: list[str] = []

    @property
    def moved(self) -> Moves:
        """By how much each counter rose."""
        return {
            key: self.after[key] - self.before.get(key, 0)
            for key in self.after
            if self.after[key] != self.before.get(key, 0)
        }

    def judge(self) -> bool:
        """Whether exactly what was wanted has moved; says in ``problem`` what did not."""
        moved = self.moved
        wanted = self.wanted
        self.wrong = sorted(key for key in {*moved, *wanted} if moved.get(key, 0) != wanted.get(key, 0))
        self.problem = "; ".join(
            f"{key} rose by {moved.get(key, 0)}, not {wanted.get(key, 0)}" for key in self.wrong
        )
        return not self.wrong


def perform(case: Case, world: World) -> Outcome:
    """Run one case."""
    outcome = Outcome(case)
    world.drain()
    deed = case.deed(world)
    try:
        next(deed)
        outcome.before = outcome.after = world.counters()
        more: Moves | None = None
        try:
            next(deed)
        except StopIteration as end:
            more = end.value
        else:
            raise LabError("the case yields twice")
        outcome.wanted = expected(plus(case.moves, more or {}))
        settle(outcome, world)
        outcome.problem = outcome.problem or statuses.silent(case.statuses, world.heard)
    except (LabError, OSError) as failure:
        outcome.problem = str(failure) or repr(failure)
    return outcome


def settle(outcome: Outcome, world: World) -> None:
    """Wait until the counters stand where they should, and stay there; at most :data:`PATIENCE`."""
    until = time.monotonic() + PATIENCE
    good = 0
    while good < 2 and time.monotonic() < until:
        time.sleep(SETTLING if good else 0.01)
        try:
            outcome.after = world.counters()
        except LabError as failure:
            # The service is about to start anew.
            outcome.problem = str(failure)
            good = 0
            continue
        good = good + 1 if outcome.judge() else 0


class Run:
    """One run over stages, in a laboratory of its own."""

    def __init__(
        self, lab: Lab, stages: Sequence[Stage], work: Path, cases: Sequence[Case], say: Any
    ) -> None:
        self.lab, self.work, self.say = lab, work, say
        self._stages, self.cases = stages, cases
        self._over = threading.Event()
        self.outcomes: list[Outcome] = []
        self.captures: list[Path] = []
        self.wrong: list[bytes] = []
        self.errors: list[str] = []

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        names = {case.stage for case in self.cases}
        return any(stage.name in names for stage in self._stages)

    def stop(self) -> None:
        """Do no further case."""
        self._over.set()

    def stages(self) -> None:
        """All cases, stage by stage."""
        for stage in self._stages:
            cases = [case for case in self.cases if case.stage == stage.name]
            if not cases or self._over.is_set():
                continue
            begun = time.monotonic()
            done: list[Outcome] = []
            try:
                with World(self.lab, stage, self.work) as world:
                    self.captures.append(world.capture)
                    for case in cases:
                        if self._over.is_set():
                            raise LabError("it was interrupted")
                        done.append(perform(case, world))
                        self._tell(done[-1])
                    self.wrong += world.mag1.wrong + world.mag2.wrong
                self._log(world)
            except LabError as failure:
                self.say(f"stage {stage.name}: {failure}")
                for case in cases[len(done) :]:
                    done.append(Outcome(case))
                    done[-1].problem = f"stage {stage.name} did not come up, or broke off"
            self.outcomes += done
            good = sum(not outcome.problem for outcome in done)
            took = time.monotonic() - begun
            self.say(f"stage {stage.name}: {good} of {len(done)} cases as they should be ({took:.1f} s)")

    def _tell(self, outcome: Outcome) -> None:
        if outcome.problem:
            self.say(f"  {outcome.case.name}: {outcome.problem}")

    def _log(self, world: World) -> None:
        """No case may make the anchor stumble."""
        for line in world.anchor.log.read_text().splitlines():
            if "Traceback" in line or "[critical]" in line or "could not be dealt with" in line:
                self.errors.append(f"stage {world.stage.name}: {line}")


def of_kind(outcomes: Iterable[Outcome], kind: str) -> list[Outcome]:
    """Those of stages that have such a service."""
    names = {stage.name for stage in STAGES if stage.kind == kind}
    return [outcome for outcome in outcomes if outcome.case.stage in names]


def rows(
    outcomes: Iterable[Outcome], counters: Iterable[str] = COUNTERS, waiting: Mapping[str, str] = WAITING
) -> list[dict[str, Any]]:
    """A row for each counter of the screen: the case that shows it, or why there is none."""
    shown: dict[str, Outcome] = {}
    failed: dict[str, str] = {}
    for outcome in outcomes:
        for key in outcome.wanted or expected(outcome.case.moves):
            if key not in shown or (
                not outcome.problem and (key in outcome.case.shows or shown[key].problem)
            ):
                shown[key] = outcome
        for key in outcome.wrong:
            failed.setdefault(key, f"{outcome.case.name}: {outcome.problem}")
    for key, outcome in shown.items():
        if outcome.problem:
            failed.setdefault(key, f"{outcome.case.name}: {outcome.problem}")
    found: list[dict[str, Any]] = []
    for key in counters:
        if key not in shown:
            reason = waiting.get(key, "no case has been run")
            found.append({"counter": key, "what": reason, "before": None, "after": None, "ok": None})
            continue
        outcome = shown[key]
        found.append(
            {
                "counter": key,
                "what": outcome.case.what,
                "before": outcome.before.get(key),
                "after": outcome.after.get(key),
                "ok": key not in failed,
            }
        )
        if key in failed:
            found[-1]["problem"] = failed[key]
    return found


def moving(found: Iterable[dict[str, Any]]) -> int:
    """How many counters moved as they should."""
    return sum(row["ok"] is True for row in found)


def still(found: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The other ones, with the reason."""
    return [
        {"counter": row["counter"], "reason": row.get("problem", row["what"])}
        for row in found
        if not row["ok"]
    ]


def report(found: list[dict[str, Any]], say: Any) -> None:
    """The table, for a person."""
    wide = max((len(row["counter"]) for row in found), default=0)
    for row in found:
        if row["ok"] is None:
            say(f"{row['counter']:<{wide}}       -      - -   not moved: {row['what']}")
            continue
        before, after = ("?" if row[name] is None else row[name] for name in ("before", "after"))
        say(f"{row['counter']:<{wide}} {before:>7} {after:>7} {'ok' if row['ok'] else 'NO':<3} {row['what']}")


def chosen(patterns: Sequence[str]) -> list[Case]:
    """The cases that move a counter, have a name or are of a stage that a pattern fits; without one: all."""
    if not patterns:
        return CASES
    return [
        case
        for case in CASES
        if any(
            fnmatch.fnmatchcase(name, pattern)
            for name in (*case.counters, *case.statuses, case.name, case.stage)
            for pattern in patterns
        )
    ]


def together(runs: Sequence[Run]) -> None:
    """Do them side by side, each in a thread: what they do most of the time is wait."""
    threads = [threading.Thread(target=run.stages) for run in runs]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for run in runs:
            run.stop()
        for thread in threads:
            thread.join()


def count(labs: Sequence[Lab], work: Path, options: argparse.Namespace, say: Any = print) -> dict[str, Any]:
    """Run what ``options`` ask for, in several laboratories at a time; returns the figures, and prints as
    it goes."""
    begun = time.monotonic()
    cases = chosen(options.only)
    runs = [
        Run(lab, [stage for stage in STAGES if stage.name in names], work, cases, say)
        for lab, names in zip(labs, LABS.values(), strict=True)
    ]
    for run in runs:
        if run.wanted:
            run.lab.up()
    together(runs)
    outcomes, captures, wrong, errors = (
        [each for run in runs for each in getattr(run, name)]
        for name in ("outcomes", "captures", "wrong", "errors")
    )
    reading = decode.read(captures, work, wrong) if captures else decode.Reading()
    found = rows(of_kind(outcomes, "lma"))
    of_agent = rows(of_kind(outcomes, "mipv6ha"), AGENT_COUNTERS, AGENT_WAITING)
    answers = statuses.rows(outcomes)
    for table, tell in ((found, report), (of_agent, report), (answers, statuses.report)):
        say("")
        tell([row for row in table if row["ok"] is not None or not options.only], say)
    bad = [outcome for outcome in outcomes if outcome.problem]
    moved, by_agent = moving(found), moving(of_agent)
    told = statuses.figures(answers)
    say("")
    say(
        f"{moved} of {len(found)} counters of the anchor, {by_agent} of {len(of_agent)} of the home agent "
        f"and {told['statuses_moved']} of {told['statuses_total']} statuses came as they should, "
        f"by {len(outcomes)} cases"
    )
    say(
        f"{reading.messages} mobility messages were read by tshark; {reading.wrong} frames are malformed "
        f"on purpose, {len(reading.complaints)} are though they should not be"
    )
    for complaint in reading.complaints:
        say(f"  {complaint}")
    for line in errors:
        say(f"  {line}")
    return {
        "moved": moved,
        "total": len(found),
        "not_moved": still(found),
        "agent_moved": by_agent,
        "agent_total": len(of_agent),
        "agent_not_moved": still(of_agent),
        **told,
        "cases": len(outcomes),
        "cases_not_ok": [{"case": outcome.case.name, "problem": outcome.problem} for outcome in bad],
        "messages": reading.messages,
        "malformed_on_purpose": reading.wrong,
        "malformed": reading.complaints,
        "log": errors,
        "seconds": round(time.monotonic() - begun, 1),
        "rows": found,
        "agent_rows": of_agent,
    }


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0, 1 something is not as it should be, 2 it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/lab counters", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one object on the last line")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN",
        help="only cases with this name, of this stage, or that move a counter with this key",
    )  # fmt: skip
    parser.add_argument("--prefix", default="counters", help="in front of the namespaces' names")
    parser.add_argument("--keep", metavar="DIRECTORY", help="leave captures and logs there")
    options = parser.parse_args(argv)
    labs = [Lab(options.prefix + suffix) for suffix in LABS]
    work = Path(options.keep or tempfile.mkdtemp(prefix="appliance-counters-"))
    try:
        work.mkdir(parents=True, exist_ok=True)
        figures = count(labs, work, options)
    except LabError as failure:
        print(f"scripts/lab counters: {failure}", file=sys.stderr)
        return 2
    finally:
        for lab in labs:
            lab.down()
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    if options.json:
        print(json.dumps(figures))
    good = not (figures["cases_not_ok"] or figures["malformed"] or figures["log"]) and figures["cases"]
    return 0 if good else 1
