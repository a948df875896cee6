"""The cryptography and the messages of the return routability procedure (RFC 6275 sections 5.2 and 6.2.7).

::

    Home Test    ─▶ home keygen token    ┐
    Care-of Test ─▶ care-of keygen token ┴▶ Kbm = SHA1(home | care-of) ─▶ Binding Authorization Data
"""

import hashlib
import hmac
from typing import Any

from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import encode

_OCTETS = 12
"""Of an authenticator."""


def binding_key(home_token: bytes, care_of_token: bytes) -> bytes:
    """Kbm (section 5.2.5); for a de-registration the care-of keygen token is empty."""
    return hashlib.sha1(home_token + care_of_token, usedforsecurity=False).digest()


def authenticator(key: bytes, care_of: bytes, correspondent: bytes, mh: bytes) -> bytes:
    """What the Binding Authorization Data option holds (section 6.2.7).

    ``mh`` is the whole message, whose last octets the authenticator is; the checksum counts as zero.
    """
    data = care_of + correspondent + mh[:4] + b"\0\0" + mh[6:-_OCTETS]
    return hmac.digest(key, data, "sha1")[:_OCTETS]


def update(
    key: bytes,
    care_of: bytes,
    correspondent: bytes,
    sequence: int,
    lifetime: int,
    nonces: tuple[int, int],
    acknowledge: bool,
) -> bytes:
    """A Binding Update to a correspondent node (section 5.2.6), its checksum zero; ``lifetime`` in 4 s.

    ``care_of`` is the home address in a de-registration.
    """
    options: list[Any] = [opt.NonceIndices(*nonces), opt.BindingAuthorizationData(bytes(_OCTETS))]
    mh = encode(msg.BindingUpdate(sequence, msg.BU_A * acknowledge, lifetime, options))
    return mh[:-_OCTETS] + authenticator(key, care_of, correspondent, mh)


def proved(data: bytes, options: list[Any], key: bytes, care_of: bytes, correspondent: bytes) -> bool:
    """Whether an acknowledgement is the correspondent's (section 11.7.3): the option is last, and right."""
    mh = data[: 8 * data[1] + 8]
    last = options[-1] if options else None
    if not isinstance(last, opt.BindingAuthorizationData) or mh[-_OCTETS:] != last.authenticator:
        return False
    wanted = authenticator(key, care_of, correspondent, mh)
    return hmac.compare_digest(wanted, last.authenticator)
