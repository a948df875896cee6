"""A home agent of hosts as a service: an anchor's core that serves no gateways (RFC 6275)."""

from appliance import facts_hosts
from appliance.counters import MIPV6HA, Table
from appliance.lma_service import LmaService
from appliance.protocols.mipv6.settings import HomeAgentSettings


class HomeAgentService(LmaService):
    """``mipv6ha-service NAME``."""

    kind = "mipv6ha"
    settings: HomeAgentSettings
    table: Table = MIPV6HA

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show mipv6ha-service name NAME``."""
        return facts_hosts.home_agent_facts(self.settings, self.state)
