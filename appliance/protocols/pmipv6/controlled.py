"""The LMA-Controlled MAG Parameters option (RFC 8127 section 3): made of settings, and read as numbers."""

import struct
from typing import Any

from appliance.protocols.mobility.options import LmaControlledMagParameters
from appliance.protocols.pmipv6.settings import LmaSettings

#: Binding Re-registration Control and Heartbeat Control: three numbers of 16 bits each.
REREGISTRATION, HEARTBEAT = 1, 2
_THREE = struct.Struct(">3H")

Three = tuple[int, int, int]


def suboption(kind: int, values: Three) -> tuple[int, bytes]:
    """One sub-option as the codec takes it."""
    return kind, _THREE.pack(*values)


def numbers(option: LmaControlledMagParameters, kind: int) -> Three | None:
    """The numbers of a sub-option; ``None``: there is none of that kind, or none of that length."""
    for item in option.suboptions:
        found: Any = item
        if found[0] == kind and len(found[1]) == _THREE.size:
            first, second, third = _THREE.unpack(found[1])
            return first, second, third
    return None


def _reregistration(settings: LmaSettings) -> Three:
    return (
        settings.mag_reregistration_start,
        settings.mag_retransmission_initial,
        settings.mag_retransmission_maximum,
    )


def _heartbeat(settings: LmaSettings) -> Three:
    return (
        settings.mag_heartbeat_interval,
        settings.mag_heartbeat_delay,
        settings.mag_heartbeat_retransmissions,
    )


def controlled_values(settings: LmaSettings) -> tuple[Three | None, Three | None]:
    """The numbers that gateways are given: re-registration and heartbeat; ``None``: it is switched off."""
    return (
        _reregistration(settings) if settings.mag_reregistration_control else None,
        _heartbeat(settings) if settings.mag_heartbeat_control else None,
    )


def parameters(settings: LmaSettings) -> LmaControlledMagParameters:
    """The option for gateways: the sub-options that are switched on."""
    values = zip((REREGISTRATION, HEARTBEAT), controlled_values(settings), strict=True)
    return LmaControlledMagParameters([suboption(kind, three) for kind, three in values if three is not None])


def fault_of(settings: LmaSettings) -> str:
    """What is configured wrongly; empty: nothing."""
    for name, three in zip(("re-registration", "heartbeat"), controlled_values(settings), strict=True):
        if three is not None and 0 in three:
            return f"mag-parameters {name}"
    return ""
