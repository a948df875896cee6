"""Services, vendor options, access networks, user-plane address and delegated prefixes at the anchor."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.aaa import Account
from appliance.protocols.pmipv6.events import Install, Reconfigure, Remove, Send
from appliance.protocols.pmipv6.lma_vendors import MOST_OPTIONS, keep
from appliance.protocols.pmipv6.option_settings import DelegationPool, ServiceProfile, VendorOption
from appliance.protocols.pmipv6.settings import Peer, PrefixPool, Profile
from test.protocols.pmipv6.aaa_fakes import AaaWorld
from test.protocols.pmipv6.lma_fakes import (
    LMA_ADDRESS,
    MAG1,
    MAG2,
    MAG_IPV4,
    MN1,
    POOL,
    World,
    option,
    packed,
    prefixes_of,
    settings,
)

D6 = DelegationPool(name="D6", prefix=packed("2001:db8:d::"), prefix_length=48, delegated_length=56)
D4 = DelegationPool(name="D4", prefix=packed("10.0.0.0"), prefix_length=24, delegated_length=28)
ANY6 = opt.DelegatedMobileNetworkPrefix(0, bytes(16))
ANY4 = opt.DelegatedMobileNetworkPrefix(0, bytes(4))
DELEGATING = Profile(name="default", delegation=True)
NETWORK = (1, b"\x80\4cafe\3ap1")
PLACE = (2, b"\x1a\0\0\xf0\0\0")
OPERATOR = (3, b"\1\x09")


def dmnp(text: str, length: int) -> opt.DelegatedMobileNetworkPrefix:
    """An option that names a prefix."""
    return opt.DelegatedMobileNetworkPrefix(length, packed(text))


def all_of(message: Any, kind: type) -> list[Any]:
    """The options of a class."""
    return [each for each in message.options if isinstance(each, kind)]


class Case(SynchronousTestCase):
    """One anchor by hand."""

    def details(self, world: World) -> dict[str, str]:
        """What the only session shows."""
        (entry,) = world.lma.sessions()
        return dict(world.lma.details(entry))

    def accepted(self, answer: Any) -> Any:
        """An answer that accepts."""
        assert answer is not None
        self.assertEqual(answer.status, 0)
        return answer


class AccessNetworkTests(Case):
    """RFC 6757 section 4.2."""

    def test_kept_echoed_and_removed(self) -> None:
        """What is understood is echoed unaltered and shown; an update without the option removes it."""
        world = World()
        unknown, twice = (9, b"x"), (1, b"\x80\1x\0")
        sent = opt.AccessNetworkIdentifier([NETWORK, unknown, PLACE, OPERATOR, twice])
        answer = self.accepted(world.send(extra=[sent]))
        echoed = option(answer, opt.AccessNetworkIdentifier)
        self.assertEqual(echoed.suboptions, [NETWORK, PLACE, OPERATOR])
        self.assertEqual(
            self.details(world),
            {
                "Access Network": "cafe",
                "Access Point": "ap1",
                "Geo Location": "52.00000 -32.00000",
                "Access Operator": "enterprise 9",
            },
        )
        answer = self.accepted(world.send(hi=5))
        self.assertIsNone(option(answer, opt.AccessNetworkIdentifier))
        self.assertEqual(self.details(world), {})

    def test_accounting_has_it_from_the_start(self) -> None:
        """The first record of a session names network and delegated prefixes, and tells when they change."""
        pool = DelegationPool(name="D", prefix=packed("2001:db8:d::"), prefix_length=48, delegated_length=56)
        world = AaaWorld(prefix_delegation=True, delegation_pools=(pool,), default_profile=DELEGATING)
        ask = opt.DelegatedMobileNetworkPrefix(0, bytes(16))
        world.attach(extra=[opt.AccessNetworkIdentifier([NETWORK]), ask])
        (start,) = world.of_kind(Account)
        self.assertEqual((start.what, start.subject.access_network), ("start", (NETWORK,)))
        self.assertEqual(start.subject.delegated, ((packed("2001:db8:d::"), 56),))
        world.send(hi=3, source=MAG2)
        (handoff,) = world.of_kind(Account)
        self.assertEqual(
            (handoff.what, handoff.subject.access_network, handoff.subject.delegated), ("handoff", (), ())
        )

    def test_malformed_sub_options_are_skipped(self) -> None:
        """A name longer than its sub-option, no name, a place beyond the pole: as if they were not there."""
        world = World()
        bad = [(1, b"\x80\x20ca\0"), (2, b"\x7f\0\0\0\0\0"), (3, b"\1")]
        answer = self.accepted(world.send(extra=[opt.AccessNetworkIdentifier(bad)]))
        self.assertIsNone(option(answer, opt.AccessNetworkIdentifier))
        (entry,) = world.lma.sessions()
        self.assertIsNone(entry.extras)


class VendorTests(Case):
    """RFC 5094."""

    def test_kept_shown_and_the_connection_echoed(self) -> None:
        """3GPP sub-types have names; only the PDN connection identifier comes back."""
        world = World(vendor_options=(VendorOption(vendor=10415, subtype=7, data=b"\0\0\0\5"),))
        sent = [
            opt.VendorSpecific(10415, 17, b"\5"),
            opt.VendorSpecific(10415, 11, b"\x12\x34"),
            opt.VendorSpecific(4711, 1, b"x"),
        ]
        answer = self.accepted(world.send(extra=sent))
        self.assertEqual(
            all_of(answer, opt.VendorSpecific), [sent[0], opt.VendorSpecific(10415, 7, b"\0\0\0\5")]
        )
        (entry,) = world.lma.sessions()
        self.assertEqual(
            [text for _, text in world.lma.details(entry)],
            [
                "3GPP 17 (PDN Connection ID) 05",
                "3GPP 11 (Mobile Equipment Identity) 1234",
                "vendor 4711 1 78",
            ],
        )

    def test_bounds(self) -> None:
        """A session keeps the latest of each sub-type, a few of them, and few octets."""
        many = [opt.VendorSpecific(1, number, b"a") for number in range(99)]
        self.assertEqual(len(keep(many)), MOST_OPTIONS)
        self.assertEqual(keep(many)[-1], (1, 98, b"a"))
        self.assertEqual(len(keep([opt.VendorSpecific(1, n, bytes(240)) for n in range(9)])), 4)
        self.assertEqual(keep([opt.VendorSpecific(1, 1, b"b")], ((1, 1, b"a"),)), ((1, 1, b"b"),))


class UserPlaneTests(Case):
    """RFC 7389."""

    ADDRESS = packed("2001:db8:ffff::99")

    def test_only_when_asked(self) -> None:
        """The option answers the gateway's, and the tunnel ends there; without it nothing changes."""
        world = World(user_plane_address=self.ADDRESS)
        answer = self.accepted(world.send(extra=[opt.LmaUserPlaneAddress()]))
        self.assertEqual(option(answer, opt.LmaUserPlaneAddress).address, self.ADDRESS)
        self.assertEqual([each.local for each in world.of_kind(Install)], [self.ADDRESS])
        self.assertEqual(self.details(world), {"User-Plane Address": "2001:db8:ffff::99"})
        # A handover to a gateway that does not know the option.
        answer = self.accepted(world.send(hi=3, source=MAG2))
        self.assertIsNone(option(answer, opt.LmaUserPlaneAddress))
        self.assertEqual([each.local for each in world.of_kind(Install)], [LMA_ADDRESS])

    def test_domain_wide(self) -> None:
        """Section 5: told without being asked; over IPv4 only an IPv4 address is of use."""
        world = World(user_plane_address=self.ADDRESS, user_plane_domain_wide=True)
        answer = self.accepted(world.send())
        self.assertEqual(option(answer, opt.LmaUserPlaneAddress).address, self.ADDRESS)
        answer = self.accepted(world.send(mn=b"mn2@x", source=MAG_IPV4, port=5436))
        self.assertIsNone(option(answer, opt.LmaUserPlaneAddress))


