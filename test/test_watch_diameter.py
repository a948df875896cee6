"""Watching Diameter: whose messages are seen, in clear words and without keys; and captures of them."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance import pcapng, tap
from appliance.capture import Captures
from appliance.errors import ApplianceError
from appliance.ports import TapFilter
from appliance.protocols.diameter.message.veil import veil
from appliance.protocols.diameter.node.probe import Probe
from appliance.protocols.timers import Now
from appliance.tap import INBOUND, NOTE, OUTBOUND, Tapped, TappedDiameter
from appliance.watch import Watch
from appliance.watch_diameter import SESSIONS, session_id
from test.tapped import PREFIX, WALL, World, pbu, session
from test.tapped_diameter import (
    OURS,
    OURS6,
    SESSION,
    THEIRS,
    THEIRS6,
    USER,
    aaa,
    aar,
    avp,
    golden,
    made,
    seen,
)

GOLDEN = golden()
KEY = bytes(range(0x41, 0x51))


class SelectorTests(SynchronousTestCase):
    """``monitor subscriber`` and filters of captures."""

    def setUp(self) -> None:
        self.world = World(session(username=USER))
        self.world.tap = Watch(self.world.raw, self.world.services, lambda: ["aaa"])

    def watch(self, *items: Tapped, **wanted: Any) -> list[Tapped]:
        """What a subscription sees of these."""
        subscription = self.world.tap.subscribe(TapFilter(**wanted), 2_000)
        self.world.tell(*items)
        found = subscription.take()
        subscription.close()
        return found

    def test_everything(self) -> None:
        """Without a filter all is seen; by service only that one's."""
        items = [pbu(USER), aar(), seen(GOLDEN["dwr"])]
        self.assertEqual(self.watch(*items), items)
        self.assertEqual(self.watch(*items, service="aaa"), items[1:])
        self.assertEqual(self.watch(*items, service="lma1"), items[:1])
        error = self.assertRaises(ApplianceError, self.watch, service="bbb")
        self.assertIn("no diameter endpoint is named bbb", str(error))

    def test_peer(self) -> None:
        """By the address of the other side, in both directions."""
        items = [aar(), aaa(), aar(destination=OURS6)]
        self.assertEqual(self.watch(*items, peer="192.0.2.9"), items[:2])

    def test_username(self) -> None:
        """Requests by User-Name, and everything else of their sessions."""
        other = [aar("mn2@home.example", "x;1;8"), aaa("x;1;8"), seen(GOLDEN["dwr"])]
        mine = [
            aar(), aaa(), seen(made(274, ("Session-Id", SESSION))),
            seen(made(275, ("Session-Id", SESSION), request=False), OUTBOUND),
        ]  # fmt: skip
        mixed = [item for pair in zip(mine, [*other, other[0]], strict=True) for item in pair]
        self.assertEqual(self.watch(*mixed, username=USER), mine)
        self.assertEqual(self.watch(*mixed, username="mn1@*"), mine)
        self.assertEqual(self.watch(*mixed, username="nobody"), [])

    def test_imsi(self) -> None:
        """By the digits that the identifier begins with."""
        item = aar("0001019999999999@nai.epc.example")
        self.assertEqual(self.watch(item, aar(session="x;1;8"), imsi="001019999999999"), [item])

    def test_call_id(self) -> None:
        """The user of the session with that call id."""
        items = [aar(), aaa(), aar("mn2@home.example", "x;1;8")]
        self.assertEqual(self.watch(*items, call_id=0x01CA11B1), items[:2])

    def test_address(self) -> None:
        """By home address and home network prefix, also inside of a group; then by who has it."""
        prefix = ("MIP6-Home-Link-Prefix", bytes((64,)) + PREFIX)
        agent = ("MIP6-Agent-Info", [avp(*prefix)])
        home = ("MIP-Mobile-Node-Address", bytes((203, 0, 113, 7)))
        inside = str(ip_address(PREFIX[:8] + bytes(7) + b"\5"))
        for item, address in (
            (aar("mn3@x", "s;1;1", agent), inside), (aar("mn3@x", "s;1;1", prefix), inside),
            (aar("mn3@x", "s;1;1", home), "203.0.113.7"),
        ):  # fmt: skip
            items = [item, aaa("s;1;1"), aar("mn3@x", "s;1;2"), aar("mn4@x", "s;1;3")]
            self.assertEqual(self.watch(*items, ip_address=address), items[:3])
        self.assertEqual(self.watch(aar("mn3@x", "s;1;1", home), ip_address="203.0.113.8"), [])

    def test_next_call(self) -> None:
        """AAA messages of whoever attaches next."""
        items = [aar("mn9@x", "s;1;9"), pbu("mn8@x"), aar("mn8@x", "s;1;8"), aaa("s;1;8")]
        self.assertEqual(self.watch(*items, next_call=True), items[1:])

    def test_many_sessions(self) -> None:
        """Only so many are followed; the oldest are forgotten."""
        items = [aar(session=f"s;1;{number}") for number in range(SESSIONS + 5)]
        late = [aaa("s;1;0"), aaa(f"s;1;{SESSIONS}")]
        self.patch(tap, "DECODINGS", 10_000)
        subscription = self.world.raw.subscribe(self._selector(), 5_000, decodings=10_000)
        self.world.tell(*items, *late)
        self.assertEqual(subscription.take()[len(items) :], late[1:])

    def _selector(self) -> Any:
        from appliance.watch import Selector

        return Selector(TapFilter(username=USER), lambda wanted: iter(()))

    def test_broken(self) -> None:
        """What cannot be decoded is seen if it holds what is looked for."""
        broken = aar()
        broken.data = broken.data[:24] + b"\xff" * 4 + broken.data[28:]
        self.assertEqual(self.watch(broken, username=USER), [broken])

    @given(st.binary(max_size=80), st.binary(max_size=60))
    def test_any_octets(self, head: bytes, rest: bytes) -> None:
        """Never raises."""
        for data in (head + rest, GOLDEN["acr start"][:20] + head, head[:28] + USER.encode() + rest):
            session_id(data)
            self.assertLessEqual(len(self.watch(seen(data), username=USER)), 1)
            self.world.tap.describe(seen(data), 5)

    def test_describe(self) -> None:
        """Each level says more; octets as in mobility messages."""
        item = seen(GOLDEN["acr start"])
        sizes = [len(self.world.tap.describe(item, level)) for level in range(1, 6)]
        self.assertEqual((sizes[0], sizes), (1, sorted(sizes)))
        self.assertTrue(self.world.tap.describe(item, 1)[0].startswith("Accounting-Request (ACR)"))
        self.assertTrue(self.world.tap.hexdump(item, True)[0].startswith("0000  01 00"))

    def test_octets_are_bounded(self) -> None:
        """Long messages that nobody takes do not fill the memory."""
        self.patch(tap, "OCTETS", 100_000)
        subscription = self.world.tap.subscribe(TapFilter(), 1_000)
        long = seen(bytes(30_000))
        self.world.tell(*[long] * 20)
        self.assertEqual((len(subscription.take(2)), subscription.lost), (2, 16))
        self.world.tell(*[long] * 20)
        self.assertEqual(len(subscription.take()), 4)


