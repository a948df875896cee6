"""What an operator gets when the appliance cannot start: exit status 2 and one line that helps."""

from scripts.labrun import ROOT, Appliance
from test.real.common import LabTests, lma_config


class BootFailureTests(LabTests):
    """Each obstacle is named, with the way to remove it, and nothing is left half done."""

    def refused(self, node: Appliance, *words: str) -> str:
        """The appliance must end with status 2 and one ``Failure:`` line that has all ``words``."""
        status, lines = node.fail()
        shown = "\n".join(lines)
        self.assertEqual(status, 2, shown)
        self.assertNotIn("Traceback", shown)
        failures = [line for line in lines if line.startswith("Failure:")]
        self.assertEqual(len(failures), 1, shown)
        for word in words:
            self.assertIn(word, failures[0])
        self.assertNotIn("Appliance ready", shown)
        return failures[0]

    def test_no_tun_device(self) -> None:
        """Without /dev/net/tun the line names it."""
        hide = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh")
        self.refused(self.appliance(lma_config(), wrapper=hide), "/dev/net/tun")

    def test_no_capability(self) -> None:
        """Without the capabilities, each alone or both, the line names them."""
        for number, dropped in enumerate(("-net_admin,-net_raw", "-net_raw", "-net_admin")):
            drop = ("setpriv", f"--bounding-set={dropped}")
            node = self.appliance(lma_config(), wrapper=drop, name=f"n{number}")
            self.refused(node, "CAP_NET_")

    def test_address_not_on_this_host(self) -> None:
        """A bind address that no device has is named."""
        line = self.refused(self.appliance(lma_config(bind="2001:db8:dead::1")), "2001:db8:dead::1")
        self.assertIn("not on this host", line)

    def test_second_process_on_the_same_state_directory(self) -> None:
        """The second process names the directory and the first one's process id."""
        first = self.started(lma_config())
        assert first.process is not None
        second = self.appliance(lma_config(), role="cn", name="second")
        second.state = first.state
        self.refused(second, str(first.state), str(first.process.pid))
        self.assertIsNone(first.process.poll())
        self.assertIn("lma1", first.cli("show lma-service all"))

    def test_control_socket_in_use(self) -> None:
        """The socket of a living process is not taken away from it."""
        first = self.started(lma_config())
        second = self.appliance(lma_config(bind="2001:db8:eeee::80"), role="cn", name="second")
        second.socket = first.socket
        self.refused(second, str(first.socket))
        self.assertIn("lma1", first.cli("show lma-service all"))

    def test_control_socket_of_a_dead_process_is_replaced(self) -> None:
        """A socket file that nobody listens on is no obstacle."""
        first = self.started(lma_config())
        first.stop(9)
        self.assertTrue(first.socket.exists())
        first.start()
        first.wait_ready()
        self.assertIn("lma1", first.cli("show lma-service all"))

    def test_no_configuration_file(self) -> None:
        """A file that is not there is named."""
        self.refused(self.appliance(self.work / "missing.conf"), "missing.conf")

    def test_a_failed_start_leaves_nothing(self) -> None:
        """An address that was added before the failure is removed again."""
        text = lma_config(interface="2001:db8:ffff::99/64", bind="2001:db8:dead::1")
        self.refused(self.appliance(text), "2001:db8:dead::1")
        shown = self.lab.exec("lma", "ip", "-6", "addr", "show")
        self.assertNotIn("2001:db8:ffff::99", shown)
        self.assertNotIn("2001:db8:1:", self.lab.exec("lma", "ip", "-6", "route", "show"))

    def test_all_errors_of_a_configuration_are_listed(self) -> None:
        """Three wrong lines give three lines with file and number; the range error names the range."""
        text = lma_config().replace(
            "lma-service lma1\n", "lma-service lma1\nfrobnicate 7\nreg-lifetime 0\nmag-peer not-an-address\n"
        )
        node = self.appliance(text)
        status, lines = node.fail()
        self.assertEqual(status, 2)
        numbers = [number for number, line in enumerate(text.splitlines(), 1) if "lma-service lma1" in line]
        for offset in (1, 2, 3):
            start = f"{node.config}:{numbers[0] + offset}: Failure:"
            self.assertTrue(any(line.startswith(start) for line in lines), f"{start}\n" + "\n".join(lines))
        self.assertIn("262140", "\n".join(lines))
        self.assertEqual(len(lines), 3, "\n".join(lines))

    def test_check_only_parses(self) -> None:
        """``--check`` accepts every configuration that we ship, without the host's devices."""
        files = [*sorted((ROOT / "etc").glob("*.conf")), *sorted((ROOT / "etc" / "demo").glob("*.conf"))]
        self.assertEqual(len(files), 10)
        for path in files:
            node = Appliance(self.lab, "cn", path, self.work, name=f"check-{path.stem}")
            out = self.lab.exec("cn", *node.command("run", "--check", "-c", str(path))[3:])
            self.assertIn("valid", out)
