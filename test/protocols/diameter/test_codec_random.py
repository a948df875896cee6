"""Any octets and any values: no other exceptions than those that are documented, and no disagreement."""

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.message import faults
from appliance.protocols.diameter.message.codec import (
    HEADER_SIZE,
    Avp,
    Group,
    Malformed,
    Message,
    cut,
    frame,
    index_of,
    size_of,
    spans,
)
from appliance.protocols.diameter.message.definitions import AvpDef
from appliance.protocols.diameter.message.describe import LEVELS, describe
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import Fault, check, check_relayed, refuse
from appliance.protocols.diameter.message.grammar import _TESTS
from appliance.protocols.diameter.message.parsing import TextError, parse, parse_value
from appliance.protocols.diameter.message.text import Texts
from appliance.protocols.diameter.message.types import TYPES, BadValue, OtherAddress
from test.fuzz import CASES, DECODER_CASES
from test.protocols.diameter.examples import all_messages
from test.protocols.diameter.golden import MESSAGES

D = standard()
AVPS = tuple(D.avps.values())
STARTS = [golden.octets for golden in MESSAGES.values()] + list(all_messages(D).values())

#: Checks and texts start from what a decoder has read, which has cases enough of its own.
CHECKS = max(CASES, DECODER_CASES // 5)

octets = st.binary(max_size=80)
numbers = st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1))


@st.composite
def avps(draw: st.DrawFn) -> bytes:
    """An AVP that may be right or wrong in any way."""
    known = draw(st.sampled_from(AVPS))
    code = draw(st.one_of(st.just(known.code), numbers))
    vendor = draw(st.sampled_from((known.vendor, known.vendor, 0, 10415)))
    flags = draw(st.sampled_from((known.flags, known.flags, known.flags ^ 0x40, 0xC0, 0x20, 0xFF)))
    data = draw(octets)
    made = Avp(code, vendor if flags & 0x80 else 0, flags, data).octets
    if flags & 0x80 and not vendor:
        made = made[:8] + bytes(4) + made[12:]
    if draw(st.integers(0, 5)) == 0:
        made = made[:5] + draw(st.integers(0, 200)).to_bytes(3, "big") + made[8:]
    return made


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> tuple[AvpDef, bytes]:
    """An AVP with data that is a value of its type."""
    avp = draw(st.sampled_from(AVPS))
    if avp.grouped:
        members = draw(st.lists(values(depth + 1), max_size=3)) if depth < 3 else []
        return avp, b"".join(known.wrap(data) for known, data in members)
    return avp, draw(_data(avp))


def _data(avp: AvpDef) -> st.SearchStrategy[bytes]:
    """Data that is a value of the AVP's type."""
    ascii_text = st.text(st.characters(max_codepoint=127), max_size=20).map(str.encode)
    strategies: dict[str, st.SearchStrategy[bytes]] = {
        "UTF8String": st.text(max_size=20).map(lambda text: text.encode(errors="ignore")),
        "DiameterIdentity": st.from_regex(rb"\A[!-~]{1,40}\Z"),
        "DiameterURI": st.from_regex(rb"\Aaaas?://[a-z0-9.]{1,20}(:[0-9]{1,4})?\Z"),
        "IPFilterRule": ascii_text,
        "QoSFilterRule": ascii_text,
        "Address": st.one_of(
            st.binary(min_size=4, max_size=4).map(lambda packed: b"\0\1" + packed),
            st.binary(min_size=16, max_size=16).map(lambda packed: b"\0\2" + packed),
            st.binary(min_size=1, max_size=16).map(lambda packed: b"\0\x08" + packed),
        ),
    }
    if avp.type.sizes:
        return st.binary(min_size=avp.type.sizes[0], max_size=avp.type.sizes[0])
    return strategies.get(avp.type.name, octets)


