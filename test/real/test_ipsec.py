"""``mipv6 require ipsec``: only what the kernel's ESP has covered is heard, and answers are covered too.

It needs a kernel with Mobile IPv6 and ESP. Under one that has them (slow, but it shows the same)::

    ../shared/rig/guest -t 600 -m 1500 -- bash -c '
        guest_modprobe -a tun veth bridge esp6 mip6 xfrm_user authenc crypto_null
        PYTHONPATH=. .venv/bin/python -m scripts.run_tests test.real.test_ipsec'
"""

import json
import os
import sys
from typing import Any

from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, LabError, run
from scripts.labrun import environment
from test.real.common import SKIP, LabTests

HOME, OTHER = "2001:db8:1:100::5", "2001:db8:1:100::6"
KEY = "00112233445566778899aabbccddeeff01234567"
IN, OUT = 0x1001, 0x1002
CONFIG = f"""config
context anchor
ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
subscriber default
exit
lma-service lma1
bind address {LMA_ADDRESS}
mipv6 enable
mipv6 home-address-pool HOSTS
mipv6 require ipsec
exit
exit
end
"""


def association(namespace: str, source: str, destination: str, spi: int, ours: str, theirs: str) -> None:
    """A security association for the mobility messages between two addresses."""
    run("ip", "-n", namespace, "xfrm", "state", "add", "src", source, "dst", destination, "proto", "esp",
        "spi", str(spi), "mode", "transport", "auth", "hmac(sha1)", f"0x{KEY}", "enc", "ecb(cipher_null)", "",
        "sel", "src", ours, "dst", theirs, "proto", "135")  # fmt: skip


def lacking() -> str | None:
    """Why this kernel cannot do it; ``None``: it can."""
    if SKIP:
        return SKIP
    name = f"probe-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        association(name, HOME, LMA_ADDRESS, IN, HOME, LMA_ADDRESS)
        run("ip", "-n", name, "xfrm", "state", "add", "src", "::", "dst", LMA_ADDRESS, "proto", "hao",
            "mode", "ro", "coa", "::")  # fmt: skip
    except LabError as failure:
        return f"this kernel has no ESP or no Mobile IPv6 ({failure}); see the top of this file"
    finally:
        run("ip", "netns", "del", name, check=False)
    return None


LACKING = lacking()


class IpsecTests(LabTests):
    """One home agent with associations for one host."""

    skip = LACKING

    def register(self, sequence: int, **want: Any) -> dict[str, Any]:
        """An update of the host."""
        fields = {
            "agent": LMA_ADDRESS, "care_of": MAG_ADDRESSES["mag1"], "home": HOME, "key": KEY, "spi": IN,
            "answer_spi": OUT, "lifetime": 150, "sequence": sequence, **want,
        }  # fmt: skip
        python = (sys.executable, "-m", "test.real.ipsec_host", json.dumps(fields))
        child = self.lab.popen("mag1", *python, stdout=-1, stderr=-1, env=environment())
        out, trouble = child.communicate(timeout=120)
        self.assertEqual(child.returncode, 0, trouble)
        found: dict[str, Any] = json.loads(out)
        return found

    def test_only_what_is_covered(self) -> None:
        """Plain, forged, of another home address, without Alternate CoA: silence. Else ESP both ways."""
        name = self.lab.name("lma")
        anchor = self.appliance(CONFIG)
        anchor.start()
        # An emulated machine is slow.
        anchor.wait_ready(300)
        association(name, HOME, LMA_ADDRESS, IN, HOME, LMA_ADDRESS)
        association(name, LMA_ADDRESS, HOME, OUT, LMA_ADDRESS, HOME)
        self.assertEqual(self.register(1, spi=0), {})
        self.assertEqual(self.register(1, key="ff" * 20), {})
        self.assertEqual(self.register(2, home=OTHER), {})
        self.assertEqual(self.register(3, alternate=False), {})
        wanted = {"status": 0, "esp": True, "home": HOME}
        self.assertEqual(self.register(4), wanted)
        self.assertEqual(self.register(5, lifetime=0), wanted)
        anchor.stop()
        self.assertNotIn("proto hao", run("ip", "-n", name, "xfrm", "state"))


class RefusalTests(LabTests):
    """A kernel that cannot."""

    skip = SKIP or (None if LACKING else "this kernel has ESP and Mobile IPv6")

    def test_a_clear_line(self) -> None:
        """An appliance with the line does not start; where it is typed it is refused, and nothing changes."""
        node = self.appliance(CONFIG)
        node.start()
        failure = self.assertRaises(LabError, node.wait_ready)
        self.assertIn("require ipsec: this kernel", str(failure))
        anchor = self.started(CONFIG.replace("mipv6 require ipsec\n", ""), name="again")
        lines = ("configure", "context anchor", "lma-service lma1", "mipv6 require ipsec", "end")
        failure = self.assertRaises(LabError, anchor.cli, *lines)
        self.assertIn("require ipsec: this kernel", str(failure))
        self.assertNotIn("require ipsec", anchor.cli("show configuration"))
        self.assertIn("Started", anchor.cli("show lma-service name lma1"))
