"""A line read without moving the cursor: answers to questions, and the prompt of simple terminals.

Backspace, ^U and ^W take back; everything else of an editor needs a better terminal.
"""

from collections.abc import Callable

from prompt_toolkit.utils import get_cwidth

from appliance.cli.face import Interrupted
from appliance.cli.keys import ENTER, Key, KeyQueue
from appliance.cli.screen import Screen

Special = Callable[["PlainLine", Key], str | None]
"""What a key beyond the editing does: a text ends the line with it, empty: it goes on; ``None``: nothing."""


class PlainLine:
    """One line. It is shown while it is read, and can go out of the way of a notice."""

    def __init__(self, screen: Screen, keys: KeyQueue, prompt: str, limit: int) -> None:
        self.text = ""
        self.overlong = False
        """More was typed than ``limit`` characters; it is not in the text."""
        self._screen = screen
        self._keys = keys
        self._prompt = prompt
        self._limit = limit

    async def read(self, special: Special | None = None) -> str:
        """The line. Raises :class:`Interrupted` for ^C, ``EOFError`` for ^D and the end of input."""
        self.show()
        while True:
            key = await self._keys.get()
            await self._screen.ready()
            if key is None:
                continue
            if key.name == ENTER:
                self._screen.line("")
                return self.text
            if key.name == "c-c":
                self._screen.line("^C")
                raise Interrupted
            answer = special(self, key) if special else None
            if answer:
                self._screen.line("")
                return answer
            if answer is None:
                self.press(key)

    def press(self, key: Key) -> None:
        """Edit as a key says."""
        if key.name in ("", "?"):
            self.insert(key.text)
        elif key.name in ("c-h", "delete"):
            self.erase(1)
        elif key.name == "c-u":
            self.erase(len(self.text))
        elif key.name == "c-w":
            kept = self.text.rstrip()
            self.erase(len(self.text) - len(kept[: kept.rfind(" ") + 1]))
        elif key.name == "c-d" and not self.text:
            self._screen.line("")
            raise EOFError
        elif key.name == "c-l":
            self._screen.line("")
            self.show()
        else:
            self._screen.bell()

    def insert(self, text: str) -> None:
        """Add to the line."""
        if len(self.text) + len(text) > self._limit:
            self.overlong = True
            self._screen.bell()
            return
        self.text += text
        self._screen.write(text)

    def erase(self, count: int) -> None:
        """Take characters away from the end."""
        if not self.text or not count:
            return
        gone = get_cwidth(self.text[-count:])
        self.text = self.text[:-count]
        self.overlong = self.overlong and bool(self.text)
        self._screen.write("\b" * gone + " " * gone + "\b" * gone)

    def show(self) -> None:
        """Write prompt and text."""
        self._screen.write(self._prompt + self.text)

    def hide(self) -> None:
        """Leave the row to something else; to be shown again after it."""
        self._screen.line("")
