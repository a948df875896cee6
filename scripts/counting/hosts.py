"""Hosts that do their own mobility (RFC 6275, RFC 4285, RFC 5648) and register with the anchor.

A host is at a care-of address on the cable of the first gateway that no kernel there owns: what comes for it
is read from the cable, with its type 2 routing header.
"""

import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from scripts.counting import wire
from scripts.counting.cases import ADMIN, DENY, Steps, accepted, case, denied
from scripts.counting.gateway import PATIENCE, Answer, Gateway, inside
from scripts.counting.stages import Stage, anchor
from scripts.counting.world import World
from scripts.labnet import LMA_ADDRESS, LabError, run

KEY = bytes(range(16))
SPI = 256
CARE_OF = "2001:db8:ffff::c1"
SECOND = "2001:db8:ffff::c2"
HOME_LINK = "2001:db8:100::"
PLAIN = wire.A | wire.H

STAGE = Stage(
    "hosts",
    anchor(
        (
            "mipv6 enable",
            "mipv6 home-address-pool HOSTS",
            "mipv6 multiple-care-of-addresses bulk",
            f"mn-ha-spi spi-number {SPI} secret 0x{KEY.hex()}",
            "simul-bindings 3",
        ),
        (f"ipv6 pool HOSTS prefix {HOME_LINK}/64 delegated-length 128 static",),
    ),
    lambda world: Cable(world),
)


