"""The journal of changes to the host: what a damaged one, a full disk and a failed undo lead to."""

import asyncio
import errno
import json
from pathlib import Path
from typing import Any
from unittest import mock

from pyroute2.netlink.exceptions import NetlinkError
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import ResourceError
from appliance.tun import kernel
from appliance.tun.kernel import JOURNAL, Kernel, Rule


class HostTestCase(SynchronousTestCase):
    """Forwarding switches in a temporary directory stand for the host."""

    def setUp(self) -> None:
        """Two switches that are off, and an empty state directory."""
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.journal = self.state / JOURNAL
        self.switches = {family: self.state / f"forwarding{family}" for family in (4, 6)}
        for path in self.switches.values():
            path.write_text("0")
        self.patch(kernel, "FORWARDING", self.switches)
        self.kernel = Kernel(str(self.state))

    def run_(self, *coroutines: Any) -> None:
        """Run one after the other."""

        async def together() -> None:
            for coroutine in coroutines:
                await coroutine

        asyncio.run(together())

    def values(self) -> list[str]:
        """What the switches say."""
        return [path.read_text() for path in self.switches.values()]


class JournalTests(HostTestCase):
    """What the journal is good for."""

    def test_recover(self) -> None:
        """What a killed process has switched on is off again, and its journal is gone."""
        self.run_(self.kernel.recover(), self.kernel.enable_forwarding(4), self.kernel.enable_forwarding(6))
        self.assertEqual(self.values(), ["1", "1"])
        self.run_(Kernel(str(self.state)).recover())
        self.assertEqual(self.values(), ["0", "0"])
        self.assertFalse(self.journal.exists())

    def test_other_host(self) -> None:
        """What was done before a reboot or in another network namespace is not there any more."""
        self.run_(self.kernel.recover(), self.kernel.enable_forwarding(4))
        entry = json.loads(self.journal.read_text())
        self.journal.write_text(json.dumps(entry | {"host": "earlier boot"}) + "\n")
        self.run_(Kernel(str(self.state)).recover())
        self.assertEqual(self.values(), ["1", "0"])
        self.assertFalse(self.journal.exists())

    def test_cut_off(self) -> None:
        """A last line without its end was written for a change that was not made."""
        self.run_(self.kernel.recover(), self.kernel.enable_forwarding(4))
        with open(self.journal, "a") as journal:
            journal.write('{"do": "sysc')
        self.run_(Kernel(str(self.state)).recover())
        self.assertEqual(self.values(), ["0", "0"])

    def test_damaged(self) -> None:
        """A journal that no process has written is named with its line, and stays; nothing is undone."""
        foreign = {"do": "sysctl", "path": str(self.state / "evil"), "old": "x"}
        whole = {"do": "sysctl", "path": str(self.switches[4]), "old": "7"}
        for wrong in (
            b"\xff\xfe\x00", b"[]", b"5", b"{}", b'{"do": "bogus"}', b'{"do": ["link"]}', b'{"do": "route"}',
            b"[" * 100_000, json.dumps(foreign).encode(),
        ):  # fmt: skip
            self.journal.write_bytes(json.dumps(whole).encode() + b"\n" + wrong + b"\n")
            again = Kernel(str(self.state))
            with self.assertRaises(ResourceError) as caught:
                self.run_(again.recover())
            self.assertIn(f"{JOURNAL}:2: damaged", str(caught.exception))
            self.run_(again.close())
            self.assertTrue(self.journal.exists())
            self.assertEqual(self.values(), ["0", "0"])
        self.assertFalse((self.state / "evil").exists())

    def test_unreadable(self) -> None:
        """A directory of the journal's name is a clear error too."""
        self.journal.mkdir()
        with self.assertRaises(ResourceError) as caught:
            self.run_(self.kernel.recover())
        self.assertIn("Is a directory", str(caught.exception))

    def test_full_disk(self) -> None:
        """What cannot be noted is not done."""
        self.run_(self.kernel.recover())
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(kernel, "open", side_effect=full, create=True), \
                self.assertRaises(ResourceError) as caught:  # fmt: skip
            self.run_(self.kernel.enable_forwarding(4))
        self.assertIn("No space left on device", str(caught.exception))
        self.run_(self.kernel.close())
        self.assertEqual(self.values(), ["0", "0"])

    def test_failed_undo_is_kept(self) -> None:
        """A change that could not be undone stays in the journal for the next start."""
        self.run_(self.kernel.recover(), self.kernel.enable_forwarding(4), self.kernel.enable_forwarding(6))
        undo = self.kernel._undo

        async def fails(entry: dict[str, Any]) -> None:
            if entry["path"] == str(self.switches[6]):
                raise ResourceError("not now")
            await undo(entry)

        self.patch(self.kernel, "_undo", fails)
        with self.assertRaises(ResourceError):
            self.run_(self.kernel.close())
        self.assertEqual(self.values(), ["0", "1"])
        self.run_(Kernel(str(self.state)).recover())
        self.assertEqual(self.values(), ["0", "0"])

    def test_failed_recovery_is_kept(self) -> None:
        """A start without the capability must not forget what a killed process has left."""
        entry = {"do": "address", "interface": "lo", "address": "2001:db8::9", "length": 64}
        self.journal.write_text(json.dumps(entry) + "\n")

        async def refuse(*_: Any, **__: Any) -> None:
            raise NetlinkError(errno.EPERM)

        self.kernel._netlink = mock.Mock(addr=refuse)
        with self.assertRaises(ResourceError) as caught:
            self.run_(self.kernel.recover())
        self.assertIn("undoing address 2001:db8::9/64 on lo: permission denied", str(caught.exception))
        self.run_(self.kernel.close())
        self.assertTrue(self.journal.exists())


