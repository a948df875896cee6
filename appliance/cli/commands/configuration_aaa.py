"""Configuration commands of ``aaa group`` (whom a service asks) and ``aaa-server`` (who answers).

``aaa group`` and the beginnings of ``diameter authentication`` and ``diameter accounting`` are StarOS words;
the values of ``dictionary`` and everything of ``aaa-server`` are ours. ``show configuration`` prints
lines in the order in which the modules are imported: endpoints, then what names them, then the services.
"""

from appliance.cli.commands.configuration import CONTEXT, GROUP, SERVER, USER, choice, number, toggle
from appliance.cli.commands.configuration_diameter import HELP as DIAMETER
from appliance.cli.grammar import setting
from appliance.config_tree import SETTINGS, factory_value, limits

HELP = {
    **DIAMETER,
    "accounting": "Records of what sessions use",
    "authentication": "Whether a mobile node may use the service",
    "authorization": "Permission by the server",
    "bandwidth": "Bit rate that the user may use (QoS-Resources)",
    "endpoint": "A Diameter endpoint of this context",
    "interim": "Records between start and stop",
    "mn-aaa": "Key that the mobile node shares with this server (RFC 4285, RFC 4004)",
    "mn-ha": "Key that the home agent gets; without this line one is made for each session",
    "realm": "Name of a realm",
    "secret": "The key: text, or 0x and hexadecimal digits",
    "spi": "Security Parameter Index, hexadecimal",
    "spool": "Records that wait on the disk",
    "storage": "Where accounting records are kept",
}
DICTIONARIES = {"authentication": "nasreq|s6b", "accounting": "base|nasreq|mobile-ip|mip6a"}


def _group() -> None:
    setting(
        CONTEXT,
        GROUP,
        "aaa group <name:NAME>",
        keys=("name",),
        enters=GROUP,
        no="aaa group <name:NAME>",
        help={**HELP, "group": "Servers that services ask and report to", "name": "Name of the group"},
    )
    for side, dictionaries in DICTIONARIES.items():
        front = f"diameter {side}"
        ranges = limits(SETTINGS["server-group"]) | limits(SETTINGS["server"])
        for word, value, text in (
            ("endpoint", "endpoint:NAME", "Endpoint that sends the requests"),
            ("realm", "realm:IDENTITY", "Destination-Realm; without it that of the user's name"),
            ("dictionary", f"application:{dictionaries}", "Application and AVPs of the requests"),
            ("request-timeout", "request_timeout:NUMBER", "Time to wait for an answer"),
            ("max-retries", "max_retries:NUMBER", "Further tries after that"),
        ):
            name = value.partition(":")[0]
            note = "" if name in ("endpoint", "realm") else _factory("server-group", name, dictionaries)
            setting(
                GROUP,
                f"{side} {name}",
                f"{front} {word} <{value}>",
                no=f"{front} {word}",
                default=f"{front} {word}",
                ranges=ranges,
                help={**HELP, word: text, name: text + note},
            )
        setting(
            GROUP,
            f"{side} server",
            f"{front} server <host:IDENTITY> priority <priority:NUMBER>",
            keys=("host",),
            no=f"{front} server <host:IDENTITY>",
            ranges=ranges,
            help={
                **HELP,
                "server": "Destination-Host; without such a line whoever serves the realm",
                "host": "DiameterIdentity of the server",
                "priority": "1 to 1000, the lowest first",
            },
        )
    choice(GROUP, "failure-policy <failure_policy:deny|local|queue>", "When no server answers")
    number(
        GROUP,
        "queue-time <queue_time:NUMBER>",
        "How long a mobile node waits by failure-policy queue",
        words=HELP,
    )
    number(
        GROUP,
        "accounting interim-interval <interim_interval:NUMBER>",
        "Time between interim records, if the server names none",
        note="none",
        words=HELP,
    )
    for path, syntax, text in (
        ("authorize_on_handoff", "authorization on-handoff", "The servers are asked again at each handover"),
        ("interim_on_handoff", "accounting interim-on handoff", "An interim record at each handover"),
        ("interim_on_refresh", "accounting interim-on refresh", "An interim record at each re-registration"),
        ("event_on_denial", "accounting event-on-denial", "An event record for each refused registration"),
        ("sub_sessions", "accounting sub-sessions", "Each binding is a sub-session of its mobile node's"),
    ):
        toggle(GROUP, path, syntax, text, words=HELP | {"interim-on": "Further reasons for interim records"})
    choice(
        GROUP,
        "accounting realtime <realtime:deliver-and-grant|grant-and-store|grant-and-lose>",
        "Accounting-Realtime-Required, until a server says otherwise",
        words=HELP,
    )
    number(
        GROUP,
        "accounting spool-limit <spool_limit:NUMBER>",
        "Room for records that wait on the disk",
        words=HELP,
    )


