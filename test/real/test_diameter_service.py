"""An endpoint as a service: start, change, stop, what it shows, what it tells the tap."""

import secrets
import socket
from typing import Any

from attrs import evolve

from appliance.diameter_service import DiameterService
from appliance.errors import ResourceError
from appliance.protocols.diameter.settings import EndpointSettings, Listener, PeerSettings, TlsSettings
from appliance.protocols.diameter.transport.link import packed
from appliance.tap import INBOUND, OUTBOUND, Tap, TappedDiameter
from test.real.diameter_case import ACCOUNTING, REALM, Accountant, NodeCase, clock, free_port
from test.real.pki import authority

ADDRESS = packed("127.0.0.1")


class ServiceTests(NodeCase):
    def service(self, settings: EndpointSettings, tap: Tap | None = None) -> DiameterService:
        """A service that is stopped after the test."""
        made: DiameterService = self.call(
            lambda: DiameterService(
                settings,
                reactor=self.reactor,
                clock=clock,
                random_bits=secrets.randbits,
                tell=self.tell,
                tap=tap,
            )
        )
        self.addCleanup(lambda: self.do(made.stop()))
        return made

    def listening(self, name: str = "server", port: int = 0, **more: Any) -> EndpointSettings:
        """Settings of an endpoint that listens."""
        listener = Listener(address=ADDRESS, port=port or free_port())
        return self.settings(name, context="aaa", addresses=(ADDRESS,), listeners=(listener,), **more)

    def refused(self, settings: EndpointSettings, *parts: str) -> None:
        """It does not start, and the text says why; it can be stopped all the same."""
        service = self.service(settings)
        text = str(self.assertRaises(ResourceError, self.do, service.start()))
        for part in (f"Diameter endpoint {settings.name}: ", *parts):
            self.assertIn(part, text)
        self.assertEqual(service.state, "Initialized")
        self.do(service.stop())

    def test_state_and_facts(self) -> None:
        """Started after the start, initialized before and after; the facts name what there is."""
        tls = authority(self.work).issue("server.example")
        settings = self.listening(tls=tls)
        service = self.service(settings)
        self.assertEqual(service.state, "Initialized")
        self.assertEqual(dict(service.facts())["Certificate"], "None")
        self.do(service.start())
        facts = dict(service.facts())
        self.assertEqual((service.state, facts["Endpoint Status"]), ("Started", "Started"))
        self.assertEqual(facts["Origin Host"], "server.example")
        self.assertEqual(facts["Listening"], f"tcp port {settings.listeners[0].port} on 127.0.0.1")
        self.assertEqual(facts["Certificate Names"], "server.example")
        self.assertEqual((service.node.identity, service.node.realm), ("server.example", REALM))
        self.assertGreater(service.node.origin_state_id, 0)
        self.do(service.stop())
        self.assertEqual(service.state, "Initialized")

    def test_without_identity(self) -> None:
        """It is not bound, so it does not start."""
        service = self.service(evolve(self.listening(), identity=""))
        self.do(service.start())
        self.assertEqual(service.state, "Initialized")

    def test_what_cannot_be_had(self) -> None:
        """Ports, addresses, certificates and transports that are not there are named with what to do."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.refused(self.listening(port=other.getsockname()[1]), "in use by another process")
        good = self.listening()
        foreign = Listener(address=packed("192.0.2.77"), port=3868)
        self.refused(evolve(good, listeners=(*good.listeners, foreign)), "192.0.2.77", "not on this host")
        with socket.socket() as free:
            # The listener that could be had was closed again.
            free.bind(("127.0.0.1", good.listeners[0].port))
        self.refused(
            evolve(good, peers=(PeerSettings(name="a.example", transport="tls"),)), "tls certificate"
        )
        nothing = TlsSettings(certificate="/nowhere.pem", private_key="/nowhere", authorities="/nowhere")
        self.refused(evolve(good, tls=nothing), "/nowhere.pem", "give the path")
        self.refused(evolve(good, peers=(PeerSettings(name="a.example", transport="dtls"),)), "transport tls")

    def test_views_and_commands(self) -> None:
        """Peers, routes and figures; a peer that is disabled is not connected to."""
        settings = self.listening(peers=(PeerSettings(name="client.example"),))
        service = self.service(settings)
        self.call(service.node.serve, Accountant("server.example", REALM))
        self.do(service.start())
        peer = PeerSettings(name="server.example", addresses=(ADDRESS,), port=settings.listeners[0].port)
        client = self.service(self.settings("client", peers=(peer,)))
        self.call(client.node.serve, Accountant("client.example", REALM, frozenset({"nobody"})))
        self.do(client.start())
        self.wait(lambda: next(service.peers()).state.endswith("Open"))
        self.assertEqual(client.peer_names(), ["server.example"])
        self.assertEqual((service.transport.accepted, client.transport.connected), (1, 1))
        self.assertEqual(list(self.call(lambda: list(client.queue()))), [])
        self.call(client.command, "disable", "server.example")
        self.wait(lambda: next(client.peers()).state == "Disabled")
        self.wait(lambda: dict(service.facts())["Connections"] == "0")
        self.call(client.command, "enable", "server.example")
        self.wait(lambda: next(service.peers()).state.endswith("Open"))

    def test_tap(self) -> None:
        """Messages of both directions are told while somebody listens, with both ends and the peer's name."""
        tap = Tap()
        settings = self.listening(peers=(PeerSettings(name="client.example"),))
        service = self.service(settings, tap)
        self.call(service.node.serve, Accountant("server.example", REALM))
        self.do(service.start())
        port = settings.listeners[0].port
        _, client, _ = self.pair(peer={"port": port})
        self.call(client.usable, REALM, ACCOUNTING, True)
        subscription = self.call(tap.subscribe)
        self.assert_success(self.ask(client))
        items = [each for each in self.call(subscription.take) if isinstance(each, TappedDiameter)]
        self.assertEqual([each.direction for each in items], [INBOUND, OUTBOUND])
        first, second = items
        self.assertEqual((first.service, first.name, first.transport), ("server", "client.example", "tcp"))
        self.assertEqual((first.destination, first.destination_port), (ADDRESS, port))
        self.assertEqual((second.source_port, second.destination_port), (port, first.source_port))
