"""Entry point: ``python -m appliance`` and the console command ``appliance``."""

import sys


def main() -> int:
    """Run the command line and return the exit status."""
    from appliance.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
