"""Runtime assignment of anchors (RFC 6463): a gateway, the anchor that it asks, and two that serve."""

import heapq
import json
import random
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG, CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import BA_P, BindingAcknowledgement
from appliance.protocols.pmipv6.events import (
    Advertise,
    Concluded,
    Entrust,
    Install,
    MobileAttached,
    MobileDetached,
    Notify,
    PacketReceived,
    Reconfigure,
    Remove,
    Send,
    Withdraw,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.option_settings import RedirectTarget
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
    PrefixPool,
)
from appliance.protocols.timers import Now
from appliance.record import from_json, to_json
from test.fuzz import CASES
from test.protocols.pmipv6.lma_fakes import LMA_IPV4, MAG_IPV4, World, packed

WALL = 1_700_000_000.0
ASKED, FIRST, SECOND = (packed(f"2001:db8:ffff::{n}") for n in (1, 2, 3))
GATEWAY = packed("2001:db8:ffff::a1")
NAMES = {"asked": ASKED, "first": FIRST, "second": SECOND}
MAC = b"\2\0\x5e\x10\0\1"


class Net:
    """Four cores, and a wire between them that takes a hundredth of a second."""

    def __init__(self, remote: bool = False, gateway: dict[str, Any] | None = None, **asked: Any) -> None:
        self.mono = 100.0
        self.wire: list[tuple[float, int, Any, Any]] = []
        self.serial = 0
        self.sent: list[Send] = []
        self.entrusted: list[Any] = []
        self.log: list[str] = []
        self.dead: set[bytes] = set()
        self.installed: dict[bytes, dict[int, Install]] = {a: {} for a in (*NAMES.values(), GATEWAY)}
        self.counters = {address: CounterSet(LMA) for address in NAMES.values()}
        self.counters[GATEWAY] = CounterSet(MAG)
        targets = tuple(
            RedirectTarget(address=NAMES[name], service="" if remote else name)
            for name in ("first", "second")
        )
        self.settings = {address: self.anchor(name, address) for name, address in NAMES.items()}
        fields = {"redirect_targets": targets, "redirect_policy": "always"} | asked
        self.settings[ASKED] = evolve(self.settings[ASKED], **fields)
        self.cores: dict[bytes, Any] = {
            address: LocalMobilityAnchor(each, self.counters[address], random.Random(n).getrandbits)
            for n, (address, each) in enumerate(self.settings.items())
        }
        self.gateway = MagSettings(
            name="mag1",
            address=GATEWAY,
            lma=ASKED,
            encapsulation="ipip",
            access_interfaces=(AccessInterface(name="acc0"),),
            policies=(MobilePolicy(link_layer=MAC, mn_id=b"mn1@example.org"),),
            **({"redirect": True} | (gateway or {})),
        )
        self.cores[GATEWAY] = MobileAccessGateway(
            self.gateway, self.counters[GATEWAY], random.Random(9).getrandbits
        )

    @staticmethod
    def anchor(name: str, address: bytes) -> LmaSettings:
        """An anchor with a pool of its own that serves for the others."""
        return LmaSettings(
            name=name,
            address=address,
            redirect_accept=True,
            load_information=True,
            alt_coa_allowed=True,
            peers=(Peer(address=packed("2001:db8:ffff::"), prefix_length=48),),
            prefix_pools=(
                PrefixPool(name="HOME", prefix=packed(f"2001:db8:{address[-1]}::"), prefix_length=48),
            ),
        )

    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, WALL + self.mono)

    def feed(self, address: bytes, event: Any) -> None:
        """Give a core an event, and carry out what follows."""
        self.cores[address].receive(event, self.now())
        self.settle(address)

    def settle(self, address: bytes) -> None:
        """Carry out the effects of a core."""
        for effect in self.cores[address].take():
            self.serial += 1
            if isinstance(effect, Send):
                self.sent.append(effect)
                packet = PacketReceived(effect.data, effect.source, effect.destination)
                heapq.heappush(self.wire, (self.mono + 0.01, self.serial, effect.destination, packet))
            elif isinstance(effect, Entrust | Concluded):
                self.entrusted.append(effect)
                heapq.heappush(self.wire, (self.mono, self.serial, NAMES[effect.service], effect))
            elif isinstance(effect, Install):
                self.installed[address][effect.call_id] = effect
            elif isinstance(effect, Remove):
                del self.installed[address][effect.call_id]
            elif isinstance(effect, Notify):
                self.log.append(effect.text)
            else:
                assert isinstance(effect, Advertise | Withdraw), effect

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.mono + seconds
        while True:
            due = [
                (core.deadline, address) for address, core in self.cores.items() if core.deadline is not None
            ]
            when, who = min(due, default=(end + 1, b""))
            arrival = self.wire[0][0] if self.wire else end + 1
            if min(when, arrival) > end:
                break
            self.mono = max(self.mono, min(when, arrival))
            if arrival <= when:
                _, _, address, event = heapq.heappop(self.wire)
                if address not in self.dead:
                    self.feed(address, event)
            else:
                self.cores[who].tick(self.now())
                self.settle(who)
        self.mono = end

    def attach(self, handoff: int = 1) -> None:
        """The mobile node arrives."""
        self.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=handoff))
        self.run(0.5)

    def counts(self) -> list[int]:
        """Sessions at the three anchors and the gateway."""
        return [core.session_count for core in self.cores.values()]

    def value(self, address: bytes, key: str) -> int:
        """A counter."""
        return self.counters[address].value(key)

    @property
    def entry(self) -> Any:
        """The gateway's only entry."""
        (entry,) = self.cores[GATEWAY].sessions()
        return entry


