"""What services show to, and do for, the command line. Interfaces and plain data only.

The shell gets one :class:`SystemPort` and reaches everything through it; it never
sees a core, a socket or the reactor. Addresses here are already text, times are
seconds. All calls are made on the reactor thread; those that take time are coroutines.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from attrs import define

from appliance.counters import CounterSet
from appliance.tap import Tapped, TappedMessage


@define(slots=True, kw_only=True)
class SessionView:
    """One session, ready to be printed."""

    call_id: int
    """Shown as eight hexadecimal digits."""
    username: str
    service: str
    state: str
    """``active``, ``deleting`` (MinDelayBeforeBCEDelete), ``registering``, ``deregistering``, ``waiting``."""
    prefixes: tuple[str, ...]
    ipv4_address: str
    """Empty when there is none."""
    ipv4_router: str
    care_of: str
    """Proxy-CoA."""
    anchor: str
    """LMA address."""
    link_layer: str
    access_technology: int
    interface: str
    """MAG: access interface; LMA: empty."""
    link_local: str
    service_selection: str
    encapsulation: str
    """As counted, for example ``6in6`` or ``6in6, 4in6``."""
    send_key: int | None
    receive_key: int | None
    sequence: int
    lifetime: int
    """Granted lifetime, seconds."""
    remaining: int
    created: float
    """Wall clock, seconds since 1970."""
    updated: float
    handoffs: int
    packets_in: int
    """From the mobile node's side, as counted by the tunnel engine."""
    octets_in: int
    packets_out: int
    octets_out: int


@define(slots=True, kw_only=True)
class SessionFilter:
    """Which sessions: empty fields match all. ``*`` and ``$`` are wildcards in ``username``."""

    username: str = ""
    ip_address: str = ""
    call_id: int = 0


class ServicePort(Protocol):
    """One configured service."""

    kind: str
    """``lma`` or ``mag``."""
    name: str
    context: str
    state: str
    """``Started`` or ``Initialized`` (bound to nothing)."""
    counters: CounterSet

    def facts(self) -> list[tuple[str, str]]:
        """Label and value pairs of ``show lma-service name NAME``, in screen order."""

    def session_count(self) -> int:
        """How many sessions there are now."""

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """The sessions that match, one by one."""

    def clear_sessions(self, wanted: SessionFilter) -> int:
        """End the sessions that match; returns how many."""


class MagPort(ServicePort, Protocol):
    """What a MAG service can do on top."""

    def attach(self, mn_id: str, interface: str, link_layer: str, handoff: int) -> str:
        """Register a mobile by hand; returns an empty text, or why it cannot be done."""

    def detach(self, mn_id: str, interface: str, link_layer: str) -> str:
        """De-register by hand; returns an empty text, or why it cannot be done."""


@define(slots=True, kw_only=True, frozen=True)
class TapFilter:
    """Which messages of the services to see: all that is not empty has to fit."""

    service: str = ""
    username: str = ""
    """NAI of a mobile node; ``*`` and ``$`` are wildcards."""
    imsi: str = ""
    """Digits: of NAIs that begin with them, also behind the digit of TS 23.003 for EAP."""
    ip_address: str = ""
    """IPv4 home address, or an address in a home network prefix."""
    call_id: int = 0
    next_call: bool = False
    """The next mobile node that gets a session, one after the other."""
    peer: str = ""
    """Address of the other side."""


class SubscriptionPort(Protocol):
    """A bounded stream of what the services receive and send."""

    @property
    def lost(self) -> int:
        """How many messages were dropped because they were not taken in time."""

    def take(self, most: int = 0) -> list[Tapped]:
        """The oldest ``most`` (0: all) that were not taken yet."""

    def close(self) -> None:
        """End it."""


class TapPort(Protocol):
    """Watching the signalling of the services."""

    def subscribe(self, wanted: TapFilter, limit: int) -> SubscriptionPort:
        """Begin to see what fits; at most ``limit`` wait to be taken. Raises ApplianceError."""

    def describe(self, message: TappedMessage, level: int) -> list[str]:
        """The message in words; ``level`` 1 (one line) to 5 (everything)."""

    def hexdump(self, message: TappedMessage, text: bool) -> list[str]:
        """Its octets, also as characters if ``text``."""


