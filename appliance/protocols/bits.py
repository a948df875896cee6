"""Sums over octets, and the error that every decoder raises or reports."""


class DecodeError(ValueError):
    """Octets that do not make the message they should; the text says where and why."""


def ones_complement_sum(data: bytes) -> int:
    """The 16-bit one's complement sum of ``data`` (RFC 1071), 0..0xFFFF.

    A last odd octet counts as the high half of a word. Zero comes out only for data that
    is all zeros: a sum that folds to zero is 0xFFFF, as on the wire.
    """
    # 2**16 = 1 (mod 0xFFFF), so the remainder of the whole number is the sum of its words.
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    return number % 0xFFFF or (0xFFFF if number else 0)


def internet_checksum(data: bytes) -> int:
    """The Internet checksum of ``data``, to be put into a field that was zero in ``data``.

    Over data that contains a right checksum it is 0.
    """
    return 0xFFFF ^ ones_complement_sum(data)


def pseudo_header(source: bytes, destination: bytes, length: int, next_header: int) -> bytes:
    """What transport checksums cover besides the payload.

    ``source`` and ``destination`` are packed, both 16 octets (RFC 8200 section 8.1) or both 4
    (RFC 768); ``length`` is that of the upper-layer packet in octets.
    """
    if len(source) == 16:
        return source + destination + length.to_bytes(4, "big") + bytes((0, 0, 0, next_header))
    return source + destination + bytes((0, next_header)) + length.to_bytes(2, "big")