class AssignmentTests(SynchronousTestCase):
    """Both forms of sections 5.3.1 and 5.3.2, from the attachment to the end."""

    def life(self, net: Net) -> None:
        """A mobile node comes, is refreshed and leaves; the anchor that was asked has no part in it."""
        net.attach()
        self.assertEqual(net.counts(), [0, 1, 0, 1])
        self.assertEqual((net.entry.lma, net.entry.asked, net.entry.state), (FIRST, ASKED, "active"))
        ((mine,), (theirs,)) = (list(net.installed[address].values()) for address in (GATEWAY, FIRST))
        self.assertEqual((mine.peer, theirs.peer, theirs.local), (FIRST, GATEWAY, FIRST))
        self.assertEqual(mine.prefixes, theirs.prefixes)
        shown = dict(net.cores[GATEWAY].details(net.entry))
        self.assertEqual(shown["Redirected By"], "2001:db8:ffff::1")
        self.assertIn("1 of 3000000 sessions", shown["LMA Load"])
        self.assertEqual(net.value(ASKED, "runtime-lma-assignment/assigned"), 1)
        self.assertEqual(net.value(ASKED, "initial-binding-update-requests/accepted"), 1)
        self.assertEqual(net.value(ASKED, "binding-updates-received/pending"), 0)
        self.assertEqual(net.value(GATEWAY, "runtime-lma-assignment/taken"), 1)
        before = len(net.sent)
        net.run(1000)
        exchange = {(each.source, each.destination) for each in net.sent[before:]}
        self.assertEqual(exchange, {(GATEWAY, FIRST), (FIRST, GATEWAY)})
        net.feed(GATEWAY, MobileDetached("acc0", MAC))
        net.run(20)
        self.assertEqual(net.counts(), [0, 0, 0, 0])
        self.assertEqual(net.installed[GATEWAY], {})
        # The next session begins where this one did, and is at the same anchor again.
        net.attach()
        self.assertEqual(net.counts(), [0, 1, 0, 1])

    def test_anchors_of_one_process(self) -> None:
        """Section 5.3.1: nothing but the answer goes over the wire."""
        net = Net()
        self.life(net)
        self.assertEqual(net.value(FIRST, "runtime-lma-assignment/served-for-others"), 2)

    def test_an_anchor_elsewhere(self) -> None:
        """Section 5.3.2: the anchor that was asked is a gateway with an Alternate Care-of Address."""
        net = Net(remote=True)
        self.life(net)
        first = next(each for each in net.sent if each.destination == FIRST)
        update: Any = decode(first.data).message
        self.assertEqual(first.source, ASKED)
        kinds = [type(each) for each in update.options]
        self.assertIn(opt.AlternateCareOfAddress, kinds)
        self.assertNotIn(opt.RedirectCapability, kinds)

    def test_the_answer(self) -> None:
        """It comes from the address that was asked, with the target in it and all else as the target said."""
        net = Net()
        net.attach()
        (sent,) = [each for each in net.sent if each.destination == GATEWAY]
        answer: Any = decode(sent.data).message
        (redirect,) = [each for each in answer.options if isinstance(each, opt.Redirect)]
        self.assertEqual((sent.source, redirect.address, answer.status), (ASKED, FIRST, 0))

    def test_without_the_capability(self) -> None:
        """An address that only redirects answers 130 to who cannot be redirected."""
        net = Net(gateway={"redirect": False})
        net.attach()
        self.assertEqual(net.counts()[:3], [0, 0, 0])
        self.assertEqual(net.value(GATEWAY, "denied-by-lma/insufficient-resources"), 1)
        # RFC 6463 section 5.2 names Handoff Indicator 1; 4 has to be allowed.
        for allowed, served in ((False, 0), (True, 1)):
            net = Net(gateway={"redirect_unknown_handoff": allowed})
            net.attach(handoff=4)
            self.assertEqual(net.counts()[1], served)

    def test_a_gateway_of_the_other_family(self) -> None:
        """A mobile node moves from a gateway over IPv6 to one over IPv4: it stays at its anchor."""
        targets = (
            RedirectTarget(address=SECOND, also=packed("192.0.2.3"), service="second"),
            RedirectTarget(address=FIRST, also=packed("192.0.2.2"), service="first"),
        )
        world = World(redirect_targets=targets, redirect_policy="always")
        world.lma._redirection._loads[SECOND] = 5, 0.0
        for how, address in (({}, FIRST), ({"source": MAG_IPV4, "port": 5436}, packed("192.0.2.2"))):
            self.assertIsNone(world.send(extra=[opt.RedirectCapability()], **how))
            (entrusted,) = world.of_kind(Entrust)
            self.assertEqual((entrusted.service, entrusted.packet.destination), ("first", address))
            answer = BindingAcknowledgement(0, BA_P, 1, 100, [opt.LoadInformation(4, 1, 10, 0, 0)])
            world.lma.receive(Concluded("asked", entrusted.token, encode(answer)), world.now)
            message: Any = decode(world.lma.take()[0].data).message
            self.assertIn(opt.Redirect(address), message.options)

    def test_by_load(self) -> None:
        """Below the threshold the anchor serves itself; a gateway without the capability is served always."""
        net = Net(redirect_policy="load", redirect_threshold=1)
        net.attach()
        self.assertEqual(net.counts()[:3], [1, 0, 0])
        net.feed(GATEWAY, MobileAttached("acc0", b"\2\0\0\0\0\2", b"mn2@example.org", 1))
        net.run(0.5)
        self.assertEqual(net.counts()[:3], [1, 1, 0])

    def test_the_next_one_is_asked(self) -> None:
        """A target that is silent, or refuses: the other one; both: 130, or what the last has said."""
        for remote in (False, True):
            net = Net(remote=remote, setup_timeout=1)
            net.feed(FIRST, Reconfigure(evolve(net.settings[FIRST], max_subscribers=0)))
            net.attach()
            self.assertEqual(net.counts()[:3], [0, 0, 1])
        net = Net(remote=True)
        net.dead.add(FIRST)
        net.attach()
        net.run(3)
        self.assertEqual(net.counts()[:3], [0, 0, 1])
        net.dead.add(SECOND)
        net = Net(remote=True)
        net.dead |= {FIRST, SECOND}
        net.attach()
        net.run(6)
        self.assertEqual(net.value(ASKED, "runtime-lma-assignment/not-assigned"), 1)
        self.assertEqual(net.value(ASKED, "binding-update-deny-reasons/insufficient-resources"), 1)
        self.assertTrue(any("assigned" in line for line in net.log), net.log)
        net = Net()
        for address in (FIRST, SECOND):
            net.feed(address, Reconfigure(evolve(net.settings[address], redirect_accept=False)))
        net.attach()
        self.assertEqual(net.value(ASKED, "runtime-lma-assignment/not-assigned"), 1)

    def test_a_late_answer(self) -> None:
        """What an anchor says when the next one has been asked already is not taken for that one's answer."""
        net = Net(setup_timeout=1)
        net.dead.add(FIRST)
        net.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=1))
        net.run(0.1)
        (entrusted,) = [each for each in net.entrusted if each.service == "first"]
        net.dead.add(SECOND)
        net.run(1.1)
        net.cores[FIRST].receive(entrusted, net.now())
        (late,) = [each for each in net.cores[FIRST].take() if isinstance(each, Concluded)]
        net.feed(ASKED, late)
        self.assertEqual(net.value(ASKED, "runtime-lma-assignment/assigned"), 0)
        self.assertEqual(net.value(ASKED, "binding-updates-received/pending"), 1)

    def test_one_that_ignores_the_gateway(self) -> None:
        """An anchor of this process that would be silent says so: the next one is asked at once."""
        net = Net()
        changed = evolve(net.settings[FIRST], peers=(), unknown_peer="discard")
        net.feed(FIRST, Reconfigure(changed))
        net.attach()
        self.assertEqual(net.counts()[:3], [0, 0, 1])

    def test_a_circle(self) -> None:
        """Anchors that name each other do not send an update round: the first one that gets it serves."""
        for remote in (False, True):
            net = Net(remote=remote)
            back = RedirectTarget(address=ASKED, service="" if remote else "asked")
            net.feed(
                FIRST,
                Reconfigure(evolve(net.settings[FIRST], redirect_targets=(back,), redirect_policy="load")),
            )
            net.attach()
            self.assertEqual(net.counts()[:3], [0, 1, 0])
            self.assertLess(len(net.sent), 8)


