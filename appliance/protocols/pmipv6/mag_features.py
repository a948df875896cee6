"""What a gateway does beside the plain registration, one class a feature, and where each may take part.

::

    PBU being built ─▶ MagFeature.request      PBA accepted ─▶ MagFeature.answered
    message of another type ─▶ Handler.receive   session over ─▶ MagFeature.ended
    time ─▶ MagFeature.tick
"""

from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.features import Acting, Group
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


class MagFeature(Acting):
    """Base of all features of a gateway; each hook does nothing."""

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Go on by other settings. Called once before anything else."""

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """Add options and flags to an update that is about to be sent; ``entry.exchange`` says its kind."""

    def unusable(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement) -> str:
        """Why an answer to a request of ours has to be ignored altogether; empty: it may be used."""
        return ""

    def objection(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> str:
        """Why there is no use in an accepted registration; empty: there is."""
        return ""

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Take from an accepted registration (not a de-registration) what is the feature's; the session is
        installed after this."""

    def unmatched(self, event: PacketReceived, answer: BindingAcknowledgement, now: Now) -> bool:
        """Whether an acknowledgement that is about no single mobile node is the feature's, and done with."""
        return False

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """Let go of a binding that is no more."""

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """What an operator is shown of a session: labels and texts."""
        return []


class MagFeatures(Group[MagFeature]):
    """All features of one gateway."""

    __slots__ = ()

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.reconfigure(settings, now)
        self._rearm()

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """Let all of them add to an update."""
        for feature in self.all:
            feature.request(entry, update, now)

    def unusable(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement) -> str:
        """The first reason to ignore an answer."""
        return next(filter(None, (feature.unusable(entry, answer) for feature in self.all)), "")

    def objection(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> str:
        """The first objection to an answer."""
        return next(filter(None, (each.objection(entry, answer, now) for each in self.all)), "")

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Let all of them take from an answer."""
        for feature in self.all:
            feature.answered(entry, answer, now)

    def unmatched(self, event: PacketReceived, answer: BindingAcknowledgement, now: Now) -> bool:
        """Whether one of them knows what the acknowledgement is about."""
        return any(feature.unmatched(event, answer, now) for feature in self.all)

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.ended(entry)
