"""A whole appliance on a host of paper: what it does to addresses, routes and sockets is written down."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet.task import Clock

from appliance import lma_service, mag_service, system
from appliance.config import Configuration
from appliance.errors import ResourceError
from appliance.protocols.pmipv6 import driver
from appliance.protocols.timers import Now
from appliance.service import address_text
from appliance.system import System


class Machine:
    """The host. ``fail_at``: the change (from 0) that it refuses; ``error``: how."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = dict.fromkeys(addresses.items(), 64)
        self.routes: dict[tuple[bytes, int], str] = {}
        self.forwarding: set[int] = set()
        self.devices: set[str] = set()
        self.sockets: set[bytes] = set()
        self.listening = ""
        self.management: Any = None
        self.fail_at: int | None = None
        self.error: Callable[[str], Exception] = ResourceError
        self.steps = 0
        self.made: set[str] = set()
        """What the appliance has made itself."""

    def step(self, what: str) -> None:
        """One change is about to be made."""
        number, self.steps = self.steps, self.steps + 1
        if number == self.fail_at:
            raise self.error(f"{what}: not today")

    def snapshot(self) -> dict[str, Any]:
        """All of it, to be compared."""
        return {
            "addresses": dict(self.addresses), "routes": dict(self.routes), "devices": set(self.devices),
            "forwarding": set(self.forwarding), "sockets": set(self.sockets), "listening": self.listening,
            "management": self.management,
        }  # fmt: skip


class FakeKernel:
    """In the place of ``tun.kernel.Kernel``."""

    machine: Machine

    def __init__(self, _state_directory: str) -> None:
        self._made: set[tuple[Any, ...]] = set()

    async def start(self) -> None:
        """Nothing to open."""

    async def recover(self) -> int:
        """Nothing was left."""
        return 0

    async def watch_links(self, callback: Callable[[str, bool, bool], None]) -> None:
        """The device ``acc0`` is up, ``acc1`` is down; the kernel takes a while to say so."""
        for _ in range(3):
            await asyncio.sleep(0)
        callback("acc0", True, True)
        callback("acc1", False, True)

    async def _turn(self, what: str) -> None:
        self.machine.step(what)
        await asyncio.sleep(0)

    async def add_address(self, interface: str, address: bytes, plen: int) -> bool:
        """As the kernel: once for a device."""
        await self._turn("add address")
        key = (address_text(address), interface)
        if key in self.machine.addresses:
            return False
        self.machine.addresses[key] = plen
        self._made.add((*key, plen))
        return True

    async def remove_address(self, interface: str, address: bytes, plen: int) -> bool:
        """Only what was added."""
        key = (address_text(address), interface)
        if (*key, plen) not in self._made:
            return False
        await self._turn("remove address")
        self._made.discard((*key, plen))
        del self.machine.addresses[key]
        return True

    def has_added(self, interface: str, address: bytes, plen: int) -> bool:
        """Whether it is ours."""
        return (address_text(address), interface, plen) in self._made

    async def add_route(self, prefix: bytes, plen: int, device: str, metric: int = 0) -> bool:
        """The device has to be there, the route must not."""
        await self._turn("add route")
        if device not in self.machine.devices:
            raise ResourceError(f"interface {device}: there is no such device on this host")
        if (prefix, plen) in self.machine.routes:
            return False
        self.machine.routes[prefix, plen] = device
        self._made.add((prefix, plen, device))
        return True

    async def remove_route(self, prefix: bytes, plen: int, device: str, metric: int = 0) -> bool:
        """Only what was added."""
        if (prefix, plen, device) not in self._made:
            return False
        await self._turn("remove route")
        self._made.discard((prefix, plen, device))
        self.machine.routes.pop((prefix, plen), None)
        return True

    async def enable_forwarding(self, family: int) -> bool:
        """Off before."""
        await self._turn("forwarding on")
        if family in self.machine.forwarding:
            return False
        self.machine.forwarding.add(family)
        return True

    async def restore_forwarding(self, family: int) -> bool:
        """Off again."""
        await self._turn("forwarding off")
        self.machine.forwarding.discard(family)
        return True

    async def close(self) -> None:
        """Nothing to close."""


class FakeEngine:
    """In the place of ``tun.engine.Engine``."""

    machine: Machine

    def __init__(
        self, _reactor: Any, _host: Any, _counters: Any, local: bytes, local_ipv4: bytes | None,
        path_mtu: int, traffic_class: int | None, tun_name: str | None, role: str,
        on_control: Any, on_activity: Any, local_routing: bool = False,
        others: tuple[bytes, ...] = (),
    ) -> None:  # fmt: skip
        self.place = (local, local_ipv4, tun_name, role)
        self.values = (path_mtu, traffic_class, local_routing)
        self.sessions: dict[int, Any] = {}
        self.links: dict[str, bytes] = {}
        self.frames: list[tuple[str, bytes]] = []

    def start(self) -> None:
        """Make the device."""
        self.machine.step("engine")
        if self.place[2] is not None:
            assert self.place[2] not in self.machine.devices, "device made twice"
            self.machine.devices.add(self.place[2])

    def serve_home(
        self, interface: str, networks: tuple[tuple[bytes, int], ...], multicast: bool = False
    ) -> None:
        """The home link that it has been given."""
        self.home = interface, networks, multicast

    def stop(self) -> None:
        """The device goes, and its routes."""
        if self.place[2] in self.machine.devices:
            self.machine.devices.discard(self.place[2])
            for route in [r for r, device in self.machine.routes.items() if device == self.place[2]]:
                del self.machine.routes[route]

    def reconfigure(self, path_mtu: int, traffic_class: int | None, local_routing: bool) -> None:
        """Other values."""
        self.machine.step("tunnels")
        self.values = (path_mtu, traffic_class, local_routing)

    def install(self, effect: Any) -> None:
        """A session."""
        self.sessions[effect.call_id] = effect

    def remove(self, call_id: int) -> None:
        """No session."""
        self.sessions.pop(call_id, None)

    def over_rate(self, _call_id: int) -> tuple[int, int] | None:
        """No session has bit rates."""
        return None

    def usage(self, _call_id: int) -> tuple[int, int, int, int]:
        """No packets."""
        return 0, 0, 0, 0

    def add_link(self, interface: str, link_layer: bytes) -> None:
        """An access link."""
        self.links[interface] = link_layer

    def remove_link(self, interface: str) -> None:
        """None."""
        self.links.pop(interface, None)

    def send_frame(self, interface: str, frame: bytes) -> bool:
        """Note it."""
        self.frames.append((interface, frame))
        return interface in self.links


