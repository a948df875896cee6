"""Messages that other programs have checked: decoded, built again, and described."""

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Group, Message, cut, frame
from appliance.protocols.diameter.message.describe import LEVELS, describe
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.parsing import parse
from appliance.protocols.diameter.message.text import Texts
from test.protocols.diameter.golden import MESSAGES

D = standard()
LMA, AAA, REALM, MOBILE = "lma1.home.example", "aaa1.home.example", "home.example", "mn1@home.example"
SESSION, AUTH_SESSION = "lma1.home.example;3973075200;1", "lma1.home.example;3973075200;1;mip6a"
HOME, AGENT = (
    bytes.fromhex("20010db8000100020000000000000100"),
    bytes.fromhex("20010db8000100000000000000000001"),
)
CARE_OF = bytes.fromhex("20010db8009900000000000000000010")


def avp(name: str, value: object) -> bytes:
    return D[name].encode(value)


def group(name: str, *members: bytes) -> bytes:
    return D[name].encode(members)


class Golden(SynchronousTestCase):
    def test_there_are_all(self) -> None:
        self.assertEqual(len(MESSAGES), 26)
        for golden in MESSAGES.values():
            self.assertEqual(int.from_bytes(golden.octets[1:4], "big"), len(golden.octets), golden.name)

    def test_they_are_good(self) -> None:
        for golden in MESSAGES.values():
            message = Message(golden.octets)
            self.assertIsNone(check(message, D), golden.name)
            self.assertIsNotNone(message.index, f"{golden.name} was not recognised at the first look")

    def test_values_as_text(self) -> None:
        for golden in MESSAGES.values():
            self.assertEqual(
                [" = ".join(pair) for pair in Texts(D).pairs(golden.body)], golden.lines, golden.name
            )

    def test_built_from_text(self) -> None:
        for golden in MESSAGES.values():
            message = Message(golden.octets)
            if golden.name == "error 5001":
                continue  # An unknown AVP has the M bit, which text does not tell.
            body = b"".join(parse(line, D) for line in golden.lines)
            made = frame(
                message.code, message.application, message.flags, message.hop_by_hop, message.end_to_end, body
            )
            self.assertEqual(made.hex(), golden.octets.hex(), golden.name)

    def test_built_from_values(self) -> None:
        """Every value is decoded and encoded again."""

        def again(group: Group) -> bytes:
            parts = []
            for each in group.avps:
                known = D.by_code.get((each.code, each.vendor))
                if known is None:
                    parts.append(each.octets)
                elif known.grouped:
                    parts.append(known.encode(again(Group(each.data))))
                else:
                    parts.append(known.encode(known.type.decode(each.data)))
            return b"".join(parts)

        for golden in MESSAGES.values():
            self.assertEqual(again(Message(golden.octets)).hex(), golden.body.hex(), golden.name)

    def test_cut_and_put_together(self) -> None:
        for golden in MESSAGES.values():
            self.assertEqual(b"".join(each.octets for each in cut(golden.body)), golden.body, golden.name)

    def test_described(self) -> None:
        for golden in MESSAGES.values():
            for level in LEVELS:
                lines = describe(golden.octets, level)
                self.assertNotIn("alformed", "\n".join(lines), golden.name)
                self.assertNotIn("Fault", "\n".join(lines), golden.name)


