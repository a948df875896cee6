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
