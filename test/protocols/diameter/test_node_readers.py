"""Everything that a node says by itself, read by tshark: no message of it is malformed or unknown."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.events import Advertised
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.node import events as ev
from appliance.protocols.diameter.settings import RouteSettings, TlsSettings
from test.protocols.diameter import test_readers
from test.protocols.diameter.node_fakes import (
    REALM,
    Endpoint,
    Wire,
    acr,
    avp,
    cer,
    of,
    peer,
    settings,
    submit,
)

CLIENT, PROXY, REDIRECT, SERVER = (
    "client.home.example",
    "proxy.home.example",
    "redirect.home.example",
    "server.far.example",
)
TLS = TlsSettings(certificate="c", private_key="k", authorities="a")


def network() -> Wire:
    """A client, a proxy, a redirect agent and a server that have done all that nodes do with each other."""
    wire = Wire()
    server = wire.add(
        settings(SERVER, peer(CLIENT), peer(PROXY, transport="tls-inband"), realm="far.example", tls=TLS),
        "10.0.0.1",
    )
    routes = (RouteSettings(realm="far.example", peer=SERVER),)
    proxy = wire.add(
        settings(
            PROXY,
            peer(SERVER, "10.0.0.1", transport="tls-inband"),
            peer(CLIENT),
            routes=routes,
            agent="proxy",
            tls=TLS,
        ),
        "10.0.0.2",
    )
    redirect = wire.add(
        settings(
            REDIRECT,
            peer(SERVER, "10.0.0.1", connect=False),
            peer(CLIENT),
            routes=routes,
            agent="redirect",
            redirect_usage=3,
            redirect_cache_time=60,
        ),
        "10.0.0.3",
    )
    client = wire.add(
        settings(
            CLIENT,
            peer(PROXY, "10.0.0.2"),
            peer(REDIRECT, "10.0.0.3"),
            peer(SERVER, "10.0.0.1"),
            routes=(
                RouteSettings(realm="far.example", peer=REDIRECT, application=3),
                RouteSettings(peer=PROXY),
            ),
        )
    )
    wire.start(server, client)
    wire.start(proxy, redirect, serve=False)
    wire.wait(40)
    for realm in ("far.example", "other.example", REALM):
        client.send(submit(realm=realm, origin_host=CLIENT))
        client.send(submit(realm=realm, origin_host=CLIENT, host="nobody.example", prefer=((PROXY, 1),)))
    wire.run()
    client.feed(ev.Stop())
    wire.run()
    return wire


class Tshark(SynchronousTestCase):
    def read(self, messages: dict[str, bytes]) -> None:
        """Nothing is malformed, and tshark finds what was sent."""
        test_readers.Tshark("test_golden_messages").read(messages)

    def test_a_network(self) -> None:
        """CER to DPA, requests with Route-Record and Proxy-Info, their answers, redirects, errors."""
        wire = network()
        messages = {
            f"{number} {name}": effect.data
            for number, (name, effect) in enumerate(wire.log)
            if isinstance(effect, ev.Transmit)
        }
        kinds = {(message.code, message.is_request) for message in map(Message, messages.values())}
        self.assertEqual(kinds, {(code, way) for code in (257, 271, 280, 282) for way in (False, True)})
        self.read(messages)

    def test_refusals(self) -> None:
        """The answers to CERs that are not accepted and to requests that are wrong."""
        node = Endpoint(settings(SERVER, peer(CLIENT), peer(PROXY, transport="tls")), serve=False)
        node.feed(ev.Serve(1, (Advertised(3, acct=True), Advertised(16777250, auth=True, vendor=10415))))
        node.feed(ev.Start())
        for data in (
            cer("evil.example"),
            cer(PROXY),
            cer(CLIENT, auth=(99,), acct=()),
            cer(CLIENT, auth=(), acct=(), more=avp("Vendor-Specific-Application-Id", avp("Vendor-Id", 1))),
        ):
            node.said(node.accept(), data)
        number = node.open_from(CLIENT)
        wrong = acr().replace(avp("Accounting-Record-Type", 2), b"")
        node.said(number, wrong[:1] + len(wrong).to_bytes(3, "big") + wrong[4:])
        node.said(number, acr(host="other.example", end=5), acr(realm="other.example", end=6))
        node.feed(ev.Unreadable(number, 5015, "a message of 7 octets", acr()[:20]))
        answers = [each.data for each in of(node.effects, ev.Transmit)]
        self.assertEqual(len(answers), 9)
        self.read({f"answer {place}": data for place, data in enumerate(answers)})