@define(slots=True, kw_only=True)
class CaptureView:
    """One capture to a file."""

    file: str
    state: str
    """``Running``, or why it ended."""
    filter: str
    """As it was typed."""
    packets: int
    """Written to the file."""
    octets: int
    """Size of the file."""
    dropped: int
    """Messages that are missing because the disk was too slow."""
    since: float
    """Wall clock, seconds since 1970."""
    limit: int
    """Largest size of the file, octets."""


class CapturePort(Protocol):
    """Captures of signalling to pcapng files."""

    async def start(self, file: str, wanted: TapFilter, limit: int, duration: int) -> None:
        """Begin a new file of at most ``limit`` octets, for ``duration`` seconds (0: until stopped).

        Raises ApplianceError.
        """

    async def stop(self, file: str = "") -> list[CaptureView]:
        """End the capture to ``file`` (empty: all) and finish the file. Raises ApplianceError."""

    def views(self) -> list[CaptureView]:
        """Running captures, and the last ones that ended; oldest first."""


@define(slots=True, kw_only=True)
class Operator:
    """Who is at the other end of a shell."""

    user: str
    rights: str
    """Privilege level, one of ``management.RIGHTS``."""
    origin: str
    """Where from: ``control socket``, or address and port of an SSH client."""
    service: str
    """``console`` or ``ssh``."""
    tty: str = ""
    """Name shown for the terminal, for example ``ssh/3``; empty for a command without one."""
    since: float = 0.0
    """Wall clock, seconds since 1970."""
    number: int = 0
    """Number of the session in this process, from 1."""
    active: float = 0.0
    """Wall clock of the last key or command."""


class Plan(Protocol):
    """A change of the running configuration that has passed every check and is not made yet."""

    configuration: Any
    """What will be running (``config.Configuration``)."""
    sessions: int
    """How many sessions of mobile nodes it ends."""
    notes: list[str]
    """What it does to running services, a line each, for the question before it: ``lma-service lma1
    starts anew``."""


class SystemPort(Protocol):
    """The process as the shell sees it."""

    configuration: Any
    """What runs now (``config.Configuration``); replaced as a whole by every change."""
    tap: TapPort
    captures: CapturePort

    async def plan(self, tree: Any) -> Plan:
        """Check a whole configuration tree and find out what changes. Raises ApplianceError, one line
        for each fault."""

    async def apply(self, plan: Plan) -> bool:
        """Make the change; false (and nothing done) if the configuration has changed since it was planned.

        Raises ApplianceError when something of the host refuses; then everything is as before.
        """

    def audit(self, operator: Operator, event: str, text: str, result: str) -> None:
        """Note in the audit log who did what: ``event`` is ``configure``, ``command``, ``log-in``, ...;
        ``text`` holds no secret; ``result`` is ``ok`` or why not."""

    def operators(self) -> list[Operator]:
        """Who is logged in, oldest first."""

    def end_operator(self, number: int, reason: str) -> bool:
        """End the session of that number and tell its operator why; false if there is none."""

    boot_file: str
    """Path of the file that was booted; empty if it was standard input."""

    async def read_file(self, path: str) -> str:
        """The text of a file. Raises ApplianceError if it cannot be read, is too long or no UTF-8."""

    async def write_file(self, path: str, text: str) -> None:
        """Write a file for its owner only, in one step: the old one stays whole if anything fails.

        Raises ApplianceError.
        """

    def file_exists(self, path: str) -> bool:
        """Whether there is a file of that name."""

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The services of a kind and name; empty means all."""

    def uptime(self) -> float:
        """Seconds since the process started."""

    def wall(self) -> float:
        """Seconds since 1970."""

    def status(self) -> list[tuple[str, str]]:
        """Label and value pairs of ``show system``: loop lag, memory, queues."""
