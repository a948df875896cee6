"""What the grammars of Diameter commands cannot say: AVPs that need others, or contradict each other.

One function per command, run when its grammar is satisfied.
"""

import struct
from collections.abc import Callable

from attrs import define

from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.definitions import AvpDef, CommandDef
from appliance.protocols.diameter.message.dictionary import standard

_D = standard()
FAILED_AVP = _D["Failed-AVP"]
AUTH_APPLICATION, ACCT_APPLICATION = _D["Auth-Application-Id"], _D["Acct-Application-Id"]
AUTH_REQUEST_TYPE = _D["Auth-Request-Type"]
FEATURES, HOME_AGENT = _D["MIP-Feature-Vector"], _D["MIP-Home-Agent-Address"]
AUTH_MODE = _D["MIP6-Auth-Mode"]
PROOF = tuple(_D[name] for name in ("MIP-MN-AAA-SPI", "MIP-Authenticator", "MIP-MAC-Mobility-Data"))
CHAP_AUTH, CHAP_CHALLENGE = _D["CHAP-Auth"], _D["CHAP-Challenge"]

#: STR, ASR and RAR may carry application 0 (RFC 4004 section 4).
SESSION_COMMANDS = (258, 274, 275)
_ACCOUNTING = 271
_WORD = struct.Struct("!I").unpack_from


@define(slots=True, frozen=True)
class Fault:
    """One thing that is wrong."""

    result: int
    """Result-Code of the answer."""
    failed: bytes = b""
    """Failed-AVP AVP for it, encoded; empty: none."""
    text: str = ""
    """For Error-Message and the log."""


def applications(message: Message) -> Fault | None:
    """The header says the same application as the message (RFC 6733 section 3)."""
    for avp in (AUTH_APPLICATION,) if message.code != _ACCOUNTING else (ACCT_APPLICATION,):
        data = message.raw(avp)
        if data is not None and _WORD(data)[0] != message.application:
            if message.application == 0 and message.code in SESSION_COMMANDS:
                continue
            text = f"{avp.name} is {_WORD(data)[0]}, and the header says {message.application}"
            return Fault(5004, FAILED_AVP.wrap(b"".join(message.octets(avp)[:1])), text)
    return None


def _contradicting(message: Message, text: str, *avps: AvpDef) -> Fault:
    copies = b"".join(octets for avp in avps for octets in message.octets(avp)[:1])
    return Fault(5007, FAILED_AVP.wrap(copies), text)


def _aar(message: Message) -> Fault | None:
    if message.raw(CHAP_AUTH) is not None and message.raw(CHAP_CHALLENGE) is None:
        text = "CHAP-Auth needs CHAP-Challenge (RFC 7155 section 4.3.4)"
        return Fault(5005, FAILED_AVP.wrap(CHAP_CHALLENGE.example()), text)
    return applications(message)


def _amr(message: Message) -> Fault | None:
    """RFC 4004 section 7.5: flag 4 asks for a home agent."""
    if message.raw(HOME_AGENT) is not None and (message.first(FEATURES) or 0) & 4:
        text = "Home-Agent-Requested is set, and there is a MIP-Home-Agent-Address"
        return _contradicting(message, text, FEATURES, HOME_AGENT)
    return applications(message)


def _mir(message: Message) -> Fault | None:
    """RFC 5778 sections 5.2.1 and 6.20: what MIP6_AUTH_MN_AAA needs; others are the application's matter."""
    if message.first(AUTH_MODE) != 1:
        return applications(message)
    for avp in PROOF:
        if message.raw(avp) is None:
            return Fault(5005, FAILED_AVP.wrap(avp.example()), f"MIP6_AUTH_MN_AAA needs {avp.name}")
    if message.first(AUTH_REQUEST_TYPE) != 3:
        text = "MIP6_AUTH_MN_AAA needs Auth-Request-Type AUTHORIZE_AUTHENTICATE"
        return _contradicting(message, text, AUTH_MODE, AUTH_REQUEST_TYPE)
    return applications(message)


_EXTRAS: dict[str, Callable[[Message], Fault | None]] = {"AAR": _aar, "AMR": _amr, "MIR": _mir}


def nothing(_message: Message) -> Fault | None:
    """No further condition."""
    return None


def condition(command: CommandDef) -> Callable[[Message], Fault | None]:
    """The further condition of a command."""
    if not command.request or not command.proxiable:
        return nothing
    return _EXTRAS.get(command.name, applications)
