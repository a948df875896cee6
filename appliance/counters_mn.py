"""The rows of ``show mn-client statistics``, in screen order; all of them are ours."""

from appliance.counters_table import Table, event, extra, group, total, tunnel_rows

MN = Table(
    (
        *group(
            "Mobility Messages Sent",
            total("Total", "Every mobility message sent.", "mobility-messages-sent/*"),
            event("Binding Updates", "Binding Update to the home agent or a correspondent node."),
            event("Home Test Init", "HoTI through the tunnel to a correspondent node."),
            event("Care-of Test Init", "CoTI to a correspondent node."),
            event("Other Messages", "Any other mobility message."),
            event("Over UDP", "Of them in UDP over IPv4, port 4191 (RFC 5555).", sub="Ways"),
            event("Not Sent", "Message that the host refused to send.", sub="Failures"),
        ),
        *group(
            "Mobility Messages Received",
            total("Total", "Every mobility message that came.", "mobility-messages-received/*"),
            event("Binding Acknowledgements", "Binding Acknowledgement, of any status."),
            event("Binding Errors", "Binding Error."),
            event("Home Test", "HoT out of the tunnel."),
            event("Care-of Test", "CoT from a correspondent node."),
            event("Binding Refresh Requests", "Binding Refresh Request."),
            event("Other Messages", "Any other mobility message."),
        ),
        *group(
            "Binding Acknowledgements Received",
            event("Accepted", "Status below 128."),
            event("Denied", "Status 128 or more."),
        ),
        *group(
            "ICMPv6 Messages",
            event("Sent", "Home agent address discovery request or mobile prefix solicitation."),
            event("Received", "Answer to one of them, a Packet Too Big or a Parameter Problem."),
        ),
        *group(
            "Movement",
            event("Changes", "The addresses that can be used have changed."),
            event("Returns Home", "The node came to its home link."),
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
