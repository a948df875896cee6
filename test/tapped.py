"""Messages as the tap tells them, and services that have sessions, for the tests of monitors and captures."""

from collections.abc import Iterator
from typing import Any

from appliance.ports import ServicePort, SessionFilter, SessionView
from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import encode
from appliance.tap import INBOUND, MADE, OUTBOUND, Tap, TappedEvent, TappedMessage
from appliance.watch import Watch
from test.cli.fake_services import FakeService, session

MAG = bytes.fromhex("20010db8000a00000000000000000001")
OTHER_MAG = bytes.fromhex("20010db8000a00000000000000000002")
ANCHOR = bytes.fromhex("20010db8ffff00000000000000000001")
PREFIX = bytes.fromhex("20010db8000100010000000000000000")
WALL = 1_700_000_000.123


class Service(FakeService):
    """An LMA whose sessions are found as the real one finds them."""

    def __init__(self, *sessions: SessionView, name: str = "lma1") -> None:
        super().__init__("lma", name)
        self.views = list(sessions)

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """Note the filter; give those that match."""
        self.filters.append(wanted)
        for view in self.views:
            if wanted.username and view.username != wanted.username:
                continue
            if wanted.call_id and view.call_id != wanted.call_id:
                continue
            if wanted.ip_address and not any(
                wanted.ip_address.startswith(prefix.partition("::")[0]) for prefix in view.prefixes
            ):
                continue
            yield view


class World:
    """A tap, its watch, and one LMA."""

    def __init__(self, *sessions: SessionView) -> None:
        self.service = Service(*sessions)
        self.raw = Tap()
        self.tap = Watch(self.raw, self.services)

    def services(self, kind: str = "", name: str = "") -> list[ServicePort]:
        """The LMA."""
        return [self.service] if name in ("", self.service.name) and kind in ("", "lma") else []

    def tell(self, *items: TappedMessage | TappedEvent) -> None:
        """Have the tap see these."""
        for item in items:
            self.raw.saw(item)


def message(body: m.Message, direction: str = INBOUND, peer: bytes = MAG, **changes: Any) -> TappedMessage:
    """A mobility message between a MAG and the LMA."""
    source, destination = (peer, ANCHOR) if direction == INBOUND else (ANCHOR, peer)
    fields = {"service": "lma1", **changes}
    return TappedMessage(WALL, "lma", fields["service"], direction, encode(body), source, destination)


def pbu(
    who: str = "mn1@example.org", *options: o.Option, sequence: int = 1, lifetime: int = 900, **changes: Any
) -> TappedMessage:
    """A Proxy Binding Update."""
    named = [o.MobileNodeIdentifier(1, who.encode())] if who else []
    return message(m.BindingUpdate(sequence, m.BU_A | m.BU_P, lifetime, [*named, *options]), **changes)


def pba(
    who: str = "mn1@example.org", *options: o.Option, sequence: int = 1, status: int = 0, **changes: Any
) -> TappedMessage:
    """A Proxy Binding Acknowledgement."""
    named = [o.MobileNodeIdentifier(1, who.encode())] if who else []
    body = m.BindingAcknowledgement(status, m.BA_P, sequence, 900, [*named, *options])
    return message(body, direction=OUTBOUND, **changes)


def made(call_id: int = 0x01CA11B1, *addresses: bytes) -> TappedEvent:
    """A session that was made."""
    return TappedEvent(WALL, "lma", "lma1", MADE, f"Session {call_id:08x}: tunnel", call_id, addresses)


def event(what: str, text: str = "", call_id: int = 0) -> TappedEvent:
    """Any event."""
    return TappedEvent(WALL, "lma", "lma1", what, text, call_id)


__all__ = [
    "ANCHOR", "MAG", "OTHER_MAG", "PREFIX", "WALL", "Service", "World", "event", "made", "message", "pba",
    "pbu", "session",
]  # fmt: skip
