"""Run trial and close with one line that a build server can read.

Arguments are trial's own; without a test name everything in ``test`` runs. The
last line printed is ``N passed, N failed, N skipped`` out of trial's result, after the
reason of every skipped test. The exit status is 0 only if tests ran and none failed.
"""

import sys
from collections.abc import Sequence
from typing import Any

from twisted.python import usage
from twisted.scripts import trial


def main(argv: Sequence[str]) -> int:
    """Run the tests that ``argv`` (trial's arguments) names; returns the exit status."""
    options: Any = trial.Options()
    try:
        options.parseOptions(list(argv))
        if not options["tests"]:
            # Options are good for one parse only: what they hold then are classes, not names.
            options = trial.Options()
            options.parseOptions([*argv, "test"])
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
