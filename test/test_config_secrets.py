"""What is left of a line when its secrets are masked."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config_secrets import masked, masked_answer

M = "********"


class MaskedTests(SynchronousTestCase):
    """Keys and passwords of Diameter and AAA, however a line is typed."""

    def test_keys(self) -> None:
        """The word may be abbreviated, and the line may be wrong."""
        for line, shown in (
            ("mn-aaa spi 3 secret Hidden1", f"mn-aaa spi 3 secret {M}"),
            ("mn-aaa sec Hidden1", f"mn-aaa sec {M}"),
            ("mn-aaa s Hidden1", f"mn-aaa s {M}"),
            ("  do te aaa auth g home u a@b spi 3 se Hidden1", f"  do te aaa auth g home u a@b spi 3 se {M}"),
            ('mn-ha secret "Hid s den" more', f"mn-ha secret {M} more"),
            ("mn-aaa secret s", f"mn-aaa secret {M}"),
            (
                "storage postgresql postgresql://h/d sec Hidden1",
                f"storage postgresql postgresql://h/d sec {M}",
            ),
        ):
            self.assertEqual(masked(line), shown)

    def test_addresses(self) -> None:
        """A password in the address of a database is refused, and may not be in the audit log either."""
        for line, shown in (
            ("storage postgresql postgresql://u:Hidden@h/d", f"storage postgresql postgresql://u:{M}@h/d"),
            ("sto p postgresql:///d?password=Hidden&x=1", f"sto p postgresql:///d?password={M}&x=1"),
            ('sto p "host=/x password=Hidden user=a"', f'sto p "host=/x password={M} user=a"'),
            ("sto p \"host=/x password='Hid den'\"", f'sto p "host=/x password={M}"'),
        ):
            self.assertEqual(masked(line), shown)

    def test_nothing_to_hide(self) -> None:
        """Other lines stay as they are."""
        for line in (
            "show service all",
            "show ses s all",
            "peer aaa1.example.org realm example.org address 2001:db8::1 port 4868 transport sctp",
            "storage postgresql postgresql://aaa@db1:5432/aaa",
            "test aaa accounting group home user a@b",
        ):
            self.assertEqual(masked(line), line)

    def test_answer(self) -> None:
        """Neither does the answer have what the line is not to have."""
        self.assertEqual(masked_answer("Hidden1 is wrong", "mn-aaa s Hidden1"), f"{M} is wrong")
