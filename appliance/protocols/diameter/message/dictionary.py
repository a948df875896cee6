"""The Diameter dictionary: AVPs, commands and applications, read from ``dict/*.dia`` (notation: :mod:`.dia`).

There is one current dictionary in a process. It begins as :func:`standard`; an operator's files are loaded
into a copy, and the copy takes its place::

    made = extended([("site.dia", text)])    raises DictionaryError, and nothing has changed
    use(made)                                current() is it from now on

Definitions that modules have bound (``SESSION_ID = standard()["Session-Id"]``) stay right: a file may add
AVPs, values and grammars, but it cannot make another AVP of one that there is.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from attrs import define, evolve, field

from appliance.protocols.diameter.message.definitions import (
    FLAG_M,
    FLAG_P,
    FLAG_V,
    MANY,
    ApplicationDef,
    AvpDef,
    CommandDef,
    DictionaryError,
    Rule,
)
from appliance.protocols.diameter.message.dia import LONGEST, MOST_LINES, Reader

#: The standard files, in the order in which they are read.
FILES = ("base", "nasreq", "eap", "mip4", "nas-mip6", "qos", "mip6", "pmip6", "keys", "overload", "3gpp")
#: Name of the grammar of answers with the E bit (RFC 6733 section 7.2).
ANSWER_MESSAGE = "answer-message"


@define(slots=True, eq=False)
class Dictionary:
    """Everything that the files of one dictionary say."""

    avps: dict[str, AvpDef] = field(factory=dict)
    by_code: dict[tuple[int, int], AvpDef] = field(factory=dict)
    """By code and vendor."""
    commands: dict[str, CommandDef] = field(factory=dict)
    """By abbreviation; of a command with several grammars the general one, else the first."""
    applications: dict[int, ApplicationDef] = field(factory=dict)
    aliases: dict[str, dict[str, str]] = field(factory=dict)
    """For each set of other names: name of the AVP → its name in the set."""
    titles: dict[int, str] = field(factory=dict)
    """By code, what commands are called: ``Accounting`` of Accounting-Request and -Answer."""
    results: dict[tuple[int, int], str] = field(factory=dict)
    """Names of vendors' Experimental-Result-Codes, by vendor and value."""
    compiled: dict[Any, Any] = field(factory=dict)
    """What modules have made from the dictionary for speed; :meth:`load` empties it."""
    _by_header: dict[tuple[int, bool, int | None], CommandDef] = field(factory=dict)
    _codes: set[int] = field(factory=set)

    def __getitem__(self, name: str) -> AvpDef:
        """The AVP of that name. Raises KeyError."""
        return self.avps[name]

    def command(self, code: int, request: bool, application: int) -> CommandDef | None:
        """The grammar of a message: its application's own one, else the general one."""
        found = self._by_header.get((code, request, application))
        return found if found is not None else self._by_header.get((code, request, None))

    def has_command(self, code: int) -> bool:
        """Whether any application has a command of that code."""
        return code in self._codes

    def add_command(self, command: CommandDef) -> None:
        """Add a grammar; it takes the place of one for the same code, direction and application."""
        key = command.code, command.request, command.application
        known = self.commands.get(command.name)
        replaced = self._by_header.get(key)
        if known is None or known is replaced or command.application is None:
            self.commands[command.name] = command
        self._by_header[key] = command
        if command.name != ANSWER_MESSAGE:
            self._codes.add(command.code)

    def copy(self) -> "Dictionary":
        """A dictionary to load more into; the definitions are shared."""
        made = Dictionary()
        made.avps.update(self.avps)
        made.by_code.update(self.by_code)
        made.commands.update(self.commands)
        made.applications.update(self.applications)
        made.aliases.update({name: dict(names) for name, names in self.aliases.items()})
        made.titles.update(self.titles)
        made.results.update(self.results)
        made._by_header.update(self._by_header)
        made._codes.update(self._codes)
        return made

    def replace(self, avp: AvpDef) -> None:
        """Put a definition where another of the same name and code is."""
        self.forget()
        self.avps[avp.name] = self.by_code[avp.code, avp.vendor] = avp

    def forget(self) -> None:
        """Forget what is compiled: it refers to the dictionary, and nobody collects cycles of references."""
        for made in self.compiled.values():
            if isinstance(made, Dictionary):
                made.forget()
        self.compiled.clear()

    def load(self, text: str, filename: str) -> None:
        """Add what a file says. Grammars and names of values replace those that were there.

        Raises DictionaryError with ``FILE:LINE: ...``; the dictionary is then in an undefined state, so
        load into a :meth:`copy`. Definitions that another dictionary shares are not changed.
        """
        self.forget()
        Reader(self, filename).read(text)


def _read(name: str) -> str:
    folder = resources.files("appliance.protocols.diameter.message") / "dict"
    return (folder / name).read_text(encoding="utf-8")


@cache
def standard() -> Dictionary:
    """The dictionary of the files that come with the appliance."""
    made = Dictionary()
    for name in FILES:
        made.load(_read(f"{name}.dia"), f"{name}.dia")
    return made


def extended(files: Iterable[tuple[str, str]]) -> Dictionary:
    """The standard dictionary with an operator's files, name and text of each, in their order.

    Raises DictionaryError, which names file and line. It takes a fifth of a second for the longest file
    and touches nothing that others have, so it may run in a thread; then :func:`use` the result.
    """
    made = standard().copy()
    for name, text in files:
        made.load(text, name)
    return made


def drafts(dictionary: Dictionary) -> Dictionary:
    """The same for peers that speak the drafts of 2001 to 2003: their Mobile IPv4 is application 4, some AVPs
    had other codes and types, and nobody checks M bits."""
    made: Dictionary | None = dictionary.compiled.get(_DRAFTS)
    if made is None:
        made = dictionary.copy()
        Reader(made, _DRAFTS, replaces=True).read(_read(_DRAFTS))
        for avp in list(made.avps.values()):
            if avp.must is not None:
                made.replace(avp.changed(must=None, sets=avp.must))
        for command in list(made._by_header.values()):
            if command.application == _MOBILE_IP_OF_DRAFTS:
                made.add_command(evolve(command, application=_MOBILE_IP))
        dictionary.compiled[_DRAFTS] = made
    return made


_DRAFTS, _MOBILE_IP, _MOBILE_IP_OF_DRAFTS = "drafts.dia", 2, 4


_current: list[Dictionary] = []


def current() -> Dictionary:
    """The dictionary that messages are checked and shown with now; ask each time, as files may be loaded."""
    return _current[0] if _current else standard()


def use(dictionary: Dictionary | None) -> None:
    """Make it the current one; ``None``: the standard one again."""
    current().forget()
    _current[:] = [] if dictionary is None else [dictionary]


__all__ = [
    "ANSWER_MESSAGE", "FILES", "FLAG_M", "FLAG_P", "FLAG_V", "LONGEST", "MANY", "MOST_LINES",
    "ApplicationDef", "AvpDef", "CommandDef", "Dictionary", "DictionaryError", "Rule",
    "current", "drafts", "extended", "standard", "use",
]  # fmt: skip
