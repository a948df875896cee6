"""Users files: what is in them, and what is wrong with them."""

from time import perf_counter

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.settings import AaaServerSettings, Realm, User
from appliance.aaa.users import Users, fold_nai, realm_of
from appliance.aaa.users_file import ATTRIBUTES, UsersFileError, parse


def users(text: str) -> dict[str, User]:
    return parse(text.splitlines(keepends=True), "users", "Home.example")


class UsersFileTests(SynchronousTestCase):
    """Reading."""

    def test_everything(self) -> None:
        """Each attribute; comments, quotes, names with and without realm."""
        found = users(
            """# users of home.example

mn1@HOME.example      # the first one
    Enabled = yes
    PMIPv6 = no
    mipv6 = YES
    MIPv4 = No
    MN-AAA-Key = "a \\"key\\" with # and \\\\"   # here
    MN-AAA-SPI = 0x100
    MN-HA-Key = 0x00ff
    MN-HA-SPI = 4660
    Home-Network-Prefix = 2001:db8:1::/64
    Home-Network-Prefix=2001:db8:2::/56
\tHome-Address = 10.0.0.1
    Home-Agent = 2001:db8::1
    Service-Selection = internet
    Service-Selection = "corp net"
    Authorization-Lifetime = 600
    Auth-Grace-Period = 30
    Session-Timeout = 7200
    Acct-Interim-Interval = 300
    Class = gold
    Chargeable-User-Identity = 0x0102
    Maximum-Sessions = 2
    Bandwidth-Up = 1000000
    Bandwidth-Down = 5000000

mn2
mn#3	# this one has a sign in its name
*
    Enabled = no
"""
        )
        self.assertEqual(
            list(found), ["mn1@home.example", "mn2@home.example", "mn#3@home.example", "*@home.example"]
        )
        self.assertEqual(
            found["mn1@home.example"],
            User(
                nai="mn1@home.example",
                enabled=True,
                pmipv6=False,
                mip6=True,
                mip4=False,
                key=b'a "key" with # and \\',
                spi=256,
                mn_ha_key=b"\0\xff",
                mn_ha_spi=4660,
                prefixes=(
                    (bytes.fromhex("20010db8000100000000000000000000"), 64),
                    (bytes.fromhex("20010db8000200000000000000000000"), 56),
                ),
                ipv4_address=bytes((10, 0, 0, 1)),
                home_agent=bytes.fromhex("20010db8000000000000000000000001"),
                services=("internet", "corp net"),
                authorization_lifetime=600,
                grace_period=30,
                session_timeout=7200,
                interim_interval=300,
                class_=b"gold",
                charge=b"\1\2",
                max_sessions=2,
                bandwidth_up=1_000_000,
                bandwidth_down=5_000_000,
            ),
        )
        self.assertEqual(found["mn2@home.example"], User(nai="mn2@home.example"))
        self.assertFalse(found["*@home.example"].enabled)

    def test_every_attribute_is_in_the_docstring(self) -> None:
        """Names that can be used are described."""
        text = (parse.__globals__["__doc__"] or "").lower()
        for name in ATTRIBUTES:
            self.assertIn(f"``{name}``", text)

    def test_errors(self) -> None:
        """File and line, and what is wrong."""
        for text, line, what in (
            ("  Enabled = yes", 1, "before the first user"),
            ("a\n  Enabled = maybe", 2, "yes or no"),
            ("a\n\n  Enabled", 3, "NAME = VALUE"),
            ("a\n  Shoe-Size = 9", 2, "unknown attribute 'Shoe-Size'; known are"),
            ("a\n  MN-AAA-Key =", 2, "1 to 64 octets"),
            ("a\n  MN-AAA-Key = 0x123", 2, "hexadecimal"),
            (f"a\n  MN-AAA-Key = {'k' * 65}", 2, "1 to 64 octets"),
            ('a\n  MN-AAA-Key = "x', 2, "closing quote is missing"),
            ('a\n  MN-AAA-Key = "x" y', 2, "'y' behind the closing quote"),
            ('a\n  MN-AAA-Key = "\\n"', 2, "backslash"),
            ("a\n  MN-AAA-SPI = 4294967296", 2, "0 to 4294967295"),
            ("a\n  MN-AAA-SPI = x", 2, "invalid literal"),
            ("a\n  Home-Network-Prefix = 2001:db8::1/64", 2, "host bits set"),
            ("a\n  Home-Network-Prefix = 2001:db8::/65", 2, "64 bits at most"),
            ("a\n  Home-Network-Prefix = 10.0.0.0/8", 2, "Home-Network-Prefix"),
            ("a\n  Home-Address = 10.0.0.256", 2, "Home-Address"),
            ("a\n  Home-Agent = here", 2, "Home-Agent"),
            ("a\n  Service-Selection =", 2, "empty"),
            ("a\n  Maximum-Sessions = 1001", 2, "0 to 1000"),
            ("a\n  Class = x\n  Class = y", 3, "twice"),
            ("a\nb\na", 3, "in line 1 already"),
            ("a\nA@HOME.EXAMPLE\na@home.example", 3, "in line 1 already"),
            ("a@other.example", 1, "not of the realm home.example"),
            ("a b", 1, "no NAI"),
            ("@home.example", 1, "no NAI"),
            ("x" * 250, 1, "no NAI"),
            ("# " + "x" * 1_000, 1, "longer than 1000"),
        ):
            with self.assertRaises(UsersFileError, msg=text) as caught:
                users(text)
            self.assertTrue(str(caught.exception).startswith(f"users:{line}: "), str(caught.exception))
            self.assertIn(what, str(caught.exception))

    def test_breathes(self) -> None:
        """A long file lets others have their turn."""
        breaths: list[int] = []
        parse((f"mn{number}\n" for number in range(1_000)), "f", "r", lambda: breaths.append(1))
        self.assertEqual(len(breaths), 5)

    def test_speed(self) -> None:
        """100,000 users take seconds, not minutes; here a tenth of them."""
        text = "".join(
            f'mn{number}\n  MN-AAA-Key = "secret-{number}"\n  Service-Selection = internet\n'
            for number in range(10_000)
        )
        begun = perf_counter()
        self.assertEqual(len(users(text)), 10_000)
        self.assertLess(perf_counter() - begun, 3.0)


