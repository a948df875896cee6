"""What becomes of sessions when the running configuration changes, service by service."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance import system as system_module
from appliance.config import Configuration, load, parse
from appliance.errors import ApplianceError, ResourceError
from appliance.ports import SessionFilter
from appliance.protocols.access.events import FrameReceived
from appliance.protocols.access.ndp import RouterSolicitation
from appliance.protocols.mobility.codec import decode
from appliance.protocols.pmipv6.events import PacketReceived, Send
from test.protocols.access.test_attach import frame
from test.protocols.access.test_ndp import MN, solicitation
from test.protocols.pmipv6.lma_fakes import packed
from test.system_fakes import Appliance
from test.test_system import machine, run

ANCHOR, GATEWAY = packed("2001:db8:ffff::1"), packed("2001:db8:ffff::2")
TEXT = """config
 context one
  ipv6 pool P1 prefix 2001:db8:1::/48
  ipv6 pool P2 prefix 2001:db8:2::/48 static
  subscriber default
   permission pmipv6
   exit
  subscriber name mn2@example.org
   permission pmipv6
   ipv6 address prefix-pool P2
   exit
  lma-service lma1
   bind address 2001:db8:ffff::1
   mag-peer 2001:db8:ffff::2
   exit
  exit
 context two
  mag-service mag1
   bind address 2001:db8:ffff::2
   lma-address 2001:db8:ffff::1
   encapsulation ipip
   access-interface acc0
   access-interface acc1
   mobile-node 02:00:5e:10:00:01 nai mn1@example.org
   mobile-node 02:00:5e:10:00:02 nai mn2@example.org
   exit
  exit
