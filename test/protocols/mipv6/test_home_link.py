"""The home agent on a real home link (RFC 6275 sections 10.3.2, 10.4.1, 10.4.2; RFC 4861 section 7.2)."""

import random
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.compat import raw
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLQuery2,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access import ndp
from appliance.protocols.mipv6 import home_link
from appliance.protocols.mipv6.events import (
    HomeFrame,
    HomeLinkDown,
    HomeLinkUp,
    SendAtHome,
    SendHomeFrame,
    StopTest,
    TestAddress,
)
from appliance.protocols.mipv6.home_link import second_address
from appliance.protocols.mobility.messages import BU_A, BU_H, BU_L
from appliance.protocols.pmipv6.events import Install, Notify, Reconfigure, Remove
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import BOB, CARE2, HOME, PROFILE, HostWorld
from test.protocols.pmipv6.lma_fakes import packed

OURS, ASKER = bytes.fromhex("02005e000001"), bytes.fromhex("02005e000099")
SECOND = second_address(OURS)
ADDRESS, ASKING = packed("fe80::1"), packed("2001:db8:100::80")
HOME_TEXT, LOCAL_TEXT = "2001:db8:100::5", "fe80::5"
FLAGS = BU_A | BU_H | BU_L
BOBS = Profile(name=BOB.decode(), mn_id=BOB, associations=PROFILE.associations)


def text(link_layer: bytes) -> str:
    """A link-layer address as Scapy writes it."""
    return link_layer.hex(":")


class LinkWorld(HostWorld):
    """An anchor whose home link is up, and a neighbour on it."""

    def __init__(self, **changes: Any) -> None:
        fields = {"mipv6_home_link": "home0", "profiles": (PROFILE, BOBS), **changes}
        super().__init__(**fields)
        self.event(HomeLinkUp("home0", OURS, ADDRESS))

    def event(self, event: Any) -> list[Any]:
        """Something happens on the link."""
        self.lma.receive(event, self.now)
        self.effects = self.lma.take()
        return self.effects

    def register(self, **what: Any) -> list[Any]:
        """A new binding, with the second that its test takes; returns the effects of the end."""
        self.host(**what)
        assert any(isinstance(each, TestAddress) for each in self.effects)
        # The rest of the announcements is not due yet.
        self.mono += 1.0
        self.lma.tick(self.now)
        self.effects = self.lma.take()
        return self.effects

    def frames(self) -> list[Ether]:
        """The frames among the last effects."""
        return [Ether(each.frame) for each in self.effects if isinstance(each, SendHomeFrame)]

    def sent(self) -> list[Ether]:
        """Those that are no MLD reports."""
        return [each for each in self.frames() if ICMPv6MLReport2 not in each]

    def reports(self) -> list[Ether]:
        """The MLD reports."""
        return [each for each in self.frames() if ICMPv6MLReport2 in each]

    def ask(self, target: str, source: bytes = ASKING, link_layer: bytes = ASKER) -> list[Ether]:
        """A Neighbor Solicitation; returns the answers."""
        option = b"" if source == ndp.UNSPECIFIED else link_layer
        message = ndp.NeighborSolicitation(packed(target), option)
        group = ndp.solicited_node(packed(target))
        to = b"\x33\x33" + group[12:]
        self.event(HomeFrame("home0", ndp.build(ndp.Received(ASKER, to, source, group, message))))
        return self.sent()


