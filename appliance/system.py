"""The process as a whole: kernel changes, services, control socket, and how it is doing."""

import asyncio
from collections.abc import Callable
from typing import Any

import netifaces
from twisted.internet.defer import Deferred

from appliance.cli.control import ControlServer
from appliance.cli.shell import Shell
from appliance.config import Configuration
from appliance.errors import ResourceError
from appliance.host import Host
from appliance.ports import LogPort, ServicePort
from appliance.protocols.timers import Now
from appliance.record import Recorder
from appliance.service import LmaService, MagService, address_text
from appliance.tun.kernel import Kernel


def local_addresses() -> dict[str, str]:
    """Device by address, as text, of every IPv4 and IPv6 address of this host."""
    found: dict[str, str] = {}
    for device in netifaces.interfaces():
        known = netifaces.ifaddresses(device)
        for family in (netifaces.AF_INET6, netifaces.AF_INET):
            for entry in known.get(family, ()):
                found[entry["addr"].partition("%")[0]] = device
    return found


class System:
    """Builds and runs what a configuration asks for; the shell's :class:`SystemPort`."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        logger: Any,
        log: LogPort,
        recorder: Recorder | None = None,
    ) -> None:
        self.configuration = configuration
        self.log = log
        self.host = Host(reactor, lambda: clock().mono)
        self._reactor = reactor
        self._clock = clock
        self._logger = logger
        self._started = clock()
        self._kernel = Kernel(configuration.state_directory)
        self._control = ControlServer(reactor, configuration.control_socket, self._make_shell)
        tools: dict[str, Any] = {
            "reactor": reactor,
            "clock": clock,
            "random_bits": random_bits,
            "tell": self.tell,
            "recorder": recorder,
        }
        self._services: list[LmaService | MagService] = []
        self._services += [LmaService(settings, **tools) for settings in configuration.lma_services]
        self._services += [MagService(settings, **tools) for settings in configuration.mag_services]

    def tell(self, level: str, text: str) -> None:
        """Write one log line of level ``info``, ``warning`` or ``error``."""
        emit = {"warning": self._logger.warn, "error": self._logger.error}.get(level, self._logger.info)
        emit("{text}", text=text)

    async def start(self) -> None:
        """Start everything in order; raises ResourceError, after which :meth:`stop` cleans up."""
        await self._kernel.start()
        await self._kernel.recover()
        for context in self.configuration.contexts:
            for interface in context.interfaces:
                for address, length in interface.addresses:
                    await self._kernel.add_address(interface.name, address, length)
        for service in self._services:
            if service.settings.address:
                self._require_addresses(service)
                await service.start(self._kernel)
            else:
                self.tell("warning", f"{service.kind} {service.name}: no bind address, not started")
        self._kernel.watch_links(self._link_changed)
        self._control.start()
        self.host.start()

    @staticmethod
    def _require_addresses(service: LmaService | MagService) -> None:
        """Say what to do about an address that this host lacks before any socket does."""
        known = local_addresses()
        for packed in filter(None, (service.settings.address, service.settings.ipv4_address)):
            text = address_text(packed)
            if text not in known:
                raise ResourceError(
                    f"{service.kind}-service {service.name}: bind address {text} is not on this host; "
                    f"add it in context {service.context} with 'interface DEVICE' and "
                    f"'{'ipv6' if len(packed) == 16 else 'ip'} address {text}/LENGTH'"
                )

    def _make_shell(self, user: str) -> Shell:
        return Shell(self, self.configuration, user)

    async def stop(self) -> None:
        """Stop everything in reverse order and undo the changes to the host."""
        self.host.stop()
        # The control server waits for its port with a Deferred, the rest here for asyncio's futures.
        await Deferred.fromCoroutine(self._control.stop()).asFuture(asyncio.get_running_loop())
        for service in reversed(self._services):
            service.stop()
        await self._kernel.close()

    def _link_changed(self, name: str, is_up: bool, present: bool) -> None:
        for service in self._services:
            if isinstance(service, MagService) and service.state == "Started":
                try:
                    service.link_changed(name, is_up, present)
                except ResourceError as error:
                    self.tell("error", f"mag {service.name}: {error}")
                except Exception:  # noqa: BLE001 - logged
                    # One device must not end the watch over all others; the log has the traceback.
                    self._logger.failure("mag {name}: link {link}", name=service.name, link=name)

    def summary(self) -> str:
        """Name the started services in one line."""
        started = (service for service in self._services if service.state == "Started")
        names = [f"{service.kind}-service {service.name}" for service in started]
        return ", ".join(names) or "no services"

    # ---- the shell's port

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """Return the services of a kind and name; empty means all."""
        return [
            service
            for service in self._services
            if (not kind or service.kind == kind) and (not name or service.name == name)
        ]

    def uptime(self) -> float:
        """Seconds since the process started."""
        return self._clock().mono - self._started.mono

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._clock().wall
