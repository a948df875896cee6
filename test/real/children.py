"""Checks of programs run as children, on asyncio's reactor: ``python -m test.real.children NAME``.

A process of its own, because the reactor of the tests is another one. A check that fails leaves its
traceback on standard error and the exit status 1.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor as installed  # noqa: E402

from appliance import programs  # noqa: E402
from appliance.errors import ResourceError  # noqa: E402
from appliance.host import Host  # noqa: E402

reactor: Any = installed


def equal(found: object, wanted: object) -> None:
    """Fail unless both are the same."""
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


async def collect(lines: AsyncIterator[Any]) -> list[Any]:
    """All of an asynchronous iterator."""
    return [line async for line in lines]


def shell(script: str, seconds: float = 10.0) -> AsyncIterator[str]:
    """The lines of a shell script."""
    return programs.run(reactor, ["/bin/sh", "-c", script], seconds)


def gone(pid: int) -> bool:
    """Whether a process is no more (or only waits to be buried)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def wait_gone(pid: int) -> None:
    """Fail unless it goes soon."""
    for _ in range(200):
        if gone(pid):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"process {pid} goes on")


async def lines() -> None:
    """Both outputs are read, and there is nothing to type."""
    script = "echo one; echo two >&2; sleep 0.1; read x || printf 'three \\377'"
    equal(sorted(await collect(shell(script))), ["one", "three \ufffd", "two"])
    equal(await collect(shell("exit 3")), [])


async def closed() -> None:
    """The child ends with its reader."""
    async with aclosing(shell("echo $$; exec sleep 60")) as running:  # type: ignore[type-var]
        pid = int(await anext(running))
        equal(gone(pid), False)
    await wait_gone(pid)
    seen: list[str] = []

    async def read() -> None:
        async with aclosing(shell("echo $$; exec sleep 60")) as running:  # type: ignore[type-var]
            async for line in running:
                seen.append(line)

    task = asyncio.ensure_future(read())
    while not seen:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    equal(task.cancelled(), True)
    await wait_gone(int(seen[0]))


async def time_limit() -> None:
    """The child ends with its time."""
    pid, last = await collect(shell("echo $$; exec sleep 60", 1.0))
    equal(last, "stopped after 1 seconds")
    await wait_gone(int(pid))


async def bounded() -> None:
    """What nobody reads is dropped and counted."""
    running = shell("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done")
    first = await anext(running)
    await asyncio.sleep(1.0)
    rest = await collect(running)
    equal((first, rest[0]), ("0", "1"))
    equal(rest[-1].endswith(" lines dropped: the terminal was too slow"), True)
    equal(len(rest) <= programs.WAITING + 200, True)
    long = await collect(shell("head -c 100000 /dev/zero | tr '\\0' x"))
    equal(max(map(len, long)) <= programs.LONGEST, True)


async def cannot_start() -> None:
    """A missing program is named, and no shell reads what is typed."""
    host = Host(reactor, time.monotonic)
    equal((host.finds("no-such-program"), host.finds("sh")), (False, True))
    try:
        await collect(host.run(["no-such-program"], 1.0))
    except ResourceError as error:
        equal("no-such-program" in str(error), True)
    else:
        raise AssertionError("it was run")
    equal(await collect(host.run(["echo", "a; echo b"], 5.0)), ["a; echo b"])


async def lag() -> None:
    """The loop is held for 0.3 s."""
    host = Host(reactor, time.monotonic)
    host.start()
    try:
        await asyncio.sleep(0.25)
        time.sleep(0.3)
        await asyncio.sleep(0.25)
        health = host.health()
    finally:
        host.stop()
        host.stop()
    equal((health.lag_worst > 0.15, health.lag_record >= health.lag_worst), (True, True))


async def ping() -> None:
    """The loopback answers."""
    host = Host(reactor, time.monotonic)
    found = await collect(host.run(["ping", "-n", "-c", "1", "-s", "56", "-4", "--", "127.0.0.1"], 10.0))
    equal("1 received" in "\n".join(found), True)


CHECKS = {check.__name__: check for check in (lines, closed, time_limit, bounded, cannot_start, lag, ping)}


def main(name: str) -> int:
    """Run a check on the reactor; returns the exit status."""
    status = 1

    async def guarded() -> None:
        nonlocal status
        try:
            await asyncio.wait_for(CHECKS[name](), 30)
            status = 0
        except Exception:  # noqa: BLE001 - told on standard error
            traceback.print_exc()
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: asyncio.ensure_future(guarded()))
    reactor.run()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
