"""The tunnel to the home agent and the addresses of its device, made to follow the bindings."""

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.events import HomeAddress, Link, Path, RemoveTunnel, Tunnel
from appliance.protocols.mn.sending import DSMIPV6_PORT
from appliance.protocols.mn.slots import Slot
from appliance.protocols.mn.state import Shared


class Surroundings:
    """What was said last, so that only changes are."""

    __slots__ = ("_addresses", "_shared", "_tunnel", "_used")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._tunnel: Tunnel | None = None
        self._addresses = HomeAddress(b"")
        #: The home address that the home agent has accepted since we left home.
        self._used = b""

    @property
    def networks(self) -> tuple[tuple[bytes, int], ...]:
        """The prefixes that go through the tunnel now."""
        return self._tunnel.networks if self._tunnel is not None else ()

    def follow(self, slots: list[Slot], agent: Agent | None, away: bool) -> None:
        """Say what has changed."""
        shared = self._shared
        paths = self._paths(slots, agent) if away and agent is not None else ()
        if not away:
            self._used = b""
        elif any(slot.bound is not None for slot in slots):
            self._used = shared.home
        elif self._used != shared.home:
            self._used = b""
        ipv4 = shared.home_ipv4 or None
        addresses = HomeAddress(b"")
        if self._used:
            addresses = HomeAddress(self._used, ipv4, shared.home_ipv4_length if ipv4 else 32)
        if addresses != self._addresses and addresses.address:
            shared.out.append(addresses)
        self._say_tunnel(paths, ipv4, agent)
        if addresses != self._addresses and not addresses.address:
            shared.out.append(addresses)
        self._addresses = addresses

    def _say_tunnel(self, paths: tuple[Path, ...], ipv4: bytes | None, agent: Agent | None) -> None:
        shared = self._shared
        if not paths:
            if self._tunnel is not None:
                shared.out.append(RemoveTunnel())
            self._tunnel = None
            return
        router = shared.settings.mobile_router and agent is not None and agent.router
        networks = shared.settings.networks if router else ()
        tunnel = Tunnel(shared.home, ipv4, networks, paths)
        if tunnel != self._tunnel:
            shared.out.append(tunnel)
        self._tunnel = tunnel

    def _paths(self, slots: list[Slot], agent: Agent) -> tuple[Path, ...]:
        """One for each binding, by the address that the home agent has.

        Where that address is gone, by the new one already: RFC 6275 section 11.6.3, "immediately after
        sending a Binding Update".
        """
        found = []
        for slot in slots:
            link = slot.bound
            if link is None:
                continue
            if link in self._shared.links:
                found.append(_path(slot, link, agent, slot.udp, slot.tlv))
            elif slot.link is not None and slot.busy:
                four = len(slot.link.address) == 4
                found.append(_path(slot, slot.link, agent, four, False))
        return tuple(found)


def _path(slot: Slot, link: Link, agent: Agent, udp: bool, tlv: bool) -> Path:
    peer = agent.ipv4 if len(link.address) == 4 else agent.address
    return Path(link.interface, link.address, peer, udp, DSMIPV6_PORT if udp else 0, tlv, slot.bid)
