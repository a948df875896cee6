"""Which messages a busy anchor must not lose, told from a few of their octets.

An update costs a tenth of a millisecond to decide about; this costs a microsecond. It is only asked
while more comes in than can be dealt with.
"""

from collections.abc import Container

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
        self, octets: bytes, slot: int, sizes: list[int], sources: list[bytes]
    ) -> tuple[list[int], list[int]]:
        """Numbers of the messages about sessions that there are, or from gateways about something else; and
        of the others: updates of mobile nodes without a session, rubbish, and all that strangers send.

        The messages begin every ``slot`` octets.
        """
        urgent: list[int] = []
        others: list[int] = []
        # One loop without calls: this is what a message costs that is given up.
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
                plain = octets[at + 12] == _MN_ID and octets[at + 14] == 1
                if plain:
                    key = octets[at + 15 : at + 14 + octets[at + 13]]
                    if key in mobiles:
                        urgent.append(number)
                        continue
                    plain = key[-1:] != b"\0"
                if not plain and self._search(octets[at : at + sizes[number]]):
                    urgent.append(number)
                    continue
            others.append(number)
        return urgent, others

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
