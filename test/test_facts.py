"""What show lma-service, mipv6ha-service and mag-service tell about settings."""

from typing import Any

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli.grammar import COMMANDS
from appliance.config_text import COMMAND_MODULES
from appliance.facts import lma_facts, mag_facts
from appliance.facts_hosts import home_agent_facts
from appliance.facts_words import amount
from appliance.protocols.diameter.settings import GroupSettings, ServerGroup
from appliance.protocols.mipv6.settings import LONGEST, HomeAgentSettings
from appliance.protocols.pmipv6.agent_settings import AgentEntry
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.host_settings import Association, HostSettings
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    DelegationPool,
    RedirectTarget,
    ServiceProfile,
    VendorOption,
)
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    AddressPool,
    Anchor,
    GlobalPeer,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
    PrefixPool,
    Profile,
    QosWish,
)

# Without them the grammar is empty when this file runs alone.
assert COMMAND_MODULES

ADDRESS = bytes.fromhex("20010db8ffff00000000000000000001")
V4 = bytes((198, 51, 100, 1))

#: Another value than the factory one for each field that is no number and no switch.
OTHER: dict[str, Any] = {
    "name": "other",
    "context": "other",
    "address": b"",
    "ipv4_address": V4,
    "unknown_peer": "discard",
    "revocation_pending": "accept",
    "revocation_identity": "mag1@example.org",
    "global_peers": (GlobalPeer(address=ADDRESS, prefix_length=128),),
    "mipv6_pools": ("HOSTS",),
    "mipv6_home_link": "home0",
    "mipv6_authentication": "optional",
    "mipv6_unauthenticated": "discard",
    "mipv6_h_bit": "discard",
    "mipv6_multiple": "single",
    "mipv6_udp": "always",
    "mipv6_flow_policy": "round-robin",
    "mipv6_associations": (Association(spi=256, key=bytes(16)),),
    "mipv6_prefix_discovery": "off",
    "mipv6_agents": (AgentEntry(address=ADDRESS),),
    "unknown_subscriber": "reject",
    "gre": "required",
    "newcall_policy": "reject",
    "default_subscriber": "guest@example.org",
    "dhcp_mode": "relay",
    "dhcp_dns_servers": (V4,),
    "dhcp_domain_name": "example.org",
    "dhcp_relay_server": V4,
    "tunnel_traffic_class": 0xB8,
    "heartbeat_path_failure": "end-sessions",
    "peers": (Peer(address=ADDRESS, prefix_length=128),),
    "prefix_pools": (PrefixPool(name="HOME", prefix=ADDRESS[:6] + bytes(10), prefix_length=48),),
    "address_pools": (
        AddressPool(name="V4", network=V4, prefix_length=24, first=V4, last=V4, default_router=V4),
    ),
    "profiles": (Profile(name="mn1"),),
    "default_profile": Profile(name="default"),
    "aaa_group": "home",
    "aaa": GroupSettings(name="home", accounting=ServerGroup(endpoint="aaa")),
    "congestion": Congestion(congestion_action="reject"),
    "qos_requests": (QosWish(dscp=10),),
    "lma": V4,
    "encapsulation": "ipip",
    "retransmission_policy": "normal",
    "link_local": ADDRESS,
    "link_layer": b"\2\0\0\0\0\1",
    "access_interfaces": (AccessInterface(name="acc0"),),
    "redirect_targets": (RedirectTarget(address=ADDRESS),),
    "redirect_policy": "always",
    "redirect_allowed": ((ADDRESS, 128),),
    "user_plane_address": ADDRESS,
    "user_plane_ipv4": V4,
    "delegation_pools": (
        DelegationPool(name="D", prefix=ADDRESS[:6] + bytes(10), prefix_length=48, delegated_length=56),
    ),
    "delegations": (Delegation(mn_id=b"mn1@example.org", prefix=bytes(4)),),
    "service_profiles": (ServiceProfile(name="internet"),),
    "unknown_service": "reject",
    "vendor_options": (VendorOption(vendor=10415, subtype=7, data=b"\1"),),
    "access_networks": (AccessNetwork(interface="acc0", network=b"cafe"),),
    "anchors": (Anchor(address=ADDRESS),),
    "policies": (MobilePolicy(link_layer=b"\2\0\0\0\0\1", mn_id=b"mn1@example.org"),),
}


def other(name: str, value: Any) -> Any:
    """A value of the field that differs from ``value``."""
    if name in OTHER:
        return OTHER[name]
    if name == "heartbeat_peer_restart":
        # Anchor and gateway begin differently.
        return "keep-sessions" if value == "end-sessions" else "end-sessions"
    return not value if isinstance(value, bool) else value + 1


