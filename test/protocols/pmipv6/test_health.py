"""Anchor and gateways together: heartbeats, update notifications, controlled timers."""

import random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MAG, CounterSet
from appliance.protocols.access.events import FrameReceived
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import (
    UPN_A,
    BindingError,
    UpdateNotificationAcknowledgement,
)
from appliance.protocols.pmipv6.events import (
    Began,
    MobileAttached,
    NotifyUpdate,
    PacketReceived,
    Reconfigure,
    Send,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import MagSettings, MobilePolicy, Profile
from test.protocols.access.test_ndp import solicitation
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS as ANCHOR1
from test.protocols.pmipv6.lma_fakes import LMA_IPV4, MAG1, MAG2, MAG_IPV4, MN1, STRANGER, World
from test.protocols.pmipv6.test_mag_lma import ANCHOR, GATEWAYS, Network

NOTES = "update-notifications/"
PATH = "path-management-messages/"
# Digest 10.17 to 10.20, from the Mobility Header on.
UPN_FORCE = bytes.fromhex("3b03130097801234000100000810016d6e31406578616d706c652e6f72670100")
UPN_UPDATE = bytes.fromhex("3b031300d77d12350002c0000810016d6e31406578616d706c652e6f72670100")
UPA_FAILED = bytes.fromhex("3b03140016801235800000000810016d6e31406578616d706c652e6f72670100")
UNKNOWN_TYPE = bytes.fromhex("3b0207005fe00200" + "00" * 16)
GATEWAY = GATEWAYS[0]
PREFIX_KEPT = Profile(name="default", ipv4=True, any_prefix=True)


class Pair(Network):
    """One anchor and its gateways, with heartbeats, and settings that a test may change."""

    def __init__(self, anchor: dict[str, Any] | None = None, gateway: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.anchor = evolve(
            self.anchor_settings("optional"),
            heartbeat_interval=30,
            default_profile=PREFIX_KEPT,
            **(anchor or {}),
        )
        self.gateway = {}
        self.cores[ANCHOR] = LocalMobilityAnchor(self.anchor, self.counters[ANCHOR], lambda bits: 5)
        for address in GATEWAYS:
            core = self.cores[address]
            values = evolve(core._sessions.settings, heartbeat_interval=30, **(gateway or {}))
            self.gateway[address] = values
            self.cores[address] = MobileAccessGateway(values, self.counters[address], lambda bits: 9)
        for number, address in enumerate((ANCHOR, *GATEWAYS)):
            self.feed(address, Began(number + 1))
        self.feed(GATEWAY, FrameReceived("acc0", solicitation()), access=True)
        self.run(2)

    def settle(self, address: bytes, core: Any) -> None:
        """As before; what would be written to the disk is dropped."""
        effects = [each for each in core.take() if type(each).__name__ != "KeepPeers"]
        taken = iter((effects, []))
        super().settle(address, type("Core", (), {"take": lambda _self: next(taken)})())

    def restart(self, counter: int, told: bool = True) -> None:
        """The anchor starts anew, without its sessions."""
        self.installed[ANCHOR] = {}
        self.cores[ANCHOR] = LocalMobilityAnchor(self.anchor, self.counters[ANCHOR], lambda bits: 6)
        self.feed(ANCHOR, Began(counter, ((GATEWAY, ANCHOR, 0),) if told else ()))

    def value(self, address: bytes, row: str) -> int:
        """A counter of a node."""
        return self.counters[address].value(row)

    def peer(self, address: bytes) -> Any:
        """The only peer of a node."""
        (peer,) = self.cores[address].peers()
        return peer


class HeartbeatTests(SynchronousTestCase):
    """Both ask, both answer."""

    def test_both_ways(self) -> None:
        """Each knows the other's counter; ten minutes cost twenty requests each."""
        pair = Pair()
        pair.run(600)
        self.assertEqual((pair.peer(ANCHOR).counter, pair.peer(GATEWAY).counter), (2, 1))
        for address in (ANCHOR, GATEWAY):
            self.assertEqual(pair.value(address, PATH + "heartbeat-request/total-tx"), 21)
            self.assertEqual(pair.value(address, PATH + "heartbeat-response/total-rx"), 21)
            self.assertEqual(pair.value(address, PATH + "heartbeat-request/initial-rx"), 21)
            self.assertEqual(pair.value(address, PATH + "total-path-failures-detected"), 0)

    def test_anchor_restarts(self) -> None:
        """The anchor tells the gateway, which registers its mobile again: same prefix, no gap."""
        pair = Pair()
        (before,) = pair.installed[GATEWAY].values()
        pair.restart(2)
        pair.run(0.5)
        self.assertEqual(pair.value(GATEWAY, PATH + "reasons-for-path-failure/restart-counter-change"), 1)
        self.assertEqual(pair.counts(), (1, 1))
        self.assertEqual([each.prefixes for each in pair.installed[ANCHOR].values()], [before.prefixes])
        self.assertEqual(list(pair.installed[GATEWAY].values()), [before])

    def test_anchor_restarts_silently(self) -> None:
        """If its word is lost, the next request finds it out."""
        pair = Pair()
        pair.restart(2, told=False)
        pair.run(35)
        self.assertEqual(pair.counts(), (1, 1))
        self.assertEqual(pair.peer(GATEWAY).counter, 2)

    def test_anchor_restarts_end_sessions(self) -> None:
        """``heartbeat peer-restart end-sessions`` at the gateway: ended, and registered anew."""
        pair = Pair(gateway={"heartbeat_peer_restart": "end-sessions"})
        pair.restart(2)
        pair.run(1)
        self.assertEqual(pair.counts(), (1, 1))
        self.assertEqual(pair.value(GATEWAY, "total-disconnects/other-reasons"), 1)

    def test_gateway_restarts(self) -> None:
        """The anchor ends what the gateway has lost."""
        pair = Pair()
        pair.cores[GATEWAY] = MobileAccessGateway(
            pair.gateway[GATEWAY], pair.counters[GATEWAY], lambda bits: 9
        )
        pair.feed(GATEWAY, Began(3, ((ANCHOR, GATEWAY, 0),)))
        pair.run(1)
        self.assertEqual(pair.counts(), (0, 0))
        self.assertEqual(pair.value(ANCHOR, "total-disconnects/other-reasons"), 1)

    def test_path_failure(self) -> None:
        """The link is cut: both find out; the anchor ends the sessions, the gateway as it is told."""
        ends = {"heartbeat_path_failure": "end-sessions"}
        pair = Pair(ends, ends)
        pair.lost = 1_000_000
        pair.run(60)
        self.assertEqual(pair.counts(), (0, 1))
        for address in (ANCHOR, GATEWAY):
            row = PATH + "reasons-for-path-failure/no-heartbeat-response-received"
            self.assertEqual(pair.value(address, row), 1)
            self.assertEqual(pair.value(address, "total-disconnects/other-reasons"), 1)
        pair.lost = 0
        pair.run(60)
        self.assertEqual(pair.counts(), (1, 1))
        self.assertEqual((pair.peer(ANCHOR).state, pair.peer(GATEWAY).state), ("up", "up"))

    def test_path_failure_keeps_sessions(self) -> None:
        """Factory state: nothing ends for a cut of a minute."""
        pair = Pair()
        pair.lost = 1_000_000
        pair.run(60)
        pair.lost = 0
        pair.run(60)
        self.assertEqual(pair.counts(), (1, 1))
        self.assertEqual(pair.value(GATEWAY, "total-disconnects/other-reasons"), 0)


class NotificationTests(SynchronousTestCase):
    """The anchor notifies, the gateway acts."""

    def registrations(self, pair: Pair) -> int:
        """Refreshes that the anchor has accepted."""
        return pair.value(ANCHOR, "refresh-binding-update-requests/accepted")

    def test_force_reregistration(self) -> None:
        """Reason 1 for one mobile, and for all: an update each, no acknowledgement."""
        pair = Pair()
        pair.feed(ANCHOR, NotifyUpdate(1, b"mn1@example.org"))
        pair.run(1)
        self.assertEqual(self.registrations(pair), 1)
        pair.feed(ANCHOR, NotifyUpdate(1))
        pair.run(5)
        self.assertEqual(self.registrations(pair), 2)
        self.assertEqual(pair.value(ANCHOR, NOTES + "sent"), 2)
        self.assertEqual(pair.value(GATEWAY, NOTES + "re-registrations"), 2)
        self.assertEqual(pair.value(GATEWAY, NOTES + "ack-sent"), 0)
        self.assertEqual(pair.value(ANCHOR, NOTES + "not-acknowledged"), 0)

    def test_reasons_and_results(self) -> None:
        """Each reason is acknowledged as the RFCs say when there is nothing more to do it."""
        pair = Pair()
        for order in (
            NotifyUpdate(2),
            NotifyUpdate(3, b"", 9, 1, b"x"),
            NotifyUpdate(4),
            NotifyUpdate(5),
            NotifyUpdate(99),
        ):
            pair.feed(ANCHOR, order)
            pair.run(1)
        got = pair.counters[ANCHOR].value
        rows = ("success", "failed-to-update", "cannot-meet-qos", "unknown")
        self.assertEqual([got(NOTES + "received-ack-status/" + row) for row in rows], [2, 0, 1, 1])
        self.assertEqual((got(NOTES + "ack-rcvd"), got(NOTES + "sent"), self.registrations(pair)), (4, 5, 1))

    def test_callback(self) -> None:
        """Who notifies is told how it went: by status, by silence."""
        pair, heard = Pair(), []
        core = pair.cores[ANCHOR]
        (entry,) = core.sessions()

        def notify() -> None:
            core.notifications.notify(
                entry, 2, [opt.GreKey(5)], pair.now(ANCHOR), lambda status, now: heard.append(status)
            )
            pair.settle(ANCHOR, core)

        notify()
        pair.run(1)
        pair.lost = 100
        notify()
        pair.run(5)
        self.assertEqual(heard, [128, None])
        self.assertEqual(pair.value(ANCHOR, NOTES + "retries-sent"), 1)
        self.assertEqual(pair.value(ANCHOR, NOTES + "not-acknowledged"), 1)

    def test_retransmission(self) -> None:
        """A lost acknowledgement: the repetition is answered and not handled again."""
        pair = Pair()
        pair.feed(ANCHOR, NotifyUpdate(5))
        pair.run(0.001)
        ((_, _, effect),) = pair.wire
        pair.run(0.015)
        pair.wire = []
        pair.run(3)
        self.assertEqual(decode(effect.data).message.flags, UPN_A)
        got = pair.counters[GATEWAY].value
        self.assertEqual(
            (got(NOTES + "rcvd"), got(NOTES + "retransmissions-rcvd"), got(NOTES + "ack-sent")), (2, 1, 2)
        )
        self.assertEqual(got(NOTES + "received-reasons/qos-service-request"), 1)
        self.assertEqual(pair.value(ANCHOR, NOTES + "ack-rcvd"), 1)

    def test_on_change(self) -> None:
        """Settings that sessions live by: gateways fetch them at once, if that is wanted."""
        for wanted in (False, True):
            pair = Pair({"update_notification_on_change": wanted})
            pair.anchor = evolve(pair.anchor, reg_lifetime=100)
            pair.feed(ANCHOR, Reconfigure(pair.anchor))
            pair.run(1)
            (entry,) = pair.cores[GATEWAY].sessions()
            self.assertEqual(entry.lifetime, 100 if wanted else 600)
            pair.feed(ANCHOR, Reconfigure(pair.anchor))
            pair.run(1)
            self.assertEqual(pair.value(ANCHOR, NOTES + "sent"), int(wanted))

    def test_binding_error(self) -> None:
        """A gateway that does not know them gets none, until an operator sends one (RFC 7077 section 5.2)."""
        pair = Pair()
        pair.run(1)
        core = pair.cores[ANCHOR]
        (entry,) = core.sessions()
        now = pair.now(ANCHOR)
        self.assertTrue(core.notifications.notify(entry, 2, [], now))
        error = seal(encode(BindingError(2, bytes(16))), GATEWAY, ANCHOR)
        core.receive(PacketReceived(error, GATEWAY, ANCHOR), now)
        self.assertFalse(core.notifications.notify(entry, 2, [], now))
        core.receive(NotifyUpdate(2, entry.mn_id), now)
        self.assertTrue(core.notifications.notify(entry, 2, [], now))
        self.assertEqual(
            (pair.value(ANCHOR, NOTES + "bind-error"), pair.value(ANCHOR, NOTES + "not-sent")), (1, 1)
        )
        self.assertEqual(pair.value(ANCHOR, PATH + "bind-error"), 0)

    def test_binding_error_of_one_who_knows_heartbeats(self) -> None:
        """It is about the notification, though a heartbeat waits for its answer too."""
        pair = Pair()
        core = pair.cores[ANCHOR]
        pair.lost = 100
        pair.run(30)
        self.assertTrue(pair.peer(ANCHOR).asked)
        core.receive(NotifyUpdate(2, b"mn1@example.org"), pair.now(ANCHOR))
        error = seal(encode(BindingError(2, bytes(16))), GATEWAY, ANCHOR)
        for notes, beats in ((1, 0), (1, 1)):
            core.receive(PacketReceived(error, GATEWAY, ANCHOR), pair.now(ANCHOR))
            found = pair.value(ANCHOR, NOTES + "bind-error"), pair.value(ANCHOR, PATH + "bind-error")
            self.assertEqual(found, (notes, beats))


class AnchorNotificationTests(SynchronousTestCase):
    """What the anchor makes of acknowledgements."""

    def test_golden_and_discards(self) -> None:
        """The message as the RFC draws it; acknowledgements of nothing, of strangers, unreadable ones."""
        world = World()
        world.send()
        world.lma.receive(NotifyUpdate(2, MN1), world.now)
        (effect,) = world.lma.take()
        message = decode(effect.data).message
        self.assertEqual((message.reason, message.flags), (2, UPN_A))
        self.assertEqual(message.options, [opt.MobileNodeIdentifier(1, MN1)])

        def acknowledge(sequence: int, source: bytes = MAG1, port: int = 0) -> None:
            mh = encode(UpdateNotificationAcknowledgement(sequence, 0, [opt.MobileNodeIdentifier(1, MN1)]))
            world.packet(mh if port else seal(mh, source, ANCHOR1), source, port)

        acknowledge(message.sequence, MAG2)
        acknowledge(message.sequence + 1)
        acknowledge(message.sequence, STRANGER)
        acknowledge(message.sequence)
        acknowledge(message.sequence)
        data = seal(encode(UpdateNotificationAcknowledgement(1, 0)), MAG1, ANCHOR1)
        world.packet(data[:10])
        world.packet(data[:4] + b"\0\0" + data[6:])
        world.packet(seal(bytes((59, 0, 20, 0, 0, 0, 0, 0)), MAG1, ANCHOR1))
        rows = ("matching-request-not-found", "unknown-peer", "checksum-error", "invalid-buffer-length")
        self.assertEqual([world.value(NOTES + "ack-discarded/" + row) for row in rows], [3, 1, 1, 2])
        self.assertEqual(
            (world.value(NOTES + "ack-rcvd"), world.value(NOTES + "received-ack-status/success")), (1, 1)
        )

    def test_over_udp(self) -> None:
        """A gateway known over IPv4 is notified where its registrations come from."""
        world = World()
        world.send(source=MAG_IPV4, port=41_000)
        world.lma.receive(NotifyUpdate(1), world.now)
        (effect,) = world.pass_time(0)
        self.assertEqual((effect.source, effect.destination, effect.port), (LMA_IPV4, MAG_IPV4, 41_000))
        message = decode(effect.data).message
        self.assertEqual((message.flags, message.options), (0, [opt.MobileNodeGroupIdentifier(1, 1)]))


class AnchorFuzzTests(SynchronousTestCase):
    """Whatever comes instead of an acknowledgement."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([7, 19, 20]),
                st.sampled_from([MAG1, MAG2, STRANGER]),
                st.binary(min_size=2, max_size=30),
            ),
            max_size=8,
        )
    )
    def test_never_raises(self, messages: Any) -> None:
        """Anything of these types, mutated or made up: each has its row, each notification one end."""
        world, ends = World(lambda bits: next(numbers), heartbeat_interval=30), []
        numbers = iter(range(1, 1000))
        world.send()
        (entry,) = world.lma.sessions()
        for number, (kind, source, body) in enumerate(messages):
            world.lma.notifications.notify(entry, 2, [], world.now, lambda status, now: ends.append(status))
            mh = bytes((59, 0, kind, 0, 0, 0)) + (bytes((0, 2 + number)) + body if number % 2 else body)
            mh += bytes(-len(mh) % 8)
            mh = mh[:1] + bytes((len(mh) // 8 - 1,)) + mh[2:]
            world.packet(seal(mh, source, ANCHOR1), source)
        world.pass_time(5)
        world.pass_time(5)
        value = world.value
        dropped = ("matching-request-not-found", "unknown-peer", "decode-error", "invalid-buffer-length")
        rows = [NOTES + "ack-rcvd", *(NOTES + "ack-discarded/" + row for row in dropped)]
        self.assertEqual(sum(map(value, rows)), sum(kind == 20 for kind, _, _ in messages))
        self.assertEqual(len(ends), value(NOTES + "sent"))
        self.assertEqual(value(NOTES + "sent") + value(NOTES + "not-sent"), len(messages))


class GoldenTests(SynchronousTestCase):
    """The packets of the digest, whose anchor and gateway have these addresses."""

    def test_octets(self) -> None:
        """UPN of reason 1, UPN of reason 2 repeated, its UPA 128, and a Binding Error."""
        numbers = random.Random(1)
        world = World(lambda bits: 0x1233 if bits == 16 else numbers.getrandbits(bits), heartbeat_interval=60)
        policy = MobilePolicy(link_layer=bytes.fromhex("02005e100001"), mn_id=MN1)
        values = MagSettings(name="mag1", address=MAG1, lma=ANCHOR1, policies=(policy,), encapsulation="ipip")
        gateway = MobileAccessGateway(values, CounterSet(MAG), lambda bits: 7)
        gateway.receive(MobileAttached("acc0", policy.link_layer), world.now)
        (request,) = gateway.take()
        (answer,) = [each for each in world.packet(request.data) if isinstance(each, Send)]
        gateway.receive(PacketReceived(answer.data, ANCHOR1, MAG1), world.now)
        gateway.take()

        world.lma.receive(NotifyUpdate(1, MN1), world.now)
        world.lma.receive(NotifyUpdate(2, MN1), world.now)
        first, second = world.lma.take()
        self.assertEqual(first.data, UPN_FORCE)
        self.assertEqual((second.data[6:8], second.data[10]), (b"\x12\x35", 0x80))
        notes = [each.data for each in world.pass_time(1.05) if isinstance(each, Send)]
        self.assertIn(UPN_UPDATE, notes)

        # With a parameter that the gateway cannot apply.
        message = decode(UPN_UPDATE).message
        message.options.append(opt.GreKey(1))
        data = seal(encode(message), ANCHOR1, MAG1)
        gateway.receive(PacketReceived(data, ANCHOR1, MAG1), world.now)
        self.assertEqual([each.data for each in gateway.take() if isinstance(each, Send)], [UPA_FAILED])
        world.packet(UPA_FAILED)
        self.assertEqual(world.value(NOTES + "received-ack-status/failed-to-update"), 1)

        world.packet(UNKNOWN_TYPE)
        self.assertEqual((world.value(PATH + "bind-error"), world.value(NOTES + "bind-error")), (1, 0))


class ControllingTests(SynchronousTestCase):
    """RFC 8127 at the anchor."""

    def test_sent(self) -> None:
        """The sub-options that are on are in every answer to a registration, not in one to a leave."""
        world = World(mag_reregistration_control=True, mag_heartbeat_control=True, mag_heartbeat_interval=90)
        option = opt.LmaControlledMagParameters(
            [(1, bytes.fromhex("000a00010020")), (2, bytes.fromhex("005a00050003"))]
        )
        for answer in (world.send(), world.send(hi=5)):
            self.assertIn(option, answer.options)
        self.assertNotIn(option, world.send(lifetime=0).options)
        self.assertNotIn(option, World().send().options)

    def test_misconfigured(self) -> None:
        """A zero: 128, and a line in the log."""
        for changes in (
            {"mag_retransmission_initial": 0, "mag_reregistration_control": True},
            {"mag_heartbeat_delay": 0, "mag_heartbeat_control": True},
        ):
            world = World(**changes)
            answer = world.send()
            self.assertEqual(answer.status, 128)
            self.assertEqual(world.value("update-denied-unspecified-reason/other"), 1)
            self.assertTrue(any("RFC 8127" in getattr(each, "text", "") for each in world.effects))
        self.assertEqual(World(mag_heartbeat_delay=0).send().status, 0)

    def test_between_the_cores(self) -> None:
        """What the anchor is configured with is what the gateway does."""
        pair = Pair(
            {
                "mag_reregistration_control": True,
                "mag_reregistration_start": 100,
                "mag_heartbeat_control": True,
            }
        )
        (entry,) = pair.cores[GATEWAY].sessions()
        self.assertEqual(entry.timers, (100, 1, 32))
        pair.run(250)
        self.assertEqual(pair.value(ANCHOR, "refresh-binding-update-requests/accepted"), 1)
        self.assertEqual(pair.value(GATEWAY, PATH + "heartbeat-request/total-tx"), 5)
