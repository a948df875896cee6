"""Configuration files at run time: read and written by a thread, never by the reactor."""

import asyncio
import contextlib
import os
import secrets
import stat
from pathlib import Path

from appliance.errors import ApplianceError

#: Octets of a configuration file; about a hundred thousand lines.
LIMIT = 8 * 1024 * 1024


async def exists(path: str) -> bool:
    """Whether there is a file of that name, or what is no file; asked of a disk that may not answer."""
    return await asyncio.to_thread(os.path.exists, path)


async def read_text(path: str) -> str:
    """The text of a file. Raises :class:`ApplianceError` that says why it cannot be had."""
    return await asyncio.to_thread(_read, path)


async def write_text(path: str, text: str) -> None:
    """Write a file for its owner only, in one step. Raises :class:`ApplianceError`."""
    await asyncio.to_thread(_write, path, text)


def _read(path: str) -> str:
    try:
        # Some devices do something when they are opened: a watchdog, a tape.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ApplianceError(f"{path} is no regular file; name another")
        # It may be another one by now. Not to wait for ever: a FIFO without a writer opens at once.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ApplianceError(f"{path} is no regular file; name another")
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise ApplianceError(f"{path}: {error.strerror}; name a readable file") from error
    if len(data) > LIMIT:
        raise ApplianceError(f"{path} is longer than {LIMIT} octets and is no configuration")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ApplianceError(f"{path}: not UTF-8 text ({error.reason} at octet {error.start})") from error


def _write(path: str, text: str) -> None:
    """A new file beside the old one takes its place when it is whole and on the disk."""
    target = Path(os.path.realpath(path))
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        if target.exists() and not target.is_file():
            raise ApplianceError(f"{path} is no regular file; name another")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ApplianceError(f"{path}: {error.strerror}; nothing was replaced, name another file") from error
