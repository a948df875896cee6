"""A mobile node of ours between IPv6 and IPv4 behind a real NAT (RFC 5555, RFC 5648)."""

import os

from twisted.trial.unittest import SynchronousTestCase

from scripts.labmobile import CELL, HOME, HOME_4, iptables, roaming, settled
from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4
from scripts.labrun import LineConnection
from test.real.common import SKIP
from test.real.test_mn import FIRST, MobileTests

NAT = None if iptables() else "the program iptables is missing (package iptables)"
#: Between two pings, seconds.
INTERVAL = 0.02


class RoamingTests(SynchronousTestCase):
    """The scenario of ``scripts/lab mobile``."""

    skip = SKIP or NAT

    def test_one_connection_from_ipv6_to_ipv4_behind_a_nat_and_back(self) -> None:
        """The connection goes on; what is lost was sent while there was no network, or was in flight."""
        with roaming(f"t{os.getpid()}", iptables(), lambda _line: None) as walk:
            result = walk.run()
        connection, rows = result["connection"], result["rows"]
        self.assertEqual((connection["error"], connection["local"][0]), ("", HOME))
        self.assertEqual(connection["answered"], connection["sent"])
        tunnels = [row["tunnel"] for row in rows]
        plain, udp = "6in6, 4in6", "IPv4 UDP (IPv6), IPv4 UDP (IPv4)"
        self.assertEqual(tunnels, [plain, plain, udp, plain])
        for row in rows[1:]:
            for family in ("ipv6", "ipv4"):
                silent = row[f"gap_s_{family}"] / INTERVAL
                self.assertLessEqual(row[f"missed_{family}"], silent + 1, (row, family))
        # There and back again with both networks up for a moment: nothing but what was in flight.
        self.assertLessEqual(rows[3]["missed_ipv6"] + rows[3]["missed_ipv4"], 2, rows[3])


class DualStackTests(MobileTests):
    """IPv4 networks, one step at a time."""

    skip = SKIP or NAT

    def test_both_families_through_a_nat(self) -> None:
        """From both sides, to both home addresses, and the keep-alive is what the home agent says."""
        self.lab.nat(iptables())
        self.lab.cell(True)
        agent, mn = self.both(f"ipv4-home-address {HOME_4}", care_of=CELL)
        for target in (CN_ADDRESS, CN_ADDRESS_4):
            self.assertEqual(self.received("mn", target), 3, target)
        for target in (HOME, HOME_4):
            self.assertEqual(self.received("cn", target), 3, target)
        shown = mn.cli("show mn-client bindings full", "show mn-client session")
        self.assertRegex(shown, r"NAT Found: +Yes")
        self.assertIn(f"IPv4 Home Address: {HOME_4}", shown)
        self.assertIn(HOME_4, agent.cli("show mipv6ha-service session full"))

    def test_several_care_of_addresses(self) -> None:
        """RFC 5648: both interfaces are registered, and traffic goes on by the other one at once."""
        self.lab.nat(iptables())
        self.lab.cell(True)
        self.lab.attach()
        _, mn = self.both("multiple-care-of-addresses\nno bulk-registration", care_of=FIRST)
        settled(mn, CELL)
        self.assertEqual(self.received("mn", CN_ADDRESS), 3)
        line = LineConnection(self.lab, HOME, self.work)
        self.addCleanup(line.kill)
        line.wait_lines(5, 10)
        self.lab.ip("mn", "link set mn0 down")
        line.wait_lines(10, 20)
        self.assertEqual(line.finish()["error"], "")
