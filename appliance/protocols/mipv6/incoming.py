"""Packets with a Home Address option (RFC 6275 section 6.3) as a raw socket gives them.

::

    Destination Options (Home Address) │ other extension headers │ Mobility Header, or anything else
    └───────────── octets of OptionsReceived.data ───────────────────────────────────────────────
"""

from typing import NamedTuple

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility.packet import DESTINATION_OPTIONS, HOME_ADDRESS, HOP_BY_HOP, ROUTING

_WALKED = (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS)
_SIZE = 16
#: How nearly all packets begin behind the first octet: a header of 24 octets with PadN and the option
#: (RFC 6275 section 6.3: at 8n+6).
_USUAL, _USUAL_END = bytes((2, 1, 2, 0, 0, HOME_ADDRESS, _SIZE)), 24


class Carried(NamedTuple):
    """What a packet carries behind its extension headers."""

    home: bytes | None
    """From the Home Address option; ``None``: there is none."""
    protocol: int
    """Number of what follows the extension headers."""
    offset: int
    """Where that begins."""


def carried(data: bytes, first: int = DESTINATION_OPTIONS) -> Carried:
    """Take the extension headers off, of which ``first`` is the number of the first one.

    Raises DecodeError for what no node may accept.

    That is a header or an option that runs past its end, a Home Address option of wrong length, and a second
    one (RFC 6275 section 6.3: at most one in a packet).
    """
    usual = data[1:8] == _USUAL and first == DESTINATION_OPTIONS
    if usual and len(data) >= _USUAL_END and data[0] not in _WALKED:
        return Carried(data[8:_USUAL_END], data[0], _USUAL_END)
    following, offset, home = first, 0, None
    while following in _WALKED:
        end = offset + 8 + 8 * data[offset + 1] if offset + 8 <= len(data) else len(data) + 1
        if end > len(data):
            raise DecodeError(f"extension header at {offset} runs past the end of the packet")
        if following == DESTINATION_OPTIONS:
            found = home_address(data, offset + 2, end)
            if found is not None and home is not None:
                raise DecodeError("two Home Address options in one packet")
            home = home or found
        following, offset = data[offset], end
    return Carried(home, following, offset)


def home_address(data: bytes, at: int, end: int) -> bytes | None:
    """The address of a Home Address option among the options of a header; ``None``: there is none."""
    home = None
    while at < end:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > end or at + 2 + data[at + 1] > end:
            raise DecodeError(f"destination option at {at} runs past the end of its header")
        if data[at] == HOME_ADDRESS:
            if data[at + 1] != _SIZE or home is not None:
                raise DecodeError(f"Home Address option at {at} is repeated or of wrong length")
            home = data[at + 2 : at + 2 + _SIZE]
        at += 2 + data[at + 1]
    return home
