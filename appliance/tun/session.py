"""The records of the forwarding table: sessions, paths, errors to send."""

from appliance.protocols.pmipv6.events import Install
from appliance.tun.encap import Encapsulation

#: RFC 4443 section 2.4(f): token bucket for ICMP errors; errors a second and burst.
ERRORS_PER_SECOND = 100.0
ERRORS_AT_ONCE = 50.0


class Path:
    """The way to one tunnel peer: its MTU in octets, and until when a lower one holds."""

    __slots__ = ("expires", "initial", "mtu", "users")

    def __init__(self, mtu: int) -> None:
        self.initial = mtu
        self.mtu = mtu
        self.expires = 0.0
        self.users = 0


class Session:
    """Forwarding entry of one session; octet counts are of inner packets."""

    __slots__ = (
        "effect", "interface", "keys", "last_activity", "link_layer", "octets_down", "octets_up", "overhead4",
        "overhead6", "packets_down", "packets_up", "path", "peer", "receive_key", "row4", "row6",
    )  # fmt: skip

    def __init__(self, effect: Install, path: Path, row6: Encapsulation, row4: Encapsulation) -> None:
        self.effect = effect
        self.path = path
        self.row6 = row6
        self.row4 = row4
        keyed = effect.send_key is not None
        self.overhead6 = row6.overhead(keyed)
        self.overhead4 = row4.overhead(keyed)
        self.peer = effect.peer
        self.receive_key = effect.receive_key if effect.gre else None
        self.interface = effect.interface
        self.link_layer = effect.link_layer
        self.keys: list[tuple[int, int, bytes | int]] = []
        self.packets_up = self.octets_up = self.packets_down = self.octets_down = 0
        self.last_activity = -1.0

    def take_counts(self, old: "Session") -> None:
        """Go on counting where the entry that this one replaces stopped."""
        self.packets_up, self.octets_up = old.packets_up, old.octets_up
        self.packets_down, self.octets_down = old.packets_down, old.octets_down

    def owns(self, address: bytes) -> bool:
        """Whether a packed address is the mobile's: its IPv4 address, or inside a prefix."""
        if len(address) == 4:
            return address == self.effect.ipv4_address
        for octets, shift, key in self.keys:
            if (int.from_bytes(address[:octets], "big") >> shift if shift else address[:octets]) == key:
                return True
        return False


class Answer:
    """An ICMP error to send."""

    __slots__ = ("destination", "message", "packet", "session")

    def __init__(self, session: Session | None, packet: bytes, destination: bytes, message: bytes) -> None:
        self.session = session
        """Not ``None``: ``packet`` goes out on this session's access link."""
        self.packet = packet
        self.destination = destination
        """Packed address; otherwise ``message`` goes there from a raw ICMP socket."""
        self.message = message


class RateLimit:
    """A token bucket over monotonic seconds."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = ERRORS_AT_ONCE
        self._at = 0.0

    def allow(self, now: float) -> bool:
        """Whether one more may be sent now."""
        self._tokens = min(ERRORS_AT_ONCE, self._tokens + (now - self._at) * ERRORS_PER_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
