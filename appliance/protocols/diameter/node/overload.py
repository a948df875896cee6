"""Overload reports of servers, honoured (RFC 7683, loss algorithm): the node is a reacting node.

Every request of a local user says so with OC-Supported-Features. A report counts for one application, and for
a host or for a realm. When it has run out, the reduction ends little by little (section 6.3).
"""

from collections.abc import Callable, Iterator

from attrs import define

from appliance.protocols.diameter.message.codec import BadValue, Group, Malformed, Message
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold

_D = standard()
FEATURES, VECTOR, REPORT = _D["OC-Supported-Features"], _D["OC-Feature-Vector"], _D["OC-OLR"]
SEQUENCE, KIND = _D["OC-Sequence-Number"], _D["OC-Report-Type"]
REDUCTION, DURATION = _D["OC-Reduction-Percentage"], _D["OC-Validity-Duration"]
ORIGIN_HOST, ORIGIN_REALM = _D["Origin-Host"], _D["Origin-Realm"]

LOSS = 1
HOST, REALM = 0, 1
DEFAULT_SECONDS, LONGEST_SECONDS = 30, 86_400
#: Seconds in which the reduction goes down to nothing when a report has run out.
RECOVERY = 10.0
#: Reports at one time.
MOST = 1_000
_ROLLOVER = (1 << 64) // 100

#: What a request says about us.
SUPPORTED = FEATURES.encode(VECTOR.encode(LOSS))
#: In octets that have it, there may be a report.
_MARK = REPORT.code.to_bytes(4, "big")
_SAID = FEATURES.code.to_bytes(4, "big")


@define(slots=True)
class Report:
    """What one host or realm wants for one application."""

    sequence: int
    percentage: int
    expires: float
    """Monotonic seconds; the reduction ends ``RECOVERY`` later."""

    def reduction(self, mono: float) -> float:
        """Percentage of requests that must not be sent, now."""
        late = mono - self.expires
        return self.percentage * max(0.0, 1 - late / RECOVERY) if late > 0 else self.percentage


@define(slots=True, frozen=True)
class OverloadView:
    """A report for a screen."""

    application: int
    realm: bool
    """It is for a realm, not for a host."""
    name: str
    percentage: int
    lifetime: float
    """Seconds; negative while the reduction ends."""


def supported(avps: bytes) -> bytes:
    """The AVPs of a request, with OC-Supported-Features if it was not there."""
    return avps if _SAID in avps and Group(avps).raw(FEATURES) is not None else avps + SUPPORTED


class Overload:
    """The reports that one node has received; ``uniform`` gives a random number from 0 to 1."""

    __slots__ = ("_reports", "_uniform")

    def __init__(self, uniform: Callable[[], float]) -> None:
        self._reports: dict[tuple[int, int, str], Report] = {}
        self._uniform = uniform

    def __len__(self) -> int:
        return len(self._reports)

    def note(self, answer: Message, mono: float) -> int:
        """Take the reports of an answer in; returns how many were news. Never raises."""
        if _MARK not in answer.data:
            return 0
        try:
            return sum(self._take(answer, group, mono) for group in answer.all(REPORT))
        except (Malformed, BadValue):
            return 0

    def _take(self, answer: Message, group: Group, mono: float) -> bool:
        sequence, kind = group.first(SEQUENCE), group.first(KIND)
        features = answer.first(FEATURES)
        chosen = (features.first(VECTOR) or LOSS) if features is not None else LOSS
        name = answer.first(ORIGIN_HOST if kind == HOST else ORIGIN_REALM)
        if sequence is None or kind not in (HOST, REALM) or name is None or not chosen & LOSS:
            return False
        percentage = group.first(REDUCTION) or 0
        seconds = group.first(DURATION)
        if seconds is None or seconds > LONGEST_SECONDS:
            seconds = DEFAULT_SECONDS
        if percentage > 100:
            return False
        key = (answer.application, kind, fold(name))
        known = self._reports.get(key)
        if known is not None and not _newer(sequence, known.sequence):
            return False
        if known is not None and not seconds:
            # The condition is over; what was reduced comes back little by little.
            known.sequence, known.expires = sequence, min(known.expires, mono)
            return True
        if known is None and (not seconds or len(self._reports) >= MOST):
            return False
        self._reports[key] = Report(sequence, percentage, mono + seconds)
        return True

    def drops(self, application: int, kind: int, name: str, mono: float) -> bool:
        """Whether a request for a host or realm (folded) has to be kept back."""
        report = self._reports.get((application, kind, name))
        if report is None:
            return False
        reduction = report.reduction(mono)
        if reduction <= 0 and report.expires < mono:
            del self._reports[application, kind, name]
            return False
        return self._uniform() * 100 < reduction

    def expire(self, mono: float) -> None:
        """Forget what is over."""
        for key in [key for key, each in self._reports.items() if each.expires + RECOVERY < mono]:
            del self._reports[key]

    def views(self, mono: float) -> Iterator[OverloadView]:
        """The reports for a screen."""
        for (application, kind, name), each in self._reports.items():
            yield OverloadView(application, kind == REALM, name, each.percentage, each.expires - mono)


def _newer(sequence: int, known: int) -> bool:
    """Section 5.2.1.3: greater, or rolled over from the last to the first hundredth of the numbers."""
    return sequence > known or (known > (1 << 64) - _ROLLOVER and sequence < _ROLLOVER)
