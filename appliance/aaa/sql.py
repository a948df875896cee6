"""What the databases of accounting records have in common: conditions and pages in SQL."""

from collections.abc import Callable
from typing import Any, NamedTuple

from appliance.aaa.records import COLUMNS, NO_SUB_SESSION, START, STOP, Place, Selection
from appliance.wildcards import is_wild

#: ``user`` is a word of SQL: all names are quoted.
NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
#: A session is open as long as neither it nor the session as a whole has a STOP.
OPEN = (
    f"type = {START} AND "
    f"NOT EXISTS (SELECT 1 FROM record AS stop WHERE stop.session = record.session "
    f"AND stop.host = record.host AND stop.type = {STOP} "
    f"AND (stop.sub = record.sub OR stop.sub = {NO_SUB_SESSION}) AND stop.again >= record.again)"
)


class Dialect(NamedTuple):
    """How one database wants it."""

    mark: str
    """Stands for a value."""
    like: str
    """Compares with a pattern, with case."""
    pattern: Callable[[str], str]
    """A user name with our wildcards as its pattern."""


def conditions(wanted: Selection, dialect: Dialect) -> tuple[list[str], list[Any]]:
    """Conditions of a selection, with their values."""
    where: list[str] = []
    values: list[Any] = []
    mark = dialect.mark
    if wanted.user:
        wild = is_wild(wanted.user)
        where.append(f'"user" {dialect.like if wild else "="} {mark}')
        values.append(dialect.pattern(wanted.user) if wild else str(wanted.user))
    for column, value, operator in (
        ("session", wanted.session or None, "="),
        ("received", wanted.after, ">="),
        ("received", wanted.before, "<"),
    ):
        if value is not None:
            where.append(f"{column} {operator} {mark}")
            values.append(value)
    if wanted.types:
        where.append(f"type IN ({', '.join([mark] * len(wanted.types))})")
        values.extend(wanted.types)
    return where, values


def where_clause(where: list[str]) -> str:
    """``WHERE`` with all conditions; empty for none."""
    return f"WHERE {' AND '.join(where)} " if where else ""


def page(
    wanted: Selection,
    dialect: Dialect,
    behind: Place | None,
    limit: int,
    backwards: bool = False,
    more: tuple[str, ...] = (),
) -> tuple[str, list[Any]]:
    """The statement for the records behind a place, in the order of reception, with its values."""
    where, values = conditions(wanted, dialect)
    where.extend(more)
    if behind is not None:
        where.append(f"(received, id) {'<' if backwards else '>'} ({dialect.mark}, {dialect.mark})")
        values.extend(behind)
    order = "received DESC, id DESC" if backwards else "received, id"
    statement = f"SELECT {NAMES} FROM record {where_clause(where)}ORDER BY {order} LIMIT {dialect.mark}"
    return statement, [*values, limit]


def newest(dialect: Dialect) -> str:
    """The statement for the newest record of a session and sub-session."""
    mark = dialect.mark
    return (
        f"SELECT {NAMES} FROM record WHERE session = {mark} AND sub = {mark} AND host = {mark} "
        "ORDER BY again DESC, number DESC, type DESC LIMIT 1"
    )
