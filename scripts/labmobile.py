"""The laboratory as a mobile node with its own mobility sees it: networks of two kinds, and a home agent.

::

    mn --mn0=acc0-- mag1 (router, 2001:db8:a1::/64) --backhaul--+
         (acc0)---- mag2 (router, 2001:db8:a2::/64) --backhaul--+-- lma (home agent) -- cn
       --cell0=in0- aaa (NAT, 10.0.0.0/24, IPv4 only) --backhaul+

It is the laboratory of :mod:`scripts.labnet` with other people in its houses: the gateways are plain IPv6
routers, the house of the AAA server has a NAT. ``python -m scripts.labmobile`` (``scripts/lab mobile``) lets
a mobile node roam through all of it with one TCP connection and prints what it cost.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.labnet import CN_ADDRESS, CN_ADDRESS_4, LMA_ADDRESS, MAG_ADDRESSES, Lab, LabError, run
from scripts.labrun import Appliance, LineConnection, Ping, environment, stop, wait_for

PREFIXES = {"mag1": "2001:db8:a1::", "mag2": "2001:db8:a2::"}
LMA_ADDRESS_4 = "198.51.100.1"
HOME, HOME_4 = "2001:db8:1:100::5", "203.0.113.5"
NAI, KEY = "alice@example.org", "0x000102030405060708090a0b0c0d0e0f"
INSIDE, CELL = "10.0.0.1", "10.0.0.2"

HOME_AGENT = f"""config
  context home
    ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
    ip pool HOSTS4 203.0.113.0/24 static
    subscriber default
    exit
    subscriber name {NAI}
      mn-ha-spi spi-number 256 secret {KEY}
      ipv4 access
    exit
    mipv6ha-service ha1
      bind address {LMA_ADDRESS} ipv4-address {LMA_ADDRESS_4}
      home-address-pool HOSTS
%s
    exit
  exit
end
"""
MOBILE_NODE = f"""config
  context mobile
    mn-client mn1
      home-agent address {LMA_ADDRESS} ipv4-address {LMA_ADDRESS_4}
      home-address {HOME}
      nai {NAI}
      mn-ha-spi spi-number 256 secret {KEY}
      interface mn0 preference 200
      interface cell0 preference 100
%s
    exit
  exit
end
"""


class MobileLab(Lab):
    """The namespaces with plain routers in them."""

    def __init__(self, prefix: str = "lab") -> None:
        super().__init__(prefix)
        self._routers: dict[str, subprocess.Popen[str]] = {}

    def up(self) -> None:
        """Build everything; ``mn0`` is down, its cable ends in ``mag1``."""
        super().up()
        for role, prefix in PREFIXES.items():
            # Their own addresses are ready at once: what is measured is the mobile node's time.
            self.sysctl(role, ipv6__conf__all__forwarding=1, ipv6__conf__default__accept_dad=0)
            self.ip(role, f"route add default via {LMA_ADDRESS}")
            self.ip("lma", f"route add {prefix}/64 via {MAG_ADDRESSES[role]}")
            for other, address in MAG_ADDRESSES.items():
                if other != role:
                    self.ip(role, f"route add {PREFIXES[other]}/64 via {address}")
            program = (sys.executable, "-m", "scripts.labrouter", "acc0", prefix)
            self._routers[role] = self.popen(role, *program, env=environment())
        self.ip("cn", "route add default via 2001:db8:eeee::1", "route add default via 192.0.2.1")
        self._serve("mag1")

    def nat(self, tool: str) -> None:
        """An IPv4 network behind a NAT, with the device ``cell0`` of the mobile node; ``tool``: iptables."""
        self.ip("mn", f"link add cell0 type veth peer name in0 netns {self.name('aaa')}")
        self.ip("aaa", f"addr add {INSIDE}/24 dev in0", "link set in0 up")
        self.sysctl("aaa", ipv4__ip_forward=1)
        self.exec("aaa", tool, "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "backhaul", "-j", "MASQUERADE")

    def cell(self, there: bool) -> None:
        """The mobile node enters or leaves the IPv4 network."""
        if there:
            self.ip(
                "mn",
                "link set cell0 up",
                f"addr add {CELL}/24 dev cell0",
                f"route add default via {INSIDE} dev cell0",
            )
        else:
            self.ip("mn", "link set cell0 down", "addr flush dev cell0")

    def _serve(self, role: str) -> None:
        """The router gets its address on the cable that ends there."""
        self.ip(role, f"addr replace {PREFIXES[role]}1/64 dev acc0 nodad")

    def move(self, source: str, target: str) -> None:
        """The mobile node comes to another router."""
        super().move(source, target)
        self._serve(target)

    def down(self) -> None:
        """Remove everything."""
        while self._routers:
            stop(self._routers.popitem()[1])
        super().down()


def settled(node: Appliance, care_of: str, timeout: float = 15.0) -> None:
    """Wait until the home agent has accepted a care-of address; a part of it is enough."""

    def there() -> bool:
        found = node.json("show mn-client bindings")
        return any(
            each["kind"] == "home" and each["state"] == "registered" and each["care_of"].startswith(care_of)
            for each in found
        )

    wait_for(f"a binding of {care_of}", there, timeout)
