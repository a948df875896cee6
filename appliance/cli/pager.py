"""When long output stops: after each page, until a key says how to go on. No terminal in here."""

from prompt_toolkit.utils import get_cwidth

from appliance.cli.face import Interrupted

MORE = "--More--"
NEXT_LINE = ("c-m", "down")
NO_MORE = ("q", "Q", "c-d")


def rows(text: str, columns: int) -> int:
    """Rows of a terminal that is ``columns`` wide (0: endless) which a line takes when it is folded."""
    width = len(text) if text.isascii() else get_cwidth(text)
    return max(1, -(-width // columns)) if columns else 1


class Pager:
    """Counts the rows of one command's output. A page has ``length`` rows, the last for the question."""

    def __init__(self) -> None:
        self._left = -1

    def begin(self) -> None:
        """A new page begins with the next line."""
        self._left = -1

    def stops(self, count: int, length: int) -> bool:
        """Whether to ask before ``count`` more rows; ``length`` 0 never stops."""
        page = max(1, length - 1)
        if not length or self._left < 0:
            self._left = page
        # One line that is longer than a page does not stop before itself.
        return bool(length) and count > self._left and self._left < page

    def printed(self, count: int) -> None:
        """So many rows were written."""
        self._left = max(0, self._left - count)

    def answer(self, key: str, count: int, length: int) -> bool:
        """Go on as a key says (its name, or the character): false if it says nothing.

        Space gives a page, Enter the line of ``count`` rows. Raises :class:`Interrupted` when no
        more is wanted.
        """
        if key == " ":
            self._left = max(1, length - 1)
        elif key in NEXT_LINE:
            self._left = count
        elif key in NO_MORE:
            raise Interrupted
        else:
            return False
        return True
