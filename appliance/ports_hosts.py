"""What the shell sees of a service that hosts register with, and may have it say to them."""

from typing import Protocol

from attrs import define

from appliance.ports import ServicePort


@define(slots=True, kw_only=True)
class HomeAgentView:
    """One address of the Home Agents List (RFC 6275 section 10.1)."""

    address: str
    preference: int
    origin: str
    """``this one``, ``configured`` or ``advertised``."""
    lifetime: int
    """Seconds that are left; 0: for ever."""


class HostsPort(ServicePort, Protocol):
    """A service that hosts register with."""

    def home_agents(self) -> list[HomeAgentView]:
        """Its Home Agents List."""

    def switch_hosts(self, username: str, agents: tuple[bytes, ...], grace: int) -> tuple[int, str]:
        """Send a host, or all (empty ``username``), to other home agents (RFC 5142).

        ``agents`` empty: those of the Home Agents List.

        Returns how many hosts are concerned, and why it cannot be done (empty: it is).
        """

    def ask_refresh(self, username: str) -> tuple[int, str]:
        """Have a host, or all, refresh their bindings (RFC 6275 section 6.1.2); returns as above."""
