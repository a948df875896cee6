"""The configuration of update options: what it gives, what contradicts itself, which routes follow."""

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Configuration, ConfigurationErrors, load, show
from appliance.config_audit_options import option_findings
from appliance.config_plan import compare
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    DelegationPool,
    RedirectTarget,
    ServiceProfile,
    VendorOption,
)

TEXT = """\
config
  context c
    ipv6 pool HOME prefix 2001:db8:1::/48
    prefix-delegation pool D6 2001:db8:d::/48 delegated-length 60
    prefix-delegation pool D4 10.9.0.0/16
    subscriber default
      permission prefix-delegation
      default-service internet
      exit
    subscriber name mn1@example.org
      delegated-prefix 2001:db8:f::/56
      delegated-prefix 10.8.0.0/24
      prefix-delegation pool D6
      exit
    lma-service a
      bind address 2001:db8::1
      redirect target 2001:db8::2
      redirect target 2001:db8::3 also 192.0.2.3
      redirect policy always
      redirect threshold 5
      redirect timeout 500
      load-information enable
      load-information priority 3
      load-information capacity 1000
      user-plane address 2001:db8::9 ipv4-address 192.0.2.9
      user-plane domain-wide
      prefix-delegation
      policy unknown-service reject
      vendor-option vendor 10415 subtype 7 hex 00000001
      exit
    lma-service b
      bind address 2001:db8::2
      redirect accept
      exit
    mag-service m
      bind address 2001:db8::4
      lma-address 2001:db8::1
      access-interface acc0
      redirect enable
      redirect unknown-handoff
      redirect allow 2001:db8::/64
      user-plane enable
      prefix-delegation nai mn1@example.org ipv6
      prefix-delegation nai mn1@example.org prefix 10.8.0.0/24
      vendor-option vendor 9 subtype 1 hex ab nai mn1@example.org
      access-network acc0 network-name cafe access-point ap1 geo-location -7.25 13.5 operator realm a.example
      exit
    service-profile internet
      no ipv4 access
      ipv6 address prefix-pool HOME
      reg-lifetime 300
      qos-profile gold
      exit
    exit
end
"""


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


class LoadTests(SynchronousTestCase):
    """From text to settings, and back."""

    def test_settings(self) -> None:
        """Each line has its effect; a target that is an anchor of the same process is known as one."""
        configuration = load(TEXT, "x")
        a, b = configuration.lma_services
        self.assertEqual(
            a.redirect_targets,
            (
                RedirectTarget(address=packed("2001:db8::2"), service="b"),
                RedirectTarget(address=packed("2001:db8::3"), also=packed("192.0.2.3")),
            ),
        )
        # Of an anchor of the same process both addresses are known.
        text = TEXT.replace("bind address 2001:db8::2\n", "bind address 2001:db8::2 ipv4-address 192.0.2.2\n")
        self.assertEqual(load(text, "x").lma_services[0].redirect_targets[0].also, packed("192.0.2.2"))
        self.assertEqual(
            (a.redirect_policy, a.redirect_threshold, a.redirect_timeout, b.redirect_accept),
            ("always", 5, 500, True),
        )
        self.assertEqual((a.load_information, a.load_priority, a.load_capacity), (True, 3, 1000))
        self.assertEqual(
            (a.user_plane_address, a.user_plane_ipv4), (packed("2001:db8::9"), packed("192.0.2.9"))
        )
        self.assertEqual(
            (a.prefix_delegation, b.prefix_delegation, a.unknown_service), (True, False, "reject")
        )
        self.assertEqual(
            a.delegation_pools,
            (
                DelegationPool(
                    name="D6", prefix=packed("2001:db8:d::"), prefix_length=48, delegated_length=60
                ),
                DelegationPool(name="D4", prefix=packed("10.9.0.0"), prefix_length=16, delegated_length=28),
            ),
        )
        self.assertEqual(
            a.service_profiles,
            (
                ServiceProfile(
                    name="internet", ipv4=False, prefix_pool="HOME", service_lifetime=300, qos_profile="gold"
                ),
            ),
        )
        self.assertEqual(a.vendor_options, (VendorOption(vendor=10415, subtype=7, data=b"\0\0\0\1"),))
        (mn1,) = a.profiles
        self.assertEqual(mn1.delegated, ((packed("2001:db8:f::"), 56), (packed("10.8.0.0"), 24)))
        (m,) = configuration.mag_services
        self.assertEqual(
            m.access_networks,
            (
                AccessNetwork(
                    interface="acc0", network=b"cafe", access_point=b"ap1", latitude=-237_568,
                    longitude=442_368, realm=b"a.example",
                ),
            ),
        )  # fmt: skip
        nai = b"mn1@example.org"
        self.assertEqual(
            m.delegations,
            (
                Delegation(mn_id=nai, prefix=bytes(16)),
                Delegation(mn_id=nai, prefix=packed("10.8.0.0"), length=24),
            ),
        )
        self.assertEqual(m.vendor_options, (VendorOption(vendor=9, subtype=1, data=b"\xab", mn_id=nai),))

    def test_reads_what_it_prints(self) -> None:
        """The text that is printed gives the same settings."""
        configuration = load(TEXT, "x")
        again = load("\n".join(show(configuration.tree)), "x")
        self.assertEqual(again.lma_services, configuration.lma_services)
        self.assertEqual(again.mag_services, configuration.mag_services)

    def test_routes(self) -> None:
        """Delegated prefixes lead to the anchor that delegates, and to no other."""
        plan = compare(Configuration(), load(TEXT, "x"))
        routes = {(str(ip_address(each.prefix)), each.length, each.service) for each in plan.routes_new}
        self.assertIn(("2001:db8:d::", 48, "a"), routes)
        self.assertIn(("2001:db8:f::", 56, "a"), routes)
        self.assertIn(("10.9.0.0", 16, "a"), routes)
        self.assertEqual(plan.forwarding_new, [4, 6])

    def test_restart(self) -> None:
        """Another user-plane address needs other sockets; everything else is taken while sessions last."""
        # Two anchors that both assign may not have the same pools.
        text = TEXT.replace("      bind address 2001:db8::2\n", "")
        old = load(text, "x")
        for before, after, action in (
            ("2001:db8::9 ", "2001:db8::8 ", "restart"),
            ("redirect policy always", "redirect policy load", "reconfigure"),
        ):
            plan = compare(old, load(text.replace(before, after), "x"))
            self.assertEqual([each.action for each in plan.services], [action])


