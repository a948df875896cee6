"""Passwords of operators: hashed with scrypt (RFC 7914) and compared in constant time.

A hash describes itself: ``$scrypt$ln=15,r=8,p=1$SALT$HASH``; ``ln`` is the base-two logarithm of
scrypt's N, salt and hash are base64 without padding. One hash takes 32 MiB and about a tenth of a
second, so nobody computes one on the reactor thread: :class:`Hashers` does it in two threads.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from attrs import frozen

from appliance.errors import ApplianceError

COST, BLOCK, LANES = 15, 8, 1
SALT_LENGTH, HASH_LENGTH = 16, 32
PASSWORD_LIMIT = 128
"""Octets of a password, as UTF-8."""
MEMORY_LIMIT = 64 << 20
"""Most octets times ``p`` that a hash found in a configuration may ask for: twice the work of our own."""
THREADS = 2
NICE = 10
WAITING = 16
"""Hashes that may wait for a thread."""

_T = TypeVar("_T")
_FORM = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-4])\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43,86})\Z",
    re.ASCII,
)


class Busy(ApplianceError):
    """Too many passwords are being checked already."""


@frozen
class _Hash:
    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    def digest_of(self, text: str) -> bytes:
        """The digest of a password under this salt and these costs."""
        return hashlib.scrypt(
            text.encode("utf-8", "surrogatepass"),
            salt=self.salt,
            n=1 << self.cost,
            r=self.block,
            p=self.lanes,
            # What OpenSSL wants is a little more than 128 * N * r.
            maxmem=MEMORY_LIMIT + (2 << 20),
            dklen=len(self.digest),
        )


#: Stands in for the hash of a user that does not exist or has no password: the same work, never right.
_DECOY = _Hash(COST, BLOCK, LANES, bytes(SALT_LENGTH), bytes(HASH_LENGTH))


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _parse(stored: str) -> _Hash | None:
    """The parts of a hash; ``None`` if it is none, or one that would take too much memory or time."""
    found = _FORM.match(stored)
    if found is None:
        return None
    cost, block, lanes = (int(found[index]) for index in (1, 2, 3))
    if not 10 <= cost <= 19 or 128 * block * lanes << cost > MEMORY_LIMIT:
        return None
    try:
        return _Hash(cost, block, lanes, _decode(found[4]), _decode(found[5]))
    except binascii.Error:
        return None


def is_hash(text: str) -> bool:
    """Whether this is a hash that :func:`verify` accepts."""
    return _parse(text) is not None


def fault(password: str) -> str:
    """Why this cannot be a password; empty if it can."""
    if not password:
        return "the password is empty"
    if not password.isprintable():
        return "the password holds control characters"
    if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_LIMIT:
        return f"the password is longer than {PASSWORD_LIMIT} octets"
    return ""


def hash_password(text: str) -> str:
    """Hash a password under a new random salt. It takes about 0.1 s: call it in a thread.

    Raises :class:`ApplianceError` for an empty password, one that is too long, or control characters.
    """
    if reason := fault(text):
        raise ApplianceError(reason)
    made = _Hash(COST, BLOCK, LANES, os.urandom(SALT_LENGTH), bytes(HASH_LENGTH))
    head = f"$scrypt$ln={COST},r={BLOCK},p={LANES}"
    return f"{head}${_encode(made.salt)}${_encode(made.digest_of(text))}"


def verify(text: str, stored: str) -> bool:
    """Whether ``text`` is the password of this hash. It takes about 0.1 s: call it in a thread.

    Without a hash (an unknown user, one without a password) or with a damaged one it takes as long
    and says no, so that nobody learns from the time which users exist.
    """
    known = _parse(stored)
    wanted = known or _DECOY
    if len(text) > PASSWORD_LIMIT:
        # No stored password is that long; hashing all of it would let a stranger choose the work.
        text, known = text[:PASSWORD_LIMIT], None
    same = hmac.compare_digest(wanted.digest_of(text), wanted.digest)
    return same and known is not None


def _step_back() -> None:
    """Let the reactor's thread go first: on Linux a thread has a nice value of its own."""
    with contextlib.suppress(OSError):
        # Where that is not allowed, hashing is only less polite.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Hashers:
    """Computes hashes in ``THREADS`` threads; at most ``WAITING`` more wait, all others are refused."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "passwords", _step_back)
        self._pending = 0

    async def hash(self, text: str) -> str:
        """:func:`hash_password` in a thread. Raises :class:`Busy` at once when too many wait."""
        return await self._run(lambda: hash_password(text))

    async def verify(self, text: str, stored: str) -> bool:
        """:func:`verify` in a thread. Raises :class:`Busy` at once when too many wait."""
        return await self._run(lambda: verify(text, stored))

    def close(self) -> None:
        """Take no more work; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._pending >= THREADS + WAITING:
            raise Busy("too many passwords are being checked; try again in a few seconds")
        self._pending += 1
        try:
            # Who gives up while his hash waits takes it out of the queue; one that runs, runs to its end.
            return await asyncio.wrap_future(self._pool.submit(work))
        finally:
            self._pending -= 1
