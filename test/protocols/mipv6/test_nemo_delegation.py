"""Prefix delegation to mobile routers (RFC 6276), message by message."""

from struct import pack
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp6 import DHCP6_RelayReply, DHCP6OptRelayMsg
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcpv6 import Association, Leased, Message, Relayed
from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mipv6.events import DatagramReceived, ListenDatagrams, SendDatagram
from appliance.protocols.mobility.packet import build_udp
from appliance.protocols.pmipv6.events import Install, Notify, Reconfigure
from appliance.protocols.pmipv6.option_settings import DelegationPool
from test.protocols.mipv6.fakes import ALICE, BOB, CARE1, CARE2, HOME, HOME2
from test.protocols.mipv6.test_nemo import ROUTER, RouterCase, mnp, profile
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

POOL = DelegationPool(name="NETS", prefix=packed("2001:db8:e000::"), prefix_length=54, delegated_length=56)
PREFIXES = [(packed(f"2001:db8:e000:{number}00::"), 56) for number in range(4)]
CLIENT = bytes.fromhex("00030001020000000001")


class DelegationCase(RouterCase):
    """Two mobile routers without networks of their own, and a pool of four."""

    def setUp(self) -> None:
        """Bind the first one."""
        self.with_settings(
            mipv6_mobile_routers=True,
            mipv6_prefix_delegation=True,
            mipv6_delegation_lifetime=1000,
            delegation_pools=(POOL,),
            profiles=(profile(ALICE, delegation=True), profile(BOB, delegation=True)),
        )
        self.assertEqual(self.router(lifetime=1000).status, 0)

    def message(
        self, kind: int, *prefixes: Any, iaid: int = 1, rapid: bool = False, home: bytes = HOME
    ) -> bytes:
        """A relayed message of a router's client, as RFC 6276 section 3.1.2 says."""
        ia = Association(iaid, prefixes=[Leased(*prefix) for prefix in prefixes])
        options = [(dhcp.CLIENT_ID, CLIENT), dhcp.pack_association(ia)]
        if rapid:
            options.append((dhcp.RAPID_COMMIT, b""))
        if kind in (dhcp.REQUEST, dhcp.RENEW, dhcp.RELEASE):
            options.append((dhcp.SERVER_ID, bytes.fromhex("0003001b") + LMA_ADDRESS[8:]))
        inner = dhcp.encode(Message(kind, b"\1\2\3", options))
        return dhcp.encode(Relayed(dhcp.RELAY_FORWARD, 1, home, home, [(dhcp.RELAY_MESSAGE, inner)]))

    def datagram(self, data: bytes, home: bytes = HOME) -> bytes:
        """The same in UDP, with the checksum over the home address."""
        whole = pack(">HHHH", 547, 547, 8 + len(data), 0) + data
        checksum = internet_checksum(pseudo_header(home, LMA_ADDRESS, len(whole), 17) + whole)
        return whole[:6] + pack(">H", checksum) + whole[8:]

    def by_option(self, data: bytes, home: bytes = HOME, care_of: bytes = CARE1) -> None:
        """Bring a datagram in by Home Address option."""
        self.world.octets(bytes((17, 2, 1, 2, 0, 0, 201, 16)) + home + data, care_of)

    def sent(self) -> list[SendDatagram]:
        """The datagrams among the last effects."""
        return [each for each in self.world.effects if isinstance(each, SendDatagram)]

    def answer(self) -> Message:
        """The one that was sent, out of its relay message."""
        (one,) = self.sent()
        relayed = dhcp.decode(one.data[8:])
        assert isinstance(relayed, Relayed)
        inner = dhcp.decode(relayed.first(dhcp.RELAY_MESSAGE) or b"")
        assert isinstance(inner, Message)
        return inner

    def given(self) -> Association:
        """The IA_PD in the answer."""
        return dhcp.association(self.answer().first(dhcp.IA_PD) or b"")

    def ask(self, kind: int, *prefixes: Any, **what: Any) -> Association:
        """Ask by Home Address option; the IA_PD of the answer."""
        self.by_option(self.datagram(self.message(kind, *prefixes, **what)))
        return self.given()


