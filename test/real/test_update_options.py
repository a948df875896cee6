"""Redirection, user-plane address, access network and delegated prefixes, with a real mobile router."""

import json
import shutil

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, HOME_POOL, LMA_ADDRESS
from scripts.labrun import find_counter, wait_for
from test.real.common import LabTests, demo_config

SERVING, PLANE = "2001:db8:ffff::2", "2001:db8:ffff::99"
NAI = "mn1@example.org"

ANCHORS = f"""\
config
  context asked
    interface backhaul
      ipv6 address {SERVING}/64
      ipv6 address {PLANE}/64
      exit
    lma-service asked
      bind address {LMA_ADDRESS}
      redirect target {SERVING}
      redirect policy always
      mag-peer 2001:db8:ffff::a1
      exit
    exit
  context serving
    ipv6 pool HOME prefix {HOME_POOL}
    prefix-delegation pool D6 2001:db8:d::/48
    prefix-delegation pool D4 10.9.0.0/24
    service-profile internet
      qos-profile gold
      exit
    subscriber default
      permission pmipv6
      permission prefix-delegation
      default-service internet
      exit
    lma-service serving
      bind address {SERVING}
      redirect accept
      load-information enable
      user-plane address {PLANE}
      prefix-delegation
      mag-peer 2001:db8:ffff::a1
      exit
    exit
end
"""

GATEWAY = """\
      encapsulation ipip
      redirect enable
      redirect unknown-handoff
      redirect allow 2001:db8:ffff::/64
      user-plane enable
      prefix-delegation nai mn1@example.org ipv6
      prefix-delegation nai mn1@example.org ipv4
      vendor-option vendor 10415 subtype 17 hex 05
"""


class RouterTests(LabTests):
    """A mobile router behind a gateway, served by an anchor that its gateway did not ask."""

    def asks_by_dhcp(self, prefix: str) -> None:
        """The gateway tells a real DHCPv6 client the prefix of its session, where there is such a program."""
        if shutil.which("dhclient") is None:
            return
        lease = self.work / "lease"
        lease.write_text("")
        words = ("dhclient", "-6", "-P", "-1", "-cf", "/dev/null", "-sf", "/bin/true", "-lf", str(lease))
        words += ("-pf", str(self.work / "pid"), "mn0")
        self.lab.exec("mn", *words)
        self.lab.exec("mn", *words[:3], "-x", *words[4:])
        self.assertIn(f"iaprefix {prefix} ", lease.read_text())

    def test_traffic_of_a_redirected_router(self) -> None:
        """Packets of the mobile node and of both delegated prefixes pass, by the user-plane address."""
        config = demo_config("mag1").replace(" ipv4\n", "\n").replace("      encapsulation ipip\n", GATEWAY)
        line = "access-interface acc0 access-technology 4\n"
        self.assertIn(line, config)
        network = "      access-network acc0 network-name cafe access-point ap1 geo-location 52.5 13.25\n"
        lma = self.started(ANCHORS, "lma")
        mag = self.started(config.replace(line, line + network), "mag1")
        self.lab.ip(
            "cn",
            "route add 2001:db8:d::/48 via 2001:db8:eeee::1",
            "route add 10.9.0.0/24 via 192.0.2.1",
        )
        self.lab.attach()
        wait_for("a session", lambda: NAI in lma.cli("show lma-service session full"), 20)
        session = json.loads(lma.cli("show lma-service session full | json"))
        (found,) = session if isinstance(session, list) else [session]
        self.assertEqual(found["service"], "serving")
        self.assertEqual(found["details"]["delegated_prefix"], ["10.9.0.0/28", "2001:db8:d::/56"])
        shown = lma.cli("show lma-service session full")
        for text in (
            f"User-Plane Address: +{PLANE}",
            "Access Network: +cafe",
            "Delegated Prefix: +2001:db8:d::/56",
            "Delegated Prefix: +10.9.0.0/28",
            "Service Profile: +internet",
            r"Vendor Option: +3GPP 17 \(PDN Connection ID\) 05",
        ):
            self.assertRegex(shown, text)
        shown = mag.cli("show mag-service session full")
        self.assertRegex(shown, f"Redirected By: +{LMA_ADDRESS}")
        self.assertRegex(shown, r"LMA Load: +priority 0, 1 of \d+ sessions")
        wait_for("an answer", lambda: ", 0% packet loss" in self.ping("mn", CN_ADDRESS), 20)
        self.asks_by_dhcp("2001:db8:d::/56")
        # The network behind the mobile router is an address of each prefix on the router itself.
        self.lab.ip(
            "mn",
            "addr add 2001:db8:d:1::1/128 dev lo",
            "addr add 10.9.0.1/32 dev lo",
            "route add default dev mn0",
        )
        self.lab.exec(
            "mn", "ip", "neigh", "replace", CN_ADDRESS_4, "lladdr", "00:00:5e:00:52:13", "dev", "mn0"
        )
        for target, source in ((CN_ADDRESS, "2001:db8:d:1::1"), (CN_ADDRESS_4, "10.9.0.1")):
            self.assertIn(", 0% packet loss", self.ping("mn", target, "-I", source), source)
            self.assertIn(", 0% packet loss", self.ping("cn", source), source)
        # RFC 7148 section 5.1.4: what is not delegated does not pass.
        before = find_counter(mag.cli("show mag-service statistics"), "Ingress Filtered")
        self.lab.ip("mn", "addr add 2001:db8:d:100::1/128 dev lo")
        self.assertIn(" 0 received", self.ping("mn", CN_ADDRESS, "-I", "2001:db8:d:100::1"))
        self.assertGreater(find_counter(mag.cli("show mag-service statistics"), "Ingress Filtered"), before)
        lma.cli(f"clear lma-service session username {NAI} -noconfirm")
        self.assertIn(" 0 received", self.ping("cn", "2001:db8:d:1::1"))