def _factory(kind: str, name: str, choices: str) -> str:
    value = factory_value(SETTINGS[kind], name) or choices.partition("|")[0]
    if name not in limits(SETTINGS[kind]):
        return f"; factory value {value}"
    low, high, unit = limits(SETTINGS[kind])[name]
    return f"; {low} to {high}{' ' + unit if unit else ''}; factory value {value}"


def _server() -> None:
    setting(
        CONTEXT,
        SERVER,
        "aaa-server <name:NAME>",
        keys=("name",),
        enters=SERVER,
        no="aaa-server <name:NAME>",
        help={"aaa-server": "A Mobile AAA server in this appliance", "name": "Its name"},
    )
    setting(
        SERVER,
        "endpoint",
        "diameter endpoint <endpoint:NAME>",
        no="diameter endpoint",
        default="diameter endpoint",
        help={**HELP, "endpoint": "Endpoint that its requests come in by"},
    )
    setting(
        SERVER,
        "realm",
        "realm <name:IDENTITY> [ users-file <users_file:PATH 1-4000> ]",
        keys=("name",),
        no="realm <name:IDENTITY>",
        help={
            **HELP,
            "realm": "A realm whose users are known here",
            "name": "Name of the realm",
            "users-file": "More users, a line each",
            "users_file": "Path of the file; read at the start and at 'aaa reload users'",
        },
    )
    setting(
        SERVER,
        "home-agent",
        "home-agent <host:IDENTITY> realm <realm:IDENTITY> address <address:IP>",
        keys=("host",),
        no="home-agent <host:IDENTITY>",
        help={
            **HELP,
            "home-agent": "A home agent that may be given to mobile nodes (RFC 4004)",
            "host": "Its DiameterIdentity",
            "realm": "Its realm",
            "address": "Its address",
        },
    )
    setting(
        SERVER,
        "storage",
        "storage { sqlite [ <file:PATH 1-4000> ] | postgresql <address:STRING 1-500>"
        " [ secret <password:SECRET> ] }",
        no="storage",
        default="storage",
        help={
            **HELP,
            "sqlite": "A file of this host; factory value: below the state directory",
            "file": "Path of the database",
            "postgresql": "A PostgreSQL server",
            "address": "postgresql://USER@HOST/DATABASE, or words such as host=/run/postgresql dbname=aaa",
            "secret": "Password of the database user",
            "password": "The password; the database may want none",
        },
    )
    setting(
        SERVER,
        "text-log",
        "text-log [ directory <directory:PATH 1-4000> ] [ names <names:rfc|seed> ] [ local-time ]"
        " [ keep <keep:NUMBER> ]",
        no="text-log",
        ranges=limits(SETTINGS["text-log"]),
        help={
            **HELP,
            "text-log": "A file diameter_accounting_YYYY-MM-DD.log a day beside the database",
            "directory": "Where; factory value: below the state directory",
            "names": "Names of the attributes",
            "local-time": "Days and times in the host's time zone, not UTC",
            "keep": "Days until a file is deleted",
        },
    )
    choice(
        SERVER,
        "storage-failure <storage_failure:out-of-space|too-busy|spool>",
        "What a record is answered with while it cannot be stored: 4002, 3004, or 2001 after it is on disk",
    )
    choice(
        SERVER,
        "accounting realtime <realtime:deliver-and-grant|grant-and-store|grant-and-lose>",
        "Accounting-Realtime-Required for the clients",
        words=HELP,
    )
    for syntax, text in (
        ("spool-limit <spool_limit:NUMBER>", "Room for records that wait for the database"),
        (
            "session-binding <session_binding:NUMBER>",
            "Session-Binding that clients get (RFC 6733 section 8.17)",
        ),
        ("session-limit <session_limit:NUMBER>", "Sessions at one time"),
        ("duplicate-days <duplicate_days:NUMBER>", "How far back a repeated record is recognised"),
        ("keep-records <keep_records:NUMBER>", "Age at which records are deleted; 0: never"),
    ):
        number(SERVER, syntax, text)
    setting(
        SERVER,
        USER,
        "user name <name:NAI>",
        keys=("name",),
        enters=USER,
        no="user name <name:NAI>",
        help={
            **HELP,
            "user": "A user that the server knows",
            "name": "Network access identifier; *@REALM: everyone of the realm who has no line",
        },
    )


