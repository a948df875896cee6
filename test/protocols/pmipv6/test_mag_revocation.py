"""A gateway that is revoked from, that revokes itself, and that refreshes its sessions in groups."""

from typing import Any

from attrs import evolve

from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import (
    BA_B,
    BA_P,
    BR_G,
    BR_P,
    BR_V,
    BU_B,
    BindingAcknowledgement,
    BindingError,
    BindingUpdate,
)
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    HomeNetworkPrefix,
    IPv4DefaultRouterAddress,
    IPv4HomeAddressReply,
    IPv4HomeAddressRequest,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
)
from appliance.protocols.pmipv6.events import (
    Advertise,
    ClearSessions,
    Install,
    MobileAttached,
    MobileDetached,
    PacketReceived,
    Reconfigure,
    Remove,
    Send,
    Withdraw,
)
from test.protocols.pmipv6.mag_fakes import (
    HNP,
    IPV4,
    LMA_ADDRESS,
    MAG_ADDRESS,
    MN,
    NAI,
    OTHER_HNP,
    ROUTER_V4,
    MagTestCase,
    one,
)
from test.protocols.pmipv6.revocation_fakes import (
    ACKNOWLEDGEMENT,
    acknowledgement,
    indication,
    named,
    revocations,
)

STRANGER = bytes(15) + b"\7"
SECOND = bytes.fromhex("02005e100002")
ENDED, CLEARED = "total-disconnects/other-reasons", "total-disconnects/admin-drops"


def nai(identifier: bytes = NAI) -> MobileNodeIdentifier:
    """A mobile node identifier."""
    return MobileNodeIdentifier(1, identifier)


def prefix(pairs: Any = HNP) -> HomeNetworkPrefix:
    """A home network prefix."""
    return HomeNetworkPrefix(pairs[0][1], pairs[0][0])


def group(number: int) -> MobileNodeGroupIdentifier:
    """A bulk binding update group."""
    return MobileNodeGroupIdentifier(1, number)


class RevocationCase(MagTestCase):
    """A gateway with the function."""

    def make(self, policy: Any = None, **values: Any) -> None:
        super().make(policy, **{"revocation": True, **values})

    def bri(self, trigger: int, *options: Any, flags: int = BR_P, sequence: int = 1) -> Any:
        """Have the LMA revoke; the answer. ``effects`` are the others."""
        data = indication(trigger, options, LMA_ADDRESS, MAG_ADDRESS, flags, sequence)
        self.effects = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        ((to, answer),) = revocations(self.effects, ACKNOWLEDGEMENT)
        self.assertEqual((to, answer.sequence, answer.flags), (LMA_ADDRESS, sequence, flags))
        self.effects += [effect for _, effect in self.until(self.mono)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, Send)]
        return answer


