"""Adding an IPv4 home address to a gateway's session, and giving it back alone (RFC 5844 section 3.2.3.3)."""

from appliance.protocols.pmipv6.mag_entry import ACTIVE, DROP_IPV4, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED, STATE_UNKNOWN
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.timers import Now

#: How often the address is given back; the anchor keeps what it does not hear of until the lifetime ends.
TRIES = 2


def wanted(sessions: MagSessions, entry: BindingUpdateListEntry, now: Now) -> None:
    """The mobile node of a session asks for an address."""
    entry.ipv4_wanted = True
    if entry.state == ACTIVE and not entry.exchange:
        ask_again(sessions, entry, now)


def ask_again(sessions: MagSessions, entry: BindingUpdateListEntry, now: Now) -> None:
    """Register once more if the last request did not ask for the address that is wanted by now."""
    refused = sessions.refused.get(entry.mn_id, ())
    if entry.policy.ipv4 and entry.ipv4_wanted and not entry.ipv4_asked and "ipv4" not in refused:
        sessions.start(entry, RENEW, NOT_CHANGED, now)


def released(sessions: MagSessions, entry: BindingUpdateListEntry, now: Now) -> bool:
    """The mobile node gives its address back; False: there is nothing else, so the whole session ends."""
    if entry.ipv4_address is None:
        return True
    if not entry.prefixes:
        return False
    entry.ipv4_wanted = False
    entry.ipv4_returned, entry.ipv4_address, entry.ipv4_router = entry.ipv4_address, None, None
    sessions.install(entry)
    sessions.advertise(entry, now)
    sessions.start(entry, DROP_IPV4, STATE_UNKNOWN, now)
    return True


def timed_out(sessions: MagSessions, entry: BindingUpdateListEntry, now: Now) -> None:
    """No answer came."""
    if entry.attempts < TRIES:
        sessions.send(entry, now)
    else:
        returned(sessions, entry, now)


def returned(sessions: MagSessions, entry: BindingUpdateListEntry, now: Now) -> None:
    """The exchange is over; the session is refreshed when it was due to be."""
    entry.exchange, entry.sent = "", ()
    entry.ipv4_returned, entry.ipv4_prefix_length = None, 0
    entry.next_at = max(now.mono, entry.renew_at)
    # The mobile node may have asked for an address again meanwhile.
    ask_again(sessions, entry, now)
