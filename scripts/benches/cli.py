"""How an operator's work feels with 100,000 sessions, and what it costs signalling.

The anchor is the real ``appliance run`` in a network namespace with its sessions attached by the
load generator (``scripts/benches/pbu.py``). Terminals are sessions of the control socket; the twenty
operators at once are twenty OpenSSH clients. What a long listing costs signalling is measured
twice: by the loop lag that the process itself reports, and by binding updates sent one at a time
meanwhile, beside the same without the listing.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.benches.operator import Script, Terminal
from scripts.benches.signalling import Load, resident
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, stop

SSH_PORT = 2222
USER = "bench"

CONFIG = f"""config
  system hostname bench
  local-user username {USER} authorization-level operator nopassword
  context local
    server sshd
      listen ::1 port {SSH_PORT}
      authorized-key username {USER} type ssh-ed25519 key KEY
      exit
    exit
  context anchor
    ipv6 pool HOME prefix 2001:db8:8000::/40
    subscriber default
      permission pmipv6
      exit
    lma-service lma1
      bind address {LMA_ADDRESS}
      reg-lifetime 3600
      mag-peer {MAG_ADDRESSES["mag1"]}
      exit
    exit
end
"""

CEILINGS = {
    "completion_ms": 20,
    "help_ms": 20,
    "show_statistics_ms": 50,
    "summary_loop_lag_ms": 20,
    "paste_ms": 1000,
}
SUMMARY = "show lma-service session summary"
ABANDON = "\x03"


def repeated(count: int, measure: Callable[[], float]) -> float:
    """What 99 percent of ``count`` measurements do not exceed, in milliseconds (the nearest rank)."""
    taken = sorted(measure() for _ in range(count))
    return 1000 * taken[math.ceil(len(taken) * 0.99) - 1]


def at_the_terminal(path: str, rounds: int) -> dict[str, float]:
    """Completion, help and a long paste, as one operator sees them."""
    terminal = Terminal(path)

    def clean() -> None:
        terminal.type(ABANDON, lambda text: text.rstrip().endswith("#"))

    def completion() -> float:
        terminal.type("sh lma-service stati", lambda text: text.endswith("stati"))
        took = terminal.type("\t", lambda text: "stics" in text)
        clean()
        return took

    def helping() -> float:
        terminal.type("show lma-service ", lambda text: text.endswith("service "))
        took = terminal.type("?", lambda text: "statistics" in text and text.endswith("show lma-service "))
        clean()
        return took

    def paste() -> float:
        # Its end is told from the rest, and the line is not sent.
        took = terminal.type("show " + "a" * 1990 + "zzzzz", lambda text: "zzzzz" in text.replace("\n", ""))
        clean()
        return took

    figures = {
        "completion_ms": repeated(rounds, completion),
        "help_ms": repeated(rounds, helping),
        "paste_ms": repeated(3, paste),
    }
    terminal.close()
    return figures


def timed(script: Script, line: str) -> float:
    """Seconds that a command takes, its output included."""
    begun = time.perf_counter()
    script.lines(line)
    return time.perf_counter() - begun


def lag(script: Script) -> float:
    """The worst loop lag that the process has seen since the last call, milliseconds."""
    found: dict[str, Any] = json.loads("\n".join(script.lines("show system | json")))
    script.lines("clear system loop-lag")
    return 1000 * float(found["lag_worst"])


def while_listing(path: str, load: Load, sessions: int) -> dict[str, float]:
    """Print all sessions, and send binding updates one at a time meanwhile."""
    script, watch = Script(path), Script(path)
    alone = load.phase("refresh", 1000, 1)
    lag(watch)
    count: list[int] = []
    begun = time.perf_counter()

    def read() -> None:
        script.send(SUMMARY)
        count.append(script.answer()[1])

    reader = threading.Thread(target=read)
    reader.start()
    answers: list[dict[str, float]] = []
    while reader.is_alive():
        answers.append(load.phase("refresh", 100, 1))
    took = time.perf_counter() - begun
    worst = lag(watch)
    if not count or count[0] < sessions:
        raise LabError(f"{SUMMARY} printed {count} lines for {sessions} sessions")
    script.close()
    watch.close()
    return {
        "summary_lines": count[0],
        "summary_s": took,
        "summary_loop_lag_ms": worst,
        "summary_refresh_p50_ms": statistics.median(each["p50_ms"] for each in answers),
        "summary_refresh_max_ms": max(each["max_ms"] for each in answers),
        "refresh_alone_p50_ms": alone["p50_ms"],
        "refresh_alone_max_ms": alone["max_ms"],
    }


def idle_reader(path: str, pid: int) -> float:
    """Octets that a client costs which asks for all sessions and reads none of them."""
    before = resident(pid)
    script = Script(path)
    script.send("show lma-service session")
    time.sleep(3)
    cost = resident(pid) - before
    script.close()
    return cost / 1024


def many_operators(lab: Lab, key: Path, count: int) -> dict[str, float]:
    """``count`` OpenSSH clients with terminals at once; each works and logs out."""
    command = (
        "ssh", "-tt", "-i", str(key), "-p", str(SSH_PORT), "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes",
        f"{USER}@::1",
    )  # fmt: skip
    begun = time.perf_counter()
    clients = [
        lab.popen("lma", *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)
    ]
    worked = 0
    try:
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("terminal length 0\rshow lma-service statistics\rshow clock\rexit\r")
            client.stdin.flush()
        for client in clients:
            out, _ = client.communicate(timeout=60)
            worked += client.returncode == 0 and "Binding Updates Received:" in out
    finally:
        for client in clients:
            stop(client)
    return {"operators": worked, "operators_s": time.perf_counter() - begun}


def measure(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Everything; returns the flat figures."""
    key = work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config = work / "bench.conf"
    config.write_text(CONFIG.replace("KEY", key.with_suffix(".pub").read_text().split()[1]))
    load = Load(lab)
    anchor = Appliance(lab, "lma", config, work)
    try:
        anchor.start()
        anchor.wait_ready()
        assert anchor.process is not None
        load.phase("attach", options.sessions, 64)
        path = str(anchor.socket)
        figures = at_the_terminal(path, options.rounds)
        script = Script(path)
        figures["show_statistics_ms"] = repeated(
            options.rounds, lambda: timed(script, "show lma-service statistics")
        )
        script.close()
        figures |= while_listing(path, load, options.sessions)
        figures["idle_reader_kib"] = idle_reader(path, anchor.process.pid)
        figures |= many_operators(lab, key, options.operators)
    finally:
        anchor.stop()
        load.process.kill()
        load.process.wait()
    figures["sessions"] = options.sessions
    return {name: round(value, 3 if value < 100 else 0) for name, value in figures.items()}


