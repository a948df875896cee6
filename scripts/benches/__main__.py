"""Choose a bench: ``python -m scripts.benches NAME [options]``.

A bench is a module of this package with ``main(argv) -> int`` that prints one flat JSON
object on its last line when ``--json`` is among its arguments.
"""

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Sequence

NAMES = ("signalling", "registration", "handoff", "tunnel", "cli", "diameter", "overload")


def run_all(arguments: Sequence[str]) -> int:
    """Run every bench; with ``--json`` the last line joins their objects."""
    joined: dict[str, object] = {}
    worst = 0
    for name in NAMES:
        print(f"== {name}", flush=True)
        module = importlib.import_module(f"scripts.benches.{name}")
        captured = io.StringIO()
        with contextlib.redirect_stdout(captured):
            worst = max(worst, module.main(list(arguments)))
        lines = captured.getvalue().rstrip().splitlines()
        if "--json" in arguments and lines and lines[-1].startswith("{"):
            joined.update(json.loads(lines.pop()))
        print("\n".join(lines), flush=True)
    if "--json" in arguments:
        print(json.dumps(joined))
    return worst


def main(argv: Sequence[str]) -> int:
    """``scripts/bench``: returns the exit status."""
    if argv and argv[0] == "all":
        return run_all(argv[1:])
    if not argv or argv[0] not in NAMES:
        print(f"usage: scripts/bench {{{'|'.join(NAMES)}|all}} [--json] [options]", file=sys.stderr)
        return 2
    module = importlib.import_module(f"scripts.benches.{argv[0]}")
    status: int = module.main(list(argv[1:]))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