class ExchangeTests(DelegationCase):
    """RFC 6276 section 3."""

    def test_four_messages(self) -> None:
        """Nothing is forwarded before the Reply; then the prefix is in the binding and in the tunnel."""
        offered = self.ask(dhcp.SOLICIT).prefixes[0]
        self.assertEqual((offered.prefix, offered.length, offered.valid), (*PREFIXES[0], 1000))
        self.assertEqual(self.networks(), ())
        leased = self.ask(dhcp.REQUEST, PREFIXES[0])
        self.assertEqual((leased.t1, leased.t2, leased.prefixes[0].prefix), (500, 800, PREFIXES[0][0]))
        self.assertEqual(self.networks(), (PREFIXES[0][0],))
        self.assertEqual(self.world.of_kind(Install)[0].prefixes, ((HOME, 128), PREFIXES[0]))

    def test_the_way_back(self) -> None:
        """Section 3.1: a type 2 routing header, to UDP port 547; Scapy reads all of it."""
        self.by_option(self.datagram(self.message(dhcp.SOLICIT)))
        (sent,) = self.sent()
        packet = IPv6(build_udp(sent.data, sent.source, sent.home, sent.care_of))
        routing = packet[IPv6ExtHdrRouting]
        self.assertEqual((packed(packet.dst), routing.type, packed(routing.addresses[0])), (CARE1, 2, HOME))
        udp = UDP(sent.data)
        self.assertEqual((udp.sport, udp.dport), (547, 547))
        pseudo = pseudo_header(LMA_ADDRESS, HOME, len(sent.data), 17)
        self.assertEqual(internet_checksum(pseudo + sent.data), 0)
        relayed = udp[DHCP6_RelayReply]
        self.assertEqual((packed(relayed.linkaddr), packed(relayed.peeraddr)), (HOME, HOME))
        self.assertEqual(relayed[DHCP6OptRelayMsg].message.msgtype, dhcp.ADVERTISE)

    def test_rapid_commit(self) -> None:
        """Section 3.4: two messages."""
        self.assertEqual(self.ask(dhcp.SOLICIT, rapid=True).prefixes[0].prefix, PREFIXES[0][0])
        self.assertEqual(self.networks(), (PREFIXES[0][0],))

    def test_through_the_tunnel(self) -> None:
        """A datagram out of the tunnel is answered into it; a client without a relay agent at port 546."""
        plain = dhcp.encode(Message(dhcp.SOLICIT, b"abc", [(dhcp.CLIENT_ID, CLIENT)]))
        for data, port in ((self.message(dhcp.SOLICIT), 547), (plain, 546)):
            self.world.lma.receive(DatagramReceived(data, HOME, LMA_ADDRESS, 547), self.world.now)
            self.world.effects = self.world.lma.take()
            self.assertEqual((self.sent()[0].care_of, self.sent()[0].data[2:4]), (b"", pack(">H", port)))

    def test_not_answered(self) -> None:
        """Who is not bound as a mobile router, or not there, or has no sound datagram, gets nothing."""
        good = self.datagram(self.message(dhcp.SOLICIT))
        short, unsealed = good[:4] + pack(">H", 7) + good[6:], good[:6] + b"\0\0" + good[8:]
        for data in (good[:-1] + b"x", good[:7], short, unsealed):
            self.by_option(data)
            self.assertEqual(self.sent(), [])
        self.by_option(good, care_of=CARE2)
        self.assertEqual(self.sent(), [])
        self.world.host(mn=BOB, home=HOME2)
        self.by_option(self.datagram(self.message(dhcp.SOLICIT, home=HOME2), HOME2))
        self.assertEqual(self.sent(), [])

    def test_listening(self) -> None:
        """The port is open while there is somebody who answers."""
        self.world.pass_time(0.1)
        self.assertEqual(self.heard, [ListenDatagrams((547,))])
        fresh = evolve(self.world.settings, mipv6_prefix_delegation=False)
        self.world.lma.receive(Reconfigure(fresh), self.world.now)
        self.world.pass_time(0.1)
        self.assertEqual(self.heard, [ListenDatagrams(())])
        self.by_option(self.datagram(self.message(dhcp.SOLICIT)))
        self.assertEqual(self.sent(), [])

    def test_bound_to_ipv4_alone(self) -> None:
        """No hosts are served then, and there is no address to listen at."""
        self.world.lma.receive(Reconfigure(evolve(self.world.settings, address=b"")), self.world.now)
        self.world.pass_time(0.1)
        self.assertEqual(self.heard, [])

    @property
    def heard(self) -> list[ListenDatagrams]:
        """What is to be listened to by the last effects."""
        return [each for each in self.world.effects if isinstance(each, ListenDatagrams)]


