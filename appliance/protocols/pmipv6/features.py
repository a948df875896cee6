"""What an anchor does beside the plain registration, one class a feature, and where each may take part.

::

    message of another type ─▶ Handler.receive          (revocation, heartbeat, notifications)
    update ─▶ checks, look-up ─▶ Feature.check ─▶ Sessions ─▶ Feature.accepted ─▶ PBA
                                                   └─ ended ─▶ Feature.ended
    time ─▶ Feature.tick

A plain update of a plain session costs no call: features are asked only about an update that has options
of theirs, about a handover, about a session that has :class:`Extras`, or if they say that they ``watch`` all
of them.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from appliance.protocols.mobility.codec import REVOCATION_TYPE, TOO_SHORT
from appliance.protocols.mobility.rows import Message
from appliance.protocols.pmipv6.bce import BindingCacheEntry, Found
from appliance.protocols.pmipv6.events import Install, PacketReceived
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now

#: Why :meth:`Handler.discarded` is called.
LENGTH, CHECKSUM, MALFORMED, KIND = "length", "checksum", "malformed", "kind"


def reason(kinds: set[str]) -> str:
    """What a handler is told of a message with faults of these kinds."""
    if TOO_SHORT in kinds:
        return LENGTH
    return KIND if REVOCATION_TYPE in kinds else MALFORMED


class Handler(Protocol):
    """Takes the messages of one MH type (other than 5 and 6) that came in."""

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take one that could be read without a fault, with its checksum right."""

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used: ``length``, ``checksum``, ``malformed``, or ``kind`` (a Binding
        Revocation type that is neither 1 nor 2)."""


class Acting:
    """What the features of anchors and gateways have in common: they act when it is time."""

    #: ``schedule(mono)``: have :meth:`tick` called at that time, or before.
    schedule: Callable[[float], None]

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` is wanted next, in monotonic seconds.

        It is asked after each tick; whoever makes it earlier between two ticks says so to
        :attr:`schedule`.
        """
        return None

    def tick(self, now: Now) -> None:
        """Do what has become due; a bounded amount of it."""


