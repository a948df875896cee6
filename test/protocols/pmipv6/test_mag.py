"""The MAG core: what it asks an LMA for, and what it makes of an acceptance."""

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, to_timestamp
from appliance.protocols.mobility.messages import (
    BU_A,
    BU_H,
    BU_P,
)
from appliance.protocols.pmipv6.events import (
    Advertise,
    Install,
    MobileAttached,
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
    ROUTER_V4,
    WALL,
    MagTestCase,
    of,
    one,
    prefixes,
)


class RequestTests(MagTestCase):
    def test_initial(self):
        """The first PBU has the options and flags of RFC 5213 section 6.9.1.5 and no link-local address."""
        message = self.attach()
        self.assertEqual((message.flags, message.lifetime), (BU_A | BU_H | BU_P, 150))
        kinds = [type(option) for option in message.options]
        self.assertEqual(
            kinds,
            [
                opt.MobileNodeIdentifier,
                opt.HomeNetworkPrefix,
                opt.HandoffIndicator,
                opt.AccessTechnologyType,
                opt.MobileNodeLinkLayerIdentifier,
                opt.Timestamp,
            ],
        )
        self.assertEqual(one(message, opt.MobileNodeIdentifier), opt.MobileNodeIdentifier(1, NAI))
        self.assertEqual(prefixes(message), ANY)
        self.assertEqual(one(message, opt.HandoffIndicator).value, 4)
        self.assertEqual(one(message, opt.AccessTechnologyType).value, 4)
        self.assertEqual(one(message, opt.MobileNodeLinkLayerIdentifier).identifier, MN)
        self.assertEqual(one(message, opt.Timestamp).value, to_timestamp(WALL + 100))
        self.assertEqual(self.count("binding-update-sent/init-request-xmit"), 1)

    def test_all_wishes(self):
        """IPv4, a service, a GRE key and configured prefixes are asked for when the policy says so."""
        policy = {"ipv4": True, "service": b"internet", "prefixes": OTHER_HNP}
        self.make(policy, encapsulation="gre", timestamps=False)
        message = self.attach()
        self.assertEqual(prefixes(message), OTHER_HNP)
        self.assertEqual(one(message, opt.IPv4HomeAddressRequest), opt.IPv4HomeAddressRequest(0, bytes(4)))
        self.assertEqual(one(message, opt.ServiceSelection).identifier, b"internet")
        self.assertEqual(one(message, opt.GreKey).key, self.entry().call_id)
        self.assertEqual(of(message, opt.Timestamp), [])

    def test_ipv4_only(self):
        """A mobile with IPv4 alone asks for no prefix at all (RFC 5844 section 3.2.1)."""
        self.make({"ipv4": True, "ipv6": False})
        self.assertEqual(prefixes(self.attach()), ())

    def test_unknown_mobile(self):
        """A mobile that no policy line covers gets no PBU; it is counted, and logged once."""
        stranger = MobileAttached("acc0", bytes.fromhex("02005e999999"))
        self.assertEqual(self.feed(stranger), [])
        self.mono += 5
        self.assertEqual(self.feed(stranger), [])
        self.assertEqual((self.count("access-links/unknown-mobile"), len(self.log)), (2, 1))

    def test_operator(self):
        """An operator's attach works for a mobile that no policy line knows, with its handoff value."""
        message = self.attach(MobileAttached("acc1", b"", b"any@example.org", 1))
        self.assertEqual(one(message, opt.HandoffIndicator).value, 1)
        self.assertEqual(one(message, opt.AccessTechnologyType).value, 3)
        self.assertEqual(of(message, opt.MobileNodeLinkLayerIdentifier), [])

    def test_max_subscribers(self):
        """A mobile too many is refused with a clear line."""
        self.make(max_subscribers=0)
        self.assertEqual(self.feed(ATTACH), [])
        self.assertIn("max-subscribers 0", self.log[0])

    def test_policy_lma(self):
        """The LMA of the mobile's policy goes before the default one."""
        other = LMA_ADDRESS[:-1] + b"\x77"
        self.make({"lma": other})
        (effect,) = self.feed(ATTACH)
        self.assertEqual(effect.destination, other)

    def test_repeated_attachment(self):
        """A repeated trigger sends no second PBU; in a session it makes the mobile be advertised to again."""
        message = self.attach()
        self.assertEqual(self.feed(ATTACH), [])
        self.answer(message)
        self.assertEqual([type(effect) for effect in self.feed(ATTACH)], [Advertise])


