"""Configuration commands of what is refused, and of peers that are not as others are."""

from appliance.cli.commands.configuration import (
    GROUP,
    HOME_AGENT,
    LMA,
    MAG,
    SUBSCRIBER,
    USER,
    WORDS,
    choice,
    number,
    toggle,
)
from appliance.cli.grammar import setting
from appliance.config_peers import ANCHOR_WORDS, PEER_HELP, SWITCHES, optional


def _anchor(mode: str) -> None:
    choice(
        mode,
        "newcall policy <newcall_policy:none|reject|busyout>",
        "New sessions: none - welcome, reject - status 129, busyout - status 130",
        words={**WORDS, "newcall": "Registrations that would begin a session"},
    )
    number(
        mode,
        "max-memory <max_memory:NUMBER>",
        "Memory of the process above which new sessions are refused with status 130",
        no="max-memory",
        note="no limit",
    )
    number(mode, "max-pending <max_pending:NUMBER>", "Registrations that wait for AAA or another gateway")
    toggle(mode, "shutdown", "shutdown", "Updates are counted and not answered; sessions last their lifetime")


def _subscriber() -> None:
    words = {**WORDS, "service": "Use of the subscription"}
    toggle(SUBSCRIBER, "enabled", "service enable", "Any mobility at all; without it status 129", words=words)


def _mag() -> None:
    setting(
        MAG,
        "lma-peer",
        f"lma-peer <address:IP> {SWITCHES} {optional(ANCHOR_WORDS)}",
        keys=("address",),
        no="lma-peer <address:IP>",
        help={
            "lma-peer": "An anchor that is not as others are",
            "address": "Its address, IPv6 or IPv4",
            **PEER_HELP,
            **ANCHOR_WORDS,
        },
    )


def _aaa() -> None:
    newer = "Refusals because a newer session of the user is elsewhere (3GPP result 5453)"
    setting(
        GROUP,
        "newer-session",
        "newer-session host <host:IDENTITY> detected-by <detector:pcrf|pcs>",
        keys=("host",),
        no="newer-session host <host:IDENTITY>",
        help={
            "newer-session": newer,
            "host": "Error-Reporting-Host of the answer, or else its Origin-Host",
            "detected-by": "What this host is; others are AAA servers",
            "detector": "Policy and charging rules function, or policy and charging server",
        },
    )
    setting(
        USER,
        "newer_session",
        "newer-session host <newer_session:IDENTITY>",
        no="newer-session",
        default="newer-session",
        help={
            "newer-session": "Every request about the user is refused with 3GPP result 5453",
            "host": "Who has seen the newer session",
            "newer_session": "Error-Reporting-Host of the answer",
        },
    )


for _mode in (LMA, HOME_AGENT):
    _anchor(_mode)
for _declare in (_subscriber, _mag, _aaa):
    _declare()
