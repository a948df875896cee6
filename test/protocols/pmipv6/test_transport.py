"""Gateways and an anchor over IPv4 with a NAT between them: real cores, no I/O (RFC 5844 section 4)."""

import os
import random
from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode
from appliance.protocols.mobility.messages import BA_T, BU_F, BU_T
from appliance.protocols.pmipv6.events import (
    Install,
    MobileAttached,
    MobileDetached,
    PacketReceived,
    Remove,
    Send,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
    PrefixPool,
)
from appliance.protocols.timers import Now

CASES = int(os.environ.get("FUZZ", "200"))


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


ANCHOR, OUTSIDE = packed("198.51.100.1"), packed("192.0.2.9")
ONE, TWO = packed("10.0.0.2"), packed("10.0.0.3")
NAI, MAC = b"mn1@example.org", bytes.fromhex("02005e100001")


class World:
    """Two gateways behind one NAT (or none), and an anchor; what each installed, and what went by."""

    def __init__(self, nat: bool = True, mag: dict[str, Any] | None = None, **lma: Any) -> None:
        self.mono = 100.0
        #: Port outside, by gateway; the NAT keeps the first one's.
        self.ports = {ONE: 5436, TWO: 40001}
        self.nat = nat
        self.lma_counters = CounterSet(LMA)
        fields: dict[str, Any] = {"forced_udp_encapsulation": True, **lma}
        self.lma = LocalMobilityAnchor(
            LmaSettings(
                name="lma1",
                ipv4_address=ANCHOR,
                peers=(
                    Peer(address=OUTSIDE, prefix_length=32),
                    Peer(address=packed("10.0.0.0"), prefix_length=8),
                ),
                prefix_pools=(PrefixPool(name="HOME", prefix=packed("2001:db8:1::"), prefix_length=48),),
                **fields,
            ),
            self.lma_counters,
            random.Random(7).getrandbits,
        )
        self.mags = {
            address: MobileAccessGateway(
                MagSettings(
                    name="mag",
                    ipv4_address=address,
                    lma=ANCHOR,
                    access_interfaces=(AccessInterface(name="acc0"),),
                    policies=(MobilePolicy(link_layer=MAC, mn_id=NAI),),
                    **{"force_udp_encapsulation": True, "encapsulation": "ipip", **(mag or {})},
                ),
                CounterSet(MAG),
                lambda bits: 9,
            )
            for address in (ONE, TWO)
        }
        self.installed: dict[bytes, list[Any]] = {ONE: [], TWO: [], ANCHOR: []}
        self.messages: list[Any] = []

    @property
    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, 1_700_000_000.0 + self.mono)

    def attach(self, where: bytes = ONE, handoff: int = 1) -> None:
        """The mobile node comes to a gateway."""
        self.feed(where, MobileAttached("acc0", MAC, handoff=handoff))

    def feed(self, who: bytes, event: Any) -> None:
        """Give a core an event and carry its messages to the other side, and so on."""
        core: Any = self.lma if who == ANCHOR else self.mags[who]
        self.mono += 0.01
        core.receive(event, self.now)
        self.settle(who, core)

    def settle(self, who: bytes, core: Any) -> None:
        """Carry out the effects of a core."""
        for effect in core.take():
            if isinstance(effect, (Install, Remove)):
                self.installed[who].append(effect)
            elif isinstance(effect, Send):
                self.messages.append(decode(effect.data).message)
                self.carry(who, effect)

    def carry(self, who: bytes, effect: Send) -> None:
        """What the NAT does to a message."""
        if who != ANCHOR:
            source, port = (OUTSIDE, self.ports[who]) if self.nat else (who, 5436)
            self.feed(ANCHOR, PacketReceived(effect.data, source, ANCHOR, port))
            return
        for inside, port in self.ports.items():
            if self.nat and (effect.destination, effect.port) == (OUTSIDE, port):
                self.feed(inside, PacketReceived(effect.data, ANCHOR, inside, 5436))
        if not self.nat and effect.destination in self.mags:
            self.feed(effect.destination, PacketReceived(effect.data, ANCHOR, effect.destination, 5436))

    def pass_time(self, seconds: float) -> None:
        """Let time go by at the gateways."""
        until = self.mono + seconds
        for who, core in self.mags.items():
            while core.deadline is not None and core.deadline <= until:
                self.mono = max(self.mono, core.deadline)
                core.tick(self.now)
                self.settle(who, core)
        self.mono = until

    def entry(self) -> Any:
        """The only session of the anchor."""
        (entry,) = self.lma.sessions()
        return entry


def option(message: Any, kind: type) -> Any:
    """The option of one class in a message, or nothing."""
    return next((each for each in message.options if isinstance(each, kind)), None)


