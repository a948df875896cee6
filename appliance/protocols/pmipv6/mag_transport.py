"""IPv4 transport at the gateway (RFC 5844 section 4.2): UDP, TLV header, NATs on the way to an anchor.

Our own address goes along in an IPv4 Care-of Address option, by which an anchor can find a NAT (RFC 5555
section 4.2). If it found one, something is sent by each of our two ports as often as it wants: by the
signalling port an update of one of the sessions there, by the data port what the tunnel engine makes.
"""

from weakref import proxy

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import (
    BA_T,
    BU_F,
    BU_T,
    BindingAcknowledgement,
    BindingUpdate,
)
from appliance.protocols.mobility.options import IPv4CareOfAddress, NatDetection
from appliance.protocols.pmipv6.mag_entry import ACTIVE, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.timers import Now

#: RFC 5555 section 3.2.2: 0 says nothing, all ones that there is no need.
_UNSAID, _NEVER = 0, 0xFFFFFFFF
_LONGEST = 86_400
#: Anchors whose NATs are reminded in one tick; the rest comes in the next one.
_PER_TICK = 64


class _Behind:
    """What is known of an anchor beyond a NAT: its sessions, and when the NAT is to be reminded of us."""

    __slots__ = ("due", "members", "refresh")

    def __init__(self) -> None:
        self.members: dict[int, BindingUpdateListEntry] = {}
        self.refresh = 0
        self.due = 0.0


class MagTransport(MagFeature):
    """Asks for tunnels over IPv4 and takes what is granted."""

    def __init__(self, sessions: MagSessions) -> None:
        # They hold their features: no cycle, so that all is freed when the service goes.
        self._sessions: MagSessions = proxy(sessions)
        self._behind: dict[bytes, _Behind] = {}

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """RFC 5844 section 4.2.2.1, RFC 5845 section 7.3."""
        if len(entry.lma) != 4:
            return
        settings = self._sessions.settings
        assert settings.ipv4_address is not None
        update.options.append(IPv4CareOfAddress(settings.ipv4_address))
        if settings.force_udp_encapsulation:
            update.flags |= BU_F
            if settings.tlv and entry.gre_wanted:
                update.flags |= BU_T
        behind = self._behind.get(entry.lma)
        if behind is not None:
            behind.due = now.mono + behind.refresh

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """RFC 5844 section 4.2.2, RFC 5845 section 7.3: which form the tunnel has."""
        if len(entry.lma) != 4:
            return
        found = next((each for each in answer.options if isinstance(each, NatDetection)), None)
        entry.tlv = bool(answer.flags & BA_T)
        entry.udp = entry.tlv or (found is not None and bool(found.force))
        settings = self._sessions.settings
        if answer.status == codes.GRE_TUNNELING_BUT_TLV_HEADER_NOT_SUPPORTED:
            entry.udp = entry.tlv = False
            if settings.force_udp_encapsulation:
                # RFC 5845 section 7.3: what has to be in UDP is asked for again, without GRE.
                entry.gre_wanted = False
                entry.next_at = now.mono
        refresh = _NEVER if found is None else found.refresh_time
        if refresh == _UNSAID:
            refresh = settings.nat_keepalive
        entry.nat_refresh = 0 if refresh == _NEVER else min(refresh, _LONGEST)
        self._keep_open(entry, now)

    def _keep_open(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Have the NAT before an anchor reminded of us, or not any more."""
        behind = self._behind.get(entry.lma)
        if not entry.nat_refresh:
            self._forget(entry)
            return
        if behind is None:
            behind = self._behind[entry.lma] = _Behind()
        behind.members[entry.call_id] = entry
        behind.refresh = entry.nat_refresh
        behind.due = now.mono + behind.refresh
        self.schedule(behind.due)

    def _forget(self, entry: BindingUpdateListEntry) -> None:
        behind = self._behind.get(entry.lma)
        if behind is not None and behind.members.pop(entry.call_id, None) is not None and not behind.members:
            del self._behind[entry.lma]

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """Nothing is agreed about it any more."""
        self._forget(entry)
        entry.udp = entry.tlv = False
        entry.nat_refresh = 0

    @property
    def deadline(self) -> float | None:
        """When the next NAT is to be reminded."""
        return min((behind.due for behind in self._behind.values()), default=None)

    def tick(self, now: Now) -> None:
        """Refresh a session of each anchor that has heard nothing by the signalling port for long enough."""
        due = [behind for behind in self._behind.values() if behind.due <= now.mono]
        for behind in due[:_PER_TICK]:
            behind.due = now.mono + behind.refresh
            for call_id, entry in behind.members.items():
                if entry.state == ACTIVE and not entry.exchange:
                    # Another one the next time.
                    del behind.members[call_id]
                    behind.members[call_id] = entry
                    self._sessions.start(entry, RENEW, NOT_CHANGED, now)
                    self._sessions.arm(entry)
                    break

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """How often the NAT on the way is reminded."""
        if not entry.nat_refresh:
            return []
        return [("NAT before Anchor", f"keep-alive every {entry.nat_refresh} s")]
