"""A scripted host that looks for home agents and prefixes, and hears what its home agent says by itself.

Run inside a namespace: ``python -m test.real.agent_host COMMAND JSON``; prints JSON. As ``test.real.mobile``,
it uses nothing of the appliance.
"""

import json
import socket
import struct
import sys
import time
from typing import Any

from test.real.mobile import (
    ICMP6,
    MH,
    OPTIONS,
    ROUTING,
    authenticated,
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

NONE = 59


def discover(want: dict[str, Any]) -> dict[str, Any]:
    """A Home Agent Address Discovery Request, and the list that comes back."""
    source, target = packed(want["source"]), packed(want["target"])
    listening = sockets(source, ICMP6)
    body = struct.pack(">BBHHH", 144, 0, 0, want["identifier"], 0)
    body = body[:2] + struct.pack(">H", checksum(source, target, ICMP6, body)) + body[4:]
    send(header(source, target, ICMP6, body), target)
    for _, data in heard(listening, want.get("wait", 1.0)):
        if data[0] == 145:
            agents = [text(data[at : at + 16]) for at in range(8, len(data), 16)]
            return {"identifier": int.from_bytes(data[4:6], "big"), "agents": agents}
    return {}


def solicit(want: dict[str, Any]) -> dict[str, Any]:
    """A Mobile Prefix Solicitation, and the advertisement that comes back."""
    care_of, home, agent = (packed(want[each]) for each in ("care_of", "home", "agent"))
    listening = sockets(care_of, ROUTING)
    body = struct.pack(">BBHHH", 146, 0, 0, want["identifier"], 0)
    body = body[:2] + struct.pack(">H", checksum(home, agent, ICMP6, body)) + body[4:]
    send(header(care_of, agent, OPTIONS, with_home(home, ICMP6, body)), agent)
    for _, data in heard(listening, want.get("wait", 1.0)):
        if data[0] == ICMP6 and data[2] == 2 and data[24] == 147:
            message = data[24:]
            return {
                "identifier": int.from_bytes(message[4:6], "big"),
                "home": text(data[8:24]),
                "checksum": checksum(agent, home, ICMP6, message) == 0,
                "prefix": f"{text(message[24:40])}/{message[10]}",
                "valid": int.from_bytes(message[12:16], "big"),
                "preferred": int.from_bytes(message[16:20], "big"),
            }
    return {}


def listen(want: dict[str, Any]) -> dict[str, Any]:
    """Mobility messages that come by a routing header until one of type ``kind``; answers a revocation."""
    care_of, home, agent = (packed(want[each]) for each in ("care_of", "home", "agent"))
    listening = sockets(care_of, ROUTING)
    print("ready", file=sys.stderr, flush=True)
    for _, data in heard(listening, want.get("wait", 5.0)):
        message = data[24:]
        if data[0] != MH or message[2] != want["kind"]:
            continue
        found = {"home": text(data[8:24]), "checksum": checksum(agent, home, MH, message) == 0}
        if message[2] == 12:
            found["agents"] = [text(message[at : at + 16]) for at in range(8, 8 + 16 * message[6], 16)]
        elif message[2] == 16:
            found |= {"trigger": message[7], "flags": int.from_bytes(message[10:12], "big")}
            answer = bytearray(struct.pack(">BBBBHBBHH", NONE, 0, 16, 0, 0, 2, 0, 0, 0))
            answer[8:12] = message[8:12]
            octets = authenticated(answer, want, care_of, home)
            octets = octets[:4] + struct.pack(">H", checksum(home, agent, MH, octets)) + octets[6:]
            send(header(care_of, agent, OPTIONS, with_home(home, MH, octets)), agent)
        return found
    return {}


def advertise(want: dict[str, Any]) -> dict[str, Any]:
    """A Router Advertisement of another home agent; then the first one of somebody else."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, ICMP6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, want["device"].encode())
    sock.setsockopt(socket.IPPROTO_IPV6, 18, 255)
    sock.setsockopt(socket.IPPROTO_IPV6, 19, 0)
    body = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0x20, 1800, 0, 0)
    body += struct.pack(">BBBBIII", 3, 4, 64, 0xE0, 9000, 9000, 0) + packed(want["address"])
    body += struct.pack(">BBHHH", 8, 1, 0, want["preference"], 900) + pad(0)
    sock.sendto(body, ("ff02::1", 0, 0, socket.if_nametoindex(want["device"])))
    sock.settimeout(0.5)
    until = time.monotonic() + want.get("wait", 5.0)
    while time.monotonic() < until:
        try:
            data, sender = sock.recvfrom(2048)
        except TimeoutError:
            sock.sendto(b"\x85" + bytes(7), ("ff02::2", 0, 0, socket.if_nametoindex(want["device"])))
            continue
        if data[0] == 134 and data[5] & 0x20:
            return {"from": sender[0].partition("%")[0], "options": [data[16], data[48], data[-8]]}
    return {}


if __name__ == "__main__":
    commands = {"discover": discover, "solicit": solicit, "listen": listen, "advertise": advertise}
    print(json.dumps(commands[sys.argv[1]](json.loads(sys.argv[2]))))
