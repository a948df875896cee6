"""Every fault that a message can have: its Result-Code, what goes into Failed-AVP, and the answer."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.codec import Avp, Group, Malformed, Message, cut, frame, size_of
from appliance.protocols.diameter.dictionary import standard
from appliance.protocols.diameter.faults import Fault, check, check_relayed, refuse
from test.protocols.diameter.golden import MESSAGES

D = standard()
AAA, LMA, REALM = "aaa1.home.example", "lma1.home.example", "home.example"
R, P, E, T = 0x80, 0x40, 0x20, 0x10


def avp(name: str, value: object) -> bytes:
    return D[name].encode(value)


def raw(code: int, flags: int, data: bytes, vendor: int = 0, size: int | None = None) -> bytes:
    """An AVP with any header."""
    head = 12 if flags & 0x80 else 8
    size = head + len(data) if size is None else size
    front = code.to_bytes(4, "big") + (flags << 24 | size).to_bytes(4, "big")
    return front + (vendor.to_bytes(4, "big") if head == 12 else b"") + data + b"\0" * (-len(data) & 3)


ORIGIN = (avp("Origin-Host", LMA), avp("Origin-Realm", REALM))
CER = (
    *ORIGIN, avp("Host-IP-Address", bytes((10, 0, 0, 1))), avp("Vendor-Id", 0), avp("Product-Name", "test"),
)  # fmt: skip
ACR = (
    avp("Session-Id", "lma1.home.example;3973075200;1"), *ORIGIN, avp("Destination-Realm", REALM),
    avp("Accounting-Record-Type", 2), avp("Accounting-Record-Number", 0), avp("Acct-Application-Id", 3),
)  # fmt: skip


def message(code: int, *avps: bytes, flags: int = R, application: int = 0) -> Message:
    return Message(frame(code, application, flags, 1, 2, b"".join(avps)))


def acr(*avps: bytes, flags: int = R | P, application: int = 3) -> Message:
    return message(271, *avps, flags=flags, application=application)


class Case(SynchronousTestCase):
    def failed(self, fault: Fault) -> list[Avp]:
        """What is in the Failed-AVP."""
        outside = cut(fault.failed)
        self.assertEqual([each.code for each in outside], [279])
        return cut(outside[0].data)

    def found(self, faulty: Message, result: int, *failed: bytes, strict_bits: bool = False) -> Fault:
        fault = check(faulty, D, strict_bits)
        assert fault is not None, "nothing was found"
        self.assertEqual(fault.result, result, fault.text)
        self.assertTrue(fault.text)
        if failed:
            self.assertEqual(fault.failed.hex(), D["Failed-AVP"].encode(failed).hex(), fault.text)
        else:
            self.assertEqual(fault.failed, b"")
        return fault


class Headers(Case):
    def test_good(self) -> None:
        self.assertIsNone(check(message(257, *CER), D))
        self.assertIsNone(check(acr(*ACR), D))

    def test_3001(self) -> None:
        self.found(message(999, *ORIGIN), 3001)
        self.assertIn("999", self.found(message(999, *ORIGIN, flags=R | P, application=3), 3001).text)
        # A command of another application.
        self.found(message(325, *ORIGIN, flags=R | P, application=1), 3001)

    def test_3007(self) -> None:
        self.found(acr(*ACR, application=4711), 3007)
        self.found(acr(*ACR, application=0), 3007)
        self.found(message(265, *ACR, flags=R | P, application=0), 3007)

    def test_sessions_may_be_of_application_0(self) -> None:
        str_ = (*ACR[:4], avp("Auth-Application-Id", 2), avp("Termination-Cause", 1))
        for application in (0, 2):
            self.assertIsNone(check(message(275, *str_, flags=R | P, application=application), D))

    def test_3008(self) -> None:
        self.found(acr(*ACR, flags=R | P | E), 3008)
        for code, avps in ((257, CER), (280, ORIGIN), (282, (*ORIGIN, avp("Disconnect-Cause", 0)))):
            self.found(message(code, *avps, flags=R | P), 3008)
            self.found(message(code, *avps, flags=R | T), 3008)
            self.found(message(code, *avps, flags=R | E), 3008)

    def test_a_request_without_the_p_bit_is_only_not_relayed(self) -> None:
        self.assertIsNone(check(acr(*ACR, flags=R), D))
        self.found(acr(*ACR, flags=R), 3008, strict_bits=True)
        self.assertIsNone(check(acr(*ACR, flags=R | P | T), D, strict_bits=True))

    def test_5011(self) -> None:
        octets = bytearray(MESSAGES["dwr"].octets)
        octets[0] = 2
        for read in (Message, size_of):
            error = self.assertRaises(Malformed, read, bytes(octets))
            self.assertEqual(error.code, 5011)

    def test_5013(self) -> None:
        for bit in (1, 2, 4, 8):
            self.assertIsNone(check(acr(*ACR, flags=R | P | bit), D))
            self.found(acr(*ACR, flags=R | P | bit), 5013, strict_bits=True)

    def test_5015(self) -> None:
        for size in (0, 16, 19, 21, 22, 23, (1 << 20) + 4, 0xFFFFFF):
            error = self.assertRaises(Malformed, size_of, (1 << 24 | size).to_bytes(4, "big"))
            self.assertEqual(error.code, 5015)
        for size in (20, 24, 1 << 20):
            self.assertEqual(size_of((1 << 24 | size).to_bytes(4, "big")), size)


class Avps(Case):
    def test_3009(self) -> None:
        product = raw(269, 0x40, b"test")
        self.found(message(257, *CER[:-1], product), 3009, product)
        realm = raw(296, 0, REALM.encode())
        self.found(message(280, ORIGIN[0], realm), 3009, realm)
        with_v = raw(278, 0xC0, bytes(4))
        self.found(message(280, *ORIGIN, with_v), 3009, with_v)

    def test_5001(self) -> None:
        unknown = raw(9999, 0x40, b"\xde\xad\xbe\xef")
        self.found(acr(*ACR, unknown), 5001, unknown)
        of_vendor = raw(9999, 0xC0, b"\1\2\3", vendor=10415)
        self.found(acr(*ACR, of_vendor), 5001, of_vendor)
        # The same code of a vendor is another AVP.
        host = raw(264, 0xC0, LMA.encode(), vendor=9)
        self.found(acr(*ACR, host), 5001, host)

    def test_unknown_ones_without_the_m_bit_are_ignored(self) -> None:
        for unknown in (raw(9999, 0, b"x"), raw(9999, 0x80, b"x", vendor=9), raw(9999, 0x20, b"")):
            self.assertIsNone(check(acr(*ACR, unknown, unknown), D))

    def test_5004(self) -> None:
        for wrong in (
            raw(273, 0x40, b"\0\0\0\x09"),  # Disconnect-Cause 9
            raw(296, 0x40, b"home example"),
            raw(296, 0x40, b""),
            raw(296, 0x40, b"h\xc3\xb6me"),
        ):
            keep = (avp("Disconnect-Cause", 0),) if wrong[3] != 17 else ()
            others = ORIGIN[:1] if wrong[2:4] == b"\x01\x28" else ORIGIN
            self.found(message(282, *others, *keep, wrong), 5004, wrong)
        for wrong in (
            raw(480, 0x40, b"\0\0\0\x05"),
            raw(1, 0x40, b"\xff\xfe"),
            raw(257, 0x40, b"\0\0abcd"),
        ):
            others = tuple(each for each in ACR if each[:4] != wrong[:4])
            self.found(acr(*others, wrong), 5004, wrong)

    def test_5004_of_uris(self) -> None:
        wrong = raw(292, 0x40, b"http://aaa.example")
        self.found(acr(*ACR, wrong), 5004, wrong)
        for good in ("aaa://a.example", "aaas://a.example:5868;transport=tcp;protocol=diameter", "AAA://a"):
            self.assertIsNone(check(acr(*ACR, avp("Redirect-Host", good)), D))

    def test_open_enumerations(self) -> None:
        self.assertIsNone(check(acr(*ACR, avp("Termination-Cause", 99)), D))

    def test_the_header_says_the_application(self) -> None:
        other = avp("Acct-Application-Id", 2)
        self.found(acr(*ACR[:-1], other), 5004, other)

    def test_5005(self) -> None:
        for index, example in (
            (0, raw(263, 0x40, b"")),
            (1, raw(264, 0x40, b"\0")),
            (2, bytes.fromhex("00000128400000090000000000000000")[:12]),
            (3, raw(283, 0x40, b"\0")),
            (4, raw(480, 0x40, bytes(4))),
            (5, raw(485, 0x40, bytes(4))),
        ):
            others = (*ACR[:index], *ACR[index + 1 :])
            self.found(acr(*others), 5005, example)
        self.found(message(257, *CER[:2], *CER[3:]), 5005, raw(257, 0x40, bytes(6)))

    def test_5005_of_the_counters_of_mobile_ip(self) -> None:
        avps = (*ACR[:-1], avp("Acct-Application-Id", 2))
        self.found(acr(*avps, application=2), 5005, raw(363, 0x40, bytes(8)))

    def test_5005_where_another_needs_it(self) -> None:
        mir = Message(MESSAGES["mir"].octets)
        for name, example in (
            ("MIP-MN-AAA-SPI", bytes(4)), ("MIP-Authenticator", b""), ("MIP-MAC-Mobility-Data", b""),
        ):  # fmt: skip
            left = b"".join(each.octets for each in mir.avps if each.code != D[name].code)
            faulty = message(325, left, flags=R | P, application=8)
            self.found(faulty, 5005, raw(D[name].code, 0x40, example))
        aar = Message(MESSAGES["aar"].octets)
        chap = D["CHAP-Auth"].encode((avp("CHAP-Algorithm", 5), avp("CHAP-Ident", b"1")))
        self.found(message(265, aar.body, chap, flags=R | P, application=1), 5005, raw(60, 0x40, b""))

    def test_5007(self) -> None:
        amr = Message(MESSAGES["amr"].octets)
        others = b"".join(each.octets for each in amr.avps if each.code != 337)
        features = avp("MIP-Feature-Vector", 256 | 16 | 4)
        address = amr.octets(D["MIP-Home-Agent-Address"])[0]
        self.found(message(260, others, features, flags=R | P, application=2), 5007, features, address)
        mir = Message(MESSAGES["mir"].octets)
        others = b"".join(each.octets for each in mir.avps if each.code != 274)
        kind = avp("Auth-Request-Type", 2)
        mode = avp("MIP6-Auth-Mode", 1)
        self.found(message(325, others, kind, flags=R | P, application=8), 5007, mode, kind)

    def test_5008(self) -> None:
        for name, value in (("Destination-Host", AAA), ("Session-Id", "x"), ("Result-Code", 2001)):
            self.found(message(257, *CER, avp(name, value)), 5008, avp(name, value))
        self.found(acr(*ACR, avp("Auth-Application-Id", 3)), 5008, avp("Auth-Application-Id", 3))

    def test_5009(self) -> None:
        second = avp("Origin-State-Id", 2)
        self.found(
            message(280, *ORIGIN, avp("Origin-State-Id", 1), second, avp("Origin-State-Id", 3)), 5009, second
        )
        mir = Message(MESSAGES["mir"].octets)
        third = avp("MIP-Mobile-Node-Address", bytes(4))
        addresses = (avp("MIP-Mobile-Node-Address", bytes(16)), third)
        self.found(message(325, mir.body, *addresses, flags=R | P, application=8), 5009, third)
        self.assertIsNone(check(message(325, mir.body, third, flags=R | P, application=8), D))

    def test_5012_too_many(self) -> None:
        fault = self.found(acr(*ACR, raw(9999, 0, b"") * 4_096), 5012)
        self.assertIn("4096", fault.text)
        self.assertIsNone(check(acr(*ACR, raw(9999, 0, b"") * 4_000), D))

    def test_5014_of_the_type(self) -> None:
        for code, data, right in (
            (46, bytes(3), bytes(4)),
            (46, bytes(5), bytes(4)),
            (287, bytes(4), bytes(8)),
            (55, b"", bytes(4)),
            (333, b"\0\1" + bytes(5), bytes(6)),
            (333, b"\0\2" + bytes(4), bytes(6)),
            (333, b"\0", bytes(6)),
        ):
            self.found(acr(*ACR, raw(code, 0x40, data)), 5014, raw(code, 0x40, right))

    def test_5014_of_the_header(self) -> None:
        for size in (0, 4, 7):
            self.found(acr(*ACR, raw(9999, 0, b"abcd", size=size)), 5014, raw(9999, 0, b""))
        # As long as the header, but there is a Vendor-Id.
        self.found(acr(*ACR, raw(9999, 0x80, b"", vendor=9, size=8)), 5014, raw(9999, 0x80, b"", vendor=9))

    def test_5014_beyond_the_end(self) -> None:
        self.found(acr(*ACR, raw(46, 0x40, bytes(4), size=13)), 5014, raw(46, 0x40, bytes(4)))
        self.found(acr(*ACR, raw(1, 0x40, b"mn1", size=0xFFFFFF)), 5014, raw(1, 0x40, b""))
        self.found(acr(*ACR, raw(284, 0x40, b"abcd", size=100)), 5014, raw(284, 0x40, b""))

    def test_5014_of_a_header_that_is_cut_short(self) -> None:
        octets = acr(*ACR).data + b"\0\0\1\x07"
        faulty = Message(octets[:1] + len(octets).to_bytes(3, "big") + octets[4:])
        self.found(faulty, 5014, raw(263, 0, b""))

    def test_5016(self) -> None:
        wrong = raw(9999, 0xC0, b"abcd")
        self.found(acr(*ACR, wrong), 5016, wrong)

    def test_the_first_fault_is_told(self) -> None:
        unknown, wrong = raw(9999, 0x40, b""), raw(480, 0x40, b"\0\0\0\7")
        self.found(acr(*ACR[:4], unknown, wrong), 5001, unknown)

    def test_long_avps_are_not_copied_whole(self) -> None:
        fault = check(acr(*ACR, raw(9999, 0x40, bytes(100_000))), D)
        assert fault is not None
        self.assertEqual(self.failed(fault)[0].data, bytes(4_096))

    def test_tolerated(self) -> None:
        for avps in (
            (*ACR[1:], ACR[0]),  # Session-Id is not the first
            (*ACR, raw(55, 0x60, bytes(4))),  # P bit of an AVP
            (*ACR, raw(55, 0x5F, bytes(4))),  # reserved bits of an AVP
        ):
            self.assertIsNone(check(acr(*avps), D))


class Groups(Case):
    def proxy(self, *members: bytes) -> bytes:
        return D["Proxy-Info"].encode(members)

    GOOD = (avp("Proxy-Host", "r.example"), avp("Proxy-State", b"1"))

    def test_chain(self) -> None:
        """The groups around what is wrong are in Failed-AVP, without their other members."""
        unknown = raw(9999, 0x40, b"x")
        self.found(acr(*ACR, self.proxy(*self.GOOD, unknown)), 5001, self.proxy(unknown))
        wrong = raw(280, 0x40, b"")
        self.found(acr(*ACR, self.proxy(wrong, *self.GOOD)), 5004, self.proxy(wrong))
        host = raw(348, 0x40, raw(283, 0, REALM.encode()) + avp("Destination-Host", LMA))
        info = D["MIP6-Agent-Info"].encode(host)
        chain = D["MIP6-Agent-Info"].encode(raw(348, 0x40, raw(283, 0, REALM.encode())))
        fault = self.found(acr(*ACR, info), 3009, chain)
        self.assertIn("in MIP-Home-Agent-Host (348), in MIP6-Agent-Info (486)", fault.text)

    def test_members_that_do_not_fit(self) -> None:
        """They are a wrong value of the group."""
        for members in (self.GOOD[:1], (), (*self.GOOD, self.GOOD[0])):
            group = self.proxy(*members)
            self.found(acr(*ACR, group), 5004, group)
        extra = D["Experimental-Result"].encode(
            (avp("Vendor-Id", 1), avp("Experimental-Result-Code", 2), avp("User-Name", "x"))
        )
        self.found(acr(*ACR, extra), 5004, extra)

    def test_lengths_inside(self) -> None:
        wrong = raw(33, 0x40, b"12", size=20)
        self.found(acr(*ACR, self.proxy(self.GOOD[0], wrong)), 5014, self.proxy(raw(33, 0x40, b"")))
        self.found(acr(*ACR, self.proxy(*self.GOOD, b"\0\0\0")), 5014, self.proxy(raw(0, 0, b"")))

    def test_unknown_groups_are_not_looked_into(self) -> None:
        self.assertIsNone(check(acr(*ACR, raw(9999, 0, raw(9998, 0x40, b"x"))), D))

    def test_failed_avp_is_not_looked_into(self) -> None:
        answer = Message(MESSAGES["error 5001"].octets)
        self.assertIsNone(check(answer, D))

    def test_deep(self) -> None:
        group = D["MIP6-Agent-Info"].encode(b"")
        for _ in range(15):
            group = D["MIP6-Agent-Info"].encode(group)
        self.assertIsNone(check(acr(*ACR, group), D))
        for _ in range(5_000):
            group = D["MIP6-Agent-Info"].encode(group)
        fault = check(acr(*ACR, group), D)
        assert fault is not None
        self.assertEqual(fault.result, 5004)
        self.assertIn("16 levels", fault.text)

    def test_vendor_specific_application(self) -> None:
        vendor, auth, acct = (
            avp("Vendor-Id", 10415), avp("Auth-Application-Id", 3), avp("Acct-Application-Id", 3)
        )  # fmt: skip
        group = D["Vendor-Specific-Application-Id"].encode
        for members in ((vendor, auth), (vendor, acct), (acct, vendor)):
            self.assertIsNone(check(message(257, *CER, group(members)), D))
        examples = D["Auth-Application-Id"].encode(0) + D["Acct-Application-Id"].encode(0)
        self.found(message(257, *CER, group((vendor,))), 5005, examples)
        self.found(message(257, *CER, group((vendor, auth, acct))), 5009, auth, acct)


class Answers(Case):
    """Nobody is told of their faults, but whoever sent the request must know."""

    def test_they_are_checked(self) -> None:
        golden = Message(MESSAGES["aca start"].octets)
        left = b"".join(each.octets for each in golden.avps if each.code != 480)
        fault = check(message(271, left, flags=P, application=2), D)
        assert fault is not None
        self.assertEqual(fault.result, 5005)

    def test_failures_need_not_be_complete(self) -> None:
        for result in (
            avp("Result-Code", 5012),
            D["Experimental-Result"].encode((avp("Vendor-Id", 10415), avp("Experimental-Result-Code", 5001))),
        ):
            self.assertIsNone(check(message(271, ACR[0], *ORIGIN, result, flags=P, application=3), D))
        self.assertIsNotNone(
            check(message(271, ACR[0], ORIGIN[0], avp("Result-Code", 5012), flags=P, application=3), D)
        )

    def test_with_the_e_bit(self) -> None:
        self.assertIsNone(check(message(280, *ORIGIN, avp("Result-Code", 3002), flags=E), D))
        fault = check(message(280, *ORIGIN, flags=E), D)
        assert fault is not None
        self.assertEqual(fault.result, 5005)

    def test_route_records_are_tolerated(self) -> None:
        golden = Message(MESSAGES["aca start"].octets)
        self.assertIsNone(
            check(message(271, golden.body, avp("Route-Record", "r.example"), flags=P, application=2), D)
        )


class Compat(Case):
    """Peers that speak the drafts."""

    ACR4 = (*ACR[:-1], avp("Acct-Application-Id", 4))

    def test_application_4(self) -> None:
        self.found(acr(*self.ACR4, application=4), 3007)
        self.assertIsNone(check(acr(*self.ACR4, application=4), D, compat=True))
        golden = Message(MESSAGES["amr"].octets)
        others = b"".join(each.octets for each in golden.avps if each.code not in (258, 336))
        old = (
            raw(336, 0x40, b"\0\1\xc6\x33\x64\1"),
            raw(330, 0x40, b"fa.example"),
            raw(347, 0x40, b"permit"),
        )
        for application in (2, 4):
            faulty = message(260, others, *old, flags=R | P, application=application)
            self.assertIsNone(check(faulty, D, compat=True))
            self.assertIsNotNone(check(faulty, D))

    def test_nobody_checks_m_bits(self) -> None:
        avps = (*self.ACR4, raw(278, 0, bytes(4)), raw(269, 0x40, b"x"))
        self.assertIsNone(check(acr(*avps, application=4), D, compat=True))

    def test_identities_that_are_uris(self) -> None:
        origin = avp("Origin-Host", "aaa://lma1.home.example:1812;transport=tcp")
        self.assertIsNone(check(acr(ACR[0], origin, *self.ACR4[2:], application=4), D, compat=True))

    def test_the_rest_is_checked(self) -> None:
        fault = check(acr(*self.ACR4[1:], application=4), D, compat=True)
        assert fault is not None
        self.assertEqual(fault.result, 5005)

    def test_the_standard_is_untouched(self) -> None:
        check(acr(*self.ACR4, application=4), D, compat=True)
        self.assertEqual((D["MIP-Nonce"].code, D.by_code[335, 0].name), (335, "MIP-Nonce"))
        self.assertNotIn(4, D.applications)


class Relayed(Case):
    """What an agent checks in messages for others."""

    def test_anything_that_can_be_walked(self) -> None:
        for faulty in (
            message(999, raw(9999, 0x40, b"x"), flags=R | P, application=77),
            acr(*ACR[1:]),
            acr(*ACR, raw(46, 0x40, bytes(3))),
        ):
            self.assertIsNone(check_relayed(faulty))
            self.assertIsNotNone(faulty.index)

    def test_faults(self) -> None:
        for faulty, result, strict in (
            (acr(*ACR, flags=R | P | E), 3008, False),
            (acr(*ACR, flags=R | P | 1), 5013, True),
            (acr(*ACR, raw(1, 0x40, b"", size=100)), 5014, False),
        ):
            fault = check_relayed(faulty, strict)
            assert fault is not None
            self.assertEqual(fault.result, result)


class Refusing(Case):
    def refused(self, faulty: Message, host: str = AAA) -> Message:
        fault = check(faulty, D)
        assert fault is not None
        return Message(refuse(faulty, fault, host, REALM, D))

    def test_golden(self) -> None:
        """The octets of answers that were checked elsewhere."""
        session = avp("Session-Id", "lma1.home.example;3973075200;1")
        counters = [
            avp(f"Accounting-{name}", 0) for name in ("Output-Octets", "Input-Packets", "Output-Packets")
        ]
        avps = [session, *ACR[1:-1], avp("Acct-Application-Id", 2), *counters, avp("Acct-Session-Time", 0)]
        octets = avp("Accounting-Input-Octets", 0)
        for name, number, extra, left in (
            ("error 5005", 0x60, [], []),
            ("error 5001", 0x61, [octets, raw(9999, 0x40, b"\xde\xad\xbe\xef")], []),
            ("error 5014", 0x63, [octets, raw(46, 0x40, bytes(3))], [46]),
        ):
            kept = [each for each in avps if each[3] not in left or each[2]]
            request = frame(271, 2, R | P, 0x10000000 | number, 0xA0000000 | number, b"".join(kept + extra))
            fault = check(Message(request), D)
            assert fault is not None
            text = "Accounting-Input-Octets missing" if number == 0x60 else ""
            answer = refuse(Message(request), Fault(fault.result, fault.failed, text), AAA, REALM, D)
            self.assertEqual(answer.hex(), MESSAGES[name].octets.hex())

    def test_what_is_carried_back(self) -> None:
        proxies = [
            D["Proxy-Info"].encode((avp("Proxy-Host", host), avp("Proxy-State", b"x"))) for host in "ab"
        ]
        answer = self.refused(acr(*ACR, *proxies, raw(9999, 0x40, b"")))
        self.assertEqual(answer.octets(D["Proxy-Info"]), proxies)
        self.assertEqual(answer.octets(D["Session-Id"]), [ACR[0]])
        self.assertEqual((answer.hop_by_hop, answer.end_to_end, answer.flags), (1, 2, P))
        self.assertIsNone(check(answer, D))

    def test_e_bit(self) -> None:
        """Set for 3xxx, and where the answer could not be complete."""
        self.assertEqual(self.refused(message(999, *ORIGIN, flags=R | P, application=3)).flags, P | E)
        self.assertEqual(self.refused(acr(*ACR[:4], *ACR[5:])).flags, P | E)
        self.assertEqual(self.refused(acr(*ACR, raw(9999, 0x40, b""))).flags, P)
        self.assertEqual(self.refused(message(280, ORIGIN[0])).flags, 0)

    def test_session_id_of_a_message_that_cannot_be_walked(self) -> None:
        answer = self.refused(acr(*ACR, raw(1, 0x40, b"", size=100)))
        self.assertEqual(answer.octets(D["Session-Id"]), [ACR[0]])
        answer = self.refused(acr(raw(263, 0x40, b"abc", size=7)))
        self.assertEqual(answer.octets(D["Session-Id"]), [])

    def test_every_refusal_is_good(self) -> None:
        for golden in MESSAGES.values():
            request = Message(golden.octets)
            if not request.is_request:
                continue
            for place in range(len(request.avps)):
                left = [each.octets for index, each in enumerate(request.avps) if index != place]
                faulty = message(request.code, *left, flags=request.flags, application=request.application)
                fault = check(faulty, D)
                if fault is not None:
                    answer = Message(refuse(faulty, fault, AAA, REALM, D))
                    self.assertIsNone(check(answer, D), golden.name)
                    self.assertIsInstance(answer.first(D["Failed-AVP"]), Group)
