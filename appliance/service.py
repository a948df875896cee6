"""What the services of all kinds share: core, sockets, tunnel engine, and a face to the shell.

::

    System ──start, retune, reconfigure──▶ LmaService ── LmaDriver ── core
                                      └──▶ MagService ── MagDriver ── cores
    Shell ──ServicePort──▶ facts, sessions, clear, attach, detach
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator
from functools import partial
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

from appliance import views
from appliance.counters import CounterSet
from appliance.diameter_hub import Hub
from appliance.ports import Census, PoolView, SessionFilter, SessionView
from appliance.ports_health import HeartbeatView
from appliance.ports_load import CongestionView, QueueView
from appliance.protocols.access.events import MobileSeen
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.counted import Exchanges
from appliance.protocols.pmipv6.events import Began, ClearSessions, KeepPeers, Notify
from appliance.protocols.pmipv6.probe import Probe
from appliance.protocols.rawsock import QUEUE_LIMIT
from appliance.protocols.timers import Now
from appliance.record import Recorder, Sink, chance
from appliance.restarts import Restarts
from appliance.tap import Tap
from appliance.tun.encap import choose
from appliance.tun.engine import Engine
from appliance.wildcards import is_wild

#: Termination-Cause of sessions that end with the process (RFC 2866, RFC 7155 section 4.2.9).
ADMIN_REBOOT = 17

#: Longest time that a service that stops waits for the answers of its peers, seconds.
PARTING = 3.5

Clock = Callable[[], Now]
Tell = Callable[[str, str], None]


def address_text(packed: bytes | None) -> str:
    """Text of a packed address; empty for none."""
    # Lists of sessions have several for each line: the C library is ten times as fast as ipaddress.
    return inet_ntop(AF_INET6 if len(packed) == 16 else AF_INET, packed) if packed else ""


def prefix_text(prefix: tuple[bytes, int]) -> str:
    """Text of a (packed prefix, length) pair."""
    return f"{address_text(prefix[0])}/{prefix[1]}"


def address_bytes(text: str) -> bytes:
    """Packed form of an address, or of a prefix without its length."""
    return ipaddress.ip_address(text.partition("/")[0]).packed


def _say(tell: Tell, label: str, level: str, text: str) -> None:
    """Log a line of the service of that label."""
    tell(level, f"{label}: {text}")


class Service:
    """What all kinds of service share."""

    kind = ""
    settings: Any
    _core: Any
    _driver: Any = None

    def __init__(
        self,
        settings: Any,
        values: CounterSet,
        *,
        reactor: Any,
        clock: Clock,
        random_bits: Callable[[int], int],
        tell: Tell,
        recorder: Recorder | None = None,
        tap: Tap | None = None,
        hub: Hub | None = None,
        exchanges: Exchanges | None = None,
        session_ids: SessionIds | None = None,
        state_directory: str = "",
    ) -> None:
        """``hub``, ``exchanges`` and ``session_ids`` are for AAA; a gateway has none.

        Without a ``state_directory`` nothing is remembered for the next start.
        """
        self.settings = settings
        self.name: str = settings.name
        self.context: str = settings.context
        self.state = "Initialized"
        self.counters = values
        self._reactor = reactor
        self._clock = clock
        self._random_bits = random_bits
        self._tell = tell
        self._recorder = recorder
        self._tap = tap
        self._engine: Engine | None = None
        self._restarts: Restarts | None = None
        if state_directory:
            told = partial(_say, tell, self.label)
            self._restarts = Restarts(state_directory, self.label, told, lambda: clock().wall)
        self._make_cores()

    def _make_cores(self) -> None:
        raise AssertionError("each kind of service has its own")

    def _random(self) -> Callable[[int], int]:
        """While recording, chance must be such that it can be repeated."""
        return self._random_bits if self._recorder is None else chance(self._recorder.seed, self.label)

    def _sink(self, core: str) -> Sink | None:
        return None if self._recorder is None else self._recorder.sink(self.label, core)

    def _probe(self) -> Probe | None:
        """What tells the tap of this service's messages."""
        return None if self._tap is None else Probe(self._tap, self._clock, self.kind, self.name)

    @property
    def label(self) -> str:
        """Kind and name, as in log lines and recordings."""
        return f"{self.kind} {self.name}"

    def notify(self, effect: Notify) -> None:
        """Log what a core has to say."""
        _say(self._tell, self.label, effect.level, effect.text)

    def keep_peers(self, effect: KeepPeers) -> None:
        """Write down for the next start whom there are sessions with."""
        if self._restarts is not None:
            self._restarts.keep(effect)

    async def _began(self) -> Began | None:
        """What the core is to be told before any message; ``None``: nothing."""
        return None if self._restarts is None else await self._restarts.begin()

    def restart_counter(self) -> int:
        """Return how often it has started (RFC 5847 section 3.2)."""
        counter: int = self._core.restarts
        return counter

    def heartbeats(self) -> list[HeartbeatView]:
        """Return its peers, in the order of their addresses."""
        core = self._core
        return [
            HeartbeatView(
                peer=peer.text,
                state=peer.state,
                sessions=core.shared(peer.key),
                last_seen=peer.heard_wall or None,
                restart_counter=peer.counter,
                misses=peer.misses,
            )
            for peer in sorted(core.peers(), key=lambda peer: (len(peer.address), peer.key))
        ]

    def _entries(self, wanted: SessionFilter) -> Iterator[Any]:
        raise AssertionError("each kind of service has its own")

    def _view(self, entry: Any, now: Now) -> SessionView:
        raise AssertionError("each kind of service has its own")

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView | None]:
        """Yield the sessions that match, one by one; ``None``: still looking."""
        now = self._clock()
        for entry in self._entries(wanted):
            yield None if entry is None else self._view(entry, now)

    def census(self, wanted: SessionFilter) -> Iterator[Census | None]:
        """Count the sessions that match: ``None`` while counting, the result at the end."""
        return views.tally(self._entries(wanted), self._clock().wall)

    def _keys(self, wanted: SessionFilter) -> dict[str, Any]:
        """Turn what needs no wildcard into keys that the core finds without a search."""
        plain = wanted.username and not is_wild(wanted.username)
        return {
            "mn_id": wanted.username.encode() if plain else b"",
            "address": address_bytes(wanted.ip_address) if wanted.ip_address else b"",
            "call_id": wanted.call_id,
        }

    def session_count(self) -> int:
        """Return how many sessions there are now."""
        count: int = self._core.session_count
        return count

    def clear_sessions(
        self, wanted: SessionFilter, trigger: int = 1, ipv4_only: bool = False, group: int = 0
    ) -> Iterator[bool]:
        """End the sessions that match, one at each ``True``; a gateway de-registers them."""

        def end(call_id: int) -> None:
            # The service may have been stopped since the last one.
            if self._driver is not None:
                self._driver.feed(ClearSessions(call_id=call_id, trigger=trigger, ipv4_only=ipv4_only))

        return views.clear(self._entries(wanted), end) if self._driver is not None else iter(())

    def _at_once(self, event: ClearSessions, entries: Iterator[Any]) -> Iterator[bool]:
        """End sessions by one event; one ``True`` for each of those in ``entries``."""
        number = 0
        for found in views.clear(entries, lambda call_id: None):
            number += found
            if number % views.SLICE == 0:
                yield False
        if self._driver is not None and number:
            self._driver.feed(event)
            yield from (True for _ in range(number))

    async def _part(self) -> None:
        """Wait until the peers have heard that the service goes, but not for long."""
        ends = self._clock().mono + PARTING
        while not self._core.departed and self._clock().mono < ends:
            await asyncio.sleep(0.02)

    def pools(self) -> list[PoolView]:
        """Return its pools; a gateway has none."""
        return []

    def devices(self) -> list[str]:
        """Return the network devices that it uses."""
        return []

    def queues(self) -> list[QueueView]:
        """Return how full the queues of its signalling sockets are."""
        sockets = [] if self._driver is None else self._driver.sockets
        return [
            views.queue_view(self.label, each.address, each.socket, each.waiting, QUEUE_LIMIT)
            for each in sockets
        ]

    def congestion(self) -> CongestionView | None:
        """Return how congested it is; a gateway has no congestion control."""
        return None

    async def farewell(self, cause: int = ADMIN_REBOOT) -> None:
        """Say what has to be said before :meth:`stop`; there are no new sessions from now on.

        ``cause`` is the Termination-Cause of the sessions that there are.
        """

    async def start(self) -> None:
        """Open sockets and tunnels; raises ResourceError, after which :meth:`stop` cleans up."""
        raise AssertionError("each kind of service has its own")

    def affected(self, settings: Any) -> Iterator[bool]:
        """For each session that ``settings`` may end, whether they do; changes nothing."""
        found: Iterator[bool] = self._core.affected(settings)
        return found

    def retune(self, settings: Any) -> None:
        """Give the tunnels the values of ``settings``; raises ResourceError, then they are as before."""
        if self._engine is not None:
            self._engine.reconfigure(
                settings.path_mtu, settings.tunnel_traffic_class, getattr(settings, "local_routing", False)
            )

    def reconfigure(self, settings: Any) -> None:
        """Go on by other settings of the same name and addresses; sessions that may not stay end."""
        self.settings = settings
        if self._driver is not None:
            self._driver.reconfigure(settings)
        else:
            self._make_cores()

    def mobiles(self) -> list[MobileSeen]:
        """Mobile nodes that a service in the place of this one should look for."""
        return []

    def dissolve(self) -> int:
        """End all sessions because the service is about to go or to start anew; returns how many."""
        raise AssertionError("each kind of service has its own")

    def stop(self) -> None:
        """Close everything; the sessions that there are still end without a word."""
        if self._restarts is not None:
            self._restarts.close()
        if self._driver is not None:
            self._driver.stop()
            self._driver = None
        if self._engine is not None:
            self._engine.stop()
            self._engine = None
        self.state = "Initialized"

    def _policed(self, call_id: int) -> tuple[tuple[str, str], ...]:
        found = self._engine.over_rate(call_id) if self._engine is not None else None
        return () if found is None else (("Packets Over Rate", f"{found[0]} up, {found[1]} down"),)

    def _warn_of_kernel_tunnels(self, modules: list[str]) -> None:
        """Raw sockets get copies: a kernel with tunnels of its own refuses each packet besides."""
        if modules:
            text = (
                f"kernel modules {', '.join(modules)} are loaded: the kernel answers packets of our tunnels "
                "by ICMP unreachable; unload them, or drop these errors"
            )
            self.notify(Notify("warning", text))

    def _tunnel_details(self, entry: Any) -> tuple[tuple[str, str], ...]:
        """What only the tunnel engine knows of a session in UDP."""
        if not entry.udp or self._engine is None:
            return ()
        port, mtu = self._engine.tunnel(entry.call_id)
        return (("Data Port of Peer", str(port) if port else "not heard yet"), ("Path MTU", str(mtu)))

    def _common(self, entry: Any) -> dict[str, Any]:
        """The fields of a session's view that an anchor and a gateway keep alike."""
        usage = self._engine.usage(entry.call_id) if self._engine is not None else (0, 0, 0, 0)
        return {
            "call_id": entry.call_id,
            "username": entry.mn_id.decode("utf-8", "replace"),
            "service": self.name,
            "state": entry.state,
            "prefixes": tuple(prefix_text(prefix) for prefix in entry.prefixes),
            "ipv4_address": address_text(entry.ipv4_address),
            "link_layer": entry.link_layer.hex(":"),
            "access_technology": entry.technology,
            "send_key": entry.send_key,
            "sequence": entry.sequence,
            "created": entry.created,
            "updated": entry.updated,
            "handoffs": entry.handoffs,
            "details": (
                *self._core.details(entry),
                *self._policed(entry.call_id),
                *self._tunnel_details(entry),
            ),
            **dict(zip(("packets_in", "octets_in", "packets_out", "octets_out"), usage, strict=True)),
        }


def encapsulation_text(
    peer: bytes, ipv6: bool, ipv4: bool, gre: bool, udp: bool, tlv: bool = False
) -> str:
    """Names of the encapsulations in use towards a tunnel peer, as the counters call them."""
    outer = 6 if len(peer) == 16 else 4
    return ", ".join(
        choose(outer, gre, udp, inner, tlv).name for inner, used in ((6, ipv6), (4, ipv4)) if used
    )
