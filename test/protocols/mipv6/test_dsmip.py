"""Hosts in IPv4 networks and IPv4 home addresses (RFC 5555): NAT, ports, UDP, addresses, who is refused."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import SendRouted, SendTunnelled, TunnelledReceived
from appliance.protocols.mobility import rfc4285
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import BU_A, BU_F, BU_H, BU_P, BU_T, BindingError
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    BindingIdentifier,
    IPv4AddressAcknowledgement,
    IPv4HomeAddress,
    NatDetection,
)
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import Install, Notify, Reconfigure, Remove
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import AddressPool, Profile
from test.protocols.mipv6.fakes import ALICE, BOB, CARE1, HOME, HOME2, KEY, NAT, SPI, HostWorld, bid, mn_ha
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, LMA_IPV4, POOL4, option, packed

F = BU_A | BU_H | BU_F
HOME4 = packed("203.0.113.77")
DUAL = Profile(name=ALICE.decode(), mn_id=ALICE, ipv4=True, associations=(Association(spi=SPI, key=KEY),))
BOB_DUAL = Profile(name=BOB.decode(), mn_id=BOB, ipv4=True, associations=(Association(spi=SPI, key=KEY),))
DENIED = "binding-acknowledgements-sent/denied"


def wish(address: str = "0.0.0.0", length: int = 32, prefix: int = 0) -> IPv4HomeAddress:
    """An IPv4 Home Address option."""
    return IPv4HomeAddress(length, prefix, packed(address))


class DualStackCase(SynchronousTestCase):
    """A world whose host may have an IPv4 home address."""

    def setUp(self) -> None:
        """A fresh one."""
        self.world = HostWorld(profiles=(DUAL, BOB_DUAL))

    def with_settings(self, **changes: Any) -> HostWorld:
        """A world with other settings."""
        self.world = HostWorld(**{"profiles": (DUAL, BOB_DUAL), **changes})
        return self.world

    def tunnel(self) -> Install:
        """The only Install of the last effects."""
        (found,) = self.world.of_kind(Install)
        assert isinstance(found, Install)
        return found

    def detection(self, answer: Any) -> tuple[int, int]:
        """The NAT Detection option: F, refresh time."""
        found = option(answer, NatDetection)
        return found.force, found.refresh_time

    def acknowledged(self, answer: Any) -> tuple[int, int, str] | None:
        """The IPv4 Address Acknowledgement option: status, length, address."""
        found = option(answer, IPv4AddressAcknowledgement)
        if found is None:
            return None
        return found.status, found.prefix_length, ".".join(map(str, found.address))


class PlaceTests(DualStackCase):
    """Where a host is, and how its packets travel."""

    def test_behind_a_nat(self) -> None:
        """Section 4.2: another address in the option than in the header; the answer goes back through it."""
        world = self.world
        answer = world.inside(extra=[wish()])
        assert answer is not None
        self.assertEqual((answer.status, answer.lifetime), (0, 150))
        self.assertEqual(self.detection(answer), (0, 110))
        self.assertEqual(self.acknowledged(answer), (0, 32, "203.0.113.10"))
        (sent,) = world.of_kind(SendTunnelled)
        self.assertEqual((sent.address, sent.port), (packed(NAT), 40001))
        self.assertEqual((sent.source, sent.destination, sent.protocol), (LMA_ADDRESS, HOME, 135))
        tunnel = self.tunnel()
        self.assertEqual((tunnel.local, tunnel.peer), (LMA_IPV4, packed(NAT)))
        self.assertEqual((tunnel.udp, tunnel.host_port), (True, 40001))
        self.assertEqual(tunnel.ipv4_address, packed("203.0.113.10"))
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.care_of, entry.local, entry.udp), (packed(NAT), LMA_ADDRESS, True))
        shown = dict(world.lma.details(entry))
        self.assertEqual(shown["NAT before Host"], "10.0.0.7")
        self.assertEqual(shown["Our End of the Tunnel"], "198.51.100.1")
        self.assertEqual((shown["UDP Port of Host"], shown["Data in UDP"]), ("40001", "Yes"))

    def test_without_a_nat(self) -> None:
        """The same address: no keep-alives, F clear, data without UDP; the answer still in UDP."""
        world = self.world
        answer = world.inside(own=NAT)
        self.assertEqual(self.detection(answer), (0, 0xFFFFFFFF))
        self.assertEqual(len(world.of_kind(SendTunnelled)), 1)
        tunnel = self.tunnel()
        self.assertEqual((tunnel.udp, tunnel.host_port, tunnel.peer), (False, 40001, packed(NAT)))

    def test_authenticator(self) -> None:
        """RFC 4285: both ends cover the address that the host says, mapped; the NAT's is in neither."""
        world = self.world
        world.inside()
        (sent,) = world.of_kind(SendTunnelled)
        mapped = bytes(10) + b"\xff\xff" + packed("10.0.0.7")
        self.assertEqual(sent.data[-12:], mn_ha(sent.data, mapped, HOME, KEY))
        answer = world.inside(own="10.0.0.7", care_of=bytes(10) + b"\xff\xff" + packed(NAT))
        self.assertEqual(answer and answer.status, 146)
        self.assertEqual(self.detection(answer), (0, 110))
        covered = rfc4285.covered_care_of
        self.assertEqual(covered(packed("10.0.0.7"), HOME), mapped)
        self.assertEqual((covered(b"", HOME), covered(CARE1, HOME)), (HOME, CARE1))

    def test_no_option(self) -> None:
        """Who does not say its own address is taken to be behind a NAT; the home address is covered then."""
        answer = self.world.inside(own=None)
        self.assertEqual((answer and answer.status, self.detection(answer)), (0, (0, 110)))
        self.assertTrue(self.tunnel().udp)
        (entry,) = self.world.lma.sessions()
        self.assertIn("does not say", dict(self.world.lma.details(entry))["NAT before Host"])

    def test_home_address_option_inside(self) -> None:
        """With a Home Address option as well: the answer has no routing header (section 4.5)."""
        answer = self.world.inside(by_option=True)
        self.assertEqual(answer and answer.status, 0)
        (sent,) = self.world.of_kind(SendTunnelled)
        self.assertEqual(sent.destination, HOME)

    def test_another_port(self) -> None:
        """Section 2.3.2.2: the port of the last update; it is neither a handover nor another session."""
        world = self.world
        world.inside()
        world.inside()
        self.assertEqual(world.of_kind(Install), [])
        world.inside(port=50000)
        self.assertEqual(self.tunnel().host_port, 50000)
        self.assertEqual(world.value("handoff-requests/accepted"), 0)
        self.assertEqual(world.value("refresh-binding-update-requests/accepted"), 2)
        (entry,) = world.lma.sessions()
        self.assertEqual(entry.handoffs, 0)

    def test_not_for_strangers(self) -> None:
        """A port is only believed of who has proved itself, and the last update stays the last."""
        world = self.world
        world.inside()
        answer = world.inside(port=666, key=bytes(16))
        self.assertEqual(answer and answer.status, 146)
        world.inside(port=666, sequence=1)
        self.assertEqual(world.of_kind(Install), [])
        self.assertEqual(world.value("binding-update-deny-reasons/sequence-out-of-window"), 1)

    def test_there_and_back(self) -> None:
        """IPv6, IPv4 with NAT, IPv4 without, IPv6: two of each family keep their addresses all the way."""
        world = self.world
        world.host(extra=[wish()])
        first = self.tunnel()
        self.assertEqual((first.peer, first.udp, first.host_port), (CARE1, False, 0))
        self.assertEqual(first.ipv4_address, packed("203.0.113.10"))
        for own, outer, udp in (("10.0.0.7", NAT, True), (NAT, NAT, False), ("198.51.100.9",) * 2 + (False,)):
            answer = world.inside(own=own, outer=outer, extra=[wish("203.0.113.10")])
            self.assertEqual(self.acknowledged(answer), (0, 32, "203.0.113.10"))
            self.assertEqual((self.tunnel().udp, self.tunnel().peer), (udp, packed(outer)))
        world.host(extra=[wish("203.0.113.10")])
        last = self.tunnel()
        self.assertEqual(last, first)
        self.assertEqual(world.value("handoff-requests/accepted"), 3)
        self.assertEqual(dict(world.lma.details(next(iter(world.lma.sessions())))).get("Data in UDP"), None)

    def test_leaving(self) -> None:
        """Section 4.4.2.1: lifetime 0 ends both bindings; the answer goes through UDP with its options."""
        world = self.world
        world.inside(extra=[wish()])
        answer = world.inside(lifetime=0, extra=[wish("203.0.113.10")], port=40002)
        self.assertEqual((answer and answer.status, answer and answer.lifetime), (0, 0))
        self.assertEqual(self.acknowledged(answer), (0, 32, "203.0.113.10"))
        self.assertEqual(self.detection(answer), (0, 110))
        self.assertEqual(world.of_kind(SendTunnelled)[0].port, 40002)
        self.assertEqual(len(world.of_kind(Remove)), 1)
        world.pass_time(11)
        self.assertEqual((world.lma.session_count, world.lma.pools.addresses[0].in_use), (0, 0))

    def test_with_a_home_link(self) -> None:
        """The answer goes to where the host is, though its destination is an address of the home link."""
        self.with_settings(mipv6_home_link="home0")
        answer = self.world.inside(key=bytes(16))
        self.assertEqual(answer and answer.status, 146)
        self.assertEqual(len(self.world.of_kind(SendTunnelled)), 1)

    def test_strange_places(self) -> None:
        """A multicast source, our own address, port 0: no answer; an address of our home networks: 174."""
        world = self.world
        for outer, port in (("224.0.0.1", 1), ("198.51.100.1", 1), ("0.0.0.0", 1), (NAT, 0)):
            self.assertIsNone(world.inside(outer=outer, port=port))
            self.assertEqual(world.moved(), {"binding-updates-discard-reasons/other": 1})
        answer = world.inside(outer="203.0.113.50")
        self.assertEqual(answer and answer.status, 174)

    def test_alternate_care_of_address(self) -> None:
        """A home update under ESP has to have one; inside UDP it is not where packets go."""
        answer = self.world.inside(extra=[AlternateCareOfAddress(CARE1)])
        self.assertEqual(answer and answer.status, 0)
        self.assertEqual(self.tunnel().peer, packed(NAT))


