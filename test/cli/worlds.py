"""An anchor and a gateway with sessions, pools, routes, log lines and operators, for the screens."""

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.values import CommandError
from appliance.config import load
from appliance.counters import LMA, MAG
from appliance.ports import InterfaceView, LogLine, PoolView, RouteView
from appliance.ports_load import CongestionFigure, CongestionView, QueueView
from test.cli.fake_aaa import port
from test.cli.fake_services import WALL, FakeService, FakeSystem, session
from test.cli.fakes import FakeShell, operator

GOLDEN = Path(__file__).parent.parent / "golden" / "cli"
PROMPT = "lma1# "
TEXT = """\
config
  context anchor
    interface eth1
      ipv6 address 2001:db8:ffff::1/64
      ip address 192.0.2.1/24
      exit
    interface eth9
      exit
    diameter endpoint aaa
      origin realm visited.example
      origin host lma1.visited.example address 192.0.2.1
      exit
    aaa group home
      diameter authentication endpoint aaa
      diameter authentication server aaa1.home.example priority 1
      diameter accounting endpoint aaa
      failure-policy queue
      accounting interim-interval 300
      exit
    exit
  context access
    exit
end
"""

POOLS = [
    PoolView(
        name="home6", service="lma1", context="anchor", family=6, first="2001:db8:1::/48", last="", length=64,
        group="gold", static=False, size=65_536, in_use=1_234,
    ),
    PoolView(
        name="home4", service="lma1", context="anchor", family=4, first="203.0.113.1", last="203.0.113.254",
        length=32, group="", static=True, size=253, in_use=0,
    ),
]  # fmt: skip


CONGESTION = CongestionView(
    kind="lma",
    service="lma1", enabled=True, action="reject", tolerance=10, wait_time=100, dropped=1_234_567, refused=42,
    figures=[
        CongestionFigure(name="message queue", value=1, unit="%", threshold=2, since=WALL - 60, entered=3),
        CongestionFigure(name="loop lag", value=12, unit="ms", threshold=500, since=None, entered=0),
        CongestionFigure(name="memory", value=7, unit="%", threshold=90, since=None, entered=0),
        CongestionFigure(name="sessions", value=1, unit="%", threshold=0, since=None, entered=0),
    ],
)  # fmt: skip


def world() -> FakeSystem:
    """An anchor and a gateway with a few sessions, a host, a log and two operators."""
    both = {"ipv4_address": "203.0.113.7", "access_technology": 7, "created": WALL - 200}
    anchor = FakeService("lma", "lma1", [
        session(created=WALL - 30),
        session(call_id=2, username="240999990000001@nai.epc.example.org", **both),
        session(call_id=3, prefixes=(), ipv4_address="203.0.113.8", created=WALL - 100_000),
        session(call_id=4, state="deleting", created=WALL - 3_600),
    ])  # fmt: skip
    anchor.pool_views = POOLS
    anchor.queue_views = [
        QueueView(
            service="lma lma1", address="2001:db8:ffff::1", send=3, send_limit=4096, receive=2304,
            receive_limit=8_388_608, dropped=0,
        ),
    ]  # fmt: skip
    anchor.congestion_view = CONGESTION
    gateway = FakeService("mag", "mag1", [
        session(call_id=5, service="mag1", interface="acc0", created=WALL - 59.0, access_technology=3),
        session(call_id=6, service="mag1", state="registering", prefixes=(), created=WALL - 1.0),
    ])  # fmt: skip
    gateway.context = "access"
    for service, table, label, number in (
        (anchor, LMA, "lifetime-expiry", 10_000_000_000), (anchor, LMA, "deregistrations", 3),
        (anchor, LMA, "admin-drops", 1), (gateway, MAG, "detach", 2), (gateway, MAG, "link-loss", 4),
    ):  # fmt: skip
        service.counters.values[table.index(f"total-disconnects/{label}")] = number
    system = FakeSystem(anchor, gateway)
    system.configuration = load(TEXT, "x")
    system.aaa = port()
    system.people = [
        operator(since=WALL - 7_200, active=WALL - 65),
        operator(user="bob", rights="inspector", service="console", origin="control socket", tty="", number=4,
                 since=WALL - 5, active=0.0),
    ]  # fmt: skip
    host = system.host
    host.devices = [
        InterfaceView(name="lo", index=1, state="up", mtu=65536, link_layer="", addresses=("127.0.0.1/8",)),
        InterfaceView(
            name="eth1", index=2, state="up", mtu=1500, link_layer="02:00:5e:10:00:aa",
            addresses=("192.0.2.1/24", "2001:db8:ffff::1/64", "fe80::5eff:fe10:aa/64"),
        ),
        InterfaceView(name="tun-lma1", index=7, state="up", mtu=1460, link_layer=""),
        InterfaceView(name="acc0", index=8, state="no-carrier", mtu=1500, link_layer="02:00:5e:10:00:bb"),
    ]  # fmt: skip
    host.kernel = {
        4: [
            RouteView(destination="0.0.0.0/0", next_hop="192.0.2.254", protocol="static", cost=0,
                      interface="eth1"),
            RouteView(destination="192.0.2.0/24", next_hop="", protocol="connected", cost=0,
                      interface="eth1"),
            RouteView(destination="203.0.113.0/24", next_hop="", protocol="connected", cost=0,
                      interface="tun-lma1"),
            RouteView(destination="198.51.100.0/24", next_hop="", protocol="connected", cost=0,
                      interface="acc0"),
        ],
        6: [
            RouteView(destination="2001:db8:1:2:3:4:5:6/128", next_hop="fe80::1", protocol="bgp", cost=1024,
                      interface="eth1"),
            RouteView(destination="2001:db8:1::/48", next_hop="", protocol="static", cost=1024,
                      interface="tun-lma1"),
        ],
    }  # fmt: skip
    system.log.found = [
        LogLine(wall=WALL - 9, level="info", facility="appliance", text="lma lma1: peer is back"),
        LogLine(wall=WALL - 8, level="warning", facility="control", text="too many clients"),
        LogLine(wall=WALL - 7, level="error", facility="appliance.host", text="gone"),
    ]
    return system


class ViewCase(SynchronousTestCase):
    """The clock is in UTC."""

    def setUp(self) -> None:
        """Make a world and a shell."""
        before = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()

        def restore() -> None:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        self.system = world()
        self.shell = FakeShell(self.system)

    def failure(self, line: str) -> str:
        """What the line fails with."""
        return str(self.assertRaises(CommandError, self.shell.run, line))
