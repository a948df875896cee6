"""Duplicate address detection on a home link, for hosts that are away (RFC 6275 10.3.1, RFC 4862 5.4).

::

    TestAddress ──▶ Neighbor Solicitation from :: ──▶ home link
    Neighbor Advertisement, or another node's own test ──▶ AddressTested

A packet socket and not an ICMPv6 one: the source is ``::``, and the answer goes to groups that only those
are in who have the address.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.protocols.access import ndp
from appliance.protocols.bits import DecodeError
from appliance.protocols.mipv6.events import AddressTested, StopTest, TestAddress
from appliance.protocols.mipv6.link_socket import LinkSocket, solicitations

_MULTICAST = b"\x33\x33"


class AddressTester:
    """All tests of one service; a socket is there only while its link has tests.

    ``feed`` gets each :class:`AddressTested`; ``later(call, ...)`` calls it after what is going on now.
    """

    def __init__(self, reactor: Any, feed: Callable[[AddressTested], None]) -> None:
        self._reactor = reactor
        self._feed = feed
        self._links: dict[str, LinkSocket] = {}
        self._tests: dict[int, TestAddress] = {}
        #: Of each address on each link, the tests.
        self._wanted: dict[tuple[str, bytes], int] = {}

    def begin(self, test: TestAddress) -> None:
        """Ask the link for the addresses of a test."""
        try:
            link = self._links.get(test.interface)
            if link is None:
                link = LinkSocket(self._reactor, test.interface, self._heard, solicitations)
                self._links[test.interface] = link
            self._tests[test.token] = test
            for address in test.addresses:
                self._wanted[test.interface, address] = test.token
                link.send(solicitation(address, link.link_layer))
        except OSError as error:
            # The core is giving out effects just now; its answer to this has to come after them.
            why = f"cannot be tested on {test.interface}: {error.strerror or error}"
            self._reactor.callLater(0, self._fail, test.token, why)

    def _fail(self, token: int, why: str) -> None:
        self._feed(AddressTested(token, why))

    def end(self, stop: StopTest) -> None:
        """Listen for the addresses of a test no more."""
        test = self._tests.pop(stop.token, None)
        if test is None:
            return
        for address in test.addresses:
            self._wanted.pop((test.interface, address), None)
        if not any(other.interface == test.interface for other in self._tests.values()):
            link = self._links.pop(test.interface, None)
            if link is not None:
                link.stop()

    def _heard(self, interface: str, frame: bytes) -> None:
        try:
            received = ndp.parse(frame)
        except DecodeError:
            return
        if received is None:
            return
        message = received.message
        if isinstance(message, ndp.NeighborSolicitation):
            # RFC 4862 section 5.4.3: from :: it is a test of the same address; from another it is a question.
            if received.source != ndp.UNSPECIFIED:
                return
        elif not isinstance(message, ndp.NeighborAdvertisement):
            return
        token = self._wanted.get((interface, message.target))
        if token is not None:
            owner = received.link_source.hex(":")
            self._fail(token, f"{ip_address(message.target)} is in use on {interface} by {owner}")

    def stop(self) -> None:
        """Close all sockets."""
        for link in self._links.values():
            link.stop()
        self._links.clear()
        self._tests.clear()
        self._wanted.clear()


def solicitation(address: bytes, link_layer: bytes) -> bytes:
    """The frame that asks for the holder of an address in the way of RFC 4862 section 5.4.2."""
    group = ndp.solicited_node(address)
    message = ndp.NeighborSolicitation(address, b"")
    return ndp.build(ndp.Received(link_layer, _MULTICAST + group[12:], ndp.UNSPECIFIED, group, message))