class Built(SynchronousTestCase):
    """Messages written down value by value, as the appliance builds them."""

    def same(self, name: str, code: int, application: int, flags: int, number: int, *avps: bytes) -> None:
        made = frame(code, application, flags, 0x10000000 | number, 0xA0000000 | number, b"".join(avps))
        self.assertEqual(made.hex(), MESSAGES[name].octets.hex())

    def test_cer(self) -> None:
        self.same(
            "cer", 257, 0, 0x80, 1,
            avp("Origin-Host", LMA), avp("Origin-Realm", REALM),
            avp("Host-IP-Address", bytes((10, 77, 0, 2))),
            avp("Host-IP-Address", bytes.fromhex("fd77" + "00" * 13 + "02")),
            avp("Vendor-Id", 0), avp("Product-Name", "mobility-appliance"),
            avp("Origin-State-Id", 1795417122),
            *(avp("Auth-Application-Id", number) for number in (1, 2, 8)),
            *(avp("Acct-Application-Id", number) for number in (3, 2)),
            avp("Firmware-Revision", 1),
        )  # fmt: skip

    def test_dpr(self) -> None:
        self.same(
            "dpr", 282, 0, 0x80, 3,
            avp("Origin-Host", LMA), avp("Origin-Realm", REALM), avp("Disconnect-Cause", 0),
        )  # fmt: skip

    def acr(self, kind: int, number: int, when: int, usage: tuple[int, int, int, int, int]) -> list[bytes]:
        received, sent, seconds, packets_in, packets_out = usage
        return [
            avp("Session-Id", SESSION), avp("Origin-Host", LMA), avp("Origin-Realm", REALM),
            avp("Destination-Realm", REALM), avp("Accounting-Record-Type", kind),
            avp("Accounting-Record-Number", number), avp("Acct-Application-Id", 2), avp("User-Name", MOBILE),
            avp("Destination-Host", AAA), avp("Accounting-Sub-Session-Id", 1),
            avp("Acct-Multi-Session-Id", "lma1.home.example;3973075200;0"),
            avp("Origin-State-Id", 1795417122), avp("Event-Timestamp", when),
            avp("MIP-Feature-Vector", 0x110),
            avp("MIP-Mobile-Node-Address", HOME), avp("MIP-Home-Agent-Address", AGENT),
            avp("Accounting-Input-Octets", received), avp("Accounting-Output-Octets", sent),
            avp("Acct-Session-Time", seconds), avp("Accounting-Input-Packets", packets_in),
            avp("Accounting-Output-Packets", packets_out),
        ]  # fmt: skip

    def test_acr_start(self) -> None:
        self.same("acr start", 271, 2, 0xC0, 0x10, *self.acr(2, 0, 1795417200, (0, 0, 0, 0, 0)))

    def test_acr_interim_relayed(self) -> None:
        relayed = (
            group(
                "Proxy-Info", avp("Proxy-Host", "relay1.home.example"), avp("Proxy-State", b"\0\x11\x22\x33")
            ),
            avp("Route-Record", LMA),
        )
        avps = self.acr(3, 1, 1795417500, (1_500_000, 9_000_000, 300, 1_200, 7_200))
        made = frame(271, 2, 0xC0, 0x20000011, 0xA0000011, b"".join((*avps, *relayed)))
        self.assertEqual(made.hex(), MESSAGES["acr interim relayed"].octets.hex())

    def test_acr_stop(self) -> None:
        avps = self.acr(4, 2, 1795417800, (5 << 30, 7 << 30, 600, 4 << 20, 5 << 20))
        self.same("acr stop", 271, 2, 0xC0, 0x12, *avps, avp("Termination-Cause", 1))

    def test_acr_sent_again(self) -> None:
        """Flags and Hop-by-Hop Id are other ones, all else is as it was."""
        stop = Message(MESSAGES["acr stop"].octets)
        made = stop.with_hop_by_hop(0x10000013, flags=stop.flags | 0x10)
        self.assertEqual(made.hex(), MESSAGES["acr stop again"].octets.hex())

    def test_mir(self) -> None:
        """With the authenticator made from the data as RFC 4285 says."""
        header = bytes.fromhex(
            "3b08050000000001c000004b0811016d6e3140686f6d652e6578616d706c650101000a08eeae62f0800000000009190200000003"
        )
        mac = hashlib.sha1(CARE_OF + HOME + header).digest()
        proof = hmac.digest(b"mn1-aaa-secret-0", mac, "sha1")
        self.same(
            "mir", 325, 8, 0xC0, 0x20,
            avp("Session-Id", AUTH_SESSION), avp("Auth-Application-Id", 8), avp("User-Name", MOBILE),
            avp("Destination-Realm", REALM), avp("Origin-Host", LMA), avp("Origin-Realm", REALM),
            avp("Auth-Request-Type", 3), avp("Origin-State-Id", 1795417122), avp("NAS-Identifier", LMA),
            avp("MIP6-Feature-Vector", 0), avp("MIP6-Auth-Mode", 1), avp("MIP-MN-AAA-SPI", 3),
            avp("MIP-Mobile-Node-Address", HOME),
            group(
                "MIP6-Agent-Info",
                avp("MIP-Home-Agent-Address", AGENT),
                group("MIP-Home-Agent-Host", avp("Destination-Realm", REALM), avp("Destination-Host", LMA)),
            ),
            avp("MIP-Careof-Address", CARE_OF), avp("MIP-Authenticator", proof),
            avp("MIP-MAC-Mobility-Data", mac), avp("MIP-Timestamp", bytes.fromhex("eeae62f080000000")),
            avp("Service-Selection", "internet"), avp("Auth-Session-State", 0),
        )  # fmt: skip

    def test_answers(self) -> None:
        """Made from their requests."""
        request = Message(MESSAGES["dwr"].octets)
        made = request.answer(2001, AAA, REALM, avp("Origin-State-Id", 1795417000))
        self.assertEqual(made.hex(), MESSAGES["dwa"].octets.hex())
        request = Message(MESSAGES["str"].octets)
        self.assertEqual(request.answer(2001, AAA, REALM).hex(), MESSAGES["sta"].octets.hex())
        request = Message(MESSAGES["asr"].octets)
        self.assertEqual(request.answer(5002, LMA, REALM).hex(), MESSAGES["asa unknown"].octets.hex())