class ForceTests(DualStackCase):
    """UDP without need (section 4.5)."""

    def test_on_request(self) -> None:
        """The F flag is granted, and F in the answer says so."""
        answer = self.world.inside(own=NAT, flags=F)
        self.assertEqual(self.detection(answer), (1, 0xFFFFFFFF))
        self.assertTrue(self.tunnel().udp)

    def test_always(self) -> None:
        """The home agent wants it so."""
        self.with_settings(mipv6_udp="always")
        self.assertEqual(self.detection(self.world.inside(own=NAT)), (1, 0xFFFFFFFF))
        self.assertTrue(self.tunnel().udp)

    def test_refused(self) -> None:
        """144 collides with RFC 4285: 129 for who is authenticated by it. With a NAT UDP is used anyhow."""
        self.with_settings(mipv6_udp="nat-only")
        answer = self.world.inside(own=NAT, flags=F)
        self.assertEqual((answer and answer.status, self.detection(answer)), (129, (0, 0xFFFFFFFF)))
        self.assertEqual(self.world.value("update-denied-admin-prohibited-reasons/policy-rejected"), 1)
        answer = self.world.inside(flags=F)
        self.assertEqual((answer and answer.status, self.detection(answer)), (0, (0, 110)))
        answer = self.world.inside(own=NAT, flags=F, lifetime=0)
        self.assertEqual(answer and answer.status, 0)

    def test_refused_without_keys(self) -> None:
        """Who uses no authentication option gets the status of RFC 5555."""
        named = Profile(name=ALICE.decode(), mn_id=ALICE, home_addresses=(HOME,))
        self.with_settings(mipv6_udp="nat-only", mipv6_authentication="optional", profiles=(named,))
        answer = self.world.inside(own=NAT, flags=F, key=None)
        self.assertEqual(answer and answer.status, 144)
        self.assertTrue(self.world.balanced())

    def test_in_ipv6(self) -> None:
        """UDP is for IPv4 only; without the feature the bit means nothing."""
        answer = self.world.host(flags=F)
        self.assertEqual(answer and answer.status, 129)
        self.with_settings(mipv6_dual_stack=False)
        answer = self.world.host(flags=F, extra=[wish()])
        self.assertEqual((answer and answer.status, self.acknowledged(answer)), (0, None))

    def test_tlv(self) -> None:
        """The T flag is one of proxy updates: a host's is not granted, and its tunnel has no TLV header."""
        answer = self.world.inside(flags=BU_A | BU_H | BU_T)
        self.assertEqual((answer and answer.status, answer and answer.flags), (0, 0))
        self.assertFalse(self.tunnel().tlv)

    def test_refresh_time(self) -> None:
        """As configured, also after a change."""
        self.with_settings(mipv6_nat_keepalive=25)
        self.assertEqual(self.detection(self.world.inside()), (0, 25))
        changed = HostWorld(profiles=(DUAL,), mipv6_nat_keepalive=30).settings
        self.world.lma.receive(Reconfigure(changed), self.world.now)
        self.assertEqual(self.detection(self.world.inside()), (0, 30))


