"""The data types of Diameter AVPs (RFC 6733 sections 4.2 and 4.3).

A type turns octets into a value and back, and knows which lengths its data may have.

===================  =====================================================================
type                 value
===================  =====================================================================
OctetString          ``bytes``; ``OctetString/address`` and the like say how people see it
UTF8String           ``str``
DiameterIdentity     ``str`` (compare with :func:`fold`)
DiameterURI          ``str``
IPFilterRule         ``str``; also QoSFilterRule
Integer32, 64        ``int``
Unsigned32, 64       ``int``
Enumerated           ``int``
Float32, 64          ``float``
Address              ``bytes``: 4 or 16 octets; of another family an :class:`OtherAddress`
Time                 ``int``: seconds since 1970
Grouped              decoded by the codec; encoded from the octets of its members
===================  =====================================================================
"""

import re
import struct
from collections.abc import Callable
from typing import Any

from attrs import define

#: From 1900 to 1970, in seconds: the era of NTP against that of Unix.
EPOCH = 2_208_988_800
#: Longest DiameterIdentity: that of a domain name. They are kept in tables, so there has to be a limit.
LONGEST_IDENTITY = 255

_IDENTITY = re.compile(rb"[!-~]{1,%d}" % LONGEST_IDENTITY)
_URI = re.compile(
    rb"aaas?://[!-.0-9<-~]{1,%d}(?::\d{1,5})?(?:;transport=(?:tcp|sctp|udp))?"
    rb"(?:;protocol=(?:diameter|radius|tacacs\+))?" % LONGEST_IDENTITY,
    re.IGNORECASE,
)


class BadValue(ValueError):
    """Octets or a value that the type does not have (DIAMETER_INVALID_AVP_VALUE, 5004)."""


class OtherAddress(bytes):
    """An Address of a family that is neither IPv4 nor IPv6: two octets of family, then the rest."""


@define(slots=True, frozen=True, eq=False)
class DataType:
    """One data type of AVPs."""

    name: str
    encode: Callable[[Any], bytes]
    """Data of a value, without padding. Raises BadValue."""
    decode: Callable[[bytes], Any]
    """Value of data whose length is allowed. Raises BadValue."""
    sizes: tuple[int, ...] = ()
    """Lengths that the data may have, in octets; empty: any."""
    minimum: int = 0
    """Length of the zero data of an example in Failed-AVP (RFC 6733 section 7.5)."""
    shown: str = ""
    """How octets are shown to people: as ``address``, ``prefix`` or ``text``; ``secret``: only where all is;
    empty: in hexadecimal."""


def fold(identity: str) -> str:
    """The form in which DiameterIdentities are compared: ASCII without case (RFC 6733 section 4.3.1).

    A dot at the end, which makes a domain name absolute, does not count.
    """
    return identity.lower().rstrip(".")


def _number(name: str, form: str, low: float, high: float) -> DataType:
    pack = struct.Struct(form)

    def encode(value: Any) -> bytes:
        try:
            return pack.pack(value)
        except struct.error:
            raise BadValue(f"{value!r} is no {name}: {low} to {high}") from None

    def decode(data: bytes) -> Any:
        try:
            return pack.unpack(data)[0]
        except struct.error:
            raise BadValue(f"{name} has {pack.size} octets, not {len(data)}") from None

    return DataType(name, encode, decode, (pack.size,), pack.size)


def _whole(name: str, form: str, bits: int, signed: bool) -> DataType:
    low = -(1 << bits - 1) if signed else 0
    return _number(name, form, low, (1 << bits - signed) - 1)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise BadValue(f"{value!r} is no string of octets")
    return bytes(value)


def _encode_utf8(value: Any) -> bytes:
    try:
        data: bytes = value.encode()
    except (AttributeError, UnicodeEncodeError):
        raise BadValue(f"{value!r} is no text") from None
    return data


def _decode_utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadValue(f"no UTF-8: {error.reason} at octet {error.start}") from None


def _encode_ascii(value: Any) -> bytes:
    try:
        data: bytes = value.encode("ascii")
    except (AttributeError, UnicodeEncodeError):
        raise BadValue(f"{value!r} is not all ASCII") from None
    return data


def _decode_ascii(data: bytes) -> str:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadValue(f"no ASCII at octet {error.start}") from None
    return text


#: Identities that were seen, with their octets: most messages carry the same few.
_identities: dict[bytes, str] = {}
_MOST_IDENTITIES = 4_096


def _decode_identity(data: bytes) -> str:
    known = _identities.get(data)
    if known is not None:
        return known
    if not _IDENTITY.fullmatch(data):
        raise BadValue(
            f"no DiameterIdentity: it has 1 to {LONGEST_IDENTITY} ASCII characters without blanks and control"
        )
    if len(_identities) >= _MOST_IDENTITIES:
        _identities.clear()
    made = _identities[data] = data.decode("ascii")
    return made


