"""What goes into the core of host bindings and comes out of it, beside what it shares with the anchor.

::

    raw socket, Next Header 60 ──OptionsReceived──▶ Hosts ──SendRouted──▶ raw socket with whole packets
    test on the home link ───────AddressTested────▶       ──TestAddress, StopTest──▶ test on the home link

Slotted classes of numbers, text and octets, as all events are.
"""

from attrs import define

#: Tokens of questions that host bindings ask an AAA client begin here; those of gateways are below.
FIRST_TOKEN = 1 << 40


class HostEvent:
    """Base of what comes in for host bindings only."""

    __slots__ = ()


@define(slots=True)
class OptionsReceived(HostEvent):
    """A packet whose first extension header is Destination Options, as it came off a raw socket."""

    data: bytes
    """From that header to the end of the packet."""
    source: bytes
    """IPv6 source of the packet: the care-of address, if a Home Address option follows."""
    destination: bytes


@define(slots=True)
class ProtectedReceived(HostEvent):
    """A message that a security association of the kernel has covered, without the headers before it."""

    data: bytes
    source: bytes
    """What upper layers see: the home address, where there was a Home Address option."""
    destination: bytes
    care_of: bytes = b""
    """Source of the packet; empty: there was no Home Address option."""
    protocol: int = 135


@define(slots=True)
class SendRouted:
    """Send a mobility message to a host that is away: by a type 2 routing header (RFC 6275 section 6.4)."""

    data: bytes
    """The message; its checksum is over the home address."""
    source: bytes
    destination: bytes
    """Care-of address."""
    home: bytes
    port: int = 0
    """As in ``Send``: never UDP."""
    protocol: int = 135
    """What ``data`` is: a mobility message, or ICMPv6 (58)."""


@define(slots=True)
class TestAddress:
    """Find out whether another node of the home link has one of these addresses (RFC 4862 section 5.4)."""

    token: int
    addresses: tuple[bytes, ...]
    interface: str


@define(slots=True)
class StopTest:
    """The test is over; what comes now is of no interest."""

    token: int


@define(slots=True)
class AddressTested(HostEvent):
    """A test has failed; one that is not heard of is passed."""

    token: int
    why: str
    """For the log."""


@define(slots=True)
class IcmpReceived(HostEvent):
    """An ICMPv6 message for home agents (RFC 6275 section 6.5), or of Neighbor Discovery on the home link."""

    data: bytes
    """From the type octet on; the kernel has verified the checksum."""
    source: bytes
    destination: bytes
    hop_limit: int


@define(slots=True)
class SendOnLink:
    """Send an ICMPv6 message on the home link from our link-local address; the kernel makes its checksum."""

    data: bytes
    destination: bytes


@define(slots=True)
class SwitchHosts(HostEvent):
    """An operator sends hosts to other home agents (RFC 5142); empty filter fields match every host."""

    mn_id: bytes = b""
    address: bytes = b""
    agents: tuple[bytes, ...] = ()
    """In the order of the message; empty: those of the Home Agents List."""
    grace: int = 0
    """Seconds until the bindings will be deleted (Binding Refresh Advice); 0: not said."""


@define(slots=True)
class AskRefresh(HostEvent):
    """An operator has hosts refresh their bindings now; an empty filter matches every host."""

    mn_id: bytes = b""
    address: bytes = b""
