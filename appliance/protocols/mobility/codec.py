"""Mobility messages to and from octets: the one place that both mobility cores decode and encode with.

``decode`` takes any octets, never raises, and tells everything that is wrong with them. ``encode``
leaves the checksum zero, as PMIPv6 over UDP port 5436 wants it (RFC 5844 section 4); ``seal`` and
``verify`` are for messages straight in IPv6.
"""

from struct import error as struct_error
from typing import NamedTuple

from appliance.protocols.bits import DecodeError
from appliance.protocols.mobility.layout import EncodeError, padding
from appliance.protocols.mobility.messages import MESSAGES, Message, MessageRow
from appliance.protocols.mobility.options import OPTIONS, Option, OptionRow

NO_NEXT_HEADER = 59
MOBILITY_HEADER = 135

TOO_SHORT = "too-short"
PAYLOAD_PROTO = "payload-proto"
UNKNOWN_TYPE = "unknown-type"
OPTION_OVERRUN = "option-overrun"
OPTION_LENGTH = "option-length"
OPTION_REPEATED = "option-repeated"
REVOCATION_TYPE = "revocation-type"


class Fault(NamedTuple):
    """One thing that is wrong with a message.

    ``offset`` counts from the Payload Proto octet. For what RFC 6275 section 9.2 answers with an ICMPv6
    Parameter Problem it is the pointer inside the header: 0 for ``payload-proto``, 1 for a Header Len
    below the least one of the type. When octets are missing from the buffer (also ``too-short``) it is the
    length that was needed, 8 or more.
    """

    kind: str
    offset: int
    text: str


class Decoded(NamedTuple):
    """What came out of octets: the message, as far as one could be made, and all faults."""

    message: Message | None
    faults: tuple[Fault, ...]


_ROWS: list[MessageRow | None] = [MESSAGES.get((number, None)) for number in range(256)]
_REVOCATION = 16
_REVOCATION_ROWS = {subtype: row for (number, subtype), row in MESSAGES.items() if number == _REVOCATION}
_OPTION_ROWS: list[OptionRow | None] = [OPTIONS.get(number) for number in range(256)]
_CLOSING = frozenset(row.cls for row in OPTIONS.values() if row.closing)
_PADS = tuple(padding(-offset % 8) for offset in range(8))
_NO_FAULTS: tuple[Fault, ...] = ()


def mh_type(data: bytes) -> int:
    """The MH Type of a message, or -1 when the octets end before it."""
    return data[2] if len(data) > 2 else -1


def decode(data: bytes) -> Decoded:
    """Make a message of the octets from Payload Proto on; octets behind Header Len are ignored.

    The checksum is not looked at: see :func:`verify`. Options that are not known are skipped
    (RFC 6275 section 6.2.1), wrong alignment is accepted, options of wrong length are left out.
    """
    size = len(data)
    if size < 8:
        return Decoded(None, (Fault(TOO_SHORT, 8, f"{size} octets are no Mobility Header"),))
    faults: list[Fault] = []
    # RFC 6275 section 9.2: MH Type, then Payload Proto, then Header Len.
    row = _ROWS[data[2]]
    if row is None:
        row = _revocation_row(data, faults)
    if data[0] != NO_NEXT_HEADER:
        faults.append(Fault(PAYLOAD_PROTO, 0, f"Payload Proto is {data[0]}, not 59"))
    if row is None:
        return Decoded(None, tuple(faults))
    end = 8 * data[1] + 8
    if end < row.least:
        faults.append(Fault(TOO_SHORT, 1, f"Header Len {data[1]} is below the least of {row.name}"))
    if end > size:
        faults.append(Fault(TOO_SHORT, end, f"{size} octets are there, Header Len says {end}"))
        end = size
    start = row.fixed if row.extent is None else row.extent(data, end)
    if row.fixed > end or start > end:
        if row.fixed <= end:
            faults.append(Fault(TOO_SHORT, 1, f"Header Len {data[1]} is too small for the addresses"))
        return Decoded(None, tuple(faults))
    options: list[Option] = []
    if start < end:
        _read_options(data, start, end, row, options, faults)
    return Decoded(row.read(data, end, options), tuple(faults) if faults else _NO_FAULTS)


def _revocation_row(data: bytes, faults: list[Fault]) -> MessageRow | None:
    """The row of a type that is not in the plain table; notes a fault when there is none."""
    if data[2] != _REVOCATION:
        faults.append(Fault(UNKNOWN_TYPE, 2, f"MH type {data[2]} is not known"))
        return None
    row = _REVOCATION_ROWS.get(data[6])
    if row is None:
        faults.append(Fault(REVOCATION_TYPE, 6, f"Binding Revocation type {data[6]} is not known"))
    return row