class VeilTests(SynchronousTestCase):
    """Keys are nobody's to see."""

    def test_golden(self) -> None:
        """Of the golden messages only those with keys are changed, by the keys."""
        changed = {name for name, data in GOLDEN.items() if veil(data) != data}
        self.assertEqual(changed, {name for name in GOLDEN if name in ("ama", "mia success", "mia")})
        for name in changed:
            self.assertEqual(len(veil(GOLDEN[name])), len(GOLDEN[name]))

    def test_groups(self) -> None:
        """Also inside of groups, also of a vendor; what stands beside it stays."""
        for data in (
            made(265, ("Session-Id", SESSION), ("MIP-Session-Key", KEY), ("User-Name", USER)),
            made(325, ("MIP-MN-HA-MSA", [avp("MIP-Session-Key", KEY), avp("MIP-MSA-Lifetime", 7)])),
            made(268, ("EAP-Master-Session-Key", KEY)), made(265, ("MIP-FA-RK", KEY)),
            made(265, ("User-Password", KEY)),
        ):  # fmt: skip
            shown = veil(data)
            self.assertEqual(shown, data.replace(KEY, b"*" * len(KEY)))
            self.assertNotEqual(shown, data)
            self.assertNotIn(KEY.hex(" "), "\n".join(World().tap.describe(seen(shown), 5)))

    def test_broken_length(self) -> None:
        """A key behind a wrong length is not shown either."""
        data = bytearray(made(265, ("User-Name", USER), ("MIP-Session-Key", KEY)))
        data[27] = 0xFF
        self.assertNotIn(KEY, veil(bytes(data)))

    def test_same_object(self) -> None:
        """A message without keys is not copied."""
        data = GOLDEN["acr start"]
        self.assertIs(veil(data), data)

    @given(st.binary(max_size=120))
    def test_any_octets(self, data: bytes) -> None:
        """Never raises, never changes the length or the header."""
        for each in (data, GOLDEN["dwr"] + data):
            self.assertEqual((len(veil(each)), veil(each)[:20]), (len(each), each[:20]))


class Link:
    """A connection."""

    kind, peer, port, local_port = "tls", "aaa1.home.example", 5868, 40002

    def __init__(self, remote: bytes, *local: bytes) -> None:
        self.remote, self.local = remote, local


