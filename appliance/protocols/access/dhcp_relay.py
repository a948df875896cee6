"""The DHCP relay agent of a gateway, for mobile nodes whose anchor does not want it to be their server.

::

    client ─▶ giaddr, option 82 ─▶ RelayDhcp ─▶ DHCP server
    client ◀─ the assigned address? ◀─ DhcpRelayed ◀──┘

Sources: RFC 5844 section 3.4.2 (the assigned address goes along as Agent Remote ID; an offer of another one
is dropped), RFC 1542, RFC 3046, RFC 3527 (which network the client is in: giaddr does not tell).
"""

from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.access import dhcpv4
from appliance.protocols.access.dhcpv4 import NO_ADDRESS, Dhcp
from appliance.protocols.access.events import RelayDhcp, SendFrame
from appliance.protocols.access.mobiles import Mobile
from appliance.protocols.pmipv6.events import AddressReleased, Advertise, Notify
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.settings import MagSettings

#: RFC 1542 section 4.1.1.
MOST_HOPS = 16
_REMOTE_ID, _LINK_SELECTION = 2, 5


class DhcpRelay:
    """Relays for the clients of one MAG service; its effects go to ``out`` of the access core."""

    def __init__(self, settings: MagSettings, counters: CounterSet) -> None:
        self.settings = settings
        self._values = counters.values
        index = counters.table.index
        self._relayed = index("dhcp/relayed-to-server")
        self._returned = index("dhcp/relayed-to-client")
        self._ignored = index("dhcp/ignored")
        self._limiter = NoticeLimiter()

    def forward(self, mobile: Mobile, service: Advertise, message: Dhcp, mono: float, out: list[Any]) -> None:
        """Take a client's message to the server; the anchor has assigned an address by now."""
        settings = self.settings
        server, own = settings.dhcp_relay_server, settings.ipv4_address
        if server is None or own is None or message.hops >= MOST_HOPS:
            self._values[self._ignored] += 1
            if self._limiter.allows("server", mono) and message.hops < MOST_HOPS:
                text = "The anchor wants a DHCP relay, and there is no dhcp relay-server or no ipv4-address"
                out.append(Notify("warning", text))
            return
        address = service.ipv4_address or NO_ADDRESS
        named = message.ciaddr if message.ciaddr != NO_ADDRESS else message.address(dhcpv4.REQUESTED_ADDRESS)
        if message.kind in (dhcpv4.REQUEST, dhcpv4.RELEASE) and named != address:
            # RFC 5844 section 3.4.2: not the address that the anchor has assigned.
            self._complain(mobile, "asks its DHCP server for", named or NO_ADDRESS, mono, out)
            return
        self._values[self._relayed] += 1
        message.hops += 1
        message.giaddr = own
        mask = (0xFFFFFFFF << (32 - service.ipv4_prefix_length)) & 0xFFFFFFFF
        subnet = (int.from_bytes(address, "big") & mask).to_bytes(4, "big")
        message.options[dhcpv4.RELAY_INFORMATION] = (
            bytes((_REMOTE_ID, 4)) + address + bytes((_LINK_SELECTION, 4)) + subnet
        )
        out.append(RelayDhcp(dhcpv4.encode(message), server))
        if message.kind == dhcpv4.RELEASE:
            mobile.ipv4 = None
            out.append(AddressReleased(mobile.interface, mobile.link_layer))

    def back(self, mobile: Mobile, service: Advertise, message: Dhcp, mono: float, out: list[Any]) -> None:
        """Take a server's answer to the client, if it is about the assigned address."""
        if message.yiaddr not in (NO_ADDRESS, service.ipv4_address):
            self._complain(mobile, "is offered by its DHCP server", message.yiaddr, mono, out)
            return
        message.options.pop(dhcpv4.RELAY_INFORMATION, None)
        message.giaddr = NO_ADDRESS
        if message.kind == dhcpv4.ACK and message.yiaddr != NO_ADDRESS:
            mobile.ipv4 = message.yiaddr
        self._values[self._returned] += 1
        source = service.ipv4_router or self.settings.ipv4_address or NO_ADDRESS
        frame = dhcpv4.frame_to_client(message, self.settings.link_layer, source, mobile.link_layer)
        out.append(SendFrame(mobile.interface, frame))

    def _complain(self, mobile: Mobile, what: str, address: bytes, mono: float, out: list[Any]) -> None:
        self._values[self._ignored] += 1
        if self._limiter.allows((what, mobile.link_layer), mono):
            dotted = ".".join(map(str, address))
            who = f"{mobile.link_layer.hex(':')} on {mobile.interface}"
            text = f"Mobile node {who} {what} {dotted}, which its anchor has not assigned"
            out.append(Notify("warning", text))
