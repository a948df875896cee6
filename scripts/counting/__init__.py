"""``scripts/lab counters`` and its relatives: an anchor counted from outside, by real packets."""