def report(figures: dict[str, float], options: argparse.Namespace) -> None:
    """Print the figures for a person."""
    print(f"one anchor process with {figures['sessions']:.0f} sessions")
    for name, text in (
        ("completion_ms", "Tab until the word is completed on the screen"),
        ("help_ms", "? until the help is on the screen"),
        ("show_statistics_ms", "show lma-service statistics"),
        ("paste_ms", "2,000 characters pasted, until the last is on the screen"),
    ):
        print(f"  {text}: {figures[name]:.1f} ms (99th percentile)")
    print(f"  {SUMMARY}: {figures['summary_lines']:.0f} lines in {figures['summary_s']:.1f} s")
    print(f"    worst loop lag meanwhile {figures['summary_loop_lag_ms']:.1f} ms")
    print(
        f"    one refresh at a time: median {figures['summary_refresh_p50_ms']:.2f} ms, longest"
        f" {figures['summary_refresh_max_ms']:.1f} ms; without the listing"
        f" {figures['refresh_alone_p50_ms']:.2f} and {figures['refresh_alone_max_ms']:.1f} ms"
    )
    print(f"  a client that reads nothing of 100,000 lines costs {figures['idle_reader_kib']:.0f} KiB")
    print(
        f"  {figures['operators']:.0f} of {options.operators} SSH operators at once:"
        f" done in {figures['operators_s']:.1f} s"
    )
    for name, ceiling in CEILINGS.items():
        print(f"  {name} {'<=' if figures[name] <= ceiling else 'ABOVE'} the ceiling of {ceiling}")


def main(argv: Sequence[str]) -> int:
    """``scripts/bench cli``: returns 0, 1 above a ceiling (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench cli", description="Speed of the operator's shell.")
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--sessions", type=int, default=100_000, help="sessions (default 100000)")
    parser.add_argument("--operators", type=int, default=20, help="SSH clients at once (default 20)")
    parser.add_argument("--rounds", type=int, default=100, help="repetitions of short measurements")
    parser.add_argument("--prefix", default="benchcli", help="in front of the namespaces' names")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a ceiling is missed")
    options = parser.parse_args(argv)
    lab = Lab(options.prefix)
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as work:
            figures = measure(lab, Path(work), options)
    except LabError as failure:
        print(f"scripts/bench cli: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    report(figures, options)
    if options.json:
        print(json.dumps(figures))
    missed = any(figures[name] > ceiling for name, ceiling in CEILINGS.items())
    return 1 if options.strict and (missed or figures["operators"] < options.operators) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
