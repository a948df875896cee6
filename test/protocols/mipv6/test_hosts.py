"""Home registration of hosts (RFC 6275): who is accepted, who gets which status, and what is counted."""

import gc
import weakref
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendRouted
from appliance.protocols.mobility.messages import BU_A, BU_H, BU_K, BU_P
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    NonceIndices,
    ServiceSelection,
)
from appliance.protocols.pmipv6.events import ClearSessions, Install, Reconfigure, Remove, Send
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import (
    ALICE,
    BOB,
    CARE1,
    CARE2,
    HOME,
    HOME2,
    KEY,
    PROFILE,
    SPI,
    HostWorld,
)
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, option, packed, settings

INITIAL, REFRESH, HANDOFF, LEAVE = (
    "initial-binding-update-requests", "refresh-binding-update-requests", "handoff-requests", "dereg-requests"
)  # fmt: skip
DENY, ADMIN = "binding-update-deny-reasons", "update-denied-admin-prohibited-reasons"
DISCARD = "binding-updates-discard-reasons"
BOB_PROFILE = Profile(name=BOB.decode(), mn_id=BOB, associations=(Association(spi=SPI, key=KEY),))


class HostCase(SynchronousTestCase):
    """A world, and words for what it says."""

    def setUp(self) -> None:
        """A fresh one."""
        self.world = HostWorld()

    def with_settings(self, **changes: Any) -> HostWorld:
        """A world with other settings."""
        self.world = HostWorld(**changes)
        return self.world

    def denied(self, status: int, row: str, kind: str = INITIAL, **what: Any) -> Any:
        """The next update is refused with a status and counted under one row."""
        answer = self.world.host(**what)
        assert answer is not None, self.world.moved()
        self.assertEqual(answer.status, status)
        self.assertEqual(
            self.world.moved(),
            {f"{kind}/received": 1, f"{kind}/denied": 1, "binding-acknowledgements-sent/denied": 1, row: 1},
        )
        self.assertTrue(self.world.balanced())
        return answer

    def discarded(self, row: str, **what: Any) -> None:
        """The next update is not answered, and counted under one row."""
        self.assertIsNone(self.world.host(**what))
        self.assertEqual(self.world.moved(), {f"{DISCARD}/{row}": 1})


