"""What an operator has a service say to its hosts."""

from ipaddress import ip_address
from typing import Any

from appliance.ports_hosts import HomeAgentView
from appliance.protocols.mipv6.events import AskRefresh, HostEvent, SwitchHosts


class HostOrders:
    """The part of a service that carries out orders about hosts."""

    name: str
    kind: str
    settings: Any
    _core: Any
    _driver: Any
    _clock: Any

    def home_agents(self) -> list[HomeAgentView]:
        """Return the Home Agents List; empty while no hosts are served."""
        if not self.settings.mipv6:
            return []
        return [
            HomeAgentView(
                address=str(ip_address(address)) if address else "None",
                preference=preference,
                origin=origin,
                lifetime=lifetime,
            )
            for address, preference, origin, lifetime in self._core.hosts.parts.discovery.rows(self._clock())
        ]

    def switch_hosts(self, username: str, agents: tuple[bytes, ...], grace: int) -> tuple[int, str]:
        """Send hosts to other home agents; returns how many, and what prevents it."""
        mn_id = username.encode()
        return self._order(SwitchHosts(mn_id=mn_id, agents=agents, grace=grace), mn_id)

    def ask_refresh(self, username: str) -> tuple[int, str]:
        """Have hosts refresh their bindings; returns how many, and what prevents it."""
        mn_id = username.encode()
        return self._order(AskRefresh(mn_id=mn_id), mn_id)

    def _order(self, event: HostEvent, mn_id: bytes) -> tuple[int, str]:
        title = f"{self.kind}-service {self.name}"
        if self._driver is None:
            return 0, f"{title} is not started"
        found = self._core.sessions(mn_id=mn_id)
        concerned = sum(entry.of_host and not entry.deleting for entry in found)
        if not concerned:
            return 0, f"no host{' ' + mn_id.decode() if mn_id else ''} has a binding in {title}"
        self._driver.feed(event)
        return concerned, ""
