"""Every fault that a message can have: its Result-Code, and what goes into Failed-AVP."""

from appliance.protocols.diameter.message.codec import Malformed, Message, size_of
from appliance.protocols.diameter.message.faults import check
from test.protocols.diameter.faulty import (
    AAA,
    ACR,
    CER,
    LMA,
    ORIGIN,
    REALM,
    Case,
    D,
    E,
    P,
    R,
    T,
    acr,
    avp,
    message,
    raw,
)
from test.protocols.diameter.golden import MESSAGES


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

    def test_other_modes_are_for_the_application(self) -> None:
        mir = Message(MESSAGES["mir"].octets)
        left = b"".join(each.octets for each in mir.avps if each.code not in (494, 341, 488, 489))
        self.assertIsNone(check(message(325, left, avp("MIP6-Auth-Mode", 2), flags=R | P, application=8), D))

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
        self.found(acr(*ACR, avp("Result-Code", 2001)), 5008, avp("Result-Code", 2001))

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
