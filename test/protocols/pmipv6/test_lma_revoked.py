"""An anchor whose gateways revoke: every row of the responder's table, and bulk updates (RFC 6602)."""

from typing import Any

from appliance.protocols.mobility.codec import decode, encode, seal, to_timestamp
from appliance.protocols.mobility.messages import (
    BA_B,
    BR_G,
    BR_P,
    BR_V,
    BU_A,
    BU_B,
    BU_P,
    BindingAcknowledgement,
    BindingError,
    BindingUpdate,
)
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    GreKey,
    HandoffIndicator,
    HomeNetworkPrefix,
    IPv4HomeAddressRequest,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
    Timestamp,
)
from appliance.protocols.pmipv6 import sweeps as sweeps_of_many
from appliance.protocols.pmipv6.events import ClearSessions, Reconfigure, Send
from appliance.protocols.pmipv6.settings import GlobalPeer
from test.protocols.pmipv6.lma_fakes import (
    LL2,
    LMA_ADDRESS,
    MAG1,
    MAG2,
    MN1,
    STRANGER,
    packed,
    settings,
)
from test.protocols.pmipv6.revocation_case import RevocationTestCase
from test.protocols.pmipv6.revocation_fakes import ACKNOWLEDGEMENT, indication, named, revocations

MAG_NAME = b"mag1@example.org"
RIGHTS = (GlobalPeer(address=MAG1, prefix_length=128, identity=MAG_NAME),)
OTHERS = "total-disconnects/other-reasons"


def nai(identifier: bytes = MN1) -> MobileNodeIdentifier:
    """A mobile node identifier."""
    return MobileNodeIdentifier(1, identifier)


def group(number: int) -> MobileNodeGroupIdentifier:
    """A bulk binding update group."""
    return MobileNodeGroupIdentifier(1, number)


class RevokedTestCase(RevocationTestCase):
    """An anchor with the function, and gateways that revoke."""

    def bri(
        self, trigger: int, *options: Any, flags: int = BR_P, sequence: int = 1, source: bytes = MAG1
    ) -> Any:
        """Have a gateway revoke; the answer."""
        self.world.mono += 0.1
        data = indication(trigger, options, source, LMA_ADDRESS, flags, sequence)
        self.world.packet(data, source)
        ((to, answer),) = revocations(self.world.effects, ACKNOWLEDGEMENT)
        self.assertEqual((to, answer.sequence, answer.flags), (source, sequence, flags))
        return answer

    def prefix(self, number: int = 0) -> tuple[bytes, int]:
        """The prefix of a session."""
        found: tuple[bytes, int] = list(self.world.lma.sessions())[number].prefixes[0]
        return found


