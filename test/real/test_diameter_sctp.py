"""Diameter over SCTP: libusrsctp on raw IP and in UDP, the kernel's where it has one, each with the other."""

import json
import os
import socket
import subprocess
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.errors import ResourceError
from appliance.protocols.diameter.events import Submit
from appliance.protocols.diameter.settings import Listener
from appliance.protocols.diameter.transport import link as transport
from appliance.protocols.diameter.transport import sctp, sctp_kernel, sctp_user, usrsctp
from appliance.protocols.diameter.transport.link import packed
from appliance.protocols.diameter.transport.sctp_base import PPID
from scripts.labnet import obstacle, run
from test.real.diameter_case import ACCOUNTING, ACR, REALM, NodeCase, acr
from test.real.two_hosts import ADDRESSES, TwoHosts

#: Not 9899: another SCTP of this host may have that one.
UDP_PORT = 29_899
ADDRESS, ADDRESS6 = "127.0.0.1", "::1"
#: So few that an emulated machine can do it, too; more than one turn takes.
MANY = 500
KERNEL = sctp_kernel.missing()
LIBRARY = usrsctp.missing()


class Common:
    """What both SCTPs have to do, in one process."""

    udp_port = 0

    def sctp_pair(self: Any, *addresses: str, **more: Any) -> Any:
        """A pair that is joined by all these addresses."""
        octets = tuple(packed(each) for each in addresses)
        port = 29_868
        listeners = tuple(Listener(address=each, port=port, transport="sctp") for each in octets)
        both = {"sctp_udp_port": self.udp_port, "addresses": octets}
        return self.pair(
            "sctp",
            server={**both, "listeners": listeners},
            client=both,
            peer={"addresses": octets, "port": port},
            **more,
        )

    def test_families(self: Any) -> None:
        """A request is answered over IPv4, over IPv6, and over both at once."""
        for addresses in ((ADDRESS,), (ADDRESS6,), (ADDRESS, ADDRESS6)):
            server, client, accountant = self.sctp_pair(*addresses)
            self.assert_success(self.ask(client))
            view = self.view(client, "server.example")
            self.assertEqual(view.transport, "sctp")
            [connection] = server.connections._all
            self.assertIn(connection.remote, [packed(each) for each in addresses])
            self.assertEqual(connection.peer, "client.example")
            self.assertEqual(len(accountant.got), 1)
            self.do(client.stop())
            self.do(server.stop())

    def test_long_messages(self: Any) -> None:
        """Messages of nearly a mebibyte go both ways between many small ones."""
        _, client, accountant = self.sctp_pair(ADDRESS)
        sizes = [(1 << 20) - 300, 10, 500_000, 10]
        got: list[Any] = []

        def send() -> None:
            for size in sizes:
                avps = acr(client.identity, filling=size)
                client.send(Submit(ACR, ACCOUNTING, avps, REALM, accounting=True), got.append)

        self.call(send)
        self.wait(lambda: len(got) == len(sizes), 60)
        for each in got:
            self.assert_success(each)
        self.assertEqual(len(accountant.got), len(sizes))

    def test_many_at_once(self: Any) -> None:
        """Hundreds of requests in one go are answered, however they overtake each other."""
        _, client, accountant = self.sctp_pair(ADDRESS)
        got: list[Any] = []
        avps = acr(client.identity, filling=1000)
        submit = Submit(ACR, ACCOUNTING, avps, REALM, accounting=True, timeout=60)

        def send() -> None:
            for _ in range(MANY):
                client.send(submit, got.append)

        self.call(send)
        self.wait(lambda: len(got) == MANY, 60)
        self.assertEqual({each.reason for each in got}, {""})
        self.assertEqual(len(accountant.got), MANY)

    def test_garbage(self: Any) -> None:
        """A message that is no Diameter ends the association by ABORT; it comes again."""
        server, client, _ = self.sctp_pair(ADDRESS)
        [connection] = client.connections._all
        self.call(connection.write, b"\1\0\0\x18" + bytes(16))
        self.wait(lambda: server.connections.counters.garbage == 1)
        self.wait(lambda: self.said("endpoint client", "aborted") or self.said("endpoint client", "lost"))
        self.wait(lambda: client.usable(REALM, ACCOUNTING, True))
        self.assert_success(self.ask(client))

    def test_nobody_there(self: Any) -> None:
        """Where nobody answers, or says no, no connection comes about, and nothing is left."""
        server, client, _ = self.sctp_pair(ADDRESS)
        self.do(client.stop())
        self.do(server.stop())
        _, client, _ = self.sctp_pair(ADDRESS, start=False)
        [peer] = client.settings.peers
        wanted = evolve(client.settings, connection_timeout=2, peers=(evolve(peer, port=29_869),))
        self.do(client.reconfigure(wanted))
        self.do(client.start())
        self.wait(lambda: self.said("endpoint client", "server.example", "no connection"))
        self.do(client.stop())
        self.assertEqual(client.connections.count, 0)

    def test_limits_of_strangers(self: Any) -> None:
        """An association without a message ends."""
        self.patch(transport, "FIRST_MESSAGE_TIME", 1.0)
        server, client, _ = self.sctp_pair(ADDRESS)
        told = Silent(self.reactor)
        self.call(
            lambda: sctp.stack(self.udp_port).connect(
                told, 1, (packed(ADDRESS),), 29_868, local=(), peer="", longest=1000, timeout=5
            )
        )
        self.wait(lambda: told.ends)
        self.assertEqual(server.connections.counters.slow, 1)
        self.assert_success(self.ask(client))

    def test_a_foreign_address(self: Any) -> None:
        """An address that this host does not have is named."""
        server, _, _ = self.sctp_pair(ADDRESS)
        foreign = Listener(address=packed("192.0.2.77"), port=29_870, transport="sctp")
        wanted = evolve(server.settings, listeners=(foreign,))
        error = self.assertRaises(ResourceError, self.do, server.reconfigure(wanted))
        self.assertIn("192.0.2.77", str(error))
        self.assertEqual(len(server.connections.ports), 1)


