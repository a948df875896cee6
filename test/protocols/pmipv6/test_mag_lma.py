"""Two gateways with their access links and one anchor, all real cores: the life of a mobile node."""

import heapq
import ipaddress

from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo
from scapy.layers.l2 import Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.access import ndp
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import Activity, FrameReceived, LinkDown, LinkUp, SendFrame
from appliance.protocols.pmipv6.events import (
    AddressReleased,
    AddressWanted,
    Advertise,
    ClearSessions,
    Install,
    MobileAttached,
    MobileDetached,
    Notify,
    PacketReceived,
    Remove,
    Send,
    Withdraw,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    AddressPool,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
    PrefixPool,
    Profile,
)
from appliance.protocols.timers import Now
from test.protocols.access.test_ndp import MN, MN_LL, ROUTER_LL, solicitation

WALL = 1_700_000_000.0
DELAY = 0.01
NAI = b"mn1@example.org"


def packed(text):
    """Give a packed IP address."""
    return ipaddress.ip_address(text).packed


ANCHOR = packed("2001:db8:ffff::1")
GATEWAYS = (packed("2001:db8:ffff::a1"), packed("2001:db8:ffff::a2"))


class Network:
    """Carries Send effects between cores after a short delay; keeps what each core has installed."""

    def __init__(self, gre="optional", encapsulation="ipip", ipv4=False, skew=0.0, **policy):
        self.mono = 100.0
        self.skew = dict.fromkeys((*GATEWAYS, ANCHOR), 0.0)
        self.skew[GATEWAYS[1]] = skew
        self.wire = []
        self.serial = 0
        self.lost = 0
        self.log = []
        self.frames = {address: [] for address in GATEWAYS}
        self.installed = {address: {} for address in (*GATEWAYS, ANCHOR)}
        self.counters = {address: CounterSet(MAG) for address in GATEWAYS}
        self.counters[ANCHOR] = CounterSet(LMA)
        self.access, self.cores = {}, {}
        for address in GATEWAYS:
            settings = MagSettings(
                name="mag",
                address=address,
                lma=ANCHOR,
                encapsulation=encapsulation,
                reachable_time=3600,
                access_interfaces=(AccessInterface(name="acc0"), AccessInterface(name="acc1")),
                policies=(MobilePolicy(link_layer=MN, mn_id=NAI, ipv4=ipv4, **policy),),
            )
            self.access[address] = AccessLink(settings, self.counters[address])
            self.cores[address] = MobileAccessGateway(settings, self.counters[address], lambda bits: 9)
        self.cores[ANCHOR] = LocalMobilityAnchor(
            self.anchor_settings(gre), self.counters[ANCHOR], lambda bits: 5
        )

    @staticmethod
    def anchor_settings(gre):
        """Give an anchor with pools of both families that knows both gateways."""
        return LmaSettings(
            name="lma1",
            address=ANCHOR,
            gre=gre,
            peers=tuple(Peer(address=address, prefix_length=128) for address in GATEWAYS),
            prefix_pools=(PrefixPool(name="HOME", prefix=packed("2001:db8:1::"), prefix_length=48),),
            address_pools=(
                AddressPool(
                    name="V4",
                    network=packed("203.0.113.0"),
                    prefix_length=24,
                    first=packed("203.0.113.1"),
                    last=packed("203.0.113.254"),
                    default_router=packed("203.0.113.1"),
                ),
            ),
            default_profile=Profile(name="default", ipv4=True),
        )

    def now(self, address):
        """Give the clocks of a node."""
        return Now(self.mono, WALL + self.mono + self.skew[address])

    def feed(self, address, event, access=False):
        """Give a node an event and carry out what follows."""
        core = self.access[address] if access else self.cores[address]
        core.receive(event, self.now(address))
        self.settle(address, core)

    def settle(self, address, core):
        """Carry out the effects of one core."""
        for effect in core.take():
            if isinstance(effect, Send):
                self.serial += 1
                if self.lost:
                    self.lost -= 1
                else:
                    heapq.heappush(self.wire, (self.mono + DELAY, self.serial, effect))
            elif isinstance(effect, (MobileAttached, MobileDetached, AddressWanted, AddressReleased)):
                self.feed(address, effect)
            elif isinstance(effect, (Advertise, Withdraw)):
                self.feed(address, effect, access=True)
            elif isinstance(effect, SendFrame):
                self.frames[address].append(Ether(effect.frame))
            elif isinstance(effect, Install):
                self.installed[address][effect.call_id] = effect
            elif isinstance(effect, Remove):
                del self.installed[address][effect.call_id]
            elif isinstance(effect, Notify):
                self.log.append(effect.text)
            else:
                raise AssertionError(effect)

    def run(self, seconds):
        """Let time pass: messages arrive and deadlines come, the earliest first."""
        end = self.mono + seconds
        nodes = [*self.cores.items(), *self.access.items()]
        while True:
            due = [(core.deadline, n) for n, (_, core) in enumerate(nodes) if core.deadline is not None]
            arrival = self.wire[0][0] if self.wire else end + 1
            when, n = min(due, default=(end + 1, 0))
            if min(when, arrival) > end:
                break
            self.mono = max(self.mono, min(when, arrival))
            if arrival <= when:
                effect = heapq.heappop(self.wire)[2]
                self.feed(effect.destination, PacketReceived(effect.data, effect.source, effect.destination))
            else:
                address, core = nodes[n]
                core.tick(self.now(address))
                self.settle(address, core)
        self.mono = end

    def counts(self):
        """Give how many sessions the anchor and the first gateway have."""
        return self.cores[ANCHOR].session_count, self.cores[GATEWAYS[0]].session_count

    def prefix(self, gateway):
        """Give prefix and valid lifetime of the last Router Advertisement of a gateway."""
        packet = [p for p in self.frames[gateway] if ICMPv6ND_RA in p][-1]
        option = packet[ICMPv6NDOptPrefixInfo]
        return option.prefix, option.validlifetime


