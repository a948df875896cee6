"""The configuration with types: what the services are built from.

``load`` reads a text into a tree by the grammar, then ``build`` makes settings of it and
checks what no single line can show: addresses used twice, pools that overlap, names
that lead nowhere. All errors come together and nothing is half-applied.
"""

from typing import Any

from attrs import AttrsInstance, define, field, fields_dict

from appliance.config_checks import SSH_PORT, address_range, find_faults
from appliance.config_text import parse, show
from appliance.config_tree import (
    DEFAULT_CONTROL_SOCKET,
    DEFAULT_HOSTNAME,
    DEFAULT_STATE_DIRECTORY,
    ConfigurationErrors,
    Section,
)
from appliance.management import LEVELS, Management, SshServer, User
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    AddressPool,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    Peer,
    PrefixPool,
    Profile,
)

__all__ = [
    "Configuration",
    "ConfigurationErrors",
    "Context",
    "Interface",
    "Section",
    "build",
    "load",
    "parse",
    "show",
]


@define(slots=True, kw_only=True)
class Interface:
    """``interface NAME``: a device of the host, and the addresses it is to have."""

    name: str
    context: str
    addresses: tuple[tuple[bytes, int], ...] = ()
    """Packed address (16 or 4 octets) and prefix length of the link."""


@define(slots=True, kw_only=True)
class Context:
    """``context NAME``: what its services share."""

    name: str
    interfaces: tuple[Interface, ...] = ()
    prefix_pools: tuple[PrefixPool, ...] = ()
    address_pools: tuple[AddressPool, ...] = ()
    profiles: tuple[Profile, ...] = ()
    default_profile: Profile | None = None


@define(slots=True, kw_only=True)
class Configuration:
    """A whole configuration that has passed every check."""

    hostname: str = DEFAULT_HOSTNAME
    state_directory: str = DEFAULT_STATE_DIRECTORY
    control_socket: str = DEFAULT_CONTROL_SOCKET
    management: Management = field(factory=Management)
    contexts: tuple[Context, ...] = ()
    lma_services: tuple[LmaSettings, ...] = ()
    """With peers, pools and profiles of their context filled in."""
    mag_services: tuple[MagSettings, ...] = ()
    tree: Section = field(factory=lambda: Section("config"))
    """What it was built from; ``show configuration`` prints this."""


def load(text: str, filename: str) -> Configuration:
    """Read a configuration; ``filename`` stands in the errors (``<stdin>`` for standard input).

    Raises :class:`ConfigurationErrors` holding a ``FILE:LINE: Failure: ...`` line for each error.
    """
    return build(parse(text, filename), filename)


def build(tree: Section, filename: str) -> Configuration:
    """Make settings of a tree and check them. Raises :class:`ConfigurationErrors`."""
    if faults := find_faults(tree):
        raise ConfigurationErrors([f"{filename}:{line}: Failure: {text}" for line, text in sorted(faults)])
    configuration = Configuration(tree=tree, management=_management(tree))
    _assign(configuration, tree)
    contexts: list[Context] = []
    for section in tree.all("context"):
        context = _context(section)
        contexts.append(context)
        configuration.lma_services += tuple(_lma(each, context) for each in section.all("lma-service"))
        configuration.mag_services += tuple(_mag(each, context) for each in section.all("mag-service"))
    configuration.contexts = tuple(contexts)
    return configuration


def _assign(settings: AttrsInstance, section: Section) -> None:
    """Set the fields that lines name: on/off by their path, values by their placeholders."""
    known = fields_dict(type(settings))
    for path, entries in section.settings.items():
        for entry in entries.values():
            if not entry.args:
                setattr(settings, path, not entry.negated)
            elif () in entries:
                for name, value in entry.args.items():
                    if name in known:
                        setattr(settings, name, value)


def _management(tree: Section) -> Management:
    servers = [server for context in tree.all("context") for server in context.all("server sshd")]
    keys: dict[str, list[str]] = {}
    for entry in (entry for server in servers for entry in server.entries("authorized-key")):
        keys.setdefault(entry.args["username"], []).append(f"{entry.args['type']} {entry.args['key']}")
    values = {
        name: entry.args[name]
        for name in ("max_failed_logins", "lockout_time", "banner", "banner_pre_login")
        for entry in tree.entries(name)
    }
    users = tuple(
        _user(entry.args, tuple(keys.get(entry.args["username"], ()))) for entry in tree.entries("local-user")
    )
    return Management(users=users, ssh=_ssh(servers[0]) if servers else None, **values)


