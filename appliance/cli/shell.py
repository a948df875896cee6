"""One operator's session: a line goes in, lines and a status come out.

::

    line ─▶ words ─▶ pipes ─▶ match ─┬─ Exec ─▶ handler ─▶ lines / Screen ─▶ grep, json ─▶ Face.write
                                     └─ configuration ─▶ Editor ─▶ SystemPort.plan ─▶ sure? ─▶ apply

The shell knows neither sockets nor terminals: whoever feeds it lines gives it a :class:`Face` to
answer to. Output is pulled out of handlers a slice at a time, as fast as the face takes it.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from appliance.cli import match, output, pipes
from appliance.cli.commands import (
    aaa,
    accounting,
    agents,
    base,
    capture,
    configuration,
    congestion,
    diameter,
    files,
    lma,
    mag,
    mipv6ha,
    mn,
    monitor,
    newcall,
    session,
    views,
)
from appliance.cli.face import Face, Interrupted
from appliance.cli.grammar import COMMANDS, RIGHTS, CommandError, Registry
from appliance.cli.match import Candidate, Token
from appliance.cli.values import visible
from appliance.cli.waiting import Waiting
from appliance.config_secrets import masked, masked_answer
from appliance.config_text import NO_CONFIRM, Editor, Position, reserved
from appliance.errors import ApplianceError
from appliance.ports import Operator, SystemPort

#: Importing these modules registers the Exec commands.
COMMAND_MODULES = (
    base, session, files, lma, mipv6ha, newcall, mag, mn, diameter, aaa, accounting, monitor, capture, views,
    congestion, agents,
)  # fmt: skip

#: Lines that are pulled out of a handler before others have a turn.
SLICE = 32
#: Characters of a line.
LINE_LIMIT = 8192
#: How often a wrong answer to a question is taken.
TRIES = 5

SHOW_CONFIGURATION = "show configuration"
SURE = "Are you sure? [Yes|No]: "
DO = "do"
#: Exec commands that make no sense after ``do``: they move the session.
NAVIGATION = ("configure", "context", "exit", "end")


class _Nobody:
    """The face of a shell that runs no command."""

    interactive = False

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Nobody reads it."""

    async def ask(self, question: str) -> str:
        """Nobody answers."""
        raise Interrupted

    async def key(self, timeout: float) -> str:
        """Nobody types."""
        return ""


