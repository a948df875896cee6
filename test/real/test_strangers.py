"""Strangers at the SSH port and a flood of keys: mobiles do not notice, and the log stays short."""

import subprocess
import sys
import threading

from scripts.benches.operator import Terminal
from scripts.benches.signalling import Load
from scripts.labnet import LabError
from scripts.labrun import environment
from test.real.common import LabTests, lma_config

PORT = 2222
MOBILES = 500
SECONDS = 4


class StrangersTests(LabTests):
    """An anchor with 500 sessions that are refreshed one after the other all the time."""

    def test_signalling_goes_on(self) -> None:
        """Every update is answered and none refused while 200 clients a second connect and keys pour in."""
        sshd = f"config\ncontext local\nserver sshd\nlisten ::1 port {PORT}\nexit\nexit\n"
        anchor = self.started(lma_config().replace("config\n", sshd, 1))
        load = Load(self.lab)
        self.addCleanup(load.process.wait)
        self.addCleanup(load.process.kill)
        self.assertEqual(load.phase("attach", MOBILES, 16)["refused"], 0)
        strangers = self.lab.popen(
            "lma", sys.executable, "-m", "test.real.strangers", str(PORT), str(SECONDS),
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        self.addCleanup(strangers.kill)
        keys = threading.Thread(target=self.flood, args=(str(anchor.socket),))
        keys.start()
        rounds = 0
        while strangers.poll() is None:
            # Raises if an answer stays away for three seconds or is a refusal.
            load.phase("refresh", MOBILES, 1)
            rounds += 1
        keys.join(30)
        self.assertFalse(keys.is_alive())
        self.assertGreater(rounds, 0)
        connects = int(strangers.communicate()[0])
        self.assertGreater(connects, 100 * SECONDS)
        log = anchor.log.read_text().splitlines()
        told = [line for line in log if "[warning] ssh " in line]
        self.assertTrue(0 < len(told) < 10, told)
        self.assertIn("500", anchor.cli("show lma-service session counters | grep -i sessions"))

    def flood(self, path: str) -> None:
        """Keys in no time, again and again; the session that they are typed in is ended."""
        for _ in range(5):
            terminal = Terminal(path)
            try:
                for _ in range(100):
                    terminal.press("show lma-service statistics ?" * 200)
                terminal.wait(lambda _text: False)
            except (LabError, OSError):
                # That is what must happen: the appliance hangs up.
                terminal.close()