class ResponderTests(RevokedTestCase):
    def test_a_mobile_node(self) -> None:
        """All sessions of a mobile node at this gateway, without a delay, with the counters of it."""
        world = self.make()
        world.send()
        world.send(ll=LL2, hi=1)
        world.send(ll=b"\2\0\0\0\0\x77", hi=1, source=MAG2)
        self.assertEqual(self.bri(5, nai()).status, 0)
        (entry,) = world.lma.sessions()
        self.assertEqual((entry.care_of, self.count(OTHERS)), (MAG2, 2))
        self.assertEqual(self.count("binding-revocation/rcvd"), 1)
        self.assertEqual(self.count("binding-revocation/ack-sent"), 1)

    def test_a_flood_of_the_whole(self) -> None:
        """However often a gateway revokes all of its sessions, they are gone through once, or twice."""
        world = self.make(global_peers=RIGHTS)
        flags = BU_A | BU_P | BU_B
        for n in range(3):
            world.send(mn=b"m%d@x" % n, ll=bytes([2, 0, 0, 0, 0, n]), flags=flags, extra=[group(7)])
        sweeps = world.lma._revocation._sweeps
        for n in range(50):
            self.assertEqual(self.bri(128, nai(MAG_NAME), flags=BR_P | BR_G, sequence=3 * n).status, 0)
            self.assertEqual(self.bri(128, group(7), flags=BR_P | BR_G, sequence=3 * n + 1).status, 0)
            self.assertEqual(self.bri(128, group(1), flags=BR_P | BR_G, sequence=3 * n + 2).status, 0)
        self.assertEqual(len(sweeps._waiting), 3)
        # One that has begun is another: what it has passed over may have been updated since.
        world.send(mn=b"new@x", ll=bytes([2, 0, 0, 0, 1, 0]))
        self.patch(sweeps_of_many, "LOOKED_AT", 1)
        world.lma.tick(world.now)
        self.bri(128, nai(MAG_NAME), flags=BR_P | BR_G, sequence=900)
        self.assertEqual(len(sweeps._waiting), 4)
        world.pass_time(1)
        self.assertEqual((world.lma.session_count, self.count(OTHERS)), (0, 4))

    def test_some_prefixes(self) -> None:
        """By prefix: that session alone; what is gone already is named with status 1."""
        world = self.make()
        world.send()
        world.send(ll=LL2, hi=1)
        (first, second) = self.prefix(0), self.prefix(1)
        gone = HomeNetworkPrefix(64, packed("2001:db8:1:77::"))
        answer = self.bri(1, nai(), HomeNetworkPrefix(first[1], first[0]), gone)
        self.assertEqual((answer.status, named(answer)[:2]), (1, ([MN1], [(gone.prefix, 64)])))
        self.assertEqual([entry.prefixes for entry in world.lma.sessions()], [(second,)])
        self.assertEqual(self.bri(1, nai(), gone, sequence=2).status, 128)

    def test_ipv4(self) -> None:
        """V: the IPv4 home address alone; without it 129, with another's 128."""
        world = self.make()
        world.send(ipv4=["0.0.0.0"])
        (entry,) = world.lma.sessions()
        self.assertEqual(self.bri(5, nai(), flags=BR_P | BR_V).status, 129)
        wrong = IPv4HomeAddressRequest(32, packed("203.0.113.200"))
        self.assertEqual(self.bri(5, nai(), wrong, flags=BR_P | BR_V).status, 128)
        assert entry.ipv4_address is not None
        right = IPv4HomeAddressRequest(32, entry.ipv4_address)
        self.assertEqual(self.bri(5, nai(), right, flags=BR_P | BR_V).status, 0)
        self.assertEqual((entry.ipv4_address, world.lma.session_count), (None, 1))

    def test_refusals(self) -> None:
        """The status of everything that cannot be done; nothing ends by it."""
        world = self.make(global_peers=RIGHTS)
        world.send()
        g = BR_P | BR_G
        for number, (status, trigger, flags, options) in enumerate(
            [
                (133, 8, BR_P, [nai()]),
                (133, 250, g, [nai()]),
                (134, 1, g, [nai()]),
                (134, 128, BR_P, [nai()]),
                (134, 128, g | BR_V, [nai()]),
                (134, 129, g, [nai(b"@example.org")]),
                (130, 128, g, []),
                (130, 128, g, [nai(b"mag2@example.org")]),
                (130, 128, g, [nai(MAG_NAME), AlternateCareOfAddress(MAG2)]),
                (128, 1, BR_P, []),
                (128, 1, BR_P, [nai(b"nobody@x")]),
                (128, 1, 0, [nai()]),
                (128, 1, BR_P, [nai(), AlternateCareOfAddress(MAG2)]),
                (128, 128, g, [group(7)]),
                (128, 128, g, [group(7), nai(MAG_NAME)]),
            ]
        ):
            self.assertEqual(
                self.bri(trigger, *options, flags=flags, sequence=number).status, status, options
            )
        self.assertEqual(self.bri(128, nai(), flags=g, source=MAG2).status, 130)
        self.assertEqual(self.bri(128, group(7), flags=g, source=MAG2, sequence=2).status, 130)
        self.assertEqual(self.bri(1, nai(), source=MAG2, sequence=3).status, 128)
        world.pass_time(1)
        self.assertEqual(world.lma.session_count, 1)

    def test_all_of_a_gateway(self) -> None:
        """A gateway with the right to it revokes all that is registered by it."""
        world = self.make(global_peers=RIGHTS)
        for number in range(500):
            world.send(mn=b"m%d@x" % number)
        world.send(mn=b"other@x", source=MAG2)
        self.assertEqual(self.bri(128, nai(MAG_NAME), flags=BR_P | BR_G).status, 0)
        self.assertGreater(world.lma.session_count, 1)
        world.pass_time(0.1)
        self.assertEqual((world.lma.session_count, self.count(OTHERS)), (1, 500))

    def test_repeated(self) -> None:
        """A repeated indication gets the same answer; the same number with other content does not."""
        world = self.make()
        world.send()
        self.assertEqual(self.bri(1, nai()).status, 0)
        self.assertEqual(self.bri(1, nai()).status, 0)
        self.assertEqual(self.bri(1, nai(b"b@x")).status, 128)
        self.assertEqual(
            (self.count("binding-revocation/rcvd"), self.count("binding-revocation/ack-sent")), (3, 3)
        )

    def test_unreadable(self) -> None:
        """What cannot be read, and what strangers send, gets no answer and is counted."""
        world = self.make()
        world.send()
        good = indication(1, [nai()], MAG1, LMA_ADDRESS)
        for data, source in (
            (good[:9], MAG1),
            (good[:4] + b"\0\1" + good[6:], MAG1),
            (indication(1, [nai(), nai()], MAG1, LMA_ADDRESS), MAG1),
            (indication(1, [nai()], STRANGER, LMA_ADDRESS), STRANGER),
        ):
            world.packet(data, source)
            self.assertEqual(revocations(world.effects, ACKNOWLEDGEMENT), [])
        self.assertEqual((self.count("binding-revocation/discarded"), world.lma.session_count), (4, 1))

    def test_off(self) -> None:
        """RFC 5846 section 6.2: a node without the function answers Binding Error status 2."""
        world = self.make(revocation=False)
        world.send()
        world.packet(indication(1, [nai()], MAG1, LMA_ADDRESS))
        (send,) = world.of_kind(Send)
        error = decode(send.data).message
        assert isinstance(error, BindingError)
        self.assertEqual((error.status, send.destination, world.lma.session_count), (2, MAG1, 1))
        self.assertEqual(self.count("other-mobility-messages/ignored"), 1)


