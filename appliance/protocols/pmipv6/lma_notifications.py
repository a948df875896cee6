"""Update Notifications of an anchor (RFC 7077 section 5): what it wants gateways to do about their sessions.

::

    notify(entry, reason, options) ─┐
    operator, changed settings ─────┼─▶ UPN ──A──▶ waits ──UPA──▶ done(status)
                                    │                └─ time-out ─▶ UPN with D ... ─▶ done(None)
                                    └─ one to each gateway: group 1, all sessions
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import (
    UPN_A,
    UPN_D,
    Message,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from appliance.protocols.mobility.options import (
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
    VendorSpecific,
)
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.controlled import controlled_values
from appliance.protocols.pmipv6.events import Notify, NotifyUpdate, PacketReceived, Send
from appliance.protocols.pmipv6.extras import address_of
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH, Feature
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.pmipv6.peers import SIGNALLING_PORT, text_of
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Deadlines, Now

#: Notifications that may wait for an acknowledgement.
WAITING = 10_000
#: Gateways that get theirs in one tick, of those meant for all.
PER_TICK = 100
#: Gateways that are known not to speak this.
REFUSING = 4_096
#: Mobile Node Group Identifier: bulk binding group; all sessions between anchor and gateway (RFC 6602).
BULK_GROUP, ALL_SESSIONS = 1, 1

_HEAD = "update-notifications/"
_SENT = {
    codes.UPN_FORCE_REREGISTRATION: "force-reregistration",
    codes.UPN_UPDATE_SESSION_PARAMETERS: "update-session-parameters",
    codes.UPN_VENDOR_SPECIFIC: "vendor-specific",
    codes.UPN_ANI_PARAMS_REQUESTED: "ani-params-requested",
    codes.UPN_QOS_SERVICE_REQUEST: "qos-service-request",
}
_STATUSES = {
    codes.UPA_FAILED_TO_UPDATE: "failed-to-update",
    codes.UPA_MISSING_VENDOR_OPTION: "missing-vendor-option",
    codes.UPA_CANNOT_MEET_QOS: "cannot-meet-qos",
}
#: Section 5.1: for these the registration that follows is the acknowledgement.
_UNACKNOWLEDGED = (codes.UPN_FORCE_REREGISTRATION, codes.UPN_ANI_PARAMS_REQUESTED)

#: Told how a notification ended: the status of its acknowledgement, or ``None`` for silence or refusal.
Done = Callable[[int | None, Now], None]


class Waiting:
    """A notification that was sent; one without the A flag is not repeated, but may be acknowledged."""

    __slots__ = ("done", "due", "left", "message", "path", "peer", "wanted")

    def __init__(
        self, message: UpdateNotification, peer: bytes, path: tuple[bytes, int], left: int, done: Done | None
    ) -> None:
        self.message = message
        self.peer = peer
        self.path = path
        self.wanted = bool(message.flags & UPN_A)
        self.left = left if self.wanted else 0
        self.done = done
        self.due: float | None = None


def _due(waiting: dict[int, Waiting], sequence: int) -> float | None:
    """When one is to be sent again, or given up."""
    found = waiting.get(sequence)
    return None if found is None else found.due


class Notifications(Feature):
    """Sends them and takes the acknowledgements; handler of MH type 20."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        sessions: Sessions,
        random_bits: Callable[[int], int],
    ) -> None:
        self._settings = settings
        self._allowed = Peers(settings.peers)
        self._values = counters.values
        self._index = counters.table.index
        self._sessions = sessions
        self._random_bits = random_bits
        #: Drawn when it is first needed (section 5.1: it begins at random).
        self._sequence: int | None = None
        self._waiting: dict[int, Waiting] = {}
        # No method of ours: with it, neither we nor the sessions would be free when the service goes.
        self._deadlines = Deadlines(partial(_due, self._waiting))
        #: Address and port of gateways that do not know notifications.
        self._refusing: dict[tuple[bytes, int], None] = {}
        self._limiter = NoticeLimiter()
        #: What features want gateways to know of a session: asked for the options of reason 2.
        self.sources: list[Callable[[BindingCacheEntry], Sequence[Any]]] = []
        #: Gateways that are still to be told something, with reason and options.
        self._queue: deque[tuple[bytes, int, tuple[Any, ...]]] = deque()

    # ---- what others call

    def notify(
        self,
        entry: BindingCacheEntry,
        reason: int,
        options: Sequence[Any],
        now: Now,
        done: Done | None = None,
    ) -> bool:
        """Notify the gateway of one session; returns whether it was sent.

        ``done`` is called once, later, if the reason is one that is acknowledged.
        """
        identity = _identifier(entry.mn_id)
        port = 0 if entry.extras is None else entry.extras.port
        return self._send(entry.care_of, port, reason, (identity, *options), now, done)

    def notify_all(self, reason: int, options: Sequence[Any]) -> int:
        """Notify every gateway about all of its sessions, a few at a time; returns how many there are."""
        gateways = self._sessions.gateways.all()
        group = MobileNodeGroupIdentifier(BULK_GROUP, ALL_SESSIONS)
        self._queue.extend((gateway, reason, (group, *options)) for gateway in gateways)
        self.schedule(0.0)
        return len(gateways)

    @property
    def gateways(self) -> int:
        """How many gateways have sessions."""
        return len(self._sessions.gateways)

    def ordered(self, order: NotifyUpdate, now: Now) -> None:
        """An operator wants it; that is also the administrative action that section 5.2 speaks of."""
        self._refusing.clear()
        options: tuple[Any, ...] = ()
        if order.reason == codes.UPN_VENDOR_SPECIFIC:
            options = (VendorSpecific(order.vendor, order.vendor_type, order.vendor_data),)
        if not order.mn_id:
            if not self._queue:
                self.notify_all(order.reason, options)
            return
        for entry in self._sessions.cache.of(order.mn_id):
            if entry.deleting or entry.of_host:
                continue
            more: tuple[Any, ...] = ()
            if order.reason == codes.UPN_UPDATE_SESSION_PARAMETERS:
                more = tuple(option for source in self.sources for option in source(entry))
            self.notify(entry, order.reason, (*options, *more), now)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; if that is wanted, have gateways fetch what changes for their sessions.

        Lifetime, encapsulation and the timers of RFC 8127 are told in acknowledgements only, hence reason 1.
        """
        old, self._settings = self._settings, settings
        if old.peers != settings.peers:
            self._allowed = Peers(settings.peers)
        if settings.update_notification_on_change and _negotiated(old) != _negotiated(settings):
            self.notify_all(codes.UPN_FORCE_REREGISTRATION, ())

    # ---- sending

    def _count(self, row: str) -> None:
        self._values[self._index(_HEAD + row)] += 1

    def _send(
        self,
        peer: bytes,
        port: int,
        reason: int,
        options: tuple[Any, ...],
        now: Now,
        done: Done | None = None,
    ) -> bool:
        path = self._path(peer, port)
        if path is None or (peer, path[1]) in self._refusing or len(self._waiting) >= WAITING:
            self._count("not-sent")
            return False
        flags = 0 if reason in _UNACKNOWLEDGED else UPN_A
        message = UpdateNotification(self._next(), reason, flags, list(options))
        waiting = Waiting(message, peer, path, self._settings.update_notification_retransmissions, done)
        self._waiting[message.sequence] = waiting
        self._count("sent")
        self._count("sent-reasons/" + _SENT.get(reason, "other"))
        self._transmit(waiting, now)
        return True

    def _path(self, peer: bytes, port: int) -> tuple[bytes, int] | None:
        if len(peer) == 16:
            return self._settings.address, 0
        ours = self._settings.ipv4_address
        return None if ours is None else (ours, port or SIGNALLING_PORT)

    def _next(self) -> int:
        """Section 5.1: random at first, then one after the other; none that still waits."""
        if self._sequence is None:
            self._sequence = self._random_bits(16)
        while True:
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._sequence not in self._waiting:
                return self._sequence

    def _transmit(self, waiting: Waiting, now: Now) -> None:
        local, port = waiting.path
        data = sealed(encode(waiting.message), local, waiting.peer, port)
        self._sessions.effects.append(Send(data, local, waiting.peer, port))
        waiting.due = now.mono + self._settings.update_notification_delay / 1000
        self._deadlines.set(waiting.message.sequence, waiting.due)
        self.schedule(waiting.due)

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        return 0.0 if self._queue else self._deadlines.next

    def tick(self, now: Now) -> None:
        """Send what is still to be sent, and again what was not acknowledged (section 5.2)."""
        for _ in range(min(PER_TICK, len(self._queue))):
            who, reason, options = self._queue.popleft()
            if self._sessions.gateways.shared(who):
                self._send(address_of(who), self._sessions.gateways.port(who), reason, options, now)
        for sequence in self._deadlines.pop_due(now.mono, PER_TICK):
            waiting = self._waiting[sequence]
            if waiting.left:
                waiting.left -= 1
                waiting.message.flags |= UPN_D
                self._count("retries-sent")
                self._transmit(waiting, now)
                continue
            del self._waiting[sequence]
            if waiting.wanted:
                self._count("not-acknowledged")
                text = f"{text_of(waiting.peer)} does not acknowledge update notifications"
                self._say(("silent", waiting.peer), text, now)
                self._end(waiting, None, now)

    @staticmethod
    def _end(waiting: Waiting, status: int | None, now: Now) -> None:
        if waiting.done is not None:
            waiting.done(status, now)

    def _say(self, key: object, text: str, now: Now) -> None:
        if self._limiter.allows(key, now.mono):
            self._sessions.effects.append(Notify("warning", text))

    # ---- what comes in

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take an acknowledgement (section 5.2)."""
        assert isinstance(message, UpdateNotificationAcknowledgement)
        source = event.source
        if not self._sessions.gateways.known(source) and not self._allowed.allowed(source):
            self._count("ack-discarded/unknown-peer")
            text = f"update notification acknowledged by {text_of(source)}, which is no gateway: dropped"
            self._say(("stranger", source), text, now)
            return
        waiting = self._waiting.get(message.sequence)
        if waiting is None or waiting.peer != source:
            self._count("ack-discarded/matching-request-not-found")
            text = f"{text_of(source)} acknowledges update notification {message.sequence}: none waits"
            self._say(("unmatched", source), text, now)
            return
        del self._waiting[message.sequence]
        self._count("ack-rcvd")
        status = message.status
        if status < 128:
            self._count("received-ack-status/success")
        else:
            self._count("received-ack-status/" + _STATUSES.get(status, "unknown"))
            why = codes.UPA_NAMES.get(status, "unknown")
            text = f"{text_of(source)} refuses an update notification for reason "
            reason = waiting.message.reason
            text += f"{codes.UPN_NAMES.get(reason, reason)}: status {status} ({why})"
            self._say(("refused", source, status), text, now)
        self._end(waiting, status, now)

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used."""
        row = {LENGTH: "invalid-buffer-length", CHECKSUM: "checksum-error"}.get(why, "decode-error")
        self._count("ack-discarded/" + row)

    def refused(self, event: PacketReceived, now: Now) -> bool:
        """A Binding Error with status 2 came: whether it was in answer to a notification (section 5.2)."""
        address, port = event.source, event.port
        found = [each for each in self._waiting.values() if (each.peer, each.path[1]) == (address, port)]
        if not found:
            return False
        self._count("bind-error")
        while len(self._refusing) >= REFUSING:
            del self._refusing[next(iter(self._refusing))]
        self._refusing[address, port] = None
        for waiting in found:
            del self._waiting[waiting.message.sequence]
            self._end(waiting, None, now)
        text = f"{text_of(address)} does not know update notifications: none until an operator sends one"
        self._say(("unsupported", address), text, now)
        return True


def _negotiated(settings: LmaSettings) -> tuple[Any, ...]:
    """The settings that sessions have agreed on at their last registration."""
    return (
        settings.reg_lifetime,
        settings.gre,
        settings.refresh_advice_option,
        settings.refresh_interval_percent,
        controlled_values(settings),
    )


def _identifier(mn_id: bytes) -> MobileNodeIdentifier:
    """The option that a key was made of, see :func:`bce.identity`."""
    if mn_id[:1] == b"\0":
        return MobileNodeIdentifier(mn_id[1], mn_id[2:])
    return MobileNodeIdentifier(1, mn_id)
