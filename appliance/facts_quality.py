"""What ``show lma-service`` and ``show mag-service`` say about handovers, bit rates and congestion."""

from appliance.facts_words import amount
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings, QosWish

Facts = list[tuple[str, str]]


def lma_quality(settings: LmaSettings) -> Facts:
    """Label and value pairs of an anchor."""
    return [
        ("Transient Bindings", "Enabled" if settings.transient_binding else "Disabled"),
        ("Transient Binding Maximum", amount(settings.transient_maximum, "millisecond")),
        ("Activation Delay", amount(settings.transient_activation_delay, "millisecond")),
        ("Congestion Control", congestion(settings)),
    ]


def congestion(settings: LmaSettings) -> str:
    """What congestion control does to new mobile nodes."""
    control = settings.congestion
    action = control.congestion_action if control.congestion_control else "none"
    return "Disabled" if action == "none" else action.capitalize()


def mag_quality(settings: MagSettings) -> Facts:
    """Label and value pairs of a gateway."""
    lifetime = settings.transient_lifetime
    facts = [("Transient Binding Lifetime", amount(lifetime, "millisecond") if lifetime else "None")]
    requests = [("QoS Request", _wish(wish)) for wish in settings.qos_requests]
    return facts + (requests or [("QoS Request", "None")])


def _wish(wish: QosWish) -> str:
    """As on its configuration line."""
    if wish.mn_id:
        who = f"nai {wish.mn_id.decode('utf-8', 'backslashreplace')}"
    else:
        who = f"interface {wish.interface}" if wish.interface else "any"
    words = [who]
    for word, value in (
        ("bandwidth-down", wish.bandwidth_down), ("bandwidth-up", wish.bandwidth_up), ("dscp", wish.dscp),
        ("priority", wish.priority),
    ):  # fmt: skip
        if value:
            words.append(f"{word} {value}")
    return " ".join(words)
