"""Access Network Identifiers at the anchor (RFC 6757 section 4.2): where a mobile node is attached."""

from appliance.protocols.mobility import access_network
from appliance.protocols.mobility.options import AccessNetworkIdentifier
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.timers import Now


class AccessNetworks(Feature):
    """Keeps what gateways say of their access networks, in the session, its accounting and its screen."""

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Section 4.2: take the sub-options over and echo them; an update without them removes them."""
        option = request.other(AccessNetworkIdentifier)
        items = () if option is None else access_network.accepted(option.suboptions)
        if items:
            extras_of(entry).network = items
            request.answer_options.append(AccessNetworkIdentifier(list(items)))
        elif entry.extras is not None:
            entry.extras.network = ()

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Network, access point, place and operator."""
        return [] if entry.extras is None else access_network.describe(entry.extras.network)
