"""An anchor that serves hosts, with a small world round it, and a host that writes its own updates."""

import hmac
import random
from struct import pack
from typing import Any

from appliance.counters import LMA
from appliance.protocols.mipv6.anchor import make_anchor
from appliance.protocols.mipv6.events import OptionsReceived, SendRouted, SendTunnelled, TunnelledReceived
from appliance.protocols.mobility.codec import decode, encode, seal, to_ntp, verify
from appliance.protocols.mobility.messages import BU_A, BU_H, BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    Authentication,
    BindingIdentifier,
    IPv4CareOfAddress,
    MessageIdentification,
    MobileNodeIdentifier,
)
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import Send
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import PrefixPool, Profile
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, LMA_IPV4, POOL, World, packed

HOSTS = PrefixPool(
    name="HOSTS", prefix=packed("2001:db8:100::"), prefix_length=64, delegated_length=128, static=True
)
ALICE, BOB = b"alice@example.org", b"bob@example.org"
KEY, AAA_KEY = bytes(range(16)), b"0123456789abcdef"
SPI = 0x100
#: Where the hosts behind a NAT are seen.
NAT = "192.0.2.200"
HOME, HOME2 = packed("2001:db8:100::5"), packed("2001:db8:100::6")
CARE1, CARE2, CARE3 = (packed(f"2001:db8:c::{number}") for number in (99, 98, 97))
PROFILE = Profile(name=ALICE.decode(), mn_id=ALICE, associations=(Association(spi=SPI, key=KEY),))
_UPDATES = "binding-updates-received/"


def mn_ha(mh: bytes, care_of: bytes, home: bytes, key: bytes) -> bytes:
    """The 12 octets of RFC 4285 section 5.1 for a message whose last option they are; hashlib only."""
    data = care_of + home + mh[:4] + b"\0\0" + mh[6:-12]
    return hmac.new(key, data, "sha1").digest()[:12]


