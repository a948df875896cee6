"""The rows of ``show lma-service statistics``, in screen order.

Labels, groups and their order are the published ones; rows written with ``extra`` are
ours, for what the published rows have no place for. Status codes: RFC 5213 section
8.9, RFC 6275 section 6.1.8, RFC 4285, RFC 5844, RFC 5845, RFC 5846 sections 5.1 and 5.2.
"""

from appliance.counters_discovery import HOST_MESSAGES
from appliance.counters_health import LMA_NOTIFICATIONS, PATHS, unpublished
from appliance.counters_table import Row, Table, event, extra, group, total, tunnel_rows

#: Label, status code and cause of the deny reasons that are counted one by one (the three that
#: have sub-reasons are sums at the LMA); the MAG counts the same list under Denied by LMA.
DENY_REASONS = (
    ("Insufficient Resources", 130, "Refused for want of resources (status 130)."),
    ("Mismatched ID", 144, "Message identification outside the tolerance, or not newer than the last (144)."),
    ("MN Auth Failure", 146, "MN-HA or MN-AAA authenticator wrong, or credentials rejected by AAA (146)."),
    ("Admin Prohibited", 129, "Refused by policy (status 129)."),
    ("Msg ID Required", 145, "Policy wants a message identification option and there was none (145)."),
    ("DAD Failed", 134, "The home address is another binding's, or a node's on the home link (134)."),
    ("Not Home Subnet", 132, "The home address is on no prefix that is served here (132)."),
    ("Sequence Out Of Window", 135, "Sequence number not newer than the last accepted one (135)."),
    ("Reg Type Change Disallowed", 139, "Home registration or proxy flag differs from the binding's (139)."),
    ("Unspecified Reason", 128, "Refused for a reason without a code of its own (128)."),
    ("Service-Authorization Failed", 151, "The service selected is not allowed for this mobile node (151)."),
    ("Proxy Reg Not Enabled", 152, "The mobile node is not entitled to network-based mobility (152)."),
    ("Timestamp Mismatch", 156, "Timestamp too far from our clock, or repeated (156)."),
    ("Timestamp Lower Than Expected", 157, "Timestamp older than the last accepted one (157)."),
    ("Missing MN-ID Option", 160, "No mobile node identifier in the proxy binding update (160)."),
    ("Missing HNP Option", 158, "Neither home network prefix nor IPv4 home address request (158)."),
    ("Missing Access Tech Option", 162, "No access technology type option (162)."),
    ("Missing Handoff Ind Option", 161, "No handoff indicator option (161)."),
    ("Not Authorized For HNP", 155, "Prefix asked for is another's, not from here, or not permitted (155)."),
    ("Not LMA For Mobile", 153, "The mobile node is unknown to this anchor (153)."),
    ("Not Authorized For Proxy Reg", 154, "The gateway is no peer, or may not register this one (154)."),
    ("BCE Prefix Do Not Match", 159, "Prefixes sent are not those of the binding (159)."),
    ("GRE Key Option Required", 163, "Policy wants GRE and there was no GRE key option (163)."),
    ("MCOA Unknown CoA", 167, "A short binding identifier option names no care-of address known (167)."),
)

#: The headings whose sub-reasons a deny row is the sum of.
SUB_REASONS = {
    130: "update-denied-insufficient-resource-reasons",
    129: "update-denied-admin-prohibited-reasons",
    128: "update-denied-unspecified-reason",
}

_CLASSES = (
    "initial-binding-update-requests",
    "refresh-binding-update-requests",
    "dereg-requests",
    "handoff-requests",
)

NESTED = frozenset(
    {
        "Initial Binding Update Requests",
        "Refresh Binding Update Requests",
        "DeReg Requests",
        "Handoff Requests",
        "Sent Revocation Trigger Reasons",
        "Received Revocation ACK Status",
        "Binding Revocation ACK Discarded",
    }
)


def _deny_row(label: str, status: int, help: str) -> Row:
    """One deny reason: counted, or the sum of its sub-reasons."""
    if status in SUB_REASONS:
        return total(label, f"{help[:-1]}, all sub-reasons.", f"{SUB_REASONS[status]}/*", status=status)
    return event(label, help, status)


