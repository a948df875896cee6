"""Heartbeats of a gateway: its peers are the anchors that its mobile nodes are registered at (RFC 5847)."""

from appliance.counters import CounterSet
from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.pmipv6.controlled import Three
from appliance.protocols.pmipv6.heartbeat import HeartbeatCore, Peer, Timing
from appliance.protocols.pmipv6.mag_again import END, END_AND_REGISTER, REGISTER, Again
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.peers import SIGNALLING_PORT
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


def timing_of(settings: MagSettings) -> Timing:
    """When to ask anchors."""
    return Timing(
        settings.heartbeat_interval, settings.heartbeat_timeout, settings.heartbeat_max_retransmissions
    )


def anchors_of(settings: MagSettings) -> frozenset[bytes]:
    """The anchors that the configuration names."""
    named = {policy.lma for policy in settings.policies if policy.lma}
    return frozenset({settings.lma, *named, *(each.address for each in settings.anchors)} - {b""})


class MagHeartbeat(HeartbeatCore, MagFeature):
    """Asks the anchors; registers mobile nodes again at one that has lost them."""

    def __init__(self, counters: CounterSet, sessions: MagSessions, again: Again) -> None:
        self._settings = sessions.settings
        super().__init__(timing_of(self._settings), counters, sessions)
        self._anchors = anchors_of(self._settings)
        self._sessions = sessions
        self._again = again
        #: Where each binding is, and how many each anchor has.
        self._where: dict[int, bytes] = {}
        self._counts: dict[bytes, int] = {}
        #: What anchors want instead of our own timing (RFC 8127 section 5.2).
        self._controlled: dict[bytes, Timing] = {}

    # ---- bindings

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """A binding is there, or still there."""
        before = self._where.get(entry.call_id)
        if before == entry.lma:
            return
        if before is not None:
            self._leave(before)
        self._where[entry.call_id] = entry.lma
        count = self._counts[entry.lma] = self._counts.get(entry.lma, 0) + 1
        if count == 1:
            self.met(entry.lma, now)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """A binding is gone."""
        before = self._where.pop(entry.call_id, None)
        if before is not None:
            self._leave(before)

    def _leave(self, anchor: bytes) -> None:
        count = self._counts[anchor] = self._counts[anchor] - 1
        if not count:
            del self._counts[anchor]
            self._controlled.pop(anchor, None)

    def shared(self, address: bytes) -> int:
        """How many bindings an anchor has."""
        return self._counts.get(address, 0)

    # ---- the configuration

    def _path(self, address: bytes) -> tuple[bytes, int] | None:
        if len(address) == 16:
            return self._settings.address, 0
        ours = self._settings.ipv4_address
        # Section 4: over IPv4 as RFC 5844 section 4 says.
        return None if ours is None else (ours, SIGNALLING_PORT)

    def is_peer(self, address: bytes) -> bool:
        """Whether it is an anchor of the configuration, or one that has bindings."""
        return address in self._anchors or address in self._counts

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Go on by other settings."""
        old, self._settings = self._settings, settings
        if (old.lma, old.policies, old.anchors) != (settings.lma, settings.policies, settings.anchors):
            self._anchors = anchors_of(settings)
        self.retime(timing_of(settings), list(self._counts), now)

    def _timing(self, peer: Peer) -> Timing:
        return self._controlled.get(peer.address, self.timing)

    def controlled(self, anchor: bytes, values: Three | None, now: Now) -> None:
        """An anchor wants to be asked so: interval, delay, retransmissions; ``None``: it does not mind."""
        old = self._controlled.get(anchor)
        new = None if values is None else Timing(values[0], values[1] or self.timing.timeout, values[2])
        if new == old:
            return
        if new is None:
            del self._controlled[anchor]
        else:
            self._controlled[anchor] = new
        peer = self.peers.get(anchor)
        if peer is not None:
            self.rearm(peer, now)

    # ---- losses

    def _lost(self, peer: Peer, restarted: bool, since: float, now: Now) -> None:
        settings = self._settings
        ends = (
            settings.heartbeat_peer_restart if restarted else settings.heartbeat_path_failure
        ) == "end-sessions"
        anchor = peer.address
        if not restarted:
            if ends:
                self._again.everywhere(anchor, END, since)
            return
        if ends:
            self._again.everywhere(anchor, END_AND_REGISTER, since)
        # What was refreshed since it answered last may have been so before it was restarted: one update
        # too many does no harm.
        self._again.everywhere(anchor, REGISTER, now.mono)
