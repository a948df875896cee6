"""A terminal just good enough to see what a session draws: text, cursor, erasing, no colours."""

import re

_PARTS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n\b\x07])|([^\x1b\r\n\b\x07]+)")


class Screen:
    """Rows that are never scrolled away, folded at ``columns``."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.y = self.x = 0
        self.bells = 0
        self.modes: set[str] = set()

    def feed(self, data: bytes) -> None:
        """Take octets."""
        text = data.decode()
        at = 0
        while at < len(text):
            found = _PARTS.match(text, at)
            assert found, f"the model does not know {text[at : at + 20]!r}"
            at = found.end()
            if found[4]:
                for character in found[4]:
                    self._put(character)
            elif found[3]:
                self._control(found[3])
            else:
                self._sequence(found[1], found[2])

    def _row(self) -> list[str]:
        while len(self.rows) <= self.y:
            self.rows.append([])
        row = self.rows[self.y]
        row.extend(" " * (self.x - len(row)))
        return row

    def _put(self, character: str) -> None:
        if self.x >= self.columns:
            self.x = 0
            self.y += 1
        row = self._row()
        row[self.x : self.x + 1] = [character]
        self.x += 1

    def _control(self, character: str) -> None:
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.y += 1
        elif character == "\b":
            self.x = max(0, self.x - 1)
        else:
            self.bells += 1

    def _sequence(self, arguments: str, final: str) -> None:
        number = int(arguments) if arguments.isdigit() else 1
        if final in "hl":
            (self.modes.add if final == "h" else self.modes.discard)(arguments)
        elif final == "A":
            self.y = max(0, self.y - number)
        elif final == "B":
            self.y += number
        elif final == "C":
            self.x += number
        elif final == "D":
            self.x = max(0, self.x - number)
        elif final in "JK":
            del self._row()[self.x :]
            if final == "J":
                del self.rows[self.y + 1 :]
        elif final == "H":
            self.x = self.y = 0
        else:
            assert final == "m", final

    def text(self) -> list[str]:
        """The rows, without blanks and empty rows at the end."""
        rows = ["".join(row).rstrip() for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows
