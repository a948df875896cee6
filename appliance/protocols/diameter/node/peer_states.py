"""The table of the peer state machine (RFC 6733 section 5.6), and connections.

::

                        START                              CER in
              ┌──────────────────── Closed ──────────────────────────────▶ R-Open
              ▼                                                              ▲
        Wait-Conn-Ack ──CER in──▶ Wait-Conn-Ack/Elect ──refused──────────────┤
              │ connected                 │ connected                        │
              ▼                           ▼               we win, I closed   │
         Wait-I-CEA ─────CER in────▶ Wait-Returns ───────────────────────────┘
              │ CEA                       │ CEA
              └────────────────────▶ I-Open ◀──┘

I is the connection that we opened (initiator), R the one that the peer opened (responder). An event leads to
actions and a next state; the actions are methods of the machine in ``peer.py``. Capabilities are looked at
before the event: ``R_CONN_CER`` and ``I_CEA`` are of messages that are acceptable.
"""

from ipaddress import ip_address
from typing import Any

from attrs import define

CLOSED, WAIT_CONN_ACK, WAIT_I_CEA = "Closed", "Wait-Conn-Ack", "Wait-I-CEA"
WAIT_ELECT, WAIT_RETURNS = "Wait-Conn-Ack/Elect", "Wait-Returns"
R_OPEN, I_OPEN, CLOSING = "R-Open", "I-Open", "Closing"
#: Not in the RFC: capabilities are exchanged, the in-band TLS handshake is going on.
WAIT_TLS = "Wait-TLS"
OPEN = frozenset((R_OPEN, I_OPEN))

START, STOP, TIMEOUT, WIN = "Start", "Stop", "Timeout", "Win-Election"
I_CONN_ACK, I_CONN_NACK = "I-Rcv-Conn-Ack", "I-Rcv-Conn-Nack"
I_CEA, I_NON_CEA, I_DISC = "I-Rcv-CEA", "I-Rcv-Non-CEA", "I-Peer-Disc"
R_CONN_CER, R_DISC, R_EARLY = "R-Conn-CER", "R-Peer-Disc", "R-Rcv-Early"
DWR, DWA, DPR, DPA = "Rcv-DWR", "Rcv-DWA", "Rcv-DPR", "Rcv-DPA"

Row = tuple[tuple[str, ...], str]


def _open(state: str) -> dict[tuple[str, str], Row]:
    """Rows that R-Open and I-Open have in common; ``*-Rcv-Message`` and ``Send-Message`` need no table."""
    return {
        (state, DWR): (("snd_dwa",), state),
        (state, DWA): (("process_dwa",), state),
        (state, R_CONN_CER): (("r_reject",), state),
        (state, STOP): (("snd_dpr",), CLOSING),
        (state, DPR): (("snd_dpa",), CLOSING),
    }


#: RFC 6733 section 5.6, row by row.
TABLE: dict[tuple[str, str], Row] = {
    (CLOSED, START): (("i_snd_conn_req",), WAIT_CONN_ACK),
    (CLOSED, R_CONN_CER): (("r_accept", "r_snd_cea"), R_OPEN),
    (WAIT_CONN_ACK, I_CONN_ACK): (("i_snd_cer",), WAIT_I_CEA),
    (WAIT_CONN_ACK, I_CONN_NACK): (("cleanup",), CLOSED),
    (WAIT_CONN_ACK, R_CONN_CER): (("r_accept",), WAIT_ELECT),
    (WAIT_CONN_ACK, TIMEOUT): (("error",), CLOSED),
    (WAIT_I_CEA, I_CEA): (("process_cea",), I_OPEN),
    (WAIT_I_CEA, R_CONN_CER): (("r_accept", "elect"), WAIT_RETURNS),
    (WAIT_I_CEA, I_DISC): (("i_disc",), CLOSED),
    (WAIT_I_CEA, I_NON_CEA): (("error",), CLOSED),
    (WAIT_I_CEA, TIMEOUT): (("error",), CLOSED),
    (WAIT_ELECT, I_CONN_ACK): (("i_snd_cer", "elect"), WAIT_RETURNS),
    (WAIT_ELECT, I_CONN_NACK): (("cleanup", "r_snd_cea"), R_OPEN),
    (WAIT_ELECT, R_DISC): (("r_disc",), WAIT_CONN_ACK),
    (WAIT_ELECT, R_CONN_CER): (("r_reject",), WAIT_ELECT),
    (WAIT_ELECT, TIMEOUT): (("error",), CLOSED),
    (WAIT_RETURNS, WIN): (("i_disc", "r_snd_cea"), R_OPEN),
    (WAIT_RETURNS, I_DISC): (("i_disc", "r_snd_cea"), R_OPEN),
    (WAIT_RETURNS, I_CEA): (("r_disc", "process_cea"), I_OPEN),
    (WAIT_RETURNS, R_DISC): (("r_disc",), WAIT_I_CEA),
    (WAIT_RETURNS, R_CONN_CER): (("r_reject",), WAIT_RETURNS),
    (WAIT_RETURNS, TIMEOUT): (("error",), CLOSED),
    **_open(R_OPEN),
    (R_OPEN, R_DISC): (("r_disc",), CLOSED),
    **_open(I_OPEN),
    (I_OPEN, I_DISC): (("i_disc",), CLOSED),
    (CLOSING, DPA): (("disc",), CLOSED),
    (CLOSING, TIMEOUT): (("error",), CLOSED),
    (CLOSING, I_DISC): (("i_disc",), CLOSED),
    (CLOSING, R_DISC): (("r_disc",), CLOSED),
}