class NatTests(SynchronousTestCase):
    """A NAT that the anchor finds, and what follows from it."""

    def test_found(self) -> None:
        """RFC 5555 section 4.2: the address that the gateway says is not where its update came from."""
        world = World()
        world.attach()
        request, reply = world.messages
        self.assertEqual(option(request, opt.IPv4CareOfAddress).address, ONE)
        self.assertTrue(request.flags & BU_F)
        found = option(reply, opt.NatDetection)
        self.assertEqual((reply.status, found.force, found.refresh_time), (0, 1, 110))
        entry = world.entry()
        self.assertEqual((entry.care_of, entry.extras.port, entry.udp), (OUTSIDE, 5436, True))
        theirs, ours = world.installed[ONE][-1], world.installed[ANCHOR][-1]
        self.assertEqual((theirs.local, theirs.peer, theirs.udp, theirs.keepalive), (ONE, ANCHOR, True, 110))
        self.assertEqual((ours.peer, ours.udp, ours.gateway, ours.nat), (OUTSIDE, True, ONE, True))
        self.assertIn(("NAT before Gateway", "10.0.0.2"), world.lma.details(entry))
        (mine,) = world.mags[ONE].sessions()
        self.assertEqual(world.mags[ONE].details(mine), (("NAT before Anchor", "keep-alive every 110 s"),))

    def test_none(self) -> None:
        """Without a NAT the gateway is told that no keep-alives are needed."""
        world = World(nat=False)
        world.attach()
        found = option(world.messages[1], opt.NatDetection)
        self.assertEqual((found.force, found.refresh_time), (1, 0xFFFFFFFF))
        self.assertEqual(world.installed[ONE][-1].keepalive, 0)
        self.assertFalse(world.installed[ANCHOR][-1].nat)

    def test_two_behind_one(self) -> None:
        """Two gateways with one address: a handover between them is one, the old one's farewell no end."""
        world = World()
        world.attach(ONE)
        world.attach(TWO, handoff=4)
        entry = world.entry()
        self.assertEqual((entry.handoffs, entry.care_of, entry.extras.port), (1, OUTSIDE, 40001))
        self.assertEqual(world.installed[ANCHOR][-1].gateway, TWO)
        self.assertEqual(world.lma_counters.value("handoff-requests/accepted"), 1)
        world.feed(ONE, MobileDetached("acc0", MAC))
        self.assertFalse(world.entry().deleting)
        self.assertEqual(world.lma_counters.value("binding-updates-discard-reasons/session-not-found"), 1)
        world.feed(TWO, MobileDetached("acc0", MAC))
        self.assertTrue(world.entry().deleting)

    def test_new_port(self) -> None:
        """The NAT gives another port: the next keep-alive tells the anchor, which goes on with it."""
        world = World()
        world.attach()
        installed = len(world.installed[ANCHOR])
        world.ports[ONE] = 50007
        world.pass_time(111)
        entry = world.entry()
        self.assertEqual((entry.extras.port, entry.handoffs), (50007, 0))
        self.assertEqual(len(world.messages), 4)
        self.assertEqual(world.messages[-1].status, 0)
        # The tunnel is found by the gateway, whose packets say the new data port.
        self.assertEqual(len(world.installed[ANCHOR]), installed)
        world.feed(ONE, MobileDetached("acc0", MAC))
        self.assertTrue(world.entry().deleting)

    def test_keep_alive_as_told(self) -> None:
        """The anchor's refresh time counts; the gateway's own if the anchor says 0."""
        world = World(nat_keepalive=20)
        world.attach()
        world.pass_time(101)
        self.assertEqual(len(world.messages), 2 + 5 * 2)

    def test_not_forced(self) -> None:
        """RFC 5844 section 4.1.3.1: without F the tunnel is plain, whatever stands between; that is said."""
        world = World(mag={"force_udp_encapsulation": False})
        world.attach()
        found = option(world.messages[1], opt.NatDetection)
        self.assertEqual((found.force, found.refresh_time), (0, 110))
        self.assertFalse(world.installed[ANCHOR][-1].udp)
        self.assertEqual((world.installed[ONE][-1].udp, world.installed[ONE][-1].keepalive), (False, 0))

    def test_refused(self) -> None:
        """RFC 5844 section 4.1.3.1: F is refused with 129 unless the anchor is told to accept it."""
        world = World(forced_udp_encapsulation=False)
        world.attach()
        self.assertEqual(world.messages[1].status, 129)
        self.assertEqual(
            world.lma_counters.value("update-denied-admin-prohibited-reasons/policy-rejected"), 1
        )

    def test_nothing_is_left(self) -> None:
        """A gateway is forgotten with its last session."""
        world = World(min_delay_before_bce_delete=0)
        world.attach()
        world.feed(ONE, MobileDetached("acc0", MAC))
        self.assertEqual(world.lma.session_count, 0)
        self.assertEqual(len(world.lma._sessions.gateways._known), 0)


