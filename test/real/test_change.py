"""Changes of the running configuration on a real host: what lasts, what ends, what is put back."""

import json
import subprocess
import sys
from pathlib import Path

from scripts.demo import NAI
from scripts.labnet import CN_ADDRESS, HOME_POOL, MAG_ADDRESSES
from scripts.labrun import Appliance, environment, wait_for
from test.real.common import LabTests, demo_config

SECOND = "2001:db8:ffff::2"


class ReloadingAppliance(Appliance):
    """An appliance that takes its changed configuration file at once."""

    def change(self, text: str) -> str:
        """Have it run this configuration; what the shell says about that."""
        self.config.write_text(text)
        out = self.shell(f"configure {self.config} replace -noconfirm")
        if out.startswith("Failure: "):
            return "refused " + out.removeprefix("Failure: ").strip()
        notes = [line.removeprefix("Info: ") for line in out.splitlines() if line.startswith("Info: ")]
        count = 0
        for note in list(notes):
            if note.endswith(" by this change"):
                notes.remove(note)
                count = int(note.split()[0])
        return "; ".join([f"changed {count} sessions", *notes[:-1]])

    def shell(self, line: str) -> str:
        """What one line prints, be it its output or its failure."""
        command = [sys.executable, "-m", "appliance", "cli", "--socket", str(self.socket), "-e", line]
        done = subprocess.run(
            command, input="", capture_output=True, text=True, env=environment(), timeout=20
        )
        return done.stdout + done.stderr


