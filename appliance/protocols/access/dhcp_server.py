"""The DHCP server of a gateway: a mobile node gets the address that its anchor has assigned, and no other.

::

    DHCPDISCOVER ─▶ address known? ── no ─▶ AddressWanted ─▶ (MAG registers) ─▶ Advertise ─▶ DHCPOFFER
    DHCPREQUEST  ─▶   the same one? ── yes ─▶ DHCPACK          no ─▶ DHCPNAK
    DHCPRELEASE  ─▶ AddressReleased ─▶ (MAG de-registers IPv4 only)

Sources: RFC 5844 section 3.4.1 and 3.4.3, RFC 2131 section 4.3. The server identifier is the mobile's
default router, so that a renewal after a handover reaches the next gateway.
"""

from collections.abc import Callable
from typing import Any

from appliance.counters import CounterSet
from appliance.protocols.access import dhcpv4
from appliance.protocols.access.dhcp_relay import DhcpRelay
from appliance.protocols.access.dhcpv4 import NO_ADDRESS, Dhcp
from appliance.protocols.access.events import DhcpRelayed, SendFrame
from appliance.protocols.access.mobiles import Mobile
from appliance.protocols.bits import DecodeError
from appliance.protocols.pmipv6.events import AddressReleased, AddressWanted, Advertise, Notify
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.settings import MagSettings

#: Seconds for which a client that asked before there was an address is answered all the same.
PATIENCE = 10.0
#: Largest interface MTU that the option can say.
_LARGEST_MTU = 65_535


