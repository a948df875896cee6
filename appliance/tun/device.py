"""The descriptors of the tunnel engine: TUN device, packet sockets, raw sockets.

Everything that touches the host goes through one :class:`System`, so that a test can put
another one in its place.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from appliance.errors import ResourceError
from appliance.tun import native, offload
from appliance.tun.encap import DATA_PORT

TUN_PATH = "/dev/net/tun"
TUNNEL_MODULES = ("tunnel4", "tunnel6", "gre", "ip6_gre")
BUFFER_OCTETS = 8 * 1024 * 1024
#: The default queue of a TUN device (500) drops as soon as TCP opens its window; this holds a
#: bandwidth-delay product of 1 Gbit/s and 100 ms.
QUEUE_LENGTH = 10_000

# <linux/if_tun.h>
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
# <linux/sockios.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFMTU, SIOCSIFMTU = 0x8913, 0x8914, 0x8921, 0x8922
IFF_UP = 1
# <linux/if_packet.h>, <linux/in6.h>, <linux/icmpv6.h>, <linux/icmp.h>, <asm-generic/socket.h>
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 1, 15, 23
PACKET_MR_ALLMULTI, PACKET_MR_UNICAST = 2, 3
IPV6_MTU, IPV6_RECVTCLASS, IPV6_AUTOFLOWLABEL, ICMP6_FILTER, IP_RECVTOS = 24, 66, 70, 1, 13
IPV6_DSTOPTS = 59
SOL_RAW, ICMP_FILTER = 255, 1
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
ETH_P_ALL = 3
#: The kernel's list: address, index, length, scope, flags, name; in hexadecimal.
ADDRESSES = Path("/proc/net/if_inet6")
# Scope link; flags tentative and failed.
LINK_SCOPE, UNUSABLE = 0x20, 0x40 | 0x08
# <linux/rtnetlink.h>, <linux/netlink.h>, <linux/if_link.h>
RTM_SETLINK, NLM_F_REQUEST, NLM_F_ACK, IFLA_TXQLEN = 19, 1, 4, 13

# Accept IPv6, IPv4 and ARP frames: ldh [12]; jeq ...; ret.
_FRAME_FILTER = [
    (0x28, 0, 0, 12), (0x15, 3, 0, 0x86DD), (0x15, 2, 0, 0x0800), (0x15, 1, 0, 0x0806),
    (0x06, 0, 0, 0), (0x06, 0, 0, 0x40000),
]  # fmt: skip
# Accept IPv6 to groups of global scope: ldh [12]; ldb [38]; ldb [39]; and 0x0f.
_GROUP_FILTER = [
    (0x28, 0, 0, 12), (0x15, 0, 6, 0x86DD), (0x30, 0, 0, 38), (0x15, 0, 4, 0xFF),
    (0x30, 0, 0, 39), (0x54, 0, 0, 0x0F), (0x15, 0, 1, 0x0E), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0),
]  # fmt: skip
# Accept no packet at all: ret 0.
_NOTHING = [(0x06, 0, 0, 0)]


def explain(error: OSError, what: str) -> ResourceError:
    """One line for an operator: what could not be had, and how to give it."""
    if error.errno in (errno.EPERM, errno.EACCES):
        text = "permission denied; run as root or give the process CAP_NET_RAW and CAP_NET_ADMIN"
    elif error.errno == errno.EADDRNOTAVAIL:
        text = "the address is not on this host; add it to a device of the host"
    elif error.errno in (errno.ENODEV, errno.ENXIO):
        text = "there is no such device"
    elif error.errno == errno.EBUSY:
        text = "the device is in use by another process"
    else:
        text = os.strerror(error.errno or 0)
    return ResourceError(f"{what}: {text}")


@implementer(IReadDescriptor)
class Reader:
    """One descriptor of the reactor: ``read`` is called when something waits there."""

    def __init__(self, fd: int, read: Callable[[], None]) -> None:
        self._fd = fd
        self._read = read

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def logPrefix(self) -> str:
        """How Twisted names it."""
        return "tunnel"

    def doRead(self) -> None:
        """Called by the reactor."""
        self._read()

    def connectionLost(self, reason: object) -> None:
        """Called by the reactor when it gives the descriptor up; whoever owns it closes it."""


class TunDevice:
    """A TUN device with virtio headers: whole IP packets, up to 64 kilobytes at once."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.fd

    def read(self) -> bytes:
        """One virtio header and packet; empty when nothing waits. Raises OSError otherwise."""
        try:
            return os.read(self.fd, native.SLOT_SIZE)
        except BlockingIOError:
            return b""

    def write(self, parts: list[bytes]) -> None:
        """Write one packet in pieces, virtio header first. Raises OSError."""
        os.writev(self.fd, parts)

    def close(self) -> None:
        """Close it; the kernel removes the device and its routes."""
        os.close(self.fd)


