"""The configuration language: what it gives, what it refuses, and that it reads what it prints."""

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.commands.order import ORDER
from appliance.cli.grammar import COMMANDS
from appliance.config import ConfigurationErrors, load, parse, show
from appliance.config_tree import DEFAULT_CONTROL_SOCKET, DEFAULT_STATE_DIRECTORY, SETTINGS, limits
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings, Peer
from test.cli import strategies
from test.fuzz import DECODER_CASES

CASES = int(os.environ.get("FUZZ", "200"))

TEXT = """\
# An anchor and a gateway in one process.
config
  system hostname lma1
  context anchor
    interface backhaul                       # a device of the host
      ipv6 address 2001:db8:ffff::1/64
      ip address 198.51.100.1/24
      exit
    ipv6 pool HOME prefix 2001:db8:1::/48 group-name G
    ip pool V4 203.0.113.0/24 default-router 203.0.113.1 group-name G
    ip pool V4B range 192.0.2.10 192.0.2.20 mask-length 24 static
    subscriber default
      no permission pmipv6
      exit
    subscriber name mn1@example.org
      home-network-prefix 2001:db8:1:77::/64
      ipv4-home-address 203.0.113.77
      ipv4 access
      allowed-mag 2001:db8:a::1
      allowed-service internet
      ipv6 address prefix-pool G
      exit
    lma-service lma1
      bind address 2001:db8:ffff::1 ipv4-address 198.51.100.1 max-subscribers 1000
      reg-lifetime 1200
      mag-peer 2001:db8:a::1
      mag-peer 2001:db8:b::/48 prohibited
      policy unknown-peer discard
      heartbeat interval 60
      no aaa accounting
      revocation enable
      exit
    exit
  context access
    mag-service mag1
      bind address 2001:db8:a::1
      lma-address 2001:db8:ffff::1
      encapsulation ipip
      access-interface acc0 access-technology 3
      mobile-node 02:00:5e:10:00:01 nai mn1@example.org interface acc0 ipv4 service internet
      mobile-node any nai guest@example.org interface acc0 lma 2001:db8:ffff::2
      exit
    exit
end
"""


def packed(text: str) -> bytes:
    """Packed form of an IPv6 address given by its colon notation."""
    import ipaddress

    return ipaddress.ip_address(text).packed


