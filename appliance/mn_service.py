"""A mobile node as a service: its core, its sockets, its TUN device, its changes of the host."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from appliance import mn_views
from appliance.config_plan import DEVICE_NAME_LENGTH
from appliance.counters import MN, CounterSet
from appliance.facts_mn import mn_facts
from appliance.ports_mn import BindingView
from appliance.protocols.mn.driver import MnDriver
from appliance.protocols.mn.hoststate import HostState
from appliance.protocols.mn.movement import Snapshot
from appliance.protocols.mn.node import MobileNode
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.pmipv6.probe import Probe
from appliance.protocols.timers import Now
from appliance.record import Recorder, chance
from appliance.tap import Tap
from appliance.tun.homeward import Homeward
from appliance.tun.kernel import Kernel

#: Longest time that a client that stops waits for the answer to its de-registration, seconds.
PARTING = 2.0


def device_name(client: str) -> str:
    """Name of the TUN device of a client."""
    return f"mn-{client}"[:DEVICE_NAME_LENGTH]


def _say(tell: Callable[[str, str], None], name: str, level: str, text: str) -> None:
    """Log a line of the client of that name."""
    tell(level, f"mn-client {name}: {text}")


class MnService:
    """One mobile node; ``number`` is another one for each that runs."""

    kind = "mn"

    def __init__(
        self,
        settings: MnSettings,
        number: int,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        tell: Callable[[str, str], None],
        kernel: Kernel,
        recorder: Recorder | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.context = settings.context
        self.state = "Initialized"
        self.counters = CounterSet(MN)
        self._clock = clock
        say = partial(_say, tell, settings.name)
        self._driver: MnDriver | None = None
        bits = random_bits if recorder is None else chance(recorder.seed, self.label)
        self._core = MobileNode(settings, self.counters, bits)
        self._host_state = HostState(kernel, device_name(self.name), number, partial(say, "error"))
        self._make = partial(
            MnDriver,
            reactor,
            clock,
            self._core,
            settings,
            self.counters,
            self._host_state,
            lambda effect: say(effect.level, effect.text),
            None if recorder is None else recorder.sink(self.label, "mn"),
            None if tap is None else Probe(tap, clock, self.kind, self.name),
        )

    @property
    def label(self) -> str:
        """Kind and name, as in log lines and recordings."""
        return f"{self.kind} {self.name}"

    def start(self) -> None:
        """Make the TUN device; raises ResourceError, after which :meth:`stop` cleans up."""
        self._driver = self._make()
        self._driver.start(device_name(self.name))
        self.state = "Started"

    def saw(self, snapshot: Snapshot) -> None:
        """The host's devices, addresses and routes are these."""
        if self._driver is not None:
            self._driver.saw(snapshot)

    def reconfigure(self, settings: MnSettings) -> None:
        """Go on by other settings; raises ResourceError, then it goes on by the old ones."""
        if self._driver is not None:
            self._driver.retune(settings)
            self._driver.reconfigure(settings)
        self.settings = settings

    async def farewell(self) -> None:
        """De-register, and give the home agent a moment to answer."""
        if self._driver is None:
            return
        ends = self._clock().mono + PARTING
        self._driver.command("deregister")
        while self._driver.traffic.rules.ways and self._clock().mono < ends:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Close everything and undo what the host was changed for."""
        driver, self._driver = self._driver, None
        await self._host_state.close()
        if driver is not None:
            driver.stop()
        self.state = "Initialized"

    # ---- the shell's port

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show mn-client name NAME``."""
        return mn_facts(self.settings, self.state)

    def command(self, what: str) -> str:
        """Have it register, refresh or de-register; returns an empty text, or why it cannot."""
        if self._driver is None:
            return f"mn-client {self.name} is not started: it needs an interface and a home agent"
        self._driver.command(what)
        return ""

    def overview(self) -> list[tuple[str, str]]:
        """How it is doing."""
        report = self._core.report(self._clock())
        return mn_views.overview(self.name, device_name(self.name), report, self._rules())

    def bindings(self) -> list[BindingView]:
        """Its bindings."""
        return mn_views.bindings(self.name, self._core.report(self._clock()), self._rules())

    def _rules(self) -> Homeward | None:
        return None if self._driver is None else self._driver.traffic.rules
