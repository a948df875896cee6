"""Passwords in a configuration tree: those typed in clear become hashes before anything keeps them.

::

    local-user ... password Secret1 ──seal(tree, hashes)──▶ local-user ... encrypted password $scrypt$...

Hashing takes long on purpose, so whoever runs a reactor makes the hashes of :func:`in_clear` elsewhere.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from attrs import evolve, frozen

from appliance.config_tree import Entry, Section
from appliance.management import LEVELS

USERS = "local-user"
MASK = "********"
MEMORY_LIMIT = 64 << 20
"""Most octets times ``p`` that a hash may ask for: twice the work of our own."""

_FORM = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-4])\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43,86})\Z",
    re.ASCII,
)

_WORD = r"""(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\S+)"""
_SECRET = re.compile(
    rf"""(?i)\b(?:pass\w*|secret)\s+({_WORD})
    | \b\w*password\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s"'&]+)  # in the address of a database
    | ://[^:@/?\s]*:([^@/?\s]+)@""",
    re.VERBOSE,
)
#: Lines that have a secret, however their words are abbreviated, and that word with what follows it.
_KEYED = re.compile(r"(?i)\s*(?:do\s+)?(?:(?:default|no)\s+)?(?:mn-|mn\s|sto\S*\s+p|te\S*\s+a)")
_ABBREVIATED = re.compile(rf"(?i)(?<!\S)s(?:e(?:c(?:re?)?)?)?\s+({_WORD})")
#: A line that means a user, however its words are abbreviated or misspelled, up to the user's name.
_USER = re.compile(rf"(?i)\bl[\w-]*\s+u[\w-]*\s+{_WORD}")
_USER_WORDS = (
    "authorization-level", *LEVELS, "encrypted", "no-lockout-login-failure", "nopassword", "password",
    "timeout-min-absolute", "timeout-min-idle", "-noconfirm",
)  # fmt: skip


@frozen
class PasswordHash:
    """The parts of ``$scrypt$ln=15,r=8,p=1$SALT$HASH``, a hash of a password by scrypt (RFC 7914).

    Salt and hash are base64 without padding.
    """

    cost: int
    """``ln``: base-two logarithm of scrypt's N."""
    block: int
    lanes: int
    salt: bytes
    digest: bytes


def parse_hash(stored: str) -> PasswordHash | None:
    """The parts of a hash; ``None`` if it is none, or one that would take too much memory or time."""
    found = _FORM.match(stored)
    if found is None:
        return None
    cost, block, lanes = (int(found[index]) for index in (1, 2, 3))
    if not 10 <= cost <= 19 or 128 * block * lanes << cost > MEMORY_LIMIT:
        return None
    try:
        return PasswordHash(cost, block, lanes, _decode(found[4]), _decode(found[5]))
    except binascii.Error:
        return None


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


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
    """A typed line without its secrets, right or wrong as it may be.

    Of a line about a user only what cannot be a password is left.
    """
    shown, at = "", 0
    for begin, end in _secrets(line):
        shown += line[at:begin] + MASK
        at = end
    return shown + line[at:]


def masked_answer(text: str, line: str) -> str:
    """What a line was answered with, without the secrets of the line and of what the text quotes."""
    for begin, end in _secrets(line):
        word = line[begin:end].strip("\"'")
        # A single letter is in every text, and does not tell that it was the password.
        text = text.replace(word, MASK) if len(word) > 1 else text
    return masked(text)


def _secrets(line: str) -> Iterator[tuple[int, int]]:
    """Where in a line the words stand that may be secrets."""
    user = _USER.search(line)
    if user is None:
        found_ones = [each.span(each.lastindex or 0) for each in _SECRET.finditer(line)]
        if _KEYED.match(line):
            found_ones += [each.span(1) for each in _ABBREVIATED.finditer(line)]
        last_end = 0
        for begin, end in sorted(found_ones):
            if begin >= last_end:
                yield begin, end
                last_end = end
        return
    before = ""
    for found in re.finditer(_WORD, line[user.end() :]):
        last, before = before, found[0].lower().strip("',:")
        if last and "password".startswith(last):
            known = False
        elif before.isdecimal():
            known = last.startswith("t")
        else:
            known = len(before) < 2 or any(word.startswith(before) for word in _USER_WORDS)
        if not known:
            yield user.end() + found.start(), user.end() + found.end()
