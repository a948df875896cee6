"""What an anchor's indications are about, and how a session is named in them (RFC 5846 section 8.1)."""

from collections.abc import Callable, Iterable
from typing import Any

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.messages import BR_P, BR_V
from appliance.protocols.pmipv6 import revocation as br
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.coverage import in_ipv4
from appliance.protocols.pmipv6.extras import served_by
from appliance.protocols.pmipv6.lma_decisions import Decisions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.pmipv6.sweeps import LOOKED_AT
from appliance.protocols.timers import Now

Ended = Callable[["Revoking", int, Now], None]


Names = tuple[int, list[Any]]
"""Flags and options that say which session is meant."""


def always(*_about: object) -> bool:
    """Whether something fits, or still means something: it does."""
    return True


def names_of(entry: BindingCacheEntry) -> Names:
    """Flags and options that single out a session (RFC 5846 section 8.1).

    The binding of a host is named by the routing header of the packet (section 7).
    """
    if entry.of_host:
        return 0, []
    mine: list[Any] = [identifier_of(entry.mn_id)]
    if entry.prefix is None and entry.ipv4_address is not None:
        # A session without a prefix has nothing but its IPv4 home address to be named by.
        return BR_P | BR_V, [*mine, opt.IPv4HomeAddressRequest(32, entry.ipv4_address)]
    return BR_P, mine + [opt.HomeNetworkPrefix(length, prefix) for prefix, length in entry.prefixes]


def ipv4_names(entry: BindingCacheEntry, address: bytes) -> tuple[int, list[Any]]:
    """Flags and options for the IPv4 home address of a session alone (RFC 5846 sections 7 and 8.1)."""
    if entry.of_host:
        return BR_V, [opt.IPv4HomeAddress(32, 0, address)]
    return BR_P | BR_V, [identifier_of(entry.mn_id), opt.IPv4HomeAddressRequest(32, address)]


def hears(entry: BindingCacheEntry) -> bool:
    """Whether a host can be told of the end of its binding: by IPv6 or inside UDP, and to a home address."""
    return entry.prefix is not None and (len(entry.care_of) == 16 or bool(_port_of(entry)))


def deaf(entry: BindingCacheEntry, settings: LmaSettings) -> bool:
    """Whether it is a host that cannot, or not any more: the port of RFC 5555 is closed."""
    return entry.of_host and (not hears(entry) or bool(_port_of(entry) and not in_ipv4(settings)))


def _port_of(entry: BindingCacheEntry) -> int:
    """The UDP port of a host in an IPv4 network (RFC 5555); 0: it is in an IPv6 network."""
    away = None if entry.extras is None or entry.extras.host is None else entry.extras.host.away
    return 0 if away is None else int(away.port)


def of_hosts(fits: Callable[[BindingCacheEntry], bool]) -> Callable[[BindingCacheEntry], bool]:
    """Those that hosts have registered themselves."""
    return lambda entry: entry.of_host and fits(entry)


def identifier_of(mn_id: bytes) -> opt.MobileNodeIdentifier:
    """The option that a key of :func:`bce.identity` was made of."""
    if mn_id[:1] == b"\0":
        return opt.MobileNodeIdentifier(mn_id[1], mn_id[2:])
    return opt.MobileNodeIdentifier(1, mn_id)


def way_to(entry: BindingCacheEntry) -> br.Way:
    """To the gateway of a session, or to the host, from where it knows us (RFC 5846 sections 4, 7, 8.1)."""
    if entry.of_host:
        return br.Way(entry.local, entry.care_of, _port_of(entry), entry.prefix or b"")
    port = entry.extras.port if entry.extras is not None else 0
    return br.way_between(entry.local, entry.care_of, port)


