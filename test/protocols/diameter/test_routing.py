"""The routing table, redirects, overload reports, repeated answers and Proxy-Info, each by itself."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.node.duplicates import Duplicates, again
from appliance.protocols.diameter.node.events import Reconfigure
from appliance.protocols.diameter.node.overload import HOST, REALM, RECOVERY, Overload
from appliance.protocols.diameter.node.proxying import KEY_SIZE, Proxy
from appliance.protocols.diameter.node.readouts import routes
from appliance.protocols.diameter.node.redirects import Target, parse_uri, uri_of
from appliance.protocols.diameter.node.routing import RoutingTable
from appliance.protocols.diameter.settings import PeerSettings, RouteSettings
from test.protocols.diameter.node_fakes import D, Endpoint, acr, avp, origin, settings

US = "m.home.example"


class MatchTests(SynchronousTestCase):
    ENTRIES = (
        RouteSettings(peer="default"),
        RouteSettings(peer="default-of-4", application=4),
        RouteSettings(realm="*.example", peer="wide"),
        RouteSettings(realm="*.home.example", peer="narrow"),
        RouteSettings(realm="Home.Example", peer="exact", priority=2),
        RouteSettings(realm="home.example", peer="exact-first", priority=1),
        RouteSettings(realm="home.example", peer="exact-of-3", application=3),
        RouteSettings(realm="home.example", host="H.home.example", peer="host"),
        RouteSettings(realm="*", peer="star-is-any", application=9),
    )

    def test_most_specific(self) -> None:
        """Host, then realm (exact, longest, any), then application; equal ones by priority."""
        table = RoutingTable(settings(US, routes=self.ENTRIES), {})
        for realm, host, application, expected in (
            ("home.example", "", 1, ["exact-first", "exact"]),
            ("home.example", "", 3, ["exact-of-3"]),
            ("home.example", "h.home.example", 3, ["host"]),
            ("home.example", "x.home.example", 1, ["exact-first", "exact"]),
            ("a.home.example", "", 1, ["narrow"]),
            ("a.b.home.example", "", 3, ["narrow"]),
            ("example", "", 1, ["wide"]),
            ("x.example", "", 4, ["wide"]),
            ("myhome.example", "", 1, ["wide"]),
            ("notexample", "", 1, ["default"]),
            ("", "", 1, ["default"]),
            ("x.org", "", 4, ["default-of-4"]),
            ("x.org", "", 9, ["star-is-any"]),
        ):
            found = table.match(realm, host, application)
            self.assertEqual([each.peer for each in found], expected, (realm, host, application))

    def test_shown(self) -> None:
        """Realms of peers are routes as long as no entry decides about them."""
        named = PeerSettings(name="Aaa1.example", realm="Home.example", weight=3)
        entries: tuple[RouteSettings, ...] = (
            RouteSettings(realm="home.example", peer="aaa1.example", application=4),
            RouteSettings(realm="home.example", action="local"),
        )
        node = Endpoint(settings(US, named, PeerSettings(name="x.example"), routes=entries))
        shown = list(routes(node.core, node.now))
        self.assertEqual([each.origin for each in shown], ["static", "static", "peer"])
        implied = shown[2]
        self.assertEqual((implied.realm, implied.peer, implied.weight), ("Home.example", "Aaa1.example", 3))
        self.assertFalse(implied.usable)
        # What a peer says goes before what it was configured with.
        node.open_from("x.example", realm="other.example")
        (implied,) = (each for each in routes(node.core, node.now) if each.peer == "x.example")
        self.assertEqual((implied.realm, implied.usable), ("other.example", True))
        entries += (RouteSettings(realm="*.example", peer="aaa1.example"),)
        node.feed(Reconfigure(settings(US, named, PeerSettings(name="x.example"), routes=entries)))
        self.assertEqual([each.origin for each in routes(node.core, node.now)], ["static"] * 3)

    def test_memory(self) -> None:
        """What strangers ask for does not fill the memory."""
        table = RoutingTable(settings(US), {})
        for number in range(25_000):
            table.match(f"r{number}.example", "", 1)
        self.assertLessEqual(len(table._matches), 10_000)


class UriTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """DiameterURI (RFC 6733 section 4.3.1); what is not Diameter over TCP or SCTP is none."""
        for text, expected in (
            ("aaa://host.example", Target("host.example", 3868, "tcp")),
            ("aaa://host.example:6666;transport=tcp", Target("host.example", 6666, "tcp")),
            ("aaa://host.example;transport=sctp;protocol=diameter", Target("host.example", 3868, "sctp")),
            ("aaas://host.example", Target("host.example", 5868, "tls")),
            ("AAAS://host.example:1;transport=sctp", Target("host.example", 1, "dtls")),
            ("aaa://host.example;transport=udp", None),
            ("aaa://host.example;protocol=radius", None),
            ("aaa://host.example:0", None),
            ("aaa://host.example:99999", None),
            ("aaa://", None),
            ("http://host.example", None),
            ("aaa://host.example/path", None),
            ("", None),
        ):
            self.assertEqual(parse_uri(text), expected, text)

    def test_make(self) -> None:
        """What we say of a peer can be read again."""
        for transport, port in (
            ("tcp", 3868),
            ("tls", 5868),
            ("sctp", 3868),
            ("dtls", 5868),
            ("tls-inband", 3868),
        ):
            text = uri_of(PeerSettings(name="h.example", transport=transport))
            target = parse_uri(text)
            kind = "tcp" if transport == "tls-inband" else transport
            self.assertEqual(target, Target("h.example", port, kind), text)


def report(
    sequence: int, percentage: int | None = 50, seconds: int | None = 60, kind: int = HOST, more: bytes = b""
) -> bytes:
    inner = D["OC-Sequence-Number"].encode(sequence) + D["OC-Report-Type"].encode(kind)
    if percentage is not None:
        inner += D["OC-Reduction-Percentage"].encode(percentage)
    if seconds is not None:
        inner += D["OC-Validity-Duration"].encode(seconds)
    return D["OC-OLR"].encode(inner) + more


def answer(*avps: bytes) -> Message:
    body = avp("Result-Code", 2001) + origin("Srv.home.example") + b"".join(avps)
    return Message(frame(271, 3, 0x40, 1, 1, body))


class OverloadTests(SynchronousTestCase):
    """RFC 7683 sections 5.2.1.3 and 6.3."""

    def overload(self, uniform: float = 0.49) -> Overload:
        return Overload(lambda: uniform)

    def drops(
        self, overload: Overload, mono: float, kind: int = HOST, name: str = "srv.home.example"
    ) -> bool:
        return overload.drops(3, kind, name, mono)

    def test_reduction(self) -> None:
        """That share of requests is dropped, for this host and application, until the report has run out."""
        for uniform, expected in ((0.49, True), (0.51, False)):
            overload = self.overload(uniform)
            self.assertEqual(overload.note(answer(report(1)), 100.0), 1)
            self.assertEqual(self.drops(overload, 150.0), expected)
            self.assertFalse(overload.drops(4, HOST, "srv.home.example", 150.0))
            self.assertFalse(self.drops(overload, 150.0, REALM, "home.example"))

    def test_realm(self) -> None:
        """A realm report is about the Origin-Realm."""
        overload = self.overload()
        overload.note(answer(report(1, kind=REALM)), 100.0)
        self.assertTrue(self.drops(overload, 101.0, REALM, "home.example"))
        self.assertFalse(self.drops(overload, 101.0))

    def test_sequence(self) -> None:
        """Only greater numbers are news; a roll-over is one."""
        overload = self.overload()
        for sequence, percentage, news in (
            (10, 50, 1), (10, 90, 0), (9, 90, 0), (11, 60, 1), ((1 << 64) - 5, 70, 1), (3, 80, 1), (2, 90, 0),
        ):  # fmt: skip
            self.assertEqual(overload.note(answer(report(sequence, percentage)), 100.0), news, sequence)
        self.assertEqual([each.percentage for each in overload.views(100.0)], [80])

    def test_end(self) -> None:
        """A report that has run out, or is taken back, ends little by little."""
        for seconds, take_back in ((10, False), (600, True)):
            overload = self.overload(0.30)
            overload.note(answer(report(1, 50, seconds)), 100.0)
            if take_back:
                overload.note(answer(report(2, None, 0)), 110.0)
            self.assertTrue(self.drops(overload, 110.0 + RECOVERY * 0.3))
            self.assertFalse(self.drops(overload, 110.0 + RECOVERY * 0.5))
            self.assertFalse(self.drops(overload, 111.0 + RECOVERY))
            self.assertEqual(len(overload), 0)

    def test_defaults_and_nonsense(self) -> None:
        """30 seconds where none, or too many, are given; more than 100 percent and rubbish are ignored."""
        overload = self.overload(0.0)
        for seconds in (None, 86_401):
            overload = self.overload(0.0)
            overload.note(answer(report(1, 50, seconds)), 100.0)
            self.assertEqual(next(overload.views(100.0)).lifetime, 30)
        overload = self.overload(0.0)
        other = D["OC-Supported-Features"].encode(D["OC-Feature-Vector"].encode(2))
        for message in (
            answer(report(1, 101)),
            answer(report(1, 50, 0)),
            answer(report(1, kind=7)),
            answer(report(1, more=other)),
            answer(D["OC-OLR"].encode(b"")),
            answer(D["OC-OLR"].encode(b"\0\0\2\x70\0\0\0\xff")),
            answer(),
        ):
            self.assertEqual(overload.note(message, 100.0), 0)
        self.assertEqual(len(overload), 0)

    def test_memory(self) -> None:
        """The number of reports has a limit, and what is over goes."""
        overload = self.overload()
        for number in range(1500):
            body = avp("Result-Code", 2001) + origin(f"h{number}.example") + report(1)
            overload.note(Message(frame(271, 3, 0x40, 1, 1, body)), 100.0)
        self.assertEqual(len(overload), 1000)
        overload.expire(200.0)
        self.assertEqual(len(overload), 0)


class DuplicateTests(SynchronousTestCase):
    def key(self, number: int) -> Any:
        return (b"host", number, 271, b"s")

    def test_time(self) -> None:
        """Answers are forgotten after their time."""
        kept = Duplicates(240)
        kept.put(self.key(1), b"one", 100.0)
        kept.put(self.key(2), b"two", 200.0)
        self.assertEqual(kept.get(self.key(1), 339.0), b"one")
        self.assertIsNone(kept.get(self.key(1), 341.0))
        self.assertEqual((kept.get(self.key(2), 341.0), len(kept)), (b"two", 1))

    def test_octets(self) -> None:
        """So many octets are kept, the newest; a monster is not."""
        kept = Duplicates(240)
        for number in range(200):
            kept.put(self.key(number), bytes((1 << 20) - 16), 100.0)
        self.assertLessEqual(len(kept), 64)
        self.assertIsNotNone(kept.get(self.key(199), 100.0))
        kept.put(self.key(999), bytes(1 << 20), 100.0)
        self.assertIsNone(kept.get(self.key(999), 100.0))
        kept.clear()
        self.assertEqual(len(kept), 0)

    def test_again(self) -> None:
        """The same answer for another way: its Hop-by-Hop Id, its Proxy-Info in their order, nothing else."""
        infos = [
            D["Proxy-Info"].encode(avp("Proxy-Host", name) + avp("Proxy-State", b"x")) for name in ("a", "b")
        ]
        first = Message(acr(hop=1, more=infos[0]))
        given = first.answer(2001, US, "home.example", avp("Error-Message", "hello"))
        second = Message(acr(hop=9, more=infos[1] + infos[0]))
        made = Message(again(given, second))
        self.assertEqual(made.octets(D["Proxy-Info"]), [infos[1], infos[0]])
        self.assertEqual((made.hop_by_hop, made.first(D["Error-Message"])), (9, "hello"))
        plain = Message(again(given, Message(acr(hop=4))))
        self.assertEqual(plain.octets(D["Proxy-Info"]), [])


class ProxyTests(SynchronousTestCase):
    def test_state(self) -> None:
        """Our Proxy-Info, the last one, is taken out; a changed or foreign state is told."""
        proxy, other = Proxy(b"k" * KEY_SIZE), Proxy(b"o" * KEY_SIZE)
        foreign = D["Proxy-Info"].encode(avp("Proxy-Host", "x.example") + avp("Proxy-State", b"x"))
        request = Message(acr(hop=5, more=foreign))
        for maker, peer, good in (
            (proxy, "a.example", True),
            (other, "a.example", False),
            (proxy, "b.example", False),
        ):
            sent = Message(acr(hop=5, more=foreign + maker.info(US, request, peer)))
            back = Message(sent.answer(2001, "srv", "home.example"))
            octets, found = proxy.strip(back, US.upper(), request, "a.example")
            self.assertEqual(found, good)
            made = Message(octets)
            self.assertEqual(made.octets(D["Proxy-Info"]), [foreign])
            self.assertEqual(made.hop_by_hop, 5)

    def test_not_ours(self) -> None:
        """A last Proxy-Info of somebody else stays, and so does an answer without any."""
        proxy = Proxy(b"k" * KEY_SIZE)
        foreign = D["Proxy-Info"].encode(avp("Proxy-Host", "x.example") + avp("Proxy-State", b"x"))
        request = Message(acr(hop=5))
        for more in (foreign, b""):
            back = Message(Message(acr(hop=7, more=more)).answer(2001, "srv", "home.example"))
            octets, good = proxy.strip(back, US, request, "a.example")
            self.assertFalse(good)
            self.assertEqual(octets[20:], back.data[20:])
