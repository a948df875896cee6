"""A mobile router of a few lines, nothing of ours: tunnels over a TUN device, and a relay agent (RFC 6276).

Run in a namespace as ``python -m test.real.router JSON`` with

``agent``, ``home``  addresses of home agent and router
``care_of``          its care-of addresses: what goes out takes them in turn
``relay``            device whose DHCPv6 clients are heard; empty: none

It makes the device ``nemo0``, prints a line, and works until its standard input ends. Then it prints one JSON
object: of each care-of address the number of ``packets`` out of its tunnel, the UDP ``flows`` (source and
destination port) that came by it, and how many DHCPv6 messages it has ``relayed`` to clients.
"""

import fcntl
import json
import os
import select
import socket
import struct
import sys
from typing import Any

from test.real.mobile import OPTIONS, ROUTING, checksum, header, packed, send, text, with_home

IPV6, UDP = 41, 17
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
RELAY_MESSAGE = 9


class Router:
    """The sockets, and what they have seen."""

    def __init__(self, want: dict[str, Any]) -> None:
        self.agent, self.home = packed(want["agent"]), packed(want["home"])
        self.care_of = [packed(each) for each in want["care_of"]]
        self.packets = {text(each): 0 for each in self.care_of}
        self.flows: dict[str, set[tuple[int, int]]] = {text(each): set() for each in self.care_of}
        self.turn = self.relayed = 0
        self.client: Any = None
        self.tun = os.fdopen(os.open("/dev/net/tun", os.O_RDWR), "r+b", buffering=0)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"nemo0", IFF_TUN | IFF_NO_PI))
        self.tunnels: dict[socket.socket, bytes] = {}
        self.routed: list[socket.socket] = []
        for address in self.care_of:
            for protocol in (IPV6, ROUTING):
                sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
                sock.bind((text(address), 0))
                if protocol == IPV6:
                    self.tunnels[sock] = address
                else:
                    self.routed.append(sock)
        self.relay: socket.socket | None = None
        if want.get("relay"):
            index = socket.if_nametoindex(want["relay"])
            self.relay = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.relay.bind(("::", 547))
            group = packed("ff02::1:2") + struct.pack("I", index)
            self.relay.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def work(self) -> None:
        """Until standard input ends."""
        watched: list[Any] = [sys.stdin, self.tun, *self.tunnels, *self.routed]
        if self.relay is not None:
            watched.append(self.relay)
        while True:
            for ready in select.select(watched, [], [])[0]:
                if ready is sys.stdin:
                    return
                if ready is self.tun:
                    self.out()
                elif ready is self.relay:
                    self.ask()
                elif ready in self.tunnels:
                    self.back(ready)
                else:
                    self.answer(ready.recv(4096))

    def out(self) -> None:
        """Into the tunnel: the care-of addresses in turn."""
        packet = self.tun.read(4096) or b""
        if packet[0] >> 4 == 6 and packet[24] != 0xFF and packet[8] != 0xFE:
            care_of = self.care_of[self.turn % len(self.care_of)]
            self.turn += 1
            send(header(care_of, self.agent, IPV6, packet), self.agent)

    def back(self, sock: socket.socket) -> None:
        """Out of the tunnel."""
        packet, sender = sock.recvfrom(4096)
        if packed(sender[0]) != self.agent:
            return
        name = text(self.tunnels[sock])
        self.packets[name] += 1
        if packet[6] == UDP:
            self.flows[name].add(struct.unpack(">HH", packet[40:44]))
        self.tun.write(packet)

    def ask(self) -> None:
        """RFC 6276 section 3.1.2: a client's message goes to the home agent, from the home address."""
        assert self.relay is not None
        message, self.client = self.relay.recvfrom(4096)
        body = bytes((12, 1)) + self.home + self.home
        body += struct.pack(">HH", RELAY_MESSAGE, len(message)) + message
        whole = struct.pack(">HHHH", 547, 547, 8 + len(body), 0) + body
        check = checksum(self.home, self.agent, UDP, whole)
        whole = whole[:6] + struct.pack(">H", check) + whole[8:]
        care_of = self.care_of[0]
        send(header(care_of, self.agent, OPTIONS, with_home(self.home, UDP, whole)), self.agent)

    def answer(self, data: bytes) -> None:
        """RFC 6276 section 3.1.3: what comes by a type 2 routing header is for the client."""
        whole = data[24:]
        if data[0] != UDP or data[2] != 2 or data[8:24] != self.home or self.client is None:
            return
        if checksum(self.agent, self.home, UDP, whole) or struct.unpack(">HH", whole[:4]) != (547, 547):
            return
        if whole[8] == 13 and self.relay is not None:
            _, size = struct.unpack(">HH", whole[42:46])
            self.relayed += 1
            self.relay.sendto(whole[46 : 46 + size], self.client)


def main() -> None:
    """Work and tell."""
    router = Router(json.loads(sys.argv[1]))
    print("ready", flush=True)
    router.work()
    flows = {name: sorted(found) for name, found in router.flows.items()}
    print(json.dumps({"packets": router.packets, "flows": flows, "relayed": router.relayed}))


if __name__ == "__main__":
    main()
