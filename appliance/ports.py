"""What services show to, and do for, the command line. Interfaces and plain data only.

The shell gets one :class:`SystemPort` and reaches everything through it; it never
sees a core, a socket or the reactor. Addresses here are already text, times are
seconds. All calls are made on the reactor thread; those that take time are coroutines.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

from attrs import define, field

from appliance.counters import CounterSet
from appliance.ports_aaa import AaaPort
from appliance.ports_load import CongestionView, QueueView
from appliance.tap import Tapped, TappedDiameter, TappedMessage


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
    of_host: bool = False
    """A host has registered it itself (RFC 6275)."""
    details: tuple[tuple[str, str], ...] = ()
    """What only some sessions have: label and text, in the order of the full screen."""


@define(slots=True, kw_only=True)
class SessionFilter:
    """Which sessions: empty fields match all. ``*`` and ``$`` are wildcards in ``username``."""

    username: str = ""
    ip_address: str = ""
    call_id: int = 0
    imsi: str = ""
    """Digits of an IMSI or MSID: of the user part of a 3GPP NAI, or of an MN-ID that is an IMSI."""


#: Upper ends, in seconds, of the classes of session ages in a census; the last class has no end.
AGES = (60, 120, 300, 900, 3_600, 14_400, 43_200, 86_400)


@define(slots=True)
class Census:
    """How many sessions there are of each sort."""

    kinds: dict[tuple[str, bool, bool, bool], int] = field(factory=dict)
    """By state, whether it has an IPv6 prefix, whether it has an IPv4 address, whether it is a host's."""
    ages: list[int] = field(factory=lambda: [0] * (len(AGES) + 1))
    """By class of ``AGES``: how long ago it was created."""


@define(slots=True, kw_only=True)
class PoolView:
    """One pool of a service."""

    name: str
    service: str
    context: str
    family: int
    """IP version of what is handed out: 4 or 6."""
    first: str
    """IPv6: the pool's prefix with its length; IPv4: the first address."""
    last: str
    """IPv4: the last address; IPv6: empty."""
    length: int
    """Prefix length of one home network prefix; 32 for addresses."""
    group: str
    static: bool
    """Only handed out to subscribers that name the pool."""
    size: int
    """How many prefixes or addresses there are that can be handed out."""
    in_use: int


class ServicePort(Protocol):
    """One configured service."""

    kind: str
    """``lma``, ``mipv6ha`` or ``mag``."""
    name: str
    context: str
    state: str
    """``Started`` or ``Initialized`` (bound to nothing)."""
    counters: CounterSet

    def facts(self) -> list[tuple[str, str]]:
        """Label and value pairs of ``show lma-service name NAME``, in screen order."""

    def session_count(self) -> int:
        """How many sessions there are now."""

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView | None]:
        """The sessions that match, one by one; ``None``: still looking, let others run."""

    def census(self, wanted: SessionFilter) -> Iterator[Census | None]:
        """Count the sessions that match: ``None`` while counting, the result at the end."""

    def clear_sessions(
        self, wanted: SessionFilter, trigger: int = 1, ipv4_only: bool = False, group: int = 0
    ) -> Iterator[bool]:
        """End the sessions that match, one at each ``True``; ``False``: still looking.

        It must be asked for all of them; who stops asking leaves the rest alone. The others are fields of
        :class:`pmipv6.events.ClearSessions`, for anchors.
        """

    def pools(self) -> list[PoolView]:
        """Its pools in the order of the configuration; a gateway has none."""

    def devices(self) -> list[str]:
        """Network devices of the host that it uses: its TUN device, its access interfaces."""

    def queues(self) -> list[QueueView]:
        """One for each signalling socket."""

    def congestion(self) -> CongestionView | None:
        """How congested it is; a gateway has no congestion control."""


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

    def describe(self, message: TappedMessage | TappedDiameter, level: int) -> list[str]:
        """The message in words; ``level`` 1 (one line) to 5 (everything)."""

    def hexdump(self, message: TappedMessage | TappedDiameter, text: bool) -> list[str]:
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


@define(slots=True, kw_only=True)
class LogLine:
    """One line of the log."""

    wall: float
    """Seconds since 1970."""
    level: str
    """One of ``LOG_LEVELS``."""
    facility: str
    """Part of the program that wrote it, for example ``appliance`` or ``appliance.protocols.rawsock``."""
    text: str


