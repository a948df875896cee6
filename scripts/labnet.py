"""The laboratory: one small mobile network out of Linux network namespaces.

::

    mn --mn0=acc0-- mag1 --backhaul--+
                                     net (bridge) --backhaul-- lma --cn0-- cn
         (acc0)--- mag2 --backhaul---+ |
                                       +--backhaul-- aaa

``acc0`` is the far end of the mobile node's only cable. Moving it from the namespace
``mag1`` to ``mag2`` is what a radio would do: ``mn0`` loses its carrier, gets it
back, and the mobile node itself has no part in it. The mobile node is a plain Linux
host that listens to router advertisements.

Nothing is remembered between calls: everything is found by the names of the
namespaces, ``PREFIX-mn`` and so on. Needs root, or root in a user namespace.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROLES = ("mn", "mag1", "mag2", "net", "lma", "cn", "aaa")
NETNS_DIR = Path("/run/netns")

MN_LINK_LAYER = "02:00:5e:10:00:01"
LMA_ADDRESS = "2001:db8:ffff::1"
AAA_ADDRESS = "2001:db8:ffff::aaa"
MAG_ADDRESSES = {"mag1": "2001:db8:ffff::a1", "mag2": "2001:db8:ffff::a2"}
BACKHAUL = {
    "lma": (LMA_ADDRESS, "198.51.100.1"),
    "mag1": (MAG_ADDRESSES["mag1"], "198.51.100.161"),
    "mag2": (MAG_ADDRESSES["mag2"], "198.51.100.162"),
    "aaa": (AAA_ADDRESS, "198.51.100.170"),
}
CN_ADDRESS = "2001:db8:eeee::80"
CN_ADDRESS_4 = "192.0.2.80"
HOME_POOL = "2001:db8:1::/48"
HOME_POOL_4 = "203.0.113.0/24"

USER_NAMESPACE_HINT = (
    "unshare -Urnm sh -c 'mount -t tmpfs tmpfs /run && exec \"$SHELL\"'"
    "   (then run it again inside that shell)"
)


class LabError(Exception):
    """The laboratory cannot be built here, or a command in it failed; one line of text."""


def run(*command: str, check: bool = True, stdin: str | None = None) -> str:
    """Run a program and return what it printed; :class:`LabError` if it failed."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(f"{' '.join(command)}: {why[0] if why else f'exit status {done.returncode}'}")
    return done.stdout


def obstacle() -> str:
    """Why no laboratory can be built here; empty when one can."""
    for tool in ("ip", "nsenter", "ping"):
        if shutil.which(tool) is None:
            return f"the program {tool} is missing (packages iproute2, util-linux, iputils-ping)"
    if os.geteuid() != 0:
        return f"not root: use sudo, or as an ordinary user: {USER_NAMESPACE_HINT}"
    name = f"probe-{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "add", "name", "probe0", "type", "veth")
    except LabError as failure:
        return f"root, but no network namespaces can be made ({failure}); try: {USER_NAMESPACE_HINT}"
    finally:
        run("ip", "netns", "del", name, check=False)
    return ""


