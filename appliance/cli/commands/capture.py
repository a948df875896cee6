"""``capture start``, ``capture stop``, ``show capture``: signalling into pcapng files. All of it is ours."""

from collections.abc import Iterable
from typing import Any

from appliance.cli.commands.base import date_line
from appliance.cli.grammar import command
from appliance.cli.render import FixedTable
from appliance.ports import CaptureView, TapFilter

MIB = 1024 * 1024
#: MiB of a file unless ``size-limit`` says otherwise.
SIZE = 100

WORDS = {
    "capture": "Captures of signalling to pcapng files, which Wireshark reads",
    "start": "Begins a capture to a new file",
    "stop": "Ends a capture and finishes its file",
    "file": "Absolute path of a file that does not exist yet",
    "all": "All captures",
    "service": "Only messages of one service",
    "name": "Name of the service",
    "username": "Only messages of one mobile node, by its network access identifier",
    "nai": "Network access identifier; * and $ are wildcards",
    "ip-address": "Only messages of one mobile node, by an address of its session",
    "address": "IPv4 home address or an address in a home network prefix",
    "peer": "Only messages from and to one peer",
    "node": "IPv6 or IPv4 address of the peer",
    "size-limit": f"Largest size of the file; without it {SIZE} MiB",
    "size": "Mebibytes",
    "duration": "Ends the capture after so many seconds",
    "seconds": "Number of seconds",
}


@command(
    "exec",
    "capture start <file:PATH 2-255> [ service <name:NAME> | username <nai:NAI>"
    " | ip-address <address:ADDRESS> | peer <node:ADDRESS> ]"
    " [ size-limit <size:NUMBER 1-100000> ] [ duration <seconds:NUMBER 1-604800> ]",
    help=WORDS,
    rights="administrator",
)
async def _start(shell: Any, args: dict[str, Any]) -> list[str]:
    wanted = TapFilter(
        service=args.get("name", ""),
        username=args.get("nai", ""),
        ip_address=args.get("address", ""),
        peer=args.get("node", ""),
    )
    limit = args.get("size", SIZE) * MIB
    await shell.system.captures.start(args["file"], wanted, limit, args.get("seconds", 0))
    return [f"Capture to {args['file']} has begun"]


@command("exec", "capture stop [ <file:PATH 2-255> | all ]", help=WORDS, rights="administrator")
async def _stop(shell: Any, args: dict[str, Any]) -> list[str]:
    ended = await shell.system.captures.stop(args.get("file", ""))
    return [_end(view) for view in ended] or ["No capture is running"]


def _end(view: CaptureView) -> str:
    return (
        f"Capture to {view.file} has ended: {view.packets} packets, {view.octets} octets, "
        f"{view.dropped} dropped"
    )


def _rows(views: Iterable[CaptureView]) -> Iterable[tuple[str | int, ...]]:
    for view in views:
        numbers = (view.packets, view.octets, view.dropped)
        yield (*numbers, view.state, date_line(view.since), view.filter, view.file)


@command("exec", "show capture", help=WORDS, rights="administrator")
def _show(shell: Any, _args: dict[str, Any]) -> FixedTable:
    columns = (0, 10, 22, 31, 52, 90, 125)
    return FixedTable(
        ("Packets", "Octets", "Dropped", "State", "Since", "Filter", "File"),
        columns,
        columns,
        (9, 11, 8, 20, 37, 34, 4),
        columns,
        ("packets", "octets", "dropped", "state", "since", "filter", "file"),
        tuple(_rows(shell.system.captures.views())),
    )
