"""A real DHCP client (udhcpc of busybox) behind a gateway: it gets its address, renews, moves, releases."""

import json
import shutil
import signal
import subprocess

from scripts.labnet import BACKHAUL, CN_ADDRESS_4, MAG_ADDRESSES, MN_LINK_LAYER
from scripts.labrun import Appliance, stop, wait_for
from test.real.common import LabTests, demo_config

#: What busybox calls with its findings: put the address on the link, or take it off, as Debian's script does.
SCRIPT = """#!/bin/sh
case "$1" in
bound|renew)
    ip address replace "$ip/$mask" dev "$interface"
    ip link set "$interface" mtu "$mtu"
    ip route replace default via "$router" dev "$interface" ;;
deconfig) ip -4 address flush dev "$interface" ;;
esac
echo "$1 ip=$ip mask=$mask router=$router mtu=$mtu lease=$lease server=$serverid"
"""
LINE = f"mobile-node {MN_LINK_LAYER} nai mn1@example.org ipv4"


class ClientTests(LabTests):
    """One plain host, two gateways, one anchor."""

    if shutil.which("busybox") is None:
        skip = "the program busybox is missing (package busybox)"

    def setUp(self) -> None:
        """Start the anchor."""
        super().setUp()
        self.lma = self.started(demo_config("lma"))
        self.client: subprocess.Popen[str] | None = None
        self.script = self.work / "udhcpc.sh"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)

    def gateway(self, role: str, line: str = LINE) -> Appliance:
        """Start a gateway with that line for the mobile node, and a short lease."""
        text = demo_config(role)
        self.assertIn(LINE, text)
        return self.started(text.replace(LINE, f"{line}\n      dhcp lease-time 60"), role)

    def run_client(self) -> None:
        """Start udhcpc on the mobile node; its findings go to a file."""
        self.said = self.work / "said"
        with self.said.open("w") as said:
            self.client = subprocess.Popen(
                self.lab.command("mn", *f"busybox udhcpc -f -R -i mn0 -t 20 -T 1 -s {self.script}".split()),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.addCleanup(stop, self.client)

    def event(self, name: str, seconds: float = 30) -> dict[str, str]:
        """Wait for the client's last word to be ``name``; give what it found."""

        def found() -> dict[str, str]:
            lines = [line for line in self.said.read_text().splitlines() if " ip=" in line]
            if not lines or not lines[-1].startswith(f"{name} "):
                return {}
            return dict(word.split("=", 1) for word in lines[-1].split()[1:])

        return wait_for(f"{name} of udhcpc", found, seconds)

    def session(self) -> dict[str, str]:
        """The one session of the anchor."""
        (found,) = json.loads(self.lma.cli("show lma-service session full | json"))
        return dict(found)

    def serve(self, address: str) -> None:
        """Run dnsmasq beside the AAA server's place; it gives that address to the mobile node."""
        lease = self.work / "leases"
        words = f"dnsmasq -k --port=0 --user=root --dhcp-leasefile={lease} --conf-file=/dev/null"
        words += f" --dhcp-range=203.0.113.0,static,255.255.255.0,120 --dhcp-host={MN_LINK_LAYER},{address}"
        words += " --dhcp-option=3,203.0.113.1 --dhcp-authoritative"
        server = subprocess.Popen(self.lab.command("aaa", *words.split()), stdin=subprocess.DEVNULL)
        self.addCleanup(stop, server)

    def counts(self, mag: Appliance, *rows: str) -> list[int]:
        """Values of the DHCP block."""
        return [mag.counter("mag", "DHCP", row) for row in rows]

    def test_lease(self) -> None:
        """Address, mask, router and MTU are the session's, packets flow, and the release takes IPv4 alone."""
        mag = self.gateway("mag1")
        self.lab.attach()
        self.run_client()
        found = self.event("bound")
        session = self.session()
        self.assertEqual(found["ip"], session["ipv4_address"])
        self.assertEqual((found["mask"], found["router"]), ("24", "203.0.113.1"))
        self.assertEqual((found["server"], found["lease"], found["mtu"]), ("203.0.113.1", "60", "1460"))
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS_4))
        assert self.client is not None
        # It renews when told to, and so it does by itself at half of the lease.
        self.client.send_signal(signal.SIGUSR1)
        self.event("renew", 20)
        discovers, offers, refused = self.counts(mag, "Discover Received", "Offer Sent", "Nak Sent")
        # A slow machine makes the client ask twice.
        self.assertEqual((discovers >= 1, offers >= 1, refused), (True, True, 0))
        stop(self.client)
        wait_for("the release", lambda: not self.session()["ipv4_address"], 10)
        self.assertTrue(self.session()["prefixes"])
        self.assertEqual(self.counts(mag, "Release Received"), [1])

    def test_on_demand(self) -> None:
        """A host that wants no IPv4 gets none; when it does, its session has it."""
        self.gateway("mag1", f"{LINE}-on-demand")
        self.lab.attach()
        wait_for("the session", lambda: "mn1@example.org" in self.lma.cli("show lma-service session"), 20)
        self.assertEqual(self.session()["ipv4_address"], "")
        self.run_client()
        self.assertEqual(self.event("bound")["ip"], self.session()["ipv4_address"])

    def test_ipv4_only(self) -> None:
        """A host whose IPv6 is off attaches by its DHCPDISCOVER."""
        self.gateway("mag1", f"{LINE}-only")
        self.lab.exec("mn", "sysctl", "-qw", "net.ipv6.conf.mn0.disable_ipv6=1")
        self.lab.attach()
        self.run_client()
        self.assertEqual(self.event("bound")["ip"], self.session()["ipv4_address"])
        self.assertEqual(self.session()["prefixes"], [])
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS_4))

    def test_handover(self) -> None:
        """The lease goes on at another gateway: the same server answers the renewal there."""
        self.gateway("mag1")
        other = self.gateway("mag2")
        self.lab.attach()
        self.run_client()
        address = self.event("bound")["ip"]
        self.lab.move("mag1", "mag2")
        wait_for("the handover", lambda: self.session()["handoffs"] == 1, 20)
        assert self.client is not None
        self.client.send_signal(signal.SIGUSR1)
        self.assertEqual(self.event("renew", 20)["ip"], address)
        confirmed, refused = self.counts(other, "Ack Sent", "Nak Sent")
        self.assertEqual((confirmed >= 1, refused), (True, 0))
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS_4))

    def test_relay(self) -> None:
        """An anchor that wants no server at the gateway: dnsmasq serves through the gateway's relay."""
        self.lma.stop()
        anchor = demo_config("lma").replace("lma-service lma1", "lma-service lma1\n      dhcp-mode relay")
        anchor = anchor.replace(
            "lma-service lma1",
            "subscriber name mn1@example.org\n      permission pmipv6\n      ipv4 access\n"
            "      ipv4-home-address 203.0.113.50\n      exit\n    lma-service lma1",
            1,
        )
        self.lma = self.started(anchor, name="relaying")
        line = f"{LINE}\n      dhcp relay-server {BACKHAUL['aaa'][1]}"
        text = demo_config("mag1").replace(
            f"bind address {MAG_ADDRESSES['mag1']}",
            f"bind address {MAG_ADDRESSES['mag1']} ipv4-address {BACKHAUL['mag1'][1]}",
        )
        mag = self.started(text.replace(LINE, line), "mag1")
        self.serve("203.0.113.50")
        self.lab.attach()
        self.run_client()
        self.assertEqual(self.event("bound")["ip"], "203.0.113.50")
        self.assertIn(" 0% packet loss", self.ping("mn", CN_ADDRESS_4))
        to_server, to_client = self.counts(mag, "Relayed To Server", "Relayed To Client")
        self.assertGreaterEqual(to_server, to_client)
        self.assertGreaterEqual(to_client, 2)