def _user() -> None:
    mode = USER
    words = HELP | {"service": "Use of the account", "permission": "What is allowed"}
    toggle(mode, "enabled", "service enable", "The user may use anything at all", words=words)
    toggle(mode, "pmipv6", "permission pmipv6", "Network-based mobility (RFC 5779)", words=words)
    toggle(mode, "mip6", "permission mipv6", "Mobile IPv6 (RFC 5778)", words=words)
    toggle(mode, "mip4", "permission mobile-ip", "Mobile IPv4 (RFC 4004)", words=words)
    for path, word in (("mn-aaa", "mn-aaa"), ("mn-ha", "mn-ha")):
        setting(
            mode,
            path,
            f"{word} [ spi <spi:HEX> ] secret <key:SECRET>",
            no=word,
            default=word,
            help={**HELP, "key": "4 to 127 characters"},
        )
    for path, syntax, key, text in (
        ("home-network-prefix", "home-network-prefix <prefix:IPV6/LEN>", "prefix", "Prefix always assigned"),
        (
            "mobile-network-prefix",
            "mobile-network-prefix <prefix:IPV6/LEN>",
            "prefix",
            "Network behind this mobile router (RFC 3963)",
        ),
        ("allowed-service", "allowed-service <service:STRING 1-253>", "service", "Service-Selection allowed"),
    ):
        setting(mode, path, syntax, keys=(key,), no=syntax, help={path: text, key: text})
    for path, syntax, text in (
        ("ipv4_address", "ipv4-home-address <ipv4_address:IPV4>", "IPv4 home address always assigned"),
        ("home_agent", "home-agent <home_agent:IP>", "Anchor or home agent that has to serve the user"),
        ("class_", "class <class_:STRING 1-253>", "Class AVP that the client gets and gives back"),
        (
            "charge",
            "chargeable-user-identity <charge:STRING 1-253>",
            "Chargeable-User-Identity that the client gets",
        ),
    ):
        head = syntax.partition(" <")[0]
        setting(mode, path, syntax, no=head, default=head, help={head: text, path: text})
    for syntax, text in (
        ("authorization-lifetime <authorization_lifetime:NUMBER>", "Time until the client has to ask again"),
        ("grace-period <grace_period:NUMBER>", "Time that it may be late"),
        ("session-timeout <session_timeout:NUMBER>", "Longest session; 0: no limit"),
        ("interim-interval <interim_interval:NUMBER>", "Time between interim records; 0: none"),
        ("max-sessions <max_sessions:NUMBER>", "Sessions at one time; 0: no limit"),
        ("bandwidth up <bandwidth_up:NUMBER>", "From the mobile node; 0: not said"),
        ("bandwidth down <bandwidth_down:NUMBER>", "To the mobile node; 0: not said"),
    ):
        number(mode, syntax, text, words=HELP)


for _declare in (_group, _server, _user):
    _declare()