class AddressTests(DualStackCase):
    """IPv4 home addresses (sections 3.1.1, 3.2.1, 4.5)."""

    def asked(self, *wishes: IPv4HomeAddress, **what: Any) -> Any:
        """Status, length and address of the first acknowledgement option."""
        return self.acknowledged(self.world.host(extra=list(wishes), **what))

    def test_dynamic(self) -> None:
        """One of the pool; the same at each refresh, whether it is named or not."""
        self.assertEqual(self.asked(wish()), (0, 32, "203.0.113.10"))
        self.assertEqual(self.asked(wish("203.0.113.10")), (0, 32, "203.0.113.10"))
        self.assertEqual(self.asked(wish(length=24)), (0, 32, "203.0.113.10"))
        self.assertEqual(self.asked(wish(), home=HOME2, mn=BOB), (0, 32, "203.0.113.11"))
        self.assertTrue(self.world.balanced())

    def test_given_up(self) -> None:
        """Section 4.4.2.1: an update without the option ends the IPv4 binding, and only that."""
        self.asked(wish())
        self.assertIsNone(self.asked())
        self.assertIsNone(self.tunnel().ipv4_address)
        self.assertEqual((self.world.lma.session_count, self.world.lma.pools.addresses[0].in_use), (1, 0))

    def test_static(self) -> None:
        """That of the profile, named or not; nobody else's."""
        own = Profile(
            name=ALICE.decode(), mn_id=ALICE, ipv4=True, ipv4_address=HOME4, associations=DUAL.associations
        )
        self.with_settings(profiles=(own, BOB_DUAL))
        self.assertEqual(self.asked(wish("203.0.113.77"), home=HOME2, mn=BOB), (130, 0, "203.0.113.77"))
        self.assertEqual(self.asked(wish()), (0, 32, "203.0.113.77"))
        self.assertEqual(self.asked(wish("203.0.113.77")), (0, 32, "203.0.113.77"))

    def test_not_his(self) -> None:
        """130: another's, or none that was given to him; the IPv6 address is bound all the same."""
        answer = self.world.host(extra=[wish("203.0.113.15")])
        self.assertEqual((answer and answer.status, self.acknowledged(answer)), (0, (130, 0, "203.0.113.15")))
        self.assertIsNone(self.tunnel().ipv4_address)

    def test_another_one(self) -> None:
        """What the last update says counts: with a refused address in it there is no IPv4 binding."""
        self.asked(wish())
        self.assertEqual(self.asked(wish("203.0.113.15")), (130, 0, "203.0.113.15"))
        self.assertIsNone(self.tunnel().ipv4_address)

    def test_statuses(self) -> None:
        """129 without permission, 131 no unicast address, 133 a prefix, 128 a length of zero."""
        for asked, status in (
            (wish("224.0.0.5"), 131),
            (wish("127.0.0.1"), 131),
            (wish(prefix=1, length=28), 133),
            (wish(length=0), 128),
            (wish(length=33), 128),
        ):
            self.assertEqual(self.asked(asked)[:2], (status, 0))
        plain = Profile(name=ALICE.decode(), mn_id=ALICE, associations=DUAL.associations)
        self.with_settings(profiles=(plain,))
        self.assertEqual(self.asked(wish()), (129, 0, "0.0.0.0"))

    def test_none_left(self) -> None:
        """132, and the operator is told."""
        small = AddressPool(
            name="V4", network=POOL4.network, prefix_length=24, first=POOL4.first, last=POOL4.first,
            default_router=POOL4.default_router,
        )  # fmt: skip
        self.with_settings(address_pools=(small,))
        self.asked(wish())
        self.assertEqual(self.asked(wish(), home=HOME2, mn=BOB), (132, 0, "0.0.0.0"))
        self.assertIn("no IPv4 home address", self.world.of_kind(Notify)[0].text)

    def test_address_and_prefix(self) -> None:
        """Section 3.1.1: two options; one acknowledgement each, in their order."""
        answer = self.world.host(extra=[wish(), wish(prefix=1, length=28), wish("203.0.113.15")])
        found = [each for each in answer.options if isinstance(each, IPv4AddressAcknowledgement)]  # type: ignore[union-attr]
        self.assertEqual([each.status for each in found], [0, 133, 128])
        self.assertEqual(self.tunnel().ipv4_address, packed("203.0.113.10"))

    def test_many_options(self) -> None:
        """No more than eight are answered, so that the answer cannot grow without end."""
        answer = self.world.host(extra=[wish(length=0)] * 30)
        found = [each for each in answer.options if isinstance(each, IPv4AddressAcknowledgement)]  # type: ignore[union-attr]
        self.assertEqual(len(found), 8)