class UsersTests(SynchronousTestCase):
    """Who is found."""

    def setUp(self) -> None:
        self.users = Users(
            AaaServerSettings(
                name="a",
                realms=(Realm(name="Home.example", users_file="f"), Realm(name="other.example")),
                users=(
                    User(nai="mn1@home.example", spi=1),
                    User(nai="*@Other.example", spi=2),
                    User(nai="stray@elsewhere.example"),
                ),
            )
        )
        self.users.load(
            "HOME.example",
            {
                "mn1@home.example": User(nai="mn1@home.example", spi=3),
                "mn2@home.example": User(nai="mn2@home.example", spi=4),
                "*@home.example": User(nai="*@home.example", spi=5),
            },
        )

    def spi(self, nai: str) -> int | None:
        found = self.users.find(nai)
        return None if found is None else found.spi

    def test_order(self) -> None:
        """Whole name before default, configuration before file."""
        self.assertEqual(self.spi("mn1@home.example"), 1)
        self.assertEqual(self.spi("mn1@HOME.Example."), 1)
        self.assertEqual(self.spi("mn2@home.example"), 4)
        self.assertEqual(self.spi("MN2@home.example"), 5, "user parts have case")
        self.assertEqual(self.spi("anyone@other.example"), 2)
        self.assertEqual(self.spi("home.example!mn2@other.example"), 2)

    def test_unknown(self) -> None:
        """Realms that are not ours have no users, whatever the configuration lists."""
        for nai in ("", "mn1", "@", "stray@elsewhere.example", "mn1@home.example@elsewhere"):
            self.assertIsNone(self.users.find(nai), nai)

    def test_other_settings(self) -> None:
        """What was loaded stays as long as its realm has a file."""
        self.users.configure(
            AaaServerSettings(name="a", realms=(Realm(name="home.example", users_file="g"),))
        )
        self.assertEqual(self.spi("mn1@home.example"), 3)
        self.assertIsNone(self.users.find("anyone@other.example"))
        self.users.configure(AaaServerSettings(name="a", realms=(Realm(name="home.example"),)))
        self.assertIsNone(self.users.find("mn1@home.example"))

    def test_counts(self) -> None:
        """A user in both places is one user."""
        self.assertEqual(self.users.counts(), {"home.example": 3, "other.example": 1})
        self.assertEqual(len(self.users.listed("home.example")), 3)
        self.assertEqual(len(self.users.listed()), 5)

    def test_parts(self) -> None:
        """Realm and folded form of a name."""
        self.assertEqual(realm_of("a@b@C."), "c")
        self.assertEqual(realm_of("a"), "")
        self.assertEqual(fold_nai("A@B.C"), "A@b.c")
