"""What only some sessions of an anchor have; a plain one has no such object.

Each field belongs to one feature, which alone writes it. ``None``, zero or empty: the session has none of it.
"""

from typing import Any


class Extras:
    """The rare parts of a binding cache entry; it stays with its session once it was made."""

    __slots__ = ("host", "port")

    def __init__(self) -> None:
        #: UDP port that the gateway's signalling comes from (RFC 5844 section 4.1); 0: it came in IPv6.
        self.port = 0
        #: What makes this the binding of a host (``mipv6/binding.py``); ``None``: a session of a gateway.
        self.host: Any = None


def extras_of(entry: Any) -> Extras:
    """The extras of a session, made if it has none."""
    found = entry.extras
    if found is None:
        found = entry.extras = Extras()
    extras: Extras = found
    return extras