class SeveralTests(DualStackCase):
    """Several care-of addresses, some of them IPv4 (RFC 5648 section 8)."""

    def bids(self, answer: Any) -> list[tuple[int, int]]:
        """Numbers and statuses of the Binding Identifier options."""
        return [(each.bid, each.status) for each in answer.options if isinstance(each, BindingIdentifier)]

    def one(self, number: int, own: str, **what: Any) -> Any:
        """Register one by an update of its own; the option stands for the IPv4 Care-of Address option."""
        return self.world.inside(own=own, silent=True, bids=[bid(number, packed(own))], **what)

    def setUp(self) -> None:
        """Room for three."""
        self.world = HostWorld(profiles=(DUAL, BOB_DUAL), simul_bindings=3)

    def test_beside_ipv6(self) -> None:
        """The one in IPv6 is the first; the one behind the NAT gets a tunnel of its own; both may send."""
        self.world.host(bids=[bid(1, CARE1)], extra=[wish()])
        answer = self.one(2, "10.0.0.7", extra=[wish("203.0.113.10")])
        self.assertEqual((self.bids(answer), self.detection(answer)), ([(2, 0)], (0, 110)))
        tunnel = self.tunnel()
        self.assertEqual((tunnel.peer, tunnel.local, tunnel.udp), (CARE1, LMA_ADDRESS, False))
        (lane,) = tunnel.lanes
        self.assertEqual((lane.peer, lane.local, lane.udp), (packed(NAT), LMA_IPV4, True))
        self.assertEqual(lane.host_port, 40001)
        self.one(2, "10.0.0.7", port=50000, extra=[wish("203.0.113.10")])
        self.assertEqual(self.tunnel().lanes[0].host_port, 50000)

    def test_the_first_goes(self) -> None:
        """The tunnel to the one that is left takes its place, with its form and our other address."""
        self.world.host(bids=[bid(1, CARE1)])
        self.one(2, "10.0.0.7")
        self.world.host(bids=[bid(1)], lifetime=0)
        tunnel = self.tunnel()
        self.assertEqual((tunnel.peer, tunnel.local, tunnel.udp), (packed(NAT), LMA_IPV4, True))
        self.assertEqual(tunnel.lanes, ())
        (entry,) = self.world.lma.sessions()
        self.assertEqual((entry.care_of, entry.udp), (packed(NAT), True))
        self.one(2, "10.0.0.7", lifetime=0)
        self.assertEqual(len(self.world.of_kind(Remove)), 1)

    def test_two_behind_one_nat(self) -> None:
        """Two interfaces with one address outside: the port tells them apart."""
        self.one(1, "10.0.0.7")
        self.one(2, "10.0.0.8", port=40002)
        tunnel = self.tunnel()
        self.assertEqual((tunnel.host_port, [each.host_port for each in tunnel.lanes]), (40001, [40002]))
        self.assertEqual((tunnel.peer, tunnel.lanes[0].peer), (packed(NAT), packed(NAT)))

    def test_bulk(self) -> None:
        """Section 8.1: never for a first one, nor behind a NAT; a known one without a NAT is refreshed."""
        answer = self.world.host(bids=[bid(1, CARE1), bid(2, packed(NAT))])
        self.assertEqual((answer and answer.status, self.bids(answer)), (4, [(1, 0), (2, 168)]))
        self.one(2, NAT)
        answer = self.world.host(bids=[bid(1, CARE1), bid(2, packed(NAT))])
        self.assertEqual((answer and answer.status, self.bids(answer)), (0, [(1, 0), (2, 0)]))
        self.one(2, "10.0.0.7")
        answer = self.world.host(bids=[bid(1, CARE1), bid(2, packed(NAT))])
        self.assertEqual(self.bids(answer), [(1, 0), (2, 168)])

    def test_refused(self) -> None:
        """Nobody is at home in IPv4; without the feature there is no IPv4 care-of address."""
        answer = self.world.inside(silent=True, bids=[bid(1, packed("10.0.0.7"), home=1)])
        self.assertEqual(answer and answer.status, 164)
        self.with_settings(mipv6_dual_stack=False)
        answer = self.world.host(bids=[bid(1, packed("10.0.0.7"))])
        self.assertEqual(answer and answer.status, 166)

    def test_a_plain_update_ends_them(self) -> None:
        """RFC 5648 section 6.2, from behind a NAT."""
        self.world.host(bids=[bid(1, CARE1)])
        self.one(2, "10.0.0.7")
        self.world.inside()
        tunnel = self.tunnel()
        self.assertEqual((tunnel.peer, tunnel.lanes, tunnel.udp), (packed(NAT), (), True))