def is_identity(data: bytes, start: int, stop: int) -> bool:
    """Whether the octets between two places are a DiameterIdentity; fast for those that were seen before."""
    part = data[start:stop]
    if part in _identities:
        return True
    try:
        _decode_identity(part)
    except BadValue:
        return False
    return True


def _decode_uri(data: bytes) -> str:
    if not _URI.fullmatch(data):
        raise BadValue("no DiameterURI: aaa://FQDN[:PORT][;transport=tcp|sctp|udp][;protocol=diameter]")
    return data.decode("ascii")


def _encode_address(value: Any) -> bytes:
    if isinstance(value, OtherAddress):
        return bytes(value)
    if isinstance(value, bytes):
        if len(value) == 4:
            return b"\0\1" + value
        if len(value) == 16:
            return b"\0\2" + value
    raise BadValue(f"{value!r} is no packed IPv4 or IPv6 address")


def _decode_address(data: bytes) -> bytes:
    family = data[:2]
    if family == b"\0\1" and len(data) == 6:
        return data[2:]
    if family == b"\0\2" and len(data) == 18:
        return data[2:]
    if len(data) < 3 or family in (b"\0\0", b"\0\1", b"\0\2", b"\xff\xff"):
        # RFC 6733 section 4.3.1; families 0 and 65535 are reserved by IANA.
        raise BadValue(f"no Address: family {family.hex() or 'missing'}, {max(0, len(data) - 2)} octets")
    return OtherAddress(data)


def _encode_time(value: Any) -> bytes:
    seconds = int(value) + EPOCH
    if not 1 << 31 <= seconds < 3 << 31:
        raise BadValue(f"{value!r}: a Time lies between 1968 and 2104")
    return (seconds & 0xFFFFFFFF).to_bytes(4, "big")


def _decode_time(data: bytes) -> int:
    if len(data) != 4:
        raise BadValue(f"Time has 4 octets, not {len(data)}")
    seconds = int.from_bytes(data, "big")
    # RFC 6733 section 4.3.1 and RFC 5905: without the top bit it is the era that begins in 2036.
    return seconds - EPOCH + (0 if seconds >> 31 else 1 << 32)


def _encode_group(value: Any) -> bytes:
    """Members that are encoded already: octets, or a sequence of them."""
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b"".join(value)


def _no_decoding(_data: bytes) -> Any:
    raise BadValue("a Grouped AVP is decoded by the codec")


OCTET_STRING = DataType("OctetString", _bytes, bytes)
#: Octets that mean something to people; to programs they are octets as others are.
SHOWN = tuple(
    DataType(f"OctetString/{shown}", _bytes, bytes, shown=shown)
    for shown in ("address", "prefix", "text", "secret")
)
UTF8_STRING = DataType("UTF8String", _encode_utf8, _decode_utf8)
IDENTITY = DataType("DiameterIdentity", _encode_ascii, _decode_identity, minimum=1)
URI = DataType("DiameterURI", _encode_ascii, _decode_uri, minimum=1)
FILTER_RULE = DataType("IPFilterRule", _encode_ascii, _decode_ascii)
QOS_FILTER_RULE = DataType("QoSFilterRule", _encode_ascii, _decode_ascii)
INTEGER32 = _whole("Integer32", "!i", 32, True)
INTEGER64 = _whole("Integer64", "!q", 64, True)
UNSIGNED32 = _whole("Unsigned32", "!I", 32, False)
UNSIGNED64 = _whole("Unsigned64", "!Q", 64, False)
FLOAT32 = _number("Float32", "!f", -3.4e38, 3.4e38)
FLOAT64 = _number("Float64", "!d", -1.8e308, 1.8e308)
ENUMERATED = DataType("Enumerated", INTEGER32.encode, INTEGER32.decode, (4,), 4)
ADDRESS = DataType("Address", _encode_address, _decode_address, minimum=6)
TIME = DataType("Time", _encode_time, _decode_time, (4,), 4)
GROUPED = DataType("Grouped", _encode_group, _no_decoding)

#: By the name that dictionaries use.
TYPES: dict[str, DataType] = {
    kind.name: kind
    for kind in (
        OCTET_STRING, *SHOWN, UTF8_STRING, IDENTITY, URI, FILTER_RULE, QOS_FILTER_RULE, INTEGER32, INTEGER64,
        UNSIGNED32, UNSIGNED64, FLOAT32, FLOAT64, ENUMERATED, ADDRESS, TIME, GROUPED,
    )
}  # fmt: skip