class LoadTests(SynchronousTestCase):
    """Text to typed settings."""

    def test_whole_example(self) -> None:
        """Every line of the example arrives in its field."""
        configuration = load(TEXT, "x")
        self.assertEqual(configuration.hostname, "lma1")
        self.assertEqual(configuration.state_directory, DEFAULT_STATE_DIRECTORY)
        self.assertEqual(configuration.control_socket, DEFAULT_CONTROL_SOCKET)
        context = configuration.contexts[0]
        interface = context.interfaces[0]
        self.assertEqual((interface.name, interface.context), ("backhaul", "anchor"))
        self.assertEqual(
            interface.addresses, ((packed("2001:db8:ffff::1"), 64), (packed("198.51.100.1"), 24))
        )
        first, second = context.address_pools
        self.assertEqual((first.first, first.last), (packed("203.0.113.1"), packed("203.0.113.254")))
        self.assertEqual(
            (second.network, second.prefix_length, second.static), (packed("192.0.2.0"), 24, True)
        )
        self.assertEqual(second.default_router, packed("192.0.2.1"))
        assert context.default_profile is not None
        self.assertFalse(context.default_profile.pmipv6)
        profile = context.profiles[0]
        self.assertEqual(profile.mn_id, b"mn1@example.org")
        self.assertTrue(profile.ipv4)
        self.assertEqual(profile.prefixes, ((packed("2001:db8:1:77::"), 64),))
        self.assertEqual((profile.prefix_pool, profile.services), ("G", (b"internet",)))
        self.assertEqual(
            (profile.mags, profile.ipv4_address), ((packed("2001:db8:a::1"),), packed("203.0.113.77"))
        )

    def test_lma(self) -> None:
        """The anchor's settings, with what its context gives it."""
        lma = load(TEXT, "x").lma_services[0]
        self.assertEqual((lma.name, lma.context, lma.max_subscribers), ("lma1", "anchor", 1000))
        self.assertEqual((lma.reg_lifetime, lma.unknown_peer, lma.heartbeat_interval), (1200, "discard", 60))
        self.assertEqual(
            (lma.aaa_accounting, lma.revocation, lma.timestamp_option_validation), (False, True, True)
        )
        self.assertEqual(
            lma.peers,
            (
                Peer(address=packed("2001:db8:a::1"), prefix_length=128),
                Peer(address=packed("2001:db8:b::"), prefix_length=48, allowed=False),
            ),
        )
        self.assertEqual([pool.name for pool in lma.prefix_pools], ["HOME"])
        self.assertEqual(len(lma.address_pools), 2)
        self.assertEqual(len(lma.profiles), 1)

    def test_mag(self) -> None:
        """The gateway's settings."""
        mag = load(TEXT, "x").mag_services[0]
        self.assertEqual((mag.lma, mag.encapsulation), (packed("2001:db8:ffff::1"), "ipip"))
        self.assertEqual([(link.name, link.technology) for link in mag.access_interfaces], [("acc0", 3)])
        first, second = mag.policies
        self.assertEqual((first.link_layer.hex(), first.ipv4, first.ipv6), ("02005e100001", True, True))
        self.assertEqual((first.service, first.interface), (b"internet", "acc0"))
        self.assertEqual((second.link_layer, second.lma), (b"", packed("2001:db8:ffff::2")))

    def test_empty_is_factory_state(self) -> None:
        """A service without a line has the factory settings; so has one whose lines were taken back."""
        text = "config\ncontext c\nlma-service a\n%s\nexit\nmag-service b\nend\n"
        plain = LmaSettings(name="a", context="c")
        self.assertEqual(load(text % "", "x").lma_services, (plain,))
        self.assertEqual(load(text % "", "x").mag_services, (MagSettings(name="b", context="c"),))
        undone = "\n".join((
            "reg-lifetime 5", "default reg-lifetime", "heartbeat interval 60", "no heartbeat",
            "no timestamp-option-validation", "default timestamp-option-validation", "bind address ::2",
            "no bind address", "mag-peer ::3", "no mag-peer ::3",
            "tunnel-traffic-class 4", "no tunnel-traffic-class",
        ))  # fmt: skip
        self.assertEqual(load(text % undone, "x").lma_services, (plain,))

    def test_contexts_join_and_go(self) -> None:
        """A context may be entered again, and removed."""
        text = "conf\ncontext a\nlma-service x\nexit\nexit\n"
        text += "context a\nlma-service y\nend\nconfig\ncontext b\nend\n"
        self.assertEqual([each.name for each in load(text, "x").lma_services], ["x", "y"])
        gone = load(text + "config\nno context a\nend\n", "x")
        self.assertEqual([each.name for each in gone.contexts], ["b"])

    def test_every_service_field_has_a_command(self) -> None:
        """Each scalar field of a service and each number of any class is set by some command."""
        filled = {"name", "context", "peers", "prefix_pools", "address_pools", "profiles", "default_profile",
                  "access_interfaces", "policies", "aaa", "congestion", "qos_requests", "anchors",
                  "dhcp_dns_servers", "redirect_targets", "global_peers",
                  "redirect_allowed", "delegation_pools", "delegations", "service_profiles",
                  "vendor_options", "access_networks", "mipv6_pools", "mipv6_associations"}  # fmt: skip
        modes = {
            "ipv6 pool": "context", "access-interface": "mag-service", "qos-request": "mag-service",
            "peer": "diameter-endpoint", "mn-interface": "mn-client",
            "route-entry": "diameter-endpoint", "server-group": "aaa-group", "server": "aaa-group",
            "text-log": "aaa-server",
        }  # fmt: skip
        for mode, kind in SETTINGS.items():
            where = modes.get(mode, mode)
            known = {value.name for each in COMMANDS.settings(where) for value in each.values()}
            known |= {each.path for each in COMMANDS.settings(where)}
            wanted = (
                set(kind.__slots__) - filled - {"__weakref__"}
                if mode.endswith("service")
                # Said with the prefix itself.
                else set(limits(kind)) - {"home_prefix_length"}
            )
            self.assertEqual(wanted - known, set(), mode)


