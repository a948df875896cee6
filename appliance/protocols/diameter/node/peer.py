"""One peer: its state machine (RFC 6733 section 5.6) and its watchdog (RFC 3539), without any I/O.

::

    node ──start, stop, need, offer, lost, message, elapsed──▶ Peer ──▶ effects (Connect, Transmit, Close)
         ◀──peer_usable, peer_unusable, peer_suspect, peer_closed, peer_trusted, peer_watch──

The table is in ``peer_states.py``, its actions are in ``peer_actions.py``.
"""

from typing import Protocol

from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.node import admission
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import watchdog as dog
from appliance.protocols.diameter.node.capabilities import Refusal
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import BUSY, DO_NOT_WANT_TO_TALK_TO_YOU, REBOOTING, Secure
from appliance.protocols.diameter.node.peer_actions import MULTIHOMED, STATIC, PeerActions
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.node.watchdog import NEVER
from appliance.protocols.diameter.settings import PeerSettings
from appliance.protocols.timers import Now

#: Messages kept while a connection is not trusted again yet.
HELD, HELD_OCTETS = 256, 1 << 20
#: First pause before another try to connect, in seconds; it doubles up to Tc.
FIRST_PAUSE = 1.0
#: Seconds that a transport has to say that it has given up a connection.
GRACE = 1.0
#: So many failures count when a peer refuses us: the pause is Tc at once.
MANY_FAILURES = 16

BASE = frozenset((cap.CAPABILITIES, cap.WATCHDOG, cap.DISCONNECT))


class Owner(Protocol):
    """What a peer tells the node."""

    def peer_usable(self, peer: "Peer", now: Now) -> None:
        """Requests can be sent to it now."""

    def peer_unusable(self, peer: "Peer", now: Now) -> None:
        """No new ones; those that were sent may still be answered."""

    def peer_suspect(self, peer: "Peer", now: Now) -> None:
        """What was sent to it should go to others; its connection is still there (SUSPECT)."""

    def peer_closed(self, peer: "Peer", now: Now) -> None:
        """It has no connection any more, and nothing that was sent to it will be answered."""

    def peer_trusted(self, peer: "Peer", held: list[bytes], now: Now) -> None:
        """These messages came while its connection was not trusted; now it is."""

    def peer_watch(self, peer: "Peer") -> None:
        """Its ``due`` may be earlier than before."""