class AnnouncementTests(SynchronousTestCase):
    """What is said unasked."""

    def test_a_new_binding_is_announced_three_times(self) -> None:
        """RFC 6275 section 10.4.1; RFC 4861 section 10: three times, a second between."""
        world = LinkWorld()
        world.register()
        (frame,) = world.sent()
        self.assertEqual((frame.src, frame.dst), (text(OURS), "33:33:00:00:00:01"))
        self.assertEqual((frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim), ("fe80::1", "ff02::1", 255))
        said = frame[ICMPv6ND_NA]
        self.assertEqual((said.R, said.S, said.O, said.tgt), (0, 0, 1, HOME_TEXT))
        self.assertEqual(frame[ICMPv6NDOptDstLLAddr].lladdr, text(OURS))
        times = []
        for _ in range(40):
            world.pass_time(0.1)
            times += [world.mono for _ in world.sent()]
        self.assertEqual(len(times), 2)
        self.assertAlmostEqual(times[1] - times[0], 1.0, delta=0.11)
        # A refresh or a move says nothing: all of them know.
        world.host(care_of=CARE2)
        world.pass_time(3)
        self.assertEqual(world.sent(), [])

    def test_the_link_local_address_too(self) -> None:
        """With the L flag (10.4.1), at the link-layer address that the kernel does not know."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        found = [
            (each[ICMPv6ND_NA].tgt, each[ICMPv6NDOptDstLLAddr].lladdr, each.src) for each in world.sent()
        ]
        wanted = [(HOME_TEXT, text(OURS), text(OURS)), (LOCAL_TEXT, text(SECOND), text(SECOND))]
        self.assertEqual(found, wanted)

    def test_one_that_ends_is_not_announced_again(self) -> None:
        """Nothing for what is not bound."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        world.host(lifetime=0)
        world.pass_time(15)
        self.assertEqual(world.sent(), [])

    def test_all_are_announced_when_the_link_comes_up(self) -> None:
        """In slices, so that neither link nor loop is filled."""
        self.patch(home_link, "SLICE", 2)
        world = LinkWorld()
        homes = [packed(f"2001:db8:100::{number:x}") for number in range(0x10, 0x15)]
        for home in homes:
            world.register(home=home)
        world.event(HomeLinkDown("home0"))
        world.pass_time(5)
        self.assertEqual(world.sent(), [])
        self.assertEqual(world.ask("2001:db8:100::10"), [])
        world.event(HomeLinkUp("home0", ASKER, ADDRESS))
        numbers, targets = [], []
        for _ in range(10):
            world.lma.tick(world.now)
            world.effects = world.lma.take()
            numbers.append(len(world.sent()))
            targets += [packed(each[ICMPv6ND_NA].tgt) for each in world.sent()]
            world.mono += 0.1
        self.assertEqual(numbers[:3], [2, 2, 1])
        self.assertEqual(sorted(targets), sorted(homes))
        self.assertEqual(world.ask("2001:db8:100::10")[0].src, text(ASKER))

    def test_the_queue_is_bounded(self) -> None:
        """Of more bindings than that the first announcement has to do; there is no timer for any of them."""
        self.patch(home_link, "MOST", 2)
        world = LinkWorld()
        for number in range(4):
            world.host(home=packed(f"2001:db8:100::{number + 16:x}"))
        numbers = []
        for _ in range(3):
            world.mono += 1.1
            world.lma.tick(world.now)
            world.effects = world.lma.take()
            numbers.append(len(world.sent()))
        self.assertEqual(numbers, [4, 2, 2])

    def test_another_link_or_none(self) -> None:
        """The old one hears nothing any more, the new one as soon as it is up."""
        world = LinkWorld()
        world.register()
        world.event(Reconfigure(evolve(world.settings, mipv6_home_link="home1")))
        self.assertEqual(world.ask(HOME_TEXT), [])
        world.event(HomeLinkUp("home0", OURS, ADDRESS))
        self.assertEqual(world.ask(HOME_TEXT), [])
        world.event(HomeLinkUp("home1", OURS, ADDRESS))
        world.pass_time(0.1)
        sent = {each.interface for each in world.effects if isinstance(each, SendHomeFrame)}
        self.assertEqual(sent, {"home1"})


