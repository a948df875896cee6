"""What an operator can set in a ``mipv6ha-service``: as in an anchor, with hosts and without gateways."""

from typing import ClassVar

from attrs import define

from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.setting_fields import number

#: The longest lifetime that fits into an update (RFC 6275 section 6.1.7): 65535 units of 4 s.
LONGEST = 4 * 65_535


@define(slots=True, kw_only=True)
class HomeAgentSettings(LmaSettings):
    """``mipv6ha-service NAME``: hosts are always served, gateways never (status 152)."""

    kind: ClassVar[str] = "mipv6ha"
    proxies: ClassVar[bool] = False
    mipv6: bool = True
    max_subscribers: int = number(3_000_000, 0, 4_000_000)
    default_subscriber: str = ""
    """Profile of hosts that have none of their own; empty: that of ``subscriber default``."""
