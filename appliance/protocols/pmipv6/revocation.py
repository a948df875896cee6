"""Binding revocation as anchor and gateway have it in common (RFC 5846 sections 5, 6 and 11).

::

    session is to end ─▶ Initiator.send ──BRI──▶ peer            peer ──BRI──▶ Named, Recent ─▶ BRA
          time ─▶ again, or Subject.answered(SILENCE)
                         peer ──BRA──▶ Initiator.acknowledged ─▶ Subject.answered(status)
    very many sessions ─▶ Sweeps, a slice a tick
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from appliance.counters import CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import (
    BR_G,
    BR_P,
    BR_V,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
)
from appliance.protocols.pmipv6.bce import identity
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.pmipv6.ways import Way as Way
from appliance.protocols.pmipv6.ways import way_between as way_between
from appliance.protocols.timers import Deadlines, Now

REVOCATION = BindingRevocationIndication.TYPE

HANDOVERS = (
    codes.REVOKE_HANDOVER_SAME_ACCESS,
    codes.REVOKE_HANDOVER_DIFFERENT_ACCESS,
    codes.REVOKE_HANDOVER_UNKNOWN,
)
#: Triggers of one message to each peer for many sessions.
MANY = (codes.REVOKE_PER_PEER_POLICY, codes.REVOKE_LOCAL_POLICY)
#: The lowest trigger of those that go with the G flag; the RFC's "greater than 128" cannot be meant.
GLOBAL = 128

#: What :meth:`Subject.answered` is told in place of a status: nobody has answered; the peer knows no BRIs.
SILENCE, DEAF = -1, -2

FLAGS = BR_P | BR_V | BR_G
#: Sub-type of the Mobile Node Group Identifier option (RFC 6602 section 4.3) and its group of all sessions.
BULK, ALL_SESSIONS = 1, 1

#: MAX_BRACK_TIMEOUT, seconds (RFC 5846 section 11).
LONGEST = 2.0
#: Indications that may wait for an answer at one time. Sequence numbers would do for 65,536, but a peer that
#: turns out to know no indications ends all of its own at once.
OUTSTANDING = 1000
#: Indications that are repeated or given up in one tick.
PER_TICK = 200
#: Peers that are remembered as not knowing this message; the oldest is forgotten first.
PEERS = 4096
#: Answers that are kept for repeated indications, and for how many seconds.
ANSWERS, ANSWERS_LAST = 1024, 30.0


class Subject(Protocol):
    """What an indication was sent about."""

    @property
    def gone(self) -> bool:
        """Whether there is nothing left that an answer could be about."""

    @property
    def mn_id(self) -> bytes:
        """Key of the mobile node that it names; empty: it names none, or all of a realm."""

    def answered(self, status: int, now: Now) -> None:
        """The peer has answered with ``status``; or ``SILENCE``, ``DEAF``."""


class Outstanding:
    """An indication that waits for its answer."""

    __slots__ = ("attempts", "data", "due", "flags", "sequence", "subject", "timeout", "trigger", "way")

    def __init__(self, sequence: int, trigger: int, flags: int, way: Way, subject: Subject) -> None:
        self.sequence = sequence
        self.trigger = trigger
        self.flags = flags
        self.way = way
        self.subject = subject
        self.data = b""
        self.attempts = 1
        self.timeout = 0.0
        self.due = 0.0


class Rows:
    """Indexes of the counters about revocation in a table; LMA and MAG have the same rows."""

    def __init__(self, counters: CounterSet) -> None:
        table = counters.table
        for name in ("sent", "retries-sent", "ack-rcvd", "not-acknowledged", "rcvd", "ack-sent", "discarded"):
            setattr(self, name.replace("-", "_"), table.index(f"binding-revocation/{name}"))
        self.triggers = {
            row.status: table.index(row.key)
            for row in table.rows
            if row.heading == "Sent Revocation Trigger Reasons" and row.status is not None
        }
        self.other_trigger = table.index("sent-revocation-trigger-reasons/unknown")
        self.statuses = {
            row.status: table.index(row.key)
            for row in table.rows
            if row.heading == "Received Revocation ACK Status" and row.status is not None
        }
        self.other_status = table.index("received-revocation-ack-status/unknown")
        dropped = "binding-revocation-ack-discarded/"
        self.no_session = table.index(dropped + "session-not-found")
        self.badly_formed = table.index(dropped + "badly-formed-request")
        self.no_match = table.index(dropped + "matching-request-not-found")
        self.not_ready = table.index(dropped + "hamgr-not-ready")
        self.kind = table.index(dropped + "invalid-message-type")
        #: By what :meth:`features.Handler.discarded` is told.
        self.unusable = {
            "length": table.index(dropped + "invalid-buffer-length"),
            "checksum": table.index(dropped + "checksum-error"),
            "malformed": table.index(dropped + "decode-error"),
            "kind": self.kind,
        }
        self.ignored = table.index("other-mobility-messages/ignored")
        self.error_sent = table.index("other-mobility-messages/binding-error-sent")

    sent: int
    retries_sent: int
    ack_rcvd: int
    not_acknowledged: int
    rcvd: int
    ack_sent: int
    discarded: int


def unprotected(message: Any, _way: Way, _now: Now) -> bytes:
    """The octets of a message as they are."""
    return encode(message)


class Initiator:
    """Sends indications, repeats them, and matches the answers (RFC 5846 sections 6.1.1, 6.2.2, 6.3).

    ``holder.effects`` takes what is to be sent; ``random_bits`` gives the first sequence number, when it is
    needed.
    """

    def __init__(
        self, holder: Any, counters: CounterSet, rows: Rows, random_bits: Callable[[int], int]
    ) -> None:
        self._holder = holder
        self._values = counters.values
        self._rows = rows
        self._random_bits = random_bits
        self._sequence: int | None = None
        self.open: dict[int, Outstanding] = {}
        #: Peers that have answered Binding Error status 2: address and port, as several may share an address.
        self.deaf: dict[tuple[bytes, int], None] = {}
        #: Tells which peers the operator does not want to get any.
        self.spared: Callable[[bytes], bool] = lambda peer: False
        opened = self.open
        # Nothing here refers to the initiator itself: a service that is gone must be freed at once.
        self._deadlines = Deadlines(lambda sequence: opened[sequence].due if sequence in opened else None)
        self.retries, self.timeout = 1, 1.0
        #: The octets of a message to a host, protected as its updates are; the checksum is still to be made.
        self.to_host: Callable[[Any, Way, Now], bytes] = unprotected
        #: Told when a tick is wanted.
        self.schedule: Callable[[float], None] = lambda mono: None

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds."""
        return self._deadlines.next

    @property
    def full(self) -> bool:
        """Whether too many indications wait for answers."""
        return len(self.open) >= OUTSTANDING

    def _next(self) -> int:
        """RFC 5846 section 5.1: no two outstanding ones with the same number."""
        if self._sequence is None:
            self._sequence = self._random_bits(16)
        while True:
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._sequence not in self.open:
                return self._sequence

    def reaches(self, way: Way) -> bool:
        """Whether there is a peer to send indications to at the end of a way."""
        return way.key not in self.deaf and not self.spared(way.destination)

    def send(
        self, trigger: int, flags: int, named: list[Any], way: Way, subject: Subject, now: Now
    ) -> Outstanding | None:
        """Send an indication; ``None``: the peer does not know them, or too many wait for answers."""
        if self.full or not self.reaches(way):
            return None
        one = Outstanding(self._next(), trigger, flags, way, subject)
        message = BindingRevocationIndication(trigger, one.sequence, flags, named)
        mh = self.to_host(message, way, now) if way.home else encode(message)
        one.data = way.sealed(mh)
        one.timeout = self.timeout
        self.open[one.sequence] = one
        self._values[self._rows.sent] += 1
        self._values[self._rows.triggers.get(trigger, self._rows.other_trigger)] += 1
        self._transmit(one, now)
        return one

    def _transmit(self, one: Outstanding, now: Now) -> None:
        self._holder.effects.append(one.way.send(one.data))
        one.due = now.mono + one.timeout
        self._deadlines.set(one.sequence, one.due)
        self.schedule(one.due)

    def cancel(self, one: Outstanding) -> None:
        """Wait for this answer no more."""
        self.open.pop(one.sequence, None)

    def tick(self, now: Now) -> None:
        """Repeat what has had no answer, or give it up (RFC 5846 section 6.3)."""
        for sequence in self._deadlines.pop_due(now.mono, PER_TICK):
            one = self.open.get(sequence)
            if one is None:
                continue
            if one.subject.gone:
                # Only a late answer was still waited for.
                del self.open[sequence]
            elif one.attempts <= self.retries:
                one.attempts += 1
                one.timeout = min(2 * one.timeout, max(LONGEST, self.timeout))
                self._values[self._rows.retries_sent] += 1
                self._transmit(one, now)
            else:
                del self.open[sequence]
                self._values[self._rows.not_acknowledged] += 1
                one.subject.answered(SILENCE, now)

    def acknowledged(
        self,
        event: PacketReceived,
        answer: BindingRevocationAcknowledgement,
        ready: bool,
        now: Now,
        home: bytes = b"",
    ) -> None:
        """Take an acknowledgement (RFC 5846 section 6.2.2); ``ready``: the service is not about to stop;
        ``home``: from the Home Address option of a host, which may have moved meanwhile."""
        values, rows = self._values, self._rows
        one = self.open.get(answer.sequence)
        if one is None or one.way.peer != (home or event.source):
            values[rows.no_match if ready else rows.not_ready] += 1
            return
        named = Named(answer.options)
        if answer.flags & FLAGS != one.flags or (named.group is not None and named.individual):
            values[rows.badly_formed] += 1
            return
        stranger = bool(named.mn_id and one.subject.mn_id and named.mn_id != one.subject.mn_id)
        if one.subject.gone or stranger:
            values[rows.no_session] += 1
            if one.subject.gone:
                self.cancel(one)
            return
        values[rows.ack_rcvd] += 1
        values[rows.statuses.get(answer.status, rows.other_status)] += 1
        self.cancel(one)
        one.subject.answered(answer.status, now)

    def unknown_there(self, event: PacketReceived, now: Now, home: bytes = b"") -> bool:
        """A Binding Error status 2 came: no indications to this peer any more; whether it was about one."""
        # The error does not say which message it is about (RFC 6275 section 6.1.9).
        peer = event.source, event.port
        about = [
            one
            for one in self.open.values()
            if one.way.leads_to(*peer) or (home and one.way.home == home)
        ]
        if not about:
            return False
        for one in about:
            while len(self.deaf) >= PEERS:
                del self.deaf[next(iter(self.deaf))]
            self.deaf[one.way.key] = None
            self.cancel(one)
            if not one.subject.gone:
                one.subject.answered(DEAF, now)
        return True


