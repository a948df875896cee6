"""Run trial and close with one line that a build server can read.

Arguments are trial's own; without a test name everything in ``test`` runs, in two processes: the tests of
``test/real`` mostly wait, all others compute, and a part of the former follows them. The last line printed
is ``N passed, N failed, N skipped`` out of trial's results, after the reason of every skipped test. The exit
status is 0 only if tests ran and none failed.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.python import usage
from twisted.scripts import trial

TESTS = Path(__file__).parent.parent / "test"
LAST_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
REAL = "test.real"
#: The modules of test/real from this one on run behind those that compute: both processes then end about
#: at the same time.
LATER = "test_t"


def main(argv: Sequence[str]) -> int:
    """Run the tests that ``argv`` (trial's arguments) names; returns the exit status."""
    options: Any = trial.Options()
    try:
        options.parseOptions(list(argv))
        if not options["tests"]:
            return in_two(argv)
    except usage.UsageError as error:
        print(f"scripts/test: {error}", file=sys.stderr)
        return 2
    # The two functions are what trial's own run() is made of; only the last line is ours.
    result = trial._makeRunner(options).run(trial._getSuite(options))
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = result.successes + len(result.expectedFailures)
    for test, reason in result.skips:
        print(f"skipped: {test.id()}: {reason}")
    print(f"{passed} passed, {failed} failed, {len(result.skips)} skipped", flush=True)
    return 0 if passed and result.wasSuccessful() else 1


def in_two(argv: Sequence[str]) -> int:
    """Run all tests: those of ``test/real`` beside all others, whose output comes when they are done."""
    command = [sys.executable, "-m", "scripts.run_tests", *argv]
    with tempfile.TemporaryFile("w+") as kept, tempfile.TemporaryFile("w+") as real_kept:
        now, later = real_tests()
        units = subprocess.Popen([*command, *unit_tests(), *later], stdout=kept, stderr=subprocess.STDOUT)
        real = subprocess.Popen(
            [*command, *now], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert real.stdout is not None
        try:
            for line in real.stdout:
                print(line, end="", flush=True)
                real_kept.write(line)
            real.wait()
            units.wait()
        finally:
            # An interrupted run leaves no tests behind.
            for process in (units, real):
                process.terminate()
                process.wait()
        kept.seek(0)
        said = kept.read()
        print(said, end="")
        real_kept.seek(0)
        counts = [closing(text) for text in (said, real_kept.read())]
    passed, failed, skipped = (sum(numbers) for numbers in zip(*counts, strict=True))
    died = units.returncode not in (0, 1) or real.returncode not in (0, 1)
    if died:
        print(f"the tests died: status {units.returncode} and {real.returncode}")
    print(f"{passed} passed, {failed + died} failed, {skipped} skipped", flush=True)
    return 0 if units.returncode == real.returncode == 0 else 1


def real_tests() -> tuple[list[str], list[str]]:
    """Names of the modules in ``test/real``: those that run at once, and those that run later."""
    names = sorted(each.stem for each in (TESTS / "real").glob("test_*.py"))
    now = [f"{REAL}.{name}" for name in names if name < LATER]
    return now, [f"{REAL}.{name}" for name in names if name >= LATER]


def unit_tests() -> list[str]:
    """Names of all test packages and modules beside ``test/real``."""
    packages = (each.parent.name for each in TESTS.glob("*/__init__.py"))
    modules = (each.stem for each in TESTS.glob("test_*.py"))
    return [f"test.{name}" for name in sorted((*packages, *modules)) if f"test.{name}" != REAL]


def closing(text: str) -> tuple[int, int, int]:
    """What the last line counts; a process that has not written it has failed once."""
    found = LAST_LINE.match(text.rstrip("\n").rpartition("\n")[2])
    if found is None:
        return 0, 1, 0
    passed, failed, skipped = map(int, found.groups())
    return passed, failed, skipped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
