"""Programs inside the laboratory: appliances, pings and TCP connections under watch."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from scripts.labnet import CN_ADDRESS, Lab, LabError

ROOT = Path(__file__).resolve().parent.parent
PORT = 7007
T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T], timeout: float) -> T:
    """Call ``probe`` until it returns something true.

    Raises :class:`LabError` naming ``what`` after ``timeout`` seconds.
    """
    until = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > until:
            raise LabError(f"{what}: still not so after {timeout:g} s")
        time.sleep(0.05)


def environment() -> dict[str, str]:
    """The environment for Python programs of this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def stop(process: "subprocess.Popen[str]", signum: int = signal.SIGTERM, timeout: float = 10.0) -> int:
    """End one process that we started; SIGKILL when it does not listen. Returns its exit status."""
    if process.poll() is None:
        process.send_signal(signum)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


class Appliance:
    """One appliance process in one namespace, with its own state directory and socket.

    :param lab: the laboratory.
    :param role: the namespace to run in.
    :param config: configuration file.
    :param work: directory for the state directory, the socket and the log.
    :param wrapper: command in front of the appliance, for example ``setpriv ...``.
    """

    def __init__(
        self, lab: Lab, role: str, config: Path, work: Path, *, name: str = "", wrapper: tuple[str, ...] = ()
    ) -> None:
        self.lab, self.role, self.config = lab, role, config
        self.name = name or role
        self.state = work / self.name / "state"
        self.socket = work / self.name / "socket"
        self.log = work / self.name / "log"
        self.wrapper = wrapper
        self.process: subprocess.Popen[str] | None = None
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        """The command line of the appliance in its namespace."""
        return self.lab.command(self.role, *self.wrapper, sys.executable, "-m", "appliance", *arguments)

    def run_arguments(self) -> list[str]:
        """``run`` with our configuration, state directory and socket."""
        return [
            "run", "-c", str(self.config), "--state-dir", str(self.state), "--socket", str(self.socket),
        ]  # fmt: skip

    def start(self) -> None:
        """Start it without waiting."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command(*self.run_arguments()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                text=True,
            )

    def wait_ready(self, timeout: float = 40.0) -> None:
        """Wait for the ready line; :class:`LabError` with the log's last lines when it ends instead."""

        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                tail = " | ".join(self.log.read_text().splitlines()[-5:])
                raise LabError(f"the appliance in {self.role} ended with {self.process.returncode}: {tail}")
            return "Appliance ready" in self.log.read_text()

        wait_for(f"`Appliance ready` in {self.log}", ready, timeout)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it; returns its exit status."""
        if self.process is None:
            return 0
        return stop(self.process, signum)

    def fail(self, timeout: float = 20.0) -> tuple[int, list[str]]:
        """Run it expecting that it does not come up: (exit status, lines it printed)."""
        self.start()
        assert self.process is not None
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise LabError(f"it came up: {self.log.read_text().splitlines()[-1:]}") from None
        return status, [line for line in self.log.read_text().splitlines() if line.strip()]

    def cli(self, *commands: str, check: bool = True) -> str:
        """What ``appliance cli -e COMMAND ...`` prints; :class:`LabError` if its exit status is not 0."""
        arguments = [word for command in commands for word in ("-e", command)]
        command = [sys.executable, "-m", "appliance", "cli", "--socket", str(self.socket), *arguments]
        try:
            done = subprocess.run(
                command, input="", capture_output=True, text=True, env=environment(), timeout=10
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"appliance cli {commands}: no answer after 10 s") from None
        if check and done.returncode:
            raise LabError(f"appliance cli {commands}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def json(self, command: str) -> Any:
        """The data of a show command through ``| json``."""
        return json.loads(self.cli(f"{command} | json"))

    def counter(self, kind: str, *path: str) -> int:
        """One value of ``show KIND-service statistics``; ``path`` names heading(s) and label as shown."""
        return find_counter(self.cli(f"show {kind}-service statistics"), *path)


def find_counter(screen: str, *path: str) -> int:
    """Find a value in a two-column statistics screen.

    Every name of ``path`` but the last is looked for first, each after the one before, and
    then ``LABEL: NUMBER``. The first name is a heading, which has no number; one between
    may be a sub-heading or a total with its parts below.
    """
    position = 0
    for number, heading in enumerate(path[:-1]):
        pattern = rf"{re.escape(heading)}\s*:" + ("" if number else r"(?!\s*\d)")
        found = re.compile(pattern).search(screen, position)
        if found is None:
            raise LabError(f"no heading {heading!r} in the statistics")
        position = found.end()
    match = re.compile(rf"(?<!\S){re.escape(path[-1])}\s*:\s*(\d+)").search(screen, position)
    if match is None:
        raise LabError(f"no counter {path[-1]!r} in the statistics")
    return int(match.group(1))


class Ping:
    """A ping that runs in the background and tells afterwards what was lost and for how long."""

    def __init__(self, lab: Lab, role: str, target: str, interval: float = 0.02) -> None:
        self.interval = interval
        command = ("ping", "-n", "-D", "-i", str(interval), target)
        self.process = lab.popen(role, *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def finish(self) -> dict[str, float]:
        """Stop it; returns sent, received, lost (numbers of packets) and gap_s (longest silence, seconds).

        ``missed``: the lost ones before the last answer; what is on its way when it stops is not lost.
        """
        stop(self.process, signal.SIGINT)
        assert self.process.stdout is not None
        return self.read(self.process.stdout.read())

    def read(self, output: str) -> dict[str, float]:
        """The figures out of ping's printed lines."""
        replies = [
            (float(match[1]), int(match[2]))
            for match in re.finditer(r"^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+)", output, re.MULTILINE)
        ]
        summary = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        if summary is None:
            raise LabError(f"ping printed no summary: {output[-200:]}")
        if "DUP!" in output:
            raise LabError("ping saw duplicated answers")
        times = [moment for moment, _ in replies]
        gap = max((after - before for before, after in zip(times, times[1:], strict=False)), default=0.0)
        sent, received = int(summary[1]), int(summary[2])
        missed = replies[-1][1] - len(replies) if replies else sent
        lost = sent - received
        return {"sent": sent, "received": received, "lost": lost, "missed": missed, "gap_s": round(gap, 3)}


