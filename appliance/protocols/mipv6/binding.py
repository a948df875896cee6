"""What a binding cache entry has beside its plain fields when a host has registered itself.

The entry's ``prefix`` is the home address (128 bits), its ``care_of`` the care-of address that packets to the
host are sent to: the only one, or that of the lowest binding identifier (RFC 5648 leaves the choice open).
"""

from typing import NamedTuple

from appliance.protocols.pmipv6.bce import BindingCacheEntry

#: Bits of a home address.
WHOLE = 128


class CareOf(NamedTuple):
    """One of several care-of addresses (RFC 5648 section 4.1)."""

    address: bytes
    due: float
    """Monotonic seconds at which its lifetime is over."""
    at_home: bool = False
    """The host has it on its home link (H flag of the option): nothing is tunnelled to it."""


class HostBinding:
    """The host's part of an entry; kept in ``entry.extras.host``."""

    __slots__ = ("advertise_at", "asked_again", "key", "key_ends", "mesg_id", "several", "spi")

    def __init__(self) -> None:
        #: SPI of the MN-HA key in use; ``None``: the host is not authenticated by one.
        self.spi: int | None = None
        #: Key that AAA has given, until when (monotonic seconds); empty: the keys are configured ones.
        self.key = b""
        self.key_ends = 0.0
        #: Timestamp of the last accepted MESG-ID option; 0: none.
        self.mesg_id = 0
        #: By binding identifier; ``None``: a plain binding with one care-of address.
        self.several: dict[int, CareOf] | None = None
        #: AAA wants to be asked again, at the next update.
        self.asked_again = False
        #: Mobile prefix discovery: when the next prefix advertisement is due (monotonic seconds); 0: never.
        self.advertise_at = 0.0

    def others(self, first: bytes) -> tuple[bytes, ...]:
        """The further ends of the tunnel that packets may come from (RFC 5648 section 6.5)."""
        several = self.several.values() if self.several is not None else ()
        return tuple({care.address: None for care in several if care.address != first and not care.at_home})


def host_of(entry: BindingCacheEntry | None) -> HostBinding | None:
    """The host's part of an entry; ``None``: it is a gateway's session, or there is no entry."""
    if entry is None or entry.extras is None:
        return None
    host: HostBinding | None = entry.extras.host
    return host


def primary(several: dict[int, CareOf]) -> bytes:
    """The care-of address to send to; empty: the host is at home only."""
    away = [(number, care.address) for number, care in several.items() if not care.at_home]
    return min(away)[1] if away else b""
