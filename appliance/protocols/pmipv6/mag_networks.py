"""Access Network Identifiers at the gateway (RFC 6757 section 4.1): what it says of its access links."""

from appliance.protocols.mobility import access_network
from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import AccessNetworkIdentifier
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.option_settings import AccessNetwork
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


def sub_options(network: AccessNetwork) -> access_network.SubOptions:
    """What a configuration line says, in wire form."""
    found = []
    if network.network:
        found.append(access_network.network_identifier(network.network, network.access_point))
    if network.latitude is not None:
        found.append(access_network.geo_location(network.latitude, network.longitude))
    if network.realm or network.enterprise:
        found.append(access_network.operator_identifier(network.enterprise, network.realm))
    return tuple(found)


class MagAccessNetworks(MagFeature):
    """Puts the option into every update of a mobile node on a link that has such a line."""

    def __init__(self, settings: MagSettings, sessions: MagSessions) -> None:
        self._sessions = sessions
        self._take(settings)

    def _take(self, settings: MagSettings) -> None:
        self._links = {each.interface: sub_options(each) for each in settings.access_networks}

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Say other things from the next update on."""
        self._take(settings)

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """Section 4.1: in all updates, those for lifetime extension and de-registration too."""
        items = self._links.get(entry.interface)
        if items:
            update.options.append(AccessNetworkIdentifier(list(items)))

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Section 4.1: an anchor that does not echo the option does not know it, which is logged."""
        if self._links.get(entry.interface) and not any(
            option.__class__ is AccessNetworkIdentifier for option in answer.options
        ):
            text = "LMA does not know the Access Network Identifier option"
            self._sessions.notify_seldom(("ani", entry.lma), text, now)

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """What is said of the link."""
        return access_network.describe(self._links.get(entry.interface, ()))