class ProbeTests(SynchronousTestCase):
    """What an endpoint tells the tap."""

    def setUp(self) -> None:
        self.tap = tap.Tap()
        self.probe = Probe(self.tap, lambda: Now(1.0, WALL), "aaa")

    def test_nobody_listens(self) -> None:
        """Then nothing is made."""
        self.probe.sent(Link(THEIRS, OURS), None)  # type: ignore[arg-type]
        self.probe.noted("hello")

    def test_messages(self) -> None:
        """Addresses of the peer's family, the direction, no keys."""
        subscription = self.tap.subscribe()
        link = Link(THEIRS6, OURS, OURS6)
        secret = made(265, ("MIP-Session-Key", KEY))
        self.probe.received(link, [GOLDEN["dwr"], secret])
        self.probe.sent(link, GOLDEN["dwa"])
        self.probe.noted("peer is back")
        first, second, third, note = subscription.take()
        self.assertEqual(
            first,
            TappedDiameter(
                WALL, "aaa", INBOUND, GOLDEN["dwr"], "aaa1.home.example", THEIRS6, 5868, OURS6, 40002, "tls"
            ),
        )
        assert isinstance(second, TappedDiameter) and isinstance(third, TappedDiameter)
        self.assertEqual(second.data, veil(secret))
        self.assertEqual((third.direction, third.source, third.destination_port), (OUTBOUND, OURS6, 5868))
        self.assertEqual((note.kind, note.service), ("diameter", "aaa"))
        self.assertEqual(getattr(note, "what", ""), NOTE)

    def test_no_address(self) -> None:
        """A connection that does not know its own address has the unspecified one."""
        subscription = self.tap.subscribe()
        self.probe.sent(Link(THEIRS), GOLDEN["dwr"])
        (item,) = subscription.take()
        assert isinstance(item, TappedDiameter)
        self.assertEqual(item.source, bytes(4))


class CaptureTests(SynchronousTestCase):
    """Files of Diameter messages, read by Wireshark's dissector."""

    def capture(self, *items: Tapped) -> str:
        """A file with these messages."""
        folder = tempfile.mkdtemp(prefix="appliance-capture-")
        self.addCleanup(shutil.rmtree, folder, True)
        world = World()
        captures = Captures(
            world.tap, lambda *_: None, lambda: Now(0.0, WALL), Clock().callLater, lambda call, *args: None
        )
        path = f"{folder}/a.pcapng"

        async def run() -> None:
            await captures.start(path, TapFilter(), 1 << 20, 0)
            world.tell(*items)
            await captures.stop()

        asyncio.run(run())
        return path

    def tshark(self, path: str, *options: str) -> list[str]:
        """The lines that tshark prints."""
        if shutil.which("tshark") is None:
            raise SkipTest("tshark is not installed (Debian package tshark)")
        done = subprocess.run(
            ["tshark", "-r", path, *options], capture_output=True, text=True, check=True, timeout=60,
            env={**os.environ, "TZ": "UTC", "HOME": os.path.dirname(path)},
        )  # fmt: skip
        return done.stdout.splitlines()

    def test_all_golden_messages(self) -> None:
        """Each is Diameter, and none is malformed, whatever its ports and transport."""
        items = [seen(data, transport=transport, source_port=port) for data in GOLDEN.values()
                 for transport, port in (("tcp", 3868), ("tls", 15868), ("sctp", 0))]  # fmt: skip
        path = self.capture(*items)
        fields = ("-T", "fields", "-e", "diameter.cmd.code", "-e", "ip.src", "-e", "_ws.malformed")
        lines = self.tshark(path, *fields)
        self.assertEqual(len(lines), len(items))
        for item, line in zip(items, lines, strict=True):
            assert isinstance(item, TappedDiameter)
            code, _, malformed = line.split("\t")
            self.assertEqual((int(code), malformed), (int.from_bytes(item.data[5:8], "big"), ""))

    def test_addresses(self) -> None:
        """Source and destination of both families are shown, and User-Name is found by a display filter."""
        path = self.capture(aar(), aaa(), pbu(USER), aar(source=OURS6, destination=THEIRS6))
        lines = self.tshark(path)
        self.assertIn("192.0.2.1", lines[0])
        self.assertIn("AA Request", lines[0])
        self.assertIn("MIPv6", lines[2])
        self.assertIn("2001:db8::9", lines[3])
        self.assertEqual(len(self.tshark(path, "-Y", f'diameter.User-Name == "{USER}"')), 2)

    def test_long(self) -> None:
        """A message longer than what readers take is cut, and the file is still good."""
        long = made(265, ("Session-Id", SESSION), ("User-Name", "x" * 400_000))
        path = self.capture(seen(long), aar())
        self.assertEqual(len(self.tshark(path)), 2)

    def test_tags(self) -> None:
        """A tag is a multiple of four octets long; the message follows the end of the tags."""
        data = pcapng.exported_pdu(aar())
        place, tags = 0, {}
        while data[place : place + 2] != b"\0\0":
            length = int.from_bytes(data[place + 2 : place + 4], "big")
            tags[int.from_bytes(data[place : place + 2], "big")] = data[place + 4 : place + 4 + length]
            self.assertEqual(length % 4, 0)
            place += 4 + length
        self.assertEqual(data[place + 4 :], aar().data)
        self.assertEqual((tags[12], tags[20], tags[21]), (b"diameter", OURS, THEIRS))
        self.assertEqual((tags[24], tags[26]), (b"\0\0\0\2", (3868).to_bytes(4, "big")))