class RegistrationTests(HostCase):
    """Accepted ones."""

    def test_first_move_refresh_leave(self) -> None:
        """The classes of updates, the tunnel, the routing header and the acknowledgement."""
        world = self.world
        answer = world.host(lifetime=150)
        assert answer is not None
        self.assertEqual((answer.status, answer.sequence, answer.lifetime, answer.flags), (0, 1, 150, 0))
        routed = world.of_kind(SendRouted)[0]
        self.assertEqual((routed.source, routed.destination, routed.home), (LMA_ADDRESS, CARE1, HOME))
        made = world.of_kind(Install)[0]
        self.assertEqual((made.prefixes, made.local, made.peer), (((HOME, 128),), LMA_ADDRESS, CARE1))
        self.assertEqual(world.moved()[f"{INITIAL}/accepted"], 1)
        world.host()
        self.assertEqual((world.moved()[f"{REFRESH}/accepted"], world.of_kind(Install)), (1, []))
        world.host(care_of=CARE2)
        self.assertEqual(world.moved()[f"{HANDOFF}/accepted"], 1)
        self.assertEqual(world.of_kind(Install)[0].peer, CARE2)
        answer = world.host(care_of=CARE2, lifetime=0)
        assert answer is not None
        self.assertEqual((answer.status, answer.lifetime), (0, 0))
        self.assertEqual((world.moved()[f"{LEAVE}/accepted"], len(world.of_kind(Remove))), (1, 1))
        self.assertTrue(world.balanced())

    def test_a_late_update_meets_the_remembered_binding(self) -> None:
        """For MAX_DELETE_BCE_TIMEOUT an old sequence number gets 135, and a new one revives."""
        self.world.host(sequence=10)
        self.world.host(sequence=11, lifetime=0)
        self.denied(135, f"{DENY}/sequence-out-of-window", REFRESH, sequence=11)
        answer = self.world.host(sequence=12)
        assert answer is not None
        self.assertEqual((answer.status, len(self.world.of_kind(Install))), (0, 1))
        self.world.host(sequence=13, lifetime=0)
        self.world.pass_time(10.5)
        self.assertEqual(
            (self.world.lma.session_count, self.world.value("total-disconnects/deregistrations")), (0, 1)
        )
        self.denied(133, f"{DENY}/other", LEAVE, sequence=14, lifetime=0)

    def test_sequence_numbers_go_round(self) -> None:
        """RFC 6275 section 9.5.1: with 15 accepted, 0..15 and 32783..65535 are old."""
        self.world.host(sequence=15)
        for number in (0, 15, 32783, 65535):
            answer = self.denied(135, f"{DENY}/sequence-out-of-window", REFRESH, sequence=number)
            self.assertEqual(answer.sequence, 15)
        answer = self.world.host(sequence=32782)
        assert answer is not None
        self.assertEqual(answer.status, 0)

    def test_lifetime_alternate_and_advice(self) -> None:
        """The lifetime is cut, the Alternate CoA counts, the answer goes to the source, K is not ours."""
        world = self.with_settings(reg_lifetime=400, refresh_advice_option=True)
        answer = world.host(lifetime=65535, alternate=CARE2, flags=BU_H | BU_K)
        self.assertEqual((answer.status, answer.lifetime, answer.flags), (0, 100, 0))
        self.assertEqual(option(answer, BindingRefreshAdvice).interval, 75)
        self.assertEqual(world.of_kind(Install)[0].peer, CARE2)
        self.assertEqual(world.of_kind(SendRouted)[0].destination, CARE1)
        answer = world.host(lifetime=0, alternate=CARE2)
        self.assertIsNone(option(answer, BindingRefreshAdvice))

    def test_lifetime_over(self) -> None:
        """A binding that nobody refreshes ends, with its tunnel."""
        self.world.host(lifetime=10)
        self.world.pass_time(41)
        self.assertEqual(len(self.world.of_kind(Remove)), 1)
        self.assertEqual(self.world.value("total-disconnects/lifetime-expiry"), 1)

    def test_from_home(self) -> None:
        """Without a Home Address option the source is the home address; the answer has no routing header."""
        self.world.host(sequence=1)
        mh = self.world.update(sequence=2, lifetime=0, care_of=HOME)
        answer = self.world.plain(mh, HOME)
        assert answer is not None
        self.assertEqual((answer.status, self.world.of_kind(Send)[0].destination), (0, HOME))
        # Registering needs the option (RFC 6275 section 10.3.1).
        mh = self.world.update(sequence=3, care_of=HOME2, alternate=CARE1, home=HOME2)
        self.assertIsNone(self.world.plain(mh, HOME2))
        self.assertEqual(self.world.moved(), {f"{DISCARD}/other": 1})

    def test_operator_view_and_end(self) -> None:
        """A binding is a session: shown with its type and SPI, cleared like any other."""
        self.world.host()
        (entry,) = self.world.lma.sessions(address=HOME)
        shown = dict(self.world.lma.details(entry))
        self.assertEqual((shown["Type"], shown["Home address"]), ("MIPv6", "2001:db8:100::5"))
        self.assertEqual(shown["MN-HA SPI"], "256")
        self.assertEqual(entry.mn_id, ALICE)
        self.world.lma.receive(ClearSessions(mn_id=ALICE), self.world.now)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(self.world.value("total-disconnects/admin-drops"), 1)
        self.assertEqual(self.world.host().status, 0)

    def test_without_hosts_all_is_as_before(self) -> None:
        """Not enabled: nobody listens for the option."""
        world = self.with_settings(mipv6=False)
        self.assertIsNone(world.host())
        self.assertEqual(world.moved(), {})
        world.plain(world.update(care_of=CARE1), CARE1)
        self.assertEqual(
            world.value(f"{DISCARD}/other") + world.value(f"{DENY}/not-authorized-for-proxy-reg"), 1
        )

    def test_switched_on_later(self) -> None:
        """A change of the configuration starts it."""
        world = self.with_settings(mipv6=False)
        fresh = HostWorld().settings
        world.lma.receive(Reconfigure(fresh), world.now)
        answer = world.host()
        assert answer is not None
        self.assertEqual(answer.status, 0)


