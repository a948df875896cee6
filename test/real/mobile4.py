"""A dual-stack mobile node of a few lines: its kernel sends by a TUN device, this carries it to the agent.

Run in a namespace as ``python -m test.real.mobile4 JSON``. Each line on its standard input is a JSON object,
and is answered by one on its standard output:

``{"via": "udp" | "ipv6", ...}``  sends a Binding Update inside UDP 4191, or by Home Address option, and tells
the acknowledgement. ``data``: how packets go from now on, ``udp``, ``ipv4`` (protocols 4 and 41) or ``ipv6``.
``{"poke": HEX}``  sends these octets to port 4191.
"""

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Any

from test.real.mobile import (
    MH,
    NONE,
    OPTIONS,
    ROUTING,
    acknowledgement,
    authenticated,
    checksum,
    header,
    packed,
    pad,
    with_home,
)

PORT, DEVICE = 4191, "hoa0"
IPIP, IPV6 = 4, 41


def option(mh: bytearray, kind: int, body: bytes) -> None:
    """Put an option of six octets in, at 4n (RFC 5555 section 3)."""
    mh += pad(-len(mh) % 4) + bytes((kind, 6)) + body


class Mobile:
    """One mobile node; ``want``: agent, agent4, home, own (IPv4), care_of (IPv6), key, spi, mn, targets."""

    def __init__(self, want: dict[str, Any]) -> None:
        self.want = want
        self.home, self.agent = packed(want["home"]), packed(want["agent"])
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((want["own"], want.get("port", 0)))
        self.by: dict[str, dict[int, socket.socket]] = {"ipv4": {}, "ipv6": {}}
        for protocol in (IPIP, IPV6):
            self.by["ipv4"][protocol] = sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
            sock.bind((want["own"], 0))
            if want.get("care_of"):
                self.by["ipv6"][protocol] = sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
                sock.bind((want["care_of"], 0))
        self.routing = None
        if want.get("care_of"):
            self.routing = socket.socket(socket.AF_INET6, socket.SOCK_RAW, ROUTING)
            self.routing.bind((want["care_of"], 0))
        self.tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tun, 0x400454CA, struct.pack("16sH22x", DEVICE.encode(), 0x1001))
        self.data = "udp"
        self.heard: dict[str, int] = {}
        self.answer: dict[str, Any] | None = None
        self.home4 = ""
        self.ip(f"link set {DEVICE} up mtu 1400", f"addr add {want['home']}/128 dev {DEVICE} nodad")
        self.ip(f"route add {want['target']} dev {DEVICE} src {want['home']}")

    @staticmethod
    def ip(*lines: str) -> None:
        """Commands of ``ip``."""
        subprocess.run(("ip", "-batch", "-"), input="\n".join(lines) + "\n", text=True, check=True)

    # ---- signalling

    def update(self, ask: dict[str, Any]) -> None:
        """Send a Binding Update."""
        want = {**self.want, **ask}
        inside = ask["via"] == "udp"
        mh = bytearray(
            struct.pack(
                ">BBBBHHHH", NONE, 0, 5, 0, 0, ask["sequence"], ask.get("flags", 0xC000), ask["lifetime"]
            )
        )
        name = want["mn"].encode()
        mh += bytes((8, 1 + len(name), 1)) + name
        if "wish" in ask:
            option(mh, 29, bytes((32 << 2, 0)) + socket.inet_aton(ask["wish"]))
        own = socket.inet_aton(want["own"])
        if inside:
            option(mh, 32, bytes(2) + own)
        covered = bytes(10) + b"\xff\xff" + own if inside else packed(want["care_of"])
        octets = authenticated(mh, want, covered, self.home)
        check = checksum(self.home, self.agent, MH, octets)
        octets = octets[:4] + struct.pack(">H", check) + octets[6:]
        self.covered, self.answer = covered, None
        if inside:
            packet = header(self.home, self.agent, MH, octets)
            self.udp.sendto(packet, (want["agent4"], PORT))
            return
        packet = header(covered, self.agent, OPTIONS, with_home(self.home, MH, octets))
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            out.sendto(packet, (want["agent"], 0))

    def acknowledged(self, mh: bytes, way: str) -> None:
        """Note what a Binding Acknowledgement says."""
        found = acknowledgement(mh, self.home, self.agent, self.covered, self.want)
        found["way"] = way
        at = 12
        while at < len(mh):
            kind, size = mh[at], 1 if mh[at] == 0 else 2 + mh[at + 1]
            if kind == 30:
                found["ipv4"] = [mh[at + 2], mh[at + 3] >> 2, socket.inet_ntoa(mh[at + 4 : at + 8])]
            elif kind == 31:
                found["nat"] = [mh[at + 2] >> 7, int.from_bytes(mh[at + 4 : at + 8], "big")]
            at += size
        self.answer = found
        address = found.get("ipv4", [1, 0, ""])
        if address[0] == 0 and address[2] != self.home4:
            self.home4 = address[2]
            self.ip(
                f"addr add {self.home4}/32 dev {DEVICE}",
                f"route add {self.want['target4']} dev {DEVICE} src {self.home4}",
            )

    # ---- data

    def from_kernel(self, packet: bytes) -> None:
        """Into the tunnel."""
        version = packet[0] >> 4
        if version == 6 and packet[24] == 0xFF:
            return
        if self.data == "udp":
            self.udp.sendto(packet, (self.want["agent4"], PORT))
            return
        agent = self.want["agent4" if self.data == "ipv4" else "agent"]
        self.by[self.data][IPV6 if version == 6 else IPIP].sendto(packet, (agent, 0))

    def from_tunnel(self, packet: bytes, way: str) -> None:
        """A packet for the kernel, or an acknowledgement."""
        if way == "udp" and packet[0] >> 4 == 6 and packet[6] == MH and packet[42] == 6:
            self.acknowledged(packet[40:], way)
            return
        name = f"{way} {packet[0] >> 4}"
        self.heard[name] = self.heard.get(name, 0) + 1
        os.write(self.tun, packet)

    def poll(self, seconds: float) -> bool:
        """Carry packets until a command waits (True), or the time is over."""
        tunnels = {sock: way for way, found in self.by.items() for sock in found.values()}
        extra = [self.routing] if self.routing is not None else []
        for ready in select.select([sys.stdin, self.tun, self.udp, *tunnels, *extra], [], [], seconds)[0]:
            if ready is sys.stdin:
                return True
            if ready == self.tun:
                self.from_kernel(os.read(self.tun, 4096))
            elif ready is self.udp:
                self.from_tunnel(self.udp.recv(4096), "udp")
            elif ready is self.routing:
                data = self.routing.recv(4096)
                if data[0] == MH and data[2] == 2 and data[26] == 6:
                    self.acknowledged(data[24:], "ipv6")
            else:
                way, data = tunnels[ready], ready.recv(4096)
                self.from_tunnel(data[(data[0] & 15) * 4 :] if way == "ipv4" else data, way)
        return False

    def obey(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Carry a command out."""
        if "poke" in ask:
            self.udp.sendto(bytes.fromhex(ask["poke"]), (self.want["agent4"], PORT))
            return {}
        if "via" in ask:
            self.update(ask)
            until = time.monotonic() + ask.get("wait", 3.0)
            while self.answer is None and time.monotonic() < until:
                self.poll(0.05)
            self.data = ask.get("data", self.data)
            return self.answer or {}
        heard, self.heard = self.heard, {}
        return heard


def main() -> None:
    """Serve until standard input ends."""
    mobile = Mobile(json.loads(sys.argv[1]))
    print("{}", flush=True)
    while True:
        if mobile.poll(1.0):
            line = sys.stdin.readline()
            if not line:
                return
            print(json.dumps(mobile.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