class HostWorld(World):
    """A world in which hosts may register."""

    def __init__(self, random_bits: Any = None, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "mipv6": True,
            "mipv6_pools": ("HOSTS",),
            "prefix_pools": (POOL, HOSTS),
            "profiles": (PROFILE,),
            **changes,
        }
        super().__init__(random_bits, **fields)
        bits = random_bits or random.Random(7).getrandbits
        self.lma = make_anchor(self.settings, self.counters, bits)
        self.sequence = 0

    def update(self, **what: Any) -> bytes:
        """The octets of an update from Payload Proto on, sealed over the home address.

        Keywords: mn, home, care_of, alternate, lifetime, sequence, flags, bids, time (of the
        MESG-ID, None: without), key and spi (None: no MN-HA), aaa (octets of the MN-AAA authenticator, None:
        without), aaa_spi, extra (options), tail (options behind the authentication).
        """
        home, care_of = what.get("home", HOME), what.get("care_of", CARE1)
        named = what.get("alternate", care_of)
        self.sequence = what.get("sequence", self.sequence + 1)
        options: list[Any] = []
        if what.get("mn", ALICE) is not None:
            options.append(MobileNodeIdentifier(1, what.get("mn", ALICE)))
        if named != care_of:
            options.append(AlternateCareOfAddress(named))
        options += what.get("bids", [])
        options += what.get("extra", [])
        if what.get("time") is not None:
            options.append(MessageIdentification(to_ntp(what["time"])))
        key, spi = what.get("key", KEY), what.get("spi", SPI)
        if key is not None:
            options.append(Authentication(1, spi, bytes(12)))
        aaa = what.get("aaa")
        if aaa is not None:
            options.append(Authentication(2, what.get("aaa_spi", 3), bytes(20)))
        options += what.get("tail", [])
        flags, lifetime = what.get("flags", BU_A | BU_H), what.get("lifetime", 150)
        mh = encode(BindingUpdate(self.sequence, flags, lifetime, options))
        if key is not None and aaa is None:
            end = len(mh) - 12 if not what.get("tail") else mh.index(pack(">I", spi) + bytes(12)) + 4
            digest = mn_ha(mh[: end + 12], named, home, key)
            mh = mh[:end] + digest + mh[end + 12 :]
        elif key is not None:
            end = mh.index(pack(">BI", 1, spi) + bytes(12)) + 5
            mh = mh[:end] + mn_ha(mh[: end + 12], named, home, key) + mh[end + 12 :]
        if aaa is not None:
            mh = mh[:-20] + aaa
        return mh

    def host(self, **what: Any) -> BindingAcknowledgement | None:
        """Send a host's update by Home Address option a little later; returns the answer or ``None``."""
        mh = self.update(**what)
        self.mono += what.get("later", 0.01)
        return self.carry(mh, what.get("home", HOME), what.get("care_of", CARE1))

    def carry(self, mh: bytes, home: bytes, care_of: bytes) -> BindingAcknowledgement | None:
        """Bring a message with a zero checksum in, by Home Address option."""
        packet = build_ipv6(MobilityPacket(care_of, LMA_ADDRESS, mh, home_source=home))
        return self.octets(packet[40:], care_of)

    def octets(self, data: bytes, source: bytes) -> BindingAcknowledgement | None:
        """Bring in what follows the IPv6 header."""
        self._before = self.counters.snapshot()
        self.lma.receive(OptionsReceived(data, source, LMA_ADDRESS), self.now)
        self.effects = self.lma.take()
        return self.reply()

    def inside(
        self, own: str | None = "10.0.0.7", outer: str = NAT, port: int = 40001, **what: Any
    ) -> BindingAcknowledgement | None:
        """Send a host's update inside UDP a little later; returns the answer or ``None``.

        ``own``: what it says in its IPv4 Care-of Address option (None: without), ``outer`` and ``port``:
        where the packet comes from, ``by_option``: with a Home Address option; others as of :meth:`update`.
        """
        home, extra = what.get("home", HOME), list(what.pop("extra", []))
        by_option = what.pop("by_option", False)
        source = what.pop("source", CARE1 if by_option else home)
        covered = source if own is None else bytes(10) + b"\xff\xff" + packed(own)
        if own is not None and not what.pop("silent", False):
            extra.append(IPv4CareOfAddress(packed(own)))
        mh = self.update(**{"care_of": covered, "extra": extra, **what})
        self.mono += what.get("later", 0.01)
        packet = MobilityPacket(source, LMA_ADDRESS, mh, home_source=home if by_option else None)
        return self.tunnelled(build_ipv6(packet), outer, port)

    def tunnelled(self, packet: bytes, outer: str = NAT, port: int = 40001) -> BindingAcknowledgement | None:
        """Bring in an IPv6 packet inside UDP."""
        self._before = self.counters.snapshot()
        self.lma.receive(TunnelledReceived(packet, packed(outer), port, LMA_IPV4), self.now)
        self.effects = self.lma.take()
        return self.reply()

    def plain(self, mh: bytes, source: bytes) -> BindingAcknowledgement | None:
        """Bring in an update without a Home Address option."""
        self._before = self.counters.snapshot()
        self.packet(seal(mh, source, LMA_ADDRESS), source)
        return self.reply()

    def reply(self) -> BindingAcknowledgement | None:
        """The one acknowledgement among the last effects; its checksum holds for the home address."""
        kinds = Send | SendRouted | SendTunnelled
        sent = [each for each in self.effects if isinstance(each, kinds) and each.data[2] == 6]
        if not sent:
            return None
        (one,) = sent
        to = one.home if isinstance(one, SendRouted) else one.destination
        assert verify(one.data, one.source, to)
        message, faults = decode(one.data)
        assert not faults and isinstance(message, BindingAcknowledgement)
        return message

    def balanced(self) -> bool:
        """Whether what was received is accepted, denied, discarded or waiting."""
        value = self.counters.value
        classes = ("initial-binding-update-requests", "refresh-binding-update-requests", "dereg-requests")
        classes += ("handoff-requests",)
        return all(
            value(f"{each}/received") >= value(f"{each}/accepted") + value(f"{each}/denied")
            for each in classes
        ) and value(_UPDATES + "total-denied") == sum(
            value(row.key)
            for row in LMA.rows
            if row.key.startswith("binding-update-deny-reasons/")
            and row.key.count("/") == 1
            and row.label != "Total Denied"
        )


def bid(number: int, care_of: bytes = b"", home: int = 0) -> BindingIdentifier:
    """A Binding Identifier option."""
    return BindingIdentifier(number, 0, home, care_of)
