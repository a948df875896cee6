"""Messages that are laid out as others before them."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message import faults
from appliance.protocols.diameter.message.codec import Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.layouts import MOST_LAYOUTS, MOST_OF_A_LENGTH, TEACHES, Layouts
from test.protocols.diameter.examples import all_messages
from test.protocols.diameter.golden import MESSAGES

START = MESSAGES["acr start"].octets


class LayoutsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.dictionary = standard().copy()
        check(Message(START), self.dictionary)

    def layouts(self, octets: bytes = START) -> Layouts:
        plan = self.dictionary.compiled[faults._plan_key(Message(octets))]
        found: Layouts = plan.layouts
        return found

    def test_one_is_learned_and_found(self) -> None:
        message = Message(START)
        self.assertIsNone(check(message, self.dictionary))
        self.assertIs(message.index, self.layouts().find(START))
        self.assertEqual(message.index, Message(START).walk())
        other = START.replace(b";3973075200;1", b";3973075200;2").replace(b"mn1@", b"mn2@")
        self.assertIs(self.layouts().find(other), message.index)
        self.assertEqual(self.layouts().find(MESSAGES["acr stop"].octets), None)

    def test_data_are_tested(self) -> None:
        for old, new, result in (
            (b"mn1@", b"\xffn1@", 5004),
            (b"\x14home.example", b"\x14home example", 5004),
            (b"\0\0\1\xe0\x40\0\0\x0c\0\0\0\2", b"\0\0\1\xe0\x40\0\0\x0c\0\0\0\7", 5004),
            (b"\0\0\1\x03\x40\0\0\x0c\0\0\0\2", b"\0\0\1\x03\x40\0\0\x0c\0\0\0\3", 5004),
            (b"\0\0\1\x16\x40", b"\0\0\1\x16\0", 3009),
            (b"\0\0\1\x16\x40\0\0\x0c", b"\0\0\1\x16\x40\0\0\x0b", 5014),
        ):
            self.assertIn(old, START)
            fault = check(Message(START.replace(old, new, 1)), self.dictionary)
            assert fault is not None
            self.assertEqual(fault.result, result)

    def test_what_it_cannot_say_is_looked_at_each_time(self) -> None:
        amr = MESSAGES["amr"].octets
        without_group = b"".join(
            each.octets for each in Message(amr).avps if each.code not in (322, 337)
        ) + standard()["MIP-Feature-Vector"].encode(273)
        self.dictionary.load(
            "@message\nAMR ::= < Diameter Header: 260, REQ, PXY, 2 > < Session-Id > * [ AVP ]", "site.dia"
        )
        good = frame(260, 2, 0xC0, 1, 2, without_group)
        for _ in range(3):
            self.assertIsNone(check(Message(good), self.dictionary))
        self.assertIsNotNone(self.layouts(good).find(good))
        fault = check(Message(good[:-4] + (277).to_bytes(4, "big")), self.dictionary)
        assert fault is not None
        self.assertEqual(fault.result, 5007)

    def test_groups_are_not_learned(self) -> None:
        mir = MESSAGES["mir"].octets
        for _ in range(2 * TEACHES):
            self.assertIsNone(check(Message(mir), self.dictionary))
        self.assertIsNone(self.layouts(mir).find(mir))

    def test_it_is_bounded(self) -> None:
        """A peer whose messages all differ neither fills memory nor keeps others out."""
        body = MESSAGES["acr start"].body
        unknown = standard()["User-Name"]
        for size in range(TEACHES * (MOST_LAYOUTS + 200)):
            extra = standard()["Class"].encode(bytes(size // TEACHES)) + unknown.encode("x")
            check(
                Message(
                    frame(271, 3, 0xC0, 1, 2, body.replace(b"\0\0\1\x03\x40\0\0\x0c\0\0\0\2", b"") + extra)
                ),
                self.dictionary,
            )
        for size in range(TEACHES * 1_000):
            extra = standard()["Class"].encode(bytes(size % 1_000))
            check(Message(frame(271, 2, 0xC0, 1, 2, body + extra)), self.dictionary)
        layouts = self.layouts()
        self.assertLessEqual(sum(map(len, layouts._known.values())), MOST_LAYOUTS)
        self.assertLessEqual(max(map(len, layouts._known.values())), MOST_OF_A_LENGTH)

    def test_all_messages(self) -> None:
        """What is found is what a walk finds."""
        for octets in (*all_messages(self.dictionary).values(), *(each.octets for each in MESSAGES.values())):
            for _ in range(3):
                message = Message(octets)
                self.assertIsNone(check(message, self.dictionary))
                if message.index is not None:
                    self.assertEqual(message.index, Message(octets).walk())
