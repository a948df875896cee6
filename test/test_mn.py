"""A mobile node's settings, screens and desk."""

import asyncio
import json
from typing import Any

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from appliance import mn_views, record
from appliance.config import Configuration, ConfigurationErrors, load, show
from appliance.config_audit_mn import client_findings
from appliance.config_mn import ready
from appliance.counters import MN, CounterSet
from appliance.errors import ResourceError
from appliance.facts_mn import mn_facts
from appliance.mn_desk import MnDesk
from appliance.protocols.mn.events import Path, Reconfigure, Registered, Report, Tunnel
from appliance.protocols.mn.movement import Snapshot
from appliance.protocols.mn.settings import Association, MnSettings, MobileInterface
from appliance.protocols.pmipv6 import events as pmipv6_events
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.tun.homeward import Homeward

HOME, AGENT, CARE_OF = (bytes.fromhex("20010db8" + "00" * 11 + end) for end in ("05", "01", "0a"))
V4 = bytes((198, 51, 100, 1))
TEXT = """config
  context mobile
    mn-client mn1
      home-agent address 2001:db8::1 ipv4-address 198.51.100.1
      home-agent alternate 2001:db8::2
      home-address 2001:db8:1::5
      home-prefix 2001:db8:1::/64
      interface-identifier ::1:2:3:4
      ipv4-home-address any
      nai alice@example.org
      service-selection internet
      authentication mn-aaa-initial
      mn-ha-spi spi-number 256 secret 0x00112233
      mn-aaa secret something
      interface wlan0 preference 200
      interface wwan0 bid 7
      multiple-care-of-addresses
      mobile-router
      mobile-network-prefix 2001:db8:5::/56
      exit
    exit
end
"""
#: Another value than the factory one for each field that is no number and no switch.
OTHER: dict[str, Any] = {
    "router_mode": "implicit",
    "name": "other",
    "context": "other",
    "home_agent": AGENT,
    "home_agent_ipv4": V4,
    "home_agents": (AGENT,),
    "home_address": HOME,
    "home_prefix": HOME,
    "interface_identifier": HOME[8:],
    "ipv4_home_address": V4,
    "mn_id": b"alice@example.org",
    "service": b"internet",
    "authentication": "none",
    "associations": (Association(spi=256, key=bytes(16)),),
    "aaa_key": b"key",
    "interfaces": (MobileInterface(name="wlan0"),),
    "networks": ((HOME, 64),),
    "tunnel_traffic_class": 0xB8,
}


class SettingsTests(SynchronousTestCase):
    """From the lines to the settings and the screen."""

    def test_lines(self) -> None:
        """Every kind of line, and back to the same text."""
        configuration = load(TEXT, "x")
        (settings,) = configuration.mn_clients
        self.assertEqual(settings.home_agents, (AGENT[:-1] + b"\2",))
        self.assertEqual(settings.interface_identifier.hex(), "0001000200030004")
        self.assertEqual((settings.ipv4_home, settings.ipv4_home_address), (True, None))
        self.assertEqual(settings.associations[0].key, bytes.fromhex("00112233"))
        self.assertEqual(settings.aaa_key, b"something")
        self.assertEqual([(each.name, each.preference, each.bid) for each in settings.interfaces],
                         [("wlan0", 200, 0), ("wwan0", 100, 7)])  # fmt: skip
        self.assertTrue(ready(settings))
        again = load("\n".join(show(configuration.tree)), "y")
        self.assertEqual(again.mn_clients, configuration.mn_clients)

    def test_contradictions(self) -> None:
        """What no single line shows."""
        for line, wanted in (
            ("home-address 2001:db8:2::5", "the home address is not in the home prefix"),
            ("interface lan0 bid 7", "interface wwan0 has binding identifier 7 already"),
            ("home-address ff02::1", "ff02::1 is no unicast address of a network"),
            ("home-agent address 2001:db8::1 ipv4-address 224.0.0.1", "224.0.0.1 is no unicast address"),
            ("home-agent alternate fe80::1", "fe80::1 is no unicast address"),
            ("ipv4-home-address 255.255.255.255", "255.255.255.255 is no unicast address"),
            ("mn-aaa secret 0x123", "has pairs of hexadecimal digits"),
            ("mn-ha-spi spi-number 257 secret abc", "has 4 octets at least"),
        ):
            text = TEXT.replace("      mobile-router\n", f"      {line}\n      mobile-router\n")
            error = self.assertRaises(ConfigurationErrors, load, text, "x")
            self.assertIn(wanted, str(error))
        twice = TEXT.replace("context mobile", "context a\nmn-client mn1\nexit\nexit\ncontext mobile")
        self.assertIn("in context a already", str(self.assertRaises(ConfigurationErrors, load, twice, "x")))

    def test_audit(self) -> None:
        """What passes every check and cannot work."""
        bare = MnSettings(name="bare")
        keyed = MnSettings(
            name="keyed", home_agent=AGENT, home_address=HOME, mn_id=b"a@b", force_udp=True,
            interfaces=(MobileInterface(name="lan0"),), associations=(Association(spi=256, key=b"short"),),
        )  # fmt: skip
        asked = evolve(keyed, name="asked", authentication="mn-aaa-always")
        found = [each.text for each in client_findings(Configuration(mn_clients=(bare, keyed, asked)))]
        for text in (
            "bare has no interface", "bare has no home agent", "bare has no mn-ha-spi", "bare has no nai",
            "keyed: an mn-ha-spi key", "keyed wants UDP", "asked has no mn-aaa key",
            "asked has the home address of mn-client keyed",
        ):  # fmt: skip
            self.assertEqual(sum(text in each for each in found), 1, text)

    def test_every_setting_is_shown(self) -> None:
        """Changing any setting changes the screen; no key is on it."""
        base = MnSettings(name="mn1", ipv4_home=True, route_optimization=True)
        for attribute in fields(MnSettings):
            before = getattr(base, attribute.name)
            after = OTHER.get(attribute.name, not before if isinstance(before, bool) else None)
            after = before + 1 if after is None else after
            changed = evolve(base, **{attribute.name: after})
            self.assertNotEqual(mn_facts(changed, "Started"), mn_facts(base, "Started"), attribute.name)
        (settings,) = load(TEXT, "x").mn_clients
        self.assertNotIn("something", str(mn_facts(settings, "Started")))


