"""Configuration commands for the bindings of hosts (RFC 6275, RFC 4285, RFC 5648) at an ``lma-service``."""

from appliance.cli.commands.configuration import LMA, SUBSCRIBER, WORDS, choice, number, toggle
from appliance.cli.grammar import setting

HELP = {
    **WORDS,
    "mipv6": "Bindings of hosts that do their own mobility (RFC 6275)",
    "mn-ha-spi": "Key that a host and the anchor share (RFC 4285 section 5.1)",
    "spi-number": "Number of the key",
    "spi": "256 to 4294967295",
    "secret": "The key: text, or 0x and hexadecimal digits",
    "key": "4 to 127 characters; RFC 4285 wants 16 octets",
}
SPI = "mn-ha-spi spi-number <spi:NUMBER 256-4294967295>"


def _key(mode: str) -> None:
    setting(mode, "mn-ha-spi", f"{SPI} secret <key:SECRET>", keys=("spi",), no=SPI, help=HELP)


def _service() -> None:
    mode = LMA
    toggle(mode, "mipv6", "mipv6 enable", "Hosts may register; without it status 131", words=HELP)
    pool = "mipv6 home-address-pool <pool:NAME>"
    setting(
        mode,
        "mipv6 home-address-pool",
        pool,
        keys=("pool",),
        no=pool,
        help={
            **HELP,
            "home-address-pool": "Home addresses that are served; another one gets status 132",
            "pool": "Name of an ipv6 pool with delegated-length 128 and the word static",
        },
    )
    link = "mipv6 home-link <mipv6_home_link:NAME 1-15>"
    setting(
        mode,
        "mipv6_home_link",
        link,
        no="mipv6 home-link",
        default="mipv6 home-link",
        help={
            **HELP,
            "home-link": "Device on which a home address is tested before it is bound (status 134)",
            "mipv6_home_link": "Name of the device; without this line there is no real home link",
        },
    )
    for word, field, values, text in (
        (
            "authentication",
            "mipv6_authentication",
            "mn-ha|mn-aaa-initial|mn-aaa-always|optional",
            "Authentication options that an update must have",
        ),
        (
            "unauthenticated",
            "mipv6_unauthenticated",
            "deny|discard",
            "Update without an option that it must have, or with an unknown SPI",
        ),
        ("h-bit-not-set", "mipv6_h_bit", "deny|discard", "Update that is no home registration"),
        (
            "multiple-care-of-addresses",
            "mipv6_multiple",
            "prohibited|single|bulk",
            "Binding Identifier options (RFC 5648): none, one in an update, several",
        ),
    ):
        choice(mode, f"mipv6 {word} <{field}:{values}>", text, words=HELP)
    toggle(
        mode,
        "mipv6_home_and_foreign",
        "mipv6 home-and-foreign",
        "At home and abroad at the same time (RFC 5648 section 5.6)",
        words=HELP,
    )
    toggle(
        mode,
        "mipv6_mesg_id",
        "mipv6 timestamp-replay-protection",
        "MESG-ID option required (RFC 4285 section 6)",
        words=HELP,
    )
    number(mode, "mipv6 timestamp-tolerance <mipv6_tolerance:NUMBER>", "Clock difference allowed", words=HELP)
    _key(mode)


def _subscriber() -> None:
    mode = SUBSCRIBER
    toggle(
        mode, "mipv6", "permission mipv6", "Bindings of the host itself; without it status 129", words=HELP
    )
    syntax = "mipv6-home-address <address:IPV6>"
    text = "Home address that is this host's and nobody else's"
    setting(
        mode,
        "mipv6-home-address",
        syntax,
        keys=("address",),
        no=syntax,
        help={"mipv6-home-address": text, "address": text},
    )
    _key(mode)


for _declare in (_service, _subscriber):
    _declare()
