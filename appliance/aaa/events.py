"""What goes into the core of a Mobile AAA server and what comes out of it.

::

    node ──Request──────▶ server ──Reply──▶ node
    store ─Stored───────▶        ──Keep───▶ store
    node ──Answer, Origin▶       ──Send───▶ node          (HAR, ASR, RAR)
    operator ─Abort, Reauthorize▶ ─Told────▶ operator
    service ──Reconfigure, LoadedUsers▶
"""

from attrs import define

from appliance.aaa.records import Record
from appliance.aaa.settings import AaaServerSettings, User
from appliance.protocols.diameter.events import Answered, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.pmipv6.events import Notify

# Events.


@define(slots=True)
class Request:
    """A request that is for this server, and has passed the grammar."""

    token: int
    """Chosen by the driver; :class:`Reply` says it again."""
    message: Message
    peer: str
    """Identity of the last hop."""
    compat: bool = False
    """The peer speaks the drafts: application 4 is Mobile IPv4."""
    secure: bool = False
    """It came over TLS or DTLS."""


@define(slots=True)
class Stored:
    """What became of records that :class:`Keep` gave to the store."""

    tokens: list[int]
    outcome: str
    """``stored``, ``failed`` or ``refused`` (see :mod:`appliance.aaa.writer`)."""


@define(slots=True)
class Full:
    """The store has no room to take the record of ``token`` now."""

    token: int


@define(slots=True)
class Answer:
    """The end of a :class:`Send`."""

    token: int
    answered: Answered


@define(slots=True)
class Origin:
    """Who our Diameter node is, from now on; said before the first request, and when it has changed."""

    identity: str
    realm: str
    state_id: int
    """Its Origin-State-Id; 0: it has none."""


@define(slots=True)
class Abort:
    """End a session: ask its client to (ASR, RFC 6733 section 8.5). One :class:`Told` follows."""

    session: str
    """Session-Id."""
    token: int = 0


@define(slots=True)
class Reauthorize:
    """Ask the client of a session to have it authorized again (RAR, RFC 6733 section 8.3), likewise."""

    session: str
    token: int = 0


@define(slots=True)
class Reconfigure:
    """The settings are these from now on; sessions stay."""

    settings: AaaServerSettings


@define(slots=True)
class LoadedUsers:
    """A users file was read: these are the users of the realm that are in it."""

    realm: str
    users: dict[str, User]
    """By NAI, its realm folded."""


# Effects.


@define(slots=True)
class Reply:
    """The whole answer to a request."""

    token: int
    answer: bytes


@define(slots=True)
class Keep:
    """Store a record; :class:`Stored` or :class:`Full` follows."""

    token: int
    record: Record


@define(slots=True)
class Send:
    """Send a request of our own; :class:`Answer` follows."""

    token: int
    submit: Submit


@define(slots=True)
class Told:
    """What has become of an operator's command."""

    token: int
    text: str


Event = Request | Origin | Stored | Full | Answer | Abort | Reauthorize | Reconfigure | LoadedUsers
Effect = Reply | Keep | Send | Told | Notify

__all__ = [
    "Abort", "Answer", "Effect", "Event", "Full", "Keep", "LoadedUsers", "Notify", "Origin", "Reauthorize",
    "Reconfigure", "Reply", "Request", "Send", "Stored", "Told",
]  # fmt: skip