class RefusalTests(HostCase):
    """Each status under its own counter."""

    def test_where_the_home_is(self) -> None:
        """132 for a strange prefix; 129 for an address that is another's by profile."""
        self.denied(132, f"{DENY}/not-home-subnet", home=packed("2001:db8:999::1"))
        mine = Profile(name="a", mn_id=ALICE, associations=PROFILE.associations, home_addresses=(HOME,))
        self.with_settings(profiles=(mine, BOB_PROFILE))
        self.denied(129, f"{ADMIN}/hoa-not-authorized", home=HOME2)
        self.denied(129, f"{ADMIN}/hoa-not-authorized", mn=BOB)
        answer = self.world.host()
        assert answer is not None
        self.assertEqual(answer.status, 0)

    def test_an_address_that_another_host_has(self) -> None:
        """Duplicate address detection on a virtual link: 134."""
        self.with_settings(profiles=(PROFILE, BOB_PROFILE))
        self.world.host()
        self.denied(134, f"{DENY}/dad-failed", INITIAL, mn=BOB, sequence=9)
        # The sequence numbers of the other host are not his.
        self.denied(134, f"{DENY}/dad-failed", INITIAL, mn=BOB, sequence=0)

    def test_permission_service_and_unknown_host(self) -> None:
        """129 without permission, 151 for another service (which ends the binding), 133 for a stranger."""
        shut = Profile(name="a", mn_id=ALICE, associations=PROFILE.associations, mipv6=False)
        self.with_settings(profiles=(shut,))
        self.denied(129, f"{ADMIN}/no-permission")
        one = Profile(name="a", mn_id=ALICE, associations=PROFILE.associations, services=(b"net",))
        self.with_settings(profiles=(one,))
        self.world.host(extra=[ServiceSelection(b"net")])
        answer = self.world.host(extra=[ServiceSelection(b"ims")])
        assert answer is not None
        self.assertEqual((answer.status, self.world.lma.session_count), (151, 0))
        self.with_settings(unknown_subscriber="reject", mipv6_associations=PROFILE.associations)
        self.denied(133, f"{DENY}/other", mn=BOB)

    def test_no_home_registration(self) -> None:
        """H clear: 129, or silence; 139 when there is a home registration (RFC 6275 section 9.5.1)."""
        self.denied(129, f"{ADMIN}/h-bit-not-set", flags=BU_A)
        self.denied(129, f"{ADMIN}/h-bit-not-set", flags=BU_A, key=None)
        self.world.host()
        self.denied(139, f"{DENY}/reg-type-change-disallowed", REFRESH, flags=BU_A)
        self.with_settings(mipv6_h_bit="discard")
        self.discarded("other", flags=BU_A)

    def test_proxy_against_host_and_back(self) -> None:
        """A gateway's update means a session that the host has registered, or the other way round: 139."""
        self.world.host()
        answer = self.world.send(mn=ALICE, hi=2, ll=None)
        assert answer is not None
        self.assertEqual(answer.status, 139)
        self.assertEqual(self.world.moved()[f"{DENY}/reg-type-change-disallowed"], 1)
        inside = packed("2001:db8:1::7")
        world = self.with_settings(mipv6_pools=("HOSTS", "HOME"))
        world.send(mn=ALICE)
        self.denied(139, f"{DENY}/reg-type-change-disallowed", INITIAL, home=inside)
        self.with_settings(mipv6_pools=("HOSTS", "HOME"), profiles=(PROFILE, BOB_PROFILE))
        self.world.send(mn=ALICE)
        self.denied(134, f"{DENY}/dad-failed", INITIAL, home=inside, mn=BOB)

    def test_a_second_interface_is_no_change_of_type(self) -> None:
        """A gateway may serve another interface of the host."""
        self.world.host()
        for indicator in (1, 4):
            answer = self.world.send(mn=ALICE, hi=indicator, ll=bytes((2, 0, 0, 0, 0, indicator)))
            assert answer is not None
            self.assertEqual(answer.status, 0)

    def test_care_of_addresses(self) -> None:
        """174 inside a home network; silence for what is not unicast routable, and for our own."""
        self.denied(174, f"{DENY}/other", care_of=HOME2)
        self.denied(174, f"{DENY}/other", alternate=packed("2001:db8:1:2::3"))
        for odd in ("ff02::1", "fe80::1", "::", "::1", "2001:db8:ffff::1"):
            self.discarded("other", alternate=packed(odd))

    def test_shapes(self) -> None:
        """Silence for Nonce Indices with H, two care-of addresses, the P flag with a Home Address option."""
        self.discarded("other", extra=[NonceIndices(1, 1)])
        self.discarded("decode-failure", extra=[AlternateCareOfAddress(CARE1), AlternateCareOfAddress(CARE2)])
        self.discarded("other", flags=BU_A | BU_H | BU_P)

    def test_addresses_go_back(self) -> None:
        """What a profile names, and what the pool gives, is free again afterwards, and counted once."""
        mine = Profile(name="a", mn_id=ALICE, associations=PROFILE.associations, home_addresses=(HOME,))
        self.with_settings(profiles=(mine, BOB_PROFILE))
        pool = self.world.lma.pools.prefixes[1]
        for number in range(3):
            for mn, home, used in ((ALICE, HOME, 0), (BOB, HOME2, 1)):
                answer = self.world.host(mn=mn, home=home, sequence=number)
                assert answer is not None
                self.assertEqual((answer.status, pool.in_use), (0, used))
                self.world.lma.receive(ClearSessions(mn_id=mn), self.world.now)
                self.assertEqual(pool.in_use, 0)

    def test_not_ready(self) -> None:
        """While the service is shut down nothing is answered."""
        self.with_settings(shutdown=True)
        self.discarded("hamgr-not-ready")

    def test_no_room(self) -> None:
        """The service is full: 130."""
        self.with_settings(max_subscribers=1)
        self.world.host()
        row = "update-denied-insufficient-resource-reasons/session-manager-rejected"
        self.denied(130, row, home=HOME2)


class EndTests(SynchronousTestCase):
    """What stays of a core that is thrown away."""

    def test_no_cycle(self) -> None:
        """The hosts' part is gone at once, without the collector."""
        world = HostWorld(mipv6_home_link="home0")
        world.host()
        world.pass_time(1.1)
        kept = weakref.ref(world.lma.hosts)
        gc.collect()
        gc.disable()
        try:
            world.lma.close()
            del world.lma
            self.assertIsNone(kept())
        finally:
            gc.enable()


class SettingsTests(SynchronousTestCase):
    """What must not be seen."""

    def test_keys_are_not_shown(self) -> None:
        """The text of settings has no key in it."""
        text = repr(settings(profiles=(PROFILE,), mipv6_associations=PROFILE.associations))
        self.assertNotIn(repr(KEY), text)
        self.assertIn("256", text)
