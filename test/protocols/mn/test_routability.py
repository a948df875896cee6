"""Return routability with a correspondent node that makes its own tokens (RFC 6275 sections 5.2 and 11.6)."""

import hashlib
import hmac
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.events import (
    CorrespondentSeen,
    EndOptimize,
    IcmpReceived,
    MessageReceived,
    Optimize,
    SendMessage,
)
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal
from test.protocols.mipv6.fakes import HOME
from test.protocols.mn.fakes import AGENT, AT_HOME, CORRESPONDENT, NET1, NET2, WLAN1, WLAN2, Node
from test.protocols.pmipv6.lma_fakes import packed

NODE_KEY = bytes(range(20))
NONCES = {number: bytes([number]) * 8 for number in range(1, 9)}


def token(address: bytes, index: int, last: int) -> bytes:
    """A keygen token (section 5.2.5), by hashlib alone."""
    return hmac.new(NODE_KEY, address + NONCES[index] + bytes([last]), "sha1").digest()[:8]


class Roaming(Node):
    """A registered node and a correspondent node that knows route optimization."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"route_optimization": True, **changes})
        self.links(WLAN1)
        self.answer()
        self.index = 1
        #: Its binding cache: home address to (care-of address, sequence number, lifetime).
        self.cache: dict[bytes, tuple[bytes, int, int]] = {}

    def sent(self, kind: int) -> list[SendMessage]:
        """The messages of one type to the correspondent among the last effects."""
        found = self.of(SendMessage)
        return [each for each in found if each.destination == CORRESPONDENT and each.data[2] == kind]

    def seen(self) -> list[Any]:
        """Traffic of the correspondent came through the tunnel."""
        return self.feed(CorrespondentSeen(CORRESPONDENT))

    def give(self, message: Any, to: bytes, home: bytes = b"", **how: Any) -> list[Any]:
        """A message of the correspondent."""
        source = how.pop("source", CORRESPONDENT)
        return self.feed(MessageReceived(seal(encode(message), source, home or to), source, to, home, **how))

    def home_test(self, sent: SendMessage, **how: Any) -> list[Any]:
        """Answer a Home Test Init."""
        cookie = how.pop("cookie", sent.data[8:16])
        made = msg.HomeTest(self.index, cookie, token(HOME, self.index, 0), [])
        return self.give(made, sent.source, **{"tunnelled": True, **how})

    def care_of_test(self, sent: SendMessage, **how: Any) -> list[Any]:
        """Answer a Care-of Test Init."""
        made = msg.CareOfTest(self.index, sent.data[8:16], token(sent.source, self.index, 1), [])
        return self.give(made, sent.source, **how)

    def check(self, sent: SendMessage) -> tuple[msg.BindingUpdate, bytes]:
        """Do as section 9.5.1 says; returns the update and Kbm."""
        update, faults = decode(sent.data)
        assert isinstance(update, msg.BindingUpdate) and not faults
        nonces, proof = update.options
        assert isinstance(nonces, opt.NonceIndices) and isinstance(proof, opt.BindingAuthorizationData)
        home = sent.home or sent.source
        tokens = token(home, nonces.home, 0)
        if update.lifetime:
            tokens += token(sent.source, nonces.care_of, 1)
        kbm = hashlib.sha1(tokens).digest()
        covered = sent.source + CORRESPONDENT + sent.data[:4] + b"\0\0" + sent.data[6:-12]
        assert hmac.new(kbm, covered, "sha1").digest()[:12] == proof.authenticator == sent.data[-12:]
        self.cache[home] = sent.source, update.sequence, update.lifetime
        return update, kbm

    def acknowledge(self, sent: SendMessage, status: int = 0, **what: Any) -> list[Any]:
        """Answer an update; keywords: sequence, lifetime, kbm (b"": without authenticator)."""
        update, kbm = self.check(sent)
        kbm = what.get("kbm", kbm)
        home = sent.home or sent.source
        options: list[Any] = [opt.BindingAuthorizationData(bytes(12))] if kbm else []
        lifetime = what.get("lifetime", update.lifetime)
        made = msg.BindingAcknowledgement(
            status, 0, what.get("sequence", update.sequence), lifetime, options
        )
        mh = encode(made)
        if kbm:
            covered = sent.source + CORRESPONDENT + mh[:-12]
            mh = mh[:-12] + hmac.new(kbm, covered, "sha1").digest()[:12]
        return self.feed(
            MessageReceived(
                seal(mh, CORRESPONDENT, home), CORRESPONDENT, sent.source, home if sent.home else b""
            )
        )

    def optimize(self) -> None:
        """The whole procedure."""
        self.seen()
        (home,), (care,) = self.sent(1), self.sent(2)
        self.home_test(home)
        self.care_of_test(care)
        self.acknowledge(self.sent(5)[0])


class ProcedureTest(SynchronousTestCase):
    """RFC 6275 sections 11.6 and 11.7.2."""

    def test_messages(self) -> None:
        """Section 11.6.1: in parallel, one through the tunnel, one from the care-of address."""
        node = Roaming()
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        self.assertEqual((home.source, home.tunnelled, home.home), (HOME, True, b""))
        self.assertEqual((care.source, care.tunnelled, care.home), (NET1, False, b""))
        self.assertNotEqual(home.data[8:16], care.data[8:16])

    def test_optimized(self) -> None:
        """The update is proved by both tokens; its answer makes the direct way."""
        node = Roaming()
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        node.care_of_test(care)
        self.assertEqual(node.effects, [])
        node.home_test(home)
        (sent,) = node.sent(5)
        self.assertEqual((sent.source, sent.home), (NET1, HOME))
        update, _ = node.check(sent)
        # Section 5.2.6: MAX_RR_BINDING_LIFETIME.
        self.assertEqual((update.lifetime, update.flags), (105, msg.BU_A))
        node.acknowledge(sent)
        self.assertEqual(node.effects, [Optimize(CORRESPONDENT, "wlan0", NET1)])
        (shown,) = node.node.report(node.now).correspondents
        self.assertEqual((shown.state, shown.home_nonce, shown.care_of_nonce), ("optimized", 1, 1))

    def test_without_acknowledgement(self) -> None:
        """The A flag may be left out: the binding counts from the update on."""
        node = Roaming(correspondent_acknowledgement=False)
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        node.home_test(home)
        node.care_of_test(care)
        self.assertEqual(node.check(node.sent(5)[0])[0].flags, 0)
        self.assertEqual(len(node.of(Optimize)), 1)

    def test_not_longer_than_the_home_registration(self) -> None:
        """Section 11.7.2."""
        node = Roaming(lifetime=100)
        node.optimize()
        self.assertLessEqual(node.cache[HOME][2], 25)

    def test_off(self) -> None:
        """Without the setting nothing is sent."""
        node = Roaming(route_optimization=False)
        self.assertEqual(node.seen(), [])

    def test_nobody_to_optimize_with(self) -> None:
        """Our home agent, we ourselves, groups, link-local addresses."""
        node = Roaming()
        others = [packed(text) for text in ("ff0e::1", "fe80::1", "::", "10.0.0.1")]
        for address in (AGENT, HOME, *others, b""):
            self.assertEqual(node.feed(CorrespondentSeen(address)), [])

    def test_spoofed_tests(self) -> None:
        """Section 11.6.2: another cookie, not through the tunnel, through the tunnel, from another node."""
        node = Roaming()
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        node.home_test(home, cookie=bytes(8))
        node.home_test(home, tunnelled=False)
        node.home_test(home, source=packed("2001:db8:d::2"))
        node.care_of_test(care, tunnelled=True)
        self.assertEqual(node.value("mobility-messages-ignored/home-test"), 3)
        self.assertEqual(node.value("mobility-messages-ignored/care-of-test"), 1)
        node.home_test(home)
        node.home_test(home)
        self.assertEqual(node.value("mobility-messages-ignored/home-test"), 4)

    def test_repetitions(self) -> None:
        """Section 11.8: new cookies, doubling; section 5.2.9: given up after MAX_RO_FAILURE, for a while."""
        node = Roaming(correspondent_retry=100)
        node.seen()
        cookies = [each.data[8:16] for each in node.sent(1)]
        node.pass_time(20)
        cookies += [each.data[8:16] for each in node.sent(1)]
        self.assertEqual((len(set(cookies)), len(cookies), len(node.sent(2))), (4, 4, 3))
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "tunnel")
        self.assertEqual(node.seen(), [])
        node.pass_time(101)
        node.seen()
        self.assertEqual(len(node.sent(1)), 1)

    def test_update_not_answered(self) -> None:
        """The update is repeated with new numbers; then the tunnel is used."""
        node = Roaming()
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        node.home_test(home)
        node.care_of_test(care)
        numbers = [node.check(each)[0].sequence for each in node.sent(5)]
        node.pass_time(20)
        numbers += [node.check(each)[0].sequence for each in node.sent(5)]
        self.assertEqual([number - numbers[0] for number in numbers], [0, 1, 2, 3])
        self.assertEqual(node.value("return-routability/not-supported"), 1)

    def test_many(self) -> None:
        """There are bounds; one that knows nothing makes room."""
        node = Roaming(max_correspondents=2)
        for number in range(1, 4):
            node.feed(CorrespondentSeen(packed(f"2001:db8:d::{number}")))
        self.assertEqual(len(node.node.report(node.now).correspondents), 2)
        self.assertEqual(node.value("return-routability/table-full"), 1)
        node.pass_time(20)
        node.feed(CorrespondentSeen(packed("2001:db8:d::3")))
        self.assertEqual(node.value("return-routability/table-full"), 1)


class LaterTest(SynchronousTestCase):
    """What happens to a binding that is there."""

    def setUp(self) -> None:
        """An optimized correspondent."""
        self.node = Roaming()
        self.node.optimize()

    def test_moved(self) -> None:
        """Section 11.7.2: after the home registration, with the home keygen token that there is."""
        self.node.links(WLAN2)
        self.assertEqual(self.node.of(EndOptimize), [EndOptimize(CORRESPONDENT)])
        self.assertEqual(self.node.sent(2), [])
        self.node.answer(sent=self.node.of(SendMessage)[0])
        (care,) = self.node.sent(2)
        self.assertEqual((care.source, self.node.sent(1)), (NET2, []))
        self.node.care_of_test(care)
        before = self.node.cache[HOME][1]
        self.node.acknowledge(self.node.sent(5)[0])
        self.assertEqual(self.node.of(Optimize), [Optimize(CORRESPONDENT, "wlan0", NET2)])
        self.assertEqual(self.node.cache[HOME][1], before + 1)

    def test_renewed(self) -> None:
        """In time, if there is traffic; the tokens are too old then (MAX_TOKEN_LIFETIME)."""
        self.node.pass_time(330)
        self.node.seen()
        self.node.pass_time(6.5)
        self.assertEqual((len(self.node.sent(1)), len(self.node.sent(2))), (1, 1))
        self.assertEqual(self.node.of(EndOptimize), [])
        self.node.home_test(self.node.sent(1)[0])
        (care,) = [each for each in self.node.of(SendMessage, self.node.history) if each.data[2] == 2][-1:]
        self.node.care_of_test(care)
        self.node.acknowledge(self.node.sent(5)[0])
        self.assertEqual(self.node.of(Optimize), [])

    def test_not_renewed(self) -> None:
        """Without traffic it ends by itself."""
        self.node.pass_time(421)
        self.assertEqual(self.node.of(EndOptimize), [EndOptimize(CORRESPONDENT)])
        self.assertEqual(self.node.sent(1), [])
        self.assertEqual(self.node.node.report(self.node.now).correspondents, ())

    def test_home(self) -> None:
        """Lifetime 0 from the home address, by the home keygen token alone (section 5.2.5)."""
        self.node.links(AT_HOME)
        self.node.answer(lifetime=0)
        (sent,) = self.node.sent(5)
        self.assertEqual((sent.source, sent.home), (HOME, b""))
        update, _ = self.node.check(sent)
        nonces = update.options[0]
        assert isinstance(nonces, opt.NonceIndices)
        self.assertEqual((update.lifetime, nonces.care_of), (0, 0))
        self.node.acknowledge(sent)
        self.assertEqual(self.node.node.report(self.node.now).correspondents, ())

    def test_home_with_an_old_token(self) -> None:
        """A Home Test Init, which is not tunnelled any more, comes first."""
        self.node.pass_time(250)
        self.node.links(AT_HOME)
        self.node.answer(lifetime=0, sent=self.node.of(SendMessage)[0])
        (home,) = self.node.sent(1)
        self.assertEqual((home.source, home.tunnelled, home.interface), (HOME, False, "eth0"))
        self.node.home_test(home, tunnelled=False)
        self.assertEqual(self.node.check(self.node.sent(5)[0])[0].lifetime, 0)

    def test_binding_error(self) -> None:
        """Section 11.3.6, status 1: through the tunnel, until there is traffic."""
        self.node.give(msg.BindingError(codes.BE_UNKNOWN_BINDING, HOME, []), NET1)
        self.assertEqual(self.node.effects, [EndOptimize(CORRESPONDENT)])
        self.node.seen()
        self.assertEqual(len(self.node.sent(1)), 1)

    def test_refresh_request(self) -> None:
        """Section 11.7.4: the procedure begins anew; strangers cannot have that."""
        self.node.give(msg.BindingRefreshRequest([]), NET1, HOME, source=packed("2001:db8:d::2"))
        self.assertEqual(self.node.effects, [])
        self.node.give(msg.BindingRefreshRequest([]), NET1, HOME)
        (sent,) = self.node.sent(5)
        # Both tokens are still good.
        self.node.acknowledge(sent)
        self.assertEqual(self.node.of(EndOptimize), [])

    def test_the_home_registration_ends(self) -> None:
        """Without it there is no other."""
        self.node.pass_time(599)
        self.node = Roaming()
        self.node.optimize()
        self.node.links()
        self.assertIn(EndOptimize(CORRESPONDENT), self.node.effects)
        self.assertEqual([each for each in self.node.pass_time(60) if isinstance(each, SendMessage)], [])


class RefusalTest(SynchronousTestCase):
    """Correspondents that refuse, or do not know it."""

    def waiting(self) -> tuple[Roaming, SendMessage]:
        """A node whose update is out."""
        node = Roaming()
        node.seen()
        (home,), (care,) = node.sent(1), node.sent(2)
        node.home_test(home)
        node.care_of_test(care)
        return node, node.sent(5)[0]

    def test_nonces(self) -> None:
        """136, 137, 138, which have no authenticator (section 9.5.4): what is too old is asked for again."""
        for status, counts in ((136, (1, 0)), (137, (0, 1)), (138, (1, 1))):
            node, sent = self.waiting()
            node.acknowledge(sent, status, kbm=b"")
            self.assertEqual((len(node.sent(1)), len(node.sent(2))), counts, status)

    def test_nonces_not_for_ever(self) -> None:
        """After MAX_RO_FAILURE of them the tunnel is used."""
        node, sent = self.waiting()
        for _ in range(4):
            node.acknowledge(sent, codes.EXPIRED_CARE_OF_NONCE_INDEX, kbm=b"")
            if not node.sent(2):
                node.pass_time(1.1)
            for care in node.sent(2):
                node.care_of_test(care)
            if not node.sent(5):
                node.pass_time(1.1)
            sent = (node.sent(5) or [sent])[-1]
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "tunnel")

    def test_sequence(self) -> None:
        """135: behind the number that it has; with the authenticator only."""
        node, sent = self.waiting()
        node.acknowledge(sent, 135, sequence=40_000, kbm=bytes(20))
        self.assertEqual(node.sent(5), [])
        node.acknowledge(sent, 135, sequence=40_000)
        self.assertEqual(node.check(node.sent(5)[0])[0].sequence, 40_001)

    def test_denied(self) -> None:
        """Any other denial: left alone."""
        node, sent = self.waiting()
        node.acknowledge(sent, codes.ADMINISTRATIVELY_PROHIBITED)
        self.assertEqual(node.value("return-routability/denied"), 1)
        self.assertEqual(node.seen(), [])

    def test_not_authentic(self) -> None:
        """An acceptance without the authenticator, or with a wrong one, is ignored."""
        for kbm in (b"", bytes(20)):
            node, sent = self.waiting()
            node.acknowledge(sent, kbm=kbm)
            self.assertEqual(node.of(Optimize), [])

    def test_unknown_header(self) -> None:
        """Section 11.3.5: an ICMPv6 Parameter Problem code 1 that quotes our message."""
        node = Roaming()
        node.seen()
        (care,) = node.sent(2)
        head = b"\x60\0\0\0" + len(care.data).to_bytes(2, "big") + b"\x87\x40" + NET1 + CORRESPONDENT
        wrong = care.data[:8] + bytes(8)
        node.feed(IcmpReceived(b"\x04\x01\0\0\0\0\0\x06" + head + wrong, CORRESPONDENT, NET1))
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "testing")
        node.feed(IcmpReceived(b"\x04\x01\0\0\0\0\0\x06" + head + care.data, CORRESPONDENT, NET1))
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "tunnel")
        self.assertEqual(node.pass_time(20), [])

    def test_unknown_type(self) -> None:
        """Section 11.3.6, status 2 while we wait: no route optimization with it."""
        node = Roaming()
        node.seen()
        node.give(msg.BindingError(codes.BE_UNKNOWN_MH_TYPE, bytes(16), []), NET1)
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "tunnel")

    def test_unknown_type_of_one_that_knows(self) -> None:
        """Who has sent a token knows these messages: the error is a stranger's."""
        node = Roaming()
        node.seen()
        (care,) = node.sent(2)
        node.give(msg.CareOfTest(1, care.data[8:16], bytes(8), []), NET1)
        node.give(msg.BindingError(codes.BE_UNKNOWN_MH_TYPE, bytes(16), []), NET1)
        self.assertEqual(node.node.report(node.now).correspondents[0].state, "testing")
