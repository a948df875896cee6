"""Mobile routers (RFC 3963): explicit and implicit prefixes, statuses 140 to 143, and who owns what."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.messages import BA_R, BU_A, BU_H, BU_R
from appliance.protocols.mobility.options import MobileNetworkPrefix
from appliance.protocols.pmipv6.events import Install, Notify, Reconfigure, Remove
from appliance.protocols.pmipv6.settings import Association, Profile
from test.protocols.mipv6.fakes import ALICE, BOB, CARE1, CARE2, HOME, HOME2, KEY, SPI, bid
from test.protocols.mipv6.test_hosts import DENY, HANDOFF, INITIAL, REFRESH, HostCase
from test.protocols.pmipv6.lma_fakes import packed

ROUTER = BU_A | BU_H | BU_R
NET1, NET2, NET3 = (packed(f"2001:db8:{number}::") for number in ("a0", "a1", "a2"))
KEYS = (Association(spi=SPI, key=KEY),)


def profile(mn_id: bytes, *prefixes: bytes, **more: Any) -> Profile:
    """A subscriber with networks of 48 bits."""
    networks = tuple((prefix, 48) for prefix in prefixes)
    return Profile(name=mn_id.decode(), mn_id=mn_id, associations=KEYS, network_prefixes=networks, **more)


def mnp(prefix: bytes, length: int = 48) -> MobileNetworkPrefix:
    """A Mobile Network Prefix option."""
    return MobileNetworkPrefix(length, prefix)


class RouterCase(HostCase):
    """A world with two mobile routers."""

    def setUp(self) -> None:
        """One with two networks of its own, one with one."""
        self.with_settings(
            mipv6_mobile_routers=True, profiles=(profile(ALICE, NET1, NET2), profile(BOB, NET3))
        )

    def router(self, *named: MobileNetworkPrefix, **what: Any) -> Any:
        """Send the update of a mobile router."""
        return self.world.host(flags=ROUTER, extra=list(named), **what)

    def networks(self, mn_id: bytes = ALICE) -> tuple[bytes, ...]:
        """The networks that are forwarded to a router now."""
        (entry,) = self.world.lma.sessions(mn_id=mn_id)
        return tuple(prefix for prefix, _ in entry.extras.delegated)

    def refused(self, status: int, row: str, kind: str, *named: MobileNetworkPrefix, **what: Any) -> None:
        """The update of a mobile router gets a status, and is counted."""
        self.denied(status, row, kind, extra=list(named), **{"flags": ROUTER, **what})


class ExplicitTests(RouterCase):
    """RFC 3963 section 6.2, with options."""

    def test_accepted(self) -> None:
        """Status 0 with the R flag; the tunnel carries home address and networks."""
        answer = self.router(mnp(NET2), mnp(NET1))
        self.assertEqual((answer.status, answer.flags), (0, BA_R))
        (made,) = self.world.of_kind(Install)
        self.assertEqual(made.prefixes, ((HOME, 128), (NET2, 48), (NET1, 48)))
        shown = self.world.lma.details(next(iter(self.world.lma.sessions())))
        self.assertEqual([text for label, text in shown if label == "Mobile Network Prefix"],
                         ["2001:db8:a1::/48", "2001:db8:a0::/48"])  # fmt: skip
        self.assertIn(("Mobile Router", "Yes"), shown)

    def test_list_replaces_list(self) -> None:
        """A prefix that an update does not name is forwarded no more."""
        self.router(mnp(NET1), mnp(NET2))
        self.router(mnp(NET2))
        self.assertEqual(self.world.of_kind(Install)[0].prefixes, ((HOME, 128), (NET2, 48)))
        self.assertEqual(self.router(mnp(NET2)).status, 0)
        self.assertEqual(self.world.of_kind(Install), [])

    def test_statuses(self) -> None:
        """141 for what cannot be forwarded, 142 for what is another's; nothing is bound then."""
        other, invalid = f"{DENY}/other", packed("ff02::")
        self.refused(142, other, INITIAL, mnp(NET1), mnp(NET3))
        self.refused(142, other, INITIAL, mnp(NET1, 49))
        for option in (mnp(NET1, 0), mnp(NET1, 129), mnp(NET1[:15] + b"\1"), mnp(invalid, 16)):
            self.refused(141, other, INITIAL, option)
        self.assertEqual(list(self.world.lma.sessions()), [])

    def test_what_another_holds(self) -> None:
        """A prefix has one router: an overlapping one that is somebody's is 141, until he has left."""
        part = (NET1[:6] + b"\1" + bytes(9), 64)
        bob = Profile(name="bob", mn_id=BOB, associations=KEYS, network_prefixes=(part,))
        self.with_settings(mipv6_mobile_routers=True, profiles=(profile(ALICE, NET1), bob))
        self.assertEqual(self.router(mnp(*part), mn=BOB, home=HOME2).status, 0)
        self.refused(141, f"{DENY}/other", INITIAL, mnp(NET1))
        (told,) = self.world.of_kind(Notify)
        self.assertIn("2001:db8:a0::/48", told.text)
        self.refused(143, f"{DENY}/other", INITIAL)
        self.router(mn=BOB, home=HOME2, lifetime=0)
        self.world.pass_time(11)
        self.assertEqual(self.router(mnp(NET1)).status, 0)

    def test_a_refused_update_leaves_the_binding_alone(self) -> None:
        """Section 6.2: what was registered goes on."""
        self.router(mnp(NET1))
        self.refused(142, f"{DENY}/other", HANDOFF, mnp(NET3), care_of=CARE2)
        self.assertEqual(self.networks(), (NET1,))

    def test_a_care_of_address_in_its_own_network(self) -> None:
        """174: each packet would go round in tunnels until it is too big; in another's network it may be."""
        inside, other = NET1[:15] + b"\7", f"{DENY}/other"
        self.refused(174, other, INITIAL, mnp(NET1), care_of=inside)
        self.refused(174, other, INITIAL, care_of=inside)
        self.refused(174, other, INITIAL, mnp(NET1), bids=[bid(1, CARE1), bid(2, inside)])
        self.assertEqual(self.router(mnp(NET1), care_of=NET3[:15] + b"\7").status, 0)