class WordsTests(SynchronousTestCase):
    def test_amount(self) -> None:
        """One of something is no plural."""
        found = [amount(number, "second") for number in (0, 1, 2)]
        self.assertEqual(found, ["0 seconds", "1 second", "2 seconds"])


class LmaFactsTest(SynchronousTestCase):
    """The LMA's screen."""

    def test_order(self) -> None:
        """The labels come in the order of the vendor's mobile IPv6 services."""
        labels = [label for label, _ in lma_facts(LmaSettings(name="lma1"), "Started")]
        self.assertEqual(
            labels[:18],
            [
                "Service Name", "Context", "Bind", "Max Subscribers", "Local IPv6 Address",
                "Local IPv4 Address", "Lifetime", "Simul Bindings", "Setup Timeout",
                "Sequence Number Validation", "Refresh Advice Option", "Refresh Interval Percent",
                "Timestamp Replay Protection", "Timestamp Tolerance", "Default Subscriber",
                "AAA accounting", "Service Status", "Newcall Policy",
            ],
        )  # fmt: skip

    def test_values(self) -> None:
        """Values stand as text; an unbound service says so."""
        facts = dict(lma_facts(LmaSettings(name="lma1", context="anchor", address=ADDRESS), "Started"))
        self.assertEqual(facts["Local IPv6 Address"], "2001:db8:ffff::1")
        self.assertEqual((facts["Bind"], facts["Local IPv4 Address"]), ("Done", "None"))
        self.assertEqual((facts["Lifetime"], facts["Service Status"]), ("600 seconds", "Started"))
        facts = dict(lma_facts(LmaSettings(name="lma1"), "Initialized"))
        self.assertEqual((facts["Bind"], facts["Local IPv6 Address"]), ("Not Done", "None"))
        self.assertEqual(facts["Service Status"], "Initialized")

    def test_heartbeat(self) -> None:
        """With heartbeats on, the four lines are the published ones; off, there is one."""
        settings = LmaSettings(
            name="lma1", heartbeat_interval=60, heartbeat_timeout=5, heartbeat_max_retransmissions=4
        )
        facts = lma_facts(settings, "Started")
        lines = [f"{label}: {value}" for label, value in facts if label.startswith("Heartbeat")]
        self.assertEqual(
            lines,
            [
                "Heartbeat support: Enabled",
                "Heartbeat Interval: 60",
                "Heartbeat Retransmission Timeout: 5",
                "Heartbeat Max Retransmissions: 4",
            ],
        )
        losses = dict(facts)["Path Failure"], dict(facts)["Peer Restart"]
        self.assertEqual(losses, ("Keep Sessions", "End Sessions"))
        off = lma_facts(LmaSettings(name="lma1"), "Started")
        self.assertEqual(
            [fact for fact in off if fact[0].startswith(("Heartbeat", "Path F"))],
            [("Heartbeat support", "Disabled")],
        )

    def test_every_setting_is_shown(self) -> None:
        """Changing any setting changes the screen."""
        base = LmaSettings(
            name="lma1",
            context="anchor",
            address=ADDRESS,
            heartbeat_interval=60,
            revocation=True,
            mag_reregistration_control=True,
            mag_heartbeat_control=True,
            mipv6=True,
        )
        for attribute in fields(LmaSettings):
            changed = evolve(base, **{attribute.name: other(attribute.name, getattr(base, attribute.name))})
            self.assertNotEqual(lma_facts(changed, "Started"), lma_facts(base, "Started"), attribute.name)

    def test_peers(self) -> None:
        """Each peer has its line; one that is not allowed says so."""
        peers = (
            Peer(address=ADDRESS, prefix_length=128),
            Peer(address=ADDRESS[:6] + bytes(10), prefix_length=48, allowed=False),
        )
        facts = lma_facts(LmaSettings(name="lma1", peers=peers), "Started")
        self.assertEqual(
            [value for label, value in facts if label == "MAG Peer"],
            ["2001:db8:ffff::1/128", "2001:db8:ffff::/48 prohibited"],
        )