_AUTHENTICATION = group(
    "MIP AAA Authentication",
    event("Attempts", "A request about a binding update was sent to AAA."),
    event("Success", "AAA answered yes."),
    total(
        "Total Failures",
        "Every attempt that was not answered yes.",
        "mip-aaa-authentication/actual-auth-failures",
        "mip-aaa-authentication/misc-auth-failures",
    ),
    event("Actual Auth Failures", "AAA answered that the credentials or the service are refused."),
    total(
        "Failures",
        "The same as Total Failures: refused by AAA or failed on the way.",
        "mip-aaa-authentication/actual-auth-failures",
        "mip-aaa-authentication/misc-auth-failures",
    ),
    event("Misc Auth Failures", "No usable answer: time-out, no server, transport or decoding error."),
)

_UPDATES = (
    *group(
        "Binding Updates Received",
        total(
            "Total Received",
            "Every binding update that reached the service.",
            "binding-updates-received/total-accepted",
            "binding-updates-received/total-denied",
            "binding-updates-received/total-discarded",
            "binding-updates-received/pending",
        ),
        total("Total Accepted", "Answered with a status below 128.", *(f"{c}/accepted" for c in _CLASSES)),
        total("Total Denied", "Answered with a status of 128 or more.", *(f"{c}/denied" for c in _CLASSES)),
        total(
            "Total Discarded",
            "Not answered at all; the discard reasons tell why.",
            "binding-updates-discard-reasons/*",
        ),
        extra("Pending", "Neither answered nor discarded yet: waits for AAA or a delay.", kind="gauge"),
    ),
    *group(
        "Initial Binding Update Requests",
        event("Received", "A binding update that no binding matches; the start of a session."),
        event("Accepted", "One of these was accepted and made a session."),
        event("Denied", "One of these was denied."),
    ),
    *group(
        "Refresh Binding Update Requests",
        event("Received", "A binding update for a session from the care-of address that it already has."),
        event("Accepted", "One of these was accepted and extended the lifetime."),
        event("Denied", "One of these was denied."),
    ),
    *group(
        "DeReg Requests",
        event("Received", "A binding update with lifetime 0."),
        event("Accepted", "One of these was accepted."),
        event("Denied", "One of these was denied."),
    ),
    *group(
        "Handoff Requests",
        event("Received", "A binding update for a session from another care-of address."),
        event("Accepted", "One of these was accepted and moved the session."),
        event("Denied", "One of these was denied."),
    ),
    *group(
        "Binding Acknowledgements Sent",
        total(
            "Total",
            "Every binding acknowledgement handed over for sending.",
            "binding-acknowledgements-sent/accepted-reg",
            "binding-acknowledgements-sent/accepted-dereg",
            "binding-acknowledgements-sent/denied",
        ),
        event("Accepted Reg", "Acknowledgement with a status below 128 and a lifetime."),
        event("Accepted DeReg", "Acknowledgement with a status below 128 and lifetime 0."),
        event("Denied", "Acknowledgement with a status of 128 or more."),
        event("Send Error", "An acknowledgement could not be sent: no route, socket error, too long."),
        event("Accepted Init Reg", "Acknowledgement with a status below 128 to an initial request."),
    ),
)

