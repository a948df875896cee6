"""A system port without a system behind it, a host, a log, and a shell to run handlers with."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from inspect import isawaitable
from typing import Any

from attrs import define, field

from appliance.cli.match import match, split
from appliance.cli.output import json_lines
from appliance.cli.shell import COMMANDS
from appliance.cli.waiting import Waiting
from appliance.counters import MAG, CounterSet
from appliance.ports import (
    Build,
    Census,
    Health,
    InterfaceView,
    LogLine,
    Operator,
    PoolView,
    QueueView,
    RouteView,
    ServicePort,
    SessionFilter,
    SessionView,
)
from test.cli.fake_aaa import FakeAaa
from test.cli.fake_mobile import FakeMobile


@define
class FakeGateway:
    """A MAG service that notes what it was told."""

    name: str = "mag1"
    kind: str = "mag"
    context: str = "access"
    state: str = "Started"
    counters: CounterSet = field(factory=lambda: CounterSet(MAG))
    refusal: str = ""
    calls: list[tuple[object, ...]] = field(factory=list)

    def facts(self) -> list[tuple[str, str]]:
        """One fact."""
        return [("Service name", self.name)]

    def session_count(self) -> int:
        """Always three."""
        return 3

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """None."""
        return iter(())

    def census(self, wanted: SessionFilter) -> Iterator[Census | None]:
        """An empty one."""
        return iter([Census()])

    def clear_sessions(
        self, wanted: SessionFilter, trigger: int = 1, ipv4_only: bool = False, group: int = 0
    ) -> Iterator[bool]:
        """None."""
        return iter(())

    def pools(self) -> list[PoolView]:
        """None."""
        return []

    def devices(self) -> list[str]:
        """None."""
        return []

    def queues(self) -> list[QueueView]:
        """None."""
        return []

    def attach(self, mn_id: str, interface: str, link_layer: str, handoff: int) -> str:
        """Note it."""
        self.calls.append(("attach", mn_id, interface, link_layer, handoff))
        return self.refusal

    def detach(self, mn_id: str, interface: str, link_layer: str) -> str:
        """Note it."""
        self.calls.append(("detach", mn_id, interface, link_layer))
        return self.refusal


@define
class FakeHost:
    """A host with these interfaces and routes, and programs that say these lines."""

    devices: list[InterfaceView] = field(factory=list)
    kernel: dict[int, list[RouteView]] = field(factory=dict)
    """Routes by IP version."""
    programs: dict[str, list[str]] = field(factory=dict)
    ran: list[list[str]] = field(factory=list)
    killed: int = 0
    cleared: bool = False

    def health(self) -> Health:
        """Fixed numbers."""
        return Health(
            lag=0.0012, lag_worst=0.0301, lag_p99=0.004, lag_record=0.25, cpu=12.34, memory=64 << 20,
            files=31, file_limit=1024, threads=4, threads_busy=1, pid=4711,
        )  # fmt: skip

    def clear_lag(self) -> None:
        """Forget it."""
        self.cleared = True

    def build(self) -> Build:
        """A release."""
        return Build(
            version="1.2.3",
            number="release",
            date="Wed Aug  5 08:42:44 EDT 2020",
            commit="not recorded",
        )

    async def interfaces(self) -> list[InterfaceView]:
        """The devices."""
        return list(self.devices)

    async def routes(self, family: int) -> AsyncIterator[RouteView]:
        """The routes of a family."""
        for route in self.kernel.get(family, []):
            yield route

    def finds(self, program: str) -> bool:
        """Whether there is such a program."""
        return program in self.programs

    async def run(self, arguments: Sequence[str], seconds: float) -> AsyncIterator[str]:
        """What the program says; notes when it is closed before its end."""
        self.ran.append([*arguments, f"{seconds:.0f}s"])
        done = False
        try:
            for line in self.programs[arguments[0]]:
                yield line
            done = True
        finally:
            self.killed += not done


@define
class FakeLog:
    """A log with these lines, that notes what it was told."""

    found: list[LogLine] = field(factory=list)
    chosen: dict[int, dict[str, str]] = field(factory=dict)
    followers: dict[int, tuple[Any, Callable[[], bool]]] = field(factory=dict)

    def lines(self) -> Sequence[LogLine]:
        """The lines."""
        return self.found

    def filter(self, number: int, facility: str, level: str) -> None:
        """Note it."""
        self.chosen.setdefault(number, {})[facility] = level

    def filters(self, number: int) -> dict[str, str]:
        """What was noted."""
        return self.chosen.get(number, {})

    def follow(self, number: int, say: Any, present: Callable[[], bool]) -> None:
        """Note it."""
        self.followers[number] = (say, present)

    def unfollow(self, number: int) -> bool:
        """Forget it."""
        return self.followers.pop(number, None) is not None


class FakeFace:
    """Collects what is written; ``None`` waits for nobody."""

    interactive = False

    def __init__(self) -> None:
        self.written: list[str] = []
        self.pauses = 0

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Note the lines, and that others had a turn."""
        self.written += lines
        self.pauses += 1
        await asyncio.sleep(0)


