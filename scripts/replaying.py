"""Print the effects of a recorded run: ``python -m scripts.replaying CONFIGURATION RECORDING``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.config import ConfigurationErrors, load
from appliance.errors import ApplianceError
from appliance.record import replay


def main(argv: Sequence[str]) -> int:
    """Replay; returns 0, or 2 after one line on standard error."""
    if len(argv) != 2:
        print("usage: scripts/replay CONFIGURATION RECORDING", file=sys.stderr)
        return 2
    try:
        configuration = load(Path(argv[0]).read_text(encoding="utf-8"), argv[0])
        for effect in replay(configuration, argv[1]):
            print(json.dumps(effect))
    except (ConfigurationErrors, ApplianceError, OSError) as error:
        print(f"scripts/replay: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
