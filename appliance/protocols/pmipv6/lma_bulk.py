"""Bulk bindings at an anchor: groups of sessions that one update extends (RFC 6602 section 5.2).

::

    update with B and a group ─▶ accepted ─▶ the session joins (gateway, group)
    update without B ─────────▶ accepted ─▶ it leaves
    update with a group alone ─▶ update ─▶ PBA at once ─▶ Extension: its sessions, a slice a tick

A session whose turn has not come when its own lifetime is over is extended then (:meth:`Bulk.saves`).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode, from_timestamp, to_timestamp
from appliance.protocols.mobility.messages import BA_B, BA_P, BU_B, BindingAcknowledgement
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import Send
from appliance.protocols.pmipv6.extras import extras_of, served_by
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_counts import ACK_DENIED, ACK_REGISTERED, REFRESH
from appliance.protocols.pmipv6.lma_gateways import sender_of
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.pba import sealed
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Sessions that are extended in one tick; fewer when the AAA client hears of each.
EXTENDED, EXTENDED_TOLD = 1000, 300
#: Realms that have a group of their own; the sessions of all others are in the group of all sessions.
GROUPS = 1000

Members = dict[int, BindingCacheEntry]
"""By call id."""


class Group:
    """The sessions of one group of a gateway, and what its last update was like."""

    __slots__ = ("answer", "fingerprint", "members", "sequence", "timestamp")

    def __init__(self) -> None:
        self.members: Members = {}
        self.timestamp = 0
        self.sequence: int | None = None
        self.fingerprint = 0
        self.answer = b""


class Extension:
    """An update of a group that is being carried out."""

    __slots__ = ("due", "entries", "gateway", "lifetime", "number", "wall")

    def __init__(
        self, gateway: bytes, number: int, entries: list[BindingCacheEntry], lifetime: int, now: Now
    ) -> None:
        self.gateway = gateway
        self.number = number
        self.entries = deque(entries)
        self.lifetime = lifetime
        self.due = now.mono + 4 * lifetime
        self.wall = now.wall

    def same(self, other: "Extension") -> bool:
        """Whether both are about one group."""
        return self.gateway == other.gateway and self.number == other.number

    def covers(self, entry: BindingCacheEntry) -> bool:
        """Whether it is still to extend a session: one of the group that was not updated since."""
        extras = entry.extras
        return (
            extras is not None
            and extras.gateway_group != 0
            and self.number in (extras.gateway_group, br.ALL_SESSIONS)
            and served_by(entry) == self.gateway
            and not entry.deleting
            and extras.revocation is None
            and entry.updated <= self.wall
            and entry.due < self.due
        )


class Bulk(Feature):
    """Groups of the sessions of one service."""

    def __init__(self, settings: LmaSettings, counters: CounterSet, sessions: Sessions) -> None:
        self._settings = settings
        self._values = counters.values
        self._sessions = sessions
        #: By gateway, then by the gateway's number of the group.
        self._groups: dict[bytes, dict[int, Group]] = {}
        #: Our own groups, by realm.
        self._realms: dict[bytes, int] = {}
        self._extensions: deque[Extension] = deque()

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings; sessions stay in their groups until their next update."""
        self._settings = settings

    # ---- who is in which group -----------------------------------------------------------------

    def members(self, gateway: bytes, number: int) -> Members:
        """The sessions of a group of a gateway; of group 1 (ALL-SESSIONS) all that are in a group at all."""
        groups = self._groups.get(gateway, {})
        if number == br.ALL_SESSIONS:
            if len(groups) == 1:
                return next(iter(groups.values())).members
            return {call_id: entry for group in groups.values() for call_id, entry in group.members.items()}
        group = groups.get(number)
        return {} if group is None else group.members

    def has(self, gateway: bytes, number: int) -> bool:
        """Whether a group of a gateway has members; found out without making a list of them."""
        groups = self._groups.get(gateway, {})
        if number == br.ALL_SESSIONS:
            return bool(groups)
        return number in groups and bool(groups[number].members)

    @staticmethod
    def member(number: int) -> Callable[[BindingCacheEntry], bool]:
        """Tells which sessions are in a group of ours."""

        def fits(entry: BindingCacheEntry) -> bool:
            extras = entry.extras
            if extras is None or not extras.anchor_group:
                return False
            return number in (extras.anchor_group, br.ALL_SESSIONS)

        return fits

    def _number_of(self, entry: BindingCacheEntry) -> int:
        """Our group of a session: one for each realm, so that a realm can be revoked by one message."""
        realm = br.realm_of(entry.mn_id)
        known = self._realms.get(realm)
        if known is None:
            if not realm or len(self._realms) >= GROUPS:
                return br.ALL_SESSIONS
            known = self._realms[realm] = len(self._realms) + 2
        return known

    def _join(self, entry: BindingCacheEntry, number: int) -> None:
        extras = extras_of(entry)
        self._leave(entry)
        extras.gateway_group, extras.anchor_group = number, self._number_of(entry)
        groups = self._groups.setdefault(served_by(entry), {})
        groups.setdefault(number, Group()).members[entry.call_id] = entry

    def _leave(self, entry: BindingCacheEntry, gateway: bytes = b"") -> None:
        extras = entry.extras
        if extras is None or not extras.gateway_group:
            return
        gateway = gateway or served_by(entry)
        groups = self._groups[gateway]
        members = groups[extras.gateway_group].members
        del members[entry.call_id]
        if not members:
            del groups[extras.gateway_group]
            if not any(group.members for group in groups.values()):
                del self._groups[gateway]
        extras.gateway_group = extras.anchor_group = 0

    # ---- updates of single sessions -------------------------------------------------------------

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """RFC 6602 section 5.2.3: a group beside a session's name is wrong unless B asks to join it."""
        if request.flags & BU_B or _group_in(request) is None:
            return None
        return verdicts.BAD_GROUP

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """RFC 6602 section 5.2.2: B and a group: join; no B: leave; another gateway: leave that one's."""
        if not request.lifetime and not entry.deleting and request.flags & BU_B:
            # One address family is given back; the session goes on as it is.
            return
        self._leave(entry, before.who)
        if not request.lifetime or not request.flags & BU_B or not self._settings.accept_bulk:
            return
        number = _group_in(request)
        if number:
            self._join(entry, number)
            request.answer_flags |= BA_B
            request.answer_options.append(br.group_option(extras_of(entry).anchor_group))

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """It is in no group any more."""
        self._leave(entry)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Its groups."""
        extras = entry.extras
        if extras is None or not extras.gateway_group:
            return []
        return [
            ("Bulk Group of MAG", str(extras.gateway_group)),
            ("Bulk Group of LMA", str(extras.anchor_group)),
        ]

    # ---- updates of groups ------------------------------------------------------------------------

    def update(self, request: Request, verdict: Verdict, now: Now) -> bool:
        """Take an update that names no mobile node: whether it is one of a group, and done with."""
        number = None if request.flags & BU_B else _group_in(request)
        if verdict is not verdicts.NO_MN_ID or number is None:
            return False
        gateway = sender_of(request)
        group = self._groups.get(gateway, {}).get(number)
        members = self.members(gateway, number)
        if group is None and members:
            # Group 1 while all sessions are in others: it has an order of its own all the same.
            group = self._groups[gateway].setdefault(number, Group())
        if group is None or request.prefix_options or request.ipv4 is not None or request.gre is not None:
            self._refuse(request, verdicts.BAD_GROUP, now)
        elif group.fingerprint == request.fingerprint and group.sequence == request.sequence:
            self._count(request, group.answer)
        elif (out_of_order := self._order(request, group)) is not None:
            self._refuse(request, out_of_order, now)
        elif request.care_of != request.source and not self._settings.alt_coa_allowed:
            self._refuse(request, verdicts.POLICY, now)
        elif not request.lifetime:
            # RFC 6602 section 5.2.3 knows extensions only: a group is let go by a revocation.
            self._refuse(request, verdicts.BAD_REQUEST, now)
        else:
            self._extend(request, number, group, members, now)
        return True

    def _order(self, request: Request, group: Group) -> Verdict | None:
        """RFC 5213 section 5.5, for the group in the place of a session."""
        settings, stamp = self._settings, request.timestamp
        if stamp is not None and settings.timestamp_option_validation:
            if stamp.value < group.timestamp:
                return verdicts.TIMESTAMP_LOWER
            off = abs(from_timestamp(stamp.value) - request.now.wall)
            late = off > settings.timestamp_validity_window / 1000
            if stamp.value == group.timestamp or (late and not settings.mobile_node_generated_timestamp):
                return verdicts.TIMESTAMP_MISMATCH
            return None
        if not settings.sequence_number_validate or group.sequence is None:
            return None
        ahead = (request.sequence - group.sequence) & 0xFFFF
        return None if 1 <= ahead <= 32767 else verdicts.SEQUENCE

    def _extend(self, request: Request, number: int, group: Group, members: Members, now: Now) -> None:
        lifetime = min(request.lifetime, max(1, self._settings.reg_lifetime // 4))
        group.sequence, group.fingerprint = request.sequence, request.fingerprint
        if request.timestamp is not None:
            group.timestamp = request.timestamp.value
        extension = Extension(sender_of(request), number, list(members.values()), lifetime, now)
        # What an older update of the group has not come to yet is the newer one's.
        for older in [each for each in self._extensions if each.same(extension)]:
            self._extensions.remove(older)
        self._extensions.append(extension)
        self.schedule(now.mono)
        mh = encode(
            BindingAcknowledgement(
                codes.ACCEPTED, BA_P, request.sequence, lifetime, [br.group_option(number), *_copied(request)]
            )
        )
        group.answer = sealed(mh, request.destination, request.source, request.port)
        self._count(request, group.answer)

    def _count(self, request: Request, data: bytes) -> None:
        values = self._values
        values[REFRESH.received] += 1
        values[REFRESH.accepted] += 1
        values[ACK_REGISTERED] += 1
        self._sessions.effects.append(Send(data, request.destination, request.source, request.port))

    def _refuse(self, request: Request, verdict: Verdict, now: Now) -> None:
        values = self._values
        values[REFRESH.received] += 1
        values[REFRESH.denied] += 1
        values[ACK_DENIED] += 1
        values[verdict.counter] += 1
        answer: list[Any] = [
            item for item in request.others if isinstance(item, opt.MobileNodeGroupIdentifier)
        ]
        answer += _copied(request)
        if verdict in (verdicts.TIMESTAMP_LOWER, verdicts.TIMESTAMP_MISMATCH):
            answer = [item for item in answer if item is not request.timestamp]
            answer.append(opt.Timestamp(to_timestamp(now.wall)))
        mh = encode(BindingAcknowledgement(verdict.status, BA_P, request.sequence, 0, answer))
        data = sealed(mh, request.destination, request.source, request.port)
        self._sessions.effects.append(Send(data, request.destination, request.source, request.port))

    # ---- time ---------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """At once while there are sessions to be extended."""
        return 0.0 if self._extensions else None

    def tick(self, now: Now) -> None:
        """Extend a slice of the sessions."""
        told = self._sessions.accounts
        if not self._extensions:
            return
        extension = self._extensions[0]
        entries = extension.entries
        for _ in range(min(EXTENDED_TOLD if told else EXTENDED, len(entries))):
            entry = entries.popleft()
            if self._sessions.cache.calls.get(entry.call_id) is entry and extension.covers(entry):
                self._sessions.extend(entry, extension.lifetime, extension.due, now)
        if not entries:
            self._extensions.popleft()

    def saves(self, entry: BindingCacheEntry, now: Now) -> bool:
        """Whether a session whose lifetime is over is extended by an update that has come before that."""
        for extension in self._extensions:
            if extension.covers(entry):
                self._sessions.extend(entry, extension.lifetime, extension.due, now)
                return True
        return False


def _group_in(request: Request) -> int | None:
    """The bulk binding update group that an update names; ``None``: none."""
    for item in request.others:
        if isinstance(item, opt.MobileNodeGroupIdentifier) and item.subtype == br.BULK:
            number: int = item.group
            return number
    return None


def _copied(request: Request) -> list[Any]:
    """What an acknowledgement repeats of a group's update (RFC 5213 section 5.3.6)."""
    found = (request.indicator, request.technology, request.timestamp)
    return [item for item in found if item is not None]
