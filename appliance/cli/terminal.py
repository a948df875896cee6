"""A shell for a person: one session at a terminal, wherever its octets come from.

::

    ssh.py, control.py ─feed()─▶ KeyQueue ─▶ Editor ─line─▶ Shell.execute(line, this session)
                                     └─▶ Pager, questions                    │ write, ask, key
    ssh.py, control.py ◀─Transport.write()─ Screen ◀──────────────────────────┘

Everything runs on the asyncio loop of the process, beside the signalling: keys are taken in
slices, output waits for the client, and no more than a screenful of either is kept.
"""

import asyncio
from collections.abc import Callable, Sequence

from prompt_toolkit.application import create_app_session

from appliance.cli.editor import LINE_LIMIT, Editor
from appliance.cli.face import Interrupted, Transport
from appliance.cli.keys import BAD, KeyQueue
from appliance.cli.match import Candidate
from appliance.cli.pager import MORE, Pager, rows
from appliance.cli.plainline import PlainLine
from appliance.cli.screen import Screen
from appliance.cli.script import INTERNAL
from appliance.cli.shell import Shell
from appliance.cli.values import visible
from appliance.config_secrets import masked
from appliance.log import Facility

__all__ = ["TerminalSession", "Transport"]

NOT_TEXT = "Failure: the line holds what is not text (octets that are not UTF-8, control characters)"
TOO_LONG = f"Failure: the line is longer than {LINE_LIMIT} characters"
FLOOD = "too many keys at once"
NOTICE_REST = 0.2
"""Seconds between two times that lines from outside are shown."""
NOTICE_LIMIT = 200
"""Lines from outside that may wait for that."""
PIECE = 8_192
"""Characters of output that are written at once."""
RESTORE = "\x1b[?2004l\x1b[?7h\x1b[0m\x1b[?25h"
"""Ends bracketed paste, wraps lines, plain text, shows the cursor."""


