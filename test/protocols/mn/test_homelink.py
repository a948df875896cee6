"""What a mobile node says on a link itself."""

import socket
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn import homelink

ADDRESS, MAC = bytes.fromhex("20010db8000100000000000000000005"), bytes.fromhex("020000000005")


class PacketSocket:
    """Knows the link-layer address of the device that it is bound to, as the kernel says it."""

    def __init__(self, family: int, *_rest: int) -> None:
        assert family == socket.AF_PACKET
        self.name = ""

    def __enter__(self) -> "PacketSocket":
        """Itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Closed."""

    def bind(self, address: tuple[str, int]) -> None:
        """As the kernel."""
        self.name = address[0]

    def getsockname(self) -> tuple[Any, ...]:
        """As the kernel."""
        return (self.name, 0, 0, 1, MAC)


class AnnouncementTest(SynchronousTestCase):
    """RFC 6275 section 11.5.5: the return is announced."""

    def test_link_layer_address(self) -> None:
        """It is asked of a socket, which is in our network namespace whatever /sys is of."""
        with (
            mock.patch.object(homelink.socket, "socket", PacketSocket),
            mock.patch.object(homelink, "_send") as send,
        ):
            homelink.announce("home0", ADDRESS)
        send.assert_called_once_with("home0", homelink.ALL_NODES, homelink.advertisement(ADDRESS, MAC))
