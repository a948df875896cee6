"""Configuration commands about what mobile nodes notice: handovers without a gap."""

from appliance.cli.commands.configuration import LMA, MAG, number, toggle

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


_transient()
