"""``require ipsec`` in the core: what a security association has covered, and what not."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.events import ProtectedReceived, SendRouted
from appliance.protocols.mobility import discovery_messages as icmp
from appliance.protocols.mobility.codec import seal
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.mipv6.fakes import ALICE, CARE1, CARE2, HOME, HOME2, HostWorld
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS

DISCARD = "binding-updates-discard-reasons/other"
OWN = Profile(name=ALICE.decode(), mn_id=ALICE, home_addresses=(HOME,))


class IpsecTests(SynchronousTestCase):
    """A home agent that hears protected messages only."""

    def setUp(self) -> None:
        """A fresh one."""
        self.world = HostWorld(mipv6_require_ipsec=True, profiles=(OWN,))

    def protected(self, care_of: bytes = CARE1, **what: Any) -> Any:
        """Bring an update in as the kernel gives it; without a key unless one is named."""
        fields: dict[str, Any] = {"key": None, "mn": None, "care_of": CARE2, "alternate": CARE1, **what}
        mh = seal(self.world.update(**fields), fields.get("home", HOME), LMA_ADDRESS)
        return self.bring(mh, fields.get("home", HOME), care_of)

    def bring(self, data: bytes, home: bytes, care_of: bytes, protocol: int = 135) -> Any:
        """Bring octets in."""
        self.world._before = self.world.counters.snapshot()
        event = ProtectedReceived(data, home, LMA_ADDRESS, care_of, protocol)
        self.world.lma.receive(event, self.world.now)
        self.world.effects = self.world.lma.take()
        return self.world.reply()

    def test_accepted(self) -> None:
        """Known by the home address alone; the answer goes to where the packet came from."""
        answer = self.protected()
        self.assertEqual(answer.status, 0)
        (sent,) = self.world.of_kind(SendRouted)
        self.assertEqual((sent.destination, sent.home), (CARE1, HOME))
        (entry,) = self.world.lma.sessions()
        self.assertEqual((entry.mn_id, entry.care_of), (ALICE, CARE1))
        self.assertEqual(self.protected(lifetime=0).status, 0)

    def test_at_home(self) -> None:
        """Without a Home Address option the answer has no routing header, but goes by the same socket."""
        self.protected()
        answer = self.protected(care_of=b"", alternate=HOME, lifetime=0)
        self.assertEqual((answer.status, answer.lifetime), (0, 0))
        (sent,) = self.world.of_kind(SendRouted)
        self.assertEqual((sent.destination, sent.home), (HOME, HOME))

    def test_without_alternate_care_of_address(self) -> None:
        """RFC 6275 section 11.7.1: nobody knows whether the source is the host's."""
        self.assertIsNone(self.protected(care_of=CARE2, alternate=CARE2))
        self.assertEqual(self.world.moved(), {DISCARD: 1})

    def test_names(self) -> None:
        """An association speaks for a home address, not for any name."""
        self.assertEqual(self.protected(mn=ALICE).status, 0)
        self.assertEqual(self.protected(mn=ALICE, home=HOME2).status, 129)
        self.assertEqual(self.protected(mn=b"carol@example.org", home=HOME2).status, 129)
        self.assertEqual(self.protected(home=HOME2).status, 0)

    def test_unprotected(self) -> None:
        """By Home Address option it is counted; without one it may be a copy, and is not."""
        self.assertIsNone(self.world.host(key=None, mn=None))
        self.assertEqual(self.world.moved(), {DISCARD: 1})
        self.assertIsNone(self.world.plain(self.world.update(key=None, care_of=HOME, lifetime=0), HOME))
        self.assertEqual(self.world.moved(), {})

    def test_prefixes(self) -> None:
        """A protected solicitation is answered."""
        self.protected()
        self.world.mono += 2
        message = icmp.solicitation(7, HOME, LMA_ADDRESS)
        self.bring(message, HOME, CARE1, icmp.ICMPV6)
        (sent,) = self.world.of_kind(SendRouted)
        self.assertEqual((sent.protocol, sent.destination), (icmp.ICMPV6, CARE1))
        self.assertEqual(icmp.read_prefixes(sent.data)[0], 7)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=60), st.sampled_from([135, 58]), st.sampled_from([b"", CARE1, bytes(16)]))
    def test_anything(self, data: bytes, protocol: int, care_of: bytes) -> None:
        """Nothing raises."""
        self.bring(data, HOME, care_of, protocol)
        self.assertTrue(self.world.balanced())
