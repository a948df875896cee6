"""An anchor that has all features on, and random gateways, hosts, servers and operators round it."""

import random
from typing import Any

from attrs import evolve

from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.mipv6.events import AddressTested, SendRouted
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal, to_timestamp
from appliance.protocols.mobility.messages import (
    BA_P,
    BR_G,
    BR_P,
    BR_V,
    BU_A,
    BU_B,
    BU_F,
    BU_H,
    BU_P,
    BU_T,
    HB_R,
    HB_U,
    BindingAcknowledgement,
    BindingError,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    Heartbeat,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from appliance.protocols.pmipv6.events import (
    Began,
    Capacity,
    ClearSessions,
    Concluded,
    Entrust,
    Excess,
    Install,
    NotifyUpdate,
    PacketReceived,
    Reconfigure,
    Remove,
    Send,
    Shed,
    Strain,
)
from appliance.protocols.pmipv6.option_settings import DelegationPool, RedirectTarget
from appliance.protocols.pmipv6.settings import GlobalPeer, Profile
from test.protocols.mipv6.fakes import ALICE, CARE1, CARE2, HOME, HOME2, PROFILE, HostWorld
from test.protocols.pmipv6.aaa_fakes import SIDE, group
from test.protocols.pmipv6.lma_fakes import (
    LMA_ADDRESS,
    LMA_IPV4,
    MAG1,
    MAG2,
    MAG_IPV4,
    POOL,
    POOL4,
    STRANGER,
    packed,
)

D6 = DelegationPool(name="D6", prefix=packed("2001:db8:d::"), prefix_length=54, delegated_length=56)
FIXED = (packed("2001:db8:e::"), 56)
OTHER_ANCHOR = packed("2001:db8:ffff::2")
MOBILES = (b"a@x", b"b@x", b"c@y", b"d@y")
DEFAULT = Profile(
    name="d", ipv4=True, delegation=True, any_prefix=True, bandwidth_up=5000, bandwidth_down=9000
)
PROFILES = (
    evolve(PROFILE, bandwidth_up=700),
    Profile(name="b", mn_id=b"b@x", delegation=True, delegated=(FIXED,)),
)
#: What an operator may change, and what it is at first.
CHANGES: dict[str, tuple[Any, ...]] = {
    "revocation": (True, False),
    "revocation_pending": ("discard", "accept"),
    "accept_bulk": (True, False),
    "heartbeat_interval": (30, 0),
    "transient_binding": (True, False),
    "transient_activation_delay": (0, 700),
    "min_delay_before_bce_delete": (10_000, 0),
    "max_delay_before_new_bce_assign": (1_500, 0),
    "prefix_pools": ((POOL,), ()),
    "address_pools": ((POOL4,), ()),
    "delegation_pools": ((D6,), ()),
    "redirect_threshold": (4, 0),
    "default_profile": (DEFAULT, evolve(DEFAULT, bandwidth_up=300, qos_requests=False)),
    "mipv6": (True, False),
    "profiles": (PROFILES, (evolve(PROFILE, bandwidth_up=800),)),
    "mipv6_home_link": ("", "eth0"),
    "shutdown": (False, True),
    "update_notification_on_change": (True, False),
    "gre": ("optional", "disabled"),
}


class Everything(HostWorld):
    """An anchor with all that it has, and the gateways, hosts, servers and operators round it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.asks, self.accounts = chance.choice([(False, False), (False, True), (True, True)])
        fields: dict[str, Any] = {
            "revocation": True,
            "heartbeat_interval": 30,
            "heartbeat_path_failure": "end-sessions",
            "global_peers": (GlobalPeer(address=MAG1, prefix_length=128),),
            "prefix_delegation": True,
            "delegation_pools": (D6,),
            "redirect_accept": True,
            "redirect_targets": (RedirectTarget(address=OTHER_ANCHOR),) if chance.random() < 0.3 else (),
            "redirect_threshold": 4,
            "forced_udp_encapsulation": True,
            "load_information": True,
            "max_subscribers": 8,
            "simul_bindings": 3,
            "mag_reregistration_control": True,
            "update_notification_on_change": True,
            "user_plane_address": packed("2001:db8:ffff::99"),
            "profiles": PROFILES,
            "default_profile": DEFAULT,
        }
        if self.accounts:
            fields["aaa"] = group() if self.asks else GroupSettings(name="g", accounting=SIDE)
            fields["aaa_group"] = "g"
        super().__init__(**fields)
        self.installed: dict[int, Install] = {}
        self.alive: set[int] = set()
        self.over: set[int] = set()
        self.asked: dict[int, int] = {}
        self.questions: list[int] = []
        self.tests: list[int] = []
        self.heard: list[Any] = []
        self.packets: list[tuple[bytes, bytes, int]] = []
        self.departing = False

    # ---- what comes in

    def give(self, event: Any) -> None:
        """Give the anchor an event, and follow what comes of it."""
        self.lma.receive(event, self.now)
        self.follow(self.lma.take())

    def raw(self, data: bytes, source: bytes, port: int = 0) -> None:
        """Give it a message."""
        to = LMA_ADDRESS if len(source) == 16 else LMA_IPV4
        self.packets.append((data, source, port))
        self.give(PacketReceived(data, source, to, port))

    def say(self, message: Any, source: bytes, port: int = 0) -> None:
        """Give it a message that is still to be encoded; now and then one octet is another."""
        mh = encode(message)
        if self.chance.random() < 0.1:
            place = self.chance.randrange(6, len(mh))
            mh = mh[:place] + bytes((self.chance.randrange(256),)) + mh[place + 1 :]
        self.raw(mh if port else seal(mh, source, LMA_ADDRESS), source, port)

    def idle(self, seconds: float) -> None:
        """Let time go by in small steps."""
        end = self.mono + seconds
        for _ in range(2000):
            deadline = self.lma.deadline
            if deadline is None or deadline > end:
                break
            self.mono = max(self.mono, deadline)
            self.lma.tick(self.now)
            self.follow(self.lma.take())
        self.mono = end

    def follow(self, effects: list[Any]) -> None:
        """Do what engine, AAA client and socket do."""
        for effect in effects:
            if isinstance(effect, Install):
                self.installed[effect.call_id] = effect
            elif isinstance(effect, Remove):
                del self.installed[effect.call_id]
            elif isinstance(effect, aaa.Account):
                self._account(effect)
            elif isinstance(effect, aaa.Authorize):
                self.asked[effect.token] = effect.subject.call_id
                self.questions.append(effect.token)
            elif isinstance(effect, aaa.Abandon):
                assert effect.token in self.asked
                assert not effect.call_id or effect.call_id not in self.alive | self.over
            elif isinstance(effect, Send | SendRouted):
                if isinstance(effect, Send):
                    self.heard.append(effect)
                message, faults = decode(effect.data)
                assert message is not None and not faults, faults
            elif hasattr(effect, "addresses"):
                self.tests.append(effect.token)
            else:
                assert not isinstance(effect, Entrust)

    def _account(self, effect: Any) -> None:
        call_id, what = effect.subject.call_id, effect.what
        assert self.accounts
        if what == aaa.DENIED:
            assert call_id not in self.alive | self.over
        elif what == aaa.START:
            assert call_id not in self.alive | self.over
            known = call_id in self.asked.values() or effect.subject.home_address
            assert known or not self.asks, "a session that AAA does not know"
            self.alive.add(call_id)
        else:
            assert call_id in self.alive, (what, call_id in self.over)
            if what == aaa.STOP:
                self.alive.remove(call_id)
                self.over.add(call_id)

    # ---- what may happen

    def step(self) -> None:
        """One thing of many."""
        chance = self.chance
        acts = (
            (30, self.register), (12, self.respond), (6, self.wait_a_little), (5, self.aaa_answers),
            (4, self.host), (4, self.revoked), (2, self.beat), (2, self.grouped), (2, self.clear),
            (2, self.change), (1, self.odd), (1, self.again),
        )  # fmt: skip
        weights = [weight for weight, _ in acts]
        chance.choices([act for _, act in acts], weights)[0]()
        self.mono += chance.choice([0.0, 0.01, 0.2])

    def gateway(self) -> tuple[bytes, int]:
        """Some gateway; two of them are behind one NAT."""
        return self.chance.choice(
            [(MAG1, 0), (MAG1, 0), (MAG2, 0), (MAG2, 0), (MAG_IPV4, 5436), (MAG_IPV4, 40000), (STRANGER, 0)]
        )

    def register(self) -> None:
        """An update of a gateway, plausible or not."""
        chance = self.chance
        source, port = self.gateway()
        mn = chance.choice(MOBILES)
        held = [entry for entry in self.lma.sessions(mn_id=mn) if entry.prefixes]
        prefixes: list[tuple[str, int]] = [("::", 0)]
        if held and chance.random() < 0.3:
            prefixes = [
                (":".join(p.hex()[i : i + 4] for i in range(0, 32, 4)), n) for p, n in held[0].prefixes
            ]
        elif chance.random() < 0.1:
            prefixes = chance.choice([[], [("2001:db8:1:7::", 64)], [("2001:db8:100::5", 128)]])
        extra: list[Any] = []
        for option, share in (
            (opt.TransientBinding(1, chance.choice([0, 5, 20, 255])), 0.25),
            (opt.GreKey(chance.choice([None, 1, 2])), 0.2),
            (opt.DelegatedMobileNetworkPrefix(0, bytes(16)), 0.2),
            (opt.DelegatedMobileNetworkPrefix(56, chance.choice([D6.prefix, FIXED[0]])), 0.1),
            (opt.MobileNodeGroupIdentifier(1, chance.choice([0, 1, 5, 6])), 0.3),
            (opt.RedirectCapability(), 0.2),
            (opt.ServiceSelection(b"x"), 0.05),
            (opt.LmaUserPlaneAddress(b""), 0.1),
            (opt.AccessNetworkIdentifier([(1, b"x")]), 0.05),
            (self.quality(), 0.2),
            (self.quality(), 0.2),
        ):
            if chance.random() < share:
                extra.append(option)
        if port and chance.random() < 0.3:
            extra.append(opt.IPv4CareOfAddress(packed("10.0.0.1")))
        flags = BU_A | BU_P
        if any(isinstance(each, opt.MobileNodeGroupIdentifier) for each in extra):
            flags |= chance.choice([BU_B, BU_B, 0])
        flags |= chance.choice([0, 0, BU_F, BU_T])
        if chance.random() < 0.03:
            more = [(1, bytes(chance.choice([100, 200])))]
            extra += [opt.QualityOfService(n, 0, 2, more) for n in range(chance.randrange(2, 8))]
        data, source, port = self.build(
            mn=mn, source=source, port=port, prefixes=prefixes, extra=extra, flags=flags,
            ipv4=chance.choice([[], [], ["0.0.0.0"], ["203.0.113.12"]]),
            hi=chance.choice([1, 2, 3, 3, 3, 4, 4, 5]), att=chance.choice([4, 4, 4, 5]),
            ll=chance.choice([None, b"\2\0\0\0\0\1"]), lifetime=chance.choice([0, 1, 30, 900, 900, 900]),
            sequence=int(self.mono * 100) & 0xFFFF,
        )  # fmt: skip
        if chance.random() < 0.05:
            place = chance.randrange(6, len(data))
            data = data[:place] + bytes((chance.randrange(256),)) + data[place + 1 :]
            data = data if port else seal(data[:4] + b"\0\0" + data[6:], source, LMA_ADDRESS)
        if len(source) == 16 and chance.random() < 0.05:
            packet = PacketReceived(data, source, LMA_ADDRESS)
            self.give(Entrust(self.settings.name, "other", chance.randrange(99), packet))
        elif chance.random() < 0.03:
            self.give(Excess(PacketReceived(data, source, LMA_ADDRESS if not port else LMA_IPV4, port)))
        else:
            self.raw(data, source, port)

    def quality(self) -> Any:
        """A request for quality of service."""
        chance = self.chance
        items = [(kind, bytes(2) + chance.choice([100, 4000, 99999]).to_bytes(4, "big")) for kind in (3, 4)]
        return opt.QualityOfService(
            chance.randrange(4), chance.choice([0, 40, 80]), chance.randrange(7), items[: chance.randrange(3)]
        )

    def grouped(self) -> None:
        """An update of a group."""
        chance = self.chance
        options = [
            opt.MobileNodeGroupIdentifier(1, chance.choice([1, 5, 6])),
            opt.HandoffIndicator(5), opt.AccessTechnologyType(4), opt.Timestamp(to_timestamp(self.now.wall)),
        ]  # fmt: skip
        source, port = self.gateway()
        self.say(BindingUpdate(1, BU_A | BU_P, chance.choice([0, 1, 900]), options), source, port)

    def respond(self) -> None:
        """A peer answers something that the anchor has sent, well or badly."""
        chance = self.chance
        if not self.heard:
            return
        effect = self.heard.pop(chance.randrange(max(0, len(self.heard) - 4), len(self.heard)))
        message: Any = decode(effect.data).message
        answer: Any = None
        source = effect.destination if chance.random() < 0.95 else MAG2
        if isinstance(message, BindingRevocationIndication):
            status = chance.choice([0, 0, 1, 2, 128, 130, 131, 133, 200])
            answer = BindingRevocationAcknowledgement(status, message.sequence, message.flags, [])
        elif isinstance(message, Heartbeat) and not message.flags & HB_R:
            counter = chance.choice([7, 7, 7, 8])
            answer = Heartbeat(HB_R, message.sequence, [opt.RestartCounter(counter)])
        elif isinstance(message, UpdateNotification):
            status = chance.choice([0, 0, 128, 131, 255])
            answer = UpdateNotificationAcknowledgement(message.sequence, status, [])
        elif isinstance(message, BindingUpdate):
            lifetime = message.lifetime
            options = [
                each for each in message.options if not isinstance(each, opt.MobileNodeGroupIdentifier)
            ]
            status = chance.choice([0, 0, 130, 178])
            answer = BindingAcknowledgement(status, BA_P, message.sequence, lifetime, options)
        if answer is None:
            return
        if chance.random() < 0.03:
            answer = BindingError(2, bytes(16), [])
        self.say(answer, source, (effect.port or 5436) if len(source) == 4 else 0)

    def revoked(self) -> None:
        """A gateway revokes."""
        chance = self.chance
        trigger, flags = chance.choice([(1, BR_P), (4, BR_P), (1, BR_P | BR_V), (128, BR_P | BR_G), (9, 0)])
        options: list[Any] = [opt.MobileNodeIdentifier(1, chance.choice(MOBILES))]
        if flags & BR_V:
            options.append(opt.IPv4HomeAddressRequest(32, packed(f"203.0.113.{chance.randrange(10, 16)}")))
        if flags & BR_G and chance.random() < 0.6:
            options = [opt.MobileNodeGroupIdentifier(1, chance.choice([1, 5, 6]))]
        source, port = self.gateway()
        self.say(BindingRevocationIndication(trigger, chance.randrange(65536), flags, options), source, port)

    def beat(self) -> None:
        """A heartbeat that nobody has asked for."""
        flags = self.chance.choice([0, HB_R, HB_R | HB_U])
        source, port = self.gateway()
        self.say(Heartbeat(flags, self.chance.randrange(5), [opt.RestartCounter(9)]), source, port)

    def host(self) -> None:
        """A host registers by itself, on a plain path."""
        chance = self.chance
        care_of, home = chance.choice([CARE1, CARE2, MAG1]), chance.choice([HOME, HOME2])
        lifetime = chance.choice([0, 30, 150])
        bids = [opt.BindingIdentifier(n, 0, 0, care) for n, care in ((1, CARE1), (2, CARE2))]
        mh = self.update(
            mn=ALICE, care_of=care_of, home=home, lifetime=lifetime, flags=BU_A | BU_H,
            bids=bids if chance.random() < 0.4 else [],
        )  # fmt: skip
        before = self.lma.take()
        assert not before
        self.carry(mh, home, care_of)
        self.follow(self.effects)

    def aaa_answers(self) -> None:
        """The AAA client has something to say; or the home link has."""
        chance = self.chance
        if self.tests and chance.random() < 0.5:
            self.give(AddressTested(self.tests.pop(), "in use"))
        if self.questions and chance.random() < 0.9:
            token = self.questions.pop(chance.randrange(len(self.questions)))
            verdict = chance.choice([aaa.ACCEPT] * 6 + [aaa.REJECT, aaa.NO_ANSWER])
            limits = {"lifetime": chance.choice([None, 0, 60]), "bandwidth_up": chance.choice([0, 777])}
            grant = aaa.Grant(session_id=f"s;{token}", **limits)  # type: ignore[arg-type]
            self.give(aaa.Authorized(token=token, verdict=verdict, grant=grant))
        elif self.alive:
            call_id = chance.choice(sorted(self.alive))
            event = (
                aaa.SessionEnds(call_id=call_id, cause=4)
                if chance.random() < 0.5
                else aaa.Reauthorize(call_id)
            )
            self.give(event)

    def wait_a_little(self) -> None:
        """Time goes by."""
        self.idle(self.chance.choice([0.3, 1.1, 2.5, 12, 35, 200]))

    def clear(self) -> None:
        """An operator ends sessions, or tells gateways something."""
        chance = self.chance
        mn = chance.choice(MOBILES)
        self.give(
            chance.choice(
                [
                    ClearSessions(mn_id=mn), ClearSessions(mn_id=mn, ipv4_only=True),
                    ClearSessions(), ClearSessions(trigger=128), ClearSessions(group=2),
                    ClearSessions(trigger=129, mn_id=b"@x"),
                    NotifyUpdate(1), NotifyUpdate(2, mn_id=mn),
                ]
            )
        )  # fmt: skip

    def change(self) -> None:
        """An operator changes something; some time later it is as before."""
        name = self.chance.choice(sorted(CHANGES))
        first, other = CHANGES[name]
        value = first if getattr(self.settings, name) != first or self.chance.random() < 0.5 else other
        if name == "prefix_pools":
            value += tuple(each for each in self.settings.prefix_pools if each.name == "HOSTS")
        self.settings = evolve(self.settings, **{name: value})
        self.give(Reconfigure(self.settings))

    def odd(self) -> None:
        """What happens seldom."""
        chance = self.chance
        self.give(
            chance.choice(
                [
                    Capacity(tunnel=False), Capacity(), Strain(5000, 99, 99), Strain(0, 0, 0), Shed(3, 1),
                    Began(5, ((MAG1, LMA_ADDRESS, 0),)), Concluded("lma1", chance.randrange(9), b""),
                ]
            )
        )  # fmt: skip

    def again(self) -> None:
        """A packet comes twice."""
        if self.packets:
            self.raw(*self.chance.choice(self.packets[-10:]))
