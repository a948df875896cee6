"""Packets with a Home Address option, errors about them, the test of home addresses, foreign packets."""

import shutil
import struct
import subprocess
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scapy.layers import inet6
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.events import AddressTested, OptionsReceived, SendRouted, StopTest, TestAddress
from appliance.protocols.mipv6.incoming import carried
from appliance.protocols.mobility.codec import NTP_EPOCH, decode
from appliance.protocols.mobility.messages import BU_A, BU_H, BU_L, BindingError
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6, parse_ipv6, routed
from appliance.protocols.pmipv6.events import PacketReceived, Send, SendIcmp
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, BOB, CARE1, CARE2, HOME, HOME2, HOSTS, HostWorld, bid
from test.protocols.mipv6.test_hosts import BOB_PROFILE, DENY, DISCARD, INITIAL, PROFILE, HostCase
from test.protocols.mobility.vectors import PACKETS
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

OTHER = "other-mobility-messages"
UPDATE = PACKETS["BU (MIPv6, RFC 4285: MN-ID, MESG-ID, MN-HA, MN-AAA)"][0]
ANSWER = PACKETS["BA (type 2 routing header, MN-HA authenticated)"][0]


class VectorTests(HostCase):
    """Packets that are not ours."""

    def test_the_digest_of_facts(self) -> None:
        """Vector 15 is accepted, and answered by vector 16 to the octet."""
        self.world.mono += 3908988800 + 0x12345678 / 2**32 - NTP_EPOCH - self.world.now.wall
        self.world.octets(UPDATE[40:], UPDATE[8:24])
        (sent,) = self.world.of_kind(SendRouted)
        self.assertEqual(routed(sent.data, sent.source, sent.destination, sent.home)[40:], ANSWER[40:])
        self.assertEqual(self.world.lma.session_count, 1)

    def test_an_implementation_of_the_field(self) -> None:
        """Digest section 13, C: no MN-ID, no authentication; accepted for a home address in a profile."""
        mh = bytes.fromhex("3b030500910575ebc000545f0100031020010db8000f000060f17efffec03707")
        home, care_of = packed("2001:db8:ffff::100"), packed("2001:db8:f:0:60f1:7eff:fec0:3707")
        agent = packed("2001:db8:ffff::1")
        pool = type(HOSTS)(
            name="HOSTS",
            prefix=packed("2001:db8:ffff::"),
            prefix_length=64,
            delegated_length=128,
            static=True,
        )
        profile = Profile(name="c", mn_id=b"c@example.org", home_addresses=(home,))
        world = self.with_settings(
            prefix_pools=(pool,), profiles=(profile,), mipv6_authentication="optional", reg_lifetime=262140
        )
        options = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + home
        world.lma.receive(OptionsReceived(options + mh, care_of, agent), world.now)
        world.effects = world.lma.take()
        (sent,) = world.of_kind(SendRouted)
        self.assertEqual(sent.data, bytes.fromhex("3b01060096a7000075eb545f01020000"))
        self.assertEqual((sent.destination, sent.home), (care_of, home))


class ReaderTests(HostCase):
    """What we send, read by others."""

    def packet(self) -> bytes:
        """An acknowledgement with everything that may be in it."""
        self.with_settings(simul_bindings=3, refresh_advice_option=True)
        self.world.host(bids=[bid(1, CARE1), bid(2, CARE2)], time=self.world.now.wall)
        (sent,) = self.world.of_kind(SendRouted)
        return routed(sent.data, sent.source, sent.destination, sent.home)

    def test_scapy(self) -> None:
        """Addresses, routing header, status, options."""
        read = inet6.IPv6(self.packet())
        self.assertEqual(IPv6Address(read.dst).packed, CARE1)
        header = read[inet6.IPv6ExtHdrRouting]
        self.assertEqual((header.type, header.segleft, IPv6Address(header.addresses[0]).packed), (2, 1, HOME))
        answer = read[inet6.MIP6MH_BA]
        self.assertEqual((answer.status, answer.seq, answer.mhtime), (0, 1, 150))
        self.assertEqual(answer.options[-1].otype, 9)

    def test_tshark(self) -> None:
        """The whole packet without a complaint, the checksum over the home address right."""
        if shutil.which("tshark") is None:
            raise SkipTest("there is no tshark")
        path = Path(self.mktemp())
        data = self.packet()
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        path.write_bytes(head + struct.pack("<IIII", 0, 0, len(data), len(data)) + data)
        fields = ("mip6.ba.status", "mip6.mhtype", "mip6.bi.bid")
        command = ["tshark", "-r", str(path), "-T", "fields"]
        for name in fields:
            command += ["-e", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip().split("\t"), ["0", "6", "1,2"])
        told = subprocess.run(["tshark", "-r", str(path), "-V"], capture_output=True, text=True, check=True)
        self.assertNotIn("alformed", told.stdout)
        self.assertIn("Address[1]: 2001:db8:100::5", told.stdout)


