"""Two hosts out of network namespaces, joined by two cables; and Diameter nodes in them."""

import json
import os
import subprocess
import sys
from typing import Any

from scripts.labnet import run
from scripts.labrun import environment

#: Addresses of each host, by cable and family.
ADDRESSES = {
    "a": ("10.81.0.1", "10.82.0.1", "fd81::1", "fd82::1"),
    "b": ("10.81.0.2", "10.82.0.2", "fd81::2", "fd82::2"),
}


class TwoHosts:
    """The namespaces; ``down`` ends what runs in them and removes them."""

    def __init__(self) -> None:
        self._names = {name: f"t{os.getpid()}-{name}" for name in ADDRESSES}
        self._children: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        """Build them."""
        a, b = self._names["a"], self._names["b"]
        for name in (a, b):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for number in (0, 1):
            cable = f"c{number}"
            run("ip", "link", "add", cable, "netns", a, "type", "veth", "peer", "name", cable, "netns", b)
            for host, name in self._names.items():
                own = ADDRESSES[host]
                run("ip", "-n", name, "addr", "add", f"{own[number]}/24", "dev", cable)
                run("ip", "-n", name, "addr", "add", f"{own[2 + number]}/64", "dev", cable, "nodad")
                run("ip", "-n", name, "link", "set", cable, "up")

    def down(self) -> None:
        """Take them apart."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        for name in self._names.values():
            run("ip", "netns", "del", name, check=False)

    def cut(self, cable: int) -> None:
        """Cut a cable."""
        run("ip", "-n", self._names["a"], "link", "set", f"c{cable}", "down")

    def exec(self, host: str, *command: str) -> str:
        """Run a program on a host, and give what it printed."""
        return run("ip", "netns", "exec", self._names[host], *command)

    def node(self, host: str, role: str, **wanted: Any) -> "subprocess.Popen[str]":
        """A Diameter node on a host (``diameter_child``)."""
        return self.popen(host, sys.executable, "-m", "test.real.diameter_child", role, json.dumps(wanted))

    def popen(self, host: str, *command: str) -> "subprocess.Popen[str]":
        """Start a program on a host; it ends with the host."""
        child = subprocess.Popen(
            ("ip", "netns", "exec", self._names[host], *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._children.append(child)
        return child
