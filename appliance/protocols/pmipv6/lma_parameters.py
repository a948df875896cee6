"""LMA-Controlled MAG Parameters at the anchor (RFC 8127 section 5.1): the timers that gateways are to use."""

from typing import Any

from appliance.protocols.mobility import status as codes
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.controlled import controlled_values, fault_of, parameters
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

MISCONFIGURED = Verdict(codes.REASON_UNSPECIFIED)


class MagParameters(Feature):
    """Puts the option into every acknowledgement of a registration; watches only while something is on."""

    def __init__(self, settings: LmaSettings, sessions: Sessions, reports: Reports) -> None:
        self._effects: Any = sessions
        self._reports = reports
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