class FakeSignalling:
    """In the place of ``driver.Signalling``."""

    machine: Machine

    def __init__(
        self, _reactor: Any, address: bytes, ipv4_address: bytes | None, *_: Any, probe: Any = None
    ) -> None:
        self.machine.step("sockets")
        self._addresses = {address, ipv4_address} - {None}
        assert not self._addresses & self.machine.sockets, "bound twice"
        self.machine.sockets |= self._addresses
        self.sent: list[Any] = []
        self.sockets: list[Any] = []

    def start(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Close."""
        self.machine.sockets -= self._addresses

    def send(self, effect: Any) -> bool:
        """Note it."""
        self.sent.append(effect)
        return True

    def send_icmp(self, effect: Any) -> None:
        """Nothing."""


class FakeDesk:
    """In the place of ``desk.Desk``: nobody comes in, and what it was told last is kept."""

    machine: Machine

    def __init__(self, _system: Any, *, control_socket: str, **_tools: Any) -> None:
        self.path = control_socket

    async def start(self, management: Any) -> None:
        """Listen."""
        self.machine.listening = self.path
        self.machine.management = management

    async def manage(self, _old: Any, new: Any) -> None:
        """Follow a change."""
        self.machine.step("management")
        self.machine.management = new.management

    async def move_control(self, path: str) -> None:
        """Listen elsewhere."""
        self.machine.step("control socket")
        self.path = self.machine.listening = path

    async def sealed(self, tree: Any) -> Any:
        """There are no passwords in these trees."""
        return tree

    async def stop(self) -> None:
        """No more."""
        self.machine.listening = ""


class Reactor(Clock):
    """A clock that is told things by threads too."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """Do it at the next turn."""
        self.callLater(0, function, *arguments)


class Appliance:
    """A system on a machine; to be used inside :meth:`patched`."""

    def __init__(self, machine: Machine, configuration: Configuration, **more: Any) -> None:
        self.machine = machine
        self.reactor: Any = Reactor()
        self.log: list[str] = []
        self.system = System(
            configuration,
            reactor=self.reactor,
            clock=lambda: Now(self.reactor.seconds(), 1.7e9 + self.reactor.seconds()),
            random_bits=random.Random(5).getrandbits,
            logger=mock.Mock(),
            log=mock.Mock(),
            **more,
        )

    @staticmethod
    def patched(machine: Machine) -> Any:
        """Fakes everywhere, all of them on this machine."""
        fakes = [type(kind.__name__, (kind,), {"machine": machine})
                 for kind in (FakeKernel, FakeEngine, FakeEngine, FakeSignalling, FakeDesk)]  # fmt: skip

        def local_addresses() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for text, device in machine.addresses:
                found.setdefault(text, set()).add(device)
            return found

        places = ((system, "Kernel"), (lma_service, "Engine"), (mag_service, "Engine"),
                  (driver, "Signalling"), (system, "Desk"))  # fmt: skip
        return mock.patch.multiple(system, local_addresses=local_addresses), [
            mock.patch.object(module, name, fake) for (module, name), fake in zip(places, fakes, strict=True)
        ]

    def snapshot(self) -> dict[str, Any]:
        """Everything that a change changes: of the host, and of each service down into its cores."""
        found = {"host": self.machine.snapshot(), "facts": {}, "order": []}
        for service in self.system.services():
            core, engine = service._core, service._engine
            label = f"{service.kind} {service.name}"
            found["order"].append(label)
            found["facts"][label] = service.facts()
            found[label] = {
                "settings": service.settings,
                "state": service.state,
                "engine": None if engine is None else (engine.place, engine.values, engine.links),
                "core": gateway(core, service._access) if service.kind == "mag" else anchor(core),
            }
        return found


def anchor(core: Any) -> Any:
    """What an LMA core has worked out of its settings."""
    policy, sessions = core._updates.policy, core._sessions
    pools = sessions.pools
    return (
        core.settings, core._updates.patience, sessions.settings, sessions._most, sessions._delay,
        policy.settings, policy.profiles, policy.fallback, policy.window,
        policy.peers._exact, policy.peers._ranges, pools._kept,
        [(pool.settings, pool._numbers._starts, pool._numbers._ends)
         for pool in (*pools.prefixes, *pools.addresses)],
    )  # fmt: skip


def gateway(core: Any, access: Any) -> Any:
    """What the cores of a MAG have worked out of their settings."""
    return (
        core._sessions.settings, core._technology, core._policies._by_place, core._policies._by_identifier,
        access._settings, access._links, access._policies._by_place, access._down,
    )  # fmt: skip
