"""Where a mobile node is: which addresses of its interfaces can be care-of addresses now. Pure.

::

    netlink ──Snapshot──▶ Movement.links(snapshot, settings, now) ──▶ links for the core

RFC 6275 section 11.5.1 leaves movement detection to hints of the host. What Linux tells is enough: an
interface loses its carrier, a router's advertisement makes an address, the test of the address ends, a
default route comes. An address that was made before the carrier came back is believed only when a router
has confirmed it, or when nothing better has come for a while.
"""

from ipaddress import ip_network

from attrs import define, field

from appliance.protocols.mn.events import Link
from appliance.protocols.mn.settings import MnSettings

#: Of <linux/if_addr.h>: not to be used for new connections; its test has failed or is going on.
TEMPORARY, DAD_FAILED, DEPRECATED, TENTATIVE, PERMANENT = 0x01, 0x08, 0x20, 0x40, 0x80
GLOBAL = 0
#: Seconds after the carrier came back until an address of before counts although no router confirmed it.
GRACE = 3.0


@define(slots=True, frozen=True)
class Address:
    """One address of a device."""

    address: bytes
    length: int
    flags: int = PERMANENT
    scope: int = GLOBAL
    confirmed: float = 0.0
    """When it was made or a router has last confirmed it, monotonic seconds."""


@define(slots=True)
class Device:
    """One device of the host."""

    name: str
    up: bool = False
    """It can carry packets."""
    since: float = 0.0
    """Since when, monotonic seconds."""
    addresses: list[Address] = field(factory=list)


@define(slots=True)
class Snapshot:
    """What the kernel says at one moment."""

    devices: dict[str, Device] = field(factory=dict)
    routes: set[tuple[str, bytes, int]] = field(factory=set)
    """Device, network and its length of the unicast routes that lead anywhere."""


class Movement:
    """Chooses, and keeps to what it chose as long as it is good."""

    def __init__(self) -> None:
        self._chosen: dict[tuple[str, int], bytes] = {}
        #: When to look again (monotonic seconds) although nothing has changed; ``None``: not.
        self.deadline: float | None = None

    def links(self, snapshot: Snapshot, settings: MnSettings, now: float) -> tuple[Link, ...]:
        """All links that can be used, in the order of the configuration."""
        self.deadline = None
        found: list[Link] = []
        for interface in settings.interfaces:
            device = snapshot.devices.get(interface.name)
            if device is None or not device.up:
                continue
            at_home = any(_is_home(each.address, settings) for each in device.addresses)
            for size in (16, 4):
                address = self._choose(snapshot, device, size, settings, now)
                key = (device.name, size)
                if address is None:
                    self._chosen.pop(key, None)
                    continue
                self._chosen[key] = address
                found.append(Link(device.name, address, at_home and size == 16))
        return tuple(found)

    def _choose(
        self, snapshot: Snapshot, device: Device, size: int, settings: MnSettings, now: float
    ) -> bytes | None:
        fit = [each for each in device.addresses if len(each.address) == size and _fits(each, settings)]
        fit = [each for each in fit if _reaches(snapshot, device.name, each, settings)]
        fresh = [each for each in fit if each.flags & PERMANENT or each.confirmed >= device.since]
        if not fresh and fit:
            if now < device.since + GRACE:
                self._again(device.since + GRACE)
                return None
            fresh = fit
        if not fresh:
            return None
        before = self._chosen.get((device.name, size))
        # The home prefix first: an address of it on a link says that the node is at home.
        return min(fresh, key=lambda each: _rank(each, before, settings)).address

    def _again(self, when: float) -> None:
        self.deadline = when if self.deadline is None else min(self.deadline, when)


def _rank(address: Address, before: bytes | None, settings: MnSettings) -> tuple[bool, bool, bool, bool, float]:
    return (
        not _is_home(address.address, settings),
        bool(address.flags & DEPRECATED),
        address.address != before,
        bool(address.flags & TEMPORARY),
        -address.confirmed,
    )


def _fits(address: Address, settings: MnSettings) -> bool:
    """Whether it can be used at all (RFC 6275 section 11.5.3: not before its test is over)."""
    if address.scope != GLOBAL or address.flags & (TENTATIVE | DAD_FAILED):
        return False
    return address.address not in (settings.home_address, settings.ipv4_home_address)


def _is_home(address: bytes, settings: MnSettings) -> bool:
    prefix = settings.home_prefix or settings.home_address
    if len(address) != 16 or len(prefix) != 16 or address == settings.home_address:
        return False
    shift = 128 - settings.home_prefix_length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift


def _reaches(snapshot: Snapshot, device: str, address: Address, settings: MnSettings) -> bool:
    """Whether a route of the device leads to the home agent; on the home link none is needed."""
    if _is_home(address.address, settings):
        return True
    agent = settings.home_agent if len(address.address) == 16 else settings.home_agent_ipv4
    for name, network, length in snapshot.routes:
        if name != device or len(network) != len(address.address):
            continue
        if length == 0 or (agent and _inside(agent, network, length)):
            return True
    return False


def _inside(address: bytes, network: bytes, length: int) -> bool:
    return ip_network((address, length), strict=False).network_address.packed == network
