"""The running configuration: a system that was changed is the one that would have booted so."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, assume, given
from hypothesis import settings as profile
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Builder, Configuration, ConfigurationErrors, load, parse
from appliance.config_tree import Section
from appliance.errors import ApplianceError, ResourceError
from test.config_cases import HOST, texts
from test.system_fakes import Appliance, Machine

RANDOM = profile(
    deadline=None,
    max_examples=int(os.environ.get("FUZZ", "200")) // 10,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def valid(text: str) -> Configuration:
    """The configuration of a text; what contradicts itself is no example."""
    try:
        return load(text, "test")
    except ConfigurationErrors:
        assume(False)
        raise


def share(old: Section, new: Section) -> Section:
    """``new`` with the very objects of ``old`` wherever they are equal, as an editor makes it."""
    if old == new:
        return old
    for key, section in new.sections.items():
        if key in old.sections:
            new.sections[key] = share(old.sections[key], section)
    for path, entries in new.settings.items():
        for key, entry in entries.items():
            known = old.settings.get(path, {}).get(key)
            if known == entry:
                entries[key] = known
    return new


@contextlib.contextmanager
def machine(**_: Any) -> Iterator[Machine]:
    """A host with fakes in all places."""
    host = Machine(HOST)
    first, others = Appliance.patched(host)
    with contextlib.ExitStack() as stack:
        for patch in (first, *others):
            stack.enter_context(patch)
        yield host


def run(configuration: Configuration, story: Callable[[Appliance], Awaitable[Any]]) -> Any:
    """Boot it on a fresh host, and tell a story about it."""
    with machine() as host:

        async def whole() -> Any:
            appliance = Appliance(host, configuration)
            try:
                await appliance.system.start()
                return await story(appliance)
            finally:
                await appliance.system.stop()

        return asyncio.run(whole())


async def look(appliance: Appliance) -> dict[str, Any]:
    """What there is."""
    return appliance.snapshot()


def booted(configuration: Configuration) -> dict[str, Any]:
    """What a boot makes of a configuration; one that cannot be booted is no example."""
    try:
        found: dict[str, Any] = run(configuration, look)
        return found
    except ResourceError:
        assume(False)
        raise


class SameAsBootTests(SynchronousTestCase):
    @RANDOM
    @given(texts(), texts())
    def test_changed_is_as_booted(self, one: str, two: str) -> None:
        """After a change from A to B everything is as if B had been booted, and after the way back as A."""
        first, second = valid(one), valid(two)
        states = booted(first), booted(second)

        async def story(appliance: Appliance) -> None:
            system = appliance.system
            for wanted, state in ((second, states[1]), (first, states[0])):
                tree = share(system.configuration.tree, parse(one if wanted is first else two, "test"))
                plan = await system.plan(tree)
                self.assertTrue(await system.apply(plan))
                self.assertEqual(appliance.snapshot(), state)
                self.assertEqual(system.configuration.tree, wanted.tree)

        run(first, story)

    @RANDOM
    @given(texts(), texts())
    def test_any_failure_changes_nothing(self, one: str, two: str) -> None:
        """Whichever step the host refuses, all is as before; and then the change can be made."""
        first, second = valid(one), valid(two)
        before, after = booted(first), booted(second)

        async def story(appliance: Appliance) -> None:
            system, host = appliance.system, appliance.machine
            for number in range(100):
                plan = await system.plan(second.tree)
                host.steps, host.fail_at = 0, number
                host.error = RuntimeError if number % 2 else ResourceError
                try:
                    self.assertTrue(await system.apply(plan))
                except ApplianceError as error:
                    self.assertIn("; nothing was changed", str(error))
                    self.assertEqual(appliance.snapshot(), before)
                    self.assertIsNot(system.configuration, plan.configuration)
                else:
                    break
            self.assertEqual(appliance.snapshot(), after)

        run(first, story)

    @RANDOM
    @given(texts(), texts())
    def test_built_from_shared_parts(self, one: str, two: str) -> None:
        """What a builder remembers of one tree does not show in the settings of the next one."""
        trees = []
        for text in (one, two, one):
            try:
                trees.append(parse(text, "test"))
            except ConfigurationErrors:
                assume(False)
        builder = Builder()
        old = trees[0]
        builder.build(old)
        for tree in trees[1:]:
            old = share(old, tree)
            self.assertEqual(builder.build(old), Builder().build(tree))


ANCHOR = """config
 context one
  interface eth1
   ipv6 address 2001:db8:ffff::9/64
   exit
  ipv6 pool P1 prefix 2001:db8:1::/48
  subscriber default
   permission pmipv6
   exit
  lma-service lma1
   bind address 2001:db8:ffff::1
   mag-peer 2001:db8:ffff::a1
   exit
  exit