#: What the RFC's table leaves out and a network does not.
MORE: dict[tuple[str, str], Row] = {
    **{
        (state, STOP): (("error",), CLOSED)
        for state in (WAIT_CONN_ACK, WAIT_I_CEA, WAIT_ELECT, WAIT_RETURNS, WAIT_TLS)
    },
    # The one connection says something wrong, the other one is good.
    (WAIT_RETURNS, I_NON_CEA): (("i_disc", "r_snd_cea"), R_OPEN),
    # Something on the peer's connection before it has our CEA.
    (WAIT_ELECT, R_EARLY): (("r_disc",), WAIT_CONN_ACK),
    (WAIT_RETURNS, R_EARLY): (("r_disc",), WAIT_I_CEA),
    # The two DPRs have crossed.
    (CLOSING, DPR): (("snd_dpa",), CLOSING),
    (CLOSING, DWR): (("snd_dwa",), CLOSING),
    (CLOSING, DWA): (("process_dwa",), CLOSING),
    (CLOSING, R_CONN_CER): (("r_reject",), CLOSING),
    # In-band TLS; when it is done, the state is the open one of the connection.
    (WAIT_TLS, R_CONN_CER): (("r_reject",), WAIT_TLS),
    (WAIT_TLS, TIMEOUT): (("error",), CLOSED),
    (WAIT_TLS, I_DISC): (("i_disc",), CLOSED),
    (WAIT_TLS, R_DISC): (("r_disc",), CLOSED),
    (WAIT_TLS, I_NON_CEA): (("error",), CLOSED),
    (WAIT_TLS, R_EARLY): (("error",), CLOSED),
}

ALL = TABLE | MORE


def spelled(address: bytes) -> str:
    """A packed address in words."""
    return str(ip_address(address)) if len(address) in (4, 16) else "an unknown address"


@define(slots=True, eq=False)
class Link:
    """One transport connection."""

    number: int
    initiator: bool
    """We opened it."""
    transport: str
    remote: bytes = b""
    port: int = 0
    local: tuple[bytes, ...] = ()
    names: tuple[str, ...] | None = None
    """Names of the peer's certificate; ``None``: clear text."""
    up: bool = False
    """It is connected."""
    due: float | None = None
    """Until when the CER has to come, monotonic seconds; ``None``: it has come."""
    congested: bool = False
    peer: Any = None
    """Whose it is; ``None``: nobody has said so yet, or it is closed."""

    @property
    def where(self) -> str:
        """Over what and with which address, in words."""
        secured = " with TLS" if self.secure and self.transport in ("tcp", "tls-inband") else ""
        direction = "to" if self.initiator else "from"
        transport = "tcp" if self.transport == "tls-inband" else self.transport
        return f"over {transport}{secured} {direction} {spelled(self.remote)} port {self.port}"

    @property
    def secure(self) -> bool:
        """It runs over TLS or DTLS."""
        return self.names is not None
