"""Peers out of the DNS: S-NAPTR (RFC 3958, RFC 6408), then SRV (RFC 6733 section 5.2).

::

    realm ── NAPTR ──"s"──▶ SRV ──▶ A, AAAA ──▶ FoundPeer
               │ ├─"a"────────────────┘  ▲
               │ └─""──▶ NAPTR           │
               └─ none ─▶ _diameters._tcp, _diameter._tcp, _diameter._sctp

Whoever can forge answers could send us anywhere. So only hosts below the name that was asked for are taken,
as RFC 6733 section 5.2 wants it, there is an end to every list, and TLS, where it is configured, shows the
rest. Off by default.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from attrs import define, field
from twisted.internet import defer
from twisted.internet import error as internet_error
from twisted.logger import Logger
from twisted.names import client, dns
from twisted.names import error as names_error

from appliance.protocols.diameter.node.events import Found, FoundPeer, Lookup
from appliance.protocols.diameter.settings import PORT, SECURE_PORT
from appliance.protocols.diameter.transport.link import packed

TIMEOUTS = (1, 3)
"""Seconds to wait for one server, first and second try."""
LOOKUP_TIME = 15.0
"""Seconds that one look-up may take in all."""
RECORDS = 16
"""Records of one answer that are used."""
ADDRESSES = 8
"""Addresses of one host that are used."""
DEPTH = 3
"""NAPTR records that lead to other NAPTR records."""
PEERS = 16
"""Peers that are found at most."""
SHORTEST, LONGEST = 30.0, 86_400.0
"""Limits of a lifetime, in seconds."""
RESOLV_CONF = "/etc/resolv.conf"

#: Transports by the tags of RFC 6408 section 5 and RFC 6733 section 11.4.
TAGS = {
    "diameter.tcp": "tcp",
    "diameter.tls.tcp": "tls",
    "diameter.sctp": "sctp",
    "diameter.dtls.sctp": "dtls",
    "diameter.dtls": "dtls",
}
#: SRV names that are asked for when there is no NAPTR record, in the order of RFC 6733 section 2.1.
SERVICES = (("_diameters._tcp", "tls"), ("_diameter._tcp", "tcp"), ("_diameter._sctp", "sctp"))

#: What the methods of Twisted's resolver ask for.
_KINDS = {
    "lookupNamingAuthorityPointer": dns.NAPTR,
    "lookupService": dns.SRV,
    "lookupAddress": dns.A,
    "lookupIPV6Address": dns.AAAA,
}
_NOTHING = (
    names_error.DomainError,
    names_error.DNSServerError,
    names_error.DNSFormatError,
    names_error.DNSNotImplementedError,
    names_error.DNSQueryRefusedError,
    names_error.DNSUnknownError,
    names_error.ResolverError,
    internet_error.TimeoutError,
    defer.TimeoutError,
    OSError,
)

_log = Logger(namespace="diameter")


@define(slots=True)
class _Search:
    """What one look-up is about and has come across."""

    name: str
    application: int | None
    transports: frozenset[str]
    """Those that we can use."""
    lifetime: float = LONGEST
    found: list[FoundPeer] = field(factory=list)
    trouble: str = ""
    silent: bool = False
    """No name server answers."""
    rank: int = 0

    def outlived(self, ttls: Iterable[int]) -> None:
        """Nothing is good for longer than the records that it was read off."""
        self.lifetime = min([self.lifetime, *map(float, ttls)])

    def below(self, name: str) -> bool:
        """Whether a name is the one that was asked for, or below it."""
        return name == self.name or name.endswith(f".{self.name}")


def _servers() -> list[tuple[str, int]]:
    """The name servers of this host; it reads a file."""
    found: list[tuple[str, int]] = []
    with open(RESOLV_CONF, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                found.append((words[1], dns.PORT))
    return found


def _name(value: Any) -> str:
    return str(value).rstrip(".").lower()


class Resolver:
    """Looks peers up. ``servers`` are addresses and ports of name servers; ``None``: those of this host."""

    def __init__(self, reactor: Any, servers: list[tuple[str, int]] | None = None) -> None:
        self._reactor = reactor
        self._servers = servers
        self._running: dict[defer.Deferred[Any], None] = {}

    def find(self, wanted: Lookup, transports: frozenset[str]) -> defer.Deferred[Found]:
        """The answer to a look-up, which never fails; ``transports`` are those that we can use."""
        search = _Search(_name(wanted.name), wanted.application, transports)
        # Of asyncio for the file, of Twisted for the rest: the one begins, the other ends.
        work: defer.Deferred[Any] = defer.Deferred.fromCoroutine(self._search(wanted, search))
        self._running[work] = None
        work.addTimeout(LOOKUP_TIME, self._reactor)
        return work.addBoth(self._result, wanted, search, work)

    def stop(self) -> None:
        """End all look-ups."""
        for work in list(self._running):
            work.cancel()

    def _result(self, result: Any, wanted: Lookup, search: _Search, work: defer.Deferred[Any]) -> Found:
        self._running.pop(work, None)
        if result is not None:
            if result.check(defer.TimeoutError, defer.CancelledError):
                search.trouble = "the DNS did not answer in time"
            elif result.check(OSError):
                search.trouble = f"name servers of this host: {result.value}"
            else:
                search.trouble = f"internal error ({type(result.value).__name__}); the log tells more"
                _log.failure("look-up of {name} in the DNS", failure=result, name=wanted.name)
        lifetime = min(max(search.lifetime, SHORTEST), LONGEST)
        return Found(wanted.name, wanted.application, tuple(search.found[:PEERS]), lifetime, search.trouble)

    async def _search(self, wanted: Lookup, search: _Search) -> None:
        servers = self._servers
        if servers is None:
            read = asyncio.ensure_future(asyncio.to_thread(_servers))
            servers = await defer.Deferred.fromFuture(read)
        make: Any = client.Resolver
        resolver = make(servers=servers, timeout=TIMEOUTS, reactor=self._reactor)
        if wanted.application is None:
            await self._host(resolver, search, search.name, wanted.port, wanted.transport)
            return
        if not await self._naptr(resolver, search, search.name, 0):
            for prefix, transport in SERVICES:
                if transport in search.transports:
                    await self._srv(resolver, search, f"{prefix}.{search.name}", transport)
        if not search.found:
            search.trouble = search.trouble or "no NAPTR or SRV record of a Diameter server that can be used"

    async def _ask(self, search: _Search, query: Callable[[str], Awaitable[Any]], name: str) -> list[Any]:
        """The payloads in the answer to a query of Twisted's resolver; none if there is no answer."""
        if search.silent:
            return []
        try:
            answers, _authority, _additional = await query(name)
        except _NOTHING as error:
            if isinstance(error, defer.TimeoutError | internet_error.TimeoutError | TimeoutError):
                # The next question would wait as long.
                search.silent = True
                search.trouble = "the name server does not answer"
            elif not isinstance(error, names_error.DNSNameError | names_error.AuthoritativeDomainError):
                search.trouble = f"name server: {str(error) or type(error).__name__}"
            return []
        kind = _KINDS[query.__name__]
        records = [each for each in answers if each.type == kind][:RECORDS]
        search.outlived(each.ttl for each in records)
        return [each.payload for each in records]

    async def _naptr(self, resolver: Any, search: _Search, name: str, depth: int) -> bool:
        """Follow the NAPTR records of a name; whether there were any for Diameter."""
        records = await self._ask(search, resolver.lookupNamingAuthorityPointer, name)
        any_of_ours = False
        for record in sorted(records, key=lambda each: (each.order, each.preference)):
            tags, transports = _service(record.service.string.decode("ascii", "replace"))
            if not tags & {"aaa", f"aaa+ap{search.application}"} or record.regexp.string:
                continue
            any_of_ours = True
            target = _name(record.replacement.name.decode("ascii", "replace"))
            if not search.below(target) or len(search.found) >= PEERS:
                continue
            flags = record.flags.string.lower()
            if not flags and depth < DEPTH:
                await self._naptr(resolver, search, target, depth + 1)
            for transport in filter(search.transports.__contains__, transports):
                if flags == b"s":
                    await self._srv(resolver, search, target, transport)
                elif flags == b"a":
                    port = SECURE_PORT if transport in ("tls", "dtls") else PORT
                    search.rank += 1
                    await self._host(resolver, search, target, port, transport, search.rank)
        return any_of_ours

    async def _srv(self, resolver: Any, search: _Search, name: str, transport: str) -> None:
        records = await self._ask(search, resolver.lookupService, name)
        base = search.rank + 1
        ranks = sorted({each.priority for each in records})
        for record in sorted(records, key=lambda each: each.priority):
            target = _name(record.target.name.decode("ascii", "replace"))
            if target and search.below(target):
                rank = base + ranks.index(record.priority)
                search.rank = max(search.rank, rank)
                await self._host(resolver, search, target, record.port, transport, rank, record.weight)

    async def _host(
        self,
        resolver: Any,
        search: _Search,
        name: str,
        port: int,
        transport: str,
        rank: int = 1,
        weight: int = 1,
    ) -> None:
        """A host with all its addresses, if it is not known yet."""
        if len(search.found) >= PEERS or any(each.identity == name for each in search.found):
            return
        v6 = await self._ask(search, resolver.lookupIPV6Address, name)
        v4 = await self._ask(search, resolver.lookupAddress, name)
        addresses = tuple(packed(each.dottedQuad()) for each in v4)
        addresses += tuple(each.address for each in v6)
        if addresses:
            found = FoundPeer(name, addresses[:ADDRESSES], port, transport, rank, max(1, weight))
            search.found.append(found)


def _service(text: str) -> tuple[set[str], list[str]]:
    """Application tags and transports of a NAPTR service field (RFC 3958 section 6.5), without case."""
    tag, *protocols = text.lower().split(":")
    return {tag}, [TAGS[each] for each in protocols if each in TAGS]