def _user(args: dict[str, Any], keys: tuple[str, ...]) -> User:
    limits = {name: args[name] for name in ("timeout_min_absolute", "timeout_min_idle") if name in args}
    return User(
        username=args["username"],
        rights=LEVELS[args.get("level", "operator")],
        # A password in clear is no hash: config_secrets.seal makes one of it before a system starts.
        password=args.get("encrypted_password", ""),
        lockout="no-lockout-login-failure" not in args,
        keys=keys,
        **limits,
    )


def _ssh(section: Section) -> SshServer:
    values: dict[str, Any] = {}
    for entry in section.entries("max_servers"):
        values["max_servers"] = entry.args["max_servers"]
    listeners = tuple(
        (entry.args["address"], entry.args.get("port", SSH_PORT)) for entry in section.entries("listen")
    )
    if listeners:
        values["listeners"] = listeners
    return SshServer(**values)


def _context(section: Section) -> Context:
    defaults = section.all("subscriber default")
    return Context(
        name=section.name,
        interfaces=tuple(
            Interface(
                name=each.name,
                context=section.name,
                addresses=tuple(
                    entry.args["host"]
                    for path in ("ipv6 address", "ip address")
                    for entry in each.entries(path)
                ),
            )
            for each in section.all("interface")
        ),
        prefix_pools=tuple(_prefix_pool(entry.args) for entry in section.entries("ipv6 pool")),
        address_pools=tuple(_address_pool(entry.args) for entry in section.entries("ip pool")),
        profiles=tuple(_profile(each) for each in section.all("subscriber")),
        default_profile=_profile(defaults[0]) if defaults else None,
    )


def _prefix_pool(args: dict[str, Any]) -> PrefixPool:
    prefix, length = args["prefix"]
    pool = PrefixPool(name=args["name"], prefix=prefix, prefix_length=length)
    pool.delegated_length = args.get("delegated_length", pool.delegated_length)
    pool.group = args.get("group", "")
    pool.static = "static" in args
    return pool


def _address_pool(args: dict[str, Any]) -> AddressPool:
    network, length, first, last = address_range(args)
    router = args.get("default_router") or (int.from_bytes(network, "big") + (length < 31)).to_bytes(4, "big")
    return AddressPool(
        name=args["name"],
        network=network,
        prefix_length=length,
        first=first,
        last=last,
        default_router=router,
        group=args.get("group", ""),
        static="static" in args,
    )


def _profile(section: Section) -> Profile:
    profile = Profile(name=section.name or "default", mn_id=section.name.encode())
    _assign(profile, section)
    profile.prefixes = tuple(entry.args["prefix"] for entry in section.entries("home-network-prefix"))
    profile.mags = tuple(entry.args["address"] for entry in section.entries("allowed-mag"))
    profile.services = tuple(entry.args["service"].encode() for entry in section.entries("allowed-service"))
    return profile


def _lma(section: Section, context: Context) -> LmaSettings:
    settings = LmaSettings(name=section.name, context=context.name)
    _assign(settings, section)
    settings.peers = tuple(
        Peer(address=address, prefix_length=length, allowed="prohibited" not in entry.args)
        for entry in section.entries("mag-peer")
        for address, length in (entry.args["peer"],)
    )
    settings.prefix_pools = context.prefix_pools
    settings.address_pools = context.address_pools
    settings.profiles = context.profiles
    settings.default_profile = context.default_profile
    return settings


def _mag(section: Section, context: Context) -> MagSettings:
    settings = MagSettings(name=section.name, context=context.name)
    _assign(settings, section)
    settings.access_interfaces = tuple(
        AccessInterface(**entry.args) for entry in section.entries("access-interface")
    )
    settings.policies = tuple(_policy(entry.args) for entry in section.entries("mobile-node"))
    return settings


def _policy(args: dict[str, Any]) -> MobilePolicy:
    return MobilePolicy(
        link_layer=args.get("link_layer", b""),
        mn_id=args["nai"].encode(),
        interface=args.get("interface", ""),
        lma=args.get("lma"),
        ipv6="ipv4-only" not in args,
        ipv4="ipv4" in args or "ipv4-only" in args,
        service=args.get("service", "").encode(),
        prefixes=(args["prefix"],) if "prefix" in args else (),
    )
