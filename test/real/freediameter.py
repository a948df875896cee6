"""freeDiameter as a peer: its configuration, its process, and a host of its own for it.

It listens on all addresses when it is told to listen on a loopback address, and on port 3868 like any other
program here: so it lives in a network namespace, joined to ours by a cable.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from appliance.protocols.diameter.settings import TlsSettings
from scripts.labnet import obstacle, run

DAEMON = "freeDiameterd"
#: Ours and its address, by family.
OURS, ITS = ("10.83.0.1", "fd83::1"), ("10.83.0.2", "fd83::2")

_COMMON = """
Identity = "{identity}";
Realm = "example";
Port = 3868;
No_SCTP;
TwTimer = 6;
TcTimer = 5;
AppServThreads = 1;
ListenOn = "{address}";
LoadExtension = "dict_nasreq.fdx";
LoadExtension = "acl_wl.fdx" : "{acl}";
"""


def missing() -> str:
    """Why there can be no freeDiameter; empty: there can."""
    if shutil.which(DAEMON) is None:
        return f"{DAEMON} is not installed (packages freediameterd, freediameter-extensions)"
    return obstacle()


class FreeDiameter:
    """One daemon on a host of its own; ``stop`` ends both."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = f"fd{os.getpid()}"
        self._cable = f"fd{os.getpid() % 1_000_000}"
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "freediameter.log"

    def up(self) -> None:
        """Make the host."""
        self._directory.mkdir(parents=True, exist_ok=True)
        run("ip", "netns", "add", self._name)
        run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "c0", "netns", self._name)
        for address, length in ((OURS[0], 24), (OURS[1], 64)):
            run("ip", "addr", "add", f"{address}/{length}", "dev", self._cable, *_now(address))
        for address, length in ((ITS[0], 24), (ITS[1], 64)):
            run("ip", "-n", self._name, "addr", "add", f"{address}/{length}", "dev", "c0", *_now(address))
        run("ip", "link", "set", self._cable, "up")
        for device in ("lo", "c0"):
            run("ip", "-n", self._name, "link", "set", device, "up")

    def start(
        self,
        acl: str = "",
        *lines: str,
        v6: bool = False,
        tls: TlsSettings | None = None,
        identity: str = "free.example",
    ) -> None:
        """Run it with these lines in its configuration; ``acl`` is a line of its list of peers."""
        text = _COMMON.format(identity=identity, address=ITS[v6], acl=self._file("acl.conf", acl))
        text += "No_IP;\n" if v6 else "No_IPv6;\n"
        if tls is None:
            text += "SecPort = 0;\n"
        else:
            text += (
                f'SecPort = 5868;\nTLS_Cred = "{os.path.abspath(tls.certificate)}", '
                f'"{os.path.abspath(tls.private_key)}";\nTLS_CA = "{os.path.abspath(tls.authorities)}";\n'
            )
        path = self._file("free.conf", text + "\n".join(lines) + "\n")
        command = ("ip", "netns", "exec", self._name, DAEMON, "-c", path)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.wait("daemon initialized")

    def _file(self, name: str, text: str) -> str:
        path = self._directory / name
        path.write_text(text + "\n")
        return str(path.resolve())

    def wait(self, text: str, seconds: float = 20.0) -> None:
        """Wait until its log says something; raises AssertionError."""
        until = time.monotonic() + seconds
        while text not in self.log.read_text(errors="replace"):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until:
                raise AssertionError(f"no {text!r} in:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.05)

    def end(self) -> int:
        """Tell it to stop; its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def stop(self) -> None:
        """End it, and its host."""
        self.end()
        run("ip", "netns", "del", self._name, check=False)
        run("ip", "link", "del", self._cable, check=False)


def _now(address: str) -> tuple[str, ...]:
    return ("nodad",) if ":" in address else ()
