"""A scripted host whose mobility messages are in ESP (RFC 4303) with NULL encryption and HMAC-SHA1-96.

Run inside a namespace: ``python -m test.real.ipsec_host JSON``; prints JSON; without the appliance.
"""

import hashlib
import hmac
import json
import struct
import sys
from typing import Any

from test.real.mobile import (
    MH,
    NONE,
    OPTIONS,
    ROUTING,
    checksum,
    header,
    heard,
    packed,
    pad,
    send,
    sockets,
    text,
    with_home,
)

ESP, ICV = 50, 12


def protected(spi: int, sequence: int, payload: bytes, key: bytes) -> bytes:
    """An ESP header round a message (RFC 4303 section 2)."""
    padding = bytes(range(1, 1 + -(len(payload) + 2) % 4))
    body = struct.pack(">II", spi, sequence) + payload + padding + bytes((len(padding), MH))
    return body + hmac.new(key, body, hashlib.sha1).digest()[:ICV]


def opened(data: bytes, spi: int, key: bytes) -> bytes:
    """The message in an ESP header; empty: it is not authentic."""
    body, icv = data[:-ICV], data[-ICV:]
    genuine = hmac.new(key, body, hashlib.sha1).digest()[:ICV] == icv
    if not genuine or struct.unpack_from(">I", body)[0] != spi or body[-1] != MH:
        return b""
    return body[8 : len(body) - 2 - body[-2]]


def register(want: dict[str, Any]) -> dict[str, Any]:
    """One Binding Update and what comes back within the time."""
    care_of, home, agent = packed(want["care_of"]), packed(want["home"]), packed(want["agent"])
    key = bytes.fromhex(want["key"])
    mh = struct.pack(">BBBBHHHH", NONE, 3, 5, 0, 0, want["sequence"], 0xC000, want["lifetime"])
    if want.get("alternate", True):
        mh += pad(2) + bytes((3, 16)) + care_of
    else:
        mh += pad(20)
    mh = mh[:4] + struct.pack(">H", checksum(home, agent, MH, mh)) + mh[6:]
    listening = sockets(care_of, ROUTING)
    if want.get("spi"):
        body = protected(want["spi"], want["sequence"], mh, key)
        send(header(care_of, agent, OPTIONS, with_home(home, ESP, body)), agent)
    else:
        send(header(care_of, agent, OPTIONS, with_home(home, MH, mh)), agent)
    for _, data in heard(listening, want.get("wait", 3.0)):
        if data[2] != 2:
            continue
        if data[0] == MH:
            return {"status": data[24 + 6], "esp": False}
        if data[0] == ESP:
            answer = opened(data[24:], want["answer_spi"], key)
            right = bool(answer) and checksum(agent, home, MH, answer) == 0
            return {"status": answer[6] if answer else -1, "esp": right, "home": text(data[8:24])}
    return {}


if __name__ == "__main__":
    print(json.dumps(register(json.loads(sys.argv[1]))))
