"""What a binding cache entry has beside its plain fields when a host has registered itself.

The entry's ``prefix`` is the home address (128 bits), its ``care_of`` the care-of address that packets to the
host are sent to: the only one, or that of the lowest binding identifier (RFC 5648 leaves the choice open).
"""

from typing import NamedTuple

from appliance.protocols.mobility.rfc4285 import covered_care_of
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.events import Install
from appliance.protocols.pmipv6.extras import Extras

#: Bits of a home address.
WHOLE = 128


class Away(NamedTuple):
    """How a care-of address in an IPv4 network is reached (RFC 5555)."""

    local: bytes
    """Our IPv4 address."""
    port: int
    """UDP port that the last update came from."""
    udp: bool
    """Whether data goes in UDP: a NAT stands between, or one of both ends wants it so."""
    nat: bool
    own: bytes
    """The host's own address, as it says; empty: it has said nothing."""

    def shape(self, effect: Install, home: bytes) -> None:
        """Say so of a tunnel."""
        effect.local, effect.host_port, effect.udp = self.local, self.port, self.udp
        if self.udp:
            # Each host behind a NAT has a path of its own, and another one when the NAT gives another port.
            effect.gateway = home + self.port.to_bytes(2, "big")


class CareOf(NamedTuple):
    """One of several care-of addresses (RFC 5648 section 4.1)."""

    address: bytes
    due: float
    """Monotonic seconds at which its lifetime is over."""
    at_home: bool = False
    """The host has it on its home link (H flag of the option): nothing is tunnelled to it."""
    away: Away | None = None
    """It is in an IPv4 network."""


class HostBinding(Extras):
    """The host's part of an entry, which is its extras: two objects would cost 40 octets more."""

    __slots__ = (
        "advertise_at", "asked_again", "away", "key", "key_ends", "mesg_id", "router", "several", "spi",
        "spread",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        #: SPI of the MN-HA key in use; ``None``: the host is not authenticated by one.
        self.spi: int | None = None
        #: Key that AAA has given, until when (monotonic seconds); empty: the keys are configured ones.
        self.key = b""
        self.key_ends = 0.0
        #: Timestamp of the last accepted MESG-ID option; 0: none.
        self.mesg_id = 0
        #: By binding identifier; ``None``: a plain binding with one care-of address.
        self.several: dict[int, CareOf] | None = None
        #: It is a mobile router (R flag, RFC 3963).
        self.router = False
        #: Its flows are spread over all of them; else they go by the first.
        self.spread = False
        #: DSMIPv6: of ``entry.care_of`` in an IPv4 network; ``None``: it is an IPv6 address.
        self.away: Away | None = None
        #: AAA wants to be asked again, at the next update.
        self.asked_again = False
        #: Mobile prefix discovery: when the next prefix advertisement is due (monotonic seconds); 0: never.
        self.advertise_at = 0.0

    @property
    def host(self) -> "HostBinding":
        """Itself: this is the binding of a host."""
        return self

    def covered(self, entry: BindingCacheEntry) -> bytes:
        """The care-of address that authenticators of messages to the host cover."""
        return _covered(entry.care_of, self.away, entry.prefix or b"")

    def covered_ones(self, entry: BindingCacheEntry) -> set[bytes]:
        """Those that its own may cover when they come inside UDP, which does not say where it is."""
        home = entry.prefix or b""
        several = self.several.values() if self.several is not None else ()
        places = [(entry.care_of, self.away), *((care.address, care.away) for care in several)]
        return {_covered(address, away, home) for address, away in places if away is not None}

    def others(self, first: bytes) -> tuple[bytes, ...]:
        """The further ends of the tunnel that packets may come from (RFC 5648 section 6.5)."""
        several = self.several.values() if self.several is not None else ()
        return tuple({care.address: None for care in several if care.address != first and not care.at_home})

    def settle(self, entry: BindingCacheEntry) -> None:
        """Send to the first of several care-of addresses from now on."""
        care = first_of(self.several or {})
        entry.care_of, self.away = (b"", None) if care is None else (care.address, care.away)
        entry.udp = self.away is not None and self.away.udp

    def tunnels(self, effect: Install) -> None:
        """Say by which tunnels packets come and go, beside the one to the first care-of address."""
        local, home = effect.local, effect.prefixes[0][0]
        if self.away is not None:
            self.away.shape(effect, home)
        if self.several is None:
            return
        effect.others = self.others(effect.peer)
        first = effect.peer, self.away
        further = {(care.address, care.away): None for care in self.several.values() if not care.at_home}
        further.pop(first, None)
        # Those of one form share a tunnel; IPv4 and IPv6 do not, and in UDP it is the port that counts.
        mixed = self.away is not None or any(away is not None for _, away in further)
        effect.spread = self.spread and bool(further)
        if effect.spread or mixed:
            effect.lanes = tuple(_lane(effect, local, home, *each) for each in further)


def _covered(address: bytes, away: Away | None, home: bytes) -> bytes:
    """RFC 4285 section 5.1; in an IPv4 network what the host says of itself counts (``rfc4285``)."""
    return address if away is None else covered_care_of(away.own, home)


def _lane(effect: Install, local: bytes, home: bytes, address: bytes, away: Away | None) -> Install:
    """The tunnel to a further care-of address; ``local`` is our IPv6 address."""
    lane = Install(effect.call_id, (), None, local, address)
    if away is not None:
        away.shape(lane, home)
    return lane


def host_of(entry: BindingCacheEntry | None) -> HostBinding | None:
    """The host's part of an entry; ``None``: it is a gateway's session, or there is no entry."""
    extras = None if entry is None else entry.extras
    return extras if isinstance(extras, HostBinding) else None


def first_of(several: dict[int, CareOf]) -> CareOf | None:
    """That with the lowest identifier; ``None``: the host is at home only."""
    numbers = [number for number, care in several.items() if not care.at_home]
    return several[min(numbers)] if numbers else None


def primary(several: dict[int, CareOf]) -> bytes:
    """The care-of address to send to; empty: the host is at home only."""
    care = first_of(several)
    return b"" if care is None else care.address
