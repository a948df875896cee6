"""A correspondent that knows route optimization: ``python -m test.real.correspondent ADDRESS``.

It answers HoTI, CoTI and Binding Updates (RFC 6275 sections 5.2, 9.4 and 9.5), and echo requests with a Home
Address option by packets with a type 2 routing header. Raw sockets, struct, hmac; of ours only the policy
that keeps the kernel from refusing the option. Each binding is printed as one JSON line.
"""

import hashlib
import hmac
import json
import select
import socket
import struct
import sys

from appliance.protocols.mipv6 import quiet
from test.real.mobile import ICMP6, MH, NONE, OPTIONS, ROUTING, checksum, header, packed, send, sockets, text

SECRET, NONCE, INDEX = b"k" * 20, b"n" * 8, 7
HOME_TEST_INIT, CARE_OF_TEST_INIT, HOME_TEST, CARE_OF_TEST, UPDATE, ACKNOWLEDGEMENT = 1, 2, 3, 4, 5, 6


def token(address: bytes, kind: int) -> bytes:
    """A keygen token (section 5.2.3): ``kind`` 0 of a home address, 1 of a care-of address."""
    return hmac.new(SECRET, address + NONCE + bytes((kind,)), "sha1").digest()[:8]


def sealed(own: bytes, to: bytes, mh: bytes) -> bytes:
    """A mobility message with its checksum."""
    return mh[:4] + struct.pack(">H", checksum(own, to, MH, mh)) + mh[6:]


def routed(own: bytes, care_of: bytes, home: bytes, protocol: int, body: bytes) -> None:
    """Send by a type 2 routing header."""
    head = struct.pack(">BBBBI", protocol, 2, 2, 1, 0) + home
    send(header(own, care_of, ROUTING, head + body), care_of)


def tested(own: bytes, source: bytes, mh: bytes) -> None:
    """Answer HoTI or CoTI (sections 9.4.1 to 9.4.4)."""
    kind = HOME_TEST if mh[2] == HOME_TEST_INIT else CARE_OF_TEST
    head = struct.pack(">BBBBHH", NONE, 2, kind, 0, 0, INDEX)
    answer = head + mh[8:16] + token(source, kind - HOME_TEST)
    send(header(own, source, MH, sealed(own, source, answer)), source)


def updated(own: bytes, care_of: bytes, home: bytes, mh: bytes) -> None:
    """Take a Binding Update whose authenticator is right (section 9.5.1), and acknowledge it."""
    sequence, _, lifetime = struct.unpack(">HHH", mh[6:12])
    at, authenticator, indices = 12, 0, b""
    while at < len(mh):
        if mh[at] == 0:
            at += 1
            continue
        if mh[at] == 4:
            indices = mh[at + 2 : at + 6]
        if mh[at] == 5:
            authenticator = at + 2
        at += 2 + mh[at + 1]
    tokens = token(home, 0) + (token(care_of, 1) if lifetime and care_of != home else b"")
    key = hashlib.sha1(tokens).digest()
    covered = mh[:4] + b"\0\0" + mh[6:authenticator]
    wanted = hmac.new(key, care_of + own + covered, "sha1").digest()[:12]
    good = mh[authenticator : authenticator + 12] == wanted
    told = {"home": text(home), "care_of": text(care_of), "lifetime": 4 * lifetime, "authentic": good}
    print(json.dumps({**told, "indices": indices.hex()}), flush=True)
    if not good:
        return
    answer = struct.pack(">BBBBHBBHH", NONE, 3, ACKNOWLEDGEMENT, 0, 0, 0, 0, sequence, lifetime)
    answer += bytes((1, 4, 0, 0, 0, 0, 5, 12))
    answer += hmac.new(key, care_of + own + answer, "sha1").digest()[:12]
    routed(own, care_of, home, MH, sealed(own, home, answer))


def echoed(own: bytes, care_of: bytes, home: bytes, echo: bytes) -> None:
    """Answer an echo request."""
    answer = b"\x81\0\0\0" + echo[4:]
    check = checksum(own, home, ICMP6, answer)
    routed(own, care_of, home, ICMP6, answer[:2] + struct.pack(">H", check) + answer[4:])


def main(address: str) -> None:
    """Serve for ever."""
    own = packed(address)
    quiet.silence(own)
    listening = sockets(own, MH, OPTIONS)
    print("listening", flush=True)
    while True:
        for sock in select.select(listening, [], [])[0]:
            data, sender = sock.recvfrom(65_536)
            source = socket.inet_pton(socket.AF_INET6, sender[0])
            if sock.proto == MH:
                if data[2] in (HOME_TEST_INIT, CARE_OF_TEST_INIT):
                    tested(own, source, data)
            elif data[6] == 0xC9:
                home, rest = data[8:24], data[24:]
                if data[0] == MH and rest[2] == UPDATE:
                    updated(own, source, home, rest)
                elif data[0] == ICMP6 and rest[0] == 128:
                    echoed(own, source, home, rest)


if __name__ == "__main__":
    main(sys.argv[1])
