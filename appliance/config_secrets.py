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

_SECRET = re.compile(r"""(?i)(\b(?:pass\w*|secret)\s+)("(?:[^"\\]|\\.)*"?|'[^']*'?|\S+)""")


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
    return _SECRET.sub(rf"\1{MASK}", line)
