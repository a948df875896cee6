"""How fast accounting goes: server, client, and records that have waited on the disk.

* Server: the real ``appliance run`` with an ``aaa-server`` on SQLite answers a load generator over TCP on
  loopback, each record stored durably first; beside it, by turns, python-diameter's
  ``SimpleThreadingApplication``, which stores nothing.
* Client: our node sends to a server that answers at once.
* Spool: an anchor has attached mobiles while there was no server. It comes back, and the records are
  delivered: first beside as many binding updates as go (which gives the ratio), then beside one at a time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benches.acr import CLIENT, REALM, SERVER
from scripts.benches.cli import lag
from scripts.benches.operator import Script
from scripts.benches.signalling import Load
from scripts.labnet import AAA_ADDRESS, LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError
from scripts.labrun import Appliance, environment, wait_for

LOOPBACK, PORT, RIVAL_PORT, SINK_PORT = "127.0.0.1", 3868, 3869, 3870

SERVER_CONFIG = f"""config
  system hostname server
  context aaa
    diameter endpoint server
      origin realm {REALM}
      origin host {SERVER} address {LOOPBACK} accept-incoming-connections
      peer {CLIENT}
      exit
    aaa-server mobile
      diameter endpoint server
      realm {REALM}
      exit
    exit
end
"""

ANCHOR_CONFIG = f"""config
  system hostname anchor
  context anchor
    ipv6 pool HOME prefix 2001:db8:8000::/40
    subscriber default
      permission pmipv6
      exit
    diameter endpoint client
      origin realm {REALM}
      origin host {CLIENT} address {LMA_ADDRESS}
      peer {SERVER} realm {REALM} address {AAA_ADDRESS} port {SINK_PORT}
      connection retry-timeout 1
      exit
    aaa group bench
      diameter accounting endpoint client
      diameter accounting realm {REALM}
      exit
    lma-service lma1
      bind address {LMA_ADDRESS}
      reg-lifetime 3600
      mag-peer {MAG_ADDRESSES["mag1"]}
      aaa group bench
      exit
    exit
