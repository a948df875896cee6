"""What the tests on real namespaces share: the laboratory, configurations, reasons to skip."""

import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, obstacle
from scripts.labrun import ROOT, Appliance


def reason_to_skip() -> str | None:
    """Why this machine cannot run the real thing; ``None`` when it can (trial skips on an empty text too)."""
    why = obstacle()
    if why:
        return why
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun cannot be opened: {error.strerror}"
    return None


SKIP = reason_to_skip()


def lma_config(
    *, bind: str = LMA_ADDRESS, interface: str = "", peers: tuple[str, ...] = ("mag1", "mag2")
) -> str:
    """A small anchor configuration; ``interface`` is an address to add to the backhaul device."""
    lines = ["config", "context anchor"]
    if interface:
        lines += ["interface backhaul", f"ipv6 address {interface}", "exit"]
    lines += [
        "ipv6 pool HOME prefix 2001:db8:1::/48",
        "ip pool HOME4 203.0.113.0/24 default-router 203.0.113.1",
        "subscriber default",
        "permission pmipv6",
        "exit",
        "lma-service lma1",
        f"bind address {bind}",
        *(f"mag-peer {MAG_ADDRESSES[peer]}" for peer in peers),
        "exit",
        "exit",
        "end",
    ]
    return "\n".join(lines) + "\n"


class LabTests(SynchronousTestCase):
    """One laboratory and one work directory per test; nothing stays."""

    skip = SKIP
    lab: Lab

    def setUp(self) -> None:
        """Build the laboratory under a name of our own, and a directory that every user may look into.

        Per test and not per class: trial has no class fixtures, and it takes a third of a second.
        """
        self.lab = Lab(f"t{os.getpid()}")
        self.addCleanup(self.lab.down)
        self.lab.up()
        self.work = Path(tempfile.mkdtemp(prefix="appliance-test-"))
        self.work.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.work, True)

    def ping(self, role: str, target: str, *options: str) -> str:
        """The output of three quick pings, with more ``options`` of ping."""
        words = ("ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", *options, target)
        return self.lab.exec(role, *words, check=False)

    def appliance(
        self, config: str | Path, role: str = "lma", *, name: str = "", wrapper: tuple[str, ...] = ()
    ) -> Appliance:
        """An appliance that is not started yet; it is ended after the test."""
        if isinstance(config, str):
            path = self.work / f"{name or role}.conf"
            path.write_text(config)
        else:
            path = config
        node = Appliance(self.lab, role, path, self.work, name=name, wrapper=wrapper)
        self.addCleanup(node.stop)
        return node

    def started(self, config: str | Path, role: str = "lma", *, name: str = "") -> Appliance:
        """An appliance that is ready."""
        node = self.appliance(config, role, name=name)
        node.start()
        node.wait_ready()
        return node


def demo_config(role: str) -> str:
    """The configuration of a role in the demonstration, without an AAA server to be asked."""
    text = (ROOT / "etc" / "demo" / f"{role}.conf").read_text()
    return text.replace("      aaa group mobile\n", "")
