"""What an anchor does when a gateway revokes bindings (RFC 5846 section 8.2, RFC 6602 section 5.2.3).

::

    BRI ─▶ trigger? flags? ─▶ group ─────────────▶ authorised? ─▶ Sweep
                           ├▶ G, per-peer policy ▶ authorised? ─▶ Sweep
                           └▶ one mobile node ──▶ its sessions at this gateway end
                                     all ─▶ BRA
"""

from collections.abc import Callable, Iterable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BR_G, BR_P, BR_V, BindingRevocationIndication
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.bce import BindingCacheEntry, identity
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.extras import served_by
from appliance.protocols.pmipv6.lma_bulk import Bulk
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.lma_counts import OTHER_ENDED
from appliance.protocols.pmipv6.lma_decisions import Decisions
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import GlobalPeer, LmaSettings
from appliance.protocols.pmipv6.sweeps import Sweep, Sweeps
from appliance.protocols.timers import Now

#: Termination-Cause of what a gateway revokes, by trigger; any other: the gateway has lost it.
CAUSES = {
    codes.REVOKE_ADMINISTRATIVE: aaa.ADMINISTRATIVE,
    codes.REVOKE_HANDOVER_SAME_ACCESS: aaa.USER_MOVED,
    codes.REVOKE_HANDOVER_DIFFERENT_ACCESS: aaa.USER_MOVED,
    codes.REVOKE_HANDOVER_UNKNOWN: aaa.USER_MOVED,
    codes.REVOKE_USER_TERMINATION: aaa.LOGOUT,
    codes.REVOKE_PER_PEER_POLICY: aaa.ADMINISTRATIVE,
    codes.REVOKE_LOCAL_POLICY: aaa.ADMINISTRATIVE,
}



