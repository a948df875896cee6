"""What a case is, and how it says which counters it moves.

::

    @case("plain", update.accepted("initial"))
    def attach(world):
        '''A first Proxy Binding Update of a mobile node.'''
        mobile = world.mobile()          # preparation, not counted
        yield                            # the counters are read
        world.mag1.register(mobile)      # the deed, counted
        return {key: by how much}        # only known now; not needed

Keys are those of ``show lma-service statistics | json``. All counters that a case does not name must stay.
Totals are not named: they follow by :data:`SUMS`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

Moves = dict[str, int]
#: What the function of a case gives: nothing, or more moves that only show when it is done.
Steps = Generator[None, None, None]
Measured = Generator[None, None, Moves]
Deed = Callable[[Any], Steps] | Callable[[Any], Measured]

CLASSES = {
    "initial": "initial-binding-update-requests",
    "refresh": "refresh-binding-update-requests",
    "dereg": "dereg-requests",
    "handoff": "handoff-requests",
}
ACK = "binding-acknowledgements-sent"
DENY = "binding-update-deny-reasons"
RESOURCE = "update-denied-insufficient-resource-reasons"
ADMIN = "update-denied-admin-prohibited-reasons"
UNSPECIFIED = "update-denied-unspecified-reason"
DISCARD = "binding-updates-discard-reasons"
AAA = "mip-aaa-authentication"
ENDED = "total-disconnects"
OTHER = "other-mobility-messages"
RECEIVED, SENT = "tunnel-data-received", "tunnel-data-sent"
REVOCATION = "binding-revocation"
TRIGGER = "sent-revocation-trigger-reasons"
STATUS = "received-revocation-ack-status"
BRA_DISCARD = "binding-revocation-ack-discarded"
TOO_BIG = "tunnel-icmpv6-packets/packet-too-big"

#: Each total with what it is the sum of, from the published list's wording; ``*``: all below that heading.
SUMS: dict[str, tuple[str, ...]] = {
    f"{AAA}/total-failures": (f"{AAA}/actual-auth-failures", f"{AAA}/misc-auth-failures"),
    f"{AAA}/failures": (f"{AAA}/actual-auth-failures", f"{AAA}/misc-auth-failures"),
    "binding-updates-received/total-accepted": tuple(f"{each}/accepted" for each in CLASSES.values()),
    "binding-updates-received/total-denied": tuple(f"{each}/denied" for each in CLASSES.values()),
    "binding-updates-received/total-discarded": (f"{DISCARD}/*",),
    "binding-updates-received/total-received": (
        *(f"{each}/accepted" for each in CLASSES.values()),
        *(f"{each}/denied" for each in CLASSES.values()),
        f"{DISCARD}/*",
        "binding-updates-received/pending",
    ),
    f"{ACK}/total": (f"{ACK}/accepted-reg", f"{ACK}/accepted-dereg", f"{ACK}/denied"),
    f"{DENY}/insufficient-resources": (f"{RESOURCE}/*",),
    f"{DENY}/admin-prohibited": (f"{ADMIN}/*",),
    f"{DENY}/unspecified-reason": (f"{UNSPECIFIED}/*",),
    f"{BRA_DISCARD}/total": (f"{BRA_DISCARD}/*",),
    **{
        f"{way}/total-{unit}": (f"{way}/total-{unit}/*",)
        for way in (RECEIVED, SENT)
        for unit in ("packets", "bytes")
    },
}  # fmt: skip


def expected(moves: Moves) -> Moves:
    """``moves`` with the totals that follow from them."""
    found = {key: count for key, count in moves.items() if count}
    for whole, parts in SUMS.items():
        count = sum(
            moves.get(key, 0)
            for part in parts
            for key in ([each for each in moves if each.startswith(part[:-1])] if part[-1] == "*" else [part])
        )
        if count:
            found[whole] = count
    return found


def plus(*several: Moves) -> Moves:
    """All of them together."""
    found: Moves = {}
    for moves in several:
        for key, count in moves.items():
            found[key] = found.get(key, 0) + count
    return found


def times(count: int, moves: Moves) -> Moves:
    """The same several times."""
    return {key: count * each for key, each in moves.items()}


def accepted(kind: str) -> Moves:
    """An update of a class, answered with success."""
    heading = CLASSES[kind]
    found = {f"{heading}/received": 1, f"{heading}/accepted": 1}
    found[f"{ACK}/accepted-dereg" if kind == "dereg" else f"{ACK}/accepted-reg"] = 1
    if kind == "initial":
        found[f"{ACK}/accepted-init-reg"] = 1
    return found


def denied(kind: str, reason: str) -> Moves:
    """An update of a class, refused for a reason (a whole key)."""
    heading = CLASSES[kind]
    return {f"{heading}/received": 1, f"{heading}/denied": 1, f"{ACK}/denied": 1, reason: 1}


def dropped(reason: str, kind: str = "") -> Moves:
    """An update without an answer; ``kind``: it was readable and is counted in a class."""
    found = {f"{DISCARD}/{reason}": 1}
    return plus(found, {f"{CLASSES[kind]}/received": 1}) if kind else found


@dataclass
class Case:
    """One deed and what it must move."""

    stage: str
    moves: Moves
    deed: Deed
    #: Counters whose row of the table shows this case even if an earlier one moves them too, and those that
    #: it moves by what only shows when it is done.
    shows: tuple[str, ...]
    #: What the answers say that it gets, as in :mod:`scripts.counting.statuses`.
    statuses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the function."""
        return self.deed.__name__

    @property
    def counters(self) -> list[str]:
        """The counters that it moves, as far as that is known before."""
        return [*expected(plus(dict.fromkeys(self.shows, 1), self.moves))]

    @property
    def what(self) -> str:
        """What is done, in a line."""
        return " ".join((self.deed.__doc__ or "").split()).rstrip(".")


#: All cases in the order in which they run within their stage.
CASES: list[Case] = []


def case(
    stage: str, *moves: Moves, shows: tuple[str, ...] = (), statuses: tuple[str, ...] = ()
) -> Callable[[Any], Any]:
    """Enter a function into the table."""

    def enter(deed: Any) -> Any:
        CASES.append(Case(stage, plus(*moves), deed, shows, statuses))
        return deed

    return enter
