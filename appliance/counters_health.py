"""The counter rows about peers: heartbeats, which both kinds of service have, and update notifications.

``Path Management Messages`` carries the published names of ``show mag-service statistics``. An anchor has the
same group, but it is not among the 161 rows of its published list: there it is shown once it has moved.
"""

from collections.abc import Iterable

from attrs import evolve

from appliance.counters_table import Row, event, extra, group, total


def unpublished(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The same rows in a table whose published list does not have them."""
    return tuple(evolve(row, extra=True) for row in rows)


_REQUEST, _RESPONSE = "Heartbeat Request", "Heartbeat Response"
_DISCARDED, _FAILURE = "Heartbeat Messages Discarded", "Reasons for path failure"
_PATH = "path-management-messages/"

PATHS = group(
    "Path Management Messages",
    total(
        "Total TX",
        "Every heartbeat request sent.",
        _PATH + "heartbeat-request/initial-tx",
        _PATH + "heartbeat-request/retrans-tx",
        sub=_REQUEST,
    ),
    event("Total RX", "Every heartbeat request that came in and could be read.", sub=_REQUEST),
    event("Initial TX", "Heartbeat request sent for the first time.", sub=_REQUEST),
    event("Initial RX", "Heartbeat request with a new sequence number, from a known peer.", sub=_REQUEST),
    event("Retrans TX", "Heartbeat request sent again, because no answer came in time.", sub=_REQUEST),
    event("Total TX", "Heartbeat response sent, asked for or not.", sub=_RESPONSE),
    event("Total RX", "Heartbeat response that came in and could be read.", sub=_RESPONSE),
    event("Bind Error", "A Binding Error came in answer to a heartbeat: the peer does not know them."),
    total(
        "Total", "Every heartbeat message dropped.", _PATH + "heartbeat-messages-discarded/*", sub=_DISCARDED
    ),
    event("Decode error", "It cannot be read.", sub=_DISCARDED),
    event("Invalid Buffer Length", "Shorter than its header says or than its type needs.", sub=_DISCARDED),
    event("Heartbeat Rsp From Unknown Peer", "Response from a node that is no peer of ours.", sub=_DISCARDED),
    event(
        "Heartbeat Rsp Seq. Num Mismatch",
        "Response whose sequence number is not the one sent, or to nothing that we sent.",
        sub=_DISCARDED,
    ),
    extra("Checksum Error", "Checksum wrong.", sub=_DISCARDED),
    extra("Heartbeat Req From Unknown Peer", "Request from a node that is no peer of ours.", sub=_DISCARDED),
    extra(
        "Heartbeat Req Flood", "Request not answered: its sender had more than two a second.", sub=_DISCARDED
    ),
    event("Restart counter change", "The peer restarted: its counter changed.", sub=_FAILURE),
    event("No Heartbeat Response received", "Retries used up without an answer.", sub=_FAILURE),
    total(
        "Total path failures detected",
        "Every time a peer was found failed or restarted.",
        _PATH + "reasons-for-path-failure/*",
    ),
)

#: RFC 7077 at the anchor, who sends them.
LMA_NOTIFICATIONS = group(
    "Update Notifications",
    extra("Sent", "Update notification sent for the first time."),
    extra("Retries Sent", "The same again, because no acknowledgement came in time."),
    extra("Not Sent", "Not sent: too many wait, or the gateway does not know them."),
    extra("Bind Error", "A Binding Error came in answer: the gateway does not know them."),
    extra("Ack Rcvd", "Acknowledgement of one that we had sent, whatever its status."),
    extra("Not Acknowledged", "Given up: all retries went without an acknowledgement."),
    extra("Force-Reregistration", "Sent with reason 1.", sub="Sent Reasons"),
    extra("Update-Session-Parameters", "Sent with reason 2.", sub="Sent Reasons"),
    extra("Vendor-Specific", "Sent with reason 3.", sub="Sent Reasons"),
    extra("ANI-Params-Requested", "Sent with reason 4.", sub="Sent Reasons"),
    extra("QoS-Service-Request", "Sent with reason 5.", sub="Sent Reasons"),
    extra("Other", "Sent with another reason.", sub="Sent Reasons"),
    extra("Success", "Acknowledged with a status below 128.", sub="Received Ack Status"),
    extra("Failed-To-Update", "Acknowledged with status 128.", sub="Received Ack Status"),
    extra("Missing-Vendor-Option", "Acknowledged with status 129.", sub="Received Ack Status"),
    extra("Cannot-Meet-QoS", "Acknowledged with status 130.", sub="Received Ack Status"),
    extra(
        "Unknown",
        "Acknowledged with another status of 128 or more; 131 and 132 are of flow mobility (RFC 7864).",
        sub="Received Ack Status",
    ),
    extra("Matching Request Not Found", "No notification of this number waits.", sub="Ack Discarded"),
    extra("Unknown Peer", "It came from a node that is no gateway of ours.", sub="Ack Discarded"),
    extra("Decode Error", "It cannot be read.", sub="Ack Discarded"),
    extra("Checksum Error", "Checksum wrong.", sub="Ack Discarded"),
    extra("Invalid Buffer Length", "Shorter than its header says or its type needs.", sub="Ack Discarded"),
)

#: RFC 7077 at the gateway, who gets them.
MAG_NOTIFICATIONS = group(
    "Update Notifications",
    extra("Rcvd", "Update notification of an anchor that could be read."),
    extra("Retransmissions Rcvd", "One that had come before: not handled as a new request."),
    extra("Ack Sent", "Acknowledgement sent."),
    extra("Re-registrations", "A session registered again, because an anchor asked for it."),
    extra("Force-Reregistration", "Handled: reason 1.", sub="Received Reasons"),
    extra("Update-Session-Parameters", "Handled: reason 2.", sub="Received Reasons"),
    extra("Vendor-Specific", "Handled: reason 3.", sub="Received Reasons"),
    extra("ANI-Params-Requested", "Handled: reason 4.", sub="Received Reasons"),
    extra("QoS-Service-Request", "Handled: reason 5.", sub="Received Reasons"),
    extra("Other", "Handled: another reason.", sub="Received Reasons"),
    extra("Success", "Result 0.", sub="Result"),
    extra("Failed-To-Update", "Result 128.", sub="Result"),
    extra("Missing-Vendor-Option", "Result 129.", sub="Result"),
    extra("Cannot-Meet-QoS", "Result 130.", sub="Result"),
    extra("Unknown", "Another result of 128 or more.", sub="Result"),
    extra("Unknown Peer", "It came from a node that is no anchor of ours.", sub="Discarded"),
    extra("No Identifier", "It names neither a mobile node nor a group.", sub="Discarded"),
    extra("Decode Error", "It cannot be read.", sub="Discarded"),
    extra("Checksum Error", "Checksum wrong.", sub="Discarded"),
    extra("Invalid Buffer Length", "Shorter than its header says or its type needs.", sub="Discarded"),
)
