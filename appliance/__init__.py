"""A mobility anchor in one process: PMIPv6 LMA and MAG with a StarOS-like CLI."""

__version__ = "0.1.0"
