"""Vendor Specific options at the gateway (RFC 5094): those to send, and those that came."""

from appliance.protocols.mobility import vendors
from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import VendorSpecific
from appliance.protocols.pmipv6.lma_vendors import keep
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


class MagVendorOptions(MagFeature):
    """Sends what is configured, and keeps what anchors send."""

    def __init__(self, settings: MagSettings) -> None:
        self._sent = settings.vendor_options

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Send other options from the next update on."""
        self._sent = settings.vendor_options

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """In every update of the mobile nodes that the lines are for."""
        for option in self._sent:
            if not option.mn_id or option.mn_id == entry.mn_id:
                update.options.append(VendorSpecific(option.vendor, option.subtype, option.data))

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Keep the latest of each sub-type."""
        came = [option for option in answer.options if option.__class__ is VendorSpecific]
        if came:
            entry.vendor = keep(came, entry.vendor)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """They were of the binding that is no more."""
        entry.vendor = ()

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """An option a line."""
        return [("Vendor Option", vendors.describe(*each)) for each in entry.vendor]
