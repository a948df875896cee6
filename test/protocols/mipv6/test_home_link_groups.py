"""Membership in the solicited-node groups of defended addresses (RFC 4861 section 7.2.8, RFC 3810)."""

from typing import Any

from scapy.compat import raw
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
    in6_chksum,
)
from scapy.layers.l2 import Ether
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6 import home_link_groups
from appliance.protocols.mipv6.events import HomeFrame
from test.protocols.mipv6.test_home_link import ASKER, FLAGS, OURS, LinkWorld, text
from test.protocols.pmipv6.lma_fakes import packed


class GroupTests(SynchronousTestCase):
    """Membership in solicited-node groups (RFC 4861 section 7.2.8), for switches that look into MLD."""

    def query(self, world: LinkWorld, message: Any, hops: int = 1, source: str = "fe80::99") -> list[Ether]:
        """A query; returns the reports."""
        header = IPv6(src=source, dst="ff02::1", hlim=hops) / IPv6ExtHdrHopByHop(
            options=[RouterAlert(value=0)]
        )
        frame = raw(Ether(src=text(ASKER), dst="33:33:00:00:00:01") / header / message)
        world.event(HomeFrame("home0", frame))
        return world.reports()

    def groups(self, frames: list[Ether]) -> list[str]:
        """The groups of reports, each of which is as RFC 3810 section 5.2 has it."""
        found = []
        for each in frames:
            ends = (each.src, each.dst, each[IPv6].src, each[IPv6].dst, each[IPv6].hlim)
            self.assertEqual(ends, (text(OURS), "33:33:00:00:00:16", "fe80::1", "ff02::16", 1))
            self.assertEqual(each[IPv6ExtHdrHopByHop].options[0].value, 0)
            self.assertEqual(in6_chksum(58, each[IPv6], raw(each[ICMPv6MLReport2])), 0)
            # Scapy takes what follows the first record for its payload.
            records = raw(each[ICMPv6MLReport2])[8:]
            self.assertEqual(len(records), 20 * each[ICMPv6MLReport2].records_number)
            for at in range(0, len(records), 20):
                record = ICMPv6MLDMultAddrRec(records[at : at + 20])
                self.assertEqual((record.sources_number, record.auxdata_len), (0, 0))
                found.append(record.dst)
        return found

    def test_a_new_binding_is_reported(self) -> None:
        """By two State Change Reports, as one may be lost."""
        world = LinkWorld()
        world.register(flags=FLAGS)
        self.assertEqual(self.groups(world.reports()), ["ff02::1:ff00:5"])
        self.assertEqual(world.reports()[0][ICMPv6MLReport2].records[0].rtype, 4)
        again = []
        for _ in range(4):
            world.pass_time(1.1)
            again += world.reports()
        self.assertEqual(self.groups(again), ["ff02::1:ff00:5"])

    def test_a_general_query(self) -> None:
        """All groups once, within the time of the query; another one a moment later changes nothing."""
        self.patch(home_link_groups, "RECORDS", 2)
        world = LinkWorld()
        for number in range(0x10, 0x15):
            world.register(home=packed(f"2001:db8:100::{number:x}"))
        for _ in range(5):
            world.pass_time(1.1)
        for message in (ICMPv6MLQuery2(mrd=1000), ICMPv6MLQuery(mrd=1000)):
            found, began = self.groups(self.query(world, message)), world.mono
            self.query(world, message)
            for _ in range(30):
                world.pass_time(0.1)
                found += self.groups(world.reports())
                if found and world.reports():
                    self.assertLessEqual(world.mono - began, 1.0)
            self.assertEqual(sorted(found), [f"ff02::1:ff00:{number:x}" for number in range(0x10, 0x15)])
            world.pass_time(5)

    def test_a_query_about_one_group(self) -> None:
        """Of a solicited-node group we are a member; of another one the kernel may be."""
        world = LinkWorld()
        found = self.query(world, ICMPv6MLQuery2(mladdr="ff02::1:ff00:5", mrd=1000))
        self.assertEqual(self.groups(found), ["ff02::1:ff00:5"])
        self.assertEqual(self.query(world, ICMPv6MLQuery2(mladdr="ff02::5", mrd=1000)), [])

    def test_what_is_no_query(self) -> None:
        """RFC 3810 section 6.2: from far away, or from no link-local address."""
        world = LinkWorld()
        good = ICMPv6MLQuery2(mladdr="ff02::1:ff00:5")
        self.assertEqual(self.query(world, good, hops=64), [])
        self.assertEqual(self.query(world, good, source="2001:db8:100::80"), [])
        self.assertEqual(self.query(world, ICMPv6MLQuery2(mladdr="ff02::1:ff00:5", cksum=1)), [])