class ViewTests(SynchronousTestCase):
    """What a report looks like."""

    def test_home(self) -> None:
        """The path in use, and what the home agent has said."""
        rules = Homeward(CounterSet(MN), 1500, None)
        rules.install(Tunnel(HOME, None, (), (Path("wlan0", CARE_OF, AGENT),)))
        registered = Registered("wlan0", CARE_OF, 0, "registered", 0, 7, 600, 599.6, 450.0, 0, False, 0)
        report = Report("registered", AGENT, HOME, b"", 32, (AGENT,), (), (), (registered,), (), 1)
        (view,) = mn_views.bindings("mn1", report, rules)
        self.assertEqual((view.kind, view.encapsulation, view.remaining), ("home", "6in6", 600))
        told = dict(mn_views.overview("mn1", "mn-mn1", report, rules))
        self.assertEqual(told["Tunnel"], "6in6 by wlan0, 2001:db8::a to 2001:db8::1, MTU 1500")
        self.assertEqual(dict(mn_views.overview("mn1", "mn-mn1", report, None))["Tunnel"], "None")

    def test_recordings_tell_events_of_the_same_name_apart(self) -> None:
        """``Reconfigure`` of an anchor is not that of a mobile node."""
        for event in (
            Reconfigure(MnSettings(name="mn1")),
            pmipv6_events.Reconfigure(MagSettings(name="mag1")),
        ):
            again = record.from_json(json.loads(json.dumps(record.to_json(event))))
            self.assertEqual((type(again), again), (type(event), event))


class FakeService:
    """A mobile node that does nothing."""

    kind, context = "mn", ""

    def __init__(self, settings: MnSettings, number: int) -> None:
        self.settings, self.number, self.name = settings, number, settings.name
        self.state = "Initialized"
        self.seen = 0

    def start(self) -> None:
        """Begin, unless it is called so."""
        if self.name == "bad":
            raise ResourceError("no")
        self.state = "Started"

    def saw(self, _snapshot: Snapshot) -> None:
        """Count."""
        self.seen += 1

    def reconfigure(self, settings: MnSettings) -> None:
        """Take them."""
        self.settings = settings

    async def farewell(self) -> None:
        """Nothing to say."""

    async def stop(self) -> None:
        """End."""
        self.state = "Initialized"


class DeskTests(SynchronousTestCase):
    """What runs is what is configured."""

    def test_changes(self) -> None:
        """Clients start, go on by other settings, wait for a missing line, and stop."""
        made: list[FakeService] = []

        def make(settings: MnSettings, number: int) -> Any:
            made.append(FakeService(settings, number))
            return made[-1]

        def configured(*settings: MnSettings) -> Configuration:
            return Configuration(mn_clients=settings)

        lan = (MobileInterface(name="lan0"),)
        one = MnSettings(name="one", context="a", home_agent=AGENT, interfaces=lan)
        two, waiting = evolve(one, name="two"), MnSettings(name="three", context="a")

        async def go() -> None:
            desk = MnDesk(make, lambda: 0.0, lambda _level, _text: None)
            desk._silence = lambda: None  # type: ignore[method-assign]
            empty = configured()
            await desk.manage(empty, configured(one, waiting, two))
            self.assertEqual([each.state for each in desk.clients()], ["Started", "Initialized", "Started"])
            self.assertEqual(sorted(each.number for each in made if each.state == "Started"), [0, 1])
            await desk.manage(empty, configured(evolve(one, lifetime=60), two))
            self.assertEqual(made[1 if made[0].name != "one" else 0].settings.name, desk.names[0])
            self.assertEqual(desk.clients("one")[0].settings.lifetime, 60)  # type: ignore[attr-defined]
            bad = evolve(one, name="bad")
            with self.assertRaises(ResourceError):
                await desk.manage(empty, configured(two, bad))
            await desk.manage(empty, configured(two))
            self.assertEqual([each.name for each in desk.clients()], ["two"])
            await desk.stop()
            self.assertEqual({each.state for each in made}, {"Initialized"})

        asyncio.run(go())
