"""Regular expressions in linear time: an operator's expression must not stop the process that serves mobiles.

Python's own matcher tries one way after the other: ``.*.*.*x`` takes a second on a line of 200 characters.
Here all ways are followed at once, and where they have led is remembered::

    expression ─▶ positions (one for each character class) ─▶ sets of positions ─▶ states, made when first met

Known are ``. [...] ( | ) * + ? {m,n} ^ $``, ``\\d \\s \\w`` and their opposites, and ``\\`` before anything
that is neither letter nor digit. Look-ahead, back references and the like are not.
"""

import re
from collections.abc import Callable

from attrs import frozen

from appliance.cli.values import CommandError

LIMIT = 256
"""Positions of an expression, after ``{m,n}`` was written out."""
WORK = 4000
"""Atoms that are read, again for each repetition: ``((){9}){9}`` has no positions and takes time, too."""
STATES = 1000
"""States, and characters for each of them, that are remembered; then it is begun anew."""
#: Stand before and after the text, for ``^`` and ``$``; no other part of an expression matches them.
BEGIN, END = "<begin>", "<end>"

_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_COUNTS = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")
_CLASS = re.compile(r"\[(\^?)(\]?(?:\\.|[^\]\\])*)\]")


@frozen
class _Part:
    """A part of an expression: whether it matches nothing too, and the positions (as bits) at its ends."""

    empty: bool
    first: int
    last: int


_NOTHING = _Part(True, 0, 0)


class _State:
    """A set of positions that the text can have led to, and what follows by each character."""

    __slots__ = ("positions", "following", "found")

    def __init__(self, positions: int, found: bool) -> None:
        self.positions = positions
        self.following: dict[str, _State] = {}
        self.found = found


