"""The connections of one peer, and what the state machine does with them: the actions of its table.

The table is in ``peer_states.py``, what leads through it in ``peer.py``.
"""

from collections import OrderedDict
from typing import Any

from appliance.protocols.diameter.message.codec import BadValue, Malformed, Message
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node import admission
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node import peer_states as st
from appliance.protocols.diameter.node import watchdog as dog
from appliance.protocols.diameter.node.capabilities import Capabilities, Refusal
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.events import REBOOTING, Connect, Transmit
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.node.stats import PeerStatistics
from appliance.protocols.diameter.node.watchdog import NEVER, Watchdog
from appliance.protocols.diameter.settings import PORT, SECURE_PORT, PeerSettings
from appliance.protocols.timers import Now

#: How a peer came into the table.
STATIC, WILDCARD, DISCOVERED = "static", "wildcard", "discovered"

SECURE_TRANSPORTS = ("tls", "dtls")
#: Transports that use all addresses of a peer at once.
MULTIHOMED = ("sctp", "dtls")


def state_of(message: Message) -> int:
    """Origin-State-Id of a message; 0: none, or none that can be read."""
    try:
        return message.first(cap.STATE_ID) or 0
    except (Malformed, BadValue):
        return 0


class PeerActions:
    """One peer of a node; ``kind`` is one of the words above."""

    __slots__ = (
        "settings", "name", "folded", "kind", "expires", "state", "initiator", "responder", "link",
        "watchdog", "statistics", "capabilities", "pending", "queue", "usable", "hop", "until", "disabled",
        "removing", "dormant", "since", "state_id", "farewell", "round_trip", "last_error", "last_used",
        "announced",
        "_context", "_inband", "_target", "_awaited", "_probe", "_goodbye", "_failures", "_place",
        "_tried", "_held", "_cer", "_offered", "_needed", "_opened_at",
    )  # fmt: skip

    def __init__(self, settings: PeerSettings, context: Context, kind: str = STATIC) -> None:
        self.settings = settings
        self.name = settings.name
        self.folded = fold(settings.name)
        self.kind = kind
        #: When a discovered peer goes, monotonic seconds.
        self.expires = NEVER
        self.state = st.CLOSED
        self.initiator: Link | None = None
        self.responder: Link | None = None
        #: The connection in use: open, or closing.
        self.link: Link | None = None
        self.watchdog = Watchdog(context.settings.watchdog_timeout, context.uniform)
        self.statistics = PeerStatistics()
        self.capabilities: Capabilities | None = None
        #: Requests without an answer, by Hop-by-Hop Id, and those that wait for the window.
        self.pending: dict[int, Any] = {}
        self.queue: OrderedDict[int, Any] = OrderedDict()
        self.usable = False
        self.hop = context.random_bits(32)
        #: When the state's own time is over, or the next try to connect is due; monotonic seconds.
        self.until = NEVER
        self.disabled = False
        self.removing = False
        #: No connection is wanted until there is something to send.
        self.dormant = False
        #: Wall clock of the last change between open and not open.
        self.since = 0.0
        self.state_id = 0
        #: Disconnect-Cause of the DPR sent or received; ``None``: there was none.
        self.farewell: int | None = None
        #: Smoothed time from a request to its answer, seconds.
        self.round_trip = 0.0
        self.last_error = ""
        #: When a request was last sent to it, monotonic seconds.
        self.last_used = 0.0
        #: Ids of applications that our last CER or CEA had.
        self.announced: set[int] = set()
        self._context = context
        self._inband: int | None = None
        self._target = st.CLOSED
        self._awaited = self._probe = self._goodbye = -1
        self._failures = self._place = self._tried = 0
        self._held: list[bytes] = []
        self._cer: Message | None = None
        self._offered: Capabilities | None = None
        self._needed = False
        self._opened_at = 0.0

    # What can be asked.

    @property
    def is_open(self) -> bool:
        """Whether capabilities are exchanged and nobody has said good-bye."""
        return self.state in st.OPEN

    @property
    def secure(self) -> bool:
        """Whether its connection runs over TLS or DTLS."""
        return self.link is not None and self.link.secure

    @property
    def connects(self) -> bool:
        """Whether we may open a connection to it."""
        settings, context = self.settings, self._context
        return bool(
            settings.connect
            and settings.addresses
            and context.ready
            and not (self.disabled or self.removing or context.stopping)
        )

    @property
    def hopeful(self) -> bool:
        """Whether it may become usable without anybody doing anything more."""
        if self.is_open:
            return self.usable or self.watchdog.status != dog.DOWN
        if self.state == st.CLOSED:
            # It goes through its addresses.
            return self._tried > 0 and self.connects
        return self.state != st.CLOSING

    @property
    def due(self) -> float | None:
        """When :meth:`elapsed` is wanted, in monotonic seconds."""
        when = min(self.until, self.watchdog.due) if self.is_open else self.until
        return None if when == NEVER else when

    def next_hop(self) -> int:
        """The next Hop-by-Hop Id; not one that waits for its answer."""
        hop = self.hop + 1 & 0xFFFFFFFF
        while hop in self.pending:
            hop = hop + 1 & 0xFFFFFFFF
        self.hop = hop
        return hop

    def log_failure(self, text: str, now: Now) -> None:
        """Say, each reason not too often, why there is no connection."""
        self.last_error = text
        about = f"peer {self.folded}: {text[:100]}"
        self._context.hushed(now, about, "warning", f"peer {self.name}: no connection: {text}")

    def _note_state(self, number: int) -> None:
        """Origin-State-Id (RFC 6733 section 8.16): a higher one means that the peer has lost its sessions."""
        if number and self.state_id and number > self.state_id:
            self._context.notify("info", f"peer {self.name} has started anew")
        self.state_id = number or self.state_id

    # Actions of the table.

    def do_i_snd_conn_req(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Ask for a connection: TCP goes through the addresses one by one, SCTP takes all."""
        settings, context = self.settings, self._context
        addresses = settings.addresses
        if settings.transport not in MULTIHOMED:
            self._place %= len(addresses)
            addresses = (addresses[self._place],)
        port = settings.port or (SECURE_PORT if settings.transport in SECURE_TRANSPORTS else PORT)
        made = Link(context.new_connection(), True, settings.transport, addresses[0], port, peer=self)
        self.initiator = context.links[made.number] = made
        self.statistics.connects_tried += 1
        patience = float(context.settings.connection_timeout)
        context.effects.append(
            Connect(
                made.number,
                self.name,
                addresses,
                port,
                settings.transport,
                context.settings.addresses,
                patience,
            )
        )

    def do_i_snd_cer(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Send CER on the connection that we opened."""
        assert self.initiator is not None
        inband = cap.INBAND_TLS if self.settings.transport == "tls-inband" else None
        body = self._capabilities(self.initiator, inband)
        self._awaited = self.next_hop()
        self._ask(self.initiator, cap.CAPABILITIES, self._awaited, body, now)

    def do_r_accept(self, now: Now, link: Link | None, message: Message | None) -> None:
        """The incoming connection is this peer's; its CER is kept until it is answered."""
        assert link is not None
        link.peer = self
        self.responder, self._cer = link, message
        self.statistics.capabilities_received += 1

    def do_r_snd_cea(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Answer the CER that was kept."""
        assert self.responder is not None and self._cer is not None
        body = self._capabilities(self.responder, self._inband)
        self.put(self.responder, self._context.us.answer(self._cer, cap.SUCCESS, body))

    def do_r_reject(self, now: Now, link: Link | None, message: Message | None) -> None:
        """One connection is enough. Why does it want another one? Better ask whether it is still there."""
        assert link is not None and message is not None
        self.statistics.rejected += 1
        text = f"there is a connection with {self.name} already"
        refusal = Refusal(cap.UNABLE_TO_COMPLY, text)
        admission.refuse(self._context, link, message, refusal, self.settings.compat)
        self._context.hushed(now, f"second {self.folded}", "warning", f"peer {self.name}: refused: {text}")
        if self.is_open and self.watchdog.hurry(now.mono) == dog.PROBE:
            self.send_dwr(now)

    def do_process_cea(self, now: Now, link: Link | None, message: Message | None) -> None:
        """What it says is in ``_offered`` already."""

    def do_process_dwa(self, now: Now, link: Link | None, message: Message | None) -> None:
        """The watchdog knows already; what is left is whether the peer has started anew."""
        assert message is not None
        self._note_state(state_of(message))

    def do_snd_dwa(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Answer DWR."""
        assert link is not None and message is not None
        self._note_state(state_of(message))
        self.statistics.watchdogs_sent += 1
        self.put(link, self._context.us.answer(message, cap.SUCCESS, self._context.us.state))

    def do_snd_dpr(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Say good-bye, with ``farewell`` as cause."""
        assert self.link is not None
        self._goodbye = self.next_hop()
        self.statistics.disconnects_sent += 1
        cause = cap.DISCONNECT_CAUSE.encode(self.farewell or REBOOTING)
        self._ask(self.link, cap.DISCONNECT, self._goodbye, cause, now)

    def do_snd_dpa(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Answer DPR; who sent it closes the connection."""
        assert link is not None and message is not None
        self.statistics.disconnects_sent += 1
        self.put(link, self._context.us.answer(message, cap.SUCCESS))
        if self.state == st.CLOSING:
            return
        self.farewell = message.first(cap.DISCONNECT_CAUSE)
        cause = cap.DISCONNECT_CAUSE.values.get(self.farewell or 0, str(self.farewell))
        self._context.notify("info", f"peer {self.name} says good-bye: {cause}")

    def do_cleanup(self, now: Now, link: Link | None, message: Message | None) -> None:
        """The connection that we wanted did not come about."""
        self.do_i_disc(now, link, message)

    def do_i_disc(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Close the connection that we opened."""
        if self.initiator is not None:
            self._context.drop(self.initiator, self.last_error or "another connection is used")
        self.initiator = None

    def do_r_disc(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Close the connection that the peer opened."""
        if self.responder is not None:
            self._context.drop(self.responder, self.last_error or "another connection is used")
        self.responder = self._cer = None

    def do_disc(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Close the connection in use."""
        if self.link is not None:
            self._context.drop(self.link, "good-byes are said")

    def do_error(self, now: Now, link: Link | None, message: Message | None) -> None:
        """Close whatever there is."""
        for each in (self.initiator, self.responder):
            if each is not None:
                self._context.drop(each, self.last_error or "given up", abort=True)
        self.initiator = self.responder = None

    # Sending.

    def _capabilities(self, link: Link, inband: int | None) -> bytes:
        auth, acct = self._context.us.ids()
        self.announced = auth | acct
        self.statistics.capabilities_sent += 1
        return admission.our_capabilities(self._context, link, inband, self.settings.compat)

    def put(self, link: Link, data: bytes) -> None:
        """Send octets on one of its connections."""
        self.statistics.octets_sent += len(data)
        self._context.effects.append(Transmit(link.number, data))

    def _ask(self, link: Link, code: int, hop: int, body: bytes, now: Now) -> None:
        context = self._context
        self.put(link, context.us.request(code, hop, context.end_to_end(now), body))

    def send_dwr(self, now: Now) -> None:
        """Ask whether the peer is there; the watchdog has noted it."""
        if self.link is None:
            return
        self._probe = self.next_hop()
        self.statistics.watchdogs_sent += 1
        self._ask(self.link, cap.WATCHDOG, self._probe, self._context.us.state, now)
