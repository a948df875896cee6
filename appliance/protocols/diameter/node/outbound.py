"""Requests on their way: a local user's and those that are relayed.

::

    submit ─┐            ┌─ room in the window ──▶ sent (peer.pending) ──answer──▶ Answer, or back
            ├─▶ _place ──┼─ no room ─────────────▶ peer.queue            3002, 3004, 3005, 3006 ─▶ _place
    relay ──┘     ▲      ├─ nobody yet ──────────▶ parked                peer lost: T flag ─────▶ _place
                  └──────┴─ nobody ──────────────▶ NO_PEER, 3002
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from appliance.protocols.diameter.events import (
    CANCELLED,
    FULL,
    INSECURE,
    MALFORMED,
    NO_PEER,
    OVERLOADED,
    STOPPED,
    TIMEOUT,
    Answered,
)
from appliance.protocols.diameter.message.codec import (
    ERROR,
    PROXIABLE,
    REQUEST,
    RETRANSMITTED,
    BadValue,
    Malformed,
    Message,
    frame,
)
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node.capabilities import RESULT
from appliance.protocols.diameter.node.choosing import Chooser
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import Answer, Send, Transmit
from appliance.protocols.diameter.node.overload import HOST, REALM, supported
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.pending import Pending, Wheel
from appliance.protocols.diameter.node.routing import RoutingTable
from appliance.protocols.timers import Now

UNABLE_TO_DELIVER, TOO_BUSY, LOOP, REDIRECT = 3002, 3004, 3005, 3006
#: Answers after which another peer is asked (RFC 6733 section 7.1.3).
ELSEWHERE = (UNABLE_TO_DELIVER, TOO_BUSY, LOOP)
#: Seconds that a relayed request waits for its answer.
RELAY_SECONDS = 30.0
#: Of the time to an answer, the share of the newest in the smoothed value.
SMOOTHING = 0.125
#: Requests looked at in one tick.
PER_TICK = 2_000

#: Gives the answer to a relayed request to who sent it: the request, the answer (``None``: 3002).
Finish = Callable[[Pending, Message | None, Now], None]
#: Looks for peers of a realm in the DNS; whether there is hope.
Seek = Callable[[Pending, Now], bool]


class Redirects(Protocol):
    """What deals with redirect indications."""

    def follow(self, pending: Pending, answer: Message, outbound: "Outbound", now: Now) -> bool:
        """A request was answered with 3006: whether it is on its way again."""


class Outbound:
    """All requests without an answer of one node; the last arguments are what other parts do with them."""

    def __init__(
        self,
        context: Context,
        routes: RoutingTable,
        peers: dict[str, Peer],
        chooser: Chooser,
        finish: Finish,
        seek: Seek,
        redirects: Redirects,
    ) -> None:
        self.wheel = Wheel()
        #: How many there are, parked and queued ones included.
        self.count = 0
        self.parked: OrderedDict[int, Pending] = OrderedDict()
        self._context = context
        self._routes = routes
        self._peers = peers
        self._chooser = chooser
        self._overload = chooser.overload
        self._finish, self._seek, self._redirects = finish, seek, redirects
        self._tokens: dict[int, Pending] = {}
        self._number = 0
        #: Flags of a request, by command and application.
        self._flags: dict[tuple[int, int], int] = {}

    # In.

    def submit(self, event: Send, now: Now) -> None:
        """A local user's request."""
        context, submit, token = self._context, event.submit, event.token
        context.statistics.submitted += 1
        end_to_end = submit.end_to_end or context.end_to_end(now)
        if context.stopping or self.count >= context.settings.request_limit or token in self._tokens:
            reason = STOPPED if context.stopping else FULL
            context.statistics.queue_full += reason is FULL
            context.effects.append(Answer(token, Answered(None, reason, "", end_to_end)))
            return
        flags = self._flags.get((submit.code, submit.application)) or self._flags_of(
            submit.code, submit.application
        )
        if submit.repeated:
            flags |= RETRANSMITTED
        data = frame(submit.code, submit.application, flags, 0, end_to_end, supported(submit.avps))
        self._number += 1
        pending = Pending(
            self._number,
            data[:12],
            data[16:],
            submit.code,
            submit.application,
            fold(submit.realm),
            fold(submit.host),
            submit.accounting,
            end_to_end,
            now.mono + submit.timeout,
            token,
            None,
            submit.prefer,
            secure=submit.secure,
        )
        self._tokens[token] = pending
        self._take(pending, now)

    def _flags_of(self, code: int, application: int) -> int:
        """Flags of a command; what the dictionary does not know is proxiable."""
        command = self._context.dictionary.command(code, True, application)
        flags = REQUEST | PROXIABLE if command is None or command.proxiable else REQUEST
        if len(self._flags) < 1_000:
            self._flags[code, application] = flags
        return flags

    def relay(
        self,
        source: object,
        request: Message,
        extra: bytes,
        realm: str,
        host: str,
        avoid: frozenset[str],
        now: Now,
    ) -> None:
        """A request that came from a peer; ``extra`` are the AVPs to append."""
        data = request.with_hop_by_hop(0, None, extra)
        self._number += 1
        pending = Pending(
            self._number,
            data[:12],
            data[16:],
            request.code,
            request.application,
            realm,
            host,
            False,
            request.end_to_end,
            now.mono + RELAY_SECONDS,
            source=source,
            avoid=avoid,
        )
        self._take(pending, now)

    def _take(self, pending: Pending, now: Now) -> None:
        self.count += 1
        self.wheel.put(pending)
        if self._overload and self._throttled(pending, now):
            return
        self._place(pending, now)

    def _throttled(self, pending: Pending, now: Now) -> bool:
        """RFC 7683: a share of a local user's requests is not sent at all."""
        if not pending.local:
            return False
        kind, name = (HOST, pending.host) if pending.host else (REALM, pending.realm)
        if not self._overload.drops(pending.application, kind, name, now.mono):
            return False
        self._throttle(pending)
        return True

    def _throttle(self, pending: Pending) -> None:
        self._context.statistics.throttled += 1
        self._end(pending, None, OVERLOADED)

    # Where to.

    def _place(self, pending: Pending, now: Now) -> None:
        """Send it, let it wait for the window or for a peer, or give it up."""
        peer = self._chooser.choose(pending, now.mono)
        if peer is not None:
            self._give(pending, peer, now)
        elif not self._context.stopping and self._hope(pending, now):
            pending.peer = None
            self.parked[pending.number] = pending
        else:
            self._give_up(pending, now)

    def _hope(self, pending: Pending, now: Now) -> bool:
        """Whether somebody may become usable: a local user's request waits for that.

        What is relayed does not wait for a connection that is being made: who sent it may know another way.
        """
        if pending.forced is not None:
            peer = self._peers.get(pending.forced)
            return self._seek(pending, now) if peer is None else peer.need(now)
        found = known = False
        for peer in self._routes.candidates(pending):
            known = True
            if peer.folded in pending.avoid or peer.usable:
                continue
            if (pending.local and peer.hopeful) or (not peer.hopeful and peer.need(now)):
                found = True
        return found or (not known and self._seek(pending, now))

    def _give(self, pending: Pending, peer: Peer, now: Now) -> None:
        pending.peer = peer
        link = peer.link
        assert link is not None
        if len(peer.pending) < self._context.settings.window and not peer.queue and not link.congested:
            self._send(pending, peer, now)
        else:
            peer.queue[pending.number] = pending

    def _send(self, pending: Pending, peer: Peer, now: Now) -> None:
        hop = peer.hop + 1 & 0xFFFFFFFF
        if hop in peer.pending:
            hop = peer.next_hop()
        peer.hop = pending.hop = hop
        peer.pending[hop] = pending
        pending.sent = peer.last_used = now.mono
        data = b"".join((pending.front, hop.to_bytes(4, "big"), pending.tail))
        statistics = peer.statistics
        statistics.requests_sent += 1
        statistics.octets_sent += len(data)
        if pending.front[4] & RETRANSMITTED:
            statistics.repeats_sent += 1
            self._context.statistics.repeats_sent += 1
        link = peer.link
        assert link is not None
        self._context.effects.append(Transmit(link.number, data))

    def pump(self, peer: Peer, now: Now) -> None:
        """There may be room in a peer's window."""
        window, queue = self._context.settings.window, peer.queue
        while queue and peer.usable and len(peer.pending) < window:
            if peer.link is None or peer.link.congested:
                break
            self._send(queue.popitem(last=False)[1], peer, now)

    # Answers.

    def answer(self, peer: Peer, message: Message, now: Now) -> None:
        """An answer of a peer; one to nothing is dropped (RFC 6733 section 6.2.1)."""
        hop, statistics = message.hop_by_hop, peer.statistics
        pending: Pending | None = peer.pending.get(hop)
        if (
            pending is None
            or pending.end_to_end != message.end_to_end
            or pending.code != message.code
            or pending.application != message.application
        ):
            statistics.unknown_answers += 1
            return
        del peer.pending[hop]
        pending.hop = -1
        statistics.answers_received += 1
        peer.round_trip += SMOOTHING * (now.mono - pending.sent - peer.round_trip)
        if message.flags & ERROR:
            statistics.errors_received += 1
            if self._elsewhere(pending, message, peer, now):
                self.pump(peer, now)
                return
        if pending.source is None:
            self._context.statistics.overload_reports += self._overload.note(message, now.mono)
            self._end(pending, message, "", peer)
        else:
            self._finish_relayed(pending, message, now)
        if peer.queue:
            self.pump(peer, now)

    def _elsewhere(self, pending: Pending, message: Message, peer: Peer, now: Now) -> bool:
        """After an error of the protocol: whether the request is on its way to somebody else."""
        try:
            result = message.first(RESULT)
        except (Malformed, BadValue):
            return False
        if result == REDIRECT:
            pending.fresh()
            return self._redirects.follow(pending, message, self, now)
        if result not in ELSEWHERE or pending.host == peer.folded:
            return False
        pending.avoid |= {peer.folded}
        pending.error, pending.forced = message, None
        pending.fresh()
        other = self._chooser.choose(pending, now.mono)
        if other is None:
            return False
        self._context.statistics.retried_elsewhere += 1
        self._give(pending, other, now)
        return True

    def send_to(self, pending: Pending, identity: str, now: Now) -> None:
        """Send to a host that a redirect names (folded), as soon as it is usable."""
        pending.forced = identity
        self._place(pending, now)

    def _finish_relayed(self, pending: Pending, message: Message | None, now: Now) -> None:
        self._leave(pending)
        self._finish(pending, message, now)

    def _leave(self, pending: Pending) -> None:
        """It is over: nothing refers to it any more."""
        self.count -= 1
        self.wheel.drop(pending)
        self.parked.pop(pending.number, None)
        peer = pending.peer
        if peer is not None:
            peer.queue.pop(pending.number, None)
            if pending.hop >= 0 and peer.pending.get(pending.hop) is pending:
                del peer.pending[pending.hop]
            pending.peer = None

    def _end(self, pending: Pending, message: Message | None, reason: str, peer: Peer | None = None) -> None:
        """The one answer to a local user."""
        self._leave(pending)
        del self._tokens[pending.token]
        context = self._context
        if message is not None:
            try:
                message.first(RESULT)
                context.statistics.answered += 1
            except (Malformed, BadValue) as error:
                context.statistics.malformed += 1
                who = peer.name if peer is not None else "a peer"
                context.notify("warning", f"peer {who}: an answer that cannot be read: {error}")
                message, reason = None, MALFORMED
        name = peer.name if peer is not None else ""
        context.effects.append(Answer(pending.token, Answered(message, reason, name, pending.end_to_end)))

    def _give_up(self, pending: Pending, now: Now) -> None:
        """Nobody can take it: what a peer said about that, if one did, is the answer."""
        if not pending.local:
            self._finish_relayed(pending, pending.error, now)
        elif pending.error is not None:
            self._end(pending, pending.error, "")
        elif self._context.stopping:
            self._end(pending, None, STOPPED)
        elif self._overload and self._routes.groups(pending):
            # Those who could take it have said that they have too much to do.
            self._throttle(pending)
        else:
            self._context.statistics.no_peer += 1
            # With a peer in clear text, what is missing is the security.
            clear = pending.secure and any(peer.usable for peer in self._routes.candidates(pending))
            self._end(pending, None, INSECURE if clear else NO_PEER)

    # What happens to peers.

    def usable(self, peer: Peer, now: Now) -> None:
        """A peer can be used: what waits for one may go."""
        self._routes.changed()
        self._unpark(now)
        self.pump(peer, now)

    def unusable(self, peer: Peer, now: Now) -> None:
        """A peer takes nothing new: what was not sent yet goes elsewhere."""
        self._routes.changed()
        waiting = list(peer.queue.values())
        peer.queue.clear()
        for pending in waiting:
            pending.peer = None
            self._place(pending, now)

    def failover(self, peer: Peer, now: Now) -> None:
        """A peer is suspect: what it has goes to others, where there are others (RFC 6733 section 5.5.4)."""
        statistics = peer.statistics
        statistics.failovers += 1
        for pending in list(peer.pending.values()):
            if pending.host == peer.folded:
                continue
            pending.forced = None
            other = self._chooser.choose(pending, now.mono)
            if other is None or other is peer:
                continue
            del peer.pending[pending.hop]
            self._repeat(pending, peer)
            self._give(pending, other, now)

    def _repeat(self, pending: Pending, peer: Peer) -> None:
        pending.hop = -1
        pending.repeat()
        peer.statistics.failed_over += 1

    def closed(self, peer: Peer, now: Now) -> None:
        """A peer has no connection: what it has goes elsewhere, or has no answer."""
        self.unusable(peer, now)
        lost = list(peer.pending.values())
        peer.pending.clear()
        if lost:
            peer.statistics.failovers += 1
        for pending in lost:
            pending.peer, pending.forced = None, None
            if pending.host == peer.folded:
                pending.hop = -1
                self._give_up(pending, now)
            else:
                self._repeat(pending, peer)
                self._place(pending, now)
        self._unpark(now)

    def _unpark(self, now: Now) -> None:
        """Somebody's state has changed: look again at what waits for a peer."""
        if not self.parked:
            return
        parked = self.parked
        waiting = list(parked.values())
        parked.clear()
        #: Where the first of its kind still has to wait, the others have to as well.
        still: set[object] = set()
        for pending in waiting:
            kind = pending.kind
            if kind in still:
                parked[pending.number] = pending
                continue
            self._place(pending, now)
            if pending.number in parked:
                still.add(kind)

    def found(self, now: Now) -> None:
        """The DNS has answered, or routes have changed."""
        self._routes.changed()
        self._unpark(now)

    # The end.

    def cancel(self, token: int) -> None:
        """A local user wants no answer."""
        pending = self._tokens.get(token)
        if pending is not None:
            self._context.statistics.cancelled += 1
            self._end(pending, None, CANCELLED)

    def stop(self, now: Now) -> None:
        """The node stops: what was not sent is not sent; the rest has until its peer is gone."""
        waiting = list(self.parked.values())
        for peer in self._peers.values():
            waiting += peer.queue.values()
        for pending in waiting:
            self._give_up(pending, now)

    def tick(self, now: Now) -> None:
        """End what has waited long enough."""
        for pending in self.wheel.pop_due(now.mono, PER_TICK):
            peer = pending.peer
            if peer is not None and pending.hop >= 0:
                peer.statistics.timeouts += 1
            if pending.local:
                self._context.statistics.timeouts += 1
                self._end(pending, None, TIMEOUT)
            else:
                self._finish_relayed(pending, pending.error, now)
            if peer is not None:
                self.pump(peer, now)
