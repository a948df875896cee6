"""Who may be a peer: CER and CEA (RFC 6733 sections 5.3 and 5.6.1), certificates, wildcards."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import Advertised
from appliance.protocols.diameter.message.codec import ERROR, Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.settings import TlsSettings
from test.protocols.diameter.node_fakes import (
    REALM,
    WALL,
    D,
    Endpoint,
    acr,
    avp,
    capabilities,
    cea,
    cer,
    of,
    origin,
    peer,
    request,
    result,
    sent,
    settings,
)

US, CLIENT = "aaa1.home.example", "lma1.home.example"
TLS = TlsSettings(certificate="c", private_key="k", authorities="a")
#: Digest of RFC 6733, vectors 7.1 to 7.6 (verified with tshark and freeDiameter).
CER = (
    "010000ec800001010000000010000001a000000100000108400000196c6d61312e686f6d652e6578616d706c65000000"
    "0000012840000014686f6d652e6578616d706c65000001014000000e00010a4d00020000000001014000001a0002fd77"
    "000000000000000000000000000200000000010a4000000c000000000000010d0000001a6d6f62696c6974792d617070"
    "6c69616e63650000000001164000000c6b03e422000001024000000c00000001000001024000000c0000000200000102"
    "4000000c00000008000001034000000c00000003000001034000000c000000020000010b0000000c00000001"
)
CEA = (
    "010000dc000001010000000010000001a00000010000010c4000000c000007d10000010840000019616161312e686f6d"
    "652e6578616d706c650000000000012840000014686f6d652e6578616d706c65000001014000000e00010a4d00010000"
    "0000010a4000000c000000000000010d0000001a6d6f62696c6974792d6170706c69616e63650000000001164000000c"
    "6b03e3a8000001024000000c00000001000001024000000c00000002000001024000000c00000008000001034000000c"
    "00000003000001034000000c000000020000010b0000000c00000001"
)
DWR = (
    "01000050800001180000000010000002a000000200000108400000196c6d61312e686f6d652e6578616d706c65000000"
    "0000012840000014686f6d652e6578616d706c65000001164000000c6b03e422"
)
DWA = (
    "0100005c000001180000000010000002a00000020000010c4000000c000007d10000010840000019616161312e686f6d"
    "652e6578616d706c650000000000012840000014686f6d652e6578616d706c65000001164000000c6b03e3a8"
)
DPR = (
    "010000508000011a0000000010000003a000000300000108400000196c6d61312e686f6d652e6578616d706c65000000"
    "0000012840000014686f6d652e6578616d706c65000001114000000c00000000"
)
DPA = (
    "010000500000011a0000000010000003a00000030000010c4000000c000007d10000010840000019616161312e686f6d"
    "652e6578616d706c650000000000012840000014686f6d652e6578616d706c65"
)
GOLDEN_APPLICATIONS = (
    Advertised(1, auth=True),
    Advertised(2, auth=True, acct=True),
    Advertised(8, auth=True),
    Advertised(3, acct=True),
)


def packed(*words: str) -> tuple[bytes, ...]:
    return tuple(bytes(map(int, word.split("."))) for word in words)


class GoldenTests(SynchronousTestCase):
    """Our messages are those of the digest, octet by octet (ids and the order of applications aside)."""

    def server(self) -> Endpoint:
        node = Endpoint(settings(US, peer(CLIENT), addresses=packed("10.77.0.1")), serve=False)
        node.feed(ev.Serve(1, GOLDEN_APPLICATIONS))
        node.mono = 1795417000 - WALL
        node.feed(ev.Start())
        return node

    def test_answers(self) -> None:
        """CEA, DWA and DPA to the CER, DWR and DPR of the digest."""
        node = self.server()
        number = node.accept()
        for received, expected in ((CER, CEA), (DWR, DWA), (DPR, DPA)):
            found = sent(node.said(number, bytes.fromhex(received)), number)
            self.assertEqual(_sorted(found[0].data.hex()), _sorted(expected))

    def test_requests(self) -> None:
        """CER, DWR and DPR of a client."""
        addresses = (*packed("10.77.0.2"), bytes.fromhex("fd77" + "00" * 13 + "02"))
        node = Endpoint(settings(CLIENT, peer(US, "10.77.0.1"), addresses=addresses), serve=False)
        node.feed(ev.Serve(1, GOLDEN_APPLICATIONS))
        node.mono = 1795417122 - WALL
        node.feed(ev.Start())
        number = of(node.effects, ev.Connect)[0].connection
        found = sent(node.feed(ev.Connected(number, *packed("10.77.0.1"), 3868)))
        self.assertEqual(_without_ids(found[0].data.hex()), _without_ids(CER))
        node.said(number, cea(US, found[0], auth=(1,), acct=(3,)))
        found = sent(node.tick(33), number)
        self.assertEqual(_without_ids(found[0].data.hex()), _without_ids(DWR))
        found = sent(node.feed(ev.Stop()), number)
        self.assertEqual(_without_ids(found[0].data.hex()), _without_ids(DPR))


def _without_ids(text: str) -> tuple[str, list[str]]:
    message = Message(bytes.fromhex(text))
    return text[:24], sorted(each.octets.hex() for each in message.avps)


def _sorted(text: str) -> tuple[str, list[str]]:
    return text[:40], sorted(each.octets.hex() for each in Message(bytes.fromhex(text)).avps)


class CerTests(SynchronousTestCase):
    def node(self, *peers: Any, **more: Any) -> Endpoint:
        return Endpoint(settings(US, *(peers or (peer(CLIENT),)), **more))

    def refused(self, node: Endpoint, data: bytes, code: int, **accepted: Any) -> Message:
        number = node.accept(**accepted)
        found = node.said(number, data)
        answer = sent(found, number)[0]
        self.assertEqual(result(answer), code)
        self.assertEqual(bool(answer.flags & ERROR), code // 1000 == 3)
        self.assertEqual([each.connection for each in of(found, ev.Close)], [number])
        self.assertNotIn(number, node.core.context.links)
        return answer

    def test_good(self) -> None:
        """A known peer gets 2001 and all that we have."""
        node = self.node()
        number = node.accept(local=packed("10.0.0.7"))
        answer = sent(node.said(number, cer(CLIENT, hop=5)), number)[0]
        self.assertEqual((result(answer), answer.hop_by_hop), (2001, 5))
        self.assertEqual(answer.first(D["Host-IP-Address"]), packed("10.0.0.7")[0])
        self.assertEqual(answer.all(D["Auth-Application-Id"]), [1])
        self.assertEqual(answer.all(D["Acct-Application-Id"]), [3])
        self.assertIsNone(answer.first(D["Inband-Security-Id"]))

    def test_unknown_peer(self) -> None:
        """3010 with E, the connection is closed, and the log is not flooded."""
        node = self.node()
        for _ in range(5):
            self.refused(node, cer("evil.example"), 3010)
        self.assertEqual(node.core.statistics.unknown_peers, 5)
        self.assertEqual(len(of(node.effects, ev.Notify)), 1)
        node.tick(61)
        self.refused(node, cer("evil.example"), 3010)
        self.assertIn("4 more", of(node.effects, ev.Notify)[-1].text)

    def test_ourselves(self) -> None:
        """Nobody else may be who we are, whatever a wildcard says."""
        self.refused(self.node(peer("*")), cer(US), 3010)

    def test_wrong_realm(self) -> None:
        """A realm that is configured has to be said."""
        self.refused(self.node(peer(CLIENT, realm="other.example")), cer(CLIENT), 3010)

    def test_disabled(self) -> None:
        """A peer that an operator has disabled is not let in."""
        node = self.node()
        node.feed(ev.Command("disable", CLIENT))
        self.refused(node, cer(CLIENT), 3010)
        node.feed(ev.Command("enable", CLIENT))
        node.open_from(CLIENT)

    def test_missing_avps(self) -> None:
        """5005 with an example of what is missing; also without any identity."""
        body = origin(CLIENT) + avp("Vendor-Id", 0) + avp("Product-Name", "x")
        node = self.node()
        answer = self.refused(node, request(257, 0, body, flags=0x80), 5005)
        self.assertIn(D["Host-IP-Address"].encode(bytes(4))[:4], answer.raw(D["Failed-AVP"]))
        answer = self.refused(node, request(257, 0, avp("Vendor-Id", 0), flags=0x80), 5005)
        self.assertIn(bytes.fromhex("00000108"), answer.raw(D["Failed-AVP"]) or b"")

    def test_names_without_end(self) -> None:
        """A name of the DNS has 255 octets at most; what is longer, or moves a cursor, is in no log."""
        node = self.node(peer("*"))
        self.refused(node, cer("x" * 256), 5004)
        self.refused(node, cer(CLIENT, realm="x" * 256), 5004)
        number = node.accept()
        data = cer(CLIENT).replace(
            avp("Product-Name", "test"), avp("Product-Name", "a\x1b[2Jb\n" + "c" * 300)
        )
        node.said(number, data[:1] + len(data).to_bytes(3, "big") + data[4:])
        (view,) = readouts.peers(node.core, node.now)
        self.assertEqual(view.product, "a?[2Jb?" + "c" * 248)
        for effect in of(node.effects, ev.Notify):
            self.assertLess(len(effect.text), 500)
            self.assertTrue(effect.text.isprintable())

    def test_no_common_application(self) -> None:
        """5010, without E, and a CEA that says what there would have been; then closed."""
        answer = self.refused(self.node(), cer(CLIENT, auth=(16777216,), acct=()), 5010)
        self.assertEqual(answer.all(D["Auth-Application-Id"]), [1])

    def test_common_applications(self) -> None:
        """A relay shares everything; whose a vendor's id is does not count; auth and acct are one set."""
        specific = D["Vendor-Specific-Application-Id"]
        for more in (
            {"auth": (0xFFFFFFFF,), "acct": ()},
            {"auth": (), "acct": (1,)},
            {
                "auth": (),
                "acct": (),
                "more": specific.encode(avp("Vendor-Id", 99) + avp("Auth-Application-Id", 1)),
            },
        ):
            node = self.node()
            node.open_from(CLIENT, **more)
            self.assertEqual(node.core.table.get(CLIENT).state, st.R_OPEN)

    def test_vendor_specific_without_application(self) -> None:
        """Neither: 5005 with examples of both; both: 5009 with both (RFC 6733 section 6.11)."""
        specific = D["Vendor-Specific-Application-Id"]
        both = avp("Auth-Application-Id", 1) + avp("Acct-Application-Id", 3)
        for inner, code in ((b"", 5005), (both, 5009)):
            more = specific.encode(avp("Vendor-Id", 10415) + inner)
            answer = self.refused(self.node(), cer(CLIENT, more=more), code)
            failed = answer.raw(D["Failed-AVP"]) or b""
            for name in ("Auth-Application-Id", "Acct-Application-Id"):
                self.assertIn(D[name].code.to_bytes(4, "big"), failed)

    def test_first_message_is_no_cer(self) -> None:
        """Anything else closes the connection at once; so does silence."""
        node = self.node()
        for data in (
            acr(),
            request(280, 0, origin(CLIENT), flags=0x80),
            cer(CLIENT)[:4] + b"\0" + cer(CLIENT)[5:],
        ):
            number = node.accept()
            found = node.said(number, data)
            self.assertEqual(sent(found), [])
            self.assertEqual(
                [(each.connection, each.abort) for each in of(found, ev.Close)], [(number, True)]
            )
        number = node.accept()
        found = node.tick(31)
        self.assertEqual([each.connection for each in of(found, ev.Close)], [number])
        self.assertEqual(node.core.statistics.silent_connections, 1)

    def test_connection_limit(self) -> None:
        """Connections beyond the limit are closed; when one goes, there is room again."""
        node = self.node(connection_limit=2)
        first = node.accept()
        node.accept()
        third = node.accept()
        self.assertEqual([each.connection for each in of(node.effects, ev.Close)], [third])
        self.assertEqual(node.core.statistics.connections_refused, 1)
        node.feed(ev.Disconnected(first))
        node.accept()
        self.assertEqual(len(of(node.effects, ev.Close)), 1)

    def test_wildcards(self) -> None:
        """``*.REALM`` lets anybody of a realm in, as long as the connection lasts."""
        node = self.node(peer("*.home.example"))
        number = node.open_from("Any.Home.Example")
        self.refused(node, cer("any.other.example"), 3010)
        found = node.core.table.get("any.home.example")
        self.assertEqual((found.kind, found.name), ("wildcard", "Any.Home.Example"))
        node.feed(ev.Disconnected(number))
        self.assertIsNone(node.core.table.get("any.home.example"))
        node.open_from("any.home.example")
        self.assertEqual(node.core.table.get("any.home.example").watchdog.status, "OKAY")

    def test_a_refused_wildcard_peer_is_forgotten(self) -> None:
        """What a stranger says does not stay in memory."""
        node = self.node(peer("*"))
        self.refused(node, cer("any.example", auth=(77,), acct=()), 5010)
        self.assertEqual(node.core.table.peers, {})

    def test_drafts(self) -> None:
        """A URI as identity and application 4 for Mobile IPv4: only from a peer that is configured so."""
        uri = f"aaa://{CLIENT}:3868;transport=tcp"
        self.refused(self.node(), cer(uri), 3010)
        node = Endpoint(settings(US, peer(CLIENT, compat=True)), serve=False)
        node.feed(ev.Serve(1, (Advertised(2, auth=True, acct=True),)))
        node.feed(ev.Start())
        number = node.accept()
        answer = sent(node.said(number, cer(uri, auth=(4,), acct=(4,))), number)[0]
        self.assertEqual(result(answer), 2001)
        self.assertEqual(answer.all(D["Auth-Application-Id"]), [2, 4])


