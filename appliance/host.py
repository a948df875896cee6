"""The host and the process as the shell sees them: devices, routes, load, programs, build.

The kernel is asked by netlink on the loop, with a socket for each question, so that a long table
never stands between the services and their own netlink traffic. Nothing here changes anything.
"""

import os
import resource
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from twisted.internet.task import LoopingCall

from appliance import __version__, programs, routes
from appliance.errors import ResourceError
from appliance.lag import INTERVAL, LagMeter
from appliance.ports import Build, Health, InterfaceView, RouteView

IFF_UP, IFF_RUNNING = 0x1, 0x40
PACKAGE = "mobility-appliance"
#: What ``show version`` says about what nobody has recorded.
UNKNOWN = "not recorded"


def resident_memory() -> int:
    """Octets of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Host:
    """Answers the shell's questions; ``clock`` gives seconds of the monotonic clock."""

    def __init__(self, reactor: Any, clock: Callable[[], float]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._build: Build | None = None
        self._lag = LagMeter(clock())
        self._beat = LoopingCall(lambda: self._lag.beat(self._clock()))
        self._beat.clock = reactor

    def start(self) -> None:
        """Begin to measure the loop's lag."""
        self._lag = LagMeter(self._clock())
        self._beat.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Measure no more."""
        if self._beat.running:
            self._beat.stop()

    def clear_lag(self) -> None:
        """Forget the samples of the loop's lag; the worst since the start stays."""
        self._lag.clear()

    def health(self) -> Health:
        """Read how the process is doing."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pool = getattr(self._reactor, "threadpool", None)
        return Health(
            lag=self._lag.now,
            lag_worst=self._lag.worst,
            lag_p99=self._lag.percentile(99),
            lag_record=self._lag.record,
            cpu=usage.ru_utime + usage.ru_stime,
            memory=resident_memory(),
            files=len(os.listdir("/proc/self/fd")),
            file_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            threads=0 if pool is None else len(pool.threads),
            threads_busy=0 if pool is None else len(pool.working),
            pid=os.getpid(),
        )

    def build(self) -> Build:
        """Tell which program runs; read once."""
        if self._build is None:
            self._build = read_build(Path(__file__).resolve().parent)
        return self._build

    async def interfaces(self) -> list[InterfaceView]:
        """The network devices of the host by index; raises ResourceError."""
        addresses: dict[int, list[str]] = {}
        found: list[InterfaceView] = []
        try:
            async with AsyncIPRoute() as netlink:
                async for message in await netlink.get_addr():
                    text = message.get("local") or message.get("address")
                    addresses.setdefault(message["index"], []).append(f"{text}/{message['prefixlen']}")
                async for message in await netlink.get_links():
                    found.append(_interface(message, addresses))
        except (NetlinkError, OSError) as error:
            raise ResourceError(f"the kernel's list of interfaces cannot be read: {error}") from error
        return found

    def routes(self, family: int) -> AsyncIterator[RouteView]:
        """The unicast routes of the main table of IP version ``family``; raises ResourceError."""
        return routes.read(family)

    def finds(self, program: str) -> bool:
        """Whether the host has a program of this name."""
        return shutil.which(program, path=programs.ENVIRONMENT["PATH"]) is not None

    def run(self, arguments: Sequence[str], seconds: float) -> AsyncIterator[str]:
        """Run a program and give its lines as they come; raises ResourceError."""
        path = shutil.which(arguments[0], path=programs.ENVIRONMENT["PATH"])
        if path is None:
            raise ResourceError(f"this host has no program {arguments[0]}")
        return programs.run(self._reactor, [path, *arguments[1:]], seconds)


def _interface(message: Any, addresses: dict[int, list[str]]) -> InterfaceView:
    flags = message["flags"]
    state = "down" if not flags & IFF_UP else "up" if flags & IFF_RUNNING else "no-carrier"
    return InterfaceView(
        name=message.get("ifname") or f"#{message['index']}",
        index=message["index"],
        state=state,
        mtu=message.get("mtu") or 0,
        link_layer=message.get("address") or "",
        addresses=tuple(addresses.get(message["index"], ())),
    )


def read_build(package: Path) -> Build:
    """Find out which program this is: from the installed package's data and, in a clone, from git."""
    commit = source_commit(package.parent)
    try:
        installed = metadata.distribution(PACKAGE)
        stamp = Path(str(installed.locate_file(f"{PACKAGE.replace('-', '_')}-{__version__}.dist-info")))
        date = _date(stamp.stat().st_mtime)
    except (metadata.PackageNotFoundError, OSError):
        date = UNKNOWN
    return Build(
        version=__version__,
        number=f"{commit[:12]} (clone)" if commit else "release",
        date=date,
        commit=commit or UNKNOWN,
    )


def _date(wall: float) -> str:
    """A date as StarOS has it here: ``Wed Aug  5 08:42:44 EDT 2020``."""
    moment = time.localtime(wall)
    return time.strftime(f"%a %b {moment.tm_mday:2} %H:%M:%S %Z %Y", moment)


def source_commit(clone: Path) -> str:
    """The commit that a clone has checked out, read without running git; empty outside of a clone."""
    try:
        git = clone / ".git"
        if git.is_file():
            # A work tree: its own directory has HEAD, the common one has the branches.
            git = (clone / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head if _is_commit(head) else ""
        name = head.removeprefix("ref: ")
        common = git / "commondir"
        roots = [git, (git / common.read_text().strip()).resolve()] if common.exists() else [git]
        for root in roots:
            if (root / name).is_file():
                text = (root / name).read_text().strip()
                return text if _is_commit(text) else ""
            packed = root / "packed-refs"
            for line in packed.read_text().splitlines() if packed.is_file() else ():
                if line.endswith(f" {name}") and _is_commit(line.split()[0]):
                    return line.split()[0]
    except (OSError, UnicodeDecodeError):
        # No clone, or one that this user may not read: then nobody has recorded the commit.
        return ""
    return ""


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")
