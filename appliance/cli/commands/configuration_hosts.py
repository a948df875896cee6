"""Configuration commands for the bindings of hosts (RFC 6275, RFC 4285, RFC 5648).

Both an ``lma-service`` and a ``mipv6ha-service`` serve hosts, so each line is declared once for both
(:data:`HOST_MODES`). In an ``lma-service``, which is there for gateways, it begins with ``mipv6``; in a
``mipv6ha-service`` the same line stands without that word::

    host_toggle("mipv6_home_and_foreign", "home-and-foreign", "At home and abroad at the same time")

    [ctx]host(config-lma-service)# mipv6 home-and-foreign
    [ctx]host(config-mipv6ha-service)# home-and-foreign

:func:`host_toggle`, :func:`host_number`, :func:`host_choice` and :func:`host_setting` are :func:`toggle`,
:func:`number`, :func:`choice` and :func:`setting` without their mode; the setting itself is a field of
``HostSettings``, and of several lines of a path, a function of ``config_hosts`` makes it.
"""

from collections.abc import Mapping

from appliance.cli.commands.configuration import (
    HOME_AGENT,
    LMA,
    SUBSCRIBER,
    WORDS,
    choice,
    number,
    toggle,
)
from appliance.cli.grammar import setting

#: The modes that serve hosts, each with what stands in front of their lines there.
HOST_MODES = ((LMA, "mipv6 "), (HOME_AGENT, ""))

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


def host_toggle(path: str, syntax: str, text: str, words: Mapping[str, str] | None = None) -> None:
    """An on/off command of both services; ``path`` is its field, ``syntax`` as in a ``mipv6ha-service``."""
    for mode, prefix in HOST_MODES:
        toggle(mode, path, prefix + syntax, text, words={**HELP, **(words or {})})


def host_number(
    syntax: str, text: str, no: str = "", note: str = "", words: Mapping[str, str] | None = None
) -> None:
    """A command ``words <field:NUMBER>`` of both services; ``no``: its words in the ``no`` form."""
    for mode, prefix in HOST_MODES:
        gone = prefix + no if no else ""
        number(mode, prefix + syntax, text, no=gone, note=note, words={**HELP, **(words or {})})


def host_choice(syntax: str, text: str, words: Mapping[str, str] | None = None) -> None:
    """A command ``words <field:a|b>`` of both services."""
    for mode, prefix in HOST_MODES:
        choice(mode, prefix + syntax, text, words={**HELP, **(words or {})})


def host_setting(
    path: str,
    syntax: str,
    *,
    help: Mapping[str, str],
    no: str = "",
    default: str = "",
    keys: tuple[str, ...] = (),
    ranges: Mapping[str, tuple[int, int, str]] | None = None,
) -> None:
    """Any other command of both services, arguments as of :func:`setting`.

    ``path`` is what ``section.entries`` finds the lines by, in both modes.
    """
    for mode, prefix in HOST_MODES:
        setting(
            mode,
            path,
            prefix + syntax,
            help={**HELP, **help},
            no=prefix + no if no else "",
            default=prefix + default if default else "",
            keys=keys,
            ranges=ranges,
        )


def _key(mode: str) -> None:
    setting(mode, "mn-ha-spi", f"{SPI} secret <key:SECRET>", keys=("spi",), no=SPI, help=HELP)


def _service() -> None:
    toggle(LMA, "mipv6", "mipv6 enable", "Hosts may register; without it status 131", words=HELP)
    pool = "home-address-pool <pool:NAME>"
    host_setting(
        "mipv6 home-address-pool",
        pool,
        keys=("pool",),
        no=pool,
        help={
            "home-address-pool": "Home addresses that are served; another one gets status 132",
            "pool": "Name of an ipv6 pool with delegated-length 128 and the word static",
        },
    )
    host_setting(
        "mipv6_home_link",
        "home-link <mipv6_home_link:NAME 1-15>",
        no="home-link",
        default="home-link",
        help={
            "home-link": "Device of a real home link: addresses are tested (status 134), then defended there",
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
        host_choice(f"{word} <{field}:{values}>", text)
    text = "At home and abroad at the same time (RFC 5648 section 5.6)"
    host_toggle("mipv6_home_and_foreign", "home-and-foreign", text)
    text = "MESG-ID option required (RFC 4285 section 6)"
    host_toggle("mipv6_mesg_id", "timestamp-replay-protection", text)
    host_number("timestamp-tolerance <mipv6_tolerance:NUMBER>", "Clock difference allowed")
    for mode, _ in HOST_MODES:
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
