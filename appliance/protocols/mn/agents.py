"""Which home agent a mobile node asks, and how it finds one (RFC 6275 section 11.4.1, RFC 5142 section 6.2).

::

    configured addresses ─▶ list ◀─ Home Agent Address Discovery Reply, Home Agent Switch
                              └─▶ current ─ no answer, or a denial ─▶ next ─▶ ... ─▶ discovery anew
"""

from appliance.protocols.bits import DecodeError
from appliance.protocols.mn.events import IcmpReceived, SendIcmp
from appliance.protocols.mn.state import Backoff, Rate, Shared
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.timers import Now

#: RFC 6275 section 12.
DHAAD_RETRIES = 4
INITIAL_DHAAD_TIMEOUT = 3.0
#: Home agents that are remembered.
MOST = 64


class Agent:
    """One home agent, and what it has shown that it does not do."""

    __slots__ = (
        "address", "bulk", "force", "implicit", "ipv4", "mesg_id", "overwrite", "prove", "rate", "router",
        "sequence", "several",
    )  # fmt: skip

    def __init__(self, address: bytes, ipv4: bytes, sequence: int) -> None:
        self.address = address
        #: Empty: it is not known.
        self.ipv4 = ipv4
        #: Last sequence number sent (RFC 6275 section 11.7.1: it may start at any value).
        self.sequence = sequence
        self.rate = Rate()
        #: False: it does not take several care-of addresses, or not in one update.
        self.several = self.bulk = True
        #: The next update replaces whatever it has (RFC 5648 section 5.9).
        self.overwrite = True
        #: True: it wants the MESG-ID option.
        self.mesg_id = False
        #: True: the next update proves to the AAA server who we are, whatever we think that it knows.
        self.prove = False
        #: False: it does not accept us as a mobile router, or not the F flag.
        self.router = self.force = True
        #: True: our networks are not named.
        self.implicit = False


class Agents:
    """The home agents of a mobile node."""

    __slots__ = ("_at", "_identifier", "_known", "_search", "_shared", "current")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._known: list[bytes] = []
        self._at = 0
        self._search: Backoff | None = None
        self._identifier = 0
        self.current: Agent | None = None
        self.reset()

    @property
    def known(self) -> tuple[bytes, ...]:
        """All of them, in the order in which they are asked."""
        return tuple(self._known)

    @property
    def others(self) -> bool:
        """Whether there is another one to ask."""
        return len(self._known) > 1

    def reset(self) -> None:
        """Go back to what is configured."""
        settings = self._shared.settings
        first = (settings.home_agent,) if settings.home_agent else ()
        self._known = list(dict.fromkeys(first + settings.home_agents))
        self._at = 0
        self._search = None
        self._choose()

    def _choose(self) -> None:
        shared = self._shared
        if not self._known:
            self.current = None
            return
        self._at %= len(self._known)
        address = self._known[self._at]
        if self.current is None or self.current.address != address:
            settings = shared.settings
            ipv4 = settings.home_agent_ipv4 if address == settings.home_agent else None
            self.current = Agent(address, ipv4 or b"", shared.random_bits(16))

    def next(self) -> bool:
        """Turn to the next one; False: there is no other."""
        if not self.others:
            return False
        self._at += 1
        self._choose()
        self._shared.count("registration/home-agent-changed")
        return True

    def replace(self, addresses: list[bytes]) -> None:
        """Go by another list (RFC 5142 section 6.2: those with our home prefix first); empty: discover."""
        shared = self._shared
        found = [each for each in dict.fromkeys(addresses) if _unicast(each)][:MOST]
        found.sort(key=lambda address: not shared.at_home(address))
        before = self.current
        self._known, self._at = found, 0
        self._search = None
        self._choose()
        if self.current is not before:
            shared.count("registration/home-agent-changed")

    # ---- discovery

    @property
    def deadline(self) -> float | None:
        """When the next request is due."""
        return self._search.due if self._search is not None else None

    def pause(self) -> None:
        """Nobody is looked for now."""
        self._search = None

    def discover(self, now: Now) -> None:
        """Ask for home agents if none is known, from a care-of address."""
        shared, settings = self._shared, self._shared.settings
        prefix = settings.home_prefix or settings.home_address
        source = next((link for link in shared.links if len(link.address) == 16), None)
        if self.current is not None or not prefix or source is None:
            self._search = None
            return
        search = self._search
        if search is None:
            search = self._search = Backoff(INITIAL_DHAAD_TIMEOUT, INITIAL_DHAAD_TIMEOUT * 2**DHAAD_RETRIES)
            self._identifier = shared.random_bits(16)
        elif now.mono < search.due:
            return
        if search.tries > DHAAD_RETRIES:
            # All of it again, later.
            shared.notice("discovery", "no home agent has answered the discovery", now)
            search = self._search = Backoff(INITIAL_DHAAD_TIMEOUT, INITIAL_DHAAD_TIMEOUT * 2**DHAAD_RETRIES)
            search.due = now.mono + settings.retry_interval
            self._identifier = shared.random_bits(16)
            return
        target = icmp.anycast(prefix, settings.home_prefix_length)
        if target is None:
            self._search = None
            return
        data = icmp.request(self._identifier, source.address, target)
        shared.out.append(SendIcmp(data, source.address, target, interface=source.interface))
        shared.count("discovery/home-agent-requests")
        search.sent(now.mono)

    def replied(self, event: IcmpReceived) -> bool:
        """Take a reply; whether there is a home agent now that was not known."""
        shared = self._shared
        try:
            identifier, addresses = icmp.read_reply(event.data)
        except DecodeError:
            shared.count("discovery/ignored")
            return False
        if self._search is None or identifier != self._identifier or self.current is not None:
            shared.count("discovery/ignored")
            return False
        found = [each for each in dict.fromkeys(addresses) if _unicast(each)]
        if not found and _unicast(event.source):
            # RFC 6275 section 10.5.1: a home agent may leave out the list if it is the only one.
            found = [event.source]
        if not found:
            shared.count("discovery/ignored")
            return False
        shared.count("discovery/home-agent-replies")
        self._known, self._at = found[:MOST], 0
        self._search = None
        self._choose()
        return True


def _unicast(address: bytes) -> bool:
    """Whether a home agent can have this address."""
    return len(address) == 16 and any(address) and address[0] != 0xFF and address != bytes(15) + b"\x01"
