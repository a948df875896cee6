"""Accounting records in a PostgreSQL server that runs."""

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.postgres import PostgresDatabase
from appliance.aaa.records import DAY, Database, Selection, StoreError
from appliance.aaa.settings import AaaServerSettings
from appliance.aaa_service import make_database
from appliance.errors import ResourceError
from test.aaa.store_cases import StoreCases, record
from test.real.postgres import missing, shared

_numbers = count(1)


class PostgresTests(StoreCases, SynchronousTestCase):
    """All cases, and what only a server has."""

    skip = missing() or None

    def database(self) -> Database:
        self.cluster = shared()
        self.address = self.cluster.create(f"records{next(_numbers)}")
        return PostgresDatabase(self.address)

    def test_commits_are_synchronous(self) -> None:
        """What the docstring promises, whatever the server's default is."""
        connection = self.store._link.get()  # type: ignore[attr-defined]
        self.assertEqual(connection.execute("SHOW synchronous_commit").fetchone()[0], "on")

    def test_server_that_dies(self) -> None:
        """An error while it is down; afterwards it goes on, with all that was stored."""
        self.put(record("before"))
        self.cluster.stop("immediate")
        try:
            with self.assertRaisesRegex(StoreError, "database postgresql://appliance@"):
                self.put(record("meanwhile"))
            with self.assertRaises(StoreError):
                self.put(record("meanwhile"))
            with self.assertRaises(StoreError):
                self.reader.count()
        finally:
            self.cluster.start()
        self.assertEqual(len(self.put(record("after"), record("before"))), 1)
        self.assertEqual([each.session for each in self.all()], ["before", "after"])

    def test_large_summary(self) -> None:
        """Rows come as they are asked for, and a reader that has enough is not stuck."""
        self.put(*(record(f"s;{number}", 0, 4, user=f"mn{number}@x") for number in range(1_000)))
        found = self.reader.summary(Selection())
        self.assertEqual(next(found).user, "mn0@x")
        found.close()  # type: ignore[attr-defined]
        self.assertEqual(self.reader.count(), 1_000)

    def test_no_such_database(self) -> None:
        """The error is the server's own, in one line."""
        store = PostgresDatabase(self.cluster.of("nowhere"))
        with self.assertRaisesRegex(StoreError, 'database "nowhere" does not exist'):
            store.write([record()], DAY)


class ConfiguredTests(SynchronousTestCase):
    """What the configuration makes of an address."""

    skip = missing() or None

    def test_words_of_libpq(self) -> None:
        """Such an address is PostgreSQL's, too, and its password is not shown."""
        words = f"host={shared().directory} user=appliance dbname=postgres password='a b'"
        settings = AaaServerSettings(name="s", database=words)
        store = make_database(settings, "/nowhere")
        self.assertEqual(store.description, f"PostgreSQL {words.replace(repr('a b'), '***')}")
        store.open()
        store.close()

    def test_no_address(self) -> None:
        """What libpq does not understand is told at once, without the password."""
        settings = AaaServerSettings(name="s", database="host=/run nonsense=1 password='hidden'")
        with self.assertRaisesRegex(
            ResourceError, r'^storage postgresql host=/run nonsense=1 password=\*\*\*: .*option "nonsense"'
        ):
            make_database(settings, "/nowhere")

    def test_errors(self) -> None:
        """Nor in an error about an address that cannot be read."""
        with self.assertRaises(ResourceError) as caught:
            PostgresDatabase("postgresql://u:secret@[::1]x/db")
        self.assertNotIn("secret", str(caught.exception))
        self.assertIn("u@", str(caught.exception))
