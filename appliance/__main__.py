"""Entry point: ``python -m appliance`` and the console command ``appliance``."""

import sys


def main() -> int:
    """Run the command line and return the exit status."""
    if sys.argv[1:2] == ["cli"]:
        # Whoever attaches does not wait for the loading of what serves.
        from appliance.cli.client import main as attach

        return attach(sys.argv[2:])
    from appliance.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