class AcceptanceTests(MagTestCase):
    def test_session(self):
        """Status 0 installs forwarding and advertises prefix, lifetime and tunnel MTU."""
        install, advertise = self.session()
        call_id = self.entry().call_id
        self.assertEqual(
            install,
            Install(call_id, HNP, None, MAG_ADDRESS, LMA_ADDRESS, interface="acc0", link_layer=MN),
        )
        self.assertEqual(advertise, Advertise("acc0", MN, HNP, 600, 1460, None))
        self.assertEqual((self.entry().state, self.core.session_count), ("active", 1))
        self.assertEqual(self.count("binding-acknowledgement-rcvd/init-accepted"), 1)
        self.assertEqual([e.mn_id for e in self.core.find(address=HNP[0][0][:15] + b"\5")], [NAI])
        self.assertEqual(list(self.core.find(address=OTHER_HNP[0][0])), [])

    def test_statuses_below_128(self):
        """Statuses 2, 3 and 6 accept; after 2 no key option is sent again (RFC 5845 section 3.3.1)."""
        for status, key in ((0, 1), (2, 0), (3, 1), (6, 1)):
            self.make(encapsulation="gre")
            self.answer(self.attach(), status)
            self.assertEqual(self.entry().state, "active")
            (_, effect) = self.until(100 + 450)[0]
            self.assertEqual(len(of(decode(effect.data).message, opt.GreKey)), key)

    def test_gre(self):
        """With a key in the answer both keys are installed and 48 octets are left for the headers."""
        self.make(encapsulation="gre")
        install, advertise = self.answer(self.attach(), extra=[opt.GreKey(0x2001)])
        self.assertEqual(
            (install.gre, install.send_key, install.receive_key), (True, 0x2001, install.call_id)
        )
        self.assertEqual(advertise.mtu, 1452)

    def test_gre_without_key(self):
        """An answer without a key in its option means GRE without keys, 44 octets."""
        self.make(encapsulation="gre")
        install, advertise = self.answer(self.attach(), extra=[opt.GreKey(None)])
        self.assertEqual((install.gre, install.send_key, install.receive_key), (True, None, None))
        self.assertEqual(advertise.mtu, 1456)

    def test_ipv4(self):
        """An IPv4 address and router are taken from the answer (RFC 5844 section 3.2.3)."""
        self.make({"ipv4": True})
        extra = [opt.IPv4HomeAddressReply(0, 24, IPV4), opt.IPv4DefaultRouterAddress(ROUTER_V4)]
        install, advertise = self.answer(self.attach(), extra=extra)
        self.assertEqual((install.ipv4_address, install.ipv4_router), (IPV4, ROUTER_V4))
        self.assertEqual(advertise.ipv4_router, ROUTER_V4)
        (_, effect) = self.until(100 + 450)[0]
        request = one(decode(effect.data).message, opt.IPv4HomeAddressRequest)
        self.assertEqual(request, opt.IPv4HomeAddressRequest(24, IPV4))

    def test_other_prefix_at_refresh(self):
        """A prefix that a refresh replaces is withdrawn before the new one is advertised (RFC 5213 6.9.2)."""
        self.session()
        ((_, effect),) = self.until(550)
        withdraw, install, advertise = self.answer(self.request([effect]), hnp=OTHER_HNP)
        self.assertEqual(withdraw, Withdraw("acc0", MN, HNP))
        self.assertEqual((install.prefixes, advertise.prefixes), (OTHER_HNP, OTHER_HNP))

    def test_ipv4_refused_in_reply(self):
        """A failing IPv4 reply leaves an IPv6 session."""
        self.make({"ipv4": True})
        install, _ = self.answer(self.attach(), extra=[opt.IPv4HomeAddressReply(128, 0, bytes(4))])
        self.assertEqual((install.prefixes, install.ipv4_address), (HNP, None))

    def test_useless_success(self):
        """A success without prefix, or without lifetime, is a failure with a clear line."""
        for hnp, lifetime, text in ((ANY, None, "no prefix"), (HNP, 0, "no lifetime")):
            self.make()
            self.assertEqual(self.answer(self.attach(), hnp=hnp, lifetime=lifetime), [])
            self.assertEqual(self.entry().state, "waiting")
            self.assertIn(text, self.log[0])

    def test_earlier_sending_accepted(self):
        """An acceptance of an earlier sending of the same request counts, a denial of it does not."""
        first = self.attach()
        self.until(101.5)
        self.assertEqual(self.answer(first, 130), [])
        self.assertEqual(self.count("binding-acknowledgement-errors/no-matching-request"), 1)
        self.assertEqual(len(self.answer(first)), 2)
