"""An appliance that reads its configuration file again on SIGHUP: for tests of changes at run time.

Run as ``python -m test.real.reloading run -c FILE ...``. What came of it is one line on standard output:
``changed N sessions`` with the notes of the plan, or ``refused TEXT``.
"""

import asyncio
import signal
import sys
from pathlib import Path

from appliance import app, system
from appliance.config import parse
from appliance.errors import ApplianceError


class Reloading(system.System):
    """A system with a short-cut to :meth:`apply`."""

    async def start(self) -> None:
        """Listen for the signal as soon as everything runs."""
        await super().start()
        loop = asyncio.get_running_loop()

        def reload() -> None:
            self._reloading = loop.create_task(self._reload())

        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(reload))

    async def _reload(self) -> None:
        path = Path(sys.argv[sys.argv.index("-c") + 1])
        try:
            plan = await self.plan(parse(path.read_text(), str(path)))
            if await self.apply(plan):
                print(f"changed {plan.sessions} sessions", *plan.notes, sep="; ", flush=True)
        except ApplianceError as error:
            print("refused", error, flush=True)


if __name__ == "__main__":
    system.System = Reloading  # type: ignore[misc]
    sys.exit(app.run(sys.argv[1:]))