class DelegationTests(Case):
    """RFC 7148 section 5.2."""

    def world(self, **changes: Any) -> World:
        """An anchor that delegates to everybody."""
        fields: dict[str, Any] = {
            "prefix_delegation": True,
            "delegation_pools": (D6, D4),
            "default_profile": Profile(name="default", delegation=True),
            "min_delay_before_bce_delete": 0,
        }
        return World(**(fields | changes))

    def given(self, answer: Any) -> list[tuple[bytes, int]]:
        """What an answer delegates."""
        return [
            (each.prefix, each.prefix_length) for each in all_of(answer, opt.DelegatedMobileNetworkPrefix)
        ]

    def test_any_of_both_families(self) -> None:
        """Zero prefixes: one of each family, in the answer, in forwarding, and free again at the end."""
        world = self.world()
        answer = self.accepted(world.send(extra=[ANY6, ANY4]))
        expected = [(packed("10.0.0.0"), 28), (packed("2001:db8:d::"), 56)]
        self.assertEqual(self.given(answer), expected)
        (install,) = world.of_kind(Install)
        home = (packed(prefixes_of(answer)[0][0]), 64)
        self.assertEqual(install.prefixes, (home, *expected))
        # A refresh names them, or asks again: the same ones, and nothing new for the tunnel.
        answer = self.accepted(world.send(hi=5, extra=[ANY6, ANY4]))
        self.assertEqual((self.given(answer), world.of_kind(Install)), (expected, []))
        answer = self.accepted(world.send(hi=5, extra=[dmnp("2001:db8:d::", 56), dmnp("10.0.0.0", 28)]))
        self.assertEqual(self.given(answer), expected)
        world.send(lifetime=0)
        self.assertEqual(len(world.of_kind(Remove)), 1)
        answer = self.accepted(world.send(mn=b"mn2@x", extra=[dmnp("2001:db8:d::", 56)]))
        self.assertEqual(self.given(answer), expected[1:])

    def test_others_are_told_that_it_is_in_use(self) -> None:
        """178: another's, round or inside another's, of no pool, of another length; 177: not entitled."""
        world = self.world()
        self.accepted(world.send(extra=[dmnp("2001:db8:d::", 56)]))
        for prefix in (
            ("2001:db8:d::", 56),
            ("2001:db8:d::", 48),
            ("2001:db8:e::", 56),
            ("2001:db8:d::", 64),
        ):
            answer = world.send(mn=b"mn2@x", ll=b"\2\0\0\0\0\2", extra=[dmnp(*prefix)])
            assert answer is not None
            self.assertEqual(answer.status, codes.REQUESTED_DMNP_IN_USE, prefix)
        self.assertEqual(world.lma.session_count, 1)
        world = self.world(default_profile=Profile(name="default"))
        answer = world.send(extra=[ANY6])
        assert answer is not None
        self.assertEqual(answer.status, codes.NOT_AUTHORIZED_FOR_DELEGATED_MNP)
        self.assertEqual(world.value("binding-update-deny-reasons/other"), 1)

    def test_not_configured(self) -> None:
        """Section 5.2.2: the options are ignored, the session is made."""
        answer = self.accepted(self.world(prefix_delegation=False).send(extra=[ANY6]))
        self.assertEqual(self.given(answer), [])

    def test_an_update_without_the_option_gives_them_back(self) -> None:
        """A gateway that does not know them: forwarding stops, and others can have them."""
        world = self.world()
        self.accepted(world.send(extra=[ANY6]))
        self.accepted(world.send(hi=3, source=MAG2))
        self.assertEqual([len(each.prefixes) for each in world.of_kind(Install)], [1])
        self.accepted(world.send(mn=b"mn2@x", ll=b"\2\0\0\0\0\2", extra=[dmnp("2001:db8:d::", 56)]))

    def test_fixed_ones_and_an_empty_pool(self) -> None:
        """What a subscriber's section names is its own; a pool without one left means 130."""
        fixed = (packed("2001:db8:f::"), 48)
        profile = Profile(name="mn1", mn_id=MN1, delegation=True, delegated=(fixed,))
        small = DelegationPool(name="S", prefix=packed("2001:db8:d::"), prefix_length=56, delegated_length=56)
        world = self.world(delegation_pools=(small,), profiles=(profile,))
        self.assertEqual(self.given(self.accepted(world.send(extra=[ANY6]))), [fixed])
        other = {"ll": b"\2\0\0\0\0\2", "extra": [dmnp("2001:db8:f::", 48)], "mn": b"mn2@x"}
        answer = world.send(**other)
        assert answer is not None
        self.assertEqual(answer.status, codes.REQUESTED_DMNP_IN_USE)
        self.accepted(world.send(mn=b"mn2@x", ll=b"\2\0\0\0\0\2", extra=[ANY6]))
        answer = world.send(mn=b"mn3@x", ll=b"\2\0\0\0\0\3", extra=[ANY6])
        assert answer is not None
        self.assertEqual(answer.status, codes.INSUFFICIENT_RESOURCES)

    def test_a_pool_goes(self) -> None:
        """A prefix that nothing gives any more is taken from its session, which goes on."""
        world = self.world()
        self.accepted(world.send(extra=[ANY6, ANY4]))
        changed = settings(
            prefix_delegation=True, delegation_pools=(D4,), default_profile=Profile(name="d", delegation=True)
        )
        world.lma.receive(Reconfigure(changed), world.now)
        effects = world.pass_time(1)
        installs = [each for each in effects if isinstance(each, Install)]
        self.assertEqual([each.prefixes[1:] for each in installs], [((packed("10.0.0.0"), 28),)])
        self.assertEqual(world.lma.session_count, 1)

    def test_nonsense(self) -> None:
        """Bits behind the length, one prefix twice, more than a session may have: 129."""
        world = self.world()
        for extra in (
            [dmnp("2001:db8:d::1", 56)],
            [dmnp("10.0.0.16", 28)] * 2,
            [dmnp(f"2001:db8:d:{n}00::", 56) for n in range(17)],
        ):
            answer = world.send(extra=extra)
            assert answer is not None
            self.assertEqual(answer.status, codes.ADMINISTRATIVELY_PROHIBITED)


