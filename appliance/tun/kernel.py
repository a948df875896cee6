"""Addresses, routes, routing rules and forwarding of the host by netlink, undone when the process ends.

::

    change ──▶ journal (state directory) ──▶ netlink
    close()   undoes in reverse order        recover() undoes what a killed process left

Every change is written to the journal before it is made, so that after ``kill -9`` the next start
finds it. What was there already is left alone and not written. The methods are coroutines of
the running asyncio loop (the reactor's); none of them blocks.
"""

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import asdict, define
from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from appliance.errors import ResourceError

JOURNAL = "network.journal"
FORWARDING = {
    4: Path("/proc/sys/net/ipv4/ip_forward"),
    6: Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}
#: What a journal line of each kind has to have.
NEEDED = {
    "address": {"interface", "address", "length"},
    "route": {"route", "device"},
    "rule": {"family", "priority", "table"},
    "sysctl": {"path", "old"},
}
RTMGRP_LINK = 1
IFF_UP, IFF_RUNNING = 0x1, 0x40
#: Already gone: an interface that went away took its addresses and routes along.
_GONE = frozenset((errno.ENODEV, errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ENXIO))
_NO_DAD = 0x02

LinkCallback = Callable[[str, bool, bool], None]


@define(slots=True, frozen=True)
class Rule:
    """Which table a packet's route is looked up in."""

    family: int
    """IP version, 4 or 6."""
    priority: int
    """Rules are tried from the lowest on."""
    table: int
    source: str = ""
    """Only for packets from this address."""
    mark: int = 0
    """Only for packets of sockets with this mark."""
    no_default: bool = False
    """A default route of the table is passed over."""


