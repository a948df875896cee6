"""What a MAG does with one entry of its binding update list: ask for it, forward for it, let it go."""

from functools import partial
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility.codec import encode, seal, to_timestamp
from appliance.protocols.pmipv6.events import Advertise, Install, Notify, Remove, Send, Withdraw
from appliance.protocols.pmipv6.extras import PMIPV6_PORT
from appliance.protocols.pmipv6.mag_entry import (
    DEREG,
    DROP_IPV4,
    INIT,
    REGISTERING,
    WAITING,
    BindingUpdateList,
    BindingUpdateListEntry,
)
from appliance.protocols.pmipv6.mag_features import MagFeatures
from appliance.protocols.pmipv6.mag_messages import Wishes, exchange_rows, proxy_binding_update
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.qos import NO_RATES
from appliance.protocols.pmipv6.qos import rates as rates_of
from appliance.protocols.pmipv6.revocation import Way, way_between
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Deadlines, Now
from appliance.tun.encap import choose

#: Mobile nodes whose refusals are remembered; the oldest is forgotten first.
MAX_REFUSED = 65_536
_MAX_SENT = 4
_MINIMUM_MTU = 1280


def _due(known: BindingUpdateList, call_id: int) -> float | None:
    """When something is to be done about an entry."""
    entry = known.by_call_id.get(call_id)
    return None if entry is None else entry.due


