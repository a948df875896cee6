"""Each row of the decision table: the status, and exactly which counters moved."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.codec import encode, seal, to_timestamp
from appliance.protocols.mobility.messages import BU_A, BU_F, BU_H, BU_P, BindingError, HandoverInitiate
from appliance.protocols.mobility.options import (
    AlternateCareOfAddress,
    HomeNetworkPrefix,
    IPv4HomeAddressReply,
    MobileNodeIdentifier,
    ServiceSelection,
    Timestamp,
)
from appliance.protocols.pmipv6.events import Notify, Send, SendIcmp
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.pmipv6.lma_fakes import (
    BAD_MAG,
    DUAL,
    LL2,
    LMA_ADDRESS,
    MAG1,
    MAG2,
    MAG_IPV4,
    MN1,
    STRANGER,
    World,
    option,
    packed,
    prefixes_of,
)

DENY = "binding-update-deny-reasons/"
ADMIN = "update-denied-admin-prohibited-reasons/"
RESOURCE = "update-denied-insufficient-resource-reasons/"
DROP = "binding-updates-discard-reasons/"
INITIAL, REFRESH = "initial-binding-update-requests", "refresh-binding-update-requests"
HANDOFF, DEREG = "handoff-requests", "dereg-requests"


class Rows(SynchronousTestCase):
    """What every row's test needs."""

    def deny(self, world: World, status: int, counter: str, kind: str = INITIAL, **what: Any) -> Any:
        """The update is answered with ``status`` and moves these four counters, each by one."""
        count = world.lma.session_count
        answer = world.send(**what)
        assert answer is not None
        self.assertEqual((answer.status, answer.lifetime), (status, 0))
        rows = (counter, f"{kind}/received", f"{kind}/denied", "binding-acknowledgements-sent/denied")
        self.assertEqual(world.moved(), dict.fromkeys(rows, 1))
        self.assertEqual(world.lma.session_count, count)
        return answer

    def drop(self, world: World, counter: str, kind: str | None, **what: Any) -> None:
        """The update is not answered."""
        self.assertIsNone(world.send(**what))
        self.assertEqual(world.of_kind(SendIcmp), [])
        rows = [counter] + ([f"{kind}/received"] if kind else [])
        self.assertEqual(world.moved(), dict.fromkeys(rows, 1))