class AuditTests(SynchronousTestCase):
    """What may stand there and still cannot work."""

    def found(self, *changes: tuple[str, str]) -> list[str]:
        """Findings about update options."""
        text = TEXT
        for before, after in changes:
            self.assertIn(before, text)
            text = text.replace(before, after)
        return [each.text for each in option_findings(load(text, "x"))]

    def test_findings(self) -> None:
        """Each of them, and only where it is so."""
        router = "mag-service m has prefix-delegation for mn1@example.org, but no mobile-node line"
        self.assertEqual(self.found(), [router])
        known = ("redirect enable", "redirect enable\nmobile-node 02:00:5e:10:00:01 nai mn1@example.org")
        self.assertEqual(self.found(known), [])
        self.assertEqual(
            self.found(known, ("redirect accept\n", "\n")),
            ["lma-service a redirects to lma-service b, which has no redirect accept"],
        )
        gone = [(f"redirect target 2001:db8::{n}\n", "\n") for n in (2, "3 also 192.0.2.3")]
        self.assertEqual(
            self.found(known, *gone),
            ["lma-service a serves nobody: redirect policy is always, and there is no redirect target"],
        )


class FaultTests(SynchronousTestCase):
    """What contradicts itself."""

    def test_contradictions(self) -> None:
        """Each is told with its line."""
        for before, after, text in (
            ("target 2001:db8::3", "target 2001:db8::1", "cannot redirect to itself"),
            ("also 192.0.2.3", "also 2001:db8::7", "wants the address of the other family"),
            ("D4 10.9.0.0/16", "D4 2001:db8:d::/52", "overlaps pool D6"),
            ("D4 10.9.0.0/16", "D4 2001:db8:1:7::/64 delegated-length 64", "overlaps pool HOME"),
            ("D4 10.9.0.0/16", "D4 10.9.0.0/30", "does not fit"),
            ("prefix-delegation pool D6\n", "prefix-delegation pool X\n", "no prefix-delegation pool 'X'"),
            ("prefix-pool HOME", "prefix-pool X", "no pool or group 'X'"),
            ("default-service internet", "delegated-prefix 2001:db8:f::/64", "needs a subscriber name"),
            ("default-service internet", "allowed-service b\ndefault-service a", "no allowed-service"),
            ("::9 ipv4", "::4 ipv4", "is bound by mag-service m already"),
            ("access-network acc0", "access-network acc9", "no access-interface"),
            ("network-name cafe", "network-name " + "x" * 27, "octets, 29 are allowed"),
            ("network-name cafe ", "", "needs a network-name"),
            ("-7.25", "-91", "outside"),
            (
                " network-name cafe access-point ap1 geo-location -7.25 13.5 operator realm a.example",
                "",
                "access-network says nothing",
            ),
            ("redirect enable", "qos-request any\nredirect enable", "asks for nothing"),
        ):
            self.assertIn(before, TEXT)
            error = self.assertRaises(ConfigurationErrors, load, TEXT.replace(before, after), "F")
            self.assertIn(text, str(error))
            self.assertRegex(str(error), r"^F:\d+: Failure: ")

    def test_values(self) -> None:
        """Hexadecimal digits in pairs, degrees, prefixes of either family."""
        for before, after in (("hex ab", "hex abc"), ("-7.25", "7e3"), ("10.9.0.0/16", "10.9.0.1/16")):
            self.assertRaises(ConfigurationErrors, load, TEXT.replace(before, after), "F")