Answer = tuple[int, list[Any]]
"""Status and options of an acknowledgement."""


class HasPrefixes(Protocol):
    """A session, at either end."""

    @property
    def prefixes(self) -> tuple[tuple[bytes, int], ...]:
        """Its home network prefixes."""


_S = TypeVar("_S", bound=HasPrefixes)


class Named:
    """What the options of a revocation message name."""

    __slots__ = ("address", "care_of", "group", "individual", "mn", "mn_id", "prefixes")

    def __init__(self, found: Iterable[Any]) -> None:
        self.mn: opt.MobileNodeIdentifier | None = None
        self.mn_id = b""
        self.prefixes: list[tuple[bytes, int]] = []
        #: Of the IPv4 Home Address Request option.
        self.address: bytes | None = None
        self.care_of: bytes | None = None
        #: Bulk binding update group (RFC 6602).
        self.group: int | None = None
        #: Something names a single session; with a group that is invalid (RFC 6602 sections 5.1.3, 5.2.3).
        self.individual = False
        for item in found:
            if isinstance(item, opt.MobileNodeIdentifier):
                self.mn, self.mn_id = item, identity(item.subtype, item.identifier)
                self.individual = True
            elif isinstance(item, opt.HomeNetworkPrefix):
                self.prefixes.append((item.prefix, item.prefix_length))
                self.individual = True
            elif isinstance(item, opt.IPv4HomeAddressRequest):
                self.address = item.address
                self.individual = True
            elif isinstance(item, opt.GreKey):
                self.individual = True
            elif isinstance(item, opt.AlternateCareOfAddress):
                self.care_of = item.address
            elif isinstance(item, opt.MobileNodeGroupIdentifier) and item.subtype == BULK:
                self.group = item.group

    @property
    def realm(self) -> bytes:
        """RFC 5846 section 8.1: the realm of an identifier ``@realm``; empty: it is none."""
        mine = self.mn is not None and self.mn.subtype == 1 and self.mn_id[:1] == b"@"
        return self.mn_id[1:] if mine else b""

    def chosen(self, sessions: list[_S]) -> tuple[list[_S], list[tuple[bytes, int]]]:
        """Those of a mobile node's sessions that have one of the prefixes, all if none is named; and the
        prefixes that no session has."""
        if not self.prefixes:
            return sessions, []
        wanted = dict.fromkeys(self.prefixes)
        lacking = [pair for pair in wanted if not any(pair in entry.prefixes for entry in sessions)]
        return [entry for entry in sessions if any(pair in entry.prefixes for pair in wanted)], lacking

    def outcome(self, lacking: list[tuple[bytes, int]]) -> Answer:
        """Status and options of the answer once sessions have ended (RFC 5846 section 6.2)."""
        if not lacking:
            return codes.REVOKED, []
        return codes.REVOKED_PARTIALLY, [
            self.mn,
            *(opt.HomeNetworkPrefix(length, prefix) for prefix, length in lacking),
        ]


