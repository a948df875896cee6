"""Finding accounting records by any of their attributes, page by page.

::

    Query(selection, matcher) ── next_page() on a thread ──▶ records, and whether there are more
         │ user, session, times: by the database
         └ attribute: by the AVPs of each record, also inside groups

A call looks at a bounded number of rows, so that a search that finds nothing can be given up at any time.
"""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define

from appliance.aaa.records import Place, Record, RecordReader, Selection
from appliance.protocols.diameter.message.codec import Malformed, spans
from appliance.protocols.diameter.message.definitions import AvpDef
from appliance.protocols.diameter.message.dictionary import Dictionary
from appliance.protocols.diameter.message.parsing import TextError, find, parse_value
from appliance.protocols.diameter.message.text import Texts

#: Rows looked at in one call.
ROWS = 512
#: Types whose values look like one thing only: what does not is a mistake, and would find nothing.
_STRICT = frozenset(
    (
        "Unsigned32",
        "Unsigned64",
        "Integer32",
        "Integer64",
        "Float32",
        "Float64",
        "Enumerated",
        "Address",
        "Time",
    )
)
#: Levels of groups that an attribute is looked for in.
DEPTH = 4

Matcher = Callable[[Record], bool]


@define(slots=True)
class Attribute:
    """A condition on one attribute."""

    name: str
    value: str
    expression: Any = None
    """Compiled regular expression (RE2) that a part of it has to fit; ``None``: the whole is ``value``."""


def matcher(wanted: Attribute, dictionary: Dictionary) -> Matcher:
    """What tells whether a record fits. Raises TextError for an attribute or a value that there is not."""
    avp = find(dictionary, wanted.name)
    if avp is None:
        key = _unknown(wanted.name)
        definition = AvpDef(wanted.name, key & 0xFFFFFFFF, key >> 32, dictionary["Class"].type, None)
        return _by_text(key, definition, wanted, Texts(dictionary), dictionary)
    if wanted.expression is None:
        try:
            data = parse_value(wanted.value, avp, dictionary)
        except TextError as error:
            if avp.type.name in _STRICT and not wanted.value.startswith("raw "):
                raise TextError(f"attribute {avp.name}: {error}") from error
            # Not how its values look; as text it may be meant all the same.
            return _by_text(avp.key, avp, wanted, Texts(dictionary), dictionary)
        return _by_data(avp.key, data, dictionary)
    return _by_text(avp.key, avp, wanted, Texts(dictionary), dictionary)


def _unknown(name: str) -> int:
    """The key of an attribute that is named by its code. Raises TextError."""
    code, _, vendor = name.upper().removeprefix("AVP-").partition(".")
    if not name.upper().startswith("AVP-") or not code.isdecimal() or not (vendor or "0").isdecimal():
        raise TextError(f"no AVP is named '{name}'")
    return int(vendor or 0) << 32 | int(code)


def _by_data(key: int, data: bytes, dictionary: Dictionary) -> Matcher:
    return lambda record: any(each == data for each in _datas(record.raw, key, dictionary, DEPTH))


def _by_text(key: int, avp: AvpDef, wanted: Attribute, texts: Texts, dictionary: Dictionary) -> Matcher:
    expression = wanted.expression

    def fits(record: Record) -> bool:
        for data in _datas(record.raw, key, dictionary, DEPTH):
            text = texts.value(avp, data)
            bare = text[1:-1] if text[:1] == '"' else text
            if expression is None:
                if wanted.value in (text, bare):
                    return True
            elif expression.search(bare) is not None:
                return True
        return False

    return fits


def _datas(data: bytes, key: int, dictionary: Dictionary, depth: int) -> Iterator[bytes]:
    """Data of all AVPs with a key, also those in groups."""
    try:
        found = spans(data, 0, len(data))
    except Malformed:
        return
    for here, _, start, stop in found:
        if here == key:
            yield data[start:stop]
        if depth:
            avp = dictionary.by_code.get((here & 0xFFFFFFFF, here >> 32))
            if avp is not None and avp.grouped:
                yield from _datas(data[start:stop], key, dictionary, depth - 1)


class Query:
    """One search; its calls block, and are made on one thread at a time."""

    def __init__(
        self,
        reader: RecordReader,
        selection: Selection,
        fits: Matcher | None = None,
        newest: int = 0,
        limit: int = ROWS,
    ) -> None:
        """``newest``: only so many, the newest first; ``limit``: rows that are looked at for one page."""
        self.more = True
        """Whether there may be another page."""
        self._reader = reader
        self._selection = selection
        self._fits = fits
        self._left = newest
        self._backwards = newest > 0
        self._behind: Place | None = None
        self._limit = limit

    def next_page(self) -> list[Record]:
        """The next records, none now and then. Raises StoreError."""
        rows = self._reader.page(self._selection, self._behind, self._limit, self._backwards)
        self.more = len(rows) == self._limit
        if rows:
            last = rows[-1]
            assert last.id is not None
            self._behind = Place(last.received, last.id)
        fits = self._fits
        found = rows if fits is None else [row for row in rows if fits(row)]
        if self._backwards:
            found = found[: self._left]
            self._left -= len(found)
            self.more = self.more and self._left > 0
        return found


class OpenSessions:
    """The newest record of each session that has not ended, page by page."""

    def __init__(self, reader: RecordReader, selection: Selection, limit: int) -> None:
        self.more = True
        self._reader = reader
        self._selection = selection
        self._limit = limit
        self._behind: Place | None = None

    def next_page(self) -> list[Record]:
        """The next ones. Raises StoreError."""
        starts = self._reader.open_sessions(self._selection, self._behind, self._limit)
        self.more = len(starts) == self._limit
        if starts:
            assert starts[-1].id is not None
            self._behind = Place(starts[-1].received, starts[-1].id)
        return [self._reader.newest(each.session, each.sub, each.host) or each for each in starts]
