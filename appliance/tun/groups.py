"""Which hosts that are away want which groups of their home link (RFC 6275 10.4.2, 10.4.3). No I/O.

::

    MLD report out of a tunnel ──heard()──▶ members ──wanting(group)──▶ tunnels
    time ──questions()──▶ MLD queries into tunnels

A report comes from a link-local address, which tells nothing: whose it is, the tunnel tells. Only groups of
global scope are ever noted: smaller ones should not, link-local ones must not be tunnelled. Sources are not
told apart: who wants some of a group gets all of it, and leaves the rest aside.
"""

from collections import deque
from struct import Struct

from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.tun import packet as ip
from appliance.tun.session import Session

#: Groups of one host, groups in all, and memberships in all; more are not noted.
PER_HOST, GROUPS, MEMBERSHIPS = 16, 256, 10_000
#: RFC 3810 section 9: Query Interval, Query Response Interval, Robustness Variable, Multicast Address
#: Listening Interval; seconds.
QUERY_INTERVAL, RESPONSE, ROBUSTNESS = 125, 10, 2
LISTENING = float(ROBUSTNESS * QUERY_INTERVAL + RESPONSE)
#: Seconds between two looks at what is due.
STEP = 1.0
QUERY, REPORT, DONE, REPORT_2 = 130, 131, 132, 143
IS_INCLUDE, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW = 1, 2, 3, 4, 5
GLOBAL = 0xE
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
#: Hop-by-Hop Options with Router Alert for MLD (RFC 2711), and padding.
_ALERT = bytes.fromhex("3a00050200000100")
_RECORD = Struct(">BBH16s")


def has_global_scope(group: bytes) -> bool:
    """Whether an address is that of a multicast group of global scope (RFC 4291 section 2.7)."""
    return group[0] == 0xFF and group[1] & 0x0F == GLOBAL


def query(source: bytes) -> bytes:
    """An MLDv2 General Query to all nodes (RFC 3810 section 5.1)."""
    body = bytearray(28)
    body[0] = QUERY
    # Maximum Response Code in milliseconds; QRV and QQIC are the last octets before the number of sources.
    body[4:6] = (RESPONSE * 1000).to_bytes(2, "big")
    body[24], body[25] = ROBUSTNESS, QUERY_INTERVAL
    check = internet_checksum(pseudo_header(source, ALL_NODES, len(body), ip.ICMP6) + body)
    body[2:4] = check.to_bytes(2, "big")
    return ip.ipv6_packet(source, ALL_NODES, ip.HOP_BY_HOP, _ALERT + bytes(body), hops=1)


def reported(packet: bytes) -> list[tuple[bytes, bool]] | None:
    """What an MLD message says: groups, and whether they are wanted. ``None``: it is none, or no good one.

    RFC 2710 section 5, RFC 3810 section 6.2: from a link-local address, hop limit 1, behind a Router Alert.
    """
    if len(packet) < 56 or packet[0] >> 4 != 6 or packet[6] != ip.HOP_BY_HOP or packet[7] != 1:
        return None
    source, destination = ip.addresses(packet)
    if source[0] != 0xFE or source[1] & 0xC0 != 0x80 or b"\x05\x02\x00\x00" not in packet[42:48]:
        return None
    found = ip.transport(packet)
    if found is None or found[0] != ip.ICMP6:
        return None
    body = packet[found[1] :]
    if len(body) < 8 or internet_checksum(pseudo_header(source, destination, len(body), ip.ICMP6) + body):
        return None
    if body[0] in (REPORT, DONE):
        return [(body[8:24], body[0] == REPORT)] if len(body) >= 24 else None
    return _records(body) if body[0] == REPORT_2 else None


def _records(body: bytes) -> list[tuple[bytes, bool]] | None:
    """The records of a version 2 report."""
    found, at = [], 8
    for _ in range(body[6] << 8 | body[7]):
        if at + 20 > len(body):
            return None
        kind, extra, sources, group = _RECORD.unpack_from(body, at)
        at += 20 + 16 * sources + 4 * extra
        if kind in (IS_EXCLUDE, TO_EXCLUDE) or (kind in (IS_INCLUDE, TO_INCLUDE, ALLOW) and sources):
            found.append((group, True))
        elif kind in (IS_INCLUDE, TO_INCLUDE):
            found.append((group, False))
    return found if at <= len(body) else None


