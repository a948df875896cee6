"""What tests with a mobile node that does its own mobility share."""

import json
import sys
from typing import Any

from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import environment
from test.real.common import LabTests

ALICE = "alice@example.org"
HOME = "2001:db8:1:100::5"
KEY = bytes(range(16)).hex()
#: Lines of a context: an AAA server, a group that asks it, and a user who has a key there.
AAA = """diameter endpoint client
origin realm example.org
origin host lma1.example.org address 127.0.0.1
peer aaa1.example.org realm example.org address 127.0.0.1
exit
diameter endpoint server
origin realm example.org
origin host aaa1.example.org address 127.0.0.1 accept-incoming-connections
peer lma1.example.org
exit
aaa group home
diameter authentication endpoint client
diameter accounting endpoint client
exit
aaa-server home
diameter endpoint server
realm example.org
user name bob@example.org
mn-aaa spi 3 secret 0x11223344556677889900aabbccddeeff
exit
exit
"""
AAA_KEY = "11223344556677889900aabbccddeeff"


class MobileCase(LabTests):
    """One mobile node, which is seen now in one network, now in another."""

    def mobile(self, role: str, command: str, **want: Any) -> dict[str, Any]:
        """Run a command of ``test.real.mobile`` where the mobile node is."""
        fields = {"agent": LMA_ADDRESS, "care_of": MAG_ADDRESSES[role], "home": HOME, "mn": ALICE, **want}
        python = (sys.executable, "-m", "test.real.mobile", command, json.dumps(fields))
        child = self.lab.popen(role, *python, stdout=-1, stderr=-1, env=environment())
        out, trouble = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, trouble)
        found: dict[str, Any] = json.loads(out)
        return found

    def register(self, role: str, sequence: int, **want: Any) -> dict[str, Any]:
        """An update with the right key."""
        fields = {"key": KEY, "spi": 256, "lifetime": 150, "sequence": sequence, **want}
        return self.mobile(role, "register", **fields)
