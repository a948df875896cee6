"""The configuration with types: what the services are built from.

``load`` reads a text into a tree by the grammar, then ``build`` makes settings of it and
checks what no single line can show: addresses used twice, pools that overlap, names
that lead nowhere. All errors come together and nothing is half-applied.
"""

from typing import Any

from attrs import AttrsInstance, define, field

from appliance.aaa.settings import AaaServerSettings
from appliance.config_checks import Fault, Outline, address_range, find_faults, outlines
from appliance.config_diameter import diameter_faults, make_endpoint, make_group, make_server
from appliance.config_hosts import (
    associations,
    home_addresses,
    home_agents,
    host_faults,
    network_prefixes,
    served_pools,
)
from appliance.config_management import make_management, management_faults
from appliance.config_memory import Memory
from appliance.config_mn import client_faults, make_client
from appliance.config_options import (
    access_networks,
    collocate,
    delegated_prefixes,
    delegation_pool,
    delegations,
    option_faults,
    redirect_targets,
    service_profile,
    vendor_options,
)
from appliance.config_peers import make_anchor, make_peer
from appliance.config_text import parse, show
from appliance.config_tree import (
    DEFAULT_CONTROL_SOCKET,
    DEFAULT_HOSTNAME,
    DEFAULT_STATE_DIRECTORY,
    ConfigurationErrors,
    Entry,
    Section,
    values_of,
)
from appliance.management import Management
from appliance.protocols.diameter.settings import EndpointSettings, GroupSettings
from appliance.protocols.mipv6.settings import LONGEST, HomeAgentSettings
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.option_settings import DelegationPool, ServiceProfile
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    AddressPool,
    GlobalPeer,
    LmaSettings,
    MagSettings,
    MobilePolicy,
    PrefixPool,
    Profile,
    QosWish,
)

__all__ = [
    "Builder",
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
    groups: tuple[GroupSettings, ...] = ()
    delegation_pools: tuple[DelegationPool, ...] = ()
    service_profiles: tuple[ServiceProfile, ...] = ()


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
    home_agents: tuple[HomeAgentSettings, ...] = ()
    """Filled in likewise."""
    mag_services: tuple[MagSettings, ...] = ()
    mn_clients: tuple[MnSettings, ...] = ()
    endpoints: tuple[EndpointSettings, ...] = ()
    aaa_servers: tuple[AaaServerSettings, ...] = ()
    dictionaries: tuple[str, ...] = ()
    """Paths of the files of ``diameter dictionary``."""
    tree: Section = field(factory=lambda: Section("config"))
    """What it was built from; ``show configuration`` prints this."""
    derived: dict[str, Any] = field(factory=dict, eq=False, repr=False)
    """What others have worked out of it, under a name of theirs, and want to work out once only."""

    @property
    def anchors(self) -> tuple[LmaSettings, ...]:
        """LMA services and home agents: whatever has pools, subscribers and a tunnel device."""
        return (*self.lma_services, *self.home_agents)


def load(text: str, filename: str) -> Configuration:
    """Read a configuration; ``filename`` stands in the errors (``<stdin>`` for standard input).

    Raises :class:`ConfigurationErrors` holding a ``FILE:LINE: Failure: ...`` line for each error.
    """
    return build(parse(text, filename), filename)


def build(tree: Section, filename: str) -> Configuration:
    """Make settings of a tree and check them. Raises :class:`ConfigurationErrors`."""
    faults, configuration = Builder().build(tree)
    if faults or configuration is None:
        raise ConfigurationErrors([f"{filename}:{line}: Failure: {text}" for line, text in faults])
    return configuration


class Builder:
    """Makes settings of one tree after the other; what a tree shares with the one before costs nothing.

    No section that was given to it may be changed in place afterwards: a changed tree has other objects
    on the way from its root to the changed line.
    """

    def __init__(self) -> None:
        self._memory = Memory()

    def build(self, tree: Section) -> tuple[list[Fault], Configuration | None]:
        """Either what contradicts itself in a tree (line and text, in order), or the settings of it."""
        found, memory = outlines(tree), self._memory
        faults = [
            *find_faults(found, memory),
            *option_faults(found, memory),
            *diameter_faults(found),
            *management_faults(tree),
        ]
        faults += [*host_faults(found), *client_faults(found)]
        if faults:
            return sorted(faults), None
        configuration = Configuration(tree=tree, management=make_management(tree))
        _assign(configuration, tree)
        configuration.dictionaries = tuple(
            entry.args["file"] for entry in tree.entries("diameter dictionary")
        )
        congestion = Congestion()
        _assign(congestion, tree)
        contexts: list[Context] = []
        for outline in found:
            context = _context(outline, memory)
            contexts.append(context)
            configuration.lma_services += tuple(
                _lma(each, context, congestion) for each in outline.all("lma-service")
            )
            configuration.home_agents += tuple(
                _home_agent(each, context, congestion) for each in outline.all("mipv6ha-service")
            )
            configuration.mag_services += tuple(
                _mag(each, context, memory) for each in outline.all("mag-service")
            )
            configuration.mn_clients += tuple(
                make_client(each, context.name, _assign) for each in outline.all("mn-client")
            )
            configuration.endpoints += tuple(
                make_endpoint(each, context.name) for each in outline.all("diameter-endpoint")
            )
            configuration.aaa_servers += tuple(
                make_server(each, context.name, memory) for each in outline.all("aaa-server")
            )
        configuration.lma_services = collocate(configuration.lma_services)
        configuration.contexts = tuple(contexts)
        memory.close()
        return [], configuration


def _assign(settings: AttrsInstance, section: Section) -> None:
    """Set the fields that lines name."""
    for name, value in values_of(section, type(settings)).items():
        setattr(settings, name, value)


def _context(section: Outline, memory: Memory) -> Context:
    name = section.name
    default = memory.each(("default", name), section.all("subscriber default"), _profile)
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
        prefix_pools=memory.each(("ipv6 pool", name), section.entries("ipv6 pool"), _prefix_pool),
        address_pools=memory.each(("ip pool", name), section.entries("ip pool"), _address_pool),
        profiles=memory.each(("subscriber", name), section.all("subscriber"), _profile),
        default_profile=default[0] if default else None,
        groups=tuple(
            make_group(each, name, section.all("diameter-endpoint")) for each in section.all("aaa-group")
        ),
        delegation_pools=memory.each(
            ("prefix-delegation pool", name), section.entries("prefix-delegation pool"), delegation_pool
        ),
        service_profiles=memory.each(
            ("service-profile", name), section.all("service-profile"), service_profile
        ),
    )


