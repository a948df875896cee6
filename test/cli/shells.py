"""A shell on a system that keeps its configuration in memory, and a face that remembers."""

import asyncio
from collections.abc import Sequence
from typing import Any

from attrs import define, field

from appliance.cli.face import Interrupted
from appliance.cli.shell import Shell
from appliance.config import Configuration, build, load
from appliance.config_secrets import in_clear, seal
from appliance.config_tree import ConfigurationErrors
from appliance.errors import ApplianceError
from appliance.ports import Operator
from test.cli.fakes import FakeGateway, FakeSystem

HASH = "$scrypt$ln=15,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"


@define
class Result:
    """What a line gave: what was written, and 0 (it worked) or 1 (it failed)."""

    lines: list[str]
    status: int


@define
class MemoryPlan:
    """A change that ends as many sessions as the system was told to say."""

    configuration: Configuration
    base: Configuration
    sessions: int
    notes: list[str]


class MemorySystem(FakeSystem):
    """Plans and applies by building the configuration; notes what is audited; files are a dict."""

    def __init__(self, text: str, gateways: Sequence[FakeGateway] = ()) -> None:
        super().__init__(list(gateways))
        self.configuration = load(text, "x")
        self.noted: list[tuple[str, str, str, str]] = []
        self.files: dict[str, str] = {}
        self.boot_file = ""
        self.ends = 0
        """How many sessions each change ends."""
        self.refusal = ""
        """Why the host refuses the next change."""
        self.meanwhile: list[Any] = []
        """Called before a change is applied, one each time: what another operator does."""
        self.applied = 0

    async def plan(self, tree: Any) -> MemoryPlan:
        """Build it."""
        tree = seal(tree, dict.fromkeys(in_clear(tree), HASH))
        try:
            made = build(tree, "x")
        except ConfigurationErrors as error:
            raise ApplianceError("\n".join(text.partition("Failure: ")[2] for text in error.lines)) from error
        notes = ["lma-service lma1 starts anew"] if self.ends else []
        return MemoryPlan(made, self.configuration, self.ends, notes)

    async def apply(self, plan: MemoryPlan) -> bool:
        """Keep it unless it was made from an old one."""
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if plan.base is not self.configuration:
            return False
        if self.refusal:
            raise ApplianceError(self.refusal)
        self.configuration = plan.configuration
        self.applied += 1
        return True

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        """Note it."""
        self.noted.append((operator.user, event, text, result))

    async def audited(self, count: int) -> list[dict[str, str]]:
        """What was noted."""
        names = ("user", "event", "text", "result")
        return [dict(zip(names, each, strict=True)) for each in self.noted[-count:]]

    def operators(self) -> list[Operator]:
        """One."""
        return [Operator(user="bob", rights="operator", origin="2001:db8::5", service="ssh", number=7)]

    def end_operator(self, number: int, reason: str) -> bool:
        """Note it."""
        self.noted.append((str(number), "end", reason, ""))
        return True

    async def read_file(self, path: str) -> str:
        """From the dict."""
        if path not in self.files:
            raise ApplianceError(f"{path}: No such file or directory")
        return self.files[path]

    async def write_file(self, path: str, text: str) -> None:
        """Into the dict."""
        self.files[path] = text

    async def file_exists(self, path: str) -> bool:
        """Whether it is in the dict."""
        return path in self.files


@define
class Recorder:
    """A face that remembers what was written and answers what it was told to."""

    interactive: bool = False
    answers: list[str] = field(factory=list)
    keys: list[str] = field(factory=list)
    written: list[str] = field(factory=list)
    failures: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)
    patience: int = -1
    """Writes until the operator presses q; -1: never."""

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Remember."""
        if self.patience == 0 and paged:
            raise Interrupted
        self.patience -= 1
        self.written += lines
        if failed:
            self.failures += lines

    async def ask(self, question: str) -> str:
        """The next answer; none left is ^C."""
        self.asked.append(question)
        if not self.answers:
            raise Interrupted
        return self.answers.pop(0)

    async def key(self, timeout: float) -> str:
        """The next key."""
        return self.keys.pop(0) if self.keys else ""


def make_shell(system: Any, rights: str = "security-administrator", user: str = "alice") -> Shell:
    """A shell without date lines."""
    shell = Shell(system, Operator(user=user, rights=rights, origin="2001:db8::9", service="ssh"))
    shell.timestamps = False
    return shell


def run(shell: Shell, line: str, face: Recorder | None = None) -> Result:
    """Do one line to its end."""
    face = face or Recorder()
    status = asyncio.run(shell.execute(line, face))
    return Result(face.written, status)
