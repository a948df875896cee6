"""What a gateway makes of heartbeats, update notifications and controlled timers."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import (
    HB_R,
    UPN_A,
    UPN_D,
    BindingUpdate,
    Heartbeat,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from appliance.protocols.pmipv6.events import (
    MobileAttached,
    PacketReceived,
    Reconfigure,
    Send,
    SendIcmp,
)
from appliance.protocols.pmipv6.settings import MobilePolicy
from test.protocols.pmipv6.lma_fakes import STRANGER
from test.protocols.pmipv6.mag_fakes import HNP, LMA_ADDRESS, MAG_ADDRESS, NAI, MagTestCase

NOTES = "update-notifications/"
PATH = "path-management-messages/"


class GatewayTests(MagTestCase):
    """What the gateway makes of what anchors send."""

    def notify(
        self,
        reason: int,
        flags: int = UPN_A,
        sequence: int = 5,
        options: Any = None,
        source: bytes = LMA_ADDRESS,
    ) -> Any:
        """Notify; gives the status of the acknowledgement (``None``: there was none), and the updates."""
        options = [opt.MobileNodeIdentifier(1, NAI)] if options is None else options
        data = seal(encode(UpdateNotification(sequence, reason, flags, options)), source, MAG_ADDRESS)
        sent = [
            each for each in self.feed(PacketReceived(data, source, MAG_ADDRESS)) if isinstance(each, Send)
        ]
        sent += [effect for _, effect in self.until(self.mono + 0.2) if isinstance(effect, Send)]
        messages = [decode(each.data).message for each in sent]
        status = [each.status for each in messages if isinstance(each, UpdateNotificationAcknowledgement)]
        return (status or [None])[0], [each for each in messages if isinstance(each, BindingUpdate)]

    def test_forced(self) -> None:
        """Reason 1 without A: an update and no acknowledgement."""
        self.session()
        status, updates = self.notify(1, 0)
        self.assertEqual((status, len(updates)), (None, 1))

    def test_results(self) -> None:
        """Statuses by reason; nobody there; a stranger; nobody named."""
        self.session()
        vendor = opt.VendorSpecific(9, 1, b"x")
        mine = opt.MobileNodeIdentifier(1, NAI)
        for sequence, (reason, options, status) in enumerate(
            (
                (1, [mine], 0), (2, [mine], 0), (2, [mine, opt.GreKey(1)], 128), (3, [mine], 129),
                (3, [mine, vendor], 0), (5, [mine], 130), (8, [mine], 131),
                (1, [opt.MobileNodeIdentifier(1, b"x@y")], 132),
                (1, [opt.MobileNodeGroupIdentifier(1, 1)], 0),
                (1, [opt.MobileNodeGroupIdentifier(1, 7)], 132), (1, [], None),
            )
        ):  # fmt: skip
            self.assertEqual(self.notify(reason, UPN_A, sequence, options)[0], status, (reason, options))
        self.assertEqual(self.notify(1, source=STRANGER)[0], None)
        self.assertEqual(self.count(NOTES + "discarded/unknown-peer"), 1)
        self.assertEqual(self.count(NOTES + "discarded/no-identifier"), 1)

    def test_duplicates(self) -> None:
        """The same number is answered again and not done again; without A but with D it is."""
        self.session()
        found = []
        for flags, sequence, later in (
            (UPN_A, 5, 1), (UPN_A | UPN_D, 5, 1), (0, 6, 1), (0, 6, 1), (UPN_D, 6, 1), (UPN_A, 5, 40)
        ):  # fmt: skip
            self.mono += later
            status, updates = self.notify(1, flags, sequence)
            found.append((status, len(updates)))
            for update in updates:
                self.answer(update)
        self.assertEqual(found, [(0, 1), (0, 0), (None, 1), (None, 0), (None, 1), (0, 1)])

    def test_all_at_a_healthy_rate(self) -> None:
        """Of 300 mobiles 50 are registered again at once, the others a moment later."""
        for number in range(300):
            name = b"m%d@example.org" % number
            self.core.receive(MobileAttached("acc0", (number + 1).to_bytes(6, "big"), name), self.now)
        for effect in self.take():
            request = decode(effect.data).message
            self.answer(request, hnp=((HNP[0][0][:7] + request.sequence.to_bytes(2, "big") + bytes(7), 64),))
        self.mono += 2
        group = [opt.MobileNodeGroupIdentifier(1, 1)]
        data = seal(encode(UpdateNotification(1, 1, 0, group)), LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        sent = [when for when, effect in self.until(self.mono + 0.9) if isinstance(effect, Send)]
        self.assertEqual(len(sent), 300)
        self.assertEqual(max(sent.count(when) for when in sent), 50)

    def test_heartbeat_of_strangers(self) -> None:
        """Answered: the configured anchor; not anybody else."""
        for source, answers in ((LMA_ADDRESS, 1), (STRANGER, 0)):
            data = seal(encode(Heartbeat(0, 1)), source, MAG_ADDRESS)
            self.assertEqual(len(self.feed(PacketReceived(data, source, MAG_ADDRESS))), answers)
        self.assertEqual(self.count(PATH + "heartbeat-messages-discarded/heartbeat-req-from-unknown-peer"), 1)

    def parameters(
        self, start: int, first: int, longest: int, beat: tuple[int, int, int] | None = None
    ) -> Any:
        """The option of RFC 8127."""
        three = lambda values: b"".join(value.to_bytes(2, "big") for value in values)  # noqa: E731
        items = [(1, three((start, first, longest)))] + ([(2, three(beat))] if beat else [])
        return opt.LmaControlledMagParameters(items)

    def test_controlled_timers(self) -> None:
        """Renewal and time-outs are the anchor's; without the option they are ours again."""
        self.answer(self.attach(), extra=[self.parameters(20, 3, 5)])
        sent = [
            (when, decode(e.data).message) for when, e in self.until(self.mono + 540) if isinstance(e, Send)
        ]
        self.assertEqual([when for when, _ in sent], [520, 523, 528, 533, 538])
        self.assertIn(
            ("LMA-Controlled Timers", "renewal 80 s before the end, time-outs 3 to 5 s"),
            self.core.details(self.entry()),
        )
        self.answer(sent[-1][1])
        ((when, _),) = [each for each in self.until(self.mono + 448.5) if isinstance(each[1], Send)]
        self.assertEqual(when, 538 + 450)

    def test_controlled_heartbeats(self) -> None:
        """Heartbeats at the anchor's interval, though ours are off."""
        self.answer(self.attach(), extra=[self.parameters(10, 1, 32, (40, 0, 1))])
        ((when, effect),) = [each for each in self.until(self.mono + 2) if isinstance(each[1], Send)]
        beat = decode(effect.data).message
        self.assertEqual((when, beat.sequence), (1, 1))
        data = seal(encode(Heartbeat(HB_R, 1, [opt.RestartCounter(1)])), LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        sent = [when for when, effect in self.until(self.mono + 70) if isinstance(effect, Send)]
        self.assertEqual(sent[:2], [41, 44])

    def test_zero_is_ignored(self) -> None:
        """RFC 8127 section 5.2: an answer with a zero is as if it had not come."""
        request = self.attach()
        for bad in (
            self.parameters(0, 1, 32),
            self.parameters(10, 1, 32, (0, 5, 3)),
            self.parameters(10, 1, 32, (60, 5, 0)),
        ):
            self.assertEqual(self.answer(request, extra=[bad]), [])
        self.assertEqual(self.count("binding-acknowledgement-errors/unusable-parameters"), 3)
        self.assertEqual(self.entry().state, "registering")
        self.answer(request, extra=[self.parameters(10, 1, 32, (60, 0, 3))])
        self.assertEqual(self.entry().state, "active")

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from([13, 19, 7]), st.booleans(), st.binary(min_size=2, max_size=40)),
            max_size=8,
        )
    )
    def test_never_raises(self, messages: Any) -> None:
        """Anything of these types from anchor or stranger: counted, never an exception."""
        self.make(heartbeat_interval=30)
        self.session()
        for kind, known, body in messages:
            source = LMA_ADDRESS if known else STRANGER
            mh = bytes((59, 0, kind, 0, 0, 0)) + body
            mh += bytes(-len(mh) % 8)
            mh = mh[:1] + bytes((len(mh) // 8 - 1,)) + mh[2:]
            self.feed(PacketReceived(seal(mh, source, MAG_ADDRESS), source, MAG_ADDRESS))
        self.assertEqual(self.count("other-mobility-messages/received"), len(messages))
        results = sum(
            self.count(NOTES + "result/" + row)
            for row in ("success", "failed-to-update", "missing-vendor-option", "cannot-meet-qos", "unknown")
        )
        self.assertEqual(self.count(NOTES + "rcvd"), results + self.count(NOTES + "retransmissions-rcvd"))


class UnusableTests(MagTestCase):
    """What cannot be used is counted under what it is."""

    def raw(self, kind: int, data: bytes = b"", proto: int = 59, **where: Any) -> Any:
        """A message of eight octets at least; gives the effects."""
        mh = bytes((proto, 0, kind, 0, 0, 0)) + (data or b"\0\0")
        source = where.get("source", LMA_ADDRESS)
        mh = mh if len(source) == 4 else seal(mh, source, MAG_ADDRESS)
        return self.feed(PacketReceived(mh, source, MAG_ADDRESS))

    def test_parameter_problem(self) -> None:
        """RFC 6275 section 9.2: Payload Proto that is not 59, Header Len too small for the type."""
        for kind in (6, 13, 19, 14):
            (effect,) = self.raw(kind, proto=58)
            self.assertEqual((type(effect), effect.data[:2], effect.data[7]), (SendIcmp, b"\4\0", 40))
        (effect,) = self.raw(6)
        self.assertEqual(effect.data[7], 41)
        self.assertEqual(self.count("other-mobility-messages/parameter-problem-sent"), 5)
        self.assertEqual(self.raw(6, source=bytes.fromhex("ff02") + bytes(13) + b"\1"), [])

    def test_of_other_types(self) -> None:
        """Damaged messages of other types are no acknowledgements."""
        damaged = bytes((59, 0, 14, 0, 1, 1, 0, 0))
        self.feed(PacketReceived(damaged, LMA_ADDRESS, MAG_ADDRESS))
        self.feed(PacketReceived(damaged[:4], LMA_ADDRESS, MAG_ADDRESS))
        self.raw(14, source=bytes((192, 0, 2, 1)))
        self.assertEqual(self.count("binding-acknowledgement-rcvd/errors"), 0)
        self.assertEqual(self.count("other-mobility-messages/ignored"), 3)
        self.raw(6, source=bytes((192, 0, 2, 1)))
        self.assertEqual(self.count("binding-acknowledgement-errors/no-matching-request"), 1)


class RepeatTests(MagTestCase):
    """Sessions that are gone through."""

    def test_policy_of_another_anchor(self) -> None:
        """A configured anchor of a single mobile may ask too."""
        self.make(policy={"lma": STRANGER})
        data = seal(encode(Heartbeat(0, 1)), STRANGER, MAG_ADDRESS)
        self.assertEqual(len(self.feed(PacketReceived(data, STRANGER, MAG_ADDRESS))), 1)
        changed = evolve(self.settings, policies=(MobilePolicy(link_layer=b"\2\0\0\0\0\1", mn_id=NAI),))
        self.feed(Reconfigure(changed))
        self.assertEqual(self.feed(PacketReceived(data, STRANGER, MAG_ADDRESS)), [])
