"""The kernel's route messages, octet by octet, and what damaged ones do."""

import os
import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.ports import RouteView
from appliance.routes import parse

CASES = int(os.environ.get("FUZZ", "200"))
NAMES = {2: "eth1", 3: "tun-lma1"}


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def route(
    *attributes: bytes, family: int = socket.AF_INET, length: int = 24, table: int = 254, protocol: int = 4,
    kind: int = 1,
) -> bytes:  # fmt: skip
    """One RTM_NEWROUTE message."""
    body = struct.pack("=8BI", family, length, 0, 0, table, protocol, 0, kind, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 24, 2, 1, 0) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
DEVICE = attribute(4, struct.pack("=I", 2))


class ParseTests(SynchronousTestCase):
    def one(self, message: bytes) -> RouteView:
        """The only route of a message."""
        (view,) = parse(message, dict(NAMES))
        assert view is not None
        return view

    def test_plain(self) -> None:
        """Destination, gateway, metric and device."""
        view = self.one(route(
            attribute(1, socket.inet_aton("198.51.100.0")), attribute(5, socket.inet_aton("192.0.2.9")),
            attribute(6, struct.pack("=I", 7)), DEVICE,
        ))  # fmt: skip
        self.assertEqual(view, RouteView(destination="198.51.100.0/24", next_hop="192.0.2.9",
                                         protocol="static", cost=7, interface="eth1"))  # fmt: skip

    def test_default_routes(self) -> None:
        """Without a destination, of each family; an IPv4 route by an IPv6 gateway."""
        self.assertEqual(self.one(route(DEVICE, length=0)).destination, "0.0.0.0/0")
        gateway = struct.pack("=H", socket.AF_INET6) + socket.inet_pton(socket.AF_INET6, "fe80::1")
        self.assertEqual(self.one(route(DEVICE, attribute(18, gateway), length=0)).next_hop, "fe80::1")
        self.assertEqual(self.one(route(DEVICE, family=socket.AF_INET6, length=0)).destination, "::/0")

    def test_several_hops(self) -> None:
        """One route for each next hop."""
        hops = b"".join(
            struct.pack("=HBBi", 16, 0, 0, index) + attribute(5, socket.inet_aton(f"192.0.2.{index}"))
            for index in (2, 3)
        )
        views = list(parse(route(attribute(9, hops), protocol=186), dict(NAMES)))
        self.assertEqual([(view.next_hop, view.interface, view.protocol) for view in views if view],
                         [("192.0.2.2", "eth1", "bgp"), ("192.0.2.3", "tun-lma1", "bgp")])  # fmt: skip

    def test_others_are_left_out(self) -> None:
        """Other tables, also by the long attribute, and other types; the end of the dump ends it."""
        messages = (
            route(DEVICE, table=255), route(DEVICE, attribute(15, struct.pack("=I", 1000)), table=252),
            route(DEVICE, kind=2),
        )  # fmt: skip
        self.assertEqual(list(parse(b"".join(messages), dict(NAMES))), [])
        views = list(parse(route(DEVICE) + DONE + route(DEVICE), dict(NAMES)))
        self.assertEqual([view is None for view in views], [False, True])

    def test_odd(self) -> None:
        """A protocol without a name, a device that has gone."""
        view = self.one(route(attribute(4, struct.pack("=I", 2**31 - 1)), protocol=77))
        self.assertEqual((view.protocol, view.interface), ("proto-77", ""))

    def test_error(self) -> None:
        """The kernel's word against it is told."""
        message = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1)
        error = self.assertRaises(ResourceError, list, parse(message, {}))
        self.assertIn("Operation not permitted", str(error))

    @settings(deadline=None, max_examples=CASES)
    @given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
    def test_damaged(self, rest: bytes, place: int, octet: int) -> None:
        """Whatever stands there, reading ends and raises nothing else."""
        message = bytearray(route(attribute(1, bytes(4)), attribute(9, rest), DEVICE) + rest)
        message[min(place, len(message) - 1)] = octet
        try:
            list(parse(bytes(message), dict(NAMES)))
        except ResourceError:
            return
