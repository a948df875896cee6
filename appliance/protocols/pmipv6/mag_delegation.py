"""Prefixes for the network behind a mobile router, at the gateway (RFC 7148 section 5.1).

What the configuration names is asked for with the session, an IPv6 prefix also when the mobile router wants
one by DHCPv6. What it is told then is what its session has (``access/dhcp6_link.py``): the gateway is the
delegating router of section 5.1.3.1. Packets from and to the prefixes are the tunnel engine's work: they
belong to the session, so its ingress filter and its routes hold for them (section 5.1.4).
"""

from ipaddress import ip_address

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import DelegatedMobileNetworkPrefix
from appliance.protocols.pmipv6.events import PrefixesWanted
from appliance.protocols.pmipv6.lma_delegation import MOST
from appliance.protocols.pmipv6.mag_entry import ACTIVE, DEREG, RENEW, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import NOT_CHANGED
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now

Prefix = tuple[bytes, int]
_ANY: Prefix = (bytes(16), 0)


class MagDelegation(MagFeature):
    """Asks for delegated prefixes, and has the session carry them."""

    def __init__(self, settings: MagSettings, sessions: MagSessions) -> None:
        self._sessions = sessions
        self._take(settings)

    def _take(self, settings: MagSettings) -> None:
        self._on_demand = settings.delegation_on_demand
        self._lines = settings.delegations
        self._wishes: dict[bytes, list[Prefix]] = {}
        for line in settings.delegations:
            self._wishes.setdefault(line.mn_id, []).append((line.prefix, line.length))

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Ask for other prefixes from the next update on; what was refused was another request."""
        self._on_demand = settings.delegation_on_demand
        if settings.delegations == self._lines:
            return
        self._take(settings)
        for entry in self._sessions.list.by_call_id.values():
            entry.delegation_refused = 0

    def _asked(self, entry: BindingUpdateListEntry) -> list[Prefix]:
        """Section 5.1.2: what the profile names, or one zero prefix of a family; then what was given."""
        wishes = self._wishes.get(entry.mn_id, [])
        if self._on_demand and entry.delegation_wanted and not any(len(each) == 16 for each, _ in wishes):
            wishes = [*wishes, _ANY]
        if not wishes or entry.delegation_refused == codes.NOT_AUTHORIZED_FOR_DELEGATED_MNP:
            return []
        if entry.delegation_refused == codes.REQUESTED_DMNP_IN_USE:
            # Section 5.1.2: let the anchor assign some, of the families that were asked for.
            wishes = [(bytes(family), 0) for family in sorted({len(prefix) for prefix, _ in wishes})]
        found: list[Prefix] = []
        for prefix, length in wishes:
            given = [each for each in entry.delegated if len(each[0]) == len(prefix)]
            found += [(prefix, length)] if any(prefix) or not given else given
        return list(dict.fromkeys(found))[:MOST]

    def wanted(self, event: PrefixesWanted, now: Now) -> None:
        """Section 5.1.3.1: ask the anchor at once, or give it back; a session that is being asked about
        goes on, and the mobile router asks again."""
        for entry in self._sessions.list.at(event.interface, event.link_layer, b""):
            entry.delegation_wanted = event.wanted
            if self._on_demand and entry.state == ACTIVE and not entry.exchange:
                self._sessions.start(entry, RENEW, NOT_CHANGED, now)
                self._sessions.arm(entry)

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """One option for each prefix; a de-registration gives all of them back without naming them."""
        if entry.exchange != DEREG:
            update.options += [
                DelegatedMobileNetworkPrefix(length, prefix) for prefix, length in self._asked(entry)
            ]

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Section 5.1.2: the list is what the acknowledgement says; nothing that was not asked for."""
        if not self._asked(entry):
            entry.delegated = ()
            return
        entry.delegated = tuple(
            (option.prefix, option.prefix_length)
            for option in answer.options
            if option.__class__ is DelegatedMobileNetworkPrefix and _usable(option)
        )[:MOST]

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """They went with the binding."""
        entry.delegated = ()

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """A prefix a line."""
        return [("Delegated Prefix", f"{ip_address(prefix)}/{length}") for prefix, length in entry.delegated]


def _usable(option: DelegatedMobileNetworkPrefix) -> bool:
    """Whether a prefix can be routed to a mobile node: global unicast, and nothing set behind its length."""
    prefix, bits = option.prefix, 8 * len(option.prefix)
    if not any(prefix) or not 0 < option.prefix_length <= bits:
        return False
    if int.from_bytes(prefix, "big") & ((1 << (bits - option.prefix_length)) - 1):
        return False
    if len(prefix) == 4:
        return prefix[0] not in (0, 127) and prefix[0] < 224
    return prefix[0] != 0xFF and not (prefix[0] == 0xFE and prefix[1] & 0xC0 == 0x80)
