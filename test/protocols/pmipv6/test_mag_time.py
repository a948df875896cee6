"""The MAG core: time, detachment, bad input."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.messages import (
    BA_P,
    BindingAcknowledgement,
    BindingError,
    HandoverInitiate,
)
from appliance.protocols.pmipv6.events import (
    Advertise,
    ClearSessions,
    Install,
    MobileAttached,
    MobileDetached,
    PacketReceived,
    Remove,
    Send,
    Withdraw,
)
from test.fuzz import DECODER_CASES
from test.protocols.pmipv6.mag_fakes import (
    ANY,
    FUZZ,
    HNP,
    IPV4,
    LMA_ADDRESS,
    MAG_ADDRESS,
    MN,
    NAI,
    OTHER_HNP,
    MagTestCase,
    of,
    one,
    prefixes,
)


class TimeTests(MagTestCase):
    def test_back_off(self):
        """Time-outs double from 1 s; each sending is newer (RFC 5213 section 6.9.4)."""
        first = self.attach()
        found = self.until(100 + 31)
        self.assertEqual([when for when, _ in found], [1.0, 3.0, 7.0, 15.0])
        messages = [first] + [self.request([effect]) for _, effect in found]
        stamps = [one(message, opt.Timestamp).value for message in messages]
        self.assertEqual(stamps, sorted(set(stamps)))
        self.assertEqual(len({message.sequence for message in messages}), 5)
        self.assertEqual(self.count("binding-update-sent/init-request-re-xmit"), 4)
        self.assertEqual(self.entry().state, "waiting")
        self.assertEqual([when for when, _ in self.until(100 + 63)], [63.0])

    def test_back_off_limit(self):
        """The time-out stops growing at the maximum."""
        self.make(retransmission_maximum=2_000, max_retransmissions=5)
        self.attach()
        self.assertEqual([when for when, _ in self.until(110)], [1.0, 3.0, 5.0, 7.0, 9.0])

    def test_constant(self):
        """Policy normal keeps the time-out as it is."""
        self.make(retransmission_policy="normal")
        self.attach()
        self.assertEqual([when for when, _ in self.until(104.5)], [1.0, 2.0, 3.0, 4.0])

    def test_same_clock_reading(self):
        """Two requests within one reading of the clock still have rising timestamps."""
        first = self.attach()
        second = self.request(self.answer(first, 135, sequence=5, hnp=ANY))
        self.assertEqual(one(second, opt.Timestamp).value, one(first, opt.Timestamp).value + 1)

    def test_refresh(self):
        """At 75 percent of the granted lifetime a PBU with HI 5 and the prefixes goes out (6.9.1.3)."""
        self.answer(self.attach(), lifetime=100)
        self.assertEqual(self.until(399.9), [])
        ((when, effect),) = self.until(400)
        message = self.request([effect])
        self.assertEqual((when, one(message, opt.HandoffIndicator).value, prefixes(message)), (300.0, 5, HNP))
        self.assertEqual([type(e) for e in self.answer(message, lifetime=100)], [Advertise])
        self.assertEqual(self.count("binding-update-sent/renew-request-xmit"), 1)
        self.assertEqual(self.count("binding-acknowledgement-rcvd/renew-reply-rcvd"), 1)
        self.assertEqual([when for when, _ in self.until(700)], [600.0])

    def test_refresh_advice(self):
        """An earlier time in a Binding Refresh Advice option is followed (RFC 6275 section 11.7.3)."""
        self.answer(self.attach(), extra=[opt.BindingRefreshAdvice(25)])
        self.assertEqual([when for when, _ in self.until(200)], [100.0])

    def test_expiry(self):
        """A session whose refreshes are never answered ends with its lifetime; then it starts anew."""
        self.session()
        call_id = self.entry().call_id
        found = self.until(100 + 640)
        self.assertEqual(
            [when for when, effect in found if isinstance(effect, Send)],
            [450.0, 451.0, 453.0, 457.0, 465.0, 481.0, 513.0, 545.0, 577.0, 632.0, 633.0, 635.0, 639.0],
        )
        ends = [(when, effect) for when, effect in found if not isinstance(effect, Send)]
        self.assertEqual(ends, [(600.0, Remove(call_id)), (600.0, Withdraw("acc0", MN, HNP))])
        self.assertEqual(self.count("total-disconnects/lifetime-expiry"), 1)


class DetachTests(MagTestCase):
    def test_deregistration(self):
        """A detachment stops forwarding and de-registers with HI 4 and lifetime 0 (6.9.1.4)."""
        self.session()
        call_id = self.entry().call_id
        effects = self.feed(MobileDetached("acc0", MN))
        self.assertEqual(effects[:2], [Remove(call_id), Withdraw("acc0", MN, HNP)])
        message = self.request(effects)
        self.assertEqual((message.lifetime, one(message, opt.HandoffIndicator).value), (0, 4))
        self.assertEqual(prefixes(message), HNP)
        self.assertEqual(self.entry().state, "deregistering")
        self.assertEqual(self.answer(message, lifetime=0), [])
        self.assertEqual((self.core.session_count, self.count("total-disconnects/detach")), (0, 1))
        self.assertEqual(self.until(1000), [])

    def test_deregistration_unanswered(self):
        """Without an answer it is sent once more after a second, and then forgotten."""
        self.session()
        self.feed(MobileDetached("acc0", MN))
        found = self.until(110)
        self.assertEqual([(when, type(effect)) for when, effect in found], [(1.0, Send)])
        self.assertEqual(self.core.session_count, 0)
        self.assertEqual(self.count("binding-update-sent/dereg-request-re-xmit"), 1)

    def test_no_key_in_deregistration(self):
        """A de-registration has no GRE key; IPv4 is named when there is an address (RFC 5845, 5844)."""
        self.make({"ipv4": True}, encapsulation="gre")
        self.answer(self.attach(), extra=[opt.GreKey(1), opt.IPv4HomeAddressReply(0, 24, IPV4)])
        message = self.request(self.feed(MobileDetached("acc0", MN)))
        self.assertEqual(of(message, opt.GreKey), [])
        self.assertEqual(one(message, opt.IPv4HomeAddressRequest).address, IPV4)

    def test_detach_while_registering(self):
        """A mobile that leaves before the answer is de-registered: the LMA may have bound it."""
        message = self.attach()
        leaving = self.request(self.feed(MobileDetached("acc0", MN)))
        self.assertEqual(leaving.lifetime, 0)
        self.assertEqual(self.answer(message), [])
        self.assertEqual(self.entry().state, "deregistering")

    def test_detach_after_denial(self):
        """A mobile that was denied leaves without a word to the LMA."""
        self.answer(self.attach(), 130, hnp=ANY)
        self.assertEqual((self.feed(MobileDetached("acc0", MN)), self.core.session_count), ([], 0))

    def test_link_loss(self):
        """The loss of a link de-registers its mobiles and no others."""
        self.make()
        self.session()
        self.attach(MobileAttached("acc1", b"\2\2\2\2\2\2", b"b@example.org"))
        leaving = self.request(self.feed(MobileDetached("acc0")))
        self.assertEqual(one(leaving, opt.MobileNodeIdentifier).identifier, NAI)
        self.assertEqual(self.count("total-disconnects/link-loss"), 1)

    def test_back_before_gone(self):
        """A mobile that comes back during its de-registration is registered, and the late answer ignored."""
        self.session()
        leaving = self.request(self.feed(MobileDetached("acc0", MN)))
        message = self.attach()
        self.assertEqual((message.lifetime, prefixes(message)), (150, ANY))
        self.assertEqual(self.answer(leaving, lifetime=0), [])
        self.answer(message)
        self.assertEqual((self.entry().state, self.count("total-disconnects/detach")), ("active", 1))

    def test_other_link_of_ours(self):
        """A mobile that moves between our links keeps its session: HI 4, its prefixes, the new technology."""
        self.session()
        call_id = self.entry().call_id
        effects = self.feed(MobileAttached("acc1", MN))
        self.assertEqual(effects[:2], [Remove(call_id), Withdraw("acc0", MN, HNP)])
        message = self.request(effects)
        self.assertEqual((one(message, opt.AccessTechnologyType).value, prefixes(message)), (3, HNP))
        install, advertise = self.answer(message)
        self.assertEqual((install.call_id, install.interface, advertise.interface), (call_id, "acc1", "acc1"))
        self.assertEqual(self.entry().handoffs, 1)

    def test_clear(self):
        """An operator ends sessions by identifier, address or call id, and no others."""
        for event in (
            ClearSessions(NAI),
            ClearSessions(address=HNP[0][0]),
            ClearSessions(call_id=8),
            ClearSessions(),
        ):
            self.make()
            self.session()
            self.assertEqual(self.feed(ClearSessions(b"x@example.org")), [])
            self.assertEqual(self.request(self.feed(event)).lifetime, 0)
            self.assertEqual(self.count("total-disconnects/admin-drops"), 1)

    def test_operator_detach(self):
        """An operator detaches a mobile by its identifier alone."""
        self.session()
        self.assertEqual(self.request(self.feed(MobileDetached(mn_id=NAI))).lifetime, 0)


class BadInputTests(MagTestCase):
    def test_counted(self):
        """Short, damaged and foreign messages are counted under their own names."""
        message = BindingAcknowledgement(0, BA_P, 1, 1, [opt.MobileNodeIdentifier(1, NAI)])
        data = seal(encode(message), LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(data[:-1], LMA_ADDRESS, MAG_ADDRESS))
        self.feed(PacketReceived(b"", LMA_ADDRESS, MAG_ADDRESS))
        self.feed(PacketReceived(data[:4] + b"\0\0" + data[6:], LMA_ADDRESS, MAG_ADDRESS))
        bad = bytearray(encode(message))
        bad[13] = 200
        self.feed(PacketReceived(seal(bytes(bad), LMA_ADDRESS, MAG_ADDRESS), LMA_ADDRESS, MAG_ADDRESS))
        beat = seal(encode(HandoverInitiate(1, 0, 0, [])), LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(beat, LMA_ADDRESS, MAG_ADDRESS))
        errors = "binding-acknowledgement-errors/"
        found = [
            self.count(errors + k) for k in ("invalid-buffer-length", "checksum-error", "decode-failure")
        ]
        self.assertEqual(found + [self.count("other-mobility-messages/ignored")], [2, 1, 1, 1])

    def test_unknown_type(self):
        """A message type that is not known is answered with Binding Error 2, not too often (RFC 6275 9.2)."""
        data = seal(bytes((59, 0, 99, 0, 0, 0, 0, 0)), LMA_ADDRESS, MAG_ADDRESS)
        (effect,) = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        self.assertEqual(decode(effect.data).message, BindingError(codes.BE_UNKNOWN_MH_TYPE, bytes(16)))
        self.assertTrue(verify(effect.data, MAG_ADDRESS, LMA_ADDRESS))
        self.assertEqual(self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS)), [])

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=160), st.booleans(), st.sampled_from((0, 5436)))
    def test_any_octets(self, octets, sealed, port):
        """No octets make the core fail, whatever they claim to be."""
        self.setUp()
        self.attach()
        if sealed and len(octets) >= 8:
            octets = bytes((59, len(octets) // 8 - 1, 6)) + octets[3 : len(octets) // 8 * 8]
            octets = seal(octets[:4] + b"\0\0" + octets[6:], LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(octets, LMA_ADDRESS, MAG_ADDRESS, port))
        self.until(self.mono + 2)
        self.assertEqual(self.core.session_count, 1)

    @settings(deadline=None, max_examples=FUZZ)
    @given(st.lists(st.tuples(st.integers(6, 127), st.integers(0, 255)), max_size=6))
    def test_damaged_answers(self, changes):
        """A right answer with some octets changed and the checksum made right again does no harm."""
        self.make({"ipv4": True}, encapsulation="gre")
        request = self.attach()
        extra = [opt.GreKey(1), opt.IPv4HomeAddressReply(0, 24, IPV4), opt.BindingRefreshAdvice(9)]
        options = [o for o in request.options if type(o) not in (opt.GreKey, opt.IPv4HomeAddressRequest)]
        message = BindingAcknowledgement(0, BA_P, request.sequence, 150, options + extra)
        data = bytearray(encode(message))
        for place, octet in changes:
            data[place % len(data)] = octet
        data[4:6] = b"\0\0"
        data = seal(bytes(data), LMA_ADDRESS, MAG_ADDRESS)
        self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        self.until(self.mono + 2)
        self.assertEqual(self.core.session_count, 1)

    @settings(deadline=None, max_examples=FUZZ)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("attach", "operator", "detach", "clear", "answer", "time", "link")),
                st.integers(0, 255),
                st.integers(0, 4),
            ),
            max_size=25,
        )
    )
    def test_any_order_of_events(self, steps):
        """Whatever happens in whatever order, forwarding is there exactly while a session is active."""
        self.make({"ipv4": True, "prefixes": OTHER_HNP}, encapsulation="gre")
        installed, request = {}, None
        for what, number, small in steps:
            if what == "attach":
                effects = self.feed(MobileAttached(f"acc{number % 2}", MN))
            elif what == "operator":
                effects = self.feed(MobileAttached("acc0", MN, NAI, 1))
            elif what == "detach":
                effects = self.feed(MobileDetached("acc0", MN))
            elif what == "clear":
                effects = self.feed(ClearSessions())
            elif what == "link":
                effects = self.feed(MobileDetached("acc1"))
            elif what == "answer" and request is not None:
                status = number if small else 0
                effects = self.answer(request, status, lifetime=small * 10, extra=[opt.GreKey(number)])
            else:
                effects = [effect for _, effect in self.until(self.mono + number)]
            for effect in effects:
                if isinstance(effect, Install):
                    installed[effect.call_id] = effect
                elif isinstance(effect, Remove):
                    del installed[effect.call_id]
                elif isinstance(effect, Send):
                    request = self.request([effect])
            active = {e.call_id for e in self.core.sessions() if e.state == "active"}
            self.assertEqual(set(installed), active)
