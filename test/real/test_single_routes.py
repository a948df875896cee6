"""Routes of single sessions, in a network namespace of their own."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from test.real.common import SKIP

PROGRAM = """
import subprocess
from ipaddress import ip_network
from appliance.tun.device import System
from appliance.tun.single_routes import SingleRoutes

def show():
    for family in ("-6", "-4"):
        shown = subprocess.run(["ip", family, "route"], capture_output=True, text=True).stdout
        for line in shown.splitlines():
            if "fe80" not in line:
                print(line.split(" metric")[0].strip())
    print("--")

def place(text):
    network = ip_network(text)
    return network.network_address.packed, network.prefixlen

device = System().open_tun("tun-x", 1500)
routes = SingleRoutes("tun-x", print)
for text in ("2001:db8:77:1::/64", "192.0.2.9/32", "2001:db8:77:1::/64"):
    routes.add(*place(text))
show()
routes.remove(*place("2001:db8:77:1::/64"))
routes.remove(*place("2001:db8:77:1::/64"))
show()
device.close()
routes.add(*place("192.0.2.10/32"))
routes.remove(*place("192.0.2.9/32"))
show()
routes.close()
"""


class RouteTests(SynchronousTestCase):
    skip = SKIP

    def test_routes(self) -> None:
        """Made twice, removed twice, gone with the device; what the kernel refuses is told."""
        found = subprocess.run(
            ["unshare", "-n", sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(found.stderr, "")
        first, second, third, rest = found.stdout.split("--\n")
        self.assertEqual(
            first.splitlines(),
            ["2001:db8:77:1::/64 dev tun-x proto static", "192.0.2.9 dev tun-x proto static scope link"],
        )
        self.assertEqual(second.splitlines(), ["192.0.2.9 dev tun-x proto static scope link"])
        self.assertEqual(
            third,
            "route 192.0.2.10/32 to tun-x could not be made: No such device\n",
            "it went with the device",
        )
        self.assertEqual(rest, "")
