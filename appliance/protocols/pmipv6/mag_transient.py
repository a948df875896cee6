"""Transient bindings at a gateway (RFC 6058): it asks the anchor to switch the downlink late."""

from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import TransientBinding
from appliance.protocols.pmipv6.bce import HI_REFRESH
from appliance.protocols.pmipv6.mag_entry import INIT, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now

_NEW_INTERFACE = 1


class MagTransientBindings(MagFeature):
    """Sends the option when a mobile node may have come from another gateway."""

    def __init__(self, settings: MagSettings) -> None:
        self._lifetime = settings.transient_lifetime

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Ask for another time from now on."""
        self._lifetime = settings.transient_lifetime

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """RFC 6058 section 4.5: in the first update about a mobile node, never in what follows."""
        if self._lifetime and entry.exchange == INIT and entry.handoff not in (_NEW_INTERFACE, HI_REFRESH):
            update.options.append(TransientBinding(1, max(1, self._lifetime // 100)))

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Note what the anchor has chosen; any later update makes it switch, so nothing is to be done."""
        options = (each for each in answer.options if isinstance(each, TransientBinding))
        entry.transient = next((100 * each.lifetime for each in options if each.latch), 0)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """There is no binding."""
        entry.transient = 0

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """What was agreed when the mobile node came."""
        return [("Transient Binding", f"{entry.transient} ms")] if entry.transient else []