class HomeAgentFactsTest(SynchronousTestCase):
    """The home agent's screen."""

    def names(self) -> set[str]:
        """What lines of the mode set."""
        self.assertTrue(COMMAND_MODULES, "which have filled the grammar")
        commands = COMMANDS.settings("mipv6ha-service")
        placeholders = {value.name for each in commands for value in each.values()}
        return placeholders | {each.path for each in commands}

    def test_order(self) -> None:
        """The labels come in the order of the vendor's screen."""
        labels = [label for label, _ in home_agent_facts(HomeAgentSettings(name="ha1"), "Started")]
        self.assertEqual(
            labels[:17],
            [
                "Service Name", "Context", "Bind", "Max Subscribers", "Local IPv6 Address", "Lifetime",
                "Simul Bindings", "Setup Timeout", "Sequence Number Validation", "Refresh Advice Option",
                "Refresh Interval Percent", "Timestamp Replay Protection", "Timestamp Tolerance",
                "Default Subscriber", "AAA accounting", "Service Status", "Newcall Policy",
            ],
        )  # fmt: skip

    def test_every_setting_is_shown(self) -> None:
        """Changing any setting that a line of the mode sets changes the screen."""
        base = HomeAgentSettings(name="ha1", context="home", address=ADDRESS, reg_lifetime=600)
        known = {attribute.name for attribute in fields(HomeAgentSettings)}
        names = self.names()
        names |= {"mipv6_pools", "mipv6_associations", "mipv6_agents"}
        self.assertGreater(len(names & known), 20)
        for name in sorted(names & known):
            changed = evolve(base, **{name: other(name, getattr(base, name))})
            self.assertNotEqual(home_agent_facts(changed, "Started"), home_agent_facts(base, "Started"), name)

    def test_every_host_setting_has_a_line(self) -> None:
        """What is set for hosts in an anchor can be set in a home agent."""
        names = self.names()
        of_lines = {
            "mipv6_pools": "mipv6 home-address-pool",
            "mipv6_associations": "mn-ha-spi",
            "mipv6_agents": "mipv6 home-agent",
        }
        for attribute in fields(HostSettings):
            if attribute.name != "mipv6":
                self.assertIn(of_lines.get(attribute.name, attribute.name), names)

    def test_infinite(self) -> None:
        """A lifetime without a limit."""
        facts = dict(home_agent_facts(HomeAgentSettings(name="ha1", reg_lifetime=LONGEST), "Started"))
        self.assertEqual(facts["Lifetime"], "Infinite")


class MagFactsTest(SynchronousTestCase):
    """The MAG's screen."""

    def test_every_setting_is_shown(self) -> None:
        """Changing any setting changes the screen."""
        base = MagSettings(
            name="mag1", context="access", address=ADDRESS, lma=ADDRESS, heartbeat_interval=60,
            revocation=True,
        )
        for attribute in fields(MagSettings):
            changed = evolve(base, **{attribute.name: other(attribute.name, getattr(base, attribute.name))})
            self.assertNotEqual(mag_facts(changed, "Started"), mag_facts(base, "Started"), attribute.name)

    def test_redirect_allowed(self) -> None:
        """Without a line any anchor may be the one that it is sent to."""
        facts = dict(mag_facts(MagSettings(name="mag1"), "Started"))
        self.assertEqual(facts["Redirect Allowed"], "Any")
        facts = dict(mag_facts(MagSettings(name="mag1", redirect_allowed=((ADDRESS, 64),)), "Started"))
        self.assertTrue(facts["Redirect Allowed"].endswith("/64"))

    def test_qos_request(self) -> None:
        """A request is shown as it is configured."""
        wishes = (
            QosWish(mn_id=b"mn1@example.org", bandwidth_down=5, priority=3),
            QosWish(interface="acc0", bandwidth_up=7),
            QosWish(dscp=10),
        )
        facts = mag_facts(MagSettings(name="mag1", qos_requests=wishes), "Started")
        self.assertEqual(
            [value for label, value in facts if label == "QoS Request"],
            [
                "nai mn1@example.org bandwidth-down 5 priority 3",
                "interface acc0 bandwidth-up 7",
                "any dscp 10",
            ],
        )

    def test_mobile_node(self) -> None:
        """A mobile node's line tells who, where and what it asks for."""
        policy = MobilePolicy(
            link_layer=bytes.fromhex("02005e100001"),
            mn_id=b"mn1@example.org",
            interface="acc0",
            lma=ADDRESS,
            ipv4=True,
            service=b"internet",
            prefixes=((ADDRESS[:6] + bytes(10), 64),),
        )
        policies = (policy, MobilePolicy(link_layer=b"", mn_id=b"x"))
        facts = mag_facts(MagSettings(name="mag1", policies=policies), "Started")
        self.assertEqual(
            [value for label, value in facts if label == "Mobile Node"],
            [
                "02:00:5e:10:00:01 mn1@example.org ipv6 ipv4 interface acc0 lma 2001:db8:ffff::1"
                " service internet prefix 2001:db8:ffff::/64",
                "any x ipv6",
            ],
        )