class LeaseTests(DelegationCase):
    """How long what is forwarded."""

    def test_a_binding_has_its_leases(self) -> None:
        """An implicit update registers what is leased; an explicit one may; nobody else may."""
        self.ask(dhcp.REQUEST)
        self.router(lifetime=0)
        self.world.pass_time(11)
        self.assertEqual(self.router().status, 0)
        self.assertEqual(self.networks(), (PREFIXES[0][0],))
        self.assertEqual(self.router(mnp(*PREFIXES[0])).status, 0)
        answer = self.router(mnp(*PREFIXES[0]), mn=BOB, home=HOME2, care_of=CARE2)
        self.assertEqual(answer.status, 142)

    def test_another_gets_another(self) -> None:
        """While the first router is away too."""
        self.ask(dhcp.REQUEST)
        self.router(lifetime=0)
        self.router(mn=BOB, home=HOME2, care_of=CARE2)
        message = self.message(dhcp.REQUEST, PREFIXES[0], home=HOME2)
        self.by_option(self.datagram(message, HOME2), HOME2, CARE2)
        self.assertEqual(self.given().prefixes[0].prefix, PREFIXES[1][0])

    def test_it_ends(self) -> None:
        """A lease that is not renewed is over; then nothing is forwarded."""
        self.ask(dhcp.REQUEST)
        self.world.pass_time(600)
        self.router(lifetime=1000)
        self.assertEqual(self.ask(dhcp.RENEW, PREFIXES[0]).prefixes[0].valid, 1000)
        self.world.pass_time(600)
        self.assertEqual(self.networks(), (PREFIXES[0][0],))
        self.world.pass_time(401)
        self.assertEqual(self.networks(), ())
        self.assertEqual(self.world.of_kind(Install)[0].prefixes, ((HOME, 128),))
        self.assertEqual(self.world.lma._sessions.delegated.owners, {})

    def test_given_back(self) -> None:
        """Release."""
        self.ask(dhcp.REQUEST)
        self.by_option(self.datagram(self.message(dhcp.RELEASE, PREFIXES[0])))
        self.assertEqual(dhcp.status_of(self.answer().first(dhcp.STATUS) or b""), dhcp.SUCCESS)
        self.assertEqual((self.networks(), self.world.lma._sessions.delegated.owners), ((), {}))

    def test_after_a_restart_of_the_home_agent(self) -> None:
        """Section 3.1: Rebind gets the same prefix again, if it is still free."""
        self.assertEqual(self.ask(dhcp.REBIND, PREFIXES[2]).prefixes[0].prefix, PREFIXES[2][0])
        other = (packed("2001:db8:bad::"), 56)
        self.assertEqual(self.ask(dhcp.REBIND, other, iaid=2).status, dhcp.NO_BINDING)

    def test_none_left(self) -> None:
        """NoPrefixAvail."""
        for iaid in range(4):
            self.ask(dhcp.REQUEST, iaid=iaid)
        self.assertEqual(self.ask(dhcp.SOLICIT, iaid=9).status, dhcp.NO_PREFIXES)
        self.assertEqual(self.ask(dhcp.REQUEST, iaid=9).status, dhcp.NO_PREFIXES)
        self.assertIn("no prefix", self.world.of_kind(Notify)[0].text)
        self.assertEqual(len(self.networks()), 4)

    def test_a_pool_goes(self) -> None:
        """Its leases are over at once."""
        self.ask(dhcp.REQUEST)
        self.world.lma.receive(Reconfigure(evolve(self.world.settings, delegation_pools=())), self.world.now)
        self.world.pass_time(0.1)
        self.assertEqual((self.networks(), self.world.lma._sessions.delegated.owners), ((), {}))

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from((1, 3, 5, 6, 8, "bind", "leave", "wait")),
                st.sampled_from(((HOME, CARE1, ALICE), (HOME2, CARE2, BOB))),
                st.integers(1, 3),
                st.sampled_from(PREFIXES),
                st.binary(max_size=4),
            ),
            max_size=15,
        )
    )
    def test_any_history(self, steps: list[Any]) -> None:
        """Each prefix has one owner, and what a router forwards it has leased."""
        self.setUp()
        for what, (home, care_of, mn_id), iaid, prefix, damage in steps:
            if what == "wait":
                self.world.pass_time(300)
            elif what in ("bind", "leave"):
                lifetime = 100 if what == "bind" else 0
                self.world.host(mn=mn_id, home=home, care_of=care_of, flags=ROUTER, lifetime=lifetime)
            else:
                data = self.message(what, prefix, iaid=iaid, home=home)
                if damage:
                    data = data[: -len(damage)] + damage
                self.by_option(self.datagram(data, home), home, care_of)
            owners = self.world.lma._sessions.delegated.owners
            forwarded: list[Any] = []
            for entry in self.world.lma.sessions():
                forwarded += entry.extras.delegated
                for each in entry.extras.delegated:
                    self.assertEqual(owners[each].mn_id, entry.mn_id)
            self.assertEqual(len(forwarded), len(set(forwarded)))
            self.assertLessEqual(set(owners), set(PREFIXES))