class Revoking:
    """A session that is being revoked: the revocation-in-progress flag of its binding cache entry."""

    __slots__ = ("cause", "entry", "gone", "ipv4_only", "since", "trigger", "_ended")

    def __init__(
        self, entry: BindingCacheEntry, trigger: int, cause: int, ipv4_only: bool, now: Now, ended: Ended
    ) -> None:
        self.entry = entry
        self.trigger = trigger
        #: Termination-Cause.
        self.cause = cause
        self.ipv4_only = ipv4_only
        self.since = now.wall
        #: The session has ended otherwise, or goes on by a newer update.
        self.gone = False
        self._ended = ended

    @property
    def mn_id(self) -> bytes:
        """Of the session."""
        return self.entry.mn_id

    def answered(self, status: int, now: Now) -> None:
        """The gateway has let go of it, or has nothing to say."""
        self._ended(self, status, now)


class About:
    """An indication that no session waits for: ``alive()`` tells whether an answer still means something."""

    __slots__ = ("mn_id", "_alive", "_done")

    def __init__(
        self, mn_id: bytes, alive: Callable[[], bool], done: Callable[[int, Now], None] | None = None
    ) -> None:
        self.mn_id = mn_id
        self._alive = alive
        self._done = done

    @property
    def gone(self) -> bool:
        """Whether what it was about is no more."""
        return not self._alive()

    def answered(self, status: int, now: Now) -> None:
        """Tell who wants to know."""
        if self._done is not None:
            self._done(status, now)


class Search:
    """Looks for the gateways of the sessions that fit, a slice at a time; then tells ``found`` of them.

    Most sessions do not fit, or their gateway is known already: a slice costs some milliseconds.
    """

    __slots__ = ("_at", "_entries", "_fits", "_found", "_gateways")

    def __init__(
        self,
        entries: Iterable[BindingCacheEntry],
        fits: Callable[[BindingCacheEntry], bool],
        found: Callable[[list[tuple[bytes, br.Way]], Now], None] | None = None,
    ) -> None:
        self._entries = list(entries)
        self._at = 0
        self._fits = fits
        self._found = found
        self._gateways: dict[tuple[bytes, bytes], br.Way] = {}

    def _look(self, most: int) -> None:
        gateways, fits = self._gateways, self._fits
        for entry in self._entries[self._at : self._at + most]:
            # With 100,000 sessions there is no time to make more than a tuple for each.
            key = entry.local, entry.care_of if entry.extras is None else served_by(entry)
            if key not in gateways and not entry.deleting and not entry.of_host and fits(entry):
                gateways[key] = way_to(entry)
        self._at += most

    def all(self) -> list[tuple[bytes, br.Way]]:
        """All that there are, at once."""
        self._look(len(self._entries))
        return [(who, way) for (_, who), way in self._gateways.items()]

    def step(self, now: Now) -> bool:
        """Do a slice; whether there is more to do."""
        self._look(LOOKED_AT)
        if self._at < len(self._entries):
            return True
        if self._found is not None:
            self._found(self.all(), now)
        return False


class Whole:
    """Sessions that are revoked by one message to their gateway."""

    __slots__ = ("fits", "gateway", "gone", "mn_id", "wall", "_done")

    def __init__(
        self,
        gateway: bytes,
        fits: Callable[[BindingCacheEntry], bool],
        now: Now,
        done: Callable[["Whole", Now], None],
    ) -> None:
        self.gateway = gateway
        self.fits = fits
        self.wall = now.wall
        self.gone = False
        self.mn_id = b""
        self._done = done

    def answered(self, status: int, now: Now) -> None:
        """Whatever the gateway says, the sessions have to go."""
        self._done(self, now)

    def covers(self, entry: BindingCacheEntry) -> bool:
        """Whether a session is among them."""
        return entry.updated <= self.wall and self.fits(entry)


def sparing(updates: Decisions) -> Callable[[bytes], bool]:
    """Tells which gateways get no indications: a ``mag-peer`` line says that they would stop there."""

    def spared(gateway: bytes) -> bool:
        peer = updates.policy.peers.find(gateway)
        return peer is not None and not peer.revocation

    return spared