class Revoked:
    """Answers the indications of gateways; ``sweeps`` takes those about many sessions."""

    def __init__(
        self,
        settings: LmaSettings,
        counters: CounterSet,
        rows: br.Rows,
        sessions: Sessions,
        updates: Decisions,
        bulk: Bulk,
        sweeps: Sweeps,
    ) -> None:
        self.settings = settings
        self._values = counters.values
        self._rows = rows
        self._cache = sessions.cache
        self._gateways = sessions.gateways
        self._updates = updates
        self._bulk = bulk
        self._sweeps = sweeps
        self._responder = br.Responder(sessions, counters, rows)

    def receive(self, event: PacketReceived, message: BindingRevocationIndication, now: Now) -> None:
        """Do what an indication of a known gateway says, and answer it."""
        if not is_unicast(event.source):
            self._values[self._rows.discarded] += 1
            return
        self._values[self._rows.rcvd] += 1
        if self._responder.repeated(event, message, now):
            return
        status, named = self._revoke(event, message, br.Named(message.options), now)
        self._responder.answer(event, message, status, named, now)

    def _revoke(
        self, event: PacketReceived, message: BindingRevocationIndication, named: br.Named, now: Now
    ) -> br.Answer:
        status = br.misfit(message)
        if status:
            return status, []
        gateway = named.care_of or event.source
        if gateway != event.source and not self.settings.alt_coa_allowed:
            # RFC 5846 section 13: nobody revokes what is registered by another.
            if message.flags & BR_G:
                return codes.GLOBAL_REVOCATION_NOT_AUTHORIZED, []
            return codes.BINDING_DOES_NOT_EXIST, []
        if named.group is not None:
            return self._group(event, message, named, gateway, now)
        if message.flags & BR_G:
            return self._global(event, message, named, gateway, now)
        if not message.flags & BR_P or not named.mn_id:
            # Whose bindings are meant cannot be told (sections 6.2.1 and 8.2).
            return codes.BINDING_DOES_NOT_EXIST, []
        return self._mobile(message, named, gateway, event.port, now)

    def _authorized(self, gateway: bytes, named: br.Named) -> bool:
        """Section 13: the right of global revocation is configured."""
        return any(_fits(peer, gateway, named) for peer in self.settings.global_peers)

    def _group(
        self,
        event: PacketReceived,
        message: BindingRevocationIndication,
        named: br.Named,
        gateway: bytes,
        now: Now,
    ) -> br.Answer:
        assert named.group is not None
        if named.individual:
            return codes.BINDING_DOES_NOT_EXIST, []
        if not self._authorized(event.source, named):
            return codes.GLOBAL_REVOCATION_NOT_AUTHORIZED, []
        who = self._gateways.at(gateway, event.port)
        number = named.group
        if not self._bulk.has(who, number):
            return codes.BINDING_DOES_NOT_EXIST, []
        bulk = self._bulk

        def members() -> list[BindingCacheEntry]:
            return list(bulk.members(who, number).values())

        def fits(entry: BindingCacheEntry) -> bool:
            extras = entry.extras
            if extras is None or not extras.gateway_group or served_by(entry) != who:
                return False
            return number in (extras.gateway_group, br.ALL_SESSIONS)

        self._sweep(members, fits, message.trigger, (who, number, message.trigger), now)
        return codes.REVOKED, [br.group_option(number)]

    def _global(
        self,
        event: PacketReceived,
        message: BindingRevocationIndication,
        named: br.Named,
        gateway: bytes,
        now: Now,
    ) -> br.Answer:
        if message.trigger != codes.REVOKE_PER_PEER_POLICY:
            # Section 8.2 knows no other global revocation by a gateway.
            return codes.REVOCATION_FUNCTION_NOT_SUPPORTED, []
        if not message.flags & BR_P or not named.mn_id or not self._authorized(event.source, named):
            return codes.GLOBAL_REVOCATION_NOT_AUTHORIZED, []

        who = self._gateways.at(gateway, event.port)

        def fits(entry: BindingCacheEntry) -> bool:
            theirs = served_by(entry) == who or self._updates.had_by(entry, who)
            return theirs and not entry.of_host

        self._sweep(self._cache.calls.values, fits, message.trigger, (who, 0, message.trigger), now)
        return codes.REVOKED, []

    def _sweep(
        self,
        entries: Callable[[], Iterable[BindingCacheEntry]],
        fits: Callable[[BindingCacheEntry], bool],
        trigger: int,
        key: tuple[Any, ...],
        now: Now,
    ) -> None:
        self._sweeps.add(Sweep(entries, fits, now.wall, self._end(trigger, key[0]), key))

    def _end(self, trigger: int, who: bytes) -> Any:
        cause = CAUSES.get(trigger, aaa.LINK_BROKEN)

        def end(entry: BindingCacheEntry, now: Now) -> None:
            if self._cache.calls.get(entry.call_id) is not entry:
                # The end of another one has ended it.
                return
            if served_by(entry) != who:
                # RFC 6058: what the former gateway has of it goes, as by a de-registration.
                self._updates.former_left(entry)
                return
            self._values[OTHER_ENDED] += 1
            self._updates.end(entry, cause, now)

        return end

    def _mobile(
        self, message: BindingRevocationIndication, named: br.Named, gateway: bytes, port: int, now: Now
    ) -> br.Answer:
        """Sessions of one mobile node at this gateway: all, those of some prefixes, or IPv4 only."""
        known = self._cache.of(named.mn_id)
        who = self._gateways.at(gateway, port)
        mine = [
            entry
            for entry in known
            if (served_by(entry) == who or self._updates.had_by(entry, who)) and not entry.of_host
        ]
        if message.flags & BR_V:
            mine = [entry for entry in mine if served_by(entry) == who]
            return self._ipv4(message, named, mine, now)
        mine, failed = named.chosen(mine)
        if not mine:
            return codes.BINDING_DOES_NOT_EXIST, []
        end = self._end(message.trigger, who)
        for entry in mine:
            end(entry, now)
        return named.outcome(failed)

    def _ipv4(
        self,
        message: BindingRevocationIndication,
        named: br.Named,
        mine: list[BindingCacheEntry],
        now: Now,
    ) -> br.Answer:
        if named.address is None:
            return codes.IPV4_HOME_ADDRESS_OPTION_REQUIRED, []
        for entry in mine:
            if entry.ipv4_address == named.address:
                cause = CAUSES.get(message.trigger, aaa.LINK_BROKEN)
                self._updates.release_address(entry, OTHER_ENDED, cause, now)
                return codes.REVOKED, []
        return codes.BINDING_DOES_NOT_EXIST, []


def _fits(peer: GlobalPeer, gateway: bytes, named: br.Named) -> bool:
    if len(peer.address) != len(gateway):
        return False
    shift = 8 * len(gateway) - peer.prefix_length
    mine = int.from_bytes(peer.address, "big") >> shift == int.from_bytes(gateway, "big") >> shift
    # A group stands in the place of the identity (RFC 6602 section 5.1.3).
    named_right = named.group is not None or not peer.identity or identity(1, peer.identity) == named.mn_id
    return mine and named_right
