"""Update Notifications at a gateway (RFC 7077 section 6): what an anchor wants done about its sessions."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import status as codes
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
from appliance.protocols.pmipv6.bce import identity
from appliance.protocols.pmipv6.events import Notify, PacketReceived, Send
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_again import REFRESH, Again
from appliance.protocols.pmipv6.mag_entry import ACTIVE, REGISTERING, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_heartbeat import MagHeartbeat
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.pba import fitting, sealed
from appliance.protocols.pmipv6.peers import text_of
from appliance.protocols.timers import Now

#: Notifications that are remembered, and for how many seconds: an anchor repeats one for 25 s at most.
REMEMBERED, MEMORY = 1_024, 30.0
#: The group of all sessions of an anchor (RFC 6602 section 4.1).
ALL_SESSIONS = 1

_HEAD = "update-notifications/"
_RESULTS = {
    codes.UPA_SUCCESS: "success",
    codes.UPA_FAILED_TO_UPDATE: "failed-to-update",
    codes.UPA_MISSING_VENDOR_OPTION: "missing-vendor-option",
    codes.UPA_CANNOT_MEET_QOS: "cannot-meet-qos",
}
_IDENTIFIERS = (MobileNodeIdentifier, MobileNodeGroupIdentifier)

#: Does what a reason asks for to the sessions meant; returns the status of the acknowledgement.
Act = Callable[[Sequence[BindingUpdateListEntry], Sequence[Any], Now], int]


class MagNotifications(MagFeature):
    """Handler of MH type 19.

    Other features put themselves into :attr:`acts` (by reason) or :attr:`appliers` (by the type of an option
    that reason 2 brings).
    """

    def __init__(
        self, counters: CounterSet, sessions: MagSessions, again: Again, heartbeat: MagHeartbeat
    ) -> None:
        self._values = counters.values
        self._index = counters.table.index
        self._sessions = sessions
        self._again = again
        # Who may send heartbeats may send this: it knows the anchors, and how many bindings each has.
        self._anchors = heartbeat
        self._limiter = NoticeLimiter()
        #: By anchor and sequence number: when one came and what it was answered with.
        self._known: OrderedDict[tuple[bytes, int], tuple[float, int, tuple[Any, ...]]] = OrderedDict()
        #: What an act adds to the answer of the notification in hand.
        self.more: list[Any] = []
        self.acts: dict[int, Act] = {
            codes.UPN_FORCE_REREGISTRATION: self._register,
            codes.UPN_UPDATE_SESSION_PARAMETERS: self._apply,
            codes.UPN_VENDOR_SPECIFIC: self._vendor,
            # The registration carries the Access Network Identifier option if there is one to tell.
            codes.UPN_ANI_PARAMS_REQUESTED: self._register,
        }
        self.appliers: dict[int, Act] = {}

    # ---- what comes in

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take a notification that could be read (section 6.1)."""
        assert isinstance(message, UpdateNotification)
        source = event.source
        identifiers = [option for option in message.options if isinstance(option, _IDENTIFIERS)]
        if not (is_unicast(source) and self._anchors.is_peer(source)):
            self._count("discarded/unknown-peer")
            self._say(("stranger", source), f"update notification of {text_of(source)}, no anchor", now)
            return
        if not identifiers:
            self._count("discarded/no-identifier")
            self._say(("nobody", source), f"update notification of {text_of(source)} for nobody", now)
            return
        self._count("rcvd")
        key, wants_answer = (source, message.sequence), bool(message.flags & UPN_A)
        before = self._known.get(key)
        if before is not None and now.mono - before[0] < MEMORY:
            self._count("retransmissions-rcvd")
            _, status, more = before
            if message.flags & UPN_D and not wants_answer:
                # The anchor has not seen what it wanted: once more.
                self._handle(source, message, identifiers[0], now)
        else:
            status = self._handle(source, message, identifiers[0], now)
            self._known.pop(key, None)
            while len(self._known) >= REMEMBERED:
                self._known.popitem(last=False)
            more = tuple(self.more)
            self._known[key] = now.mono, status, more
            self._count("result/" + _RESULTS.get(status, "unknown"))
        if wants_answer:
            self._acknowledge(event, message, status, (identifiers[0], *more))

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used."""
        row = {LENGTH: "invalid-buffer-length", CHECKSUM: "checksum-error"}.get(why, "decode-error")
        self._count("discarded/" + row)

    def _acknowledge(
        self, event: PacketReceived, message: UpdateNotification, status: int, options: tuple[Any, ...]
    ) -> None:
        """Section 6.2: number and identifier as they came, and back to where they came from."""
        self._count("ack-sent")
        mh = fitting(UpdateNotificationAcknowledgement(message.sequence, status, list(options)))
        data = sealed(mh, event.destination, event.source, event.port)
        self._sessions.effects.append(Send(data, event.destination, event.source, event.port))

    def _count(self, row: str, times: int = 1) -> None:
        self._values[self._index(_HEAD + row)] += times

    def _say(self, key: object, text: str, now: Now) -> None:
        if self._limiter.allows(key, now.mono):
            self._sessions.effects.append(Notify("warning", text))

    # ---- what is to be done

    def _handle(self, source: bytes, message: UpdateNotification, identifier: Any, now: Now) -> int:
        self._count("received-reasons/" + codes.UPN_NAMES.get(message.reason, "other"))
        self.more.clear()
        act = self.acts.get(message.reason)
        if act == self._register and getattr(identifier, "group", 0) == ALL_SESSIONS:
            return self._register_all(source, now)
        entries = self._meant(source, identifier)
        if not entries:
            status = codes.UPA_NOT_ATTACHED
        elif act is not None:
            status = act(entries, message.options, now)
        elif message.reason == codes.UPN_QOS_SERVICE_REQUEST:
            # RFC 7222 section 5.2: nobody here knows of quality of service.
            status = codes.UPA_CANNOT_MEET_QOS
        else:
            status = codes.UPA_UNSPECIFIED
        if status >= 128:
            reason = codes.UPN_NAMES.get(message.reason, "unknown")
            why = codes.UPA_NAMES.get(status, "refused")
            text = f"update notification of {text_of(source)}, reason {message.reason} ({reason}), refused:"
            text += f" status {status} ({why})"
            self._say(("failed", source, message.reason, status), text, now)
        return status

    def _meant(self, source: bytes, identifier: Any) -> list[BindingUpdateListEntry]:
        """The sessions that it is about, of those at the anchor that has sent it."""
        if isinstance(identifier, MobileNodeIdentifier):
            found = self._sessions.list.of_mobile(identity(identifier.subtype, identifier.identifier))
        elif identifier.group == ALL_SESSIONS:
            found = list(self._sessions.list.by_call_id.values())
        else:
            return []
        return [
            entry
            for entry in found
            if entry.lma == source and entry.bound and entry.state in (ACTIVE, REGISTERING)
        ]

    def _register(self, entries: Sequence[BindingUpdateListEntry], options: Sequence[Any], now: Now) -> int:
        """Reasons 1 and 4: proxy binding updates, not more at a time than is healthy."""
        self._again.add(entries, REFRESH, now.mono)
        self._count("re-registrations", len(entries))
        return codes.UPA_SUCCESS

    def _register_all(self, anchor: bytes, now: Now) -> int:
        self._again.everywhere(anchor, REFRESH, now.mono)
        count = self._anchors.shared(anchor)
        self._count("re-registrations", count)
        return codes.UPA_SUCCESS if count else codes.UPA_NOT_ATTACHED

    def _apply(self, entries: Sequence[BindingUpdateListEntry], options: Sequence[Any], now: Now) -> int:
        """Reason 2: the options are the parameters; one that nobody here can apply fails all of them."""
        wanted = [option for option in options if not isinstance(option, (*_IDENTIFIERS, VendorSpecific))]
        if not all(option.TYPE in self.appliers for option in wanted):
            return codes.UPA_FAILED_TO_UPDATE
        for option in wanted:
            status = self.appliers[option.TYPE](entries, [option], now)
            if status >= 128:
                return status
        return codes.UPA_SUCCESS

    def _vendor(self, entries: Sequence[BindingUpdateListEntry], options: Sequence[Any], now: Now) -> int:
        """Reason 3: what a vendor wants; it is told to the operator."""
        found = [option for option in options if isinstance(option, VendorSpecific)]
        if not found:
            return codes.UPA_MISSING_VENDOR_OPTION
        for option in found:
            applier = self.appliers.get(VendorSpecific.TYPE)
            if applier is not None:
                status = applier(entries, [option], now)
                if status >= 128:
                    return status
            data = option.data.hex() or "no data"
            text = f"vendor {option.vendor} notifies of type {option.subtype}: {data}"
            self._say(("vendor", option.vendor, option.subtype), text, now)
        return codes.UPA_SUCCESS
