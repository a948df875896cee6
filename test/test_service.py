"""The small pure parts of the services: texts, filters, aggregate routes."""

import fnmatch
import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config_plan import outermost
from appliance.service import address_bytes, encapsulation_text
from appliance.views import matcher
from appliance.wildcards import Exact


def network(text: str) -> tuple[bytes, int]:
    """Packed prefix and length of a network in text form."""
    parsed = ipaddress.ip_network(text)
    return parsed.network_address.packed, parsed.prefixlen


class TextTests(SynchronousTestCase):
    def test_wildcards(self) -> None:
        """``*`` stands for any run of characters, ``$`` for one, anything else for itself."""
        for wanted, name, fits in (
            ("mn*@example.org", "mn1@example.org", True),
            ("mn$@example.org", "mn12@example.org", False),
            ("mn$@example.org", "mn1@example.org", True),
            ("mn.@example.org", "mn1@example.org", False),
        ):
            self.assertEqual(matcher(wanted)(name), fits, (wanted, name))
            self.assertFalse(matcher(Exact(wanted))(name))
            self.assertTrue(matcher(Exact(wanted))(wanted))

    @given(st.text("ab*$", max_size=8), st.text("ab", max_size=8))
    def test_wildcards_as_fnmatch(self, wanted: str, name: str) -> None:
        """The same as with the shell's wildcards, and in no time on a name made to take long."""
        self.assertEqual(matcher(wanted)(name), fnmatch.fnmatchcase(name, wanted.replace("$", "?")))
        self.assertFalse(matcher("*a" * 60 + "b")("a" * 253))

    def test_address_of_a_prefix(self) -> None:
        """A filter may be an address or a prefix."""
        self.assertEqual(address_bytes("2001:db8:1::/64"), ipaddress.ip_address("2001:db8:1::").packed)

    def test_encapsulation_names(self) -> None:
        """The names are those of the counters."""
        for wanted, peer, *form in (
            ("6in6, 4in6", bytes(16), True, True, False, False),
            ("IPv6 GRE (IPv6)", bytes(16), True, False, True, False),
            ("6in4, 4in4", bytes(4), True, True, False, False),
            ("IPv4 GRE (IPv4)", bytes(4), False, True, True, False),
            ("IPv4 UDP (IPv4)", bytes(4), False, True, False, True),
            ("IPv4 UDP TLV (IPv6)", bytes(4), True, False, False, True, True),
            ("IPv4 UDP TLV GRE (IPv6), IPv4 UDP TLV GRE (IPv4)", bytes(4), True, True, True, True, True),
        ):
            self.assertEqual(encapsulation_text(peer, *form), wanted)

    def test_aggregate_routes(self) -> None:
        """A prefix inside a pool needs no route of its own."""
        pools = [network("2001:db8:1::/48"), network("2001:db8:1:7::/64"), network("203.0.113.0/24")]
        self.assertEqual(sorted(outermost(pools)), sorted([pools[0], pools[2]]))
