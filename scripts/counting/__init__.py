"""``scripts/lab counters`` and its relatives: anchor and home agent counted from outside, by real packets."""
