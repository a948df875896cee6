"""Octets of a stream to messages, however they are cut."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message.codec import frame
from appliance.protocols.diameter.transport.framing import Framer


def message(number: int, size: int) -> bytes:
    """A message of ``size`` octets of AVPs."""
    return frame(280, 0, 0x80, number, number, bytes(size))


class FramerTests(SynchronousTestCase):
    @given(
        st.lists(st.integers(0, 300).map(lambda size: 4 * size), max_size=12),
        st.lists(st.integers(1, 700), min_size=1, max_size=40),
        st.integers(1, 5),
    )
    def test_any_cut(self, sizes: list[int], cuts: list[int], most: int) -> None:
        """The same messages come out whatever the pieces are, never more of them at once than wanted."""
        wanted = [message(number, size) for number, size in enumerate(sizes)]
        stream = b"".join(wanted)
        framer, got, place = Framer(1 << 20), [], 0
        for cut in [*cuts, len(stream)]:
            batch = framer.feed(stream[place : place + cut], most)
            while batch:
                self.assertLessEqual(len(batch), most)
                got += batch
                batch = framer.feed(b"", most)
            place += cut
        self.assertEqual(got, wanted)
        self.assertEqual(framer.waiting, 0)

    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_any_octets(self, data: bytes, size: int) -> None:
        """Nothing raises; a fault is final; no more is kept than a message may have."""
        framer = Framer(64)
        for place in range(0, len(data), size):
            framer.feed(data[place : place + size], 3)
            if framer.fault is None:
                self.assertLess(framer.waiting, 64 + size + 3 * 64)
            else:
                self.assertEqual(framer.feed(message(1, 4), 3), [])
                self.assertEqual(framer.waiting, 0)

    def test_what_comes_before_a_fault(self) -> None:
        """Whole messages in front of garbage are given out, and the begin of the garbage is kept."""
        framer = Framer(1000)
        good = message(7, 40)
        garbage = b"\1\0\0\x15\x80\0\1\1" + bytes(30)
        self.assertEqual(framer.feed(good + garbage, 10), [good])
        assert framer.fault is not None
        self.assertEqual(framer.fault.code, 5015)
        self.assertEqual(framer.head, garbage[:20])

    def test_the_first_octet_tells(self) -> None:
        """What cannot become a message is a fault before four octets are there."""
        framer = Framer(1000)
        self.assertEqual(framer.feed(b"G", 10), [])
        assert framer.fault is not None
        self.assertEqual(framer.fault.code, 5011)

    def test_the_limit_may_change(self) -> None:
        """A message that is too long is taken once the limit is raised, if it comes later."""
        framer = Framer(100)
        long = message(1, 400)
        framer.longest = 1000
        self.assertEqual(framer.feed(long, 10), [long])
        framer.longest = 100
        self.assertEqual(framer.feed(long, 10), [])
        assert framer.fault is not None
        self.assertIn("420", str(framer.fault))

    def test_a_long_message_is_not_copied_at_each_piece(self) -> None:
        """A mebibyte in pieces of a kibibyte is looked at once, when it is whole."""
        calls: list[int] = []

        class Counting(Framer):
            def _cut(self, data: bytes, most: int) -> list[bytes]:
                calls.append(len(data))
                return super()._cut(data, most)

        framer = Counting(1 << 20)
        long = message(1, (1 << 20) - 20)
        pieces = [long[place : place + 1024] for place in range(0, len(long), 1024)]
        self.assertEqual([each for piece in pieces for each in framer.feed(piece, 1)], [long])
        self.assertEqual(calls, [1024, len(long)])
