"""IPv4 prefixes of mobile routers (RFC 5555 sections 3.1.1 and 4.5)."""

from typing import Any

from appliance.protocols.mobility.messages import BA_R, BU_A, BU_H, BU_R
from appliance.protocols.pmipv6.events import Install
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.option_settings import DelegationPool
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, BOB, HOME2, KEY, SPI
from test.protocols.mipv6.test_dsmip import DualStackCase, wish
from test.protocols.pmipv6.lma_fakes import packed

R = BU_A | BU_H | BU_R
NETWORK6 = packed("2001:db8:77::")
POOL = DelegationPool(name="LAN4", prefix=packed("198.18.0.0"), prefix_length=28, delegated_length=29)


def router(mn_id: bytes, **more: Any) -> Profile:
    """A mobile router that may have prefixes."""
    fields = {"ipv4": True, "delegation": True, "associations": (Association(spi=SPI, key=KEY),), **more}
    return Profile(name=mn_id.decode(), mn_id=mn_id, **fields)


class PrefixTests(DualStackCase):
    """What a router gets, keeps and gives back."""

    def setUp(self) -> None:
        """A pool of two prefixes, and two routers that have an IPv6 prefix each."""
        profiles = (
            router(ALICE, network_prefixes=((NETWORK6, 48),)),
            router(BOB, network_prefixes=((packed("2001:db8:78::"), 48),)),
        )
        self.with_settings(mipv6_mobile_routers=True, delegation_pools=(POOL,), profiles=profiles)

    def asked(self, *wishes: Any, **what: Any) -> Any:
        """The first acknowledgement option of a router's update."""
        return self.acknowledged(self.world.inside(extra=list(wishes), flags=R, **what))

    def networks(self) -> list[tuple[bytes, int]]:
        """What the tunnel of the last Install leads to beside the home address."""
        (made,) = self.world.of_kind(Install)
        return list(made.prefixes[1:])

    def test_given_kept_and_left(self) -> None:
        """One of the pool, beside the IPv6 one; the same at a refresh; gone with the option."""
        answer = self.world.inside(extra=[wish(length=29, prefix=1)], flags=R)
        assert answer is not None
        self.assertEqual((answer.status, answer.flags & BA_R), (0, BA_R))
        self.assertEqual(self.acknowledged(answer), (0, 29, "198.18.0.0"))
        self.assertEqual(self.networks(), [(NETWORK6, 48), (packed("198.18.0.0"), 29)])
        for again in (wish("198.18.0.0", 29), wish("198.18.0.0", 29, 1), wish(length=29, prefix=1)):
            self.assertEqual(self.asked(again), (0, 29, "198.18.0.0"))
            self.assertEqual(self.world.of_kind(Install), [])
        self.assertIsNone(self.asked())
        self.assertEqual(self.networks(), [(NETWORK6, 48)])
        self.assertEqual(self.world.lma._sessions.delegated.owners.keys(), {(NETWORK6, 48)})

    def test_address_and_prefix(self) -> None:
        """Two options, two acknowledgements."""
        self.assertEqual(self.asked(wish(), wish(length=29, prefix=1)), (0, 32, "203.0.113.10"))
        (made,) = self.world.of_kind(Install)
        self.assertEqual(made.ipv4_address, packed("203.0.113.10"))
        self.assertEqual(self.networks()[1:], [(packed("198.18.0.0"), 29)])

    def test_no_more_than_are_answered(self) -> None:
        """One update does not empty the pool."""
        pool = DelegationPool(name="LAN4", prefix=POOL.prefix, prefix_length=20, delegated_length=29)
        alice = router(ALICE, network_prefixes=((NETWORK6, 48),))
        self.with_settings(mipv6_mobile_routers=True, delegation_pools=(pool,), profiles=(alice,))
        wishes = [wish(f"198.18.{number}.0", 29, 1) for number in range(16)]
        self.world.inside(extra=wishes, flags=R)
        self.assertEqual(len(self.networks()), 1 + 8)

    def test_a_care_of_address_inside_it(self) -> None:
        """174: its tunnel would end in itself."""
        answer = self.world.inside(outer="198.18.0.3", extra=[wish("198.18.0.0", 29, 1)], flags=R)
        assert answer is not None
        self.assertEqual((answer.status, self.world.lma.session_count), (174, 0))

    def test_statuses(self) -> None:
        """132 none left, 130 another's or not a prefix, 133 no router, or one that may have none."""
        bob = {"mn": BOB, "home": HOME2}
        self.asked(wish("198.18.0.8", 29, 1))
        self.assertEqual(self.asked(wish("198.18.0.8", 29, 1), **bob), (130, 0, "198.18.0.8"))
        self.assertEqual(self.asked(wish("198.18.0.1", 29, 1), **bob), (130, 0, "198.18.0.1"))
        self.assertEqual(self.asked(wish(length=29, prefix=1), **bob), (0, 29, "198.18.0.0"))
        self.world.inside(extra=[], lifetime=0, flags=R)
        self.world.pass_time(11)
        self.assertEqual(self.asked(wish("198.18.0.8", 29, 1)), (0, 29, "198.18.0.8"))
        carol = router(b"carol@example.org", network_prefixes=((packed("2001:db8:79::"), 48),))
        world = self.with_settings(
            mipv6_mobile_routers=True, delegation_pools=(), profiles=(carol, router(ALICE))
        )
        self.assertEqual(self.asked(wish(length=29, prefix=1), mn=b"carol@example.org"), (132, 0, "0.0.0.0"))
        answer = world.inside(extra=[wish(length=29, prefix=1)], home=HOME2)
        self.assertEqual(self.acknowledged(answer), (133, 0, "0.0.0.0"))