class MessageTests(DualStackCase):
    """What comes inside UDP and is no update of a host."""

    def bring(self, mh: bytes, **what: Any) -> Any:
        """Bring a message in; returns the effects."""
        self.world.tunnelled(build_ipv6(MobilityPacket(HOME, LMA_ADDRESS, mh, **what)))
        return self.world.effects

    def test_errors_go_the_same_way(self) -> None:
        """An unknown type gets a Binding Error, a wrong Payload Proto an ICMPv6 error, both inside UDP."""
        (sent,) = self.bring(bytes((59, 0, 99, 0, 0, 0, 0, 0)))
        self.assertEqual((sent.protocol, sent.data[2], sent.data[6]), (135, BindingError.TYPE, 2))
        self.assertEqual((sent.address, sent.port, sent.destination), (packed(NAT), 40001, HOME))
        (sent,) = self.bring(bytes((6, 1, 5, 0, 0, 0, 0, 0)) + bytes(8))
        self.assertEqual((sent.protocol, sent.data[0], sent.port), (58, 4, 40001))
        self.assertEqual(int.from_bytes(sent.data[4:8], "big"), 40)

    def test_discarded(self) -> None:
        """A proxy update, a wrong checksum, a cut-off packet, one that does not end: no answer."""
        world = self.world
        mh = world.update(flags=BU_A | BU_P)
        self.assertEqual(self.bring(mh), [])
        self.assertEqual(world.moved(), {"binding-updates-discard-reasons/other": 1})
        packet = bytearray(build_ipv6(MobilityPacket(HOME, LMA_ADDRESS, world.update())))
        packet[45] ^= 1
        self.assertIsNone(world.tunnelled(bytes(packet)))
        self.assertEqual(world.moved(), {"binding-updates-discard-reasons/checksum-error": 1})
        for octets in (bytes(packet[:30]), bytes(packet[:40]), b"", encode(BindingError(1, HOME))):
            self.assertIsNone(world.tunnelled(octets))

    def test_an_update_comes_natively_again(self) -> None:
        """The answer takes the way of the question, whatever the binding is."""
        self.world.inside()
        self.world.host()
        self.assertEqual(len(self.world.of_kind(SendRouted)), 1)

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6))
    def test_fuzz(self, seed: int, changes: list[tuple[int, int]]) -> None:
        """Mutated and cut packets never raise; every update is accepted, denied or discarded."""
        world = HostWorld(profiles=(DUAL,), mipv6_authentication="optional")
        chance = random.Random(seed)
        extra = [wish(chance.choice(["0.0.0.0", "203.0.113.12", "224.0.0.1"]), chance.randrange(40) % 33)]
        flags, lifetime = chance.choice([F, BU_A | BU_H, 0]), chance.choice([0, 9])
        mh = world.update(extra=extra, flags=flags, lifetime=lifetime)
        packet = bytearray(build_ipv6(MobilityPacket(HOME, LMA_ADDRESS, mh)))
        for place, value in changes:
            packet[place % len(packet)] = value
        cut = bytes(packet[: chance.randrange(len(packet) + 1)]) if chance.random() < 0.3 else bytes(packet)
        event = TunnelledReceived(cut, chance.randbytes(4), chance.randrange(65536), LMA_IPV4)
        for _ in range(2):
            world.lma.receive(event, world.now)
            world.effects = world.lma.take()
        self.assertTrue(world.balanced())