_DENIED = (
    *group(
        "Binding Update Deny Reasons",
        *(_deny_row(*reason) for reason in DENY_REASONS),
        extra("Other", "Denied with a status that has no row here."),
    ),
    *group(
        "Update Denied - Insufficient Resource Reasons",
        event(
            "No Session Manager",
            "A new session while 'newcall policy busyout' is set, or the tunnel device is down or gone.",
        ),
        event("No Memory", "A new session while the process has more memory than 'max-memory' says."),
        event("Session Manager Rejected", "A new session beyond 'max-subscribers'."),
        event(
            "Input-Q Exceeded",
            "'max-pending' updates wait already for AAA, or for another gateway's de-registration.",
        ),
        event(
            "Simul Bindings Exceeded",
            "A session, or a care-of address of a host, more than 'simul-bindings' says.",
        ),
        event("Address Alloc Failed", "A new session, or family, for which no pool has anything left."),
        extra("Other", "Status 130 for another reason."),
    ),
    *group(
        "Update Denied - Admin Prohibited Reasons",
        event("MN-AAA Auth Option Missing", "An authentication option of a host is wanted: none there."),
        event(
            "H-bit Not Set",
            "Home registration flag clear: of a host, or of a gateway while 'h-bit-required' is set.",
        ),
        event("Invalid MN-AAA Option SPI", "The SPI of the MN-AAA option is not one we accept."),
        event("Invalid MN-HA Option SPI", "No security association has the SPI of the MN-HA option."),
        event("Congestion Control Denied", "The overload policy refuses new work."),
        event(
            "Policy Rejected",
            "A new session while 'newcall policy reject' is set; forced UDP encapsulation without "
            "'forced-udp-encapsulation'; another care-of address than the source without 'alt-coa-allowed'.",
        ),
        event(
            "HoA Not Authorized",
            "The IPv4 home address asked for is another's, not from here, or not permitted (status 171).",
        ),
        event(
            "No Permission",
            "The subscriber has 'no service enable'; 'no permission pmipv6' is Proxy Reg Not Enabled.",
        ),
        event(
            "Bad Request",
            "Well formed but contradictory: several zero prefixes, zero beside others, one prefix twice, "
            "more than 32 of them, or no acknowledge flag.",
        ),
        extra("Other", "Status 129 for another reason."),
    ),
    *group(
        "Update Denied - Unspecified Reason",
        event(
            "Newer Session detected by AAA",
            "AAA answered with 3GPP result 5453, and no 'newer-session' line names who reports it.",
        ),
        event(
            "Newer Session detected by PCRF",
            "The same, reported by a host that a 'newer-session' line of the AAA group calls a PCRF.",
        ),
        event(
            "Newer Session detected by PCS",
            "The same, reported by a host that a 'newer-session' line of the AAA group calls a PCS (policy "
            "and charging server).",
        ),
        extra("Other", "Status 128 for another reason: no AAA server has answered."),
    ),
    *group(
        "Binding Updates Discard Reasons",
        event("Congestion Discarded", "Dropped without an answer by the overload policy."),
        event("Checksum Error", "Checksum of the mobility header wrong, in IPv6 (over UDP the host checks)."),
        event(
            "Initial Auth Pending",
            "A newer update of its session took its place while it waited for AAA, or one was there before.",
        ),
        event(
            "Session Not Found",
            "A de-registration that fits no session, or is not from the gateway that serves it.",
        ),
        event("HAMGR Not Ready", "An update while 'shutdown' is set: the socket is open, the service not."),
        event(
            "Decode Failure",
            "An option that is cut off, has a wrong length, or is repeated; or Payload Proto is not 59.",
        ),
        event("Invalid Buffer Length", "Shorter than its header says, or than a binding update has to be."),
        event("Revocation Pending", "The session is being revoked."),
        extra(
            "Other",
            "Dropped for another reason: unknown peer with silent policy, no unicast source, denied a moment "
            "ago (quiet-denials), without the IPsec that is required.",
        ),
    ),
)

_TRIGGER = "Binding Revocation Indication sent"
_STATUS = "Binding Revocation Acknowledgement received"