class Feature(Acting):
    """Base of all features of an anchor; each hook does nothing.

    ``settings`` are the service's; a feature looks at them at each :meth:`reconfigure`.
    """

    #: Whether :meth:`check` and :meth:`accepted` want every update, not only those with options or extras.
    watches = False

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Go on by other settings. Called once before anything else."""

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """Why an update is refused; called after the checks of RFC 5213, before AAA is asked."""
        return None

    def divert(self, request: Request, now: Now) -> bool:
        """In a congestion: send a new mobile node to another anchor. False: this is for others to do."""
        return False

    def accepted(self, request: Request, entry: BindingCacheEntry, before: "Before", now: Now) -> None:
        """Take part in an update that is accepted: its session is made, extended, moved or de-registered.

        Options for the answer go to ``request.answer_options``; another status below 128, or 179, to
        ``request.answer_status``.
        """

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """Let go of a session that is gone; only called for one with extras, or if it ``watches``."""

    def left(self, entry: BindingCacheEntry) -> None:
        """The gateway in ``Features.former`` has de-registered, or revoked, its part in a session."""

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """What an operator is shown of a session with extras: labels and texts."""
        return []

    #: To be called when ``watches`` has changed.
    rewatch: Callable[[], None]


class Before:
    """What a session was like before an update; of a new one all fields are empty."""

    __slots__ = ("care_of", "deleting", "forwarding", "gateway", "local", "new", "port", "technology")

    def __init__(self, entry: BindingCacheEntry | None) -> None:
        self.new = entry is None
        #: How its packets were forwarded.
        self.forwarding: Install | None = None
        self.care_of = b"" if entry is None else entry.care_of
        self.local = b"" if entry is None else entry.local
        self.technology = 0 if entry is None else entry.technology
        self.deleting = entry is not None and entry.deleting
        self.port = 0 if entry is None or entry.extras is None else entry.extras.port
        self.gateway = None if entry is None or entry.extras is None else entry.extras.gateway

    @property
    def who(self) -> bytes:
        """The gateway that had it, as :func:`extras.served_by` names it."""
        return self.care_of if self.gateway is None else self.care_of + self.gateway.suffix

    def moved(self, entry: BindingCacheEntry) -> bool:
        """Whether the update has handed the session over to another gateway."""
        gateway = None if entry.extras is None else entry.extras.gateway
        return not self.new and (self.care_of != entry.care_of or self.gateway is not gateway)


class Agenda:
    """When the earliest of several features wants to act; it knows none of them, so that no feature refers to
    itself by :attr:`Feature.schedule`, and all goes with the service that they are of."""

    __slots__ = ("deadline",)

    def __init__(self) -> None:
        #: Monotonic seconds; ``None``: no feature wants to.
        self.deadline: float | None = None

    def schedule(self, mono: float) -> None:
        """One of them wants to act at that time, or before."""
        if self.deadline is None or mono < self.deadline:
            self.deadline = mono


F = TypeVar("F", bound=Acting)


class Group(Generic[F]):
    """The features of one anchor or gateway: whose messages are whose, and when which of them acts."""

    __slots__ = ("agenda", "all", "handlers")

    def __init__(self) -> None:
        self.all: tuple[F, ...] = ()
        #: By MH type.
        self.handlers: dict[int, Handler] = {}
        #: When :meth:`tick` is wanted next.
        self.agenda = Agenda()

    def add(self, feature: F, *types: int) -> None:
        """Have a feature take part; ``types``: MH types that it is the :class:`Handler` of."""
        feature.schedule = self.agenda.schedule
        self.all += (feature,)
        handler: Any = feature
        self.handle(handler, *types)

    def handle(self, handler: Handler, *types: int) -> None:
        """Give it the messages of these MH types; ValueError if another one has them already."""
        taken = [number for number in types if number in self.handlers]
        if taken:
            raise ValueError(f"two handlers for MH types {taken}")
        self.handlers |= dict.fromkeys(types, handler)

    def close(self) -> None:
        """Let go of all features, which refer to each other and back to the core."""
        self.all = ()
        self.handlers = {}

    def _rearm(self) -> None:
        times = (each.deadline for each in self.all)
        self.agenda.deadline = min((time for time in times if time is not None), default=None)

    def tick(self, now: Now) -> None:
        """Let those act that are due."""
        if self.agenda.deadline is None or self.agenda.deadline > now.mono:
            return
        for feature in self.all:
            deadline = feature.deadline
            if deadline is not None and deadline <= now.mono:
                feature.tick(now)
        self._rearm()


class Features(Group[Feature]):
    """All features of one anchor."""

    __slots__ = ("former", "watching")

    def __init__(self) -> None:
        super().__init__()
        self.watching: tuple[Feature, ...] = ()
        #: By call id, the gateway that a session still has beside the serving one (RFC 6058), as
        #: :func:`extras.served_by` names it.
        self.former: dict[int, bytes] = {}

    def add(self, feature: Feature, *types: int) -> None:
        """As of :class:`Group`."""
        feature.rewatch = self._rewatch
        super().add(feature, *types)
        self._rewatch()

    def _rewatch(self) -> None:
        self.watching = tuple(each for each in self.all if each.watches)

    def close(self) -> None:
        """As of :class:`Group`."""
        super().close()
        self.watching = ()

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """Tell all of them."""
        for feature in self.all:
            feature.reconfigure(settings, now)
        self._rewatch()
        self._rearm()

    def concerned(self, request: Request) -> tuple[Feature, ...]:
        """Those that want to hear of an update."""
        entry = request.entry
        if request.others or (
            entry is not None and (entry.extras is not None or entry.care_of != request.care_of)
        ):
            return self.all
        return self.watching

    def check(self, request: Request, found: Found, now: Now) -> Verdict | None:
        """The first verdict of those concerned."""
        for feature in self.concerned(request):
            verdict = feature.check(request, found, now)
            if verdict is not None:
                return verdict
        return None

    def left(self, entry: BindingCacheEntry) -> None:
        """Tell all of them that a former gateway has de-registered, or revoked, a session."""
        for feature in self.all:
            feature.left(entry)

    def ended(self, entry: BindingCacheEntry, now: Now) -> None:
        """Tell those concerned."""
        for feature in self.watching if entry.extras is None else self.all:
            feature.ended(entry, now)
