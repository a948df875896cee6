"""An anchor whose settings change while sessions last."""

import os
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.options import GreKey
from appliance.protocols.pmipv6 import lma_sessions
from appliance.protocols.pmipv6.coverage import Coverage
from appliance.protocols.pmipv6.events import Install, Reconfigure, Remove
from appliance.protocols.pmipv6.settings import LmaSettings, Peer, PrefixPool, Profile
from test.protocols.pmipv6.lma_fakes import LL2, MAG1, MAG2, POOL, POOL4, World, packed, prefixes_of
from test.protocols.pmipv6.test_pool_adoption import configurations, numbers

OTHER = PrefixPool(name="OTHER", prefix=packed("2001:db8:2::"), prefix_length=48)
FIXED = (packed("2001:db8:9:9::"), 64)


class ChangingWorld(World):
    """An anchor that can be given other settings."""

    def change(self, **changes: Any) -> LmaSettings:
        """Give it its settings with these fields changed; checks the preview against what comes."""
        new = evolve(self.settings, **changes)
        before = self.lma.session_count
        preview = sum(self.lma.affected(new))
        assert self.lma.session_count == before
        self.lma.receive(Reconfigure(new), self.now)
        self.effects = self.lma.take() + self.pass_time(0)
        assert before - self.lma.session_count == preview
        self.settings = new
        return new


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An anchor with one session."""
        self.world = ChangingWorld()
        answer = self.world.send(ipv4=["0.0.0.0"])
        assert answer is not None
        self.prefix = prefixes_of(answer)[0]
        self.session = next(self.world.lma.sessions())

    def gone(self) -> bool:
        """Whether the session has ended, and properly."""
        if self.world.lma.session_count:
            self.assertEqual(self.world.of_kind(Remove), [])
            return False
        self.assertEqual([effect.call_id for effect in self.world.of_kind(Remove)], [self.session.call_id])
        self.assertEqual(self.world.value("total-disconnects/admin-drops"), 1)
        return True

    def test_timers_and_switches(self) -> None:
        """Numbers and switches end nothing; the next update is answered by them."""
        self.world.change(reg_lifetime=1200, timestamp_validity_window=600_000, refresh_advice_option=True)
        self.assertFalse(self.gone())
        answer = self.world.send(hi=5, ipv4=["0.0.0.0"], lifetime=900)
        self.assertEqual((answer.status, answer.lifetime), (codes.ACCEPTED, 300))
        answer = self.world.send(hi=5, ipv4=["0.0.0.0"], time=self.world.now.wall - 400)
        self.assertEqual(answer.status, codes.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)

    def test_gre(self) -> None:
        """A session gets its keys at its next update, and loses them at the one after they are forbidden."""
        self.world.change(gre="disabled")
        self.world.send(hi=5, ipv4=["0.0.0.0"], extra=[GreKey(5)])
        self.assertFalse(self.session.gre)
        self.world.change(gre="optional")
        self.world.send(hi=5, ipv4=["0.0.0.0"], extra=[GreKey(5)])
        self.assertTrue(self.session.gre)
        self.assertEqual([effect.send_key for effect in self.world.of_kind(Install)], [5])

    def test_peers(self) -> None:
        """A gateway that is not listed any more: its session lasts, its next update is refused with 154."""
        self.world.change(peers=(Peer(address=MAG2, prefix_length=128),))
        self.assertFalse(self.gone())
        answer = self.world.send(hi=5, ipv4=["0.0.0.0"])
        self.assertEqual(answer.status, codes.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
        self.assertFalse(self.gone())
        self.world.pass_time(4000)
        self.assertEqual(self.world.lma.session_count, 0)

    def test_pool_gone(self) -> None:
        """The session goes with the pool of its prefix."""
        self.world.change(prefix_pools=(OTHER,))
        self.assertTrue(self.gone())
        self.assertEqual(prefixes_of(self.world.send()), [("2001:db8:2::", 64)])

    def test_ipv4_pool_gone(self) -> None:
        """The session goes with the pool of its IPv4 address."""
        self.world.change(address_pools=())
        self.assertTrue(self.gone())

    def test_router_is_the_session_s(self) -> None:
        """An address that becomes the router's is no mobile's any more."""
        self.world.change(address_pools=(evolve(POOL4, default_router=self.session.ipv4_address),))
        self.assertTrue(self.gone())

    def test_other_range(self) -> None:
        """What stays in the range stays."""
        self.world.change(address_pools=(evolve(POOL4, last=packed("203.0.113.12")),))
        self.assertFalse(self.gone())
        self.world.change(address_pools=(evolve(POOL4, first=packed("203.0.113.12")),))
        self.assertTrue(self.gone())

    def test_pool_renamed_and_more(self) -> None:
        """Another name, group, or a new pool beside it end nothing, and nothing is given twice."""
        self.world.change(prefix_pools=(OTHER, evolve(POOL, name="NEW", group="g", static=True)))
        self.assertFalse(self.gone())
        self.world.change(prefix_pools=(evolve(POOL, name="X"),))
        self.assertEqual(prefixes_of(self.world.send(mn=b"mn2")), [("2001:db8:1:1::", 64)])

    def test_pool_grows(self) -> None:
        """A pool that is a part of the new one: its sessions stay, and keep their prefixes to themselves."""
        self.world.change(prefix_pools=(evolve(POOL, prefix=packed("2001:db8::"), prefix_length=44),))
        self.assertFalse(self.gone())
        found = [prefixes_of(self.world.send(mn=b"m%d" % n))[0] for n in range(3)]
        self.assertNotIn(self.prefix, found)

    def test_other_length(self) -> None:
        """A pool that hands out another length covers what it handed out no longer."""
        self.world.change(prefix_pools=(evolve(POOL, delegated_length=60),))
        self.assertTrue(self.gone())

    def test_pool_comes_back(self) -> None:
        """A pool that is there again before its sessions have ended hands out none of their prefixes."""
        self.patch(lma_sessions, "SUSPECTS_AT_ONCE", 0)
        new = evolve(self.world.settings, prefix_pools=(OTHER,))
        self.world.lma.receive(Reconfigure(new), self.world.now)
        self.assertEqual(self.world.lma.session_count, 1)
        self.assertEqual(self.world.lma.deadline, 0.0)
        self.world.lma.receive(Reconfigure(self.world.settings), self.world.now)
        self.patch(lma_sessions, "SUSPECTS_AT_ONCE", 100)
        self.world.pass_time(0)
        self.assertFalse(self.gone())
        self.assertEqual(prefixes_of(self.world.send(mn=b"mn2")), [("2001:db8:1:1::", 64)])

    def test_deleting(self) -> None:
        """A session that is being deleted ends too, without a second Remove."""
        self.world.send(lifetime=0, ipv4=["0.0.0.0"])
        self.world.change(prefix_pools=(), address_pools=())
        self.assertEqual(self.world.of_kind(Remove), [])
        self.assertEqual(self.world.lma.session_count, 0)

    def test_slices(self) -> None:
        """Many sessions end a bounded number at a time."""
        for number in range(9):
            self.world.send(mn=b"m%d" % number)
        self.patch(lma_sessions, "SUSPECTS_AT_ONCE", 4)
        self.world.lma.receive(Reconfigure(evolve(self.world.settings, prefix_pools=())), self.world.now)
        counts = [self.world.lma.session_count]
        while self.world.lma.deadline == 0.0:
            self.world.lma.tick(self.world.now)
            counts.append(self.world.lma.session_count)
        self.assertEqual(counts, [6, 2, 0])

    def test_nothing_is_looked_at_in_vain(self) -> None:
        """Only what may lose something is looked at."""
        harmless: list[dict[str, Any]] = [
            {"reg_lifetime": 7},
            {"prefix_pools": (OTHER, POOL)},
            {"profiles": (Profile(name="x"),)},
        ]
        for changes in harmless:
            self.assertEqual(list(self.world.lma.affected(evolve(self.world.settings, **changes))), [])


    def test_refusal_of_all(self) -> None:
        """RFC 8127 section 5.1: a zero among the timers refuses registrations: all sessions are lost."""
        off = {"mag_heartbeat_interval": 0}
        self.assertEqual(list(self.world.lma.affected(evolve(self.world.settings, **off))), [])
        new = evolve(self.world.settings, mag_heartbeat_control=True, **off)
        self.assertEqual(list(self.world.lma.affected(new)), [True])
        self.world.lma.receive(Reconfigure(new), self.world.now)
        # It is so already: nothing more ends by other lines.
        self.assertEqual(list(self.world.lma.affected(evolve(new, reg_lifetime=7))), [])


class SubscriberTests(SynchronousTestCase):
    def test_assignment(self) -> None:
        """A fixed prefix outside of the pools is covered by its subscriber's line alone."""
        own = Profile(name="mn1@example.org", mn_id=b"mn1@example.org", prefixes=(FIXED,))
        world = ChangingWorld(profiles=(own,))
        self.assertEqual(prefixes_of(world.send()), [("2001:db8:9:9::", 64)])
        world.change(profiles=(evolve(own, ipv4=True, any_prefix=True),))
        self.assertEqual(world.lma.session_count, 1)
        world.change(profiles=(evolve(own, prefixes=((FIXED[0], 65), FIXED)), Profile(name="b", mn_id=b"b")))
        self.assertEqual(world.lma.session_count, 1)
        world.change(profiles=(Profile(name="b", mn_id=b"b", prefixes=(FIXED,)),))
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(prefixes_of(world.send(mn=b"b")), [("2001:db8:9:9::", 64)])

    def test_assignment_inside_a_pool(self) -> None:
        """Without its line the prefix is the pool's, and still nobody else's."""
        inside = (packed("2001:db8:1::"), 64)
        own = Profile(name="mn1@example.org", mn_id=b"mn1@example.org", prefixes=(inside,))
        small = evolve(POOL, prefix_length=62)
        world = ChangingWorld(profiles=(own,), prefix_pools=(small,))
        world.send()
        world.change(profiles=())
        self.assertEqual(world.lma.session_count, 1)
        self.assertEqual(prefixes_of(world.send(mn=b"mn2")), [("2001:db8:1:1::", 64)])
        world.send(lifetime=0)
        world.pass_time(20)
        found = {prefixes_of(world.send(mn=b"x%d" % n))[0][0] for n in range(3)}
        self.assertIn("2001:db8:1::", found)

    def test_what_a_session_has_is_not_assigned_to_another(self) -> None:
        """A prefix becomes another subscriber's only when it is free."""
        world = ChangingWorld()
        world.send()
        other = Profile(name="b", mn_id=b"b", prefixes=((packed("2001:db8:1::"), 64),))
        world.change(profiles=(other,))
        self.assertEqual(world.lma.session_count, 1)
        self.assertEqual(prefixes_of(world.send(mn=b"b")), [("2001:db8:1:1::", 64)])

    def test_a_part_is_taken(self) -> None:
        """A prefix of which a session has a part is not given to the subscriber that it is assigned to."""
        world = ChangingWorld()
        world.send()
        for assigned in (((packed("2001:db8::"), 45)), (packed("2001:db8:1::"), 65), (packed("2001::"), 16)):
            world.change(profiles=(Profile(name="b", mn_id=b"b", prefixes=(assigned, FIXED)),))
            self.assertEqual(prefixes_of(world.send(mn=b"b")), [("2001:db8:9:9::", 64)])
            world.send(mn=b"b", lifetime=0)
            world.pass_time(20)

    def test_profile_gone(self) -> None:
        """A mobile that is not served any more keeps its session until its next update."""
        world = ChangingWorld()
        world.send()
        world.change(default_profile=None, unknown_subscriber="reject")
        self.assertEqual(world.lma.session_count, 1)
        self.assertEqual(world.send(hi=5).status, codes.NOT_LMA_FOR_THIS_MOBILE_NODE)

    def test_full(self) -> None:
        """A lower limit ends nothing and lets nobody in."""
        world = ChangingWorld()
        world.send()
        world.change(max_subscribers=1)
        self.assertEqual(world.send(mn=b"mn2").status, codes.INSUFFICIENT_RESOURCES)
        self.assertEqual(world.send(hi=5).status, codes.ACCEPTED)