def _read_options(
    data: bytes, offset: int, end: int, row: MessageRow, options: list[Option], faults: list[Fault]
) -> None:
    """Append the options between ``offset`` and ``end`` to ``options``, what is wrong to ``faults``."""
    rows = _OPTION_ROWS
    seen = 0
    while offset < end:
        number = data[offset]
        if number == 0:  # Pad1: no length octet
            offset += 1
            continue
        start = offset + 2
        if start > end or (after := start + data[offset + 1]) > end:
            faults.append(Fault(OPTION_OVERRUN, offset, f"option {number} runs past the end of the message"))
            return
        option_row = rows[number]
        if option_row is not None:
            try:
                option = option_row.read(data, start, after - start)
            except DecodeError:
                option = None
            if option is None:
                text = f"{option_row.name} option has the length {after - start} or bad contents"
                faults.append(Fault(OPTION_LENGTH, offset, text))
            else:
                options.append(option)
            bit = 1 << number
            if seen & bit and option_row.maximum is not None:
                _check_repeated(option_row, row, options, offset, faults)
            seen |= bit
        offset = after


def _check_repeated(
    option_row: OptionRow, row: MessageRow, options: list[Option], offset: int, faults: list[Fault]
) -> None:
    """Note a fault when the option at ``offset`` is there more often than it may be."""
    if option_row.number in row.repeats:
        return
    count = sum(option_row.number == option.TYPE for option in options)
    if option_row.maximum is not None and count > option_row.maximum:
        text = f"{option_row.name} option comes {count} times, may come {option_row.maximum}"
        faults.append(Fault(OPTION_REPEATED, offset, text))


def encode(message: Message) -> bytes:
    """The octets of ``message`` with padding and Header Len in place and a zero checksum.

    Raises EncodeError when a field does not fit.
    """
    try:
        out = message.start()
        options = message.options
        if options:
            if options[-1].__class__ in _CLOSING:
                _write_closed(options, out)
            else:
                for option in options:
                    option.write(out)
        out += _PADS[len(out) & 7]
    except struct_error as error:
        raise EncodeError(f"{message.NAME}: {error}") from error
    if len(out) > 2048:
        raise EncodeError(f"{message.NAME} is {len(out)} octets long, Header Len can say 2048")
    out[1] = (len(out) >> 3) - 1
    return bytes(out)


def _write_closed(options: list[Option], out: bytearray) -> None:
    """Write options of which the last has to end the message on an 8-octet boundary.

    The padding goes before it: RFC 4285 section 5 and RFC 6275 section 6.2.7 want it last, and the
    Mobility Header has to be a multiple of 8 octets long.
    """
    for option in options[:-1]:
        option.write(out)
    alone = bytearray(1)  # where 4n+1 needs no padding; 8n+2 takes one octet
    options[-1].write(alone)
    last = alone.lstrip(b"\0")
    out += padding(-(len(out) + len(last)) % 8) + last


# Over UDP port 5436 the checksum stays zero and is not looked at (RFC 5844 section 4.1.3.1).
encode_udp = encode


def checksum(mh: bytes, source: bytes, destination: bytes) -> int:
    """The checksum of a message whose own field is zero (RFC 6275 section 6.1.1).

    ``source`` is the home address of a Home Address option if there is one, ``destination`` that of a type
    2 routing header; 16 octets each.
    """
    # The pseudo-header is added as a number: 135 for the protocol and the length are words of their own.
    total = int.from_bytes(source + destination + mh, "big") + len(mh) + MOBILITY_HEADER
    return (0xFFFF - total % 0xFFFF) % 0xFFFF


def seal(mh: bytes, source: bytes, destination: bytes) -> bytes:
    """The message with its checksum in place; ``mh`` comes from :func:`encode`, see :func:`checksum`."""
    return mh[:4] + checksum(mh, source, destination).to_bytes(2, "big") + mh[6:]


def verify(mh: bytes, source: bytes, destination: bytes) -> bool:
    """Whether the checksum of a received message is right, over what Header Len covers.

    When there are fewer octets than that, those that are there count, so that :func:`decode` gets to say that
    the length is wrong; fewer than 8 are no message and never right.
    """
    size = len(mh)
    if size < 8:
        return False
    covered = 8 * mh[1] + 8
    if size > covered:
        mh, size = mh[:covered], covered
    elif size & 1:
        mh += b"\0"
    total = int.from_bytes(source + destination + mh, "big") + size + MOBILITY_HEADER
    return total % 0xFFFF == 0


def to_timestamp(wall: float) -> int:
    """Seconds since 1970 as the value of the Timestamp option: 48.16 bits (RFC 5213 section 8.8)."""
    return round(wall * 65536)


def from_timestamp(value: int) -> float:
    """The reverse of :func:`to_timestamp`."""
    return value / 65536


NTP_EPOCH = 2_208_988_800
"""1970 in seconds since 1900."""


def to_ntp(wall: float) -> int:
    """Seconds since 1970 as the value of the MESG-ID option: NTP time, 32.32 bits (RFC 4285 section 6)."""
    return round((wall + NTP_EPOCH) * 4294967296) & 0xFFFF_FFFF_FFFF_FFFF


def from_ntp(value: int) -> float:
    """The reverse of :func:`to_ntp`, for times of the NTP era that began in 1900."""
    return value / 4294967296 - NTP_EPOCH
