"""Every encapsulation end to end through real appliances, several at a time, and through a narrow path."""

import re
import sys

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, LMA_ADDRESS, MAG_ADDRESSES, LabError
from scripts.labrun import Appliance, wait_for
from test.real.transport_world import LMA4, MAG4, MN4, NAI, Router, TransportTests

BOTH = f"address {LMA_ADDRESS} ipv4-address {LMA4}"
DATA = "Tunnel Data Received"

#: Sends inner packets in raw IPv6 packets with a Tunnel Encapsulation Limit, as ip6tnl of Linux does.
LIMITED = """
import socket, sys
local, peer, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3])
sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
sock.bind((local, 0))
limit = [(socket.IPPROTO_IPV6, 59, bytes((0, 0, 4, 1, 4, 1, 1, 0)))]
sock.sendmsg([bytes.fromhex(sys.argv[4])], limit, 0, (peer, 0))
"""


def udp_packet(source: str, target: str) -> bytes:
    """A whole UDP packet to port 9 of somebody."""
    from ipaddress import ip_address

    from appliance.tun import packet as ip

    here, there = ip_address(source).packed, ip_address(target).packed
    if len(here) == 16:
        return ip.ipv6_packet(here, there, 59, b"")
    return ip.ipv4_packet(here, there, 59, b"")


