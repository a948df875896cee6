"""Settings of ``mn-client`` out of a configuration tree, and what contradicts itself in them."""

from collections.abc import Callable, Iterator

from attrs import AttrsInstance

from appliance.config_checks import Fault, Outline
from appliance.config_diameter import half_hexadecimal, secret_octets
from appliance.config_hosts import LEAST_KEY, associations
from appliance.config_tree import Section
from appliance.protocols.mn.settings import MnSettings, MobileInterface

#: Clients of one process, as many as the routing rules have room for.
MOST_CLIENTS = 100
_TITLE = "mn-client {}"


def make_client(
    section: Section, context: str, assign: Callable[[AttrsInstance, Section], None]
) -> MnSettings:
    """The settings of one client; ``assign`` sets the fields that lines name."""
    settings = MnSettings(name=section.name, context=context)
    assign(settings, section)
    for entry in section.entries("nai"):
        settings.mn_id = entry.args["nai"].encode()
    for entry in section.entries("service-selection"):
        settings.service = entry.args["selection"].encode()
    for entry in section.entries("mn-aaa"):
        settings.aaa_key = secret_octets(entry.args["key"])
    for entry in section.entries("home-prefix"):
        settings.home_prefix, settings.home_prefix_length = entry.args["prefix"]
    for entry in section.entries("interface-identifier"):
        settings.interface_identifier = entry.args["identifier"][8:]
    for entry in section.entries("ipv4-home-address"):
        settings.ipv4_home = True
        settings.ipv4_home_address = entry.args.get("address")
    settings.home_agents = tuple(entry.args["address"] for entry in section.entries("home-agent alternate"))
    settings.associations = associations(section)
    settings.interfaces = tuple(MobileInterface(**entry.args) for entry in section.entries("mn-interface"))
    settings.networks = tuple(entry.args["prefix"] for entry in section.entries("mobile-network-prefix"))
    return settings


def client_faults(contexts: list[Outline]) -> Iterator[Fault]:
    """Everything about mobile nodes that contradicts itself."""
    names: dict[str, str] = {}
    number = 0
    for context in contexts:
        for section in context.all("mn-client"):
            title, number = _TITLE.format(section.name), number + 1
            if section.name in names:
                yield section.line, f"{title}: there is one in context {names[section.name]} already"
            elif number > MOST_CLIENTS:
                yield section.line, f"{title}: there are {MOST_CLIENTS} clients already"
            names.setdefault(section.name, context.name)
            yield from _faults(section, title)


def _faults(section: Section, title: str) -> Iterator[Fault]:
    home = section.entries("home_address")
    prefix = section.entries("home-prefix")
    if home and prefix and not _inside(home[0].args["home_address"], *prefix[0].args["prefix"]):
        yield home[0].line, f"{title}: the home address is not in the home prefix"
    bids: dict[int, str] = {}
    for entry in section.entries("mn-interface"):
        bid, name = entry.args.get("bid", 0), entry.args["name"]
        if bid and bid in bids:
            yield entry.line, f"{title}: interface {bids[bid]} has binding identifier {bid} already"
        bids.setdefault(bid, name)
    for path, noun in (("mn-ha-spi", "mn-ha-spi"), ("mn-aaa", "mn-aaa")):
        for entry in section.entries(path):
            key = entry.args["key"]
            if half_hexadecimal(key):
                yield (
                    entry.line,
                    f"{title}: a key of {noun} that begins with 0x has pairs of hexadecimal digits behind it",
                )
            elif len(secret_octets(key)) < LEAST_KEY:
                yield entry.line, f"{title}: a key of {noun} has {LEAST_KEY} octets at least"


def _inside(address: bytes, prefix: bytes, length: int) -> bool:
    shift = 128 - length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift


def ready(settings: MnSettings) -> bool:
    """Whether a client has all that it needs to begin."""
    agent = settings.home_agent or settings.home_prefix or settings.home_address
    return bool(settings.interfaces and agent)
