"""Bulk bindings at a gateway: one update refreshes all sessions of a group (RFC 6602 section 5.1).

::

    registration accepted with B ─▶ the session joins (LMA, group); it needs no refresh of its own
    refresh time of the group ─▶ PBU with the group alone ─▶ PBA ─▶ its sessions, a slice a tick
                                       └─ denied, no answer ─▶ each refreshes itself, one after the other

A group of ours is the mobile nodes of one access interface.
"""

from collections import deque
from typing import Any

from appliance.counters import CounterSet, denied_by_lma_key
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import encode, to_timestamp
from appliance.protocols.mobility.messages import (
    BA_B,
    BU_A,
    BU_B,
    BU_H,
    BU_P,
    BindingAcknowledgement,
    BindingUpdate,
)
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.mag_entry import ACTIVE, DEREG, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import LIFETIME_UNIT, NOT_CHANGED, exchange_rows
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now

#: Sessions that are gone through in one tick: each has its mobile node told of the new lifetime.
AT_ONCE = 200
#: Seconds between the own refreshes of two sessions of a group that could not be refreshed at once.
SPACING = 0.002

Key = tuple[bytes, int]
"""LMA address and our number of the group."""


class Group:
    """The sessions of one group, and the refresh that is under way."""

    __slots__ = (
        "attempts",
        "members",
        "next_at",
        "renew_at",
        "sent",
        "sent_at",
        "sequence",
        "stamp",
        "timeout",
    )

    def __init__(self) -> None:
        self.members: dict[int, BindingUpdateListEntry] = {}
        #: When the next refresh begins; ``None``: one is under way.
        self.renew_at: float | None = None
        #: When to send again.
        self.next_at: float | None = None
        self.sent: tuple[int, ...] = ()
        self.sent_at = 0.0
        self.sequence: int | None = None
        self.stamp = 0
        self.attempts = 0
        self.timeout = 0.0

    @property
    def due(self) -> float | None:
        """When something has to be done about it."""
        return self.renew_at if self.renew_at is not None else self.next_at


class Round:
    """Members of a group that a refresh is still to be told to, or that have to refresh themselves."""

    __slots__ = ("entries", "expires", "lifetime", "number", "spread")

    def __init__(
        self, number: int, entries: list[BindingUpdateListEntry], lifetime: int, expires: float
    ) -> None:
        self.number = number
        self.entries = deque(entries)
        #: Seconds; 0: the group was not refreshed.
        self.lifetime = lifetime
        self.expires = expires
        self.spread = 0.0


