"""What the services of both kinds share: core, sockets, tunnel engine, and a face to the shell.

::

    System ──start, retune, reconfigure──▶ LmaService ── LmaDriver ── core
                                      └──▶ MagService ── MagDriver ── cores
    Shell ──ServicePort──▶ facts, sessions, clear, attach, detach
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from appliance.counters import CounterSet
from appliance.ports import SessionFilter, SessionView
from appliance.protocols.access.events import MobileSeen
from appliance.protocols.pmipv6.events import ClearSessions, Notify
from appliance.protocols.timers import Now
from appliance.record import Recorder, Sink, chance
from appliance.tun.engine import Engine

Clock = Callable[[], Now]
Tell = Callable[[str, str], None]


def address_text(packed: bytes | None) -> str:
    """Text of a packed address; empty for none."""
    return str(ipaddress.ip_address(packed)) if packed else ""


def prefix_text(prefix: tuple[bytes, int]) -> str:
    """Text of a (packed prefix, length) pair."""
    return f"{address_text(prefix[0])}/{prefix[1]}"


def matcher(wanted: str) -> Callable[[str], bool]:
    """Tell which user names match: ``*`` any run of characters, ``$`` exactly one."""
    expression = re.compile("".join({"*": ".*", "$": "."}.get(c, re.escape(c)) for c in wanted), re.DOTALL)
    return lambda name: expression.fullmatch(name) is not None


def address_bytes(text: str) -> bytes:
    """Packed form of an address, or of a prefix without its length."""
    return ipaddress.ip_address(text.partition("/")[0]).packed


class Service:
    """What both kinds of service share."""

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
    ) -> None:
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
        self._engine: Engine | None = None
        self._make_cores()

    def _make_cores(self) -> None:
        raise AssertionError("each kind of service has its own")

    def _random(self) -> Callable[[int], int]:
        """While recording, chance must be such that it can be repeated."""
        return self._random_bits if self._recorder is None else chance(self._recorder.seed, self.label)

    def _sink(self, core: str) -> Sink | None:
        return None if self._recorder is None else self._recorder.sink(self.label, core)

    @property
    def label(self) -> str:
        """Kind and name, as in log lines and recordings."""
        return f"{self.kind} {self.name}"

    def notify(self, effect: Notify) -> None:
        """Log what a core has to say."""
        self._tell(effect.level, f"{self.label}: {effect.text}")

    def _entries(self, wanted: SessionFilter) -> Iterator[Any]:
        raise AssertionError("each kind of service has its own")

    def _view(self, entry: Any, now: Now) -> SessionView:
        raise AssertionError("each kind of service has its own")

    def sessions(self, wanted: SessionFilter) -> Iterator[SessionView]:
        """Yield the sessions that match, one by one."""
        now = self._clock()
        for entry in self._entries(wanted):
            yield self._view(entry, now)

    def _keys(self, wanted: SessionFilter) -> dict[str, Any]:
        """Turn what needs no wildcard into keys that the core finds without a search."""
        plain = wanted.username and not set(wanted.username) & set("*$")
        return {
            "mn_id": wanted.username.encode() if plain else b"",
            "address": address_bytes(wanted.ip_address) if wanted.ip_address else b"",
            "call_id": wanted.call_id,
        }

    def _select(self, entries: Iterator[Any], wanted: SessionFilter) -> Iterator[Any]:
        if not wanted.username:
            return entries
        fits = matcher(wanted.username)
        return (entry for entry in entries if fits(entry.mn_id.decode("utf-8", "replace")))

    def session_count(self) -> int:
        """Return how many sessions there are now."""
        count: int = self._core.session_count
        return count

    def clear_sessions(self, wanted: SessionFilter) -> int:
        """End the sessions that match and return how many; a gateway de-registers them."""
        if self._driver is None:
            return 0
        chosen = [entry.call_id for entry in self._entries(wanted)]
        for call_id in chosen:
            self._driver.feed(ClearSessions(call_id=call_id))
        return len(chosen)

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
        if self._driver is not None:
            self._driver.stop()
            self._driver = None
        if self._engine is not None:
            self._engine.stop()
            self._engine = None
        self.state = "Initialized"

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
            **dict(zip(("packets_in", "octets_in", "packets_out", "octets_out"), usage, strict=True)),
        }


def encapsulation_text(outer_v6: bool, ipv6: bool, ipv4: bool, gre: bool, udp: bool) -> str:
    """Names of the encapsulations in use, as the counters call them."""
    names = []
    for inner, used in (("6", ipv6), ("4", ipv4)):
        if not used:
            continue
        if gre:
            names.append(f"IPv{'6' if outer_v6 else '4'} GRE (IPv{inner})")
        elif udp:
            names.append(f"IPv4 UDP (IPv{inner})")
        else:
            names.append(f"{inner}in{'6' if outer_v6 else '4'}")
    return ", ".join(names)
