"""Cisco's automation plugin for StarOS drives a whole appliance over SSH."""

import json
import subprocess
from pathlib import Path

from scripts.labrun import ROOT
from test.real.common import LabTests

PYTHON = ROOT / ".venv-unicon" / "bin" / "python"
USER = "robot"

CONFIG = f"""config
  system hostname lma1
  local-user username {USER} authorization-level administrator nopassword
  context local
    server sshd
      listen ::1 port 2222
      authorized-key username {USER} type ssh-ed25519 key KEY
      exit
    exit
  context anchor
    lma-service lma1
      exit
    exit
end
"""


class UniconTests(LabTests):
    """The plugin has its own idea of prompts, failures and screens; nothing here is ours but the server."""

    if LabTests.skip is None and not PYTHON.exists():
        skip = "the automation plugin is missing: scripts/test installs it into .venv-unicon (pip)"

    def test_session(self) -> None:
        """Log in, show, configure, two failures, the monitor with its keys, and log out."""
        key = self.work / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.started(CONFIG.replace("KEY", key.with_suffix(".pub").read_text().split()[1]))
        command = " ".join(
            self.lab.command(
                "lma", "ssh", "-tt", "-F", "none", "-i", str(key), "-p", "2222", "-o", "IdentitiesOnly=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{USER}@::1",
            )  # fmt: skip
        )
        driver = Path(__file__).with_name("unicon_session.py")
        done = subprocess.run(
            [str(PYTHON), str(driver), "lma1", command], capture_output=True, text=True, timeout=120,
            cwd=self.work,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertIn("Binding Updates Received:", found["statistics"])
        self.assertIn("Total Received:", found["statistics"])
        # The plugin turns timestamps and pages off when it connects.
        self.assertNotIn("--More--", found["statistics"])
        self.assertIn("Failure: Unknown keyword 'nonsense'", found["failure"])
        self.assertIn("Failure: Invalid value '0'", found["refused"])
        self.assertIn("reg-lifetime 1234", found["configuration"])
        self.assertEqual(found["monitor"]["verbosity_level"], "1")
        self.assertEqual(found["monitor"]["mobile_ipv6"], "on")
        self.assertEqual(int(found["verbosity"]), 3)
        self.assertRegex(found["clock"], r"\w+day \w+ \d\d \d\d:\d\d:\d\d \w+ \d{4}")