class HandoverTests(SynchronousTestCase):
    """Section 6: all sessions of a mobile node are at one anchor, also those of other gateways."""

    def test_to_another_gateway(self) -> None:
        """It asks the same anchor as the first one did, which knows where the mobile node is."""
        for remote in (False, True):
            net = Net(remote=remote, gateway={"redirect_unknown_handoff": True})
            other = packed("2001:db8:ffff::a2")
            settings = evolve(net.gateway, address=other)
            net.cores[other] = MobileAccessGateway(settings, CounterSet(MAG), random.Random(8).getrandbits)
            net.installed[other] = {}
            net.attach(handoff=4)
            # Another mobile node in between, so that the order of the targets alone does not decide.
            net.feed(FIRST, Reconfigure(evolve(net.settings[FIRST], load_priority=9)))
            net.feed(GATEWAY, MobileAttached("acc0", b"\2\0\0\0\0\2", b"mn2@example.org", 1))
            net.run(0.5)
            ((before,),) = [list(net.installed[address].values()) for address in (FIRST,)]
            net.feed(other, MobileAttached("acc0", MAC))
            net.run(0.5)
            net.feed(GATEWAY, MobileDetached("acc0", MAC))
            net.run(3)
            (after,) = net.installed[FIRST].values()
            self.assertEqual((after.peer, after.prefixes), (other, before.prefixes), remote)
            (mine,) = net.installed[other].values()
            self.assertEqual((mine.peer, mine.prefixes), (FIRST, before.prefixes))
            self.assertEqual(net.value(FIRST, "handoff-requests/accepted"), 1)
            self.assertEqual(net.value(ASKED, "binding-updates-received/pending"), 0)


