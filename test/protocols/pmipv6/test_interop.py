"""Peers as they are: the deviations seen in the field, each without its word and with it."""

import random
from typing import Any

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import load
from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, from_timestamp, seal, to_timestamp
from appliance.protocols.mobility.messages import BA_P, BU_A, BU_P, BindingAcknowledgement, BindingUpdate
from appliance.protocols.pmipv6 import interop
from appliance.protocols.pmipv6.events import PacketReceived, Reconfigure, Send
from appliance.protocols.pmipv6.interop import swapped
from appliance.protocols.pmipv6.settings import (
    ANCHOR_WORDS,
    GATEWAY_WORDS,
    PLAIN_ANSWER,
    PREFIX_128,
    QUIET_DENIALS,
    SWAPPED_TIMESTAMP,
    TECHNOLOGY_0,
    WHOLE_PAYLOAD,
    Anchor,
    Peer,
    PrefixPool,
    Profile,
)
from test.fuzz import DECODER_CASES
from test.protocols.pmipv6 import mag_fakes
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, LMA_IPV4, MAG1, MAG2, World, option, packed

DROP, RECEIVED = "binding-updates-discard-reasons/", "binding-updates-received/"
#: Section 13 of the digest: what an old C++ gateway sent (A). The addresses are not known: sealed anew.
VECTOR_A = bytes.fromhex(
    "3b0705000000f2788200000f0810016d6e30406578616d706c652e6f7267"
    "1612004020010db81000000000000000000000001702000418020000000000000000"
)
ANSWER_A = bytes.fromhex(
    "3b07060000000020f278000f0810016d6e30406578616d706c652e6f7267"
    "1612004020010db81000000000000000000000001702000418020000000000000000"
)
HOME_A = (packed("2001:db8:1000::"), 64)
PROPOSES: dict[str, Any] = {
    "prefix_pools": (PrefixPool(name="A", prefix=packed("2001:db8:1000::"), prefix_length=48),),
    "default_profile": Profile(name="default", any_prefix=True),
}


def world(*words: str, **changes: Any) -> World:
    """An anchor with one gateway, of which these words hold, and one that nothing is said of."""
    peers = (
        Peer(address=MAG1, prefix_length=128, interop=words),
        Peer(address=packed("2001:db8:b::"), prefix_length=48),
        Peer(address=packed("192.0.2.1"), prefix_length=32, interop=words),
    )
    return World(**{"peers": peers, **changes})


def entry_of(lma: World) -> Any:
    """The only session."""
    (entry,) = lma.lma.sessions()
    return entry


class TestGatewayA(SynchronousTestCase):
    def test_captured(self) -> None:
        """No timestamp, HI 4 without a binding, a proposed prefix, six Pad1 at the end: accepted, echoed."""
        for words, technology in ((), 0), ((TECHNOLOGY_0,), 1):
            lma = world(*words, **PROPOSES)
            update = seal(VECTOR_A, MAG1, LMA_ADDRESS)
            lma.packet(update)
            answer = lma.answer()
            assert answer is not None
            self.assertEqual((answer.status, answer.sequence, answer.lifetime), (0, 0xF278, 15))
            self.assertEqual(option(answer, opt.HomeNetworkPrefix).prefix, HOME_A[0])
            self.assertEqual(option(answer, opt.AccessTechnologyType).value, 0, "as it came")
            self.assertEqual(entry_of(lma).technology, technology)
            first = lma.of_kind(Send)[0].data
            self.assertEqual(len(first), len(ANSWER_A))
            lma.packet(update)
            self.assertEqual(lma.of_kind(Send)[0].data, first, "the same sequence number: the stored answer")
            for number, lifetime, indicator in ((0xF279, 15, 5), (0xF27A, 0, 4)):
                again = bytearray(VECTOR_A)
                again[6:8], again[11], again[53] = number.to_bytes(2, "big"), lifetime, indicator
                lma.packet(seal(bytes(again), MAG1, LMA_ADDRESS))
                answer = lma.answer()
                assert answer is not None
                self.assertEqual((answer.status, answer.lifetime), (0, lifetime))
            self.assertEqual(entry_of(lma).state, "deleting")

    def test_denied_for_ever(self) -> None:
        """One denial in ten seconds for a mobile node; what is accepted is answered at once."""
        lma = world(QUIET_DENIALS, default_profile=Profile(name="default", services=(b"ims",)))
        wrong, right = ([opt.ServiceSelection(each)] for each in (b"web", b"ims"))
        answers = [lma.send(extra=wrong, later=1.0) for _ in range(25)]
        self.assertEqual([answer is not None for answer in answers].count(True), 3)
        self.assertEqual(lma.value(DROP + "other"), 22)
        self.assertEqual(lma.value(RECEIVED + "total-received"), 25)
        other = lma.send(extra=wrong, mn=b"mn2@x")
        good = lma.send(extra=right)
        assert other is not None and good is not None
        self.assertEqual((other.status, good.status), (151, 0))
        everybody = world(default_profile=Profile(name="default", services=(b"ims",)))
        self.assertEqual([everybody.send(extra=wrong) is None for _ in range(5)], [False] * 5)

    def test_denials_are_bounded(self) -> None:
        """Strangers' names do not fill the memory."""
        self.patch(interop, "DENIED", 10)
        lma = world(QUIET_DENIALS, unknown_subscriber="reject")
        for number in range(50):
            lma.send(mn=b"mn%d@x" % number)
        self.assertEqual(len(lma.lma._updates._answers._denials._last), 10)