class WaitingTests(SynchronousTestCase):
    def wait(self) -> ChangingWorld:
        """An update from another gateway waits for the first one's de-registration."""
        world = ChangingWorld()
        world.send(ll=None)
        self.assertIsNone(world.send(ll=None, hi=4, source=MAG2))
        self.assertEqual(world.value("binding-updates-received/pending"), 1)
        return world

    def test_shorter_patience(self) -> None:
        """Who waits longer than is allowed now goes on as soon as that time is over."""
        world = self.wait()
        world.change(max_delay_before_new_bce_assign=100)
        world.pass_time(0.2)
        self.assertEqual(world.answer().status, codes.ACCEPTED)
        self.assertEqual(world.value("binding-updates-received/pending"), 0)

    def test_refused_now(self) -> None:
        """Who waits and may not register any more is refused."""
        world = self.wait()
        world.change(peers=(Peer(address=MAG1, prefix_length=128),))
        world.pass_time(5)
        self.assertEqual(world.answer().status, codes.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
        self.assertEqual(world.value("binding-updates-received/pending"), 0)

    def test_ends_with_the_pool(self) -> None:
        """The session that is waited for ends: the update goes on at once, out of the new pool."""
        world = self.wait()
        new = evolve(world.settings, prefix_pools=(OTHER,))
        world.lma.receive(Reconfigure(new), world.now)
        world.effects = world.lma.take()
        self.assertEqual(prefixes_of(world.answer()), [("2001:db8:2::", 64)])

    def test_dissolve(self) -> None:
        """A core that is thrown away leaves no session and nobody waiting in the counters."""
        world = self.wait()
        world.send(mn=b"mn2", ll=LL2)
        self.assertEqual(world.lma.dissolve(), 2)
        self.assertEqual(world.value("total-disconnects/admin-drops"), 2)
        self.assertEqual(world.value("binding-updates-received/pending"), 0)


class RandomTests(SynchronousTestCase):
    @profile(deadline=None, max_examples=int(os.environ.get("FUZZ", "200")))
    @given(configurations(), st.lists(st.one_of(st.integers(0, 11), configurations()), max_size=30))
    def test_any_change(self, first: LmaSettings, steps: list[Any]) -> None:
        """Whatever changes while mobiles come and go: who is covered stays, and nothing is shared."""
        world = ChangingWorld(
            prefix_pools=first.prefix_pools, address_pools=first.address_pools, profiles=first.profiles,
            min_delay_before_bce_delete=0,
        )  # fmt: skip
        for step in steps:
            if isinstance(step, int):
                name = (b"p", b"q", b"r", b"s")[step % 4]
                known = any(entry.mn_id == name for entry in world.lma.sessions())
                world.send(mn=name, lifetime=0 if known else 900, ipv4=["0.0.0.0"] if step > 7 else [],
                           hi=4 if known else 1)  # fmt: skip
            else:
                coverage = Coverage(step)
                expected = [entry.call_id for entry in world.lma.sessions() if coverage.keeps(entry)]
                world.change(prefix_pools=step.prefix_pools, address_pools=step.address_pools,
                             profiles=step.profiles)  # fmt: skip
                self.assertEqual([entry.call_id for entry in world.lma.sessions()], expected)
            pairs = [pair for entry in world.lma.sessions() for pair in entry.prefixes]
            held = [number for pair in pairs for number in numbers(*pair)]
            self.assertEqual(len(held), len(set(held)))
            addresses = [entry.ipv4_address for entry in world.lma.sessions() if entry.ipv4_address]
            self.assertEqual(len(addresses), len(set(addresses)))
