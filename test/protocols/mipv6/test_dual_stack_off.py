"""Hosts are served in IPv4 networks no more: their bindings end, or go on by IPv6 (RFC 5555)."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.config_audit_hosts import host_findings
from appliance.protocols.mipv6.events import SendRouted, SendTunnelled
from appliance.protocols.mipv6.request import NO_IPSEC
from appliance.protocols.mobility.messages import BU_A, BU_H, BU_O
from appliance.protocols.pmipv6.events import Install, Notify, Reconfigure, Remove
from test.protocols.mipv6.fakes import BOB, CARE1, CARE2, HOME, HOME2, NAT, HostWorld, bid
from test.protocols.mipv6.test_dsmip import BOB_DUAL, DUAL, wish
from test.protocols.pmipv6.lma_fakes import packed


class OffTests(SynchronousTestCase):
    """``no dual-stack``."""

    def world_of(self, **changes: Any) -> HostWorld:
        """Two subscribers that may have IPv4 home addresses."""
        return HostWorld(profiles=(DUAL, BOB_DUAL), **changes)

    def off(self, world: HostWorld, **changes: Any) -> list[bool]:
        """Take it away; returns what was said before of the sessions that may end."""
        settings = evolve(world.settings, **(changes or {"mipv6_dual_stack": False}))
        said = list(world.lma.affected(settings))
        world.lma.receive(Reconfigure(settings), world.now)
        world.settings = settings
        world.effects = world.lma.take() + world.pass_time(0)
        return said

    def test_nowhere_else(self) -> None:
        """A binding inside UDP ends at once, and nobody waits for an answer: the port is closed."""
        for changes in ({"mipv6_dual_stack": False}, {"mipv6": False}):
            world = self.world_of(revocation=True)
            world.inside(extra=[wish()])
            world.host(home=HOME2, mn=BOB, care_of=CARE2)
            self.assertEqual(sorted(self.off(world, **changes)), [False, True])
            self.assertEqual((len(world.of_kind(Remove)), world.of_kind(SendTunnelled)), (1, []))
            self.assertEqual([each.mn_id for each in world.lma.sessions()], [BOB])
            self.assertEqual(world.value("binding-revocation/sent"), 0)

    def test_somewhere_else(self) -> None:
        """RFC 5648: of several care-of addresses those of IPv6 stay."""
        world = self.world_of()
        world.inside(bids=[bid(1, packed("10.0.0.7"))], flags=BU_A | BU_H | BU_O, silent=True)
        world.host(bids=[bid(2, CARE1)])
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.care_of, packed(NAT))
        self.assertEqual(self.off(world), [False])
        self.assertEqual((entry.care_of, list(entry.extras.host.several)), (CARE1, [2]))
        install = world.of_kind(Install)[-1]
        self.assertEqual((install.peer, install.udp, install.lanes), (CARE1, False, ()))

    def test_home_address(self) -> None:
        """An IPv4 home address goes alone; with revocation the host is told so."""
        for revocation in (False, True):
            world = self.world_of(revocation=revocation)
            world.host(extra=[wish()])
            (entry,) = world.lma.sessions()
            self.assertIsNotNone(entry.ipv4_address)
            self.assertEqual(self.off(world), [False])
            self.assertEqual(len(world.of_kind(SendRouted)), int(revocation))
            for _ in range(5):
                world.pass_time(2)
            self.assertIsNone(entry.ipv4_address)
            self.assertEqual([each.prefix for each in world.lma.sessions()], [HOME])

    def test_ipsec(self) -> None:
        """With ``require ipsec`` nothing inside UDP can be protected: it is discarded, counted and logged."""
        world = self.world_of(mipv6_require_ipsec=True)
        self.assertIsNone(world.inside())
        self.assertEqual(world.moved(), {"binding-updates-discard-reasons/other": 1})
        self.assertEqual([each.text for each in world.of_kind(Notify)], [NO_IPSEC])
        said = [each.text for each in host_findings(world.settings)]
        self.assertEqual(sum("hosts in IPv4 networks cannot register" in each for each in said), 1)
        for change in ({"mipv6_dual_stack": False}, {"ipv4_address": None}):
            found = host_findings(evolve(world.settings, **change))
            self.assertFalse(any("IPv4 networks" in each.text for each in found))
