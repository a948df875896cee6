"""Lines about hosts in a configuration: what they set, and what contradicts itself."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Configuration, ConfigurationErrors, load, show
from appliance.config_audit import audit
from appliance.config_secrets import masked
from appliance.protocols.pmipv6.settings import Association

POOL = "ipv6 pool HOSTS prefix 2001:db8:100::/64 delegated-length 128 static"
KEY = bytes(range(16))


def configuration(*, pool: str = POOL, subscriber: str = "", service: str = "") -> str:
    """A small configuration with lines in three places."""
    lines = (
        "config", "context anchor", pool, "subscriber name alice@example.org", subscriber, "exit",
        "lma-service lma1", "bind address 2001:db8:ffff::1", service, "exit", "exit", "end",
    )  # fmt: skip
    return "\n".join(lines) + "\n"


class HostLineTests(SynchronousTestCase):
    """What is read, printed and refused."""

    def read(self, **where: str) -> Configuration:
        """Load it; what is printed is the same configuration again."""
        found = load(configuration(**where), "x")
        printed = show(found.tree)
        again = printed if isinstance(printed, str) else "\n".join(printed) + "\n"
        self.assertEqual(load(again, "y").lma_services, found.lma_services)
        return found

    def refused(self, text: str, **where: str) -> None:
        """It is refused with a text."""
        error = self.assertRaises(ConfigurationErrors, load, configuration(**where), "x")
        self.assertIn(text, str(error))

    def test_what_lines_set(self) -> None:
        """Pools, keys and home addresses come to the service."""
        found = self.read(
            subscriber=f"mn-ha-spi spi-number 256 secret 0x{KEY.hex()}\nmipv6-home-address 2001:db8:100::5",
            service="mipv6 enable\nmipv6 home-address-pool HOSTS\nmn-ha-spi spi-number 300 secret some-key\n"
            "mipv6 home-link eth1\nmipv6 authentication mn-aaa-always\nmipv6 timestamp-tolerance 60",
        )
        (service,) = found.lma_services
        self.assertTrue(service.mipv6)
        self.assertEqual((service.mipv6_pools, service.mipv6_home_link), (("HOSTS",), "eth1"))
        self.assertEqual((service.mipv6_authentication, service.mipv6_tolerance), ("mn-aaa-always", 60))
        self.assertEqual(service.mipv6_associations, (Association(spi=300, key=b"some-key"),))
        (profile,) = service.profiles
        self.assertEqual(profile.associations, (Association(spi=256, key=KEY),))
        self.assertEqual(len(profile.home_addresses), 1)

    def test_contradictions(self) -> None:
        """A pool that is not there, or not fit; keys that are none; one home address twice."""
        self.refused("no ipv6 pool 'X'", service="mipv6 home-address-pool X")
        wide = "ipv6 pool HOSTS prefix 2001:db8:100::/48 static"
        self.refused("delegated-length 128", pool=wide, service="mipv6 home-address-pool HOSTS")
        self.refused("pairs of hexadecimal", service="mn-ha-spi spi-number 256 secret 0x123")
        self.refused("4 octets", subscriber="mn-ha-spi spi-number 256 secret abc")
        twice = "mipv6-home-address 2001:db8:100::5"
        other = f"{twice}\nexit\nsubscriber name bob@example.org\n{twice}"
        self.refused("of subscriber alice@example.org already", subscriber=other)
        self.refused("needs a subscriber name", subscriber=f"exit\nsubscriber default\n{twice}")
        self.refused("256", service="mn-ha-spi spi-number 255 secret abcdef")

    def test_findings(self) -> None:
        """What cannot work is found: no pool, no key, nobody to ask, keys of odd length."""
        lines = "mipv6 enable"
        self.assertEqual(self.found(lines), ["home-address-pool", "no mn-ha-spi"])
        lines += "\nmipv6 home-address-pool HOSTS"
        self.assertEqual(self.found(f"{lines}\nmipv6 authentication optional"), [])
        self.assertEqual(self.found(f"{lines}\nmipv6 authentication mn-aaa-always"), ["no AAA group"])
        self.assertEqual(self.found(f"{lines}\nmn-ha-spi spi-number 300 secret short-key"), ["16 octets"])
        self.assertEqual(self.found(f"{lines}\nmn-ha-spi spi-number 300 secret 0x{KEY.hex()}"), [])
        self.assertEqual(self.found(""), ["no mag-peer"])

    def found(self, service: str) -> list[str]:
        """Words of the findings about a service."""
        texts = [each.text for each in audit(self.read(service=service)) if each.section == "LMA-service"]
        words = ("home-address-pool", "no mn-ha-spi", "no AAA group", "16 octets", "no mag-peer")
        return [next(word for word in words if word in text) for text in texts]

    def test_keys_are_masked(self) -> None:
        """However the words are abbreviated."""
        for line in ("mn-ha-spi spi-number 256 secret kEy123", "mn-ha-s spi 256 sec kEy123"):
            self.assertNotIn("kEy123", masked(line))
