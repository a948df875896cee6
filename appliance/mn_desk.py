"""The mobile nodes of the process, kept in step with the running configuration.

::

    System ──manage(old, new)──▶ MnDesk ── MnService "mn1" ── core, sockets, TUN device, host
                                    └── LinkWatch ──Snapshot──▶ all of them

A change is made by comparing what runs with what is wanted, so that going back is the same as going on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from appliance.config import Configuration
from appliance.config_mn import MOST_CLIENTS, ready
from appliance.mn_service import MnService
from appliance.ports_mn import MnPort
from appliance.protocols.mipv6 import quiet
from appliance.protocols.mn.links import LinkWatch
from appliance.protocols.mn.movement import Snapshot
from appliance.protocols.mn.settings import MnSettings

#: What a running client cannot change: it starts anew.
FIXED = ("context",)
Make = Callable[[MnSettings, int], MnService]


class MnDesk:
    """All clients; ``make`` gives one that is not started, ``tell(level, text)`` writes a log line."""

    def __init__(self, make: Make, clock: Callable[[], float], tell: Callable[[str, str], None]) -> None:
        self._make = make
        self._tell = tell
        self._running: dict[str, MnService] = {}
        self._waiting: dict[str, MnService] = {}
        """Those that lack a line to begin."""
        self._numbers: dict[str, int] = {}
        self._order: tuple[str, ...] = ()
        self._snapshot: Snapshot | None = None
        self._watch = LinkWatch(self._saw, clock)

    def clients(self, name: str = "") -> list[MnPort]:
        """Those of a name, in the order of the configuration; empty: all."""
        known: dict[str, Any] = {**self._waiting, **self._running}
        return [known[each] for each in self._order if each in known and name in ("", each)]

    @property
    def names(self) -> list[str]:
        """Names of all clients."""
        return list(self._order)

    async def manage(self, _old: Configuration, new: Configuration) -> None:
        """Have everything run that ``new`` asks for, and nothing else. Raises ApplianceError."""
        wanted = {each.name: each for each in new.mn_clients}
        for name, service in list(self._running.items()):
            settings = wanted.get(name)
            if settings is None or not ready(settings) or _differs(service.settings, settings):
                await self._stop(name)
        self._waiting = {name: self._idle(each) for name, each in wanted.items() if not ready(each)}
        for settings in wanted.values():
            if ready(settings):
                await self._run(settings)
        self._order = tuple(wanted)
        await self._follow_links()

    def _idle(self, settings: MnSettings) -> MnService:
        found = self._waiting.get(settings.name)
        return found if found is not None and found.settings == settings else self._make(settings, 0)

    async def _run(self, settings: MnSettings) -> None:
        running = self._running.get(settings.name)
        if running is not None:
            if running.settings != settings:
                running.reconfigure(settings)
            return
        taken = set(self._numbers.values())
        number = next(each for each in range(MOST_CLIENTS + 1) if each not in taken)
        service = self._make(settings, number)
        try:
            service.start()
        except BaseException:
            await service.stop()
            raise
        if not self._running:
            self._silence()
        self._running[settings.name] = service
        self._numbers[settings.name] = number
        if self._snapshot is not None:
            service.saw(self._snapshot)

    async def _stop(self, name: str) -> None:
        service = self._running.pop(name)
        await service.farewell()
        await service.stop()
        self._numbers.pop(name)
        if not self._running:
            with contextlib.suppress(OSError):
                quiet.restore(quiet.ANYBODY, quiet.ERRONEOUS_HEADER)

    def _silence(self) -> None:
        """A kernel without Mobile IPv6 would refuse each acknowledgement by an ICMPv6 error."""
        try:
            quiet.silence(quiet.ANYBODY, quiet.ERRONEOUS_HEADER)
        except OSError as error:
            text = (
                f"the kernel's answers to routing headers cannot be switched off ({error.strerror}): on a "
                "kernel without CONFIG_IPV6_MIP6 the home agent gets an error for each acknowledgement"
            )
            self._tell("warning", f"mn-client: {text}")

    async def _follow_links(self) -> None:
        if self._running:
            self._watch.start()
        else:
            await self._watch.stop()
            self._snapshot = None

    def _saw(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        for service in self._running.values():
            service.saw(snapshot)

    async def stop(self) -> None:
        """De-register and stop all of them."""
        await self._watch.stop()
        await asyncio.gather(*(self._stop(name) for name in list(self._running)))


def _differs(one: MnSettings, other: MnSettings) -> bool:
    """Whether a running client cannot become the wanted one without starting anew."""
    return any(getattr(one, name) != getattr(other, name) for name in FIXED)
