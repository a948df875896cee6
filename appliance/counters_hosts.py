"""The rows of ``show mipv6ha-service statistics``: those of an anchor, without what only gateways move.

The values are counted at the same places, so both tables have the same rows; a row that is no business of
a home agent is shown only if something has moved it.
"""

from attrs import evolve

from appliance.counters_lma import LMA, NESTED
from appliance.counters_table import Row, Table

#: Reasons for which only proxy binding updates are refused (RFC 5213 section 8.9, RFC 5845).
_OF_GATEWAYS = (156, 157, 158, 159, 160, 161, 162, 163, 154, 155)


def _serves_hosts(row: Row) -> bool:
    if row.heading == "Binding Update Deny Reasons" and row.status in _OF_GATEWAYS:
        return False
    # Hosts have no GRE (RFC 5555 section 4.1 knows it for its TLV header only, which counts as UDP).
    return "GRE" not in row.label


MIPV6HA = Table(
    tuple(row if _serves_hosts(row) else evolve(row, extra=True) for row in LMA.rows), nested=NESTED
)