class RecordTests(SynchronousTestCase):
    """What anchors of one process say to each other is part of a recorded run."""

    def test_events(self) -> None:
        """They read as they were written."""
        packet = PacketReceived(b"\x3b\0", GATEWAY, FIRST, 5436)
        for event in (Entrust("first", "asked", 7, packet), Concluded("asked", 7, b"x")):
            self.assertEqual(from_json(json.loads(json.dumps(to_json(event)))), event)


class OverIPv4Tests(SynchronousTestCase):
    """Section 5.3.2 over IPv4 transport."""

    def exchange(self, *echoed: opt.Option) -> tuple[World, Any]:
        """Have an anchor elsewhere accept; returns the world of the one that was asked, and its answer."""
        target = packed("198.51.100.2")
        world = World(redirect_targets=(RedirectTarget(address=target),), redirect_policy="always")
        packet = world.build(source=MAG_IPV4, port=5436, extra=[opt.RedirectCapability()])
        (sent,) = world.packet(*packet)
        self.assertEqual((sent.source, sent.destination, sent.port), (LMA_IPV4, target, 5436))
        update: Any = decode(sent.data).message
        (alternate,) = [each for each in update.options if isinstance(each, opt.AlternateIPv4CareOfAddress)]
        self.assertEqual(alternate.address, MAG_IPV4)
        message = BindingAcknowledgement(0, BA_P, update.sequence, 9, [update.options[0], *echoed])
        world.packet(encode(message), target, 5436)
        return world, world.answer()

    def test_redirected(self) -> None:
        """The Redirect option has an IPv4 address; what was for the proxy does not go on."""
        _, answer = self.exchange(opt.AlternateIPv4CareOfAddress(MAG_IPV4))
        self.assertEqual(
            [each for each in answer.options if not isinstance(each, opt.MobileNodeIdentifier)],
            [opt.Redirect(packed("198.51.100.2"))],
        )

    def test_an_anchor_that_does_not_know_the_option(self) -> None:
        """Without the echo it has registered the proxy: it counts as failed."""
        world, answer = self.exchange()
        self.assertEqual(answer.status, 130)
        self.assertEqual(world.value("runtime-lma-assignment/not-assigned"), 1)


