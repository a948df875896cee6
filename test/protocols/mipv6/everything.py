"""A home agent with all that it can do for hosts, and hosts that do anything at any time."""

import random
from struct import pack
from typing import Any

from attrs import evolve

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcpv6 import Association as Delegation
from appliance.protocols.access.dhcpv6 import Leased, Message, Relayed
from appliance.protocols.bits import internet_checksum, pseudo_header
from appliance.protocols.mipv6.events import (
    AddressTested,
    AskRefresh,
    DatagramReceived,
    HomeLinkDown,
    HomeLinkUp,
    SendRouted,
    SendTunnelled,
    StopTest,
    SwitchHosts,
    TestAddress,
)
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.mobility.codec import decode, encode
from appliance.protocols.mobility.messages import (
    BU_A,
    BU_F,
    BU_H,
    BU_L,
    BU_O,
    BU_R,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
)
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import ClearSessions, Install, Reach, Reconfigure, Remove, Unreach
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.option_settings import DelegationPool
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import KEY, SPI, HostWorld, bid
from test.protocols.mipv6.test_dsmip import wish
from test.protocols.mipv6.test_nemo import mnp
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, POOL4, packed

NAMES = tuple(b"mn%d@example.org" % number for number in range(4))
HOMES = tuple(packed(f"2001:db8:100::{number}") for number in (5, 6, 7, 8))
PLACES = tuple(packed(f"2001:db8:c::{number}") for number in (1, 2, 3, 4))
OWN = tuple(f"10.0.0.{number}" for number in (1, 2, 3))
NATS = ("192.0.2.200", "192.0.2.201")
PORTS = (40_001, 40_002, 4191)
NETS = tuple(packed(f"2001:db8:{number}::") for number in ("a0", "a1", "a2"))
CLIENT = bytes.fromhex("00030001020000000001")
LINK = HomeLinkUp("home0", bytes.fromhex("02005e000001"), packed("fe80::1"))
NETWORKS = DelegationPool(
    name="NETS", prefix=packed("2001:db8:e000::"), prefix_length=54, delegated_length=56
)
NETWORKS4 = DelegationPool(name="NETS4", prefix=packed("172.16.0.0"), prefix_length=22, delegated_length=24)
LIFE = 800


def profiles(rich: bool = True) -> tuple[Profile, ...]:
    """The subscribers; poor ones may do next to nothing."""
    keys = (Association(spi=SPI, key=KEY),)
    return tuple(
        Profile(
            name=name.decode(),
            mn_id=name,
            associations=keys,
            ipv4=rich,
            mobile_router=rich,
            delegation=rich,
            network_prefixes=((NETS[number], 48),) if rich and number < len(NETS) else (),
        )
        for number, name in enumerate(NAMES)
    )


BASE: dict[str, Any] = {
    "profiles": profiles(),
    "mipv6_mobile_routers": True,
    "mipv6_prefix_delegation": True,
    "mipv6_delegation_lifetime": LIFE,
    "delegation_pools": (NETWORKS, NETWORKS4),
    "mipv6_assign": True,
    "mipv6_prefix_discovery": "unsolicited",
    "mipv6_refresh_request": 60,
    "mipv6_home_and_foreign": True,
    "revocation": True,
}
#: What changes while it runs; the first value is that of the beginning.
CHANGES: tuple[dict[str, Any], ...] = (
    {"mipv6_dual_stack": False},
    {"mipv6_mobile_routers": False},
    {"mipv6_prefix_delegation": False},
    {"mipv6": False},
    {"mipv6_multiple": "single"},
    {"mipv6_multiple": "prohibited"},
    {"revocation": False},
    {"revocation_pending": "accept"},
    {"profiles": profiles(rich=False)},
    {"profiles": profiles()[:2]},
    {"delegation_pools": ()},
    {"address_pools": ()},
    {"address_pools": (evolve(POOL4, first=packed("203.0.113.15")),)},
    {"mipv6_home_link": "home0"},
    {"mipv6_home_link": ""},
    {"shutdown": True},
    {"max_subscribers": 2},
    {"simul_bindings": 1},
    {"newcall_policy": "reject"},
    {"mipv6_assign": False},
    {"mipv6_flow_policy": "round-robin"},
    {"mipv6_udp": "always"},
    {"reg_lifetime": 100},
    {"mipv6_prefix_preferred": 5_000},
)