end
"""

#: What is wanted, by figure; the last one is a ceiling.
FLOORS = {
    "server_answers_per_s": 8_000,
    "client_requests_per_s": 8_000,
    "spool_drain_per_s": 5_000,
    "pbu_ratio_while_draining": 0.8,
}
LAG_CEILING = 20


class End:
    """One process of ``scripts.benches.acr`` in a namespace."""

    def __init__(self, lab: Lab, where: str, role: str, address: str, port: int) -> None:
        self.role = role
        self.process = lab.popen(
            where, sys.executable, "-m", "scripts.benches.acr", role, address, str(port),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            self.stop()
            raise LabError(f"the process {role} at {address} port {port} did not begin")

    def ask(self, line: str = "") -> dict[str, Any]:
        """Send a line, and return the object that answers it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        if not found:
            raise LabError(f"the process {self.role} has ended")
        for name in ("refused", "failed"):
            if found.get(name):
                raise LabError(f"{found[name]} requests of {self.role} were {name}")
        return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def measure_server(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Answers a second of our server and of the other one, by turns."""
    config = work / "server.conf"
    config.write_text(SERVER_CONFIG)
    server = Appliance(lab, "aaa", config, work, name="server")
    ends: list[End] = []
    ours, theirs, times = [], [], []
    try:
        server.start()
        server.wait_ready()
        ends.append(End(lab, "aaa", "rival", LOOPBACK, RIVAL_PORT))
        ends.append(End(lab, "aaa", "load", LOOPBACK, PORT))
        ends.append(End(lab, "aaa", "load", LOOPBACK, RIVAL_PORT))
        _, load, rival_load = ends
        load.ask(f"2000 {options.window}")
        script = Script(str(server.socket))
        lag(script)
        for _ in range(options.rounds):
            result = load.ask(f"{options.records} {options.window}")
            ours.append(result["rate"])
            times.append(result["p99_ms"])
            theirs.append(rival_load.ask(f"{options.records // 10} {options.window}")["rate"])
        worst = lag(script)
        stored = stored_records(script)
        script.close()
    finally:
        for end in ends:
            end.stop()
        server.stop()
    sent = 2000 + options.rounds * options.records
    if stored != sent:
        raise LabError(f"{sent} records were acknowledged and {stored} are in the store")
    return {
        "server_answers_per_s": sorted(ours)[len(ours) // 2],
        "python_diameter_answers_per_s": sorted(theirs)[len(theirs) // 2],
        "server_p99_ms": max(times),
        "server_loop_lag_ms": worst,
    }


def stored_records(script: Script) -> int:
    """How many records the server has in its store: two of each session."""
    found = json.loads("\n".join(script.lines("show accounting summary | json")))
    return 2 * int(found["totals"]["sessions"])


def measure_client(lab: Lab, options: argparse.Namespace) -> dict[str, float]:
    """Requests a second that our node brings through."""
    ends: list[End] = []
    try:
        ends.append(End(lab, "aaa", "sink", LOOPBACK, SINK_PORT))
        ends.append(End(lab, "aaa", "client", LOOPBACK, SINK_PORT))
        client = ends[1]
        client.ask(f"2000 {options.window}")
        found = [client.ask(f"{options.records} {options.window}") for _ in range(options.rounds)]
    finally:
        for end in ends:
            end.stop()
    rates = sorted(each["rate"] for each in found)
    return {"client_requests_per_s": rates[len(rates) // 2], "client_cpu_us": found[-1]["cpu_us"]}


def measure_spool(lab: Lab, work: Path, options: argparse.Namespace) -> dict[str, float]:
    """Deliver what has waited, beside binding updates."""
    config = work / "anchor.conf"
    config.write_text(ANCHOR_CONFIG)
    anchor = Appliance(lab, "lma", config, work, name="anchor")
    load = Load(lab)
    sinks: list[End] = []
    try:
        anchor.start()
        anchor.wait_ready()
        script = Script(str(anchor.socket))
        load.phase("attach", options.spool, options.window)
        wait_for("all records on the disk", lambda: waiting(script) == options.spool, 60)
        some = min(2_000, options.refreshes)
        alone = [load.phase("refresh", some, options.window)["rate"] for _ in range(15)]
        lag(script)
        sinks.append(End(lab, "aaa", "sink", AAA_ADDRESS, SINK_PORT))
        wait_for("the first record", lambda: sinks[0].ask()["records"] > 0, 30)
        begun, before = time.perf_counter(), sinks[0].ask()["records"]
        beside = []
        while time.perf_counter() - begun < options.full_load:
            beside.append(load.phase("refresh", some, options.window)["rate"])
        between, middle = time.perf_counter(), sinks[0].ask()["records"]
        while (seen := sinks[0].ask())["records"] < options.spool:
            if time.perf_counter() - begun > 300:
                raise LabError(f"only {seen['records']} of {options.spool} records were delivered in 300 s")
            load.phase("refresh", 100, 1)
        end = time.perf_counter()
        worst = lag(script)
        script.close()
    finally:
        for sink in sinks:
            sink.stop()
        load.process.kill()
        load.process.wait()
        anchor.stop()
    if seen["disordered"] or seen["repeated"]:
        raise LabError(f"{seen['disordered']} records were out of order, {seen['repeated']} came twice")
    if middle == options.spool:
        raise LabError("the records were gone before the full load was over; give more with --spool")
    ratio = (sum(beside) / len(beside)) / (sum(alone) / len(alone))
    return {
        "spool_drain_per_s": (seen["records"] - middle) / (end - between),
        "spool_drain_beside_full_load_per_s": (middle - before) / (between - begun),
        "spool_records": seen["records"],
        "refresh_alone_per_s": sum(alone) / len(alone),
        "pbu_ratio_while_draining": ratio,
        "drain_loop_lag_ms": worst,
    }


def waiting(script: Script) -> int:
    """Records in the anchor's spool."""
    clients = json.loads("\n".join(script.lines("show accounting spool | json")))
    return int(sum(client["records"] for client in clients))


def report(figures: dict[str, float]) -> None:
    """Print the figures for a person."""
    for name, value in figures.items():
        floor = FLOORS.get(name)
        verdict = "" if floor is None else f"   {'>=' if value >= floor else 'BELOW'} {floor}"
        print(f"  {name:<32}{value:>12.2f}{verdict}")
    good = figures["loop_lag_ms"] <= LAG_CEILING
    print(f"  loop_lag_ms {'<=' if good else 'ABOVE'} the ceiling of {LAG_CEILING}")


def main(argv: Sequence[str]) -> int:
    """``scripts/bench diameter``: returns 0, 1 below a floor (with ``--strict``), 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="scripts/bench diameter", description="Rates of accounting.")
    parser.add_argument("--json", action="store_true", help="print one flat object on the last line")
    parser.add_argument("--records", type=int, default=40_000, help="records of a round (default 40000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of server and client (default 3)")
    parser.add_argument("--spool", type=int, default=100_000, help="records that wait (default 100000)")
    parser.add_argument("--full-load", type=float, default=6.0, help="seconds of updates as many as go")
    parser.add_argument("--refreshes", type=int, default=20_000, help="binding updates of a phase")
    parser.add_argument("--window", type=int, default=64, help="messages under way (default 64)")
    parser.add_argument("--prefix", default="dia", help="in front of the namespaces' names")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when a floor is missed")
    options = parser.parse_args(argv)
    lab = Lab(options.prefix)
    try:
        lab.up()
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as work:
            figures = measure_server(lab, Path(work), options)
            figures |= measure_client(lab, options)
            figures |= measure_spool(lab, Path(work), options)
    except LabError as failure:
        print(f"scripts/bench diameter: {failure}", file=sys.stderr)
        return 2
    finally:
        lab.down()
    figures["loop_lag_ms"] = max(figures["server_loop_lag_ms"], figures["drain_loop_lag_ms"])
    report(figures)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    missed = any(figures[name] < floor for name, floor in FLOORS.items())
    return 1 if options.strict and (missed or figures["loop_lag_ms"] > LAG_CEILING) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
