"""LMA-Controlled MAG Parameters at the anchor (RFC 8127 section 5.1): the timers that gateways are to use."""

from typing import Any

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.options import LmaControlledMagParameters
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.controlled import HEARTBEAT, REREGISTRATION, Three, suboption
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

MISCONFIGURED = Verdict(codes.REASON_UNSPECIFIED)


def _reregistration(settings: LmaSettings) -> Three:
    return (
        settings.mag_reregistration_start,
        settings.mag_retransmission_initial,
        settings.mag_retransmission_maximum,
    )


def _heartbeat(settings: LmaSettings) -> Three:
    return (
        settings.mag_heartbeat_interval,
        settings.mag_heartbeat_delay,
        settings.mag_heartbeat_retransmissions,
    )


def controlled_values(settings: LmaSettings) -> tuple[Three | None, Three | None]:
    """The numbers that gateways are given: re-registration and heartbeat; ``None``: it is switched off."""
    return (
        _reregistration(settings) if settings.mag_reregistration_control else None,
        _heartbeat(settings) if settings.mag_heartbeat_control else None,
    )


def parameters(settings: LmaSettings) -> LmaControlledMagParameters:
    """The option for gateways: the sub-options that are switched on."""
    values = zip((REREGISTRATION, HEARTBEAT), controlled_values(settings), strict=True)
    return LmaControlledMagParameters([suboption(kind, three) for kind, three in values if three is not None])


def fault_of(settings: LmaSettings) -> str:
    """What is configured wrongly; empty: nothing."""
    for name, three in zip(("re-registration", "heartbeat"), controlled_values(settings), strict=True):
        if three is not None and 0 in three:
            return f"mag-parameters {name}"
    return ""


class MagParameters(Feature):
    """Puts the option into every acknowledgement of a registration; watches only while something is on."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, reports: Reports | None = None) -> None:
        self._effects: Any = sessions
        self._reports = reports or Reports()
        self._prepare(settings)

    def _prepare(self, settings: LmaSettings) -> None:
        self.watches = any(controlled_values(settings))
        self._fault = fault_of(settings)
        self._option = parameters(settings)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings."""
        self._prepare(settings)

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """Section 5.1: a zero among the values is a configuration error that refuses registrations."""
        if not self._fault or not request.lifetime:
            return None
        text = f"{self._fault}: a value is 0, registrations are refused (RFC 8127 section 5.1)"
        self._reports.notice("parameters", text, now, self._effects.effects)
        return MISCONFIGURED

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Add the option; one who leaves has no use for it."""
        if self.watches and request.lifetime:
            request.answer_options.append(self._option)
