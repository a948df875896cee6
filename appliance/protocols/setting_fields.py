"""How a number that an operator can set is written down, for the settings of all services."""

from typing import Any

from attrs import field


def number(default: int, low: int, high: int, unit: str = "") -> Any:
    """A whole number with its default, its range (both ends allowed) and its unit."""
    return field(default=default, metadata={"range": (low, high), "unit": unit})