class Lab:
    """The namespaces of one laboratory.

    :param prefix: in front of every namespace name, so that several can stand side by side.
    """

    def __init__(self, prefix: str = "lab") -> None:
        if not prefix.replace("-", "").isalnum() or len(prefix) > 32:
            raise LabError(f"prefix {prefix!r}: only letters, digits and '-', at most 32")
        self.prefix = prefix

    def name(self, role: str) -> str:
        """The namespace of a role (``mn``, ``mag1``, ``mag2``, ``net``, ``lma``, ``cn``)."""
        if role not in ROLES:
            raise LabError(f"{role!r} is none of {', '.join(ROLES)}")
        return f"{self.prefix}-{role}"

    def command(self, role: str, *command: str) -> list[str]:
        """The argument list that runs ``command`` in the namespace of ``role``.

        ``nsenter`` and not ``ip netns exec``: the process keeps its mounts and its
        parent, so that a signal to it reaches the program itself.
        """
        return ["nsenter", f"--net={NETNS_DIR / self.name(role)}", "--", *command]

    def exec(self, role: str, *command: str, check: bool = True) -> str:
        """Run a program in a namespace to its end; returns its output."""
        return run(*self.command(role, *command), check=check)

    def popen(self, role: str, *command: str, **options: object) -> "subprocess.Popen[str]":
        """Start a program in a namespace; ``options`` as for :class:`subprocess.Popen`."""
        return subprocess.Popen(self.command(role, *command), text=True, **options)  # type: ignore[call-overload,no-any-return]

    def ip(self, role: str, *lines: str) -> None:
        """Run ``ip`` commands (one per string, without the word ip) in a namespace."""
        run("ip", "-n", self.name(role), "-batch", "-", stdin="\n".join(lines) + "\n")

    def sysctl(self, role: str, **values: object) -> None:
        """Set sysctls below ``/proc/sys/net``; ``__`` in a name stands for ``/``."""
        lines = [f"echo {value} > /proc/sys/net/{key.replace('__', '/')}" for key, value in values.items()]
        self.exec(role, "sh", "-ec", "\n".join(lines))

    def exists(self) -> bool:
        """Whether any namespace of this laboratory is there."""
        return any((NETNS_DIR / self.name(role)).exists() for role in ROLES)

    def up(self) -> None:
        """Build everything; the cable of the mobile node ends in ``mag1``, ``mn0`` is down."""
        why = obstacle()
        if why:
            raise LabError(why)
        self.down()
        for role in ROLES:
            run("ip", "netns", "add", self.name(role))
            self.ip(role, "link set lo up")
        self._backhaul()
        self._correspondent()
        self.plug("mag1")

    def _backhaul(self) -> None:
        """One bridge in its own namespace, one cable each to the gateways, the anchor and the AAA server."""
        self.ip("net", "link add br0 type bridge mcast_snooping 0", "link set br0 up")
        for role, (address, address_4) in BACKHAUL.items():
            self.ip(
                "net",
                f"link add {role} type veth peer name backhaul netns {self.name(role)}",
                f"link set {role} master br0",
                f"link set {role} up",
            )
            # nodad: duplicate address detection would keep the address unusable for a second
            self.ip(
                role,
                "link set backhaul up",
                f"addr add {address}/64 dev backhaul nodad",
                f"addr add {address_4}/24 dev backhaul",
            )

    def _correspondent(self) -> None:
        """The network behind the anchor, with routes back to the home networks."""
        self.ip("lma", f"link add cn0 type veth peer name cn0 netns {self.name('cn')}")
        self.ip(
            "lma",
            "link set cn0 up",
            "addr add 2001:db8:eeee::1/64 dev cn0 nodad",
            "addr add 192.0.2.1/24 dev cn0",
        )
        self.sysctl("lma", ipv6__conf__all__forwarding=1, ipv4__ip_forward=1)
        self.ip(
            "cn",
            "link set cn0 up",
            f"addr add {CN_ADDRESS}/64 dev cn0 nodad",
            f"addr add {CN_ADDRESS_4}/24 dev cn0",
            f"route add {HOME_POOL} via 2001:db8:eeee::1",
            f"route add {HOME_POOL_4} via 192.0.2.1",
        )

    def plug(self, mag: str) -> None:
        """Lay a new cable between the mobile node (``mn0``, left down) and a gateway (``acc0``)."""
        self.ip("mn", f"link add mn0 address {MN_LINK_LAYER} type veth peer name acc0 netns {self.name(mag)}")
        self.sysctl("mn", ipv6__conf__mn0__accept_ra=1)
        self.ip(mag, "link set acc0 up")

    def attach(self) -> None:
        """Bring ``mn0`` up: the mobile node arrives at the gateway where its cable ends."""
        self.ip("mn", "link set mn0 up")

    def detach(self) -> None:
        """The mobile node leaves: its cable is gone, at both ends."""
        self.ip("mn", "link del mn0")

    def move(self, source: str, target: str) -> None:
        """Move the cable's far end from one gateway to another; ``mn0`` loses its carrier meanwhile."""
        self.ip(source, f"link set acc0 netns {self.name(target)}")
        self.ip(target, "link set acc0 up")

    def where(self) -> str:
        """The gateway where the mobile node's cable ends; empty when there is none."""
        for role in ("mag1", "mag2"):
            if " acc0" in run("ip", "-n", self.name(role), "-o", "link", "show", check=False):
                return role
        return ""

    def addresses(self, role: str, device: str, family: int = 6) -> list[str]:
        """Global addresses of a device that are ready for use (not tentative)."""
        shown = run(
            "ip", "-n", self.name(role), f"-{family}", "-o", "addr", "show", "dev", device, "scope", "global",
            check=False,
        )  # fmt: skip
        return [line.split()[3].split("/")[0] for line in shown.splitlines() if " tentative" not in line]

    def down(self) -> None:
        """Remove everything of this laboratory, also what a killed run left behind."""
        there = [self.name(role) for role in ROLES if (NETNS_DIR / self.name(role)).exists()]
        self._stop_processes(there)
        for name in there:
            run("ip", "netns", "del", name)

    @staticmethod
    def _stop_processes(names: Sequence[str]) -> None:
        """End what still runs inside our namespaces: politely first, then for good."""
        for signum, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            until = time.monotonic() + patience
            listed = [run("ip", "netns", "pids", name, check=False) for name in names]
            pids = {int(pid) for pid in " ".join(listed).split()}
            for pid in pids - {os.getpid()}:
                try:
                    os.kill(pid, signum)
                except ProcessLookupError:
                    continue
            while pids and time.monotonic() < until:
                pids = {pid for pid in pids - {os.getpid()} if _alive(pid)}
                time.sleep(0.05)
            if not pids:
                return

    def status(self) -> list[str]:
        """What there is, as lines of text."""
        if not self.exists():
            return [f"no laboratory with the prefix {self.prefix}"]
        lines = []
        for role in ROLES:
            if not (NETNS_DIR / self.name(role)).exists():
                lines.append(f"{self.name(role)}: MISSING")
                continue
            pids = run("ip", "netns", "pids", self.name(role), check=False).split()
            lines.append(f"{self.name(role)}: {len(pids)} processes {' '.join(pids)}".rstrip())
            shown = run("ip", "-n", self.name(role), "-br", "addr", "show")
            lines += [f"    {line.rstrip()}" for line in shown.splitlines() if not line.startswith("lo ")]
        lines.append(f"the mobile node's cable ends in: {self.where() or 'nothing'}")
        return lines