class ErrorTests(HostCase):
    """What is answered otherwise than by an acknowledgement."""

    def carry(self, following: int, body: bytes, home: bytes = HOME, source: bytes = CARE1) -> list[Any]:
        """Anything behind a Home Address option; returns the effects."""
        options = bytes((following, 2, 1, 2, 0, 0, 0xC9, 16)) + home
        self.world.octets(options + body, source)
        return self.world.effects

    def test_without_a_binding(self) -> None:
        """Binding Error status 1 with the home address, straight to the source; none from the right place."""
        (sent,) = self.carry(58, bytes(8))
        message, _ = decode(sent.data)
        assert isinstance(sent, Send) and isinstance(message, BindingError)
        self.assertEqual((sent.destination, message.status, message.home_address), (CARE1, 1, HOME))
        self.assertEqual(self.world.moved(), {f"{OTHER}/binding-error-sent": 1})
        self.world.host()
        self.assertEqual(self.carry(58, bytes(8)), [])
        self.assertEqual(len(self.carry(58, bytes(8), source=CARE2)), 1)
        for hidden in (44, 50, 51):
            self.assertEqual(self.carry(hidden, bytes(8), source=CARE2), [])
        self.assertEqual(self.carry(58, bytes(8), home=packed("ff02::1")), [])

    def test_a_flood_gets_few_answers(self) -> None:
        """Errors have one budget."""
        for _ in range(100):
            self.carry(58, bytes(8))
        self.assertLess(self.world.value(f"{OTHER}/binding-error-sent"), 12)

    def test_unusable_messages(self) -> None:
        """Length, checksum, Payload Proto and unknown types as RFC 6275 section 9.2 wants it."""
        good = build_ipv6(MobilityPacket(CARE1, LMA_ADDRESS, self.world.update(), home_source=HOME))[40:]
        for change, row in (
            (good[:-8], "invalid-buffer-length"),
            (good[:30] + b"\1" + good[31:], "checksum-error"),
        ):
            self.world.octets(change, CARE1)
            self.assertEqual(self.world.moved(), {f"{DISCARD}/{row}": 1})
        mh = self.world.update()
        self.assertIsNone(self.world.carry(bytes((6,)) + mh[1:], HOME, CARE1))
        (told,) = self.world.of_kind(SendIcmp)
        # 40 octets of IPv6 header and 24 of options stand before the Payload Proto octet.
        self.assertEqual((told.data[:2], int.from_bytes(told.data[4:8], "big")), (b"\4\0", 64))
        self.assertEqual(told.data[8 + 6], 60)
        self.assertEqual(self.world.moved()[f"{DISCARD}/decode-failure"], 1)
        self.assertIsNone(self.world.carry(mh[:2] + bytes((99,)) + mh[3:], HOME, CARE1))
        message, _ = decode(self.world.of_kind(Send)[0].data)
        assert isinstance(message, BindingError)
        self.assertEqual((message.status, message.home_address), (2, HOME))

    def test_headers(self) -> None:
        """No option, two options, an option that runs over: the kernel's business, or nobody's."""
        self.assertIsNone(carried(bytes((41, 0, 4, 1, 4, 1, 1, 0))).home)
        once = bytes((60, 2, 1, 2, 0, 0, 0xC9, 16)) + HOME
        self.assertEqual(carried(once + bytes((135, 0, 1, 4, 0, 0, 0, 0)) + b"x"), (HOME, 135, 32))
        for wrong in (once + once[:1], once + once, b"", bytes((135, 0, 0xC9, 16, 0, 0, 0, 0))):
            self.assertRaises(DecodeError, carried, wrong)


