"""Making a change of the running configuration, or putting everything back.

::

    addresses ─▶ control socket ─▶ tunnels ─▶ routes ─▶ management ─▶ services stop ─▶ services start
        ─▶ what is not needed any more goes ─▶ cores get their settings (nothing can fail any more)

Whatever takes something away comes as late as it can. Each step notes how it is undone; after
a failure that is done in reverse order.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from appliance.config import Configuration
from appliance.config_plan import ANCHORS, Address, Key, Plan, Route, ServiceChange, Settings
from appliance.counters import CounterSet
from appliance.lma_service import LmaService
from appliance.mag_service import MagService
from appliance.protocols.access.events import MobileSeen
from appliance.protocols.mobility.aaa import ADMINISTRATIVE
from appliance.tun.kernel import Kernel

AnyService = LmaService | MagService
Manage = Callable[[Configuration, Configuration], Awaitable[None]]
"""Told of every change as (old, new); raises ApplianceError to refuse it. It may be called again
with the two exchanged, to go back."""


class Host(Protocol):
    """What a change works on: the process, as ``system.System`` has it."""

    running: dict[Key, AnyService]
    kernel: Kernel

    def make(self, settings: Settings, values: CounterSet | None = None) -> AnyService:
        """A service that is not started yet."""

    def require_addresses(self, service: AnyService) -> None:
        """Raises ResourceError when a bind address is not on this host."""

    def show_links(self, service: AnyService) -> None:
        """Tell a gateway which links are up now."""

    async def move_control(self, path: str) -> None:
        """Listen for the command line elsewhere; raises ResourceError, then nothing has changed."""


class Change:
    """One plan on its way; :meth:`make` once, and :meth:`undo` if that failed."""

    def __init__(self, host: Host, plan: Plan, managers: list[Manage]) -> None:
        self._host = host
        self._plan = plan
        self._managers = managers
        self._undo: list[tuple[str, Callable[[], Awaitable[object]]]] = []
        self._lost: list[str] = []
        #: Services without a bind address whose place others have taken.
        self._replaced: list[AnyService] = []
        self._counters: dict[Key, CounterSet] = {}
        self._mobiles: dict[Key, list[MobileSeen]] = {}

    def _back(self, what: str, how: Callable[[], Awaitable[object]]) -> None:
        self._undo.append((what, how))

    async def make(self) -> None:
        """Make the change; whatever it raises on its way, :meth:`undo` has to be called then."""
        plan = self._plan
        old, new = plan.base, plan.configuration
        await self._add_addresses()
        if old.control_socket != new.control_socket:
            await self._host.move_control(new.control_socket)
            self._back("control socket", lambda: self._host.move_control(old.control_socket))
        for change in plan.having("reconfigure"):
            self._retune(change)
        for family in plan.forwarding_new:
            if await self._host.kernel.enable_forwarding(family):
                self._back("forwarding", self._call(self._host.kernel.restore_forwarding, family))
        ended = {change.key[1] for change in plan.having("stop", "restart") if change.key[0] in ANCHORS}
        begun = {change.key[1] for change in plan.having("start", "restart") if change.key[0] in ANCHORS}
        kept = {(route.prefix, route.length) for route in plan.routes_gone}
        early = [
            route
            for route in plan.routes_new
            if route.service not in begun and (route.prefix, route.length) not in kept
        ]
        for route in early:
            await self._add_route(route)
        for manage in self._managers:
            self._back("management", self._call(manage, new, old))
            await manage(old, new)
        for route in plan.routes_gone:
            if route.service in ended:
                await self._remove_route(route)
        for change in plan.having("stop", "restart", "remove"):
            await self._stop(change)
        for change in plan.having("start", "restart", "add"):
            await self._start(change)
        for route in plan.routes_gone:
            if route.service not in ended:
                await self._remove_route(route)
        for route in plan.routes_new:
            if route not in early:
                await self._add_route(route)
        for family in plan.forwarding_gone:
            if await self._host.kernel.restore_forwarding(family):
                self._back("forwarding", self._call(self._host.kernel.enable_forwarding, family))
        for address in plan.addresses_gone:
            if not self._moves(address):
                await self._remove_address(address)
        for change in plan.having("reconfigure", "replace"):
            self._reconfigure(change)
        self._show_links()
        # What was ready to come back must not be kept in memory.
        self._undo.clear()
        while self._replaced:
            former = self._replaced.pop()
            await former.farewell(ADMINISTRATIVE)
            former.stop()

    async def undo(self) -> str:
        """Put everything back; says what could not be put back, empty if all is as before."""
        troubles: list[str] = []
        while self._undo:
            what, how = self._undo.pop()
            try:
                await how()
            except Exception as error:  # noqa: BLE001 - what is left has to be put back all the same
                troubles.append(f"{what}: {error}")
        self._show_links()
        return "; ".join(troubles + self._lost)

    @staticmethod
    def _call(function: Callable[..., Awaitable[object]], *arguments: Any) -> Callable[[], Awaitable[object]]:
        return lambda: function(*arguments)

    # ---- the host

    def _moves(self, address: Address) -> bool:
        """Whether the same address comes elsewhere or with another length: then it has to go first."""
        return any(other.address == address.address for other in self._plan.addresses_new)

    async def _add_addresses(self) -> None:
        for address in self._plan.addresses_gone:
            if self._moves(address):
                await self._remove_address(address)
        kernel = self._host.kernel
        for new in self._plan.addresses_new:
            place = (new.interface, new.address, new.length)
            if await kernel.add_address(*place):
                self._back(f"address on {new.interface}", self._call(kernel.remove_address, *place))

    async def _remove_address(self, address: Address) -> None:
        kernel, place = self._host.kernel, (address.interface, address.address, address.length)
        if await kernel.remove_address(*place):
            self._back(f"address on {address.interface}", self._call(kernel.add_address, *place))

    async def _add_route(self, route: Route) -> None:
        kernel, place = self._host.kernel, (route.prefix, route.length, route.device, route.metric)
        if await kernel.add_route(*place):
            self._back(f"route to {route.device}", self._call(kernel.remove_route, *place))

    async def _remove_route(self, route: Route) -> None:
        kernel, place = self._host.kernel, (route.prefix, route.length, route.device, route.metric)
        if await kernel.remove_route(*place):
            self._back(f"route to {route.device}", self._call(kernel.add_route, *place))

    # ---- services

    def _retune(self, change: ServiceChange) -> None:
        service = self._host.running[change.key]

        async def back() -> None:
            service.retune(change.old)

        service.retune(change.new)
        self._back(f"tunnels of {change.title}", back)

    async def _stop(self, change: ServiceChange) -> None:
        service = self._host.running.pop(change.key)
        self._counters[change.key] = service.counters
        self._mobiles[change.key] = service.mobiles()
        ended = service.dissolve() if service.state == "Started" else 0
        await service.farewell(ADMINISTRATIVE)
        service.stop()
        if change.new is not None and not change.new.bound:
            # It stays, bound to nothing.
            self._host.running[change.key] = self._host.make(change.new, service.counters)

        async def back() -> None:
            if ended:
                self._lost.append(f"{ended} sessions of {change.title} could not be kept")
            assert change.old is not None
            again = self._host.make(change.old, service.counters)
            self._host.running[change.key] = again
            if change.old.bound:
                await self._run(again)

        self._back(change.title, back)

    async def _start(self, change: ServiceChange) -> None:
        assert change.new is not None
        former = self._host.running.get(change.key)
        # What was counted goes on when a service starts anew.
        values = former.counters if former is not None else self._counters.get(change.key)
        service = self._host.make(change.new, values)
        self._host.running[change.key] = service
        if former is not None:
            self._replaced.append(former)

        async def back() -> None:
            await service.farewell(ADMINISTRATIVE)
            service.stop()
            if former is not None:
                # It was there without a bind address.
                self._host.running[change.key] = former
            else:
                self._host.running.pop(change.key, None)

        self._back(change.title, back)
        if change.new.bound:
            await self._run(service)

    async def _run(self, service: AnyService) -> None:
        self._host.require_addresses(service)
        try:
            await service.start()
        except BaseException:
            await service.farewell(ADMINISTRATIVE)
            service.stop()
            raise

    def _reconfigure(self, change: ServiceChange) -> None:
        service: Any = self._host.running[change.key]
        before = service.session_count()

        async def back() -> None:
            service.reconfigure(change.old)
            if service.session_count() < before:
                self._lost.append(f"some sessions of {change.title} could not be kept")

        self._back(change.title, back)
        service.reconfigure(change.new)

    def _show_links(self) -> None:
        for service in self._host.running.values():
            self._host.show_links(service)
        for key, mobiles in self._mobiles.items():
            again = self._host.running.get(key)
            if isinstance(again, MagService):
                again.meet(mobiles)
