"""A real home link: hosts of other kernels on it, a mobile node that is away and comes back."""

import json
import re
import shutil
import subprocess
import sys
import time
from typing import Any

from scapy.compat import raw
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6, in6_chksum
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from appliance.protocols.mipv6.home_link import second_address
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, run
from scripts.labrun import environment, wait_for
from test.real.common import LabTests

ALICE, BOB = "alice@example.org", "bob@example.org"
PREFIX = "2001:db8:1:100::"
HOME, HOME2, ROUTER, NEIGHBOUR = (f"{PREFIX}{number}" for number in (5, 6, 1, 80))
KEY = bytes(range(16)).hex()
FLAGS_L = 0xE000
#: The anchor's on another link.
OUTSIDE = "2001:db8:eeee::1"
#: A datagram to a group on the home link.
SAY = """import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("home0"))
sock.sendto(b"to the group", (sys.argv[1], 5000, 0, 0))
"""
CONFIG = f"""config
context anchor
interface home0
ipv6 address {ROUTER}/64
exit
ipv6 pool HOSTS prefix {PREFIX}/64 delegated-length 128 static
subscriber default
mn-ha-spi spi-number 256 secret 0x{KEY}
exit
lma-service lma1
bind address {LMA_ADDRESS}
mipv6 enable
mipv6 home-address-pool HOSTS
mipv6 home-link home0
exit
exit
end
"""
#: The same by a home agent.
AGENT = (
    CONFIG.replace("lma-service lma1", "mipv6ha-service ha1")
    .replace("mipv6 enable\n", "home-link-multicast\n")
    .replace("\nmipv6 ", "\n")
)


