"""What is typed: octets to keys."""

import asyncio
from collections.abc import Callable

from prompt_toolkit.keys import Keys
from twisted.trial.unittest import SynchronousTestCase

from appliance.cli import keys
from appliance.cli.keys import BAD, Key, KeyQueue


class KeysCase(SynchronousTestCase):
    """A queue that notes what it tells."""

    def setUp(self) -> None:
        self.told: list[str] = []
        self.running = False
        self.queue = KeyQueue(self.interrupted, self.note("refused"), self.note("flooded"))

    def note(self, text: str) -> Callable[[], None]:
        return lambda: self.told.append(text)

    def interrupted(self) -> bool:
        self.told.append("interrupt")
        return self.running

    def all(self) -> list[str]:
        """Names, and texts in quotes, of all keys."""
        found = []
        while (key := self.queue.next()) is not None:
            found.append(key.name or repr(key.text))
        return found

    def typed(self, data: bytes) -> list[str]:
        self.queue.feed(data)
        return self.all()


class SequenceTests(KeysCase):
    """Keys that are more than a character."""

    def test_text_and_keys(self) -> None:
        """Text comes at once, keys one by one; ``?`` is a key; CR LF is one Enter, LF too."""
        self.assertEqual(self.typed(b"show x?\r"), ["'show x'", "?", "c-m"])
        self.assertEqual(self.typed(b"a\r\nb\nc\x7f"), ["'a'", "c-m", "'b'", "c-m", "'c'", "c-h"])

    def test_sequences(self) -> None:
        """Arrows in all their forms, Alt with an arrow by words; an unknown sequence is nothing at all."""
        self.assertEqual(self.typed(b"\x1b[A\x1bOB\x1b[3~\x1b[[A"), ["up", "down", "delete", "f1"])
        self.assertEqual(self.typed(b"\x1b[1;3D\x1b[1;5C"), ["c-left", "c-right"])
        self.assertEqual(self.typed(b"\x1b[99;99~\x1b[<0;3;4Mx\x1b[12;3R"), ["'x'"])

    def test_escape(self) -> None:
        """Escape waits for the rest of a sequence; a key behind it belongs to it alone."""
        self.assertEqual(self.typed(b"\x1b"), [])
        self.assertEqual(self.queue.flush_keys()[0].key, Keys.Escape)
        self.assertEqual(self.typed(b"\x1bbcd"), ["escape", "'b'", "'cd'"])
        self.assertEqual(self.typed(b"\x1b[1;"), [])
        self.assertEqual(self.typed(b"5A"), ["c-up"])

    def test_endless_sequence(self) -> None:
        """A sequence that never ends is given up, and nothing of it is remembered."""
        self.queue.feed(b"\x1b[" + b"1;" * 30_000)
        self.assertEqual(self.all()[:2], ["escape", "'['"])
        self.assertEqual(self.queue.pending, 0)

    def test_slices(self) -> None:
        """prompt_toolkit gets few keys a turn, and none behind one that may end the line."""
        self.queue.feed(b"\x7f" * 50 + b"\x1b[Dab\rcd")
        self.assertEqual(len(self.queue.read_keys()), keys.SLICE)
        self.assertEqual(self.queue.read_keys()[-1].key, Keys.ControlM)
        self.assertEqual([each.data for each in self.queue.read_keys()], ["cd"])


class TextTests(KeysCase):
    """What is text and what is not."""

    def test_utf8(self) -> None:
        """A character may come in parts."""
        self.assertEqual(self.typed(b"gr\xc3"), ["'gr'"])
        self.assertEqual(self.typed(b"\xbcn"), ["'ün'"])
        self.assertEqual(self.told, [])

    def test_not_text(self) -> None:
        """Octets that are not UTF-8 and invisible characters leave a mark and are told."""
        self.assertEqual(self.typed(b"a\xffb"), [repr(f"a{BAD}b")])
        self.assertEqual(self.typed("a\u202eb\x9b\u2028".encode()), [repr(f"a{BAD}b{BAD}{BAD}")])
        self.assertEqual(self.told, ["refused", "refused"])

    def test_interrupt(self) -> None:
        """^C makes void what waits; it is a key unless something runs."""
        self.queue.feed(b"one\rtwo\r")
        self.assertEqual(self.typed(b"thr\x03ee"), ["c-c", "'e'", "'e'"])
        self.running = True
        self.assertEqual(self.typed(b"one\x03two"), ["'two'"])
        self.assertEqual(self.told, ["interrupt"] * 2)

    def test_flood(self) -> None:
        """More than the limit is told once and kept by nobody."""
        self.queue.feed(b"x" * keys.PENDING_LIMIT)
        self.assertEqual(self.told, [])
        self.queue.feed(b"y")
        self.assertEqual((self.told, self.queue.pending), (["flooded"], 0))


class PasteTests(KeysCase):
    """What the terminal marks as pasted."""

    def test_paste(self) -> None:
        """Lines and Enter; nothing in it is a key, a tab is a blank, other control characters are marked."""
        self.assertEqual(
            self.typed(b"\x1b[200~a?\tb\r\nc\x1b[A\x01\x1b[201~\r"),
            ["'a? b'", "c-m", repr(f"c{BAD}[A{BAD}"), "c-m"],
        )

    def test_in_parts(self) -> None:
        """A paste is read when it is whole, wherever it is cut."""
        whole = b"\x1b[200~one\ntwo\x1b[201~x"
        for cut in range(1, len(whole)):
            found = self.typed(whole[:cut]) + self.typed(whole[cut:])
            self.assertEqual(found, ["'one'", "c-m", "'two'", "'x'"], cut)

    def test_whole_lines(self) -> None:
        """A line that needs no editing is taken whole, from a paste or without; a key in it forbids it."""
        self.queue.feed(b"one\rtwo\n\x1b[200~th?ree\nfour\x1b[201~\r")
        self.assertEqual([self.queue.take_line(80) for _ in range(4)], ["one", "two", "th?ree", None])
        self.assertEqual(self.all(), ["'four'", "c-m"])
        for data in (b"on?e\r", b"on\x7fe\r", b"one"):
            self.queue.feed(data)
            self.assertIsNone(self.queue.take_line(80))
            self.all()
        self.queue.feed(b"\t indented\r")
        self.assertEqual(self.queue.take_line(80), "  indented")
        self.queue.feed(b"12345\r")
        self.assertIsNone(self.queue.take_line(4))


class WaitingTests(KeysCase):
    """Keys one by one."""

    def test_get(self) -> None:
        """One character at a time, a time-out, the Escape key after a moment, the end of input."""

        async def test() -> None:
            self.queue.feed(b"ab\r")
            names = [await self.queue.get_one() for _ in range(3)]
            self.assertEqual([key.text for key in names if key], ["a", "b", "\r"])
            self.assertIsNone(await self.queue.get(0.01))
            self.queue.feed(b"\x1b")
            self.assertEqual(await self.queue.get(5), Key("escape", "\x1b"))
            asyncio.get_running_loop().call_later(0.01, self.queue.feed, b"\x1b[A")
            self.assertEqual(await self.queue.get(), Key("up", "\x1b[A"))
            asyncio.get_running_loop().call_later(0.01, self.queue.feed_eof)
            with self.assertRaises(EOFError):
                await self.queue.get()
            self.assertTrue(self.queue.closed)

        asyncio.run(test())
