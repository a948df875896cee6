"""Many mobile nodes on the access link of an appliance that is a gateway.

They are frames on a cable: a Router Solicitation each to attach (RFC 4861), a dead cable to leave.
"""

import argparse
import socket
import struct
import time

from scripts.counting import wire
from scripts.counting.crowd import QUIET, Crowd
from scripts.counting.gateway import Mobile, inside
from scripts.counting.world import World
from scripts.labnet import LMA_ADDRESS, MAG_ADDRESSES, LabError
from scripts.labrun import Appliance

SOLICITATION, ADVERTISEMENT, PREFIX_INFORMATION = 133, 134, 3
ALL_ROUTERS = wire.packed("ff02::2")
ALL_ROUTERS_LINK = bytes.fromhex("333300000002")
GATEWAY_LINK = bytes.fromhex("00005e005213")
ETHERTYPE = b"\x86\xdd"
ANSWERS = "binding-acknowledgement-rcvd"
BUFFER = 16 << 20
INTERVAL, PATIENCE = 4.0, 20.0


def link_local(mobile: Mobile) -> bytes:
    """The link-local address of a mobile node, out of its link-layer address (RFC 4291)."""
    mac = mobile.link_layer
    return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def solicitation(mobile: Mobile) -> bytes:
    """The frame with which a mobile node asks who is there."""
    message = struct.pack(">BBHI", SOLICITATION, 0, 0, 0) + b"\1\1" + mobile.link_layer
    source = link_local(mobile)
    check = wire.checksum(source, ALL_ROUTERS, wire.ICMP6, message)
    message = message[:2] + check.to_bytes(2, "big") + message[4:]
    packet = wire.ip_packet(source, ALL_ROUTERS, wire.ICMP6, message, hops=255)
    return ALL_ROUTERS_LINK + mobile.link_layer + ETHERTYPE + packet


def advertised(packet: bytes) -> bytes:
    """The prefix that a Router Advertisement gives; empty: it is none, or gives none."""
    if len(packet) < 56 or packet[6] != wire.ICMP6 or packet[40] != ADVERTISEMENT:
        return b""
    at = 56
    while at + 8 <= len(packet) and packet[at + 1]:
        if packet[at] == PREFIX_INFORMATION:
            return packet[at + 16 : at + 32]
        at += 8 * packet[at + 1]
    return b""


class Attended(Crowd):
    """Mobile nodes of an appliance."""

    def __init__(self, world: World, options: argparse.Namespace) -> None:
        super().__init__(world, options)
        # The scripted gateway has the address that the real one wants, and would hear what is not for it.
        world.mag1.close()
        config = world.work / "mag1.conf"
        config.write_text(self._config())
        self.gateway = Appliance(world.lab, "mag1", config, world.work)
        self.by_link = {mobile.link_layer: mobile for mobile in self.mobiles}
        world.lab.attach()
        with inside(world.lab, "mn"):
            self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self.link.setsockopt(socket.SOL_SOCKET, 33, BUFFER)
        self.link.bind(("mn0", 0))
        self.link.setblocking(False)

    def _config(self) -> str:
        names = (f"mobile-node {mobile.link_layer.hex(':')} nai {mobile.nai}" for mobile in self.mobiles)
        lines = [
            "config", "context access", "mag-service mag1", f"bind address {MAG_ADDRESSES['mag1']}",
            f"lma-address {LMA_ADDRESS}", "encapsulation ipip", "access-interface acc0", *names, "exit",
            "exit", "end",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def prepare(self) -> None:
        """Start the gateway."""
        self.gateway.start()
        self.gateway.wait_ready()
        # It finds its access link a moment after it says so.
        time.sleep(0.5)

    def close(self) -> None:
        """End the gateway."""
        self.gateway.stop()
        self.link.close()

    def _hear(self) -> None:
        """Take in what has come out of the access link and at the correspondent."""
        for _ in range(256):
            try:
                frame, sender = self.link.recvfrom(2048)
            except BlockingIOError:
                break
            if sender[2] == socket.PACKET_OUTGOING:
                continue
            mobile = self.by_link.get(frame[:6])
            if mobile is None:
                continue
            packet = frame[14:]
            if packet[6] == wire.UDP:
                self.seen["down", "packets"] += 1
                self.seen["down", "octets"] += 40 + len(packet)
                continue
            prefix = advertised(packet)
            if prefix and mobile.number not in self.here:
                mobile.prefix = prefix
                self.here[mobile.number] = mobile
                self.latencies.append(time.monotonic() - self._asked.pop(mobile.number))
                self.seen["initial", "accepted"] += 1
        self.listen()

    def _pause(self, until: float) -> None:
        while True:
            self._hear()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.002))

    def attach(self) -> None:
        """A Router Solicitation of each; the advertisement that comes back has its prefix."""
        self._asked: dict[int, float] = {}
        begun = time.monotonic()
        for number, mobile in enumerate(self.mobiles):
            self._pause(begun + number / self.options.rate)
            self._asked[mobile.number] = time.monotonic()
            self.link.send(solicitation(mobile))
        until = again = time.monotonic()
        while len(self.here) < len(self.mobiles) and time.monotonic() < until + PATIENCE:
            self._pause(time.monotonic() + 0.01)
            if time.monotonic() > again + INTERVAL:
                # RFC 4861 section 6.3.7: a host asks again, four seconds later.
                again = time.monotonic()
                for number in self._asked:
                    self.link.send(solicitation(self.mobiles[number]))
        if len(self.here) < len(self.mobiles):
            raise LabError(f"{len(self.here)} of {len(self.mobiles)} mobile nodes could attach")
        self.rates["attach"] = len(self.mobiles) / (time.monotonic() - begun)
        self._note("initial", "init")

    def _note(self, kind: str, word: str) -> None:
        """Of the updates that the gateway sends by itself, it alone knows; how many mobile nodes, we do."""
        found = self.gateway.json("show mag-service statistics")
        sent = (f"binding-update-sent/{word}-request-{way}" for way in ("xmit", "re-xmit"))
        self.seen[kind, "sent"] = sum(found[key] for key in sent)
        if kind == "dereg":
            self.seen[kind, "accepted"] = found[f"{ANSWERS}/accepted"] - found[f"{ANSWERS}/init-accepted"]

    def live(self) -> None:
        """Traffic; the lifetime is too long for refreshes."""
        begun = time.monotonic()
        packets = int(self.options.seconds * self.options.traffic)
        everybody = list(self.here.values())
        for number in range(packets):
            self._pause(begun + number / self.options.traffic)
            mobile = self.random.choice(everybody)
            packet = self.datagram(mobile)
            self.link.send(GATEWAY_LINK + mobile.link_layer + ETHERTYPE + packet)
            self.seen["up", "packets"] += 1
            self.seen["up", "octets"] += 40 + len(packet)
            self.downward(self.random.choice(everybody))
        self._pause(max(time.monotonic(), begun + self.options.seconds) + QUIET)

    def leave(self) -> None:
        """The cable goes away: the gateway de-registers everybody."""
        count = len(self.here)
        self.world.lab.detach()
        self.world.until(
            "the gateway has let all mobile nodes go",
            lambda: self.gateway.json("show mag-service statistics")[f"{ANSWERS}/dereg-reply-rcvd"] >= count,
            PATIENCE,
        )
        self._note("dereg", "dereg")
        self.here.clear()
