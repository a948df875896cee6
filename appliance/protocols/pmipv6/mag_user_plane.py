"""Tunnels that end at another address than signalling (RFC 7389), on the gateway's side."""

from ipaddress import ip_address

from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import LmaUserPlaneAddress
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_entry import DEREG, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now


class MagUserPlane(MagFeature):
    """Asks for the anchor's user-plane address, and has the tunnel go there."""

    def __init__(self, settings: MagSettings) -> None:
        self._take(settings)

    def _take(self, settings: MagSettings) -> None:
        self._on = settings.user_plane or settings.user_plane_domain_wide
        # Section 5: with domain-wide support nobody has to be asked.
        self._asks = settings.user_plane and not settings.user_plane_domain_wide
        self._own = settings.address

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Ask, or do not, from the next update on."""
        self._take(settings)

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """Section 4: a zero-length field asks for the address of the transport's family."""
        if self._asks and entry.exchange != DEREG:
            update.options.append(LmaUserPlaneAddress())

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Take the address of the family that the tunnel has; without one it ends at the anchor's own."""
        entry.user_plane = b""
        if not self._on:
            return
        for option in answer.options:
            if (
                option.__class__ is LmaUserPlaneAddress
                and len(option.address) == len(entry.lma)
                and is_unicast(option.address)
                and option.address != self._own
            ):
                entry.user_plane = option.address

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """The next binding may be of another anchor."""
        entry.user_plane = b""

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """Where the tunnel goes."""
        if not entry.user_plane:
            return []
        return [("User-Plane Address", str(ip_address(entry.user_plane)))]
