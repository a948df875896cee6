"""Odd updates: too many prefixes, senders that cannot be answered, departures that mean something else."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import seal
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    HomeNetworkPrefix,
    IPv4HomeAddressReply,
    MobileNodeLinkLayerIdentifier,
)
from appliance.protocols.pmipv6.events import ClearSessions, SendIcmp
from appliance.protocols.pmipv6.settings import Peer, Profile
from test.protocols.pmipv6.lma_fakes import (
    LL1,
    LL2,
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    STRANGER,
    World,
    option,
    packed,
)

RECEIVED = "binding-updates-received/"


def crowded(count: int, source: bytes) -> bytes:
    """An update that packs ``count`` home network prefixes without any alignment, which is allowed."""
    head = bytes.fromhex("3b000500 00000001 82000010 08020161")
    mh = bytearray(head + b"".join(b"\x16\x12\0\x40" + packed(f"2001:db8:1:{n:x}::") for n in range(count)))
    mh += bytes(-len(mh) % 8)
    mh[1] = len(mh) // 8 - 1
    return seal(bytes(mh), source, LMA_ADDRESS)


class TestCrowded(SynchronousTestCase):
    def test_refusal_fits(self) -> None:
        """100 packed prefixes, 24 octets each when aligned: the refusal copies as many as fit a message."""
        for source, status in ((STRANGER, 154), (MAG1, 161)):
            world = World()
            world.packet(crowded(100, source), source)
            answer = world.answer()
            assert answer is not None
            self.assertEqual(answer.status, status)
            self.assertEqual(sum(isinstance(one, HomeNetworkPrefix) for one in answer.options), 32)
            self.assertEqual(world.value(RECEIVED + "total-denied"), 1)

    def test_refusal_fits_with_all_else(self) -> None:
        """The longest identifiers beside the prefixes still leave room."""
        world = World()
        prefixes = [(f"2001:db8:1:{n:x}::", 64) for n in range(57)]
        longest = [MobileNodeLinkLayerIdentifier(b"\2" * 253)]
        answer = world.send(
            source=STRANGER, mn=b"m" * 254, prefixes=prefixes, ll=None, extra=longest, ipv4=["0.0.0.0"]
        )
        assert answer is not None
        self.assertEqual(answer.status, 154)
        self.assertIsNotNone(option(answer, IPv4HomeAddressReply))

    def test_no_hoarding(self) -> None:
        """One update gets no more than 32 prefixes, also where the gateway may propose them."""
        for count, status in ((32, 0), (33, 129)):
            world = World(default_profile=Profile(name="d", any_prefix=True))
            answer = world.send(prefixes=[(f"2001:db8:1:{n:x}::", 64) for n in range(count)])
            assert answer is not None
            self.assertEqual(answer.status, status)

    def test_many_of_its_own(self) -> None:
        """A mobile whose profile names 100 prefixes gets as many as an acknowledgement can carry."""
        own = tuple((packed(f"2001:db8:2:{n:x}::"), 64) for n in range(100))
        world = World(default_profile=Profile(name="d", prefixes=own, ipv4=True))
        answer = world.send(ipv4=["0.0.0.0"])
        assert answer is not None
        self.assertEqual(answer.status, 0)
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.prefixes, own[:32])

    def test_own_prefix_round_a_pool(self) -> None:
        """Nothing is handed out of a pool that lies inside another mobile's own prefix."""
        owner = Profile(name="o", mn_id=b"owner@x", prefixes=((packed("2001:db8::"), 40),))
        for pool_owner, status in ((owner, 130), (None, 0)):
            world = World(profiles=(pool_owner,) if pool_owner else ())
            answer = world.send()
            assert answer is not None
            self.assertEqual(answer.status, status)


class TestSenders(SynchronousTestCase):
    def test_udp_port_zero(self) -> None:
        """RFC 768: a datagram from port 0 cannot be answered and is no message in IPv6."""
        world = World()
        update = world.build(port=5436)[0]
        wrong = seal(b"\x3a" + update[1:], MAG_IPV4, LMA_IPV4)
        self.assertEqual(world.packet(wrong, MAG_IPV4, 0), [])
        self.assertEqual(world.value("binding-updates-discard-reasons/other"), 1)
        other = seal(b"\x3a\1\x0d\0\0\0\0\0" + bytes(8), MAG_IPV4, LMA_IPV4)
        self.assertEqual(world.packet(other, MAG_IPV4, 0), [])
        self.assertEqual(world.value("other-mobility-messages/ignored"), 1)
        self.assertEqual(world.of_kind(SendIcmp), [])

    def test_our_own_address(self) -> None:
        """An update that names the anchor itself as the gateway is dropped, whatever the peer lines cover."""
        world = World(peers=(Peer(address=bytes(16), prefix_length=0),), alt_coa_allowed=True)
        data = seal(world.build()[0][:4] + b"\0\0" + world.build()[0][6:], LMA_ADDRESS, LMA_ADDRESS)
        self.assertEqual(world.packet(data, LMA_ADDRESS), [])
        self.assertIsNone(world.send(extra=[AlternateCareOfAddress(LMA_ADDRESS)]))
        self.assertEqual(world.value("binding-updates-discard-reasons/other"), 2)
        self.assertEqual(world.lma.session_count, 0)


class TestLeaving(SynchronousTestCase):
    def test_another_interface(self) -> None:
        """RFC 5213 section 5.4.1.2: lifetime 0 for an interface without session ends no other one's."""
        world = World()
        world.send(ll=LL1)
        self.assertIsNone(world.send(ll=LL2, hi=4, lifetime=0))
        self.assertEqual([entry.state for entry in world.lma.sessions()], ["active"])
        self.assertEqual(world.value("binding-updates-discard-reasons/session-not-found"), 1)
        # Without an identifier only the one session can be meant.
        self.assertIsNotNone(world.send(ll=None, hi=4, lifetime=0))
        self.assertEqual([entry.state for entry in world.lma.sessions()], ["deleting"])

    def test_one_family_twice(self) -> None:
        """RFC 5844 section 3.1.2.5: releasing one family again, the answer lost, leaves the other alone."""
        world = World()
        world.send(ipv4=["0.0.0.0"])
        for _ in range(2):
            answer = world.send(prefixes=[], ipv4=["0.0.0.0"], lifetime=0, hi=4)
            assert answer is not None
            self.assertEqual((answer.status, answer.lifetime), (0, 0))
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.state, entry.ipv4_address), ("active", None))
        world.send(lifetime=0, hi=4)
        self.assertEqual(entry.state, "deleting")

    def test_extended_while_expiring(self) -> None:
        """An update that waited extends a session that came due with the one waited for: it lives on."""
        world = World(max_delay_before_new_bce_assign=60_000)
        world.send(ll=LL1, lifetime=10)
        self.assertIsNone(world.send(source=MAG2, ll=LL2, hi=4, lifetime=900))
        world.send(ll=LL2, lifetime=10, source=MAG2)
        world.mono += 45
        world.lma.tick(world.now)
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.link_layer, entry.state), (LL2, "active"))
        self.assertGreater(entry.due, world.mono + 3000)
        self.assertEqual(world.value("total-disconnects/lifetime-expiry"), 1)
        world.lma.receive(ClearSessions(), world.now)
        self.assertEqual(world.value("total-disconnects/admin-drops"), 1)
