"""What an operator can set about congestion control, for all anchors of the appliance."""

from attrs import define

from appliance.protocols.setting_fields import number


@define(slots=True, kw_only=True)
class Congestion:
    """``congestion-control``: what the anchors of the appliance do when there is too much to do."""

    congestion_control: bool = True
    congestion_action: str = "drop"
    """What updates of new mobile nodes get: ``none`` (nothing is done), ``drop``, ``reject`` (status 129),
    ``redirect`` (RFC 6463; status 129 where that is not possible)."""
    queue_utilization: int = number(2, 1, 100, "percent")
    """Share of the receive buffer of a socket that is full before messages are sorted by their worth."""
    queue_wait_time: int = number(100, 1, 10_000, "milliseconds")
    """Longest time that an update of a new mobile node waits behind others."""
    loop_lag: int = number(500, 10, 60_000, "milliseconds")
    memory_utilization: int = number(90, 1, 100, "percent")
    """Share of the memory that the process may have."""
    session_utilization: int = number(0, 1, 100, "percent")
    """Share of max-subscribers; 0 (not in the range, the factory state): not looked at."""
    congestion_tolerance: int = number(10, 1, 99, "percent")
    """How far below its threshold a figure has to come for the congestion to be over."""
