"""Configuration commands: the modes, contexts, pools and subscribers, and how settings are declared.

Numbers take their range from the settings classes.

A placeholder's name is the name of the field that it sets, and the path of an on/off
command is the name of its field, so that ``config.build`` needs no table of its own.
Commands without a counterpart in StarOS use the words of the RFC they come from.
"""

from collections.abc import Mapping
from typing import Any

from appliance.cli.grammar import command, setting
from appliance.config_tree import SETTINGS, factory_value, limits

OUTSIDE, ROOT, CONTEXT, INTERFACE = "outside", "config", "context", "interface"
SUBSCRIBER, LMA, MAG, SSHD = "subscriber", "lma-service", "mag-service", "sshd"
HOME_AGENT = "mipv6ha-service"
SERVICE_PROFILE = "service-profile"
MN = "mn-client"
ENDPOINT, GROUP, SERVER, USER = "diameter-endpoint", "aaa-group", "aaa-server", "aaa-user"

PREFIX_POOL = SETTINGS["ipv6 pool"]

#: Modes with the word that stands in the prompt between parentheses.
PROMPTS = {
    ROOT: "config",
    CONTEXT: "config-ctx",
    INTERFACE: "config-if-eth",
    SUBSCRIBER: "config-subscriber",
    SERVICE_PROFILE: "config-service-profile",
    LMA: "config-lma-service",
    MAG: "config-mag-service",
    HOME_AGENT: "config-mipv6ha-service",
    MN: "config-mn-client",
    SSHD: "config-sshd",
    ENDPOINT: "config-ctx-diameter",
    GROUP: "config-aaa-group",
    SERVER: "config-aaa-server",
    USER: "config-aaa-user",
}

#: Help of words that several commands share.
WORDS = {
    "aaa": "Authentication, authorization and accounting",
    "access": "Access to a kind of address",
    "address": "Address",
    "advertisement": "Router Advertisements",
    "bind": "Address that the service is reached at",
    "heartbeat": "Heartbeats between the mobility entities (RFC 5847)",
    "dhcp": "What DHCP clients on the access links are told",
    "ip": "Internet Protocol version 4",
    "ipv4": "Internet Protocol version 4",
    "ipv6": "Internet Protocol version 6",
    "name": "By name",
    "permission": "What is allowed",
    "policy": "What to do in a case that the settings do not cover",
    "pool": "Addresses to assign",
    "probe": "Neighbor Solicitations to a silent mobile node",
    "retransmission": "Sending again",
    "revocation": "Binding revocation (RFC 5846)",
    "router": "Router Advertisements on the access links",
    "subscriber": "What a mobile node may do",
    "system": "Settings of the whole appliance",
}


def number(
    mode: str, syntax: str, text: str, no: str = "", note: str = "", words: Mapping[str, str] | None = None
) -> None:
    """A command ``words <field:NUMBER>`` with its ``default`` form; the help names the factory value."""
    head, _, rest = syntax.partition(" <")
    name = rest.partition(":")[0]
    kind = SETTINGS[mode]
    low, high, unit = limits(kind)[name]
    value = f"{low} to {high}{' ' + unit if unit else ''}; factory value {note or factory_value(kind, name)}"
    words = {**(words or WORDS), head.split()[-1]: text, name: value}
    setting(mode, name, syntax, help=words, no=no, default=head, ranges=limits(kind))


def toggle(mode: str, path: str, syntax: str, text: str, words: Mapping[str, str] | None = None) -> None:
    """An on/off command with its ``no`` and ``default`` forms; the help names the factory state."""
    state = factory_value(SETTINGS[mode], path)
    words = {**(words or WORDS), syntax.split()[-1]: f"{text} (factory state: {'on' if state else 'off'})"}
    setting(mode, path, syntax, help=words, toggle=True)


def choice(mode: str, syntax: str, text: str, words: Mapping[str, str] | None = None) -> None:
    """A command ``words <field:a|b>`` with its ``default`` form."""
    head, _, rest = syntax.partition(" <")
    name = rest.partition(":")[0]
    value = f"{text}; factory value {factory_value(SETTINGS[mode], name)}"
    setting(mode, name, syntax, help={**(words or WORDS), head.split()[-1]: text, name: value}, default=head)


@command(OUTSIDE, "configure", help={"configure": "Begins the configuration"}, rights="administrator")
def _configure(editor: Any, _args: dict[str, Any]) -> None:
    editor.begin()


def _leave(editor: Any, _args: dict[str, Any]) -> None:
    editor.leave()


def _end(editor: Any, _args: dict[str, Any]) -> None:
    editor.end()


def _navigation() -> None:
    for mode in PROMPTS:
        command(mode, "exit", help={"exit": "Goes one mode up"}, rights="administrator")(_leave)
        command(mode, "end", help={"end": "Returns to the Exec mode"}, rights="administrator")(_end)


def _root() -> None:
    for path, word, value, text in (
        ("hostname", "hostname", "NAME 1-63", "Name in the prompt and in protocol identities"),
        (
            "state_directory",
            "state-directory",
            "PATH",
            "Where the appliance keeps what must survive a restart",
        ),
        ("control_socket", "control-socket", "PATH", "Socket that 'appliance cli' attaches to"),
    ):
        setting(
            ROOT,
            path,
            f"system {word} <{path}:{value}>",
            help={**WORDS, word: text, path: text},
            no=f"system {word}",
            default=f"system {word}",
        )
    setting(
        ROOT,
        "context",
        "context <name:NAME 1-79>",
        keys=("name",),
        enters=CONTEXT,
        no="context <name:NAME 1-79>",
        help={"context": "Services and addresses that belong together; made if absent", "name": "Its name"},
    )


