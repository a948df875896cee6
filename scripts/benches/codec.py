"""What one accounting request costs the Diameter codec, in microseconds: ``python -m scripts.benches.codec``.

The request has 14 AVPs, as those of ``scripts/bench diameter``. Best of many runs, because other programs
disturb. "New layout" is a message unlike all before it; a peer's messages mostly are laid out alike.
"""

import json
import sys
import timeit
from collections.abc import Callable, Sequence

from appliance.protocols.diameter.message.codec import HEADER_SIZE, Message, frame, size_of
from appliance.protocols.diameter.message.describe import describe
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check, check_relayed
from appliance.protocols.diameter.message.grammar import Grammar
from appliance.protocols.diameter.message.text import texts_of

D = standard()
VALUES = (
    ("Session-Id", "client.bench.example;3973075200;123456"),
    ("Origin-Host", "client.bench.example"),
    ("Origin-Realm", "bench.example"),
    ("Destination-Realm", "bench.example"),
    ("Accounting-Record-Type", 2),
    ("Accounting-Record-Number", 0),
    ("Acct-Application-Id", 3),
    ("User-Name", "mn000123@bench.example"),
    ("Event-Timestamp", 1_795_417_200),
    ("Acct-Session-Time", 600),
    ("Accounting-Input-Octets", 1 << 33),
    ("Accounting-Output-Octets", 1 << 34),
    ("Accounting-Input-Packets", 1 << 20),
    ("Accounting-Output-Packets", 1 << 21),
)
#: What a server reads of each record.
READ = tuple(D[name] for name, _ in VALUES[:1] + VALUES[4:6] + VALUES[7:9])
ECHOED = tuple(D[name] for name, _ in VALUES[4:7])


def build() -> bytes:
    """The request."""
    return frame(271, 3, 0xC0, 1, 2, b"".join([D[name].encode(value) for name, value in VALUES]))


def figures(seconds: float) -> dict[str, float]:
    """Each figure in microseconds; about ``seconds`` are spent on each."""
    octets, texts = build(), texts_of(D)
    plain = Grammar(D, D.commands["ACR"].rules)

    def cost(what: Callable[[], object]) -> float:
        once = max(min(timeit.repeat(what, number=100, repeat=3)) / 100, 1e-7)
        count = max(1, int(seconds / 20 / once))
        return round(min(timeit.repeat(what, number=count, repeat=20)) / count * 1e6, 2)

    def looked_at() -> bool:
        message = Message(octets)
        return plain.good(message.data, HEADER_SIZE, len(octets), {})

    def answered() -> bytes:
        message = Message(octets)
        if check(message, D) is not None:
            raise AssertionError("the request is good")
        for avp in READ:
            message.first(avp)
        echoed = (avp.encode(message.first(avp)) for avp in ECHOED)
        return message.answer(2001, "server.bench.example", "bench.example", *echoed)

    return {
        "size_of_us": cost(lambda: size_of(octets)),
        "parse_and_check_us": cost(lambda: check(Message(octets), D)),
        "parse_and_check_new_layout_us": cost(looked_at),
        "parse_and_check_relayed_us": cost(lambda: check_relayed(Message(octets))),
        "parse_check_read_5_answer_us": cost(answered),
        "build_us": cost(build),
        "as_text_us": cost(lambda: texts.line(octets, HEADER_SIZE)),
        "describe_level_3_us": cost(lambda: describe(octets, 3)),
    }


def main(argv: Sequence[str]) -> int:
    """Print the figures, with ``--json`` as one object."""
    found = figures(2.0)
    for name, value in found.items():
        print(f"{name:<32}{value:>10.2f}")
    if "--json" in argv:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