class TestHeader(Rows):
    def raw(self, data: bytes, source: bytes = MAG1, port: int = 0) -> tuple[World, dict[str, int]]:
        """A fresh anchor that got these octets, and the counters that moved."""
        world = World()
        world.packet(data, source, port)
        return world, world.moved()

    def test_lengths(self) -> None:
        """Shorter than a header, or than Header Len says: Invalid Buffer Length, no answer."""
        good = World().build()[0]
        for data in (b"", b"\x3b", good[:7], good[:-1], good[:1] + b"\xff" + good[2:]):
            world, moved = self.raw(data)
            self.assertEqual(moved, {DROP + "invalid-buffer-length": 1})
            self.assertEqual(world.effects, [])

    def test_checksum(self) -> None:
        """A wrong checksum is silence; over UDP the host has verified its own."""
        good = World().build()[0]
        _, moved = self.raw(good[:4] + b"\1\2" + good[6:])
        self.assertEqual(moved, {DROP + "checksum-error": 1})
        world, _ = self.raw(good[:4] + b"\0\0" + good[6:], MAG_IPV4, 5436)
        self.assertEqual(world.lma.session_count, 1)

    def seal(self, mh: bytes) -> bytes:
        """With a right checksum."""
        return seal(mh[:4] + b"\0\0" + mh[6:], MAG1, LMA_ADDRESS)

    def test_header_len_below_minimum(self) -> None:
        """RFC 6275 section 9.2: ICMPv6 with the pointer at Header Len, 41."""
        world, moved = self.raw(self.seal(bytes.fromhex("3b00050000000001")))
        rows = (DROP + "invalid-buffer-length", "other-mobility-messages/parameter-problem-sent")
        self.assertEqual(moved, dict.fromkeys(rows, 1))
        icmp = world.of_kind(SendIcmp)[0]
        self.assertEqual((icmp.data[0], icmp.data[1], icmp.data[4:8]), (4, 0, b"\0\0\0\x29"))

    def test_payload_proto(self) -> None:
        """A Payload Proto other than 59 is a decode failure and an ICMPv6 with pointer 40."""
        good = World().build()[0]
        world, moved = self.raw(self.seal(b"\x06" + good[1:]))
        rows = (DROP + "decode-failure", "other-mobility-messages/parameter-problem-sent")
        self.assertEqual(moved, dict.fromkeys(rows, 1))
        self.assertEqual(world.of_kind(SendIcmp)[0].data[4:8], b"\0\0\0\x28")

    def test_no_icmp_over_udp(self) -> None:
        """Over UDP there is no IPv6 packet to point into."""
        good = World().build()[0]
        world, _ = self.raw(b"\x06" + good[1:], MAG_IPV4, 5436)
        self.assertEqual(world.effects, [])

    def test_options_that_do_not_parse(self) -> None:
        """An option past the end, of wrong length, or a single one twice: decode failure."""
        head = bytes.fromhex("3b010500000000018200 0384".replace(" ", ""))
        twice = World().build(extra=[MobileNodeIdentifier(1, b"x@y")])[0]
        for data in (self.seal(head + b"\x16\x12\0\0"), self.seal(head + b"\x17\x01\0\0"), twice):
            world, moved = self.raw(data)
            self.assertEqual(moved, {DROP + "decode-failure": 1})
            self.assertEqual(world.effects, [])

    def test_unknown_type(self) -> None:
        """An unknown MH Type is answered by Binding Error status 2, but only so many a second."""
        world = World()
        data = self.seal(bytes.fromhex("3b01630000000000") + bytes(8))
        for _ in range(50):
            world.packet(data)
        self.assertEqual(world.value("other-mobility-messages/unknown-type"), 50)
        self.assertEqual(world.value("other-mobility-messages/binding-error-sent"), 10)
        world.mono += 1
        world.packet(data)
        sent = world.of_kind(Send)[0]
        self.assertEqual(sent.data, seal(encode(BindingError(2, bytes(16))), LMA_ADDRESS, MAG1))

    def test_other_messages(self) -> None:
        """A message of a known type that is no binding update is ignored and counted."""
        _, moved = self.raw(self.seal(encode(HandoverInitiate(1, 0, 0))))
        rows = ("other-mobility-messages/received", "other-mobility-messages/ignored")
        self.assertEqual(moved, dict.fromkeys(rows, 1))