class FormTests(SynchronousTestCase):
    """What the tunnel looks like after each negotiation."""

    def form(self, lma: dict[str, Any], mag: dict[str, Any]) -> tuple[int, tuple[Any, ...], World]:
        """Status of the first answer and (gre, udp, tlv, both have keys), the same at both ends."""
        world = World(nat=False, mag={"encapsulation": "gre", **mag}, **lma)
        world.attach()
        status = world.messages[1].status
        world.pass_time(0.5)
        ours, theirs = world.installed[ANCHOR][-1], world.installed[ONE][-1]
        self.assertEqual((ours.gre, ours.udp, ours.tlv), (theirs.gre, theirs.udp, theirs.tlv))
        self.assertEqual((ours.send_key, ours.receive_key), (theirs.receive_key, theirs.send_key))
        return status, (ours.gre, ours.udp, ours.tlv, ours.send_key is not None), world

    def test_plain(self) -> None:
        """Nothing agreed: IP in IP."""
        mag = {"encapsulation": "ipip", "force_udp_encapsulation": False}
        self.assertEqual(self.form({}, mag)[:2], (0, (False, False, False, False)))

    def test_gre(self) -> None:
        """Keys without F: GRE over IPv4."""
        status, form, _ = self.form({}, {"force_udp_encapsulation": False})
        self.assertEqual((status, form), (0, (True, False, False, True)))

    def test_tlv(self) -> None:
        """RFC 5845 section 7.3: keys, F and T: GRE behind the TLV header, T in the answer."""
        status, form, world = self.form({}, {"tlv": True})
        self.assertEqual((status, form), (0, (True, True, True, True)))
        self.assertTrue(world.messages[0].flags & BU_T)
        self.assertTrue(world.messages[1].flags & BA_T)

    def test_no_tlv(self) -> None:
        """RFC 5845 section 7.1: without T there is no GRE in UDP; status 2, and UDP alone."""
        status, form, _ = self.form({}, {})
        self.assertEqual((status, form), (2, (False, True, False, False)))

    def test_tlv_not_supported(self) -> None:
        """RFC 5845 section 7.3: status 3, T clear; a gateway that needs UDP asks again without GRE."""
        status, form, world = self.form({"tlv": False}, {"tlv": True})
        self.assertEqual((status, form), (3, (False, True, False, False)))
        self.assertFalse(world.messages[1].flags & BA_T)
        first = world.installed[ANCHOR][0]
        self.assertEqual((first.gre, first.udp), (True, False))

    def test_gre_required(self) -> None:
        """F and a key without T, where GRE is required, contradict each other: 129."""
        world = World(nat=False, mag={"encapsulation": "gre"}, gre="required")
        world.attach()
        self.assertEqual(world.messages[1].status, 129)

    def test_gre_disabled(self) -> None:
        """Status 2 with T: the TLV header is agreed without GRE."""
        status, form, _ = self.form({"gre": "disabled"}, {"tlv": True})
        self.assertEqual((status, form), (2, (False, True, True, False)))


class AnyTests(SynchronousTestCase):
    """Whatever comes over UDP is survived and counted once."""

    def decided(self, world: World) -> int:
        """How many updates have come to an end."""
        rows = ("total-accepted", "total-denied", "total-discarded", "pending")
        return sum(world.lma_counters.value(f"binding-updates-received/{row}") for row in rows)

    @settings(max_examples=CASES, deadline=None)
    @given(
        flags=st.integers(0, 0xFFFF),
        port=st.sampled_from((1, 5436, 40001)),
        source=st.sampled_from((OUTSIDE, ONE)),
        own=st.one_of(st.none(), st.sampled_from((ONE, TWO, OUTSIDE))),
        at=st.integers(0, 200),
        octet=st.integers(0, 255),
    )
    def test_any(self, flags: int, port: int, source: bytes, own: bytes | None, at: int, octet: int) -> None:
        """Random flags, ports, care-of addresses and damage; both sessions and counters stay sound."""
        world = World()
        world.attach()
        request = world.messages[0]
        request.flags, request.sequence = flags, 500
        request.options = [each for each in request.options if not isinstance(each, opt.IPv4CareOfAddress)]
        if own is not None:
            request.options.append(opt.IPv4CareOfAddress(own))
        stamp = option(request, opt.Timestamp)
        stamp.value += 1 << 14
        data = bytearray(encode(request))
        if at < len(data):
            data[at] = octet
        before = self.decided(world)
        world.feed(ANCHOR, PacketReceived(bytes(data), source, ANCHOR, port))
        is_update = data[2] == 5
        self.assertEqual(self.decided(world) - before, int(is_update))
        for entry in world.lma.sessions():
            self.assertIsNotNone(entry.extras)
            world.lma.details(entry)
