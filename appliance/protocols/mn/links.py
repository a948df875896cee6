"""Devices, addresses and routes of the host, watched by netlink for the mobile nodes of the process.

::

    kernel ──link, address, route events──▶ LinkWatch ── a moment later, all of it ──▶ on_change(Snapshot)

A change comes as a dozen events. So an event only says that something has changed; what is there is read a
little later, once for all of them. Nothing is asked for from time to time.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from twisted.logger import Logger

from appliance.protocols.mn.movement import Address, Device, Snapshot

_log = Logger()

# <linux/rtnetlink.h>: links, addresses and routes of both families.
GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
#: Seconds between an event and the look at everything.
SETTLE = 0.02
#: Seconds until the next try when the kernel's answer could not be read.
RETRY = 1.0
IFF_UP, IFF_RUNNING = 0x1, 0x40
MAIN_TABLE, UNICAST = 254, 1
#: The clock of IFA_CACHEINFO counts hundredths of seconds.
HUNDREDTHS = 100.0


class LinkWatch:
    """Reads everything at the start and whenever something changes; ``clock`` gives monotonic seconds."""

    def __init__(self, on_change: Callable[[Snapshot], None], clock: Callable[[], float]) -> None:
        self._on_change = on_change
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._up: dict[int, float] = {}
        """By number of a device: since when it can carry packets."""

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._watch()
            except (NetlinkError, OSError) as error:
                # Too many events for the socket's buffer, for example: what is there is read anew.
                _log.warn("interfaces cannot be watched: {error}; trying again", error=error)
            except Exception:  # noqa: BLE001 - logged; a message of an odd kind must not end the watch
                _log.failure("interfaces cannot be watched; trying again")
            await asyncio.sleep(RETRY)

    async def _watch(self) -> None:
        async with AsyncIPRoute() as events, AsyncIPRoute() as asking:
            await events.bind(groups=GROUPS)
            changed = asyncio.Event()
            changed.set()
            reader = asyncio.get_running_loop().create_task(self._read(events, changed))
            try:
                while not reader.done():
                    await changed.wait()
                    await asyncio.sleep(SETTLE)
                    changed.clear()
                    self._tell(await self._look(asking))
            finally:
                reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _read(self, events: Any, changed: asyncio.Event) -> None:
        try:
            while True:
                async for message in events.get():
                    if message["event"] in ("RTM_NEWLINK", "RTM_DELLINK"):
                        self._follow(message)
                    changed.set()
        finally:
            changed.set()

    def _follow(self, message: Any) -> None:
        """Note when a device got or lost its carrier: a short loss is over when everything is read."""
        flags, index = message["flags"], message["index"]
        if message["event"] == "RTM_DELLINK" or not (flags & IFF_UP and flags & IFF_RUNNING):
            self._up.pop(index, None)
        else:
            self._up.setdefault(index, self._clock())

    def _tell(self, snapshot: Snapshot) -> None:
        try:
            self._on_change(snapshot)
        except Exception:  # noqa: BLE001 - logged
            # One client must not end the watch for all of them.
            _log.failure("a change of the interfaces could not be dealt with")

    async def _look(self, asking: Any) -> Snapshot:
        devices: dict[int, Device] = {}
        async for message in await asking.get_links():
            index, flags = message["index"], message["flags"]
            up = bool(flags & IFF_UP and flags & IFF_RUNNING)
            if up:
                # Nobody has seen it come: it was there before us.
                self._up.setdefault(index, 0.0)
            devices[index] = Device(message.get("ifname") or "", up, self._up.get(index, 0.0))
        async for message in await asking.get_addr():
            device = devices.get(message["index"])
            if device is not None:
                device.addresses.append(_address(message))
        snapshot = Snapshot({device.name: device for device in devices.values()})
        for family in (socket.AF_INET6, socket.AF_INET):
            async for message in await asking.get_routes(family=family, table=MAIN_TABLE):
                _add_routes(snapshot, message, devices)
        return snapshot


def _address(message: Any) -> Address:
    text = message.get("local") or message.get("address")
    cache = message.get("cacheinfo") or {}
    return Address(
        address=ip_address(text).packed,
        length=message["prefixlen"],
        flags=message.get("flags") or 0,
        scope=message["scope"],
        confirmed=cache.get("tstamp", 0) / HUNDREDTHS,
    )


def _add_routes(snapshot: Snapshot, message: Any, devices: dict[int, Device]) -> None:
    if message["type"] != UNICAST or (message.get("table") or MAIN_TABLE) != MAIN_TABLE:
        return
    zero = bytes(16 if message["family"] == socket.AF_INET6 else 4)
    text = message.get("dst")
    network = ip_address(text).packed if text else zero
    hops = message.get("multipath") or [message]
    for hop in hops:
        device = devices.get(hop.get("oif") or 0)
        if device is not None:
            snapshot.routes.add((device.name, network, message["dst_len"]))
