"""What an operator types: octets in, keys out, in slices that do not hold up the process.

::

    feed(octets) ─UTF-8─▶ pending text ─┬─▶ take_line()          a line that is there whole
                                        ├─▶ get(), one by one    pager, questions, plain terminals
                                        └─▶ read_keys()          prompt_toolkit, at most 32 a turn

The pending text is kept as text and read when somebody wants it, because a key object is a
hundred times larger than the octet it came from. Escape sequences are recognised here with
prompt_toolkit's table and not with its parser: that one remembers every beginning of a
sequence it has ever seen, for the whole process and without a limit.
"""

import asyncio
import codecs
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

from attrs import frozen
from prompt_toolkit.input import Input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

PENDING_LIMIT = 131_072
"""Characters that may wait; some 2,000 pasted lines. Who sends more before they are read is cut off."""
SLICE = 32
"""Keys that are handed over in one turn of the loop."""
ESCAPE_WAIT = 0.2
"""Seconds after which an escape octet was the Escape key and not the begin of a sequence."""
REST = 0.002
"""Seconds between two looks at the keys, unless there are more than a slice."""
FRESH = 3
"""Turns of the loop between the first drawing of a prompt and its first key."""
BAD = "\ufffd"
"""Stands for what was no text: octets that are not UTF-8, control characters in a paste."""
ENTER = "c-m"
INTERRUPT = "\x03"

PASTE_BEGIN, PASTE_END = "\x1b[200~", "\x1b[201~"
_PLAIN = re.compile(r"[^\x00-\x1f\x7f?]+")
_SEQUENCE = re.compile(r"\x1b(\[\[?[0-?]{0,16}[ -/]{0,2}[@-Z\\-~]|O[ -~])")
_BEGUN = re.compile(r"\x1b(\[\[?[0-?]{0,16}[ -/]{0,2}|O)?\Z")
_LINE = re.compile(r"([\t ]*[^\x00-\x1f\x7f?]*)(?:\r\n?|\n)")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
#: After these, characters are text again; after other keys the next one may belong to them (Escape b).
_COMPLETE = frozenset({ENTER, "c-h"})


@frozen
class Key:
    """One key, or several characters at once that are nothing but text."""

    name: str
    """As prompt_toolkit names it (``c-m``, ``up``, ``escape``); empty for text."""
    text: str
    """The characters."""
    literal: bool = False
    """It comes from a paste of the terminal: even ``?`` is only a character."""


