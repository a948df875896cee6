"""Records that only memory has, because the disk would not take them.

They are sent like the others, but must not overtake older records of their binding that the disk has: such
ones are *parked* until the disk has been read.
"""

from collections.abc import Callable, Iterator

from attrs import evolve

from appliance.protocols.diameter.client.spool_format import EVENT, START, Entry

#: Records at one time; more are lost.
MOST = 10_000
#: Kinds that no other record of their binding comes before.
FIRST_KINDS = (START, EVENT)


class Unstored:
    """The records, in the order of their serials; ``flying``: serials of those that are under way."""

    def __init__(self, flying: dict[int, Entry]) -> None:
        self.entries: dict[int, Entry] = {}
        self._flying = flying
        self._keys: dict[bytes, int] = {}
        self._parked: set[int] = set()

    def __len__(self) -> int:
        return len(self.entries)

    def has(self, key: bytes) -> bool:
        """Whether a session has records here; later ones must not get to the disk before them."""
        return key in self._keys

    def add(self, entry: Entry, unread: bool) -> bool:
        """Take a record; False: it is parked. ``unread``: the disk has records that were not read yet."""
        key = entry.key
        entry.volatile = True
        wait = unread and entry.kind not in FIRST_KINDS
        if key in self._keys:
            for serial, other in self.entries.items():
                if other.call_id == entry.call_id and other.key == key:
                    wait = serial in self._parked
                    break
        self.entries[entry.serial] = entry
        self._keys[key] = self._keys.get(key, 0) + 1
        if wait:
            self._parked.add(entry.serial)
        return not wait

    def discard(self, entry: Entry) -> None:
        """Forget a record; nothing happens if it is not here."""
        if self.entries.pop(entry.serial, None) is None:
            return
        self._parked.discard(entry.serial)
        key = entry.key
        left = self._keys[key] - 1
        if left:
            self._keys[key] = left
        else:
            del self._keys[key]

    def park(self, mine: Callable[[Entry], bool]) -> None:
        """The records of a lane cannot be sent: decide anew what may be, before the disk is read."""
        ahead: set[tuple[bytes, int]] = set()
        for serial, entry in self.entries.items():
            if mine(entry):
                binding = entry.key, entry.call_id
                if entry.kind in FIRST_KINDS or binding in ahead or serial in self._flying:
                    ahead.add(binding)
                    self._parked.discard(serial)
                else:
                    self._parked.add(serial)

    def ready(self, mine: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Those of a lane that may be sent now."""
        for serial, entry in self.entries.items():
            if serial not in self._parked and serial not in self._flying and mine(entry):
                yield entry

    def unpark(self, read: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Those that were parked and need not be any more: ``read`` tells that the disk has been read."""
        for serial in sorted(self._parked):
            entry = self.entries[serial]
            if read(entry):
                self._parked.discard(serial)
                yield entry

    @property
    def parked(self) -> bool:
        """Whether there are parked ones."""
        return bool(self._parked)

    def rescue(self, sessions: int) -> list[tuple[Entry, Entry]]:
        """What there is of some sessions, oldest first: each record, and a copy to try the disk with."""
        flying = {entry.key for entry in self._flying.values()}
        keys: set[bytes] = set()
        for entry in self.entries.values():
            # What is under way stays, and so does what waits behind it.
            if entry.key not in flying:
                keys.add(entry.key)
                if len(keys) >= sessions:
                    break
        found = [entry for entry in self.entries.values() if entry.key in keys]
        return [(entry, evolve(entry, volatile=False)) for entry in found]