class SecurityTests(SynchronousTestCase):
    def opened(self, configured: Any, data: bytes, tls: TlsSettings | None = TLS, **accepted: Any) -> Any:
        node = Endpoint(settings(US, configured, tls=tls))
        number = node.accept(**accepted)
        found = node.said(number, data)
        return result(sent(found, number)[0]), of(found, ev.Secure), node

    def test_certificate(self) -> None:
        """Over TLS the certificate has to name the Origin-Host."""
        for names, code in (((CLIENT,), 2001), ((CLIENT.upper(),), 2001), (("x.example",), 3010), ((), 3010)):
            found = self.opened(peer(CLIENT), cer(CLIENT), transport="tls", names=names)
            self.assertEqual(found[0], code, names)
            self.assertEqual(found[2].core.statistics.bad_certificates, int(code != 2001))

    def test_clear_text_where_tls_is_configured(self) -> None:
        """A peer that has to use TLS is not let in without it."""
        for transport in ("tls", "dtls", "tls-inband"):
            found = self.opened(peer(CLIENT, transport=transport), cer(CLIENT))
            self.assertEqual(found[0], 5017, transport)

    def test_inband(self) -> None:
        """Inband-Security-Id: what is offered, what we can, what comes of it."""
        tls, none = avp("Inband-Security-Id", 1), avp("Inband-Security-Id", 0)
        for transport, able, offer, code, secured in (
            ("tcp", True, b"", 2001, False),
            ("tcp", True, none, 2001, False),
            ("tcp", True, tls, 2001, True),
            ("tcp", True, none + tls, 2001, True),
            ("tcp", False, tls, 5017, False),
            ("tcp", False, none + tls, 2001, False),
            ("tls-inband", True, tls, 2001, True),
            ("tls-inband", True, none, 5017, False),
        ):
            case = (transport, able, offer)
            configured = peer(CLIENT, transport=transport)
            found = self.opened(configured, cer(CLIENT, more=offer), TLS if able else None)
            self.assertEqual((found[0], bool(found[1])), (code, secured), case)
            if secured:
                answer = sent(found[2].effects)[0]
                self.assertEqual(answer.first(D["Inband-Security-Id"]), 1)
                self.assertTrue(found[1][0].server)
                found[2].feed(ev.Secured(found[1][0].connection, (CLIENT,)))
                self.assertEqual(found[2].core.table.get(CLIENT).state, st.R_OPEN)

    def test_inband_over_tls(self) -> None:
        """Over TLS the negotiation has no meaning."""
        data = cer(CLIENT, more=avp("Inband-Security-Id", 1))
        found = self.opened(peer(CLIENT), data, transport="tls", names=(CLIENT,))
        self.assertEqual((found[0], found[1]), (2001, []))


