"""Counts what a mobile node's driver sends and receives, by type."""

from appliance.counters import CounterSet
from appliance.counters_mn import MN

_SENT = {
    kind: MN.index(f"mobility-messages-sent/{name}")
    for kind, name in ((5, "binding-updates"), (1, "home-test-init"), (2, "care-of-test-init"))
}
_RECEIVED = {
    kind: MN.index(f"mobility-messages-received/{name}")
    for kind, name in (
        (6, "binding-acknowledgements"),
        (7, "binding-errors"),
        (3, "home-test"),
        (4, "care-of-test"),
        (0, "binding-refresh-requests"),
    )
}
_OTHER_SENT = MN.index("mobility-messages-sent/other-messages")
_OTHER_RECEIVED = MN.index("mobility-messages-received/other-messages")
_OVER_UDP = MN.index("mobility-messages-sent/ways/over-udp")
_NOT_SENT = MN.index("mobility-messages-sent/failures/not-sent")
_ANSWERS = tuple(
    MN.index(f"binding-acknowledgements-received/{name}") for name in ("accepted", "denied")
)
_ICMP_SENT, _ICMP_RECEIVED = (MN.index(f"icmpv6-messages/{name}") for name in ("sent", "received"))
_CHANGES, _RETURNS = (MN.index(f"movement/{name}") for name in ("changes", "returns-home"))


class Counting:
    """Adds to the counters of one client."""

    def __init__(self, counters: CounterSet) -> None:
        self._values = counters.values

    def sent(self, data: bytes, done: bool, udp: bool) -> None:
        """A mobility message was sent, or could not be."""
        if not done:
            self._values[_NOT_SENT] += 1
            return
        self._values[_SENT.get(data[2], _OTHER_SENT)] += 1
        self._values[_OVER_UDP] += udp

    def received(self, data: bytes) -> None:
        """A mobility message came, whatever it is worth."""
        kind = data[2] if len(data) > 2 else -1
        self._values[_RECEIVED.get(kind, _OTHER_RECEIVED)] += 1
        if kind == 6 and len(data) > 6:
            self._values[_ANSWERS[data[6] >= 128]] += 1

    def icmp_sent(self) -> None:
        """An ICMPv6 message was sent."""
        self._values[_ICMP_SENT] += 1

    def icmp_received(self) -> None:
        """One came."""
        self._values[_ICMP_RECEIVED] += 1

    def moved(self) -> None:
        """The links that can be used have changed."""
        self._values[_CHANGES] += 1

    def returned(self) -> None:
        """The node is at home."""
        self._values[_RETURNS] += 1
