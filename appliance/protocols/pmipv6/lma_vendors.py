"""Vendor Specific options at the anchor (RFC 5094): kept with the session, shown, and some sent."""

from appliance.protocols.mobility import vendors
from appliance.protocols.mobility.options import VendorSpecific
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: What a session keeps at most: options, and octets of data in all.
MOST_OPTIONS, MOST_OCTETS = 16, 1024

Kept = tuple[tuple[int, int, bytes], ...]


def keep(options: list[VendorSpecific], before: Kept = ()) -> Kept:
    """The options to remember after some have come: the latest of each sub-type, within the bounds."""
    found = {(vendor, subtype): data for vendor, subtype, data in before}
    for option in options:
        key = option.vendor, option.subtype
        found.pop(key, None)
        found[key] = option.data
    kept: list[tuple[int, int, bytes]] = []
    octets = 0
    for (vendor, subtype), data in reversed(found.items()):
        octets += len(data)
        if len(kept) == MOST_OPTIONS or octets > MOST_OCTETS:
            break
        kept.append((vendor, subtype, data))
    return tuple(reversed(kept))


class VendorOptions(Feature):
    """Keeps what gateways send, and adds what is configured to acknowledgements."""

    def __init__(self, settings: LmaSettings) -> None:
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._sent = settings.vendor_options
        self.watches = bool(self._sent)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Send other options from now on."""
        self._take(settings)

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """RFC 5094 wants no answer; 3GPP TS 29.275 wants the PDN connection identifier back."""
        came = [option for option in request.others if option.__class__ is VendorSpecific]
        if came:
            extras = extras_of(entry)
            extras.vendor = keep(came, extras.vendor)
            identifier = vendors.ORGANIZATION_3GPP, vendors.PDN_CONNECTION_ID
            request.answer_options += [
                option for option in came if (option.vendor, option.subtype) == identifier
            ][:1]
        for option in self._sent:
            if not option.mn_id or option.mn_id == entry.mn_id:
                request.answer_options.append(VendorSpecific(option.vendor, option.subtype, option.data))

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """An option a line."""
        kept = () if entry.extras is None else entry.extras.vendor
        return [("Vendor Option", vendors.describe(*each)) for each in kept]
