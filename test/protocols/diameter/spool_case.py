"""What the tests of the spool have in common."""

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.dictionary import standard
from appliance.protocols.diameter.spool import Spool
from appliance.protocols.diameter.spool_format import (
    EVENT,
    Entry,
    route,
)

SESSION_ID = standard()["Session-Id"]
HOME = route(3, "home.example", "")
AWAY = route(3, "away.example", "aaa9.away.example")
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def entry(serial: int, kind: int = EVENT, session: str = "s", where: bytes = HOME, **more: Any) -> Entry:
    """A record with some octets in it."""
    body = SESSION_ID.encode(session) + bytes((serial * 7 + n) & 255 for n in range(serial % 64 * 4))
    return Entry(kind, 1_795_417_200.0 + serial, serial, where, body, serial=serial, **more)


class Case(SynchronousTestCase):
    """Makes spools in a directory of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.spools: list[Spool] = []
        self.addCleanup(self.close)

    def close(self) -> None:
        for spool in self.spools:
            spool.close()

    def open(self, folder: Path | None = None, limit: int = 1 << 30, size: int = 2_000) -> Spool:
        """A spool with small segments, as a new process would find it."""
        spool = Spool(folder or self.folder, limit, size)
        spool.open()
        self.spools.append(spool)
        return spool

    def crash(self, spool: Spool) -> None:
        """Drop everything that only the process has."""
        for descriptor in (spool._output, spool._lock):
            if descriptor >= 0:
                os.close(descriptor)
        spool._output = spool._lock = -1
        spool._current = None
        spool.segments.clear()
        self.spools.remove(spool)


def everything(spool: Spool, **how: Any) -> list[int]:
    """Serials of all records that wait, read a few at a time."""
    while spool.count():
        pass
    found: list[int] = []
    after = 0
    while after < spool.last:
        got = spool.read(after, spool.last, 7, **how)
        assert got.upto > after or not got.entries
        found += [each.serial for each in got.entries]
        after = max(got.upto, after)
    return found