class GatewayTests(SynchronousTestCase):
    """What a gateway does with a Redirect option (section 5.2)."""

    def answered(self, net: Net, target: bytes, handoff: int = 1) -> None:
        """Let the anchor that was asked accept, and name ``target``, without doing anything about it."""
        net.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=handoff))
        self.answered_to(net, decode(net.sent[-1].data).message, target)

    @staticmethod
    def answered_to(net: Net, request: Any, target: bytes) -> None:
        """Answer a request so."""
        options = [
            opt.HomeNetworkPrefix(64, packed("2001:db8:1:7::"))
            if isinstance(each, opt.HomeNetworkPrefix)
            else each
            for each in request.options
            if not isinstance(each, opt.RedirectCapability)
        ]
        message = BindingAcknowledgement(0, BA_P, request.sequence, 100, [*options, opt.Redirect(target)])
        net.wire.clear()
        net.feed(GATEWAY, PacketReceived(seal(encode(message), ASKED, GATEWAY), ASKED, GATEWAY))

    def test_one_that_was_not_asked_for(self) -> None:
        """It is ignored, and the acknowledgement taken as RFC 5213 says."""
        for gateway, handoff in (({"redirect": False}, 1), ({}, 3)):
            net = Net(gateway=gateway)
            self.answered(net, FIRST, handoff)
            self.assertEqual((net.entry.state, net.entry.lma), ("active", ASKED))
            self.assertEqual(net.value(GATEWAY, "runtime-lma-assignment/ignored"), 1)

    def test_targets_that_are_none(self) -> None:
        """Ourselves, the anchor itself, multicast, IPv4, one that is not in the list: no session there."""
        allowed = ((packed("2001:db8:ffff::2"), 128),)
        cases = (GATEWAY, ASKED, packed("ff02::1"), packed("192.0.2.1"), SECOND)
        for target in cases:
            net = Net(gateway={"redirect_allowed": allowed})
            self.answered(net, target)
            self.assertEqual((net.entry.state, net.entry.lma), ("waiting", ASKED), target)
            self.assertEqual(net.value(GATEWAY, "runtime-lma-assignment/refused"), 1)
            self.assertEqual(len(net.log), 1)
        net = Net(gateway={"redirect_allowed": allowed})
        self.answered(net, FIRST)
        self.assertEqual((net.entry.state, net.entry.lma), ("active", FIRST))

    def test_an_anchor_that_is_dead(self) -> None:
        """A session whose anchor has died is made anew where the anchor that was asked finds one."""
        net = Net(gateway={"redirect_unknown_handoff": True}, setup_timeout=1)
        net.attach()
        net.dead.add(FIRST)
        net.run(1300)
        self.assertEqual((net.counts()[2], net.entry.lma, net.entry.redirects), (1, SECOND, 0))

    def test_no_circle_of_assignments(self) -> None:
        """After three assignments without a refresh between them the capability is told no more."""
        net = Net()
        net.attach()
        net.feed(GATEWAY, MobileDetached("acc0", MAC))
        net.run(20)
        for told in (True, True, True, False):
            net.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=1))
            request: Any = decode(net.sent[-1].data).message
            kinds = [type(each) for each in request.options]
            self.assertEqual(opt.RedirectCapability in kinds, told)
            if told:
                self.answered_to(net, request, FIRST)
                net.cores[GATEWAY]._sessions.end_session(net.entry, "other-reasons")
                net.cores[GATEWAY]._sessions.wait(net.entry, 1.0, net.now())


class FuzzTests(SynchronousTestCase):
    """Whatever anchors and neighbours say."""

    @given(
        data=st.binary(max_size=80), token=st.integers(0, 3), source=st.sampled_from((FIRST, SECOND, GATEWAY))
    )
    @profile(max_examples=CASES, deadline=None)
    def test_odd_answers(self, data: bytes, token: int, source: bytes) -> None:
        """Nothing is raised, and the counters add up."""
        net = Net(remote=token % 2 == 1)
        net.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=1))
        (_, _, _, event) = net.wire[0]
        net.cores[ASKED].receive(event, net.now())
        net.cores[ASKED].take()
        net.feed(ASKED, Concluded("asked", token, data))
        message = BindingAcknowledgement(data[0] if data else 0, BA_P, token, 0, [])
        net.feed(ASKED, PacketReceived(seal(encode(message), source, ASKED), source, ASKED))
        net.feed(FIRST, Entrust("first", "asked", token, PacketReceived(data, source, FIRST)))
        values = net.counters[ASKED]
        total = "binding-updates-received/total-"
        self.assertEqual(
            values.value(total + "received"),
            sum(values.value(total + kind) for kind in ("accepted", "denied", "discarded"))
            + values.value("binding-updates-received/pending"),
        )
