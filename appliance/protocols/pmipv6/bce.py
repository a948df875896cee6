"""Binding cache entry and binding cache of the local mobility anchor (RFC 5213 section 5.1).

One entry per mobility session: each interface of a mobile node has its own. The cache finds
entries by call id, by MN-ID, by home network prefix and by IPv4 home address; which entry
a Proxy Binding Update means is decided by :meth:`BindingCache.look_up` (section 5.4.1).
"""

from collections.abc import Iterable, Iterator

from appliance.protocols.mobility.aaa import Grant
from appliance.protocols.pmipv6.extras import Extras

#: Handoff Indicator values (RFC 5213 section 8.4).
HI_INTERFACES, HI_GATEWAYS, HI_UNKNOWN, HI_REFRESH = 2, 3, 4, 5


class BindingCacheEntry:
    """One mobility session. Plain slots: there may be a million of these.

    Addresses are packed; ``lifetime`` counts units of 4 s; ``due`` is on the monotonic clock,
    ``created`` and ``updated`` on the wall clock, all in seconds.
    """

    __slots__ = (
        "answer",
        "bucket",
        "call_id",
        "care_of",
        "created",
        "deleting",
        "due",
        "ends",
        "extras",
        "fingerprint",
        "grant",
        "gre",
        "handoffs",
        "ipv4_address",
        "lifetime",
        "link_layer",
        "link_local",
        "local",
        "mn_id",
        "more_prefixes",
        "prefix",
        "prefix_length",
        "receive_key",
        "send_key",
        "sequence",
        "service",
        "technology",
        "timestamp",
        "udp",
        "updated",
    )

    def __init__(self, call_id: int, mn_id: bytes) -> None:
        self.call_id = call_id
        #: Key made of the MN-ID option, see :func:`identity`. The profile is looked up by it at each update,
        #: never kept here: it may change while the session lasts.
        self.mn_id = mn_id
        #: Identifier of the MN-LL-ID option; empty when there was none (zero in RFC 5213's words).
        self.link_layer = b""
        self.technology = 0
        #: Proxy-CoA and our end of the tunnel: 16 octets, or 4 over IPv4 transport.
        self.care_of = b""
        self.local = b""
        # One prefix is the rule; keeping it out of a tuple of tuples saves 130 octets a binding.
        self.prefix: bytes | None = None
        self.prefix_length = 0
        self.more_prefixes: tuple[tuple[bytes, int], ...] = ()
        self.ipv4_address: bytes | None = None
        self.link_local = b""
        #: Timestamp option of the last accepted update (48.16 bits); 0 when it had none.
        self.timestamp = 0
        self.sequence = 0
        self.lifetime = 0
        self.due = 0.0
        self.bucket = -1
        self.created = 0.0
        self.updated = 0.0
        self.handoffs = 0
        #: De-registered, kept for MinDelayBeforeBCEDelete.
        self.deleting = False
        self.gre = False
        self.udp = False
        #: Downlink key, chosen by the MAG, and uplink key, chosen by us (RFC 5845 section 3.1).
        self.send_key: int | None = None
        self.receive_key: int | None = None
        self.service = b""
        #: What AAA granted last; ``None``: nothing.
        self.grant: Grant | None = None
        #: Until when it is authorized, in monotonic seconds; ``None``: AAA, if any, is still to be asked.
        self.ends: float | None = None
        #: What features keep about it; ``None`` for a plain session.
        self.extras: Extras | None = None
        #: The last answer as sent, and what it answered, for retransmitted requests.
        self.answer = b""
        self.fingerprint = 0

    @property
    def prefixes(self) -> tuple[tuple[bytes, int], ...]:
        """The home network prefixes as (prefix, length) pairs."""
        if self.prefix is None:
            return ()
        return ((self.prefix, self.prefix_length), *self.more_prefixes)

    @prefixes.setter
    def prefixes(self, pairs: Iterable[tuple[bytes, int]]) -> None:
        pairs = tuple(pairs)
        if pairs:
            self.prefix, self.prefix_length = pairs[0]
        else:
            self.prefix, self.prefix_length = None, 0
        self.more_prefixes = pairs[1:]

    @property
    def state(self) -> str:
        """``active``, or ``deleting`` while MinDelayBeforeBCEDelete runs."""
        return "deleting" if self.deleting else "active"

    @property
    def of_host(self) -> bool:
        """Whether a host has registered it itself: no gateway will de-register it."""
        return self.extras is not None and self.extras.host is not None

    def holds(self, address: bytes) -> bool:
        """Whether ``address`` is the IPv4 home address or lies in one of the prefixes."""
        if len(address) == 4:
            return address == self.ipv4_address
        number = int.from_bytes(address, "big")
        return any(
            (number ^ int.from_bytes(prefix, "big")) >> (128 - length) == 0
            for prefix, length in self.prefixes
        )


