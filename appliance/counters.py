"""Counters of a service: the tables and the sets of values that are counted in them.

Hot code resolves an index once at import and then only adds to a list::

    DECODE_FAILURE = LMA.index("binding-updates-discard-reasons/decode-failure")
    counters.values[DECODE_FAILURE] += 1

Sums are made on reading; clearing remembers where the values stood, so that nothing
that counts ever has to be told.
"""

from appliance.counters_hosts import MIPV6HA
from appliance.counters_lma import LMA, SUB_REASONS
from appliance.counters_mag import MAG
from appliance.counters_mn import MN
from appliance.counters_table import Row, Table, slug

__all__ = [
    "LMA", "MAG", "MIPV6HA", "MN", "CounterSet", "Row", "Table", "deny_key", "denied_by_lma_key", "slug"
]  # fmt: skip


class CounterSet:
    """The values of one service, in the order of its table's rows."""

    __slots__ = ("_baseline", "table", "values")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.values: list[int] = [0] * len(table.rows)
        self._baseline: list[int] = [0] * len(table.rows)

    def value(self, which: str | int) -> int:
        """Events since the last clear (or what a gauge stands at) of one key or index.

        Raises KeyError for a key that is no row.
        """
        index = self.table.index(which) if isinstance(which, str) else which
        values, baseline = self.values, self._baseline
        return sum(values[leaf] - baseline[leaf] for leaf in self.table.leaves[index])

    def clear(self) -> None:
        """Start again from zero; gauges keep standing where they are."""
        self._baseline = [
            0 if row.kind == "gauge" else value
            for row, value in zip(self.table.rows, self.values, strict=True)
        ]

    def snapshot(self) -> list[int]:
        """The values of all rows, sums included, in table order."""
        return [self.value(index) for index in range(len(self.values))]


def deny_key(status: int) -> str:
    """Key of the LMA row to increment for a denial with ``status`` and no better known cause.

    Statuses 128 to 130 are sums of sub-reasons: their "other" is returned. A status
    without a row of its own goes to the "other" of the deny reasons, so that the
    reasons always add up to Total Denied.
    """
    if status in SUB_REASONS:
        return f"{SUB_REASONS[status]}/other"
    return LMA.status_key("binding-update-deny-reasons", status) or "binding-update-deny-reasons/other"


def denied_by_lma_key(status: int) -> str:
    """Key of the MAG row to increment when an LMA denied with ``status``."""
    return MAG.status_key("denied-by-lma", status) or "denied-by-lma/other"
