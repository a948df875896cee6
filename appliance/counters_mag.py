"""The rows of ``show mag-service statistics``, in screen order.

The first two groups and Path Management Messages carry the published names; the rest
is ours, named after the LMA's where the two mean the same.
"""

from attrs import evolve

from appliance.counters_health import MAG_NOTIFICATIONS, PATHS
from appliance.counters_lma import DENY_REASONS, NESTED, REVOCATION
from appliance.counters_table import Table, event, extra, group, total, tunnel_rows

_SIGNALLING = (
    *group(
        "Binding Update Sent",
        total("Total", "Every proxy binding update sent.", "binding-update-sent/*"),
        event("Init Request Xmit", "First transmission for a mobile node that attached or moved here."),
        event("Init Request Re-Xmit", "The same again, because no answer came in time."),
        event("Renew Request Xmit", "First transmission of a refresh before the lifetime runs out."),
        event("Renew Request Re-Xmit", "The same again, because no answer came in time."),
        event("Dereg Request Xmit", "First transmission with lifetime 0 for a mobile node that left."),
        event("Dereg Request Re-Xmit", "The same again, because no answer came in time."),
    ),
    *group(
        "Binding Acknowledgement Rcvd",
        total(
            "Total",
            "Every binding acknowledgement that came in.",
            "binding-acknowledgement-rcvd/errors",
            "binding-acknowledgement-rcvd/accepted",
            "binding-acknowledgement-rcvd/denied",
        ),
        total(
            "Errors", "Dropped; Binding Acknowledgement Errors tells why.", "binding-acknowledgement-errors/*"
        ),
        event("Accepted", "Answer to one of our requests with a status below 128."),
        event("Denied", "Answer to one of our requests with a status of 128 or more."),
        event("Init Accepted", "Accepting answer to an initial request."),
        event("Init Reply Rcvd", "Answer of any status to an initial request."),
        event("Renew Reply Rcvd", "Answer of any status to a refresh."),
        event("Dereg Reply Rcvd", "Answer of any status to a de-registration."),
    ),
    *group(
        "Denied by LMA",
        *(event(label, help, status) for label, status, help in DENY_REASONS),
        extra("Other", "Denied with a status that has no row here."),
    ),
    *group(
        "Binding Acknowledgement Errors",
        event("Checksum Error", "Checksum of the mobility header or of UDP wrong."),
        event("Decode Failure", "An option or a fixed field that cannot be read."),
        event("Invalid Buffer Length", "Shorter than its header says, or than its type needs."),
        event("No Matching Request", "No request with its sequence number or timestamp waits for an answer."),
        event("Mismatched Options", "Its identifier or prefixes are not those that were asked for."),
        extra("Unusable Parameters", "Its LMA-Controlled MAG Parameters option has a zero (RFC 8127)."),
    ),
)

MAG = Table(
    (
        *_SIGNALLING,
        *PATHS,
        *tunnel_rows(),
        *group(
            "Access Links",
            event("Router Solicitations", "Router Solicitation from a mobile node."),
            event("Router Advertisements", "Router Advertisement sent to a mobile node."),
            event("Neighbor Solicitations", "Neighbor Solicitation from a mobile node."),
            event("Neighbor Advertisements", "Neighbor Advertisement from a mobile node."),
            event("Attach", "A mobile node was found on an access link."),
            event("Detach", "A mobile node left an access link, or was silent for too long."),
            event("Malformed", "Control frame dropped: cannot be read, or breaks a rule of its protocol."),
            event("Unknown Mobile", "Trigger from a link-layer address that no policy line names."),
            event("Ingress Filtered", "Packet dropped: its source is not of the session of its sender."),
        ),
        *group(
            "DHCP",
            event("Discover Received", "DHCPDISCOVER from a mobile node."),
            event("Offer Sent", "The address that the anchor has assigned was offered."),
            event("Request Received", "DHCPREQUEST: a choice, or a renewal."),
            event("Ack Sent", "The address was confirmed, or parameters were told."),
            event("Nak Sent", "Another address than the one that the anchor has assigned was asked for."),
            event("Decline Received", "The mobile node found its address in use."),
            event("Release Received", "The mobile node gave its address back."),
            event("Inform Received", "Parameters were asked for."),
            event("Relayed To Server", "A client's message was taken to the DHCP server."),
            event("Relayed To Client", "The DHCP server's answer was taken to the client."),
            event("Delegation Sent", "A DHCPv6 client was answered about prefixes for its network."),
            event("Ignored", "No client's message, or about another server or address."),
        ),
        *group(
            "Total Disconnects",
            event("Lifetime expiry", "A session ended because its lifetime could not be extended in time."),
            event("Detach", "A session ended because the mobile node left."),
            event("Denied", "A session ended because the LMA refused to go on."),
            event("Admin Drops", "A session ended by an operator."),
            event("Link Loss", "A session ended because its access link went down."),
            event("Other Reasons", "A session ended otherwise."),
        ),
        *MAG_NOTIFICATIONS,
        *group(
            "Other Mobility Messages",
            extra("Received", "A mobility message that is no binding acknowledgement."),
            extra("Ignored", "One of a known type that this service has no use for."),
            extra("Unknown Type", "One of a type that is not known."),
            extra("Binding Error Sent", "A Binding Error was sent in answer."),
            extra("Parameter Problem Sent", "An ICMPv6 Parameter Problem was sent in answer."),
        ),
        *group(
            "Runtime LMA Assignment",
            extra("Taken", "A session went to the anchor that the one asked has named (RFC 6463)."),
            extra("Ignored", "A Redirect option that was not asked for."),
            extra("Refused", "A Redirect option that names no anchor that may be taken: no session."),
        ),
        # Shown as far as there is something to show; texts and labels as the LMA's.
        *(evolve(row, extra=True) for row in REVOCATION),
    ),
    nested=NESTED,
)
