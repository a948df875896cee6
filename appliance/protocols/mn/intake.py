"""Mobility messages as a mobile node takes them in (RFC 6275 section 9.2)."""

from typing import Any

from appliance.protocols.mn.events import MessageReceived, SendIcmp, SendMessage
from appliance.protocols.mn.state import Shared
from appliance.protocols.mobility.codec import PAYLOAD_PROTO, TOO_SHORT, UNKNOWN_TYPE, decode, verify
from appliance.protocols.mobility.packet import ROUTING
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.timers import Now

_RECEIVED = "mobility-messages-received/"


class Intake:
    """Checks and decodes."""

    __slots__ = ("_shared",)

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def read(self, event: MessageReceived, now: Now) -> tuple[Any, bool] | None:
        """A message, and whether something is wrong with its options; ``None``: it is of no use."""
        shared = self._shared
        if not verify(event.data, event.source, event.home or event.destination):
            shared.count(_RECEIVED + "checksum-error")
            return None
        message, faults = decode(event.data)
        kinds = {fault.kind for fault in faults}
        if UNKNOWN_TYPE in kinds:
            shared.count(_RECEIVED + "unknown-type")
            self._error(event, now)
            return None
        if message is None or kinds & {PAYLOAD_PROTO, TOO_SHORT}:
            shared.count(_RECEIVED + "malformed")
            self._problem(event, faults, now)
            return None
        return message, bool(faults)

    def _error(self, event: MessageReceived, now: Now) -> None:
        """Binding Error status 2, with the home address if the message came by routing header."""
        out: list[Any] = []
        packet = PacketReceived(event.data, event.source, event.destination)
        if self._answerable(event) and self._shared.reports.binding_error(packet, now, out):
            self._shared.count("errors-sent/binding-error")
            self._give(event, out)

    def _problem(self, event: MessageReceived, faults: tuple[Any, ...], now: Now) -> None:
        """ICMPv6 Parameter Problem whose pointer is at the wrong field."""
        out: list[Any] = []
        packet = PacketReceived(event.data, event.source, event.destination)
        ahead = bytes((135, 2, 2, 0, 0, 0, 0, 0)) + event.home if event.home else b""
        first = ROUTING if ahead else 135
        for fault in faults:
            if fault.kind in (PAYLOAD_PROTO, TOO_SHORT) and fault.offset < 2 and self._answerable(event):
                if self._shared.reports.parameter_problem(packet, fault.offset, now, out, ahead, first):
                    self._shared.count("errors-sent/parameter-problem")
                    self._give(event, out)
                return

    @staticmethod
    def _answerable(event: MessageReceived) -> bool:
        """Over UDP and in the tunnel it is not said: who would get it is not who has made the mistake."""
        return not event.outer and not event.tunnelled and event.source[0] != 0xFF and any(event.source)

    def _give(self, event: MessageReceived, out: list[Any]) -> None:
        for effect in out:
            made = SendMessage if isinstance(effect, Send) else SendIcmp
            self._shared.out.append(made(effect.data, effect.source, effect.destination))