class Peer(PeerActions):
    """One peer of a node, and what happens to it."""

    __slots__ = ("_owner",)

    def __init__(self, settings: PeerSettings, context: Context, owner: Owner, kind: str = STATIC) -> None:
        super().__init__(settings, context, kind)
        self._owner = owner

    # Events.

    def event(self, name: str, now: Now, link: Link | None = None, message: Message | None = None) -> None:
        """Take one event of the table; one that its state does not know changes nothing."""
        row = st.ALL.get((self.state, name))
        if row is None:
            return
        actions, target = row
        for action in actions:
            if action != "elect":
                getattr(self, "do_" + action)(now, link, message)
        self._enter(target, now)
        if "elect" in actions:
            self._elect(now)

    def _elect(self, now: Now) -> None:
        """RFC 6733 section 5.6.4: the greater identity keeps the connection that the other one opened."""
        if self._context.us.folded.encode() > self.folded.encode():
            self.statistics.elections_won += 1
            self.event(st.WIN, now)
        else:
            self.statistics.elections_lost += 1

    def start(self, now: Now) -> None:
        """Try to connect, if that is wanted and there is no connection."""
        if self.state == st.CLOSED and self.connects:
            self._needed = self.dormant = False
            self.event(st.START, now)

    def need(self, now: Now) -> bool:
        """There is something to send; a dormant peer is connected. Returns whether there is hope."""
        if self.hopeful:
            return True
        if not self.dormant or not self.connects or self.state != st.CLOSED:
            return False
        self._needed = True
        if self.until == NEVER or self.until <= now.mono:
            self.start(now)
        return True

    def stop(self, now: Now, cause: int = REBOOTING) -> None:
        """End the connection in good order, or the attempt to get one."""
        if self.state == st.CLOSING:
            return
        self.farewell = cause
        if self.state == st.CLOSED:
            self._rest(now)
        else:
            self.event(st.STOP, now)

    def lost(self, link: Link, text: str, now: Now) -> None:
        """A connection has ended, or did not come about."""
        if not link.up:
            self.statistics.connects_failed += 1
            self.log_failure(text, now)
            self.event(st.I_CONN_NACK, now, link)
            return
        if link is not self.link:
            if self.state != st.WAIT_RETURNS:
                self.log_failure(text or "closed before capabilities were exchanged", now)
        elif self.farewell is None:
            self.last_error = text or "closed by the peer"
            self.statistics.losses += 1
            self._context.notify("warning", f"peer {self.name}: connection lost: {self.last_error}")
        self.event(st.I_DISC if link is self.initiator else st.R_DISC, now, link)

    def offer(self, link: Link, message: Message, now: Now) -> None:
        """An incoming connection with its CER is for this peer (R-Conn-CER). Raises Refusal."""
        said, inband = admission.examine(self._context, self.settings, link, message)
        if self.state in (st.CLOSED, st.WAIT_CONN_ACK, st.WAIT_I_CEA):
            self._offered, self._inband = said, inband
        self.event(st.R_CONN_CER, now, link, message)

    def secured(self, link: Link, now: Now) -> None:
        """The in-band TLS handshake is done; ``link`` has the names of the certificate."""
        if self.state != st.WAIT_TLS:
            return
        try:
            admission.check_names(self._context, self.name, link)
        except Refusal as refusal:
            self.log_failure(refusal.text, now)
            self.event(st.I_NON_CEA, now, link)
            return
        self._open(self._target, now)

    def elapsed(self, now: Now) -> None:
        """Something is due."""
        if self.until <= now.mono:
            self.until = NEVER
            if self.state != st.CLOSED:
                self.log_failure(f"time-out in state {self.state}", now)
                self.event(st.TIMEOUT, now)
            elif self._needed or not self.dormant:
                self.start(now)
        elif self.is_open and self.watchdog.due <= now.mono:
            self._obey(self.watchdog.elapsed(now.mono), now)
        self._owner.peer_watch(self)

    # Messages: those of the base protocol, and all while the peer is not usable.

    def message(self, link: Link, message: Message, now: Now) -> bool:
        """Take one message; returns whether it is an application's and has to be dealt with."""
        if link is not self.link:
            self._early(link, message, now)
            return False
        if message.code not in BASE:
            return self._trusted(message, now)
        is_dwa = message.code == cap.WATCHDOG and not message.is_request and message.hop_by_hop == self._probe
        order = self.watchdog.received(is_dwa, now.mono) if self.is_open else dog.NOTHING
        if is_dwa:
            self._probe = -1
        self._base(link, message, is_dwa, now)
        if self.link is link:
            self._obey(order, now)
        return False

    def _trusted(self, message: Message, now: Now) -> bool:
        """Whether an application's message may be dealt with now (RFC 3539: not in REOPEN)."""
        if not self.is_open:
            return True
        order = self.watchdog.received(False, now.mono)
        if order != dog.THROW:
            self._obey(order, now)
            return True
        if len(self._held) < HELD and sum(map(len, self._held)) < HELD_OCTETS:
            self._held.append(message.data)
        else:
            self.statistics.thrown_away += 1
        return False

    def _early(self, link: Link, message: Message, now: Now) -> None:
        """A message on a connection that is not open."""
        if link is not self.initiator:
            self.event(st.R_EARLY, now, link)
            return
        if self.state not in (st.WAIT_I_CEA, st.WAIT_RETURNS):
            self.event(st.I_NON_CEA, now, link)
            return
        try:
            said, inband = admission.accept(self._context, self.settings, link, self._awaited, message)
        except Refusal as refusal:
            self.statistics.refused += 1
            if refusal.code != cap.ELECTION_LOST:
                self._failures = MANY_FAILURES
                self.log_failure(refusal.text, now)
            self.event(st.I_NON_CEA, now, link)
            return
        self.statistics.capabilities_received += 1
        self._offered, self._inband = said, inband
        self.event(st.I_CEA, now, link, message)

    def _base(self, link: Link, message: Message, is_dwa: bool, now: Now) -> None:
        code, statistics = message.code, self.statistics
        if code == cap.WATCHDOG:
            statistics.watchdogs_received += 1
        elif code == cap.DISCONNECT:
            statistics.disconnects_received += 1
        else:
            statistics.capabilities_received += 1
        if not message.is_request:
            if is_dwa:
                self.event(st.DWA, now, link, message)
            elif code == cap.DISCONNECT and message.hop_by_hop == self._goodbye:
                self.event(st.DPA, now, link, message)
            else:
                statistics.unknown_answers += 1
            return
        fault = self._context.fault(message, self.settings.compat)
        if fault is not None:
            self.put(link, self._context.refuse(message, fault))
        elif code == cap.CAPABILITIES:
            # RFC 6733 section 1.1.3: capabilities are not exchanged again on an open connection.
            text = cap.faulty("capabilities are exchanged already")
            self.put(link, self._context.us.answer(message, cap.UNABLE_TO_COMPLY, *text))
        else:
            self.event(st.DWR if code == cap.WATCHDOG else st.DPR, now, link, message)

    def _obey(self, order: str, now: Now) -> None:
        """Do what the watchdog says."""
        if order == dog.PROBE:
            self.send_dwr(now)
        elif order == dog.FAILOVER:
            self._context.notify("warning", f"peer {self.name} does not answer, its requests go to others")
            self.usable = False
            self._owner.peer_unusable(self, now)
            self._owner.peer_suspect(self, now)
        elif order == dog.FAILBACK and self.is_open:
            self.statistics.failbacks += 1
            self._context.notify("info", f"peer {self.name} answers again")
            self._release(now)
        elif order == dog.CLOSE:
            self.statistics.losses += 1
            self.last_error = "no answer to the watchdog"
            self._context.notify("warning", f"peer {self.name}: closed, as it does not answer the watchdog")
            self._enter(st.CLOSED, now)
        if order:
            self._owner.peer_watch(self)

    def _release(self, now: Now) -> None:
        """The peer is good for requests; what it said before it was is taken now."""
        self.usable = True
        self._owner.peer_usable(self, now)
        held, self._held = self._held, []
        if held:
            self._owner.peer_trusted(self, held, now)

    # Coming into a state.

    def _enter(self, target: str, now: Now) -> None:
        before = self.state
        if target in st.OPEN and before not in st.OPEN:
            self._begin(target, now)
            return
        self.state = target
        if target == before:
            return
        settings = self._context.settings
        if target == st.CLOSED:
            self._closed(before, now)
            return
        if target == st.CLOSING:
            self.until = now.mono + settings.dpa_timeout
            self.usable = False
            self._owner.peer_unusable(self, now)
        elif target == st.WAIT_CONN_ACK and before == st.CLOSED:
            # The transport gives up first: then an incoming connection that waits for the election is taken.
            self.until = now.mono + settings.connection_timeout + GRACE
        elif target in (st.WAIT_I_CEA, st.WAIT_RETURNS):
            self.until = now.mono + settings.cea_timeout
        self._owner.peer_watch(self)

    def _begin(self, target: str, now: Now) -> None:
        """Capabilities are exchanged; what may be left is the TLS handshake of RFC 3588."""
        link = self.initiator if target == st.I_OPEN else self.responder
        assert link is not None
        if self._inband is None or link.secure:
            self._open(target, now)
            return
        self.state, self._target = st.WAIT_TLS, target
        self.until = now.mono + self._context.settings.connection_timeout
        self._context.effects.append(Secure(link.number, not link.initiator))
        self._owner.peer_watch(self)

    def _open(self, target: str, now: Now) -> None:
        link = self.initiator if target == st.I_OPEN else self.responder
        assert link is not None and self._offered is not None
        self.state, self.link, self.capabilities = target, link, self._offered
        self._cer = None
        self.until, self.since, self._opened_at = NEVER, now.wall, now.mono
        self.farewell = None
        self.dormant = self._needed = False
        self.last_error = ""
        self._tried = 0
        self.statistics.opens += 1
        context = self._context
        context.unhush(f"peer {self.folded}")
        context.notify("info", f"peer {self.name}: open {link.where}")
        self._note_state(self._offered.state_id)
        if self.watchdog.up(now.mono) == dog.PROBE:
            self.send_dwr(now)
        else:
            self._release(now)
        self._owner.peer_watch(self)

    def _closed(self, before: str, now: Now) -> None:
        was_open = self.link is not None
        text = self.last_error or "closed"
        for link in (self.initiator, self.responder, self.link):
            if link is not None:
                self._context.drop(link, text, abort=before in st.OPEN)
        self.initiator = self.responder = self.link = self._cer = self._offered = None
        self._held = []
        self._probe = self._goodbye = self._awaited = -1
        self.usable = False
        if was_open:
            self.since = now.wall
            if self.farewell is None:
                self.watchdog.down(now.mono)
            else:
                self.watchdog.left()
            if now.mono - self._opened_at >= self._context.settings.retry_timeout:
                self._failures = 0
        self._rest(now, not was_open)
        self._owner.peer_closed(self, now)

    def _rest(self, now: Now, failed: bool = False) -> None:
        """Decide when to try again (RFC 6733 sections 2.1 and 5.4.3); ``failed``: a try has failed."""
        limit = self._context.settings.retry_timeout
        self.until = NEVER
        if not self.connects:
            self.dormant = False
        elif self.farewell in (BUSY, DO_NOT_WANT_TO_TALK_TO_YOU):
            self.dormant = True
            # Who is busy, or says good-bye soon after each welcome, is left in peace for a while.
            soon = self.farewell != BUSY and now.mono - self._opened_at >= limit
            self.until = NEVER if soon else now.mono + self._context.jittered(limit)
        elif failed and self._next_address():
            self.until = now.mono
        else:
            pause = min(limit, FIRST_PAUSE * (1 << min(self._failures, MANY_FAILURES)))
            self._failures += 1
            self.until = now.mono + self._context.jittered(pause)
        self._owner.peer_watch(self)

    def _next_address(self) -> bool:
        """Go on to the next address; whether it was not tried yet in this round."""
        if self.settings.transport in MULTIHOMED:
            return False
        self._place += 1
        self._tried += 1
        if self._tried < len(self.settings.addresses):
            return True
        self._tried = 0
        return False
