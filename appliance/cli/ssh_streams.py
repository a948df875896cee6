"""Input and output of one SSH session, as terminals and scripts take them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from appliance.cli.values import CommandError

LINE_LIMIT = 65_536
"""Octets of a line of standard input, and of a command."""


class Channel(Protocol):
    """What the streams need of the channel they belong to."""

    def send(self, data: bytes, stderr: bool) -> None:
        """Send octets to the client's standard output or error."""

    async def drain(self) -> None:
        """Wait until output goes to the client instead of into memory. Raises ConnectionLost."""

    def refill(self) -> None:
        """A line was read: let the client send more."""


class Link:
    """One direction of a session: a ``Transport`` of cli/terminal.py."""

    def __init__(self, channel: Channel, stderr: bool, raw: bool) -> None:
        self._channel = channel
        self._stderr = stderr
        self._raw = raw

    def write(self, data: bytes) -> None:
        """Send octets, now or when the client's window opens."""
        if not self._raw:
            # A client in raw mode has nobody who makes a carriage return of a line feed.
            data = data.replace(b"\n", b"\r\n")
        self._channel.send(data, self._stderr)

    async def drain(self) -> None:
        """Wait until the client has taken enough. Raises :class:`ConnectionLost`."""
        await self._channel.drain()


class Lines:
    """Standard input of a channel, line by line, with what was not asked for yet kept small."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._data = bytearray()
        self._ended = False
        self._number = 0
        self._more = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Octets that nobody has asked for."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """The client sent octets."""
        self._data += data
        self._more.set()

    def eof(self) -> None:
        """The client will send no more."""
        self._ended = True
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines, without their ends. Raises :class:`CommandError`: too long, or not UTF-8."""
        while True:
            end = self._data.find(b"\n")
            if end < 0 and not self._ended and len(self._data) <= LINE_LIMIT:
                self._more.clear()
                await self._more.wait()
                continue
            if end < 0 and not self._data:
                return
            end = len(self._data) if end < 0 else end
            line = bytes(self._data[:end])
            del self._data[: end + 1]
            self._number += 1
            self._channel.refill()
            yield decode(line.removesuffix(b"\r"), f"line {self._number}: ")


def decode(line: bytes, where: str) -> str:
    """The text of a line. Raises :class:`CommandError`, which begins with ``where``."""
    if len(line) > LINE_LIMIT:
        raise CommandError(f"{where}longer than {LINE_LIMIT} octets")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise CommandError(f"{where}not UTF-8 text at octet {error.start}") from None


async def each(lines: list[str]) -> AsyncIterator[str]:
    """The lines of a list."""
    for line in lines:
        yield line


def banner_lines(text: str) -> list[str]:
    """The lines of a configured banner: ``\\n`` in it begins a new one."""
    return text.split("\\n") if text else []
