"""What a PMIPv6 service tells the tap: its messages, its sessions coming and going, its notes.

::

    MobilitySocket ─▶ Probe.received(feed) ─▶ core ─▶ Probe.effects(perform) ─▶ socket, engine, log
                           └───────────────▶ Tap ◀───────┘
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from appliance.protocols.pmipv6.events import Install, Notify, PacketReceived, Remove, Send
from appliance.protocols.timers import Now
from appliance.tap import ENDED, INBOUND, MADE, NOTE, OUTBOUND, Tap, TappedEvent, TappedMessage

Perform = dict[type, Callable[[Any], object]]


class Probe:
    """The end of the tap at one service; ``kind`` and ``service`` are what its messages are marked with."""

    __slots__ = ("_tap", "_clock", "_kind", "_service")

    def __init__(self, tap: Tap, clock: Callable[[], Now], kind: str, service: str) -> None:
        self._tap = tap
        self._clock = clock
        self._kind = kind
        self._service = service

    @property
    def listening(self) -> bool:
        """Whether anybody wants to know."""
        return self._tap.listening

    def came(self, event: PacketReceived) -> None:
        """Tell of a message that was received."""
        if self._tap.listening:
            self._message(INBOUND, event)

    def received(self, feed: Callable[[PacketReceived], None]) -> Callable[[PacketReceived], None]:
        """A ``feed`` that tells of each message before it gives it on."""
        tap = self._tap

        def tell(event: PacketReceived) -> None:
            if tap.listening:
                self._message(INBOUND, event)
            feed(event)

        return tell

    def sent(self, effect: Send) -> None:
        """Tell of a message that the host has taken."""
        if self._tap.listening:
            self._message(OUTBOUND, effect)

    def effects(self, perform: Perform) -> Perform:
        """A ``perform`` that tells of sessions and notes as well."""
        tellers: dict[type, Callable[[Any], None]] = {
            Install: self._installed,
            Remove: self._removed,
            Notify: self._noted,
        }
        return {
            effect: self._wrap(tellers[effect], done) if effect in tellers else done
            for effect, done in perform.items()
        }

    def _wrap(self, tell: Callable[[Any], None], perform: Callable[[Any], object]) -> Callable[[Any], object]:
        tap = self._tap

        def both(effect: Any) -> object:
            if tap.listening:
                tell(effect)
            return perform(effect)

        return both

    def _message(self, direction: str, packet: PacketReceived | Send) -> None:
        self._tap.saw(
            TappedMessage(
                self._clock().wall,
                self._kind,
                self._service,
                direction,
                packet.data,
                packet.source,
                packet.destination,
                packet.port,
            )
        )

    def _installed(self, effect: Install) -> None:
        names = [f"{ip_address(prefix)}/{length}" for prefix, length in effect.prefixes]
        addresses = tuple(prefix for prefix, _ in effect.prefixes)
        if effect.ipv4_address is not None:
            names.append(str(ip_address(effect.ipv4_address)))
            addresses += (effect.ipv4_address,)
        where = f" on {effect.interface}" if effect.interface else ""
        text = (
            f"Session {effect.call_id:08x}: tunnel to {ip_address(effect.peer)}{where} for {', '.join(names)}"
        )
        self._event(MADE, text, effect.call_id, addresses)

    def _removed(self, effect: Remove) -> None:
        self._event(ENDED, f"Session {effect.call_id:08x}: tunnel removed", effect.call_id)

    def _noted(self, effect: Notify) -> None:
        self._event(NOTE, effect.text)

    def _event(self, what: str, text: str, call_id: int = 0, addresses: tuple[bytes, ...] = ()) -> None:
        wall = self._clock().wall
        self._tap.saw(TappedEvent(wall, self._kind, self._service, what, text, call_id, addresses))
