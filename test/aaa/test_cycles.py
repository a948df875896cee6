"""Nothing that comes and goes leaves reference cycles: the oldest garbage is never collected."""

import gc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.events import Abort, Full, Keep, Stored
from appliance.protocols.diameter.events import TIMEOUT
from test.aaa.fakes import HOME_AGENTS, World, avp, with_user
from test.aaa.test_mip4 import GOOD, amr, haa
from test.aaa.test_pmip6 import OTHER_PREFIX, aar, info
from test.aaa.test_server import DER, acr, answer_of
from test.aaa.vectors import message

ROUNDS = 20


class CycleTests(SynchronousTestCase):
    """Each kind of request many times, with the collector off."""

    def leftover(self, work: Callable[[World], object]) -> int:
        """How many objects only the collector would find."""
        world = World(with_user(services=()), home_agents=HOME_AGENTS)
        work(world)
        gc.collect()
        gc.disable()
        try:
            for _ in range(ROUNDS):
                work(world)
                world.effects.clear()
            return gc.collect()
        finally:
            gc.enable()

    def account(self, world: World) -> None:
        world.account(acr())
        (keep,) = [each for each in world.give(acr()) if isinstance(each, Keep)]
        world.feed(Full(keep.token))
        (keep,) = [each for each in world.give(acr()) if isinstance(each, Keep)]
        world.feed(Stored([keep.token], "failed"))

    def test_requests(self) -> None:
        """Granted ones and refused ones."""
        works: dict[str, Callable[[World], object]] = {
            "accounting": self.account,
            "accounting refused": lambda world: world.give(acr(application=5)),
            "mip6": lambda world: world.ask(message("MIR")),
            "mip6 refused": lambda world: world.ask(message("STR")),
            "pmip6": lambda world: world.ask(aar(info())),
            "pmip6 refused": lambda world: world.ask(aar(info(OTHER_PREFIX))),
            "s6b refused": lambda world: world.ask(aar(user="x@home.example", application=16_777_272)),
            "eap": lambda world: world.ask(DER),
            "eap refused": lambda world: world.ask(
                aar(avp("EAP-Payload", b"\2\1\0\6\3\1"), kind=3, application=5, code=268)
            ),
            "mip4": lambda world: world.answered(world.sent(world.give(amr())), *GOOD),
            "mip4 refused": lambda world: world.answered(world.sent(world.give(amr())), *haa(code=4005)),
            "mip4 unreachable": lambda world: world.answered(world.sent(world.give(amr())), reason=TIMEOUT),
            "mip4 insecure": lambda world: world.ask(amr(32)),
        }
        for name, work in works.items():
            self.assertEqual(self.leftover(work), 0, name)

    def test_sessions(self) -> None:
        """From the first request to the end by an operator."""

        def work(world: World) -> None:
            world.ask(aar(info()))
            world.answered(world.sent(world.feed(Abort("lma1;1;1"))), *answer_of(code=5002))

        self.assertEqual(self.leftover(work), 0)
