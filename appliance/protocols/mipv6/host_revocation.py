"""Revocation of the bindings of hosts (RFC 5846 sections 7 and 10), by the machine that gateways are told by.

::

    operator, AAA, policy ─▶ pmipv6 Revocation ──BRI, P clear, routing header──▶ host
                                     └──BRA with Home Address option, or silence ─▶ the binding ends
    the service stops ─▶ depart ──BRI to each host, in slices──▶ BRA, silence, or no more time
"""

from collections import deque
from typing import Any

from appliance.protocols.mipv6.agent_messages import HostSwitch, Voice
from appliance.protocols.mipv6.binding import HostBinding
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BindingError, BindingRevocationAcknowledgement
from appliance.protocols.mobility.rows import Message
from appliance.protocols.mobility.status import BE_UNKNOWN_MH_TYPE
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.lma_request import DROP_REVOCATION, Verdict
from appliance.protocols.pmipv6.lma_revocation import Revocation
from appliance.protocols.pmipv6.lma_subjects import About, always, hears, names_of, way_to
from appliance.protocols.pmipv6.revocation import PER_TICK, Way
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class HostRevocation(HostFeature):
    """What hosts say about revocations, and about messages that they do not know."""

    def __init__(
        self, settings: LmaSettings, revocation: Revocation, voice: Voice, switch: HostSwitch
    ) -> None:
        self._revocation = revocation
        self._values, self._rows = revocation.values, revocation.rows
        self._voice = voice
        self._switch = switch
        #: Hosts that are still to be told that the service stops.
        self._parting: deque[BindingCacheEntry] = deque()
        self._prepare(settings)

        def to_host(message: Any, way: Way, now: Now) -> bytes:
            return voice.octets(message, way.home, now)

        revocation.initiator.to_host = to_host

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings."""
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self._pending = settings.revocation_pending
        self._ready = not settings.shutdown

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """RFC 5846 section 7: an update of a binding that is being revoked; leaving is always welcome."""
        entry = request.entry
        if entry is None or request.leaves or self._pending == "accept" or entry.mn_id != request.mn_id:
            return None
        revoked = entry.extras is not None and entry.extras.revocation is not None
        return DROP_REVOCATION if revoked else None

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """A newer update ends the revocation."""
        self._revocation.forget(entry)
        return None

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """So does a de-registration."""
        if not host.several:
            self._revocation.forget(entry)

    # ---- the service stops

    def depart(self, now: Now) -> bool:
        """Tell each host: a message for all of them there is not (RFC 5846 section 7)."""
        revocation = self._revocation
        if revocation.on:
            every = self._voice.cache.calls.values()
            self._parting.extend(each for each in every if each.of_host and hears(each) and not each.deleting)
            self._tell(now)
        return True

    def _tell(self, now: Now) -> None:
        initiator = self._revocation.initiator
        for _ in range(min(PER_TICK, len(self._parting))):
            if initiator.full:
                break
            entry = self._parting.popleft()
            initiator.send(
                codes.REVOKE_ADMINISTRATIVE, *names_of(entry), way_to(entry), About(entry.mn_id, always), now
            )
        if self._parting and not initiator.full:
            self.schedule(now.mono)

    @property
    def departed(self) -> bool:
        """Whether all have been told; who waits for their answers is asked elsewhere."""
        return not self._parting

    @property
    def deadline(self) -> float | None:
        """While there are hosts to be told: as soon as there is room for another indication."""
        if not self._parting:
            return None
        initiator = self._revocation.initiator
        return initiator.deadline if initiator.full else 0.0

    def tick(self, now: Now) -> None:
        """Tell some more hosts that the service stops."""
        self._tell(now)

    # ---- what hosts say

    def receive(self, event: PacketReceived, message: Message, home: bytes, now: Now) -> None:
        """Take an acknowledgement, or a Binding Error; an indication is not for hosts to send."""
        values, rows = self._values, self._rows
        if isinstance(message, BindingRevocationAcknowledgement):
            self._acknowledged(event, message, home, now)
        elif isinstance(message, BindingError):
            if message.status != BE_UNKNOWN_MH_TYPE or not self._unknown(event, home, now):
                values[rows.ignored] += 1
        else:
            # RFC 5846 section 10: only its home agent revokes a host's binding.
            values[rows.discarded if self._revocation.on else rows.ignored] += 1

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used, as of a gateway."""
        self._revocation.discarded(event, why, now)

    def _acknowledged(
        self, event: PacketReceived, message: BindingRevocationAcknowledgement, home: bytes, now: Now
    ) -> None:
        revocation = self._revocation
        if not revocation.on:
            self._values[self._rows.ignored] += 1
        elif self._voice.genuine(event.data, message, event.source, home, now):
            ready = self._ready and not revocation.departing
            revocation.initiator.acknowledged(event, message, ready, now, home)
            revocation.pump(now)
            self._tell(now)
        else:
            self._values[self._rows.badly_formed] += 1

    def _unknown(self, event: PacketReceived, home: bytes, now: Now) -> bool:
        """A host does not know what it was sent; whether that was one of these messages."""
        if not self._voice.placed(event.source, home):
            # RFC 6275 section 9.3.1: a Home Address option is believed from where the host is bound only.
            return False
        return self._revocation.unknown_there(event, now, home) or self._switch.unknown_there(home)

    def elsewhere(self, event: PacketReceived, now: Now) -> bool:
        """The same, of a host that has not said its home address."""
        return self._switch.unknown_at(event.source)