class PacketDevice:
    """A packet socket on one access link: whole Ethernet frames behind a virtio header."""

    def __init__(self, sock: socket.socket, interface: str) -> None:
        self.socket = sock
        self.interface = interface

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.socket.fileno()

    def write(self, parts: list[bytes]) -> None:
        """Write one frame in pieces, virtio header first. Raises OSError."""
        self.socket.sendmsg(parts)

    def close(self) -> None:
        """Close the socket; the host's settings of the device are as they were."""
        self.socket.close()


def set_queue_length(name: str, packets: int) -> None:
    """Set a device's transmit queue length; raises OSError.

    By netlink: the ioctl for it asks for rights in the first user namespace, this one only for those over
    the device.
    """
    attribute = struct.pack("HHI", 8, IFLA_TXQLEN, packets)
    body = struct.pack("BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(name), 0, 0) + attribute
    request = struct.pack("IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.sendto(request, (0, 0))
        # The kernel has answered by the time that sendto returns.
        failure = -struct.unpack_from("i", netlink.recv(4096), 16)[0]
    if failure:
        raise OSError(failure, os.strerror(failure))


def send_with_options(
    sock: socket.socket, parts: list[bytes], header: bytes, peer: bytes, traffic_class: int
) -> bool:
    """Send by a raw IPv6 socket behind a Destination Options header; False when the host refuses."""
    controls = [
        (socket.IPPROTO_IPV6, IPV6_DSTOPTS, header),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, traffic_class.to_bytes(4, "little")),
    ]
    try:
        sock.sendmsg(parts, controls, 0, (str(ip_address(peer)), 0))
    except OSError:
        return False
    return True


class System:
    """The host as the engine uses it."""

    def open_tun(self, name: str, mtu: int, queue_length: int = QUEUE_LENGTH) -> TunDevice:
        """Create a TUN device and bring it up; raises ResourceError."""
        try:
            fd = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ResourceError(
                f"{TUN_PATH}: there is no such device; load the kernel module 'tun' (modprobe tun)"
            ) from None
        except OSError as error:
            raise explain(error, TUN_PATH) from None
        try:
            request = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)
            given = fcntl.ioctl(fd, TUNSETIFF, request)[:16].rstrip(b"\0").decode()
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", offload.HEADER_SIZE))
            fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
            self._bring_up(given, mtu, queue_length)
        except OSError as error:
            os.close(fd)
            raise explain(error, f"TUN device {name}") from None
        return TunDevice(fd, given)

    @staticmethod
    def _bring_up(name: str, mtu: int, queue_length: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            raw = name.encode()
            fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si20x", raw, mtu))
            answer = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16s24x", raw))
            flags = struct.unpack_from("H", answer, 16)[0]
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", raw, flags | IFF_UP))

        set_queue_length(name, queue_length)

    @staticmethod
    def set_mtu(name: str, mtu: int) -> None:
        """Set the MTU of a device, octets; raises ResourceError."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si20x", name.encode(), mtu))
        except OSError as error:
            raise explain(error, f"MTU {mtu} of device {name}") from None

    def open_packet(self, interface: str, link_layer: bytes) -> PacketDevice:
        """A packet socket that gets what the mobiles send to ``link_layer``; raises ResourceError."""
        sock = None
        try:
            # Protocol 0 until everything is set: no frame comes in that the filter did not see.
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            native.attach_filter(sock.fileno(), _FRAME_FILTER)
            sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            # Without it (before Linux 4.20) our own frames come back; the engine drops them too.
            with contextlib.suppress(OSError):
                sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            index = socket.if_nametoindex(interface)
            for kind, address in ((PACKET_MR_UNICAST, link_layer), (PACKET_MR_ALLMULTI, b"")):
                member = struct.pack("iHH8s", index, kind, len(address), address)
                sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
            self.large_buffers(sock)
            sock.bind((interface, ETH_P_ALL))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise explain(error, f"access interface {interface}") from None
        return PacketDevice(sock, interface)

    def open_raw(self, local: bytes, protocol: int, port: int = DATA_PORT) -> socket.socket:
        """A raw (or, for protocol 17, UDP) socket for tunnel packets at ``local``; raises ResourceError.

        One for fragments (44) only sends: what comes is made whole by the kernel before we get it.
        """
        family = socket.AF_INET6 if len(local) == 16 else socket.AF_INET
        text = str(ip_address(local))
        sock = None
        try:
            if protocol == socket.IPPROTO_UDP:
                sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            else:
                sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
            self.large_buffers(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
                # RFC 2473 section 3.1: flow label 0 by default; the kernel would make one up.
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0)
                if protocol == socket.IPPROTO_FRAGMENT:
                    native.attach_filter(sock.fileno(), _NOTHING)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
            sock.bind((text, port if protocol == socket.IPPROTO_UDP else 0))
        except OSError as error:
            if sock is not None:
                sock.close()
            what = f"protocol {protocol}" if protocol != socket.IPPROTO_UDP else f"UDP port {port}"
            raise explain(error, f"tunnel socket for {what} at {text}") from None
        return sock

    def open_groups(self, interface: str) -> PacketDevice:
        """A packet socket that gets what goes to groups of global scope on a device; raises ResourceError."""
        sock = None
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            native.attach_filter(sock.fileno(), _GROUP_FILTER)
            sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            member = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_MR_ALLMULTI, 0, b"")
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
            self.large_buffers(sock)
            # All protocols: only so it also hears what this host sends there itself.
            sock.bind((interface, ETH_P_ALL))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise explain(error, f"home link {interface}") from None
        return PacketDevice(sock, interface)

    @staticmethod
    def link_address(interface: str) -> bytes:
        """An IPv6 address that a device has and that has passed its test; link-local if there is one."""
        found = []
        for line in ADDRESSES.read_text().splitlines():
            address, _, _, scope, flags, name = line.split()
            if name == interface and not int(flags, 16) & UNUSABLE:
                found.append((int(scope, 16) != LINK_SCOPE, bytes.fromhex(address)))
        return min(found)[1] if found else b""

    def open_whole(self, interface: str) -> socket.socket:
        """A raw socket that sends whole IPv6 packets by one device only; raises ResourceError."""
        sock = None
        try:
            sock = socket.socket(
                socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW
            )
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            self.large_buffers(sock)
        except OSError as error:
            if sock is not None:
                sock.close()
            raise explain(error, f"home link {interface}") from None
        return sock

    @staticmethod
    def link_mtu(interface: str) -> int:
        """The MTU of a device, octets; that of every IPv6 link if it is gone."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                answer = fcntl.ioctl(control, SIOCGIFMTU, struct.pack("16s24x", interface.encode()))
        except OSError:
            return 1280
        mtu: int = struct.unpack_from("i", answer, 16)[0]
        return mtu

    def open_icmp(self, local: bytes | None, version: int) -> socket.socket:
        """A raw ICMP socket that gets destination-type errors; without an address: for sending only."""
        version6 = version == 6
        sock = None
        try:
            if version6:
                sock = socket.socket(
                    socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6
                )
                # Bits that are set are blocked; types 1 to 4 are the errors (RFC 4443 section 3).
                errors = 0b11110 if local else 0
                mask = struct.pack("=I", 0xFFFFFFFF & ~errors) + b"\xff" * 28
                sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, mask)
            else:
                sock = socket.socket(
                    socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP
                )
                allowed = (1 << 3 | 1 << 11) if local else 0
                sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~allowed))
            if local:
                address = str(ip_address(local))
                sock.bind((address, 0))
        except OSError as error:
            if sock is not None:
                sock.close()
            raise explain(error, "raw ICMP socket") from None
        return sock

    @staticmethod
    def large_buffers(sock: socket.socket) -> None:
        """Ask for buffers that hold a burst; the forced form works above the host's limit as root."""
        for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_OCTETS)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_OCTETS)

    @staticmethod
    def kernel_tunnels() -> list[str]:
        """The kernel's own tunnel modules that are loaded and take our protocols for theirs."""
        return [name for name in TUNNEL_MODULES if os.path.exists(f"/sys/module/{name}")]

    def route_mtu(self, local: bytes, peer: bytes) -> int:
        """What the kernel knows about the MTU of the path to ``peer``, octets; 0: nothing."""
        six = len(peer) == 16
        level, option = (socket.IPPROTO_IPV6, IPV6_MTU) if six else (socket.IPPROTO_IP, 14)
        try:
            with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((str(ip_address(local)), 0))
                probe.connect((str(ip_address(peer)), 9))
                return probe.getsockopt(level, option)
        except OSError:
            # No route yet: the configured MTU serves until there is one.
            return 0
