"""Diameter endpoints and AAA servers of the process, kept in step with the running configuration.

::

    System ──manage(old, new)──▶ AaaDesk ── dictionary files ─▶ current dictionary
                                    ├── DiameterService "a" ── attach ─▶ Hub: HeldNode "a" ◀── AAA clients
                                    └── AaaService "m" ────────────────▶ HeldNode "a"

A change is made by comparing what runs with what is wanted, so that going back is the same as going on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from appliance import files
from appliance.aaa.settings import AaaServerSettings
from appliance.config import Configuration
from appliance.diameter_hub import HeldNode, Hub
from appliance.errors import ApplianceError
from appliance.protocols.diameter.message import dictionary
from appliance.protocols.diameter.settings import EndpointSettings

#: What a running endpoint cannot change: it starts anew.
FIXED = ("context", "identity", "realm", "addresses", "sctp_udp_port")
#: The same of an AAA server.
SERVER_FIXED = ("context", "endpoint", "database", "spool_limit", "storage_failure")


class Runs(Protocol):
    """A service that starts, stops and takes other settings."""

    settings: Any

    async def start(self) -> None:
        """Begin; raises ResourceError, after which :meth:`stop` cleans up."""

    async def reconfigure(self, settings: Any) -> None:
        """Go on by other settings; raises ApplianceError, then it goes on by the old ones."""

    async def stop(self) -> None:
        """End it, and wait for that a bounded time."""


class AaaDesk:
    """All endpoints and AAA servers."""

    def __init__(
        self,
        make_endpoint: Callable[[EndpointSettings], Any],
        make_server: Callable[[AaaServerSettings, HeldNode], Any],
        soon: Callable[[Callable[[], None]], object],
        tell: Callable[[str, str], None],
    ) -> None:
        """``soon`` calls a function in the reactor's next turn; ``tell(level, text)`` writes a log line."""
        self.hub = Hub(soon)
        self.endpoints: dict[str, Any] = {}
        self.servers: dict[str, Any] = {}
        self._make_endpoint = make_endpoint
        self._make_server = make_server
        self._tell = tell
        self._dictionaries: tuple[str, ...] = ()

    async def manage(self, _old: Configuration, new: Configuration) -> None:
        """Have everything run that ``new`` asks for, and nothing else. Raises ApplianceError."""
        if new.dictionaries != self._dictionaries:
            await self.load_dictionaries(new.dictionaries)
        endpoints = {each.name: each for each in new.endpoints if each.identity}
        servers = {each.name: each for each in new.aaa_servers if each.endpoint}
        anew = {
            name for name, service in self.endpoints.items() if _differs(service, endpoints.get(name), FIXED)
        }
        for name, server in list(self.servers.items()):
            wanted = servers.get(name)
            if _differs(server, wanted, SERVER_FIXED):
                await self._stop_server(name)
        for name in anew:
            await self._stop_endpoint(name)
        for endpoint in endpoints.values():
            await self._run_endpoint(endpoint)
        for server_settings in servers.values():
            await self._run_server(server_settings)

    async def load_dictionaries(self, paths: Iterable[str]) -> None:
        """Read the files of ``diameter dictionary``. Raises ApplianceError; then nothing has changed."""
        texts = [(path, await files.read_text(path)) for path in paths]
        # Long files take a while.
        dictionary.use(await asyncio.to_thread(_dictionary, texts))
        self._dictionaries = tuple(paths)

    async def _run_endpoint(self, settings: EndpointSettings) -> None:
        running = self.endpoints.get(settings.name)
        if running is not None:
            if running.settings != settings:
                await running.reconfigure(settings)
            return
        service = self._make_endpoint(settings)
        await _started(service)
        self.endpoints[settings.name] = service
        self.hub.node(settings.context, settings.name).attach(service.node)

    async def _stop_endpoint(self, name: str) -> None:
        service = self.endpoints.pop(name)
        self.hub.node(service.settings.context, name).detach()
        await service.stop()

    async def _run_server(self, settings: AaaServerSettings) -> None:
        running = self.servers.get(settings.name)
        if running is not None:
            if running.settings != settings:
                await running.reconfigure(settings)
            return
        service = self._make_server(settings, self.hub.node(settings.context, settings.endpoint))
        await _started(service)
        self.servers[settings.name] = service

    async def _stop_server(self, name: str) -> None:
        await self.servers.pop(name).stop()

    async def stop(self) -> None:
        """Stop everything: the servers first, then the endpoints."""
        for name in list(self.servers):
            await self._quietly(self._stop_server(name), f"aaa-server {name}")
        for name in list(self.endpoints):
            await self._quietly(self._stop_endpoint(name), f"diameter endpoint {name}")

    async def _quietly(self, action: Awaitable[None], title: str) -> None:
        """One that cannot be stopped must not keep the others running."""
        try:
            await action
        except ApplianceError as error:
            self._tell("error", f"{title}: {error}")


def _dictionary(texts: list[tuple[str, str]]) -> dictionary.Dictionary:
    made = dictionary.standard().copy()
    for path, text in texts:
        made.load(text, path)
    return made


async def _started(service: Runs) -> None:
    try:
        await service.start()
    except BaseException:
        await service.stop()
        raise


def _differs(service: Runs, wanted: Any, fixed: tuple[str, ...]) -> bool:
    """Whether a running service cannot become the wanted one without starting anew."""
    return wanted is None or any(getattr(service.settings, name) != getattr(wanted, name) for name in fixed)
