"""Which record is sent next: order in a session, a window, routes without a server, another try.

::

    disk  ......[ lagging lanes: read again from where they stopped ]....... cursor [ not read yet ] last
                                                                               │
    stored (nothing unread before it) ──▶┐                                     │ loaded
                                         ▼                                     ▼
    lane (one per route)   ready ▶ ▶ ▶ flying (window) ──answered──▶ delivered: mark
                             ▲            │
                             └─ behind: records of a session that has one flying

A lane whose records cannot be sent is *down*: what it has in memory is dropped, since it is on the disk, and
read again when the lane comes up. So memory does not grow with the records that wait. A lane that comes up
sends one record, and twice as many after each success, up to the window.

A plain class of the sans-IO kind; :mod:`.accounting_driver` performs what it wants. Sources: RFC 6733
sections 5.5.4 and 9.4, appendix C.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from attrs import define

from appliance.protocols.diameter.client.lanes import PUT_OFF, Lane, PutOff
from appliance.protocols.diameter.client.spool_format import DELIVERED, EVENT, Entry
from appliance.protocols.diameter.client.unstored import MOST, Unstored

# How a try ended: answered, answered with a lasting failure, or with a passing one, not answered, not sent.
ACKNOWLEDGED, REFUSED, BUSY, SILENT, UNSENT = "acknowledged", "refused", "busy", "silent", "unsent"
# What else can become of a record: it waits on the disk; it waits, but not on the disk; it is gone.
KEPT, NO_ROOM, LOST = "kept", "no room", "lost"

#: Records without an answer at one time, over all lanes.
WINDOW = 128
#: Records of one lane that are sent before another lane has its turn.
TURN = 16
#: Records in memory that the disk has too.
BUFFER = 2_048
#: Until a lane is tried again, seconds: doubled after each failure.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: A lane without a usable peer is looked at so often, if nobody says that there is one.
LOOK_AGAIN = 30.0
#: Lanes at one time; routes beyond share one.
LANES = 256
#: After so many tries of one record without an answer its session is put off.
POISON = 6


@define(slots=True)
class Read:
    """A wish for records from the disk: of serials ``after`` < s <= ``until``."""

    after: int
    until: int
    limit: int
    only: bytes
    """Of this route; empty: of all but those in ``skip``."""
    skip: frozenset[bytes]
    lane: Lane | None
    """Whose records these are; ``None``: whatever comes next."""


class Delivery:
    """The records of one accounting client on their way to the servers.

    ``usable(route)``: whether a record could be sent there now; ``boundary``: first serial of this
    process; ``last``: latest serial on the disk; ``retries``: how often a record without an answer is sent
    again at once; ``chance()``: a random number from 0 to 1.
    """

    def __init__(
        self,
        usable: Callable[[bytes], bool],
        boundary: int,
        last: int,
        retries: int,
        chance: Callable[[], float],
        window: int = WINDOW,
    ) -> None:
        self._usable = usable
        self._boundary = boundary
        self._chance = chance
        self.retries = retries
        self.window = window
        self.cursor = 0
        """Every record up to this serial is delivered, in memory, or in a lagging lane."""
        self.last = last
        self.flying: dict[int, Entry] = {}
        self.unstored = Unstored(self.flying)
        self.sends: list[tuple[Entry, bool]] = []
        """To be sent, and whether it may have been sent before (T flag); to be taken away."""
        self.marks: list[int] = []
        """To be written; to be taken away."""
        self.outcomes: list[tuple[Entry, str]] = []
        """What became of records of sessions of this process; to be taken away."""
        self.memory: dict[int, Entry] = {}
        """Records in lanes, behind others and flying, by serial."""
        self.lanes: dict[bytes, Lane] = {}
        self._active: deque[Lane] = deque()
        self._behind: dict[bytes, deque[Entry] | None] = {}
        self._tried: dict[int, tuple[int, bool]] = {}
        self._reading: Read | None = None
        self._since: set[int] = set()
        self._turn = 0

    # ---- records come in

    def stored(self, entries: list[Entry]) -> None:
        """Records are on the disk now; their serials are higher than any before."""
        for entry in entries:
            follows = self.cursor == self.last and self._reading is None
            self.last = entry.serial
            if not follows:
                # It is read when those before it have been.
                continue
            lane = self._lane(entry.route)
            if lane.down or lane.lagging:
                lane.lag(entry.serial)
                if lane.down:
                    self._tell(entry, KEPT)
            elif len(self.memory) >= BUFFER:
                continue
            else:
                self._take(lane, entry)
            self.cursor = entry.serial

    def refused(self, entries: list[Entry]) -> list[Entry]:
        """Records that the disk would not take: they can only be sent from memory. Returns those lost."""
        lost: list[Entry] = []
        for entry in entries:
            # Refused registrations must not crowd out sessions.
            if len(self.unstored) >= (MOST // 2 if entry.kind == EVENT else MOST):
                lost.append(entry)
                self._tell(entry, LOST)
                continue
            lane = self._lane(entry.route)
            self.memory[entry.serial] = entry
            may = self.unstored.add(entry, lane.lagging or self.cursor < self.last)
            if lane.down:
                self._tell(entry, NO_ROOM)
            elif may:
                self._take(lane, entry)
        return lost

    def rescue(self, sessions: int) -> list[Entry]:
        """Take out what only memory has of some sessions, oldest first, to try the disk with new serials."""
        found = self.unstored.rescue(sessions)
        for entry, _ in found:
            self._forget(entry)
        return [copy for _, copy in found]

    def renamed(self, old: int, new: int) -> None:
        """A rescued record has another serial; that it may have been sent before stays true (T flag)."""
        tried = self._tried.pop(old, None)
        if tried is not None:
            self._tried[new] = tried

    def withdraw(self, serial: int) -> bool:
        """A record need not be sent, because a newer one says the same and more; False: it is under way.

        The disk forgets it when it has the newer one; :meth:`restore` if it does not take that.
        """
        if serial in self.flying:
            return False
        entry = self.memory.get(serial)
        if entry is not None:
            # It is passed over when its turn comes.
            self._forget(entry)
        self._gone(serial)
        return True

    def restore(self, route: bytes, serial: int) -> None:
        """A record that was withdrawn shall be sent after all."""
        self._since.discard(serial)
        self._lane(route).lag(serial)

    def _gone(self, serial: int) -> None:
        """A record is not to be sent again, though a read that is under way may still find it."""
        self._tried.pop(serial, None)
        if self._reading is not None:
            self._since.add(serial)

    # ---- reading

    @property
    def hungry(self) -> bool:
        """Whether :meth:`wanted` would want something."""
        if self._reading is not None or len(self.memory) > BUFFER // 2:
            return False
        return self.cursor < self.last or any(lane.lagging and not lane.down for lane in self.lanes.values())

    def wanted(self) -> Read | None:
        """What to read from the disk next, if anything; :meth:`loaded` has to follow."""
        if self._reading is not None or len(self.memory) > BUFFER // 2:
            return None
        limit = BUFFER // 4
        choices: list[Read] = []
        for lane in self.lanes.values():
            if lane.lagging and not lane.down:
                named = frozenset() if lane.route else frozenset(self.lanes)
                choices.append(Read(lane.after, self.cursor, limit, lane.route, named, lane))
        if self.cursor < self.last:
            skip = frozenset(lane.route for lane in self.lanes.values() if lane.down or lane.lagging)
            choices.append(Read(self.cursor, self.last, limit, b"", skip - {b""}, None))
        if not choices:
            return None
        self._turn += 1
        self._reading = choices[self._turn % len(choices)]
        self._since.clear()
        return self._reading

    def loaded(self, entries: list[Entry], upto: int) -> None:
        """What :meth:`wanted` asked for; all up to serial ``upto`` has been looked at."""
        read, self._reading = self._reading, None
        assert read is not None
        lane = read.lane
        if lane is not None:
            if lane.down or lane.after != read.after:
                # It went down, or something earlier of it came back: all this is read again.
                return
            lane.after = -1 if upto >= self.cursor else upto
        else:
            self.cursor = upto
            for route in read.skip:
                if route in self.lanes and not self.lanes[route].lagging:
                    self.lanes[route].after = read.after
        for entry in entries:
            if entry.serial not in self.memory and entry.serial not in self._since:
                self._found(entry, lane)
        self._unpark()

    def _found(self, entry: Entry, asked: Lane | None) -> None:
        if entry.serial < self._boundary:
            entry.call_id = 0
        lane = self._lane(entry.route)
        if lane.down or (lane.lagging and lane is not asked):
            lane.lag(entry.serial)
            return
        entry.tries = self._tried.get(entry.serial, (0, False))[0]
        self._take(lane, entry)

    # ---- lanes

    def _lane(self, route: bytes) -> Lane:
        lane = self.lanes.get(route)
        if lane is None:
            if len(self.lanes) >= LANES:
                for name, old in list(self.lanes.items()):
                    if old.empty:
                        del self.lanes[name]
            name = route if len(self.lanes) < LANES else b""
            lane = self.lanes.get(name)
            if lane is None:
                lane = self.lanes[name] = Lane(name)
        return lane

    def _take(self, lane: Lane, entry: Entry) -> None:
        self.memory[entry.serial] = entry
        lane.ready.append(entry)
        if not lane.queued:
            lane.queued = True
            self._active.append(lane)

    def _put_back(self, lane: Lane, entries: list[Entry]) -> None:
        """In front of all that are ready."""
        if entries:
            lane.ready.extendleft(reversed(entries))
            if not lane.queued:
                lane.queued = True
                self._active.append(lane)

    def _forget(self, entry: Entry) -> None:
        self.memory.pop(entry.serial, None)
        if entry.volatile:
            self.unstored.discard(entry)

    def _tell(self, entry: Entry, outcome: str) -> None:
        if entry.call_id:
            self.outcomes.append((entry, outcome))

    def wake(self, now: float) -> None:
        """Peers have come: lanes that are down are tried now."""
        for lane in self.lanes.values():
            lane.until = now

    @property
    def deadline(self) -> float | None:
        """When :meth:`pump` should be called though nothing has happened, monotonic seconds."""
        times = [lane.until for lane in self.lanes.values() if lane.down]
        for lane in self.lanes.values():
            if lane.put_off and not lane.down:
                times += [off.until for off in lane.put_off.values() if not off.flying]
        return min(times, default=None)

    # ---- sending

    def look(self, now: float) -> None:
        """Try lanes and sessions again whose time has come; to be called when :attr:`deadline` is over."""
        for lane in self.lanes.values():
            if lane.down and lane.until <= now:
                lane.down, lane.window = False, 1
                if not self._usable(lane.head()) and lane.route:
                    lane.down, lane.until = True, now + LOOK_AGAIN
                    continue
                self._take_unstored(lane)
            if lane.put_off and not lane.down:
                self._retry(lane, now)
        self._unpark()

    def _take_unstored(self, lane: Lane) -> None:
        """A lane came up: what memory alone has of it is nowhere to be read again."""
        for entry in self.unstored.ready(partial(self._is_of, lane)):
            self._take(lane, entry)

    def _unpark(self) -> None:
        """Where the disk has been read, what waited for that may be sent."""
        if self.unstored.parked and self.cursor == self.last:
            for entry in self.unstored.unpark(self._may_be_sent):
                self._take(self._lane(entry.route), entry)

    def _may_be_sent(self, entry: Entry) -> bool:
        lane = self._lane(entry.route)
        return not lane.down and not lane.lagging

    def _retry(self, lane: Lane, now: float) -> None:
        for off in lane.put_off.values():
            if off.until <= now and not off.flying and off.queue and len(self.flying) < self.window:
                entry = off.queue.popleft()
                if self.memory.get(entry.serial) is entry:
                    off.flying = True
                    self._fly(lane, entry)
                off.until = now

    def pump(self, now: float, most: int) -> int:
        """Put up to ``most`` records among those to be sent; returns how many."""
        left, active = most, self._active
        for _ in range(len(active)):
            lane = active.popleft()
            lane.queued = False
            if lane.ready and self._free(lane) and not self._usable(lane.head()):
                self._fail(lane, now, LOOK_AGAIN)
            turn = TURN
            while lane.ready and left and turn and self._free(lane):
                sent = self._send(lane)
                left -= sent
                turn -= sent
            if lane.ready:
                lane.queued = True
                active.append(lane)
        return most - left

    def _free(self, lane: Lane) -> bool:
        return lane.flying < lane.window and len(self.flying) < self.window

    @property
    def can_send(self) -> bool:
        """Whether :meth:`pump` has something to do."""
        return len(self.flying) < self.window and any(self._free(lane) for lane in self._active)

    def _send(self, lane: Lane) -> int:
        entry = lane.ready.popleft()
        if self.memory.get(entry.serial) is not entry:
            return 0
        key = entry.key
        if lane.put_off and key in lane.put_off:
            lane.put_off[key].queue.append(entry)
            return 0
        if key in self._behind:
            queue = self._behind[key]
            if queue is None:
                queue = self._behind[key] = deque()
            queue.append(entry)
            return 0
        self._behind[key] = None
        self._fly(lane, entry)
        return 1

    def _fly(self, lane: Lane, entry: Entry) -> None:
        serial = entry.serial
        self.flying[serial] = entry
        lane.flying += 1
        tried = self._tried.get(serial)
        self.sends.append((entry, serial < self._boundary if tried is None else tried[1]))

    def answered(self, serial: int, how: str, now: float) -> None:
        """A try of a record has ended, in one of the ways above."""
        entry = self.flying.pop(serial)
        lane = self._lane(entry.route)
        lane.flying -= 1
        key = entry.key
        off = lane.put_off.get(key)
        behind = list(self._behind.pop(key, None) or ())
        if how in (ACKNOWLEDGED, REFUSED):
            self._done(lane, entry, how)
            if off is not None:
                del lane.put_off[key]
                behind = [*off.queue, *behind]
            self._put_back(lane, behind)
            return
        entry.tries += 1
        if how != UNSENT:
            self._tried[serial] = entry.tries, how == SILENT
        if off is not None:
            off.flying = False
            off.queue.appendleft(entry)
            off.until = now + self._pause(entry.tries - POISON)
        elif how == SILENT and entry.tries <= self.retries and not lane.down:
            # Another server may answer it.
            self._put_back(lane, [entry, *behind])
        elif how == SILENT and entry.tries >= POISON and len(lane.put_off) < PUT_OFF:
            lane.put_off[key] = PutOff(now + self._pause(0), deque([entry, *behind]))
            self._failed(lane, now)
        else:
            self._put_back(lane, [entry, *behind])
            self._failed(lane, now)

    def _done(self, lane: Lane, entry: Entry, how: str) -> None:
        self._gone(entry.serial)
        if not entry.volatile:
            self.marks.append(entry.serial << 2 | DELIVERED)
        self._forget(entry)
        lane.failures = 0
        if lane.down:
            # What was under way when it went down got through after all.
            lane.down = False
            self._take_unstored(lane)
        lane.window = min(2 * lane.window, self.window)
        self._tell(entry, how)

    def _pause(self, failures: int) -> float:
        pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(failures, 0), 10))
        return pause * (0.75 + 0.5 * self._chance())

    def _failed(self, lane: Lane, now: float) -> None:
        """A record could not be delivered; many at one time are one failure of their lane."""
        if lane.down:
            self._fail(lane, now, lane.until - now)
            return
        self._fail(lane, now, self._pause(lane.failures))
        lane.failures += 1

    def _fail(self, lane: Lane, now: float, pause: float) -> None:
        """Nothing of a lane can be sent for some time: what memory has of it can be read again."""
        lane.down, lane.until = True, now + pause
        ready, lane.ready = lane.ready, deque()
        for entry in ready:
            if self.memory.get(entry.serial) is not entry:
                continue
            if entry.volatile:
                self._tell(entry, NO_ROOM)
                continue
            del self.memory[entry.serial]
            lane.lag(entry.serial)
            self._tell(entry, KEPT)
        if self.unstored:
            self.unstored.park(partial(self._is_of, lane))

    def _is_of(self, lane: Lane, entry: Entry) -> bool:
        return self._lane(entry.route) is lane

    # ---- what there is

    def oldest(self) -> float:
        """When the oldest record in memory was made, seconds since 1970; 0: there is none."""
        return min((entry.made for entry in self.memory.values()), default=0.0)
