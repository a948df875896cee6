"""Passwords of operators: hashed with scrypt (RFC 7914) and compared in constant time.

What a hash looks like is in ``config_secrets``. One takes 32 MiB and about a tenth of a second, so
nobody computes one on the reactor thread: :class:`Hashers` does it in two threads.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from appliance.config_secrets import MEMORY_LIMIT, PasswordHash, parse_hash
from appliance.errors import ApplianceError

COST, BLOCK, LANES = 15, 8, 1
SALT_LENGTH, HASH_LENGTH = 16, 32
PASSWORD_LIMIT = 128
"""Octets of a password, as UTF-8."""
THREADS = 2
NICE = 10
WAITING = 16
"""Hashes that may wait for a thread."""

_T = TypeVar("_T")


class Busy(ApplianceError):
    """Too many passwords are being checked already."""


def _digest(text: str, made: PasswordHash) -> bytes:
    """The digest of a password under the salt and the costs of a hash."""
    return hashlib.scrypt(
        text.encode("utf-8", "surrogatepass"),
        salt=made.salt,
        n=1 << made.cost,
        r=made.block,
        p=made.lanes,
        # What OpenSSL wants is a little more than 128 * N * r.
        maxmem=MEMORY_LIMIT + (2 << 20),
        dklen=len(made.digest),
    )


#: Stands in for the hash of a user that does not exist or has no password: the same work, never right.
_DECOY = PasswordHash(COST, BLOCK, LANES, bytes(SALT_LENGTH), bytes(HASH_LENGTH))


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")


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
    made = PasswordHash(COST, BLOCK, LANES, os.urandom(SALT_LENGTH), bytes(HASH_LENGTH))
    head = f"$scrypt$ln={COST},r={BLOCK},p={LANES}"
    return f"{head}${_encode(made.salt)}${_encode(_digest(text, made))}"


def verify(text: str, stored: str) -> bool:
    """Whether ``text`` is the password of this hash. It takes about 0.1 s: call it in a thread.

    Without a hash (an unknown user, one without a password) or with a damaged one it takes as long
    and says no, so that nobody learns from the time which users exist.
    """
    known = parse_hash(stored)
    wanted = known or _DECOY
    if len(text) > PASSWORD_LIMIT:
        # No stored password is that long; hashing all of it would let a stranger choose the work.
        text, known = text[:PASSWORD_LIMIT], None
    same = hmac.compare_digest(_digest(text, wanted), wanted.digest)
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
