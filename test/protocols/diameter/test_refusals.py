"""What peers of drafts may do, what agents check, and the answers that tell a fault."""

from appliance.protocols.diameter.message.codec import Group, Message, frame
from appliance.protocols.diameter.message.faults import Fault, check, check_relayed, refuse
from test.protocols.diameter.faulty import AAA, ACR, ORIGIN, REALM, Case, D, E, P, R, acr, avp, message, raw
from test.protocols.diameter.golden import MESSAGES


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
