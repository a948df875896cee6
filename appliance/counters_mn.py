"""The rows of ``show mn-client statistics``, in screen order: what the core counts, then its surroundings."""

from appliance.counters_mn_core import CORE
from appliance.counters_table import Table, event, extra, group, tunnel_rows

MN = Table(
    (
        *CORE,
        *group(
            "Surroundings",
            event("Not Sent", "Message that the host refused to send."),
            event("Link Changes", "The addresses that can be used have changed."),
        ),
        *tunnel_rows(),
        *group(
            "Home Address Data",
            event("Source Not Ours", "Packet at the TUN device from an address that is no home address."),
            event("No Tunnel", "Packet from the home address while there is no binding."),
        ),
        *group(
            "Route Optimization Data",
            event("Packets Sent", "Packet straight to a correspondent node, with a Home Address option."),
            event("Packets Received", "Packet straight from one, by a type 2 routing header."),
            extra("Packets Refused", "Packet with a routing header that is not from such a correspondent."),
        ),
    )
)
