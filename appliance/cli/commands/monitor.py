"""``monitor protocol`` and ``monitor subscriber``: signalling in words while it happens, until Q.

The option screen, its keys and replies, ``***CONTROL***`` lines, the menu behind 75 and the end of a call are
as StarOS captures show them. Ours, for want of a capture: the line above a message, all event numbers, the
line of addresses, the replies to SPACE and to unknown keys, which applications of Diameter are which entry
of the menu, and the options ``only``, ``verbosity``, ``count`` and ``duration``, which are for scripts.
"""

import asyncio
import time
from ipaddress import ip_address
from typing import Any

from appliance.cli import ours
from appliance.cli.grammar import CommandError, command
from appliance.ports import SubscriptionPort, TapFilter
from appliance.tap import ENDED, INBOUND, MADE, NOTE, Tapped, TappedDiameter, TappedEvent, TappedMessage

#: Messages that wait for the terminal.
LIMIT = 1000
#: Seconds between two looks at what came in, and messages that are shown then: 400 a second, because
#: to put one into words takes up to 0.2 ms, which signalling has to go without. A terminal needs longer
#: than 0.2 seconds to know the Escape key from the beginning of another one.
PAUSE, SHOWN = 0.25, 100
#: Messages between two looks at the keyboard.
CHUNK = 10
#: Seconds in which a call may go on at another gateway before it counts as finished.
HANDOVER = 2.0
LEVELS = range(1, 6)

#: Option letters in screen order: code, name, whether it is on at first.
LETTERS = (
    ("C", "Control Events", True),
    ("E", "EventID Info", True),
    ("I", "Inbound Events", True),
    ("O", "Outbound Events", True),
    ("T", "Timestamps", True),
    ("X", "PDU Hexdump", False),
    ("A", "PDU Hex/Ascii", False),
)
#: Protocols in screen order: code and name. All are on at first.
MOBILITY, DIAMETER = "48", "75"
PROTOCOLS = ((MOBILITY, "Mobile IPv6"), (DIAMETER, "App Specific Diameter"))
#: Columns of the option screen: state of the letters, protocols, their state; of the menu: the state.
STATE, FIRST, FIRST_STATE, MENU_STATE = 20, 31, 48, 48

#: Event numbers, ours: 48000 and the MH type, 75000 and the command code for messages, and these.
EVENTS = {NOTE: 48100, MADE: 48101, ENDED: 48102}
MESSAGES, DIAMETER_MESSAGES, MOST_CODE = 48000, 75000, 999

FINISHED = ["", "***", "*** Call Finished - Waiting to trace next matching call", "***"]

WORDS = {
    "monitor": "Shows what happens while it happens",
    "protocol": "Messages of all services",
    "subscriber": "Messages and sessions of one mobile node",
    "username": "By its network access identifier",
    "nai": "Network access identifier; * and $ are wildcards",
    "imsi": "By its IMSI, with which its network access identifier begins",
    "digits": "6 to 15 digits",
    "ip-address": "By an address of its session",
    "address": "IPv4 home address or an address in a home network prefix",
    "callid": "By the call id of its session",
    "call": "Call id as show sessions prints it",
    "next-call": "The next mobile node that gets a session",
    "only": "Only one protocol at first",
    "diameter": "Diameter",
    "mobile-ipv6": "Mobile IPv6, with what becomes of sessions",
    "verbosity": "How much is shown at first",
    "level": "1 one line for each message, 2 header, 3 options, 4 all fields, 5 all octets",
    "count": "Ends after so many messages and events",
    "events": "Number of messages and events",
    "duration": "Ends after so many seconds",
    "seconds": "Number of seconds",
}
_ENDS = (
    "[ only { mobile-ipv6 | diameter } ] [ verbosity <level:NUMBER 1-5> ] [ count <events:NUMBER 1-1000000> ]"
    " [ duration <seconds:NUMBER 1-86400> ]"
)