class DhcpServer:
    """Answers the clients of one MAG service; its effects go to ``effects`` of the access core."""

    def __init__(self, settings: MagSettings, counters: CounterSet) -> None:
        self.settings = settings
        self._values = counters.values
        index = counters.table.index
        self._received = {
            kind: index(f"dhcp/{name}-received")
            for kind, name in (
                (dhcpv4.DISCOVER, "discover"),
                (dhcpv4.REQUEST, "request"),
                (dhcpv4.DECLINE, "decline"),
                (dhcpv4.RELEASE, "release"),
                (dhcpv4.INFORM, "inform"),
            )
        }
        self._sent = {
            kind: index(f"dhcp/{name}-sent")
            for kind, name in ((dhcpv4.OFFER, "offer"), (dhcpv4.ACK, "ack"), (dhcpv4.NAK, "nak"))
        }
        self._ignored = index("dhcp/ignored")
        self._limiter = NoticeLimiter()
        self._relay = DhcpRelay(settings, counters)

    def reconfigure(self, settings: MagSettings) -> None:
        """Answer and relay by other settings from now on."""
        self.settings = self._relay.settings = settings

    def receive(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        """Take a client's message; ``mobile`` is who sent it."""
        kind = message.kind
        row = self._received.get(kind)
        if row is None or message.giaddr != NO_ADDRESS:
            # Not a client's type, or a relay agent where there can be none.
            self._values[self._ignored] += 1
            return
        self._values[row] += 1
        self._act(mobile, message, mono, out)

    def _act(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        kind, service = message.kind, _service(mobile)
        if service is not None and not service.dhcp_server:
            self._relay.forward(mobile, service, message, mono, out)
        elif kind == dhcpv4.DISCOVER:
            self._discover(mobile, message, mono, out)
        elif kind == dhcpv4.REQUEST:
            self._request(mobile, message, mono, out)
        elif kind == dhcpv4.INFORM:
            self._inform(mobile, message, out)
        else:
            self._given_up(mobile, message, mono, out)

    def advertised(self, mobile: Mobile, mono: float, out: list[Any]) -> None:
        """The anchor has answered: a client that waits for that gets its offer now."""
        waiting, mobile.asked = mobile.asked, None
        if waiting is not None and mono <= mobile.asked_at + PATIENCE:
            self._act(mobile, waiting, mobile.asked_at, out)

    def relayed(
        self, event: DhcpRelayed, find: Callable[[bytes], Mobile | None], mono: float, out: list[Any]
    ) -> None:
        """Take what a DHCP server has sent to us; ``find`` knows mobiles by link-layer address."""
        mobile = service = message = None
        if event.source == self.settings.dhcp_relay_server:
            try:
                message = dhcpv4.parse_reply(event.data)
                mobile = find(message.link_layer)
            except DecodeError:
                message = None
        if mobile is not None:
            service = _service(mobile)
        if message is None or mobile is None or service is None or service.dhcp_server:
            self._values[self._ignored] += 1
        else:
            self._relay.back(mobile, service, message, mono, out)

    # ---- each type

    def _discover(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        """RFC 2131 section 4.3.1; RFC 5844 section 3.4.3: no offer before the anchor has answered."""
        service = _service(mobile)
        if service is None:
            self._wait(mobile, message, mono, out)
            return
        offer = dhcpv4.reply_to(message, dhcpv4.OFFER, self._options(service, lease=True))
        self._send(mobile, service, offer, out)

    def _request(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        """RFC 2131 section 4.3.2: selecting, after a reboot, renewing and rebinding."""
        service = _service(mobile)
        chosen = message.address(dhcpv4.SERVER_IDENTIFIER)
        if chosen is not None and service is not None and chosen != service.ipv4_router:
            # The client took another server's offer.
            self._values[self._ignored] += 1
            return
        wanted = message.address(dhcpv4.REQUESTED_ADDRESS)
        if message.ciaddr != NO_ADDRESS:
            wanted = message.ciaddr
        if wanted is None:
            self._values[self._ignored] += 1
        elif service is None:
            self._wait(mobile, message, mono, out)
        elif wanted != service.ipv4_address:
            # RFC 5844 section 3.4.1: an address that the anchor has not assigned.
            options = {dhcpv4.SERVER_IDENTIFIER: service.ipv4_router or NO_ADDRESS}
            options[dhcpv4.MESSAGE] = b"not the address that the anchor has assigned"
            self._send(mobile, service, dhcpv4.reply_to(message, dhcpv4.NAK, options), out)
        else:
            mobile.ipv4 = service.ipv4_address
            ack = dhcpv4.reply_to(message, dhcpv4.ACK, self._options(service, lease=True))
            ack.ciaddr = message.ciaddr
            self._send(mobile, service, ack, out)

    def _inform(self, mobile: Mobile, message: Dhcp, out: list[Any]) -> None:
        """RFC 2131 section 4.3.5: parameters without an address."""
        service = _service(mobile)
        if service is None or message.ciaddr != service.ipv4_address:
            self._values[self._ignored] += 1
            return
        ack = dhcpv4.reply_to(message, dhcpv4.ACK, self._options(service, lease=False))
        ack.ciaddr = message.ciaddr
        self._send(mobile, service, ack, out)

    def _given_up(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        """RFC 2131 sections 4.3.3 and 4.3.4, RFC 5844 section 3.4.1: the address goes back to the anchor."""
        service = _service(mobile)
        declined = message.kind == dhcpv4.DECLINE
        named = message.address(dhcpv4.REQUESTED_ADDRESS) if declined else message.ciaddr
        if service is None or named != service.ipv4_address:
            self._values[self._ignored] += 1
            return
        mobile.ipv4 = None
        if declined:
            who = f"{mobile.link_layer.hex(':')} on {mobile.interface}"
            if self._limiter.allows(("declined", mobile.link_layer), mono):
                text = f"Mobile node {who} declines its IPv4 home address: it is in use on its link"
                out.append(Notify("warning", text))
        out.append(AddressReleased(mobile.interface, mobile.link_layer))

    def _wait(self, mobile: Mobile, message: Dhcp, mono: float, out: list[Any]) -> None:
        """Keep the client's last message until the anchor has answered."""
        mobile.asked, mobile.asked_at = message, mono
        out.append(AddressWanted(mobile.interface, mobile.link_layer))

    # ---- answers

    def _options(self, service: Advertise, lease: bool) -> dict[int, bytes]:
        """RFC 5844 section 3.4.3: mask, router and MTU always."""
        settings = self.settings
        mask = (0xFFFFFFFF << (32 - service.ipv4_prefix_length)) & 0xFFFFFFFF
        router = service.ipv4_router or NO_ADDRESS
        found = {
            dhcpv4.SERVER_IDENTIFIER: router,
            dhcpv4.SUBNET_MASK: mask.to_bytes(4, "big"),
            dhcpv4.ROUTER: router,
            dhcpv4.INTERFACE_MTU: min(service.mtu, _LARGEST_MTU).to_bytes(2, "big"),
        }
        if settings.dhcp_dns_servers:
            found[dhcpv4.DNS_SERVERS] = b"".join(settings.dhcp_dns_servers)
        if settings.dhcp_domain_name:
            found[dhcpv4.DOMAIN_NAME] = settings.dhcp_domain_name.encode()
        if lease:
            seconds = settings.dhcp_lease_time
            # RFC 2131 section 4.4.5.
            found[dhcpv4.LEASE_TIME] = seconds.to_bytes(4, "big")
            found[dhcpv4.RENEWAL_TIME] = (seconds // 2).to_bytes(4, "big")
            found[dhcpv4.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4, "big")
        return found

    def _send(self, mobile: Mobile, service: Advertise, message: Dhcp, out: list[Any]) -> None:
        self._values[self._sent[message.kind]] += 1
        if message.kind != dhcpv4.NAK and dhcpv4.LEASE_TIME in message.options:
            message.yiaddr = service.ipv4_address or NO_ADDRESS
        source = service.ipv4_router or NO_ADDRESS
        frame = dhcpv4.frame_to_client(message, self.settings.link_layer, source, mobile.link_layer)
        out.append(SendFrame(mobile.interface, frame))


def _service(mobile: Mobile) -> Advertise | None:
    """What the anchor has assigned, if there is IPv4 in it and a router to be this server."""
    event = mobile.advertise
    if event is None or event.ipv4_address is None or event.ipv4_router is None:
        return None
    return event