class Silent:
    """Connects and says nothing."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.ends: list[str] = []

    def established(self, connection: Any) -> None:
        """Say nothing."""

    def lost(self, connection: Any, text: str) -> None:
        """Note the end."""
        self.ends.append(text)


class UserTests(Common, NodeCase):
    """libusrsctp in UDP: two nodes on one host, which share the library."""

    skip = LIBRARY or None
    udp_port = UDP_PORT

    def test_one_port_for_the_process(self) -> None:
        """A second port for encapsulation is refused, and the text says what to do."""
        self.sctp_pair(ADDRESS)
        listeners = (Listener(address=packed(ADDRESS), port=29_871, transport="sctp"),)
        other = self.node(
            self.settings("other", sctp_udp_port=UDP_PORT + 1, listeners=listeners), start=False
        )
        error = self.assertRaises(ResourceError, self.do, other.start())
        self.assertIn("give all endpoints the same", str(error))


class KernelTests(Common, NodeCase):
    """The kernel's own SCTP."""

    skip = KERNEL or None


class UnavailableTests(SynchronousTestCase):
    """What is said of transports that are not to be had."""

    def test_texts(self) -> None:
        """DTLS never, SCTP without a library by the name of its package."""
        self.assertIn("not supported", sctp.unavailable("dtls"))
        for kind in ("tcp", "tls", "tls-inband"):
            self.assertEqual(sctp.unavailable(kind), "")
        self.patch(usrsctp, "LIBRARY", "libnothing.so.7")
        self.assertIn("libusrsctp2", sctp.unavailable("sctp", 9899))
        self.patch(sctp_kernel, "missing", lambda: "the kernel has no SCTP (protocol not supported)")
        self.assertIn("the kernel has no SCTP", sctp.unavailable("sctp"))
        error = self.assertRaises(ResourceError, sctp.stack, 0)
        self.assertIn("libusrsctp2", str(error))

    def test_no_rights(self) -> None:
        """Raw IP without the right for it is named."""

        def refuse(*_arguments: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(usrsctp.socket, "socket", refuse)
        error = self.assertRaises(ResourceError, usrsctp._probe, 0)
        self.assertIn("CAP_NET_RAW", str(error))

    def test_port_in_use(self) -> None:
        """A UDP port that another process has is named before the library fails in silence."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("", 0))
            port = other.getsockname()[1]
            error = self.assertRaises(ResourceError, usrsctp._probe, port)
        self.assertIn(str(port), str(error))

    def test_stack(self) -> None:
        """A port for encapsulation asks for the library, whatever the kernel has."""
        self.patch(usrsctp, "missing", lambda: "")
        self.assertIsInstance(sctp.stack(9899), sctp_user.UserStack)


class HostsCase(SynchronousTestCase):
    """Two processes on two hosts."""

    def setUp(self) -> None:
        """Build the hosts."""
        self.hosts = TwoHosts()
        self.addCleanup(self.hosts.down)
        self.hosts.up()

    def wanted(self, host: str, addresses: tuple[str, ...], **more: Any) -> dict[str, Any]:
        """What a node on ``a`` (the client) or ``b`` (the server) is told."""
        other = {"a": "b", "b": "a"}[host]
        places = [ADDRESSES[host].index(each) for each in addresses]
        return {
            "identity": f"{host}.example",
            "peer": f"{other}.example",
            "addresses": addresses,
            "remote": [ADDRESSES[other][place] for place in places],
            "port": 3868,
            "transport": "sctp",
            **more,
        }

    def talk(self, *places: int, cut: int | None = None, count: int = MANY, **more: Any) -> dict[str, Any]:
        """Requests from ``a`` to ``b`` over these addresses; what the client says."""
        here, there = (tuple(ADDRESSES[host][place] for place in places) for host in "ab")
        server = self.hosts.node("b", "serve", **self.wanted("b", there, **more))
        assert server.stdout is not None
        self.assertEqual(server.stdout.readline(), "ready\n", self.end(server))
        client = self.hosts.node(
            "a",
            "ask",
            **self.wanted("a", here, count=count, window=64, pause=0 if cut is None else 1, **more),
        )
        assert client.stdout is not None
        if cut is not None:
            self.assertEqual(client.stdout.readline(), "half\n")
            self.hosts.cut(cut)
        out, err = client.communicate(timeout=120)
        self.assertTrue(out, err)
        self.log = err
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
        self.assertEqual(said["good"], count, err)
        self.assertEqual(json.loads(server.communicate("", timeout=20)[0])["served"], count)
        return said

    def end(self, child: "subprocess.Popen[str]") -> str:
        """Why a node did not come up."""
        return "" if child.poll() is None else child.communicate()[1]


class HostsTests(HostsCase):
    """libusrsctp on both hosts."""

    skip = obstacle() or LIBRARY or None

    def test_raw(self) -> None:
        """On raw IP, over IPv4 and IPv6 at once: all addresses belong to the association."""
        if not KERNEL:
            raise SkipTest("the kernel's SCTP answers what is on raw IP")
        for places in ((0,), (2,), (0, 1), (0, 3)):
            self.assertEqual(self.talk(*places)["local"], len(places))

    def test_udp(self) -> None:
        """In UDP, over both families."""
        for places in ((0,), (0, 1), (0, 3)):
            self.assertEqual(self.talk(*places, udp_port=9899)["local"], len(places))

    def test_a_cable_is_cut(self) -> None:
        """With two cables the association stays, and the log names the address that is lost."""
        said = self.talk(0, 1, cut=0, udp_port=9899)
        self.assertEqual(said["connected"], 1)
        self.assertIn(f"address {ADDRESSES['b'][0]} is lost", self.log)

    def test_on_the_wire(self) -> None:
        """PPID 46 and stream 0; order for the exchange of capabilities only. Wireshark reads it so."""
        file = os.path.join(self.mktemp(), "sctp.pcap")
        os.makedirs(os.path.dirname(file))
        options = ("--immediate-mode", "-U", "-Z", "root")
        dump = self.hosts.popen("b", "tcpdump", "-i", "c0", *options, "-w", file, "udp")
        assert dump.stderr is not None
        self.assertIn("listening", dump.stderr.readline())
        self.talk(0, count=20, udp_port=9899)
        dump.terminate()
        dump.wait()
        names = ("diameter.cmd.code", "sctp.data_payload_proto_id", "sctp.data_sid", "sctp.data_u_bit")
        fields = [word for name in names for word in ("-e", name)]
        text = run(
            "tshark", "-r", file, "-d", "udp.port==9899,sctp", "-Y", "diameter", "-T", "fields", *fields
        )
        chunks = []
        for line in text.splitlines():
            chunks += list(zip(*(column.split(",") for column in line.split("\t")), strict=True))
        self.assertEqual({code for code, *_ in chunks} - {"280"}, {"257", "271", "282"})
        self.assertEqual({ppid for _, ppid, *_ in chunks}, {str(PPID)})
        self.assertEqual({int(stream, 0) for _, _, stream, _ in chunks}, {0})
        self.assertEqual({u in ("1", "True") for code, _, _, u in chunks if code == "257"}, {False})
        self.assertEqual({u in ("1", "True") for code, _, _, u in chunks if code == "271"}, {True})


class MixedTests(HostsCase):
    """The kernel's SCTP on one host, libusrsctp on the other; in UDP, as the kernel sees all of raw IP."""

    skip = obstacle() or KERNEL or LIBRARY or None

    def encapsulate(self, host: str) -> None:
        """Have the kernel of a host put its SCTP into UDP (Linux 5.11)."""
        for name in ("udp_port", "encap_port"):
            self.hosts.exec(host, "sysctl", "-qw", f"net.sctp.{name}=9899")

    def mixed(self, kernel: str) -> None:
        """Requests between a kernel's SCTP at host ``kernel`` and libusrsctp at the other."""
        self.encapsulate(kernel)
        ports = {host: 0 if host == kernel else 9899 for host in "ab"}
        places = (0, 1)
        here, there = (tuple(ADDRESSES[host][place] for place in places) for host in "ab")
        server = self.hosts.node("b", "serve", **self.wanted("b", there, udp_port=ports["b"]))
        assert server.stdout is not None
        self.assertEqual(server.stdout.readline(), "ready\n", self.end(server))
        client = self.hosts.node(
            "a", "ask", **self.wanted("a", here, count=200, window=16, udp_port=ports["a"])
        )
        out, err = client.communicate(timeout=120)
        self.assertTrue(out, err)
        self.assertEqual(json.loads(out)["good"], 200)

    def test_kernel_server(self) -> None:
        """The kernel is connected to."""
        self.mixed("b")

    def test_kernel_client(self) -> None:
        """The kernel connects."""
        self.mixed("a")

    def test_kernels(self) -> None:
        """Both by the kernel on raw IP, with two cables, one of which is cut."""
        said = self.talk(0, 1, cut=0, count=200)
        self.assertEqual(said["connected"], 1)
