"""What an operator can set in a Mobile AAA server (``aaa-server NAME``), as its core sees it.

Default and range of a number stand here and nowhere else; the grammar reads them.
"""

from attrs import define

from appliance.protocols.setting_fields import number


@define(slots=True, kw_only=True, frozen=True)
class User:
    """One user: what the server knows of a mobile node. Also a record of a users file."""

    nai: str
    """``user@realm``; ``*@realm``: the default of that realm."""
    enabled: bool = True
    pmipv6: bool = True
    """May use network-based mobility (RFC 5779)."""
    mip6: bool = True
    """May use MIPv6 (RFC 5778)."""
    mip4: bool = True
    """May use Mobile IPv4 (RFC 4004)."""
    key: bytes = b""
    """MN-AAA key, shared with the mobile node; empty: cannot authenticate by it."""
    spi: int = 0
    """SPI of the MN-AAA key; 0: any."""
    mn_ha_key: bytes = b""
    """MN-HA key to give to the home agent; empty: one is made for each session."""
    mn_ha_spi: int = 0
    prefixes: tuple[tuple[bytes, int], ...] = ()
    """Home network prefixes that are assigned."""
    networks: tuple[tuple[bytes, int], ...] = ()
    """Mobile network prefixes, if the user is a mobile router (RFC 3963)."""
    ipv4_address: bytes | None = None
    home_agent: bytes | None = None
    """LMA or HA that serves it; ``None``: the one that asks."""
    services: tuple[str, ...] = ()
    """Service-Selection values that are allowed; empty: any."""
    authorization_lifetime: int = number(3_600, 0, 0xFFFFFFFF, "seconds")
    grace_period: int = number(60, 0, 86_400, "seconds")
    session_timeout: int = number(0, 0, 0xFFFFFFFF, "seconds")
    """0: no limit."""
    interim_interval: int = number(0, 0, 86_400, "seconds")
    class_: bytes = b""
    """Class AVP given to the client; empty: none."""
    charge: bytes = b""
    """Chargeable-User-Identity; empty: none."""
    newer_session: str = ""
    """Host that says of every request that a newer session is elsewhere (3GPP 5453); empty: none does."""
    max_sessions: int = number(0, 0, 1_000)
    """0: no limit; else 5006 beyond it."""
    bandwidth_up: int = number(0, 0, 0xFFFFFFFF, "bits/s")
    """QoS-Resources; 0: not said."""
    bandwidth_down: int = number(0, 0, 0xFFFFFFFF, "bits/s")


@define(slots=True, kw_only=True, frozen=True)
class Realm:
    """``realm NAME``: whose users are known here."""

    name: str
    users_file: str = ""
    """Path of a file with users of the realm; empty: those of the configuration only."""


@define(slots=True, kw_only=True, frozen=True)
class HomeAgent:
    """``home-agent HOST address A``: one that may be given to mobile nodes (RFC 4004)."""

    host: str
    realm: str
    address: bytes


@define(slots=True, kw_only=True, frozen=True)
class TextLog:
    """``text-log ...``: the daily log of accounting records."""

    directory: str = ""
    """Empty: ``accounting`` below the state directory."""
    names: str = "rfc"
    """Names of attributes: ``rfc``, or ``seed`` (those of the drafts and of the HP Mobile AAA Server)."""
    local_time: bool = False
    keep: int = number(30, 1, 3_650, "days")


@define(slots=True, kw_only=True)
class AaaServerSettings:
    """``aaa-server NAME``."""

    name: str
    context: str = ""
    endpoint: str = ""
    """Diameter endpoint of the same context; empty: not started."""
    realms: tuple[Realm, ...] = ()
    users: tuple[User, ...] = ()
    home_agents: tuple[HomeAgent, ...] = ()
    database: str = ""
    """Path of SQLite, or address of PostgreSQL; empty: a SQLite file below the state directory."""
    text_log: TextLog | None = None
    storage_failure: str = "out-of-space"
    """What an ACR gets while the database is down: ``out-of-space`` (4002), ``too-busy`` (3004), or
    ``spool`` (kept on disk by the server and answered 2001)."""
    spool_limit: int = number(1 << 30, 1 << 20, 1 << 40, "octets")
    realtime: str = "grant-and-store"
    """Accounting-Realtime-Required for clients."""
    session_binding: int = number(0, 0, 7)
    session_limit: int = number(1_000_000, 1, 10_000_000)
    duplicate_days: int = number(1, 1, 30, "days")
    """How far back a repeated record is recognised."""
    keep_records: int = number(0, 0, 3_650, "days")
    """Records in the database that are older are deleted; 0: never."""