class HomeLinkTests(HostCase):
    """Duplicate address detection on a real home link: the core's part."""

    def setUp(self) -> None:
        """A service with a home link."""
        self.with_settings(mipv6_home_link="home0", profiles=(PROFILE, BOB_PROFILE))

    def test_free(self) -> None:
        """A second passes, then the answer; the update waits meanwhile. A refresh is not tested again."""
        self.assertIsNone(self.world.host(flags=BU_A | BU_H | BU_L))
        (test,) = self.world.of_kind(TestAddress)
        self.assertEqual(test.addresses, (HOME, packed("fe80::5")))
        self.assertEqual((test.interface, self.world.value("binding-updates-received/pending")), ("home0", 1))
        self.world.pass_time(1.1)
        answer = self.world.reply()
        assert answer is not None
        self.assertEqual((answer.status, len(self.world.of_kind(StopTest))), (0, 1))
        self.assertEqual(self.world.value("binding-updates-received/pending"), 0)
        self.assertIsNotNone(self.world.host())

    def test_taken(self) -> None:
        """134, the test stops, and there is no binding."""
        self.world.host()
        (test,) = self.world.of_kind(TestAddress)
        self.world._before = self.world.counters.snapshot()
        self.world.lma.receive(AddressTested(test.token, "is in use"), self.world.now)
        self.world.effects = self.world.lma.take()
        answer = self.world.reply()
        assert answer is not None
        self.assertEqual((answer.status, self.world.moved()[f"{DENY}/dad-failed"]), (134, 1))
        self.assertEqual((len(self.world.of_kind(StopTest)), self.world.lma.session_count), (1, 0))
        self.assertTrue(self.world.balanced())

    def test_repeated_and_contested(self) -> None:
        """A retransmission takes the place of the first; another host gets 134 at once."""
        self.world.host(sequence=1)
        self.discarded("initial-auth-pending", sequence=2)
        self.denied(134, f"{DENY}/dad-failed", mn=BOB)
        self.world.pass_time(1.1)
        answer = self.world.reply()
        assert answer is not None
        self.assertEqual((answer.status, answer.sequence), (0, 2))
        self.assertEqual(self.world.value(f"{INITIAL}/accepted"), 1)

    def test_switched_off_meanwhile(self) -> None:
        """The change counts for what waits."""
        self.world.host()
        self.world.lma.hosts.reconfigure(HostWorld(mipv6=False).settings, self.world.now)
        self.world.pass_time(1.1)
        answer = self.world.reply()
        assert answer is not None
        self.assertEqual((answer.status, self.world.lma.session_count), (131, 0))


class StrangerTests(SynchronousTestCase):
    """Octets that nobody means well with."""

    @effort(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_mutated_updates(self, data: st.DataObject) -> None:
        """Nothing raises, the counters add up, and what is bound was authentic."""
        world = HostWorld(simul_bindings=3, mipv6_home_link=data.draw(st.sampled_from(("", "home0"))))
        for _ in range(6):
            mh = bytearray(
                world.update(
                    mn=data.draw(st.sampled_from((ALICE, BOB, None))),
                    lifetime=data.draw(st.sampled_from((0, 5, 150))),
                    flags=data.draw(st.integers(0, 0xFFFF)),
                    bids=[
                        bid(number, CARE2) for number in data.draw(st.lists(st.integers(0, 3), max_size=3))
                    ],
                )
            )
            for at in data.draw(st.lists(st.integers(0, len(mh) - 1), max_size=2)):
                mh[at] = data.draw(st.integers(0, 255))
            home = data.draw(st.sampled_from((HOME, HOME2, CARE1)))
            world.carry(bytes(mh), home, CARE1)
            world.lma.receive(PacketReceived(bytes(mh), CARE1, LMA_ADDRESS), world.now)
            world.pass_time(data.draw(st.sampled_from((0.0, 1.5, 30.0))))
            self.assertTrue(world.balanced())

    @effort(max_examples=150, deadline=None)
    @given(st.binary(max_size=120))
    def test_random_octets(self, data: bytes) -> None:
        """Behind any extension header."""
        world = HostWorld()
        options = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + HOME
        for octets in (data, options + data, options[:-4] + data):
            world.octets(octets, CARE1)
        self.assertEqual(world.lma.session_count, 0)
        self.assertTrue(parse_ipv6(UPDATE).valid)
