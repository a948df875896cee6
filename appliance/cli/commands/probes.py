"""``ping`` and ``traceroute`` from the current context, by the host's own programs.

Nothing of what is typed reaches a program but checked values: addresses in canonical form, host names
that begin with a letter or digit, and numbers with limits. The program is a child process; ^C ends it.
The commands' names are StarOS's, their options are ours.
"""

import ipaddress
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from appliance.cli import ours
from appliance.cli.grammar import command
from appliance.cli.values import CommandError

HELP = {
    "address": "IPv4 or IPv6 address",
    "count": "How many packets to send; 5 if not given",
    "number": "Number of packets",
    "host": "Name of a host",
    "interface": "Sends from an address of an interface of this context",
    "maximum-ttl": "Most hops; 30 if not given",
    "device": "Name of the interface",
    "ping": "Sends echo requests and shows the answers",
    "ping6": "Sends echo requests by IPv6",
    "size": "Octets of data in each packet; 56 if not given",
    "octets": "Number of octets",
    "source": "Address to send from",
    "src": "Sends from this address",
    "traceroute": "Shows the routers on the way",
    "traceroute6": "Shows the routers on the way by IPv6",
    "hops": "Number of hops",
}
TARGET = "{ <address:ADDRESS> | <host:NAME 1-253> }"
ORIGIN = "[ src <source:ADDRESS> | interface <device:NAME 1-15> ]"
COUNT, SIZE, HOPS = 5, 56, 30
#: Seconds: between two echo requests, for the last answer, for a name server, and for one hop.
INTERVAL, PATIENCE, NAMES, HOP = 1, 2, 10, 2


def version(*texts: str) -> int:
    """IP version of addresses; 0 when there are none. Raises CommandError when they differ."""
    found = {ipaddress.ip_address(text).version for text in texts if text}
    if len(found) > 1:
        raise CommandError("an IPv4 and an IPv6 address do not go together")
    return found.pop() if found else 0


def origin(shell: Any, args: dict[str, Any], family: int) -> str:
    """The address to send from: as typed, of the interface named, or of the context; empty: the kernel
    chooses. ``family``: 4, 6, or 0 for a host name whose family is not known.

    Raises CommandError when there is no such address.
    """
    if "source" in args:
        return str(args["source"])
    contexts = [each for each in shell.system.configuration.contexts if each.name == shell.context]
    interfaces = [interface for context in contexts for interface in context.interfaces]
    if "device" in args:
        interfaces = [each for each in interfaces if each.name == args["device"]]
        if not interfaces:
            raise CommandError(f"context {shell.context} has no interface {args['device']}")
    found = [ipaddress.ip_interface(pair) for each in interfaces for pair in each.addresses]
    fitting = [each for each in found if each.version == family or ("device" in args and not family)]
    target = args.get("address")
    near = [each for each in fitting if target and ipaddress.ip_address(target) in each.network]
    if near or fitting:
        return str((near or fitting)[0].ip)
    if "device" in args:
        kind = f"IPv{family} " if family else ""
        raise CommandError(f"interface {args['device']} has no {kind}address in its configuration")
    return ""


def resolved(args: dict[str, Any], family: int) -> tuple[str, int]:
    """Target as typed, and its IP version: of ``family`` if the command fixes it, 0 if not known."""
    target = args.get("address", "")
    found = version(target, args.get("source", ""))
    if family and found not in (0, family):
        raise CommandError(f"an IPv{family} address is wanted")
    return target or args["host"], family or found


async def show(shell: Any, arguments: Sequence[str], seconds: float) -> None:
    """Run a program and write its lines as they come; however this ends, the program ends too."""
    lines = cast("AsyncIterator[str]", shell.system.host.run(arguments, seconds))
    async with aclosing(lines) as running:  # type: ignore[type-var]
        async for line in running:
            await shell.face.write([line], paged=False)


def require(shell: Any, *programs: str) -> str:
    """The first of these programs that the host has. Raises CommandError naming the packages."""
    for program in programs:
        if shell.system.host.finds(program):
            return program
    packages = " or ".join(ours.PACKAGES[program] for program in programs)
    raise CommandError(f"this host has no program {programs[0]}; install the Debian package {packages}")


async def ping(shell: Any, args: dict[str, Any], family: int = 0) -> None:
    """Send echo requests."""
    target, family = resolved(args, family)
    source = origin(shell, args, family)
    count = args.get("number", COUNT)
    # A name without a family, but with a source address, is meant in the family of that.
    family = family or version(source)
    arguments = [require(shell, "ping"), "-n", "-c", str(count), "-s", str(args.get("octets", SIZE))]
    arguments += ["-i", str(INTERVAL), "-W", str(PATIENCE)]
    arguments += [f"-{family}"] if family else []
    arguments += ["-I", source] if source else []
    await show(shell, [*arguments, "--", target], count * INTERVAL + PATIENCE + NAMES)


async def traceroute(shell: Any, args: dict[str, Any], family: int = 0) -> None:
    """Show the routers on the way."""
    target, family = resolved(args, family)
    source = origin(shell, args, family)
    family = family or version(source)
    hops = args.get("hops", HOPS)
    program = require(shell, "traceroute", *(() if source else ("tracepath",)))
    arguments = [program, "-n", "-m", str(hops), *([f"-{family}"] if family else [])]
    if program == "traceroute":
        arguments += ["-q", "1", "-w", str(HOP), *(["-s", source] if source else [])]
    await show(shell, [*arguments, "--", target], math.ceil(hops * (HOP + 1)) + NAMES)


def declare(word: str, family: int) -> None:
    """Declare both commands with a name that ends in ``word``."""
    ping_word, trace_word = f"ping{word}", f"traceroute{word}"

    @command(
        "exec",
        f"{ping_word} {TARGET} [ count <number:NUMBER 1-10000> ] [ size <octets:NUMBER 0-65000> ] {ORIGIN}",
        help=HELP,
        rights="operator",
    )
    async def ping_command(shell: Any, args: dict[str, Any]) -> None:
        await ping(shell, args, family)

    @command(
        "exec",
        f"{trace_word} {TARGET} [ maximum-ttl <hops:NUMBER 1-64> ] {ORIGIN}",
        help=HELP,
        rights="operator",
    )
    async def trace_command(shell: Any, args: dict[str, Any]) -> None:
        await traceroute(shell, args, family)


declare("", 0)
declare("6", 6)