class TerminalSession:
    """One operator at a terminal; a ``Face`` of its shell.

    ``term`` is the terminal's name as in TERM; ``rows`` and ``columns`` are its size, 0 where it is
    not known; ``touch()`` is called at every key.
    """

    logger = Facility("terminal")
    interactive = True

    def __init__(
        self,
        shell: Shell,
        transport: Transport,
        term: str,
        rows: int,
        columns: int,
        touch: Callable[[], None],
    ) -> None:
        self._shell = shell
        self._touch = touch
        self._screen = Screen(transport, term, rows, columns, self._end)
        self._keys = KeyQueue(self._interrupt, self._screen.bell, lambda: self.close(FLOOD))
        self._editor = Editor(shell, self._screen, self._keys, term, self._candidates)
        self._pager = Pager()
        self._status = 0
        self._notices: list[str] = []
        self._lost_notices = 0
        self._noticing: asyncio.TimerHandle | None = None
        self._next_notice = 0.0
        self._reason: str | None = None
        self._main: asyncio.Task[None] | None = None
        self._command: asyncio.Task[int] | None = None
        self._stopped = False
        self._front: Editor | PlainLine | _More | None = None
        self._size_changed = False
        shell.resized(rows, columns)

    # From the connection.

    def feed(self, data: bytes) -> None:
        """Take octets that the client sent."""
        if self._reason is None:
            self._touch()
            self._keys.feed(data)

    def eof(self) -> None:
        """The client sends no more: what it has typed is still done, then the session ends.

        A connection that is lost altogether is told by cancelling :meth:`run`, or by ``drain()``.
        """
        self._keys.feed_eof()

    @property
    def pending(self) -> int:
        """Characters that were typed and wait; the owner may stop reading while there are many."""
        return self._keys.pending

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size now; 0: unknown."""
        self._screen.resize(rows, columns)
        self._shell.resized(rows, columns)
        if self._screen.clogged:
            # Drawing again would only add to what waits.
            self._size_changed = True
        elif self._front is self._editor:
            self._editor.redrawn()

    def notice(self, lines: Sequence[str]) -> None:
        """Show lines above the prompt, or between lines of output; dropped while the client is slow."""
        if self._reason is not None or self._main is None:
            return
        if self._screen.clogged or len(self._notices) + len(lines) > NOTICE_LIMIT:
            self._lost_notices += len(lines)
            return
        self._notices += map(visible, lines)
        if self._noticing is None:
            loop = asyncio.get_running_loop()
            self._noticing = loop.call_later(max(0.0, self._next_notice - loop.time()), self._show_notices)

    def _show_notices(self) -> None:
        # Each time the prompt has to be drawn again, which takes longer than writing the lines.
        self._noticing = None
        self._next_notice = asyncio.get_running_loop().time() + NOTICE_REST
        lines, self._notices = self._notices, []
        if self._screen.clogged:
            self._lost_notices += len(lines)
        else:
            self._above([*self._lost(), *lines])

    def close(self, reason: str) -> None:
        """End now; ``reason`` is shown. What runs is cancelled."""
        if self._reason is None:
            self._reason = reason
            self._end()

    async def run(self, banner: Sequence[str] = ()) -> int:
        """Greet with ``banner``, then prompt and execute until the end. Returns the last status.

        To be called once. Cancelling it ends everything without a word.
        """
        try:
            if self._reason is None:
                self._main = asyncio.ensure_future(self._serve(banner))
                await self._main
        except asyncio.CancelledError:
            if self._reason is None and not self._screen.gone:
                raise
        finally:
            self._finish()
        return self._status

    # What a running command calls.

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Show lines; see :class:`appliance.cli.face.Face`."""
        piece: list[str] = []
        size = 0
        for text in lines:
            if paged and self._shell.length:
                count = rows(text, self._screen.columns)
                if self._pager.stops(count, self._shell.length):
                    self._put(piece)
                    size = 0
                    await self._more(count)
                self._pager.printed(count)
            piece.append(text)
            size += len(text)
            if size > PIECE:
                self._put(piece)
                size = 0
                await self._screen.ready()
        self._put(piece)
        await self._screen.ready()
        await asyncio.sleep(0)

    async def ask(self, question: str) -> str:
        """A line that the operator types; see :class:`appliance.cli.face.Face`."""
        line = PlainLine(self._screen, self._keys, question, LINE_LIMIT)
        self._pager.begin()
        self._front = line
        try:
            return await line.read()
        except EOFError:
            raise Interrupted from None
        finally:
            self._front = None

    async def key(self, timeout: float) -> str:
        """A key; see :class:`appliance.cli.face.Face`. Keys without a character have a name, as ``up``."""
        self._pager.begin()
        try:
            key = await self._keys.get_one(timeout)
        except EOFError:
            raise Interrupted from None
        if key is None:
            return ""
        if key.name == "c-c":
            raise Interrupted
        return key.name if key.name and key.text.startswith("\x1b") else key.text

    # Inside.

    async def _serve(self, banner: Sequence[str]) -> None:
        with create_app_session(input=self._keys, output=self._editor.output):
            pump = asyncio.ensure_future(self._keys.pump(self._before_keys, self._mistake))
            try:
                self._screen.line(*map(visible, banner))
                while not self._shell.closed:
                    await self._turn()
            except EOFError:
                pass
            finally:
                pump.cancel()
                await asyncio.wait([pump])

    async def _turn(self) -> None:
        """One line."""
        await self._screen.ready()
        if lost := self._lost():
            self._screen.line(*lost)
        self._front = self._editor
        try:
            line = await self._editor.read()
        except Interrupted:
            return
        finally:
            self._front = None
        refusal = TOO_LONG if self._editor.overlong else NOT_TEXT if BAD in line else ""
        if refusal:
            self._screen.line(f"{refusal}; nothing was done")
            self._status = 1
        elif line.strip():
            await self._execute(line)
        else:
            await asyncio.sleep(0)

    async def _execute(self, line: str) -> None:
        self._pager.begin()
        self._stopped = False
        self._command = asyncio.ensure_future(self._shell.execute(line, self))
        try:
            self._status = await self._command
        except Interrupted:
            self._status = 1
        except asyncio.CancelledError:
            self._status = 1
            # The session itself may be cancelled just when the operator has stopped the command.
            task = asyncio.current_task()
            if not self._stopped or (task is not None and task.cancelling()):
                raise
        except Exception:  # noqa: BLE001 - a mistake in one command must not end the session; it is logged
            self.logger.failure("command {line!r} failed", line=masked(line))
            self._screen.line(INTERNAL)
            self._status = 1
        finally:
            self._command = None

    def _interrupt(self) -> bool:
        """^C: stop what runs; false if nothing does."""
        command = self._command
        if command is None or command.done():
            return False
        if isinstance(self._front, _More):
            self._front.hide()
        self._front = None
        self._screen.line("^C")
        # Who waits for a key is told so; anything else is cancelled where it stands.
        if not self._keys.interrupt_wait(Interrupted()):
            self._stopped = True
            command.cancel()
        return True

    def _end(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _finish(self) -> None:
        self._main = None
        if self._noticing is not None:
            self._noticing.cancel()
        self._screen.stop()
        if self._reason:
            self._screen.line("", visible(self._reason))
        if not self._screen.dumb:
            self._screen.write(RESTORE)
        self._editor.close()
        self._keys.close()
        self._screen.close()

    def _put(self, lines: list[str]) -> None:
        self._screen.line(*lines)
        lines.clear()

    async def _more(self, count: int) -> None:
        """Stop at the end of a page until a key says how to go on."""
        front = self._front = _More(self._screen)
        front.show()
        try:
            while (key := await self._keys.get_one()) is None or not self._pager.answer(
                key.name or key.text, count, self._shell.length
            ):
                pass
        except EOFError:
            raise Interrupted from None
        finally:
            if self._front is front:
                front.hide()
                self._front = None

    def _above(self, lines: Sequence[str]) -> None:
        if self._front is None:
            self._screen.line(*lines)
        else:
            self._front.hide()
            self._screen.line(*lines)
            self._front.show()

    def _lost(self) -> list[str]:
        """One line about notices that were dropped, if any were."""
        count, self._lost_notices = self._lost_notices, 0
        return [f"{count} lines are missing here: the terminal was too slow"] if count else []

    async def _before_keys(self) -> None:
        await self._screen.ready()
        self._editor.trim()
        if self._size_changed and self._front is self._editor:
            self._size_changed = False
            self._editor.redrawn()

    def _candidates(self, text: str) -> Sequence[Candidate]:
        try:
            return self._shell.candidates(text)
        except Exception:  # noqa: BLE001 - a mistake in one command must not end the session; it is logged
            self.logger.failure("completion of {text!r} failed", text=text)
            return []

    def _mistake(self) -> None:
        self.logger.failure("a key failed")
        self._screen.bell()


class _More:
    """The question at the end of a page."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def show(self) -> None:
        """Ask."""
        self._screen.write(MORE)

    def hide(self) -> None:
        """Wipe the question away."""
        self._screen.wipe(MORE)