class ResponderTests(RevocationCase):
    def test_ends(self) -> None:
        """The session ends, the mobile node is told, nothing is de-registered; it may come again."""
        self.session()
        self.assertEqual(self.bri(1, nai(), prefix()).status, 0)
        self.assertEqual([type(effect) for effect in self.effects], [Remove, Withdraw])
        self.assertEqual((self.core.session_count, self.count(ENDED)), (0, 1))
        self.assertEqual(self.until(self.mono + 1000), [])
        self.session()
        self.assertEqual(self.core.session_count, 1)

    def test_attached(self) -> None:
        """RFC 5846 section 9.1: who is still here has not moved; a mobile that is leaving has."""
        for trigger in (2, 3, 4):
            self.make()
            self.session()
            answer = self.bri(trigger, nai(), prefix())
            self.assertEqual((answer.status, named(answer)[0], self.core.session_count), (132, [NAI], 1))
            self.feed(MobileDetached("acc0", MN))
            self.assertEqual(self.bri(trigger, nai(), prefix(), sequence=2).status, 0)
            self.assertEqual(self.core.session_count, 0)
        self.session()
        self.assertEqual(self.bri(7, nai()).status, 0)

    def test_refusals(self) -> None:
        """The status of everything that cannot be done; nothing ends by it."""
        self.session()
        g = BR_P | BR_G
        for number, (status, trigger, flags, options) in enumerate(
            [
                (133, 9, BR_P, [nai()]),
                (133, 250, BR_P, [nai()]),
                (134, 5, g, [nai()]),
                (134, 129, BR_P, [nai()]),
                (134, 128, g, [nai()]),
                (131, 129, g, []),
                (131, 129, g, [nai()]),
                (131, 129, g, [nai(b"@")]),
                (128, 129, g, [nai(b"@example.com")]),
                (128, 129, g, [nai(b"@example.org"), AlternateCareOfAddress(STRANGER)]),
                (128, 1, BR_P, []),
                (128, 1, BR_P, [nai(b"nobody@x")]),
                (128, 1, 0, [nai()]),
                (128, 1, BR_P, [nai(), prefix(OTHER_HNP)]),
                (128, 129, g, [group(2)]),
                (128, 129, g, [group(1), nai()]),
                (129, 5, BR_P | BR_V, [nai()]),
                (128, 5, BR_P | BR_V, [nai(), IPv4HomeAddressRequest(32, IPV4)]),
            ]
        ):
            self.assertEqual(
                self.bri(trigger, *options, flags=flags, sequence=number).status, status, options
            )
        self.assertEqual(self.core.session_count, 1)

    def test_some_prefixes(self) -> None:
        """What is gone already is named with status 1."""
        self.session()
        answer = self.bri(1, nai(), prefix(), prefix(OTHER_HNP))
        self.assertEqual((answer.status, named(answer)[:2]), (1, ([NAI], [OTHER_HNP[0]])))
        self.assertEqual(self.core.session_count, 0)

    def test_all(self) -> None:
        """All of this LMA: without an option; also when there are none."""
        self.session()
        self.assertEqual(self.bri(128, flags=BR_P | BR_G).status, 0)
        self.assertEqual((self.core.session_count, self.count(ENDED)), (0, 1))
        self.assertEqual(self.bri(128, flags=BR_P | BR_G, sequence=2).status, 0)

    def test_a_realm(self) -> None:
        """The mobile nodes of a realm."""
        self.session()
        self.assertEqual(self.bri(129, nai(b"@example.org"), flags=BR_P | BR_G).status, 0)
        self.assertEqual(self.core.session_count, 0)

    def test_ipv4(self) -> None:
        """The IPv4 home address alone goes, and is not asked for again."""
        self.make({"ipv4": True})
        reply = [IPv4HomeAddressReply(0, 24, IPV4), IPv4DefaultRouterAddress(ROUTER_V4)]
        self.answer(self.attach(), extra=reply)
        option = IPv4HomeAddressRequest(32, IPV4)
        self.assertEqual(self.bri(5, nai(), option, flags=BR_P | BR_V).status, 0)
        self.assertEqual([type(effect) for effect in self.effects], [Install, Advertise])
        self.assertEqual((self.entry().ipv4_address, self.entry().prefixes), (None, HNP))
        ((_, send),) = self.until(self.mono + 460)[:1]
        update = decode(send.data).message
        assert isinstance(update, BindingUpdate)
        self.assertFalse([o for o in update.options if isinstance(o, IPv4HomeAddressRequest)])

    def test_repeated(self) -> None:
        """A repeated indication gets the same answer."""
        self.session()
        self.assertEqual([self.bri(1, nai()).status for _ in range(2)], [0, 0])
        self.assertEqual(self.count("binding-revocation/ack-sent"), 2)

    def test_unreadable(self) -> None:
        """What cannot be read, and what strangers send, gets no answer and is counted."""
        self.session()
        good = indication(1, [nai()], LMA_ADDRESS, MAG_ADDRESS)
        for data, source in (
            (good[:9], LMA_ADDRESS),
            (good[:4] + b"\0\1" + good[6:], LMA_ADDRESS),
            (indication(1, [nai(), nai()], LMA_ADDRESS, MAG_ADDRESS), LMA_ADDRESS),
            (indication(1, [nai()], STRANGER, MAG_ADDRESS), STRANGER),
        ):
            self.assertEqual(self.feed(PacketReceived(data, source, MAG_ADDRESS)), [])
        self.assertEqual((self.count("binding-revocation/discarded"), self.core.session_count), (4, 1))

    def test_off(self) -> None:
        """RFC 5846 section 6.2: a node without the function answers Binding Error status 2."""
        self.make(revocation=False)
        self.session()
        data = indication(1, [nai()], LMA_ADDRESS, MAG_ADDRESS)
        (send,) = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        error = decode(send.data).message
        assert isinstance(error, BindingError)
        self.assertEqual((error.status, self.core.session_count), (2, 1))


