"""The MAG core: every status of a denial, and answers that fit no request."""

from appliance.counters import MAG
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import encode, seal, to_timestamp
from appliance.protocols.mobility.messages import (
    BA_P,
    BindingAcknowledgement,
)
from appliance.protocols.pmipv6.events import (
    ClearSessions,
    MobileAttached,
    MobileDetached,
    PacketReceived,
    Remove,
    Send,
    Withdraw,
)
from test.protocols.pmipv6.mag_fakes import (
    ANY,
    ATTACH,
    HNP,
    IPV4,
    LMA_ADDRESS,
    MAG_ADDRESS,
    MN,
    NAI,
    OTHER_HNP,
    WALL,
    MagTestCase,
    of,
    one,
    prefixes,
)


class DenialTests(MagTestCase):
    def denied(self, status, **values):
        """Attach, have it denied; give the effects."""
        return self.answer(self.attach(), status, hnp=ANY, lifetime=0, **values)

    def test_generic(self):
        """A denial means no service; it is counted by status and tried again, more and more seldom."""
        generic = [128, 129, 130, 131, 151, 153, 154, 160, 161, 162, 173, 175, 180, 255]
        for status in generic:
            self.make()
            self.assertEqual(self.denied(status), [])
            self.assertEqual(self.entry().state, "waiting")
            self.assertEqual(self.count("binding-acknowledgement-rcvd/denied"), 1)
            self.assertEqual(sum(self.count(r.key) for r in MAG.rows if r.heading == "Denied by LMA"), 1)
            self.assertIn(str(status), self.log[0])
            self.assertEqual(self.feed(ATTACH), [])
            ((when, effect),) = self.until(132.5)
            self.assertEqual(when, 32.0)
            self.answer(self.request([effect]), status, hnp=ANY)
            self.assertEqual([when for when, _ in self.until(197)][:1], [96.5])

    def test_asked_again_by_hand(self):
        """An operator who names a mobile node by its place has the anchor asked at once; a frame has not."""
        self.denied(129)
        self.assertEqual(self.feed(ATTACH), [])
        message = self.request(self.feed(MobileAttached("acc0", MN, by_hand=True)))
        self.answer(message)
        self.assertEqual(self.entry().state, "active")

    def test_refresh_denied(self):
        """A denied refresh ends the session: nothing is forwarded or advertised any more (item 11)."""
        self.session()
        call_id = self.entry().call_id
        ((_, effect),) = self.until(550)
        effects = self.answer(self.request([effect]), 129, hnp=HNP)
        self.assertEqual(effects, [Remove(call_id), Withdraw("acc0", MN, HNP)])
        self.assertEqual(self.count("total-disconnects/denied"), 1)

    def test_sequence_out_of_window(self):
        """135: the returned sequence number is taken over and the request sent again at once."""
        self.make(timestamps=False)
        message = self.request(self.answer(self.attach(), 135, sequence=40_000, hnp=ANY))
        self.assertEqual(message.sequence, 40_001)
        self.answer(message)
        self.assertEqual(self.entry().state, "active")

    def test_sequence_for_ever(self):
        """An LMA that always says 135 does not make us send without end."""
        message, rounds = self.attach(), 0
        while effects := self.answer(message, 135, sequence=9, hnp=ANY):
            message, rounds = self.request(effects), rounds + 1
        self.assertEqual((rounds, self.entry().state), (4, "waiting"))

    def test_block(self):
        """152: no PBU for this mobile until an operator attaches it or clears it (item 7)."""
        self.assertEqual(self.denied(152), [])
        self.assertEqual(self.until(5000), [])
        self.assertEqual(self.feed(ATTACH), [])
        self.feed(MobileDetached("acc0", MN))
        self.assertEqual((self.core.session_count, self.feed(ATTACH)), (0, []))
        self.request(self.feed(MobileAttached("acc0", MN, NAI)))
        self.make()
        self.denied(152)
        self.feed(ClearSessions(NAI))
        self.attach()

    def test_prefix_refused(self):
        """155, 158 and 159: the prefixes are not asked for again, any prefix is."""
        for status in (155, 158, 159):
            self.make({"prefixes": OTHER_HNP})
            first = self.attach()
            self.assertEqual(prefixes(first), OTHER_HNP)
            second = self.request(self.answer(first, status, hnp=OTHER_HNP))
            self.assertEqual(prefixes(second), ANY)
            self.assertEqual(self.answer(second, status, hnp=ANY), [])
            self.assertEqual(self.entry().state, "waiting")

    def test_prefix_refused_at_refresh(self):
        """155 to a refresh ends the session and asks for any prefix as a new registration."""
        self.session()
        ((_, effect),) = self.until(550)
        effects = self.answer(self.request([effect]), 155, hnp=HNP)
        self.assertEqual([type(e) for e in effects], [Remove, Withdraw, Send])
        message = self.request(effects)
        self.assertEqual((prefixes(message), one(message, opt.HandoffIndicator).value), (ANY, 4))

    def test_timestamps(self):
        """156 and 157: registered again with a fresh timestamp after a delay; 156 tells the difference."""
        for status in (156, 157):
            self.make()
            first = self.attach()
            clock = {opt.Timestamp: opt.Timestamp(to_timestamp(WALL + 95.25))}
            self.assertEqual(self.answer(first, status, hnp=ANY, replace=clock), [])
            ((when, effect),) = self.until(101)
            self.assertEqual(when, 1.0)
            second = self.request([effect])
            self.assertGreater(one(second, opt.Timestamp).value, one(first, opt.Timestamp).value)
            self.answer(second)
            self.assertEqual(self.entry().state, "active")
            self.assertEqual(any("+4.750 s" in line for line in self.log), status == 156)

    def test_timestamps_for_long(self):
        """However often 156 came, the next attempt is never further away than retransmission-maximum."""
        self.make()
        request = self.attach()
        waits = []
        for _ in range(9):
            self.answer(request, 156, hnp=ANY)
            begun, sent = self.mono, []
            while not sent:
                sent = [effect for _, effect in self.until(self.core.deadline)]
            waits.append(self.mono - begun)
            request = self.request(sent)
        self.assertLessEqual(max(waits), 32.0, waits)
        self.assertGreater(len(set(waits)), 3, waits)

    def test_timestamp_at_refresh(self):
        """156 to a refresh leaves the session as it is until its lifetime ends."""
        self.session()
        ((_, effect),) = self.until(550)
        self.assertEqual(self.answer(self.request([effect]), 156), [])
        self.assertEqual(self.entry().state, "active")
        self.assertIsInstance(self.until(551)[0][1], Send)

    def test_gre_required(self):
        """163: sent again with a key; if that was there already it is a denial."""
        message = self.request(self.denied(163))
        self.assertEqual(one(message, opt.GreKey).key, self.entry().call_id)
        self.assertEqual(self.answer(message, 163, hnp=ANY), [])
        self.assertEqual(self.entry().state, "waiting")

    def test_no_ipv4(self):
        """170: IPv4 is not asked for until an operator acts, IPv6 is."""
        self.make({"ipv4": True})
        message = self.request(self.denied(170))
        self.assertEqual((of(message, opt.IPv4HomeAddressRequest), prefixes(message)), ([], ANY))
        self.answer(message)
        self.assertEqual(self.entry().state, "active")

    def test_no_ipv6(self):
        """172: prefixes are not asked for until an operator acts, IPv4 is."""
        self.make({"ipv4": True})
        message = self.request(self.denied(172))
        self.assertEqual((prefixes(message), len(of(message, opt.IPv4HomeAddressRequest))), ((), 1))
        self.answer(message, hnp=(), extra=[opt.IPv4HomeAddressReply(0, 24, IPV4)])
        self.assertEqual((self.entry().state, self.entry().ipv4_address), ("active", IPV4))

    def test_no_family_left(self):
        """170 or 172 for the only family asked for blocks the mobile."""
        for status, policy in ((172, {}), (170, {"ipv4": True, "ipv6": False})):
            self.make(policy)
            self.assertEqual(self.denied(status), [])
            self.assertEqual(self.until(5000), [])

    def test_ipv4_address_refused(self):
        """171 to a refresh: the address is not asked for again, any address is, in the same session."""
        self.make({"ipv4": True})
        self.answer(self.attach(), extra=[opt.IPv4HomeAddressReply(0, 24, IPV4)])
        ((_, effect),) = self.until(550)
        message = self.request(self.answer(self.request([effect]), 171))
        self.assertEqual(one(message, opt.IPv4HomeAddressRequest), opt.IPv4HomeAddressRequest(0, bytes(4)))
        self.assertEqual(prefixes(message), HNP)

    def test_quality_of_service(self):
        """179: the session stays, only without quality of service (RFC 7222)."""
        self.answer(self.attach(), 179)
        self.assertEqual(self.entry().state, "active")

    def test_mismatched_options(self):
        """An answer with other HI, ATT or MN-LL-ID is ignored and nothing is sent until an operator acts."""
        for option in (
            opt.HandoffIndicator(1),
            opt.AccessTechnologyType(9),
            opt.MobileNodeLinkLayerIdentifier(b"\2\2\2\2\2\2"),
        ):
            self.make()
            self.assertEqual(self.answer(self.attach(), replace={type(option): option}), [])
            self.assertEqual(self.count("binding-acknowledgement-errors/mismatched-options"), 1)
            self.assertEqual((self.until(5000), self.feed(ATTACH)), ([], []))
            self.request(self.feed(MobileAttached("acc0", MN, NAI)))

    def test_unmatched(self):
        """An answer with another MN-ID, sequence number or source is ignored."""
        message = self.attach()
        other = {opt.MobileNodeIdentifier: opt.MobileNodeIdentifier(1, b"x@example.org")}
        self.assertEqual(self.answer(message, replace=other), [])
        self.assertEqual(self.answer(message, sequence=message.sequence + 5), [])
        other_lma = LMA_ADDRESS[:-1] + b"\x77"
        options = [*message.options[:1], opt.HomeNetworkPrefix(64, HNP[0][0])]
        answer = encode(BindingAcknowledgement(0, BA_P, message.sequence, 150, options))
        data = seal(answer, other_lma, MAG_ADDRESS)
        self.assertEqual(self.feed(PacketReceived(data, other_lma, MAG_ADDRESS)), [])
        self.assertEqual(self.count("binding-acknowledgement-errors/no-matching-request"), 3)
        self.assertEqual(self.entry().state, "registering")

    def test_no_home_prefix(self):
        """Prefixes that no mobile can have (RFC 4291) are none; of very many, what fits a PBU is taken."""
        link_local, group = b"\xfe\x80" + bytes(14), b"\xff\x02" + bytes(14)
        odd = ((link_local, 64), (group, 64), (HNP[0][0], 0), (HNP[0][0], 129))
        self.assertEqual(self.answer(self.attach(), hnp=odd), [])
        self.assertEqual((self.entry().prefixes, self.entry().state), ((), "waiting"))
        self.make()
        self.answer(self.attach(), hnp=(*odd, *HNP))
        self.assertEqual((self.entry().prefixes, self.entry().state), (HNP, "active"))
        self.make()
        many = tuple((HNP[0][0][:7] + bytes((number,)) + bytes(8), 64) for number in range(70))
        self.answer(self.attach(), hnp=many)
        self.assertEqual(self.entry().prefixes, many[:32])
        self.request([effect for _, effect in self.until(600) if type(effect).__name__ == "Send"][:1])

    def test_udp_port_zero(self):
        """RFC 768: a datagram from port 0 is no message in IPv6, whatever checksum it has."""
        source, destination = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
        data = seal(b"\x3b\1\x63" + bytes(13), source, destination)
        self.assertEqual(self.feed(PacketReceived(data, source, destination)), [])
        self.assertEqual(self.count("other-mobility-messages/ignored"), 1)
