"""Heartbeats at the anchor: octets, time, losses, strangers (RFC 5847)."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.messages import HB_R, HB_U, BindingError, Heartbeat
from appliance.protocols.mobility.options import RestartCounter
from appliance.protocols.pmipv6.events import Began, KeepPeers, Notify, Reconfigure, Remove, Send
from appliance.protocols.pmipv6.lma_heartbeat import ENDED_AT_ONCE
from test.protocols.pmipv6.lma_fakes import (
    BAD_MAG,
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    STRANGER,
    World,
)

PATH = "path-management-messages/"
REQUEST = bytes.fromhex("3b010d005ae600000000000101020000")
RESPONSE = bytes.fromhex("3b020d003dd100010000000101001c040000000701020000")
UNSOLICITED = bytes.fromhex("3b020d003dcf00030000000001001c040000000801020000")


def beats(effects: list[Any]) -> list[tuple[Send, Heartbeat]]:
    """The heartbeats among effects."""
    found = []
    for effect in effects:
        if isinstance(effect, Send) and effect.data[2] == Heartbeat.TYPE:
            assert effect.port or verify(effect.data, effect.source, effect.destination)
            message, faults = decode(effect.data)
            assert not faults and isinstance(message, Heartbeat)
            found.append((effect, message))
    return found


class Case(SynchronousTestCase):
    """An anchor with heartbeats every minute."""

    def setUp(self) -> None:
        """One session of the first gateway, whose first request was answered."""
        self.make()

    def make(self, **changes: Any) -> None:
        """An anchor with other settings and one session."""
        self.world = World(**{"heartbeat_interval": 60, **changes})
        self.world.send()

    def answer(
        self, counter: int | None = 7, sequence: int = 0, source: bytes = MAG1, flags: int = HB_R
    ) -> Any:
        """Answer the last request; returns the effects."""
        options = [] if counter is None else [RestartCounter(counter)]
        message = encode(Heartbeat(flags, sequence or self.peer(source).sequence, options))
        if len(source) == 4:
            return self.world.packet(message, source, 40_000)
        return self.world.packet(seal(message, source, LMA_ADDRESS), source)

    def peer(self, address: bytes = MAG1) -> Any:
        """What is known of a gateway."""
        return next(each for each in self.world.lma.peers() if each.address == address)

    def count(self, row: str) -> int:
        """A counter of the group."""
        return self.world.value(PATH + row)

    def sessions(self, number: int, source: bytes = MAG1) -> None:
        """More sessions."""
        for each in range(number):
            name = b"%d@%d.example.org" % (each, source[5])
            self.world.send(mn=name, ll=(each + 1).to_bytes(6, "big"), source=source)

    def later(self, seconds: float) -> list[Any]:
        """Let time go by, tick by tick; returns the effects."""
        world, found = self.world, []
        end = world.mono + seconds
        while (deadline := world.lma.deadline) is not None and deadline <= end:
            found += world.pass_time(max(0.0, deadline - world.mono))
        world.mono = end
        world.effects = found
        return found


class TimeTests(Case):
    """When requests go out and when a peer counts as lost."""

    def test_golden(self) -> None:
        """The first request is sent a second after the first session, octet by octet."""
        self.assertEqual(beats(self.later(0.9)), [])
        ((sent, _),) = beats(self.later(0.2))
        self.assertEqual(sent.data, seal(REQUEST[:4] + bytes(2) + REQUEST[6:], LMA_ADDRESS, MAG1))
        self.assertEqual((sent.source, sent.destination, sent.port), (LMA_ADDRESS, MAG1, 0))

    def test_one_a_minute_with_a_new_number(self) -> None:
        """While they are answered, requests come once an interval, numbered one by one."""
        numbers = []
        for seconds in (1.1, 60, 60, 60):
            ((_, message),) = beats(self.later(seconds))
            numbers.append((message.flags, message.sequence, message.options))
            self.answer()
        self.assertEqual(numbers, [(0, n, []) for n in (1, 2, 3, 4)])
        self.assertEqual(
            (self.count("heartbeat-request/total-tx"), self.count("heartbeat-response/total-rx")), (4, 4)
        )
        self.assertEqual((self.peer().state, self.peer().counter, self.peer().misses), ("up", 7, 0))

    def test_no_sessions_no_requests(self) -> None:
        """Section 3: without a binding nothing is asked, and the peer is forgotten."""
        self.later(1.1)
        self.answer()
        self.world.send(lifetime=0)
        self.later(20)
        self.assertEqual(self.world.lma.session_count, 0)
        self.assertEqual(beats(self.later(300)), [])
        self.assertEqual(self.world.lma.peers(), [])

    def test_costs_per_peer(self) -> None:
        """Many sessions, two gateways: two requests."""
        self.sessions(20)
        self.sessions(20, MAG2)
        self.assertEqual(len(beats(self.later(1.1))), 2)
        self.assertEqual((self.world.lma.shared(MAG1), self.world.lma.shared(MAG2)), (21, 20))

    def test_failure_and_recovery(self) -> None:
        """A request and its three repetitions unanswered: failed, once; sessions stay; an answer heals it."""
        sent = beats(self.later(13.2))
        self.assertEqual([message.sequence for _, message in sent], [1, 1, 1, 1])
        self.assertEqual(
            (self.count("heartbeat-request/initial-tx"), self.count("heartbeat-request/retrans-tx")), (1, 3)
        )
        self.assertEqual(self.count("reasons-for-path-failure/no-heartbeat-response-received"), 1)
        self.assertEqual((self.peer().state, self.peer().misses), ("failed", 4))
        self.assertIn("path failed", self.world.of_kind(Notify)[0].text)
        self.assertEqual([message.sequence for _, message in beats(self.later(120))], [2, 3])
        self.assertEqual(self.count("total-path-failures-detected"), 1)
        self.assertEqual(self.world.lma.session_count, 1)
        self.answer()
        self.assertEqual((self.peer().state, self.peer().misses), ("up", 0))
        self.assertIn("again", self.world.of_kind(Notify)[0].text)

    def test_settings(self) -> None:
        """Interval, time-out and repetitions are those of the configuration, also while it runs."""
        self.make(heartbeat_interval=100, heartbeat_timeout=5, heartbeat_max_retransmissions=1)
        self.later(10)
        self.assertEqual(self.peer().state, "unknown")
        self.later(2)
        self.assertEqual(self.peer().state, "failed")
        world = self.world
        world.settings = evolve(world.settings, heartbeat_interval=0)
        world.lma.receive(Reconfigure(world.settings), world.now)
        self.assertEqual(beats(self.later(1000)), [])
        world.send()
        world.lma.receive(Reconfigure(evolve(world.settings, heartbeat_interval=30)), world.now)
        self.assertEqual(len(beats(self.later(1.1))), 1)

    def test_off(self) -> None:
        """Factory state: nothing is asked, requests are answered nevertheless."""
        self.make(heartbeat_interval=0)
        self.assertEqual(beats(self.later(500)), [])
        ((_, message),) = beats(self.world.packet(seal(encode(Heartbeat(0, 9)), MAG2, LMA_ADDRESS), MAG2))
        self.assertEqual((message.flags, message.sequence), (HB_R, 9))

    def test_over_udp(self) -> None:
        """Section 4: a gateway known over IPv4 gets its requests where its registrations come from."""
        self.world.send(mn=b"mn4@example.org", ll=bytes(6), source=MAG_IPV4, port=41_000)
        sent = [each for each, _ in beats(self.later(1.1)) if len(each.destination) == 4]
        self.assertEqual(
            [(each.source, each.destination, each.port) for each in sent], [(LMA_IPV4, MAG_IPV4, 41_000)]
        )
        self.assertEqual(sent[0].data[4:6], bytes(2))
        self.answer(source=MAG_IPV4)
        self.assertEqual((self.peer(MAG_IPV4).state, self.peer(MAG_IPV4).counter), ("up", 7))


class LossTests(Case):
    """What becomes of sessions."""

    def restart(self) -> list[Any]:
        """The gateway has answered with counter 7, then with 8."""
        self.world.pass_time(1.1)
        self.answer(7)
        self.world.pass_time(60)
        return self.answer(8)  # type: ignore[no-any-return]

    def test_restart_ends_sessions(self) -> None:
        """Another counter: the gateway has lost its sessions, they end as Other Reasons."""
        self.sessions(3, MAG2)
        self.restart()
        self.assertEqual(self.count("reasons-for-path-failure/restart-counter-change"), 1)
        effects = self.world.pass_time(0.1)
        self.assertEqual(len([each for each in effects if isinstance(each, Remove)]), 1)
        self.assertEqual(self.world.value("total-disconnects/other-reasons"), 1)
        self.assertEqual((self.world.lma.session_count, self.world.lma.shared(MAG1)), (3, 0))

    def test_restart_keeps_what_came_after(self) -> None:
        """A session that the gateway refreshed after its last old answer is one that it knows."""
        self.sessions(1)
        self.world.pass_time(1.1)
        self.answer(7)
        self.world.send(hi=5, later=5)
        self.world.pass_time(60)
        self.answer(8)
        self.world.pass_time(0.1)
        self.assertEqual([entry.mn_id for entry in self.world.lma.sessions()], [b"mn1@example.org"])

    def test_restart_keeps_sessions_if_wanted(self) -> None:
        """``heartbeat peer-restart keep-sessions``."""
        self.make(heartbeat_peer_restart="keep-sessions")
        self.restart()
        self.world.pass_time(0.1)
        self.assertEqual(self.world.lma.session_count, 1)
        self.assertEqual(self.peer().counter, 8)

    def test_failure_ends_sessions_if_wanted(self) -> None:
        """``heartbeat path-failure end-sessions``: a bounded number in each tick."""
        self.make(heartbeat_path_failure="end-sessions", heartbeat_timeout=20, max_subscribers=1000)
        self.sessions(2 * ENDED_AT_ONCE)
        world, steps = self.world, []
        world.mono += 200
        while (deadline := world.lma.deadline) is not None and deadline <= world.mono:
            before = world.lma.session_count
            world.lma.tick(world.now)
            steps.append(before - world.lma.session_count)
            if len(steps) > 50:
                break
            world.mono += 20
        self.assertEqual(sum(steps), 2 * ENDED_AT_ONCE + 1)
        self.assertEqual(max(steps), ENDED_AT_ONCE)
        self.assertEqual(world.value("total-disconnects/other-reasons"), 2 * ENDED_AT_ONCE + 1)

    def test_unsolicited_is_looked_into(self) -> None:
        """An unsolicited response is not believed as such: the request that follows at once tells."""
        self.world.pass_time(1.1)
        self.answer(7)
        self.world.pass_time(10)
        ((_, message),) = beats(self.answer(8, flags=HB_U | HB_R, sequence=99))
        self.assertEqual((message.flags, message.sequence, self.peer().counter), (0, 2, 7))
        self.assertEqual(beats(self.answer(9, flags=HB_U | HB_R)), [])
        self.answer(8)
        self.world.pass_time(0.1)
        self.assertEqual(self.world.lma.session_count, 0)

    def test_forged_unsolicited_does_nothing(self) -> None:
        """Somebody else says that the gateway has restarted; the gateway's answer says that it has not."""
        self.world.pass_time(1.1)
        self.answer(7)
        self.world.pass_time(10)
        self.answer(8, flags=HB_U | HB_R)
        self.answer(7)
        self.world.pass_time(1)
        self.assertEqual((self.world.lma.session_count, self.count("total-path-failures-detected")), (1, 0))

    def test_unsolicited_before_any_answer(self) -> None:
        """A gateway of which no counter is known says that it has restarted."""
        self.world.mono += 0.1
        self.answer(8, flags=HB_U | HB_R, sequence=1)
        self.answer(8)
        self.world.pass_time(0.1)
        self.assertEqual(self.world.lma.session_count, 0)

    def test_binding_error(self) -> None:
        """Status 2 in answer to a request: never asked again, until the operator switches off and on."""
        self.world.pass_time(1.1)
        error = seal(encode(BindingError(2, bytes(16))), MAG1, LMA_ADDRESS)
        self.world.packet(error)
        self.assertEqual((self.count("bind-error"), self.peer().state), (1, "unsupported"))
        self.world.packet(error)
        self.assertEqual(self.count("bind-error"), 1)
        self.assertEqual(self.world.value("other-mobility-messages/ignored"), 1)
        self.assertEqual(beats(self.world.pass_time(500)), [])
        for interval in (0, 60):
            changed = evolve(self.world.settings, heartbeat_interval=interval)
            self.world.lma.receive(Reconfigure(changed), self.world.now)
        self.assertEqual(len(beats(self.world.pass_time(1.1))), 1)


