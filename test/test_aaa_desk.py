"""Endpoints and AAA servers follow the running configuration."""

import asyncio
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa_desk import AaaDesk
from appliance.config import Configuration, load
from appliance.errors import ApplianceError, ResourceError
from appliance.protocols.diameter.message.dictionary import current, use
from test.test_diameter_hub import Node


class Fake:
    """A service that notes what happens to it."""

    def __init__(self, settings: Any, notes: list[str], broken: set[str]) -> None:
        self.settings, self._notes, self._broken = settings, notes, broken
        self.node = Node(settings.name)

    async def _do(self, what: str) -> None:
        self._notes.append(f"{what} {self.settings.name}")
        if f"{what} {self.settings.name}" in self._broken:
            raise ResourceError(f"no {what} today")

    async def start(self) -> None:
        await self._do("start")

    async def stop(self) -> None:
        await self._do("stop")

    async def reconfigure(self, settings: Any) -> None:
        await self._do("reconfigure")
        self.settings = settings


def endpoint(name: str, *lines: str) -> str:
    """An endpoint that has an origin host."""
    origin = f"origin realm r\norigin host {name}.r address 127.0.0.1"
    return "\n".join([f"diameter endpoint {name}", origin, *lines, "exit"])


def configuration(*lines: str, head: str = "") -> Configuration:
    """A configuration of one context."""
    return load("\n".join(["config", *([head] if head else []), "context c", *lines, "end"]), "f")


SERVER = "aaa-server s\ndiameter endpoint a\nexit"


class DeskTests(SynchronousTestCase):
    """What starts, stops and goes on."""

    def setUp(self) -> None:
        self.notes: list[str] = []
        self.broken: set[str] = set()
        self.told: list[str] = []
        self.desk = AaaDesk(
            lambda settings: Fake(settings, self.notes, self.broken),
            lambda settings, node: Fake(settings, self.notes, self.broken),
            lambda function: function(),
            lambda level, text: self.told.append(f"{level} {text}"),
        )
        self.addCleanup(use, None)

    async def _manage(self, new: Configuration) -> list[str]:
        self.notes.clear()
        await self.desk.manage(Configuration(), new)
        return list(self.notes)

    def test_following(self) -> None:
        """Endpoints before servers; what has not changed is left alone; names share nothing else."""

        async def go() -> None:
            self.assertEqual(await self._manage(configuration(endpoint("a"), SERVER)), ["start a", "start s"])
            self.assertEqual(self.desk.hub.node("c", "a").identity, "a")
            self.assertEqual(await self._manage(configuration(endpoint("a"), SERVER)), [])
            more = configuration(endpoint("a", "agent relay"), endpoint("b"), SERVER)
            self.assertEqual(await self._manage(more), ["reconfigure a", "start b"])
            self.assertEqual(await self._manage(configuration(endpoint("b"))), ["stop s", "stop a"])
            self.assertFalse(self.desk.hub.node("c", "a").running)
            await self.desk.stop()
            self.assertEqual(self.notes[-1], "stop b")

        asyncio.run(go())

    def test_starting_anew(self) -> None:
        """Another address needs a new endpoint, whose server stays; another database a new server."""

        async def go() -> None:
            await self._manage(configuration(endpoint("a"), SERVER))
            moved = endpoint("a").replace("127.0.0.1", "127.0.0.2")
            self.assertEqual(await self._manage(configuration(moved, SERVER)), ["stop a", "start a"])
            other = SERVER.replace("\nexit", "\nstorage sqlite /x\nexit")
            self.assertEqual(await self._manage(configuration(moved, other)), ["stop s", "start s"])

        asyncio.run(go())

    def test_a_failure_can_be_undone(self) -> None:
        """What does not start is stopped again, and the way back brings the former things back."""

        async def go() -> None:
            old = configuration(endpoint("a"), SERVER)
            await self._manage(old)
            self.broken.add("start b")
            new = configuration(endpoint("b"))
            with self.assertRaises(ResourceError):
                await self._manage(new)
            self.assertEqual(self.notes, ["stop s", "stop a", "start b", "stop b"])
            self.notes.clear()
            await self.desk.manage(new, old)
            self.assertEqual(self.notes, ["start a", "start s"])

        asyncio.run(go())

    def test_stopping_goes_on(self) -> None:
        """One that cannot be stopped is told about, and the others stop."""

        async def go() -> None:
            await self._manage(configuration(endpoint("a"), endpoint("b"), SERVER))
            self.broken.update({"stop s", "stop a"})
            await self.desk.stop()
            self.assertEqual(self.notes[-3:], ["stop s", "stop a", "stop b"])
            self.assertEqual(len(self.told), 2)
            self.assertIn("aaa-server s: no stop today", self.told[0])

        asyncio.run(go())

    def test_dictionaries(self) -> None:
        """A file is read when its line is there; a wrong one refuses the change; without it it is gone."""
        good, bad = Path(self.mktemp()), Path(self.mktemp())
        good.write_text("@vendor 9999 Ours\n@avp\nOur-Colour 1 UTF8String .\n")
        bad.write_text("@avp\nA B C\n")

        async def go() -> None:
            line = f"diameter dictionary {good.absolute()}"
            await self._manage(configuration(head=line))
            self.assertEqual(current()["Our-Colour"].vendor, 9999)
            with self.assertRaisesRegex(ApplianceError, f"{bad.name}:2"):
                await self._manage(configuration(head=f"{line}\ndiameter dictionary {bad.absolute()}"))
            self.assertIn("Our-Colour", current().avps)
            with self.assertRaisesRegex(ApplianceError, "name a readable file"):
                await self._manage(configuration(head="diameter dictionary /none/such"))
            await self._manage(configuration())
            self.assertNotIn("Our-Colour", current().avps)

        asyncio.run(go())
