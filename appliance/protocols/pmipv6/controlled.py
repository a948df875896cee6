"""The sub-options of the LMA-Controlled MAG Parameters option (RFC 8127 section 3.1), both sides."""

import struct
from typing import Any

from appliance.protocols.mobility.options import LmaControlledMagParameters

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