class Expression:
    """A compiled expression. Raises :class:`CommandError` when it is none, or too long."""

    def __init__(self, pattern: str, ignore_case: bool = False) -> None:
        self._pattern = pattern
        self._flags = re.IGNORECASE if ignore_case else 0
        self._at = 0
        self._work = 0
        self._matches: list[Callable[[str], bool]] = []
        self._follow: list[int] = []
        self._whole = self._alternatives()
        if self._at < len(pattern):
            raise self._fault("a ) closes that was not opened")
        self._masks: dict[str, int] = {}
        self._states: dict[int, _State] = {}
        self._start = self._state(0)

    def search(self, text: str) -> bool:
        """Whether some part of the text matches."""
        state = self._start
        if state.found:
            return True
        for character in (BEGIN, *text, END):
            after = state.following.get(character)
            if after is None:
                after = self._step(state, character)
            if after.found:
                return True
            state = after
        return False

    # ---- matching

    def _state(self, positions: int) -> _State:
        state = self._states.get(positions)
        if state is None:
            if len(self._states) >= STATES:
                # They know each other: without this they would stay as long as one of them does.
                for old in self._states.values():
                    old.following.clear()
                self._states.clear()
            found = self._whole.empty or bool(positions & self._whole.last)
            state = self._states[positions] = _State(positions, found)
        return state

    def _step(self, state: _State, character: str) -> _State:
        mask = self._masks.get(character)
        if mask is None:
            if len(self._masks) >= STATES:
                self._masks.clear()
            fitting = (1 << at for at, matches in enumerate(self._matches) if matches(character))
            mask = self._masks[character] = sum(fitting)
        # A match may begin anywhere.
        reached = self._whole.first
        left = state.positions
        while left:
            lowest = left & -left
            reached |= self._follow[lowest.bit_length() - 1]
            left ^= lowest
        after = self._state(reached & mask)
        if len(state.following) >= STATES:
            state.following.clear()
        state.following[character] = after
        return after

    # ---- reading

    def _fault(self, text: str) -> CommandError:
        return CommandError(f"grep: '{self._pattern}' is no regular expression that is known here: {text}")

    def _is_next(self, signs: str) -> bool:
        return self._at < len(self._pattern) and self._pattern[self._at] in signs

    def _alternatives(self) -> _Part:
        part = self._sequence()
        while self._is_next("|"):
            self._at += 1
            other = self._sequence()
            part = _Part(part.empty or other.empty, part.first | other.first, part.last | other.last)
        return part

    def _sequence(self) -> _Part:
        part = _NOTHING
        while self._at < len(self._pattern) and not self._is_next("|)"):
            part = self._joined(part, self._repeated())
        return part

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        return _Part(
            one.empty and other.empty,
            one.first | (other.first if one.empty else 0),
            other.last | (one.last if other.empty else 0),
        )

    def _link(self, last: int, first: int) -> None:
        for at in range(len(self._follow)):
            if last >> at & 1:
                self._follow[at] |= first

    def _repeated(self) -> _Part:
        begin = self._at
        part = self._atom()
        low, high = self._counts()
        if self._is_next("*+?{"):
            raise self._fault("one repetition follows another")
        end = self._at
        whole = _NOTHING
        for number in range(max(low, 1 if high is None else high)):
            if number:
                # Each repetition has positions of its own: it is read again.
                self._at = begin
                part = self._atom()
            whole = self._joined(whole, part if number < low else _Part(True, part.first, part.last))
        if high is None:
            self._link(part.last, part.first)
        self._at = end
        return whole

    def _counts(self) -> tuple[int, int | None]:
        """How often the atom before may stand: at least and (``None``: without a limit) at most."""
        sign = self._pattern[self._at : self._at + 1]
        if sign != "{":
            counts = _SIGNS.get(sign)
            self._at += counts is not None
            return counts or (1, 1)
        found = _COUNTS.match(self._pattern, self._at)
        if found is None:
            raise self._fault("{ begins no {m}, {m,} or {m,n}")
        self._at = found.end()
        low = int(found[1])
        high = low if not found[2] else None if found[3] is None else int(found[3])
        if high is not None and high < low:
            raise self._fault("a repetition ends before it begins")
        return low, high

    def _atom(self) -> _Part:
        sign = self._pattern[self._at]
        self._at += 1
        self._work += 1
        if self._work > WORK:
            raise self._fault("it is too long")
        if sign == "(":
            return self._group()
        if sign in "*+?{":
            raise self._fault("there is nothing to repeat")
        if sign in "^$":
            edge = BEGIN if sign == "^" else END
            return self._position(lambda character: character == edge)
        try:
            matches = re.compile(self._one(sign), self._flags | re.DOTALL).fullmatch
        except re.error as error:
            raise self._fault(str(error)) from None
        return self._position(lambda character: len(character) == 1 and matches(character) is not None)

    def _one(self, sign: str) -> str:
        """The expression of a single character that begins with ``sign``."""
        if sign == "[":
            found = _CLASS.match(self._pattern, self._at - 1)
            if found is None:
                raise self._fault("a ] is missing")
            self._at = found.end()
            # In a later Python these four may mean something in there.
            inside = re.sub(r"(\\.)|([\[&~|])", lambda one: one[1] or f"\\{one[2]}", found[2])
            return f"[{found[1]}{inside}]"
        if sign == "\\":
            escaped = self._pattern[self._at : self._at + 1]
            self._at += 1
            if not escaped or (escaped.isalnum() and escaped not in "dDsSwW"):
                raise self._fault(f"\\{escaped} is not known")
            return f"\\{escaped}"
        return sign if sign == "." else re.escape(sign)

    def _group(self) -> _Part:
        if self._is_next("?"):
            raise self._fault("(? is not known")
        part = self._alternatives()
        if not self._is_next(")"):
            raise self._fault("a ) is missing")
        self._at += 1
        return part

    def _position(self, matches: Callable[[str], bool]) -> _Part:
        if len(self._matches) >= LIMIT:
            raise self._fault("it is too long")
        self._matches.append(matches)
        self._follow.append(0)
        bit = 1 << (len(self._matches) - 1)
        return _Part(False, bit, bit)
