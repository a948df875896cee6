"""Revocation messages octet by octet, as other programs have verified them, and read by tshark."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MAG, CounterSet
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import (
    BR_G,
    BR_P,
    BR_V,
    BU_A,
    BU_P,
    BindingUpdate,
)
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    HandoffIndicator,
    HomeNetworkPrefix,
    IPv4HomeAddressRequest,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
)
from appliance.protocols.mobility.status import REVOCATION_NAMES, TRIGGER_NAMES
from appliance.protocols.pmipv6.events import ClearSessions, MobileAttached, PacketReceived, Send
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import MagSettings, Profile
from appliance.protocols.timers import Now
from test.protocols.mobility.test_readers import capture_file
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, MAG1, MAG2, MN1, WALL, World, packed
from test.protocols.pmipv6.revocation_fakes import ACKNOWLEDGEMENT, INDICATION

BRI_MOVED = bytes.fromhex(
    "3b0610006d8501027a0180000810016d6e31406578616d706c652e6f7267010400000000161200402001"
    "0db8000100010000000000000000"
)
BRA_SUCCESS = bytes.fromhex("3b0110005be502007a01800001020000")
BRI_PEER = bytes.fromhex("3b0110003c6401807a02a00001020000")
BRA_ATTACHED = bytes.fromhex("3b031000b02d02847a0380000810016d6e31406578616d706c652e6f72670100")
#: Who is named.
ASKED = [MobileNodeIdentifier(1, MN1)]


class GoldenTests(SynchronousTestCase):
    def test_anchor(self) -> None:
        """A handover, its acknowledgement, and all of a gateway."""
        mobile = Profile(name="mn1", mn_id=MN1, prefixes=((packed("2001:db8:1:1::"), 64),))
        world = World(lambda bits: 0x7A00, revocation=True, profiles=(mobile,))
        world.send()
        world.mono += 1
        world.packet(*world.build(source=MAG2, hi=3, sequence=2))
        (bri,) = [send for send in world.of_kind(Send) if send.data[2] == 16]
        self.assertEqual((bri.data, bri.source, bri.destination), (BRI_MOVED, LMA_ADDRESS, MAG1))
        world.packet(BRA_SUCCESS, MAG1)
        self.assertEqual(world.value("received-revocation-ack-status/success"), 1)
        # Back at the first gateway, which has let go of the session: 0x7a02 goes there.
        world.send(lifetime=0, hi=4, source=MAG2, sequence=3)
        world.send(hi=4, sequence=4)
        world.lma.receive(ClearSessions(trigger=128), world.now)
        (bri,) = world.lma.take()
        self.assertEqual((bri.data, bri.destination), (BRI_PEER, MAG1))

    def test_gateway(self) -> None:
        """What a gateway answers to them, and while the mobile node is attached."""
        core = MobileAccessGateway(
            MagSettings(name="m", address=MAG1, lma=LMA_ADDRESS, revocation=True),
            CounterSet(MAG),
            lambda bits: 7,
        )
        now = Now(100.0, WALL)
        core.receive(MobileAttached("acc0", b"\2\0\x5e\x10\0\1", MN1), now)
        (update,) = core.take()
        world = World()
        world.mono = 1000
        (answer,) = [effect for effect in world.packet(update.data) if isinstance(effect, Send)]
        core.receive(PacketReceived(answer.data, LMA_ADDRESS, MAG1), now)
        core.take()

        def told(data: bytes) -> bytes:
            core.receive(PacketReceived(data, LMA_ADDRESS, MAG1), now)
            (send,) = [effect for effect in core.take() if isinstance(effect, Send)]
            octets: bytes = send.data
            return octets

        unknown = seal(encode(INDICATION(4, 0x7A03, BR_P, list(ASKED))), LMA_ADDRESS, MAG1)
        self.assertEqual(told(unknown), BRA_ATTACHED)
        cleared = seal(encode(INDICATION(1, 0x7A01, BR_P, list(ASKED))), LMA_ADDRESS, MAG1)
        self.assertEqual(told(cleared), BRA_SUCCESS)


class TsharkTests(SynchronousTestCase):
    def test_read(self) -> None:
        """tshark finds every trigger and status, and nothing malformed."""
        tshark = shutil.which("tshark")
        if tshark is None:
            raise SkipTest("tshark is not installed")
        many = [
            MobileNodeIdentifier(1, MN1),
            HomeNetworkPrefix(64, MAG1),
            HomeNetworkPrefix(64, MAG2),
            AlternateCareOfAddress(MAG2),
            IPv4HomeAddressRequest(32, b"\xcb\0\x71\1"),
            MobileNodeGroupIdentifier(1, 7),
        ]
        messages = [
            *(
                INDICATION(trigger, 7, BR_P | (BR_G if trigger > 127 else 0), many)
                for trigger in TRIGGER_NAMES
            ),
            *(ACKNOWLEDGEMENT(status, 7, BR_P | BR_V, many) for status in REVOCATION_NAMES),
            INDICATION(128, 7, BR_P | BR_G, []),
            INDICATION(129, 7, BR_P | BR_G, [MobileNodeIdentifier(1, b"@example.org")]),
            INDICATION(250, 7, BR_P, []),
            BindingUpdate(7, BU_A | BU_P, 9, [HandoffIndicator(5), MobileNodeGroupIdentifier(1, 1)]),
        ]
        head = bytes.fromhex("60000000") + b"%b\x87\x40" + LMA_ADDRESS + MAG1
        packets = [
            head.replace(b"%b", len(data).to_bytes(2, "big")) + data
            for data in (seal(encode(message), LMA_ADDRESS, MAG1) for message in messages)
        ]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "revocations.pcap")
            file.write_bytes(capture_file(packets))
            names = (
                "_ws.malformed",
                "_ws.expert.message",
                "mip6.mhtype",
                "mip6.bri_r.trigger",
                "mip6.bri_status",
            )
            words = [word for name in names for word in ("-e", name)]
            output = subprocess.run(
                [tshark, "-r", str(file), "-T", "fields", "-E", "separator=|", *words],
                check=True, capture_output=True, text=True, env={"TZ": "UTC"},
            ).stdout  # fmt: skip
        lines = [line.split("|") for line in output.splitlines()]
        self.assertEqual(len(lines), len(messages))
        for message, line in zip(messages, lines, strict=True):
            trigger, status = getattr(message, "trigger", ""), getattr(message, "status", "")
            self.assertEqual(line, ["", "", str(message.TYPE), str(trigger), str(status)], message)
