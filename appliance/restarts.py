"""The Restart Counter of a service, and whom it had sessions with, on the disk (RFC 5847 section 3.2).

::

    start ─▶ read, count one up, write ─▶ Began ─▶ core
    core ─▶ KeepPeers ─▶ a thread writes; of several that wait the last one

A service never keeps its sessions over a start, so that every start counts.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from appliance.protocols.pmipv6.events import Began, KeepPeers

#: Octets of a file; some 4,096 peers are 400,000.
LIMIT = 1024 * 1024
_VERSION = 1
#: A service that starts in the place of another must not meet its last writing.
_FILES = threading.Lock()

Peers = tuple[tuple[bytes, bytes, int], ...]


class Damaged(Exception):
    """What the file holds is not what was written."""


def read(path: Path) -> tuple[int, Peers]:
    """Counter and peers. Raises FileNotFoundError, :class:`Damaged` or another OSError."""
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    try:
        if len(data) > LIMIT:
            raise ValueError("too long")
        found: Any = json.loads(data)
        counter = found["counter"]
        if found["version"] != _VERSION or not isinstance(counter, int) or not 0 <= counter < 1 << 32:
            raise ValueError("other contents")
        return counter, tuple(_peer(*each) for each in found["peers"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(str(error)) from error


def _peer(address: str, local: str, port: int) -> tuple[bytes, bytes, int]:
    packed = ipaddress.ip_address(address).packed, ipaddress.ip_address(local).packed
    if len(packed[0]) != len(packed[1]) or not isinstance(port, int) or not 0 <= port < 1 << 16:
        raise ValueError("no peer")
    return (*packed, port)


def write(path: Path, counter: int, peers: Peers) -> None:
    """Replace the file in one step, when the new one is on the disk. Raises OSError."""
    rows = [
        [str(ipaddress.ip_address(address)), str(ipaddress.ip_address(local)), port]
        for address, local, port in peers
    ]
    text = json.dumps({"version": _VERSION, "counter": counter, "peers": rows})
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Restarts:
    """Counter and peers of one service; files are touched by threads only."""

    def __init__(
        self, state_directory: str, label: str, tell: Callable[[str, str], None], wall: Callable[[], float]
    ) -> None:
        """``label``: kind and name of the service; ``tell`` takes a level and a line for the log."""
        self._path = Path(state_directory, "restarts", quote(label, safe=" ").replace(" ", "-") + ".json")
        self._tell = tell
        self._wall = wall
        self._counter = 0
        self._wanted: Peers | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    async def begin(self) -> Began:
        """Count this start; what the core is to be told."""
        return await asyncio.to_thread(self._begin)

    def _begin(self) -> Began:
        with _FILES:
            former: Peers = ()
            trouble = ""
            try:
                counter, former = read(self._path)
            except FileNotFoundError:
                trouble = "is not there"
            except Damaged:
                trouble = "is damaged"
            except OSError as error:
                trouble = f"cannot be read ({error.strerror})"
            if trouble:
                # Higher than any counter that peers may know from before, unless this is the first start.
                counter = int(self._wall())
            self._counter = (counter + 1) & 0xFFFF_FFFF
            if trouble:
                level = "info" if trouble == "is not there" else "warning"
                text = f"restart counter {self._path} {trouble}: it goes on from the time, {self._counter}"
                self._tell(level, text)
            self._write(former)
        return Began(self._counter, former)

    def _write(self, peers: Peers) -> None:
        try:
            write(self._path, self._counter, peers)
        except OSError as error:
            text = f"restart counter {self._path} cannot be written ({error.strerror}): "
            self._tell("error", text + "peers may not notice the next restart")

    def keep(self, effect: KeepPeers) -> None:
        """Write the peers down, some time soon."""
        self._wanted = effect.peers
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        while self._wanted is not None:
            peers, self._wanted = self._wanted, None
            await asyncio.to_thread(self._write_open, peers)
        self._writing = None

    def _write_open(self, peers: Peers) -> None:
        with _FILES:
            if not self._closed:
                self._write(peers)

    def close(self) -> None:
        """Write no more: what is on the disk is what the next start begins with."""
        self._closed = True
        self._wanted = None
