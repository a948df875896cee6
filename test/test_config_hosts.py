"""Lines about hosts in a configuration: what they set, and what contradicts itself."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.grammar import COMMANDS
from appliance.config import Configuration, ConfigurationErrors, load, show
from appliance.config_audit import audit
from appliance.config_secrets import masked
from appliance.protocols.mipv6.settings import LONGEST
from appliance.protocols.pmipv6.host_settings import Association

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
        self.assertEqual(self.found(f"{lines}\nmipv6 require ipsec"), [])
        more = "mipv6 require ipsec\nmipv6 home-address-assignment\nmipv6 router-advertisement"
        self.assertEqual(self.found(f"{lines}\n{more}"), ["no home-link", "home-address-assignment"])
        self.assertEqual(self.found(""), ["no mag-peer"])
        lines += "\nmipv6 authentication optional"
        self.assertEqual(self.found(f"{lines}\nmipv6 dhcpv6-prefix-delegation"), ["without mobile-routers"])
        lines += "\nmipv6 mobile-routers"
        self.assertEqual(self.found(f"{lines}\nmipv6 dhcpv6-prefix-delegation"), ["prefix to delegate"])
        self.assertEqual(self.found(lines), [])
        alone = f"no bind address\nbind ipv4-address 192.0.2.1\n{lines}"
        self.assertEqual(self.found(alone), ["IPv4 alone"])

    def found(self, service: str) -> list[str]:
        """Words of the findings about a service."""
        texts = [each.text for each in audit(self.read(service=service)) if each.section == "LMA-service"]
        words = ("home-address-pool", "no mn-ha-spi", "no AAA group", "16 octets", "no mag-peer")
        words += ("no home-link", "home-address-assignment")
        words += ("without mobile-routers", "prefix to delegate", "IPv4 alone")
        return [next(word for word in words if word in text) for text in texts]

    def test_keys_are_masked(self) -> None:
        """However the words are abbreviated."""
        for line in ("mn-ha-spi spi-number 256 secret kEy123", "mn-ha-s spi 256 sec kEy123"):
            self.assertNotIn("kEy123", masked(line))


AGENT = """\
config
  context home
    ipv6 pool HOSTS prefix 2001:db8:100::/64 delegated-length 128 static
    subscriber name guest@example.org
      exit
    mipv6ha-service ha1
      bind address 2001:db8:ffff::1 ipv4-address 192.0.2.1 max-subscribers 3500000
      no aaa accounting
      default subscriber guest@example.org
      refresh-advice-option
      refresh-interval-percent 60
      no reg-lifetime
      setup-timeout 20
      no sequence-number-validate
      simul-bindings 2
      path-mtu 1400
      home-address-pool HOSTS
      home-link eth1
      authentication mn-aaa-always
      timestamp-replay-protection
      timestamp-tolerance 60
      mn-ha-spi spi-number 300 secret some-key
      newcall policy busyout
      exit
    exit
end
"""


class HomeAgentLineTests(SynchronousTestCase):
    """A ``mipv6ha-service``."""

    def test_settings(self) -> None:
        """Each line sets what it says; what is printed is the same again."""
        found = load(AGENT, "x")
        (agent,) = found.home_agents
        self.assertEqual(found.anchors, (agent,))
        self.assertEqual((agent.kind, agent.proxies, agent.mipv6), ("mipv6ha", False, True))
        self.assertEqual((agent.name, agent.context, agent.max_subscribers), ("ha1", "home", 3_500_000))
        self.assertEqual((agent.reg_lifetime, agent.aaa_accounting), (LONGEST, False))
        self.assertEqual(agent.simul_bindings, 2)
        self.assertEqual(agent.default_profile, agent.profiles[0])
        self.assertEqual((agent.mipv6_pools, agent.mipv6_home_link), (("HOSTS",), "eth1"))
        self.assertEqual((agent.mipv6_mesg_id, agent.mipv6_tolerance), (True, 60))
        lines = show(found.tree)
        self.assertEqual(load("\n".join(lines) + "\n", "y").home_agents, (agent,))
        for text in ("no reg-lifetime", "default subscriber guest@example.org", "home-link eth1"):
            self.assertIn(f"      {text}", lines)

    def test_lifetime(self) -> None:
        """``no`` is infinite, ``default`` and nothing are 600 seconds; the last line counts."""
        for lines, seconds in (
            ("", 600),
            ("no reg-lifetime\n", LONGEST),
            ("no reg-lifetime\nreg-lifetime 900\n", 900),
            ("reg-lifetime 900\nno reg-lifetime\n", LONGEST),
            ("no reg-lifetime\ndefault reg-lifetime\n", 600),
        ):
            (agent,) = load(AGENT.replace("      no reg-lifetime\n", lines), "x").home_agents
            self.assertEqual(agent.reg_lifetime, seconds, lines)

    def test_same_lines_as_an_anchor(self) -> None:
        """What an anchor has behind ``mipv6`` a home agent has without it: one declaration, one field."""
        of_anchor = {each.path: each.syntax for each in COMMANDS.settings("lma-service")}
        of_agent = {each.path: each.syntax for each in COMMANDS.settings("mipv6ha-service")}
        shared = {path: text for path, text in of_anchor.items() if text.startswith("mipv6 ")}
        del shared["mipv6"]
        self.assertGreater(len(shared), 8)
        for path, text in shared.items():
            self.assertEqual(text, f"mipv6 {of_agent[path]}")

    def test_contradictions(self) -> None:
        """Names and addresses that others have; a subscriber and a pool that are not there."""
        for wrong, text in (
            ("no subscriber name 'nobody@x'", AGENT.replace("subscriber guest@example.org\n      ref",
                                                            "subscriber nobody@x\n      ref")),
            ("no ipv6 pool 'X'", AGENT.replace("home-address-pool HOSTS", "home-address-pool X")),
            ("an lma-service has this name", AGENT.replace("mipv6ha-service ha1", "lma-service ha1\nexit\n"
                                                           "mipv6ha-service ha1")),
            ("is bound by lma-service l already", AGENT.replace(
                "mipv6ha-service ha1", "lma-service l\nbind address 2001:db8:ffff::1\nexit\n"
                "mipv6ha-service ha1")),
        ):  # fmt: skip
            error = self.assertRaises(ConfigurationErrors, load, text, "x")
            self.assertIn(wrong, str(error))

    def test_findings(self) -> None:
        """A home agent without an address, a pool or a key says so in a section of its own."""
        found = audit(load("config\ncontext home\nmipv6ha-service ha1\nend\n", "x"))
        self.assertEqual({each.section for each in found}, {"MIPv6HA-service"})
        texts = " ".join(each.text for each in found)
        for part in ("no bind address", "no home-address-pool", "no mn-ha-spi"):
            self.assertIn(part, texts)
