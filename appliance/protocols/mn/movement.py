"""Where a mobile node is: which addresses of its interfaces can be care-of addresses now. Pure.

::

    netlink ──Snapshot──▶ Movement.links(snapshot, settings, now) ──▶ links for the core

RFC 6275 section 11.5.1 leaves movement detection to hints of the host. What Linux tells is enough: an
interface loses its carrier, a router's advertisement makes an address, the test of the address ends, a
default route comes. Linux keeps addresses without a carrier and asks for no router when it is back. So an
address of before is believed only when a router has confirmed it, and routers have to be asked by us.
"""

from ipaddress import ip_network

from attrs import define, field

from appliance.protocols.mn.events import Link
from appliance.protocols.mn.settings import MnSettings

#: Of <linux/if_addr.h>: not to be used for new connections; its test has failed or is going on.
TEMPORARY, OPTIMISTIC, DAD_FAILED, DEPRECATED, TENTATIVE, PERMANENT = 0x01, 0x04, 0x08, 0x20, 0x40, 0x80
GLOBAL = 0
#: Seconds after the carrier came back in which routers are asked, and between two questions
#: (RFC 4861 section 10: RTR_SOLICITATION_INTERVAL is four, but three questions shall fit).
GRACE, INTERVAL = 3.5, 1.0


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
        #: Interfaces on which a router is to be asked for now.
        self.ask: list[str] = []
        self._asked: dict[str, float] = {}

    def links(self, snapshot: Snapshot, settings: MnSettings, now: float) -> tuple[Link, ...]:
        """All links that can be used, in the order of the configuration."""
        self.deadline = None
        self.ask = []
        found: list[Link] = []
        for interface in settings.interfaces:
            device = snapshot.devices.get(interface.name)
            if device is None or not device.up:
                continue
            self._seek(device, now)
            fresh = [each for each in device.addresses if _fresh(each, device)]
            at_home = any(_is_home(each.address, settings) for each in fresh)
            for size in (16, 4):
                address = self._choose(snapshot, device.name, fresh, size, settings)
                key = (device.name, size)
                if address is None:
                    self._chosen.pop(key, None)
                    continue
                self._chosen[key] = address
                found.append(Link(device.name, address, at_home and size == 16))
        return tuple(found)

    def _seek(self, device: Device, now: float) -> None:
        """Ask for a router as long as none has shown itself since the carrier came."""
        if now > device.since + GRACE or any(
            len(each.address) == 16 and each.scope == GLOBAL and each.confirmed >= device.since
            for each in device.addresses
        ):
            return
        if now >= self._asked.get(device.name, -INTERVAL) + INTERVAL:
            self._asked[device.name] = now
            self.ask.append(device.name)
        when = self._asked[device.name] + INTERVAL
        self.deadline = when if self.deadline is None else min(self.deadline, when)

    def _choose(
        self, snapshot: Snapshot, device: str, fresh: list[Address], size: int, settings: MnSettings
    ) -> bytes | None:
        fit = [each for each in fresh if len(each.address) == size and _fits(each, settings)]
        fit = [each for each in fit if _reaches(snapshot, device, each, settings)]
        if not fit:
            return None
        before = self._chosen.get((device, size))
        # The home prefix first: an address of it on a link says that the node is at home.
        return min(fit, key=lambda each: _rank(each, before, settings)).address


def _rank(address: Address, before: bytes | None, settings: MnSettings) -> tuple[bool | float, ...]:
    return (
        not _is_home(address.address, settings),
        bool(address.flags & DEPRECATED),
        address.address != before,
        bool(address.flags & TEMPORARY),
        -address.confirmed,
    )


def _fresh(address: Address, device: Device) -> bool:
    """Whether it is of the network that the device is in now; of IPv4 the DHCP client takes care."""
    if len(address.address) == 4 or address.flags & PERMANENT:
        return True
    return address.confirmed >= device.since


def _fits(address: Address, settings: MnSettings) -> bool:
    """Whether it can be used at all (RFC 6275 section 11.5.3: not before its test is over)."""
    if address.scope != GLOBAL or address.flags & DAD_FAILED:
        return False
    # RFC 4429: an optimistic address may be used while it is tested.
    if address.flags & (TENTATIVE | OPTIMISTIC) == TENTATIVE:
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