class MagBulk(MagFeature):
    """The groups of one gateway."""

    def __init__(self, settings: MagSettings, counters: CounterSet, sessions: MagSessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._numbers: dict[str, int] = {}
        self._groups: dict[Key, Group] = {}
        #: By call id: a session may go to another anchor meanwhile (RFC 6463).
        self._keys: dict[int, Key] = {}
        self._rounds: deque[Round] = deque()

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Go on by other settings; without the function each session refreshes itself."""
        was, self._settings = self._settings.request_bulk, settings
        if was and not settings.request_bulk:
            for (_, number), group in list(self._groups.items()):
                self._alone(number, group, now)

    # ---- who is in which group ----------------------------------------------------------------

    def _number(self, interface: str) -> int:
        number = self._numbers.get(interface)
        if number is None:
            number = self._numbers[interface] = len(self._numbers) + br.ALL_SESSIONS + 1
        return number

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """RFC 6602 section 5.1.2: B and our group in each registration; without B there is no group."""
        if self._settings.request_bulk and entry.exchange != DEREG:
            update.flags |= BU_B
            update.options.append(br.group_option(self._number(entry.interface)))

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Join if the LMA says B, else leave."""
        theirs = group_in(answer)
        if not answer.flags & BA_B or theirs is None or not self._settings.request_bulk:
            self.ended(entry)
            return
        number = self._number(entry.interface)
        key = entry.lma, number
        if self._keys.get(entry.call_id) != key:
            self.ended(entry)
        entry.gateway_group, entry.anchor_group = number, theirs
        self._keys[entry.call_id] = key
        group = self._groups.setdefault(key, Group())
        group.members[entry.call_id] = entry
        # From now on the group is refreshed, when the first of its sessions needs it.
        at, entry.next_at = entry.next_at, None
        if at is not None and group.next_at is None and (group.renew_at is None or at < group.renew_at):
            group.renew_at = at
            self.schedule(at)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """Leave the group."""
        entry.gateway_group = entry.anchor_group = 0
        key = self._keys.pop(entry.call_id, None)
        if key is not None:
            members = self._groups[key].members
            del members[entry.call_id]
            if not members:
                del self._groups[key]

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """Its groups."""
        if not entry.gateway_group:
            return []
        return [
            ("Bulk Group of MAG", str(entry.gateway_group)),
            ("Bulk Group of LMA", str(entry.anchor_group)),
        ]

    # ---- refreshing a group ----------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When a group has to be refreshed, or asked about again; at once while sessions are gone through."""
        if self._rounds:
            return 0.0
        return min((group.due for group in self._groups.values() if group.due is not None), default=None)

    def tick(self, now: Now) -> None:
        """Refresh what is due, and go through a slice of what was refreshed."""
        for key, group in list(self._groups.items()):
            if group.due is None or group.due > now.mono:
                continue
            if group.renew_at is not None:
                group.renew_at, group.sent, group.attempts = None, (), 0
                group.timeout = self._settings.retransmission_timeout / 1000
                self._send(key, group, now)
            elif group.attempts > self._settings.max_retransmissions:
                self._alone(key[1], group, now)
            else:
                group.timeout = min(2 * group.timeout, self._settings.retransmission_maximum / 1000)
                self._send(key, group, now)
        if self._rounds:
            self._go_on(self._rounds[0], now)

    def _send(self, key: Key, group: Group, now: Now) -> None:
        """RFC 6602 section 5.1.3: B is 0, and nothing names a single session."""
        settings, sessions = self._settings, self._sessions
        if group.sequence is None or settings.timestamps:
            group.sequence = sessions.next_sequence()
        else:
            group.sequence = (group.sequence + 1) & 0xFFFF
        first = next(iter(group.members.values()))
        found: list[Any] = [opt.HandoffIndicator(NOT_CHANGED), opt.AccessTechnologyType(first.technology)]
        if settings.timestamps:
            group.stamp = max(to_timestamp(now.wall), group.stamp + 1)
            found.append(opt.Timestamp(group.stamp))
        found.append(br.group_option(key[1]))
        units = min(65_535, -(-settings.reg_lifetime // LIFETIME_UNIT))
        mh = encode(BindingUpdate(group.sequence, BU_A | BU_H | BU_P, units, found))
        source = sessions.source_of(first)
        sessions.effects.append(source.send(source.sealed(mh)))
        sessions.count(exchange_rows(RENEW)[1 if group.attempts else 0])
        group.sent = (*group.sent[-3:], group.sequence)
        group.sent_at = now.mono
        group.attempts += 1
        group.next_at = now.mono + group.timeout

    def unmatched(self, event: PacketReceived, answer: BindingAcknowledgement, now: Now) -> bool:
        """Take the answer to the refresh of a group."""
        number = group_in(answer)
        group = None if number is None else self._groups.get((event.source, number))
        if group is None or number is None or group.renew_at is not None:
            return False
        if answer.sequence not in group.sent or answer.flags & BA_B:
            return False
        self._sessions.count(exchange_rows(RENEW)[2])
        if answer.status >= 128 or not answer.lifetime:
            self._sessions.count("binding-acknowledgement-rcvd/denied")
            self._sessions.count(denied_by_lma_key(answer.status))
            text = f"LMA refuses to refresh a group: status {answer.status}; each session refreshes itself"
            self._sessions.notify_seldom(("bulk", event.source), text, now)
            self._alone(number, group, now)
            return True
        self._sessions.count("binding-acknowledgement-rcvd/accepted")
        lifetime = min(answer.lifetime * LIFETIME_UNIT, -(-self._settings.reg_lifetime // 4) * 4)
        renew = lifetime * self._settings.renew_percent_time / 100
        renew = min(renew, lifetime - self._settings.retransmission_timeout / 1000)
        group.renew_at, group.next_at, group.sent = group.sent_at + max(1.0, renew), None, ()
        self._rounds.append(Round(number, list(group.members.values()), lifetime, group.sent_at + lifetime))
        self.schedule(now.mono)
        return True

    def _alone(self, number: int, group: Group, now: Now) -> None:
        """Have each session of a group refresh itself; it may join again by that."""
        group.renew_at, group.next_at, group.sent = None, None, ()
        self._rounds.append(Round(number, list(group.members.values()), 0, 0.0))
        self.schedule(now.mono)

    def _go_on(self, one: Round, now: Now) -> None:
        for _ in range(min(AT_ONCE, len(one.entries))):
            entry = one.entries.popleft()
            if self._is_member(entry, one.number):
                self._tell(entry, one, now)
        if not one.entries:
            self._rounds.remove(one)

    def _is_member(self, entry: BindingUpdateListEntry, number: int) -> bool:
        known = self._sessions.list.by_call_id.get(entry.call_id)
        return known is entry and entry.gateway_group == number and entry.state == ACTIVE

    def _tell(self, entry: BindingUpdateListEntry, one: Round, now: Now) -> None:
        if not one.lifetime:
            self.ended(entry)
            if not entry.exchange:
                entry.next_at = now.mono + one.spread
                one.spread += SPACING
        elif entry.expires is None or entry.expires < one.expires:
            entry.lifetime, entry.expires, entry.updated = one.lifetime, one.expires, now.wall
            self._sessions.advertise(entry, now)
        self._sessions.arm(entry)

    def saves(self, entry: BindingUpdateListEntry, now: Now) -> bool:
        """Whether a session whose lifetime seems to be over was refreshed with its group."""
        for one in self._rounds:
            if one.lifetime and one.expires > now.mono and self._is_member(entry, one.number):
                self._tell(entry, one, now)
                return True
        return False


def group_in(answer: BindingAcknowledgement) -> int | None:
    """The bulk binding update group in an acknowledgement; ``None``: none."""
    for item in answer.options:
        if isinstance(item, opt.MobileNodeGroupIdentifier) and item.subtype == br.BULK:
            number: int = item.group
            return number
    return None
