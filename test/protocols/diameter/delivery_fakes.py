"""A delivery with the disk as a dictionary."""

from appliance.protocols.diameter.delivery import Delivery
from appliance.protocols.diameter.dictionary import standard
from appliance.protocols.diameter.spool_format import DELIVERED, START, Entry, route

SESSION_ID = standard()["Session-Id"]
HOME = route(3, "home.example", "")
AWAY = route(3, "away.example", "")


class Disk:
    """A delivery with its disk; ``up`` are the routes with a server."""

    def __init__(self, boundary: int = 1, retries: int = 1, window: int = 8) -> None:
        self.up = {HOME, AWAY}
        self.records: dict[int, Entry] = {}
        self.now = 0.0
        self.serial = boundary - 1
        self.boundary = boundary
        self.delivery = Delivery(lambda where: where in self.up, boundary, 0, retries, lambda: 0.5, window)
        self.sent: list[tuple[int, bool]] = []

    def make(self, session: str, where: bytes = HOME, kind: int = START, call_id: int = 0) -> Entry:
        """A record with the next serial."""
        self.serial += 1
        body = SESSION_ID.encode(session)
        return Entry(kind, 1.0, self.serial, where, body, call_id or self.serial, serial=self.serial)

    def left(self, count: int, where: bytes = HOME) -> None:
        """Records that an earlier process has left, each of another session."""
        for serial in range(1, count + 1):
            self.records[serial] = Entry(START, 1.0, serial, where, SESSION_ID.encode(f"old{serial}"), 5)
            self.records[serial].serial = serial
        self.delivery.last = max(self.delivery.last, count)

    def store(self, *entries: Entry) -> None:
        """They are on the disk."""
        for entry in entries:
            self.records[entry.serial] = entry
        self.delivery.stored(list(entries))

    def read(self) -> bool:
        """Do one read, as the spool would: fresh entries, those that are not marked."""
        read = self.delivery.wanted()
        self.mark()
        if read is None:
            return False
        found: list[Entry] = []
        upto = read.until
        for serial in sorted(self.records):
            if not read.after < serial <= read.until:
                continue
            if len(found) == read.limit:
                upto = serial - 1
                break
            entry = self.records[serial]
            if read.only in (b"", entry.route) and entry.route not in read.skip:
                found.append(
                    Entry(
                        entry.kind, entry.made, entry.end_to_end, entry.route, entry.body, entry.call_id,
                        serial=serial,
                    )
                )  # fmt: skip
        self.delivery.loaded(found, upto)
        return True

    def mark(self) -> None:
        """Write the marks."""
        for mark in self.delivery.marks:
            if mark & DELIVERED:
                self.records.pop(mark >> 2, None)
        self.delivery.marks.clear()

    def pump(self, most: int = 100) -> list[int]:
        """Look at lanes that are due, and send; returns serials."""
        deadline = self.delivery.deadline
        if deadline is not None and deadline <= self.now:
            self.delivery.look(self.now)
        self.delivery.pump(self.now, most)
        sends, self.delivery.sends = self.delivery.sends, []
        self.sent += [(entry.serial, repeated) for entry, repeated in sends]
        return [entry.serial for entry, _ in sends]

    def answer(self, how: str, *serials: int) -> None:
        """End tries of records."""
        for serial in serials:
            self.delivery.answered(serial, how, self.now)

    def outcomes(self) -> list[tuple[int, str]]:
        """What sessions were told."""
        found = [(entry.serial, what) for entry, what in self.delivery.outcomes]
        self.delivery.outcomes.clear()
        return found
