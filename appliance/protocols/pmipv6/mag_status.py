"""What a MAG does about each status of a Proxy Binding Acknowledgement.

Sources: RFC 5213 section 6.9.1.2, RFC 5844 section 3.2.3, RFC 5845 section 3.3.1, RFC 7148 section 5.1.2,
RFC 7222 section 5.2.
"""

from appliance.protocols.mobility import status as codes

ACCEPT = "accept"
SEQUENCE = "sequence"
"""Take over the returned sequence number and send again."""
AGAIN = "again"
"""Register again later with a fresh timestamp; a binding that exists stays as it is."""
ANY_PREFIX = "any prefix"
"""Ask again with one zero home network prefix instead of the ones refused."""
ANY_ADDRESS = "any address"
"""Ask again for any IPv4 home address instead of the one refused."""
NO_IPV4 = "no IPv4"
"""Do not ask for IPv4 until an operator acts; go on with IPv6."""
NO_IPV6 = "no IPv6"
"""Do not ask for prefixes until an operator acts; go on with IPv4."""
WITH_KEY = "with GRE key"
"""Send again with a GRE Key option."""
NO_DELEGATION = "no delegation"
"""Ask for no delegated prefixes (177), or for any instead of the ones refused (178)."""
BLOCK = "block"
"""Do not register this mobile node until an operator acts."""
REJECT = "reject"
"""No service for now; later attempts are spaced out."""

_REACTIONS = {
    codes.SEQUENCE_NUMBER_OUT_OF_WINDOW: SEQUENCE,
    codes.PROXY_REG_NOT_ENABLED: BLOCK,
    codes.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX: ANY_PREFIX,
    codes.TIMESTAMP_MISMATCH: AGAIN,
    codes.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED: AGAIN,
    codes.MISSING_HOME_NETWORK_PREFIX_OPTION: ANY_PREFIX,
    codes.BCE_PBU_PREFIX_SET_DO_NOT_MATCH: ANY_PREFIX,
    codes.GRE_KEY_OPTION_REQUIRED: WITH_KEY,
    codes.NOT_AUTHORIZED_FOR_IPV4_MOBILITY_SERVICE: NO_IPV4,
    codes.NOT_AUTHORIZED_FOR_IPV4_HOME_ADDRESS: ANY_ADDRESS,
    codes.NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE: NO_IPV6,
    codes.NOT_AUTHORIZED_FOR_DELEGATED_MNP: NO_DELEGATION,
    codes.REQUESTED_DMNP_IN_USE: NO_DELEGATION,
    # RFC 7222 section 5.2: the session stays, only the quality of service is refused.
    codes.CANNOT_MEET_QOS_SERVICE_REQUEST: ACCEPT,
}


def reaction(status: int) -> str:
    """Give what to do about ``status`` (0..255): one of the names above."""
    return ACCEPT if status < 128 else _REACTIONS.get(status, REJECT)


def describe(status: int) -> str:
    """Give ``status`` as number and name."""
    name = codes.NAMES.get(status)
    return str(status) if name is None else f"{status} ({name})"
