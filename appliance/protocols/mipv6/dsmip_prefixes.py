"""IPv4 mobile network prefixes of mobile routers (RFC 5555 sections 3.1.1 and 4.5).

A router asks for one by the P flag of an IPv4 Home Address option, and names it in later updates. It is one
of its prefixes like any other: of the subscriber (``delegated``), or of a delegation pool of that family.
"""

from typing import Any

from appliance.protocols.mipv6.nemo import held
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility.messages import BU_R
from appliance.protocols.mobility.options import IPv4HomeAddress
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.delegated_pools import DelegatedPrefixes, Prefix
from appliance.protocols.pmipv6.settings import Profile

FAMILY = 4
#: Options of one update that are looked at; so a router has no more prefixes than that.
MOST = 8
#: Bits of an address.
WHOLE = 32


def is_network(option: Any) -> bool:
    """Whether an option is about a prefix and not about a single address."""
    return option.__class__ is IPv4HomeAddress and bool(
        option.prefix_request or (any(option.address) and 0 < option.prefix_length < WHOLE)
    )


def entitled(request: HostRequest) -> bool:
    """Whether it may have prefixes at all."""
    profile = request.profile
    return bool(request.flags & BU_R) and profile is not None and bool(profile.delegation)


def had(entry: BindingCacheEntry | None) -> list[Prefix]:
    """The IPv4 prefixes of a binding."""
    return [] if entry is None else [prefix for prefix in held(entry) if len(prefix[0]) == FAMILY]


def choose(request: HostRequest, prefixes: DelegatedPrefixes) -> tuple[Prefix, ...]:
    """Which prefixes an update that is otherwise accepted will have; nothing is taken yet."""
    profile = request.profile
    if profile is None or not entitled(request):
        return ()
    mine, found = had(request.entry), []
    asked = [each for each in request.others if each.__class__ is IPv4HomeAddress]
    for option in filter(is_network, asked[:MOST]):
        prefix = _one(option, mine, profile, prefixes)
        if prefix is not None and prefix not in found:
            found.append(prefix)
    return tuple(found)


def _one(option: Any, mine: list[Prefix], profile: Profile, prefixes: DelegatedPrefixes) -> Prefix | None:
    named = option.address, option.prefix_length
    if any(option.address):
        good = named in mine or (option.prefix_request and _proper(*named))
        return named if good and (named in mine or prefixes.free_for(profile, named)) else None
    if mine:
        return mine[0]
    for prefix in prefixes.own_of(profile, FAMILY):
        return prefix
    taken = prefixes.take(profile, FAMILY)
    if taken is not None:
        prefixes.put_back(taken)
    return taken


def _proper(address: bytes, length: int) -> bool:
    """Whether nothing stands behind the prefix."""
    return 0 < length <= WHOLE and not int.from_bytes(address, "big") & ((1 << (WHOLE - length)) - 1)


def granted(option: Any, mine: list[Prefix]) -> Prefix | None:
    """The prefix that answers an option, out of those that the binding has now."""
    if any(option.address):
        named = option.address, option.prefix_length
        return named if named in mine else None
    return mine[0] if mine else None
