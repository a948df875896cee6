"""Which mobile node is behind a link-layer address, and how often one may be complained about."""

from appliance.protocols.pmipv6.settings import MagSettings, MobilePolicy


class PolicyTable:
    """The ``mobile-node`` lines of a MAG: its policy store (RFC 5213 section 6.2).

    The most exact line wins: address and interface, then address anywhere, then any
    mobile on the interface.
    """

    __slots__ = ("_by_place", "_by_identifier")

    def __init__(self, settings: MagSettings) -> None:
        self._by_place: dict[tuple[str, bytes], MobilePolicy] = {}
        self._by_identifier: dict[bytes, MobilePolicy] = {}
        for policy in settings.policies:
            self._by_place.setdefault((policy.interface, policy.link_layer), policy)
            self._by_identifier.setdefault(policy.mn_id, policy)

    def at(self, interface: str, link_layer: bytes) -> MobilePolicy | None:
        """Give the policy of who is at ``link_layer`` (6 octets) on ``interface``, if it is known."""
        places = self._by_place
        return (
            places.get((interface, link_layer))
            or places.get(("", link_layer))
            or (places.get((interface, b"")) if interface else None)
        )

    def of(self, mn_id: bytes) -> MobilePolicy | None:
        """Give the first policy line of a mobile node identifier, if there is one."""
        return self._by_identifier.get(mn_id)


def successor(
    old: PolicyTable, new: PolicyTable, mn_id: bytes, interface: str, link_layer: bytes
) -> tuple[bool, MobilePolicy | None]:
    """What a change of the lines means for the session of ``mn_id`` at a place: may it stay, by which line.

    It is there by the line for its place; or, attached by hand, by any line of its identifier, or by none
    at all. ``(True, None)``: no line says anything, now as before.
    """
    before = old.at(interface, link_layer)
    at_place = before is not None and before.mn_id == mn_id
    now = new.at(interface, link_layer)
    if now is not None and now.mn_id == mn_id:
        return True, now
    if at_place:
        return False, None
    by_hand = new.of(mn_id)
    return by_hand is not None or old.of(mn_id) is None, by_hand


class NoticeLimiter:
    """Lets a notice about the same thing through once in a while, and notices of all kinds not too fast.

    ``again``: seconds until the same key may be heard again; ``gap``: seconds between any
    two; ``limit``: keys remembered, the oldest is forgotten first.
    """

    __slots__ = ("_again", "_gap", "_limit", "_heard", "_last")

    def __init__(self, again: float = 600.0, gap: float = 1.0, limit: int = 1024) -> None:
        self._again = again
        self._gap = gap
        self._limit = limit
        self._heard: dict[object, float] = {}
        self._last: float | None = None

    def allows(self, key: object, mono: float) -> bool:
        """Tell whether a notice about ``key`` may be given now, and note that it was."""
        heard = self._heard.get(key)
        if heard is not None and mono - heard < self._again:
            return False
        if self._last is not None and mono - self._last < self._gap:
            return False
        self._heard.pop(key, None)
        while len(self._heard) >= self._limit:
            del self._heard[next(iter(self._heard))]
        self._heard[key] = self._last = mono
        return True
