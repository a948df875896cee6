"""A mobile node of a few lines, for a kernel without Mobile IPv6: raw sockets, struct, hmac, nothing of ours.

Run in a namespace as ``python -m test.real.mobile COMMAND JSON``; each command prints one JSON object:

``register``  sends a Binding Update by Home Address option and tells the acknowledgement
``ping``      sends an echo request through the reverse tunnel and tells the answer out of the tunnel
``serve``     answers echo requests that come out of the tunnel, until its standard input is closed
``at-home``   sends a Binding Update from the home address in a frame, and tells the frame of the answer
``multicast`` answers MLD queries, and tells all that comes out of the tunnel to groups, until it is closed
``sniff``     tells the Neighbor Discovery frames that come by a device, until its standard input is closed
``data``      sends a packet with a Home Address option that is no Binding Update, and tells the Binding Error
"""

import hashlib
import hmac
import json
import select
import socket
import struct
import sys
import time
from typing import Any

MH, OPTIONS, ROUTING, IPV6, ICMP6, NONE = 135, 60, 43, 41, 58, 59


def packed(text: str) -> bytes:
    """An address as octets."""
    return socket.inet_pton(socket.AF_INET6, text)


def text(address: bytes) -> str:
    """Octets as an address."""
    return socket.inet_ntop(socket.AF_INET6, address)


