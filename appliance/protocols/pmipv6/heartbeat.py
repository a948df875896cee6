"""Whether the peers of a service are alive, and whether they have lost their sessions (RFC 5847).

::

    Peer:  unknown ──response──▶ up ──requests unanswered──▶ failed ──response──▶ up
              └───── Binding Error status 2 ─────▶ unsupported (never asked again)

Everything costs per peer, never per session. What a lost peer means for sessions is the business of the
two subclasses. ``heartbeat retransmission max`` is MISSING_HEARTBEATS_ALLOWED: a request is repeated so
often, with its sequence number; when the last one has not been answered either, the path has failed.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

from appliance.counters import CounterSet
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import HB_R, HB_U, Heartbeat, Message
from appliance.protocols.mobility.options import RestartCounter
from appliance.protocols.pmipv6.events import Began, KeepPeers, Notify, PacketReceived, Send
from appliance.protocols.pmipv6.extras import address_of, text_of_gateway
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.pmipv6.peers import text_of
from appliance.protocols.pmipv6.reports import Budget
from appliance.protocols.timers import Deadlines, Now

UNKNOWN, UP, FAILED, UNSUPPORTED = "unknown", "up", "failed", "unsupported"

#: Peers that are watched, and peers known not to speak this, at most.
PEERS = 16_384
#: Peers that are written down to be told of a restart.
KEPT = 4_096
#: Seconds from the first session with a peer to the first request; from a change of the peers to its being
#: written down; and between two requests that somebody else makes us send.
FIRST, SETTLED, PAUSE = 1.0, 1.0, 1.0
#: Requests and unsolicited responses that are sent in one tick.
PER_TICK = 100
#: Requests of one peer that are answered: per second, and at once.
ANSWERS_PER_SECOND, ANSWERS_AT_ONCE = 2.0, 10.0
#: Peers whose requests are counted.
ASKERS = 4_096
#: Log lines about peers: per second, and at once.
LINES_PER_SECOND, LINES_AT_ONCE = 1.0, 50.0

_PATH = "path-management-messages/"


class Timing(NamedTuple):
    """When to ask, in seconds, and how often to ask again; an interval of 0: never."""

    interval: float
    timeout: float
    most: int


class Holder(Protocol):
    """Who keeps the effects of a core."""

    effects: list[Any]


class Rows:
    """Indexes of the counters in a table."""

    def __init__(self, counters: CounterSet) -> None:
        index = counters.table.index
        request, response = _PATH + "heartbeat-request/", _PATH + "heartbeat-response/"
        dropped = _PATH + "heartbeat-messages-discarded/"
        self.asked = index(request + "initial-tx")
        self.again = index(request + "retrans-tx")
        self.request = index(request + "total-rx")
        self.initial = index(request + "initial-rx")
        self.answered = index(response + "total-tx")
        self.response = index(response + "total-rx")
        self.bind_error = index(_PATH + "bind-error")
        self.decode = index(dropped + "decode-error")
        self.length = index(dropped + "invalid-buffer-length")
        self.checksum = index(dropped + "checksum-error")
        self.stranger = index(dropped + "heartbeat-req-from-unknown-peer")
        self.flood = index(dropped + "heartbeat-req-flood")
        self.unknown = index(dropped + "heartbeat-rsp-from-unknown-peer")
        self.mismatch = index(dropped + "heartbeat-rsp-seq-num-mismatch")
        self.restarted = index(_PATH + "reasons-for-path-failure/restart-counter-change")
        self.silent = index(_PATH + "reasons-for-path-failure/no-heartbeat-response-received")


class Peer:
    """What is known about one; times are monotonic seconds."""

    __slots__ = (
        "address",
        "asked",
        "begun",
        "counter",
        "due",
        "heard",
        "heard_wall",
        "key",
        "local",
        "met",
        "misses",
        "port",
        "sent",
        "sequence",
        "since",
        "state",
        "suspected",
    )

    def __init__(self, key: bytes, local: bytes, port: int, met: float) -> None:
        #: Who it is: its address, and what tells it from others behind one NAT (``extras.served_by``).
        self.key = key
        self.address = address_of(key)
        self.met = met
        self.local = local
        self.port = port
        self.state = UNKNOWN
        #: Its Restart Counter; ``None``: not heard yet.
        self.counter: int | None = None
        #: Its last answer; ``None``: none yet.
        self.heard: float | None = None
        self.heard_wall = 0.0
        self.sequence = 0
        #: Whether the last request still waits for its answer.
        self.asked = False
        self.misses = 0
        #: When the last request was sent, when it was sent for the first time, and the first of those that
        #: were not answered.
        self.sent = self.begun = self.since = 0.0
        #: When it said by itself that it has restarted; ``None``: it has not, or it was looked into.
        self.suspected: float | None = None
        self.due: float | None = None

    @property
    def text(self) -> str:
        """Who it is, for a log line or a screen."""
        return text_of_gateway(self.key)


class Asker:
    """Who has asked us: how often it may, and its last number."""

    __slots__ = ("budget", "sequence")

    def __init__(self) -> None:
        self.budget = Budget(ANSWERS_PER_SECOND, ANSWERS_AT_ONCE)
        self.sequence: int | None = None


def _due(peers: dict[bytes, Peer], key: bytes) -> float | None:
    """When a peer is to be asked."""
    peer = peers.get(key)
    return None if peer is None else peer.due


class HeartbeatCore:
    """What anchor and gateway have in common; a feature of either, handler of MH type 13."""

    def __init__(self, timing: Timing, counters: CounterSet, holder: Holder) -> None:
        self.timing = timing
        #: Our Restart Counter.
        self.counter = 1
        self.peers: dict[bytes, Peer] = {}
        self._values = counters.values
        self._rows = Rows(counters)
        self._holder = holder
        # No method of ours: with it, neither we nor the sessions would be free when the service goes.
        self._deadlines = Deadlines(partial(_due, self.peers))
        self._askers: dict[bytes, Asker] = {}
        self._unsupported: dict[bytes, None] = {}
        self._strangers = NoticeLimiter()
        self._lines = Budget(LINES_PER_SECOND, LINES_AT_ONCE)
        self._former: deque[tuple[bytes, bytes, int]] = deque()
        #: When the peers are to be written down; ``None``: they are. Nobody does it before we have begun.
        self._keep_at: float | None = None
        self._kept = False

    # ---- what the sides fill in

    def shared(self, key: bytes) -> int:
        """How many sessions are shared with a peer."""
        raise AssertionError("each side has its own")

    def _path(self, key: bytes) -> tuple[bytes, int] | None:
        """Our address and the UDP port (0: IPv6) to reach a peer with; ``None``: there is no way."""
        raise AssertionError("each side has its own")

    def is_peer(self, address: bytes) -> bool:
        """Whether the configuration lets this node be a peer."""
        raise AssertionError("each side has its own")

    def _lost(self, peer: Peer, restarted: bool, since: float, now: Now) -> None:
        """The sessions with a peer that were last refreshed before ``since`` are in doubt."""
        raise AssertionError("each side has its own")

    def _timing(self, peer: Peer) -> Timing:
        return self.timing

    def _speaker(self, event: PacketReceived) -> Peer | None:
        """The peer that a message comes from."""
        return self.peers.get(event.source)

    # ---- peers come and go

    def met(self, key: bytes, now: Now) -> None:
        """A first session is shared with a peer."""
        self._remember(now)
        if key in self.peers:
            return
        if len(self.peers) >= PEERS:
            for each in [each for each in self.peers if not self.shared(each)]:
                self._forget(each)
        path = self._path(key)
        if path is None or len(self.peers) >= PEERS:
            return
        peer = self.peers[key] = Peer(key, *path, now.mono)
        if key in self._unsupported:
            peer.state = UNSUPPORTED
        self._arm(peer, now.mono + FIRST)

    def _remember(self, now: Now) -> None:
        if self._kept and self._keep_at is None:
            self._keep_at = now.mono + SETTLED
            self._wake(self._keep_at)

    def _forget(self, key: bytes) -> None:
        self.peers.pop(key, None)

    def _arm(self, peer: Peer, when: float) -> None:
        if peer.state == UNSUPPORTED or not self._timing(peer).interval:
            peer.due = None
            return
        peer.due = when
        self._deadlines.set(peer.key, when)
        self._wake(when)

    def _wake(self, when: float) -> None:
        # Features are given this when they are added.
        self.schedule(when)  # type: ignore[attr-defined]

    def retime(self, timing: Timing, keys: Iterable[bytes], now: Now) -> None:
        """Ask by another timing from now on; ``keys``: all peers that there are sessions with."""
        old, self.timing = self.timing, timing
        if not timing.interval or not old.interval:
            # The operator has decided anew: who did not speak it may by now.
            self._unsupported.clear()
            for peer in self.peers.values():
                if peer.state == UNSUPPORTED:
                    peer.state = UNKNOWN
        for key in keys:
            self.met(key, now)
        if timing != old:
            for peer in self.peers.values():
                self.rearm(peer, now)

    def rearm(self, peer: Peer, now: Now) -> None:
        """Go on with a peer by another timing."""
        timing = self._timing(peer)
        wait = timing.timeout if peer.asked and peer.state != FAILED else timing.interval
        first = now.mono + FIRST
        self._arm(peer, max(first, peer.sent + wait) if peer.sequence else first)

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        if self._former:
            return 0.0
        due = self._deadlines.next
        if due is None or (self._keep_at is not None and self._keep_at < due):
            return self._keep_at
        return due

    def tick(self, now: Now) -> None:
        """Ask those whose turn it is; tell former peers that we have restarted."""
        for _ in range(min(PER_TICK, len(self._former))):
            address, local, port = self._former.popleft()
            self._respond(HB_U | HB_R, 0, local, address, port)
        for key in self._deadlines.pop_due(now.mono, PER_TICK):
            self._turn(self.peers[key], now)
        if self._keep_at is not None and self._keep_at <= now.mono:
            self._keep_at = None
            peers = (each for each in self.peers.values() if self.shared(each.key))
            kept = [(each.address, each.local, each.port) for each in peers]
            self._holder.effects.append(KeepPeers(tuple(kept[:KEPT])))

    def _turn(self, peer: Peer, now: Now) -> None:
        """The time of one peer has come (RFC 5847 section 3.1)."""
        if not self.shared(peer.key):
            # Section 3: without a binding no request is sent. What is not shared is not lost.
            self._forget(peer.key)
            self._remember(now)
            return
        timing = self._timing(peer)
        if not peer.asked:
            self._ask(peer, now)
            return
        peer.misses += 1
        if peer.state == FAILED:
            self._ask(peer, now)
        elif peer.misses > timing.most:
            peer.state = FAILED
            self._values[self._rows.silent] += 1
            self._say("warning", f"{peer.text} does not answer heartbeats: path failed", now)
            self._lost(peer, False, peer.since, now)
            self._arm(peer, max(peer.begun + timing.interval, now.mono + PAUSE))
        else:
            self._values[self._rows.again] += 1
            self._request(peer, now)
            self._arm(peer, now.mono + timing.timeout)

    def _ask(self, peer: Peer, now: Now) -> None:
        timing = self._timing(peer)
        peer.sequence = peer.sequence % 0xFFFF_FFFF + 1
        peer.begun = now.mono
        if not peer.asked:
            peer.since = now.mono
        peer.asked = True
        path = self._path(peer.key)
        if path is not None:
            peer.local, peer.port = path
        self._values[self._rows.asked] += 1
        self._request(peer, now)
        self._arm(peer, now.mono + (timing.interval if peer.state == FAILED else timing.timeout))

    def _request(self, peer: Peer, now: Now) -> None:
        peer.sent = now.mono
        mh = encode(Heartbeat(0, peer.sequence))
        data = sealed(mh, peer.local, peer.address, peer.port)
        self._holder.effects.append(Send(data, peer.local, peer.address, peer.port))

    def _respond(self, flags: int, sequence: int, local: bytes, address: bytes, port: int) -> None:
        self._values[self._rows.answered] += 1
        mh = encode(Heartbeat(flags, sequence, [RestartCounter(self.counter)]))
        data = sealed(mh, local, address, port)
        self._holder.effects.append(Send(data, local, address, port))

    # ---- events

    def began(self, event: Began) -> None:
        """Section 3.2: tell those who had sessions with us before that we have lost them."""
        self.counter, self._kept = event.counter, True
        if self.timing.interval:
            self._former.extend(event.former[:KEPT])
            self._wake(0.0)

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take a heartbeat that could be read."""
        assert isinstance(message, Heartbeat)
        if message.flags & HB_R:
            self._values[self._rows.response] += 1
            self._response(event, message, now)
        else:
            self._values[self._rows.request] += 1
            self._requested(event, message, now)

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count a heartbeat that cannot be used."""
        rows = self._rows
        self._values[{LENGTH: rows.length, CHECKSUM: rows.checksum}.get(why, rows.decode)] += 1

    def _requested(self, event: PacketReceived, message: Heartbeat, now: Now) -> None:
        """Section 3: a request is always answered, with or without a binding; but not a stranger's."""
        source, values, rows = event.source, self._values, self._rows
        if not (is_unicast(source) and self.is_peer(source)):
            values[rows.stranger] += 1
            self._stranger(source, "request", now)
            return
        asker = self._askers.get(source)
        if asker is None:
            while len(self._askers) >= ASKERS:
                del self._askers[next(iter(self._askers))]
            asker = self._askers[source] = Asker()
        if asker.sequence != message.sequence:
            asker.sequence = message.sequence
            values[rows.initial] += 1
        if not asker.budget.spend(now.mono):
            values[rows.flood] += 1
            if self._strangers.allows(("flood", source), now.mono):
                self._say("warning", f"too many heartbeats from {text_of(source)}: not all answered", now)
            return
        self._respond(HB_R, message.sequence, event.destination, source, event.port)

    def _stranger(self, source: bytes, what: str, now: Now) -> None:
        if self._strangers.allows(source, now.mono):
            self._say("warning", f"heartbeat {what} from {text_of(source)}, which is no peer: dropped", now)

    def _response(self, event: PacketReceived, message: Heartbeat, now: Now) -> None:
        peer, rows = self._speaker(event), self._rows
        unsolicited = message.flags & HB_U
        if peer is None:
            # A former peer that has restarted and has no session here is none of our business.
            if not (unsolicited and self.is_peer(event.source)):
                self._values[rows.unknown] += 1
                self._stranger(event.source, "response", now)
            return
        found = [option.counter for option in message.options if isinstance(option, RestartCounter)]
        counter = found[0] if found else None
        if unsolicited:
            if counter is not None and counter != peer.counter:
                self._suspect(peer, now)
        elif not peer.sequence or message.sequence != peer.sequence:
            self._values[rows.mismatch] += 1
        elif peer.asked:
            self._answered(peer, event.port, counter, now)
        # Else the answer to a repetition of a request that was answered before.

    def _suspect(self, peer: Peer, now: Now) -> None:
        """It says that it has restarted: ask it at once.

        Nothing ties an unsolicited response to us, anybody could have made it; the answer to our request
        tells the counter for sure.
        """
        if peer.state == UNSUPPORTED or not self._timing(peer).interval:
            return
        if peer.suspected is None:
            peer.suspected = now.mono
        if not peer.sequence or now.mono - peer.sent >= PAUSE or not peer.asked:
            self._ask(peer, now)

    def _answered(self, peer: Peer, port: int, counter: int | None, now: Now) -> None:
        before, since, suspected = peer.state, peer.heard, peer.suspected
        peer.state, peer.asked, peer.misses = UP, False, 0
        peer.heard, peer.heard_wall, peer.suspected = now.mono, now.wall, None
        if port:
            peer.port = port
        if before == FAILED:
            self._say("info", f"{peer.text} answers heartbeats again", now)
        if counter is not None:
            old, peer.counter = peer.counter, counter
            if suspected is not None if old is None else old != counter:
                self._values[self._rows.restarted] += 1
                self._say("warning", f"{peer.text} has restarted and lost its sessions", now)
                self._lost(peer, True, next(each for each in (suspected, since) if each is not None), now)
        self._arm(peer, max(peer.begun + self._timing(peer).interval, now.mono + PAUSE))

    def refused_at_first(self, event: PacketReceived, now: Now) -> bool:
        """As :meth:`refused`, but only of a peer that has never answered: it surely means heartbeats."""
        peer = self._speaker(event)
        return peer is not None and peer.heard is None and self.refused(event, now)

    def refused(self, event: PacketReceived, now: Now) -> bool:
        """A Binding Error with status 2 came: whether it was in answer to a heartbeat (section 3)."""
        peer = self._speaker(event)
        if peer is None or not peer.asked:
            return False
        peer.state, peer.asked, peer.misses, peer.due = UNSUPPORTED, False, 0, None
        while len(self._unsupported) >= PEERS:
            del self._unsupported[next(iter(self._unsupported))]
        self._unsupported[peer.key] = None
        self._values[self._rows.bind_error] += 1
        self._say("info", f"{peer.text} does not know heartbeats: it gets none any more", now)
        return True

    def _say(self, level: str, text: str, now: Now) -> None:
        if self._lines.spend(now.mono):
            self._holder.effects.append(Notify(level, text))
