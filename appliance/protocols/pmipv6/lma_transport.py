"""Gateways that come over IPv4: who they are behind their NATs, and what tunnels are agreed with them.

RFC 5844 section 4 wants no NAT between gateway and anchor, but keeps the F flag and the NAT Detection option
of RFC 5555 for "other types of middleboxes". We go one step further by RFC 5555 section 4.2: a gateway says
its own address in an IPv4 Care-of Address option; where that is not the source of the update, there is a NAT.
The care-of address stays the source of the update, as RFC 5844 section 4.1.1 says. Tunnels in UDP with GRE
inside are agreed by RFC 5845 section 7.
"""

from typing import Any, Protocol

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BA_T, BU_F, BU_T
from appliance.protocols.mobility.options import NatDetection
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: RFC 5555 section 3.2.2: no keep-alives are needed.
NO_KEEPALIVES = 0xFFFFFFFF


def agreed(request: Request, settings: LmaSettings) -> tuple[bool, bool, bool, int]:
    """What an update that came over IPv4 gets: UDP, TLV header, GRE, and the status that says so."""
    flags = request.flags
    gre = request.gre is not None and settings.gre != "disabled"
    forced, tlv = bool(flags & BU_F), bool(flags & BU_T)
    status = codes.ACCEPTED if gre or request.gre is None else codes.GRE_KEY_OPTION_NOT_REQUIRED
    if tlv and not settings.tlv:
        tlv = False
        if gre:
            # RFC 5845 section 7.4: the gateway goes on with GRE alone, or asks for something else.
            return False, False, True, codes.GRE_TUNNELING_BUT_TLV_HEADER_NOT_SUPPORTED
    if gre and forced and not tlv:
        # RFC 5845 section 7.1: GRE goes in UDP behind a TLV header only, and that was not asked for.
        return True, False, False, codes.GRE_KEY_OPTION_NOT_REQUIRED
    # RFC 5845 section 7.2: the T flag asks for UDP by itself.
    return forced or tlv, tlv, gre, status


def answer(request: Request, entry: BindingCacheEntry, refresh: int) -> None:
    """Put what was agreed into the acknowledgement; ``refresh``: seconds between keep-alives through a NAT.

    RFC 5844 section 4.2.2: a gateway takes UDP as granted on seeing F in a NAT Detection option.
    RFC 5845 section 7.2: the T flag only if it was asked for.
    """
    extras = entry.extras
    if extras is None or extras.gateway is None or not request.lifetime:
        return
    nat = extras.gateway.nat
    if entry.udp or nat:
        request.answer_options.append(NatDetection(entry.udp, refresh if nat else NO_KEEPALIVES))
    if extras.tlv:
        request.answer_flags |= BA_T


class HasEffects(Protocol):
    """The sessions of the service."""

    effects: list[Any]


class Transport(Feature):
    """Says what an operator should know about IPv4 transport."""

    def __init__(self, reports: Reports, effects: HasEffects) -> None:
        """``effects`` has the list that effects go to."""
        self._reports = reports
        self._out = effects

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Warn of a NAT that the agreed tunnel will hardly pass."""
        gateway = None if entry.extras is None else entry.extras.gateway
        if gateway is not None and gateway.nat and not entry.udp and request.lifetime:
            text = (
                f"gateway {gateway.text} is behind a NAT and its data is not in UDP: "
                "it needs force-udp-encapsulation, this service forced-udp-encapsulation"
            )
            self._reports.notice("nat", text, now, self._out.effects)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Where signalling goes, and whose the care-of address really is."""
        gateway = None if entry.extras is None else entry.extras.gateway
        if gateway is None:
            return []
        found = [("Signalling Port of Gateway", str(gateway.port))]
        if gateway.nat:
            found.append(("NAT before Gateway", gateway.own_text or "detected by its port"))
        return found