class LifeTests(SynchronousTestCase):
    def start(self, **values):
        """Attach the mobile at the first gateway."""
        self.network = Network(**values)
        self.network.feed(GATEWAYS[0], FrameReceived("acc0", solicitation()), access=True)
        self.network.run(1)
        return self.network

    def check(self, network, gateway):
        """Tell that the session is at ``gateway`` alone and both tunnel ends agree."""
        at_anchor = list(network.installed[ANCHOR].values())
        at_gateway = list(network.installed[gateway].values())
        self.assertEqual((len(at_anchor), len(at_gateway)), (1, 1))
        self.assertEqual((at_anchor[0].peer, at_gateway[0].peer), (gateway, ANCHOR))
        self.assertEqual(at_anchor[0].prefixes, at_gateway[0].prefixes)
        self.assertEqual(at_anchor[0].ipv4_address, at_gateway[0].ipv4_address)
        self.assertEqual(at_anchor[0].gre, at_gateway[0].gre)
        self.assertEqual(at_anchor[0].send_key, at_gateway[0].receive_key)
        self.assertEqual(at_anchor[0].receive_key, at_gateway[0].send_key)
        for other in GATEWAYS:
            if other != gateway:
                self.assertEqual(network.installed[other], {})

    def test_attach_refresh_detach(self):
        """A mobile gets a prefix, keeps it over ten refreshes, and leaves nothing behind."""
        network = self.start()
        self.check(network, GATEWAYS[0])
        prefix, lifetime = network.prefix(GATEWAYS[0])
        self.assertTrue(prefix.startswith("2001:db8:1:"))
        self.assertGreater(lifetime, 590)
        network.run(2300)
        network.feed(GATEWAYS[0], Activity("acc0", MN), access=True)
        network.run(2300)
        self.check(network, GATEWAYS[0])
        self.assertEqual(network.prefix(GATEWAYS[0])[0], prefix)
        counters = network.counters[ANCHOR]
        self.assertEqual(counters.value("refresh-binding-update-requests/accepted"), 10)
        self.assertEqual(counters.value("binding-updates-received/total-received"), 11)
        network.feed(GATEWAYS[0], LinkDown("acc0"), access=True)
        network.run(30)
        self.assertEqual((network.installed[ANCHOR], network.installed[GATEWAYS[0]]), ({}, {}))
        self.assertEqual(
            (network.cores[ANCHOR].session_count, network.cores[GATEWAYS[0]].session_count), (0, 0)
        )
        self.assertEqual(counters.value("dereg-requests/accepted"), 1)

    def move(self, network):
        """Move the mobile's cable to the second gateway: a Linux host repeats its MLD report there."""
        network.feed(GATEWAYS[0], LinkDown("acc0"), access=True)
        network.run(0.5)
        network.feed(GATEWAYS[1], LinkUp("acc0"), access=True)
        report = ndp.build(ndp.Received(MN, MN, MN_LL, ROUTER_LL, ndp.ListenerReport()))
        network.feed(GATEWAYS[1], FrameReceived("acc0", report), access=True)
        network.run(3)

    def test_handover(self):
        """A mobile that moves to another gateway keeps its prefix and its IPv4 address."""
        for encapsulation in ("ipip", "gre"):
            network = self.start(encapsulation=encapsulation, ipv4=True)
            self.check(network, GATEWAYS[0])
            prefix = network.prefix(GATEWAYS[0])[0]
            (before,) = network.installed[GATEWAYS[0]].values()
            self.move(network)
            self.check(network, GATEWAYS[1])
            (after,) = network.installed[GATEWAYS[1]].values()
            self.assertEqual(
                (after.ipv4_address, after.ipv4_router), (before.ipv4_address, before.ipv4_router)
            )
            self.assertEqual(network.prefix(GATEWAYS[1])[0], prefix)
            self.assertEqual(network.cores[GATEWAYS[0]].session_count, 0)
            network.run(2000)
            self.check(network, GATEWAYS[1])

    def test_handover_without_deregistration(self):
        """The second gateway registers while the first still has the mobile, which then lets go."""
        network = self.start()
        prefix = network.prefix(GATEWAYS[0])[0]
        network.feed(GATEWAYS[1], FrameReceived("acc0", solicitation()), access=True)
        network.run(0.5)
        network.feed(GATEWAYS[0], LinkDown("acc0"), access=True)
        network.run(10)
        self.check(network, GATEWAYS[1])
        self.assertEqual(network.prefix(GATEWAYS[1])[0], prefix)
        self.assertEqual(network.cores[GATEWAYS[0]].session_count, 0)

    def test_move_between_links_of_one_gateway(self):
        """A mobile on another link of the same gateway keeps its prefix."""
        network = self.start()
        prefix = network.prefix(GATEWAYS[0])[0]
        network.feed(GATEWAYS[0], FrameReceived("acc1", solicitation()), access=True)
        network.run(5)
        self.check(network, GATEWAYS[0])
        (install,) = network.installed[GATEWAYS[0]].values()
        self.assertEqual((install.interface, network.prefix(GATEWAYS[0])[0]), ("acc1", prefix))

    def test_lost_messages(self):
        """Lost requests and answers are made good by retransmission, for all three kinds of exchange."""
        network = Network()
        network.lost = 2
        network.feed(GATEWAYS[0], FrameReceived("acc0", solicitation()), access=True)
        network.run(5)
        self.check(network, GATEWAYS[0])
        network.run(440)
        network.lost = 3
        network.run(60)
        self.check(network, GATEWAYS[0])
        self.assertEqual(network.counters[GATEWAYS[0]].value("binding-update-sent/renew-request-re-xmit"), 3)
        network.lost = 1
        network.feed(GATEWAYS[0], LinkDown("acc0"), access=True)
        network.run(20)
        self.assertEqual(
            (network.cores[ANCHOR].session_count, network.cores[GATEWAYS[0]].session_count), (0, 0)
        )

    def test_clock_that_is_off(self):
        """A gateway whose clock is off gets 156 and no session until the clock is right."""
        network = self.start(skew=5.0)
        self.move(network)
        self.assertEqual(network.installed[GATEWAYS[1]], {})
        self.assertGreater(network.counters[GATEWAYS[1]].value("denied-by-lma/timestamp-mismatch"), 0)
        self.assertTrue(any("+5.0" in line for line in network.log), network.log)
        network.skew[GATEWAYS[1]] = 0.0
        network.run(30)
        self.check(network, GATEWAYS[1])

    def test_clear_at_gateway(self):
        """An operator's clear at the gateway de-registers at the anchor; the mobile may come again."""
        network = self.start()
        network.feed(GATEWAYS[0], ClearSessions(NAI))
        network.run(1)
        self.assertEqual((network.installed[ANCHOR], network.installed[GATEWAYS[0]]), ({}, {}))
        self.assertEqual(network.prefix(GATEWAYS[0])[1], 0)
        network.feed(GATEWAYS[0], FrameReceived("acc0", solicitation()), access=True)
        network.run(1)
        self.check(network, GATEWAYS[0])
