"""An anchor, its authorization client and a server that loses, delays and refuses: nothing is left anywhere.

The server is a model of one that keeps state: it knows a session from its yes until that is over.
"""

import random
from math import inf
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.auth_events import Ask, Got, Reply, Requested, Usable
from appliance.protocols.diameter.client.auth_events import Reconfigure as OtherGroup
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.authorization import AuthorizationClient
from appliance.protocols.diameter.events import NO_PEER, TIMEOUT, Answered
from appliance.protocols.diameter.message.codec import PROXIABLE, REQUEST, Message, frame
from appliance.protocols.mobility.aaa import (
    Abandon,
    Account,
    Authorize,
    Authorized,
    Reauthorize,
    SessionEnds,
)
from appliance.protocols.pmipv6.events import ClearSessions, Notify, Reconfigure
from appliance.protocols.pmipv6.settings import Profile
from test.protocols.diameter.auth_fakes import (
    ORIGIN,
    REALM,
    SERVER,
    WALL,
    D,
    avp,
    group,
    lifetime,
    message_of,
)
from test.protocols.pmipv6.aaa_fakes import AaaWorld
from test.protocols.pmipv6.test_lma_random import CASES, random_update


class Story:
    """All three of them, and what is under way between them."""

    def __init__(self, seed: int, policy: str, on_handoff: bool) -> None:
        self.chance = random.Random(seed)
        self.on_handoff = on_handoff
        self.policy = policy
        self.world = AaaWorld(
            aaa=self.group("g"),
            max_subscribers=6,
            setup_timeout=15,
            default_profile=Profile(name="d", ipv4=True),
        )
        self.client = AuthorizationClient(self.group("g"), ORIGIN, SessionIds(WALL))
        self.asks: list[Ask] = []
        self.toward: list[Any] = []
        """Events for the anchor, each in a turn of its own."""
        self.server: dict[str, float] = {}
        """Sessions that the server knows, and when it forgets them by itself."""
        self.asked: dict[int, int] = {}
        """How many answers each question has got."""
        self.dropped: set[int] = set()
        self.up = True

    def group(self, name: str) -> Any:
        """A group; another name is another authority."""
        made = group(max_retries=1, request_timeout=5, failure_policy=self.policy, queue_time=8)
        return evolve(made, name=name, authorize_on_handoff=self.on_handoff)

    def anchor(self, effects: list[Any]) -> None:
        """What the anchor has said."""
        for effect in effects:
            if isinstance(effect, Authorize):
                assert effect.token not in self.asked
                self.asked[effect.token] = 0
            elif isinstance(effect, Abandon):
                self.dropped.add(effect.token)
            if isinstance(effect, (Authorize, Abandon, Account)):
                self.feed(effect)

    def feed(self, event: Any) -> None:
        """Give the client an event."""
        self.client.receive(event, self.world.now)
        self.take()

    def take(self) -> None:
        """What the client has said."""
        for effect in self.client.take():
            if isinstance(effect, Ask):
                self.asks.append(effect)
            elif isinstance(effect, Authorized):
                self.asked[effect.token] += 1
                assert self.asked[effect.token] == 1, "a question has one answer"
                self.toward.append(effect)
            elif isinstance(effect, (SessionEnds, Reauthorize)):
                self.toward.append(effect)
            else:
                assert isinstance(effect, (Reply, Notify))

    def turn(self) -> None:
        """The anchor hears what there is for it."""
        events, self.toward = self.toward, []
        for event in events:
            self.anchor(self.world.tell(event))

    def serve(self, reliable: bool) -> None:
        """Something becomes of one request."""
        if not self.asks:
            return
        ask = self.asks.pop(self.chance.randrange(len(self.asks)))
        if not self.up:
            self.feed(Got(ask.number, Answered(None, NO_PEER)))
            return
        answer = self.decide(message_of(ask))
        if reliable or self.chance.random() < 0.8:
            self.feed(Got(ask.number, Answered(Message(answer), "", SERVER, 3)))
        else:
            # It was served, but the answer is lost.
            self.feed(Got(ask.number, Answered(None, TIMEOUT, "", 3)))

    def decide(self, request: Message) -> bytes:
        """The server's answer."""
        name = request.first(D["Session-Id"])
        if request.code == 275:
            known = name in self.server
            self.server.pop(name, None)
            return request.answer(2001 if known else 5002, SERVER, REALM)
        extra = [avp("Auth-Application-Id", 1), avp("Auth-Request-Type", 2)]
        result = self.chance.choice([2001] * 8 + [5003, 5006, 5012, 3004])
        if result != 2001:
            if result in (5003, 5006):
                self.server.pop(name, None)
            return request.answer(result, SERVER, REALM, *extra)
        until = inf
        pick = self.chance.randrange(6)
        if pick == 0:
            extra.append(avp("Class", bytes(5000)))
        elif pick == 1:
            seconds = self.chance.choice([0, 20, 60])
            extra.append(lifetime(seconds, 5))
            until = seconds + 5
        elif pick == 2:
            until = self.chance.choice([30, 100])
            extra.append(avp("Session-Timeout", until))
        self.server[name] = self.world.mono + until
        return request.answer(2001, SERVER, REALM, *extra)

    def demand(self) -> None:
        """The server aborts a session, or wants it authorized again."""
        if not self.server or not self.up:
            return
        name = self.chance.choice(sorted(self.server))
        code = self.chance.choice([258, 274])
        body = [avp("Session-Id", name), avp("Origin-Host", SERVER), avp("Origin-Realm", REALM)]
        octets = frame(code, 1, REQUEST | PROXIABLE, 1, 1, b"".join(body))
        self.feed(Requested(1, Message(octets)))

    def pass_time(self, seconds: float) -> None:
        """Let time go by, for all of them together."""
        world, until = self.world, self.world.mono + seconds
        for _ in range(3000):
            times = (world.lma.deadline, self.client.deadline)
            due = min((each for each in times if each is not None), default=inf)
            if due > until:
                break
            world.mono = max(world.mono, due)
            if world.lma.deadline is not None and world.lma.deadline <= world.mono:
                world.lma.tick(world.now)
                self.anchor(world.lma.take())
            if self.client.deadline is not None and self.client.deadline <= world.mono:
                self.client.tick(world.now)
                self.take()
            self.turn()
        world.mono = until

    def step(self) -> None:
        """One thing happens."""
        chance, world = self.chance, self.world
        what = chance.random()
        if what < 0.4:
            self.anchor(world.packet(*world.build(**random_update(chance, world))))
            world.mono += chance.choice([0.0, 0.1, 1.0])
        elif what < 0.75:
            self.serve(reliable=False)
        elif what < 0.87:
            self.pass_time(chance.choice([0.1, 1.0, 3.0, 20.0]))
        elif what < 0.91:
            self.demand()
        elif what < 0.95:
            self.up = not self.up
            if self.up:
                self.feed(Usable())
        elif what < 0.97:
            self.anchor(world.tell(ClearSessions(mn_id=chance.choice([b"a@x", b""]))))
        else:
            settings = self.group(chance.choice(["g", "h"]))
            self.feed(OtherGroup(settings, ORIGIN))
            self.anchor(world.tell(Reconfigure(evolve(world.settings, aaa=settings))))
        self.turn()

    def settle(self) -> None:
        """Everything works again, and all mobiles leave."""
        self.up = True
        self.feed(Usable())
        for _ in range(400):
            self.serve(reliable=True)
            self.turn()
            self.pass_time(0.2)
        self.anchor(self.world.tell(ClearSessions()))
        for _ in range(400):
            self.serve(reliable=True)
            self.turn()
            self.pass_time(0.5)


class TestWhole(SynchronousTestCase):
    @profile(deadline=None, max_examples=max(15, CASES // 8))
    @given(st.integers(0, 2**32), st.sampled_from(["deny", "local", "queue"]), st.booleans())
    def test_nothing_is_left(self, seed: int, policy: str, on_handoff: bool) -> None:
        """Whatever happened: in the end no session is anywhere, and every question has had its answer."""
        story = Story(seed, policy, on_handoff)
        for _ in range(80):
            story.step()
        story.settle()
        self.assertEqual(story.world.lma.session_count, 0)
        self.assertEqual((story.client.sessions.calls, story.client.sessions.ids), ({}, {}))
        self.assertEqual((story.client.busy, story.asks, story.client._asking.open), (0, [], {}))
        mono = story.world.mono
        self.assertEqual([name for name, until in story.server.items() if until > mono], [])
        unanswered = {token for token, count in story.asked.items() if not count}
        self.assertLessEqual(unanswered, story.dropped)
        attempts, success, refused, failed = story.world.asked()
        self.assertEqual(attempts, success + refused + failed)
