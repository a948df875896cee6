"""Files of operators at run time: read and written by a thread, never by the reactor."""

import asyncio
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

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


class Export:
    """A long file that is written bit by bit. It has its name only when it is whole and on the disk.

    It is made beside its place under another name. A link of its name is never followed: somebody
    else may have laid it there, to where only the appliance may write.
    """

    def __init__(self, path: str, replace: tuple[str, ...] | None) -> None:
        """``replace``: how a file that is there has to begin; ``None``: there may be none."""
        self._path = path
        self._replace = replace
        folder, name = os.path.split(path)
        self._fresh = os.path.join(folder, f".{name}.{secrets.token_hex(4)}")
        self._file: IO[str] | None = None

    async def begin(self) -> None:
        """Make the file. Raises :class:`ApplianceError` if it may not be, or cannot."""
        await self._thread(self._begin)

    async def write(self, lines: Sequence[str]) -> None:
        """Append lines. Raises :class:`ApplianceError`, after which nothing of the file is left."""
        await self._thread(self._write, "".join(f"{line}\n" for line in lines))

    async def finish(self) -> None:
        """Give it its name. Raises :class:`ApplianceError`, likewise."""
        await self._thread(self._finish)

    async def discard(self) -> None:
        """Leave nothing of it; harmless after :meth:`finish`."""
        await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(self._discard)))

    async def _thread(self, work: Callable[..., None], *args: str) -> None:
        # A thread cannot be stopped: who is cancelled waits until it has done, or it would go on
        # with a file that has been given up.
        doing = asyncio.ensure_future(asyncio.to_thread(self._safely, work, *args))
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise

    def _safely(self, work: Callable[..., None], *args: str) -> None:
        try:
            work(*args)
        except OSError as error:
            self._discard()
            raise ApplianceError(f"{self._path}: {error.strerror}; nothing was written") from error
        except ApplianceError:
            self._discard()
            raise

    def _check(self) -> None:
        """What is there may be replaced, or nothing is there."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ApplianceError(f"{self._path} is a link; name the file itself") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ApplianceError(f"{self._path} is no regular file; name another")
            if self._replace is None:
                raise ApplianceError(f"{self._path}: File exists; name another")
            begins = [text.encode() for text in self._replace]
            head = os.read(descriptor, max(map(len, begins), default=0))
        finally:
            os.close(descriptor)
        if head and not head.startswith(tuple(begins)):
            text = f"{self._path} is no such file as this writes, and is not replaced; name another"
            raise ApplianceError(text)

    def _begin(self) -> None:
        self._check()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._fresh, flags, 0o600)
        self._file = open(descriptor, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115

    def _write(self, text: str) -> None:
        if self._file is not None:
            self._file.write(text)

    def _finish(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._replace is None:
            self._name()
        else:
            os.replace(self._fresh, self._path)
        self._file = None
        directory = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _name(self) -> None:
        """Give it its name unless something has that by now."""
        try:
            os.link(self._fresh, self._path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            # A file system without hard links.
            if os.path.lexists(self._path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            os.rename(self._fresh, self._path)
        else:
            os.unlink(self._fresh)

    def _discard(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._fresh)