class ServiceTests(Case):
    """RFC 5149 section 4.2."""

    INTERNET = ServiceProfile(name="internet", prefix_pool="NET", service_lifetime=300, qos_profile="gold")
    NET = PrefixPool(name="NET", prefix=packed("2001:db8:2::"), prefix_length=48)

    def world(self, **changes: Any) -> World:
        """An anchor with one service that has a pool of its own."""
        fields: dict[str, Any] = {
            "service_profiles": (self.INTERNET, ServiceProfile(name="v4", ipv6=False)),
            "prefix_pools": (POOL, self.NET),
            "default_profile": Profile(name="default", prefix_pool="HOME", ipv4=True),
        }
        return World(**(fields | changes))

    def test_terms(self) -> None:
        """Pool, lifetime and quality of service are the service's."""
        world = self.world()
        answer = self.accepted(world.send(extra=[opt.ServiceSelection(b"internet")]))
        self.assertTrue(prefixes_of(answer)[0][0].startswith("2001:db8:2:"))
        self.assertEqual(answer.lifetime, 75)
        self.assertEqual(self.details(world), {"Service Profile": "internet", "QoS Profile": "gold"})
        # A refresh need not name it, and stays on its terms.
        self.assertEqual(self.accepted(world.send(hi=5)).lifetime, 75)

    def test_default_service(self) -> None:
        """Without an option the subscriber's default service counts, in a new session only."""
        profile = Profile(name="default", default_service="internet", prefix_pool="HOME")
        world = self.world(default_profile=profile)
        answer = self.accepted(world.send())
        self.assertTrue(prefixes_of(answer)[0][0].startswith("2001:db8:2:"))
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.service, b"internet")

    def test_change_of_service(self) -> None:
        """A service whose pool the prefixes are not of cannot be changed to: 151, and the session goes."""
        world = self.world()
        self.accepted(world.send())
        answer = world.send(hi=5, extra=[opt.ServiceSelection(b"internet")])
        assert answer is not None
        self.assertEqual(answer.status, codes.SERVICE_AUTHORIZATION_FAILED)
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(world.moved()["total-disconnects/other-reasons"], 1)

    def test_refusals(self) -> None:
        """A family that the service has not; a service without a profile, if those are refused."""
        world = self.world(unknown_service="reject")
        answer = world.send(extra=[opt.ServiceSelection(b"v4")])
        assert answer is not None
        self.assertEqual(answer.status, codes.NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE)
        answer = world.send(extra=[opt.ServiceSelection(b"other")])
        assert answer is not None
        self.assertEqual(answer.status, codes.SERVICE_AUTHORIZATION_FAILED)
        self.accepted(self.world().send(extra=[opt.ServiceSelection(b"other")]))