class BulkTests(RevokedTestCase):
    """Groups of sessions."""

    def join(self, mn: bytes, number: int = 7, **what: Any) -> Any:
        """Register a mobile node in a group."""
        what = {"flags": BU_A | BU_P | BU_B, "extra": [group(number)], **what}
        return self.world.send(mn=mn, **what)

    def bulk(self, number: int, *options: Any, lifetime: int = 900, **what: Any) -> Any:
        """Refresh a group; the answer."""
        world = self.world
        world.mono += what.get("later", 1.0)
        source = what.get("source", MAG1)
        stamp = Timestamp(to_timestamp(what.get("time", world.now.wall)))
        flags = what.get("flags", BU_A | BU_P)
        update = BindingUpdate(what.get("sequence", 77), flags, lifetime, [*options, stamp, group(number)])
        world.packet(seal(encode(update), source, LMA_ADDRESS), source)
        (send,) = [e for e in world.of_kind(Send) if e.data[2] == BindingAcknowledgement.TYPE]
        answer = decode(send.data).message
        world.pass_time(0.01)
        return answer

    def test_join_and_leave(self) -> None:
        """B and a group: the answer has B and ours; without B the session is out of it."""
        world = self.make()
        answer = self.join(b"a@one.org")
        self.assertEqual((bool(answer.flags & BA_B), named(answer)[2]), (True, [2]))
        self.assertEqual(named(self.join(b"b@one.org"))[2], [2])
        self.assertEqual(named(self.join(b"c@two.org"))[2], [3])
        self.assertEqual(named(self.join(b"no-realm"))[2], [1])
        (entry,) = world.lma.sessions(b"a@one.org")
        pairs = (("Bulk Group of MAG", "7"), ("Bulk Group of LMA", "2"))
        self.assertEqual(world.lma.details(entry), pairs)
        answer = world.send(mn=b"a@one.org", hi=5, sequence=2)
        assert answer is not None
        self.assertEqual((answer.flags & BA_B, named(answer)[2], world.lma.details(entry)), (0, [], ()))

    def test_not_accepted(self) -> None:
        """Where the operator does not want it there is no B and no group; nor for group 0."""
        self.make(accept_bulk=False)
        answer = self.join(b"a@one.org")
        self.assertEqual((answer.status, answer.flags & BA_B, named(answer)[2]), (0, 0, []))
        self.make()
        self.assertEqual(self.join(b"a@one.org", 0).flags & BA_B, 0)

    def test_extended(self) -> None:
        """One update extends all of the group, and nobody else."""
        world = self.make()
        for mn in (b"a@x", b"b@x"):
            self.join(mn, lifetime=100)
        self.join(b"c@x", 8, lifetime=100)
        world.send(mn=b"d@x", lifetime=100)
        world.mono += 300
        answer = self.bulk(7, HandoffIndicator(5), lifetime=500)
        self.assertEqual((answer.status, answer.lifetime, named(answer)), (0, 500, ([], [], [7])))
        left = {entry.mn_id: round(entry.due - world.mono) for entry in world.lma.sessions()}
        self.assertEqual(left, {b"a@x": 2000, b"b@x": 2000, b"c@x": 99, b"d@x": 99})
        self.assertEqual(self.count("refresh-binding-update-requests/accepted"), 1)
        world.pass_time(150)
        self.assertEqual({entry.mn_id for entry in world.lma.sessions()}, {b"a@x", b"b@x"})

    def test_all_sessions(self) -> None:
        """Group 1 is all of that gateway that are in a group."""
        world = self.make()
        self.join(b"a@x", lifetime=100)
        self.join(b"b@x", 8, lifetime=100)
        self.join(b"c@x", 8, lifetime=100, source=MAG2)
        world.send(mn=b"d@x", lifetime=100)
        self.assertEqual(self.bulk(1, lifetime=500).status, 0)
        self.assertEqual(self.bulk(1, lifetime=500, sequence=78).status, 0)
        world.pass_time(450)
        self.assertEqual({entry.mn_id for entry in world.lma.sessions()}, {b"a@x", b"b@x"})

    def test_many(self) -> None:
        """A large group is extended in slices; a session whose turn has not come does not end."""
        world = self.make()
        for number in range(1000):
            self.join(b"m%d" % number, lifetime=100, later=0.0001)
        world.mono += 395
        update = BindingUpdate(5, BU_A | BU_P, 900, [Timestamp(to_timestamp(world.now.wall)), group(7)])
        world.packet(seal(encode(update), MAG1, LMA_ADDRESS), MAG1)
        world.mono += 100
        world.pass_time(0)
        self.assertEqual(
            (world.lma.session_count, self.count("total-disconnects/lifetime-expiry")), (1000, 0)
        )

    def test_refused(self) -> None:
        """175 for a group that is unknown or beside a session; the order of updates; lifetime 0."""
        world = self.make()
        self.join(b"a@x")
        for status, number, options, what in (
            (175, 9, [], {}),
            (175, 7, [HomeNetworkPrefix(0, bytes(16))], {}),
            (175, 7, [IPv4HomeAddressRequest(0, bytes(4))], {}),
            (175, 7, [GreKey(5)], {}),
            (175, 7, [], {"source": MAG2}),
            (129, 7, [], {"lifetime": 0}),
            (156, 7, [], {"time": world.now.wall + 9000}),
            (0, 7, [], {}),
            (157, 7, [], {"time": world.now.wall + 1, "later": 5}),
        ):
            self.assertEqual(self.bulk(number, *options, **what).status, status, (number, options, what))
        answer = world.send(mn=b"a@x", extra=[group(7)], hi=5)
        assert answer is not None
        self.assertEqual(answer.status, 175)
        answer = world.send(mn=None, flags=BU_A | BU_P | BU_B, extra=[group(7)])
        assert answer is not None
        self.assertEqual(answer.status, 160)
        received = "binding-updates-received/"
        parts = sum(
            self.count(received + part) for part in ("total-accepted", "total-denied", "total-discarded")
        )
        self.assertEqual(self.count(received + "total-received"), parts)

    def test_revoked_by_the_gateway(self) -> None:
        """A bulk revocation ends the group; the answer names it."""
        world = self.make(global_peers=RIGHTS)
        self.join(b"a@x")
        self.join(b"b@x")
        self.join(b"c@x", 8)
        answer = self.bri(128, group(7), flags=BR_P | BR_G)
        self.assertEqual((answer.status, named(answer)[2]), (0, [7]))
        world.pass_time(0.1)
        self.assertEqual({entry.mn_id for entry in world.lma.sessions()}, {b"c@x"})

    def test_revoked_by_the_anchor(self) -> None:
        """The operator clears a group of ours: one message to each gateway."""
        world = self.make()
        self.join(b"a@one.org")
        self.join(b"b@one.org", 9, source=MAG2)
        self.join(b"c@two.org")
        self.assertEqual(len(list(world.lma.members(2))), 2)
        self.tell(ClearSessions(group=2))
        sent = dict(revocations(world.effects))
        self.assertEqual(
            [(m.trigger, m.flags, named(m)[2]) for m in sent.values()], [(129, BR_P | BR_G, [2])] * 2
        )
        for to, message in sent.items():
            self.reply(message, source=to, options=[group(2)])
        world.pass_time(0.1)
        self.assertEqual({entry.mn_id for entry in world.lma.sessions()}, {b"c@two.org"})

    def test_moved_and_left(self) -> None:
        """A handover takes a session out of the group of its former gateway; a de-registration, too."""
        world = self.make(revocation=False)
        self.join(b"a@x")
        self.join(b"b@x")
        self.join(b"a@x", 3, source=MAG2, hi=3, sequence=2)
        world.send(mn=b"b@x", lifetime=0, hi=4, sequence=2)
        bulk: Any = world.lma._bulk
        self.assertEqual({(gateway, *groups) for gateway, groups in bulk._groups.items()}, {(MAG2, 3)})
        self.tell(ClearSessions())
        self.assertEqual(bulk._groups, {})
        self.tell(Reconfigure(settings(accept_bulk=False)))