end
"""


class Pair(Appliance):
    """Anchor and gateway in one process; :meth:`pump` carries their messages to and fro."""

    def service(self, kind: str) -> Any:
        """The only service of a kind."""
        (found,) = self.system.services(kind)
        return found

    def pump(self) -> None:
        """Until nobody has anything to say."""
        carried = True
        while carried:
            carried = False
            for kind, other in (("mag", "lma"), ("lma", "mag")):
                for here in self.system.services(kind):
                    driver = here._driver
                    for effect in [] if driver is None else driver._signalling.sent[:]:
                        driver._signalling.sent.remove(effect)
                        carried = True
                        self.deliver(other, effect)

    def deliver(self, kind: str, effect: Send) -> None:
        """To the service of that address, if there is one."""
        for there in self.system.services(kind):
            if there.settings.address == effect.destination and there._driver is not None:
                there._driver.feed(PacketReceived(effect.data, effect.source, effect.destination))

    def attach(self) -> None:
        """Both mobile nodes arrive."""
        for link_layer in (MN, MN[:-1] + b"\x02"):
            ask = solicitation() if link_layer == MN else frame_of(link_layer)
            self.service("mag")._driver._access.feed(FrameReceived("acc0", ask))
        self.pump()
        assert self.counts() == (2, 2), self.counts()

    def counts(self) -> tuple[int, ...]:
        """Sessions of anchor and gateway."""
        return tuple(
            sum(service.session_count() for service in self.system.services(kind)) for kind in ("lma", "mag")
        )

    async def change(self, *replacements: tuple[str, str]) -> Any:
        """Make the change; returns its plan."""
        text = TEXT
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        plan = await self.system.plan(parse(text, "test"))
        assert await self.system.apply(plan)
        return plan


def frame_of(link_layer: bytes) -> bytes:
    """A Router Solicitation of another mobile node."""
    return frame(RouterSolicitation(), link_layer=link_layer)


def with_pair(story: Any) -> None:
    """Boot both and tell a story."""
    configuration = load(TEXT, "test")
    with machine() as host:

        async def whole() -> None:
            pair = Pair(host, configuration)
            await pair.system.start()
            pair.attach()
            await story(pair)
            with contextlib.suppress(ResourceError):
                await pair.system.stop()

        asyncio.run(whole())


class SessionTests(SynchronousTestCase):
    def test_pool_gone(self) -> None:
        """Only the sessions of the pool end, and so said the plan."""

        async def story(pair: Pair) -> None:
            plan = await pair.change(("prefix 2001:db8:2::", "prefix 2001:db8:3::"))
            self.assertEqual((plan.sessions, plan.notes), (1, ["lma-service lma1: 1 session ends"]))
            self.assertEqual(pair.counts(), (1, 2))
            (left,) = pair.service("lma").sessions(SessionFilter())
            self.assertEqual(left.username, "mn1@example.org")
            self.assertEqual(len(pair.service("lma")._engine.sessions), 1)

        with_pair(story)

    def test_gateway_s_link_gone(self) -> None:
        """The gateway de-registers, the anchor is told, the link is closed after the farewells."""

        async def story(pair: Pair) -> None:
            plan = await pair.change(("   access-interface acc0\n", ""))
            self.assertEqual((plan.sessions, plan.notes), (2, ["mag-service mag1: 2 sessions end"]))
            pair.pump()
            self.assertEqual(pair.counts(), (2, 0))
            states = {view.state for view in pair.service("lma").sessions(SessionFilter())}
            self.assertEqual(states, {"deleting"})
            engine = pair.service("mag")._engine
            self.assertEqual(engine.links, {})
            # Two advertisements at attachment, two with lifetime 0.
            self.assertEqual([interface for interface, _ in engine.frames], ["acc0"] * 4)
            await pair.change()
            self.assertEqual(list(engine.links), ["acc0"])
            pair.attach()

        with_pair(story)

    def test_line_gone(self) -> None:
        """One mobile node less."""

        async def story(pair: Pair) -> None:
            plan = await pair.change(("   mobile-node 02:00:5e:10:00:02 nai mn2@example.org\n", ""))
            self.assertEqual(plan.sessions, 1)
            pair.pump()
            self.assertEqual(pair.counts()[1], 1)

        with_pair(story)

    def test_restart(self) -> None:
        """A new address: sessions end as dropped by the operator, and what was counted goes on."""

        async def story(pair: Pair) -> None:
            values = pair.service("lma").counters
            plan = await pair.change(("address 2001:db8:ffff::1\n   mag", "address 2001:db8:ffff::1 "
                                      "ipv4-address 192.0.2.1\n   mag"))  # fmt: skip
            self.assertEqual(plan.notes, ["lma-service lma1 starts anew: its sessions end"])
            self.assertEqual((plan.sessions, pair.counts()), (2, (0, 2)))
            self.assertIs(pair.service("lma").counters, values)
            self.assertEqual(values.value("total-disconnects/admin-drops"), 2)
            self.assertEqual(values.value("initial-binding-update-requests/accepted"), 2)

        with_pair(story)

    def test_attached_by_hand(self):
        """Who has no line at the gateway is refused to the operator, not only in the log."""

        async def story(pair: Pair) -> None:
            gateway = pair.service("mag")
            gateway._links.add("acc0")
            refusal = gateway.attach("", "acc0", "02:00:5e:10:00:07", 4)
            self.assertIn("no mobile-node line of mag-service mag1 is for 02:00:5e:10:00:07", refusal)
            self.assertEqual(gateway.attach("", "acc0", "02:00:5e:10:00:01", 4), "")

        with_pair(story)

    def test_gateway_restarts(self) -> None:
        """The mobile nodes are still on their links: they are registered anew without asking."""

        async def story(pair: Pair) -> None:
            link_layer = "   fixed-link-layer-address 02:00:00:00:00:09\n"
            plan = await pair.change(("   encapsulation", f"{link_layer}   encapsulation"))
            self.assertEqual(plan.notes, ["mag-service mag1 starts anew: its sessions end"])
            pair.pump()
            views = list(pair.service("mag").sessions(SessionFilter()))
            self.assertEqual({(view.username, view.state) for view in views},
                             {("mn1@example.org", "active"), ("mn2@example.org", "active")})  # fmt: skip
            self.assertEqual(pair.service("mag")._engine.links["acc0"], bytes.fromhex("020000000009"))

        with_pair(story)

    def test_gateway_gone(self) -> None:
        """A gateway that stops takes leave of its anchors."""

        async def story(pair: Pair) -> None:
            sent = pair.service("mag")._driver._signalling.sent
            plan = await pair.change(("   bind address 2001:db8:ffff::2\n", ""))
            self.assertEqual(plan.notes, ["mag-service mag1 stops: its sessions end"])
            self.assertEqual([decode(effect.data).message.lifetime for effect in sent], [0, 0])
            self.assertEqual(pair.service("mag").state, "Initialized")

        with_pair(story)

    def test_what_is_lost(self) -> None:
        """A service had to be stopped and the next step fails: it serves again, and what it lost is said."""

        async def story(pair: Pair) -> None:
            before = pair.snapshot()
            bind = "bind address 2001:db8:ffff::1"
            text = TEXT.replace(f"{bind}\n", f"{bind} ipv4-address 192.0.2.1\n")
            plan = await pair.system.plan(parse(text, "test"))
            pair.machine.steps, pair.machine.fail_at = 0, 3
            with self.assertRaises(ApplianceError) as caught:
                await pair.system.apply(plan)
            self.assertEqual(
                str(caught.exception),
                "engine: not today; nothing was changed, "
                "but 2 sessions of lma-service lma1 could not be kept",
            )
            self.assertEqual(pair.snapshot(), before)
            self.assertEqual(pair.counts(), (0, 2))

        with_pair(story)

    def test_failure_before_anything_ends(self) -> None:
        """Steps that can fail come before those that end sessions: none is lost."""

        async def story(pair: Pair) -> None:
            text = TEXT.replace("prefix 2001:db8:2::", "prefix 2001:db8:3::")
            text = text.replace("   mag-peer", "   path-mtu 1400\n   mag-peer")
            for number in range(3):
                plan = await pair.system.plan(parse(text, "test"))
                pair.machine.steps, pair.machine.fail_at = 0, number
                with self.assertRaises(ApplianceError) as caught:
                    await pair.system.apply(plan)
                self.assertTrue(str(caught.exception).endswith("not today; nothing was changed"))
                self.assertEqual(pair.counts(), (2, 2))
            pair.machine.fail_at = None
            plan = await pair.system.plan(parse(text, "test"))
            self.assertTrue(await pair.system.apply(plan))
            self.assertEqual(pair.counts(), (1, 2))

        with_pair(story)

    def test_plan_lets_others_have_a_turn(self) -> None:
        """The count of sessions is made in slices, and changes nothing."""
        self.patch(system_module, "SLICE", 1)

        async def story(pair: Pair) -> None:
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            other = asyncio.ensure_future(others())
            before = pair.snapshot()
            await pair.system.plan(parse(TEXT.replace("prefix 2001:db8:2::", "prefix 2001:db8:3::"), "test"))
            self.assertGreaterEqual(turns, 2)
            self.assertEqual((pair.snapshot(), pair.counts()), (before, (2, 2)))
            other.cancel()

        with_pair(story)

    def test_keys_are_shown_while_they_are_used(self) -> None:
        """A key stays for the life of its session (RFC 5845 section 3.3.2); without GRE none is shown."""

        async def story(pair: Pair) -> None:
            lma = pair.service("lma")
            entry = next(lma._core.sessions())
            for gre, key in ((True, entry.call_id), (False, None)):
                entry.gre, entry.receive_key = gre, entry.call_id
                self.assertEqual(next(lma.sessions(SessionFilter())).receive_key, key)

        with_pair(story)

    def test_links_are_read_when_it_has_started(self) -> None:
        """A mobile node that comes as soon as the appliance is ready is seen."""

        async def story(appliance: Appliance) -> None:
            (mag,) = appliance.system.services("mag")
            self.assertEqual(mag._links, {"acc0"})

        run(load(TEXT, "test"), story)

    def test_an_unbound_one_is_freed(self) -> None:
        """What waited for its bind address is gone as soon as one that has it takes its place."""
        bind = "   bind address 2001:db8:ffff::1\n"

        async def story(pair: Pair) -> None:
            await pair.change((bind, ""))
            watched = weakref.ref(pair.service("lma")._core)
            gc.collect()
            gc.disable()
            try:
                await pair.change()
                self.assertIsNone(watched())
            finally:
                gc.enable()

        with_pair(story)

    def test_nothing_stays_in_memory(self) -> None:
        """A service that is gone is freed at once: full garbage collections are rare by intention."""

        async def story(pair: Pair) -> None:
            lma, mag = pair.service("lma"), pair.service("mag")
            parts = (lma._core, mag._core, mag._core._sessions, mag._core._revocation, mag._access)
            watched = [weakref.ref(each) for each in parts]
            del lma, mag, parts
            gc.collect()
            gc.disable()
            try:
                gone = ("  lma-service lma1\n   bind address 2001:db8:ffff::1\n   mag-peer "
                        "2001:db8:ffff::2\n   exit\n", "")  # fmt: skip
                await pair.change(gone)
                self.assertIsNone(watched[0]())
                start = TEXT.index("  mag-service")
                await pair.change(gone, (TEXT[start : TEXT.index("   exit\n", start) + 8], ""))
                self.assertEqual([each() for each in watched if each() is not None], [])
            finally:
                gc.enable()

        with_pair(story)


class BootTests(SynchronousTestCase):
    def test_nothing_configured(self) -> None:
        """An empty configuration boots, and can grow."""

        async def story(appliance: Appliance) -> None:
            plan = await appliance.system.plan(parse(TEXT, "test"))
            self.assertEqual(plan.notes, ["lma-service lma1 starts", "mag-service mag1 starts"])
            self.assertTrue(await appliance.system.apply(plan))
            self.assertEqual([each.state for each in appliance.system.services()], ["Started", "Started"])
            self.assertIsInstance(appliance.reactor, Clock)

        run(Configuration(), story)
