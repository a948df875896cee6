"""What a service tells the shell about its sessions, pools and queues, in slices.

::

    core's entries ──select──▶ entry or None ──▶ SessionView or None ──▶ screen, a line at a time
                          └──▶ tally ──▶ Census

With 100,000 sessions none of this may be done in one go: every generator gives ``None`` often enough
that whoever drives it can let the loop turn within a few milliseconds, a page of lines at a time.
"""

import re
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from appliance.ports import AGES, Census, PoolView, SessionFilter
from appliance.ports_load import CongestionFigure, CongestionView, QueueView
from appliance.protocols.pmipv6.overload import LAG, Overload
from appliance.protocols.pmipv6.pools import HomeAddresses, HomePools, HomePrefixes
from appliance.wildcards import expression, is_wild

#: Entries that are counted between two chances for others: less than half a millisecond.
SLICE = 256
#: Entries that are passed over for each ``None``; whoever prints may take a whole page of these at once.
PASSED = 16

#: MN-ID subtype of an IMSI (RFC 8371), as the binding cache's keys begin with it.
IMSI_KEY = b"\0\x03"


def matcher(wanted: str) -> Callable[[str], bool]:
    """Tell which user names match: ``*`` any run of characters, ``$`` exactly one."""
    compiled = re.compile(expression(wanted), re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def packed_digits(identifier: bytes) -> str:
    """Digits of an identifier in the telephone network's way: two in each octet, the first one low."""
    digits = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in identifier)
    return digits.rstrip("f")


def is_imsi(digits: str) -> Callable[[bytes], bool]:
    """Tell which MN-IDs belong to an IMSI or MSID.

    3GPP identifiers are ``IMSI@realm``, with one digit before the IMSI that names the authentication
    method (TS 23.003 section 19.3); RFC 8371 has a subtype for the bare number, in ASCII or packed.
    """
    plain = digits.encode()

    def fits(mn_id: bytes) -> bool:
        if mn_id[:2] == IMSI_KEY:
            return mn_id[2:] == plain or packed_digits(mn_id[2:]) == digits
        user = mn_id.partition(b"@")[0]
        return user == plain or (len(user) == len(plain) + 1 and user[1:] == plain and user[:1] in b"012346")

    return fits


def select(entries: Iterator[Any], wanted: SessionFilter, address: bytes = b"") -> Iterator[Any]:
    """Leave out the entries that do not match; ``None`` for every ``PASSED`` of them.

    ``address`` is packed: only entries that hold it; empty: whatever the core has found by it.
    """
    tests: list[Callable[[Any], bool]] = []
    if is_wild(wanted.username):
        fits = matcher(wanted.username)
        tests.append(lambda entry: fits(entry.mn_id.decode("utf-8", "replace")))
    if wanted.imsi:
        belongs = is_imsi(wanted.imsi)
        tests.append(lambda entry: belongs(entry.mn_id))
    if address:
        tests.append(lambda entry: entry.holds(address))
    if not tests:
        yield from entries
        return
    passed = 0
    for entry in entries:
        if all(test(entry) for test in tests):
            yield entry
            continue
        passed += 1
        if passed % PASSED == 0:
            yield None


def tally(entries: Iterator[Any], wall: float) -> Iterator[Census | None]:
    """Count entries by state, family and age at ``wall`` (seconds since 1970): ``None`` after each
    slice, the census at the end."""
    census = Census()
    kinds, ages = census.kinds, census.ages
    looked = 0
    for entry in entries:
        looked += 1 if entry is not None else PASSED
        if looked >= SLICE:
            looked = 0
            yield None
        if entry is None:
            continue
        kind = (entry.state, bool(entry.prefixes), entry.ipv4_address is not None, entry.of_host)
        kinds[kind] = kinds.get(kind, 0) + 1
        age = wall - entry.created
        place = 0
        for limit in AGES:
            if age < limit:
                break
            place += 1
        ages[place] += 1
    yield census


def clear(entries: Iterator[Any], end: Callable[[int], None]) -> Iterator[bool]:
    """End sessions by ``end(call_id)``, one at each ``True``; ``False`` while looking for more."""
    for entry in entries:
        if entry is not None:
            end(entry.call_id)
        yield entry is not None


def pool_views(pools: HomePools, service: str, context: str) -> list[PoolView]:
    """All pools of an anchor, IPv6 first."""
    both: list[HomePrefixes | HomeAddresses] = [*pools.prefixes, *pools.addresses]
    return [_pool(pool, service, context) for pool in both]


def _pool(pool: HomePrefixes | HomeAddresses, service: str, context: str) -> PoolView:
    settings = pool.settings
    if isinstance(pool, HomePrefixes):
        first, last = f"{ip_address(pool.settings.prefix)}/{pool.settings.prefix_length}", ""
        family, length = 6, pool.length
    else:
        first, last = str(ip_address(pool.settings.first)), str(ip_address(pool.settings.last))
        family, length = 4, 32
    return PoolView(
        name=settings.name,
        service=service,
        context=context,
        family=family,
        first=first,
        last=last,
        length=length,
        group=settings.group,
        static=settings.static,
        size=pool.usable,
        in_use=pool.in_use,
    )


#: Linux: SO_MEMINFO gives nine 32-bit numbers about a socket's memory.
SO_MEMINFO, _NUMBERS = 55, 9
_RECEIVED, _RECEIVE_LIMIT, _DROPS = 0, 1, 8


def queue_view(
    service: str, address: bytes, sock: socket.socket, waiting: int, waiting_limit: int
) -> QueueView:
    """How full the queues of a signalling socket are; ``waiting`` messages are in the process."""
    raw = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _NUMBERS)
    numbers = memoryview(raw).cast("I")
    return QueueView(
        service=service,
        address=str(ip_address(address)),
        send=waiting,
        send_limit=waiting_limit,
        receive=numbers[_RECEIVED],
        receive_limit=numbers[_RECEIVE_LIMIT],
        dropped=numbers[_DROPS] if len(numbers) > _DROPS else 0,
    )


def congestion_view(kind: str, service: str, overload: Overload) -> CongestionView:
    """Congestion control of an anchor."""
    settings = overload.settings
    return CongestionView(
        kind=kind,
        service=service,
        enabled=settings.congestion_control,
        action=settings.congestion_action,
        tolerance=settings.congestion_tolerance,
        wait_time=settings.queue_wait_time,
        dropped=overload.dropped,
        refused=overload.refused,
        figures=[
            CongestionFigure(
                name=name,
                value=overload.figures[name],
                unit="ms" if name == LAG else "%",
                threshold=threshold,
                since=overload.since.get(name),
                entered=overload.entered[name],
            )
            for name, threshold in overload.thresholds().items()
        ],
    )
