"""From what a handler returned to lines, one by one: text, or one JSON document.

Nothing is computed before it is asked for, so that a list of a million sessions needs no memory
and stops nobody. ``None`` among the lines means "nothing to print yet, let others run", a
:class:`~appliance.cli.waiting.Waiting` that it has to be awaited.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from appliance.cli.waiting import Waiting, pause

Lines = Iterator[str | None | Waiting]
INDENT = 2
#: For what streams: an element a line. Indented ones take four times as long, and leave cycles whose
#: collection stops the loop for a tenth of a second now and then.
_compact = json.JSONEncoder(ensure_ascii=False).encode


def text_lines(result: Any, width: int) -> Lines:
    """The lines of a screen (``lines(width)``), of an iterable of lines, or of ``None``."""
    if result is None:
        return iter(())
    return iter(result.lines(width) if hasattr(result, "lines") else result)


def json_lines(result: Any) -> Lines:
    """One JSON document of a screen's ``data()``, or of the lines themselves.

    A generator becomes an array, written element by element; also one that is a value of an object.
    """
    data = result.data() if hasattr(result, "data") else iter(result or ())
    return _value(data, "", "")


def _value(data: Any, before: str, after: str) -> Lines:
    """The lines of one value; ``before`` stands before its first line, ``after`` behind its last."""
    if isinstance(data, Iterator):
        yield from _array(data, before, after)
    elif isinstance(data, dict) and any(isinstance(value, Iterator) for value in data.values()):
        yield before + "{"
        for number, (key, value) in enumerate(data.items(), 1):
            head = " " * INDENT + json.dumps(key) + ": "
            yield from _deeper(_value(value, head, "," if number < len(data) else ""))
        yield "}" + after
    else:
        first, *rest = json.dumps(data, indent=INDENT, ensure_ascii=False).split("\n")
        lines = [before + first, *rest]
        lines[-1] += after
        yield from lines


def _deeper(lines: Lines) -> Lines:
    first = True
    for text in lines:
        yield " " * INDENT + text if isinstance(text, str) and not first else text
        first = first and not isinstance(text, str)


def _array(items: Iterable[Any], before: str, after: str) -> Lines:
    held: list[str] = []
    opened = False
    for item in items:
        if pause(item):
            yield item
            continue
        if held:
            held[-1] += ","
        elif not opened:
            held, opened = [before + "["], True
        yield from held
        held = [" " * INDENT + _compact(item)]
    if not opened:
        yield f"{before}[]{after}"
        return
    yield from held
    yield "]" + after
