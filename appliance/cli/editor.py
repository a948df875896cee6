"""The prompt: a line with editing, history, Tab and ``?``, by prompt_toolkit.

prompt_toolkit is made for one terminal that owns its process. Here it is one of many guests on
the loop: it gets no signal, no file descriptor and no exception handler, and keys only in slices.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.application import application as toolkit_application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import SimpleLexer
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from appliance.cli import suggest
from appliance.cli.face import Interrupted
from appliance.cli.keys import Key, KeyQueue
from appliance.cli.match import Candidate, is_literal
from appliance.cli.plainline import PlainLine
from appliance.cli.screen import Screen
from appliance.cli.shell import Shell, help_lines
from appliance.config_secrets import masked

LINE_LIMIT = 4_096
"""Characters of a line."""
FOLDED = 400
"""Longer lines are not folded but shown in part."""
HISTORY_LIMIT = 200
"""Lines that ``up`` goes back."""
UNDO_LIMIT = 100
PARTING = 1.0
"""Seconds after the end of a session until its prompt is taken apart."""
PASTES = "\x1b[?2004h"
"""Asks the terminal to mark what is pasted."""
SOLID = "fg:ansidefault"
"""No colour; but what has a style is drawn even if it is only the blank at the end of the prompt."""
END, EXIT = "end", "exit"

#: Keys of prompt_toolkit that repeat something up to a million times, run recorded keys, or insert
#: what is no text.
_OFF: tuple[tuple[str, ...], ...] = (
    *(("escape", digit) for digit in "-0123456789"),
    ("c-x", "("), ("c-x", ")"), ("c-x", "e"), ("c-o",), ("c-q",), ("c-v",), ("escape", "#"),
)  # fmt: skip


@contextlib.contextmanager
def _no_signal(_handler: Callable[[], None]) -> Iterator[None]:
    yield


# Whatever it is told, it would handle SIGWINCH for each prompt, and when the handler is taken
# away again asyncio stops hearing of signals: no child process would ever be noticed to end.
toolkit_application.attach_winch_signal_handler = _no_signal  # type: ignore[assignment]


def _take_apart(session: PromptSession[str]) -> None:
    layout = session.app.layout
    parts: list[object] = [session, session.app, session.app.renderer, session.app.key_processor, layout]
    parts += [session.default_buffer, session.search_buffer]
    for part in (*layout.walk(), *layout.find_all_controls()):
        parts += [part, getattr(part, "buffer", None), getattr(part, "content", None)]
    for part in parts:
        getattr(part, "__dict__", {}).clear()


def _nothing(_text: str) -> Sequence[Candidate]:
    return ()


class History(InMemoryHistory):
    """The last lines, without those that hold a secret."""

    def __init__(self) -> None:
        super().__init__()
        # Otherwise it would be loaded from a store, which there is none of.
        self._loaded = True

    def append_string(self, string: str) -> None:
        """Keep a line."""
        if not string.strip() or masked(string) != string or string in self._loaded_strings[:1]:
            return
        super().append_string(string)
        del self._loaded_strings[HISTORY_LIMIT:]

    def store_string(self, string: str) -> None:
        """There is only the list."""


class Editor:
    """Reads the lines of one session.

    ``candidates(text)`` tells what may come next. Lines are at most ``LINE_LIMIT`` characters;
    ``overlong`` tells after :meth:`read` that more was typed.
    """

    def __init__(
        self,
        shell: Shell,
        screen: Screen,
        keys: KeyQueue,
        term: str,
        candidates: Callable[[str], Sequence[Candidate]],
    ) -> None:
        self.overlong = False
        self._idle = False
        self._pastes = False
        self.history = History()
        self._shell = shell
        self._screen = screen
        self._keys = keys
        self._candidates = candidates
        self._plain: PlainLine | None = None
        self._session: PromptSession[str] | None = None
        self.output = Vt100_Output(
            cast(Any, screen), screen.size, term=term, enable_cpr=False,
            default_color_depth=ColorDepth.DEPTH_1_BIT,
        )  # fmt: skip

    async def read(self) -> str:
        """The next line. Raises :class:`Interrupted` for ^C, ``EOFError`` at the end of input."""
        self.overlong = False
        prompt = self._shell.prompt
        # A line that is there whole, as from a paste or a program, needs no editor. Programs that
        # look for the prompt find it followed by nothing.
        if (line := await self._whole_line(prompt)) is not None:
            self.history.append_string(line)
            return line
        if self._screen.dumb:
            return await self._read_plain(prompt)
        if self._session is None:
            self._session = self._make_session()
            # Making it and drawing it take some ten milliseconds each: others go in between.
            await asyncio.sleep(0)
        try:
            return await self._session.prompt_async(
                [(SOLID, prompt)], handle_sigint=False, set_exception_handler=False
            )
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            # prompt_toolkit turns it off at the end of a line.
            self._pastes = False

    def close(self) -> None:
        """No line will be read any more: leave nothing that only a search for cycles would free.

        The process does not search its old objects, and what prompt_toolkit makes of one prompt is a
        megabyte of objects that all know each other.
        """
        session, self._session = self._session, None
        self._candidates = _nothing
        if session is not None:
            # Some last drawing may still be on its way.
            asyncio.get_running_loop().call_later(PARTING, _take_apart, session)

    def show(self) -> None:
        """Draw the line again below what was written."""
        if self._plain is not None:
            self._plain.show()
        elif self._idle:
            self._screen.write(self._shell.prompt)
        elif (app := self._running()) is not None:
            app.renderer.reset()
            app.invalidate()

    def hide(self) -> None:
        """Take the line away, so that something can be written in its place."""
        if self._plain is not None:
            self._plain.hide()
        elif self._idle:
            self._screen.wipe(self._shell.prompt)
        elif (app := self._running()) is not None:
            app.renderer.erase(leave_alternate_screen=False)

    def redrawn(self) -> None:
        """The size has changed: draw the line again."""
        if (app := self._running()) is not None:
            app.renderer.erase(leave_alternate_screen=False)
            app.invalidate()

    def trim(self) -> None:
        """Forget old states of the line, each of which is a copy of it."""
        if self._session is not None:
            del self._session.default_buffer._undo_stack[:-UNDO_LIMIT]

    def above(self, lines: Sequence[str]) -> None:
        """Write lines above the prompt."""
        self.hide()
        self._screen.line(*lines)
        self.show()

    async def _whole_line(self, prompt: str) -> str | None:
        """Show the prompt, and wait for a key; the line, if it is there with the first one."""
        if not self._pastes and not self._screen.dumb:
            # Not before each prompt: a program would take it for the end of what the command wrote.
            self._pastes = True
            self._screen.write(PASTES)
        self._screen.write(prompt)
        self._idle = True
        try:
            await self._keys.some()
        finally:
            self._idle = False
        if (line := self._keys.take_line(LINE_LIMIT)) is not None:
            self._screen.line(line)
        else:
            self._screen.wipe(prompt)
        return line

    def _running(self) -> Application[str] | None:
        """What draws the line now."""
        session = self._session
        return session.app if session is not None and session.app.is_running else None

    def _make_session(self) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            history=self.history,
            complete_while_typing=False,
            reserve_space_for_menu=0,
            # Drawing a line costs 10 microseconds a character if it is folded.
            wrap_lines=Condition(lambda: len(self._default().text) < FOLDED),
            key_bindings=self._bindings(),
            lexer=SimpleLexer(SOLID),
            input=self._keys,
            output=self.output,
        )
        session.app.ttimeoutlen = 0.2
        # The size comes with the client's messages.
        session.app.terminal_size_polling_interval = None
        session.default_buffer.on_text_changed += self._limit
        return session

    def _limit(self, buffer: Buffer) -> None:
        if len(buffer.text) > LINE_LIMIT:
            self.overlong = True
            self._screen.bell()
            buffer.text = buffer.text[:LINE_LIMIT]
        elif not buffer.text:
            self.overlong = False

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("?")
        def _help(event: KeyPressEvent) -> None:
            text = event.current_buffer.document.text_before_cursor
            if event.current_buffer is not self._default() or is_literal(text):
                event.current_buffer.insert_text("?")
            else:
                self._list(f"{text}?", help_lines(self._candidates(text)))

        @bindings.add("tab")
        def _tab(event: KeyPressEvent) -> None:
            if event.current_buffer is not self._default():
                return
            text = event.current_buffer.document.text_before_cursor
            if (change := self._tab(text, event.current_buffer.text)) is not None:
                event.current_buffer.delete_before_cursor(change[0])
                event.current_buffer.insert_text(change[1])

        @bindings.add("c-z")
        def _end(event: KeyPressEvent) -> None:
            self._leave(event, END if self._may_end() else None)

        @bindings.add("c-c")
        def _abandon(event: KeyPressEvent) -> None:
            event.app.exit(exception=KeyboardInterrupt)

        @bindings.add("c-d")
        def _exit(event: KeyPressEvent) -> None:
            if self._default().text:
                event.current_buffer.delete()
            else:
                self._leave(event, EXIT)

        @bindings.add(Keys.BracketedPaste)
        def _text(event: KeyPressEvent) -> None:
            # Without this it would be converted; the queue has done so.
            event.current_buffer.insert_text(event.data)

        for off in _OFF:
            bindings.add(*off)(lambda _event: self._screen.bell())
        return bindings

    def _default(self) -> Buffer:
        assert self._session is not None
        return self._session.default_buffer

    def _leave(self, event: KeyPressEvent, line: str | None) -> None:
        """End the line with another one, as if that had been typed."""
        if line is None:
            self._screen.bell()
            return
        self._default().text = line
        event.app.exit(result=line)

    def _may_end(self) -> bool:
        return any(each.word and each.text == END for each in self._candidates(END))

    def _list(self, typed: str, lines: Sequence[str]) -> None:
        """Write lines below what is typed, then the prompt again."""
        # A plain line leaves what is typed where it is.
        self.above(lines if self._plain is not None else [f"{self._shell.prompt}{typed}", *lines])

    def _tab(self, text: str, whole: str) -> tuple[int, str] | None:
        """What Tab changes before the cursor; if nothing, the choices are listed."""
        # A blank line has no word to complete; the tab may be the indentation of what is pasted.
        found = [] if is_literal(text) or not text.strip() else self._candidates(text)
        away, instead = suggest.completion(text, found)
        if instead:
            return away, instead
        if found:
            self._list(whole, suggest.columns(found, self._screen.size().columns))
        else:
            self._screen.bell()
        return None

    async def _read_plain(self, prompt: str) -> str:
        line = self._plain = PlainLine(self._screen, self._keys, prompt, LINE_LIMIT)
        try:
            text = await line.read(self._special)
        finally:
            self._plain = None
        self.overlong = line.overlong
        self.history.append_string(text)
        return text

    def _special(self, line: PlainLine, key: Key) -> str | None:
        """What a key does that a plain line does not know."""
        if key.name == "?" and not is_literal(line.text):
            self._screen.write("?")
            self.above(help_lines(self._candidates(line.text)))
            return ""
        if key.name == "c-i":
            if (change := self._tab(line.text, line.text)) is not None:
                line.erase(change[0])
                line.insert(change[1])
            return ""
        if key.name == "c-z" and self._may_end():
            return END
        if key.name == "c-d" and not line.text:
            return EXIT
        return None