class InitiatorTests(RevocationCase):
    """All sessions at once."""

    def make(self, policy: Any = None, **values: Any) -> None:
        super().make(
            policy, **{"revocation_global": True, "revocation_identity": "mag1@example.org", **values}
        )

    def clear(self) -> Any:
        """Clear all; the indication."""
        self.session()
        ((to, message),) = revocations(self.feed(ClearSessions()))
        self.assertEqual(to, LMA_ADDRESS)
        return message

    def reply(self, message: Any, status: int) -> list[Any]:
        """Answer it; what follows."""
        data = acknowledgement(message, LMA_ADDRESS, MAG_ADDRESS, status)
        effects = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        return effects + [effect for _, effect in self.until(self.mono)]

    def test_accepted(self) -> None:
        """RFC 5846 section 9.2: G, trigger 128 and our own identity; then nobody is de-registered."""
        message = self.clear()
        self.assertEqual((message.trigger, message.flags), (128, BR_P | BR_G))
        self.assertEqual(named(message)[0], [b"mag1@example.org"])
        self.assertFalse(self.core.departed)
        effects = self.reply(message, 0)
        self.assertEqual([type(effect) for effect in effects], [Remove, Withdraw])
        self.assertEqual((self.core.session_count, self.count(CLEARED)), (0, 1))
        self.assertTrue(self.core.departed)
        self.assertEqual(self.count("sent-revocation-trigger-reasons/per-peer-policy"), 1)

    def test_not_authorized(self) -> None:
        """130: each is de-registered, and this LMA is not asked again."""
        effects = self.reply(self.clear(), 130)
        self.assertEqual(self.request(effects).lifetime, 0)
        self.assertIn("one by one", self.log[-1])
        self.assertEqual(self.count("received-revocation-ack-status/global-revoc-not-authorized"), 1)
        self.session()
        self.assertEqual(revocations(self.feed(ClearSessions())), [])

    def test_silence(self) -> None:
        """Without an answer each is de-registered."""
        self.clear()
        effects = self.until(self.mono + 2.9)
        self.assertEqual(len(revocations([effect for _, effect in effects])), 1)
        effects = self.until(self.mono + 0.2)
        self.assertEqual(self.request([effect for _, effect in effects]).lifetime, 0)
        self.assertEqual(self.count("binding-revocation/not-acknowledged"), 1)

    def test_unknown_there(self) -> None:
        """A Binding Error: each is de-registered at once."""
        self.clear()
        error = seal(encode(BindingError(2, bytes(16))), LMA_ADDRESS, MAG_ADDRESS)
        effects = self.feed(PacketReceived(error, LMA_ADDRESS, MAG_ADDRESS))
        effects += [effect for _, effect in self.until(self.mono)]
        self.assertEqual(self.request(effects).lifetime, 0)

    def test_discarded_answers(self) -> None:
        """The gateway counts the same reasons as the anchor."""
        message = self.clear()
        good = acknowledgement(message, LMA_ADDRESS, MAG_ADDRESS)
        for row, data in (
            ("checksum-error", good[:4] + b"\0\1" + good[6:]),
            ("invalid-buffer-length", good[:9]),
            ("invalid-message-type", seal(good[:4] + b"\0\0\5" + good[7:], LMA_ADDRESS, MAG_ADDRESS)),
            (
                "decode-error",
                seal(good[:4] + b"\0\0" + good[6:12] + b"\x08\x20\0\0", LMA_ADDRESS, MAG_ADDRESS),
            ),
            ("badly-formed-request", acknowledgement(message, LMA_ADDRESS, MAG_ADDRESS, flags=BR_P)),
            ("matching-request-not-found", acknowledgement(message, LMA_ADDRESS, MAG_ADDRESS, sequence=1)),
        ):
            self.assertEqual(self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS)), [])
            self.assertEqual(self.count("binding-revocation-ack-discarded/" + row), 1, row)

    def test_without_the_line(self) -> None:
        """Only where it is configured; else each session is de-registered."""
        self.make(revocation_global=False)
        self.session()
        self.assertEqual(self.request(self.feed(ClearSessions())).lifetime, 0)


