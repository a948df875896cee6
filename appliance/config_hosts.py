"""Settings for the bindings of hosts out of a configuration tree, and what contradicts itself in them."""

from collections.abc import Iterator

from appliance.config_checks import Fault, Outline
from appliance.config_diameter import half_hexadecimal, secret_octets
from appliance.config_tree import Section, factory_value
from appliance.protocols.pmipv6.agent_settings import AgentEntry
from appliance.protocols.pmipv6.host_settings import Association
from appliance.protocols.pmipv6.settings import PrefixPool

#: Bits of a home address.
WHOLE = 128
LEAST_KEY = 4


def associations(section: Section) -> tuple[Association, ...]:
    """The keys of a service or a subscriber, by their ``mn-ha-spi`` lines."""
    return tuple(
        Association(spi=entry.args["spi"], key=secret_octets(entry.args["key"]))
        for entry in section.entries("mn-ha-spi")
    )


def home_addresses(section: Section) -> tuple[bytes, ...]:
    """The home addresses of a subscriber."""
    return tuple(entry.args["address"] for entry in section.entries("mipv6-home-address"))


def network_prefixes(section: Section) -> tuple[tuple[bytes, int], ...]:
    """The mobile network prefixes of a subscriber."""
    return tuple(entry.args["prefix"] for entry in section.entries("mobile-network-prefix"))


def served_pools(section: Section) -> tuple[str, ...]:
    """Names of the pools that a service has home addresses of."""
    return tuple(entry.args["pool"] for entry in section.entries("mipv6 home-address-pool"))


def home_agents(section: Section) -> tuple[AgentEntry, ...]:
    """The other home agents that a service tells hosts of."""
    return tuple(
        AgentEntry(address=entry.args["address"], preference=entry.args.get("preference", 0))
        for entry in section.entries("mipv6 home-agent")
    )


def host_faults(contexts: list[Outline]) -> Iterator[Fault]:
    """Everything about hosts that contradicts itself."""
    for context in contexts:
        for service in context.anchors():
            title = f"{service.mode} {service.name}"
            yield from _pools(context, service, title)
            yield from _keys(service, title)
            for entry in service.entries("default_subscriber"):
                wanted = entry.args["default_subscriber"]
                if wanted not in [each.name for each in context.all("subscriber")]:
                    yield entry.line, f"{title}: no subscriber name '{wanted}' in its context"
        owners: dict[bytes, str] = {}
        for subscriber in (*context.all("subscriber default"), *context.all("subscriber")):
            name = subscriber.name or "default"
            yield from _keys(subscriber, f"subscriber {name}")
            for entry in subscriber.entries("mipv6-home-address"):
                address = entry.args["address"]
                if not subscriber.name:
                    yield entry.line, "subscriber default: a home address needs a subscriber name"
                elif address in owners:
                    yield (
                        entry.line,
                        f"subscriber {name}: home address of subscriber {owners[address]} already",
                    )
                owners.setdefault(address, name)


def _pools(context: Outline, service: Section, title: str) -> Iterator[Fault]:
    found = {entry.args["name"]: entry.args for entry in context.entries("ipv6 pool")}
    for entry in service.entries("mipv6 home-address-pool"):
        pool = found.get(entry.args["pool"])
        if pool is None:
            yield entry.line, f"{title}: no ipv6 pool '{entry.args['pool']}' in its context"
            continue
        length = pool.get("delegated_length", factory_value(PrefixPool, "delegated_length"))
        if length != WHOLE or "static" not in pool:
            yield (
                entry.line,
                f"{title}: ipv6 pool {entry.args['pool']} has no 'delegated-length {WHOLE} ... static', "
                "which home addresses of hosts need",
            )


def _keys(section: Section, title: str) -> Iterator[Fault]:
    for entry in section.entries("mn-ha-spi"):
        if half_hexadecimal(entry.args["key"]):
            yield (
                entry.line,
                f"{title}: a key of mn-ha-spi that begins with 0x has pairs of hexadecimal digits behind it",
            )
        elif len(secret_octets(entry.args["key"])) < LEAST_KEY:
            yield entry.line, f"{title}: a key of mn-ha-spi has {LEAST_KEY} octets at least"