#: Least important first.
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class LogPort(Protocol):
    """The log as the shell sees it."""

    def lines(self) -> Sequence[LogLine]:
        """The last lines, oldest first; a bounded number."""

    def filter(self, number: int, facility: str, level: str) -> None:
        """Choose what operator ``number`` gets to see live: from ``level`` on, of a facility and those
        below it; the facility ``all`` replaces every choice before."""

    def follow(self, number: int, say: Callable[[Sequence[str]], None], present: Callable[[], bool]) -> None:
        """Give live lines to an operator by ``say`` for as long as ``present`` tells that he is there."""

    def unfollow(self, number: int) -> bool:
        """No more live lines for this operator; false: he had none."""

    def filters(self, number: int) -> dict[str, str]:
        """What this operator has chosen: level by facility."""


@define(slots=True, kw_only=True)
class InterfaceView:
    """One network device of the host."""

    name: str
    index: int
    state: str
    """``up``, ``no-carrier``, ``down`` or ``missing`` (configured, but the host has no such device)."""
    mtu: int
    link_layer: str
    """Empty when it has no link-layer address."""
    addresses: tuple[str, ...] = ()
    """Both families, with their prefix lengths."""


@define(slots=True, kw_only=True)
class RouteView:
    """One route of the kernel's main table."""

    destination: str
    """``0.0.0.0/0`` or ``::/0`` is the default route."""
    next_hop: str
    """Empty: on the link."""
    protocol: str
    """``connected``, ``static``, or what the routing daemon calls itself."""
    cost: int
    interface: str


@define(slots=True, kw_only=True)
class Health:
    """How the process is doing."""

    lag: float
    """Lag of the loop now, seconds: how late a timer was."""
    lag_worst: float
    """The worst of the last minute."""
    lag_p99: float
    """99 of 100 in the last minute were not worse."""
    lag_record: float
    """The worst since the start."""
    cpu: float
    """Seconds of processor time used."""
    memory: int
    """Resident octets."""
    files: int
    file_limit: int
    threads: int
    """Threads of the reactor's pool, and of them how many are at work."""
    threads_busy: int
    pid: int


@define(slots=True, kw_only=True)
class Build:
    """Which program runs."""

    version: str
    number: str
    date: str
    commit: str


class HostPort(Protocol):
    """The host and the process as the shell sees them."""

    def health(self) -> Health:
        """Read how the process is doing."""

    def clear_lag(self) -> None:
        """Forget the samples of the loop's lag; the worst since the start stays."""

    def build(self) -> Build:
        """Tell which program runs."""

    async def interfaces(self) -> list[InterfaceView]:
        """The network devices of the host; raises ResourceError."""

    def routes(self, family: int) -> AsyncIterator[RouteView]:
        """The routes of IP version ``family``, as the kernel gives them; raises ResourceError."""

    def run(self, arguments: Sequence[str], seconds: float) -> AsyncIterator[str]:
        """Run a program of the host and give its lines as they come; it is killed after ``seconds``,
        and when nobody asks for more (close the iterator). Raises ResourceError: cannot be run."""

    def finds(self, program: str) -> bool:
        """Whether the host has a program of this name."""


class FilePort(Protocol):
    """A file that is written bit by bit; it has its name only when it is finished."""

    async def write(self, lines: Sequence[str]) -> None:
        """Append lines. Raises ApplianceError, after which nothing of the file is left."""

    async def finish(self) -> None:
        """Put it on the disk under its name. Raises ApplianceError, likewise."""

    async def discard(self) -> None:
        """Leave nothing of it; harmless after :meth:`finish`."""


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
    host: HostPort
    log: LogPort
    tap: TapPort
    captures: CapturePort
    aaa: AaaPort

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

    async def audited(self, count: int) -> list[dict[str, Any]]:
        """The last ``count`` events of the audit log, oldest first, each as it is in the file."""

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

    async def file_exists(self, path: str) -> bool:
        """Whether there is a file of that name."""

    async def export_file(self, path: str, replace: tuple[str, ...] | None) -> FilePort:
        """Begin to write a long file, for its owner only.

        ``replace``: how a file that is there has to begin to be replaced (an empty one may be, too);
        ``None``: there may be none. Raises ApplianceError.
        """

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The services of a kind and name; empty means all."""

    def uptime(self) -> float:
        """Seconds since the process started."""

    def wall(self) -> float:
        """Seconds since 1970."""