class AnswerTests(SynchronousTestCase):
    """What is said when somebody asks."""

    def test_a_neighbour_is_answered(self) -> None:
        """RFC 4861 section 7.2.4, and 7.2.8 for the Override flag of a proxy."""
        world = LinkWorld()
        self.assertEqual(world.ask(HOME_TEXT), [])
        world.register()
        (frame,) = world.ask(HOME_TEXT)
        self.assertEqual((frame.src, frame.dst), (text(OURS), text(ASKER)))
        said = frame[ICMPv6ND_NA]
        self.assertEqual((said.R, said.S, said.O, said.tgt), (0, 1, 0, HOME_TEXT))
        self.assertEqual(frame[IPv6].dst, "2001:db8:100::80")
        self.assertEqual(frame[ICMPv6NDOptDstLLAddr].lladdr, text(OURS))
        for other in ("2001:db8:100::6", LOCAL_TEXT, "2001:db8:100::"):
            self.assertEqual(world.ask(other), [], other)

    def test_a_test_of_the_address_fails(self) -> None:
        """RFC 4862 section 5.4.4: the answer goes to all nodes, since who asks has no address yet."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        for target in (HOME_TEXT, LOCAL_TEXT):
            (frame,) = world.ask(target, ndp.UNSPECIFIED)
            said = frame[ICMPv6ND_NA]
            self.assertEqual((said.R, said.S, said.O, said.tgt), (0, 0, 0, target))
            self.assertEqual((frame.dst, frame[IPv6].dst), ("33:33:00:00:00:01", "ff02::1"))

    def test_scapy_asks(self) -> None:
        """The same by somebody else's frames."""
        world = LinkWorld()
        world.register()
        question = (
            Ether(src=text(ASKER), dst=text(OURS))
            / IPv6(src="2001:db8:100::80", dst=HOME_TEXT, hlim=255)
            / ICMPv6ND_NS(tgt=HOME_TEXT)
            / ICMPv6NDOptSrcLLAddr(lladdr="02:00:5e:00:00:77")
        )
        world.event(HomeFrame("home0", raw(question)))
        # RFC 4861 section 7.2.3: the option says where it is, not the frame.
        self.assertEqual([each.dst for each in world.sent()], ["02:00:5e:00:00:77"])
        question[IPv6].hlim = 64
        world.event(HomeFrame("home0", raw(question)))
        self.assertEqual(world.sent(), [])

    def test_a_binding_that_is_over(self) -> None:
        """Expired, de-registered, or cleared: nobody is answered."""
        world = LinkWorld()
        world.register(lifetime=2)
        self.assertEqual(len(world.ask(HOME_TEXT)), 1)
        world.pass_time(9)
        self.assertEqual(world.ask(HOME_TEXT), [])

    def test_somebody_else_answers_as_well(self) -> None:
        """The operator is told, once in a while; the address stays defended."""
        world = LinkWorld()
        world.register()
        message = ndp.NeighborAdvertisement(HOME, ndp.NA_OVERRIDE, ASKER)
        frame = ndp.build(ndp.Received(ASKER, b"\x33\x33\0\0\0\1", ADDRESS, ndp.ALL_NODES, message))
        found = world.event(HomeFrame("home0", frame)) + world.event(HomeFrame("home0", frame))
        (notice,) = found
        assert isinstance(notice, Notify)
        self.assertIn(f"{HOME_TEXT} is bound, and answered for on home0 by {text(ASKER)}", notice.text)

    def test_two_hosts_with_one_link_local_address(self) -> None:
        """RFC 6275 section 10.3.1: 134, which no question on the link finds; without L it is no matter."""
        second = packed("2001:db8:100:1::5")
        pools = HostWorld().settings.prefix_pools
        wide = type(pools[1])(
            name="HOSTS", prefix=packed("2001:db8:100::"), prefix_length=56, delegated_length=128, static=True
        )
        world = LinkWorld(prefix_pools=(pools[0], wide))
        world.register(flags=FLAGS)
        answer = world.host(mn=BOB, home=second, flags=FLAGS, care_of=CARE2)
        assert answer is not None
        self.assertEqual(answer.status, 134)
        world.register(mn=BOB, home=second, care_of=CARE2)
        self.assertEqual(len(world.ask(LOCAL_TEXT)), 1)
        world.host(lifetime=0)
        self.assertEqual(world.ask(LOCAL_TEXT), [])

    def test_what_the_operator_sees(self) -> None:
        """A line of the session."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        (entry,) = world.lma.sessions()

        def shown() -> str:
            return dict(world.lma.details(entry))["Defended"]

        self.assertEqual(shown(), "on home0, link-local address too")
        world.event(HomeLinkDown("home0"))
        self.assertEqual(shown(), "no: home0 is not up")
        world.event(HomeLinkUp("home0", OURS, ADDRESS))
        world.host(lifetime=0)
        self.assertEqual(shown(), "no")


class LinkLocalTests(SynchronousTestCase):
    """Packets for the link-local address of a host that is away (RFC 6275 section 10.4.2)."""

    def send(self, world: LinkWorld, packet: Any) -> list[Ether]:
        """A packet to our second link-layer address; returns what is said about it."""
        world.event(HomeFrame("home0", raw(Ether(src=text(ASKER), dst=text(SECOND)) / packet)))
        return world.sent()

    def test_the_sender_is_told(self) -> None:
        """Destination Unreachable, code 3."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        packet = IPv6(src="fe80::99", dst=LOCAL_TEXT) / UDP(sport=1, dport=2) / b"hello"
        (frame,) = self.send(world, packet)
        self.assertEqual((frame.src, frame.dst), (text(OURS), text(ASKER)))
        self.assertEqual((frame[IPv6].src, frame[IPv6].dst), ("fe80::1", "fe80::99"))
        self.assertEqual(frame[ICMPv6DestUnreach].code, 3)
        self.assertEqual(raw(frame[ICMPv6DestUnreach].payload), raw(packet))

    def test_when_nothing_is_said(self) -> None:
        """RFC 4443 section 2.4 (e), RFC 6275 section 10.4.2; nor about an address that is nobody's."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        for packet in (
            IPv6(src="ff02::1", dst=LOCAL_TEXT) / UDP(),
            IPv6(src="::", dst=LOCAL_TEXT) / UDP(),
            IPv6(src="fe80::99", dst=LOCAL_TEXT) / ICMPv6DestUnreach(code=3),
            IPv6(src="fe80::99", dst="fe80::6") / UDP(),
            IPv6(src="fe80::99", dst=HOME_TEXT) / UDP(),
        ):
            self.assertEqual(self.send(world, packet), [], packet.summary())

    def test_no_more_than_is_healthy(self) -> None:
        """RFC 4443 section 2.4 (f)."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        packet = IPv6(src="fe80::99", dst=LOCAL_TEXT) / ICMPv6EchoRequest()
        answers = sum(len(self.send(world, packet)) for _ in range(200))
        self.assertEqual(answers, home_link.AT_ONCE)


