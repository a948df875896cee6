"""What a mobile node changes of its host: addresses, a table of routes, and rules that lead there.

::

    driver ──want(HomeState)──▶ HostState ── one change after the other ──▶ Kernel (journal, netlink)

What is wanted replaces what was wanted before; a task brings the host there. All of it is undone when the
client stops, and by the journal after a killed process; the routes go with the TUN device.

The rules, in the order in which the kernel tries them::

    with our mark           main table            our own signalling and tunnel packets: the real way
    from a care-of address  main table            whoever has chosen that address himself
    from a home address     own table             into the tunnel, whatever the main table knows
    everything              main table, but for its default routes
    everything              own table             into the tunnel, while there is one
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from attrs import define

from appliance.errors import ResourceError
from appliance.protocols.mn.ends import MARK
from appliance.tun.kernel import Kernel, Rule

MAIN_TABLE = 254
#: Priority of the first rule of the first client, and how many each has; the main table's own rule has 32766.
PRIORITY, STEP = 14_190, 10
#: Numbers of the own tables begin here.
FIRST_TABLE = 14_190_000
#: Clients of one process: their rules stay before those of the main table.
MOST = 100

Item = tuple[str, tuple[object, ...]]
"""What to do, and with what."""


@define(slots=True, frozen=True)
class HomeState:
    """What the host is to be like; addresses are packed."""

    home: bytes = b""
    ipv4: bytes | None = None
    ipv4_length: int = 32
    tunnel: bool = False
    """Packets without a source address of their own go home."""
    sources: frozenset[bytes] = frozenset()
    """Care-of addresses."""
    networks: tuple[tuple[bytes, int], ...] = ()
    """Behind a mobile router: reached without the tunnel."""
    home_link: str = ""
    """Device that has ``at_home`` because the node is there."""
    at_home: bytes = b""
    at_home_length: int = 64


def items(state: HomeState, device: str, number: int) -> Iterator[Item]:
    """All changes of the client of that number, in the order in which they are made."""
    table, first = FIRST_TABLE + number, PRIORITY + number * STEP
    if state.at_home and state.home_link:
        yield "address", (state.home_link, state.at_home, state.at_home_length)
    for address, length in ((state.home, 128), (state.ipv4, state.ipv4_length)):
        if not address:
            continue
        family = 6 if len(address) == 16 else 4
        text = str(ip_address(address))
        yield "address", (device, address, length)
        yield "default", (family, table, device, address)
        for network, bits in state.networks:
            if len(network) == len(address):
                yield "throw", (family, table, network, bits)
        yield "rule", (Rule(family, first, MAIN_TABLE, mark=MARK),)
        for source in sorted(state.sources):
            if len(source) == len(address) and state.tunnel:
                yield "rule", (Rule(family, first + 1, MAIN_TABLE, source=str(ip_address(source))),)
        yield "rule", (Rule(family, first + 2, table, source=text),)
        if state.tunnel:
            yield "rule", (Rule(family, first + 3, MAIN_TABLE, no_default=True),)
            yield "rule", (Rule(family, first + 4, table),)


class HostState:
    """Brings the host to what is wanted; ``tell(text)`` hears what cannot be done.

    ``number`` (0 to ``MOST``) is another one for each client of the process.
    """

    def __init__(self, kernel: Kernel, device: str, number: int, tell: Callable[[str], object]) -> None:
        self._kernel = kernel
        self._device = device
        self._number = number
        self._tell = tell
        self._wanted = HomeState()
        self._done: dict[Item, bool] = {}
        """What is there because of us, in order; false: somebody else has made it."""
        self._task: asyncio.Task[None] | None = None

    def want(self, state: HomeState) -> None:
        """The host is to be like this from now on."""
        self._wanted = state
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._settle())

    @property
    def wanted(self) -> HomeState:
        """What was said last."""
        return self._wanted

    async def close(self) -> None:
        """Undo everything, and wait for that."""
        self.want(HomeState())
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _settle(self) -> None:
        reached: HomeState | None = None
        while reached != self._wanted:
            reached = self._wanted
            wanted = dict.fromkeys(items(reached, self._device, self._number))
            # New rules first: in between, nothing must leave by the wrong way.
            for item in wanted:
                if item not in self._done:
                    await self._try(item, True)
            for item in [each for each in reversed(self._done) if each not in wanted]:
                await self._try(item, False)

    async def _try(self, item: Item, make: bool) -> None:
        try:
            if make:
                self._done[item] = await self._make(*item)
            elif self._done.pop(item):
                await self._unmake(*item)
        except ResourceError as error:
            self._tell(str(error))

    async def _make(self, what: str, values: tuple[object, ...]) -> bool:
        kernel = self._kernel
        made: dict[str, Callable[..., object]] = {
            "address": kernel.add_address,
            "rule": kernel.add_rule,
            "default": kernel.add_table_default,
            "throw": kernel.add_table_throw,
        }
        call = made[what]
        return bool(await call(*values))  # type: ignore[misc]

    async def _unmake(self, what: str, values: tuple[object, ...]) -> None:
        kernel = self._kernel
        if what == "address":
            await kernel.remove_address(*values)  # type: ignore[arg-type]
        elif what == "rule":
            await kernel.remove_rule(*values)  # type: ignore[arg-type]
        elif what == "throw":
            await kernel.remove_table_throw(*values)  # type: ignore[arg-type]
        # A default route goes with the address that it prefers.
