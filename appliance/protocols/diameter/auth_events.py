"""What goes into the authorization client and what comes out of it, beside the mobility cores' own events.

::

    LMA, HA core ──Authorize, Abandon, Account──▶ AuthorizationClient ──Ask────▶ node
                 ◀──Authorized, SessionEnds, Reauthorize──            ──Reply──▶ node (ASA, RAA)
    node ──Got, Requested, Usable───────────────▶                     ──Notify─▶ log
    operator ──Reconfigure──────────────────────▶
"""

from attrs import define, field

from appliance.protocols.diameter.auth_requests import Origin
from appliance.protocols.diameter.codec import Message
from appliance.protocols.diameter.events import Answered, Submit
from appliance.protocols.diameter.settings import GroupSettings

#: Servers that are counted one by one; more go together.
MOST_SERVERS = 64
OTHERS = "others"


@define(slots=True)
class Ask:
    """Send a request; one :class:`Got` with its number follows."""

    number: int
    submit: Submit


@define(slots=True)
class Got:
    """The end of an :class:`Ask`."""

    number: int
    answered: Answered


@define(slots=True)
class Requested:
    """An ASR or RAR has come, and is grammatical; one :class:`Reply` with its key follows at once."""

    key: int
    message: Message


@define(slots=True)
class Reply:
    """The answer to a :class:`Requested`: a whole message."""

    key: int
    answer: bytes


@define(slots=True)
class Usable:
    """A peer can be sent requests that could not before."""


@define(slots=True)
class Reconfigure:
    """The group and our own names are these from now on; no group: nobody is asked any more."""

    settings: GroupSettings | None
    origin: Origin


@define(slots=True)
class CommandCounts:
    """Counters of one command."""

    requests: int = 0
    answers: int = 0
    retries: int = 0
    """Requests that repeat one, to the same server or to another one."""
    timeouts: int = 0
    undelivered: int = 0
    """There was no way to send a request, or a server was too busy."""
    dropped: int = 0
    """Answers that could not be made use of."""
    rejected: int = 0
    """Requests of a server that were not obeyed."""


def _commands() -> dict[str, CommandCounts]:
    return {name: CommandCounts() for name in ("AA", "MI", "ST", "AS", "RA")}


@define(slots=True)
class AuthStatistics:
    """What ``show diameter aaa-statistics`` and ``show aaa`` want to know of a client."""

    commands: dict[str, CommandCounts] = field(factory=_commands)
    """By the first two letters: ``AA`` for AAR and AAA, ``MI``, ``ST``, ``AS``, ``RA``."""
    servers: dict[str, CommandCounts] = field(factory=dict)
    """By Origin-Host or Destination-Host: what we have asked it, all commands."""
    accepted: int = 0
    refused: int = 0
    """By a verdict of a server."""
    local: int = 0
    """Allowed by the local profile, because no server has answered."""
    denied: int = 0
    """Refused because no server has answered."""
    ended: int = 0
    """Sessions that a server has aborted, or whose time was over."""
    forgotten: int = 0
    """Ends of sessions that no server could be told."""

    def server(self, host: str) -> CommandCounts:
        """Counters of one server."""
        found = self.servers.get(host)
        if found is None:
            if len(self.servers) >= MOST_SERVERS:
                host = OTHERS
            found = self.servers.setdefault(host, CommandCounts())
        return found