#: The MAG counts the same.
REVOCATION = (
    *group(
        "Binding Revocation",
        event("Sent", "First transmission of a Binding Revocation Indication."),
        event("Retries Sent", "Retransmission of one that got no answer in time."),
        event("Ack Rcvd", "An acknowledgement came that fits an indication we sent."),
        event("Not Acknowledged", "Retries used up without an answer."),
        event("Rcvd", "A Binding Revocation Indication came from a peer."),
        event("Ack Sent", "We answered one."),
        extra("Discarded", "An indication that cannot be read, or came from a node that is no peer."),
    ),
    *group(
        "Sent Revocation Trigger Reasons",
        event("Unspecified", f"{_TRIGGER} with trigger 0: AAA could not go on, or an operator says so.", 0),
        event(
            "Administrative Reason",
            f"{_TRIGGER} with trigger 1: an operator, or a change of pools and profiles.",
            1,
        ),
        event(
            "Inter-MAG Handoff-Same ATT",
            f"{_TRIGGER} with trigger 2, to the former MAG: moved, same access technology.",
            2,
        ),
        event(
            "Inter-MAG - Unknown Handoff",
            f"{_TRIGGER} with trigger 4: an update elsewhere has handoff indicator 4.",
            4,
        ),
        event(
            "Inter-MAG Handoff-Diff ATT",
            f"{_TRIGGER} with trigger 3, to the former MAG: moved to another technology.",
            3,
        ),
        event(
            "Per-Peer Policy",
            f"{_TRIGGER} with trigger 128: all sessions with that peer, also when we stop.",
            128,
        ),
        event(
            "Revoking Node Local Policy",
            f"{_TRIGGER} with trigger 129: the sessions of a realm or a bulk group.",
            129,
        ),
        event(
            "User Initiated Session Term",
            f"{_TRIGGER} with trigger 5: AAA ends the session (abort, time over).",
            5,
        ),
        event(
            "Access Network Session Term",
            f"{_TRIGGER} with trigger 6: AAA or an operator says that the link is gone.",
            6,
        ),
        event(
            "Out-of Sync BCE State",
            f"{_TRIGGER} with trigger 7: a refresh came from a MAG not serving.",
            7,
        ),
        event("Unknown", f"{_TRIGGER} with any other trigger: 250, for testing, by an operator."),
    ),
    *group(
        "Received Revocation ACK Status",
        event("Success", f"{_STATUS} with status 0.", 0),
        event("Partial-Success", f"{_STATUS} with status 1: some of the sessions.", 1),
        event("Binding-Does-Not-Exist", f"{_STATUS} with status 128: the peer has no such session.", 128),
        event("No IPv4-HoA-Bind", f"{_STATUS} with status 129: it misses the IPv4 home address.", 129),
        event("Global-Revoc-Not-Authorized", f"{_STATUS} with status 130.", 130),
        event("Revoc-MN-ID-Required", f"{_STATUS} with status 131: it wants an identifier.", 131),
        event("Revoc-Failed-MN-Attached", f"{_STATUS} with status 132: the mobile node is still there.", 132),
        event("Trigger-Not-Supported", f"{_STATUS} with status 133: the trigger is unknown there.", 133),
        event("Proxy-Bind-Rev-Not-Supported", f"{_STATUS} with status 135.", 135),
        event("Revoc-Func-Not-Supported", f"{_STATUS} with status 134.", 134),
        event("Unknown", f"{_STATUS} with any other status."),
    ),
    *group(
        "Binding Revocation ACK Discarded",
        total(
            "Total",
            "Every revocation acknowledgement that was dropped.",
            "binding-revocation-ack-discarded/*",
        ),
        event(
            "Session Not Found",
            "Its session has ended or goes on since, or it names another mobile node.",
        ),
        event(
            "Badly Formed Request",
            "Its flags are not the indication's, or a group is beside a mobile node.",
        ),
        event("Decode Error", "Its options cannot be read."),
        event("Checksum Error", "Checksum wrong."),
        event("Invalid Message Type", "Its Binding Revocation type is neither 1 nor 2."),
        event("HAMGR Not Ready", "No indication waits for it, and the service is shut down or stops."),
        event(
            "Matching Request Not Found",
            "No indication to its sender has its number and waits for an answer.",
        ),
        event("Invalid Buffer Length", "Shorter than its header says or than its type needs."),
    ),
)

LMA = Table(
    (
        *_AUTHENTICATION,
        *_UPDATES,
        *_DENIED,
        *REVOCATION,
        *tunnel_rows(),
        *group(
            "Total Disconnects",
            event("Lifetime expiry", "A session ended because nobody refreshed it."),
            event("Deregistrations", "A session ended by a de-registration, counted when it is deleted."),
            event("Admin Drops", "A session ended by an operator, AAA or policy."),
            event("Other Reasons", "A session ended otherwise: peer failed, revoked there, replaced."),
        ),
        *unpublished(PATHS),
        *LMA_NOTIFICATIONS,
        *group(
            "Other Mobility Messages",
            extra("Received", "A mobility message that is no binding update."),
            extra("Ignored", "One of a known type that this service has no use for."),
            extra("Unknown Type", "One of a type that is not known."),
            extra("Binding Error Sent", "A Binding Error was sent in answer."),
            extra("Parameter Problem Sent", "An ICMPv6 Parameter Problem was sent in answer."),
        ),
        *HOST_MESSAGES,
        *group(
            "Runtime LMA Assignment",
            extra("Assigned", "A new mobile node was assigned to another anchor (RFC 6463)."),
            extra("Not Assigned", "No other anchor took a new mobile node; its gateway was told so."),
            extra("Served For Others", "An update that another anchor of this process has sent here."),
        ),
    ),
    nested=NESTED,
)