def _alive(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def main(argv: Sequence[str]) -> int:
    """``scripts/lab``: returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/lab",
        description="Build and use the laboratory.",
        epilog="With a laboratory of their own: counters, mag-load and mobile; scripts/lab mobile --help.",
    )
    parser.add_argument("--prefix", default="lab", help="in front of the namespace names (default: lab)")
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("up", help="build it; an older one with the same prefix is removed first")
    commands.add_parser("down", help="remove it with every process inside")
    commands.add_parser("status", help="show namespaces, addresses and processes")
    for name, text in (("shell", "a shell inside a namespace"), ("exec", "run a command inside a namespace")):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("ns", metavar="NS", choices=ROLES)
        if name == "exec":
            sub.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...")
    move = commands.add_parser("move", help="move the mobile node's cable between gateways")
    move.add_argument("source", choices=tuple(MAG_ADDRESSES))
    move.add_argument("target", choices=tuple(MAG_ADDRESSES))
    commands.add_parser("attach", help="bring mn0 up")
    commands.add_parser("detach", help="remove the mobile node's cable")
    plug = commands.add_parser("plug", help="lay a new cable to a gateway after detach")
    plug.add_argument("target", choices=tuple(MAG_ADDRESSES))
    options = parser.parse_args(argv)
    try:
        return _perform(Lab(options.prefix), options)
    except LabError as failure:
        print(f"scripts/lab: {failure}", file=sys.stderr)
        return 2


def _perform(lab: Lab, options: argparse.Namespace) -> int:
    """Carry out one subcommand."""
    action = options.action
    if action == "status":
        print("\n".join(lab.status()))
    elif action == "move":
        lab.move(options.source, options.target)
    elif action == "plug":
        lab.plug(options.target)
    elif action in ("shell", "exec"):
        command = [os.environ.get("SHELL", "/bin/sh")]
        if action == "exec":
            command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if not command:
            raise LabError("exec: no command given")
        words = lab.command(options.ns, *command)
        # In our place: Ctrl-C and signals are for the command, and the exit status is its own.
        os.execvp(words[0], words)
    else:
        getattr(lab, action)()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