class FormTests(TransportTests):
    """One anchor, one gateway, the mobile node coming again and again."""

    def start(self, *lines: str, more: tuple[str, ...] = ()) -> None:
        """Start both, bound to addresses of both families."""
        self.lma = self.started(self.lma_config("forced-udp-encapsulation", bind=BOTH), "lma")
        bind = f"address {MAG_ADDRESSES['mag1']} ipv4-address {MAG4['mag1']}"
        self.mag = self.started(self.mag_config("", *lines, bind=bind, more=more), "mag1")

    def counted(self, name: str, way: str = DATA) -> int:
        """Packets of an encapsulation."""
        try:
            return self.lma.counter("lma", way, "Total Packets", name)
        except LabError:
            # A row of ours is shown when it has moved.
            return 0

    def test_forms(self) -> None:
        """Both families go both ways in each form, which both ends show, and which the anchor counts."""
        self.start()
        for lma, lines, inner6, inner4 in (
            (LMA_ADDRESS, ("encapsulation ipip",), "6in6", "4in6"),
            (LMA_ADDRESS, ("encapsulation gre",), "IPv6 GRE (IPv6)", "IPv6 GRE (IPv4)"),
            (LMA4, ("encapsulation ipip",), "6in4", "4in4"),
            (LMA4, ("encapsulation gre",), "IPv4 GRE (IPv6)", "IPv4 GRE (IPv4)"),
            (LMA4, ("encapsulation ipip", "force-udp-encapsulation"), "IPv4 UDP (IPv6)", "IPv4 UDP (IPv4)"),
            (
                LMA4,
                ("encapsulation gre", "force-udp-encapsulation", "tlv-header"),
                "IPv4 UDP TLV GRE (IPv6)",
                "IPv4 UDP TLV GRE (IPv4)",
            ),
        ):
            with self.subTest(form=inner6):
                self.mag.cli(
                    "configure", "context access", "mag-service mag1", f"lma-address {lma}", *lines, "end"
                )
                self.arrive()
                shown = f"{inner6}, {inner4}"
                self.wait_session(self.lma, "lma", shown)
                self.assertIn(shown, self.session(self.mag, "mag"))
                rows = self.rows(inner6, inner4)
                before = [self.counted(row) for row in rows]
                self.assert_traffic(inner6)
                for row, count in zip(rows, before, strict=True):
                    self.assertGreaterEqual(self.counted(row) - count, 6, row)
                self.transfer("mn", "cn", CN_ADDRESS, 300_000)
                self.transfer("cn", "mn", self.address(), 300_000)
                self.leave()

    @staticmethod
    def rows(*names: str) -> list[str]:
        """The rows of the statistics that count these."""
        return list(
            dict.fromkeys(
                "IPv4 GRE"
                if name.startswith("IPv4 GRE")
                else name.replace(" TLV", "").replace("UDP GRE", "UDP")
                for name in names
            )
        )

    def leave(self) -> None:
        """The mobile node goes; both ends have forgotten it but for the anchor's delay."""
        self.lab.ip("mn", "link set mn0 down", "addr flush dev mn0")
        wait_for(
            "no session at the gateway", lambda: NAI not in self.mag.cli("show mag-service session full"), 10
        )
        self.lma.cli("clear lma-service session all -noconfirm")

    def test_several_at_once(self) -> None:
        """One gateway, one anchor: keys over IPv6, and at the same time behind the TLV header over IPv4."""
        second = (
            "access-interface acc1",
            f"mobile-node 02:00:5e:10:00:02 nai mn2@example.org interface acc1 lma {LMA_ADDRESS}",
        )
        self.lab.ip(
            "mn",
            f"link add mn1 address 02:00:5e:10:00:02 type veth peer name acc1 netns {self.lab.name('mag1')}",
        )
        self.lab.sysctl("mn", ipv6__conf__mn1__accept_ra=1)
        self.lab.ip("mag1", "link set acc1 up")
        self.start("encapsulation gre", "force-udp-encapsulation", "tlv-header", more=second)
        self.arrive()
        self.lab.ip("mn", "link set mn1 up")
        other = wait_for("the other address", lambda: self.address("mn1"), 20)
        screen = self.session(self.lma, "lma")
        self.assertIn("IPv4 UDP TLV GRE (IPv6), IPv4 UDP TLV GRE (IPv4)", screen)
        self.assertIn("IPv6 GRE (IPv6)", screen)
        self.assert_traffic("both")
        self.assertEqual(self.received("mn", CN_ADDRESS, "-I", "mn1"), 3)
        self.assertEqual(self.received("cn", other), 3)
        self.assertGreater(self.counted("IPv6 GRE (IPv6)"), 0)
        self.assertGreater(self.counted("IPv4 UDP (IPv6)"), 0)
        self.wrong_key()

    def wrong_key(self) -> None:
        """RFC 5845 section 5.2: a key that is nobody's, and the one of another gateway's tunnel form."""
        before = self.lma.counter("lma", DATA, "Errors", "No Session Found")
        packet = udp_packet(self.address("mn1"), CN_ADDRESS)
        for key in ("00000001", "deadbeef"):
            self.send_limited(47, bytes.fromhex(f"200086dd{key}") + packet)
        wait_for(
            "two packets without a session",
            lambda: self.lma.counter("lma", DATA, "Errors", "No Session Found") == before + 2,
            5,
        )

    def send_limited(self, protocol: int, data: bytes) -> None:
        """Send one raw tunnel packet with a Tunnel Encapsulation Limit from the gateway's address."""
        self.lab.exec(
            "mag1",
            sys.executable,
            "-c",
            LIMITED,
            MAG_ADDRESSES["mag1"],
            LMA_ADDRESS,
            str(protocol),
            data.hex(),
        )

    def test_options_before_the_packet(self) -> None:
        """Destination Options before the inner header, as ip6tnl of Linux sends them, are no obstacle."""
        self.start("encapsulation ipip", f"lma-address {LMA_ADDRESS}")
        mobile = self.arrive()
        for protocol, row, source, target in (
            (41, "6in6", mobile, CN_ADDRESS),
            (4, "4in6", MN4, CN_ADDRESS_4),
        ):
            before = self.counted(row)
            self.send_limited(protocol, udp_packet(source, target))
            wait_for(f"a packet more of {row}", lambda row=row, before=before: self.counted(row) > before, 5)
        self.leave()
        self.mag.cli("configure", "context access", "mag-service mag1", "encapsulation gre", "end")
        mobile = self.arrive()
        (key,) = re.findall(r"GRE Key Received: +(\S+)", self.session(self.lma, "lma"))
        number = int(key, 0)
        before = self.counted("IPv6 GRE (IPv6)")
        self.send_limited(
            47, b"\x20\x00\x86\xdd" + number.to_bytes(4, "big") + udp_packet(mobile, CN_ADDRESS)
        )
        wait_for("a GRE packet more", lambda: self.counted("IPv6 GRE (IPv6)") > before, 5)