class ImplicitTests(RouterCase):
    """RFC 3963 section 6.2, without options."""

    def test_accepted(self) -> None:
        """The prefixes of the profile."""
        self.assertEqual((self.router().status, self.networks()), (0, (NET1, NET2)))

    def test_none_known(self) -> None:
        """143."""
        self.with_settings(mipv6_mobile_routers=True)
        self.refused(143, f"{DENY}/other", INITIAL)

    def test_from_aaa(self) -> None:
        """What AAA has granted counts, and gets a route of its own."""
        self.router()
        (entry,) = self.world.lma.sessions(mn_id=ALICE)
        far = packed("2001:db8:f0::")
        entry.grant = aaa.Grant(delegated=((far, 48),))
        self.router()
        self.assertEqual(self.networks(), (NET1, NET2, far))
        self.assertEqual([type(each).__name__ for each in self.world.effects[:2]], ["Reach", "Install"])
        self.router(mnp(NET1))
        self.assertEqual([type(each).__name__ for each in self.world.effects[:2]], ["Unreach", "Install"])


class FlagTests(RouterCase):
    """The R flag."""

    def test_not_permitted(self) -> None:
        """140: not here, not him, or no home registration; without the R flag in the answer."""
        self.refused(140, f"{DENY}/other", INITIAL, flags=BU_A | BU_R)
        self.with_settings(mipv6_mobile_routers=True, profiles=(profile(ALICE, NET1, mobile_router=False),))
        self.refused(140, f"{DENY}/other", INITIAL)
        self.with_settings()
        self.refused(140, f"{DENY}/other", INITIAL)
        answer = self.router()
        self.assertEqual((answer.status, answer.flags), (140, 0))

    def test_options_without_flag(self) -> None:
        """Section 4.1: a host gets no networks, whatever options it sends."""
        answer = self.world.host(extra=[mnp(NET1)])
        self.assertEqual((answer.status, answer.flags, self.networks()), (0, 0, ()))

    def test_change(self) -> None:
        """139; a de-registration is taken with either value."""
        self.router()
        self.denied(139, f"{DENY}/reg-type-change-disallowed", REFRESH)
        self.assertEqual(self.world.host(lifetime=0).status, 0)
        self.assertEqual(self.world.host().status, 0)
        self.refused(139, f"{DENY}/reg-type-change-disallowed", REFRESH)

    def test_leaving(self) -> None:
        """Section 6.7: options of a de-registration are ignored; nothing is left of the prefixes."""
        self.router()
        self.assertEqual(self.router(mnp(NET3), lifetime=0).status, 0)
        self.assertEqual(len(self.world.of_kind(Remove)), 1)
        self.world.pass_time(11)
        self.assertEqual(self.world.lma._sessions.delegated.owners, {})

    def test_expiry(self) -> None:
        """The prefixes go with the lifetime."""
        self.router(lifetime=2)
        self.world.pass_time(9)
        self.assertEqual(self.world.lma._sessions.delegated.owners, {})