class Everything(HostWorld):
    """What is in force is kept beside: installed tunnels, routes, tests."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        link = {"mipv6_home_link": "home0"} if self.chance.random() < 0.4 else {}
        super().__init__(self.chance.getrandbits, **BASE, **link)
        self.first = self.settings
        self.installed: dict[int, Install] = {}
        self.routes: set[tuple[bytes, int]] = set()
        self.tests: set[int] = set()
        #: Revocations that hosts have heard of: home address, where it was sent, message.
        self.heard: list[tuple[bytes, Any, BindingRevocationIndication]] = []
        self.lma.receive(LINK, self.now)
        self.note()

    def note(self) -> None:
        """Take what the core wants done."""
        for each in self.effects + self.lma.take():
            if isinstance(each, Install):
                self.installed[each.call_id] = each
            elif isinstance(each, Remove):
                del self.installed[each.call_id]
            elif isinstance(each, Reach):
                self.routes.add((each.prefix, each.length))
            elif isinstance(each, Unreach):
                self.routes.remove((each.prefix, each.length))
            elif isinstance(each, TestAddress):
                self.tests.add(each.token)
            elif isinstance(each, StopTest):
                self.tests.remove(each.token)
            elif isinstance(each, SendRouted | SendTunnelled) and each.protocol == 135:
                message, faults = decode(each.data)
                assert message is not None and not faults
                if isinstance(message, BindingRevocationIndication):
                    home = each.home if isinstance(each, SendRouted) else each.destination
                    self.heard.append((home, each, message))
        self.effects = []

    def give(self, event: Any) -> None:
        """Something happens."""
        self.lma.receive(event, self.now)
        self.note()

    def idle(self, seconds: float) -> None:
        """Let time go by, tick by tick."""
        end = self.mono + seconds
        for _ in range(5_000):
            deadline = self.lma.deadline
            if deadline is None or deadline > end:
                self.mono = end
                return
            self.mono = max(self.mono, deadline)
            self.lma.tick(self.now)
            self.note()
        raise AssertionError("it does not come to rest")

    def change(self, **changes: Any) -> None:
        """Other settings."""
        self.settings = evolve(self.settings, **changes)
        said = list(self.lma.affected(self.settings))
        assert len(said) <= self.lma.session_count
        self.give(Reconfigure(self.settings))

    def step(self) -> None:
        """One thing of many."""
        chance = self.chance
        actions = (
            (self._update, 12), (self._inside, 8), (self._at_home, 2), (self._delegation, 6),
            (self._order, 3), (self._answer, 12), (self._wait, 8), (self._reconfigure, 2), (self._link, 1),
            (self._solicit, 1), (self._duplicate, 1),
        )  # fmt: skip
        (action,) = chance.choices([each for each, _ in actions], [weight for _, weight in actions])
        action()

    def _what(self) -> dict[str, Any]:
        """An update of one of them."""
        chance = self.chance
        who = chance.randrange(len(NAMES))
        flags = BU_A | BU_H
        flags |= BU_R * ((who < 2) != (chance.random() < 0.1))
        for flag, odds in ((BU_L, 0.4), (BU_O, 0.3), (BU_F, 0.1)):
            flags |= flag * (chance.random() < odds)
        extra: list[Any] = []
        if chance.random() < 0.5:
            extra.append(wish())
        if chance.random() < 0.2:
            extra.append(wish("0.0.0.0", 24, 1))
        if flags & BU_R and chance.random() < 0.4:
            extra.append(mnp(NETS[who] if who < 2 and chance.random() < 0.9 else chance.choice(NETS)))
        home = HOMES[who if chance.random() < 0.9 else chance.randrange(len(HOMES))]
        return {
            "mn": NAMES[who],
            "home": home,
            "flags": flags,
            "extra": extra,
            "lifetime": chance.choice((0, 5, 30, 150, 150, 150, 150, 150)),
        }

    def _update(self) -> None:
        chance, what = self.chance, self._what()
        if chance.random() < 0.1:
            what["home"] = bytes(16)
        if chance.random() < 0.4:
            numbers = chance.sample((1, 2, 3), chance.randint(1, 2))
            what["bids"] = [
                bid(number, chance.choice((*PLACES, b"", packed(OWN[0]))), int(chance.random() < 0.1))
                for number in numbers
            ]
        self.host(care_of=chance.choice(PLACES), **what)
        self.note()

    def _inside(self) -> None:
        chance, what = self.chance, self._what()
        own = chance.choice((*OWN, *NATS))
        if chance.random() < 0.4:
            what |= {"bids": [bid(chance.randint(1, 3), packed(own))], "silent": True}
        self.inside(own, chance.choice(NATS), chance.choice(PORTS), **what)
        self.note()

    def _at_home(self) -> None:
        what = self._what() | {"lifetime": 0}
        mh = self.update(care_of=what["home"], **what)
        self.plain(mh, what["home"])
        self.note()

    def _delegation(self) -> None:
        """DHCPv6 of a mobile router, by Home Address option or through its tunnel."""
        chance = self.chance
        home = chance.choice(HOMES)
        kind = chance.choice((dhcp.SOLICIT, dhcp.REQUEST, dhcp.REQUEST, dhcp.RENEW, dhcp.RELEASE))
        wanted = packed(f"2001:db8:e000:{chance.randrange(4)}00::"), 56
        asked = [Leased(*wanted)] if chance.random() < 0.7 else []
        options = [
            (dhcp.CLIENT_ID, CLIENT),
            dhcp.pack_association(Delegation(chance.randint(1, 2), prefixes=asked)),
        ]
        if kind == dhcp.SOLICIT:
            options.append((dhcp.RAPID_COMMIT, b""))
        else:
            options.append((dhcp.SERVER_ID, bytes.fromhex("0003001b") + LMA_ADDRESS[8:]))
        inner = dhcp.encode(Message(kind, b"\1\2\3", options))
        data = dhcp.encode(Relayed(dhcp.RELAY_FORWARD, 1, home, home, [(dhcp.RELAY_MESSAGE, inner)]))
        if chance.random() < 0.5:
            self.give(DatagramReceived(data, home, LMA_ADDRESS, dhcp.SERVER_PORT))
            return
        whole = pack(">HHHH", 547, 547, 8 + len(data), 0) + data
        checksum = internet_checksum(pseudo_header(home, LMA_ADDRESS, len(whole), 17) + whole)
        whole = whole[:6] + pack(">H", checksum) + whole[8:]
        entry = self.lma._cache.prefixes.get(home)
        source = entry.care_of if entry is not None and len(entry.care_of) == 16 else chance.choice(PLACES)
        self.octets(bytes((17, 2, 1, 2, 0, 0, 201, 16)) + home + whole, source)
        self.note()

    def _order(self) -> None:
        chance = self.chance
        name = chance.choice((*NAMES, b""))
        self.give(
            chance.choice(
                (
                    ClearSessions(mn_id=name),
                    ClearSessions(mn_id=name, ipv4_only=True),
                    ClearSessions(mn_id=b"@example.org", trigger=129),
                    SwitchHosts(mn_id=name, agents=(PLACES[0],), grace=chance.choice((0, 30))),
                    AskRefresh(mn_id=name),
                )
            )
        )

    def _answer(self) -> None:
        """A revocation that was heard of is acknowledged, from where it was heard or from somewhere else."""
        if not self.heard:
            return
        chance = self.chance
        home, sent, message = self.heard.pop(chance.randrange(len(self.heard)))
        status = chance.choice((0, 0, 0, 1, 128, 130))
        mh = encode(BindingRevocationAcknowledgement(status, message.sequence, message.flags, []))
        if isinstance(sent, SendRouted):
            source = sent.destination if chance.random() < 0.8 else chance.choice(PLACES)
            self.carry(mh, home, source)
        else:
            self.tunnelled(build_ipv6(MobilityPacket(home, LMA_ADDRESS, mh)), NATS[0], sent.port)
        self.note()

    def _wait(self) -> None:
        self.idle(self.chance.choice((0.1, 0.1, 1, 1, 1, 3, 10, 60, 300, 900)))

    def _reconfigure(self) -> None:
        chance = self.chance
        if chance.random() < 0.5:
            self.settings = self.first
        self.change(**(chance.choice(CHANGES) if chance.random() < 0.7 else {}))

    def _link(self) -> None:
        self.give(self.chance.choice((HomeLinkDown("home0"), LINK)))

    def _solicit(self) -> None:
        """A Mobile Prefix Solicitation."""
        home = self.chance.choice(HOMES)
        message = icmp.solicitation(self.chance.getrandbits(16), home, LMA_ADDRESS)
        self.octets(bytes((58, 2, 1, 2, 0, 0, 201, 16)) + home + message, self.chance.choice(PLACES))
        self.note()

    def _duplicate(self) -> None:
        """Somebody on the home link has the address that is tested."""
        if self.tests:
            self.give(AddressTested(self.chance.choice(sorted(self.tests)), "taken"))
