"""Wildcards in user names, as StarOS has them: ``*`` any run of characters, ``$`` exactly one."""

import re

WILD = frozenset("*$")


class Exact(str):
    """A text that was typed in single quotes: ``*`` and ``$`` in it stand for themselves."""

    __slots__ = ()


def is_wild(text: str) -> bool:
    """Whether a text means more than itself."""
    return not isinstance(text, Exact) and not WILD.isdisjoint(text)


def expression(text: str) -> str:
    """A regular expression that the whole of a matching name fits, for ``re.DOTALL`` and ``fullmatch``.

    What stands between two stars is taken where it comes first, and never looked for again: otherwise
    many stars on a long name would take hours.
    """
    if not is_wild(text):
        return re.escape(text)
    parts = [".".join(map(re.escape, part.split("$"))) for part in text.split("*")]
    if len(parts) == 1:
        return parts[0]
    first, *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last