def _prefix_pool(entry: Entry) -> PrefixPool:
    args = entry.args
    prefix, length = args["prefix"]
    pool = PrefixPool(name=args["name"], prefix=prefix, prefix_length=length)
    pool.delegated_length = args.get("delegated_length", pool.delegated_length)
    pool.group = args.get("group", "")
    pool.static = "static" in args
    return pool


def _address_pool(entry: Entry) -> AddressPool:
    args = entry.args
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
    profile.home_addresses = home_addresses(section)
    profile.network_prefixes = network_prefixes(section)
    profile.associations = associations(section)
    profile.mags = tuple(entry.args["address"] for entry in section.entries("allowed-mag"))
    profile.services = tuple(entry.args["service"].encode() for entry in section.entries("allowed-service"))
    profile.delegated = delegated_prefixes(section)
    return profile


def _lma(section: Section, context: Context, congestion: Congestion) -> LmaSettings:
    settings = LmaSettings(name=section.name, context=context.name, congestion=congestion)
    _anchor(settings, section, context)
    settings.peers = tuple(make_peer(entry) for entry in section.entries("mag-peer"))
    settings.global_peers = tuple(
        GlobalPeer(
            address=entry.args["peer"][0],
            prefix_length=entry.args["peer"][1],
            identity=entry.args.get("identity", "").encode(),
        )
        for entry in section.entries("revocation global-peer")
    )
    settings.service_profiles = context.service_profiles
    settings.redirect_targets = redirect_targets(section)
    settings.vendor_options = vendor_options(section)
    return settings


def _home_agent(section: Section, context: Context, congestion: Congestion) -> HomeAgentSettings:
    settings = HomeAgentSettings(name=section.name, context=context.name, congestion=congestion)
    _anchor(settings, section, context)
    # "no reg-lifetime": what a host asks for is not cut.
    settings.reg_lifetime = settings.reg_lifetime or LONGEST
    named = (each for each in context.profiles if each.name == settings.default_subscriber)
    settings.default_profile = next(named, context.default_profile)
    return settings


def _anchor(settings: LmaSettings, section: Section, context: Context) -> None:
    """What an LMA service and a home agent have of their section and of their context."""
    _assign(settings, section)
    settings.mipv6_pools = served_pools(section)
    settings.mipv6_associations = associations(section)
    settings.mipv6_agents = home_agents(section)
    settings.prefix_pools = context.prefix_pools
    settings.delegation_pools = context.delegation_pools
    settings.address_pools = context.address_pools
    settings.profiles = context.profiles
    settings.default_profile = context.default_profile
    settings.aaa = next((group for group in context.groups if group.name == settings.aaa_group), None)


def _mag(section: Section, context: Context, memory: Memory) -> MagSettings:
    settings = MagSettings(name=section.name, context=context.name)
    _assign(settings, section)
    settings.anchors = tuple(make_anchor(entry) for entry in section.entries("lma-peer"))
    settings.access_interfaces = tuple(
        AccessInterface(**entry.args) for entry in section.entries("access-interface")
    )
    settings.qos_requests = tuple(_qos_wish(entry) for entry in section.entries("qos-request"))
    settings.dhcp_dns_servers = tuple(entry.args["server"] for entry in section.entries("dhcp dns-server"))
    settings.policies = memory.each(
        ("mobile-node", context.name, section.name), section.entries("mobile-node"), _policy
    )
    settings.redirect_allowed = tuple(entry.args["prefix"] for entry in section.entries("redirect allow"))
    settings.delegations = delegations(section)
    settings.vendor_options = vendor_options(section)
    settings.access_networks = access_networks(section)
    return settings


def _qos_wish(entry: Entry) -> QosWish:
    args = {name: value for name, value in entry.args.items() if name not in ("any", "nai")}
    return QosWish(mn_id=entry.args.get("nai", "").encode(), **args)


def _policy(entry: Entry) -> MobilePolicy:
    args = entry.args
    return MobilePolicy(
        link_layer=args.get("link_layer", b""),
        mn_id=args["nai"].encode(),
        interface=args.get("interface", ""),
        lma=args.get("lma"),
        ipv6="ipv4-only" not in args,
        ipv4=not args.keys().isdisjoint(("ipv4", "ipv4-on-demand", "ipv4-only")),
        ipv4_on_demand="ipv4-on-demand" in args,
        service=args.get("service", "").encode(),
        prefixes=(args["prefix"],) if "prefix" in args else (),
    )