class HomeLinkTests(LabTests):
    """``home0`` of anchor, correspondent and mobile node are one Ethernet."""

    def setUp(self) -> None:
        """Lay the link; the correspondent has an address on it, the mobile node is not there yet."""
        super().setUp()
        self.lab.ip("net", "link add home type bridge mcast_snooping 0", "link set home up")
        for role in ("lma", "cn", "mn"):
            self.lab.ip(
                "net",
                f"link add home-{role} type veth peer name home0 netns {self.lab.name(role)}",
                f"link set home-{role} master home",
                f"link set home-{role} up",
            )
        self.lab.ip("lma", "link set home0 up")
        self.lab.ip("cn", "link set home0 up", f"addr add {NEIGHBOUR}/64 dev home0 nodad")

    def start(self, role: str, command: str, **want: Any) -> "subprocess.Popen[str]":
        """A command of ``test.real.mobile`` where the mobile node is."""
        care_of = MAG_ADDRESSES.get(role, HOME)
        fields = {"agent": LMA_ADDRESS, "care_of": care_of, "home": HOME, "mn": ALICE, **want}
        python = (sys.executable, "-m", "test.real.mobile", command, json.dumps(fields))
        return self.lab.popen(role, *python, stdin=-1, stdout=-1, stderr=-1, env=environment())

    def end(self, child: "subprocess.Popen[str]") -> dict[str, Any]:
        """What it has to tell."""
        out, trouble = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, trouble)
        found: dict[str, Any] = json.loads(out)
        return found

    def ready(self, role: str, command: str, **want: Any) -> "subprocess.Popen[str]":
        """A command that goes on until :meth:`end`; it has begun."""
        child = self.start(role, command, **want)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "ready\n")
        return child

    def register(self, role: str, sequence: int, **want: Any) -> int:
        """An update of a mobile node that is away; its status."""
        fields = {"key": KEY, "spi": 256, "lifetime": 150, "sequence": sequence, "wait": 3, **want}
        status: int = self.end(self.start(role, "register", **fields))["status"]
        return status

    def link_layer(self, role: str, device: str = "home0") -> str:
        """The link-layer address of a device."""
        shown = run("ip", "-n", self.lab.name(role), "-o", "link", "show", "dev", device)
        return re.search(r"link/ether (\S+)", shown)[1]  # type: ignore[index]

    def link_local(self, role: str) -> str:
        """The link-local address of a role on the home link."""
        words = ("addr", "show", "dev", "home0", "scope", "link")
        return run("ip", "-n", self.lab.name(role), "-6", "-o", *words).split()[3].split("/")[0]

    def neighbour(self, role: str, address: str) -> str:
        """Which link-layer address a kernel has for an address."""
        shown = run("ip", "-n", self.lab.name(role), "-6", "neigh", "show", address, "dev", "home0")
        found = re.search(r"lladdr (\S+)", shown)
        return found[1] if found else ""

    def test_a_neighbour_reaches_a_host_that_is_away_and_that_comes_home(self) -> None:
        """RFC 6275 sections 10.4.1, 10.4.2, 10.3.2 and 11.5.5, by the neighbour cache of a real kernel."""
        self.started(CONFIG)
        router, mobile = self.link_layer("lma"), self.link_layer("mn")
        # The mobile node was there before it left: the neighbour knows it.
        self.lab.ip("cn", f"neigh add {HOME} lladdr {mobile} dev home0 nud reachable")
        self.assertEqual(self.register("mag1", 1), 0)
        self.assertEqual(self.neighbour("cn", HOME), router)
        serving = self.ready("mag1", "serve")
        self.lab.ip("cn", f"neigh flush {HOME} dev home0")
        self.assertIn(" 0% packet loss", self.ping("cn", HOME))
        # Packets from elsewhere, and those of the anchor itself, come by its routes.
        for source in (OUTSIDE, ROUTER):
            self.assertIn(" 0% packet loss", self.ping("lma", HOME, "-I", source))
        served = self.end(serving)["served"]
        self.assertEqual(set(served), {NEIGHBOUR, OUTSIDE, ROUTER})
        self.assertEqual(self.end(self.start("mag1", "ping", target=NEIGHBOUR)), {"answer": NEIGHBOUR})
        # The anchor itself still speaks with its neighbours, and mobile nodes with one another.
        self.assertIn(" 0% packet loss", self.ping("lma", NEIGHBOUR))
        self.assertEqual(self.register("mag2", 1, home=HOME2, mn=BOB), 0)
        serving = self.ready("mag1", "serve")
        pinged = self.end(self.start("mag2", "ping", home=HOME2, target=HOME))
        self.assertEqual((pinged, self.end(serving)["served"]), ({"answer": HOME}, [HOME2]))
        self.lab.ip("mn", "link set home0 up")
        home = {"device": "home0", "router": router, "key": KEY, "spi": 256, "lifetime": 0}
        late = self.end(self.start("mn", "at-home", sequence=1, **home))
        # RFC 6275 section 10.3.2: a refusal reaches it at home, though the address is still defended.
        self.assertEqual(late["status"], 135)
        answer = self.end(self.start("mn", "at-home", sequence=2, **home))
        wanted = {"status": 0, "sequence": 2, "lifetime": 0, "authentic": True, "destination": HOME}
        self.assertEqual({name: answer[name] for name in wanted}, wanted)
        self.lab.sysctl("mn", ipv6__conf__home0__ndisc_notify=1)
        self.lab.ip("mn", f"addr add {HOME}/64 dev home0 nodad")
        self.assertIn(" 0% packet loss", self.ping("cn", HOME))
        self.assertEqual(self.neighbour("cn", HOME), mobile)
        # And for packets from elsewhere, which come by the anchor.
        self.assertIn(" 0% packet loss", self.ping("lma", HOME))

    def taken(self, address: str) -> None:
        """A kernel that gives itself the address finds that another node has it."""
        self.lab.ip("mn", f"addr add {address}/64 dev home0")

        def failed() -> bool:
            words = ("addr", "show", "dev", "home0", "dadfailed")
            shown = run("ip", "-n", self.lab.name("mn"), "-6", "-o", *words)
            return f" {address}/64 " in shown

        wait_for(f"{address} to be refused", failed, 5)

    def test_a_bound_address_is_defended_until_it_is_not_bound(self) -> None:
        """A kernel that wants the address, or the link-local one, is refused; Scapy reads what was told."""
        agent = self.started(AGENT)
        self.lab.ip("mn", "link set home0 up")
        sniffing = self.ready("cn", "sniff", device="home0")
        self.assertEqual(self.register("mag1", 1, flags=FLAGS_L), 0)
        bound = time.monotonic()
        # What is not bound is nobody's: the kernel has it after a second.
        self.lab.ip("mn", f"addr add {HOME2}/64 dev home0")
        wait_for("a free address", lambda: HOME2 in self.lab.addresses("mn", "home0"), 5)
        self.assertEqual(self.register("mag1", 2, home=HOME2, mn=BOB), 134)
        self.lab.exec("cn", "ping", "-n", "-c", "1", "-W", "0.3", HOME, check=False)
        unreachable = self.lab.exec("cn", "ping", "-n", "-c", "1", "-W", "1", "fe80::5%home0", check=False)
        self.assertIn("Address unreachable", unreachable)
        shown = agent.cli("show mipv6ha-service session full")
        self.assertIn("on home0, link-local address too", shown)
        # The kernel is to fail by the answer, not by the last announcement.
        time.sleep(max(0.0, bound + 2.3 - time.monotonic()))
        self.taken(HOME)
        self.taken("fe80::5")
        self.advertised([bytes.fromhex(frame) for frame in self.end(sniffing)["frames"]])
        self.assertEqual(self.register("mag1", 2, lifetime=0, flags=FLAGS_L), 0)
        self.lab.ip("mn", f"addr del {HOME}/64 dev home0", f"addr add {HOME}/64 dev home0")
        wait_for("its own address", lambda: HOME in self.lab.addresses("mn", "home0"), 5)

    def routes(self) -> list[str]:
        """The anchor's routes of the home prefix, the best first."""
        shown = run("ip", "-n", self.lab.name("lma"), "-6", "route", "show", f"{PREFIX}/64")
        return [re.sub(r"^.* dev (\S+).* metric (\d+).*$", r"\1 \2", line) for line in shown.splitlines()]

    def test_the_home_link_comes_and_goes(self) -> None:
        """By a line at run time, and as a device; bindings stay, and all of them are announced anew."""
        anchor = self.started(CONFIG)
        lines = ("configure", "context anchor", "lma-service lma1")
        self.assertEqual(self.routes(), ["tun-lma1 128", "home0 256"])
        anchor.cli(*lines, "no mipv6 home-link", "end")
        self.assertEqual(self.routes(), ["home0 256", "tun-lma1 1024"])
        self.assertEqual(self.register("mag1", 1), 0)
        self.mistake()
        anchor.cli(*lines, "mipv6 home-link home0", "end")
        self.assertEqual(self.routes(), ["tun-lma1 128", "home0 256"])
        self.defended()
        self.mistake()
        self.lab.ip("net", "link del home-lma")
        show = "show lma-service session full"
        wait_for("the link to be missed", lambda: "home0 is not up" in anchor.cli(show), 5)
        self.lab.ip(
            "net",
            f"link add home-lma type veth peer name home0 netns {self.lab.name('lma')}",
            "link set home-lma master home",
            "link set home-lma up",
        )
        self.lab.ip("lma", "link set home0 up", f"addr add {ROUTER}/64 dev home0 nodad")
        self.defended()
        self.assertIn(" 0% packet loss", self.ping("lma", NEIGHBOUR))

    def test_a_bridge_that_looks_into_mld(self) -> None:
        """RFC 4861 section 7.2.8: solicitations come only to members of their group; a real querier asks."""
        self.started(CONFIG)
        self.assertEqual(self.register("mag1", 1), 0)
        # The bridge is to learn it by its own question.
        time.sleep(2.2)
        self.lab.ip("net", "link set home type bridge mcast_snooping 1 mcast_query_response_interval 100")
        self.lab.ip("net", "link set home type bridge mcast_querier 1")
        group = "ff02::1:ff00:5"

        def member() -> bool:
            shown = run("bridge", "-n", self.lab.name("net"), "mdb", "show", "dev", "home")
            return bool(re.search(rf"port home-lma grp {group} ", shown))

        wait_for("the bridge to learn the group", member, 10)
        self.lab.exec("cn", "ping", "-n", "-c", "1", "-W", "0.3", HOME, check=False)
        self.assertEqual(self.neighbour("cn", HOME), self.link_layer("lma"))

    def mistake(self) -> None:
        """The neighbour believes that the host is elsewhere."""
        self.lab.ip("cn", f"neigh replace {HOME} lladdr 02:00:00:00:00:77 dev home0 nud reachable")

    def defended(self) -> None:
        """The neighbour has been told."""
        router = self.link_layer("lma")
        wait_for("an announcement", lambda: self.neighbour("cn", HOME) == router, 8)

    def test_groups_of_the_home_link(self) -> None:
        """RFC 6275 sections 10.4.2 and 10.4.3: what is asked for and of global scope; queries go out too."""
        self.started(AGENT)
        listening = self.ready("mag1", "multicast", group="ff1e::1234")
        self.assertEqual(self.register("mag1", 1), 0)
        wait_for("the membership", lambda: "ff1e::1234" in self.memberships(), 5)
        for group in ("ff1e::1234", "ff1e::9999", "ff02::1234", "ff05::1234"):
            self.lab.exec("cn", sys.executable, "-c", SAY, group)
        time.sleep(0.3)
        heard = self.end(listening)["heard"]
        said = [each for each in heard if each[0] != "ff02::1"]
        # One hop less than it was sent with; the kernel's partial checksum is whole.
        self.assertEqual([each[:2] for each in said], [["ff1e::1234", 7]])
        self.assertEqual(bytes.fromhex(said[0][2]), b"to the group")
        queries = [each for each in heard if each[0] == "ff02::1"]
        self.assertEqual([each[1] for each in queries], [1])
        self.assertEqual(self.register("mag1", 2, lifetime=0), 0)
        wait_for("the end of it", lambda: "ff1e::1234" not in self.memberships(), 5)

    def memberships(self) -> str:
        """The groups that the anchor's device is in."""
        return run("ip", "-n", self.lab.name("lma"), "-6", "maddr", "show", "dev", "home0")

    def advertised(self, frames: list[bytes]) -> None:
        """RFC 6275 section 10.4.1, RFC 4861 sections 4.4 and 7.2: every field that they name."""
        ours, neighbour, source = self.link_layer("lma"), self.link_layer("cn"), self.link_local("lma")
        read = [Ether(frame) for frame in frames]
        told = [each for each in read if ICMPv6ND_NA in each and each[IPv6].src == source]
        about = {HOME: ours, "fe80::5": second_address(bytes.fromhex(ours.replace(":", ""))).hex(":")}
        for target, link_layer in about.items():
            mine = [each for each in told if each[ICMPv6ND_NA].tgt == target]
            kinds = [(each[ICMPv6ND_NA].S, each[ICMPv6ND_NA].O, each[IPv6].dst) for each in mine]
            # Three by ourselves, one for the neighbour that asks, one for the kernel that tests it.
            asker = NEIGHBOUR if target == HOME else self.link_local("cn")
            self.assertEqual(kinds.count((0, 1, "ff02::1")), 3, target)
            self.assertIn((1, 0, asker), kinds)
            self.assertEqual(kinds.count((0, 0, "ff02::1")), 1, target)
            for each in mine:
                self.assertEqual((each[ICMPv6ND_NA].R, each[IPv6].hlim), (0, 255))
                self.assertEqual(each.src, link_layer)
                self.assertEqual(each.dst, "33:33:00:00:00:01" if each[IPv6].dst == "ff02::1" else neighbour)
                self.assertEqual(each[ICMPv6NDOptDstLLAddr].lladdr, link_layer)
                self.assertEqual(in6_chksum(58, each[IPv6], raw(each[IPv6].payload)), 0)
        self.assertEqual({each[ICMPv6ND_NA].tgt for each in told} - {source, ROUTER}, set(about))
        if program := shutil.which("tshark"):
            path = self.work / "home.pcap"
            wrpcap(str(path), read)
            words = (program, "-r", str(path), "-Y", "_ws.malformed || icmpv6.checksum.status == 0")
            self.assertEqual(subprocess.run(words, capture_output=True, text=True, check=True).stdout, "")
