"""The process as a whole: kernel changes, services, control socket, and how it is doing."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import netifaces

from appliance import files
from appliance.aaa.settings import AaaServerSettings
from appliance.aaa_desk import AaaDesk
from appliance.aaa_port import AaaClient, AaaViews
from appliance.aaa_service import AaaService
from appliance.aaa_tester import AaaTester
from appliance.capture import Captures
from appliance.config import Builder, Configuration
from appliance.config_plan import Key, Plan, Settings, compare, services
from appliance.counters import CounterSet
from appliance.desk import Desk
from appliance.diameter_hub import HeldNode
from appliance.diameter_service import DiameterService
from appliance.errors import ApplianceError, ResourceError
from appliance.host import Host
from appliance.lma_service import LmaService
from appliance.mag_service import MagService
from appliance.mipv6ha_service import HomeAgentService
from appliance.mn_desk import MnDesk
from appliance.mn_service import MnService
from appliance.ports import CapturePort, FilePort, HostPort, LogPort, Operator, ServicePort, TapPort
from appliance.ports_aaa import AaaPort
from appliance.ports_mn import MobilePort
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.counted import Exchanges
from appliance.protocols.diameter.settings import EndpointSettings
from appliance.protocols.mipv6.settings import HomeAgentSettings
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.record import Recorder
from appliance.service import address_text
from appliance.system_change import AnyService, Change, Manage
from appliance.tap import Tap
from appliance.tun.kernel import Kernel
from appliance.watch import Watch

#: Sessions that are looked at before others get their turn.
SLICE = 500


def local_addresses() -> dict[str, set[str]]:
    """Names of the devices that have it, by address as text: every IPv4 and IPv6 address of this host."""
    found: dict[str, set[str]] = {}
    for device in netifaces.interfaces():
        known = netifaces.ifaddresses(device)
        for family in (netifaces.AF_INET6, netifaces.AF_INET):
            for entry in known.get(family, ()):
                found.setdefault(entry["addr"].partition("%")[0], set()).add(device)
    return found


def _require(key: Key, settings: Settings, known: Collection[str]) -> None:
    """Raises ResourceError when a bind address is not among the known ones."""
    more = (getattr(settings, name, None) for name in ("user_plane_address", "user_plane_ipv4"))
    for packed in filter(None, (settings.address, settings.ipv4_address, *more)):
        text = address_text(packed)
        if text not in known:
            raise ResourceError(
                f"{key[0]}-service {key[1]}: bind address {text} is not on this host; "
                f"add it in context {settings.context} with 'interface DEVICE' and "
                f"'{'ipv6' if len(packed) == 16 else 'ip'} address {text}/LENGTH'"
            )


class System:
    """Builds and runs what a configuration asks for; the shell's :class:`SystemPort`."""

    aaa: AaaPort

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
        boot_file: str = "",
    ) -> None:
        self.boot_file = boot_file
        self.log = log
        self._host = Host(reactor, lambda: clock().mono)
        self.host: HostPort = self._host
        self._builder = Builder()
        self.configuration, self._overrides = self._adopt(configuration)
        self._reactor = reactor
        self._clock = clock
        self._logger = logger
        self._recorder = recorder
        self._started = clock()
        self.kernel = Kernel(configuration.state_directory)
        tap = Tap()
        watch = Watch(tap, self.services, self._watched)
        self._captures = Captures(watch, self.tell, clock, reactor.callLater, reactor.callFromThread)
        self.tap: TapPort = watch
        self.captures: CapturePort = self._captures
        self._desk = Desk(
            self,
            reactor=reactor,
            clock=clock,
            tell=self.tell,
            state_directory=configuration.state_directory,
            control_socket=configuration.control_socket,
            management=lambda: self.configuration.management,
        )
        self._tools: dict[str, Any] = {
            "tap": tap,
            "reactor": reactor,
            "clock": clock,
            "random_bits": random_bits,
            "tell": self.tell,
            "recorder": recorder,
        }
        self._aaa = AaaDesk(
            self._make_endpoint, self._make_server, lambda function: reactor.callLater(0, function), self.tell
        )
        self._tools |= {"hub": self._aaa.hub, "state_directory": configuration.state_directory}
        self.running: dict[Key, AnyService] = {}
        self.aaa: AaaPort = self._aaa_views(clock, random_bits)
        self._links: dict[str, tuple[bool, bool]] = {}
        self._mobile = MnDesk(self._make_client, lambda: clock().mono, self.tell)
        self.mobile: MobilePort = self._mobile
        self._managers: list[Manage] = [self._desk.manage, self._aaa.manage, self._mobile.manage]
        self._changing = asyncio.Lock()
        self._ready = self._stopping = False

    def _aaa_views(self, clock: Callable[[], Now], random_bits: Callable[[int], int]) -> AaaViews:
        """What the shell sees of AAA; also what clients of services count and number together."""
        self._tools |= {"exchanges": Exchanges(), "session_ids": SessionIds(int(clock().wall))}
        tester = AaaTester(
            self._aaa.hub, lambda: self.configuration, clock, random_bits, self._tools["session_ids"]
        )
        exchanges: Exchanges = self._tools["exchanges"]
        return AaaViews(self._aaa, lambda: self.configuration, self._clients, exchanges, tester)

    def _watched(self) -> list[str]:
        """Names of what has messages beside the services."""
        found = [each.name for each in self.configuration.endpoints]
        return found + [each.name for each in self.configuration.mn_clients]

    def _clients(self) -> list[AaaClient]:
        clients = (getattr(service, "aaa", None) for service in self.running.values())
        return [client for client in clients if client is not None]

    def _adopt(self, configuration: Configuration) -> tuple[Configuration, dict[str, str]]:
        """The same configuration as the builder makes it, so that changes share what stays with it.

        What its tree does not say was said on the command line, and holds whatever the configuration says.
        """
        _, built = self._builder.build(configuration.tree)
        if built is None:
            return configuration, {}
        overrides = {}
        for name in ("state_directory", "control_socket"):
            value = getattr(configuration, name)
            if value != getattr(built, name):
                overrides[name] = value
                setattr(built, name, value)
        return built, overrides

    def tell(self, level: str, text: str) -> None:
        """Write one log line of level ``info``, ``warning`` or ``error``."""
        emit = {"warning": self._logger.warn, "error": self._logger.error}.get(level, self._logger.info)
        emit("{text}", text=text)

    async def start(self) -> None:
        """Start everything in order; raises ResourceError, after which :meth:`stop` cleans up."""
        await self.kernel.start()
        await self.kernel.recover()
        boot = compare(Configuration(control_socket=self.configuration.control_socket), self.configuration)
        await Change(self, boot, [self._aaa.manage, self._mobile.manage]).make()
        for service in self.services():
            if service.state != "Started":
                self.tell("warning", f"{service.kind} {service.name}: no bind address, not started")
        await self.kernel.watch_links(self._link_changed)
        await self._desk.start(self.configuration.management)
        self._host.start()
        self._ready = True

    # ---- what a change works on

    def make(self, settings: Settings, values: CounterSet | None = None) -> AnyService:
        """A service that is not started yet; it goes on with the counters ``values`` if there are any."""
        service: AnyService
        if isinstance(settings, HomeAgentSettings):
            service = HomeAgentService(settings, values, **self._tools)
        elif isinstance(settings, LmaSettings):
            service = LmaService(settings, values, neighbour=self._anchor, **self._tools)
        else:
            service = MagService(settings, values, **self._tools)
        if self._recorder is not None and self._ready:
            self._recorder.begin(service.label, settings)
        return service

    def _anchor(self, name: str) -> LmaService | None:
        found = self.running.get(("lma", name))
        return found if isinstance(found, LmaService) else None

    def _make_endpoint(self, settings: EndpointSettings) -> DiameterService:
        tools = {name: self._tools[name] for name in ("reactor", "clock", "random_bits", "tell", "tap")}
        return DiameterService(settings, **tools)

    def _make_server(self, settings: AaaServerSettings, node: HeldNode) -> AaaService:
        tools = {name: self._tools[name] for name in ("reactor", "clock", "random_bits", "tell")}
        return AaaService(settings, node, state_directory=self.configuration.state_directory, **tools)

    def _make_client(self, settings: MnSettings, number: int) -> MnService:
        names = ("reactor", "clock", "random_bits", "tell", "tap", "recorder")
        tools = {name: self._tools[name] for name in names}
        client = MnService(settings, number, kernel=self.kernel, **tools)
        if self._recorder is not None and self._ready:
            self._recorder.begin(client.label, settings)
        return client

    def require_addresses(self, service: AnyService) -> None:
        """Say what to do about an address that this host lacks before any socket does."""
        _require((service.kind, service.name), service.settings, local_addresses())

    def show_links(self, service: AnyService) -> None:
        """Tell a gateway about the links that are up now, as far as it does not know."""
        if isinstance(service, MagService) and service.state == "Started":
            for link in service.settings.access_interfaces:
                if link.name in self._links:
                    self._tell_link(service, link.name, *self._links[link.name])

    async def move_control(self, path: str) -> None:
        """Listen for the command line at ``path``; raises ResourceError, then nothing has changed."""
        await self._desk.move_control(path)

    async def stop(self) -> None:
        """Stop everything in reverse order and undo the changes to the host."""
        self._stopping = True
        async with self._changing:
            self._host.stop()
            await self._desk.stop()
            await self._captures.stop()
            # Before the services: one of them may be the home agent.
            await self._mobile.stop()
            await asyncio.gather(*(service.farewell() for service in self.running.values()))
            for service in reversed(self.running.values()):
                service.stop()
            await self._aaa.stop()
            await self.kernel.close()

    def _link_changed(self, name: str, is_up: bool, present: bool) -> None:
        if present:
            self._links[name] = (is_up, present)
        else:
            self._links.pop(name, None)
        for service in self.running.values():
            if service.state == "Started":
                self._tell_link(service, name, is_up, present)

    def _tell_link(self, service: AnyService, name: str, is_up: bool, present: bool) -> None:
        try:
            service.link_changed(name, is_up, present)
        except ResourceError as error:
            self.tell("error", f"{service.kind} {service.name}: {error}")
        except Exception:  # noqa: BLE001 - logged
            # One device must not end the watch over all others; the log has the traceback.
            self._logger.failure("{what}: link {link}", what=service.label, link=name)

    def summary(self) -> str:
        """Name the started services in one line."""
        started = (service for service in self.services() if service.state == "Started")
        names = [f"{service.kind}-service {service.name}" for service in started]
        names += [f"mn-client {each.name}" for each in self._mobile.clients() if each.state == "Started"]
        names += [f"diameter endpoint {name}" for name in self._aaa.endpoints]
        names += [f"aaa-server {name}" for name in self._aaa.servers]
        return ", ".join(names) or "no services"

    # ---- the running configuration

    def on_change(self, manage: Manage) -> None:
        """Have ``manage(old, new)`` awaited in every change of the running configuration.

        It raises ApplianceError to refuse the change. After that, or when something else fails later, it
        is called once more with the two exchanged.
        """
        self._managers.append(manage)

    async def plan(self, tree: Any) -> Plan:
        """Check a whole tree and find out what it changes; nothing of it may be changed in place later.

        Raises ApplianceError, one line for each fault.
        """
        self._require_running()
        base = self.configuration
        faults, wanted = self._builder.build(await self._desk.sealed(tree))
        if wanted is None:
            raise ApplianceError("\n".join(dict.fromkeys(text for _, text in faults)))
        for name, value in self._overrides.items():
            setattr(wanted, name, value)
        dead = {
            key
            for key, settings in services(self.configuration).items()
            if settings.bound and self.running[key].state != "Started"
        }
        plan = compare(self.configuration, wanted, dead)
        # Hashing passwords takes a while: what was changed in it is not in the tree.
        plan.base = base
        self._check_addresses(plan)
        await self._count_sessions(plan)
        return plan

    def _check_addresses(self, plan: Plan) -> None:
        """No service may be left without the address that it is bound to."""
        known = local_addresses()
        for each in plan.addresses_gone:
            if self.kernel.has_added(each.interface, each.address, each.length):
                known.get(address_text(each.address), set()).discard(each.interface)
        for each in plan.addresses_new:
            known.setdefault(address_text(each.address), set()).add(each.interface)
        there = {text for text, devices in known.items() if devices}
        for key, settings in services(plan.configuration).items():
            _require(key, settings, there)

    async def _count_sessions(self, plan: Plan) -> None:
        for change in plan.services:
            service = self.running.get(change.key)
            if service is None or change.action not in ("stop", "restart", "reconfigure"):
                continue
            if change.action != "reconfigure":
                plan.sessions += service.session_count()
                continue
            count = 0
            for number, ends in enumerate(service.affected(change.new), 1):
                count += ends
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            if count:
                plan.sessions += count
                ending = f"{count} sessions end" if count > 1 else "1 session ends"
                plan.notes.append(f"{change.title}: {ending}")

    async def apply(self, plan: Any) -> bool:
        """Make a change; false (and nothing done) if something else was changed since it was planned.

        It is made to its end also if the caller is cancelled. Raises ApplianceError when something
        refuses it; then everything is as before, except for what the text says.
        """
        task = asyncio.ensure_future(self._apply(plan))
        # If nobody waits any more, the log has it.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def _require_running(self) -> None:
        if self._stopping or not self._ready:
            raise ApplianceError("the appliance is starting or stopping; nothing was changed")

    async def _apply(self, plan: Plan) -> bool:
        async with self._changing:
            self._require_running()
            if plan.base is not self.configuration:
                return False
            change = Change(self, plan, self._managers)
            try:
                await change.make()
            except Exception as error:  # noqa: BLE001 - put back and told
                if not isinstance(error, ApplianceError):
                    self._logger.failure("change of the configuration failed")
                    error = ApplianceError(f"internal error ({type(error).__name__}); the log tells more")
                left = await change.undo()
                text = f"{error}; nothing was changed" + (f", but {left}" if left else "")
                self.tell("error", f"configuration: {text}")
                raise ApplianceError(text) from None
            self.configuration = plan.configuration
            for note in plan.notes:
                self.tell("info", f"configuration: {note}")
            return True

    # ---- the shell's port

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        """Note in the audit log who did what; ``text`` holds no secret."""
        self._desk.audit(operator, event, text, result)

    async def audited(self, count: int) -> list[dict[str, Any]]:
        """The last events of the audit log, oldest first."""
        return await self._desk.audit_log.read_last(count)

    def operators(self) -> list[Operator]:
        """Who is logged in, oldest first."""
        return self._desk.operators.list()

    def end_operator(self, number: int, reason: str) -> bool:
        """End the session of that number; false if there is none."""
        return self._desk.operators.end(number, reason)

    async def read_file(self, path: str) -> str:
        """The text of a file. Raises ApplianceError."""
        return await files.read_text(path)

    async def write_file(self, path: str, text: str) -> None:
        """Write a file for its owner only, in one step. Raises ApplianceError."""
        await files.write_text(path, text)

    async def file_exists(self, path: str) -> bool:
        """Whether there is a file of that name."""
        return await files.exists(path)

    async def export_file(self, path: str, replace: tuple[str, ...] | None) -> FilePort:
        """Begin to write a long file. Raises ApplianceError."""
        file = files.Export(path, replace)
        await file.begin()
        return file

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """Return the services of a kind and name, in the configuration's order; empty means all."""
        return [
            self.running[key]
            for key in services(self.configuration)
            if key in self.running and kind in ("", key[0]) and name in ("", key[1])
        ]

    def uptime(self) -> float:
        """Seconds since the process started."""
        return self._clock().mono - self._started.mono

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._clock().wall