class AlternateAddressTests(Case):
    """The Alternate IPv4 Care-of Address (RFC 6463 section 4.4)."""

    def test_echoed_and_used(self) -> None:
        """The tunnel goes to it; the answer, also a refusal, has it, and goes to who has asked."""
        elsewhere = packed("192.0.2.77")
        extra = [opt.AlternateIPv4CareOfAddress(elsewhere)]
        more = (Peer(address=packed("192.0.2.0"), prefix_length=24),)
        world = World(alt_coa_allowed=True, peers=more)
        answer = self.accepted(world.send(source=MAG_IPV4, port=5436, extra=extra))
        self.assertEqual(option(answer, opt.AlternateIPv4CareOfAddress).address, elsewhere)
        self.assertEqual([each.peer for each in world.of_kind(Install)], [elsewhere])
        self.assertEqual([each.destination for each in world.of_kind(Send)], [MAG_IPV4])
        for changes, source, port in (
            ({"peers": more}, MAG_IPV4, 5436),
            ({"alt_coa_allowed": True}, MAG1, 0),
        ):
            world = World(**changes)
            answer = world.send(source=source, port=port, extra=extra)
            assert answer is not None
            self.assertEqual(answer.status, codes.ADMINISTRATIVELY_PROHIBITED)
            self.assertEqual(option(answer, opt.AlternateIPv4CareOfAddress).address, elsewhere)


class LoadTests(Case):
    """RFC 6463 section 4.3."""

    def test_real_figures(self) -> None:
        """Sessions, limits, and the throughput of the tunnels between two acknowledgements."""
        world = World(load_information=True, load_priority=7, load_capacity=5000, max_subscribers=10)
        load = option(self.accepted(world.send()), opt.LoadInformation)
        self.assertEqual(
            (load.priority, load.sessions, load.max_sessions, load.used_capacity, load.max_capacity),
            (7, 1, 10, 0, 5000),
        )
        row = world.counters.table.index("tunnel-data-sent/total-bytes/6in6")
        world.counters.values[row] += 4_000_000
        load = option(self.accepted(world.send(hi=5, later=2.0)), opt.LoadInformation)
        self.assertEqual(load.used_capacity, 2000)

    def test_plain_sessions_have_none(self) -> None:
        """Without configuration an acknowledgement is what it was."""
        world = World()
        answer = self.accepted(world.send())
        self.assertIsNone(option(answer, opt.LoadInformation))
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.extras, world.lma._features.watching), (None, ()))
        self.assertEqual(entry.care_of, MAG1)
