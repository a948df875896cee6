"""RFC 4285 against worked messages: a Binding Update with both options, its answer, and a bare one."""

import hmac
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mobility.rfc4285 import (
    covered,
    mac_mobility_data,
    mn_aaa_authenticator,
    mn_ha_authenticator,
    same,
)

UPDATE = bytes.fromhex(
    "3b0b050046120064c0000096081201616c696365406578616d706c652e6f726701000a08e8fe6f80123456780009110100"
    "0001009e73455350dbec3a033859470103000000091902000000031d7b09fd4b1e3d7ced6a2f55c81b4eefafa745a2"
)
ANSWER = bytes.fromhex(
    "3b0706008c9a000000640096081201616c696365406578616d706c652e6f726701000a08e8fe6f80123456780009110100"
    "0001007ae1b296ff557ad515172c77"
)
CARE_OF, HOME = ip_address("2001:db8:c::99").packed, ip_address("2001:db8:100::5").packed
MN_HA_KEY, MN_AAA_KEY = bytes(range(16)), b"0123456789abcdef"
#: Places of the options.
MN_HA, MN_AAA = 45, 69


class TestVectors(SynchronousTestCase):
    def test_update(self) -> None:
        """Both authenticators of a Binding Update, whatever checksum it was sent with."""
        data = covered(UPDATE, MN_HA)
        self.assertEqual(len(data), 52)
        self.assertEqual(mn_ha_authenticator(MN_HA_KEY, CARE_OF, HOME, data), UPDATE[52:64])
        digest = mac_mobility_data(CARE_OF, HOME, covered(UPDATE, MN_AAA))
        self.assertEqual(digest.hex(), "bb1cea35ca4fb3784a47e913196817fc9dd8901f")
        self.assertEqual(mn_aaa_authenticator(MN_AAA_KEY, digest), UPDATE[76:])

    def test_acknowledgement(self) -> None:
        """The MN-HA authenticator of the answer, over the same two addresses."""
        data = covered(ANSWER, MN_HA)
        self.assertTrue(same(mn_ha_authenticator(MN_HA_KEY, CARE_OF, HOME, data), ANSWER[52:]))
        self.assertFalse(same(mn_ha_authenticator(MN_HA_KEY, HOME, CARE_OF, data), ANSWER[52:]))

    def test_digest_alone(self) -> None:
        """The values that a home agent puts into a MIR."""
        data = bytes.fromhex(
            "3b08050000000001c000004b0811016d6e3140686f6d652e6578616d706c650101000a08eeae62f080000000"
            "0009190200000003"
        )
        care_of, home = ip_address("2001:db8:99::10").packed, ip_address("2001:db8:1:2::100").packed
        digest = mac_mobility_data(care_of, home, data)
        self.assertEqual(digest.hex(), "5a9cbd55236d964dd66f7b8c3b4b28e489518435")
        made = mn_aaa_authenticator(b"mn1-aaa-secret-0", digest)
        self.assertEqual(made.hex(), "8364e92ecd868017ccaf13080fbd121f7227a9bf")

    def test_hmac(self) -> None:
        """It is the library's HMAC for a key of any length, kept or not."""
        for size in (1, 16, 63, 64, 65, 127):
            key = bytes(range(size))
            for data in (b"", b"x", bytes(300)):
                wanted = hmac.new(key, CARE_OF + HOME + data, "sha1").digest()[:12]
                for _ in range(2):
                    self.assertEqual(mn_ha_authenticator(key, CARE_OF, HOME, data), wanted)

    def test_cut_off(self) -> None:
        """An option that is not whole, or would lie in the header, covers nothing."""
        for place in (len(UPDATE) - 6, len(UPDATE), 5, -1):
            self.assertRaises(ValueError, covered, UPDATE, place)
