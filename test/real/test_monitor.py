"""Monitors and captures of a whole anchor while a mobile node comes and goes."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

from scapy.layers import inet6
from scapy.utils import RawPcapNgReader

from scripts.demo import NAI
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import Appliance, environment, wait_for
from test.real.common import LabTests, demo_config


class MonitorTests(LabTests):
    """One anchor, one gateway, one mobile node."""

    def monitor(self, node: Appliance, *lines: str) -> "subprocess.Popen[str]":
        """A script that monitors; it is ended after the test."""
        command = [sys.executable, "-m", "appliance", "cli", "--socket", str(node.socket)]
        command += [word for line in lines for word in ("-e", line)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(), text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            self.addCleanup(stream.close)
        return process

    def test_a_mobile_node_comes(self) -> None:
        """PBU, session and PBA are printed as they happen, and both messages are in the file."""
        lma = self.started(demo_config("lma"), "lma")
        self.started(demo_config("mag1"), "mag1")
        file = self.work / "anchor.pcapng"
        self.assertIn("has begun", lma.cli(f"capture start {file} peer {MAG_ADDRESSES['mag1']}"))
        process = self.monitor(lma, "show version", "monitor protocol verbosity 3 count 3 duration 30")
        assert process.stdout is not None
        # What is printed arrives at once, and the monitor is the next thing that this session does.
        while "Image Description" not in process.stdout.readline():
            self.assertIsNone(process.poll())
        self.lab.attach()
        output = process.stdout.read()
        process.wait(10)
        self.assertEqual(process.returncode, 0, output)
        marks = [line.split()[0] for line in output.splitlines() if "Eventid" in line]
        self.assertEqual(marks, ["INBOUND>>>>>", "***CONTROL***", "<<<<OUTBOUND"], output)
        self.assertIn("Proxy Binding Update (5)", output)
        self.assertIn("Status: Binding Update accepted (0)", output)
        self.assertIn("    Home Network Prefix (22): ", output)
        self.assertIn("Running", lma.cli("show capture"))
        self.assertIn("0 dropped", lma.cli(f"capture stop {file}"))
        self.check_file(file)

    def check_file(self, file: Path) -> None:
        """PBU and PBA, between the right addresses; tshark finds nothing malformed."""
        with RawPcapNgReader(io.BytesIO(file.read_bytes())) as reader:
            packets = [inet6.IPv6(data) for data, _ in reader]
        ends = (MAG_ADDRESSES["mag1"], LMA_ADDRESS)
        signalling = [
            one for one in packets if one.haslayer(inet6.MIP6MH_BU) or one.haslayer(inet6.MIP6MH_BA)
        ]
        self.assertEqual([(one.src, one.dst) for one in signalling[:2]], [ends, ends[::-1]])
        if program := shutil.which("tshark"):
            command = [program, "-r", str(file), "-T", "fields", "-e", "mip6.mhtype", "-e", "_ws.malformed"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            self.assertEqual([line.split() for line in done.stdout.splitlines()][:2], [["5"], ["6"]])

    def test_the_end_of_the_process_finishes_the_file(self) -> None:
        """A capture that runs when the appliance is stopped ends like any other."""
        lma = self.started(demo_config("lma"), "lma")
        self.started(demo_config("mag1"), "mag1")
        file = self.work / "anchor.pcapng"
        lma.cli(f"capture start {file}")
        self.lab.attach()
        wait_for("a session", lambda: NAI in lma.cli("show lma-service session"), 20)
        self.assertEqual(lma.stop(), 0)
        self.check_file(file)
        self.assertIn(f"capture {file}: Stopped; ", lma.log.read_text())