class ReturningTests(SynchronousTestCase):
    """The host comes home (RFC 6275 sections 10.3.2 and 11.5.5)."""

    def at_home(self, world: LinkWorld, **what: Any) -> SendAtHome:
        """An update from the home address without a Home Address option; returns its answer."""
        fields = {"care_of": HOME, "alternate": HOME, "lifetime": 0, **what}
        mh = world.update(**fields)
        world.mono += 0.01
        world.plain(mh, HOME)
        (answer,) = (each for each in world.effects if isinstance(each, SendAtHome))
        return answer

    def test_it_is_not_defended_any_more_when_it_is_answered(self) -> None:
        """The tunnel goes first, the answer goes to the link; a late update gets 135."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        answer = self.at_home(world)
        self.assertEqual([type(each) for each in world.effects], [Remove, SendAtHome])
        self.assertEqual((answer.destination, answer.home, answer.interface), (HOME, b"", "home0"))
        self.assertEqual((answer.data[2], answer.data[6]), (6, 0))
        for target, source in ((HOME_TEXT, ASKING), (HOME_TEXT, ndp.UNSPECIFIED), (LOCAL_TEXT, ASKING)):
            self.assertEqual(world.ask(target, source), [])
        late = world.host(sequence=world.sequence - 1)
        assert late is not None
        self.assertEqual(late.status, 135)
        self.assertEqual(world.ask(HOME_TEXT), [])

    def test_a_refusal_goes_to_the_link_too(self) -> None:
        """RFC 6275 section 10.3.2: the address is still defended: the tunnel would take the answer."""
        world = LinkWorld()
        world.register()
        answer = self.at_home(world, sequence=world.sequence)
        self.assertEqual(answer.data[6], 135)
        self.assertEqual(len(world.ask(HOME_TEXT)), 1)

    def test_with_a_home_address_option(self) -> None:
        """Allowed as well; then the answer has its routing header."""
        world = LinkWorld()
        world.register()
        world.host(care_of=HOME, alternate=HOME, lifetime=0)
        (answer,) = (each for each in world.effects if isinstance(each, SendAtHome))
        self.assertEqual((answer.destination, answer.home), (HOME, HOME))

    def test_a_host_that_looks_for_us(self) -> None:
        """RFC 6275 section 11.5.5: a solicitation for its own address from ::, answered to all nodes."""
        world = LinkWorld()
        world.register()
        (frame,) = world.ask(HOME_TEXT, ndp.UNSPECIFIED)
        self.assertEqual(frame[ICMPv6NDOptDstLLAddr].lladdr, text(OURS))

    def test_it_leaves_again_at_once(self) -> None:
        """Within MAX_DELETE_BCE_TIMEOUT: tested, bound and announced anew."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        self.at_home(world)
        world.register(flags=FLAGS, care_of=CARE2)
        self.assertTrue(any(isinstance(each, Install) and each.peer == CARE2 for each in world.effects))
        self.assertTrue(any(isinstance(each, StopTest) for each in world.effects))
        self.assertEqual([each[ICMPv6ND_NA].tgt for each in world.sent()], [HOME_TEXT, LOCAL_TEXT])


