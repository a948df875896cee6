"""Runtime assignment of another anchor, on the side of the gateway (RFC 6463 section 5.2).

Only the anchor that was asked can send a mobile node elsewhere: an acknowledgement from anybody else matches
no request. Where to is checked (family, unicast, the configured list), and an anchor that is taken and then
never answers a refresh is not the beginning of a circle: after :data:`MOST_REDIRECTS` assignments without a
refresh between them the gateway stops telling that it can be redirected.
"""

from collections import OrderedDict
from ipaddress import ip_address

from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import LoadInformation, Redirect, RedirectCapability
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_entry import INIT, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_messages import STATE_UNKNOWN
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now

NEW_INTERFACE = 1
#: Assignments of one mobile node without a refresh that was accepted between them.
MOST_REDIRECTS = 3
#: Anchors whose load is remembered.
ANCHORS = 64

_ROWS = "runtime-lma-assignment/"


def _option(answer: BindingAcknowledgement) -> Redirect | None:
    return next((each for each in answer.options if isinstance(each, Redirect)), None)


class MagRedirection(MagFeature):
    """Lets anchors send new mobile nodes to other ones, and remembers the load that they tell."""

    def __init__(self, settings: MagSettings, sessions: MagSessions) -> None:
        self._sessions = sessions
        self._loads: OrderedDict[bytes, LoadInformation] = OrderedDict()
        self._take(settings)

    def _take(self, settings: MagSettings) -> None:
        self._on = settings.redirect
        self._indicators = {NEW_INTERFACE} | ({STATE_UNKNOWN} if settings.redirect_unknown_handoff else set())
        self._allowed = settings.redirect_allowed
        self._own = settings.address

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """What has been assigned stays where it is."""
        self._take(settings)

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """Section 5.2: in an update that establishes a new session."""
        entry.redirectable = (
            self._on
            and entry.exchange == INIT
            and not entry.bound
            and entry.handoff in self._indicators
            and entry.redirects < MOST_REDIRECTS
            and not entry.asked
        )
        if entry.redirectable:
            update.options.append(RedirectCapability())

    def objection(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> str:
        """The session is at an anchor that may not be taken: there is no use in it."""
        option = _option(answer)
        if option is None or not entry.redirectable or self._takes(option.address, entry.lma):
            return ""
        self._sessions.count(_ROWS + "refused")
        # The next request says nothing of redirection, and is for the anchor that is asked.
        entry.redirects = MOST_REDIRECTS
        return f"sends it to {ip_address(option.address)}, which is no anchor that may be taken"

    def _takes(self, address: bytes, asked: bytes) -> bool:
        """Section 5.3: a unicast address of the family of the transport; and of the list, if there is one."""
        if len(address) != len(asked) or not is_unicast(address) or address in (asked, self._own):
            return False
        number = int.from_bytes(address, "big")
        return not self._allowed or any(
            len(prefix) == len(address)
            and (number ^ int.from_bytes(prefix, "big")) >> (8 * len(prefix) - length) == 0
            for prefix, length in self._allowed
        )

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Section 5.2: the binding update list entry is of the anchor that serves from now on."""
        option = _option(answer)
        serving = entry.lma
        if option is not None:
            if entry.redirectable:
                self._sessions.count(_ROWS + "taken")
                entry.asked, entry.lma = entry.lma, option.address
                entry.redirects += 1
                serving = option.address
            else:
                self._sessions.count(_ROWS + "ignored")
        else:
            entry.redirects = 0
        entry.redirectable = False
        self._learn(serving, answer)

    def _learn(self, address: bytes, answer: BindingAcknowledgement) -> None:
        for load in answer.options:
            if isinstance(load, LoadInformation):
                self._loads.pop(address, None)
                while len(self._loads) >= ANCHORS:
                    self._loads.popitem(last=False)
                self._loads[address] = load

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """A new session begins where the last one did."""
        if entry.asked:
            entry.lma, entry.asked = entry.asked, b""

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """Who sent it to its anchor, and how busy that is."""
        lines = [("Redirected By", str(ip_address(entry.asked)))] if entry.asked else []
        load = self._loads.get(entry.lma)
        if load is not None:
            lines.append(
                (
                    "LMA Load",
                    f"priority {load.priority}, {load.sessions} of {load.max_sessions} sessions, "
                    f"{load.used_capacity} of {load.max_capacity or 'unlimited'} kB/s",
                )
            )
        return lines
