"""Hosts that do their own mobility against a real anchor, on a kernel that need not know how."""

from typing import Any

from scripts.labnet import CN_ADDRESS, LMA_ADDRESS, MAG_ADDRESSES, run
from scripts.labrun import find_counter, wait_for
from test.real.mobile_case import AAA, AAA_KEY, ALICE, HOME, KEY, MobileCase

TAKEN, FREE = "2001:db8:1:100::66", "2001:db8:1:100::77"
CONFIG = f"""config
context anchor
ipv6 pool HOSTS prefix 2001:db8:1:100::/64 delegated-length 128 static
subscriber default
exit
subscriber name {ALICE}
mn-ha-spi spi-number 256 secret 0x{KEY}
exit
lma-service lma1
bind address {LMA_ADDRESS}
simul-bindings 2
mipv6 enable
mipv6 home-address-pool HOSTS
%s
exit
exit
end
"""
INITIAL, REFRESH, HANDOFF = (
    f"{each} Requests" for each in ("Initial Binding Update", "Refresh Binding Update", "Handoff")
)
DENY, ADMIN = "Binding Update Deny Reasons", "Update Denied - Admin Prohibited Reasons"


class HostTests(MobileCase):
    """An ``lma-service`` that serves hosts."""

    def test_a_host_registers_moves_speaks_and_leaves(self) -> None:
        """Acknowledgements are authentic; traffic goes both ways; the kernel keeps silent."""
        anchor = self.started(CONFIG % "")
        self.assertEqual(self.mobile("mag1", "data"), {"status": 1, "home": HOME})
        answer = self.register("mag1", 1, linger=True)
        wanted = {"status": 0, "sequence": 1, "lifetime": 150, "home": HOME, "checksum": True}
        self.assertEqual(answer, {**wanted, "authentic": True, "errors": []})
        self.assertEqual(self.mobile("mag1", "ping", target=CN_ADDRESS), {"answer": CN_ADDRESS})
        self.assertEqual(self.mobile("mag1", "data", wait=0.5), {})
        # From elsewhere the same source address is a stranger's.
        self.assertEqual(self.mobile("mag2", "ping", target=CN_ADDRESS, wait=0.5), {"answer": ""})
        self.assertEqual(self.register("mag2", 2)["status"], 0)
        self.assertEqual(self.mobile("mag2", "ping", target=CN_ADDRESS), {"answer": CN_ADDRESS})
        self.assertEqual(self.register("mag2", 2)["status"], 135)
        self.assertEqual(self.register("mag2", 3, key="00" * 16)["status"], 146)
        shown = anchor.cli("show lma-service session full")
        for text in ("MIPv6", HOME, "256", MAG_ADDRESSES["mag2"], ALICE):
            self.assertIn(text, shown)
        told = anchor.cli(
            "show lma-service all", "show logs", "show lma-service session full | json", check=False
        )
        self.assertNotIn(KEY, shown + told)
        for command in ("show subscribers full", "show session progress"):
            self.assertTrue(anchor.cli(command), command)
        self.assertIn("ha-mobile-ipv6:                1", anchor.cli("show subscribers summary"))
        self.assertEqual(self.register("mag2", 4, lifetime=0)["lifetime"], 0)
        self.assertEqual(self.mobile("mag2", "ping", target=CN_ADDRESS, wait=0.5), {"answer": ""})
        screen = anchor.cli("show lma-service statistics")
        for heading, label, value in (
            (INITIAL, "Accepted", 1),
            (HANDOFF, "Accepted", 1),
            ("DeReg Requests", "Accepted", 1),
            ("Binding Update Deny Reasons", "Sequence Out Of Window", 1),
            ("Binding Update Deny Reasons", "MN Auth Failure", 1),
            ("Binding Updates Received", "Total Received", 5),
        ):
            self.assertEqual(find_counter(screen, heading, label), value, (heading, label))

    def test_several_care_of_addresses(self) -> None:
        """Packets come from any of them (RFC 5648); the third is one too many, an unknown one is told."""
        anchor = self.started(CONFIG % "")
        first, second = MAG_ADDRESSES["mag1"], MAG_ADDRESSES["mag2"]
        self.assertEqual(self.register("mag1", 1, bids=[[1, first], [2, second]])["status"], 0)
        self.assertEqual(self.register("mag1", 2, bids=[[9, ""]])["status"], 167)
        self.assertEqual(self.register("mag1", 3, bids=[[3, "2001:db8:ffff::a3"]])["status"], 130)
        # The answer goes to the primary one, wherever the question came from.
        self.assertEqual(self.mobile("mag1", "ping", target=CN_ADDRESS), {"answer": CN_ADDRESS})
        self.assertEqual(self.register("mag2", 4, lifetime=0, bids=[[1, ""]])["status"], 0)
        self.assertEqual(self.mobile("mag2", "ping", target=CN_ADDRESS), {"answer": CN_ADDRESS})
        screen = anchor.cli("show lma-service statistics")
        reasons = "Update Denied - Insufficient Resource Reasons"
        self.assertEqual(find_counter(screen, "Binding Update Deny Reasons", "MCOA Unknown CoA"), 1)
        self.assertEqual(find_counter(screen, reasons, "Simul Bindings Exceeded"), 1)

    def test_duplicate_address_on_a_real_home_link(self) -> None:
        """The kernel of another host on the home link defends its address: 134. A free one takes a second."""
        name = self.lab.name
        run("ip", "-n", name("lma"), "link", "add", "home0", "type", "veth", "peer", "name", "home0",
            "netns", name("cn"))  # fmt: skip
        self.lab.ip("lma", "link set home0 up")
        self.lab.ip("cn", "link set home0 up", f"addr add {TAKEN}/64 dev home0 nodad")
        anchor = self.started(CONFIG % "mipv6 home-link home0")
        self.assertEqual(self.register("mag1", 1, home=TAKEN, wait=3)["status"], 134)
        self.assertEqual(self.register("mag1", 1, home=FREE, wait=3)["status"], 0)
        self.assertEqual(anchor.counter("lma", "Binding Update Deny Reasons", "DAD Failed"), 1)
        self.assertIn(f"{TAKEN} is in use on home0", anchor.cli("show logs"))

    def test_hosts_come_with_a_change_and_go_with_one(self) -> None:
        """``mipv6 enable`` at run time opens the sockets, ``no mipv6 enable`` closes them."""
        anchor = self.started((CONFIG % "").replace("mipv6 enable\n", ""))
        self.assertNotIn("status", self.register("mag1", 1, wait=0.5))
        lines = ("configure", "context anchor", "lma-service lma1")
        anchor.cli(*lines, "mipv6 enable", "end")
        self.assertEqual(self.register("mag1", 2)["status"], 0)
        blocked = run("ip", "-n", self.lab.name("lma"), "xfrm", "policy")
        self.assertIn("type 4 code 2", blocked)
        anchor.cli(*lines, "no mipv6 enable", "end")
        self.assertNotIn("status", self.register("mag1", 3, wait=0.5))
        self.assertEqual(run("ip", "-n", self.lab.name("lma"), "xfrm", "policy"), "")

    def moves(self, anchor: Any, heading: str, label: str, status: int | None, **want: Any) -> None:
        """An update gets a status, and moves a counter by one."""
        before = anchor.counter("lma", heading, label)
        answer = self.register("mag1", **{"wait": 0.4 if status is None else 3, **want})
        self.assertEqual(answer.get("status"), status, (label, want))
        self.assertEqual(anchor.counter("lma", heading, label), before + 1, label)

    def test_counters_of_hosts(self) -> None:
        """Each counter that hosts alone can move, by a packet that does."""
        anchor = self.started(CONFIG % "mipv6 timestamp-tolerance 30")
        lines = ("configure", "context anchor")
        self.moves(anchor, DENY, "Not Home Subnet", 132, sequence=1, home="2001:db8:1:200::5")
        self.moves(anchor, ADMIN, "Invalid MN-HA Option SPI", 129, sequence=1, spi=999)
        self.moves(anchor, ADMIN, "Invalid MN-AAA Option SPI", 129, sequence=1, aaa_key=KEY, aaa_spi=9)
        self.moves(anchor, ADMIN, "MN-AAA Auth Option Missing", 129, sequence=1, key="")
        self.moves(anchor, ADMIN, "H-bit Not Set", 129, sequence=1, flags=0x8000)
        self.moves(anchor, DENY, "Mismatched ID", 144, sequence=1, time=-40)
        self.moves(anchor, INITIAL, "Accepted", 0, sequence=1, time=0)
        self.moves(anchor, REFRESH, "Accepted", 0, sequence=1, time=5)
        self.moves(anchor, DENY, "Reg Type Change Disallowed", 139, sequence=2, flags=0x8000)
        anchor.cli(*lines, "lma-service lma1", "mipv6 timestamp-replay-protection", "end")
        self.moves(anchor, DENY, "Msg ID Required", 145, sequence=3)
        anchor.cli(*lines, f"subscriber name {ALICE}", "no permission mipv6", "end")
        self.moves(anchor, ADMIN, "No Permission", 129, sequence=4, time=8)
        anchor.cli(
            *lines, f"subscriber name {ALICE}", "permission mipv6", f"mipv6-home-address {FREE}", "end"
        )
        self.moves(anchor, ADMIN, "HoA Not Authorized", 129, sequence=5, time=11)

    def test_a_key_from_the_aaa_server(self) -> None:
        """MN-AAA is checked by the server (MIR), and its key protects the answer and the next updates."""
        text = (CONFIG % "aaa group home").replace("lma-service", AAA + "lma-service", 1)
        anchor = self.started(text)
        wait_for("the server", lambda: anchor.cli("show diameter peers").count("OPEN") >= 2, 20)
        bob = {"mn": "bob@example.org", "key": "", "aaa_key": AAA_KEY}
        self.moves(anchor, "MIP AAA Authentication", "Success", 0, sequence=1, **bob)
        shown = anchor.cli("show lma-service session full")
        self.assertIn("key from AAA", shown)
        self.moves(anchor, DENY, "MN Auth Failure", 146, sequence=2, home=FREE, **{**bob, "aaa_key": KEY})
        self.assertEqual(anchor.counter("lma", "MIP AAA Authentication", "Actual Auth Failures"), 1)
        self.assertEqual(anchor.counter("lma", "MIP AAA Authentication", "Attempts"), 2)
        anchor.cli("autoconfirm", "clear lma-service session username bob@example.org")
        self.assertEqual(anchor.counter("lma", "Total Disconnects", "Admin Drops"), 1)

        def told() -> bool:
            return "bob@example.org" in anchor.cli("show accounting records")

        wait_for("the accounting record", told, 10)