class Options:
    """The option screen: what is on, and what the keys do."""

    def __init__(self, title: str, level: int) -> None:
        self.title = title
        self.level = level
        self.paused = False
        self.ended = False
        self.on = {code: on for code, _, on in LETTERS} | {MOBILITY: True}
        self._names = {code: name for code, name, _ in LETTERS} | dict(PROTOCOLS)
        self._digit = ""
        self.menu: Menu | None = None
        """While it is open, its keys are typed and nothing is shown."""
        self.applications = dict.fromkeys(ours.MONITORED, True)
        """Entries of the menu that are on."""

    @property
    def holds(self) -> bool:
        """Whether nothing is to be shown now."""
        return self.paused or self.ended or self.menu is not None

    def screen(self) -> list[str]:
        """The lines of the screen."""
        left = [f"{f'{code} - {name}':<{STATE}}({self._state(code)})" for code, name, _ in LETTERS]
        left.append(f"{'+/- Verbosity Level':<{STATE}}({self.level:>3})")
        right = [
            f"{f'{code} - {name} ':<{FIRST_STATE - FIRST}}({self._state(code)})" for code, name in PROTOCOLS
        ]
        right += [""] * (len(left) - len(right))
        rows = [f"{one:<{FIRST}}{two}".rstrip() for one, two in zip(left, right, strict=True)]
        keys = "  (Q)uit,   <ESC> Prev Menu,   <SPACE> Pause,   <ENTER> Re-Display Options"
        # Nothing below the keys: by them programs tell that the screen is whole.
        return ["", "", self.title, "", *rows, "", keys]

    def _state(self, code: str) -> str:
        on = any(self.applications.values()) if code == DIAMETER else self.on[code]
        return "ON " if on else "OFF"

    def only(self, protocol: str) -> None:
        """Show but one protocol at first."""
        self.on[MOBILITY] = protocol == MOBILITY
        self.applications = dict.fromkeys(self.applications, protocol == DIAMETER)

    def press(self, key: str) -> list[str]:
        """Do what a key asks for; returns the reply."""
        if self.menu is not None:
            return self._choose(key)
        key = key.upper()
        first, self._digit = self._digit, ""
        if key in ("Q", "\x1b", "ESCAPE"):
            self.ended = True
            return []
        if key in ("\r", "\n", "ENTER", "C-M", "C-J"):
            return self.screen()
        if key in (" ", "SPACE"):
            self.paused = not self.paused
            return ["*** Paused: <SPACE> goes on ***" if self.paused else "*** Going on ***"]
        if key in ("+", "-"):
            level = self.level + (1 if key == "+" else -1)
            self.level = min(max(level, LEVELS[0]), LEVELS[-1])
            return [f"*** Verbosity Level ({self.level:>3}) ***"]
        if key.isdigit() and not first:
            self._digit = key
            return []
        return self._toggle(first + key)

    def _choose(self, key: str) -> list[str]:
        menu = self.menu
        assert menu is not None
        reply = menu.press(key)
        self.ended = menu.ended
        if not menu.open:
            self.menu = None
            return reply if reply or self.ended else self.screen()
        return reply

    def _toggle(self, code: str) -> list[str]:
        if code == DIAMETER:
            self.menu = Menu(self.applications)
            return self.menu.screen()
        if code not in self.on:
            return [f"*** No option {code} ***"]
        self.on[code] = not self.on[code]
        return [f"*** {self._names[code]} ({self._state(code).rstrip()}) ***"]

    def shows(self, item: Tapped) -> bool:
        """Whether an item is to be shown."""
        if isinstance(item, TappedEvent):
            return self.on["C"]
        on = self.on[MOBILITY]
        if isinstance(item, TappedDiameter):
            on = self.applications[ours.monitored(int.from_bytes(item.data[8:12], "big"))]
        return on and self.on["I" if item.direction == INBOUND else "O"]


