"""Which SCTP carries Diameter on this host: that of the kernel, or the one of libusrsctp.

::

    sctp_udp_port 0 ──▶ kernel has SCTP? ──yes──▶ sctp_kernel: one-to-one sockets
                              └──no──▶ libusrsctp on raw IP ───┐
    sctp_udp_port N ──▶ libusrsctp in UDP (RFC 6951) ──────────┴─▶ sctp_user

Both map messages alike (RFC 6733 section 2.1.1), see ``sctp_base``.
"""

from typing import Any, Protocol

from appliance.errors import ResourceError
from appliance.protocols.diameter.transport import sctp_kernel, usrsctp
from appliance.protocols.diameter.transport.link import Connection, Owner
from appliance.protocols.diameter.transport.sctp_user import UserStack


class Stack(Protocol):
    """An SCTP, as connections and listeners use it."""

    name: str

    def listen(self, owner: Owner, addresses: tuple[bytes, ...], port: int) -> Any:
        """Take connections at one port of all these addresses; ``stopListening`` of what it returns ends it.

        Raises :class:`ResourceError`.
        """

    def connect(
        self,
        owner: Owner,
        number: int,
        addresses: tuple[bytes, ...],
        port: int,
        *,
        local: tuple[bytes, ...],
        peer: str,
        longest: int,
        timeout: float,
    ) -> Connection:
        """Open a connection to a peer that has all these addresses; arguments as of ``tcp.connect``.

        Raises :class:`ResourceError`.
        """


def missing(udp_port: int) -> str:
    """Why there is no SCTP for an endpoint, and what to do; empty: there is."""
    kernel = "" if udp_port else sctp_kernel.missing()
    if not udp_port and not kernel:
        return ""
    library = usrsctp.missing()
    if not library:
        return ""
    return f"{kernel}, and {library}" if kernel else library


def stack(udp_port: int) -> Stack:
    """The SCTP for an endpoint. Raises :class:`ResourceError` that says what to do."""
    if why := missing(udp_port):
        raise ResourceError(f"transport sctp: {why}")
    if not udp_port and not sctp_kernel.missing():
        return sctp_kernel.KernelStack()
    return UserStack(udp_port)


def unavailable(transport: str, udp_port: int = 0) -> str:
    """Why a transport of the configuration cannot be used on this host, and what to do; empty: it can.

    ``transport`` is one of ``settings.TRANSPORTS``.
    """
    if transport == "dtls":
        return (
            "transport dtls (DTLS over SCTP, RFC 6083) is not supported: it needs SCTP-AUTH keys taken from "
            "DTLS, which neither OpenSSL's nor libusrsctp's interface gives; use 'transport tls', or "
            "'transport sctp' within IPsec"
        )
    if transport == "sctp" and (why := missing(udp_port)):
        return f"transport sctp: {why}, or use another transport"
    return ""