class HostileTests(SynchronousTestCase):
    """Whatever is on the link."""

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_no_frame_raises_or_makes_anything_grow(self, data: st.DataObject) -> None:
        """Random frames and mutated ones; at most one frame is said about one."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        good = ndp.build(
            ndp.Received(
                ASKER, SECOND, ASKING, packed(LOCAL_TEXT), ndp.NeighborSolicitation(packed(LOCAL_TEXT), ASKER)
            )
        )
        other = raw(Ether(src=text(ASKER), dst=text(SECOND)) / IPv6(src="fe80::9", dst=LOCAL_TEXT) / UDP())
        query = raw(
            Ether(src=text(ASKER), dst="33:33:00:00:00:01")
            / IPv6(src="fe80::99", dst="ff02::1", hlim=1)
            / IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])
            / ICMPv6MLQuery2(mladdr="ff02::1:ff00:5")
        )
        frame = bytearray(data.draw(st.sampled_from((good, other, query, b""))))
        for _ in range(data.draw(st.integers(0, 4))):
            if frame:
                frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
        frame += data.draw(st.binary(max_size=80))
        frame = frame[: data.draw(st.integers(0, len(frame)))]
        world.event(HomeFrame("home0", bytes(frame)))
        self.assertLessEqual(len(world.effects), 1)
        self.assertTrue(world.balanced())

    def test_second_addresses(self) -> None:
        """Unicast, locally administered, and not the first."""
        bits = random.Random(3)
        for _ in range(200):
            ours = bytes((bits.getrandbits(8) & 0xFE,)) + bits.randbytes(5)
            second = second_address(ours)
            self.assertEqual(second[0] & 3, 2)
            self.assertNotEqual(second, ours)


