"""An anchor with a small world round it: a clock that is set by hand, updates built from keywords."""

import random
from ipaddress import ip_address
from typing import Any

from appliance.counters import LMA, CounterSet
from appliance.protocols.mobility.codec import decode, encode, seal, to_timestamp, verify
from appliance.protocols.mobility.messages import BU_A, BU_P, BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    IPv4HomeAddressRequest,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from appliance.protocols.pmipv6.events import PacketReceived, Send
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.settings import AddressPool, LmaSettings, Peer, PrefixPool, Profile
from appliance.protocols.timers import Now


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


LMA_ADDRESS = packed("2001:db8:ffff::1")
LMA_IPV4 = packed("198.51.100.1")
MAG1 = packed("2001:db8:a::1")
MAG2 = packed("2001:db8:b::1")
BAD_MAG = packed("2001:db8:bad::1")
STRANGER = packed("2001:db8:dead::1")
MAG_IPV4 = packed("192.0.2.1")
WALL = 1_700_000_000.0
MN1 = b"mn1@example.org"
LL1, LL2 = bytes.fromhex("02005e100001"), bytes.fromhex("02005e100002")
POOL = PrefixPool(name="HOME", prefix=packed("2001:db8:1::"), prefix_length=48)
POOL4 = AddressPool(
    name="V4",
    network=packed("203.0.113.0"),
    prefix_length=24,
    first=packed("203.0.113.10"),
    last=packed("203.0.113.20"),
    default_router=packed("203.0.113.1"),
)
DUAL = Profile(name="default", ipv4=True)


def settings(**changes: Any) -> LmaSettings:
    """Settings of an anchor that knows two gateways and has a pool of each family."""
    fields: dict[str, Any] = {
        "name": "lma1",
        "address": LMA_ADDRESS,
        "ipv4_address": LMA_IPV4,
        "reg_lifetime": 3600,
        "peers": (
            Peer(address=MAG1, prefix_length=128),
            Peer(address=packed("2001:db8:b::"), prefix_length=48),
            Peer(address=BAD_MAG, prefix_length=128, allowed=False),
            Peer(address=MAG_IPV4, prefix_length=32),
        ),
        "prefix_pools": (POOL,),
        "address_pools": (POOL4,),
        "default_profile": DUAL,
    }
    fields.update(changes)
    return LmaSettings(**fields)


class World:
    """One anchor, its counters, its clock, and everything that it said."""

    def __init__(self, random_bits: Any = None, **changes: Any) -> None:
        self.counters = CounterSet(LMA)
        self.settings = settings(**changes)
        self.lma = LocalMobilityAnchor(
            self.settings, self.counters, random_bits or random.Random(7).getrandbits
        )
        self.mono = 1000.0
        self.effects: list[Any] = []
        self._before = self.counters.snapshot()

    @property
    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, WALL + self.mono - 1000)

    def packet(self, data: bytes, source: bytes = MAG1, port: int = 0) -> list[Any]:
        """Give the anchor a message; returns the effects."""
        destination = LMA_ADDRESS if len(source) == 16 else LMA_IPV4
        self.lma.receive(PacketReceived(data, source, destination, port), self.now)
        self.effects = self.lma.take()
        return self.effects

    def pass_time(self, seconds: float) -> list[Any]:
        """Let time go by; returns the effects of what was due."""
        self.mono += seconds
        self.effects = []
        for _ in range(100):
            deadline = self.lma.deadline
            if deadline is None or deadline > self.mono:
                break
            self.lma.tick(self.now)
            self.effects += self.lma.take()
        return self.effects

    def build(self, **what: Any) -> tuple[bytes, bytes, int]:
        """A sealed Proxy Binding Update, its source and its UDP port.

        Keywords: mn, prefixes (of (text, length)), ipv4 (list of text), hi, att, ll, link_local, time (wall
        seconds, None: no Timestamp), sequence, lifetime, flags, extra (options), source, port. ``None``
        leaves the option out.
        """
        source, port = what.get("source", MAG1), what.get("port", 0)
        options: list[Any] = []
        mn = what.get("mn", MN1)
        if mn is not None:
            options.append(MobileNodeIdentifier(1, mn))
        for prefix, length in what.get("prefixes", [("::", 0)]):
            options.append(HomeNetworkPrefix(length, packed(prefix)))
        if what.get("hi", 1) is not None:
            options.append(HandoffIndicator(what.get("hi", 1)))
        if what.get("att", 4) is not None:
            options.append(AccessTechnologyType(what.get("att", 4)))
        if what.get("ll", LL1) is not None:
            options.append(MobileNodeLinkLayerIdentifier(what.get("ll", LL1)))
        if what.get("link_local") is not None:
            options.append(LinkLocalAddress(packed(what["link_local"])))
        time = what.get("time", self.now.wall)
        if time is not None:
            options.append(Timestamp(to_timestamp(time)))
        for address in what.get("ipv4", []):
            options.append(IPv4HomeAddressRequest(0 if address == "0.0.0.0" else 24, packed(address)))
        options += what.get("extra", [])
        update = BindingUpdate(
            what.get("sequence", 1), what.get("flags", BU_A | BU_P), what.get("lifetime", 900), options
        )
        mh = encode(update)
        return (mh if port else seal(mh, source, LMA_ADDRESS)), source, port

    def send(self, **what: Any) -> BindingAcknowledgement | None:
        """Send an update a little later than the last one; returns the decoded answer or ``None``."""
        self.mono += what.pop("later", 0.01)
        self._before = self.counters.snapshot()
        self.packet(*self.build(**what))
        return self.answer()

    def answer(self) -> BindingAcknowledgement | None:
        """The one acknowledgement among the last effects; its checksum holds."""
        sent = [effect for effect in self.effects if isinstance(effect, Send)]
        if not sent:
            return None
        assert len(sent) == 1, sent
        assert sent[0].port or verify(sent[0].data, sent[0].source, sent[0].destination)
        message, faults = decode(sent[0].data)
        assert not faults and isinstance(message, BindingAcknowledgement)
        return message

    def moved(self) -> dict[str, int]:
        """Which counters the last ``send`` moved, without sums and totals that follow from others."""
        after = self.counters.snapshot()
        return {
            row.key: new - old
            for row, old, new in zip(LMA.rows, self._before, after, strict=True)
            if new != old and row.kind != "sum"
        }

    def of_kind(self, kind: type) -> list[Any]:
        """The last effects of one class."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def value(self, key: str) -> int:
        """One counter."""
        return self.counters.value(key)


def option(message: Any, cls: type) -> Any:
    """The first option of a class in a message, or ``None``."""
    return next((one for one in message.options if isinstance(one, cls)), None)


def prefixes_of(message: Any) -> list[tuple[str, int]]:
    """The home network prefixes of an acknowledgement, as text."""
    return [
        (str(ip_address(one.prefix)), one.prefix_length)
        for one in message.options
        if isinstance(one, HomeNetworkPrefix)
    ]
