"""Which messages a busy anchor must not lose, told from a few of their octets.

An update costs a tenth of a millisecond to decide about; this costs a microsecond. It is only asked
while more comes in than can be dealt with.
"""

from collections.abc import Callable, Container

from appliance.protocols.mobility.messages import BindingUpdate
from appliance.protocols.mobility.options import MobileNodeGroupIdentifier, MobileNodeIdentifier
from appliance.protocols.pmipv6.bce import identity
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.lma_checks import Peers
from appliance.protocols.pmipv6.overload import Overload
from appliance.protocols.pmipv6.settings import LmaSettings

_UPDATE = BindingUpdate.TYPE
_MN_ID = MobileNodeIdentifier.TYPE
_GROUP = MobileNodeGroupIdentifier.TYPE
_FIRST_OPTION = 12
#: Octets of the shortest update with an option.
_LEAST = 16
#: As many of each as one batch may have.
_UPDATES, _MN_IDS, _NAIS = (bytes((octet,)) * 256 for octet in (_UPDATE, _MN_ID, 1))
#: Sources that are remembered; strangers can fill it, so it is emptied when full.
SOURCES = 4_096
#: Updates of new mobile nodes that may wait for their turn.
ROOM = 256


class Sieve:
    """Sorts the messages of one service by what would be lost with them."""

    __slots__ = ("_mobiles", "_peers", "_sources", "overload")

    def __init__(self, settings: LmaSettings, mobiles: Container[bytes], overload: Overload) -> None:
        """``mobiles``: the keys of the mobile nodes that have sessions."""
        self._mobiles = mobiles
        self.overload = overload
        self._sources: dict[bytes, bool] = {}
        self.reconfigure(settings)

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on with other peers."""
        self._peers = Peers(settings.peers)
        self._sources.clear()

    @property
    def limits(self) -> Congestion | None:
        """When messages are to be sorted; ``None``: never."""
        return self.overload.settings if self.overload.acts else None

    @property
    def room(self) -> int:
        """How many of the others may wait."""
        return 0 if self.overload.refusing else ROOM

    def sort(
        self, octets: bytes, slot: int, sizes: list[int], sources: list[bytes], whole: Callable[[int], bytes]
    ) -> tuple[list[int], list[int]]:
        """Numbers of the messages about sessions that there are, or from gateways about something else; and
        of the others: updates of mobile nodes without a session, rubbish, and all that strangers send.

        Of each message there are the first ``slot`` octets; ``whole(number)`` gives all of one.
        """
        if sizes and min(sizes) >= _LEAST and self._uniform(octets, slot, sources):
            return self._by_names(octets, slot, whole)
        urgent: list[int] = []
        others: list[int] = []
        # One loop without calls.
        mobiles, known, at = self._mobiles, self._sources, -slot
        for number, source in enumerate(sources):
            at += slot
            allowed = known.get(source)
            if allowed is None:
                allowed = self._learn(source)
            if allowed and sizes[number] >= _LEAST:
                if octets[at + 2] != _UPDATE:
                    urgent.append(number)
                    continue
                # As good as every gateway puts the identifier first.
                end = octets[at + 13] + 14
                plain = octets[at + 12] == _MN_ID and octets[at + 14] == 1 and end <= slot
                if plain:
                    key = octets[at + 15 : at + end]
                    if key in mobiles:
                        urgent.append(number)
                        continue
                    plain = key[-1:] != b"\0"
                if not plain and self._search(whole(number)):
                    urgent.append(number)
                    continue
            others.append(number)
        return urgent, others

    def _uniform(self, octets: bytes, slot: int, sources: list[bytes]) -> bool:
        """Whether all are updates of gateways with the identifier in front: what a flood is made of."""
        count = len(sources)
        lengths = octets[13::slot]
        return (
            octets[2::slot] == _UPDATES[:count]
            and octets[12::slot] == _MN_IDS[:count]
            and octets[14::slot] == _NAIS[:count]
            and min(lengths) > 1
            and max(lengths) + 14 <= slot
            and all(self._known(source) for source in set(sources))
        )

    def _by_names(
        self, octets: bytes, slot: int, whole: Callable[[int], bytes]
    ) -> tuple[list[int], list[int]]:
        """Sort those by nothing but their names."""
        mobiles = self._mobiles
        places = zip(range(15, len(octets), slot), octets[13::slot], strict=True)
        names = [octets[at : at + size - 1] for at, size in places]
        # As good as no name ends with a zero octet, which an identifier may be padded with.
        found = [number for number, name in enumerate(names) if name in mobiles or not name[-1]]
        if not found:
            return found, list(range(len(names)))
        urgent = [number for number in found if names[number][-1] or self._search(whole(number))]
        chosen = set(urgent)
        return urgent, [number for number in range(len(names)) if number not in chosen]

    def _known(self, source: bytes) -> bool:
        allowed = self._sources.get(source)
        return self._learn(source) if allowed is None else allowed

    def _learn(self, source: bytes) -> bool:
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        known = self._sources[source] = self._peers.allowed(source) is True
        return known

    def _search(self, data: bytes) -> bool:
        """Whether it is urgent, wherever its identifier stands; a bulk update (RFC 6602) has a group."""
        at, size = _FIRST_OPTION, len(data)
        group = False
        while at + 2 < size:
            kind = data[at]
            if kind == 0:
                at += 1
                continue
            end = at + 2 + data[at + 1]
            if kind == _MN_ID:
                return identity(data[at + 2], data[at + 3 : end]) in self._mobiles
            group |= kind == _GROUP
            at = end
        return group
