"""Redirect indications that were received (RFC 6733 sections 6.1.8 and 6.12 to 6.14), and URIs.

What is cached is asked in the order of section 6.13: session, user, realm and application, realm,
application, host.
"""

import re
from collections.abc import Callable, Iterator

from attrs import define

from appliance.protocols.diameter.message.codec import Group, Malformed, Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node.pending import Pending
from appliance.protocols.diameter.node.routing import RouteView
from appliance.protocols.diameter.settings import PORT, SECURE_PORT, PeerSettings

_D = standard()
SESSION_ID, USER_NAME, ORIGIN_HOST = _D["Session-Id"], _D["User-Name"], _D["Origin-Host"]
REDIRECT_HOST, USAGE, CACHE_TIME = (
    _D["Redirect-Host"], _D["Redirect-Host-Usage"], _D["Redirect-Max-Cache-Time"],
)  # fmt: skip

DONT_CACHE, ALL_SESSION, ALL_REALM, REALM_AND_APPLICATION, ALL_APPLICATION, ALL_HOST, ALL_USER = range(7)
NAMES = (
    "don't-cache", "all-session", "all-realm", "realm-and-application", "all-application", "all-host",
    "all-user",
)  # fmt: skip
#: Which usage counts before which.
PRECEDENCE = (ALL_SESSION, ALL_USER, REALM_AND_APPLICATION, ALL_REALM, ALL_APPLICATION, ALL_HOST)
#: Cached redirects, and hosts of one indication that are looked at.
MOST, MOST_HOSTS = 10_000, 16
#: How often one request follows a redirect.
HOPS = 5

_URI = re.compile(
    r"(?i:(aaas?)://)(\[[0-9a-fA-F:.]+\]|[^:;/\s\[\]]+)(?::(\d{1,5}))?"
    r"(?:;transport=(\w+))?(?:;protocol=([\w+]+))?"
)


@define(slots=True, frozen=True)
class Target:
    """A host that a DiameterURI names."""

    identity: str
    port: int
    transport: str
    """As in ``PeerSettings``."""


def parse_uri(text: str) -> Target | None:
    """A DiameterURI (RFC 6733 section 4.3.1); ``None``: it is none, or not of Diameter over TCP or SCTP."""
    found = _URI.fullmatch(text)
    if found is None:
        return None
    scheme, host, port, transport, protocol = found.groups()
    secure = scheme.lower() == "aaas"
    carrier = (transport or ("tcp" if secure else "sctp")).lower()
    if (protocol or "diameter").lower() != "diameter" or carrier not in ("tcp", "sctp"):
        return None
    if port is not None and not 0 < int(port) < 65_536:
        return None
    if transport is None:
        # The RFC's default is SCTP, which fewer can; TCP has to be supported by all.
        carrier = "tcp"
    kind = {"tcp": "tls", "sctp": "dtls"}[carrier] if secure else carrier
    return Target(host, int(port or (SECURE_PORT if secure else PORT)), kind)


def uri_of(peer: PeerSettings) -> str:
    """The DiameterURI of a configured peer."""
    secure = peer.transport in ("tls", "dtls")
    port = peer.port or (SECURE_PORT if secure else PORT)
    carrier = "sctp" if peer.transport in ("sctp", "dtls") else "tcp"
    return f"aaa{'s' if secure else ''}://{peer.name}:{port};transport={carrier}"


@define(slots=True, frozen=True)
class Indication:
    """What a 3006 answer says."""

    targets: tuple[Target, ...]
    usage: int
    seconds: int


def indication(answer: Message) -> Indication:
    """Read a redirect indication. Raises Malformed and BadValue."""
    targets = [parse_uri(text) for text in answer.all(REDIRECT_HOST)[:MOST_HOSTS]]
    usage = answer.first(USAGE) or DONT_CACHE
    seconds = answer.first(CACHE_TIME) or 0
    return Indication(tuple(each for each in targets if each is not None), usage, seconds)


@define(slots=True, frozen=True)
class Cached:
    """Where requests go for a while."""

    peer: str
    """Folded identity."""
    expires: float


class RedirectCache:
    """Cached redirects of one node."""

    __slots__ = ("_found", "_count")

    def __init__(self) -> None:
        #: By usage, in the order in which they are asked.
        self._found: dict[int, dict[object, Cached]] = {usage: {} for usage in PRECEDENCE}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def learn(self, said: Indication, pending: Pending, answer: Message, peer: str, mono: float) -> None:
        """Cache what an indication says about requests like this one: they go to ``peer`` (folded).

        Raises Malformed and BadValue.
        """
        if said.usage not in PRECEDENCE or not said.seconds:
            return
        key = self._key(said.usage, pending, fold(answer.first(ORIGIN_HOST) or ""))
        if self._count >= MOST:
            self.expire(mono)
        if key is None or self._count >= MOST:
            return
        self._found[said.usage][key] = Cached(peer, mono + said.seconds)
        self._recount()

    def _recount(self) -> None:
        self._count = sum(map(len, self._found.values()))

    @staticmethod
    def _key(usage: int, pending: Pending, host: str) -> object:
        if usage in (ALL_SESSION, ALL_USER):
            avp = SESSION_ID if usage == ALL_SESSION else USER_NAME
            try:
                # The tail is End-to-End Id and AVPs.
                return Group(pending.tail, 4).raw(avp)
            except Malformed:
                return None
        if usage == REALM_AND_APPLICATION:
            return pending.realm, pending.application
        if usage == ALL_REALM:
            return pending.realm
        return pending.application if usage == ALL_APPLICATION else host or None

    def find(self, pending: Pending, host: str, mono: float) -> str:
        """Folded identity of the peer for a request that would go to peer ``host``; empty: none is cached."""
        for usage, cached in self._found.items():
            if cached:
                found = cached.get(self._key(usage, pending, host))
                if found is not None and found.expires > mono:
                    return found.peer
        return ""

    def forget(self, peer: str) -> None:
        """A host cannot be reached any more: what leads to it is deleted (RFC 6733 section 6.14)."""
        if self._count:
            self._keep(lambda cached: cached.peer != peer)

    def expire(self, mono: float) -> None:
        """Forget what has had its time."""
        self._keep(lambda cached: cached.expires > mono)

    def _keep(self, good: Callable[[Cached], bool]) -> None:
        for usage, found in self._found.items():
            self._found[usage] = {key: cached for key, cached in found.items() if good(cached)}
        self._recount()

    def views(self, mono: float) -> Iterator[RouteView]:
        """The cached redirects for a screen."""
        for usage, key, cached in self._all():
            realm = key[0] if usage == REALM_AND_APPLICATION and isinstance(key, tuple) else key
            application = key[1] if usage == REALM_AND_APPLICATION and isinstance(key, tuple) else None
            if usage == ALL_APPLICATION and isinstance(key, int):
                realm, application = "", key
            text = realm.decode(errors="replace") if isinstance(realm, bytes) else str(realm)
            host = text if usage == ALL_HOST else ""
            yield RouteView(
                "" if host else text,
                host,
                application,
                f"redirect {NAMES[usage]}",
                cached.peer,
                1,
                1,
                "redirect",
                cached.expires > mono,
                max(0.0, cached.expires - mono),
            )

    def _all(self) -> Iterator[tuple[int, object, Cached]]:
        for usage, found in self._found.items():
            for key, cached in found.items():
                yield usage, key, cached
