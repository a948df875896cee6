"""Messages of the reference (accounting, RFC 4004, 5778, 5779), octet by octet, by name.

Client ``lma1.home.example`` or ``ha1.home.example``, server ``aaa1.home.example``, realm ``home.example``,
mobile node ``mn1@home.example`` whose MN-AAA key is ``mn1-aaa-secret-0``.
"""

from appliance.protocols.diameter.message.codec import Message
from test.protocols.diameter.golden import MESSAGES

NAMES = {
    "ACR_START": "acr start",
    "ACA_START": "aca start",
    "ACR_INTERIM": "acr interim relayed",
    "ACR_STOP": "acr stop",
    "MIR": "mir",
    "MIA": "mia",
    "MIA_REFUSED": "mia rejected",
    "AMR": "amr",
    "AMA": "ama",
    "AAR": "aar",
    "AAA_REFUSED": "aaa rejected",
    "STR": "str",
    "STA": "sta",
    "ASR": "asr",
    "ASA": "asa unknown",
    "ACA_MISSING": "error 5005",
}


def message(name: str) -> Message:
    """The message of that name."""
    return Message(MESSAGES[NAMES[name]].octets)