class Kernel:
    """The host's network as one process changes it; ``state_directory`` keeps the journal."""

    def __init__(self, state_directory: str) -> None:
        self._journal = Path(state_directory) / JOURNAL
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._host = f"{boot} {os.readlink('/proc/self/ns/net')}"
        self._done: list[dict[str, Any]] = []
        self._recovered = False
        """Until then the journal is another process's, and stays."""
        self._netlink: Any = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the netlink socket; raises ResourceError."""
        self._netlink = AsyncIPRoute()
        await self._netlink.setup_endpoint()

    async def recover(self) -> int:
        """Undo what the journal says a killed process has left; returns how many changes."""
        with self._journaling():
            try:
                text = self._journal.read_text("utf-8", "replace")
            except FileNotFoundError:
                text = ""
        entries = self._entries(text)
        # After a reboot or in another network namespace none of it is there; what looks alike is not ours.
        ours = [entry for entry in entries if entry.get("host", self._host) == self._host]
        for entry in reversed(ours):
            await self._undo(entry)
        with self._journaling():
            self._journal.unlink(missing_ok=True)
        self._recovered = True
        return len(ours)

    def _entries(self, text: str) -> list[dict[str, Any]]:
        """The changes that a journal's text lists; raises ResourceError for what no process has written."""
        entries: list[dict[str, Any]] = []
        # What follows the last line end was cut off by the end of the process: its change was not made.
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                entry = json.loads(line)
                whole = NEEDED[entry["do"]] <= entry.keys()
            except (ValueError, KeyError, TypeError, RecursionError):
                whole = False
            if not whole or entry["do"] == "sysctl" and entry["path"] not in map(str, FORWARDING.values()):
                raise ResourceError(
                    f"{self._journal}:{number}: damaged, so what a killed process left cannot be undone; "
                    "undo what the file lists by hand and remove it"
                )
            entries.append(entry)
        return entries

    @contextlib.contextmanager
    def _journaling(self) -> Iterator[None]:
        """Turn what the file system refuses into a ResourceError."""
        try:
            yield
        except OSError as error:
            raise ResourceError(
                f"journal {self._journal}: {error.strerror}; make room there "
                "or choose another with --state-dir"
            ) from error

    def _note(self, entry: dict[str, Any]) -> None:
        """Write the journal line of a change that is about to be made."""
        entry["host"] = self._host
        with self._journaling(), open(self._journal, "a") as journal:
            journal.write(json.dumps(entry) + "\n")
        self._done.append(entry)

    def _forget(self) -> None:
        """The last change was not made after all."""
        self._done.pop()
        self._rewrite(self._done)

    def _rewrite(self, entries: list[dict[str, Any]]) -> None:
        # In one step: a process killed in between must not lose the changes before.
        fresh = self._journal.with_suffix(".new")
        with self._journaling():
            fresh.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
            fresh.replace(self._journal)

    def _index(self, interface: str) -> int:
        try:
            return socket.if_nametoindex(interface)
        except OSError:
            raise ResourceError(f"interface {interface}: there is no such device on this host") from None

    async def _change(self, entry: dict[str, Any], what: str, call: Any, **arguments: Any) -> bool:
        """Journal and make one change; False: it was there already. Raises ResourceError."""
        self._note(entry)
        try:
            await call("add", **arguments)
        except NetlinkError as error:
            self._forget()
            if error.code == errno.EEXIST:
                return False
            raise _explain(error.code, what) from None
        return True

    async def add_address(self, interface: str, address: bytes, plen: int) -> bool:
        """Give a device an address (packed); False: it had it already. Raises ResourceError.

        IPv6 addresses are made without duplicate address detection: services bind to them at once.
        """
        index = self._index(interface)
        entry = _address(interface, address, plen)
        text = entry["address"]
        extra = {"flags": _NO_DAD} if len(address) == 16 else {}
        what = f"address {text}/{plen} on {interface}"
        return await self._change(
            entry, what, self._netlink.addr, index=index, address=text, prefixlen=plen, **extra
        )

    async def add_route(self, prefix: bytes, plen: int, device: str, metric: int = 0) -> bool:
        """Lead a prefix (packed) to a device; False: the route was there. Raises ResourceError.

        ``metric`` 0: the kernel's own choice.
        """
        index = self._index(device)
        text = f"{ip_address(prefix)}/{plen}"
        entry = {"do": "route", "route": text, "device": device}
        family = socket.AF_INET6 if len(prefix) == 16 else socket.AF_INET
        extra = {"priority": metric} if metric else {}
        what = f"route {text} to {device}"
        return await self._change(
            entry, what, self._netlink.route, dst=text, oif=index, family=family, **extra
        )

    async def add_rule(self, rule: Rule) -> bool:
        """Have routes looked up by a rule; False: it was there. Raises ResourceError."""
        entry = _rule(rule)
        return await self._change(entry, _title(entry), self._netlink.rule, **_rule_fields(entry))

    async def remove_rule(self, rule: Rule) -> bool:
        """Take a rule away that :meth:`add_rule` made; False: we did not. Raises ResourceError."""
        return await self._take_back(_rule(rule))

    async def add_table_default(self, family: int, table: int, device: str, source: bytes) -> bool:
        """Lead everything in a table to a device, with a source (packed); raises ResourceError.

        It goes with the source or the device, and needs no journal.
        """
        everywhere, index = "::/0" if family == 6 else "0.0.0.0/0", self._index(device)
        return await self._in_table(family, table, dst=everywhere, oif=index, prefsrc=str(ip_address(source)))

    async def add_table_throw(self, family: int, table: int, network: bytes, length: int) -> bool:
        """Let a table not know a network (packed), so that the next rule is tried; raises ResourceError.

        Nobody looks into the table of an ended process.
        """
        return await self._in_table(family, table, dst=f"{ip_address(network)}/{length}", type="throw")

    async def remove_table_throw(self, family: int, table: int, network: bytes, length: int) -> None:
        """Take that back; raises ResourceError."""
        text = f"{ip_address(network)}/{length}"
        await self._in_table(family, table, "del", dst=text, type="throw")

    async def _in_table(self, family: int, table: int, what: str = "replace", **route: Any) -> bool:
        number = socket.AF_INET6 if family == 6 else socket.AF_INET
        try:
            await self._netlink.route(what, family=number, table=table, **route)
        except NetlinkError as error:
            if what == "del" and error.code in _GONE:
                return True
            raise _explain(error.code, f"route {route['dst']} in table {table}") from None
        return True

    async def remove_address(self, interface: str, address: bytes, plen: int) -> bool:
        """Take an address away that :meth:`add_address` made; False: we did not. Raises ResourceError."""
        return await self._take_back(_address(interface, address, plen))

    def has_added(self, interface: str, address: bytes, plen: int) -> bool:
        """Whether an address is there because of :meth:`add_address`."""
        wanted = _address(interface, address, plen)
        return any(wanted.items() <= entry.items() for entry in self._done)

    async def remove_route(self, prefix: bytes, plen: int, device: str, metric: int = 0) -> bool:
        """Take a route away that :meth:`add_route` made, of whatever metric; False: we did not.

        Raises ResourceError.
        """
        return await self._take_back(
            {"do": "route", "route": f"{ip_address(prefix)}/{plen}", "device": device}
        )

    async def restore_forwarding(self, family: int) -> bool:
        """Undo :meth:`enable_forwarding`; False: we did not switch it on. Raises ResourceError."""
        return await self._take_back({"do": "sysctl", "path": str(FORWARDING[family])})

    async def _take_back(self, wanted: dict[str, Any]) -> bool:
        """Undo the one change that has these fields; one that was there before us is none of our business."""
        for entry in self._done:
            if wanted.items() <= entry.items():
                # Undone first: if the process ends in between, the next start finds that it is gone.
                await self._undo(entry)
                self._done = [other for other in self._done if other is not entry]
                self._rewrite(self._done)
                return True
        return False

    async def enable_forwarding(self, family: int) -> bool:
        """Let the host forward packets of IP version ``family`` (4 or 6); False: it did already."""
        path = FORWARDING[family]
        try:
            old = path.read_text().strip()
            if old == "1":
                return False
            self._note({"do": "sysctl", "path": str(path), "old": old})
            path.write_text("1")
        except OSError as error:
            raise ResourceError(
                f"{path}: {os.strerror(error.errno or 0)}; run as root, or set it to 1 yourself"
            ) from None
        return True

    async def watch_links(self, callback: LinkCallback) -> None:
        """Call ``callback(name, is_up, present)`` for every link, and from then on whenever one changes.

        Returns when it has been called for those that there are.
        """
        known = asyncio.Event()
        self._watch = asyncio.create_task(self._watch_links(callback, known))
        waiting = asyncio.create_task(known.wait())
        try:
            await asyncio.wait((self._watch, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _watch_links(self, callback: LinkCallback, known: asyncio.Event) -> None:
        async with AsyncIPRoute() as events:
            await events.bind(groups=RTMGRP_LINK)
            names: dict[int, str] = {}

            def tell(message: Any) -> None:
                name, is_up, present = _link_state(message)
                before = names.pop(message["index"], name)
                if before != name:
                    # Renamed: the device of the old name is gone for those who know it by that name.
                    callback(before, False, False)
                if present:
                    names[message["index"]] = name
                callback(name, is_up, present)

            async for message in await events.get_links():
                tell(message)
            known.set()
            while True:
                async for message in events.get():
                    if message["event"] in ("RTM_NEWLINK", "RTM_DELLINK"):
                        tell(message)

    async def _undo(self, entry: dict[str, Any]) -> None:
        """Take one change back; what is gone already is fine."""
        try:
            if entry["do"] == "sysctl":
                Path(entry["path"]).write_text(entry["old"])
                return
            if entry["do"] == "rule":
                await self._netlink.rule("del", **_rule_fields(entry))
                return
            name = entry.get("interface") or entry["device"]
            try:
                index = socket.if_nametoindex(name)
            except OSError:
                # The device went away and took its addresses and routes along.
                return
            if entry["do"] == "address":
                await self._netlink.addr(
                    "del", index=index, address=entry["address"], prefixlen=entry["length"]
                )
            else:
                family = socket.AF_INET6 if ":" in entry["route"] else socket.AF_INET
                await self._netlink.route("del", dst=entry["route"], oif=index, family=family)
        except NetlinkError as error:
            if error.code not in _GONE:
                raise _explain(error.code, f"undoing {_title(entry)}") from None
        except OSError as error:
            if error.errno not in _GONE:
                raise ResourceError(f"undoing {_title(entry)}: {os.strerror(error.errno or 0)}") from None

    async def close(self) -> None:
        """Undo every change in reverse order and close; raises the first ResourceError at the end."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        failure: ResourceError | None = None
        left: list[dict[str, Any]] = []
        while self._done:
            entry = self._done.pop()
            try:
                await self._undo(entry)
            except ResourceError as error:
                left.insert(0, entry)
                failure = failure or error
        try:
            if left:
                # The next start tries again.
                self._rewrite(left)
            elif self._recovered:
                with self._journaling():
                    self._journal.unlink(missing_ok=True)
        except ResourceError as error:
            failure = failure or error
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
        if failure is not None:
            raise failure


def _address(interface: str, address: bytes, plen: int) -> dict[str, Any]:
    """The journal entry of an address."""
    return {"do": "address", "interface": interface, "address": str(ip_address(address)), "length": plen}


def _rule(rule: Rule) -> dict[str, Any]:
    """The journal entry of a rule."""
    return {"do": "rule", **asdict(rule)}


def _rule_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """The same as pyroute2 wants it."""
    fields: dict[str, Any] = {"family": socket.AF_INET6 if entry["family"] == 6 else socket.AF_INET}
    fields |= {"priority": entry["priority"], "table": entry["table"]}
    if entry.get("source"):
        fields |= {"src": entry["source"], "src_len": 128 if entry["family"] == 6 else 32}
    if entry.get("mark"):
        fields["fwmark"] = entry["mark"]
    if entry.get("no_default"):
        fields["FRA_SUPPRESS_PREFIXLEN"] = 0
    return fields


def _title(entry: dict[str, Any]) -> str:
    """What a journal entry has changed, in words."""
    if entry["do"] == "rule":
        return f"IPv{entry['family']} routing rule {entry['priority']}"
    if entry["do"] == "address":
        return f"address {entry['address']}/{entry['length']} on {entry['interface']}"
    if entry["do"] == "route":
        return f"route {entry['route']} to {entry['device']}"
    return str(entry["path"])


def _link_state(message: Any) -> tuple[str, bool, bool]:
    """Name, whether it can carry packets, and whether it is there, of one link message."""
    present = message["event"] != "RTM_DELLINK"
    flags = message["flags"]
    return message.get("ifname"), present and bool(flags & IFF_UP and flags & IFF_RUNNING), present


def _explain(code: int, what: str) -> ResourceError:
    if code in (errno.EPERM, errno.EACCES):
        return ResourceError(f"{what}: permission denied; run as root or give the process CAP_NET_ADMIN")
    return ResourceError(f"{what}: {os.strerror(code)}")