class ErrorTests(SynchronousTestCase):
    """What is refused, and how."""

    def errors(self, text: str) -> list[str]:
        """The error lines."""
        return self.assertRaises(ConfigurationErrors, load, text, "F").lines

    def test_all_errors_with_line_and_range(self) -> None:
        """Every wrong line is reported, a range error with its range, and later lines are still read."""
        text = (
            TEXT.replace("1200", "0")
            .replace("discard", "drop")
            .replace("no aaa accounting", "aaa accounting now")
        )
        self.assertEqual(
            self.errors(text),
            [
                "F:25: Failure: Invalid value '0': out of the range 1 to 262140 seconds "
                "(after 'reg-lifetime')",
                "F:28: Failure: Unknown keyword 'drop' after 'policy unknown-peer': discard, reject",
                "F:30: Failure: Unexpected 'now': nothing follows 'aaa accounting'",
            ],
        )

    def test_mistyped_mode_does_not_cascade(self) -> None:
        """A wrong line that was to open a mode is one error; the lines inside it are judged in that mode."""
        self.assertEqual(
            self.errors(TEXT.replace("text anchor", "txt anchor").replace("system host", "system hots")),
            ["F:3: Failure: Unknown keyword 'hotsname' after 'system': "
             "control-socket, hostname, state-directory",
             "F:4: Failure: Unknown command 'contxt': did you mean context?"],
        )  # fmt: skip

    def test_outside(self) -> None:
        """A line before ``config`` says so; nothing is tried in another mode."""
        self.assertEqual(
            self.errors("context a\n"),
            ["F:1: Failure: Unknown command 'context' (outside 'config' ... 'end')"],
        )
        self.assertEqual(
            self.errors("config\ncontext a\nsystem hostname x\n"), ["F:3: Failure: Unknown command 'system'"]
        )
        self.assertEqual(len(self.errors('config\ncontext a | grep b\ncontext "x\n')), 2)

    def test_cross_checks(self) -> None:
        """Contradictions between lines are reported where the second one stands."""
        service = "config\ncontext a\n%s\nexit\nexit\ncontext b\n%s\n"
        for one, other, line, text in (
            (
                "lma-service x\nbind address 2001:db8::1",
                "lma-service y\nbind address 2001:db8::1",
                9,
                "lma-service x already",
            ),
            ("lma-service x", "lma-service x", 7, "another name"),
            ("interface e0", "interface e0", 7, "used by context a"),
            ("interface e0", "mag-service m\naccess-interface e0", 8, "used by context a"),
            (
                "ipv6 pool p prefix 2001:db8::/32\ninterface x",
                "ipv6 pool q prefix 2001:db8:1::/48",
                8,
                "overlaps ipv6 pool p",
            ),
            (
                "ip pool p 192.0.2.0/25\ninterface x",
                "ip pool q range 192.0.2.126 192.0.2.129 mask-length 24",
                8,
                "overlaps",
            ),
        ):
            found = self.errors(service % (one, other) + "\nend\n")
            self.assertEqual(len(found), 1, found)
            self.assertTrue(found[0].startswith(f"F:{line}: Failure: "), found)
            self.assertIn(text, found[0])

    def test_cut_off(self) -> None:
        """A text without its last ``end`` was cut off, and is not booted."""
        (found,) = self.errors("config\ncontext a\nlma-service x\n")
        self.assertIn("the text ends inside lma-service: 'end' is missing", found)

    def test_cross_checks_in_a_context(self) -> None:
        """Contradictions inside one context."""
        for lines, text in (
            ("ipv6 pool p prefix 2001:db8::/56 delegated-length 48", "shorter than /56"),
            ("ip pool q range 192.0.2.9 192.0.2.1 mask-length 24", "is above"),
            ("ip pool q range 192.0.2.9 192.0.3.1 mask-length 24", "is not in 192.0.2.0/24"),
            ("ip pool q 192.0.2.0/24 default-router 192.0.3.1", "router 192.0.3.1 is not in"),
            ("subscriber name a\nipv6 address prefix-pool none", "no ipv6 pool or group 'none'"),
            ("subscriber name a\nip address pool name none", "no ip pool or group 'none'"),
            ("subscriber default\nipv4-home-address 192.0.2.1", "needs a subscriber name"),
            ("subscriber name a\nipv4-home-address 192.0.2.1\nexit\n"
             "subscriber name b\nipv4-home-address 192.0.2.1",
             "assigned to subscriber a already"),
            ("mag-service m\nmobile-node 02:00:00:00:00:01 nai a@b", "lma-address"),
            ("mag-service m\nlma-address ::2\nmobile-node any nai a@b", "'any' needs an interface"),
            ("mag-service m\nlma-address ::2\nmobile-node 02:00:00:00:00:01 nai a@b interface e",
             "no access-interface"),
            ("mag-service m\nlma-address ::2\nmobile-node 02:00:00:00:00:01 nai a@b\n"
             "mobile-node 02:00:00:00:00:01 nai c@d",
             "has a mobile-node line already"),
            ("mag-service m\nretransmission-timeout 50000", "above retransmission-maximum"),
            ("mag-service m\naccess-interface a/b", "cannot be the name"),
            ("lma-service m\nbind address ff02::1", "no unicast address"),
            ("mag-service m\ndhcp domain-name -bad-", "'-bad-'"),
            # Read in no time, however long it is.
            (f"mag-service m\ndhcp domain-name {'a' * 60}!", "a name such as"),
            ("ip pool p 192.0.2.0/24\nlma-service one\nbind address 2001:db8::1\nexit\n"
             "lma-service two\nbind address 2001:db8::2",
             "lma-service two: lma-service one has the pools of context a already; put one of the two into"),
        ):  # fmt: skip
            found = self.errors(f"config\ncontext a\n{lines}\nend\n")
            self.assertEqual(len(found), 1, (lines, found))
            self.assertIn(text, found[0])


