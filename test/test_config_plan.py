"""What a change of the configuration needs, case by case; and what a builder remembers."""

from ipaddress import ip_address
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Builder, Configuration, load, parse
from appliance.config_memory import Memory
from appliance.config_plan import HOME_METRIC, Plan, compare, device_name, outermost
from appliance.config_tree import Section

BASE = """config
 context one
  interface eth0
   ipv6 address 2001:db8:ffff::1/64
   exit
  ipv6 pool P1 prefix 2001:db8:1::/48
  ip pool V4 203.0.113.0/24
  subscriber name mn1@example.org
   home-network-prefix 2001:db8:9:9::/64
   exit
  lma-service lma1
   bind address 2001:db8:ffff::1
   mag-peer 2001:db8:ffff::a1
   exit
  exit
 context two
  mag-service mag1
   bind address 2001:db8:ffff::2
   lma-address 2001:db8:ffff::1
   access-interface acc0
   mobile-node 02:00:5e:10:00:01 nai mn1@example.org
   exit
  exit
end
"""
#: A second anchor in the first one's context.
LMA2 = """  lma-service lma2
   bind address 2001:db8:ffff::3
   redirect policy always
   exit
  lma-service lma1"""


def text_of(packed: bytes, length: int) -> str:
    """A prefix as text."""
    return f"{ip_address(packed)}/{length}"


def summary(plan: Plan) -> dict[str, Any]:
    """A plan in words, without what is empty."""
    found = {
        "services": [f"{change.action} {change.title}" for change in plan.services],
        "-address": [f"{a.interface} {text_of(a.address, a.length)}" for a in plan.addresses_gone],
        "+address": [f"{a.interface} {text_of(a.address, a.length)}" for a in plan.addresses_new],
        "-route": [f"{text_of(r.prefix, r.length)} {r.device}" for r in plan.routes_gone],
        "+route": [f"{text_of(r.prefix, r.length)} {r.device}" for r in plan.routes_new],
        "-forwarding": plan.forwarding_gone,
        "+forwarding": plan.forwarding_new,
    }
    return {name: value for name, value in found.items() if value}


def change(*replacements: tuple[str, str], base: str = BASE) -> dict[str, Any]:
    """What has to be done for these replacements in the configuration."""
    text = base
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return summary(compare(load(base, "test"), load(text, "test")))


class PlanTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        """The same again, also with other names of process and pools' groups, is no work for the host."""
        self.assertEqual(change(), {})
        self.assertEqual(change(("config\n", "config\nsystem hostname x\n")), {})

    def test_home_link(self) -> None:
        """The prefix of a real home link has a route of its own, before the kernel's; sessions go on."""
        pool = "ipv6 pool {} prefix 2001:db8:{}::/64 delegated-length 128 static\n  ip pool V4"
        base = BASE
        for name, number in (("A", "20"), ("B", "21")):
            base = base.replace("ip pool V4", pool.format(name, number))
        lines = "mipv6 enable\n   mipv6 home-address-pool A\n   mag-peer"
        base = base.replace("mag-peer", lines)
        link = base.replace("mipv6 enable", "mipv6 enable\n   mipv6 home-link home0")
        plan = compare(load(base, "test"), load(link, "test"))
        self.assertEqual([each.action for each in plan.services], ["reconfigure"])
        place = text_of(ip_address("2001:db8:20::").packed, 64)
        gone = [(text_of(each.prefix, each.length), each.metric) for each in plan.routes_gone]
        new = [(text_of(each.prefix, each.length), each.metric) for each in plan.routes_new]
        self.assertEqual((gone, new), ([(place, 0)], [(place, HOME_METRIC)]))
        back = compare(load(link, "test"), load(link.replace("mipv6 enable", "no mipv6 enable"), "test"))
        self.assertEqual([each.metric for each in back.routes_new], [0])

    def test_in_place(self) -> None:
        """Timers, peers, tunnels, links and lines are given to the running service."""
        for line in ("reg-lifetime 9", "path-mtu 1400"):
            found = change(("mag-peer", f"{line}\n mag-peer"))
            self.assertEqual(found, {"services": ["reconfigure lma-service lma1"]})
        for new in ("", "access-interface acc1", "access-interface acc0 access-technology 3"):
            found = change(("access-interface acc0", new))
            self.assertEqual(found, {"services": ["reconfigure mag-service mag1"]})

    def test_restart(self) -> None:
        """Addresses of a service and of its router cannot change while it runs; routes are made anew."""
        routes = ["203.0.113.0/24 tun-lma1", "2001:db8:1::/48 tun-lma1", "2001:db8:9:9::/64 tun-lma1"]
        for new in ("::8", "::1 ipv4-address 192.0.2.1"):
            self.assertEqual(
                change(("bind address 2001:db8:ffff::1", f"bind address 2001:db8:ffff{new}")),
                {"services": ["restart lma-service lma1"], "-route": routes, "+route": routes},
            )
        self.assertEqual(
            change(("access-interface", "fixed-link-local-address fe80::1\naccess-interface")),
            {"services": ["restart mag-service mag1"]},
        )

    def test_bound_and_not(self) -> None:
        """A service without a bind address is there, and does not run."""
        bind = "   bind address 2001:db8:ffff::2\n"
        unbound = BASE.replace(bind, "")
        self.assertEqual(change((bind, "")), {"services": ["stop mag-service mag1"]})
        self.assertEqual(
            change(("   lma-address", f"{bind}   lma-address"), base=unbound),
            {"services": ["start mag-service mag1"]},
        )
        self.assertEqual(
            change(("access-interface acc0", ""), base=unbound), {"services": ["replace mag-service mag1"]}
        )
        self.assertEqual(
            change(("mag-service mag1", "mag-service mag2"), base=unbound),
            {"services": ["remove mag-service mag1", "add mag-service mag2"]},
        )

    def test_pools(self) -> None:
        """Routes and forwarding follow the pools, and the fixed prefixes outside of them."""
        self.assertEqual(
            change(("/48\n", "/48\n  ipv6 pool P2 prefix 2001:db8:9::/48\n")),
            {"services": ["reconfigure lma-service lma1"], "-route": ["2001:db8:9:9::/64 tun-lma1"],
             "+route": ["2001:db8:9::/48 tun-lma1"]},
        )  # fmt: skip
        self.assertEqual(
            change(("  ip pool V4 203.0.113.0/24\n", "")),
            {"services": ["reconfigure lma-service lma1"], "-route": ["203.0.113.0/24 tun-lma1"],
             "-forwarding": [4]},
        )  # fmt: skip

    def test_routes_of_two(self) -> None:
        """Of two services with the same pools the one that assigns has the routes; the other inherits."""
        both = BASE.replace("  lma-service lma1", LMA2)
        self.assertEqual(change(("  lma-service lma1", LMA2)), {"services": ["start lma-service lma2"]})
        start = BASE.index("  lma-service lma1")
        lma1 = BASE[start : BASE.index("   exit\n", start) + 8]
        found = change((lma1, ""), base=both)
        self.assertEqual({route.split()[1] for route in found["-route"]}, {"tun-lma1"})
        self.assertEqual({route.split()[1] for route in found["+route"]}, {"tun-lma2"})

    def test_addresses(self) -> None:
        """Of the same address with another length the old one goes first."""
        self.assertEqual(
            change(("::1/64", "::1/56")),
            {"-address": ["eth0 2001:db8:ffff::1/64"], "+address": ["eth0 2001:db8:ffff::1/56"]},
        )
        two = BASE.replace("::1/64\n", "::1/64\n   ipv6 address 2001:db8:ffff::1/56\n")
        self.assertEqual(
            change(("ipv6 address 2001:db8:ffff::1/64\n", ""), base=two),
            {"-address": ["eth0 2001:db8:ffff::1/64"], "+address": ["eth0 2001:db8:ffff::1/56"]},
        )

    def test_boot(self) -> None:
        """A boot is the way from nothing."""
        found = summary(compare(Configuration(), load(BASE, "test")))
        self.assertEqual(found["services"], ["start lma-service lma1", "start mag-service mag1"])
        self.assertEqual((found["+forwarding"], found["+address"]), ([4, 6], ["eth0 2001:db8:ffff::1/64"]))
        self.assertEqual(len(found["+route"]), 3)

    def test_dead(self) -> None:
        """A service that should run and does not is started, whatever else changes."""
        configuration = load(BASE, "test")
        plan = compare(configuration, load(BASE, "test"), {("lma", "lma1")})
        self.assertEqual([change.action for change in plan.services], ["restart"])
        self.assertEqual(len(plan.routes_new), 3)

    def test_device_names(self) -> None:
        """Linux takes 15 octets."""
        self.assertEqual(device_name("a-long-service-name"), "tun-a-long-serv")

    def test_neighbours(self) -> None:
        """Two halves are one route."""
        half = ip_address("2001:db8::").packed, 33
        other = ip_address("2001:db8:8000::").packed, 33
        self.assertEqual(outermost([half, other]), [(half[0], 32)])


