"""What services show of their load: queues and congestion control. Plain data only, as in :mod:`.ports`."""

from attrs import define


@define(slots=True, kw_only=True)
class CongestionFigure:
    """One thing that congestion can come from."""

    name: str
    value: int
    unit: str
    threshold: int
    """0: not looked at."""
    since: float | None
    """Since when it is congestion (wall clock); ``None``: it is none."""
    entered: int
    """How often it began."""


@define(slots=True, kw_only=True)
class CongestionView:
    """Congestion control of one anchor."""

    kind: str
    """Kind of the service."""
    service: str
    enabled: bool
    action: str
    tolerance: int
    wait_time: int
    """Longest wait of an update of a new mobile node, milliseconds."""
    dropped: int
    refused: int
    figures: list[CongestionFigure]


@define(slots=True, kw_only=True)
class QueueView:
    """How full the queues of one signalling socket are."""

    service: str
    address: str
    """Our own address of the socket."""
    send: int
    """Messages that wait in the process."""
    send_limit: int
    receive: int
    """Octets that wait in the kernel."""
    receive_limit: int
    dropped: int
    """Messages that the kernel dropped because the process did not read fast enough."""