class ChangeTests(RouterCase):
    """Changes of the settings."""

    def change(self, **changes: Any) -> None:
        """Go on with other settings, and let time pass."""
        fresh = evolve(self.world.settings, **changes)
        self.world.lma.receive(Reconfigure(fresh), self.world.now)
        self.world.pass_time(0.1)

    def test_a_prefix_is_taken_from_a_profile(self) -> None:
        """It is forwarded no more; the others are."""
        self.router()
        self.change(profiles=(profile(ALICE, NET2), profile(BOB, NET1)))
        self.assertEqual(self.networks(), (NET2,))
        self.assertEqual(self.router(mnp(NET1), mn=BOB, home=HOME2).status, 0)

    def test_no_more_mobile_routers(self) -> None:
        """Networks of all of them go."""
        self.router()
        self.change(mipv6_mobile_routers=False)
        self.assertEqual(self.networks(), ())


_UPDATE = st.tuples(
    st.sampled_from(((ALICE, HOME), (BOB, HOME2))),
    st.sampled_from((BU_A | BU_H, ROUTER, BU_A | BU_R)),
    st.lists(
        st.builds(
            MobileNetworkPrefix,
            st.integers(0, 255),
            st.sampled_from((NET1, NET2, NET3)) | st.binary(min_size=16, max_size=16),
        )
        | st.sampled_from((mnp(NET1), mnp(NET2), mnp(NET3))),
        max_size=3,
    ),
    st.sampled_from((0, 2, 150)),
    st.sampled_from((0.01, 3.0, 12.0)),
)


class RandomTests(RouterCase):
    """Any history."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(_UPDATE, max_size=12))
    def test_ownership(self, updates: list[Any]) -> None:
        """What is forwarded has one owner, and the counters stay whole."""
        self.setUp()
        for (mn_id, home), flags, named, lifetime, later in updates:
            care_of = CARE1 if mn_id == ALICE else CARE2
            what = {"mn": mn_id, "home": home, "care_of": care_of, "lifetime": lifetime, "later": later}
            self.world.host(flags=flags, extra=named, **what)
            self.world.pass_time(0.01)
            held: list[Any] = []
            for entry in self.world.lma.sessions():
                held += entry.extras.delegated
                for each in entry.extras.delegated:
                    self.assertIs(self.world.lma._sessions.delegated.owners[each], entry)
            self.assertEqual(len(held), len(set(held)))
            self.assertEqual(set(held), set(self.world.lma._sessions.delegated.owners))
            self.assertTrue(self.world.balanced())