class TakingBackTests(HostTestCase):
    """Single changes are taken back; the journal lists what is left, in order."""

    def setUp(self) -> None:
        """A kernel whose netlink notes what it is asked for."""
        super().setUp()
        self.calls: list[tuple[str, str, str]] = []
        self.refuse = 0

        async def address(action: str, **what: Any) -> None:
            self.note(action, "address", what["address"])

        async def route(action: str, **what: Any) -> None:
            self.note(action, "route", what["dst"])

        self.kernel._netlink = mock.Mock(addr=address, route=route)
        self.run_(self.kernel.recover())

    def note(self, *call: str) -> None:
        """One request; refused with this error if there is one."""
        if self.refuse:
            raise NetlinkError(self.refuse)
        self.calls.append(call)  # type: ignore[arg-type]

    def left(self) -> list[str]:
        """What the journal lists."""
        lines = self.journal.read_text().splitlines()
        return [entry.get("address") or entry.get("route") or "sysctl" for entry in map(json.loads, lines)]

    def test_one_by_one(self) -> None:
        """Address, route and switch go in any order; another one of the same kind stays."""
        nine, ten = bytes(15) + b"\x09", bytes(15) + b"\x0a"
        self.run_(
            self.kernel.add_address("lo", nine, 64), self.kernel.add_address("lo", ten, 64),
            self.kernel.add_route(nine, 128, "lo"), self.kernel.enable_forwarding(6),
        )  # fmt: skip
        self.assertTrue(self.kernel.has_added("lo", nine, 64))
        self.assertEqual(self.left(), ["::9", "::a", "::9/128", "sysctl"])
        self.run_(self.kernel.remove_address("lo", nine, 64))
        self.assertEqual(self.left(), ["::a", "::9/128", "sysctl"])
        self.assertFalse(self.kernel.has_added("lo", nine, 64))
        self.run_(self.kernel.restore_forwarding(6), self.kernel.remove_route(nine, 128, "lo"))
        self.assertEqual((self.left(), self.values()), (["::a"], ["0", "0"]))
        self.assertEqual(self.calls[-2:], [("del", "address", "::9"), ("del", "route", "::9/128")])

    def test_rules(self) -> None:
        """A rule is journalled with all that tells it from others, and so found again by the next process."""
        asked: list[dict[str, Any]] = []

        async def rule(action: str, **what: Any) -> None:
            asked.append({"action": action, **what})

        self.kernel._netlink.rule = rule
        plain, of = Rule(6, 14_190, 254, no_default=True), Rule(4, 14_191, 77, source="192.0.2.1", mark=5)
        self.run_(self.kernel.add_rule(plain), self.kernel.add_rule(of), self.kernel.remove_rule(plain))
        (entry,) = map(json.loads, self.journal.read_text().splitlines())
        self.assertEqual((entry["do"], entry["source"], entry["mark"]), ("rule", "192.0.2.1", 5))
        again = Kernel(str(self.state))
        again._netlink = self.kernel._netlink
        self.run_(again.recover())
        self.assertEqual([each["action"] for each in asked], ["add", "add", "del", "del"])
        self.assertEqual({**asked[1], "action": "del"}, asked[3])
        self.assertEqual({**asked[0], "action": "del"}, asked[2])
        self.assertEqual(asked[1]["src_len"], 32)
        self.assertFalse(self.journal.exists())

    def test_not_ours(self) -> None:
        """What was there before, has another length or another device is left alone."""

        async def story() -> None:
            nine = bytes(15) + b"\x09"
            self.refuse = errno.EEXIST
            self.assertFalse(await self.kernel.add_address("lo", nine, 64))
            self.refuse = 0
            self.assertFalse(await self.kernel.remove_address("lo", nine, 64))
            await self.kernel.add_route(nine, 128, "lo")
            self.assertFalse(await self.kernel.remove_route(nine, 128, "eth0"))
            self.assertFalse(await self.kernel.restore_forwarding(4))
            self.assertEqual(self.calls, [("add", "route", "::9/128")])

        self.run_(story())

    def test_refused(self) -> None:
        """What the host does not take back stays in the journal; what is gone already does not."""

        async def story() -> None:
            nine = bytes(15) + b"\x09"
            await self.kernel.add_address("lo", nine, 64)
            self.refuse = errno.EPERM
            with self.assertRaises(ResourceError):
                await self.kernel.remove_address("lo", nine, 64)
            self.assertEqual(self.left(), ["::9"])
            self.refuse = errno.EADDRNOTAVAIL
            self.assertTrue(await self.kernel.remove_address("lo", nine, 64))
            self.assertEqual(self.left(), [])

        self.run_(story())
