"""Records read by a plan are those that are read the long way."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa import record_layouts
from appliance.aaa.accounting import FIELDS, record_of
from appliance.aaa.record_layouts import RecordLayouts
from appliance.protocols.diameter.message.codec import HEADER_SIZE, Message, frame
from test.aaa.fakes import D, World, avp, result
from test.aaa.test_server import acr

TEXTS = ("Session-Id", "Origin-Host", "Origin-Realm", "User-Name", "Acct-Multi-Session-Id")
WORDS = ("Accounting-Record-Type", "Accounting-Record-Number", "Acct-Session-Time", "Termination-Cause")
LONGS = (
    "Accounting-Input-Octets",
    "Accounting-Output-Octets",
    "Accounting-Input-Packets",
    "Accounting-Output-Packets",
    "Accounting-Sub-Session-Id",
)
OTHERS = ("Event-Timestamp", "Class", "Acct-Application-Id", "Acct-Session-Id", "Proxy-Info")


class PlanTests(SynchronousTestCase):
    """Plans of random messages."""

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_the_same_record(self, data: st.DataObject) -> None:
        """Any AVPs in any order, some twice: two messages of one layout, read both ways."""
        names = data.draw(st.lists(st.sampled_from([*TEXTS, *WORDS, *LONGS, *OTHERS]), max_size=20))
        names += ["Session-Id", "Accounting-Record-Type", "Accounting-Record-Number"]
        names = data.draw(st.permutations(names))
        sizes = [data.draw(st.integers(1, 12)) for _ in names]
        first, second = (self.message(data, names, sizes) for _ in range(2))
        index = first.walk()
        second.index = index
        layouts = RecordLayouts(FIELDS)
        self.assertIsNone(layouts.find(first))
        plan = layouts.find(second)
        if plan is None:
            return
        for message in (first, second):
            arguments = (message.body, 7, 8, 3)
            found = plan.record(message.data, *arguments)
            if found is not None:
                self.assertEqual(found, record_of(message, *arguments))
            echoed = plan.echo(message.data, HEADER_SIZE)
            self.assertEqual(echoed[0], message.octets(D["Session-Id"])[0])

    def message(self, data: st.DataObject, names: list[str], sizes: list[int]) -> Message:
        parts = []
        for name, size in zip(names, sizes, strict=True):
            if name in WORDS or name == "Acct-Application-Id":
                value: Any = data.draw(st.integers(0, (1 << 31) - 1))
            elif name in LONGS:
                value = data.draw(st.integers(0, (1 << 64) - 1))
            elif name == "Event-Timestamp":
                value = data.draw(st.integers(0, 4_200_000_000))
            elif name == "Proxy-Info":
                value = avp("Proxy-Host", "x" * size) + avp("Proxy-State", b"x")
            elif name in ("Class", "Acct-Session-Id"):
                value = data.draw(st.binary(min_size=size, max_size=size))
            else:
                value = data.draw(st.text("abcß;@.", min_size=size, max_size=size))
                parts.append(D[name].wrap(value.encode()[:size]))
                continue
            parts.append(avp(name, value))
        return Message(frame(271, 3, 0xC0, 1, 1, b"".join(parts)))

    def test_answers(self) -> None:
        """Many messages of a few layouts get the answers that single ones get."""
        world = World()
        for number in range(40):
            more = (avp("User-Name", f"mn{number:02}@home.example"),) if number % 2 else ()
            asked = acr(*more, session=f"s;1;{number:02}", number=number, kind=2 + 2 * (number % 2))
            alone = World().account(Message(asked.data))
            answer = world.account(asked)
            self.assertEqual(result(answer), 2001)
            self.assertEqual(
                sorted(each.octets for each in answer.avps), sorted(each.octets for each in alone.avps)
            )
            self.assertEqual(answer.avps[0].code, 263)
        plans = world.server._accounting._layouts._plans
        self.assertTrue(any(plan is not None for _, plan in plans.values()))

    def test_memory(self) -> None:
        """Messages that all differ fill no memory."""
        self.patch(record_layouts, "MOST_PLANS", 10)
        layouts = RecordLayouts(FIELDS)
        for number in range(100):
            layouts.find(acr(session="s" * (number + 1)))
            self.assertLessEqual(len(layouts._plans), 10)
