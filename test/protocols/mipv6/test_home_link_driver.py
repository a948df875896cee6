"""The sockets of a home link: when they are there, and whom answers go to."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6 import home_link_driver
from appliance.protocols.mipv6.events import HomeFrame, HomeLinkDown, HomeLinkUp, SendAtHome, SendHomeFrame
from appliance.protocols.mipv6.home_link_driver import PATIENCE, SENDERS, HomePort
from appliance.protocols.mobility.packet import parse_ipv6
from appliance.protocols.pmipv6.events import Notify
from appliance.tun.device import System
from test.protocols.mipv6.fakes import HOME, HOME2
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

OURS, THEIRS = bytes.fromhex("02005e000001"), bytes.fromhex("02005e000099")
ADDRESS = packed("fe80::1")
MESSAGE = bytes.fromhex("3b00060000000000") + bytes(8)


class FakeSocket:
    """In the place of a packet socket."""

    made: list["FakeSocket"] = []
    there = True
    link_layer = OURS

    def __init__(self, _reactor: Any, interface: str, on_frame: Any, *_: Any, unicast: bool = False) -> None:
        if not FakeSocket.there:
            raise OSError(19, "No such device")
        self.interface, self.on_frame, self.unicast = interface, on_frame, unicast
        self.waiting: list[bytes] = []
        self.sent: list[bytes] = []
        self.refuses = self.stopped = False
        FakeSocket.made.append(self)

    def drain(self, most: int) -> None:
        """What waits is given on."""
        while self.waiting:
            self.on_frame(self.interface, self.waiting.pop(0))

    def send(self, frame: bytes) -> None:
        """Kept, or refused."""
        if self.refuses:
            raise OSError(100, "Network is down")
        self.sent.append(frame)

    def stop(self) -> None:
        """Noted."""
        self.stopped = True


class HomePortTests(SynchronousTestCase):
    """One service, one device."""

    def setUp(self) -> None:
        """The device is there, and has an address."""
        self.patch(home_link_driver, "LinkSocket", FakeSocket)
        self.patch(FakeSocket, "made", [])
        self.patch(FakeSocket, "there", True)
        self.patch(FakeSocket, "link_layer", OURS)
        self.address = ADDRESS
        self.patch(System, "link_address", staticmethod(lambda _name: self.address))
        self.clock = Clock()
        self.told: list[Any] = []
        self.port = HomePort(self.clock, LMA_ADDRESS, self.told.append, self.told.append)

    def answer(self, home: bytes = b"") -> tuple[bytes, bool]:
        """An answer to the host at home."""
        return self.port.answer(SendAtHome(MESSAGE, LMA_ADDRESS, HOME, home, "home0"))

    @staticmethod
    def update(source: bytes = HOME) -> bytes:
        """The frame of an update."""
        return OURS + THEIRS + b"\x86\xdd" + bytes(8) + source + LMA_ADDRESS + MESSAGE

    def test_up_and_down(self) -> None:
        """The core is told when the device has an address, and when it is gone."""
        self.address = b""
        self.port.apply("home0")
        self.port.apply("home0")
        self.assertEqual((self.told, len(FakeSocket.made)), ([], 2))
        self.clock.advance(PATIENCE)
        self.address = ADDRESS
        self.clock.advance(PATIENCE)
        self.assertEqual(self.told, [HomeLinkUp("home0", OURS, ADDRESS)])
        self.port.changed("home0", True)
        self.port.changed("other", False)
        self.assertEqual(len(self.told), 1)
        self.port.changed("home0", False)
        self.assertEqual(self.told[1:], [HomeLinkDown("home0")])
        self.assertTrue(all(each.stopped for each in FakeSocket.made))
        self.port.changed("home0", True)
        self.assertEqual(self.told[2:], [HomeLinkUp("home0", OURS, ADDRESS)])
        FakeSocket.link_layer = THEIRS
        self.port.changed("home0", True)
        self.assertEqual(self.told[3:], [HomeLinkDown("home0"), HomeLinkUp("home0", THEIRS, ADDRESS)])
        self.port.stop()
        self.assertEqual(self.told[5:], [HomeLinkDown("home0")])

    def test_it_goes_while_it_waits_for_an_address(self) -> None:
        """Nobody asks for one any more."""
        self.address = b""
        self.port.apply("home0")
        self.port.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_there(self) -> None:
        """The operator is told; it is served as soon as it comes."""
        FakeSocket.there = False
        self.port.apply("home0")
        (notice,) = self.told
        assert isinstance(notice, Notify)
        self.assertEqual(notice.text, "home link home0: No such device; nothing is defended there")
        FakeSocket.there = True
        self.port.changed("home0", True)
        self.assertEqual(self.told[1:], [HomeLinkUp("home0", OURS, ADDRESS)])

    def test_frames(self) -> None:
        """In as events, out as they are; none for another link, or while the link takes none."""
        self.port.apply("home0")
        frames, _ = FakeSocket.made
        frames.on_frame("home0", b"frame")
        self.assertEqual(self.told[1:], [HomeFrame("home0", b"frame")])
        self.assertTrue(self.port.send(SendHomeFrame("home0", b"answer")))
        self.assertFalse(self.port.send(SendHomeFrame("home1", b"answer")))
        frames.refuses = True
        self.assertFalse(self.port.send(SendHomeFrame("home0", b"answer")))
        self.assertEqual(frames.sent, [b"answer"])

    def test_an_answer_goes_where_the_update_came_from(self) -> None:
        """Also when its frame was not looked at yet; once for each update; else it takes the usual way."""
        self.assertFalse(self.answer()[1])
        self.port.apply("home0")
        frames, messages = FakeSocket.made
        self.assertTrue(messages.unicast)
        packet, sent = self.answer()
        self.assertFalse(sent)
        self.assertEqual(parse_ipv6(packet).home_destination, None)
        messages.waiting.append(self.update())
        packet, sent = self.answer()
        self.assertTrue(sent)
        self.assertEqual(frames.sent, [THEIRS + OURS + b"\x86\xdd" + packet])
        self.assertFalse(self.answer()[1])
        messages.waiting.append(self.update())
        packet, sent = self.answer(HOME)
        self.assertEqual((sent, parse_ipv6(packet).home_destination), (True, HOME))

    def test_senders_are_bounded(self) -> None:
        """Whoever sends mobility messages on the link; the latest are known."""
        self.port.apply("home0")
        _, messages = FakeSocket.made
        messages.waiting.append(self.update(HOME2))
        for number in range(SENDERS):
            messages.waiting.append(self.update(HOME2[:8] + (4096 + number).to_bytes(8, "big")))
        messages.waiting.append(self.update())
        messages.drain(1)
        self.assertEqual(len(self.port._senders), SENDERS)
        self.assertTrue(self.answer()[1])
        self.assertFalse(HOME2 in self.port._senders)
