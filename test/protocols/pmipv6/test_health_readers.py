"""What other programs read in our heartbeats: Scapy the packet, tshark the fields."""

import shutil
import subprocess
from pathlib import Path
from unittest import SkipTest

from scapy.layers.inet6 import IPv6
from scapy.utils import wrpcap
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.mobility.messages import Heartbeat
from appliance.protocols.pmipv6.events import Began, Send
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, MAG1, World

FIELDS = ("mip6.mhtype", "mip6.hb.u_flag", "mip6.hb.r_flag", "mip6.hb.seqnr", "mip6.rc")


class ReaderTests(SynchronousTestCase):
    """A request, a response and an unsolicited response of an anchor."""

    def packets(self) -> list[IPv6]:
        """The three, as they go onto the wire."""
        world = World(heartbeat_interval=60)
        world.lma.receive(Began(8, ((MAG1, LMA_ADDRESS, 0),)), world.now)
        effects = world.pass_time(0.1)
        world.send()
        effects += world.pass_time(1.1)
        effects += world.packet(seal(encode(Heartbeat(0, 77)), MAG1, LMA_ADDRESS))
        sent = [each for each in effects if isinstance(each, Send)]
        return [
            IPv6(b"\x60\0\0\0%b\x87\x40%b%b%b" % (len(each.data).to_bytes(2, "big"), each.source,
                                                 each.destination, each.data))
            for each in sent
        ]  # fmt: skip

    def test_tshark(self) -> None:
        """Types, flags, numbers and counters are read as meant; nothing is malformed."""
        program = shutil.which("tshark")
        if program is None:
            raise SkipTest("tshark is not installed")
        path = Path(self.mktemp()).with_suffix(".pcap")
        wrpcap(str(path), self.packets())
        wanted = [word for field in FIELDS for word in ("-e", field)]
        done = subprocess.run(
            [program, "-r", str(path), "-T", "fields", *wanted], capture_output=True, text=True, check=True
        )
        self.assertEqual(
            [line.split("\t") for line in done.stdout.splitlines()],
            [["13", "1", "1", "0", "8"], ["13", "0", "0", "1", ""], ["13", "0", "1", "77", "8"]],
        )
        command = [program, "-r", str(path), "-Y", "_ws.malformed"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "")
