"""Screens of accounting records and of what they sum up to, and their lines in exported files.

Records come in pages from a database (:mod:`appliance.cli.waiting`): a page is fetched when the one before
was read, and nothing is kept but the totals. Text and data of a record say the same everywhere.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import asdict, define

from appliance.cli import ours
from appliance.cli.render import STEP
from appliance.cli.render_diameter import moment
from appliance.cli.values import visible
from appliance.cli.waiting import pause
from appliance.ports_aaa import RecordView, UsageView

#: Columns of an exported table, and what they are of a view; with ``full`` one more, for all attributes.
COLUMNS = {
    "server": "server", "received": "received", "end_to_end": "end_to_end", "origin_host": "origin",
    "username": "user", "session_id": "session_id", "type": "kind", "number": "number", "seconds": "seconds",
    "octets_in": "octets_in", "octets_out": "octets_out", "packets_in": "packets_in",
    "packets_out": "packets_out", "cause": "cause",
}  # fmt: skip
#: How files begin that an export may replace: those of an export.
CSV_HEAD, JSON_HEAD = "server,received,", '{"server": '
#: With these a spreadsheet takes a text for a formula; a user's name comes from a stranger.
FORMULA = ("=", "+", "-", "@", "\t")
_json = json.JSONEncoder(ensure_ascii=False).encode


def record_data(view: RecordView, full: bool) -> dict[str, Any]:
    """All fields of a record; its time in UTC, its End-to-End Id as it is shown, attributes if ``full``.

    An attribute that it has several times becomes a list.
    """
    data: dict[str, Any] = {key: getattr(view, name) for key, name in COLUMNS.items()}
    data["received"] = moment(view.received, 3)
    data["end_to_end"] = f"0x{view.end_to_end:08x}"
    if full:
        found: dict[str, list[str]] = {}
        for name, text in view.attributes:
            found.setdefault(name, []).append(text)
        data["attributes"] = {name: texts if len(texts) > 1 else texts[0] for name, texts in found.items()}
    return data


@define(slots=True)
class RecordScreen:
    """Accounting records: a line each, or all their attributes if ``full``."""

    records: Iterable[Any]
    """Records, and what has to be waited for."""
    full: bool = False
    noun: str = "Records"

    def lines(self, width: int) -> Iterator[Any]:
        """Yield the records, then how many there were."""
        count = 0
        for view in self.records:
            if pause(view):
                yield view
                continue
            if self.full:
                if count:
                    yield ""
                yield from _block(view)
            else:
                if not count:
                    yield ours.RECORD_LINE(*ours.RECORD_HEADINGS)
                    yield ours.RECORD_LINE(*("-" * dashes for dashes in ours.RECORD_DASHES))
                yield _row(view)
            count += 1
        if not count:
            yield ours.NO_RECORDS
            return
        yield ""
        yield f"Total {self.noun}: {count}"

    def data(self) -> Iterator[Any]:
        """Yield an object for each record."""
        for view in self.records:
            yield view if pause(view) else record_data(view, self.full)


def _row(view: RecordView) -> str:
    return ours.RECORD_LINE(
        moment(view.received)[:19], view.server, view.kind, view.number, visible(view.user) or "-",
        view.seconds, view.octets_in, view.octets_out, view.session_id,
    )  # fmt: skip


def _block(view: RecordView) -> Iterator[str]:
    """The record as the daily log has it, an attribute a line: each of them can be typed as a filter."""
    yield f"{moment(view.received, 3)}  0x{view.end_to_end:08x}  {view.server}"
    for name, text in view.attributes:
        yield f"{' ' * STEP}{name} = {text}"


@define(slots=True)
class UsageScreen:
    """Totals by day and user, and their sums."""

    usage: Iterable[Any]

    def lines(self, width: int) -> Iterator[Any]:
        """Yield a line for each, then the sums."""
        sums = [0, 0, 0, 0]
        count = 0
        for view in self.usage:
            if pause(view):
                yield view
                continue
            if not count:
                yield ours.USAGE_LINE(*ours.USAGE_HEADINGS)
                yield ours.USAGE_LINE(*("-" * dashes for dashes in ours.USAGE_DASHES))
            count += 1
            numbers = _numbers(view)
            sums = [mine + more for mine, more in zip(sums, numbers, strict=True)]
            yield ours.USAGE_LINE(view.day, view.server, visible(view.user) or "-", *numbers)
        if not count:
            yield ours.NO_RECORDS
            return
        yield ""
        yield ours.USAGE_LINE("Total", "", "", *sums)

    def data(self) -> dict[str, Any]:
        """Return an object of the totals and, complete when it is their turn, the sums."""
        sums: dict[str, int] = dict.fromkeys(("sessions", "seconds", "octets_in", "octets_out"), 0)
        return {"usage": self._each(sums), "totals": sums}

    def _each(self, sums: dict[str, int]) -> Iterator[Any]:
        for view in self.usage:
            if pause(view):
                yield view
                continue
            for name, number in zip(sums, _numbers(view), strict=True):
                sums[name] += number
            found = asdict(view)
            yield {"username" if name == "user" else name: value for name, value in found.items()}


def _numbers(view: UsageView) -> tuple[int, int, int, int]:
    return view.sessions, view.seconds, view.octets_in, view.octets_out


# ---- files


def json_line(view: RecordView) -> str:
    """A record as one line of JSON, with all attributes."""
    return _json(record_data(view, full=True))


def csv_lines(full: bool) -> tuple[str, Callable[[RecordView], str]]:
    """The head of a table of records, and what makes a line of a record."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="")

    def row(cells: Iterable[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_cell(each) for each in cells])
        return buffer.getvalue()

    def line(view: RecordView) -> str:
        data = record_data(view, full)
        if full:
            data["attributes"] = _json(data["attributes"])
        return row(data.values())

    return row([*COLUMNS, *(["attributes"] if full else [])]), line


def _cell(value: Any) -> Any:
    """A cell that is a text, and no more than a text, for a spreadsheet too."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA) else text
