"""Two gateways and an anchor, all real cores: what one revokes ends at the other."""

import random
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access.events import FrameReceived, LinkDown
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import BR_G, BR_P, BR_V
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    HomeNetworkPrefix,
    IPv4HomeAddressRequest,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
)
from appliance.protocols.pmipv6.events import (
    AddressReleased,
    ClearSessions,
    Depart,
    MobileAttached,
    PacketReceived,
    Reconfigure,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.settings import GlobalPeer
from test.fuzz import CASES
from test.protocols.access.test_ndp import MN
from test.protocols.access.test_ndp import solicitation as router_solicitation
from test.protocols.pmipv6.revocation_fakes import ACKNOWLEDGEMENT, INDICATION
from test.protocols.pmipv6.test_mag_lma import ANCHOR, GATEWAYS, NAI, Network, packed

FIRST, SECOND = GATEWAYS
OTHER = bytes.fromhex("02005e100002")


class Pair(Network):
    """The network with revocation and bulk updates on everywhere."""

    def __init__(self, anchor: Any = None, gateway: Any = None, **values: Any) -> None:
        super().__init__(**values)
        rights = tuple(GlobalPeer(address=address, prefix_length=128) for address in GATEWAYS)
        on = evolve(self.cores[ANCHOR].settings, revocation=True, global_peers=rights, **(anchor or {}))
        self.cores[ANCHOR] = LocalMobilityAnchor(on, self.counters[ANCHOR], random.Random(5).getrandbits)
        for address in GATEWAYS:
            base = self.cores[address]._sessions.settings
            changed = evolve(base, **{"revocation": True, "revocation_global": True, **(gateway or {})})
            self.feed(address, Reconfigure(changed))

    def arrive(self, gateway: bytes = FIRST) -> None:
        """The mobile node asks for a router."""
        self.feed(gateway, FrameReceived("acc0", router_solicitation()), access=True)
        self.run(1)

    def value(self, address: bytes, key: str) -> int:
        """A counter of a node."""
        found: int = self.counters[address].value(key)
        return found

    def everywhere(self) -> tuple[int, ...]:
        """How many sessions anchor and gateways have."""
        return tuple(self.cores[address].session_count for address in (ANCHOR, *GATEWAYS))


class PairTests(SynchronousTestCase):
    def test_operator_at_the_anchor(self) -> None:
        """A session that is cleared at the anchor ends at the gateway, whose mobile node is told."""
        network = Pair()
        network.arrive()
        network.feed(ANCHOR, ClearSessions())
        network.run(1)
        self.assertEqual((network.everywhere(), network.prefix(FIRST)[1]), ((0, 0, 0), 0))
        self.assertEqual(network.installed[FIRST], {})
        self.assertEqual(network.value(ANCHOR, "received-revocation-ack-status/success"), 1)
        self.assertEqual(network.value(ANCHOR, "total-disconnects/admin-drops"), 1)
        network.arrive()
        self.assertEqual(network.everywhere(), (1, 1, 0))

    def test_lost_messages(self) -> None:
        """An indication or its answer that is lost is made good, and the session ends once."""
        for lost in (1, 2):
            network = Pair()
            network.arrive()
            network.feed(ANCHOR, ClearSessions())
            if lost == 1:
                network.wire.clear()
            else:
                network.lost = 1
            network.run(4)
            self.assertEqual(network.everywhere(), (0, 0, 0))
            self.assertEqual(network.value(ANCHOR, "binding-revocation/retries-sent"), 1)
            self.assertEqual(network.value(ANCHOR, "total-disconnects/admin-drops"), 1)

    def test_operator_at_the_gateway(self) -> None:
        """All sessions of a gateway are gone by one message."""
        network = Pair()
        network.arrive()
        network.feed(FIRST, MobileAttached("acc1", OTHER, b"mn2@example.org"))
        network.run(1)
        self.assertEqual(network.everywhere(), (2, 2, 0))
        network.feed(FIRST, ClearSessions())
        network.run(1)
        self.assertEqual(network.everywhere(), (0, 0, 0))
        self.assertEqual(network.value(ANCHOR, "binding-revocation/rcvd"), 1)
        self.assertEqual(network.value(ANCHOR, "total-disconnects/other-reasons"), 2)
        self.assertEqual(network.value(ANCHOR, "dereg-requests/received"), 0)

    def test_a_gateway_without_the_right(self) -> None:
        """130 from the anchor: the sessions are de-registered one by one."""
        network = Pair(anchor={"min_delay_before_bce_delete": 0})
        network.feed(ANCHOR, Reconfigure(evolve(network.cores[ANCHOR].settings, global_peers=())))
        network.arrive()
        network.feed(FIRST, ClearSessions())
        network.run(1)
        self.assertEqual(network.everywhere(), (0, 0, 0))
        self.assertEqual(network.value(ANCHOR, "dereg-requests/accepted"), 1)

    def test_handover(self) -> None:
        """The former gateway has lost its link without a word to the anchor: it is told of the handover."""
        network = Pair()
        network.arrive()
        network.feed(SECOND, MobileAttached("acc0", MN, NAI, 3))
        network.run(1)
        self.assertEqual(
            network.value(ANCHOR, "sent-revocation-trigger-reasons/inter-mag-handoff-same-att"), 1
        )
        # The mobile node seems to be at the first gateway still: it refuses, and the handover holds.
        self.assertEqual(network.value(ANCHOR, "received-revocation-ack-status/revoc-failed-mn-attached"), 1)
        self.assertEqual(network.everywhere(), (1, 1, 1))
        (entry,) = network.cores[ANCHOR].sessions()
        self.assertEqual(entry.care_of, SECOND)

    def test_handover_unknown(self) -> None:
        """HI 4 by another interface: still attached there, so it is a session of its own, at once."""
        network = Pair()
        network.arrive()
        network.feed(SECOND, MobileAttached("acc0", OTHER, NAI))
        network.run(0.5)
        self.assertEqual(network.everywhere(), (2, 1, 1))
        self.assertEqual(
            network.value(ANCHOR, "sent-revocation-trigger-reasons/inter-mag-unknown-handoff"), 1
        )

    def test_gone_without_a_word(self) -> None:
        """The same when the first gateway is about to de-register: the session is taken over."""
        network = Pair()
        network.arrive()
        network.lost = 1
        network.feed(FIRST, LinkDown("acc0"), access=True)
        network.feed(SECOND, MobileAttached("acc0", OTHER, NAI))
        network.run(0.5)
        self.assertEqual(network.everywhere(), (1, 0, 1))
        (entry,) = network.cores[ANCHOR].sessions()
        self.assertEqual((entry.care_of, entry.deleting), (SECOND, False))

    def test_service_stops(self) -> None:
        """An anchor that stops revokes everything."""
        network = Pair()
        network.arrive()
        network.feed(ANCHOR, Depart())
        network.run(1)
        self.assertEqual(network.everywhere()[1:], (0, 0))
        self.assertTrue(network.cores[ANCHOR].departed)

    def test_pool_goes(self) -> None:
        """Sessions of a pool that is removed end on both sides."""
        network = Pair()
        network.arrive()
        network.feed(ANCHOR, Reconfigure(evolve(network.cores[ANCHOR].settings, prefix_pools=())))
        network.run(1)
        self.assertEqual(network.everywhere(), (0, 0, 0))

    def test_bulk(self) -> None:
        """Refreshes: one update and its answer for two sessions; then the anchor clears the group."""
        network = Pair(gateway={"request_bulk": True})
        network.arrive()
        network.feed(FIRST, MobileAttached("acc0", OTHER, b"mn2@example.org"))
        network.run(3000)
        self.assertEqual(network.everywhere(), (2, 2, 0))
        self.assertEqual(network.value(ANCHOR, "refresh-binding-update-requests/accepted"), 6)
        self.assertEqual(network.value(FIRST, "binding-update-sent/total"), 8)
        details = dict(network.cores[ANCHOR].details(next(iter(network.cores[ANCHOR].sessions()))))
        network.feed(ANCHOR, ClearSessions(group=int(details["Bulk Group of LMA"])))
        network.run(1)
        self.assertEqual(network.everywhere(), (0, 0, 0))

    def test_bulk_and_one_family(self) -> None:
        """An IPv4 home address that is given back does not take the session out of its group."""
        network = Pair(gateway={"request_bulk": True}, ipv4=True)
        network.arrive()
        network.feed(FIRST, AddressReleased("acc0", MN))
        network.run(1)
        (entry,) = network.cores[ANCHOR].sessions()
        self.assertEqual((entry.ipv4_address, network.value(ANCHOR, "dereg-requests/accepted")), (None, 1))
        self.assertEqual(dict(network.cores[ANCHOR].details(entry))["Bulk Group of MAG"], "2")
        network.run(3000)
        self.assertEqual(network.everywhere(), (1, 1, 0))

    def test_bulk_without_timestamps(self) -> None:
        """Sequence numbers order the updates of a group, too."""
        network = Pair(gateway={"request_bulk": True, "timestamps": False})
        network.arrive()
        network.run(3000)
        self.assertEqual(network.everywhere(), (1, 1, 0))
        self.assertEqual(network.value(ANCHOR, "refresh-binding-update-requests/denied"), 0)


def random_message(chance: random.Random) -> bytes:
    """A revocation message of any kind, often nearly right."""
    found: list[Any] = []
    for _ in range(chance.randrange(4)):
        found.append(
            chance.choice(
                [
                    MobileNodeIdentifier(1, chance.choice([NAI, b"@example.org", b"x@y"])),
                    HomeNetworkPrefix(64, packed(f"2001:db8:1:{chance.randrange(3)}::")),
                    MobileNodeGroupIdentifier(1, chance.choice([1, 2, 3])),
                    AlternateCareOfAddress(chance.choice([FIRST, SECOND])),
                    IPv4HomeAddressRequest(32, packed("203.0.113.2")),
                ]
            )
        )
    flags = chance.choice([BR_P, BR_P, BR_P | BR_G, BR_P | BR_V, BR_G, 0])
    sequence = chance.choice([6, 7, 10, 11, chance.randrange(65536)])
    if chance.random() < 0.5:
        return encode(INDICATION(chance.choice([0, 1, 2, 4, 5, 7, 9, 128, 129]), sequence, flags, found))
    return encode(ACKNOWLEDGEMENT(chance.choice([0, 1, 128, 130, 132, 134, 7]), sequence, flags, found))


class AnyMessageTests(SynchronousTestCase):
    @profile(deadline=None, max_examples=max(20, CASES // 5))
    @given(st.integers(0, 2**32))
    def test_nothing_breaks(self, seed: int) -> None:
        """Revocations, true or made up or damaged, in any order: nobody stumbles, and the counters agree."""
        chance = random.Random(seed)
        network = Pair(gateway={"request_bulk": True}, ipv4=chance.random() < 0.5)
        nodes = (ANCHOR, *GATEWAYS)
        for _ in range(25):
            what = chance.random()
            if what < 0.3:
                gateway = chance.choice(GATEWAYS)
                mobile = chance.choice([MN, OTHER])
                network.feed(gateway, MobileAttached("acc0", mobile, NAI, chance.choice([1, 3, 4])))
            elif what < 0.8:
                to, source = chance.choice(nodes), chance.choice(nodes)
                data = seal(random_message(chance), source, to)
                if chance.random() < 0.2:
                    at = chance.randrange(len(data))
                    data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
                network.feed(to, PacketReceived(data, source, to))
            else:
                trigger = chance.choice([1, 4, 5, 128])
                network.feed(chance.choice(nodes), ClearSessions(trigger=trigger))
            network.run(chance.choice([0.0, 0.005, 0.5, 3]))
        network.run(10)
        for node in nodes:
            core = network.cores[node]
            self.assertEqual(core._revocation._initiator.open, {})
        forwarded = [entry for entry in network.cores[ANCHOR].sessions() if not entry.deleting]
        self.assertEqual(len(network.installed[ANCHOR]), len(forwarded))
        value = network.counters[ANCHOR].value
        received = "binding-updates-received/"
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(received + "total-received"), sum(value(received + part) for part in parts))
        self.assertEqual(value(received + "pending"), 0)
        answered = value("binding-revocation/ack-rcvd")
        statuses = [
            row.key
            for row in network.counters[ANCHOR].table.rows
            if row.heading == "Received Revocation ACK Status"
        ]
        self.assertEqual(answered, sum(value(key) for key in statuses))