class Decoders(SynchronousTestCase):
    @settings(max_examples=DECODER_CASES, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_octets(self, data: bytes) -> None:
        for read in (
            lambda: cut(data),
            lambda: spans(data, 0, len(data)),
            lambda: index_of(data, 0, len(data)),
        ):
            try:
                read()
            except Malformed as error:
                self.assertIn(error.code, (5014, 5012))
                cut(error.failed)
        for level in LEVELS:
            describe(data, level)
        if len(data) >= 4:
            try:
                size_of(data)
            except Malformed as error:
                self.assertIn(error.code, (5011, 5015))

    @settings(max_examples=DECODER_CASES, deadline=None)
    @given(st.binary(max_size=200))
    def test_the_ways_to_cut_agree(self, data: bytes) -> None:
        try:
            found = cut(data)
        except Malformed:
            self.assertRaises(Malformed, index_of, data, 0, len(data))
            self.assertRaises(Malformed, lambda: Group(data).raw(D["User-Name"]))
            return
        group = Group(data)
        index = group.walk()
        self.assertEqual(
            sum(len(places) if isinstance(places, list) else 1 for places in index.values()), len(found)
        )
        for avp in found:
            known = AvpDef("any", avp.code, avp.vendor, TYPES["OctetString"], None)
            self.assertEqual(group.all(known), [each.data for each in found if each[:2] == avp[:2]])
            self.assertEqual(group.having(known), [each for each in found if each[:2] == avp[:2]])
            self.assertEqual(group.raw(known), group.first(known))

    @settings(max_examples=DECODER_CASES, deadline=None)
    @given(st.sampled_from(sorted(TYPES)), st.binary(max_size=40))
    def test_values(self, name: str, data: bytes) -> None:
        """What a type decodes it encodes to the same octets, and the fast tests say the same as it."""
        kind = TYPES[name]
        try:
            value = kind.decode(data)
        except BadValue:
            value = None
        if value is not None:
            again = kind.encode(value)
            self.assertTrue(again == data or value != value)
        test = _TESTS.get(name)
        if test is not None:
            self.assertEqual(bool(test(b"x" + data + b"y", 1, 1 + len(data))), value is not None)


class Checks(SynchronousTestCase):
    def agreed(self, message: Message) -> Fault | None:
        """What the fast look finds good the close look finds good, and every refusal can be sent."""
        fault = check(message, D)
        if fault is None:
            if message.index is not None:
                self.assertEqual(message.index, index_of(message.data, HEADER_SIZE, len(message.data)))
                plan = D.compiled[faults._plan_key(message)]
                self.assertIsNone(faults._Diagnosis(D).message(Message(message.data), plan))
            elif message.is_request:
                self.fail("good, and not recognised at the first look")
            return None
        self.assertTrue(2 < fault.result // 1000 < 6)
        self.assertTrue(fault.text.isprintable())
        if fault.failed:
            self.assertEqual([avp.code for avp in cut(fault.failed)], [279])
            cut(cut(fault.failed)[0].data)
        if message.is_request:
            answer = Message(refuse(message, fault, "aaa.example", "example", D))
            self.assertIsNone(check_relayed(answer))
            self.assertEqual(answer.first(D["Result-Code"]), fault.result)
            wrong = check(answer, D) if dictionary_knows(answer) else None
            if wrong is not None:
                # These two go back as they came.
                self.assertTrue("Session-Id (" in wrong.text or "Proxy-Info (" in wrong.text, wrong.text)
        return fault

    @settings(max_examples=CHECKS, deadline=None)
    @given(
        st.sampled_from([command.code for command in D.commands.values()] + [9999]),
        st.sampled_from([*D.applications, 77]),
        st.sampled_from((0x80, 0xC0, 0x40, 0, 0xD0, 0x60, 0xFF)),
        st.lists(avps(), max_size=8),
    )
    def test_any_avps(self, code: int, application: int, flags: int, found: list[bytes]) -> None:
        message = Message(frame(code, application, flags, 1, 2, b"".join(found)))
        self.agreed(message)
        check_relayed(message)
        check(message, D, strict_bits=True)
        check(message, D, compat=True)
        for level in LEVELS:
            describe(message.data, level)

    @settings(max_examples=CHECKS, deadline=None)
    @given(st.sampled_from(STARTS), st.lists(avps(), max_size=2), st.randoms(use_true_random=False))
    def test_good_messages_with_something_changed(
        self, start: bytes, more: list[bytes], dice: random.Random
    ) -> None:
        found = [avp.octets for avp in cut(start, HEADER_SIZE)]
        for avp in more:
            found.insert(dice.randrange(len(found) + 1), avp)
        if dice.random() < 0.5 and found:
            del found[dice.randrange(len(found))]
        body = bytearray(b"".join(found))
        if dice.random() < 0.5 and body:
            body[dice.randrange(len(body))] = dice.randrange(256)
        header = Message(start)
        self.agreed(Message(frame(header.code, header.application, header.flags, 1, 2, bytes(body))))

    @settings(max_examples=CASES, deadline=None)
    @given(st.lists(values(), max_size=6))
    def test_values_are_good_where_anything_goes(self, found: list[tuple[AvpDef, bytes]]) -> None:
        """The close look and the fast one, of AVPs that are all right in themselves."""
        body = b"".join(known.wrap(data) for known, data in found)
        start = MESSAGES["acr start"]
        self.agreed(Message(frame(271, 2, 0xC0, 1, 2, start.body + body)))


def dictionary_knows(answer: Message) -> bool:
    """Whether there is a grammar for the answer: there is none to commands that are not known."""
    known = D.command(answer.code, False, answer.application)
    return known is not None and answer.application in D.applications


class Text(SynchronousTestCase):
    @settings(max_examples=CHECKS, deadline=None)
    @given(values(), st.booleans(), st.sampled_from(("", "seed")))
    @example((D["Bandwidth"], b"\x7f\xc0\0\1"), False, "")
    @example((D["Host-IP-Address"], b"\0\x08ab"), False, "")
    def test_values_there_and_back(self, found: tuple[AvpDef, bytes], numbers: bool, names: str) -> None:
        avp, data = found
        texts = Texts(D, names, numbers)
        text = texts.line(avp.wrap(data))
        self.assertTrue(text.isprintable())
        self.assertEqual(cut(parse(text, D)), [Avp(avp.code, avp.vendor, avp.flags, data)], text)

    @settings(max_examples=CHECKS, deadline=None)
    @given(st.sampled_from(AVPS), octets)
    def test_any_data_there_and_back(self, avp: AvpDef, data: bytes) -> None:
        texts = Texts(D)
        text = texts.avp(Avp(avp.code, avp.vendor, avp.flags, data))
        self.assertTrue(text.isprintable())
        again = cut(parse(text, D))[0].data
        if not avp.grouped:
            self.assertEqual(again, data, text)

    @settings(max_examples=CHECKS, deadline=None)
    @given(st.text(max_size=60))
    def test_any_text(self, text: str) -> None:
        for read in (
            lambda: parse(text, D),
            lambda: parse(f"Proxy-Info = {{ {text}", D),
            lambda: parse_value(text, D["User-Name"], D),
            lambda: parse_value(text, D["Event-Timestamp"], D),
            lambda: parse_value(text, D["Session-Binding"], D),
            lambda: parse_value(text, D["Proxy-Info"], D),
            lambda: parse_value(text, D["Host-IP-Address"], D),
        ):
            try:
                read()
            except TextError as error:
                self.assertTrue(str(error).isprintable())

    @settings(max_examples=CASES, deadline=None)
    @given(st.text('{}="\\, 0x1aAVP-raw|()', max_size=40))
    def test_text_of_marks(self, rest: str) -> None:
        for name in (
            "User-Name",
            "Proxy-Info",
            "Session-Binding",
            "Accounting-Record-Type",
            "Class",
            "AVP-9999",
        ):
            try:
                octets = parse(f"{name} = {rest}", D)
            except TextError:
                continue
            self.assertEqual(len(cut(octets)), 1)

    def test_other_addresses(self) -> None:
        self.assertEqual(TYPES["Address"].decode(b"\0\x08ab"), OtherAddress(b"\0\x08ab"))
