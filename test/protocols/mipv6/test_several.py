"""RFC 5648: several care-of addresses, one by one and in bulk."""

from appliance.protocols.mobility.messages import BU_A, BU_H, BU_O
from appliance.protocols.mobility.options import BindingIdentifier
from appliance.protocols.pmipv6.events import Install, Remove
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, CARE1, CARE2, CARE3, HOME, HostWorld, bid
from test.protocols.mipv6.test_hosts import DENY, HANDOFF, INITIAL, LEAVE, REFRESH, HostCase
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, packed

SIMUL = "update-denied-insufficient-resource-reasons/simul-bindings-exceeded"
OVERWRITE = BU_A | BU_H | BU_O


class SeveralTests(HostCase):
    """What is registered under which number."""

    def setUp(self) -> None:
        """Three at a time."""
        self.with_settings(simul_bindings=3)

    def bids(self, world: HostWorld) -> list[tuple[int, int, bytes]]:
        """The Binding Identifier options of the last answer: number, status, care-of address."""
        answer = world.reply()
        assert answer is not None
        found = [each for each in answer.options if isinstance(each, BindingIdentifier)]
        return [(each.bid, each.status, each.care_of) for each in found]

    def test_one_by_one(self) -> None:
        """Each update adds one; packets go to the lowest number and may come from all."""
        self.assertEqual(self.world.host(bids=[bid(2, CARE1)]).status, 0)
        self.assertEqual(self.bids(self.world), [(2, 0, b"")])
        self.assertEqual(self.world.of_kind(Install)[0].peer, CARE1)
        self.world.host(care_of=CARE2, bids=[bid(1, CARE2)])
        made = self.world.of_kind(Install)[0]
        self.assertEqual((made.peer, made.others), (CARE2, (CARE1,)))
        shown = dict(self.world.lma.details(next(iter(self.world.lma.sessions()))))
        self.assertEqual(shown["Care-of address BID 1"], "2001:db8:c::98 (primary)")
        self.assertEqual(self.world.host(bids=[bid(2)]).status, 0)
        self.assertEqual(self.world.of_kind(Install), [])

    def test_bulk(self) -> None:
        """Several in one update; what fails of them has its status in its option, and the whole is 4."""
        answer = self.world.host(bids=[bid(1, CARE1), bid(2, CARE2)])
        self.assertEqual((answer.status, self.bids(self.world)), (0, [(1, 0, b""), (2, 0, b"")]))
        answer = self.world.host(bids=[bid(1, CARE1), bid(9), bid(0, CARE3), bid(4, packed("192.0.2.1"))])
        self.assertEqual(answer.status, 4)
        self.assertEqual(self.bids(self.world), [(1, 0, b""), (9, 167, b""), (0, 164, b""), (4, 168, b"")])
        answer = self.world.host(bids=[bid(3, CARE3), bid(5, packed("2001:db8:c::5"))])
        self.assertEqual((answer.status, self.bids(self.world)[1]), (4, (5, 130, b"")))

    def test_refusals(self) -> None:
        """164 to 169 and 130, each with its counter."""
        self.denied(167, f"{DENY}/mcoa-unknown-coa", bids=[bid(7)])
        self.denied(164, f"{DENY}/other", bids=[bid(0, CARE1)])
        self.denied(164, f"{DENY}/other", bids=[bid(1, packed("ff02::1"))])
        self.denied(169, f"{DENY}/other", bids=[bid(1, b"", 1)])
        # RFC 5648 section 6.2: unicast routable; and none of the home agent's own.
        for address in (packed("fe80::1"), packed("::1"), LMA_ADDRESS):
            self.denied(164, f"{DENY}/other", bids=[bid(1, address)])
        self.world.host()
        self.denied(165, f"{DENY}/other", REFRESH, bids=[bid(1, CARE1)])
        self.with_settings(mipv6_multiple="prohibited")
        self.denied(166, f"{DENY}/other", bids=[bid(1, CARE1)])
        self.with_settings(mipv6_multiple="single", simul_bindings=1)
        self.denied(168, f"{DENY}/other", bids=[bid(1, CARE1), bid(2, CARE2)])
        self.world.host(bids=[bid(1, CARE1)])
        self.denied(130, SIMUL, HANDOFF, care_of=CARE2, bids=[bid(2, CARE2)])

    def test_too_many(self) -> None:
        """What no answer has room for is not answered, and raises nothing."""
        for number in (65, 339):
            options = [bid(each + 1) for each in range(number)]
            self.assertIsNone(self.world.inside(bids=options, own=None, key=None, mn=None))
            self.assertEqual(self.world.moved(), {"binding-updates-discard-reasons/decode-failure": 1})
        self.assertEqual(self.world.host(bids=[bid(each + 1) for each in range(64)]).status, 167)

    def test_wrong_length(self) -> None:
        """RFC 5648 section 6.2: 164 and no silence, once it is known whose update it is."""
        known = Profile(name="a", mn_id=ALICE, home_addresses=(HOME,))
        self.with_settings(mipv6_authentication="optional", profiles=(known,))
        mh = self.world.update(bids=[bid(1, CARE1)], key=None)
        at = mh.index(bytes((35, 20)))
        odd = mh[:at] + bytes((35, 19)) + mh[at + 2 : at + 21] + b"\0" + mh[at + 22 :]
        answer = self.world.carry(odd, HOME, CARE1)
        assert answer is not None
        self.assertEqual((answer.status, self.world.moved()[f"{DENY}/other"]), (164, 1))

    def test_overwrite_and_plain_replace(self) -> None:
        """With O what is there goes; so it does when an update has no number."""
        self.world.host()
        self.assertEqual(self.world.host(flags=OVERWRITE, bids=[bid(1, CARE1)]).status, 0)
        self.world.host(bids=[bid(2, CARE2)])
        self.world.host(flags=OVERWRITE, bids=[bid(3, CARE3)])
        self.assertEqual(
            (self.world.of_kind(Install)[0].peer, self.world.of_kind(Install)[0].others), (CARE3, ())
        )
        self.world.host(care_of=CARE2)
        self.assertEqual(self.world.of_kind(Install)[0].peer, CARE2)
        self.denied(165, f"{DENY}/other", REFRESH, bids=[bid(3, CARE2)])

    def test_leaving(self) -> None:
        """Only what is named goes; 133 for what is not there; a plain de-registration takes all."""
        self.world.host(bids=[bid(1, CARE1), bid(2, CARE2)])
        self.denied(133, f"{DENY}/other", LEAVE, lifetime=0, bids=[bid(5)])
        self.assertEqual(self.world.host(lifetime=0, bids=[bid(1)]).status, 0)
        self.assertEqual(self.world.of_kind(Install)[0].peer, CARE2)
        self.assertEqual(self.world.host(lifetime=0, bids=[bid(2)]).status, 0)
        self.assertEqual(len(self.world.of_kind(Remove)), 1)
        self.world.host(bids=[bid(1, CARE1), bid(2, CARE2)])
        self.assertEqual(self.world.host(lifetime=0).status, 0)
        self.assertEqual(len(self.world.of_kind(Remove)), 1)

    def test_each_has_its_lifetime(self) -> None:
        """One that is not refreshed goes alone; the last one takes the binding with it."""
        self.world.host(bids=[bid(1, CARE1)], lifetime=5)
        self.world.host(bids=[bid(2, CARE2)], lifetime=20)
        self.world.pass_time(21)
        self.assertEqual(self.world.of_kind(Install)[0].peer, CARE2)
        self.assertEqual(self.world.value("total-disconnects/lifetime-expiry"), 0)
        self.world.pass_time(61)
        self.assertEqual(self.world.value("total-disconnects/lifetime-expiry"), 1)

    def test_home_and_foreign(self) -> None:
        """Where it is allowed: status 5, and packets go abroad; at home only is no binding."""
        self.with_settings(simul_bindings=3, mipv6_home_and_foreign=True)
        answer = self.world.host(bids=[bid(1, b"", 1), bid(2, CARE2)])
        self.assertEqual((answer.status, self.bids(self.world)), (5, [(1, 5, b""), (2, 0, b"")]))
        made = self.world.of_kind(Install)[0]
        self.assertEqual((made.peer, made.others), (CARE2, ()))
        self.world.host(lifetime=0)
        self.world.pass_time(11)
        self.denied(169, f"{DENY}/other", INITIAL, bids=[bid(1, b"", 1)])