class Menu:
    """The menu of Diameter applications: a key for each, and those that lead away."""

    def __init__(self, on: dict[str, bool]) -> None:
        """``on``: what is on, by key; changed in place."""
        self._on = on
        self.open = True
        self.ended = False

    def screen(self) -> list[str]:
        """The lines of the menu, as far as they are the capture's: the last two."""
        rows = [
            f"{f'{key} - {name} ':<{MENU_STATE}}({'ON ' if self._on[key] else 'OFF'})"
            for key, (name, _) in ours.MONITORED.items()
        ]
        keys = "(B)egin Protocol Decoding  (Q)uit,   <ESC> Prev Menu,   <ENTER> Re-Display Options"
        return ["", *rows, "", keys, "Select: "]

    def press(self, key: str) -> list[str]:
        """Do what a key asks for; returns the reply."""
        key = key.upper()
        if key in ("Q", "B"):
            self.open, self.ended = False, key == "Q"
            return ["*** Going on ***"] if key == "B" else []
        if key in ("\x1b", "ESCAPE"):
            self.open = False
            return []
        if key in ("\r", "\n", "ENTER", "C-M", "C-J"):
            return self.screen()
        if key not in self._on:
            return [f"*** No option {key} ***"]
        self._on[key] = not self._on[key]
        return [f"*** {ours.MONITORED[key][0]} ({'ON' if self._on[key] else 'OFF'}) ***"]


class Monitor:
    """One running monitor."""

    def __init__(self, shell: Any, options: Options, subscription: SubscriptionPort, follows: bool) -> None:
        """``follows``: one subscriber, so that the end of a session is the end of a call."""
        self._face = shell.face
        self._tap = shell.system.tap
        self._options = options
        self._subscription = subscription
        self._follows = follows
        self._lost = 0
        self._over = 0.0
        """When the session that is followed ended, by the loop's clock; 0: it did not."""
        self.shown = 0

    async def run(self, count: int, duration: float) -> None:
        """Show events until Q, ``count`` events (0: any number), or ``duration`` seconds (0: for ever)."""
        loop = asyncio.get_running_loop()
        end = loop.time() + duration if duration else float("inf")
        if self._face.interactive:
            await self._face.write(self._options.screen(), paged=False)
        while not self._options.ended and loop.time() < end:
            await self._listen(min(PAUSE, max(0.0, end - loop.time())))
            for _ in range(0, SHOWN, CHUNK):
                if self._options.holds or not await self._show(count):
                    break
                await self._listen(0)
            if count and self.shown >= count:
                break
        await self._tell_finished(0)
        await self._tell_lost()

    async def _listen(self, timeout: float) -> None:
        """Wait for a key and do what it asks for."""
        key = await self._face.key(timeout)
        if key and (reply := self._options.press(key)):
            await self._face.write(reply, paged=False)

    async def _show(self, count: int) -> bool:
        """Show some of what waits; false when that was all there is, or enough."""
        items = self._subscription.take(CHUNK)
        lines: list[str] = []
        for item in items:
            if self._options.shows(item):
                lines += self.lines(item)
                self.shown += 1
                if count and self.shown >= count:
                    break
        for one in items:
            if isinstance(one, TappedEvent) and one.what in (MADE, ENDED):
                self._over = asyncio.get_running_loop().time() if one.what == ENDED else 0.0
        if lines:
            await self._face.write(lines, paged=False)
        await self._tell_finished(HANDOVER)
        await self._tell_lost()
        return len(items) == CHUNK and not (count and self.shown >= count)

    async def _tell_finished(self, patience: float) -> None:
        """Say that a call has finished: it is over, and did not go on at another gateway meanwhile."""
        if self._follows and self._over and asyncio.get_running_loop().time() - self._over >= patience:
            self._over = 0.0
            await self._face.write(FINISHED, paged=False)

    async def _tell_lost(self) -> None:
        lost = self._subscription.lost
        if lost > self._lost:
            await self._face.write([f"*** {lost - self._lost} messages lost ***"], paged=False)
            self._lost = lost

    def lines(self, item: Tapped) -> list[str]:
        """The text of one message or event."""
        if isinstance(item, TappedEvent):
            head = self._head("***CONTROL***", item, f"{EVENTS[item.what]}")
            title = "diameter endpoint" if item.kind == "diameter" else f"{item.kind}-service"
            return ["", head, f"{title} {item.service}: {item.text}"]
        options = self._options
        mark = "INBOUND>>>>>" if item.direction == INBOUND else "<<<<OUTBOUND"
        lines = ["", self._head(f"{mark} ", item, _event(item)), _route(item)]
        lines += self._tap.describe(item, options.level)
        if (options.on["X"] or options.on["A"]) and options.level < LEVELS[-1]:
            lines += [f"  {line}" for line in self._tap.hexdump(item, options.on["A"])]
        return lines

    def _head(self, mark: str, item: Tapped, number: str) -> str:
        if self._options.on["T"]:
            clock = time.strftime("%H:%M:%S", time.localtime(item.wall))
            mark += f" {clock}:{int(item.wall * 1000) % 1000:03}"
        return f"{mark} Eventid:{number}" if self._options.on["E"] else mark.rstrip()