class Shell:
    """One session of ``operator``. ``system`` is what the commands show and act on."""

    def __init__(self, system: SystemPort, operator: Operator, registry: Registry = COMMANDS) -> None:
        if operator.rights not in RIGHTS:
            raise ApplianceError(f"no such privilege: {operator.rights}; one of {', '.join(RIGHTS)}")
        self.system = system
        self.operator = operator
        self.rights = operator.rights
        self.context = "local"
        self.timestamps = True
        self.autoconfirm = False
        self.carets = True
        """Whether a caret line follows an error that one word is to blame for."""
        self.length = 24
        """Lines of a page; 0: no paging."""
        self.width = 80
        """Columns; 0: no limit."""
        self.fixed: set[str] = set()
        """``length`` and ``width`` if the operator has set them: the terminal does not any more."""
        self.closed = False
        """True after ``exit``."""
        self.face: Face = _Nobody()
        """Who the running command answers to."""
        self._registry = registry
        self._position: Position | None = None

    # ---- what a terminal asks

    @property
    def mode(self) -> str:
        """``exec``, or the configuration mode that the next line is read in."""
        if self._position is None:
            return "exec"
        try:
            return self._editor().mode
        except CommandError:
            return configuration.ROOT

    @property
    def prompt(self) -> str:
        """``[context]host# ``, with ``(mode)`` in a configuration mode; ``>`` for who may not configure."""
        mark = "#" if RIGHTS.index(self.rights) >= RIGHTS.index("administrator") else ">"
        place, context = "", self.context
        if self._position is not None:
            place = f"({configuration.PROMPTS[self.mode]})"
            context = next((str(key[0]) for path, key in self._position if path == "context"), "local")
        return f"[{context}]{self.system.configuration.hostname}{place}{mark} "

    def candidates(self, text: str) -> list[Candidate]:
        """What could come next on the line ``text``, with help: the list that ``?`` prints."""
        words = text.split(None, 1)
        if words and words[0].lower() == DO and (len(words) > 1 or text[-1].isspace()):
            return match.candidates("exec", words[1] if len(words) > 1 else "", self.rights, self._registry)
        if self._position is None:
            return match.candidates("exec", text, self.rights, self._registry)
        found = match.candidates(self.mode, text, self.rights, self._registry)
        if len(words) < 2 and not text[-1:].isspace() and DO.startswith(text.strip().lower()):
            found.append(Candidate(DO, "Runs an Exec command from here", True))
        last = "" if text[-1:].isspace() else text.split()[-1] if words else ""
        ends = any(each.text == "<cr>" for each in found)
        if words and (ends or (last[:1] == "-" and NO_CONFIRM.startswith(last))):
            found.insert(len(found) - ends, Candidate(NO_CONFIRM, "Does not ask whether you are sure", True))
        return found

    def resized(self, rows: int, columns: int) -> None:
        """The terminal has this size now; 0: unknown. What the operator has set stays."""
        if rows and "length" not in self.fixed:
            self.length = rows
        if columns and "width" not in self.fixed:
            self.width = columns

    # ---- a line

    async def execute(self, line: str, face: Face) -> int:
        """Do one line and write what it gives to ``face``; 0: it worked, 1: it failed.

        Never raises for anything that was typed. asyncio's cancellation ends the command and passes on.
        """
        self.face = face
        try:
            await self._execute(line)
        except Interrupted:
            return 1
        except ApplianceError as error:
            await self._fail(error)
            return 1
        finally:
            self.face = _Nobody()
        return 0

    async def _fail(self, error: ApplianceError) -> None:
        texts = [f"Failure: {visible(part)}" for part in str(error).split("\n")]
        span = getattr(error, "span", None)
        if span is not None and self.carets and self.face.interactive:
            # Under the line as it stands on the terminal, behind its prompt.
            column = len(self.prompt) + span[0]
            texts.append(" " * (column % self.width if self.width else column) + "^" * (span[1] - span[0]))
        try:
            await self.face.write(texts, failed=True)
        except Interrupted:
            return

    async def _execute(self, line: str) -> None:
        _check(line)
        asked = line.rstrip()
        if asked.endswith("?") and not match.is_literal(asked[:-1]):
            await self.face.write(help_lines(self.candidates(asked[:-1])))
            return
        tokens = match.split(line)
        if not tokens:
            return
        words, parts = pipes.cut(tokens)
        if not words:
            raise CommandError("Incomplete command: a command is wanted before |", tokens[0].span)
        does = words[0] == Token(DO) and len(words) > 1
        if self._position is None or does:
            await self._exec(line, words[does:], pipes.read(parts), does)
        elif parts:
            bar = next(token.span for token in tokens if match.is_pipe(token))
            raise CommandError("a pipe has no place in a configuration", bar)
        else:
            await self._configure(line, words)

    # ---- Exec

    async def _exec(self, line: str, words: list[Token], plumbing: pipes.Pipes, does: bool) -> None:
        found = match.match("exec", words, self.rights, self._registry)
        command = found.command
        verb = command.syntax.split()[0]
        if does and verb in NAVIGATION:
            raise CommandError(f"'{verb}' does not follow 'do'", words[0].span)
        if command.handler is None:
            raise CommandError("this is a configuration command")
        changes = verb != "show" and command.rights != RIGHTS[0]
        try:
            result = command.handler(self, found.args)
            if inspect.isawaitable(result):
                result = await result
            # A date line would only be in the way of who reads JSON, or boots what was shown.
            dated = self.timestamps and not command.syntax.startswith(SHOW_CONFIGURATION)
            await self._print(result, plumbing, dated)
        except BaseException as error:
            if changes:
                self.audit("command", line, _outcome(error))
            raise
        if changes:
            self.audit("command", line, "ok")

    async def _print(self, result: Any, plumbing: pipes.Pipes, dated: bool) -> None:
        if plumbing.json:
            lines, dated = output.json_lines(result), False
        else:
            lines = output.text_lines(result, self.width)
        waited: set[Waiting] = set()
        try:
            for batch in self._slices(lines, plumbing.keeps):
                if isinstance(batch, Waiting):
                    waited.add(batch)
                    await batch.more()
                    continue
                if batch and dated:
                    batch.insert(0, base.date_line(self.system.wall()))
                    dated = False
                await self.face.write(batch)
        finally:
            for each in waited:
                await each.close()

    @staticmethod
    def _slices(lines: output.Lines, keeps: Callable[[str], bool]) -> Iterator[list[str] | Waiting]:
        """The lines that stay, a slice at a time; what came before an error comes before it here too.

        What has to be awaited comes behind the lines before it.
        """
        ended: ApplianceError | None = None
        while ended is None:
            batch: list[str] = []
            wait: Waiting | None = None
            for _ in range(SLICE):
                try:
                    text = next(lines)
                except StopIteration:
                    if batch:
                        yield batch
                    return
                except ApplianceError as error:
                    ended = error
                    break
                if isinstance(text, Waiting):
                    wait = text
                    break
                if text is not None and keeps(text):
                    # Identifiers come from the network and the configuration: a terminal must not obey them.
                    batch.append(visible(text))
            if batch or wait is None:
                yield batch
            if wait is not None:
                yield wait
        raise ended

    def audit(self, event: str, line: str, result: str) -> None:
        """Note in the audit log what this operator typed, without secrets, and what came of it."""
        self.system.audit(self.operator, event, masked(line.strip()), masked_answer(visible(result), line))

    # ---- configuration

    def begin(self) -> None:
        """Enter the configuration (``configure``)."""
        self._position = ()

    def _editor(self) -> Editor:
        tree = self.system.configuration.tree
        return Editor(tree, self._registry, self.rights, self._position)

    async def _configure(self, line: str, words: list[Token]) -> None:
        sure = words[-1] == Token(NO_CONFIRM)
        try:
            await self._edit(line, words, {NO_CONFIRM: True} if sure else {})
        except BaseException as error:
            self.audit("configure", line, _outcome(error))
            raise

    async def _edit(self, line: str, words: list[Token], args: dict[str, Any]) -> None:
        while True:
            try:
                editor = self._editor()
            except CommandError:
                # Another operator has removed what this one was in.
                self._position = (self._position or ())[:-1]
                raise
            before = editor.tree
            try:
                editor.enter(words)
            except CommandError as error:
                self._hint(words, error)
                raise
            if editor.tree is before or await self.change(before, editor.tree, args):
                self._position = editor.position
                if editor.tree is not before:
                    # As it was typed: what hides a password needs its quotes.
                    self.audit("configure", line, "ok")
                return

    def _hint(self, words: list[Token], error: CommandError) -> None:
        """Raise another error for a line that is only typed in the wrong mode."""
        try:
            verb = match.match("exec", words, self.rights, self._registry).command.syntax.split()[0]
        except CommandError:
            return
        if verb not in NAVIGATION:
            text = f"{error}; in Exec mode it is a command: '{DO}' before it runs it from here"
            raise CommandError(text, error.span) from None

    async def change(self, base: Any, tree: Any, args: dict[str, Any]) -> bool:
        """Make ``tree``, which was made from ``base``, the running configuration, after a question if
        sessions end by it.

        False: something else runs now than ``base``. Raises ApplianceError.
        """
        if self.system.configuration.tree is not base:
            return False
        if touched := reserved(base, self.rights) ^ reserved(tree, self.rights):
            line = masked(" / ".join(min(touched)))
            raise CommandError(f"this would change '{line}', which a user who is {self.rights} may not")
        plan = await self.system.plan(tree)
        notes = list(plan.notes)
        asked = False
        if plan.sessions:
            notes.append(f"{plan.sessions} session{'s end' if plan.sessions > 1 else ' ends'} by this change")
            asked = await self.confirm(args, notes)
        if not await self.system.apply(plan):
            return False
        if notes and not asked:
            await self.face.write([f"Info: {visible(note)}" for note in notes])
        return True

    # ---- questions

    async def confirm(self, args: dict[str, Any], warning: Iterable[str] = ()) -> bool:
        """Ask whether the operator is sure; ``-noconfirm`` among ``args`` and ``autoconfirm`` say so already.

        ``warning``: what the command does, a line each. Returns whether the operator was asked and knows it.
        Raises :class:`CommandError` for a "no", and where no person is there to ask.
        """
        if NO_CONFIRM in args or self.autoconfirm:
            return False
        lines = [visible(text) for text in warning]
        if not self.face.interactive:
            text = f"{'; '.join(lines)}; " if lines else ""
            way = f"end the line with {NO_CONFIRM}, or set autoconfirm"
            raise CommandError(f"{text}nobody is there to confirm it: {way}")
        if lines:
            await self.face.write([f"Warning: {text}" for text in lines], paged=False)
        for _ in range(TRIES):
            answer = (await self.face.ask(SURE)).strip().lower()
            if answer and "yes".startswith(answer):
                return True
            if answer and "no".startswith(answer):
                break
        raise CommandError("not confirmed; nothing was done")


def _outcome(error: BaseException) -> str:
    """What the audit log says of a line that did not come to its end."""
    if isinstance(error, ApplianceError):
        return str(error)
    # ^C, a client that is gone, an end from outside; or a mistake of ours.
    return f"broken off ({type(error).__name__}); it may have been done"


def _check(line: str) -> None:
    if len(line) > LINE_LIMIT:
        raise CommandError(f"a line is longer than {LINE_LIMIT} characters")
    for column, character in enumerate(line):
        if not character.isprintable() and character not in "\t\r\n":
            number = ord(character)
            # How the octets of a line that are no UTF-8 come here (PEP 383).
            octet = 0xDC80 <= number <= 0xDCFF
            what = f"octet 0x{number & 0xFF:02X}" if octet else f"character U+{number:04X}"
            text = f"{what} has no place in a command; type the line without it"
            raise CommandError(text, (column, column + 1))


def help_lines(found: Sequence[Candidate]) -> list[str]:
    """One line for each candidate: the text, and its help in a column of its own."""
    if not found:
        return ["Nothing that is known can follow"]
    width = max(len(each.text) for each in found)
    return [f"  {each.text.ljust(width)}  {each.help}" for each in found]
