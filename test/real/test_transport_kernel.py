"""Tunnels of the Linux kernel as the other end of ours: ip6tnl, ip6gre, sit, ipip, gre, and FOU for UDP.

The kernel of this machine may lack them. Then, under one that has them (slow, but it shows the same)::

    ../shared/rig/guest -t 1200 -m 1500 -- bash -c '
        guest_modprobe -a tun veth ip6_tunnel ip6_gre sit ipip ip_gre fou nf_tables
        PYTHONPATH=. .venv/bin/python -m scripts.run_tests test.real.test_transport_kernel'
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from scripts.labnet import NETNS_DIR, LabError, obstacle, run
from scripts.labrun import ROOT, environment, wait_for

KINDS = ("ip6tnl", "ip6gre", "sit", "ipip", "gre")
PEER6, LMA6, PEER4, LMA4 = "2001:db8:ffff::a1", "2001:db8:ffff::1", "198.51.100.161", "198.51.100.1"
CN6, CN4 = "2001:db8:eeee::80", "192.0.2.80"
KEY_UP, KEY_DOWN = 0x2001, 0x1001


def lacking() -> str | None:
    """Why this machine cannot be the other end; ``None`` when it can."""
    why = obstacle()
    if why:
        return why
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    if shutil.which("nft") is None:
        return "the program nft is missing (package nftables)"
    name = f"probe-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        for kind in KINDS:
            end = ("local", PEER4, "remote", LMA4) if kind in ("sit", "ipip", "gre") else (
                "local", PEER6, "remote", LMA6)  # fmt: skip
            run("ip", "-n", name, "link", "add", "name", f"p-{kind}", "type", kind, *end)
    except LabError as failure:
        return f"this kernel has no {kind} tunnels ({failure}); see the top of this file"
    finally:
        run("ip", "netns", "del", name, check=False)
    return None


QUIET = """
    add table inet quiet
    add chain inet quiet out { type filter hook output priority 0 ; }
    add rule inet quiet out icmpv6 type destination-unreachable drop
    add rule inet quiet out icmp type destination-unreachable drop
