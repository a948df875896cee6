"""Tunnels that end at another address than signalling (RFC 7389), on the anchor's side."""

from ipaddress import ip_address

from appliance.protocols.mobility.options import LmaUserPlaneAddress
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.extras import extras_of
from appliance.protocols.pmipv6.features import Before, Feature
from appliance.protocols.pmipv6.lma_request import Request
from appliance.protocols.pmipv6.lma_sessions import Sessions
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now


class UserPlane(Feature):
    """Gives the user-plane address to the gateways that understand it."""

    def __init__(self, settings: LmaSettings, sessions: Sessions) -> None:
        self._sessions = sessions
        self._take(settings)

    def _take(self, settings: LmaSettings) -> None:
        self._addresses = {
            len(address): address
            for address in (settings.user_plane_address, settings.user_plane_ipv4)
            if address
        }
        # Section 5, Domain-wide-LMA-UPA-Support: told to gateways that did not ask too.
        self._domain_wide = settings.user_plane_domain_wide
        self.watches = self._domain_wide and bool(self._addresses)

    def reconfigure(self, settings: LmaSettings, now: Now) -> None:
        """The addresses stay while a service runs; whether gateways have to ask may change."""
        self._take(settings)

    def accepted(self, request: Request, entry: BindingCacheEntry, before: Before, now: Now) -> None:
        """Section 4: the option answers the one of the gateway; the tunnel is of the transport's family."""
        if not request.lifetime:
            return
        asked = request.other(LmaUserPlaneAddress) is not None
        address = self._addresses.get(len(request.care_of), b"") if asked or self._domain_wide else b""
        if not address and (entry.extras is None or not entry.extras.user_plane):
            # Section 5: not present in the update, so it is not done in this session.
            return
        extras = extras_of(entry)
        changed, extras.user_plane = extras.user_plane != address, address
        if address:
            request.answer_options.append(LmaUserPlaneAddress(address))
        if changed:
            self._sessions.install(entry)

    def details(self, entry: BindingCacheEntry) -> list[tuple[str, str]]:
        """Where the tunnel ends."""
        address = b"" if entry.extras is None else entry.extras.user_plane
        return [("User-Plane Address", str(ip_address(address)))] if address else []
