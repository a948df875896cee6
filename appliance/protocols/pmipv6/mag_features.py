"""What a gateway does beside the plain registration, one class a feature, and where each may take part.

::

    PBU being built ─▶ MagFeature.request      PBA accepted ─▶ MagFeature.answered
    message of another type ─▶ Handler.receive   session over ─▶ MagFeature.ended
    time ─▶ MagFeature.tick
"""

from collections.abc import Callable
from typing import Any

from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.features import Agenda, Handler, joined
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


class MagFeature:
    """Base of all features of a gateway; each hook does nothing."""

    #: ``schedule(mono)``: have :meth:`tick` called at that time, or before.
    schedule: Callable[[float], None]

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

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds; as of :class:`features.Feature`."""
        return None

    def tick(self, now: Now) -> None:
        """Do what has become due; a bounded amount of it."""


class MagFeatures:
    """All features of one gateway."""

    __slots__ = ("agenda", "all", "handlers")

    def __init__(self) -> None:
        self.all: tuple[MagFeature, ...] = ()
        #: By MH type.
        self.handlers: dict[int, Handler] = {}
        #: When :meth:`tick` is wanted next.
        self.agenda = Agenda()

    def add(self, feature: MagFeature, *types: int) -> None:
        """Have a feature take part; ``types``: MH types that it is the :class:`Handler` of."""
        feature.schedule = self.agenda.schedule
        self.all += (feature,)
        handler: Any = feature
        self.handlers = joined(self.handlers, handler, types)

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.reconfigure(settings, now)
        self._rearm()

    def _rearm(self) -> None:
        times = (each.deadline for each in self.all)
        self.agenda.deadline = min((time for time in times if time is not None), default=None)

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

    def tick(self, now: Now) -> None:
        """Let those act that are due."""
        if self.agenda.deadline is None or self.agenda.deadline > now.mono:
            return
        for feature in self.all:
            deadline = feature.deadline
            if deadline is not None and deadline <= now.mono:
                feature.tick(now)
        self._rearm()
