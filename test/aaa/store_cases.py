"""What every database of accounting records has to do; used for each of them."""

from typing import Any

from appliance.aaa.records import (
    DAY,
    MOST,
    NO_SUB_SESSION,
    Database,
    Place,
    Record,
    RecordReader,
    Selection,
    column_text,
)

T0 = 1_795_417_200_000_000
SECOND = 1_000_000


def record(session: str = "s;1", number: int = 0, kind: int = 2, at: float = 0.0, **more: Any) -> Record:
    """A record that was received so many seconds after the beginning of time."""
    fields: dict[str, Any] = {
        "id": None,
        "received": T0 + round(at * SECOND),
        "end_to_end": 7,
        "host": "lma1.home.example",
        "realm": "home.example",
        "session": session,
        "sub": NO_SUB_SESSION,
        "number": number,
        "type": kind,
        "user": "mn1@home.example",
        "event": None,
        "duration": None,
        "octets_in": None,
        "octets_out": None,
        "packets_in": None,
        "packets_out": None,
        "cause": None,
        "multi": "",
        "application": 3,
        "raw": b"\0\0\1\x07",
        **more,
    }
    return Record(**fields)


class StoreCases:
    """Cases for one kind of database, beside a TestCase; ``database`` gives a fresh one, not opened."""

    database: Any
    addCleanup: Any
    assertEqual: Any
    assertIsNone: Any

    def setUp(self) -> None:
        self.store: Database = self.database()
        self.store.open()
        self.addCleanup(self.store.close)
        self.reader: RecordReader = self.store.reader()
        self.addCleanup(self.reader.close)

    def put(self, *records: Record, window: int = DAY) -> list[Record]:
        return self.store.write(records, window)

    def all(self, **wanted: Any) -> list[Record]:
        return self.reader.page(Selection(**wanted), None, 10_000)

    def test_what_is_written_is_read(self) -> None:
        """Every column comes back as it was, the largest numbers and odd texts too."""
        full = record(
            "host;1;2;ü\t'\"\\",
            0xFFFFFFFF,
            4,
            sub=5,
            end_to_end=0xFFFFFFFF,
            event=1_795_417_200,
            duration=0xFFFFFFFF,
            octets_in=MOST,
            octets_out=1 << 40,
            packets_in=0,
            packets_out=3,
            cause=1,
            multi="m;1",
            application=0xFFFFFFFF,
            raw=bytes(range(256)),
        )
        self.assertEqual(self.put(full, record()), [full, record()])
        found = self.all()
        self.assertEqual([each._replace(id=None) for each in found], [full, record()])
        self.assertEqual(self.reader.count(), 2)

    def test_many_at_once(self) -> None:
        """Batches of any size, also of none."""
        for size in (1, 3, 64, 333, 1_024):
            batch = [record(f"{size};{number}") for number in range(size)]
            self.assertEqual(len(self.put(*batch)), size)
        self.assertEqual(self.reader.count(), 1 + 3 + 64 + 333 + 1_024)

    def test_repeated_records_are_stored_once(self) -> None:
        """In one batch, in later ones, in either order of arrival; the first one stays."""
        first, other = record(at=1), record(number=1, kind=3, at=2)
        self.assertEqual(self.put(first, other, first), [first, other])
        again = record(at=3, end_to_end=9)
        new = record(number=2, kind=4, at=3)
        self.assertEqual(self.put(again, new, other), [new])
        self.assertEqual([each.end_to_end for each in self.all()], [7, 7, 7])

    def test_what_makes_a_record_another_one(self) -> None:
        """Session-Id, sub-session, number, type and who sent it; nothing else."""
        self.put(record())
        different = [record("s;2"), record(sub=1), record(number=1), record(kind=3), record(host="x.example")]
        self.assertEqual(self.put(*different), different)
        self.assertEqual(self.put(record(user="other", raw=b"x" * 8)), [])

    def test_records_of_others(self) -> None:
        """What another client sends under a Session-Id keeps no record out, ends nothing, and is no usage."""
        other = {"host": "evil.example", "user": "evil@x"}
        self.put(record(number=1, kind=4, **other), record(number=9, kind=3, octets_in=MOST, **other))
        mine = [record(octets_in=0), record(number=1, kind=4, octets_in=5)]
        self.assertEqual(self.put(mine[0]), mine[:1])
        (found,) = self.reader.open_sessions(Selection(), None, 100)
        self.assertEqual(found.host, mine[0].host)
        newest = self.reader.newest(found.session, found.sub, found.host)
        self.assertEqual(newest and newest.number, 0)
        self.assertEqual(self.put(mine[1]), mine[1:])
        usage = {each.user: each.octets_in for each in self.reader.summary(Selection())}
        self.assertEqual(usage, {"mn1@home.example": 5, "evil@x": MOST})

    def test_window(self) -> None:
        """A repeated record is another one when it comes after more than the window; and again after that."""
        for day, new in ((0, True), (0.9, False), (1.5, True), (2.3, False), (3.1, True)):
            batch = [record(at=day * 86_400)]
            self.assertEqual(self.put(*batch), batch if new else [], day)
        self.assertEqual(self.reader.count(), 3)

    def test_pages(self) -> None:
        """In the order of reception, not of storing; also backwards; equal times in their own order."""
        for at in (3, 1, 1, 2, 1):
            self.put(record(f"s;{self.reader.count()}", at=at))
        order = ["s;1", "s;2", "s;4", "s;3", "s;0"]
        for backwards in (False, True):
            found, place = [], None
            while page := self.reader.page(Selection(), place, 2, backwards):
                found += [each.session for each in page]
                assert page[-1].id is not None
                place = Place(page[-1].received, page[-1].id)
            self.assertEqual(found, order[::-1] if backwards else order)

    def test_filters(self) -> None:
        """User with wildcards, session, times, types; together."""
        users = ("mn1@a", "mn2@a", "mn12@a", "MN1@a", "50%_\\[x]?@a")
        self.put(*(record(user, user=user, at=at) for at, user in enumerate(users)))

        def sessions(**wanted: Any) -> list[str]:
            return [each.session for each in self.all(**wanted)]

        self.assertEqual(sessions(user="mn1@a"), ["mn1@a"])
        self.assertEqual(sessions(user="mn*@a"), ["mn1@a", "mn2@a", "mn12@a"])
        self.assertEqual(sessions(user="mn$@a"), ["mn1@a", "mn2@a"])
        self.assertEqual(sessions(user="50%_\\[x]?*"), ["50%_\\[x]?@a"])
        self.assertEqual(sessions(user="50%*_*"), ["50%_\\[x]?@a"])
        self.assertEqual(sessions(session="mn2@a"), ["mn2@a"])
        self.assertEqual(sessions(after=T0 + SECOND, before=T0 + 3 * SECOND), ["mn2@a", "mn12@a"])
        self.assertEqual(sessions(user="mn*", after=T0 + SECOND), ["mn2@a", "mn12@a"])
        self.assertEqual(sessions(types=(4,)), [])
        self.assertEqual(len(sessions(types=(2, 3))), 5)

    def test_open_sessions(self) -> None:
        """Those with START and without STOP; a STOP without sub-session ends all of them."""
        self.put(record("a"), record("a", 1, 3), record("b"), record("b", 1, 4))
        self.put(record("c", sub=1), record("c", sub=2), record("c", 1, 4, sub=1), record("d", sub=1))
        self.put(record("d", 9, 4))
        found = self.reader.open_sessions(Selection(), None, 100)
        self.assertEqual([(each.session, each.sub) for each in found], [("a", NO_SUB_SESSION), ("c", 2)])
        newest = self.reader.newest("a", NO_SUB_SESSION, "lma1.home.example")
        assert newest is not None
        self.assertEqual((newest.number, newest.type), (1, 3))
        self.assertIsNone(self.reader.newest("x", 0, "lma1.home.example"))

    def test_summary(self) -> None:
        """Each session once, by its newest record; days in UTC; sums beyond 64 bits."""
        day = (86_400 - T0 // SECOND % 86_400) + 10
        self.put(
            record("a"),
            record("a", 1, 3, at=1, duration=60, octets_in=10, octets_out=20),
            record("a", 2, 4, at=2, duration=90, octets_in=15, octets_out=25, packets_in=1, packets_out=2),
            record("b", at=1),
            record("b", 1, 4, at=day, duration=5, octets_in=MOST, octets_out=MOST),
            record("c", 0, 4, at=day, duration=5, octets_in=MOST, octets_out=1),
            record("d", 0, 1, user="other@x", duration=7),
        )
        first = T0 // DAY
        found = [
            (each.user, each.day - first, each.sessions, each.duration, each.octets_in, each.octets_out)
            for each in self.reader.summary(Selection())
        ]
        self.assertEqual(
            found,
            [
                ("mn1@home.example", 0, 1, 90, 15, 25),
                ("mn1@home.example", 1, 2, 10, 2 * MOST, MOST + 1),
                ("other@x", 0, 1, 7, 0, 0),
            ],
        )
        only = list(self.reader.summary(Selection(user="other*")))
        self.assertEqual([each.user for each in only], ["other@x"])

    def test_pruning(self) -> None:
        """Old ones go, a few at a time."""
        self.put(*(record(f"s;{number}", at=number) for number in range(10)))
        self.assertEqual(self.store.prune(T0 + 5 * SECOND, 3), 3)
        self.assertEqual(self.store.prune(T0 + 5 * SECOND, 3), 2)
        self.assertEqual([each.session for each in self.all()], [f"s;{number}" for number in range(5, 10)])

    def test_rows(self) -> None:
        """What the text log asks: what is behind a row, which row a line is, where a time begins."""
        self.assertEqual(self.store.row_at(0), 0)
        self.put(*(record(f"s;{number}", at=number, end_to_end=number) for number in range(4)))
        rows = self.all()
        ids = [each.id for each in rows]
        assert ids[0] is not None and ids[3] is not None
        self.assertEqual([each.session for each in self.store.since(ids[1] or 0, 10)], ["s;2", "s;3"])
        self.assertEqual(self.store.row_of(T0 + SECOND, T0 + SECOND + 1_000, 1), ids[1])
        self.assertIsNone(self.store.row_of(T0 + SECOND, T0 + SECOND + 1_000, 2))
        self.assertEqual(self.store.row_at(T0 + 2 * SECOND), (ids[2] or 0) - 1)
        self.assertEqual(self.store.row_at(T0 + 60 * SECOND), ids[3])

    def test_texts_that_databases_do_not_like(self) -> None:
        """NUL, and texts that are too long for an index; they still tell records apart."""
        long = ["x" * 100_000 + end for end in ("1", "2")]
        odd = [record(column_text(text), user=column_text(text)) for text in long]
        odd.append(record("a\0b", user="u\0", multi="\0"))
        self.assertEqual(len(self.put(*odd)), 3)
        self.assertEqual(self.put(*odd), [])
        self.assertEqual(len(self.all(session=column_text(long[0]))), 1)

    def test_opened_again(self) -> None:
        """Nothing is lost or made twice when it is closed and opened again."""
        self.put(record())
        self.store.close()
        self.store.open()
        self.assertEqual(self.put(record()), [])
        self.assertEqual(self.reader.count(), 1)