class MagSessions:
    """The state of one MAG, shared by its core and by its reader of answers.

    ``effects`` is what has come out since the driver took it; ``refused`` says by mobile node
    what an LMA refuses until an operator acts: ``pmipv6``, ``ipv4``, ``ipv6``.
    """

    def __init__(self, settings: MagSettings, counters: CounterSet, sequence: int) -> None:
        self.settings = settings
        self.list = BindingUpdateList()
        # No method of ours: with it, nothing of the service would be free when it goes.
        self.deadlines = Deadlines(partial(_due, self.list))
        self.limiter = NoticeLimiter()
        self.refused: dict[bytes, set[str]] = {}
        self.effects: list[Any] = []
        self.features = MagFeatures()
        self._values = counters.values
        self._index = counters.table.index
        self._sequence = sequence & 0xFFFF

    def next_sequence(self) -> int:
        """A sequence number that only has to match answers to requests."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        return self._sequence

    def source_of(self, entry: BindingUpdateListEntry) -> Way:
        """Between which addresses the signalling of an entry goes."""
        return way_between(self.local(entry.lma), entry.lma, 0)

    def release_ipv4(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Go on without the IPv4 home address."""
        entry.ipv4_address, entry.ipv4_prefix_length, entry.ipv4_router = None, 0, None
        # It is asked for again when the mobile node wants one again.
        entry.ipv4_wanted = False
        if entry.installed is not None:
            self.install(entry)
            self.advertise(entry, now)

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """Forget an entry whose mobile node has gone."""
        self.list.remove(entry)
        self.features.ended(entry)

    def arm(self, entry: BindingUpdateListEntry) -> None:
        """Put the entry's next deadline in, after anything that may have changed it."""
        due = entry.due
        if due is not None:
            self.deadlines.set(entry.call_id, due)

    def count(self, key: str) -> None:
        """Count one event under the row ``key``."""
        self._values[self._index(key)] += 1

    def notify_seldom(self, key: object, text: str, now: Now) -> None:
        """Write a warning to the log, unless one about ``key`` was written lately."""
        if self.limiter.allows(key, now.mono):
            self.effects.append(Notify("warning", text))

    @staticmethod
    def name(entry: BindingUpdateListEntry) -> str:
        """Give the mobile node and its link, as log lines call them."""
        where = f" on {entry.interface}" if entry.interface else ""
        return entry.mn_id.decode("utf-8", "replace") + where

    def refuse(self, mn_id: bytes, what: str) -> None:
        """Remember what an LMA refuses to a mobile node."""
        while len(self.refused) >= MAX_REFUSED and mn_id not in self.refused:
            del self.refused[next(iter(self.refused))]
        self.refused.setdefault(mn_id, set()).add(what)

    # ---- sending ---------------------------------------------------------------------------

    def start(self, entry: BindingUpdateListEntry, kind: str, handoff: int, now: Now) -> None:
        """Begin an exchange of ``kind`` with its first PBU."""
        if kind == INIT:
            entry.state = REGISTERING
        entry.exchange, entry.handoff, entry.sent = kind, handoff, ()
        entry.attempts = 0
        entry.timeout = self.first_timeout(entry)
        self.send(entry, now)

    def first_timeout(self, entry: BindingUpdateListEntry) -> float:
        """INITIAL_BINDACK_TIMEOUT, seconds: ours, or the one that the LMA wants (RFC 8127 section 5.2)."""
        return self.settings.retransmission_timeout / 1000 if entry.timers is None else float(entry.timers[1])

    def longest_timeout(self, entry: BindingUpdateListEntry) -> float:
        """MAX_BINDACK_TIMEOUT, seconds, likewise."""
        return self.settings.retransmission_maximum / 1000 if entry.timers is None else float(entry.timers[2])

    def silent(self, entry: BindingUpdateListEntry, delay: float, now: Now) -> None:
        """Give an exchange up for ``delay`` seconds; a session that it was about ends."""
        if entry.bound:
            self.end_session(entry, "other-reasons")
        self.wait(entry, delay, now)

    def send(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Send the PBU of the running exchange, newer than the last (RFC 5213 section 6.9.4 item 4)."""
        settings = self.settings
        if entry.own_sequence:
            entry.sequence = (entry.sequence + 1) & 0xFFFF
        else:
            # With timestamps the number only has to match answers to requests (section 5.5).
            entry.sequence = self.next_sequence()
        entry.own_sequence = entry.own_sequence or not settings.timestamps
        timestamp = None
        if settings.timestamps:
            timestamp = to_timestamp(now.wall)
            if 0 <= entry.timestamp - timestamp < 1 << 16:
                timestamp = entry.timestamp + 1
            entry.timestamp = timestamp
        refused = self.refused.get(entry.mn_id, ())
        wishes = Wishes(
            ipv6=entry.policy.ipv6 and "ipv6" not in refused,
            ipv4=entry.policy.ipv4 and entry.ipv4_wanted and "ipv4" not in refused,
            lifetime=settings.reg_lifetime,
        )
        if entry.exchange == DEREG and entry.bound:
            wishes.ipv4 = entry.ipv4_address is not None
        entry.ipv4_asked = wishes.ipv4 and entry.exchange != DROP_IPV4
        message = proxy_binding_update(entry, wishes, timestamp)
        self.features.request(entry, message, now)
        if len(entry.lma) == 16:
            data = seal(encode(message), settings.address, entry.lma)
            self.effects.append(Send(data, settings.address, entry.lma))
        else:
            # RFC 5844 section 4.2.2.1: over UDP the checksum of the message is zero.
            self.effects.append(Send(encode(message), self.local(entry.lma), entry.lma, PMIPV6_PORT))
        self.count(exchange_rows(entry.exchange)[1 if entry.attempts else 0])
        entry.sent = (*entry.sent[1 - _MAX_SENT :], entry.sequence)
        entry.sent_at = now.mono
        entry.attempts += 1
        entry.maybe_bound = True
        entry.next_at = now.mono + entry.timeout

    def local(self, lma: bytes) -> bytes:
        """Our own address towards an anchor: the Proxy-CoA of its family; empty if there is none."""
        return self.settings.address if len(lma) == 16 else self.settings.ipv4_address or b""

    def stop_forwarding(self, entry: BindingUpdateListEntry) -> None:
        """Take the forwarding entry and the advertised prefixes away, if they are there."""
        if entry.installed is None:
            return
        entry.installed = None
        self.effects.append(Remove(entry.call_id))
        self.effects.append(Withdraw(entry.interface, entry.link_layer, entry.prefixes))

    def end_session(self, entry: BindingUpdateListEntry, reason: str) -> None:
        """End the session of a mobile node that is still attached; ``reason`` is a counter's name."""
        self.stop_forwarding(entry)
        if entry.bound:
            self.count(f"total-disconnects/{reason}")
        self.forget_binding(entry)

    def forget_binding(self, entry: BindingUpdateListEntry) -> None:
        """Forget what the LMA granted and what was agreed with it."""
        entry.prefixes, entry.ipv4_address, entry.ipv4_router = (), None, None
        entry.lifetime, entry.expires, entry.gre, entry.send_key = 0, None, False, None
        entry.gre_wanted = self.settings.encapsulation == "gre"
        self.features.ended(entry)

    def wait(self, entry: BindingUpdateListEntry, delay: float | None, now: Now) -> None:
        """Leave an attached mobile node without service; ``None``: until it or an operator acts."""
        entry.state, entry.exchange, entry.sent = WAITING, "", ()
        entry.next_at = None if delay is None else now.mono + delay

    def install(self, entry: BindingUpdateListEntry) -> None:
        """Have the tunnel engine forward for the entry, unless it does so already."""
        keyed = entry.gre and entry.send_key is not None
        rates = rates_of(list(entry.qos), NO_RATES) if entry.qos else NO_RATES
        peer = entry.user_plane or entry.lma
        effect = Install(
            call_id=entry.call_id,
            prefixes=entry.prefixes + entry.delegated,
            ipv4_address=entry.ipv4_address,
            local=self.local(peer),
            peer=peer,
            gre=entry.gre,
            send_key=entry.send_key,
            receive_key=entry.call_id if keyed else None,
            interface=entry.interface,
            link_layer=entry.link_layer,
            ipv4_router=entry.ipv4_router,
            rate_up=rates.up,
            rate_down=rates.down,
            traffic_class=rates.traffic_class,
            udp=entry.udp,
            tlv=entry.tlv,
            keepalive=entry.nat_refresh if entry.udp else 0,
        )
        if effect != entry.installed:
            entry.installed = effect
            self.effects.append(effect)

    def advertise(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Have the access side tell the mobile its prefixes and the tunnel MTU (RFC 5213 6.9.2, 6.9.5)."""
        form = choose(6 if len(entry.lma) == 16 else 4, entry.gre, entry.udp, 6, entry.tlv)
        overhead = form.overhead(entry.send_key is not None)
        mtu = max(_MINIMUM_MTU, self.settings.path_mtu - overhead)
        left = entry.lifetime if entry.expires is None else max(1, int(entry.expires - now.mono))
        self.effects.append(
            Advertise(
                entry.interface,
                entry.link_layer,
                entry.prefixes,
                left,
                mtu,
                entry.ipv4_router,
                entry.ipv4_address,
                entry.ipv4_prefix_length,
                entry.dhcp_server,
                tuple(each for each in entry.delegated if len(each[0]) == 16),
            )
        )
