"""The audit log: lines, rotation, full disks, and whatever is typed."""

import asyncio
import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance import audit
from appliance.audit import AuditLog
from appliance.errors import ResourceError
from appliance.ports import Operator

ALICE = Operator(user="alice", rights="operator", origin="192.0.2.1:5", service="ssh", number=3)


class AuditTests(SynchronousTestCase):
    """A log in a directory of its own."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "audit.log"
        self.told: list[tuple[str, str]] = []

    def make(self, **limits: int) -> AuditLog:
        log = AuditLog(self.directory, lambda level, text: self.told.append((level, text)), **limits)
        log.start()
        self.addCleanup(self.stop, log)
        return log

    def stop(self, log: AuditLog) -> None:
        asyncio.run(log.stop())

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def test_an_event_is_a_line(self) -> None:
        """Who, from where, what, result and time; only the owner may read it."""
        log = self.make()
        log.note(ALICE, "command", "show version", "ok", 1_000_000_000.0)
        self.stop(log)
        self.assertEqual(
            self.records(),
            [
                {
                    "time": "2001-09-09T01:46:40Z",
                    "user": "alice",
                    "rights": "operator",
                    "origin": "192.0.2.1:5",
                    "service": "ssh",
                    "session": 3,
                    "event": "command",
                    "text": "show version",
                    "result": "ok",
                }
            ],
        )
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_whatever_is_typed_stays_in_its_line(self) -> None:
        """Line ends, quotes, escapes, lone surrogates and long texts make no second line and no raw octet."""
        log = self.make()
        nasty = ['a\n{"user": "root"}', 'x"y\\', "\x1b[2J\x07", "\ud800\u2028\u0085", "z" * 100_000]
        for text in nasty:
            log.note(ALICE, "command", text, text, 0.0)
        self.stop(log)
        lines = self.path.read_bytes().splitlines()
        self.assertEqual(len(lines), len(nasty))
        self.assertTrue(all(0x20 <= octet < 0x7F for line in lines for octet in line))
        self.assertEqual([record["text"] for record in self.records()][:4], nasty[:4])
        self.assertEqual(len(self.records()[4]["text"]), audit.TEXT_LIMIT)

    def test_files_rotate_by_size(self) -> None:
        """Full files are put aside, the oldest goes; the last events can be read across files."""
        log = self.make(file_limit=1000, kept=2)
        for number in range(40):
            log.note(ALICE, "command", f"number {number}", "ok", 0.0)
        self.stop(log)
        self.assertEqual(
            sorted(os.listdir(self.directory)), ["audit.log", "audit.log.1", "audit.log.2"]
        )
        self.assertTrue(all(path.stat().st_size <= 1000 for path in self.directory.iterdir()))
        texts = [record["text"] for record in asyncio.run(log.read_last(8))]
        self.assertEqual(texts, [f"number {number}" for number in range(32, 40)])
        self.assertEqual(asyncio.run(log.read_last(0)), [])
        self.assertLess(len(asyncio.run(log.read_last(1000))), 40)

    def test_a_damaged_line_is_left_out(self) -> None:
        """A view does not stop at half a line or at octets that are no text."""
        self.path.write_bytes(b'{"event": "a"}\n{"event": \n\xff\xfe\n[1]\n{"event": "b"}\n')
        log = self.make()
        self.assertEqual([each["event"] for each in asyncio.run(log.read_last(10))], ["a", "b"])

    def test_a_full_disk_does_not_stop_anything(self) -> None:
        """Events are lost and counted; one log line tells it; afterwards the log says how many."""
        log = self.make()
        real, done, full = os.write, threading.Event(), [True]

        def write(file: int, data: bytes) -> int:
            if full[0] and file == log._file:
                done.set()
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(file, data)

        self.patch(os, "write", write)
        for _ in range(5):
            done.clear()
            log.note(ALICE, "command", "lost", "ok", 0.0)
            self.assertTrue(done.wait(5))
        full[0] = False
        log.note(ALICE, "command", "kept", "ok", 0.0)
        self.stop(log)
        self.assertEqual(len(self.told), 1)
        self.assertIn("No space left", self.told[0][1])
        records = self.records()
        self.assertEqual(records[0]["text"], "5 events are missing here")
        self.assertEqual(records[-1]["text"], "kept")

    def test_half_a_line_is_taken_back(self) -> None:
        """A disk that fills up within a line leaves none of it."""
        log = self.make()
        real, cut, done = os.write, [True], threading.Event()

        def write(file: int, data: bytes) -> int:
            if cut[0] and file == log._file:
                cut[0] = False
                try:
                    return real(file, data[:10])
                finally:
                    done.set()
            return real(file, data)

        self.patch(os, "write", write)
        log.note(ALICE, "command", "cut", "ok", 0.0)
        self.assertTrue(done.wait(5))
        log.note(ALICE, "command", "whole", "ok", 0.0)
        self.stop(log)
        self.assertEqual([each["text"] for each in self.records()][-1], "whole")
        self.assertNotIn("cut", self.path.read_text())

    def test_a_slow_disk_loses_events_and_not_time(self) -> None:
        """With the writer stuck the queue fills up, then events are counted; nothing waits."""
        log = self.make()
        stuck, go = threading.Event(), threading.Event()

        def fsync(_file: int) -> None:
            stuck.set()
            go.wait(10)

        self.patch(os, "fsync", fsync)
        log.note(ALICE, "command", "first", "ok", 0.0)
        self.assertTrue(stuck.wait(5))
        for _ in range(audit.QUEUE_LIMIT + 500):
            log.note(ALICE, "command", "more", "ok", 0.0)
        self.assertEqual(log.lost, 500)
        go.set()
        self.stop(log)
        self.assertIn("500 events are missing here", self.path.read_text())

    def test_an_unusable_file_is_named(self) -> None:
        """A directory, or a link planted in its place, ends the start with advice."""
        self.path.symlink_to("/etc/passwd")
        error = self.assertRaises(ResourceError, AuditLog(self.directory, lambda *_: None).start)
        self.assertIn("audit.log", str(error))
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(ResourceError, AuditLog(self.directory, lambda *_: None).start)

    def test_an_open_file_is_closed_to_others(self) -> None:
        """A file that others could read is made private."""
        self.path.write_text("")
        self.path.chmod(0o644)
        self.make()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
