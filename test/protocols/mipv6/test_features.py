"""Where features of a home agent take part."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mipv6.binding import Away, CareOf, HostBinding
from appliance.protocols.mipv6.events import HostEvent, SendRouted
from appliance.protocols.mipv6.features import HostFeature
from appliance.protocols.mipv6.request import TOO_MANY
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.messages import BindingError, BindingRefreshRequest
from appliance.protocols.mobility.options import LinkLayerAddress, MobileNetworkPrefix
from test.protocols.mipv6.fakes import CARE1, CARE2, HOME, HOME2, HostWorld


class Own(HostEvent):
    """An event of the feature."""


class Recorder(HostFeature):
    """Tells what it was asked, and does what it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.verdicts: dict[str, Any] = {}
        self.due: float | None = None

    def _say(self, what: str) -> Any:
        self.calls.append(what)
        return self.verdicts.get(what)

    def before(self, request: Any, now: Any) -> Any:
        """Recorded."""
        return self._say("before")

    def check(self, request: Any, now: Any) -> Any:
        """Recorded."""
        return self._say("check")

    def accepted(self, request: Any, entry: Any, host: Any, first: bool, now: Any) -> Any:
        """Adds to the answer."""
        request.answer_options.append(LinkLayerAddress(1, b"\2\0\0\0\0\1"))
        request.answer_status, request.answer_flags = 1, 0x40
        self.mark = request.other(MobileNetworkPrefix)
        return self._say("first" if first else "again")

    def left(self, request: Any, entry: Any, host: Any, now: Any) -> None:
        """Recorded."""
        self._say("left")

    def ended(self, entry: Any, host: Any, now: Any) -> None:
        """Recorded."""
        self._say("ended")

    def details(self, entry: Any, host: Any) -> list[tuple[str, str]]:
        """One line."""
        return [("Recorded", "yes")]

    @property
    def deadline(self) -> float | None:
        """As set."""
        return self.due

    def tick(self, now: Any) -> None:
        """Recorded."""
        self.due = None
        self._say("tick")

    def receive(self, event: Any, message: Any, home: bytes, now: Any) -> None:
        """Takes messages."""
        assert (event.source, home) == (CARE1, HOME)
        self._say(type(message).__name__)


class FeatureTests(SynchronousTestCase):
    """A feature that records, at a home agent."""

    def setUp(self) -> None:
        """Make both."""
        self.world = HostWorld()
        self.feature = Recorder()
        features = self.world.lma.hosts.features
        features.add(self.feature, BindingRefreshRequest.TYPE)
        features.events[Own] = lambda event, now: self.feature._say("own")

    def said(self) -> list[str]:
        """What it was asked since the last time."""
        calls, self.feature.calls = self.feature.calls, []
        return calls

    def test_life(self) -> None:
        """A binding from its beginning to its end."""
        world = self.world
        network = MobileNetworkPrefix(64, bytes.fromhex("20010db8aaaa") + bytes(10))
        answer = world.host(extra=[network])
        assert answer is not None
        self.assertEqual((answer.status, answer.flags), (1, 0x40))
        self.assertIn(LinkLayerAddress(1, b"\2\0\0\0\0\1"), answer.options)
        self.assertEqual(self.said(), ["before", "check", "first"])
        self.assertEqual(self.feature.mark, network)
        (entry,) = world.lma.sessions()
        self.assertIn(("Recorded", "yes"), world.lma.details(entry))
        world.host(care_of=CARE2)
        self.assertEqual(self.said(), ["before", "check", "again"])
        world.host(care_of=CARE2, lifetime=0)
        self.assertEqual(self.said(), ["before", "check", "left"])
        world.mono += 11
        world.lma.tick(world.now)
        self.assertEqual(self.said(), ["ended"])

    def test_verdicts(self) -> None:
        """It refuses before a binding is there, and leaves nothing behind when it refuses a new one."""
        world = self.world
        for where in ("check", "first"):
            self.feature.verdicts = {where: TOO_MANY}
            answer = world.host()
            assert answer is not None
            self.assertEqual(answer.status, 130)
            self.assertEqual((world.lma.session_count, world.lma.hosts._sessions.cache.prefixes), (0, {}))
            self.assertEqual([effect for effect in world.effects if not isinstance(effect, SendRouted)], [])
        self.feature.verdicts = {"before": TOO_MANY}
        self.assertIsNone(world.host())
        self.feature.verdicts = {}
        answer = world.host()
        assert answer is not None
        self.assertEqual(answer.status, 1)

    def test_messages_and_events(self) -> None:
        """Other messages of a host, and events of the feature's own."""
        world = self.world
        world.carry(encode(BindingRefreshRequest([])), HOME, CARE1)
        world.carry(encode(BindingError(1, HOME, [])), HOME, CARE1)
        world.lma.receive(Own(), world.now)
        self.assertEqual(self.said(), ["BindingRefreshRequest", "own"])

    def test_time(self) -> None:
        """It is called when it wants to be."""
        world, feature = self.world, self.feature
        # Others may have something to do at the start.
        world.lma.tick(world.now)
        feature.due = world.mono + 3
        feature.schedule(feature.due)
        self.assertEqual(world.lma.deadline, feature.due)
        world.mono += 2
        world.lma.tick(world.now)
        self.assertEqual(self.said(), [])
        world.mono += 1
        world.lma.tick(world.now)
        self.assertEqual(self.said(), ["tick"])


class ShapeTests(SynchronousTestCase):
    """What tells whether a registration has changed a tunnel."""

    def test_as_the_effect(self) -> None:
        """It changes when the Install of the binding does, and only then."""
        world = HostWorld()
        world.host()
        hosts = world.lma.hosts
        (entry,) = world.lma.sessions()
        host = entry.extras
        assert isinstance(host, HostBinding)

        def look() -> tuple[Any, Any]:
            return hosts._registrations._shape(entry, host), hosts._sessions.forwarding(entry)

        away = Away(bytes(4), 4191, udp=True, nat=True, own=b"")
        several = {1: CareOf(CARE2, 9.0), 2: CareOf(CARE1, 9.0), 3: CareOf(CARE1, 9.0, away=away)}
        changes: list[tuple[Any, str, Any]] = [
            (entry, "care_of", CARE2), (entry, "local", CARE1), (entry, "ipv4_address", bytes(4)),
            (host, "delegated", ((HOME2, 128),)), (entry, "udp", True), (host, "away", away),
            (host, "several", {1: CareOf(CARE2, 9.0)}), (host, "several", several), (host, "spread", True),
            (entry, "prefix", HOME2),
        ]  # fmt: skip
        for owner, name, value in changes:
            shape, effect = look()
            setattr(owner, name, value)
            self.assertNotEqual(look()[0], shape, name)
            if name != "several" or value is several:
                self.assertNotEqual(look()[1], effect, name)
        before = look()
        entry.lifetime, entry.due, host.mesg_id, entry.sequence = 7, 8.0, 9, 10
        host.several = {bid: care._replace(due=99.0) for bid, care in several.items()}
        self.assertEqual(look(), before)
