"""The prefixes of the home network, as a home agent tells them (RFC 6275 sections 11.4.2 and 11.4.3)."""

from math import inf

from appliance.protocols.bits import DecodeError
from appliance.protocols.mn.events import IcmpReceived, SendIcmp
from appliance.protocols.mn.registrar import Registrar
from appliance.protocols.mn.sending import DSMIPV6_PORT
from appliance.protocols.mn.state import Backoff, Shared
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.timers import Now

#: RFC 6275 sections 12 and 11.8.
INITIAL_SOLICIT_TIMER, LONGEST, RETRIES = 3.0, 32.0, 5
#: Seconds between two questions that nothing but time has caused.
AT_LEAST = 60.0
INFINITE = 0xFFFFFFFF
#: Prefixes that are remembered.
MOST = 64


class Prefixes:
    """Asks for them where the settings or the home agent want it."""

    __slots__ = ("_again", "_ask", "_heard", "_identifier", "_registrar", "_shared", "known")

    def __init__(self, shared: Shared, registrar: Registrar) -> None:
        self._shared = shared
        self._registrar = registrar
        self._ask: Backoff | None = None
        self._identifier = 0
        #: Whether there was an advertisement since we have a binding.
        self._heard = False
        self._again = inf
        self.known: tuple[icmp.Prefix, ...] = ()

    @property
    def deadline(self) -> float | None:
        """When :meth:`review` has something to do."""
        due = self._ask.due if self._ask is not None else self._again
        return None if due == inf else due

    def review(self, now: Now) -> None:
        """Ask, if it is time."""
        registrar = self._registrar
        if not registrar.bindings.bound:
            self._ask, self._heard, self._again = None, False, inf
            return
        wanted = registrar.prefixes_wanted or self._again <= now.mono
        if self._ask is None and (wanted or (self._shared.settings.prefix_discovery and not self._heard)):
            registrar.prefixes_wanted, self._again = False, inf
            self._ask = Backoff(INITIAL_SOLICIT_TIMER, LONGEST)
            self._identifier = self._shared.random_bits(16)
        if self._ask is not None and self._ask.due <= now.mono:
            self._solicit(self._ask, now)

    def _solicit(self, ask: Backoff, now: Now) -> None:
        shared, link, agent = self._shared, self._registrar.place, self._registrar.exchanges.agent
        if ask.tries > RETRIES or link is None or agent is None:
            # The answer may come later, or from another link.
            self._ask, self._heard = None, True
            self._again = now.mono + shared.settings.retry_interval
            return
        data = icmp.solicitation(self._identifier, shared.home, agent.address)
        sent = SendIcmp(data, link.address, agent.address, shared.home, link.interface)
        if len(link.address) == 4:
            # RFC 5555 section 2.2: the home address is the source, and in the option too.
            sent.source, sent.outer_source, sent.outer = shared.home, link.address, agent.ipv4
            sent.port = DSMIPV6_PORT
        shared.out.append(sent)
        shared.count("discovery/prefix-solicitations")
        ask.sent(now.mono)

    def advertised(self, event: IcmpReceived, now: Now) -> None:
        """RFC 6275 section 11.4.3: from our home agent, by routing header, and asked for."""
        shared, agent = self._shared, self._registrar.exchanges.agent
        ours = agent is not None and event.source == agent.address and event.home == shared.home
        try:
            identifier, found = icmp.read_prefixes(event.data)
        except DecodeError:
            ours = False
        if not ours or not self._registrar.bindings.bound:
            shared.count("discovery/ignored")
            return
        if self._ask is None or identifier != self._identifier:
            # Not asked for: it only makes us ask.
            shared.count("discovery/ignored")
            if self._ask is None:
                self._again = min(self._again, now.mono + 1.0)
            return
        shared.count("discovery/prefix-advertisements")
        self._ask, self._heard = None, True
        self.known = found[:MOST]
        self._limit(now)

    def _limit(self, now: Now) -> None:
        """RFC 6275 section 11.4.2: no binding outlives the home address."""
        valid, home = INFINITE, int.from_bytes(self._shared.home, "big")
        for each in self.known:
            shift = 128 - each.length
            if int.from_bytes(each.prefix, "big") >> shift == home >> shift:
                valid = each.valid
                break
        else:
            self._shared.notice("prefix", "the home network has no prefix of the home address any more", now)
        limited = valid < INFINITE
        self._registrar.exchanges.valid_until = now.mono + valid if limited else inf
        self._again = now.mono + max(AT_LEAST, valid / 2) if limited else inf