class RoundTripTests(SynchronousTestCase):
    """``show configuration`` reads back."""

    def test_order(self) -> None:
        """Lines of a service come in the order of one table, where each place is one that there is."""
        known = {command.path for mode in ORDER for command in COMMANDS.settings(mode)}
        for places in ORDER.values():
            paths = [path.replace("+", " ") for path in places.split()]
            self.assertEqual((len(paths), set(paths) - known), (len(set(paths)), set()))
        typed = (
            "vendor-option vendor 9 subtype 1 hex ab", "gre disabled", "shutdown", "mag-peer ::/0",
            "heartbeat interval 90", "bind address 2001:db8::1",
        )  # fmt: skip
        lines = show(parse("\n".join(("config", "context a", "lma-service l", *typed, "end")), "x"))
        words = [line.split()[0] for line in lines[3:-3]]
        self.assertEqual(words, ["bind", "mag-peer", "shutdown", "gre", "heartbeat", "vendor-option"])

    def test_example(self) -> None:
        """The example, its text, and its text again."""
        tree = load(TEXT, "x").tree
        lines = show(tree)
        self.assertEqual(parse("\n".join(lines), "x"), tree)
        self.assertEqual(show(parse("\n".join(lines), "x")), lines)

    @settings(deadline=None, max_examples=CASES, suppress_health_check=list(HealthCheck))
    @given(strategies.sections("config"))
    def test_any_tree(self, tree: Any) -> None:
        """parse(show(tree)) == tree, for any tree that the grammar can hold."""
        self.assertEqual(parse("\n".join(show(tree)), "x"), tree)

    @settings(deadline=None, max_examples=CASES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_every_command(self, data: Any) -> None:
        """Each configuration command of each mode reads back the line that it writes, alone."""
        for mode in ("config", "context", "interface", "subscriber", "lma-service", "mag-service"):
            command = data.draw(st.sampled_from(COMMANDS.settings(mode)))
            args = data.draw(strategies.arguments(command.items))
            from appliance.cli import match

            found = match.match(mode, match.split(command.render(args)), "security-administrator")
            self.assertEqual((found.command, found.args), (command, args))

    @settings(deadline=None, max_examples=DECODER_CASES, suppress_health_check=list(HealthCheck))
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is either read or refused as a whole, with ConfigurationErrors and nothing else."""
        try:
            load("config\n" + text, "x")
        except ConfigurationErrors as error:
            self.assertTrue(all(line.startswith("x:") for line in error.lines))

    @settings(deadline=None, max_examples=CASES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_shuffled_words(self, data: Any) -> None:
        """Words of the grammar in any order never cause another error than ConfigurationErrors."""
        words = data.draw(
            st.lists(st.sampled_from(sorted(set(TEXT.replace("\n", " \n ").split(" ")))), max_size=60)
        )
        try:
            load("config\ncontext c\n" + " ".join(words), "x")
        except ConfigurationErrors as error:
            self.assertTrue(error.lines)