class IncomingTests(Case):
    """What others send."""

    def ask(self, source: bytes = MAG1, sequence: int = 1, **how: Any) -> list[tuple[Send, Heartbeat]]:
        """A request; the responses."""
        data = encode(Heartbeat(0, sequence))
        if "port" in how:
            return beats(self.world.packet(data, source, how["port"]))
        return beats(self.world.packet(seal(data, source, LMA_ADDRESS), source))

    def test_golden(self) -> None:
        """The response has the number of the request and our counter, octet by octet."""
        self.world.lma.receive(Began(7), self.world.now)
        ((sent, _),) = self.ask()
        self.assertEqual(sent.data, seal(RESPONSE[:4] + bytes(2) + RESPONSE[6:], LMA_ADDRESS, MAG1))
        ((sent, _),) = self.ask(MAG_IPV4, 2, port=5000)
        self.assertEqual((sent.data[4:6], sent.source, sent.port), (bytes(2), LMA_IPV4, 5000))

    def test_repetition_is_not_initial(self) -> None:
        """The same number again is answered, and is no new request."""
        self.assertEqual(len(self.ask() + self.ask() + self.ask(sequence=2)), 3)
        self.assertEqual(
            (self.count("heartbeat-request/total-rx"), self.count("heartbeat-request/initial-rx")), (3, 2)
        )
        self.assertEqual(self.count("heartbeat-response/total-tx"), 3)

    def test_strangers(self) -> None:
        """A node that no line allows gets no answer, and one line in the log."""
        dropped = "heartbeat-messages-discarded/"
        for source in (STRANGER, STRANGER, BAD_MAG):
            self.world.mono += 2
            self.assertEqual(self.ask(source), [])
        self.assertEqual(self.count(dropped + "heartbeat-req-from-unknown-peer"), 3)
        self.answer(7, 1, STRANGER)
        self.answer(7, 1, MAG2)
        self.assertEqual(self.count(dropped + "heartbeat-rsp-from-unknown-peer"), 2)
        self.assertEqual(self.count(dropped + "total"), 5)

    def test_flood(self) -> None:
        """Of a thousand requests at once a few are answered; later ones are again."""
        answered = sum(len(self.ask(sequence=number)) for number in range(1000))
        self.assertEqual(answered, 10)
        self.assertEqual(self.count("heartbeat-messages-discarded/heartbeat-req-flood"), 990)
        self.world.mono += 1
        self.assertEqual(len(self.ask()), 1)
        self.assertEqual(len(self.ask(MAG2)), 1)

    def test_mismatch(self) -> None:
        """A response to nothing, or with another number, is dropped; a second answer is not."""
        self.answer(7, 5)
        self.world.pass_time(1.1)
        self.answer(7, 5)
        self.assertEqual(self.count("heartbeat-messages-discarded/heartbeat-rsp-seq-num-mismatch"), 2)
        self.answer(7)
        self.answer(7)
        self.assertEqual(self.count("heartbeat-messages-discarded/total"), 2)

    def test_unusable(self) -> None:
        """Length, checksum and contents have rows of their own."""
        data = seal(encode(Heartbeat(0, 1)), MAG1, LMA_ADDRESS)
        self.world.packet(data[:12])
        self.world.packet(data[:4] + b"\0\0" + data[6:])
        self.world.packet(seal(data[:4] + b"\0\0" + data[6:13] + b"\x09\0\0", MAG1, LMA_ADDRESS))
        self.world.packet(seal(bytes((59, 0, 13, 0, 0, 0, 0, 0)), MAG1, LMA_ADDRESS))
        rows = ("invalid-buffer-length", "checksum-error", "decode-error", "total")
        self.assertEqual([self.count("heartbeat-messages-discarded/" + row) for row in rows], [2, 1, 1, 4])

    def test_former_peers_are_told(self) -> None:
        """After a start that lost the sessions: one unsolicited response to each, octet by octet."""
        world = World(heartbeat_interval=60)
        former = ((MAG1, LMA_ADDRESS, 0), (MAG_IPV4, LMA_IPV4, 5436))
        world.lma.receive(Began(8, former), world.now)
        sent = [each for each, _ in beats(world.pass_time(0.1))]
        self.assertEqual(sent[0].data, seal(UNSOLICITED[:4] + bytes(2) + UNSOLICITED[6:], LMA_ADDRESS, MAG1))
        self.assertEqual([(each.destination, each.port) for each in sent], [(MAG1, 0), (MAG_IPV4, 5436)])
        quiet = World()
        quiet.lma.receive(Began(8, former), quiet.now)
        self.assertEqual(quiet.pass_time(5), [])

    def test_peers_are_written_down(self) -> None:
        """Whom there are sessions with is told a second after it changes."""
        world = World(heartbeat_interval=60)
        world.lma.receive(Began(8), world.now)
        world.send()
        world.send(mn=b"b@example.org", source=MAG2)
        (effect,) = [each for each in world.pass_time(2) if isinstance(each, KeepPeers)]
        self.assertEqual(effect.peers, ((MAG1, LMA_ADDRESS, 0), (MAG2, LMA_ADDRESS, 0)))


