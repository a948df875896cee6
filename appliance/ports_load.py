"""What anchors show of their congestion control. Plain data only, as in :mod:`appliance.ports`."""

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

    service: str
    enabled: bool
    action: str
    tolerance: int
    wait_time: int
    """Longest wait of an update of a new mobile node, milliseconds."""
    dropped: int
    refused: int
    figures: list[CongestionFigure]
