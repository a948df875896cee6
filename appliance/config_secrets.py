"""Passwords in a configuration tree: those typed in clear become hashes before anything keeps them.

::

    local-user ... password Secret1 ──seal(tree, hashes)──▶ local-user ... encrypted password $scrypt$...

Hashing takes long on purpose, so whoever runs a reactor makes the hashes of :func:`in_clear` elsewhere.
"""

import re
from collections.abc import Mapping

from attrs import evolve

from appliance.config_tree import Entry, Section

USERS = "local-user"
MASK = "********"
ERROR_WORD = 80
"""Characters of a typed word that an error repeats."""

#: Up to the end of the line: quotes may be missing, and a blank does not end a password then.
_SECRET = re.compile(r"(?i)(\b(?:pass\w*|secret)\s+)(.+)")
#: The same of a line about users, where the word may be as short as "p".
_USER_SECRET = re.compile(r"(?i)(^\s*l[a-z-]*\s(?:.*?\s)??p(?:as?)?\s+)(.+)")


def in_clear(tree: Section) -> list[str]:
    """The passwords of a tree that are no hashes yet."""
    return [entry.args["password"] for entry in tree.entries(USERS) if "password" in entry.args]


def seal(tree: Section, hashes: Mapping[str, str]) -> Section:
    """The same tree with hashes in place of passwords; ``hashes`` has one for each of :func:`in_clear`."""
    if not in_clear(tree):
        return tree
    lines = {}
    for key, entry in tree.settings[USERS].items():
        args = dict(entry.args)
        if "password" in args:
            args["encrypted_password"] = hashes[args.pop("password")]
        lines[key] = Entry(args, entry.negated, entry.line)
    return evolve(tree, settings={**tree.settings, USERS: lines})


def masked(line: str) -> str:
    """A typed line without what stands behind ``password`` or ``secret``, right or wrong as it may be."""
    for form in (_USER_SECRET, _SECRET):
        line = form.sub(rf"\1{MASK}", line)
    return line


def masked_result(line: str, result: str) -> str:
    """What came of a typed line, without what :func:`masked` takes out of that line."""
    found = _USER_SECRET.search(line) or _SECRET.search(line)
    for word in found[2].split() if found else ():
        # An error names the word that it is about between such marks.
        result = result.replace(f"'{word[:ERROR_WORD]}'", MASK)
    return masked(result)
