"""A recorded run can be repeated: the same inputs give the same effects."""

import json
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from appliance import counters
from appliance.config import load
from appliance.counters import CounterSet
from appliance.errors import ApplianceError, ResourceError
from appliance.protocols.diameter.settings import GroupSettings, Server, ServerGroup
from appliance.protocols.driver import CoreDriver
from appliance.protocols.mipv6.anchor import make_anchor
from appliance.protocols.mipv6.events import OptionsReceived, SendRouted
from appliance.protocols.mobility import codec, messages, options
from appliance.protocols.mobility.aaa import (
    ACCEPT,
    Abandon,
    Account,
    Authorize,
    Authorized,
    Grant,
    Reauthorize,
    SessionEnds,
)
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import (
    Install,
    Notify,
    PacketReceived,
    Reach,
    Reconfigure,
    Remove,
    Send,
    SendIcmp,
    Unreach,
)
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.timers import Now
from appliance.record import Recorder, chance, from_json, replay, to_json
from test.protocols.mipv6.fakes import CARE1, HOME, HostWorld

ROOT = Path(__file__).resolve().parent.parent

CONFIGURATION = """
config
  context anchor
    ipv6 pool HOME prefix 2001:db8:1::/48
    subscriber default
      permission pmipv6
      exit
    lma-service lma1
      bind address 2001:db8:ffff::1
      mag-peer 2001:db8:a::1
      exit
end
"""
MORE = """
    ip pool V4 203.0.113.0/24
    subscriber name mn1@example.org
      home-network-prefix 2001:db8:9::/64
      ipv4-home-address 203.0.113.7
      allowed-service net
      exit
    mag-service mag1
      bind address 2001:db8:ffff::2
      lma-address 2001:db8:ffff::1
      access-interface acc0
      mobile-node 02:00:5e:10:00:01 nai mn1@example.org ipv4
      exit
    subscriber default"""
ANCHOR = bytes.fromhex("20010db8ffff00000000000000000001")
GATEWAY = bytes.fromhex("20010db8000a00000000000000000001")


def update(wall: float, lifetime: int) -> PacketReceived:
    """A Proxy Binding Update of one mobile node."""
    message = messages.BindingUpdate(
        1,
        messages.BU_A | messages.BU_P,
        lifetime,
        [
            options.MobileNodeIdentifier(1, b"mn1@example.org"),
            options.HomeNetworkPrefix(0, bytes(16)),
            options.HandoffIndicator(1 if lifetime else 4),
            options.AccessTechnologyType(4),
            options.MobileNodeLinkLayerIdentifier(bytes.fromhex("02005e100001")),
            options.Timestamp(codec.to_timestamp(wall)),
        ],
    )
    return PacketReceived(codec.seal(codec.encode(message), GATEWAY, ANCHOR), GATEWAY, ANCHOR)


class RecordTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.configuration = load(CONFIGURATION, "test")

    def record(self, limit: int = 1_000_000) -> list[object]:
        """Attach, leave, and let the binding be deleted; returns the effects."""
        recorder = Recorder(self.path, 7, limit)
        reactor = Clock()
        effects: list[object] = []
        core = LocalMobilityAnchor(
            self.configuration.lma_services[0], CounterSet(counters.LMA), chance(7, "lma lma1")
        )
        driver = CoreDriver(
            reactor,
            lambda: Now(reactor.seconds(), 1_700_000_000 + reactor.seconds()),
            core,
            dict.fromkeys((Send, SendIcmp, Install, Remove, Notify), effects.append),
            recorder.sink("lma lma1", "lma"),
        )
        driver.feed(update(1_700_000_000.0, 150))
        reactor.advance(5)
        driver.feed(update(1_700_000_005.0, 0))
        reactor.pump([1] * 12)
        recorder.close()
        return effects

    def test_same_effects(self) -> None:
        """Replaying gives the effects of the run, random call id and timer included."""
        effects = self.record()
        self.assertGreaterEqual(len(effects), 4)
        again = [line["effect"] for line in replay(self.configuration, self.path)]
        self.assertEqual(again, [to_json(effect) for effect in effects])

    def test_round_trip(self) -> None:
        """An effect written as JSON comes back equal."""
        for effect in self.record():
            self.assertEqual(from_json(json.loads(json.dumps(to_json(effect)))), effect)

    def test_other_settings(self) -> None:
        """A run whose settings changed is repeated with the change, and so is a service that came later."""
        recorder = Recorder(self.path, 7)
        text = CONFIGURATION.replace("2001:db8:1::/48", "2001:db8:2::/48")
        changed = load(text.replace("mag-peer", "reg-lifetime 100\n      mag-peer"), "test").lma_services[0]
        late = evolve(changed, name="lma2")
        effects: list[object] = []
        for settings, later in ((self.configuration.lma_services[0], changed), (late, None)):
            label = f"lma {settings.name}"
            if later is None:
                recorder.begin(label, settings)
            reactor = Clock()
            driver = CoreDriver(
                reactor,
                lambda reactor=reactor: Now(reactor.seconds(), 1_700_000_000 + reactor.seconds()),
                LocalMobilityAnchor(settings, CounterSet(counters.LMA), chance(7, label)),
                dict.fromkeys((Send, SendIcmp, Install, Remove, Notify), effects.append),
                recorder.sink(label, "lma"),
            )
            driver.feed(update(1_700_000_000.0, 150))
            if later is not None:
                driver.feed(Reconfigure(later))
                driver.feed(update(1_700_000_000.1, 150))
        recorder.close()
        # The session ended with its pool; its gateway got another one of the new pool, for a shorter time.
        self.assertEqual([type(effect) for effect in effects[:5]], [Install, Send, Remove, Install, Send])
        again = [line["effect"] for line in replay(self.configuration, self.path)]
        self.assertEqual(again, [to_json(effect) for effect in effects])

    def test_settings_round_trip(self) -> None:
        """Settings of both kinds, with all that they hold, come back equal."""
        text = CONFIGURATION.replace("    subscriber default", MORE)
        configuration = load(text, "test")
        for settings in (*configuration.lma_services, *configuration.mag_services):
            event = Reconfigure(settings)
            self.assertEqual(from_json(json.loads(json.dumps(to_json(event)))), event)

    def test_aaa(self) -> None:
        """A run with an AAA server is repeated with its answers, as they came."""
        side = ServerGroup(endpoint="aaa", servers=(Server(host="aaa1", priority=2),))
        group = GroupSettings(name="g", authentication=side, accounting=side)
        settings = evolve(self.configuration.lma_services[0], name="lma2", aaa=group, aaa_group="g")
        recorder = Recorder(self.path, 7)
        recorder.begin("lma lma2", settings)
        effects: list[Any] = []
        kinds = (Send, Install, Remove, Authorize, Abandon, Account, Reach, Unreach)
        reactor = Clock()
        driver = CoreDriver(
            reactor,
            lambda: Now(reactor.seconds(), 1_700_000_000 + reactor.seconds()),
            LocalMobilityAnchor(settings, CounterSet(counters.LMA), chance(7, "lma lma2")),
            dict.fromkeys(kinds, effects.append),
            recorder.sink("lma lma2", "lma"),
        )
        driver.feed(update(1_700_000_000.0, 150))
        (question,) = effects
        grant = Grant(session_id="x;1;2", prefixes=((bytes.fromhex("20010db8009900010000000000000000"), 64),))
        driver.feed(Authorized(token=question.token, verdict=ACCEPT, grant=grant))
        driver.feed(Reauthorize(question.subject.call_id))
        driver.feed(SessionEnds(call_id=question.subject.call_id, cause=4))
        driver.feed(Reconfigure(evolve(settings, aaa=None)))
        recorder.close()
        self.assertLessEqual({Reach, Unreach, Account, Authorize}, {type(effect) for effect in effects})
        again = [line["effect"] for line in replay(self.configuration, self.path)]
        self.assertEqual(again, [to_json(effect) for effect in effects])

    def test_home_agent(self) -> None:
        """A home agent's run is repeated: updates of hosts and of gateways, changed settings."""
        text = (ROOT / "etc/ha.conf").read_text()
        configuration = load(text, "test")
        (settings,) = configuration.home_agents
        label, reactor = "mipv6ha ha1", Clock()
        recorder = Recorder(self.path, 7)
        effects: list[Any] = []
        driver = CoreDriver(
            reactor,
            lambda: Now(reactor.seconds(), 1_700_000_000 + reactor.seconds()),
            make_anchor(settings, CounterSet(counters.MIPV6HA), chance(7, label)),
            dict.fromkeys((Send, SendRouted, Install, Remove, Notify), effects.append),
            recorder.sink(label, "mipv6ha"),
        )
        world = HostWorld()
        for changed in (settings, load(text.replace("3600", "400"), "test").home_agents[0]):
            driver.feed(Reconfigure(changed))
            mh = world.update()
            packet = build_ipv6(MobilityPacket(CARE1, ANCHOR, mh, home_source=HOME))
            driver.feed(OptionsReceived(packet[40:], CARE1, ANCHOR))
        driver.feed(update(1_700_000_000.0, 150))
        recorder.close()
        self.assertEqual([type(each) for each in effects], [Install, SendRouted, SendRouted, Send])
        again = [line["effect"] for line in replay(configuration, self.path)]
        self.assertEqual(again, [to_json(effect) for effect in effects])
        event = Reconfigure(settings)
        self.assertEqual(from_json(json.loads(json.dumps(to_json(event)))), event)

    def test_private(self) -> None:
        """Only the owner may read a recording, and an existing file is not overwritten."""
        self.record()
        self.assertEqual(Path(self.path).stat().st_mode & 0o777, 0o600)
        self.assertRaises(ResourceError, Recorder, self.path, 1)

    def test_limit(self) -> None:
        """A recording never grows past its limit and ends with a whole line."""
        self.record(limit=700)
        text = Path(self.path).read_text()
        self.assertLessEqual(len(text), 700)
        self.assertTrue(text.endswith("}\n"))

    def test_damaged(self) -> None:
        """A line that is no recorded input is named."""
        self.record()
        for line in ("nonsense", '{"service":"lma lma2","core":"lma","now":[1,2],"input":null}', "{}"):
            Path(self.path).write_text('{"version":1,"seed":7}\n' + line + "\n")
            error = self.assertRaises(ApplianceError, list, replay(self.configuration, self.path))
            self.assertIn(f"{self.path}:2", str(error))
