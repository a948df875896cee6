"""Configuration commands of what is refused, and of peers that are not as others are."""

from appliance.cli.commands.configuration import LMA, MAG, SUBSCRIBER, WORDS, choice, number, toggle
from appliance.cli.grammar import setting
from appliance.config_peers import ANCHOR_WORDS, PEER_HELP, SWITCHES, optional


def _lma() -> None:
    choice(
        LMA,
        "newcall policy <newcall_policy:none|reject|busyout>",
        "New sessions: none - welcome, reject - status 129, busyout - status 130",
        words={**WORDS, "newcall": "Registrations that would begin a session"},
    )
    number(
        LMA,
        "max-memory <max_memory:NUMBER>",
        "Memory of the process above which new sessions are refused with status 130",
        no="max-memory",
        note="no limit",
    )
    number(LMA, "max-pending <max_pending:NUMBER>", "Registrations that wait for AAA or another gateway")
    toggle(LMA, "shutdown", "shutdown", "Updates are counted and not answered; sessions last their lifetime")


def _subscriber() -> None:
    words = {**WORDS, "service": "Use of the subscription"}
    toggle(SUBSCRIBER, "enabled", "service enable", "Any mobility at all; without it status 129", words=words)


def _mag() -> None:
    setting(
        MAG,
        "lma-peer",
        f"lma-peer <address:IPV6> {SWITCHES} {optional(ANCHOR_WORDS)}",
        keys=("address",),
        no="lma-peer <address:IPV6>",
        help={
            "lma-peer": "An anchor that is not as others are",
            "address": "Its IPv6 address",
            **PEER_HELP,
            **ANCHOR_WORDS,
        },
    )


for _declare in (_lma, _subscriber, _mag):
    _declare()
