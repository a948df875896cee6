"""A gateway, the anchor that it asks and the one that serves: three appliances on three hosts (RFC 6463)."""

import json

from scripts.labnet import CN_ADDRESS, HOME_POOL, LMA_ADDRESS, MAG_ADDRESSES
from scripts.labrun import wait_for
from test.real.common import LabTests, demo_config

GATEWAY, FRONT, SILENT = MAG_ADDRESSES["mag1"], MAG_ADDRESSES["mag2"], "2001:db8:ffff::77"
NAI = "mn1@example.org"
ENDED = ("Total Disconnects", "Deregistrations")

#: The anchor that is asked, on the host of the second gateway; its first target is nobody's address.
ASKED = f"""\
config
  context front
    subscriber default
      permission pmipv6
      exit
    lma-service front
      redirect policy always
      bind address {FRONT}
      redirect target {SILENT}
      redirect target {LMA_ADDRESS}
      redirect timeout 500
      mag-peer {GATEWAY}
      exit
    exit
end
"""

SERVING = f"""\
config
  context anchor
    ipv6 pool HOME prefix {HOME_POOL}
    subscriber default
      permission pmipv6
      exit
    lma-service back
      bind address {LMA_ADDRESS}
      alt-coa-allowed
      load-information enable
      mag-peer {GATEWAY}
      mag-peer {FRONT}
      exit
    exit
end
"""


class RemoteTests(LabTests):
    """RFC 6463 section 5.3.2: the anchor that is asked is a gateway to the one that serves."""

    def test_assigned_elsewhere(self) -> None:
        """The mobile node is served by the other host, and needs the anchor that was asked no more."""
        lines = "      redirect enable\n      redirect unknown-handoff\n"
        config = demo_config("mag1").replace(" ipv4\n", "\n")
        config = config.replace(f"lma-address {LMA_ADDRESS}\n", f"lma-address {FRONT}\n{lines}")
        back = self.started(SERVING, "lma")
        front = self.started(ASKED, "mag2")
        mag = self.started(config, "mag1")
        self.lab.attach()
        wait_for("a session", lambda: NAI in back.cli("show lma-service session full"), 20)
        session = json.loads(back.cli("show lma-service session full | json"))
        (found,) = session if isinstance(session, list) else [session]
        self.assertEqual((found["service"], found["care_of"]), ("back", GATEWAY))
        wait_for("an answer", lambda: ", 0% packet loss" in self.ping("mn", CN_ADDRESS), 20)
        shown = mag.cli("show mag-service session full")
        self.assertRegex(shown, f"Redirected By: +{FRONT}")
        self.assertRegex(shown, r"LMA Load: +priority 0, 1 of \d+ sessions")
        self.assertNotIn(NAI, front.cli("show lma-service session full"))
        self.assertEqual(front.counter("lma", "Runtime LMA Assignment", "Assigned"), 1)
        self.assertEqual(mag.counter("mag", "Runtime LMA Assignment", "Taken"), 1)
        # What comes from now on goes between the gateway and the anchor that serves.
        front.stop()
        self.lab.detach()
        wait_for("the end", lambda: NAI not in mag.cli("show mag-service session full"), 20)
        wait_for("a de-registration", lambda: back.counter("lma", *ENDED) == 1, 20)
