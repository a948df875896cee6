"""What an Accounting-Answer, or the lack of one, means for its record (RFC 6733 section 8.2).

=====================================  ==============================================================
answer                                 the record
=====================================  ==============================================================
2xxx                                   is acknowledged
5xxx, 3008, 3009                       is refused: the same octets would be refused again
other 3xxx and 4xxx (3002, 4002, ...)  waits: the server or the way to it is in trouble
none                                   waits, and has the T flag from now on
no Result-Code that can be read        waits, as if there was no answer
=====================================  ==============================================================

The RFC names 4002, 3004 and 3005 as passing; a relay that has lost its server says 3002, and a record must
not be lost for that.
"""

import struct

from appliance.protocols.diameter.client.delivery import ACKNOWLEDGED, BUSY, REFUSED, SILENT, UNSENT
from appliance.protocols.diameter.events import FULL, INSECURE, OVERLOADED, Answered

#: Faults of the message itself (DIAMETER_INVALID_HDR_BITS, DIAMETER_INVALID_AVP_BITS).
MESSAGE_FAULTS = (3008, 3009)
#: Reasons of the node that say that nothing has gone out.
NOT_SENT = (FULL, OVERLOADED, INSECURE)
RESULT_CODE, EXPERIMENTAL_RESULT, EXPERIMENTAL_CODE = 268, 297, 298
INTERIM_INTERVAL, REALTIME_REQUIRED = 85, 483
_AVP = struct.Struct("!II")
_WORD = struct.Struct("!I")


def words(data: bytes, place: int, end: int) -> dict[int, int]:
    """The four-octet AVPs of a message that this module wants, by code; the first of each.

    A drain of stored records reads thousands of answers a second, so nothing else is decoded.
    """
    found: dict[int, int] = {}
    while end - place >= 12:
        code, word = _AVP.unpack_from(data, place)
        size = word & 0xFFFFFF
        if size < 8:
            break
        if code in (RESULT_CODE, INTERIM_INTERVAL, REALTIME_REQUIRED) and size == 12:
            found.setdefault(code, _WORD.unpack_from(data, place + 8)[0])
        elif code == EXPERIMENTAL_RESULT:
            inside = words_of_experimental(data, place + 8, min(end, place + size))
            if inside:
                found.setdefault(RESULT_CODE, inside)
        place += size + (-size & 3)
    return found


def words_of_experimental(data: bytes, place: int, end: int) -> int:
    """Experimental-Result-Code of an Experimental-Result; 0: there is none."""
    while end - place >= 12:
        code, word = _AVP.unpack_from(data, place)
        size = word & 0xFFFFFF
        if code == EXPERIMENTAL_CODE and size == 12:
            number: int = _WORD.unpack_from(data, place + 8)[0]
            return number
        if size < 8:
            break
        place += size + (-size & 3)
    return 0


def verdict(code: int) -> str:
    """What a Result-Code means for a record."""
    group = code // 1000
    if group == 2:
        return ACKNOWLEDGED
    if group in (3, 4) and code not in MESSAGE_FAULTS:
        return BUSY
    return REFUSED


def judge(answered: Answered) -> tuple[str, int, int | None, int | None]:
    """How a try ended: a word of :mod:`.delivery`, the Result-Code (0: none), and what the answer says of
    Acct-Interim-Interval and Accounting-Realtime-Required."""
    message = answered.message
    if message is None:
        return (UNSENT if answered.reason in NOT_SENT else SILENT), 0, None, None
    found = words(message.data, 20, len(message.data))
    code = found.get(RESULT_CODE, 0)
    if not code:
        return SILENT, 0, None, None
    return verdict(code), code, found.get(INTERIM_INTERVAL), found.get(REALTIME_REQUIRED)
