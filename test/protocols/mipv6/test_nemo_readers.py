"""Updates, acknowledgements and DHCPv6 of mobile routers, read by tshark; and what is left of a service."""

import gc
import shutil
import struct
import subprocess
import weakref
from pathlib import Path
from typing import Any

from scapy.layers.inet6 import ICMPv6ND_NA
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.mipv6.events import SendRouted
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6, build_udp, routed
from appliance.protocols.pmipv6.lma_aaa import subject_of
from test.protocols.mipv6.fakes import ALICE, CARE1, HOME
from test.protocols.mipv6.test_home_link import HOME_TEXT, LinkWorld
from test.protocols.mipv6.test_nemo import NET1, NET2, ROUTER, mnp, profile
from test.protocols.mipv6.test_nemo_delegation import PREFIXES, DelegationCase
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS


class ReaderTests(DelegationCase):
    """What others make of it."""

    def tshark(self, packets: list[bytes], *fields: str) -> list[list[str]]:
        """The fields of each packet; none of them is malformed."""
        if shutil.which("tshark") is None:
            raise SkipTest("there is no tshark")
        path = Path(self.mktemp())
        octets = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        for packet in packets:
            octets += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet
        path.write_bytes(octets)
        command = ["tshark", "-r", str(path), "-T", "fields"]
        for name in (*fields, "_ws.malformed"):
            command += ["-e", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertEqual([line.pop() for line in found], [""] * len(packets))
        return found

    def test_registration(self) -> None:
        """R flags and Mobile Network Prefix options, both ways."""
        mh = self.world.update(flags=ROUTER, extra=[mnp(NET1), mnp(NET2, 56)])
        update = build_ipv6(MobilityPacket(CARE1, LMA_ADDRESS, mh, home_source=HOME))
        self.router()
        (sent,) = self.world.of_kind(SendRouted)
        answer = routed(sent.data, sent.source, sent.destination, sent.home)
        fields = ("mip6.nemo.bu.r_flag", "mip6.nemo.ba.r_flag", "mip6.nemo.mnp.mnp", "mip6.nemo.mnp.pfl")
        first, second = self.tshark([update, answer], *fields)
        self.assertIn(first[0].lower(), ("1", "true"))
        self.assertEqual(first[2:], ["2001:db8:a0::,2001:db8:a1::", "48,56"])
        self.assertIn(second[1].lower(), ("1", "true"))

    def test_delegation(self) -> None:
        """Relay-reply behind a type 2 routing header, with the prefix in it."""
        self.by_option(self.datagram(self.message(dhcp.REQUEST)))
        (sent,) = self.sent()
        packet = build_udp(sent.data, sent.source, sent.home, sent.care_of)
        fields = ("udp.dstport", "dhcpv6.msgtype", "dhcpv6.iaprefix.pref_addr", "dhcpv6.iaprefix.pref_len")
        self.assertEqual(self.tshark([packet], *fields), [["547", "13,7", "2001:db8:e000::", "56"]])


class HomeLinkTests(SynchronousTestCase):
    """On a real home link."""

    def test_the_advertisement_of_a_router(self) -> None:
        """RFC 3963 section 6.2: the R bit is set, as the router itself would; unasked and asked."""
        world = LinkWorld(mipv6_mobile_routers=True, profiles=(profile(ALICE, NET1),))
        world.register(flags=ROUTER)
        (told,) = world.sent()
        self.assertEqual((told[ICMPv6ND_NA].R, told[ICMPv6ND_NA].O), (1, 1))
        (told,) = world.ask(HOME_TEXT)
        self.assertEqual((told[ICMPv6ND_NA].R, told[ICMPv6ND_NA].S), (1, 1))


class LeftTests(DelegationCase):
    """What others in the process see, and what stays in memory."""

    def test_accounting_has_the_networks(self) -> None:
        """Records name them as delegated prefixes."""
        self.by_option(self.datagram(self.message(dhcp.REQUEST)))
        (entry,) = self.world.lma.sessions()
        self.assertEqual(subject_of(entry).delegated, (PREFIXES[0],))

    def test_freed(self) -> None:
        """A service with routers and leases goes without a full garbage collection."""
        self.by_option(self.datagram(self.message(dhcp.REQUEST)))
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        lma: Any = self.world.lma
        gone = weakref.ref(lma)
        routers = weakref.ref(lma.hosts.features.all[0])
        lma.close()
        self.world.lma = lma = None
        self.assertEqual((gone(), routers()), (None, None))