def _event(message: TappedMessage | TappedDiameter) -> str:
    """Number of a message, and of its protocol."""
    if isinstance(message, TappedDiameter):
        code = min(int.from_bytes(message.data[5:8], "big"), MOST_CODE)
        return f"{DIAMETER_MESSAGES + code}({DIAMETER})"
    return f"{MESSAGES + (message.data[2] if len(message.data) > 2 else 0)}({MOBILITY})"


def _route(message: TappedMessage | TappedDiameter) -> str:
    """Who sent a message to whom."""
    if isinstance(message, TappedDiameter):
        source = _place(message.source, message.source_port)
        destination = _place(message.destination, message.destination_port)
        name = f", peer {message.name}" if message.name else ""
        way = f"{source} -> {destination} [{message.transport.upper()}]{name}"
        return f"diameter endpoint {message.service}: {way}"
    over = f", UDP port {message.port} of the peer" if message.port else ""
    way = f"{ip_address(message.source)} -> {ip_address(message.destination)}{over}"
    return f"{message.kind}-service {message.service}: {way}"


def _place(address: bytes, port: int) -> str:
    text = str(ip_address(address))
    return text if not port else f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


async def _monitor(shell: Any, args: dict[str, Any], wanted: TapFilter, title: str) -> None:
    subscription = shell.system.tap.subscribe(wanted, LIMIT)
    try:
        options = Options(title, args.get("level", LEVELS[0]))
        if "diameter" in args or "mobile-ipv6" in args:
            options.only(DIAMETER if "diameter" in args else MOBILITY)
        monitor = Monitor(shell, options, subscription, wanted != TapFilter())
        await monitor.run(args.get("events", 0), args.get("seconds", 0))
    finally:
        subscription.close()


@command("exec", f"monitor protocol {_ENDS}", help=WORDS, rights="operator")
async def _protocol(shell: Any, args: dict[str, Any]) -> None:
    await _monitor(shell, args, TapFilter(), "Monitoring all services...")


@command(
    "exec",
    "monitor subscriber { username <nai:NAI> | imsi <digits:NAME 6-15> | ip-address <address:ADDRESS>"
    f" | callid <call:HEX> | next-call }} {_ENDS}",
    help=WORDS,
    rights="operator",
)
async def _subscriber(shell: Any, args: dict[str, Any]) -> None:
    if not args.get("digits", "0").isdecimal():
        raise CommandError(f"Invalid value '{args['digits']}': 6 to 15 digits are wanted")
    if args.get("call") == 0:
        raise CommandError("00000000 is no call id; show sessions lists those that there are")
    wanted = TapFilter(
        username=args.get("nai", ""),
        imsi=args.get("digits", ""),
        ip_address=args.get("address", ""),
        call_id=args.get("call", 0),
        next_call="next-call" in args,
    )
    who = args.get("nai") or args.get("digits") or args.get("address") or f"{args.get('call', 0):08x}"
    title = "Waiting for next call to connect..." if wanted.next_call else f"Monitoring subscriber {who}..."
    await _monitor(shell, args, wanted, title)
