"""Configuration commands about what mobile nodes notice: handovers without a gap, quality of service."""

from appliance.cli.commands.configuration import LMA, MAG, SUBSCRIBER, number, toggle
from appliance.cli.grammar import setting
from appliance.config_tree import SETTINGS, limits

_TRANSIENT = {"transient-binding": "The former gateway stays for a moment after a handover (RFC 6058)"}


def _transient() -> None:
    text = "Transient bindings when gateways ask for them (RFC 6058)"
    toggle(LMA, "transient_binding", "transient-binding", text, _TRANSIENT)
    number(
        LMA,
        "transient-binding maximum-lifetime <transient_maximum:NUMBER>",
        "Longest time that the downlink stays with the former gateway",
        words=_TRANSIENT,
    )
    number(
        LMA,
        "transient-binding activation-delay <transient_activation_delay:NUMBER>",
        "ACTIVATIONDELAY: how long its uplink is accepted after that",
        words=_TRANSIENT,
    )
    number(
        MAG,
        "transient-binding lifetime <transient_lifetime:NUMBER>",
        "How long the downlink is to stay with the former gateway",
        no="transient-binding",
        note="none: the option is not sent",
        words=_TRANSIENT,
    )


def _quality() -> None:
    words = {
        "qos": "Quality of service (RFC 7222)",
        "bandwidth": "Bit rate of each session; what is over it is dropped. AAA may say another one",
        "requests": "Requests of gateways for quality of service",
    }
    toggle(SUBSCRIBER, "qos_requests", "qos requests", "Requests of gateways; without it status 179", words)
    for way, text in (("up", "From the mobile node"), ("down", "To the mobile node")):
        number(
            SUBSCRIBER,
            f"qos bandwidth {way} <bandwidth_{way}:NUMBER>",
            f"{text}; 0: as much as there is",
            words=words,
        )
    setting(
        MAG,
        "qos-request",
        "qos-request { nai <nai:NAI> | interface <interface:NAME 1-15> | any }"
        " [ bandwidth-up <bandwidth_up:NUMBER> ] [ bandwidth-down <bandwidth_down:NUMBER> ]"
        " [ dscp <dscp:NUMBER> ] [ priority <priority:NUMBER> ]",
        keys=("nai", "interface"),
        no="qos-request { nai <nai:NAI> | interface <interface:NAME 1-15> | any }",
        ranges=limits(SETTINGS["qos-request"]),
        help={
            "qos-request": "Quality of service to ask the anchor for (RFC 7222)",
            "nai": "For one mobile node",
            "interface": "For the mobile nodes on an access interface",
            "any": "For all others",
            "bandwidth-up": "Bit rate from the mobile node",
            "bandwidth_up": "1 to 4294967295 bit/s",
            "bandwidth-down": "Bit rate to the mobile node",
            "bandwidth_down": "1 to 4294967295 bit/s",
            "dscp": "Code point that the tunnel's packets are marked with",
            "priority": "Allocation and retention priority",
        },
    )


_transient()
_quality()