def realm_of(mn_id: bytes) -> bytes:
    """The realm of a NAI: all behind its last ``@``; empty: it has none."""
    return mn_id.rpartition(b"@")[2] if b"@" in mn_id else b""


def misfit(indication: BindingRevocationIndication) -> int:
    """The status that answers a trigger that is unknown or does not fit the flags; 0: it does (6.2.1)."""
    trigger, flags = indication.trigger, indication.flags
    if trigger not in codes.TRIGGER_NAMES:
        return codes.REVOCATION_TRIGGER_NOT_SUPPORTED
    if bool(flags & BR_G) != (trigger >= GLOBAL) or (flags & BR_G and flags & BR_V):
        return codes.REVOCATION_FUNCTION_NOT_SUPPORTED
    return 0


def group_option(group: int) -> opt.MobileNodeGroupIdentifier:
    """The option that names a bulk binding update group."""
    return opt.MobileNodeGroupIdentifier(BULK, group)


class Responder:
    """Answers indications (RFC 5846 section 6.1.2); a repeated one gets the same answer again."""

    def __init__(self, holder: Any, counters: CounterSet, rows: Rows) -> None:
        self._holder = holder
        self._values = counters.values
        self._rows = rows
        self._recent: dict[tuple[bytes, int], tuple[int, float, bytes]] = {}

    def repeated(self, event: PacketReceived, indication: BindingRevocationIndication, now: Now) -> bool:
        """Whether it has been answered already: the answer was lost, and goes out again."""
        known = self._recent.get((event.source, indication.sequence))
        if known is None or known[0] != hash(event.data) or known[1] < now.mono:
            return False
        self._send(event, known[2])
        return True

    def answer(
        self,
        event: PacketReceived,
        indication: BindingRevocationIndication,
        status: int,
        failed: list[Any],
        now: Now,
    ) -> None:
        """Send the acknowledgement; ``failed`` are the options that it has."""
        flags = indication.flags & FLAGS
        mh = encode(BindingRevocationAcknowledgement(status, indication.sequence, flags, failed))
        data = sealed(mh, event.destination, event.source, event.port)
        while len(self._recent) >= ANSWERS:
            del self._recent[next(iter(self._recent))]
        key = event.source, indication.sequence
        self._recent.pop(key, None)
        self._recent[key] = hash(event.data), now.mono + ANSWERS_LAST, data
        self._send(event, data)

    def _send(self, event: PacketReceived, data: bytes) -> None:
        self._values[self._rows.ack_sent] += 1
        self._holder.effects.append(Send(data, event.destination, event.source, event.port))
