"""LMA-Controlled MAG Parameters at the gateway (RFC 8127 section 5.2): the anchor's timers for ours."""

from appliance.protocols.mobility.messages import BindingAcknowledgement
from appliance.protocols.mobility.options import LmaControlledMagParameters
from appliance.protocols.pmipv6.controlled import HEARTBEAT, REREGISTRATION, numbers
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_heartbeat import MagHeartbeat
from appliance.protocols.pmipv6.mag_messages import LIFETIME_UNIT
from appliance.protocols.timers import Now


def _option(answer: BindingAcknowledgement) -> LmaControlledMagParameters | None:
    for option in answer.options:
        if isinstance(option, LmaControlledMagParameters):
            return option
    return None


class MagParameters(MagFeature):
    """Obeys; what an anchor does not say is as it is configured here."""

    def __init__(self, heartbeat: MagHeartbeat) -> None:
        self._heartbeat = heartbeat

    def unusable(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement) -> str:
        """Section 5.2: a zero, but for the delay of heartbeats, makes the whole answer be ignored."""
        option = _option(answer)
        if option is None:
            return ""
        timers, heartbeat = numbers(option, REREGISTRATION), numbers(option, HEARTBEAT)
        if (timers is not None and 0 in timers) or (
            heartbeat is not None and 0 in (heartbeat[0], heartbeat[2])
        ):
            return "a value of its LMA-Controlled MAG Parameters is 0"
        return ""

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Take the timers over; the refresh is put where the anchor wants it."""
        option = _option(answer)
        timers = None if option is None else numbers(option, REREGISTRATION)
        entry.timers = timers
        if timers is not None:
            before = LIFETIME_UNIT * timers[0]
            # A binding that is shorter than that is renewed as configured here.
            if before < entry.lifetime:
                entry.next_at = entry.sent_at + max(1.0, entry.lifetime - before)
        self._heartbeat.controlled(entry.lma, None if option is None else numbers(option, HEARTBEAT), now)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """The timers went with the binding."""
        entry.timers = None

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """What the anchor wants of this session."""
        if entry.timers is None:
            return []
        start, first, longest = entry.timers
        text = f"renewal {LIFETIME_UNIT * start} s before the end, time-outs {first} to {longest} s"
        return [("LMA-Controlled Timers", text)]
