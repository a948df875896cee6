"""freeDiameter as our peer, both ways, in clear text and over TLS, and between our client and our server."""

from typing import Any

from attrs import evolve

from appliance.protocols.diameter.events import Submit
from appliance.protocols.diameter.node import readouts
from appliance.protocols.diameter.settings import (
    EndpointSettings,
    Listener,
    PeerSettings,
    RouteSettings,
)
from appliance.protocols.diameter.transport.link import packed
from test.real.diameter_case import ACCOUNTING, ACR, REALM, Accountant, D, NodeCase, acr, clock
from test.real.freediameter import ITS, OURS, FreeDiameter, missing
from test.real.pki import authority

IDENTITY = "free.example"


class FreeDiameterTests(NodeCase):
    """One daemon for a test."""

    skip = missing() or None

    def setUp(self) -> None:
        """Make its host, and certificates for it and us."""
        super().setUp()
        self.free = FreeDiameter(self.work / "free")
        self.addCleanup(self.free.stop)
        self.free.up()
        trusted = authority(self.work / "pki")
        self.its_tls = trusted.issue(IDENTITY)
        self.our_tls = trusted.issue("node.example")

    def ours(self, transport: str = "tcp", v6: bool = False, **more: Any) -> EndpointSettings:
        """A node of ours that is connected to by it."""
        address = packed(OURS[v6])
        kind, port = ("tls", 5868) if transport == "tls" else ("tcp", 3868)
        wanted = {
            "addresses": (address,),
            "listeners": (Listener(address=address, port=port, transport=kind),),
            "peers": (PeerSettings(name=IDENTITY, realm=REALM, transport=transport),),
            "tls": self.our_tls,
            **more,
        }
        return self.settings("node", **wanted)

    def connecting(self, transport: str = "tcp", v6: bool = False) -> EndpointSettings:
        """A node of ours that connects to it."""
        port = 5868 if transport == "tls" else 3868
        peer = PeerSettings(
            name=IDENTITY, realm=REALM, addresses=(packed(ITS[v6]),), port=port, transport=transport
        )
        return evolve(self.ours(transport, v6), listeners=(), peers=(peer,))

    def opened(self, settings: EndpointSettings, secure: bool) -> Any:
        """Start our node and wait for the connection; it is closed in order by both in the end."""
        node = self.node(settings, Accountant(settings.identity, REALM))
        self.wait(lambda: self.view(node, IDENTITY).state.endswith("Open"), 20)
        view = self.view(node, IDENTITY)
        self.assertEqual(view.secure, secure)
        self.assertTrue(view.relay)
        self.assertEqual(view.product, "freeDiameter")
        self.free.wait("-> 'STATE_OPEN'")
        return node

    def view(self, node: Any, peer: str) -> Any:
        """Also from the reactor's thread."""
        [found] = [each for each in readouts.peers(node.core, clock()) if each.name == peer]
        return found

    def test_it_connects(self) -> None:
        """It connects to us over IPv4 and IPv6, and says good-bye when it stops."""
        for v6 in (False, True):
            connect = f'ConnectPeer = "node.example" {{ No_TLS; ConnectTo = "{OURS[v6]}"; Port = 3868; }};'
            node = self.node(self.ours(v6=v6), Accountant("node.example", REALM))
            self.free.start("", connect, v6=v6)
            self.wait(lambda node=node: self.view(node, IDENTITY).state == "R-Open", 20)
            self.free.wait("-> 'STATE_OPEN'")
            self.free.end()
            self.wait(lambda: self.said(IDENTITY, "good-bye"))
            self.lines.clear()
            self.do(node.stop())

    def test_we_connect(self) -> None:
        """We connect to it over IPv4 and IPv6; watchdogs go both ways; our good-bye is understood."""
        for v6 in (False, True):
            self.free.start("ALLOW_IPSEC *.example", v6=v6)
            node = self.opened(evolve(self.connecting(v6=v6), watchdog_timeout=6), False)
            self.wait(lambda node=node: self.view(node, IDENTITY).statistics.watchdogs_received >= 2, 20)
            self.do(node.stop())
            self.free.wait("STATE_CLOSING")
            self.free.end()

    def test_tls(self) -> None:
        """TLS from the first octet on, both ways."""
        connect = f'ConnectPeer = "node.example" {{ ConnectTo = "{OURS[0]}"; Port = 5868; }};'
        node = self.node(self.ours("tls"), Accountant("node.example", REALM))
        self.free.start("", connect, tls=self.its_tls)
        self.wait(lambda: self.view(node, IDENTITY).state == "R-Open", 20)
        self.assertEqual(self.view(node, IDENTITY).certificate, (IDENTITY,))
        self.free.end()
        self.do(node.stop())
        self.free.start("*.example", tls=self.its_tls)
        self.do(self.opened(self.connecting("tls"), True).stop())

    def test_tls_in_band(self) -> None:
        """TLS behind the exchange of capabilities, both ways."""
        connect = f'ConnectPeer = "node.example" {{ ConnectTo = "{OURS[0]}"; Port = 3868; TLS_old_method; }};'
        node = self.node(self.ours("tls-inband"), Accountant("node.example", REALM))
        self.free.start("", connect, tls=self.its_tls)
        self.wait(lambda: self.view(node, IDENTITY).state == "R-Open", 20)
        self.assertTrue(self.view(node, IDENTITY).secure)
        self.free.wait("-> 'STATE_OPEN'")
        self.free.end()
        self.do(node.stop())
        self.free.start("ALLOW_OLD_TLS *.example", tls=self.its_tls)
        self.do(self.opened(self.connecting("tls-inband"), True).stop())

    def test_wrong_certificates(self) -> None:
        """Of another authority than the other side's: whoever shows it is refused, and we say why."""
        other = authority(self.work / "other", "other")
        trusted = self.our_tls.authorities
        self.free.start("*.example", tls=self.its_tls)
        foreign = evolve(other.issue("node.example"), authorities=trusted)
        node = self.node(evolve(self.connecting("tls"), tls=foreign), Accountant("node.example", REALM))
        self.wait(lambda: self.said(IDENTITY, "no connection") or self.said(IDENTITY, "lost"))
        self.assertFalse(self.call(node.usable, REALM, ACCOUNTING, True))
        self.do(node.stop())
        self.free.end()
        node = self.node(self.ours("tls"), Accountant("node.example", REALM))
        connect = f'ConnectPeer = "node.example" {{ ConnectTo = "{OURS[0]}"; Port = 5868; }};'
        self.free.start("", connect, tls=other.issue(IDENTITY))
        self.wait(lambda: self.said(ITS[0], "TLS"), 20)
        self.assertFalse(self.call(node.usable, REALM, ACCOUNTING, True))

    def test_as_a_relay(self) -> None:
        """It carries our client's requests to our server, and the answers back; a lost server is told."""
        self.free.start("ALLOW_IPSEC *.example")
        server_settings = evolve(
            self.connecting(), name="server", identity="server.example", realm="home.example"
        )
        accountant = Accountant("server.example", "home.example")
        server = self.node(server_settings, accountant)
        client_settings = evolve(
            self.connecting(),
            name="client",
            identity="client.example",
            routes=(RouteSettings(realm="home.example", peer=IDENTITY),),
        )
        client = self.node(client_settings, Accountant("client.example", REALM))
        for node in (server, client):
            self.wait(lambda node=node: self.view(node, IDENTITY).usable, 20)
        for number in range(20):
            answered = self.ask(client, self.far(client, number))
            self.assert_success(answered)
        self.assertEqual(len(accountant.got), 20)
        message = accountant.got[-1].message
        self.assertEqual(accountant.got[-1].peer, IDENTITY)
        self.assertEqual(message.all(D["Route-Record"]), ["client.example"])
        self.assertEqual(message.first(D["Session-Id"]), "client.example;19")
        self.do(server.stop())
        answered = self.ask(client, self.far(client, 99))
        assert answered.message is not None
        self.assertEqual(answered.message.first(D["Result-Code"]), 3002)

    def far(self, client: Any, number: int) -> Any:
        """A request for the server's realm."""
        avps = acr(client.identity, str(number), destination="home.example")
        return Submit(ACR, ACCOUNTING, avps, "home.example", accounting=True)