class ChangeTests(LabTests):
    """Anchor and gateway 1; the mobile node is attached by :meth:`attach`."""

    def reloading(self, role: str, text: str) -> ReloadingAppliance:
        """A running appliance with a configuration of its own."""
        path = self.work / f"{role}.conf"
        path.write_text(text)
        node = ReloadingAppliance(self.lab, role, path, self.work)
        self.addCleanup(node.stop)
        node.start()
        node.wait_ready()
        return node

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.lma_text = demo_config("lma")
        self.mag_text = demo_config("mag1")
        self.lma = self.reloading("lma", self.lma_text)
        self.mag = self.reloading("mag1", self.mag_text)

    def attach(self) -> str:
        """The mobile node arrives; its address."""
        self.lab.attach()
        prefix = HOME_POOL.split("::")[0] + ":"
        return wait_for(
            "an address",
            lambda: next((text for text in self.lab.addresses("mn", "mn0") if text.startswith(prefix)), ""),
            20,
        )

    def has_session(self, node: Appliance, kind: str) -> bool:
        """Whether the mobile node has one."""
        return NAI in node.cli(f"show {kind}-service session full")

    def call_id(self) -> str:
        """What tells a session from the one before it."""
        screen = self.lma.cli("show lma-service session full")
        return next(line for line in screen.splitlines() if "Callid" in line or "Call" in line)

    def test_sessions_last(self) -> None:
        """Timers, gateways, tunnels and a second pool change under a session that goes on."""
        self.attach()
        self.assertIn(", 0% packet loss", self.ping("mn", CN_ADDRESS))
        before = self.call_id()
        text = self.lma_text.replace("reg-lifetime 600", "reg-lifetime 900\n path-mtu 1400")
        text = text.replace(f"mag-peer {MAG_ADDRESSES['mag2']}", "mag-peer 2001:db8:77::/48")
        text = text.replace("ip pool HOME4", "ipv6 pool MORE prefix 2001:db8:2::/48\n ip pool HOME4")
        self.assertEqual(self.lma.change(text), "changed 0 sessions")
        other = "encapsulation ipip\n reachable-time 60\n path-mtu 1400"
        changed = self.mag_text.replace("encapsulation ipip", other)
        self.assertEqual(self.mag.change(changed), "changed 0 sessions")
        self.assertEqual(self.call_id(), before)
        self.assertIn(", 0% packet loss", self.ping("mn", CN_ADDRESS))
        self.assertIn("2001:db8:2::/48 dev tun-lma1", self.lab.exec("lma", "ip", "-6", "route"))
        self.assertIn("mtu 1360", self.lab.exec("lma", "ip", "link", "show", "tun-lma1"))
        wait_for("the mobile node knows the MTU", lambda: "mtu 1360" in self.route_to_router(), 10)
        self.assertIn("900 seconds", self.lma.cli("show lma-service name lma1"))
        self.assertIn(" 0 received", self.ping("cn", HOME_POOL.split("::")[0] + ":ffff::1"))
        self.assertEqual(self.lma.change(self.lma_text), "changed 0 sessions")
        self.assertNotIn("2001:db8:2::/48", self.lab.exec("lma", "ip", "-6", "route"))
        self.assertIn("mtu 1460", self.lab.exec("lma", "ip", "link", "show", "tun-lma1"))

    def route_to_router(self) -> str:
        """The default route of the mobile node, with the MTU that it was told."""
        return self.lab.exec("mn", "ip", "-6", "route", "show", "default")

    def test_session_ends_with_its_pool(self) -> None:
        """Another pool: session and route of the old one are gone, the new one serves."""
        self.attach()
        text = self.lma_text.replace(HOME_POOL, "2001:db8:2::/48")
        self.assertEqual(self.lma.change(text), "changed 1 sessions; lma-service lma1: 1 session ends")
        self.assertFalse(self.has_session(self.lma, "lma"))
        shown = self.lab.exec("lma", "ip", "-6", "route")
        self.assertNotIn(HOME_POOL, shown)
        self.assertIn("2001:db8:2::/48 dev tun-lma1", shown)
        self.assertEqual(self.load("2001:db8:ffff::1")["refused"], 0)
        self.assertIn("2001:db8:2:", self.lma.cli("show lma-service session full"))

    def load(self, address: str) -> dict[str, float]:
        """Five registrations from gateway 2."""
        words = (sys.executable, "-m", "scripts.benches.pbu", "load", MAG_ADDRESSES["mag2"], address)
        out = subprocess.run(
            self.lab.command("mag2", *words),
            input="attach 5 1\n", capture_output=True, text=True, env=environment(), timeout=30,
        )  # fmt: skip
        found: dict[str, float] = json.loads(out.stdout.splitlines()[0])
        return found

    def test_service_comes_and_goes(self) -> None:
        """A second anchor with an address and a pool of its own, beside a session that goes on."""
        self.attach()
        more = f"""
          context second
           interface lo
            ipv6 address {SECOND}/128
            exit
           ipv6 pool TWO prefix 2001:db8:2::/48
           subscriber default
            permission pmipv6
            exit
           lma-service lma2
            bind address {SECOND}
            mag-peer {MAG_ADDRESSES["mag2"]}
            exit
           exit
        end"""
        self.assertEqual(self.lma.change(self.lma_text.replace("\nend", more)),
                         "changed 0 sessions; lma-service lma2 starts")  # fmt: skip
        self.lab.ip("mag2", f"route add {SECOND} via 2001:db8:ffff::1")
        self.assertEqual(self.load(SECOND)["refused"], 0)
        self.assertEqual(self.lma.change(self.lma_text),
                         "changed 5 sessions; lma-service lma2 stops: its sessions end")  # fmt: skip
        host = self.lab.exec("lma", "ip", "-6", "route") + self.lab.exec("lma", "ip", "addr")
        for part in (SECOND, "2001:db8:2::", "tun-lma2"):
            self.assertNotIn(part, host)
        self.assertTrue(self.has_session(self.lma, "lma"))
        self.assertIn(", 0% packet loss", self.ping("mn", CN_ADDRESS))

    def test_bind_address_moves(self) -> None:
        """The service starts anew at another address; its counters go on."""
        self.attach()
        text = self.lma_text.replace("bind address 2001:db8:ffff::1", f"bind address {SECOND}")
        refused = f"refused lma-service lma1: bind address {SECOND} is not on this host"
        self.assertIn(refused, self.lma.change(text))
        self.assertTrue(self.has_session(self.lma, "lma"))
        text = text.replace("address 2001:db8:ffff::1/64", f"address {SECOND}/64")
        self.assertEqual(self.lma.change(text),
                         "changed 1 sessions; lma-service lma1 starts anew: its sessions end")  # fmt: skip
        self.assertEqual(self.load(SECOND)["refused"], 0)
        self.assertIn("Local IPv6 Address", self.lma.cli("show lma-service name lma1"))
        self.assertIn(f"{SECOND}/64", self.lab.exec("lma", "ip", "addr"))
        self.assertEqual(self.lma.stop(), 0)
        self.assertNotIn(SECOND, self.lab.exec("lma", "ip", "addr"))

    def test_access_interface_comes_and_goes(self) -> None:
        """A device that is up already is served at once; without its line the mobile is de-registered."""
        without = self.mag_text.replace("access-interface acc0 access-technology 4", "")
        self.assertEqual(self.mag.change(without), "changed 0 sessions")
        self.lab.attach()
        self.assertFalse(self.has_session(self.mag, "mag"))
        self.assertEqual(self.mag.change(self.mag_text), "changed 0 sessions")
        self.attach()
        self.assertIn(", 0% packet loss", self.ping("mn", CN_ADDRESS))
        self.assertEqual(self.mag.change(without), "changed 1 sessions; mag-service mag1: 1 session ends")
        wait_for("the gateway let it go", lambda: not self.has_session(self.mag, "mag"), 5)
        wait_for("the anchor too", lambda: "deleting" in self.lma.cli("show lma-service session full").lower()
                 or not self.has_session(self.lma, "lma"), 15)  # fmt: skip

    def test_what_fails_is_put_back(self) -> None:
        """A device that is in the way: the address that was added goes again, the session lasts."""
        self.attach()
        self.lab.ip("lma", "link add tun-lma2 type veth peer name other0")
        more = f"context second\n interface lo\n ipv6 address {SECOND}/128\n exit\n"
        more += f"lma-service lma2\n bind address {SECOND}\n exit\n exit\n"
        self.assertIn("context anchor\n", self.lma_text)
        text = self.lma_text.replace("context anchor\n", more + "context anchor\n")
        text = text.replace("reg-lifetime 600", "path-mtu 1400")
        said = self.lma.change(text)
        self.assertIn("refused TUN device tun-lma2", said)
        self.assertTrue(said.endswith("; nothing was changed"), said)
        host = self.lab.exec("lma", "ip", "addr")
        self.assertNotIn(SECOND, host)
        self.assertIn("mtu 1460", self.lab.exec("lma", "ip", "link", "show", "tun-lma1"))
        self.assertTrue(self.has_session(self.lma, "lma"))
        self.assertIn(", 0% packet loss", self.ping("mn", CN_ADDRESS))

    def test_control_socket_moves(self) -> None:
        """The command line is found at the new place, and not at the old one any more."""
        node = self.lma
        node.stop()
        # Without --socket, so that the configuration decides.
        first, second = self.work / "one", self.work / "two"
        text = self.lma_text.replace("hostname lma", f"hostname lma\nsystem control-socket {first}")
        node.config.write_text(text)
        node.socket = first
        arguments = node.run_arguments()
        node.run_arguments = lambda: arguments[: arguments.index("--socket")]  # type: ignore[method-assign]
        node.start()
        node.wait_ready()
        self.assertIn("lma1", node.cli("show lma-service all"))
        said = node.change(text.replace(str(first), str(second)))
        moved = f"the control socket moves to {second}; open sessions stay"
        self.assertEqual(said, f"changed 0 sessions; {moved}")
        node.socket = second
        self.assertIn("lma1", node.cli("show lma-service all"))
        self.assertFalse(Path(first).exists())