def checksum(source: bytes, destination: bytes, protocol: int, body: bytes) -> int:
    """The Internet checksum of RFC 8200 section 8.1."""
    data = source + destination + struct.pack(">II", len(body), protocol) + body + b"\0" * (len(body) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def header(source: bytes, destination: bytes, following: int, body: bytes) -> bytes:
    """An IPv6 packet."""
    return struct.pack(">IHBB", 6 << 28, len(body), following, 64) + source + destination + body


def pad(octets: int) -> bytes:
    """Padding of so many octets (RFC 6275 sections 6.2.2 and 6.2.3)."""
    return bytes(octets) if octets < 2 else bytes((1, octets - 2)) + bytes(octets - 2)


def authenticated(mh: bytearray, want: dict[str, Any], care_of: bytes, home: bytes) -> bytes:
    """The update with its authentication options at the end (RFC 4285 section 5), and Header Len right."""
    key, aaa = bytes.fromhex(want.get("key", "")), bytes.fromhex(want.get("aaa_key", ""))
    behind = (19 if key else 0) + (27 if aaa else 0)
    if key and aaa:
        # Type octets at 4n+1, and the last option ends the message.
        mh += pad((1 - len(mh)) % 4)
        between = -(len(mh) + behind) % 8
    else:
        mh += pad(-(len(mh) + behind) % 8)
        between = 0
    mh[1] = (len(mh) + behind + between) // 8 - 1
    if key:
        mh += struct.pack(">BBBI", 9, 17, 1, want["spi"])
        mh += hmac.new(key, care_of + home + bytes(mh), "sha1").digest()[:12]
    if aaa:
        mh += pad(between) + struct.pack(">BBBI", 9, 25, 2, want.get("aaa_spi", 3))
        digest = hashlib.sha1(care_of + home + bytes(mh)).digest()
        mh += hmac.new(aaa, digest, "sha1").digest()
    return bytes(mh)


def with_home(home: bytes, following: int, body: bytes) -> bytes:
    """A Destination Options header with the Home Address option in front of ``body``."""
    return bytes((following, 2, 1, 2, 0, 0, 0xC9, 16)) + home + body


def sockets(care_of: bytes, *protocols: int) -> list[socket.socket]:
    """Raw sockets that get a copy of what comes to the care-of address."""
    found = []
    for protocol in protocols:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        if protocol == MH:
            sock.setsockopt(socket.IPPROTO_IPV6, 7, -1)
        sock.bind((text(care_of), 0))
        found.append(sock)
    return found


def send(packet: bytes, destination: bytes) -> None:
    """Send a whole packet."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.sendto(packet, (text(destination), 0))


def heard(listening: list[socket.socket], seconds: float) -> Any:
    """Yield (protocol, octets) until the time is over."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for sock in select.select(listening, [], [], left)[0]:
            yield sock.proto, sock.recv(4096)


def update(want: dict[str, Any], care_of: bytes, home: bytes, agent: bytes) -> bytes:
    """A Binding Update, its checksum over the home address."""
    mh = bytearray(
        struct.pack(
            ">BBBBHHHH", NONE, 0, 5, 0, 0, want["sequence"], want.get("flags", 0xC000), want["lifetime"]
        )
    )
    name = want.get("mn", "").encode()
    if name:
        mh += bytes((8, 1 + len(name), 1)) + name
    for number, address, *flags in want.get("bids", []):
        # The third says whether the host is at home with it.
        body = packed(address) if address else b""
        mh += pad((2 - len(mh)) % 8 if body else len(mh) % 2)
        mh += struct.pack(">BBHBB", 35, 4 + len(body), number, 0, 128 * sum(flags)) + body
    for prefix, length in want.get("networks", []):
        mh += pad((4 - len(mh)) % 8) + struct.pack(">BBBB", 6, 18, 0, length) + packed(prefix)
    if "time" in want:
        # NTP: seconds since 1900, and their 2^32nd parts.
        stamp = round((time.time() + want["time"] + 2_208_988_800) * 2**32)
        mh += pad((2 - len(mh)) % 8) + struct.pack(">BBQ", 10, 8, stamp)
    mh_octets = authenticated(mh, want, care_of, home)
    check = checksum(home, agent, MH, mh_octets)
    return mh_octets[:4] + struct.pack(">H", check) + mh_octets[6:]


def register(want: dict[str, Any]) -> dict[str, Any]:
    """One Binding Update and what comes back within the time."""
    care_of, home, agent = packed(want["care_of"]), packed(want["home"]), packed(want["agent"])
    mh_octets = update(want, care_of, home, agent)
    listening = sockets(care_of, ROUTING, MH, ICMP6)
    send(header(care_of, agent, OPTIONS, with_home(home, MH, mh_octets)), agent)
    result: dict[str, Any] = {"errors": []}
    for protocol, data in heard(listening, want.get("wait", 1.0)):
        if protocol == ICMP6 and data[0] < 128:
            result["errors"].append([data[0], data[1]])
        elif protocol == ROUTING and data[0] == MH and data[2] == 2 and data[24 + 2] == 6:
            result |= acknowledgement(data[24:], data[8:24], agent, care_of, want)
        elif protocol == MH and data[2] == 6:
            result |= acknowledgement(data, care_of, agent, care_of, want)
        if "status" in result and not want.get("linger"):
            break
    return result


def acknowledgement(
    mh: bytes, to: bytes, agent: bytes, care_of: bytes, want: dict[str, Any]
) -> dict[str, Any]:
    """What a Binding Acknowledgement says, and whether its checksum and authenticator are right."""
    found: dict[str, Any] = {
        "status": mh[6],
        "sequence": int.from_bytes(mh[8:10], "big"),
        "lifetime": int.from_bytes(mh[10:12], "big"),
        "home": text(to),
        "checksum": checksum(agent, to, MH, mh) == 0,
        "authentic": None,
    }
    at = 12
    if mh[7] & 0x40:
        found["router"] = True
    while at < len(mh):
        if mh[at] == 0:
            at += 1
            continue
        if mh[at] == 35:
            found.setdefault("bids", []).append([int.from_bytes(mh[at + 2 : at + 4], "big"), mh[at + 4]])
        if mh[at] == 9 and want.get("key"):
            data = care_of + to + mh[:4] + b"\0\0" + mh[6 : at + 7]
            wanted = hmac.new(bytes.fromhex(want["key"]), data, "sha1").digest()[:12]
            found["authentic"] = mh[at + 7 : at + 19] == wanted
        at += 2 + mh[at + 1]
    return found


def ping(want: dict[str, Any]) -> dict[str, Any]:
    """An echo request from the home address through the tunnel, and whether its answer came the same way."""
    care_of, home, agent = packed(want["care_of"]), packed(want["home"]), packed(want["agent"])
    target = packed(want["target"])
    body = struct.pack(">BBHHH", 128, 0, 0, 7, 1) + b"mobile"
    body = body[:2] + struct.pack(">H", checksum(home, target, ICMP6, body)) + body[4:]
    listening = sockets(care_of, IPV6)
    send(header(care_of, agent, IPV6, header(home, target, ICMP6, body)), agent)
    for _, data in heard(listening, want.get("wait", 1.0)):
        if data[6] == ICMP6 and data[40] == 129 and data[24:40] == home and data[48:] == b"mobile":
            return {"answer": text(data[8:24])}
    return {"answer": ""}


def serve(want: dict[str, Any]) -> dict[str, Any]:
    """Say that all is ready, answer echo requests as a host that is away, and tell from whom they came."""
    care_of, home, agent = packed(want["care_of"]), packed(want["home"]), packed(want["agent"])
    served, listening = [], sockets(care_of, IPV6)
    print("ready", flush=True)
    while listening[0] in select.select([*listening, sys.stdin], [], [])[0]:
        data = listening[0].recv(4096)
        if data[6] == ICMP6 and data[24:40] == home and data[40] == 128:
            sender = data[8:24]
            body = bytes((129, 0, 0, 0)) + data[44:]
            body = body[:2] + struct.pack(">H", checksum(home, sender, ICMP6, body)) + body[4:]
            send(header(care_of, agent, IPV6, header(home, sender, ICMP6, body)), agent)
            served.append(text(sender))
    return {"served": served}


def at_home(want: dict[str, Any]) -> dict[str, Any]:
    """One Binding Update from the home link, by a host that answers no Neighbor Solicitation yet."""
    home, agent = packed(want["home"]), packed(want["agent"])
    mh = update(want, home, home, agent)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as link:
        link.bind((want["device"], 0x86DD))
        ours = link.getsockname()[4]
        router = bytes.fromhex(want["router"].replace(":", ""))
        link.send(router + ours + b"\x86\xdd" + header(home, agent, MH, mh))
        until = time.monotonic() + want.get("wait", 1.0)
        while (left := until - time.monotonic()) > 0:
            if not select.select([link], [], [], left)[0]:
                break
            frame = link.recv(4096)
            if frame[:6] == ours and frame[20] == MH and frame[54 + 2] == 6:
                found = acknowledgement(frame[54:], home, agent, home, want)
                return {**found, "destination": text(frame[38:54])}
    return {}


def multicast(want: dict[str, Any]) -> dict[str, Any]:
    """Say that all is ready, answer queries by a report of one group; destination, hops, payload of all."""
    care_of, agent = packed(want["care_of"]), packed(want["agent"])
    source, routers, group = packed("fe80::5"), packed("ff02::16"), packed(want["group"])
    body = struct.pack(">BBHHHBBH", 143, 0, 0, 0, 1, 4, 0, 0) + group
    body = body[:2] + struct.pack(">H", checksum(source, routers, ICMP6, body)) + body[4:]
    packet = bytearray(header(source, routers, 0, bytes((ICMP6, 0, 5, 2, 0, 0, 1, 0)) + body))
    packet[7] = 1
    heard_of, listening = [], sockets(care_of, IPV6)
    print("ready", flush=True)
    while listening[0] in select.select([*listening, sys.stdin], [], [])[0]:
        data = listening[0].recv(4096)
        if data[24] == 0xFF:
            heard_of.append([text(data[24:40]), data[7], data[48:].hex()])
        if data[6] == 0 and data[48] == 130:
            send(header(care_of, agent, IPV6, bytes(packet)), agent)
    return {"heard": heard_of}


def sniff(want: dict[str, Any]) -> dict[str, Any]:
    """Say that all is ready, and tell all frames with solicitations and advertisements of neighbours."""
    frames: list[str] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as link:
        link.bind((want["device"], 0x86DD))
        print("ready", flush=True)
        while link in select.select([link, sys.stdin], [], [])[0]:
            frame = link.recv(4096)
            if frame[20] == ICMP6 and frame[54] in (135, 136):
                frames.append(frame.hex())
    return {"frames": frames}


def data(want: dict[str, Any]) -> dict[str, Any]:
    """A packet that only a host with a binding may send so (RFC 6275 section 9.3.1)."""
    care_of, home, agent = packed(want["care_of"]), packed(want["home"]), packed(want["agent"])
    body = struct.pack(">BBHHH", 128, 0, 0, 7, 2)
    body = body[:2] + struct.pack(">H", checksum(home, agent, ICMP6, body)) + body[4:]
    listening = sockets(care_of, MH)
    send(header(care_of, agent, OPTIONS, with_home(home, ICMP6, body)), agent)
    for _, octets in heard(listening, want.get("wait", 1.0)):
        if octets[2] == 7:
            return {"status": octets[6], "home": text(octets[8:24])}
    return {}


COMMANDS = {
    "register": register, "ping": ping, "data": data, "serve": serve, "at-home": at_home, "sniff": sniff,
    "multicast": multicast,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](json.loads(sys.argv[2]))))
