"""What goes in and out of the Diameter cores, and what the node's users see of it.

Users of a node are local applications: the AAA client of a service, the AAA server, ``test aaa``. They send
by :class:`Submit` and get exactly one :class:`Answered`; they serve requests as an :class:`Application`.
"""

from collections.abc import Callable
from typing import Protocol

from attrs import define

from appliance.protocols.diameter.message.codec import Message


@define(slots=True)
class Submit:
    """Send a request to whoever serves it.

    The node writes the header, chooses the peer, and sends again to another one when a peer dies (same
    End-to-End Id, T flag), until there is an answer or ``timeout`` seconds are over.
    """

    code: int
    application: int
    avps: bytes
    """Encoded, Session-Id first, with Origin-Host, Origin-Realm and Destination-Realm, and Destination-Host
    where it is wanted."""
    realm: str
    """Destination-Realm."""
    host: str = ""
    """Destination-Host; empty: any server of the realm."""
    timeout: float = 20.0
    end_to_end: int = 0
    """0: the node chooses one and says it in :class:`Answered`."""
    repeated: bool = False
    """It may have been sent before this process started: T flag from the first time."""
    accounting: bool = False
    """True: the peer must have advertised the application for accounting."""
    prefer: tuple[tuple[str, int], ...] = ()
    """Peers with their priorities (lower first) that are tried before the realm's routes say otherwise."""
    secure: bool = False
    """True: it carries keys, so it may only go to a peer over TLS or DTLS; there is none: ``INSECURE``."""


#: Why there is no answer.
TIMEOUT, NO_PEER, FULL, STOPPED, CANCELLED = "timeout", "no peer", "queue full", "stopped", "cancelled"
#: Only peers without TLS are there, and the request must not go in clear text.
INSECURE = "no secure peer"
#: The server says that it has too much to do (RFC 7683); an answer came whose AVPs cannot be told apart.
OVERLOADED, MALFORMED = "overloaded", "malformed answer"


@define(slots=True)
class Answered:
    """The end of a :class:`Submit`."""

    message: Message | None
    """``None``: there is none, for the reason that follows."""
    reason: str = ""
    """One of the words above."""
    peer: str = ""
    """Identity of the peer that the answer came through."""
    end_to_end: int = 0


@define(slots=True, frozen=True)
class Advertised:
    """An application that a node says it has, in CER and CEA."""

    id: int
    auth: bool = False
    acct: bool = False
    vendor: int = 0
    """Not 0: advertised in a Vendor-Specific-Application-Id."""


@define(slots=True)
class Incoming:
    """A request that is for a local application."""

    message: Message
    peer: str
    """Identity of the peer that it came from; the last hop, not the originator."""
    compat: bool
    """The peer is configured ``compat``."""
    secure: bool
    """It came over TLS or DTLS."""
    reply: Callable[[bytes], None]
    """Takes the whole answer, made by ``message.answer``; to be called once, now or later."""


class Application(Protocol):
    """A local application of a node."""

    @property
    def advertised(self) -> tuple[Advertised, ...]:
        """What the node says of it in CER and CEA."""

    @property
    def realms(self) -> frozenset[str]:
        """Folded realms whose requests are its; empty: those of the node's own realm."""

    def request(self, incoming: Incoming) -> None:
        """Take a request that has passed the grammar of the dictionary."""


class NodePort(Protocol):
    """A running Diameter node as its users see it."""

    @property
    def identity(self) -> str:
        """Origin-Host."""

    @property
    def realm(self) -> str:
        """Origin-Realm."""

    @property
    def origin_state_id(self) -> int:
        """Origin-State-Id of its CER, for the answers of applications."""

    def serve(self, application: Application) -> None:
        """Give requests to ``application`` from now on; peers that are open already are told at their next
        capabilities exchange, and get its answers before that too."""

    def withdraw(self, application: Application) -> None:
        """No more; its requests get 3007."""

    def send(self, submit: Submit, done: Callable[[Answered], None]) -> int:
        """Send a request; ``done`` is called once, never before this returns. Returns a number to cancel."""

    def cancel(self, number: int) -> None:
        """Forget a request: ``done`` is called with ``CANCELLED``; an answer to it is dropped."""

    def usable(self, realm: str, application: int, accounting: bool) -> bool:
        """Whether a request of this application could be sent to this realm right now."""

    def on_usable(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` whenever a peer becomes usable; returns what ends that."""