"""


class Form:
    """One encapsulation: the device in the kernel, the session at the anchor, what is counted."""

    def __init__(
        self, number: int, device: tuple[str, ...], rows: tuple[str, ...], session: dict[str, Any]
    ) -> None:
        self.device, self.rows = device, rows
        #: Devices for IPv6 and IPv4 inside; one that takes both stands for both.
        self.names = tuple(f"t{number}{letter}" for letter in "ab"[: len(device)])
        self.table = str(100 + number)
        self.prefix, self.mobile6 = f"2001:db8:1:{number}::/64", f"2001:db8:1:{number}::5"
        self.mobile4 = f"203.0.113.{number}"
        self.session = {
            "call_id": number,
            "prefixes": [self.prefix],
            "ipv4": self.mobile4,
            **session,
        }


OVER6 = {"local": LMA6, "peer": PEER6}
OVER4 = {"local": LMA4, "peer": PEER4}
ENDS6, ENDS4 = f"local {PEER6} remote {LMA6}", f"local {PEER4} remote {LMA4}"
KEYS = f"ikey {KEY_DOWN} okey {KEY_UP}"
KEYED = {"gre": True, "send_key": KEY_DOWN, "receive_key": KEY_UP}
FORMS = {
    # The factory state of ip6tnl: a Tunnel Encapsulation Limit of 4 in Destination Options.
    "ip6tnl": Form(1, (f"ip6tnl mode any {ENDS6}",), ("6in6", "4in6"), OVER6),
    "ip6gre": Form(2, (f"ip6gre {ENDS6} {KEYS}",), ("ipv6-gre-ipv6", "ipv6-gre-ipv4"), {**OVER6, **KEYED}),
    "sit and ipip": Form(3, (f"sit {ENDS4}", f"ipip {ENDS4}"), ("6in4", "4in4"), OVER4),
    "gre": Form(4, (f"gre {ENDS4} {KEYS}",), ("ipv4-gre", "ipv4-gre"), {**OVER4, **KEYED}),
}


class KernelPeerTests(SynchronousTestCase):
    """A correspondent, our engine as the anchor, and a host whose kernel is the gateway."""

    skip = lacking()
    timeout = 800

    def setUp(self) -> None:
        """Three namespaces in a row."""
        self.directory = Path(tempfile.mkdtemp(prefix="kernel-peer-"))
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.prefix = f"kp{os.getpid()}"
        for role in ("gw", "lma", "cn"):
            self.addCleanup(run, "ip", "netns", "del", f"{self.prefix}-{role}", check=False)
            run("ip", "netns", "add", f"{self.prefix}-{role}")
            self.ip(role, "link set lo up")
        for device, one, other in (("bh0", "gw", "lma"), ("cn0", "lma", "cn")):
            self.ip(one, f"link add {device} type veth peer name {device} netns {self.prefix}-{other}")
            self.ip(one, f"link set {device} up")
            self.ip(other, f"link set {device} up")
        for role, device, address6, address4 in (
            ("gw", "bh0", PEER6, PEER4),
            ("lma", "bh0", LMA6, LMA4),
            ("lma", "cn0", "2001:db8:eeee::1", "192.0.2.1"),
            ("cn", "cn0", CN6, CN4),
        ):
            self.ip(
                role, f"addr add {address6}/64 dev {device} nodad", f"addr add {address4}/24 dev {device}"
            )
        self.ip("cn", "route add default via 2001:db8:eeee::1", "route add default via 192.0.2.1")
        for name in ("ipv6/conf/all/forwarding", "ipv4/ip_forward"):
            self.exec("lma", "sh", "-c", f"echo 1 > /proc/sys/net/{name}")
        # One kernel serves both ends here. Its tunnel modules know nothing of our raw sockets and refuse each
        # tunnel packet by ICMP, which its tunnels at the other end pass on: the guide tells to unload them.
        self.exec("lma", "nft", QUIET)

    def ip(self, role: str, *lines: str) -> None:
        """Commands of ``ip`` in a namespace."""
        run("ip", "-n", f"{self.prefix}-{role}", "-batch", "-", stdin="\n".join(lines) + "\n")

    def command(self, role: str, *words: str) -> list[str]:
        """How a program is run in a namespace."""
        return ["nsenter", f"--net={NETNS_DIR / f'{self.prefix}-{role}'}", "--", *words]

    def exec(self, role: str, *words: str, check: bool = True) -> str:
        """A program in a namespace."""
        return run(*self.command(role, *words), check=check)

    def anchor(self, *forms: Form) -> None:
        """Start our engine with a session for each form."""
        settings = {
            "role": "lma",
            "local": LMA6,
            "local_ipv4": LMA4,
            "tun": "tun-lma",
            "state": str(self.directory),
            "pools": ["2001:db8:1::/48", "203.0.113.0/24"],
            "sessions": [form.session for form in forms],
        }
        end = str(ROOT / "scripts" / "benches" / "tunnel_end.py")
        self.process = subprocess.Popen(
            self.command("lma", sys.executable, end, json.dumps(settings)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        for closed in (lambda: self.process.wait(60), self.process.stdout.close, self.process.stdin.close):
            self.addCleanup(closed)
        self.assertEqual(self.process.stdout.readline(), "ready\n")

    def counters(self) -> dict[str, int]:
        """The counters of our engine."""
        assert self.process.stdout is not None and self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.state = json.loads(self.process.stdout.readline())
        found: dict[str, int] = self.state["counters"]
        return found

    def gateway(self, form: Form) -> None:
        """Make the kernel's end of a form: devices, the mobile's addresses, routes by source."""
        for name, device in zip(form.names, form.device, strict=True):
            kind, _, rest = device.partition(" ")
            self.ip("gw", f"link add name {name} type {kind} {rest}", f"link set {name} up")
            self.exec("gw", "sh", "-c", f"echo 0 > /proc/sys/net/ipv4/conf/{name}/rp_filter")
        self.exec("gw", "sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")
        self.ip("gw", f"addr add {form.mobile6}/128 dev lo nodad", f"addr add {form.mobile4}/32 dev lo")
        six, four = form.names[0], form.names[-1]
        for version, mobile, device in (("-6", form.mobile6, six), ("-4", form.mobile4, four)):
            for words in (f"rule add from {mobile} lookup", f"route add default dev {device} table"):
                run("ip", version, "-n", f"{self.prefix}-gw", *f"{words} {form.table}".split())

    def received(self, role: str, target: str, *options: str) -> int:
        """How many of three pings were answered."""
        words = ("ping", "-n", "-c", "3", "-i", "0.3", "-W", "5", *options, target)
        output = self.exec(role, *words, check=False)
        return int(output.split(" received")[0].rsplit(" ", 1)[1]) if " received" in output else 0

    def try_form(self, title: str, form: Form) -> None:
        """Both families, both ways, small and large, through one form; its counters move at both sides."""
        for target, source in ((CN6, form.mobile6), (CN4, form.mobile4)):
            # An emulated machine takes its time to find its neighbours.
            wait_for(
                f"{title}: a way",
                lambda target=target, source=source: self.received("gw", target, "-I", source),  # type: ignore[misc]
                60,
            )
        before = self.counters()
        for size in ("56", "1200"):
            for role, target, source in (
                ("gw", CN6, form.mobile6),
                ("gw", CN4, form.mobile4),
                ("cn", form.mobile6, CN6),
                ("cn", form.mobile4, CN4),
            ):
                self.assertEqual(
                    self.received(role, target, "-I", source, "-s", size),
                    3,
                    f"{title}: {role} {target} {size}",
                )
        after = self.counters()
        for row in form.rows:
            for way in ("received", "sent"):
                key = f"tunnel-data-{way}/total-packets/{row}"
                self.assertGreaterEqual(after.get(key, 0) - before.get(key, 0), 12, f"{title}: {key}")

    def test_forms(self) -> None:
        """ip6tnl with its encapsulation limit, ip6gre and gre with keys, sit and ipip, all at once."""
        self.anchor(*FORMS.values())
        for title, form in FORMS.items():
            self.gateway(form)
            self.try_form(title, form)
        self.large(FORMS["ip6tnl"])
        self.large(FORMS["sit and ipip"])

    def large(self, form: Form) -> None:
        """IPv4 with DF clear that fits no tunnel: fragments of both kernels and of ours are made whole."""
        options = ("-M", "dont", "-s", "1452")
        self.assertEqual(self.received("gw", CN4, "-I", form.mobile4, *options), 3, form.names[0])
        self.assertEqual(self.received("cn", form.mobile4, *options), 3, form.names[0])

    def test_wrong_key(self) -> None:
        """A kernel tunnel with another key gets no session, and is counted."""
        form = Form(2, (f"ip6gre {ENDS6} ikey {KEY_DOWN} okey 77",), (), {**OVER6, **KEYED})
        self.anchor(form)
        self.gateway(form)
        self.assertEqual(self.received("gw", CN6, "-I", form.mobile6), 0)
        wait_for(
            "packets without a session",
            lambda: self.counters().get("tunnel-data-received/errors/no-session-found", 0) >= 3,
            30,
        )

    def test_udp(self) -> None:
        """Foo over UDP of the kernel on port 5437 is IPv4 UDP encapsulation (RFC 5844 section 4.1.4.1)."""
        port = "encap fou encap-sport 5437 encap-dport 5437"
        for number, (protocol, kind, row) in enumerate(
            ((4, "ipip", "ipv4-udp-ipv4"), (41, "sit", "ipv4-udp-ipv6")), 7
        ):
            form = Form(number, (f"{kind} {ENDS4} {port}",), (row,), {**OVER4, "udp": True})
            if number == 7:
                self.anchor(form, Form(8, ("",), (), {**OVER4, "udp": True}))
            try:
                self.exec("gw", "ip", "fou", "add", "port", "5437", "ipproto", str(protocol))
                self.gateway(form)
            except LabError as failure:
                self.skipTest(f"no FOU here: {failure}")  # type: ignore[attr-defined]
            target, source = (CN4, form.mobile4) if protocol == 4 else (CN6, form.mobile6)
            self.assertEqual(self.received("gw", target, "-I", source), 3)
            self.assertEqual(self.received("cn", source), 3)
            self.assertGreaterEqual(self.counters()[f"tunnel-data-received/total-packets/{row}"], 6)
            self.ip("gw", f"link del {form.names[0]}")
            self.exec("gw", "ip", "fou", "del", "port", "5437")