class TestRows(Rows):
    def test_not_unicast(self) -> None:
        """A message from an address that is no single host's gets no answer of any kind."""
        for source in ("::", "ff02::1", "::1"):
            self.drop(World(), DROP + "other", INITIAL, source=packed(source))

    def test_unknown_gateway(self) -> None:
        """An unlisted gateway gets 154, or silence as configured; the log is not flooded."""
        world = World()
        self.deny(world, 154, DENY + "not-authorized-for-proxy-reg", source=STRANGER)
        self.assertEqual(len(world.of_kind(Notify)), 1)
        self.deny(world, 154, DENY + "not-authorized-for-proxy-reg", source=STRANGER)
        self.assertEqual(world.of_kind(Notify), [])
        self.deny(world, 154, DENY + "not-authorized-for-proxy-reg", source=STRANGER, later=11)
        self.assertIn("(1 more like this)", world.of_kind(Notify)[0].text)
        self.drop(World(unknown_peer="discard"), DROP + "other", INITIAL, source=STRANGER)

    def test_prohibited_gateway(self) -> None:
        """A listed gateway that is not allowed gets 154 even where strangers get silence."""
        world = World(unknown_peer="discard")
        self.deny(world, 154, DENY + "not-authorized-for-proxy-reg", source=BAD_MAG)

    def test_flags(self) -> None:
        """P=0 is no proxy registration; A=0 contradicts itself; H is asked for only by policy."""
        self.drop(World(), DROP + "other", INITIAL, flags=BU_A)
        answer = self.deny(World(), 131, DENY + "other", flags=BU_A | BU_H)
        self.assertEqual(answer.flags, 0)
        self.deny(World(), 129, ADMIN + "bad-request", flags=BU_P)
        self.deny(World(h_bit_required=True), 129, ADMIN + "h-bit-not-set")

    def test_missing_mn_id(self) -> None:
        """No MN-ID, or an empty one: 160 before anything that follows."""
        for mn in (None, b"", b"\0\0"):
            self.deny(World(), 160, DENY + "missing-mn-id-option", mn=mn, hi=None, prefixes=[])

    def test_mobile_policy(self) -> None:
        """154 for the wrong gateway, 153 for an unknown mobile, 152 without permission, 151 for a service."""
        mine = Profile(name="mn1", mn_id=MN1, mags=(MAG2,))
        self.deny(World(profiles=(mine,)), 154, DENY + "not-authorized-for-proxy-reg")
        self.deny(World(unknown_subscriber="reject"), 153, DENY + "not-lma-for-mobile")
        barred = Profile(name="mn1", mn_id=MN1, pmipv6=False)
        self.deny(World(profiles=(barred,)), 152, DENY + "proxy-reg-not-enabled")
        limited = Profile(name="mn1", mn_id=MN1, services=(b"internet",))
        service = ServiceSelection(b"ims")
        self.deny(World(profiles=(limited,)), 151, DENY + "service-authorization-failed", extra=[service])

    def test_refused_service_ends_its_session(self) -> None:
        """RFC 5149 section 3: the session of a refused service is deleted."""
        world = World(profiles=(Profile(name="mn1", mn_id=MN1, services=(b"internet",)),))
        world.send(extra=[ServiceSelection(b"internet")])
        answer = world.send(extra=[ServiceSelection(b"ims")], hi=5, sequence=2)
        assert answer is not None
        self.assertEqual((answer.status, world.lma.session_count), (151, 0))

    def test_timestamps(self) -> None:
        """Lower than the last is 157; equal with other content, or off our clock, is 156."""
        world = World()
        world.send()
        last = world.now.wall
        answer = self.deny(world, 157, DENY + "timestamp-lower-than-expected", REFRESH, time=last - 0.1, hi=5)
        self.assertEqual(option(answer, Timestamp).value, to_timestamp(world.now.wall))
        self.deny(world, 156, DENY + "timestamp-mismatch", REFRESH, time=last, hi=5)
        self.deny(world, 156, DENY + "timestamp-mismatch", REFRESH, time=world.now.wall + 0.4, hi=5)
        fresh = World()
        self.deny(fresh, 156, DENY + "timestamp-mismatch", time=fresh.now.wall - 0.4)
        self.deny(fresh, 156, DENY + "timestamp-mismatch", time=0)

    def test_no_window(self) -> None:
        """Times of the mobile's own clock have no window; without validation there is no order either."""
        world = World(mobile_node_generated_timestamp=True)
        self.assertEqual(world.send(time=5.0).status, 0)
        self.deny(world, 157, DENY + "timestamp-lower-than-expected", REFRESH, time=4.0)
        world = World(timestamp_option_validation=False)
        self.assertEqual(world.send(time=5.0).status, 0)
        self.assertEqual(world.send(time=4.0, sequence=2).status, 0)
        self.deny(world, 135, DENY + "sequence-out-of-window", REFRESH, time=9.0, sequence=2, hi=5)

    def test_sequence_window(self) -> None:
        """After 15, 0..15 and 32783..65535 are out of window; the answer has the last accepted one."""
        for new in (0, 14, 32783, 65535):
            world = World()
            world.send(time=None, sequence=15)
            answer = self.deny(
                world, 135, DENY + "sequence-out-of-window", REFRESH, time=None, sequence=new, hi=5
            )
            self.assertEqual(answer.sequence, 15)
        for new in (16, 32782):
            world = World()
            world.send(time=None, sequence=15)
            self.assertEqual(world.send(time=None, sequence=new, hi=5).status, 0)
        world = World(sequence_number_validate=False)
        world.send(time=None, sequence=15)
        self.assertEqual(world.send(time=None, sequence=3, hi=5).status, 0)

    def test_mandatory_options_in_order(self) -> None:
        """158 before 161 before 162; the answer has zero values for what was missing."""
        answer = self.deny(World(), 158, DENY + "missing-hnp-option", prefixes=[], hi=None, att=None)
        self.assertEqual(prefixes_of(answer), [("::", 0)])
        self.deny(World(), 161, DENY + "missing-handoff-ind-option", hi=None, att=None)
        self.deny(World(), 162, DENY + "missing-access-tech-option", att=None)

    def test_families(self) -> None:
        """173 for two IPv4 requests, 172 and 170 for a family that the mobile may not use."""
        self.deny(World(), 173, DENY + "other", ipv4=["0.0.0.0", "0.0.0.0"])
        only4 = Profile(name="d", ipv6=False, ipv4=True)
        self.deny(World(default_profile=only4), 172, DENY + "other")
        only6 = Profile(name="d")
        answer = self.deny(World(default_profile=only6), 170, DENY + "other", ipv4=["0.0.0.0"])
        self.assertEqual(option(answer, IPv4HomeAddressReply).status, 129)

    def test_contradicting_prefixes(self) -> None:
        """Several zero prefixes, or zero beside another, make no sense."""
        self.deny(World(), 129, ADMIN + "bad-request", prefixes=[("::", 0), ("::", 0)])
        self.deny(World(), 129, ADMIN + "bad-request", prefixes=[("::", 0), ("2001:db8:1::", 64)])

    def test_encapsulation_policy(self) -> None:
        """Forced UDP that is not accepted is 129; GRE that is required and not asked for is 163."""
        world = World()
        flags = BU_A | BU_P | BU_F
        self.deny(world, 129, ADMIN + "policy-rejected", flags=flags, source=MAG_IPV4, port=5436)
        self.deny(World(gre="required"), 163, DENY + "gre-key-option-required")

    def test_alternate_care_of_address(self) -> None:
        """Another care-of address only where allowed, and only one of a gateway that is."""
        extra = [AlternateCareOfAddress(MAG2)]
        self.deny(World(), 129, ADMIN + "policy-rejected", extra=extra)
        stranger = [AlternateCareOfAddress(STRANGER)]
        world = World(alt_coa_allowed=True)
        self.deny(world, 154, DENY + "not-authorized-for-proxy-reg", extra=stranger)
        self.assertEqual(world.send(extra=extra).status, 0)
        entry = next(world.lma.sessions())
        self.assertEqual((entry.care_of, world.of_kind(Send)[0].destination), (MAG2, MAG1))

    def test_prefix_of_another(self) -> None:
        """155 for a prefix that another mobile has, that is not ours, or that is not permitted."""
        world = World()
        prefixes = prefixes_of(world.send())
        other = {"mn": b"mn2@example.org", "prefixes": prefixes}
        self.deny(world, 155, DENY + "not-authorized-for-hnp", **other)
        self.deny(world, 155, DENY + "not-authorized-for-hnp", prefixes=[("2001:db8:77::", 64)])
        self.deny(world, 155, DENY + "not-authorized-for-hnp", prefixes=[("2001:db8:1:9::", 64)])

    def test_other_prefix_set(self) -> None:
        """159 when one of the prefixes is the session's and the whole sets differ."""
        world = World()
        prefixes = prefixes_of(world.send())
        more = [*prefixes, ("2001:db8:1:9::", 64)]
        answer = self.deny(world, 159, DENY + "bce-prefix-do-not-match", prefixes=more)
        self.assertEqual(len([one for one in answer.options if isinstance(one, HomeNetworkPrefix)]), 2)

    def test_session_not_found(self) -> None:
        """A de-registration that matches nothing, or not from the serving gateway, is silence."""
        world = World()
        self.drop(world, DROP + "session-not-found", DEREG, lifetime=0)
        prefixes = prefixes_of(world.send())
        left = {"lifetime": 0, "prefixes": prefixes}
        self.drop(world, DROP + "session-not-found", DEREG, source=MAG2, **left)
        self.drop(world, DROP + "session-not-found", DEREG, ll=LL2, att=5, source=MAG2, **left)
        self.assertEqual(next(world.lma.sessions()).state, "active")

    def test_ipv4_address_of_another(self) -> None:
        """171 for an IPv4 address that is taken or not permitted; the reply option says prohibited."""
        world = World()
        for address in ("203.0.113.15", "192.0.2.200"):
            answer = self.deny(world, 171, ADMIN + "hoa-not-authorized", ipv4=[address])
            self.assertEqual(option(answer, IPv4HomeAddressReply).status, 129)
        world.send(ipv4=["0.0.0.0"])
        held = next(world.lma.sessions()).ipv4_address
        text = ".".join(str(octet) for octet in held or b"")
        self.deny(world, 171, ADMIN + "hoa-not-authorized", ipv4=[text], mn=b"x@y")

    def test_exhaustion(self) -> None:
        """130 when no address is left, and the prefix that was taken meanwhile goes back."""
        world = World(default_profile=DUAL)
        for number in range(11):
            self.assertEqual(world.send(mn=b"mn%d@x" % number, ipv4=["0.0.0.0"]).status, 0)
        answer = self.deny(world, 130, RESOURCE + "address-alloc-failed", mn=b"mn99@x", ipv4=["0.0.0.0"])
        self.assertEqual(option(answer, IPv4HomeAddressReply).status, 128)
        self.assertEqual(world.lma._sessions.pools.prefixes[0].in_use, 11)
        self.deny(World(prefix_pools=()), 130, RESOURCE + "address-alloc-failed")

    def test_limits(self) -> None:
        """130 beyond max-subscribers, and beyond what one mobile may have."""
        world = World(max_subscribers=1)
        world.send()
        self.deny(world, 130, RESOURCE + "session-manager-rejected", mn=b"mn2@x")
        world = World()
        for number in range(32):
            self.assertEqual(world.send(ll=b"\2\0\0\0\0%c" % number).status, 0)
        self.deny(world, 130, RESOURCE + "simul-bindings-exceeded", ll=b"\2\0\0\0\1\0")

    def test_classes_before_the_look_up(self) -> None:
        """Refused before the look-up, the Handoff Indicator tells the class."""
        cases = ((1, 9, INITIAL), (2, 9, HANDOFF), (3, 9, HANDOFF), (5, 9, REFRESH), (5, 0, DEREG))
        for hi, lifetime, kind in cases:
            key = DENY + "not-authorized-for-proxy-reg"
            self.deny(World(), 154, key, kind, source=STRANGER, hi=hi, lifetime=lifetime)

    def test_accepted(self) -> None:
        """An accepted first registration moves exactly these."""
        world = World()
        self.assertEqual(world.send().status, 0)
        acks = "binding-acknowledgements-sent/"
        rows = [f"{INITIAL}/received", f"{INITIAL}/accepted"]
        rows += [acks + "accepted-reg", acks + "accepted-init-reg"]
        self.assertEqual(world.moved(), dict.fromkeys(rows, 1))