class KeyQueue(Input):
    """The keys of one operator.

    ``interrupted()`` is called at once for ^C and says whether it was for a running command;
    ``refused()`` when something typed was no text; ``flooded()`` when too much waits.
    """

    def __init__(
        self,
        interrupted: Callable[[], bool],
        refused: Callable[[], None],
        flooded: Callable[[], None],
    ) -> None:
        self._interrupted = interrupted
        self._refused = refused
        self._flooded = flooded
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._at = 0
        self._searched = 0
        self._paste = ""
        self._single = False
        self._eof = False
        self._fresh = 0
        self._callback: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take octets that the client sent."""
        text = self._decoder.decode(data)
        if not text.isascii():
            text = _FOREIGN.sub(_printable, text)
            if BAD in text:
                self._refused()
        if INTERRUPT in text:
            # As a terminal of UNIX does: what was typed before it and is not read yet is void.
            self._forget()
            text = text[text.rindex(INTERRUPT) + 1 :]
            if not self._interrupted():
                text = INTERRUPT + text
        if self.pending + len(text) > PENDING_LIMIT:
            self._forget()
            self._flooded()
            return
        self._text = self._text[self._at :] + text
        self._searched = max(0, self._searched - self._at)
        self._at = 0
        self._wake()

    def feed_eof(self) -> None:
        """Nothing more will come; what waits is still read."""
        self._eof = True
        self._wake()

    def close(self) -> None:
        """Nobody reads any more: forget what waits, and whom to tell."""
        self._forget()
        self._eof = True
        self._interrupted, self._refused, self._flooded = bool, _ignored, _ignored
        self._wake()

    @property
    def pending(self) -> int:
        """Characters that wait."""
        return len(self._text) - self._at + len(self._paste)

    def next(self, flush: bool = False) -> Key | None:
        """The next key; ``None`` if there is none yet. ``flush``: what may be half a sequence counts too."""
        while True:
            if self._paste:
                return self._next_pasted()
            if self._at >= len(self._text):
                return None
            if found := _PLAIN.match(self._text, self._at):
                end = found.start() + 1 if self._single else found.end()
                self._single = False
                return self._took(end, "")
            if self._text[self._at] != "\x1b":
                end = self._at + 1
                if self._text.startswith("\r\n", self._at):
                    end += 1
                return self._took(end, _name(self._text[self._at]))
            if self._text.startswith(PASTE_BEGIN, self._at):
                if not self._open_paste():
                    return None
                continue
            if not flush and not self._eof and _BEGUN.match(self._text, self._at):
                return None
            if found := _SEQUENCE.match(self._text, self._at):
                key = self._took(found.end(), _name(found[0]))
                if key.name:
                    return key
                # A key that nobody knows is no key, and not the characters of its sequence either.
                continue
            return self._took(self._at + 1, Keys.Escape.value)

    def take_line(self, limit: int) -> str | None:
        """A whole line without any editing in it, if that is what waits next."""
        if self._paste:
            line, end, rest = self._paste.partition("\n")
            if end and len(line) <= limit:
                self._paste = rest
                return line
            return None
        if self._at < len(self._text) and self._text.startswith(PASTE_BEGIN, self._at):
            return self.take_line(limit) if self._open_paste() else None
        found = _LINE.match(self._text, self._at)
        if found is None or len(found[1]) > limit:
            return None
        self._at = found.end()
        self._single = False
        # Tabs before it are those of an indented block, and not keys.
        return found[1].replace("\t", " ")

    async def some(self) -> None:
        """Return when a key can be read. Raises ``EOFError`` at the end of input."""
        while not self._readable():
            if self._eof:
                raise EOFError
            begun = self._at < len(self._text) and not self._text.startswith(PASTE_BEGIN, self._at)
            if not await self._wait(ESCAPE_WAIT if begun else None):
                return

    async def get(self, timeout: float | None = None) -> Key | None:
        """The next key, or ``None`` after ``timeout`` seconds. Raises ``EOFError`` at the end of input."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            if (key := self.next()) is not None:
                return key
            if self._eof:
                raise EOFError
            begun = self._at < len(self._text) and not self._text.startswith(PASTE_BEGIN, self._at)
            left = None if end is None else max(0.0, end - loop.time())
            wait = ESCAPE_WAIT if begun and (left is None or left > ESCAPE_WAIT) else left
            if await self._wait(wait):
                continue
            if begun and wait == ESCAPE_WAIT:
                if (key := self.next(flush=True)) is not None:
                    return key
            elif left is not None:
                return None

    async def get_one(self, timeout: float | None = None) -> Key | None:
        """As :meth:`get`, but of text a single character."""
        self._single = True
        key = await self.get(timeout)
        if key is not None and key.literal and len(key.text) > 1:
            self._paste = key.text[1:] + self._paste
            return Key("", key.text[0], True)
        return key

    def interrupt_wait(self, error: Exception) -> bool:
        """Make who waits in :meth:`get` raise ``error``; false if nobody does."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_exception(error)
        return True

    async def pump(self, ready: Callable[[], Awaitable[None]], failed: Callable[[], None]) -> None:
        """Hand keys to prompt_toolkit for as long as the session lasts.

        ``ready`` is awaited before, because it answers each of them on the terminal; ``failed`` is
        told of mistakes.
        """
        while True:
            await self._changed.wait()
            self._changed.clear()
            while True:
                # A prompt that has just begun needs some turns to load its history.
                await asyncio.sleep(0)
                while self._fresh:
                    self._fresh -= 1
                    await asyncio.sleep(0)
                await ready()
                if (callback := self._callback) is None:
                    break
                try:
                    callback()
                except Exception:  # noqa: BLE001 - a mistake in the handler of a key is logged by ``failed``
                    failed()
                if not self._readable() or self.closed:
                    # Keys that come soon are answered together: drawing takes longer than a key.
                    await asyncio.sleep(REST)
                    break

    # What prompt_toolkit calls.

    def read_keys(self) -> list[KeyPress]:
        """At most ``SLICE`` keys, none after one that could end the line."""
        found: list[KeyPress] = []
        while len(found) < SLICE and (key := self.next()) is not None:
            found.append(_press(key))
            if key.name and key.name not in ("left", "right", "backspace", "c-h"):
                break
        return found

    def flush_keys(self) -> list[KeyPress]:
        """The Escape key, if that is what waits."""
        key = self.next(flush=True)
        return [] if key is None else [_press(key)]

    @property
    def closed(self) -> bool:
        """Nothing waits and nothing will come."""
        return self._eof and not self._readable()

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        """From now on ``input_ready_callback`` is called when keys wait."""
        return self._attached(input_ready_callback)

    def detach(self) -> AbstractContextManager[None]:
        """Nobody is called for a while."""
        return self._attached(None)

    def fileno(self) -> int:
        """There is none. Raises ``NotImplementedError``."""
        raise NotImplementedError("keys come from a connection, not from a file")

    def typeahead_hash(self) -> str:
        """Under what prompt_toolkit keeps keys between prompts: see :meth:`read_keys`, there are none."""
        return "appliance"

    def raw_mode(self) -> AbstractContextManager[None]:
        """The client's terminal is raw all the time."""
        return contextlib.nullcontext()

    def cooked_mode(self) -> AbstractContextManager[None]:
        """The client's terminal is raw all the time."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _attached(self, callback: Callable[[], None] | None) -> Iterator[None]:
        before, self._callback = self._callback, callback
        self._fresh = FRESH
        self._wake()
        try:
            yield
        finally:
            self._callback = before

    def _took(self, end: int, name: str) -> Key:
        text = self._text[self._at : end]
        self._at = end
        if name:
            self._single = name not in _COMPLETE
        return Key(name, text)

    def _next_pasted(self) -> Key:
        line, end, rest = self._paste.partition("\n")
        if line:
            self._paste = end + rest
            return Key("", line, True)
        self._paste = rest
        return Key(ENTER, "\r", True)

    def _open_paste(self) -> bool:
        """Go into the paste that begins here, if it has ended already."""
        begin = self._at + len(PASTE_BEGIN)
        end = self._text.find(PASTE_END, max(begin, self._searched - len(PASTE_END)))
        if end < 0:
            self._searched = len(self._text)
            return False
        content = self._text[begin:end].replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
        self._at = end + len(PASTE_END)
        self._searched = 0
        self._paste = re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", BAD, content)
        return True

    def _readable(self) -> bool:
        if self._paste:
            return True
        if self._at >= len(self._text):
            return False
        if self._text.startswith(PASTE_BEGIN, self._at):
            return self._open_paste()
        return self._eof or not _BEGUN.match(self._text, self._at)

    def _forget(self) -> None:
        self._text = self._paste = ""
        self._at = self._searched = 0
        self._single = False

    def _wake(self) -> None:
        self._changed.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, timeout: float | None) -> bool:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            return False
        finally:
            self._waiter = None
        return True


def _ignored() -> None:
    """What was typed after the end is nobody's."""


def _printable(found: re.Match[str]) -> str:
    text = found[0]
    return text if text.isprintable() else "".join(each if each.isprintable() else BAD for each in text)


def _name(typed: str) -> str:
    """The name of what is not text; ``?`` is one, because it asks for help. Empty: nobody knows it."""
    if typed == "\n":
        return ENTER
    known = ANSI_SEQUENCES.get(typed)
    if isinstance(known, tuple):
        # Alt with an arrow goes by words, as Control does.
        known = {Keys.Left: Keys.ControlLeft, Keys.Right: Keys.ControlRight}.get(known[-1])
    if known is None:
        return typed if len(typed) == 1 else ""
    return known.value


def _press(key: Key) -> KeyPress:
    if key.name:
        return KeyPress(key.name if len(key.name) == 1 else Keys(key.name), key.text)
    if len(key.text) == 1 and not key.literal:
        return KeyPress(key.text, key.text)
    return KeyPress(Keys.BracketedPaste, key.text)
