"""The sessions of an anchor: create, extend, hand over, de-register, end (RFC 5213 section 5.3).

Owns the binding cache, the pools and the timing of bindings; says what the tunnel engine
has to do by Install and Remove effects, and only when something changed. If the AAA client wants to know what
becomes of sessions, it is told by Account effects.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Account, Grant
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCache, BindingCacheEntry
from appliance.protocols.pmipv6.coverage import Coverage, Held, in_ipv4, losers
from appliance.protocols.pmipv6.delegated_pools import DelegatedPrefixes
from appliance.protocols.pmipv6.events import Capacity, Install, Remove
from appliance.protocols.pmipv6.extras import served_by
from appliance.protocols.pmipv6.lma_aaa import accounts, asks, subject_of
from appliance.protocols.pmipv6.lma_forwarding import accepted_as, forwarding_of
from appliance.protocols.pmipv6.lma_gateways import Gateways
from appliance.protocols.pmipv6.lma_homes import WHOLE, AddressWish, Homes, Prefixes
from appliance.protocols.pmipv6.lma_request import ZERO_16, Request, Verdict
from appliance.protocols.pmipv6.lma_transport import agreed
from appliance.protocols.pmipv6.pools import HomePools
from appliance.protocols.pmipv6.qos import NO_RATES, Limits, Rates
from appliance.protocols.pmipv6.qos import rates as rates_of
from appliance.protocols.pmipv6.settings import FIXED_LINK_LOCAL, SESSIONS_PER_MOBILE, LmaSettings
from appliance.protocols.timers import Now
from appliance.protocols.wheel import Wheel

#: Care-of addresses kept once for all their bindings.
INTERNED = 4096

#: Sessions that are looked at, and perhaps ended, in one tick after a change: some 5 ms.
SUSPECTS_AT_ONCE = 500


def _sources(settings: LmaSettings) -> tuple[Any, ...]:
    """Everything that prefixes and addresses come from, and whether hosts are served in IPv4 networks."""
    pools = settings.prefix_pools, settings.address_pools
    return *pools, settings.profiles, settings.default_profile, in_ipv4(settings)


class Sessions:
    """Binding cache, pools and deadlines of one service."""

    def __init__(self, settings: LmaSettings, random_bits: Callable[[int], int]) -> None:
        self.settings = settings
        self.cache = BindingCache()
        self.pools = HomePools(settings)
        #: Prefixes of the networks behind mobile nodes, and who has them.
        self.delegated = DelegatedPrefixes(settings)
        self.wheel: Wheel[BindingCacheEntry] = Wheel()
        self.effects: list[Any] = []
        self._homes = Homes(self.pools, self.cache)
        #: Call ids that AAA knows sessions by which are still to be made.
        self._reserved: set[int] = set()
        self._random_bits = random_bits
        self._interned: dict[bytes, bytes] = {}
        self.gateways = Gateways()
        #: Sessions that the last change of settings may end, still to be looked at.
        self.suspects: deque[BindingCacheEntry] = deque()
        self._coverage: Coverage | None = None
        self._capacity = Capacity()
        #: Why there are no new sessions at all; ``None``: they are welcome.
        self._closed: Verdict | None = None
        self._prepare()

    def _prepare(self) -> None:
        self._most = max(1, self.settings.reg_lifetime // 4)
        self._delay = self.settings.min_delay_before_bce_delete / 1000
        self.limits = Limits(self.settings)
        self._asks = asks(self.settings)
        self._accounts = accounts(self.settings)
        self._judge()

    def _judge(self) -> None:
        policy, capacity = self.settings.newcall_policy, self._capacity
        self._closed = None
        if policy == "reject":
            self._closed = verdicts.POLICY
        elif policy == "busyout" or not capacity.tunnel:
            self._closed = verdicts.NO_SESSION_MANAGER
        elif not capacity.memory:
            self._closed = verdicts.NO_MEMORY

    def adapt(self, capacity: Capacity) -> None:
        """Take new sessions as long as process and host can carry them; those that there are stay."""
        self._capacity = capacity
        self._judge()

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on by other settings; what :meth:`uncovered` gives while there are ``suspects`` has to end."""
        old, self.settings = self.settings, settings
        self._prepare()
        if _sources(old) != _sources(settings):
            self.pools.adopt(settings, Held(self.cache))
            self.suspects.extend(losers(old, settings, self.cache))
            self._coverage = Coverage(settings)

    def uncovered(self) -> Iterator[BindingCacheEntry]:
        """Sessions whose prefix or address is nobody's to give any more; a bounded number is looked at."""
        suspects, coverage, limit = self.suspects, self._coverage, SUSPECTS_AT_ONCE
        while suspects and limit > 0 and coverage is not None:
            limit -= 1
            entry = suspects.popleft()
            if self.cache.calls.get(entry.call_id) is entry and not coverage.keeps(entry):
                yield entry

    def subnet(self, entry: BindingCacheEntry) -> tuple[int, bytes | None]:
        """Prefix length and default router that go with the session's IPv4 home address."""
        return (32, None) if entry.ipv4_address is None else self.pools.subnet(entry.ipv4_address)

    def room(self, mn_id: bytes, coming: int = 0, coming_of_it: int = 0) -> Verdict | None:
        """Why there is no room for one more session of a mobile when ``coming`` ones are still to be made."""
        if self._closed is not None:
            return self._closed
        if len(self.cache) + coming >= self.settings.max_subscribers:
            return verdicts.SERVICE_FULL
        mine, most = self.cache.of(mn_id), self.settings.simul_bindings
        if len(mine) + coming_of_it >= SESSIONS_PER_MOBILE:
            return verdicts.MOBILE_FULL
        if most and sum(not entry.deleting for entry in mine) + coming_of_it >= most:
            return verdicts.MOBILE_FULL
        return None

    def reserve(self) -> int:
        """A call id for a session that is still to be made."""
        call_id = self._new_call_id()
        self._reserved.add(call_id)
        return call_id

    def _new_call_id(self) -> int:
        call_id = 0
        while not call_id or call_id in self.cache.calls or call_id in self._reserved:
            call_id = self._random_bits(32)
        return call_id

    def unreserve(self, call_id: int) -> None:
        """It is not kept for a session any more."""
        self._reserved.discard(call_id)

    def create(self, request: Request) -> Verdict | None:
        """RFC 5213 section 5.3.2: a new session in ``request.entry``, or why there is none."""
        verdict = self.room(request.mn_id)
        if verdict is not None:
            return verdict
        prefixes: Prefixes = []
        if request.prefix_options:
            chosen = self._homes.choose_prefixes(request, request.grant)
            if isinstance(chosen, Verdict):
                return chosen
            prefixes = chosen
        address: bytes | None = None
        if request.ipv4 is not None:
            picked = self._homes.choose_address(request, request.grant)
            if isinstance(picked, Verdict):
                self._homes.give_back(prefixes)
                return picked
            address = picked
        call_id = request.granted_call
        if call_id:
            self._reserved.discard(call_id)
        else:
            call_id = self._new_call_id()
        entry = BindingCacheEntry(call_id, request.mn_id)
        entry.created = request.now.wall
        entry.prefixes = tuple(prefixes)
        entry.ipv4_address = address
        self.cache.add(entry)
        request.entry = entry
        if request.grant is not None:
            self.grant(entry, request.grant, request.now)
        self._apply(request, entry)
        self._install(entry)
        if self._accounts:
            self._account(aaa.START, entry)
        return None

    def grant(self, entry: BindingCacheEntry, grant: Grant, now: Now) -> None:
        """AAA has authorized a session, again or for the first time."""
        entry.grant = grant
        # A lifetime of 0 wants a new question at once, which the AAA client asks.
        entry.ends = now.mono + min(grant.lifetime or inf, grant.session_timeout or inf)

    def regrant(self, entry: BindingCacheEntry, grant: Grant, now: Now) -> None:
        """AAA has authorized a session again; other bit rates hold at once."""
        before = self.rates(entry)
        self.grant(entry, grant, now)
        if self.rates(entry) != before:
            self.install(entry)

    def update(self, request: Request, entry: BindingCacheEntry) -> Verdict | None:
        """RFC 5213 sections 5.3.3 and 5.3.4: extend a session, or hand it over to another gateway."""
        if request.address is not None and entry.ipv4_address not in (None, request.address):
            return verdicts.NOT_YOUR_ADDRESS
        changed = entry.deleting
        prefixes: Prefixes = []
        if request.prefix_options and entry.prefix is None:
            chosen = self._homes.choose_prefixes(request, request.grant or entry.grant)
            if isinstance(chosen, Verdict):
                return chosen
            prefixes = chosen
        if request.ipv4 is not None and entry.ipv4_address is None:
            picked = self._homes.choose_address(request, request.grant or entry.grant)
            if isinstance(picked, Verdict):
                self._homes.give_back(prefixes)
                return picked
            self.cache.own_address(entry, picked)
            changed = True
        if prefixes:
            self.cache.own_prefixes(entry, prefixes)
            changed = True
        if request.grant is not None:
            rates = self.rates(entry)
            self.grant(entry, request.grant, request.now)
            changed = changed or self.rates(entry) != rates
        moved = entry.care_of != request.care_of or (request.port and request.elsewhere(entry))
        if moved:
            changed = True
            entry.handoffs += 1
            # RFC 5844 section 3.1.2.4: after a handover only what the new gateway asks for is kept.
            if not request.prefix_options:
                self._release_prefixes(entry)
            if request.ipv4 is None:
                self.release_address(entry)
        entry.deleting = False
        if self._apply(request, entry) or changed:
            self._install(entry)
        if self._accounts:
            self._account(aaa.HANDOFF if moved else aaa.REFRESH, entry)
        return None

    def deregister(self, request: Request, entry: BindingCacheEntry) -> bool:
        """RFC 5213 section 5.3.5, RFC 5844 section 3.1.2.5; returns whether the whole session ends.

        The session then stays for MinDelayBeforeBCEDelete, without forwarding.
        """
        self._stamp(request, entry)
        keeps_ipv6 = entry.prefix is not None and not request.prefix_options
        keeps_ipv4 = entry.ipv4_address is not None and request.ipv4 is None
        if (keeps_ipv6 or keeps_ipv4) and not entry.deleting:
            # Also when the family to be released is gone already: the first answer may have been lost.
            if keeps_ipv6 and entry.ipv4_address is not None:
                self.release_address(entry)
                self._install(entry)
            elif keeps_ipv4 and entry.prefix is not None:
                self._release_prefixes(entry)
                self._install(entry)
            self.tell(aaa.REFRESH, entry)
            return False
        self.leave(entry, request.now)
        return True

    def end(self, entry: BindingCacheEntry, cause: int) -> None:
        """Delete a session: addresses back to their pools, forwarding away.

        ``cause`` is the Termination-Cause; of a session that was de-registered that is the mobile's doing.
        """
        if self._accounts:
            self._account(aaa.STOP, entry, aaa.LOGOUT if entry.deleting else cause)
        if not entry.deleting:
            self.effects.append(Remove(entry.call_id))
        self.wheel.drop(entry)
        self.forget(entry)
        if not entry.of_host:
            self.gateways.leave(served_by(entry))

    def forget(self, entry: BindingCacheEntry) -> None:
        """Take a session out of the cache, and give its addresses back."""
        self._release_prefixes(entry)
        self.release_address(entry)
        self.cache.remove(entry)

    @property
    def accounts(self) -> bool:
        """Whether the AAA client hears of each extension."""
        return self._accounts

    def extend(self, entry: BindingCacheEntry, lifetime: int, due: float, now: Now) -> None:
        """RFC 6602 section 5.2.3: extend a session as one of many; ``lifetime`` in units of 4 s."""
        entry.lifetime = lifetime
        # Nobody may count on more than what AAA has granted.
        entry.due = due if entry.ends is None else min(due, entry.ends)
        entry.updated = now.wall
        self.wheel.put(entry)
        if self._accounts:
            self._account(aaa.REFRESH, entry)

    def leave(self, entry: BindingCacheEntry, now: Now) -> None:
        """Keep a session for MinDelayBeforeBCEDelete without forwarding (RFC 5213 section 5.3.5)."""
        if entry.deleting:
            return
        entry.deleting = True
        entry.due = now.mono + self._delay
        self.wheel.put(entry)
        self.tell(aaa.PAUSE, entry)
        self.effects.append(Remove(entry.call_id))

    def release_ipv4(self, entry: BindingCacheEntry) -> None:
        """Take the IPv4 home address of a session away that goes on by its prefixes."""
        self.release_address(entry)
        self.install(entry)
        self.tell(aaa.REFRESH, entry)

    def tell(self, what: str, entry: BindingCacheEntry) -> None:
        """Tell the AAA client, if there is one, what happened to a session."""
        if self._accounts:
            self._account(what, entry)

    def forget_grants(self) -> None:
        """The AAA server that has authorized the sessions is not the one to ask any more."""
        for entry in self.cache.calls.values():
            entry.ends = None

    def _account(self, what: str, entry: BindingCacheEntry, cause: int = 0) -> None:
        self.effects.append(_report(what, entry, cause))

    def _apply(self, request: Request, entry: BindingCacheEntry) -> bool:
        """Take the fields of an accepted registration over; returns whether forwarding changes."""
        entry.link_layer = request.link_layer_id
        entry.technology = request.technology.value
        if request.service is not None:
            entry.service = request.service.identifier
        elif not entry.service and entry.grant is not None and entry.grant.services:
            # RFC 5779 section 5.8: the default service of the mobile node.
            entry.service = entry.grant.services[0]
        if request.link_local is not None:
            # RFC 5213 section 5.3.6: the gateway's own address counts, else one made here.
            asked = request.link_local.address
            if asked != ZERO_16:
                entry.link_local = FIXED_LINK_LOCAL if asked == FIXED_LINK_LOCAL else asked
            elif not entry.link_local:
                entry.link_local = FIXED_LINK_LOCAL
        lifetime = request.lifetime if request.lifetime < self._most else self._most
        ends = entry.ends
        if ends is not None and ends - request.now.mono < 4 * lifetime:
            # Its gateway must not count on more than what AAA has granted.
            lifetime = max(1, int(ends - request.now.mono) // 4)
        entry.lifetime = lifetime
        entry.due = request.now.mono + 4 * entry.lifetime
        self.wheel.put(entry)
        self._stamp(request, entry)
        if request.port or entry.extras is not None:
            self.gateways.note(request, entry, self._intern(request.care_of))
        elif entry.care_of != request.care_of:
            if entry.care_of:
                self.gateways.leave(entry.care_of)
            entry.care_of = self._intern(request.care_of)
            self.gateways.join(entry.care_of, request.now)
        if entry.local != request.destination:
            entry.local = self._intern(request.destination)
        return self._encapsulate(request, entry)

    def _stamp(self, request: Request, entry: BindingCacheEntry) -> None:
        """Remember what later updates have to be newer than (RFC 5213 section 5.5)."""
        entry.sequence = request.sequence
        if request.timestamp is None or not self.settings.timestamp_option_validation:
            entry.timestamp = 0
        elif request.timestamp.value > entry.timestamp:
            entry.timestamp = request.timestamp.value
        entry.updated = request.now.wall

    def _encapsulate(self, request: Request, entry: BindingCacheEntry) -> bool:
        """Negotiate the encapsulation (RFC 5845 section 3.3, RFC 5844 section 4); whether it changed."""
        udp = tlv = False
        if request.port:
            udp, tlv, gre, _ = agreed(request, self.settings)
        else:
            gre = request.gre is not None and self.settings.gre != "disabled"
        send_key = request.gre.key if gre else None
        if send_key is not None and entry.receive_key is None:
            # RFC 5845 section 3.3.2: our key stays for the session's whole life. The call id is as unique.
            entry.receive_key = entry.call_id
        extras = entry.extras
        if (udp, gre, send_key) == (entry.udp, entry.gre, entry.send_key) and (
            extras is None or tlv == extras.tlv
        ):
            return False
        entry.udp, entry.gre, entry.send_key = udp, gre, send_key
        if extras is not None:
            extras.tlv = tlv
        return True

    def status(self, request: Request) -> int:
        """Which kind of acceptance the answer tells."""
        return accepted_as(request, self.settings)

    def rates(self, entry: BindingCacheEntry) -> Rates:
        """What a session may use: limits of its subscriber, and what was agreed with its gateway."""
        extras = entry.extras
        if not self.limits.some and entry.grant is None and (extras is None or not extras.qos):
            return NO_RATES
        return rates_of((extras.qos if extras is not None else None) or [], self.limits.of(entry))

    def _install(self, entry: BindingCacheEntry) -> None:
        self.effects.append(self.forwarding(entry))
        if entry.grant is not None:
            self._homes.reach(entry, self.effects)

    def forwarding(self, entry: BindingCacheEntry) -> Install:
        """How the packets of a session are forwarded by its serving gateway."""
        return forwarding_of(entry, self.rates(entry))

    def _current(self, entry: BindingCacheEntry) -> Install:
        """The same, as long as it has another gateway beside that one too (RFC 6058)."""
        effect = self.forwarding(entry)
        state = None if entry.extras is None else entry.extras.transient
        if state is not None:
            effect = state.apply(effect)
        return effect

    def install(self, entry: BindingCacheEntry) -> None:
        """A feature has changed what a session's tunnel carries, or where it ends."""
        if not entry.deleting:
            self.effects.append(self._current(entry))
            if entry.grant is not None:
                self._homes.reach(entry, self.effects)

    def restate(self, entry: BindingCacheEntry, mark: int) -> None:
        """Say the effects from ``mark`` on by what features have put into the session since."""
        effects, seen = self.effects, False
        for place in range(len(effects) - 1, mark - 1, -1):
            effect = effects[place]
            if effect.__class__ is Account and effect.subject.call_id == entry.call_id:
                effect.subject = subject_of(entry)
            elif effect.__class__ is Install and effect.call_id == entry.call_id:
                if seen:
                    del effects[place]
                else:
                    effects[place], seen = self._current(entry), True

    def _intern(self, address: bytes) -> bytes:
        """One object for all bindings with the same tunnel end."""
        if len(self._interned) >= INTERNED:
            self._interned.clear()
        return self._interned.setdefault(address, address)

    def _release_prefixes(self, entry: BindingCacheEntry) -> None:
        if entry.prefix is not None:
            self._homes.give_back(list(entry.prefixes))
            if entry.grant is not None:
                for prefix, length in entry.prefixes:
                    self._homes.leave(prefix, length, self.effects)
            self.cache.own_prefixes(entry, ())

    def take_address(self, entry: BindingCacheEntry, wish: AddressWish) -> Verdict | None:
        """Give a session the IPv4 home address that is asked for, in place of the one that it has."""
        picked = self._homes.choose_address(wish, entry.grant)
        if isinstance(picked, Verdict):
            return picked
        self.release_address(entry)
        self.cache.own_address(entry, picked)
        return None

    def release_address(self, entry: BindingCacheEntry) -> None:
        """Take the IPv4 home address of a session away, if it has one; forwarding is not told."""
        if entry.ipv4_address is not None:
            self.pools.give_back_address(entry.ipv4_address)
            if entry.grant is not None:
                self._homes.leave(entry.ipv4_address, WHOLE, self.effects)
            self.cache.own_address(entry, None)

    def expired(self, now: Now, limit: int) -> list[BindingCacheEntry]:
        """Sessions whose lifetime or deletion delay is over; they are still to be ended."""
        return self.wheel.pop_due(now.mono, limit)


def _report(what: str, entry: BindingCacheEntry, cause: int) -> Account:
    return Account(what=what, subject=subject_of(entry), cause=cause, grant=entry.grant)
