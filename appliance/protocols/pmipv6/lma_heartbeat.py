"""Heartbeats of an anchor: its peers are the gateways that have sessions (RFC 5847)."""

from collections import deque
from collections.abc import Callable

from appliance.counters import CounterSet
from appliance.protocols.mobility import aaa
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Notify, PacketReceived
from appliance.protocols.pmipv6.extras import served_by
from appliance.protocols.pmipv6.features import Feature
from appliance.protocols.pmipv6.heartbeat import HeartbeatCore, Peer, Timing
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.lma_counts import OTHER_ENDED
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Of the sessions of the whole cache, so many are looked at in one tick, and so many are ended: some 3 ms.
LOOKED_AT, ENDED_AT_ONCE = 10_000, 150

End = Callable[[BindingCacheEntry, int, Now], None]


def timing_of(settings: LmaSettings) -> Timing:
    """When to ask gateways."""
    return Timing(
        settings.heartbeat_interval, settings.heartbeat_timeout, settings.heartbeat_max_retransmissions
    )


class LmaHeartbeat(HeartbeatCore, Feature):
    """Asks the gateways; ends the sessions of those that are lost, if the operator wants it.

    There is no list of sessions by gateway, which every session would have to pay for: when gateways are
    lost, the cache is gone through once for all of them, slice by slice.
    """

    def __init__(self, settings: LmaSettings, counters: CounterSet, sessions: Sessions, end: End) -> None:
        super().__init__(timing_of(settings), counters, sessions)
        self._settings = settings
        self._allowed = Peers(settings.peers)
        self._sessions = sessions
        self._end = end
        #: Gateways whose sessions end if they were refreshed before this time: in the coming round, and in
        #: this one.
        self._coming: dict[bytes, float] = {}
        self._doomed: dict[bytes, float] = {}
        self._queue: deque[BindingCacheEntry] = deque()
        sessions.gateways.met = self.met

    def shared(self, key: bytes) -> int:
        """How many sessions a gateway has."""
        return self._sessions.gateways.shared(key)

    def _path(self, key: bytes) -> tuple[bytes, int] | None:
        if len(key) == 16:
            return self._settings.address, 0
        ours = self._settings.ipv4_address
        # Section 4: over IPv4 as RFC 5844 section 4 says, to where its registrations come from.
        return None if ours is None else (ours, self._sessions.gateways.port(key))

    def is_peer(self, address: bytes) -> bool:
        """Whether it is a gateway that may register mobiles, or has registered some."""
        return bool(self._allowed.allowed(address)) or self._sessions.gateways.known(address)

    def _speaker(self, event: PacketReceived) -> Peer | None:
        gateways, source = self._sessions.gateways, event.source
        found = self.peers.get(gateways.at(source, event.port))
        return self.peers.get(gateways.only(source)) if found is None else found

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings."""
        old, self._settings = self._settings, settings
        if old.peers != settings.peers:
            self._allowed = Peers(settings.peers)
        self.retime(timing_of(settings), self._sessions.gateways.all(), now)

    def _lost(self, peer: Peer, restarted: bool, since: float, now: Now) -> None:
        settings = self._settings
        what = settings.heartbeat_peer_restart if restarted else settings.heartbeat_path_failure
        if what != "end-sessions" or not self.shared(peer.key):
            return
        if not restarted and self._may_speak_elsewhere(peer):
            text = f"sessions of {peer.text} stay: a NAT may have given it another port"
            self._holder.effects.append(Notify("warning", text))
            return
        self._coming[peer.key] = max(since, self._coming.get(peer.key, 0.0))
        self._wake(0.0)

    def _may_speak_elsewhere(self, lost: Peer) -> bool:
        """Whether a gateway known by its port alone may be one that came from another port since.

        Then some of its sessions are still counted at the port that nobody answers from any more.
        """
        says_its_address = len(lost.key) == 2 * len(lost.address)
        if says_its_address or self._sessions.gateways.alone(lost.address):
            return False
        heard = lost.met if lost.heard is None else lost.heard
        return any(
            each.met >= heard and each is not lost and each.address == lost.address
            for each in self.peers.values()
        )

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next."""
        return 0.0 if self._queue or self._coming else super().deadline

    def tick(self, now: Now) -> None:
        """Heartbeats, and the next slice of sessions that end."""
        super().tick(now)
        queue, cache = self._queue, self._sessions.cache
        if not queue and self._coming:
            self._doomed, self._coming = self._coming, {}
            queue.extend(cache.calls.values())
        ended = 0
        for _ in range(min(LOOKED_AT, len(queue))):
            entry = queue.popleft()
            since = self._doomed.get(served_by(entry))
            if since is None or entry.deleting or entry.of_host:
                continue
            if cache.calls.get(entry.call_id) is not entry or entry.due - 4 * entry.lifetime > since:
                # Refreshed after that: its gateway knows it.
                continue
            self._values[OTHER_ENDED] += 1
            self._end(entry, aaa.LINK_BROKEN, now)
            ended += 1
            if ended >= ENDED_AT_ONCE:
                break