def identity(subtype: int, identifier: bytes) -> bytes:
    """The key of an MN-ID (RFC 4283 section 3, RFC 8371): the NAI itself, else subtype and identifier.

    Old gateways pad the NAI with zero octets; they do not count.
    """
    if subtype == 1:
        return identifier.rstrip(b"\0") if identifier[-1:] == b"\0" else identifier
    return b"\0%c%b" % (subtype, identifier) if identifier else b""


class Found:
    """What a look-up says: an entry to update, a conflict, or a wait for its de-registration."""

    __slots__ = ("entry", "owner", "mismatch", "wait")

    def __init__(
        self,
        entry: BindingCacheEntry | None = None,
        owner: BindingCacheEntry | None = None,
        mismatch: bool = False,
        wait: BindingCacheEntry | None = None,
    ) -> None:
        #: The session that is meant; ``None``: a new one.
        self.entry = entry
        #: Another mobile's session that has a requested prefix or address.
        self.owner = owner
        #: The session has other prefixes than the request names.
        self.mismatch = mismatch
        #: HI 4 with exactly one session: wait for this one's de-registration.
        self.wait = wait


NEW = Found()


class BindingCache:
    """All sessions of one service, with their indexes."""

    __slots__ = ("calls", "mobiles", "prefixes", "addresses", "_lengths")

    def __init__(self) -> None:
        self.calls: dict[int, BindingCacheEntry] = {}
        # A list only for a mobile with several sessions: one list each would cost 80 octets a binding.
        self.mobiles: dict[bytes, BindingCacheEntry | list[BindingCacheEntry]] = {}
        self.prefixes: dict[bytes, BindingCacheEntry] = {}
        self.addresses: dict[bytes, BindingCacheEntry] = {}
        #: How many prefixes of each length there are, for finding the one round an address.
        self._lengths: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.calls)

    def of(self, mn_id: bytes) -> list[BindingCacheEntry]:
        """The sessions of a mobile, oldest first."""
        found = self.mobiles.get(mn_id)
        if found is None:
            return []
        return found if isinstance(found, list) else [found]

    def add(self, entry: BindingCacheEntry) -> None:
        """Put a new session in, with the prefixes and the address that it has."""
        self.calls[entry.call_id] = entry
        known = self.mobiles.get(entry.mn_id)
        if known is None:
            self.mobiles[entry.mn_id] = entry
        elif isinstance(known, list):
            known.append(entry)
        else:
            self.mobiles[entry.mn_id] = [known, entry]
        self.own_prefixes(entry, entry.prefixes)
        self.own_address(entry, entry.ipv4_address)

    def remove(self, entry: BindingCacheEntry) -> None:
        """Take a session out of all indexes."""
        del self.calls[entry.call_id]
        known = self.mobiles[entry.mn_id]
        if isinstance(known, list):
            known.remove(entry)
            if len(known) == 1:
                self.mobiles[entry.mn_id] = known[0]
        else:
            del self.mobiles[entry.mn_id]
        self.own_prefixes(entry, ())
        self.own_address(entry, None)

    def own_prefixes(self, entry: BindingCacheEntry, pairs: Iterable[tuple[bytes, int]]) -> None:
        """Make these the prefixes of ``entry``; a prefix has one owner."""
        for prefix, length in entry.prefixes:
            if self.prefixes.pop(prefix, None) is not None:
                self._lengths[length] -= 1
        entry.prefixes = tuple(pairs)
        for prefix, length in entry.prefixes:
            self.prefixes[prefix] = entry
            self._lengths[length] = self._lengths.get(length, 0) + 1

    def own_address(self, entry: BindingCacheEntry, address: bytes | None) -> None:
        """Make this the IPv4 home address of ``entry``; ``None``: it has none."""
        if entry.ipv4_address is not None:
            self.addresses.pop(entry.ipv4_address, None)
        entry.ipv4_address = address
        if address is not None:
            self.addresses[address] = entry

    def holder(self, address: bytes) -> BindingCacheEntry | None:
        """The session that has this IPv4 home address, this prefix, or a prefix round this address."""
        if len(address) == 4:
            return self.addresses.get(address)
        number = int.from_bytes(address, "big")
        for length, count in self._lengths.items():
            if count:
                shift = 128 - length
                entry = self.prefixes.get((number >> shift << shift).to_bytes(16, "big"))
                if entry is not None and entry.holds(address):
                    return entry
        return None

    def overlaps(self, prefix: bytes, length: int) -> bool:
        """Whether a session has this prefix, one round it or one inside it.

        Pools see to that for what they hand out; a prefix that a profile names may have become the
        profile's while a session had a part of it.
        """
        number = int.from_bytes(prefix, "big")
        for held, count in self._lengths.items():
            if not count:
                continue
            shift = 128 - held
            first, parts = number >> shift, 1 << max(0, held - length)
            if parts > len(self.prefixes):
                top = 128 - length
                if any(int.from_bytes(one, "big") >> top == number >> top for one in self.prefixes):
                    return True
                continue
            for part in range(first, first + parts):
                one = (part << shift).to_bytes(16, "big")
                entry = self.prefixes.get(one)
                if entry is not None and (one, held) in entry.prefixes:
                    return True
        return False

    def select(
        self, mn_id: bytes = b"", address: bytes = b"", call_id: int = 0
    ) -> Iterator[BindingCacheEntry]:
        """The sessions that fit all of what is given; nothing given: all of them."""
        candidates: list[BindingCacheEntry]
        if call_id:
            one = self.calls.get(call_id)
            candidates = [] if one is None else [one]
        elif address:
            one = self.holder(address)
            candidates = [] if one is None else [one]
        elif mn_id:
            candidates = list(self.of(mn_id))
        else:
            candidates = list(self.calls.values())
        for entry in candidates:
            if (not mn_id or entry.mn_id == mn_id) and (not address or entry.holds(address)):
                yield entry

    def look_up(
        self,
        mn_id: bytes,
        prefixes: list[tuple[bytes, int]],
        address: bytes | None,
        link_layer: bytes,
        technology: int,
        indicator: int,
        care_of: bytes,
    ) -> Found:
        """Which session a Proxy Binding Update means (RFC 5213 section 5.4.1); changes nothing.

        ``prefixes`` are the non-zero ones asked for, ``address`` the non-zero IPv4 address;
        ``link_layer`` is empty when the option is absent; ``technology`` and ``indicator``
        are 0 when absent.
        """
        if prefixes or address is not None:
            return self._by_home(mn_id, prefixes, address, link_layer, technology, indicator, care_of)
        known = self.mobiles.get(mn_id)
        if known is None:
            return NEW
        single = known if not isinstance(known, list) else None
        if link_layer:
            # Section 5.4.1.2: MN-ID, access technology and link-layer identifier are the key.
            for entry in (single,) if single is not None else self.of(mn_id):
                if entry.link_layer == link_layer and entry.technology == technology:
                    return Found(entry)
            if single is not None and indicator == HI_INTERFACES:
                return Found(single)
        elif single is not None and indicator in (HI_INTERFACES, HI_GATEWAYS):
            # Section 5.4.1.3: only the MN-ID is left as the key.
            return Found(single)
        if single is not None and indicator == HI_UNKNOWN and not single.of_host:
            return Found(single) if single.deleting else Found(wait=single)
        return NEW

    def _by_home(
        self,
        mn_id: bytes,
        prefixes: list[tuple[bytes, int]],
        address: bytes | None,
        link_layer: bytes,
        technology: int,
        indicator: int,
        care_of: bytes,
    ) -> Found:
        """Section 5.4.1.1, and RFC 5844 section 3.1.2.1 for an IPv4 home address in place of prefixes."""
        entry: BindingCacheEntry | None = None
        if prefixes:
            for prefix, _ in prefixes:
                holder = self.prefixes.get(prefix)
                if holder is not None and (entry is None or holder.mn_id != mn_id):
                    entry = holder
        elif address is not None:
            entry = self.addresses.get(address)
        if entry is None:
            return NEW
        if entry.mn_id != mn_id:
            return Found(owner=entry)
        if prefixes and (
            len(prefixes) != 1 + len(entry.more_prefixes) or set(prefixes) != set(entry.prefixes)
        ):
            return Found(mismatch=True)
        same_technology = entry.technology == technology
        if (
            (link_layer and entry.link_layer == link_layer and same_technology)
            or indicator == HI_INTERFACES
            or (not link_layer and not entry.link_layer and same_technology and indicator == HI_GATEWAYS)
            or (entry.care_of == care_of and same_technology)
        ):
            return Found(entry)
        return NEW
