"""Messages that are laid out as others before them: the same AVPs in the same order, with the same lengths.

::

    octets:   header | code flags length | data | code flags length | data | ...
    layout:            └───── word ──────┘        └───── word ──────┘

A peer sends the same few layouts over and over. All words of a message are read at once and compared with
those of a message that was good; when they are the same, only the data are left to be tested, and the index
is known. Messages of one layout share it: nobody may change the index of a message.
"""

import struct
from typing import Any, NamedTuple

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Index, spans
from appliance.protocols.diameter.message.grammar import Grammar, Test

#: Layouts of one kind of message, of one length, and AVPs in a layout, at most.
MOST_LAYOUTS, MOST_OF_A_LENGTH, MOST_AVPS = 512, 4, 64
#: Only every so many messages that are new teach their layout: a peer whose messages all differ costs little.
TEACHES = 8
#: Auth- and Acct-Application-Id: their values belong to the layout.
_APPLICATIONS = (258, 259)


class _Layout(NamedTuple):
    words: tuple[int, ...]
    read: Any
    """Reads the words of a message."""
    tests: tuple[tuple[Test, int, int], ...]
    places: Index


class Layouts:
    """The layouts of good messages with one header."""

    __slots__ = ("_grammar", "_known", "_count", "_new")

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._known: dict[int, list[_Layout]] = {}
        self._count = 0
        self._new = 0

    def find(self, data: bytes) -> Index | None:
        """The index of a message that is laid out as a known one and good; ``None``: look at it."""
        for layout in self._known.get(len(data), ()):
            words, read, tests, index = layout
            if read(data, HEADER_SIZE) == words:
                for test, start, stop in tests:
                    if not test(data, start, stop):
                        return None
                return index
        return None

    def learn(self, data: bytes, index: Index) -> None:
        """Remember the layout of a message that was found good, now and then."""
        self._new += 1
        if self._new % TEACHES != 1:
            return
        known = self._known.get(len(data), [])
        made = self._layout(data, index)
        if made is None or len(known) >= MOST_OF_A_LENGTH:
            return
        if self._count >= MOST_LAYOUTS:
            self._known.clear()
            self._count, known = 0, []
        self._known[len(data)] = [*known, made]
        self._count += 1

    def _layout(self, data: bytes, index: Index) -> _Layout | None:
        """The layout of a message; ``None`` for one with groups, whose inside would have to be looked at."""
        found = spans(data, HEADER_SIZE, len(data))
        if len(found) > MOST_AVPS:
            return None
        form, tests = "!", []
        place = HEADER_SIZE
        for key, flags, start, stop in found:
            spec = self._grammar.known[key << 8 | flags]
            if spec is None or spec[1] < 0:
                return None
            if spec[2] is not None:
                tests.append((spec[2], start, stop))
            end = min(stop + 3 & -4, len(data))
            if key in _APPLICATIONS:
                form += "III"
            else:
                form += f"II{'I' if start - place == 12 else ''}{end - start}x"
            place = end
        read = struct.Struct(form).unpack_from
        return _Layout(read(data, HEADER_SIZE), read, tuple(tests), index)
