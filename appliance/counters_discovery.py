"""Rows about what hosts are told beside acknowledgements: home agents, prefixes, refresh, another home agent.

RFC 6275 sections 6.1.2, 10.5 and 10.6, RFC 5142. The published screen has no place for them.
"""

from appliance.counters_table import extra, group

HOST_MESSAGES = (
    *group(
        "Home Agent Discovery",
        extra("Requests Received", "A Home Agent Address Discovery Request came (ICMPv6 144)."),
        extra("Replies Sent", "One was answered (ICMPv6 145)."),
        extra("Router Advertisements Received", "A Router Advertisement came on the home link."),
        extra("Router Advertisements Sent", "We sent one with the Home Agent flag."),
        extra(
            "Discarded",
            "A request that is malformed, for no home prefix of ours, or one too many in a second; "
            "an advertisement that is malformed or comes from another link.",
        ),
    ),
    *group(
        "Mobile Prefix Discovery",
        extra("Solicitations Received", "A Mobile Prefix Solicitation of a bound host came (ICMPv6 146)."),
        extra("Solicited Sent", "One was answered by an advertisement (ICMPv6 147)."),
        extra("Unsolicited Sent", "An advertisement unasked: prefixes have changed, or it was time."),
        extra("Retries Sent", "Retransmission of one that no solicitation has acknowledged."),
        extra("Not Acknowledged", "Retransmissions used up without a solicitation."),
        extra(
            "Discarded",
            "A solicitation that is malformed, less than a second after the last, or not wanted here.",
        ),
    ),
    *group(
        "Messages To Hosts",
        extra("Binding Refresh Requests Sent", "A host was asked to refresh its binding (MH type 0)."),
        extra("Home Agent Switch Sent", "A host was sent to other home agents (MH type 12)."),
        extra("Home Agent Switch Retries", "Retransmission of one that the host has not acted on."),
        extra("Home Agent Switch Done", "A host has de-registered after one."),
        extra("Home Agent Switch Unknown", "A host does not know the message (Binding Error status 2)."),
        extra("Home Addresses Assigned", "A host asked by the unspecified address, and got a home address."),
    ),
)
