"""Records out of ACRs that are laid out as others before them, in one step.

::

    octets ──two unpack calls of the layout──▶ texts, numbers ──▶ Record
                                          └──▶ AVPs that the answer says again

Messages of one layout share their index (``diameter/message/layouts.py``): an index that is seen
a second time gets a plan. Everything else goes the long way of :func:`.accounting.record_of`, which gives the
same.
"""

import struct
from operator import itemgetter
from typing import Any, NamedTuple

from appliance.aaa.records import LONGEST_TEXT, MOST, NO_SUB_SESSION, Record, counter, signed
from appliance.protocols.diameter.message.codec import HEADER_SIZE, Index, Message
from appliance.protocols.diameter.message.types import EPOCH

#: Indexes that are remembered at one time.
MOST_PLANS = 1_024
_WORD = struct.Struct("!I").unpack_from


class Fields(NamedTuple):
    """Keys of the AVPs of a record, by kind, in the order in which they are asked for."""

    texts: tuple[int, ...]
    words: tuple[int, ...]
    longs: tuple[int, ...]
    echoed: tuple[int, ...]
    """Session-Id first."""
    never: int
    """A message with this AVP has no plan."""


class Plan(NamedTuple):
    """How to read the messages of one layout."""

    read: Any
    """Gives all fields, in the order of the octets."""
    order: Any
    """Puts them in the order of the keys."""
    echo: Any
    """Gives the AVPs that are said again, in the order of the octets."""

    def record(
        self, data: bytes, body: bytes, received: int, end_to_end: int, application: int
    ) -> Record | None:
        """The record of a message of this layout; ``None``: it has to go the long way."""
        (
            session, host, realm, user, multi,
            type_, number, duration, cause, event,
            octets_in, octets_out, packets_in, packets_out, sub,
        ) = self.order((*self.read(data, HEADER_SIZE), b"", None))  # fmt: skip
        try:
            texts = session.decode(), host.decode(), realm.decode(), user.decode(), multi.decode()
        except UnicodeDecodeError:
            return None
        for each in (octets_in, octets_out, packets_in, packets_out):
            if each is not None and each > MOST:
                octets_in, octets_out, packets_in, packets_out = map(
                    counter, (octets_in, octets_out, packets_in, packets_out)
                )
                break
        return Record(
            None,
            received,
            end_to_end,
            texts[1],
            texts[2],
            texts[0],
            NO_SUB_SESSION if sub is None else signed(sub),
            number,
            type_,
            texts[3],
            None if event is None else event - EPOCH + (0 if event >> 31 else 1 << 32),
            duration,
            octets_in,
            octets_out,
            packets_in,
            packets_out,
            cause,
            texts[4],
            application,
            body,
        )


class RecordLayouts:
    """The plans that are known."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._plans: dict[int, tuple[Index, Plan | None]] = {}

    def find(self, message: Message) -> Plan | None:
        """The plan for a message, if its index was seen before."""
        index = message.walk()
        known = self._plans.get(id(index))
        if known is None or known[0] is not index:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            # The index is kept, so that no other one can have its number.
            self._plans[id(index)] = index, None
            return None
        plan = known[1]
        if plan is None:
            plan = self._plan(message.data, index)
            self._plans[id(index)] = index, plan
        return plan

    def _plan(self, data: bytes, index: Index) -> Plan | None:
        fields = self._fields
        parts: list[tuple[int, str, int]] = []
        for key in fields.texts:
            place = index.get(key)
            if isinstance(place, int):
                size = (_WORD(data, place + 4)[0] & 0xFFFFFF) - 8
                if size > LONGEST_TEXT:
                    return None
                parts.append((place, f"{size}s", key))
            elif place is not None:
                return None
        for keys, form in ((fields.words, "I"), (fields.longs, "Q")):
            for key in keys:
                place = index.get(key)
                if isinstance(place, int):
                    parts.append((place, form, key))
                elif place is not None:
                    return None
        first, *others = (index.get(key) for key in fields.echoed)
        if not isinstance(first, int) or fields.never in index:
            return None
        if any(not isinstance(each, int) or each < first for each in others if each is not None):
            return None
        if not all(key in index for key in (fields.texts[0], fields.words[0], fields.words[1])):
            return None
        parts.sort()
        return Plan(self._reader(parts), self._order(parts), self._echo(data, index))

    def _reader(self, parts: list[tuple[int, str, int]]) -> Any:
        form, at = "!", HEADER_SIZE
        for place, kind, _ in parts:
            form += f"{place + 8 - at}x{kind}"
            at = place + 8 + struct.calcsize("!" + kind)
        return struct.Struct(form).unpack_from

    def _order(self, parts: list[tuple[int, str, int]]) -> Any:
        """What is not there is taken from the two values behind: an empty text, and nothing."""
        where = {key: number for number, (_, _, key) in enumerate(parts)}
        fields, count = self._fields, len(parts)
        texts = [where.get(key, count) for key in fields.texts]
        numbers = [where.get(key, count + 1) for key in (*fields.words, *fields.longs)]
        return itemgetter(*texts, *numbers)

    def _echo(self, data: bytes, index: Index) -> Any:
        form, at = "!", HEADER_SIZE
        places = [index.get(key) for key in self._fields.echoed]
        for place in sorted(place for place in places if isinstance(place, int)):
            size = (_WORD(data, place + 4)[0] & 0xFFFFFF) + 3 & ~3
            form += f"{place - at}x{size}s"
            at = place + size
        return struct.Struct(form).unpack_from