class Groups:
    """The memberships of all hosts of one service; ``sessions``: the engine's, by call id."""

    __slots__ = ("_hosts", "_members", "_peers", "_round", "_sessions", "_share", "_taking_turns", "refused")

    def __init__(self, sessions: dict[int, Session]) -> None:
        self._sessions = sessions
        #: By group: call ids, and until when each wants it (monotonic seconds).
        self._members: dict[bytes, dict[int, float]] = {}
        #: By call id: how many groups.
        self._hosts: dict[int, int] = {}
        #: By care-of address: call ids; almost always one.
        self._peers: dict[bytes, tuple[int, ...]] = {}
        #: Who is asked next, in turn.
        self._round: deque[int] = deque()
        self._taking_turns: set[int] = set()
        self._share = 0.0
        #: Memberships that there was no room for.
        self.refused = 0

    def __len__(self) -> int:
        return sum(map(len, self._members.values()))

    def came(self, session: Session, old_peer: bytes | None) -> None:
        """A host has bound its home address, or has moved; ``old_peer``: where it was."""
        if old_peer == session.peer:
            return
        if old_peer is not None:
            self._away(session.call_id, old_peer)
        elif session.call_id not in self._taking_turns:
            # Asked first: nobody knows what it listens to.
            self._taking_turns.add(session.call_id)
            self._round.appendleft(session.call_id)
            self._share += 1
        self._peers[session.peer] = (*self._peers.get(session.peer, ()), session.call_id)

    def _away(self, call_id: int, peer: bytes) -> None:
        left = tuple(each for each in self._peers.get(peer, ()) if each != call_id)
        if left:
            self._peers[peer] = left
        else:
            self._peers.pop(peer, None)

    def went(self, session: Session) -> list[bytes]:
        """A host is at home, or not there any more; returns the groups that nobody wants now."""
        self._away(session.call_id, session.peer)
        if session.call_id not in self._hosts:
            return []
        wanted = [group for group, members in self._members.items() if session.call_id in members]
        return [group for group in wanted if self._leave(group, session.call_id)]

    def _leave(self, group: bytes, call_id: int) -> bool:
        """A host does not want a group; returns whether it was the last one."""
        members = self._members.get(group)
        if members is None or members.pop(call_id, None) is None:
            return False
        left = self._hosts[call_id] - 1
        if left:
            self._hosts[call_id] = left
        else:
            del self._hosts[call_id]
        if not members:
            del self._members[group]
        return not members

    def _who(self, peer: bytes, source: bytes, port: int) -> int | None:
        """The host of a report: the one at that care-of address; of several, by its interface identifier.

        RFC 5555 section 4.2: behind a NAT it is the port that tells hosts apart.
        """
        there = filter(None, map(self._sessions.get, self._peers.get(peer, ())))
        found = [each for each in there if (each.by_host_port(peer, port) if port else not each.path.udp)]
        if len(found) == 1:
            return found[0].call_id
        mine = (each.call_id for each in found if each.some_address()[8:] == source[8:])
        return next(mine, None)

    def heard(
        self, peer: bytes, packet: bytes, now: float, port: int = 0
    ) -> tuple[list[bytes], list[bytes]] | None:
        """A packet to a group out of the tunnel from ``peer``: the groups to join and to leave on the link.

        ``port``: from which it came to port 4191; 0: not in UDP. ``None``: it is no MLD message of a host.
        """
        said = reported(packet)
        call_id = None if said is None else self._who(peer, packet[8:24], port)
        if said is None or call_id is None:
            return None
        join, leave = [], []
        for group, wanted in said:
            if not has_global_scope(group):
                continue
            if not wanted:
                if self._leave(group, call_id):
                    leave.append(group)
            elif self._enter(group, call_id, now):
                join.append(group)
        return join, leave

    def _enter(self, group: bytes, call_id: int, now: float) -> bool:
        """A host wants a group; returns whether it is the first one."""
        members = self._members.get(group)
        if members is None or call_id not in members:
            count = self._hosts.get(call_id, 0)
            if (
                count >= PER_HOST
                or (members is None and len(self._members) >= GROUPS)
                or len(self) >= MEMBERSHIPS
            ):
                self.refused += 1
                return False
            self._hosts[call_id] = count + 1
        self._members.setdefault(group, {})[call_id] = now + LISTENING
        return members is None

    def every(self) -> list[bytes]:
        """All groups that somebody wants."""
        return list(self._members)

    def wanting(self, group: bytes) -> list[Session]:
        """Whose tunnels a packet to a group goes into."""
        found = map(self._sessions.get, self._members.get(group, ()))
        return [session for session in found if session is not None]

    def tick(self, now: float) -> tuple[list[Session], list[bytes]]:
        """Whom to ask now, and the groups that nobody wants any more. To be called every :data:`STEP`.

        Each host is asked every Query Interval: a slice of them at each call, newcomers at once.
        """
        asked = []
        self._share += len(self._round) * STEP / QUERY_INTERVAL
        while self._share >= 1 and self._round:
            self._share -= 1
            call_id = self._round.popleft()
            session = self._sessions.get(call_id)
            if session is None:
                self._taking_turns.discard(call_id)
            else:
                asked.append(session)
                self._round.append(call_id)
        over = [
            (group, call_id)
            for group, members in self._members.items()
            for call_id, until in members.items()
            if until <= now
        ]
        return asked, [group for group, call_id in over if self._leave(group, call_id)]
