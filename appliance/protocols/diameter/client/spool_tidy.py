"""Writing what is left of a few segments together, so that a spool takes the room of what waits in it.

A route without a server, or a session that lasts for days, would else keep a whole segment for one record.
The new file takes the name of the first of them; the others are deleted after it is durable. If the process
dies between, :func:`.spool_recovery.load` finds them out by their serials. Blocks; for the worker thread.
"""

import time
from typing import TYPE_CHECKING

from appliance.protocols.diameter.client.spool_format import pack_marks
from appliance.protocols.diameter.client.spool_recovery import replace
from appliance.protocols.diameter.client.spool_segment import SLICE, Segment

if TYPE_CHECKING:
    from appliance.protocols.diameter.client.spool import Spool

#: The newest segments are left alone: their records are under way.
YOUNG = 4
#: Segments that are written together at most, and small ones that are worth it though nothing is finished.
MOST, MANY = 8, 8


def step(spool: "Spool") -> bool:
    """Write one run of segments together; False: there was none."""
    run = _find(spool)
    if not run:
        return False
    try:
        _join(spool, run)
    except OSError as error:
        spool.report(f"segments could not be written together: {error.strerror}")
        return False
    return True


def _find(spool: "Spool") -> list[Segment]:
    """Neighbours whose rest fits one segment and that are worth the work."""
    room = spool.segment_size * 3 // 4
    run: list[Segment] = []
    live = 0
    for segment in spool.segments[:-YOUNG]:
        fits = segment not in spool.uncounted and segment.live_octets <= room
        if not fits or live + segment.live_octets > room or len(run) == MOST:
            if _worth(run):
                return run
            run, live = [], 0
        if fits:
            run.append(segment)
            live += segment.live_octets
    return run if _worth(run) else []


def _worth(run: list[Segment]) -> bool:
    if not run:
        return False
    return len(run) >= MANY or 2 * sum(each.live_octets for each in run) <= sum(each.size for each in run)


def _join(spool: "Spool", run: list[Segment]) -> None:
    parts: list[bytes] = []
    for segment in run:
        if not spool.load(segment):
            return
        data = segment.records.read_bytes()
        for at in range(len(segment.serials or ())):
            if not at % SLICE:
                # The reactor wants its turn too.
                time.sleep(0)
            if segment.lives(at):
                parts.append(segment.octets(data, at))
    first, others = run[0], run[1:]
    marks = [mark for segment in run for mark in segment.partial_marks()]
    # Marks first: with them twice nothing is wrong, without them records would be sent again.
    spool.write_marks(first, marks)
    first.sync_marks()
    replace(first.records, b"".join(parts))
    for segment in others:
        segment.remove()
        spool.forget(segment)
    replace(first.marks, pack_marks(marks))
    first.unwritten = []
    first.unload()
    spool.load(first)