class LineConnection:
    """The numbered-lines connection from the mobile node to the correspondent."""

    def __init__(self, lab: Lab, source: str, work: Path) -> None:
        self._answered = 0
        self.progress = work / "progress"
        self.progress.write_text("0")
        program = (sys.executable, "-m", "scripts.tcplines")
        self.server = lab.popen(
            "cn", *program, "server", CN_ADDRESS, str(PORT), stdout=subprocess.PIPE, env=environment()
        )
        assert self.server.stdout is not None
        self.server.stdout.readline()
        self.client = lab.popen(
            "mn", *program, "client", CN_ADDRESS, str(PORT), source, str(self.progress),
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip

    def answered(self) -> int:
        """How many lines have come back so far."""
        # Empty for a moment while the client writes it.
        text = self.progress.read_text()
        self._answered = int(text) if text else self._answered
        return self._answered

    def wait_lines(self, more: int, timeout: float) -> int:
        """Wait until ``more`` further lines have come back; returns the count then."""
        goal = self.answered() + more

        def enough() -> bool:
            if self.client.poll() is not None:
                raise LabError(f"the TCP connection ended early: {self.finish()['error']}")
            return self.answered() >= goal

        wait_for(f"{more} more lines over TCP", enough, timeout)
        return self.answered()

    def finish(self) -> dict[str, Any]:
        """Close in order; returns the client's own judgement."""
        stop(self.client, timeout=30)
        assert self.client.stdout is not None
        printed = self.client.stdout.read().strip()
        stop(self.server)
        if not printed:
            return {"error": f"the client ended with status {self.client.returncode} and said nothing"}
        result: dict[str, Any] = json.loads(printed)
        return result

    def kill(self) -> None:
        """End both programs, for cleaning up."""
        stop(self.client, signal.SIGKILL)
        stop(self.server, signal.SIGKILL)
