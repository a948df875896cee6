"""What goes into the authorization client and what comes out of it, beside the mobility cores' own events.

::

    LMA, HA core ──Authorize, Abandon, Account──▶ AuthorizationClient ──Ask────▶ node
                 ◀──Authorized, SessionEnds, Reauthorize──            ──Reply──▶ node (ASA, RAA)
    node ──Got, Requested, Usable───────────────▶                     ──Notify─▶ log
    operator ──Reconfigure──────────────────────▶
"""

from attrs import define

from appliance.protocols.diameter.client.auth_requests import Origin
from appliance.protocols.diameter.events import Answered, Submit
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.settings import GroupSettings


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
class AuthStatistics:
    """What became of questions and sessions; messages are counted by the node (``counted.CountedNode``)."""

    accepted: int = 0
    refused: int = 0
    """By a verdict of a server."""
    useless: int = 0
    """Answers that could not be made use of."""
    local: int = 0
    """Allowed by the local profile, because no server has answered."""
    denied: int = 0
    """Refused because no server has answered."""
    ended: int = 0
    """Sessions that a server has aborted, or whose time was over."""
    forgotten: int = 0
    """Ends of sessions that no server could be told."""
