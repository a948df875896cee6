"""Password hashes: their form, their limits, and what a wrong one costs."""

import asyncio
import hashlib

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import passwords
from appliance.cli.passwords import Busy, Hashers, hash_password, verify
from appliance.config_secrets import parse_hash
from appliance.errors import ApplianceError

#: A light hash, up to the digest.
LIGHT = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$"


def light(password: str) -> str:
    """A hash that takes little time."""
    digest = hashlib.scrypt(password.encode(), salt=b"saltsaltsaltsalt", n=1024, r=8, p=1, dklen=32)
    return LIGHT + passwords._encode(digest)


class HashTests(SynchronousTestCase):
    """One password, one hash."""

    def test_a_hash_verifies_its_password_only(self) -> None:
        """The right password is right, others are not; two hashes of one password differ."""
        first, second = hash_password("grün & blau"), hash_password("grün & blau")
        self.assertNotEqual(first, second)
        self.assertTrue(first.startswith("$scrypt$ln=15,r=8,p=1$"))
        self.assertTrue(verify("grün & blau", first) and verify("grün & blau", second))
        self.assertFalse(verify("grün & blau ", first))
        self.assertIsNotNone(parse_hash(first))

    def test_hashes_of_others_are_understood(self) -> None:
        """Costs and salt are read from the hash."""
        self.assertTrue(verify("secret", light("secret")))
        self.assertFalse(verify("Secret", light("secret")))

    def test_no_hash_is_never_right(self) -> None:
        """Nothing, rubbish and cut-off hashes say no, whatever is typed."""
        for stored in ("", "secret", "$scrypt$", light("secret")[:-20], light("secret") + "\n"):
            self.assertIsNone(parse_hash(stored), stored)
            self.assertFalse(verify("secret", stored), stored)
        self.assertFalse(verify("", ""))

    def test_a_hash_cannot_demand_absurd_memory(self) -> None:
        """Costs beyond the limit, or too small to protect, are no hash."""
        salt = "c2FsdHNhbHRzYWx0c2FsdA$" + 43 * "A"
        for costs in ("ln=30,r=8,p=1", "ln=19,r=99,p=1", "ln=16,r=8,p=2", "ln=9,r=8,p=1", "ln=15,r=8,p=9"):
            self.assertIsNone(parse_hash(f"$scrypt${costs}${salt}"), costs)
        self.assertIsNotNone(parse_hash(f"$scrypt$ln=16,r=8,p=1${salt}"))

    def test_an_unknown_user_costs_as_much(self) -> None:
        """Without a hash the same function runs with the same costs."""
        calls: list[int] = []
        real = hashlib.scrypt

        def spy(*args: object, **keys: int) -> bytes:
            calls.append(keys["n"] * keys["r"] * keys["p"])
            return real(*args, **keys)  # type: ignore[arg-type]

        self.patch(hashlib, "scrypt", spy)
        stored = hash_password("secret")
        verify("wrong", stored)
        verify("wrong", "")
        verify("x" * 100_000, stored)
        self.assertEqual(set(calls), {(1 << 15) * 8})
        self.assertEqual(len(calls), 4)

    def test_bad_passwords_are_named(self) -> None:
        """Empty, too long and unprintable passwords are refused with the reason."""
        for password, part in (("", "empty"), ("x" * 129, "longer"), ("a\nb", "control")):
            with self.assertRaises(ApplianceError) as caught:
                hash_password(password)
            self.assertIn(part, str(caught.exception))

    def test_text_that_is_no_utf8_is_just_wrong(self) -> None:
        """Octets of a client that are no text do not raise."""
        self.assertFalse(verify(b"\xff\xfe".decode("utf-8", "surrogateescape"), light("secret")))


class HasherTests(SynchronousTestCase):
    """Hashes in threads."""

    def test_work_beyond_the_queue_is_refused_at_once(self) -> None:
        """Of a hundred at once the first eighteen are done, the rest raise Busy."""

        async def many() -> list[object]:
            hashers = Hashers()
            stored = light("secret")
            results = await asyncio.gather(
                *(hashers.verify("secret", stored) for _ in range(100)), return_exceptions=True
            )
            again = await hashers.verify("secret", stored)
            hashers.close()
            return [*results, again]

        results = asyncio.run(many())
        self.assertEqual(results[:18], [True] * 18)
        self.assertTrue(all(isinstance(each, Busy) for each in results[18:100]))
        self.assertIs(results[100], True)