end
"""


class ApplyTests(SynchronousTestCase):
    def changed(self, *replacements: tuple[str, str], text: str = ANCHOR) -> Section:
        """The tree of the configuration with some words replaced."""
        for old, new in replacements:
            self.assertIn(old, text)
            text = text.replace(old, new)
        return parse(text, "test")

    def test_faults(self) -> None:
        """What contradicts itself is no plan, one line for each."""

        async def story(appliance: Appliance) -> None:
            tree = self.changed(("2001:db8:1::/48", "2001:db8:1::/65"), ("::1\n", "::1\n   heartbeat\n"[:4]))
            with self.assertRaises(ApplianceError) as caught:
                await appliance.system.plan(tree)
            self.assertEqual(
                str(caught.exception), "ipv6 pool P1: delegated-length 64 is shorter than /65"
            )

        run(load(ANCHOR, "test"), story)

    def test_address_not_here(self) -> None:
        """A bind address must be on the host when the change is made, and stay there."""
        text = ANCHOR.replace("bind address 2001:db8:ffff::1", "bind address 2001:db8:ffff::9")

        async def story(appliance: Appliance) -> None:
            for tree in (
                self.changed(("address 2001:db8:ffff::9/64\n", "address 2001:db8:ffff::8/64\n"), text=text),
                self.changed(("bind address 2001:db8:ffff::9", "bind address 2001:db8::"), text=text),
            ):
                with self.assertRaises(ApplianceError) as caught:
                    await appliance.system.plan(tree)
                self.assertIn("is not on this host; add it in context one", str(caught.exception))

        run(load(text, "test"), story)

    def test_notes(self) -> None:
        """The operator is told what a change does to services and sessions."""

        async def story(appliance: Appliance) -> None:
            plan = appliance.system.plan
            cases = (
                ((("/48", "/49"),), []),
                ((("::1\n", "::2\n"),), ["lma-service lma1 starts anew: its sessions end"]),
                ((("   bind address 2001:db8:ffff::1\n", ""),), ["lma-service lma1 stops: its sessions end"]),
                ((("   mag-peer", "   mag-parameters heartbeat interval 0\n"
                   "   mag-parameters heartbeat control\n   mag-peer"),),
                 ["lma-service lma1: a value of mag-parameters heartbeat is 0: every registration is refused"
                  " from now on, refreshes too"]),
                ((("lma-service lma1", "lma-service lma2"),),
                 ["lma-service lma1 stops: its sessions end", "lma-service lma2 starts"]),
                ((("config\n", "config\n system state-directory /x\n system control-socket /y\n"),),
                 ["the control socket moves to /y; open sessions stay",
                  "state directory /x is used from the next start on"]),
            )  # fmt: skip
            for replacements, notes in cases:
                self.assertEqual((await plan(self.changed(*replacements))).notes, notes)

        run(load(ANCHOR, "test"), story)

    def test_command_line_wins(self) -> None:
        """A socket and a directory that were given to the process stay, whatever the configuration says."""
        configuration = load(ANCHOR, "test")
        configuration.control_socket, configuration.state_directory = "/given", "/kept"

        async def story(appliance: Appliance) -> None:
            tree = self.changed(("config\n", "config\n system control-socket /y\n"))
            plan = await appliance.system.plan(tree)
            self.assertEqual(plan.notes, [])
            self.assertTrue(await appliance.system.apply(plan))
            self.assertEqual(appliance.machine.listening, "/given")
            self.assertEqual(appliance.system.configuration.state_directory, "/kept")

        run(configuration, story)

    def test_only_one_of_two(self) -> None:
        """Of two changes that were planned at the same time the second one is not made."""

        async def story(appliance: Appliance) -> None:
            system = appliance.system
            one = await system.plan(self.changed(("/48", "/49")))
            two = await system.plan(self.changed(("::1\n", "::2\n")))
            self.assertEqual(await asyncio.gather(system.apply(one), system.apply(two)), [True, False])
            self.assertIs(system.configuration, one.configuration)
            self.assertFalse(await system.apply(one))

        run(load(ANCHOR, "test"), story)

    def test_changed_while_passwords_are_hashed(self) -> None:
        """A plan is for what ran when it was begun: hashing takes a while, and others do not wait."""

        async def story(appliance: Appliance) -> None:
            system = appliance.system
            user = ("\n context", "\n local-user username alice password Geheim-1\n context")
            slow = asyncio.ensure_future(system.plan(self.changed(user)))
            await asyncio.sleep(0)
            self.assertTrue(await system.apply(await system.plan(self.changed(("/48", "/49")))))
            self.assertFalse(await system.apply(await slow))

        run(load(ANCHOR, "test"), story)

    def test_caller_goes_away(self) -> None:
        """A change is made to its end, also if nobody waits for it any more."""

        async def story(appliance: Appliance) -> None:
            system = appliance.system
            plan = await system.plan(self.changed(("::1\n", "::2\n"), ("/64", "/56")))
            task = asyncio.ensure_future(system.apply(plan))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.assertTrue(task.cancelled())
            self.assertFalse(await system.apply(plan))
            self.assertIs(system.configuration, plan.configuration)

        run(load(ANCHOR, "test"), story)

    def test_stop_waits(self) -> None:
        """A process that is told to stop finishes the change first, and takes no other."""

        async def story(appliance: Appliance) -> None:
            system = appliance.system
            plan = await system.plan(self.changed(("/64", "/56")))
            applying = asyncio.ensure_future(system.apply(plan))
            await asyncio.sleep(0)
            stopping = asyncio.ensure_future(system.stop())
            self.assertTrue(await applying)
            await stopping
            with self.assertRaises(ApplianceError):
                await system.apply(plan)
            # The end of the test stops it once more.

        run(load(ANCHOR, "test"), story)

    def test_managers(self) -> None:
        """They see every change, can refuse it, and are told when it is taken back."""

        async def story(appliance: Appliance) -> None:
            system, calls = appliance.system, mock.AsyncMock()
            system.on_change(calls)
            old = system.configuration
            plan = await system.plan(self.changed(("::1\n", "::2\n")))
            # Of engine and sockets of the new service the second.
            appliance.machine.steps, appliance.machine.fail_at = 0, 2
            with self.assertRaises(ApplianceError):
                await system.apply(plan)
            self.assertEqual([call.args for call in calls.await_args_list],
                             [(old, plan.configuration), (plan.configuration, old)])  # fmt: skip
            calls.side_effect = [ResourceError("port 22 is in use"), None]
            before = appliance.snapshot()
            with self.assertRaises(ApplianceError) as caught:
                await system.apply(plan)
            self.assertEqual(str(caught.exception), "port 22 is in use; nothing was changed")
            self.assertEqual(appliance.snapshot(), before)

        run(load(ANCHOR, "test"), story)

    def test_way_back_is_blocked(self) -> None:
        """What could not be put back is said."""

        async def story(appliance: Appliance) -> None:
            system, host = appliance.system, appliance.machine
            plan = await system.plan(self.changed(("::1\n", "::2\n")))
            step = host.step

            def refuse(what: str) -> None:
                step(what)
                if what == "sockets":
                    raise ResourceError("sockets: no more")

            host.step = refuse  # type: ignore[method-assign]
            with self.assertRaises(ApplianceError) as caught:
                await system.apply(plan)
            self.assertEqual(
                str(caught.exception),
                "sockets: no more; nothing was changed, but lma-service lma1: sockets: no more; "
                "route to tun-lma1: interface tun-lma1: there is no such device on this host",
            )
            self.assertEqual([service.state for service in system.services()], ["Initialized"])
            # The next change, whatever it is, tries again.
            host.step = step  # type: ignore[method-assign]
            plan = await system.plan(self.changed(("/64", "/56")))
            self.assertEqual(plan.notes, ["lma-service lma1 starts anew: its sessions end"])
            self.assertTrue(await system.apply(plan))
            self.assertEqual([service.state for service in system.services()], ["Started"])
            self.assertEqual(list(host.routes.values()), ["tun-lma1"])

        run(load(ANCHOR, "test"), story)