class MemoryTests(SynchronousTestCase):
    def test_only_the_new(self) -> None:
        """Whatever is put in, taken out or moved, only new sources are made something of."""
        memory, made = Memory(), []

        def make(source: list[int]) -> int:
            made.append(source[0])
            return source[0]

        a, b, c, d = [1], [2], [3], [4]
        for sources, new in (
            ([a, b, c], [1, 2, 3]), ([a, b, c], []), ([a, d, b, c], [4]), ([d, b, c], []), ([c, b, d], []),
            ([c, b, d, a], [1]), ([b], []), ([], []), ([b, b], [2, 2]), ([b], []), ([[2]], [2]),
        ):  # fmt: skip
            self.assertEqual(memory.each("x", sources, make), tuple(source[0] for source in sources))
            self.assertEqual(made, new)
            made.clear()

    def test_the_very_same(self) -> None:
        """Of unchanged sources the very result comes back."""
        memory = Memory()
        sources = [[1], [2]]
        self.assertIs(memory.each("x", sources, tuple), memory.each("x", list(sources), tuple))
        self.assertIs(memory.once("y", (sources,), list), memory.once("y", (sources,), list))
        self.assertIsNot(memory.once("y", (sources,), list), memory.once("y", ([[1], [2]],), list))

    def test_forgets(self) -> None:
        """What the latest tree has no use for is not kept."""
        memory = Memory()
        kept, source = object(), ([1],)
        memory.once("a", (kept,), list)
        memory.each("b", source, tuple)
        memory.close()
        memory.once("a", (kept,), list)
        memory.close()
        self.assertEqual((set(memory._single), set(memory._many)), ({"a"}, set()))


class BuilderTests(SynchronousTestCase):
    def test_shares(self) -> None:
        """Settings of sections that stayed are the same objects; an equal tree makes equal settings."""
        builder, tree = Builder(), parse(BASE, "test")
        _, first = builder.build(tree)
        assert first is not None
        _, again = builder.build(evolve(tree, sections=dict(tree.sections)))
        assert again is not None
        self.assertEqual(again, first)
        self.assertIs(again.contexts[0].profiles, first.contexts[0].profiles)
        self.assertIs(again.mag_services[0].policies, first.mag_services[0].policies)

    def test_faults_do_not_stay(self) -> None:
        """A fault is found in the tree that has it, and not in the next one."""
        builder, tree = Builder(), parse(BASE, "test")
        builder.build(tree)
        fixed = "home-network-prefix 2001"
        wrong = parse(BASE.replace(fixed, f"ipv6 address prefix-pool NO\n{fixed}"), "test")
        faults, configuration = builder.build(wrong)
        expected = "subscriber mn1@example.org: no ipv6 pool or group 'NO' in its context"
        self.assertEqual([text for _, text in faults], [expected])
        self.assertIsNone(configuration)
        self.assertEqual(builder.build(tree)[0], [])
        self.assertEqual(builder.build(wrong)[0], faults)

    def test_many_faults(self) -> None:
        """The quick look and the thorough one agree about assignments."""
        second = "subscriber name b@example.org\nhome-network-prefix 2001:db8:9:9::/64\nexit\n"
        double = BASE.replace("  lma-service", f"{second}  lma-service")
        default = "subscriber default\nhome-network-prefix 2001:db8:7::/64\nexit\n"
        fixed = BASE.replace("  subscriber name", f"{default}  subscriber name")
        for text, fault in (
            (double, "subscriber b@example.org: assigned to subscriber mn1@example.org already"),
            (fixed, "subscriber default: a fixed assignment needs a subscriber name"),
        ):
            tree: Section = parse(text, "test")
            self.assertEqual([what for _, what in Builder().build(tree)[0]], [fault])
