"""Peers out of the DNS, asked of a real name server on loopback."""

import asyncio
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.names import authority, dns, server

from appliance.protocols.diameter.events import Submit
from appliance.protocols.diameter.node.events import Found, Lookup
from appliance.protocols.diameter.settings import Listener, PeerSettings
from appliance.protocols.diameter.transport.dns import Resolver
from appliance.protocols.diameter.transport.link import packed
from test.real.diameter_case import ACCOUNTING, Accountant, NodeCase, acr, free_port

REALM = "home.test"
ALL = frozenset({"tcp", "tls", "sctp"})
TTL = 600


def naptr(order: int, preference: int, flags: str, service: str, target: str, regexp: str = "") -> Any:
    """A NAPTR record."""
    return dns.Record_NAPTR(
        order, preference, flags.encode(), service.encode(), regexp.encode(), target, ttl=TTL
    )


def srv(priority: int, weight: int, port: int, target: str, ttl: int = TTL) -> Any:
    """An SRV record."""
    return dns.Record_SRV(priority, weight, port, target, ttl=ttl)


class DnsTests(NodeCase):
    """A name server for one zone."""

    def zone(self, **records: list[Any]) -> None:
        """Serve these records of the realm: names without it, ``at`` for itself."""
        found = {REALM: [dns.Record_SOA(REALM, f"admin.{REALM}", 1, 60, 60, 60, 60)]}
        for name, entries in records.items():
            place = REALM if name == "at" else f"{name.replace('__', '.').replace('dash', '-')}.{REALM}"
            found.setdefault(place, []).extend(entries)

        class Zone(authority.FileAuthority):
            def loadFile(self, filename: Any) -> None:
                self.records = {name.lower().encode(): entries for name, entries in found.items()}
                self.soa = REALM.encode(), found[REALM][0]

        factory = server.DNSServerFactory(authorities=[Zone("")])
        self.port = free_port()
        udp = self.call(
            lambda: self.reactor.listenUDP(
                self.port, dns.DNSDatagramProtocol(factory, reactor=self.reactor), "127.0.0.1"
            )
        )
        tcp = self.call(lambda: self.reactor.listenTCP(self.port, factory, 50, "127.0.0.1"))

        async def end() -> None:
            for each in (udp, tcp):
                await each.stopListening().asFuture(asyncio.get_running_loop())

        self.addCleanup(lambda: self.do(end()))

    def find(self, application: int | None = ACCOUNTING, name: str = REALM, **more: Any) -> Found:
        """Look something up."""
        transports = more.pop("transports", ALL)
        resolver = Resolver(self.reactor, more.pop("servers", [("127.0.0.1", self.port)]))

        async def find() -> Found:
            work: Deferred[Found] = resolver.find(Lookup(name, application, **more), transports)
            return await work.asFuture(asyncio.get_running_loop())

        found: Found = self.do(find())
        return found

    def test_s_naptr(self) -> None:
        """NAPTR, SRV, addresses: in their order, with ports, weights and the shortest lifetime."""
        self.zone(
            at=[
                naptr(20, 1, "s", "aaa:diameter.tcp", f"_diameter._tcp.{REALM}"),
                naptr(10, 2, "a", f"aaa+ap{ACCOUNTING}:diameter.sctp", f"one.{REALM}"),
                naptr(10, 1, "s", f"AAA+AP{ACCOUNTING}:diameter.tls.tcp", f"_diameters._tcp.{REALM}"),
                naptr(5, 1, "s", "aaa+ap4:diameter.tcp", f"_other._tcp.{REALM}"),
                naptr(1, 1, "u", "E2U+sip", "", "!^.*$!sip:x@y!"),
            ],
            _diameters___tcp=[srv(2, 5, 15_868, f"two.{REALM}"), srv(1, 7, 5868, f"three.{REALM}", 120)],
            _diameter___tcp=[srv(1, 1, 3868, f"four.{REALM}")],
            one=[dns.Record_A("192.0.2.1", TTL), dns.Record_AAAA("2001:db8::1", TTL)],
            two=[dns.Record_A("192.0.2.2", TTL)],
            three=[dns.Record_A("192.0.2.3", TTL)],
            four=[dns.Record_AAAA("2001:db8::4", TTL)],
        )
        found = self.find()
        self.assertEqual(
            [(each.identity, each.port, each.transport, each.weight) for each in found.peers],
            [
                (f"three.{REALM}", 5868, "tls", 7),
                (f"two.{REALM}", 15_868, "tls", 5),
                (f"one.{REALM}", 3868, "sctp", 1),
                (f"four.{REALM}", 3868, "tcp", 1),
            ],
        )
        self.assertEqual(found.peers[2].addresses, (packed("192.0.2.1"), packed("2001:db8::1")))
        priorities = [each.priority for each in found.peers]
        self.assertEqual(priorities, sorted(set(priorities)))
        self.assertEqual((found.lifetime, found.name, found.application), (120, REALM, ACCOUNTING))
        clear = self.find(transports=frozenset({"tcp"}))
        self.assertEqual([each.identity for each in clear.peers], [f"four.{REALM}"])

    def test_srv_only(self) -> None:
        """Without NAPTR records the well-known SRV names are asked for, the secure one first."""
        self.zone(
            _diameter___tcp=[srv(1, 1, 3868, f"one.{REALM}")],
            _diameters___tcp=[srv(1, 1, 5868, f"two.{REALM}")],
            one=[dns.Record_A("192.0.2.1", TTL)],
            two=[dns.Record_A("192.0.2.2", TTL)],
        )
        self.assertEqual([each.transport for each in self.find().peers], ["tls", "tcp"])

    def test_other_names(self) -> None:
        """Whoever can forge an answer cannot send us to another domain."""
        self.zone(
            at=[
                naptr(1, 1, "a", "aaa:diameter.tcp", "evil.test"),
                naptr(2, 1, "s", "aaa:diameter.tcp", f"_diameter._tcp.{REALM}"),
            ],
            _diameter___tcp=[srv(1, 1, 3868, "evil.test"), srv(2, 1, 3868, f"one.{REALM}")],
            one=[dns.Record_A("192.0.2.1", TTL)],
        )
        self.assertEqual([each.identity for each in self.find().peers], [f"one.{REALM}"])

    def test_loops_and_floods(self) -> None:
        """NAPTR records that lead back, and more hosts than anybody needs, end."""
        self.zone(
            at=[
                naptr(1, 1, "", "aaa:diameter.tcp", REALM),
                naptr(2, 1, "s", "aaa:diameter.tcp", f"_diameter._tcp.{REALM}"),
            ],
            _diameter___tcp=[srv(1, 1, 3868, f"h{number}.{REALM}") for number in range(40)],
            **{f"h{number}": [dns.Record_A("192.0.2.1", TTL)] * 20 for number in range(40)},
        )
        found = self.find()
        self.assertEqual(len(found.peers), 16)
        self.assertEqual(max(len(each.addresses) for each in found.peers), 8)

    def test_nothing(self) -> None:
        """A realm without records, a name that does not exist, a server that does not answer."""
        self.zone(one=[dns.Record_A("192.0.2.1", TTL)])
        for found in (self.find(), self.find(name=f"nobody.{REALM}")):
            self.assertEqual(found.peers, ())
            self.assertTrue(found.text)
        began = time.monotonic()
        dead = self.find(servers=[("127.0.0.1", free_port())])
        self.assertEqual((dead.peers, dead.text), ((), "the name server does not answer"))
        self.assertLess(time.monotonic() - began, 6)

    def test_a_host(self) -> None:
        """The addresses of one host, as a redirect names it."""
        self.zone(one=[dns.Record_A("192.0.2.1", TTL)])
        [peer] = self.find(None, f"one.{REALM}", port=3868, transport="tcp").peers
        self.assertEqual(
            (peer.identity, peer.addresses, peer.port), (f"one.{REALM}", (packed("192.0.2.1"),), 3868)
        )

    def test_a_node_finds_its_server(self) -> None:
        """A request for a realm that nobody is configured for goes to the server that the DNS names."""
        address, port = packed("127.0.0.1"), free_port()
        self.zone(
            at=[naptr(1, 1, "s", "aaa:diameter.tcp", f"_diameter._tcp.{REALM}")],
            _diameter___tcp=[srv(1, 1, port, f"server.{REALM}")],
            server=[dns.Record_A("127.0.0.1", TTL)],
        )
        accountant = Accountant(f"server.{REALM}", REALM)
        self.node(
            self.settings(
                "server",
                identity=f"server.{REALM}",
                realm=REALM,
                listeners=(Listener(address=address, port=port),),
                peers=(PeerSettings(name="client.example"),),
            ),
            accountant,
        )
        client = self.node(self.settings("client", discovery=True), Accountant("client.example", "example"))
        client._resolver = Resolver(self.reactor, [("127.0.0.1", self.port)])
        avps = acr(client.identity, destination=REALM)
        self.assert_success(self.ask(client, Submit(271, ACCOUNTING, avps, REALM, accounting=True)))
        self.assertEqual(len(accountant.got), 1)
