"""Whole exchanges, octet by octet, as they were verified with other implementations."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import decode
from appliance.protocols.pmipv6.events import Install, PacketReceived, Send, SendIcmp
from appliance.protocols.pmipv6.settings import Profile
from appliance.protocols.timers import Now
from test.protocols.pmipv6.lma_fakes import (
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG_IPV4,
    WALL,
    World,
    packed,
)

PBU_INITIAL = bytes.fromhex(
    "3b0d0500652c0001820003840810016d6e31406578616d706c652e6f7267010400000000161200000000000000000000"
    "000000000000000017020001180200041908000002005e100001010200001a1000000000000000000000000000000000"
    "01001b0800006553f100800001020000"
)
PBA_INITIAL = bytes.fromhex(
    "3b0d0600087d0020000103840810016d6e31406578616d706c652e6f72670104000000001612004020010db800010001"
    "000000000000000017020001180200041908000002005e100001010200001a10fe8000000000000002005efffe005213"
    "01001b0800006553f100800001020000"
)
PBU_DUAL = bytes.fromhex(
    "3b0b050024560002820003840810016d6e32406578616d706c652e6f7267010400000000161200000000000000000000"
    "0000000000000000170200011802000801001b0800006553f10100002406000000000000210600000000100101020000"
)
PBA_DUAL = bytes.fromhex(
    "3b0c0600a1bc0020000203840810016d6e32406578616d706c652e6f72670104000000001612004020010db800010002"
    "0000000000000000170200011802000801001b0800006553f101000025060060cb00710a26060000cb00710127020001"
    "2106000000002001"
)
PBU_DEREGISTER = bytes.fromhex(
    "3b0a0500d4850003820000000810016d6e31406578616d706c652e6f72670104000000001612004020010db800010001"
    "000000000000000017020004180200041908000002005e1000011b0800006553f358000001020000"
)
PBA_156 = bytes.fromhex(
    "3b0d06008d8b9c20000100000810016d6e31406578616d706c652e6f7267010400000000161200000000000000000000"
    "000000000000000017020001180200041908000002005e100001010200001a1000000000000000000000000000000000"
    "01001b0800006553f105400001020000"
)
PBA_160 = bytes.fromhex(
    "3b050600717ea02000090000080101010300000016120000000000000000000000000000000000001702000118020004"
)
PBU_UDP = bytes.fromhex(
    "3b09050000000004830003840810016d6e31406578616d706c652e6f7267010400000000161200000000000000000000"
    "0000000000000000170200011802000401001b0800006553f102000001020000"
)
PBA_UDP = bytes.fromhex(
    "3b0a060000000020000403840810016d6e31406578616d706c652e6f72670104000000001612004020010db800010001"
    "0000000000000000170200011802000401001b0800006553f10200001f068000ffffffff01020000"
)
PARAMETER_PROBLEM = bytes.fromhex(
    "0400b92500000028600000000010874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
    "06010d008fe600000000000101020000"
)
OLD_PBU = bytes.fromhex(
    "3b070500c0f6f2788200000f0810016d6e30406578616d706c652e6f7267161200"
    "4020010db81000000000000000000000001702000418020000" + "00" * 8
)
OLD_PBA = bytes.fromhex(
    "3b07060041d70020f278000f0810016d6e30406578616d706c652e6f7267161200"
    "4020010db81000000000000000000000001702000418020000" + "00" * 8
)


def static(mn: bytes, prefix: str) -> Profile:
    """A mobile that always gets one prefix."""
    return Profile(name=mn.decode(), mn_id=mn, prefixes=((packed(prefix), 64),), ipv4=True)


MN1 = static(b"mn1@example.org", "2001:db8:1:1::")
MN2 = static(b"mn2@example.org", "2001:db8:1:2::")


class TestGolden(SynchronousTestCase):
    def exchange(self, world: World, data: bytes, wall: float, source: bytes = MAG1, port: int = 0) -> bytes:
        """The answer to a packet at a time."""
        destination = LMA_ADDRESS if len(source) == 16 else LMA_IPV4
        world.lma.receive(PacketReceived(data, source, destination, port), Now(wall - WALL + 1000, wall))
        world.effects = world.lma.take()
        sent = world.of_kind(Send)
        self.assertEqual(len(sent), 1)
        self.assertEqual((sent[0].source, sent[0].destination, sent[0].port), (destination, source, port))
        return bytes(sent[0].data)

    def test_attach_and_leave(self) -> None:
        """A first registration is answered octet by octet; its de-registration is accepted."""
        world = World(profiles=(MN1,))
        self.assertEqual(self.exchange(world, PBU_INITIAL, WALL + 0.6), PBA_INITIAL)
        left = self.exchange(world, PBU_DEREGISTER, WALL + 600.1)
        self.assertEqual((left[6], left[8:10], left[10:12]), (0, b"\0\3", b"\0\0"))
        self.assertEqual(world.value("binding-acknowledgements-sent/accepted-dereg"), 1)

    def test_dual_stack_with_gre_key(self) -> None:
        """Prefix, IPv4 address, default router, DHCP mode and uplink key (RFC 5844, RFC 5845)."""
        world = World(random_bits=lambda bits: 0x2001, profiles=(MN2,))
        self.assertEqual(self.exchange(world, PBU_DUAL, WALL + 1.1), PBA_DUAL)
        install = world.of_kind(Install)[0]
        self.assertEqual((install.gre, install.send_key, install.receive_key), (True, 0x1001, 0x2001))

    def test_clock_off(self) -> None:
        """Status 156 tells the gateway our own time (RFC 5213 section 5.3.6)."""
        world = World(profiles=(MN1,))
        self.assertEqual(self.exchange(world, PBU_INITIAL, WALL + 5.25), PBA_156)

    def test_no_identifier(self) -> None:
        """Status 160 carries an empty MN-ID."""
        world = World()
        data, _, _ = world.build(mn=None, ll=None, time=None, sequence=9)
        self.assertEqual(self.exchange(world, data, WALL), PBA_160)

    def test_over_udp(self) -> None:
        """Over IPv4 and UDP the checksum stays zero and granted UDP encapsulation is told (RFC 5844)."""
        world = World(profiles=(MN1,), forced_udp_encapsulation=True)
        self.assertEqual(self.exchange(world, PBU_UDP, WALL + 2.1, MAG_IPV4, 5436), PBA_UDP)
        install = world.of_kind(Install)[0]
        self.assertEqual((install.local, install.peer, install.udp), (LMA_IPV4, MAG_IPV4, True))

    def test_an_old_gateway(self) -> None:
        """A gateway of 2011: sequence numbers only, HI 4 at once, technology 0, its own choice of prefix."""
        profile = static(b"mn0@example.org", "2001:db8:1000::")
        world = World(profiles=(profile,))
        # The vector's addresses are not known: over UDP no checksum is looked at.
        answer = self.exchange(world, OLD_PBU, WALL, MAG_IPV4, 5436)
        # It packs its options without alignment, so octets differ; what they say does not.
        self.assertEqual(repr(decode(answer).message), repr(decode(OLD_PBA).message))
        again = self.exchange(world, OLD_PBU, WALL + 1, MAG_IPV4, 5436)
        self.assertEqual(again, answer)
        self.assertEqual(world.lma.session_count, 1)

    def test_payload_proto(self) -> None:
        """A wrong Payload Proto is answered by ICMPv6, octet by octet (RFC 6275 section 9.2)."""
        world = World()
        world.packet(PARAMETER_PROBLEM[8 + 40 :], MAG1)
        icmp = world.of_kind(SendIcmp)
        self.assertEqual([bytes(one.data) for one in icmp], [PARAMETER_PROBLEM])
        self.assertEqual((icmp[0].source, icmp[0].destination), (LMA_ADDRESS, MAG1))
