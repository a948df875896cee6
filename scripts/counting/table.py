"""The published list of counters, and everything that is run to move them."""

import re
from pathlib import Path

from scripts.counting import (
    aaa,
    denials,
    discards,
    hosts,
    ipv4,
    policies,
    revocations,
    routers,
    tunnels,
    updates,
)
from scripts.counting.cases import CASES
from scripts.counting.stages import Stage, anchor

_GOLDEN = Path(__file__).parents[2] / "test" / "golden" / "lma-service-statistics.tsv"


def _key(*names: str) -> str:
    """How ``| json`` spells a row: heading, sub-heading and label in small letters with hyphens."""
    return "/".join(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names if name)


#: Keys in the order of the screen.
COUNTERS = [_key(*line.split("\t")[:3]) for line in _GOLDEN.read_text(encoding="utf-8").splitlines()[1:]]

STAGES = [Stage("plain", anchor()), ipv4.STAGE, revocations.STAGE, hosts.STAGE, routers.STAGE, aaa.STAGE]

#: Cases run in this order, and where several move a counter, the first is shown.
MODULES = [
    module.__name__
    for module in (updates, denials, discards, tunnels, ipv4, revocations, hosts, routers, aaa, policies)
]
CASES.sort(key=lambda case: MODULES.index(case.deed.__module__))

_MOVED = {key for case in CASES for key in case.counters}
#: Counters that no case moves, and why.
WAITING: dict[str, str] = {key: "no case moves it" for key in COUNTERS if key not in _MOVED}
