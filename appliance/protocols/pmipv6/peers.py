"""Small things that all features need which talk to peers beside the registrations."""

import ipaddress
from collections.abc import Callable

from appliance.protocols.mobility.messages import BindingError, Message
from appliance.protocols.mobility.status import BE_UNKNOWN_MH_TYPE
from appliance.protocols.pmipv6.events import PacketReceived
from appliance.protocols.timers import Now

#: UDP port of signalling over IPv4 (RFC 5844 section 4.1).
SIGNALLING_PORT = 5436


def text_of(address: bytes) -> str:
    """A packed address for a log line."""
    return str(ipaddress.ip_address(address))


class BindingErrors:
    """Handler of Binding Errors: tells who has sent what the peer does not know (RFC 6275 section 9.3.3).

    A Binding Error does not say which message it is about. The listeners are asked in their order; each
    takes it for its own if the peer still owes it an answer.
    """

    def __init__(self, ignored: Callable[[], None]) -> None:
        """``ignored`` counts one that nobody takes."""
        self.listeners: list[Callable[[PacketReceived, Now], bool]] = []
        self._ignored = ignored

    def receive(self, event: PacketReceived, message: Message, now: Now) -> None:
        """Take one that could be read."""
        assert isinstance(message, BindingError)
        if message.status != BE_UNKNOWN_MH_TYPE or not any(
            listener(event, now) for listener in self.listeners
        ):
            self._ignored()

    def discarded(self, event: PacketReceived, why: str, now: Now) -> None:
        """Count one that cannot be used."""
        self._ignored()
