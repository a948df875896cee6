"""Which counters an anchor moves (their indexes, looked up once), and which refusals it logs."""

from typing import NamedTuple

from appliance.counters import LMA
from appliance.protocols.mobility import status as codes
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.lma_aaa import NO_ANSWER
from appliance.protocols.pmipv6.lma_request import Verdict


class Kind(NamedTuple):
    """Counter indexes of one class of binding updates."""

    received: int
    accepted: int
    denied: int


def _kind(heading: str) -> Kind:
    return Kind(*(LMA.index(f"{heading}/{row}") for row in ("received", "accepted", "denied")))


INITIAL = _kind("initial-binding-update-requests")
REFRESH = _kind("refresh-binding-update-requests")
DEREGISTRATION = _kind("dereg-requests")
HANDOFF = _kind("handoff-requests")

PENDING = LMA.index("binding-updates-received/pending")
_ACK = "binding-acknowledgements-sent/"
ACK_REGISTERED = LMA.index(_ACK + "accepted-reg")
ACK_DEREGISTERED = LMA.index(_ACK + "accepted-dereg")
ACK_DENIED = LMA.index(_ACK + "denied")
ACK_INITIAL = LMA.index(_ACK + "accepted-init-reg")
ACK_ERROR = LMA.index(_ACK + "send-error")
EXPIRED = LMA.index("total-disconnects/lifetime-expiry")
DEREGISTERED = LMA.index("total-disconnects/deregistrations")
ADMIN_DROPPED = LMA.index("total-disconnects/admin-drops")
OTHER_ENDED = LMA.index("total-disconnects/other-reasons")
_OTHER = "other-mobility-messages/"
OTHER_RECEIVED = LMA.index(_OTHER + "received")
OTHER_IGNORED = LMA.index(_OTHER + "ignored")
OTHER_UNKNOWN = LMA.index(_OTHER + "unknown-type")
ERROR_SENT = LMA.index(_OTHER + "binding-error-sent")
PROBLEM_SENT = LMA.index(_OTHER + "parameter-problem-sent")

QUEUE_FULL = Verdict(
    codes.INSUFFICIENT_RESOURCES, "update-denied-insufficient-resource-reasons/input-q-exceeded"
)
#: Kind and text of the log line about a refusal.
NOTICES = {
    verdicts.POOL_EMPTY: ("pool", "no home network prefix or IPv4 address left for a mobile node"),
    verdicts.NO_MEMORY: ("memory", "max-memory is exceeded, new sessions are refused"),
    verdicts.NO_SESSION_MANAGER: (
        "sessions", "busyout, or tunnel device down: new sessions are refused"
    ),
    verdicts.SERVICE_FULL: ("full", "max-subscribers reached, new sessions are refused"),
    QUEUE_FULL: ("queue", "too many updates wait for de-registrations or AAA, more are refused"),
    NO_ANSWER: ("aaa", "no AAA server has answered in time, registrations are refused"),
}