class BulkTests(RevocationCase):
    """Groups of sessions."""

    def make(self, policy: Any = None, **values: Any) -> None:
        super().make(policy, **{"request_bulk": True, **values})

    def join(self, event: MobileAttached, pairs: Any = HNP, theirs: int = 9) -> BindingUpdate:
        """Attach a mobile node whose LMA accepts the group; its update."""
        update = self.attach(event)
        message = BindingAcknowledgement(
            0,
            BA_P | BA_B,
            update.sequence,
            update.lifetime,
            [
                *(
                    o
                    for o in update.options
                    if not isinstance(o, (HomeNetworkPrefix, MobileNodeGroupIdentifier))
                ),
                prefix(pairs),
                group(theirs),
            ],
        )
        self.deliver(message)
        return update

    def deliver(self, message: BindingAcknowledgement) -> list[Any]:
        """Have the LMA send an acknowledgement; what follows."""
        data = seal(encode(message), LMA_ADDRESS, MAG_ADDRESS)
        effects = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        return effects + [effect for _, effect in self.until(self.mono)]

    def two(self) -> None:
        """Two sessions in one group, the second a little later."""
        self.join(MobileAttached("acc0", MN))
        self.until(self.mono + 20)
        self.join(MobileAttached("acc0", SECOND, b"mn2@example.org"), OTHER_HNP)

    def test_joins(self) -> None:
        """B and the group of the link in the request; both groups are shown."""
        update = self.join(MobileAttached("acc0", MN))
        self.assertTrue(update.flags & BU_B)
        self.assertEqual((one(update, MobileNodeGroupIdentifier).group, self.entry().anchor_group), (2, 9))
        pairs = (("Bulk Group of MAG", "2"), ("Bulk Group of LMA", "9"))
        self.assertEqual(self.core.details(self.entry()), pairs)

    def test_refreshed_together(self) -> None:
        """One update for both, B clear, naming nobody; the answer moves both lifetimes, and both are told."""
        self.two()
        ((when, send),) = self.until(self.mono + 430.6)
        update = decode(send.data).message
        assert isinstance(update, BindingUpdate)
        self.assertEqual((round(when), update.flags & BU_B, named(update)), (450, 0, ([], [], [2])))
        answer = BindingAcknowledgement(0, BA_P, update.sequence, 150, [group(2)])
        effects = self.deliver(answer)
        self.assertEqual([type(effect) for effect in effects], [Advertise, Advertise])
        self.assertEqual([round(entry.expires - self.mono) for entry in self.core.sessions()], [599, 599])
        self.assertEqual(self.count("binding-update-sent/renew-request-xmit"), 1)
        self.assertEqual(self.count("binding-acknowledgement-rcvd/renew-reply-rcvd"), 1)
        self.deliver(answer)
        self.assertEqual(self.count("binding-acknowledgement-errors/no-matching-request"), 1)
        self.assertEqual(len(self.until(self.mono + 450)), 1)

    def test_refused(self) -> None:
        """175: each refreshes itself, and asks for the group again."""
        self.two()
        ((_, send),) = self.until(self.mono + 430.6)
        update: Any = decode(send.data).message
        effects = self.deliver(BindingAcknowledgement(175, BA_P, update.sequence, 0, [group(2)]))
        effects += [effect for _, effect in self.until(self.mono + 0.1)]
        updates: Any = [decode(effect.data).message for effect in effects if isinstance(effect, Send)]
        self.assertEqual([bool(u.flags & BU_B) for u in updates], [True, True])
        self.assertEqual({named(u)[0][0] for u in updates}, {NAI, b"mn2@example.org"})

    def test_silence(self) -> None:
        """The update is repeated; at last each session refreshes itself, before its lifetime is over."""
        self.two()
        found = [
            decode(effect.data).message
            for _, effect in self.until(self.mono + 480)
            if isinstance(effect, Send)
        ]
        bulk = [u for u in found if isinstance(u, BindingUpdate) and not named(u)[0]]
        self.assertEqual(len(bulk), 5)
        self.assertEqual(self.count("binding-update-sent/renew-request-re-xmit"), 4 + len(found) - 5 - 2)

    def test_b_without_a_group(self) -> None:
        """RFC 6602 section 5.1.2: such an acknowledgement is malformed and ignored."""
        update = self.attach()
        options = [o for o in update.options if not isinstance(o, MobileNodeGroupIdentifier)]
        self.deliver(BindingAcknowledgement(0, BA_P | BA_B, update.sequence, update.lifetime, options))
        self.assertEqual(self.count("binding-acknowledgement-errors/decode-failure"), 1)
        self.assertFalse(self.entry().bound)

    def test_denied_by_the_anchor(self) -> None:
        """An answer without B: a session like any other."""
        update = self.attach()
        self.answer(update, replace={MobileNodeGroupIdentifier: prefix(OTHER_HNP)})
        self.assertEqual(self.entry().gateway_group, 0)
        ((_, send),) = self.until(self.mono + 451)[:1]
        self.assertTrue(named(decode(send.data).message)[0])

    def test_revoked_group(self) -> None:
        """The LMA revokes its group: both end."""
        self.two()
        answer = self.bri(129, group(9), flags=BR_P | BR_G)
        self.assertEqual((answer.status, named(answer)[2], self.core.session_count), (0, [9], 0))
        self.assertEqual(self.core._bulk._groups, {})

    def test_switched_off(self) -> None:
        """Without it each session refreshes itself, without B."""
        self.two()
        self.feed(Reconfigure(evolve(self.settings, request_bulk=False)))
        found: Any = [decode(e.data).message for _, e in self.until(self.mono + 0.1) if isinstance(e, Send)]
        self.assertEqual([(u.flags & BU_B, bool(named(u)[0])) for u in found], [(0, True), (0, True)])