class FakeTerminal(FakeFace):
    """A face with a place for lines from outside."""

    interactive = True

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[str] = []

    def notice(self, lines: Sequence[str]) -> None:
        """Note the lines."""
        self.notices += lines


def operator(**changes: Any) -> Operator:
    """An administrator at an SSH terminal; any field can be given."""
    fields: dict[str, Any] = {
        "user": "alice", "rights": "administrator", "origin": "2001:db8::9 port 50022", "service": "ssh",
        "tty": "ssh/3", "since": 999_990_000.0, "number": 3, "active": 999_999_995.0,
    }  # fmt: skip
    return Operator(**{**fields, **changes})


class FakeShell:
    """What handlers see of a shell: it runs them, plain or ``async``, and collects the lines."""

    def __init__(self, system: Any, rights: str = "administrator", context: str = "local") -> None:
        self.system = system
        self.rights = rights
        self.context = context
        self.operator = operator(rights=rights)
        self.face: FakeFace = FakeFace()
        self.closed = False
        self.asked: list[list[str]] = []
        self.answer: Exception | None = None
        self.width = 0
        self.turns = 0
        """How often the output of the last command let others run."""

    async def confirm(self, args: dict[str, Any], warning: Sequence[str] = ()) -> None:
        """Note the question; ``answer`` is raised if there is one."""
        if "-noconfirm" not in args:
            self.asked.append(list(warning))
            if self.answer is not None:
                raise self.answer

    def result(self, line: str) -> Any:
        """What the handler of a line gives back."""
        found = match("exec", split(line), self.rights, COMMANDS)
        handler = found.command.handler
        assert handler is not None

        async def call() -> Any:
            given = handler(self, found.args)
            return await given if isawaitable(given) else given

        self.face.written.clear()
        return asyncio.run(call())

    def run(self, line: str) -> list[str]:
        """The lines that a line prints."""
        result = self.result(line)
        found = pulled(result.lines(self.width) if hasattr(result, "lines") else result or ())
        self.turns = found.count(None)
        return [*self.face.written, *(text for text in found if text is not None)]

    def data(self, line: str) -> Any:
        """What ``| json`` gives, after it was a document."""
        lines = [text for text in pulled(json_lines(self.result(line))) if text is not None]
        return json.loads("\n".join(lines))


def pulled(lines: Iterable[Any]) -> list[Any]:
    """All lines, waited for where that has to be."""

    async def pull() -> list[Any]:
        found: list[Any] = []
        for each in lines:
            if isinstance(each, Waiting):
                await each.more()
            else:
                found.append(each)
        return found

    return asyncio.run(pull())


@define
class FakeSystem:
    """A process that is a day and some hours old."""

    gateways: list[FakeGateway] = field(factory=list)
    configuration: Any = None
    host: FakeHost = field(factory=FakeHost)
    log: FakeLog = field(factory=FakeLog)
    aaa: FakeAaa = field(factory=FakeAaa)
    mobile: FakeMobile = field(factory=FakeMobile)
    people: list[Operator] = field(factory=list)
    boot_file: str = ""

    def operators(self) -> list[Operator]:
        """Who is logged in."""
        return self.people

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The gateways that match."""
        return [each for each in self.gateways if kind in ("", each.kind) and name in ("", each.name)]

    def uptime(self) -> float:
        """1 day, 1 hour, 34 minutes."""
        return 86_400 + 3_600 + 34 * 60 + 5.0

    def wall(self) -> float:
        """2001-09-09 01:46:40 UTC."""
        return 1_000_000_000.0