def _context() -> None:
    setting(
        CONTEXT,
        "interface",
        "interface <name:NAME 1-15>",
        keys=("name",),
        enters=INTERFACE,
        no="interface <name:NAME 1-15>",
        help={"interface": "A network device of the host", "name": "Name of the device"},
    )
    words = {
        **WORDS,
        "name": "Name of the pool",
        "prefix": "Prefix to cut home network prefixes from",
        "delegated-length": "Length of each home network prefix",
        "delegated_length": f"1 to 128 bits; factory value {factory_value(PREFIX_POOL, 'delegated_length')}",
        "group-name": "Pools of one group are used together",
        "group": "Name of the group",
        "static": "Only for addresses that a subscriber names",
        "network": "IPv4 network",
        "range": "From one address to another",
        "first": "First address",
        "last": "Last address",
        "mask-length": "Length of the network mask",
        "mask_length": "1 to 32 bits",
        "default-router": "Router that the mobile nodes are told; the network's first address if not given",
        "default_router": "IPv4 address of the router",
    }
    setting(
        CONTEXT,
        "ipv6 pool",
        "ipv6 pool <name:NAME> prefix <prefix:IPV6/LEN> [ delegated-length <delegated_length:NUMBER> ]"
        " [ group-name <group:NAME> ] [ static ]",
        keys=("name",),
        no="ipv6 pool <name:NAME>",
        help=words,
        ranges=limits(PREFIX_POOL),
    )
    setting(
        CONTEXT,
        "ip pool",
        "ip pool <name:NAME> { <network:IPV4/LEN> | range <first:IPV4> <last:IPV4>"
        " mask-length <mask_length:NUMBER 1-32> } [ default-router <default_router:IPV4> ]"
        " [ group-name <group:NAME> ] [ static ]",
        keys=("name",),
        no="ip pool <name:NAME>",
        help=words,
    )
    setting(
        CONTEXT,
        "prefix-delegation pool",
        "prefix-delegation pool <name:NAME> <prefix:IP/LEN> [ delegated-length <length:NUMBER 1-128> ]",
        keys=("name",),
        no="prefix-delegation pool <name:NAME>",
        help={
            **WORDS,
            "prefix-delegation": "Prefixes for the networks behind mobile routers (RFC 7148)",
            "name": "Name of the pool",
            "prefix": "IPv6 or IPv4 prefix to cut them from",
            "delegated-length": "Length of each delegated prefix",
            "length": "Bits; factory value 56, of IPv4 28",
        },
    )
    words = {
        **WORDS,
        "name": "Network access identifier",
        "default": "Every mobile node without a profile of its own",
    }
    setting(
        CONTEXT,
        "subscriber default",
        "subscriber default",
        enters=SUBSCRIBER,
        no="subscriber default",
        help=words,
    )
    setting(
        CONTEXT,
        "subscriber",
        "subscriber name <name:NAI>",
        keys=("name",),
        enters=SUBSCRIBER,
        no="subscriber name <name:NAI>",
        help=words,
    )


def _interface() -> None:
    words = {
        **WORDS,
        "address": "Given to the device while the appliance runs, unless it has it already",
        "host": "Address with the prefix length of the link",
    }
    for family, kind in (("ipv6", "IPV6/HOST"), ("ip", "IPV4/HOST")):
        syntax = f"{family} address <host:{kind}>"
        setting(INTERFACE, f"{family} address", syntax, keys=("host",), no=syntax, help=words)


def _subscriber() -> None:
    mode = SUBSCRIBER
    toggle(mode, "pmipv6", "permission pmipv6", "Network-based mobility; without it status 152")
    toggle(mode, "ipv6", "ipv6 access", "A home network prefix")
    toggle(mode, "ipv4", "ipv4 access", "An IPv4 home address (RFC 5844)")
    toggle(mode, "any_prefix", "any-home-network-prefix", "A free prefix of a pool that the gateway proposes")
    number(mode, "home-network-prefix-count <prefix_count:NUMBER>", "Home network prefixes of one session")
    for path, syntax, key, text in (
        ("home-network-prefix", "home-network-prefix <prefix:IPV6/LEN>", "prefix", "Prefix always assigned"),
        ("allowed-mag", "allowed-mag <address:IP>", "address", "Gateway that may register the mobile node"),
        (
            "allowed-service",
            "allowed-service <service:STRING 1-253>",
            "service",
            "Service Selection that is allowed",
        ),
    ):
        setting(mode, path, syntax, keys=(key,), no=syntax, help={path: text, key: text})
    for path, syntax, text in (
        ("ipv4_address", "ipv4-home-address <ipv4_address:IPV4>", "IPv4 home address always assigned"),
        ("address_pool", "ip address pool name <address_pool:NAME>", "Pool or group of IPv4 home addresses"),
        (
            "prefix_pool",
            "ipv6 address prefix-pool <prefix_pool:NAME>",
            "Pool or group of home network prefixes",
        ),
    ):
        head = syntax.partition(" <")[0]
        words = {**WORDS, head.split()[-1]: text, path: text}
        setting(mode, path, syntax, no=head, default=head, help=words)


for _declare in (_navigation, _root, _context, _interface, _subscriber):
    _declare()