class CeaTests(SynchronousTestCase):
    def node(self, **more: Any) -> tuple[Endpoint, int, Message]:
        node = Endpoint(settings(CLIENT, peer(US, "10.0.0.1", **more)))
        number = of(node.effects, ev.Connect)[-1].connection
        return node, number, self.cer_of(node, number)

    def cer_of(self, node: Endpoint, number: int, names: tuple[str, ...] | None = None) -> Message:
        return sent(node.feed(ev.Connected(number, *packed("10.0.0.1"), 3868, names=names)), number)[0]

    def test_bad_ones(self) -> None:
        """A CEA that is no use closes the connection, and says why."""
        for text, make in (
            ("Result-Code 3010", lambda to: cea(US, to, 3010)),
            ("Result-Code 5010: no way", lambda to: cea(US, to, 5010, more=avp("Error-Message", "no way"))),
            ("other.example", lambda to: cea("other.example", to)),
            ("no common application", lambda to: cea(US, to, auth=(99,), acct=())),
            ("realm", lambda to: cea(US, to, realm="wrong.example")),
            ("command 257", lambda to: cer(US)),
            ("Result-Code None", lambda to: to.answer(2001, US, REALM)[:20] + capabilities(US)),
        ):
            node, number, to = self.node(realm=REALM)
            data = make(to)
            data = data[:1] + len(data).to_bytes(3, "big") + data[4:]
            found = node.said(number, data)
            self.assertEqual([each.connection for each in of(found, ev.Close)], [number], text)
            self.assertIn(text, of(found, ev.Notify)[0].text)
            self.assertEqual(node.core.table.get(US).state, st.CLOSED)

    def test_wrong_hop_by_hop(self) -> None:
        """An answer to something that was not asked is no CEA."""
        node, number, to = self.node()
        node.said(number, cea(US, Message(to.with_hop_by_hop(9))))
        self.assertEqual(node.core.table.get(US).state, st.CLOSED)

    def test_certificate(self) -> None:
        """The server's certificate has to be for it, too."""
        for names, state in (((US,), st.I_OPEN), (("other.example",), st.CLOSED)):
            node = Endpoint(settings(CLIENT, peer(US, "10.0.0.1", transport="tls"), tls=TLS))
            connect = of(node.effects, ev.Connect)[0]
            self.assertEqual((connect.port, connect.transport), (5868, "tls"))
            to = self.cer_of(node, connect.connection, names)
            self.assertIsNone(to.first(D["Inband-Security-Id"]))
            node.said(connect.connection, cea(US, to))
            self.assertEqual(node.core.table.get(US).state, state)

    def test_pause_after_a_refusal(self) -> None:
        """Who refuses us is asked again after Tc, not at once."""
        node, number, to = self.node()
        node.said(number, cea(US, to, 3010))
        self.assertEqual(of(node.tick(26), ev.Connect), [])
        self.assertEqual(len(of(node.tick(8), ev.Connect)), 1)