class Cable:
    """What the anchor sends to the care-of addresses of hosts."""

    def __init__(self, world: World) -> None:
        with inside(world.lab, "mag1"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
            self.socket.bind(("backhaul", 0))
        world.on_close(self.socket.close)
        world.drains.append(self.drain)
        self.heard = world.heard
        shown = run("ip", "-n", world.lab.name("mag1"), "-br", "link", "show", "dev", "backhaul")
        mac = shown.split()[2]
        for address in (CARE_OF, SECOND):
            world.lab.ip("lma", f"neigh replace {address} lladdr {mac} dev backhaul nud permanent")

    def drain(self) -> None:
        """Throw away what has come."""
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(4096)

    def payload(self, care_of: bytes, protocol: int, kind: int | None = None) -> bytes:
        """What the next packet of a protocol carries behind its routing header; ``kind``: of an MH type."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            packet = self.socket.recv(4096)[14:]
            following, body = packet[6], packet[40:]
            if following == wire.ROUTING:
                following, body = body[0], body[8 + 8 * body[1] :]
            if packet[24:40] == care_of and following == protocol and kind in (None, body[2]):
                return body
        raise LabError(f"no packet of protocol {protocol} came to the host within {PATIENCE:g} s")

    def message(self, care_of: bytes, kind: int) -> bytes:
        """The next message of an MH type."""
        mh = self.payload(care_of, wire.MH, kind)
        self.heard.append(mh)
        return mh


@dataclass
class Host:
    """One host."""

    world: World
    nai: str
    home: bytes
    care_of: bytes
    sequence: int = 100
    address: bytes = b""
    """IPv4 home address."""
    covered: bytes = b""
    """The care-of address that its authenticators cover, where it names another than that of its packets."""

    @property
    def cable(self) -> Cable:
        """What hears for it."""
        found: Cable = self.world.extra
        return found

    @property
    def host(self) -> bytes:
        """The address that its packets have, as for mobile nodes of gateways."""
        return self.home

    def send(self, protocol: int, body: bytes) -> None:
        """Send a packet with a Home Address option."""
        packet = wire.by_home_address(self.care_of, self.home, self.world.mag1.anchor, protocol, body)
        self.world.mag1.any6.sendto(packet, (LMA_ADDRESS, 0))

    def signal(self, mh: bytes) -> None:
        """Send a mobility message; the checksum is made here."""
        self.send(wire.MH, wire.sealed(mh, self.home, self.world.mag1.anchor))

    def update(self, seconds: int, flags: int, options: list[wire.Option], proofs: list[Any]) -> None:
        """Send a Binding Update; ``proofs`` are (subtype, SPI, key) of authentication options."""
        self.sequence += 1
        mh = wire.update(self.sequence, flags, seconds, [wire.nai(self.nai), *options])
        self.signal(wire.authenticated(mh, proofs, self.covered or self.care_of, self.home))

    def answer(self) -> Answer:
        """The next Binding Acknowledgement."""
        return Gateway.read_answer(self.cable.message(self.care_of, wire.ACKNOWLEDGEMENT))

    def register(
        self,
        seconds: int = 600,
        *,
        flags: int = PLAIN,
        options: list[wire.Option] | None = None,
        proofs: list[Any] | None = None,
        status: int = 0,
    ) -> Answer:
        """As :meth:`update`; waits for the answer, which is to have ``status``."""
        if proofs is None:
            proofs = [(1, SPI, KEY)]
        self.update(seconds, flags, options or [], proofs)
        answer = self.answer()
        if answer.status != status:
            raise LabError(f"{self.nai}: answered with status {answer.status}, not {status}")
        given = answer.options.get(wire.IPV4_ACK)
        if given is not None and not given[0] and given[1] == 32 << 2:
            self.address = given[2:]
        return answer


def host(world: World, name: str = "", link: str = HOME_LINK) -> Host:
    """A host that the anchor has not seen before, with a home address of its own."""
    mobile = world.mobile(name)
    home = wire.packed(link)[:8] + (0x1000 + mobile.number).to_bytes(8, "big")
    return Host(world, mobile.nai, home, wire.packed(CARE_OF))


def registered(world: World) -> Host:
    """The same with a binding."""
    found = host(world)
    found.register()
    return found


@case("hosts", accepted("initial"))
def host_registers(world: World) -> Steps:
    """Binding Update of a host away from home, authenticated by MN-HA (RFC 4285)"""
    one = host(world)
    yield
    one.register()


@case("hosts", accepted("refresh"))
def host_refreshes(world: World) -> Steps:
    """The next Binding Update of the same host"""
    one = registered(world)
    yield
    one.register()


@case("hosts", denied("initial", f"{DENY}/mismatched-id"))
def old_message_id(world: World) -> Steps:
    """Binding Update of a host whose Message Identification is an hour old"""
    one = host(world)
    yield
    one.register(options=[(wire.MESSAGE_ID, wire.ntp_field(-3600))], status=144)


@case("hosts", denied("initial", f"{DENY}/mn-auth-failure"))
def wrong_host_key(world: World) -> Steps:
    """Binding Update of a host whose MN-HA authenticator is made with another key"""
    one = host(world)
    yield
    one.register(proofs=[(1, SPI, b"another key, 16.")], status=146)


@case("hosts", denied("initial", f"{DENY}/msg-id-required"))
def no_message_id(world: World) -> Steps:
    """Binding Update of a host without a Message Identification where the operator wants one"""
    one = host(world)
    world.configure("mipv6 timestamp-replay-protection")
    yield
    one.register(status=145)
    world.configure("no mipv6 timestamp-replay-protection")


@case("hosts", denied("initial", f"{DENY}/dad-failed"))
def address_in_use(world: World) -> Steps:
    """Binding Update of a host for a home address that another host has bound"""
    owner, thief = registered(world), host(world)
    thief.home = owner.home
    yield
    thief.register(status=134)


@case("hosts", denied("initial", f"{DENY}/not-home-subnet"))
def elsewhere_at_home(world: World) -> Steps:
    """Binding Update of a host for a home address on no prefix that is served"""
    one = host(world)
    one.home = wire.packed("2001:db8:999::1")
    yield
    one.register(status=132)


@case("hosts", denied("refresh", f"{DENY}/reg-type-change-disallowed"))
def no_home_registration_now(world: World) -> Steps:
    """Binding Update with the H bit clear of a host that has a home registration"""
    one = registered(world)
    yield
    one.register(flags=wire.A, status=139)


@case("hosts", denied("initial", f"{DENY}/mcoa-unknown-coa"))
def unknown_binding(world: World) -> Steps:
    """Binding Update with a short Binding Identifier that the anchor has no care-of address of (RFC 5648)"""
    one = host(world)
    yield
    one.register(options=[(wire.BID, b"\0\7\0\0")], status=167)


@case("hosts", denied("initial", f"{ADMIN}/mn-aaa-auth-option-missing"))
def no_mn_aaa(world: World) -> Steps:
    """Binding Update of a host without the MN-AAA option where the first one must have it"""
    one = host(world)
    world.configure("mipv6 authentication mn-aaa-initial")
    yield
    one.register(status=129)
    world.configure("mipv6 authentication mn-ha")


@case("hosts", denied("initial", f"{ADMIN}/invalid-mn-aaa-option-spi"))
def wrong_mn_aaa_spi(world: World) -> Steps:
    """Binding Update of a host whose MN-AAA option has an SPI that is not accepted"""
    one = host(world)
    yield
    one.register(proofs=[(1, SPI, KEY), (2, 5, KEY)], status=129)


@case("hosts", denied("initial", f"{ADMIN}/invalid-mn-ha-option-spi"))
def wrong_mn_ha_spi(world: World) -> Steps:
    """Binding Update of a host whose MN-HA option has an SPI that no key has"""
    one = host(world)
    yield
    one.register(proofs=[(1, 999, KEY)], status=129)


@case("hosts", denied("initial", f"{ADMIN}/h-bit-not-set"))
def no_home_registration(world: World) -> Steps:
    """Binding Update with the H bit clear of a host without a binding"""
    one = host(world)
    yield
    one.register(flags=wire.A, status=129)


# The last one: ten seconds later (RFC 6275 section 10.3.2) its session ends, and counts as a disconnect.


@case("hosts", accepted("dereg"))
def host_leaves(world: World) -> Steps:
    """Binding Update of a host with lifetime 0"""
    one = registered(world)
    yield
    one.register(0)
