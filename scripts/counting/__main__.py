"""Choose a tool: ``python -m scripts.counting NAME [options]``."""

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

TOOLS = {"counters": "runner", "mag-load": "load"}


def _interrupted(signum: int, _: Any) -> None:
    """A signal becomes an exception that no case catches, so that the cleaning up is done."""
    raise SystemExit(128 + signum)


def main(argv: Sequence[str]) -> int:
    """Returns the exit status of the tool."""
    if not argv or argv[0] not in TOOLS:
        print(f"usage: scripts/lab {{{'|'.join(TOOLS)}}} [options]", file=sys.stderr)
        return 2
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    status: int = importlib.import_module(f"scripts.counting.{TOOLS[argv[0]]}").main(list(argv[1:]))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