class CountTests(Case):
    """The number of sessions of each gateway."""

    def test_follows_handover_and_end(self) -> None:
        """Handover moves it; refreshes leave it; the end takes it away."""
        lma, world = self.world.lma, self.world
        world.send(hi=5)
        self.assertEqual((lma.shared(MAG1), lma.shared(MAG2)), (1, 0))
        world.send(hi=3, source=MAG2)
        self.assertEqual((lma.shared(MAG1), lma.shared(MAG2)), (0, 1))
        world.send(hi=3)
        world.send(lifetime=0)
        self.assertEqual(lma.shared(MAG1), 1)
        world.pass_time(20)
        self.assertEqual((lma.shared(MAG1), lma.shared(MAG2)), (0, 0))


class FuzzTests(SynchronousTestCase):
    """Whatever comes."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([MAG1, MAG2, STRANGER, BAD_MAG]),
                st.integers(0, 3),
                st.integers(0, 3),
                st.binary(max_size=12),
                st.floats(0, 40),
            ),
            max_size=12,
        )
    )
    def test_never_raises(self, messages: Any) -> None:
        """Requests and responses with any options at any time: each is answered, taken or dropped."""
        world = World(heartbeat_interval=30, heartbeat_path_failure="end-sessions")
        world.send()
        for source, flags, sequence, tail, later in messages:
            world.pass_time(later)
            body = b"\x3b\0\x0d\0\0\0" + flags.to_bytes(2, "big") + sequence.to_bytes(4, "big") + tail
            body += bytes(-len(body) % 8)
            data = seal(body[:1] + bytes((len(body) // 8 - 1,)) + body[2:], source, LMA_ADDRESS)
            world.packet(data, source)
        value = world.value
        dropped = PATH + "heartbeat-messages-discarded/"
        unread = value(dropped + "decode-error") + value(dropped + "invalid-buffer-length")
        read = value(PATH + "heartbeat-request/total-rx") + value(PATH + "heartbeat-response/total-rx")
        self.assertEqual(read + unread, len(messages))
        self.assertEqual(value("other-mobility-messages/received"), len(messages))
        refused = value(dropped + "heartbeat-req-from-unknown-peer") + value(dropped + "heartbeat-req-flood")
        self.assertEqual(
            value(PATH + "heartbeat-request/total-rx"), value(PATH + "heartbeat-response/total-tx") + refused
        )
