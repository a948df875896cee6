"""Hypothesis strategies: words for placeholders, arguments for commands, whole configuration trees."""

import ipaddress
import string
from typing import Any

from hypothesis import strategies as st

from appliance.cli.grammar import COMMANDS, Command, Group, Value, Word, flag_of
from appliance.cli.grammar import Item as GrammarItem
from appliance.config_tree import Entry, Section

NAMES = string.ascii_letters + string.digits
V6 = st.binary(min_size=16, max_size=16)
V4 = st.binary(min_size=4, max_size=4)
TEXTS = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1)
LABELS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=9)
IDENTITIES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


def _network(bits: int) -> Any:
    def make(pair: tuple[int, int]) -> tuple[bytes, int]:
        number, length = pair
        return (number >> (bits - length) << (bits - length)).to_bytes(bits // 8, "big"), length

    return st.tuples(st.integers(0, (1 << bits) - 1), st.integers(0, bits)).map(make)


def _text(value: Value) -> Any:
    return TEXTS.map(lambda text: text.ljust(value.low, "x")[: value.high])


def argument(value: Value) -> Any:
    """A strategy of what a placeholder can hold."""
    if value.kind == "CHOICE":
        return st.sampled_from(value.choices)
    name = st.text(NAMES + "_.:@+/-", min_size=max(1, value.low), max_size=max(1, value.high)).map(
        lambda text: "n" + text[1:]
    )
    return {
        "NUMBER": st.integers(value.low, value.high),
        "HEX": st.integers(0, 2**32 - 1),
        "TIME": st.integers(-62_135_596_800, 253_402_300_799),
        "IPV6": V6,
        "IPV4": V4,
        "ADDRESS": st.one_of(V6, V4).map(lambda packed: str(ipaddress.ip_address(packed))),
        "IP": st.one_of(V6, V4),
        "IDENTITY": IDENTITIES,
        "IDENTITY/ANY": st.one_of(st.just("*"), IDENTITIES, IDENTITIES.map(lambda name: "*." + name)),
        "IPV6/LEN": _network(128),
        "IPV4/LEN": _network(32),
        "IPV6/HOST": st.tuples(V6, st.integers(0, 128)),
        "IPV4/HOST": st.tuples(V4, st.integers(0, 32)),
        "IP/ANY": st.one_of(_network(128), _network(32)),
        "IP/LEN": st.one_of(_network(128), _network(32)),
        "OCTETS": st.binary(min_size=max(1, value.low), max_size=max(1, value.high)),
        "DEGREES": st.integers(-180 * 32768, 180 * 32768),
        "MAC": st.binary(min_size=6, max_size=6),
        "NAI": st.text(NAMES + "._-'\"#|\\é", min_size=1, max_size=60).map(
            lambda user: user + "@example.org"
        ),
        "NAME": name,
        "STRING": _text(value),
        "SECRET": _text(value),
        "PATH": st.text(NAMES + "/ -", max_size=100).map(lambda text: "/" + text),
    }[value.kind]


@st.composite
def arguments(draw: Any, items: tuple[GrammarItem, ...]) -> dict[str, Any]:
    """Arguments that some line of this syntax gives."""
    args: dict[str, Any] = {}
    for item in items:
        if isinstance(item, Value):
            args[item.name] = draw(argument(item))
        elif isinstance(item, Group) and (not item.optional or draw(st.booleans())):
            chosen = draw(st.sampled_from(item.alternatives))
            if flag := flag_of(chosen):
                args[flag] = True
            args |= draw(arguments(chosen))
        else:
            assert isinstance(item, Word | Group)
    return args


@st.composite
def sections(draw: Any, mode: str, opening: Command | None = None) -> Section:
    """A tree from this mode down."""
    section = Section(mode, draw(arguments(opening.items)) if opening else {})
    for command in draw(st.lists(st.sampled_from(COMMANDS.settings(mode)), max_size=6)):
        if command.enters:
            inner = draw(sections(command.enters, command))
            section.sections.setdefault((command.path, command.key(inner.args)), inner)
        else:
            args = draw(arguments(command.items))
            negated = command.toggle and draw(st.booleans())
            args = {} if negated and command.off != command.syntax else args
            section.store(command.path, command.key(args), Entry(args, negated))
    return section
