"""What a home agent does beside the plain home registration, one class a feature, and where each takes part.

::

    update ─▶ BEFORE ─▶ HostFeature.before ─▶ authentic? ─▶ AFTER ─▶ HostFeature.check ─▶ Registrations
                                           made, extended, moved ─▶ HostFeature.accepted ◀──┤
                                                   de-registered ─▶ HostFeature.left ◀──────┘
                                                 binding is gone ─▶ HostFeature.ended
    message of another MH type ─▶ HostHandler.receive       an event of its own ─▶ HostFeatures.events
    time ─▶ HostFeature.tick

The features of an anchor (``pmipv6/features.py``) are about sessions of gateways; these are about hosts.
"""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.protocols.mipv6.binding import HostBinding
from appliance.protocols.mipv6.events import OptionsReceived
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility.rows import Message
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.pmipv6.features import Acting, Agenda, Group
from appliance.protocols.pmipv6.lma_request import Verdict
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class HostHandler(Protocol):
    """Takes the messages of one MH type (other than 5) that came with a Home Address option."""

    def receive(self, event: PacketReceived, message: Message, home: bytes, now: Now) -> None:
        """Take one that could be read without a fault, with its checksum right; its source is the care-of
        address."""

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used, as of an anchor's handler."""


class HostFeature(Acting):
    """Base of all of them; each hook does nothing.

    ``settings`` are the service's; a feature looks at them when it is made and at each :meth:`reconfigure`.
    """

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings."""

    def before(self, request: HostRequest, now: Now) -> Verdict | None:
        """Why an update is discarded, before anything is known of who has sent it."""
        return None

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """Why an authentic update is refused; after the checks of RFC 6275, for de-registrations too."""
        return None

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Take part in a registration: its binding is made (``first``), extended or moved, and all of its
        plain fields are set; the tunnel follows what is in ``entry`` afterwards.

        Options for the answer go to ``request.answer_options``, flags to ``request.answer_flags``, another
        status below 128 to ``request.answer_status``. A verdict refuses the update; only allowed when
        ``first``, and for a feature that has changed nothing yet.
        """
        return None

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """A binding, or some of its care-of addresses, was de-registered; answers as of :meth:`accepted`."""

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Let go of a binding that is gone."""

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """What an operator is shown of a binding: labels and texts."""
        return []

    def depart(self, now: Now) -> bool:
        """The service is about to stop; False: it has nothing to say, and does nothing any more."""
        return False

    @property
    def departed(self) -> bool:
        """Whether all is said, and answered, since :meth:`depart`."""
        return True


class _NestedAgenda(Agenda):
    """Tells the anchor's agenda too; that one knows nobody, so nothing refers to itself by it."""

    __slots__ = ("outer",)

    def __init__(self) -> None:
        super().__init__()
        self.outer: Agenda | None = None

    def schedule(self, mono: float) -> None:
        super().schedule(mono)
        if self.outer is not None:
            self.outer.schedule(mono)


class HostFeatures(Group[HostFeature]):
    """All features of one home agent. ``handlers`` are :class:`HostHandler`, by MH type."""

    __slots__ = ("_accepting", "_checking", "_early", "events", "payloads")

    def __init__(self) -> None:
        super().__init__()
        self.agenda: _NestedAgenda = _NestedAgenda()
        #: Those that have a part in every update, by the hook: most have not.
        self._early: tuple[HostFeature, ...] = ()
        self._checking: tuple[HostFeature, ...] = ()
        self._accepting: tuple[HostFeature, ...] = ()
        #: Who takes events of a class of its own (a ``HostEvent``), called with the event and ``now``.
        self.events: dict[type, Callable[[Any, Now], None]] = {}
        #: Who takes what a bound host has sent with a Home Address option that is no mobility message, by
        #: protocol number; called with the packet, where the payload begins, the binding and ``now``.
        self.payloads: dict[int, Callable[[OptionsReceived, int, BindingCacheEntry, Now], None]] = {}

    def add(self, feature: HostFeature, *types: int) -> None:
        """As of :class:`Group`."""
        super().add(feature, *types)
        kind = type(feature)
        self._early += (feature,) * (kind.before is not HostFeature.before)
        self._checking += (feature,) * (kind.check is not HostFeature.check)
        self._accepting += (feature,) * (kind.accepted is not HostFeature.accepted)

    def nest(self, agenda: Agenda) -> None:
        """Have them ticked with the features of the anchor."""
        self.agenda.outer = agenda
        if self.agenda.deadline is not None:
            agenda.schedule(self.agenda.deadline)

    def close(self) -> None:
        """Let go of all features, which refer back to the core."""
        self.all = self._early = self._checking = self._accepting = ()
        self.handlers, self.events, self.payloads = {}, {}, {}

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.reconfigure(settings, now)

    def before(self, request: HostRequest, now: Now) -> Verdict | None:
        """The first verdict."""
        for feature in self._early:
            verdict = feature.before(request, now)
            if verdict is not None:
                return verdict
        return None

    def check(self, request: HostRequest, now: Now) -> Verdict | None:
        """The first verdict."""
        for feature in self._checking:
            verdict = feature.check(request, now)
            if verdict is not None:
                return verdict
        return None

    def accepted(
        self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, first: bool, now: Now
    ) -> Verdict | None:
        """Let all take part, or up to the first one that refuses."""
        for feature in self._accepting:
            verdict = feature.accepted(request, entry, host, first, now)
            if verdict is not None:
                return verdict
        return None

    def left(self, request: HostRequest, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.left(request, entry, host, now)

    def ended(self, entry: BindingCacheEntry, host: HostBinding, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.ended(entry, host, now)

    def depart(self, now: Now) -> None:
        """From now on only those are left that have something to say."""
        self.all = tuple(feature for feature in self.all if feature.depart(now))
        self.payloads = {}

    @property
    def departed(self) -> bool:
        """Whether all of them are done."""
        return all(feature.departed for feature in self.all)

    def details(self, entry: BindingCacheEntry, host: HostBinding) -> list[tuple[str, str]]:
        """What all of them have to show."""
        return [line for feature in self.all for line in feature.details(entry, host)]