class TestGatewayB(SynchronousTestCase):
    def test_prefix_of_128(self) -> None:
        """Length 128 is read as 64, and echoed; without the word it is a prefix that nobody has."""
        asked = [("2001:db8:1000:5::", 128)]
        plain = world(**PROPOSES).send(prefixes=asked)
        assert plain is not None
        self.assertEqual(plain.status, 155)
        lma = world(PREFIX_128, **PROPOSES)
        for what in ({}, {"hi": 5}, {"source": MAG2, "hi": 3, "prefixes": [("2001:db8:1000:5::", 64)]}):
            answer = lma.send(**{"prefixes": asked, **what})
            assert answer is not None
            self.assertEqual(answer.status, 0, what)
            self.assertEqual(entry_of(lma).prefixes, ((packed("2001:db8:1000:5::"), 64),))
            length = 64 if "source" in what else 128
            self.assertEqual(option(answer, opt.HomeNetworkPrefix).prefix_length, length)
        host = lma.send(mn=b"mn2@x", prefixes=[("2001:db8:1000:6::1", 128)])
        assert host is not None
        self.assertEqual(host.status, 155, "a host's address is no prefix of 64")

    def longer(self, sequence: int = 1, source: bytes = MAG1, port: int = 0, wall: float = 0.0) -> bytes:
        """An update whose Timestamp ends 4 octets behind what Header Len says; checksum over all of it."""
        options: list[Any] = [
            opt.MobileNodeIdentifier(1, b"mn1@example.org"), opt.HomeNetworkPrefix(0, bytes(16)),
            opt.HandoffIndicator(3), opt.AccessTechnologyType(4),
        ]  # fmt: skip
        mh = encode(BindingUpdate(sequence, BU_A | BU_P, 2, options)).rstrip(b"\0")
        # As long as one that ends in the middle of the option, which is 10 octets.
        mh += bytes((2 - len(mh)) % 8) + b"\x1b\x08" + to_timestamp(wall).to_bytes(8, "big")
        self.assertEqual(len(mh) % 8, 4)
        mh = mh[:1] + bytes([len(mh) // 8 - 1]) + mh[2:4] + b"\0\0" + mh[6:]
        if port:
            return mh
        pseudo = pseudo_header(source, LMA_ADDRESS, len(mh), 135)
        return mh[:4] + internet_checksum(pseudo + mh).to_bytes(2, "big") + mh[6:]

    def test_whole_payload(self) -> None:
        """The options go on to the end of the packet; others' checksums are wrong over that."""
        plain = world()
        plain.packet(self.longer(wall=plain.now.wall))
        self.assertIsNone(plain.answer())
        self.assertEqual(plain.value(DROP + "checksum-error"), 1)
        for source, port in ((MAG1, 0), (packed("192.0.2.1"), 5436)):
            lma = world(WHOLE_PAYLOAD)
            lma.packet(self.longer(source=source, port=port, wall=lma.now.wall), source, port)
            answer = lma.answer()
            assert answer is not None
            self.assertEqual((answer.status, answer.lifetime), (0, 2))
            stamp = to_timestamp(lma.now.wall)
            self.assertEqual(option(answer, opt.Timestamp).value, stamp)
            self.assertEqual(entry_of(lma).timestamp, stamp)

    def test_whole_payload_of_others(self) -> None:
        """Nothing changes for what is as long as it says, wrong all over, or has rubbish behind."""
        lma = world(WHOLE_PAYLOAD)
        answer = lma.send()
        assert answer is not None
        self.assertEqual(answer.status, 0)
        data = bytearray(self.longer(wall=lma.now.wall))
        data[-1] ^= 1
        lma.packet(bytes(data))
        self.assertEqual(lma.value(DROP + "checksum-error"), 1)
        lma.mono += 1
        lma.packet(lma.build(hi=5, sequence=9)[0] + b"rubbish")
        answer = lma.answer()
        assert answer is not None
        self.assertEqual(answer.status, 0, "its checksum is right over what Header Len says")

    def test_swapped_timestamp(self) -> None:
        """It is ordered by what it means, echoed as it came, and told our time in its own way."""
        plain = world()
        stamp = opt.Timestamp(swapped(to_timestamp(plain.now.wall)))
        refused = plain.send(time=None, extra=[stamp])
        assert refused is not None
        self.assertEqual(refused.status, 156)
        lma = world(SWAPPED_TIMESTAMP)
        for later, status in ((0.01, 0), (1.0, 0), (-0.5, 157), (1.0, 0), (60.0, 0)):
            lma.mono += later
            stamp = opt.Timestamp(swapped(to_timestamp(lma.now.wall)))
            answer = lma.send(time=None, extra=[stamp], hi=5, later=0.0)
            assert answer is not None
            self.assertEqual(answer.status, status)
            if status:
                told = swapped(option(answer, opt.Timestamp).value)
                self.assertAlmostEqual(from_timestamp(told), lma.now.wall, places=3)
            else:
                self.assertEqual(option(answer, opt.Timestamp).value, stamp.value)
        again = lma.send(time=None, extra=[stamp], hi=5, later=0.0, sequence=77)
        assert again is not None
        self.assertEqual((again.status, again.sequence), (0, 77), "the stored answer")

    def test_identifiers(self) -> None:
        """63 octets padded with NULs are the same mobile; EUI-64 is an identifier as any other."""
        lma = world()
        for sequence in (1, 2):
            answer = lma.send(mn=b"mn1@example.org".ljust(63, b"\0"), ll=bytes(range(8)), sequence=sequence)
            assert answer is not None
            self.assertEqual(answer.status, 0)
            self.assertEqual(len(option(answer, opt.MobileNodeIdentifier).identifier), 63)
            self.assertEqual(option(answer, opt.MobileNodeLinkLayerIdentifier).identifier, bytes(range(8)))
        self.assertEqual(entry_of(lma).mn_id, b"mn1@example.org")
        nobody = lma.send(mn=bytes(63))
        assert nobody is not None
        self.assertEqual(nobody.status, 160)


class TestAnyGateway(SynchronousTestCase):
    def test_liberal(self) -> None:
        """Unaligned options, Pad1 chains and empty PadN between them are read without any word."""
        options = [
            b"\x08\x10\x01mn1@example.org", b"\x16\x12\0\0" + bytes(16), b"\x17\x02\0\x01",
            b"\x18\x02\0\x04",
        ]  # fmt: skip
        for pads in (b"", b"\0" * 6, b"\x01\x00", b"\0\x01\x01\0\0", b"\x01\x05xxxxx"):
            lma = world()
            stamp = b"\x1b\x08" + to_timestamp(lma.now.wall).to_bytes(8, "big")
            mh = bytearray(b"\x3b\0\x05\0\0\0\0\x01\x82\0\0\x08") + pads.join([b"", *options, stamp, b""])
            mh += bytes(-len(mh) % 8)
            mh[1] = len(mh) // 8 - 1
            lma.packet(seal(bytes(mh), MAG1, LMA_ADDRESS))
            answer = lma.answer()
            assert answer is not None
            self.assertEqual(answer.status, 0, pads)

    def test_words_follow_the_settings(self) -> None:
        """Words come and go with the configuration; the most special peer line counts."""
        lma = world(**PROPOSES)
        asked = [("2001:db8:1000:5::", 128)]
        for words, status in (((), 155), ((PREFIX_128,), 0), ((), 159)):
            lma.settings.peers = (
                Peer(address=packed("2001:db8::"), prefix_length=32, interop=tuple(GATEWAY_WORDS)),
                Peer(address=MAG1, prefix_length=128, interop=words),
            )
            lma.lma.receive(Reconfigure(lma.settings), lma.now)
            answer = lma.send(prefixes=asked, hi=5)
            assert answer is not None
            self.assertEqual(answer.status, status)
        lma.settings.peers = (Peer(address=MAG1, prefix_length=128),)
        lma.lma.receive(Reconfigure(lma.settings), lma.now)
        self.assertIsNone(lma.lma._intake.odd_peers)

    @profile(max_examples=DECODER_CASES, deadline=None)
    @given(st.data())
    def test_any_octets(self, data: Any) -> None:
        """With all words on: mutated updates raise nothing, and everything is counted once."""
        lma = world(*GATEWAY_WORDS, **PROPOSES)
        chance = random.Random(data.draw(st.integers(0, 1 << 32)))
        for number in range(4):
            port = chance.choice((0, 5436))
            source = packed("192.0.2.1") if port else MAG1
            what = {"source": source, "port": port, "sequence": number, "hi": chance.choice((1, 4, 5))}
            octets = bytearray(lma.build(**what)[0])
            for _ in range(chance.randrange(4)):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            octets[2] = 5
            octets += chance.randbytes(chance.choice((0, 0, 4, 12)))
            pseudo = pseudo_header(source, LMA_IPV4 if port else LMA_ADDRESS, len(octets), 135)
            octets[4:6] = b"\0\0"
            octets[4:6] = internet_checksum(pseudo + octets).to_bytes(2, "big")
            lma.mono += 0.5
            lma.packet(bytes(octets), source, port)
            for effect in lma.of_kind(Send):
                self.assertEqual(decode(effect.data).faults, ())
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(sum(lma.value(RECEIVED + part) for part in parts), 4)
        self.assertEqual(lma.value(RECEIVED + "total-received"), 4)


class TestAnchors(mag_fakes.MagTestCase):
    """LMAs as they are, at our gateway."""

    def odd(self, *words: str) -> Any:
        """Make a gateway whose LMA these words hold of; give its PBU."""
        self.make(anchors=(Anchor(address=mag_fakes.LMA_ADDRESS, interop=words),))
        return self.attach()

    def reply(self, request: Any, *options: Any, flags: int = 0) -> None:
        """An acknowledgement with MN-ID and these options only."""
        found = [opt.MobileNodeIdentifier(1, mag_fakes.NAI), *options]
        message = BindingAcknowledgement(0, flags, request.sequence, request.lifetime, found)
        data = seal(encode(message), mag_fakes.LMA_ADDRESS, mag_fakes.MAG_ADDRESS)
        self.feed(PacketReceived(data, mag_fakes.LMA_ADDRESS, mag_fakes.MAG_ADDRESS))

    def test_plain_acknowledgement(self) -> None:
        """No P, HI and ATT (B): accepted by the word only."""
        home = opt.HomeNetworkPrefix(64, mag_fakes.HNP[0][0])
        for words, state in (((), "registering"), ((PLAIN_ANSWER,), "active")):
            self.reply(self.odd(*words), home)
            self.assertEqual(self.entry().state, state)

    def test_options_left_out(self) -> None:
        """No Timestamp, link-layer identifier and link-local address (A): no word is needed."""
        request = self.odd()
        indicator = mag_fakes.one(request, opt.HandoffIndicator)
        home = opt.HomeNetworkPrefix(64, mag_fakes.HNP[0][0])
        self.reply(request, home, indicator, opt.AccessTechnologyType(4), flags=BA_P)
        self.assertEqual(self.entry().state, "active")

    def test_zero_prefix(self) -> None:
        """A zero prefix in a success (A) is no service, and the log says so."""
        self.reply(self.odd(), opt.HomeNetworkPrefix(0, bytes(16)), flags=BA_P)
        self.assertEqual((self.entry().state, self.entry().prefixes), ("waiting", ()))
        self.assertTrue(any("assigned no prefix" in line for line in self.log), self.log)

    def test_prefix_of_128(self) -> None:
        """Length 128 is read as 64 by the word only."""
        for words, length in (((), 128), ((PREFIX_128,), 64)):
            self.reply(self.odd(*words), opt.HomeNetworkPrefix(128, mag_fakes.HNP[0][0]), flags=BA_P)
            self.assertEqual(self.entry().prefixes, ((mag_fakes.HNP[0][0], length),))


TEXT = """config
context c
lma-service l
mag-peer 2001:db8:a::1 no-heartbeat {lma}
mag-peer 2001:db8:b::/48 prohibited no-revocation
exit
mag-service m
lma-peer 2001:db8:ffff::1 no-revocation {mag}
lma-peer 192.0.2.9 no-heartbeat
exit
exit
end
"""


class TestLines(SynchronousTestCase):
    def test_words(self) -> None:
        """Every word is a word of its line."""
        found = load(TEXT.format(lma=" ".join(GATEWAY_WORDS), mag=" ".join(ANCHOR_WORDS)), "f")
        first, second = found.lma_services[0].peers
        self.assertEqual(first.interop, tuple(GATEWAY_WORDS))
        self.assertEqual((first.heartbeat, first.revocation, first.allowed), (False, True, True))
        self.assertEqual((second.heartbeat, second.revocation, second.allowed), (True, False, False))
        first, other = found.mag_services[0].anchors
        self.assertEqual(first.interop, tuple(ANCHOR_WORDS))
        self.assertEqual((first.heartbeat, first.revocation, other.heartbeat), (True, False, False))
        self.assertEqual(other.address, bytes((192, 0, 2, 9)))
