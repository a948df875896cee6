"""A mobile access gateway as a service: its cores, its sockets, its tunnels, its access links."""

from collections.abc import Iterator
from typing import Any

from appliance import counters, facts, views
from appliance.counters import CounterSet
from appliance.errors import ResourceError
from appliance.ports import SessionFilter, SessionView
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import MobileSeen
from appliance.protocols.pmipv6.driver import MagDriver
from appliance.protocols.pmipv6.events import ClearSessions, MobileAttached, MobileDetached, Notify
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.mag_entry import BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_policy import PolicyTable
from appliance.protocols.pmipv6.settings import MagSettings
from appliance.protocols.timers import Now
from appliance.service import ADMIN_REBOOT, Service, address_text, encapsulation_text
from appliance.tun.device import System as Host
from appliance.tun.engine import Engine


class MagService(Service):
    """A mobile access gateway."""

    kind = "mag"
    settings: MagSettings
    _core: MobileAccessGateway

    def __init__(self, settings: MagSettings, values: CounterSet | None = None, **tools: Any) -> None:
        """``values``: counters to go on with; ``tools`` as of :class:`Service`."""
        self._links: set[str] = set()
        super().__init__(settings, values or CounterSet(counters.MAG), **tools)

    def _make_cores(self) -> None:
        self._core = MobileAccessGateway(self.settings, self.counters, self._random())
        self._access = AccessLink(self.settings, self.counters)

    async def start(self) -> None:
        """Open the sockets; access links follow as their devices come up."""
        settings = self.settings
        began = await self._began()
        self._engine = Engine(
            self._reactor,
            Host(),
            self.counters,
            settings.address,
            settings.ipv4_address,
            settings.path_mtu,
            settings.tunnel_traffic_class,
            None,
            "mag",
            on_control=self._control,
            on_activity=self._activity,
            local_routing=settings.local_routing,
        )
        self._engine.start()
        self._warn_of_kernel_tunnels(Host.kernel_tunnels())
        self._driver = MagDriver(
            self._reactor,
            self._clock,
            self._core,
            self._access,
            self._engine,
            self.notify,
            self._sink("mag"),
            self._sink("access"),
            self._probe(),
            self.keep_peers,
        )
        self._driver.start(self._reactor, settings.address, settings.ipv4_address)
        if began is not None:
            # Nothing has been read from the sockets yet.
            self._driver.feed(began)
        self._driver.relay(self._reactor, _relay_address(settings))
        self.state = "Started"

    def _control(self, interface: str, frame: bytes) -> None:
        if self._driver is not None:
            self._driver.control_frame(interface, frame)

    def _activity(self, interface: str, link_layer: bytes) -> None:
        if self._driver is not None:
            self._driver.activity(interface, link_layer)

    def link_changed(self, name: str, is_up: bool, present: bool) -> None:
        """Follow a device of the host that is one of our access interfaces."""
        if self._engine is None or self._driver is None:
            return
        if name not in {link.name for link in self.settings.access_interfaces}:
            return
        if present and is_up:
            if name not in self._links:
                self._engine.add_link(name, self.settings.link_layer)
                self._links.add(name)
                self._driver.link(name, True)
        elif name in self._links:
            self._links.discard(name)
            self._driver.link(name, False)
            self._engine.remove_link(name)

    def reconfigure(self, settings: MagSettings) -> None:
        """Go on by other settings; access links that are new are opened when :meth:`link_changed` says so."""
        before = _relay_address(self.settings)
        super().reconfigure(settings)
        if self._driver is not None and _relay_address(settings) != before:
            try:
                self._driver.relay(self._reactor, _relay_address(settings))
            except ResourceError as error:
                self.notify(Notify("error", str(error)))
        for name in self._links - {link.name for link in settings.access_interfaces}:
            # The access core has forgotten the link by now, and said farewell on it.
            self._links.discard(name)
            if self._engine is not None:
                self._engine.remove_link(name)

    def mobiles(self) -> list[MobileSeen]:
        """The mobile nodes on the access links: they do not ask for a router again because we start anew."""
        return self._access.seen()

    def meet(self, mobiles: list[MobileSeen]) -> None:
        """Take up mobile nodes that were here before, on the links that are up."""
        for seen in mobiles:
            if self._driver is not None and seen.interface in self._links:
                self._driver.meet(seen)

    def dissolve(self) -> int:
        """De-register all sessions, as well as one message each can; nobody waits for the answers."""
        ended = self._core.session_count
        if self._driver is not None and ended:
            self._driver.feed(ClearSessions())
        return ended

    def clear_sessions(
        self, wanted: SessionFilter, trigger: int = 1, ipv4_only: bool = False, group: int = 0
    ) -> Iterator[bool]:
        """End the sessions that match; all of them by one message to each anchor, if that is configured."""
        settings = self.settings
        if wanted == SessionFilter() and settings.revocation and settings.revocation_global:
            return self._at_once(ClearSessions(), self._entries(wanted))
        return super().clear_sessions(wanted)

    async def farewell(self, cause: int = ADMIN_REBOOT) -> None:
        """Give the anchors a moment to answer that all sessions are revoked."""
        if self._driver is not None:
            await self._part()

    def stop(self) -> None:
        """Close everything; the sessions that there are still end without a word."""
        super().stop()
        self._core.close()
        self._access.close()
        self._links.clear()

    def facts(self) -> list[tuple[str, str]]:
        """Return the lines of ``show mag-service name NAME``."""
        return facts.mag_facts(self.settings, self.state)

    def devices(self) -> list[str]:
        """Return its access interfaces."""
        return [link.name for link in self.settings.access_interfaces]

    def _entries(self, wanted: SessionFilter) -> Iterator[BindingUpdateListEntry]:
        # The gateway's list has no index by address: its search is done in slices here.
        keys = self._keys(wanted)
        address = keys.pop("address")
        return views.select(self._core.find(**keys), wanted, address)

    def attach(self, mn_id: str, interface: str, link_layer: str, handoff: int) -> str:
        """Register a mobile by hand; returns an empty text or why it cannot be done."""
        if self._driver is None:
            return f"mag-service {self.name} is not started"
        if interface not in self._links:
            return f"access interface {interface} is not up in mag-service {self.name}"
        mac = bytes.fromhex(link_layer.replace(":", "").replace("-", ""))
        if not mn_id and PolicyTable(self.settings).at(interface, mac) is None:
            return f"no mobile-node line of mag-service {self.name} is for {link_layer} on {interface}"
        self._driver.feed(MobileAttached(interface, mac, mn_id.encode(), handoff, by_hand=True))
        return ""

    def detach(self, mn_id: str, interface: str, link_layer: str) -> str:
        """De-register by hand; returns an empty text or why it cannot be done."""
        if self._driver is None:
            return f"mag-service {self.name} is not started"
        before = [e for e in self._core.sessions() if e.mn_id == mn_id.encode()] if mn_id else None
        if before == []:
            return f"no mobile node {mn_id} in mag-service {self.name}"
        mac = bytes.fromhex(link_layer.replace(":", "").replace("-", ""))
        self._driver.feed(MobileDetached(interface, mac, mn_id.encode()))
        return ""

    def _view(self, entry: BindingUpdateListEntry, now: Now) -> SessionView:
        return SessionView(
            **self._common(entry),
            ipv4_router=address_text(entry.ipv4_router),
            care_of=address_text(
                self.settings.address if len(entry.lma) == 16 else self.settings.ipv4_address
            ),
            anchor=address_text(entry.lma),
            interface=entry.interface,
            link_local=address_text(self.settings.link_local),
            service_selection=entry.policy.service.decode("utf-8", "replace"),
            encapsulation=encapsulation_text(
                entry.lma,
                bool(entry.prefixes),
                entry.ipv4_address is not None,
                entry.gre,
                entry.udp,
                entry.tlv,
            ),
            receive_key=entry.call_id if entry.gre else None,
            lifetime=entry.lifetime,
            remaining=0 if entry.expires is None else max(0, round(entry.expires - now.mono)),
        )


def _relay_address(settings: MagSettings) -> bytes | None:
    """Where DHCP is relayed from; ``None``: it is not relayed."""
    return settings.ipv4_address if settings.dhcp_relay_server is not None else None
