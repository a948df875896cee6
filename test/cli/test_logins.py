"""Lock-outs and limits on strangers, on a clock of our own."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.logins import Logins
from appliance.management import Management, User
from appliance.strangers import TABLE_LIMIT, Repeated, source_of

MANAGEMENT = Management(
    users=(User(username="alice"), User(username="robot", lockout=False)),
    max_failed_logins=3,
    lockout_time=10,
)


class SourceTests(SynchronousTestCase):
    """What counts as one source."""

    def test_sources(self) -> None:
        """IPv4 addresses are themselves, also mapped ones; IPv6 addresses are their /64."""
        for host, source in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:1:2:3", "2001:db8::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("not an address", "not an address"),
        ):
            self.assertEqual(source_of(host), source)


class LockOutTests(SynchronousTestCase):
    """Failed log-ins in a row."""

    def setUp(self) -> None:
        self.book = Logins()

    def fail_times(self, count: int, user: str, source: str, now: float = 0.0) -> list[str]:
        return [who for _ in range(count) for who in self.book.failed(user, source, MANAGEMENT, now)]

    def locked(self, user: str, source: str, now: float = 0.0) -> bool:
        return self.book.locked(user, source, MANAGEMENT, now)

    def test_user_and_address_are_locked_out(self) -> None:
        """The third failure locks user and address; others are not concerned; both end after the time."""
        self.assertEqual(self.fail_times(2, "alice", "s1"), [])
        self.assertFalse(self.locked("alice", "s1"))
        self.assertEqual(self.fail_times(1, "alice", "s1"), ["user alice", "address s1"])
        self.assertTrue(self.locked("alice", "s2"))
        self.assertTrue(self.locked("robot", "s1"))
        self.assertFalse(self.locked("robot", "s2"))
        self.assertTrue(self.locked("alice", "s2", 599.0))
        self.assertFalse(self.locked("alice", "s2", 600.0))

    def test_failures_from_many_addresses_lock_the_user(self) -> None:
        """It does not help a guesser to come from another address each time."""
        for index in range(3):
            self.book.failed("alice", f"s{index}", MANAGEMENT, 0.0)
        self.assertTrue(self.locked("alice", "elsewhere"))

    def test_a_success_ends_the_row(self) -> None:
        """Two failures, a success, two failures: nobody is locked out."""
        self.fail_times(2, "alice", "s1")
        self.book.succeeded("alice", "s1")
        self.assertEqual(self.fail_times(2, "alice", "s1"), [])
        self.assertFalse(self.locked("alice", "s1"))

    def test_old_failures_are_forgotten(self) -> None:
        """Failures further apart than the lock-out time are not in a row."""
        for now in (0.0, 601.0, 1202.0, 1803.0):
            self.assertEqual(self.fail_times(1, "alice", "s1", now), [])

    def test_a_user_may_be_exempt_but_not_an_address(self) -> None:
        """``no-lockout-login-failure`` protects the user, not who tries."""
        self.assertEqual(self.fail_times(5, "robot", "s1"), ["address s1"])
        self.assertFalse(self.locked("robot", "s2"))
        self.assertTrue(self.locked("robot", "s1"))

    def test_unknown_users_are_locked_out_alike(self) -> None:
        """Nobody learns from a lock-out whether a user exists."""
        self.fail_times(3, "mallory", "s1")
        self.assertTrue(self.locked("mallory", "s2"))

    def test_made_up_names_do_not_push_a_lock_out_out(self) -> None:
        """A lock-out of a real user outlives any number of names; the tables stay small."""
        self.fail_times(3, "alice", "s1")
        for index in range(3 * TABLE_LIMIT):
            self.book.failed(f"name{index}", f"s{index}", MANAGEMENT, 1.0)
        self.assertTrue(self.locked("alice", "elsewhere", 2.0))
        self.assertLessEqual(len(self.book._strangers), TABLE_LIMIT)
        self.assertLessEqual(len(self.book._sources), TABLE_LIMIT)


class ConnectionTests(SynchronousTestCase):
    """How many connections, and how fast."""

    def test_connections_of_one_source_and_of_all(self) -> None:
        """One source gets 20 places, all together 30; a place that is freed is given again."""
        book = Logins()
        answers = [book.connect("s1", 0.0) for _ in range(21)]
        self.assertEqual(answers[:20], [""] * 20)
        self.assertIn("20 connections", answers[20])
        others = [book.connect("s2", 0.0) for index in range(11)]
        self.assertEqual(others[:10], [""] * 10)
        # The last one takes a place of the busiest source.
        self.assertEqual(others[10], "")
        book.settled("s1")
        self.assertEqual(book.waiting, 30)

    def test_a_full_house_has_room_for_newcomers(self) -> None:
        """The busiest source loses a place to whoever has at least two less."""
        book = Logins()
        for _ in range(15):
            self.assertEqual((book.connect("s1", 0.0), book.connect("s2", 0.0)), ("", ""))
        self.assertEqual(book.rival("s1"), "")
        self.assertIn("30 connections", book.connect("s1", 0.0))
        self.assertEqual((book.rival("admin"), book.connect("admin", 0.0)), ("s1", ""))
        book = Logins()
        for index in range(30):
            self.assertEqual(book.connect(f"t{index}", 0.0), "")
        self.assertEqual(book.rival("admin"), "")
        self.assertIn("30 connections", book.connect("admin", 0.0))

    def test_rate_of_one_source(self) -> None:
        """Forty at once, then ten a second."""
        book = Logins()

        def tries(count: int, now: float) -> int:
            passed = 0
            for _ in range(count):
                if not book.connect("s1", now):
                    passed += 1
                    book.settled("s1")
            return passed

        self.assertEqual(tries(200, 0.0), 40)
        self.assertEqual(tries(200, 1.0), 10)
        self.assertEqual(tries(200, 100.0), 40)
        self.assertEqual(book.waiting, 0)

    def test_rate_of_all_sources(self) -> None:
        """A hundred at once, then fifty a second, from wherever."""
        book = Logins()

        def tries(now: float) -> int:
            passed = [index for index in range(1000) if not book.connect(f"{now} {index % 500}", now)]
            for index in passed:
                book.settled(f"{now} {index % 500}")
            return len(passed)

        # The places of connections that are not settled are not what is tested here.
        book._limits = evolve(book._limits, places=10_000)
        self.assertEqual(tries(1000.0), 100)
        self.assertEqual(tries(1001.0), 50)

    def test_a_million_sources_cost_bounded_memory(self) -> None:
        """Buckets of old sources are forgotten."""
        book = Logins()
        for index in range(2 * TABLE_LIMIT):
            if not book.connect(str(index), 0.0):
                book.settled(str(index))
            book.first(str(index), 0.0)
        self.assertLessEqual(len(book._buckets), TABLE_LIMIT)
        self.assertLessEqual(len(book._told), TABLE_LIMIT)
        self.assertEqual(book._open, {})


class TellTests(SynchronousTestCase):
    """One log line for a source."""

    def test_the_first_is_logged_and_the_rest_counted(self) -> None:
        """A source is named once; a minute later its count is told, and again while it goes on."""
        book = Logins()
        self.assertEqual([book.first("s1", 0.0) for _ in range(200)].count(True), 1)
        self.assertEqual(list(book.tick(59.0)), [])
        self.assertEqual(list(book.tick(60.0)), [Repeated("s1", 199)])
        self.assertFalse(book.first("s1", 61.0))
        self.assertEqual(list(book.tick(120.0)), [Repeated("s1", 1)])
        self.assertEqual(list(book.tick(180.0)), [])
        self.assertTrue(book.first("s1", 181.0))