class NarrowTests(TransportTests):
    """A router with a small MTU on the way to the gateway."""

    def start(self, lma: str, mtu: int, *lines: str) -> Appliance:
        """Start both ends with the router between them."""
        self.router = Router(self, mtu)
        self.lma = self.started(
            self.lma_config(
                "forced-udp-encapsulation", "mag-peer 2001:db8:fffe::/64", "mag-peer 10.1.0.0/24", bind=BOTH
            ),
            "lma",
        )
        bind = f"address {Router.GATEWAY} ipv4-address {Router.GATEWAY4}"
        self.mag = self.started(
            self.mag_config("", f"lma-address {lma}", "encapsulation ipip", *lines, bind=bind), "mag1"
        )
        self.mobile = self.arrive()
        return self.lma

    def balance(self) -> tuple[int, int, int]:
        """Packet Too Big received, dropped, relayed."""
        rows = ("Packet Too Big Rcvd", "Packet Too Big Dropped", "Packet Too Big Relayed")
        received, dropped, relayed = (self.lma.counter("lma", "Tunnel ICMPV6 Packets", row) for row in rows)
        self.assertEqual(received, dropped + relayed)
        return received, dropped, relayed

    def test_packet_too_big(self) -> None:
        """RFC 2473 section 7.1, 8.2: relayed with the tunnel's MTU; then the anchor answers by itself."""
        self.start(LMA_ADDRESS, 1400)
        output = self.ping("cn", self.mobile, "-M", "do", "-s", "1402")
        self.assertRegex(output, "(Packet too big|[Mm]essage too long).*1360")
        self.assertEqual(self.balance(), (1, 0, 1))
        self.assertEqual(self.received("cn", self.mobile, "-M", "do", "-s", str(1360 - 48)), 3)
        self.transfer("cn", "mn", self.mobile, 300_000)
        self.transfer("mn", "cn", CN_ADDRESS, 300_000)
        # RFC 2473 section 7.2: IPv4 inside, DF set and clear.
        output = self.ping("cn", MN4, "-M", "do", "-s", "1400")
        self.assertRegex(output, "[Mm](TU|tu) ?= ?1360")
        self.assertEqual(self.received("cn", MN4, "-M", "dont", "-s", "1400"), 3)
        self.balance()

    def test_smallest_packets(self) -> None:
        """RFC 2473 section 7.1 (b): up to 1280 octets the outer packet is fragmented and made whole again."""
        self.start(LMA_ADDRESS, 1300)
        self.received("cn", self.mobile, "-s", str(1280 - 48))
        received, dropped, _ = self.balance()
        # The first was lost: its sender cannot make it smaller, so nobody is told.
        self.assertEqual((received, dropped), (1, 1))
        self.assertEqual(self.received("cn", self.mobile, "-s", str(1280 - 48)), 3)
        self.assertEqual(self.received("cn", self.mobile, "-M", "do", "-s", "1300"), 0)
        self.assertEqual(self.received("mn", CN_ADDRESS, "-s", str(1280 - 48)), 3)

    def test_over_ipv4(self) -> None:
        """RFC 4213 section 3.2: "fragmentation needed" lowers the tunnel's MTU and is passed on."""
        self.start(LMA4, 1400)
        output = self.ping("cn", self.mobile, "-M", "do", "-s", "1402")
        self.assertRegex(output, "(Packet too big|[Mm]essage too long).*1380")
        output = self.ping("cn", MN4, "-M", "do", "-s", "1420")
        self.assertRegex(output, "[Mm](TU|tu) ?= ?1380")
        self.assertEqual(self.received("cn", MN4, "-M", "dont", "-s", "1420"), 3)
        self.transfer("cn", "mn", self.mobile, 300_000)
        self.assertEqual(self.balance(), (0, 0, 0))

    def test_very_narrow_ipv4(self) -> None:
        """RFC 4213 section 3.2.2: where less than 1280 fits, DF is clear and the router fragments."""
        self.start(LMA4, 1200, "force-udp-encapsulation")
        self.received("cn", self.mobile, "-s", str(1280 - 48))
        self.assertEqual(self.received("cn", self.mobile, "-s", str(1280 - 48)), 3)
        self.assertEqual(self.received("cn", MN4, "-M", "dont", "-s", "1400"), 3)
        self.transfer("cn", "mn", self.mobile, 300_000)
