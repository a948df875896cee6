"""Recording what goes into the cores, so that a run can be repeated without a network.

::

    CoreDriver.feed ──▶ Recorder ──▶ FILE      one JSON object a line
    FILE ──▶ replay() ──▶ the same cores ──▶ the same effects

Cores see no clock and no chance but what they are given, so the events with their times
and the seed of the random numbers are all there is to a run. The file holds identities
and addresses of mobile nodes, and the keys of hosts, without which no run with them could be
repeated: it is made readable for its owner only.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import attrs

from appliance import counters
from appliance.config import Configuration
from appliance.counters import CounterSet
from appliance.errors import ApplianceError, ResourceError
from appliance.protocols.access import events as access_events
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.diameter import settings as diameter_settings
from appliance.protocols.driver import Core
from appliance.protocols.mipv6 import events as mipv6_events
from appliance.protocols.mipv6 import settings as mipv6_settings
from appliance.protocols.mipv6.anchor import make_anchor
from appliance.protocols.mn import events as mn_events
from appliance.protocols.mn import settings as mn_settings
from appliance.protocols.mn.node import MobileNode
from appliance.protocols.mn.settings import MnSettings
from appliance.protocols.mobility import aaa
from appliance.protocols.pmipv6 import events as pmipv6_events
from appliance.protocols.pmipv6 import settings as pmipv6_settings
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings
from appliance.protocols.timers import Now

VERSION = 1
#: A stranger's messages must not fill the disk.
LIMIT = 256 * 1024 * 1024
_MOBILE_NODE = "appliance.protocols.mn."


def name_of(kind: type) -> str:
    """The name of an event in a recording; a mobile node has events of the same names as an anchor."""
    return f"mn.{kind.__name__}" if kind.__module__.startswith(_MOBILE_NODE) else kind.__name__


EVENTS: dict[str, type] = {
    name_of(found): found
    for module in (
        pmipv6_events, mipv6_events, access_events, mn_events, pmipv6_settings, mipv6_settings, mn_settings,
        diameter_settings, aaa,
    )
    for found in vars(module).values()
    if isinstance(found, type) and attrs.has(found)
}  # fmt: skip

Sink = Callable[[Any, Now], None]


def to_json(value: Any) -> Any:
    """Octets as ``{"hex": ...}``, tuples as lists, events and effects as objects with their class's name."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if attrs.has(type(value)):
        fields = {field.name: to_json(getattr(value, field.name)) for field in attrs.fields(type(value))}
        return {"event": name_of(type(value)), **fields}
    return value


def from_json(value: Any) -> Any:
    """The value that :func:`to_json` made ``value`` of; lists become tuples. Raises ApplianceError."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    fields = {name: from_json(item) for name, item in value.items() if name != "event"}
    try:
        return EVENTS[value["event"]](**fields)
    except (KeyError, TypeError) as error:
        raise ApplianceError(f"no event of this version: {value}") from error


def chance(seed: int, service: str) -> Callable[[int], int]:
    """The random numbers of one recorded service, the same ones for the same seed."""
    return random.Random(f"{seed}/{service}").getrandbits


class Recorder:
    """Writes to a new file at ``path``, at most ``limit`` octets; raises ResourceError."""

    def __init__(self, path: str, seed: int, limit: int = LIMIT) -> None:
        self.seed = seed
        self._left = limit
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ResourceError(f"recording {path}: {error.strerror}; name a new file") from error
        self._file: TextIO | None = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115 - kept open
        self._write({"version": VERSION, "seed": seed})

    def sink(self, service: str, core: str) -> Sink:
        """What the driver of one core calls with each event, and with ``None`` for a tick."""

        def note(event: Any, now: Now) -> None:
            self._write({"service": service, "core": core, "now": list(now), "input": to_json(event)})

        return note

    def begin(self, service: str, settings: Any) -> None:
        """Note that a service (kind and name) starts with new cores while the process runs."""
        self._write({"service": service, "begin": to_json(settings)})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        text = json.dumps(line, separators=(",", ":")) + "\n"
        self._left -= len(text)
        if self._left < 0:
            self.close()
            return
        self._file.write(text)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def make_cores(settings: LmaSettings | MagSettings | MnSettings, seed: int) -> dict[tuple[str, str], Core]:
    """The cores of a service by (service, core), as the services make them."""
    if isinstance(settings, LmaSettings):
        service = f"{settings.kind} {settings.name}"
        anchor = make_anchor(settings, CounterSet(counters.LMA), chance(seed, service))
        return {(service, settings.kind): anchor}
    if isinstance(settings, MnSettings):
        service = f"mn {settings.name}"
        return {(service, "mn"): MobileNode(settings, CounterSet(counters.MN), chance(seed, service))}
    service = f"mag {settings.name}"
    values = CounterSet(counters.MAG)
    gateway = MobileAccessGateway(settings, values, chance(seed, service))
    return {(service, "mag"): gateway, (service, "access"): AccessLink(settings, values)}


def replay(configuration: Configuration, path: str) -> Iterator[dict[str, Any]]:
    """Give each core the recorded inputs and yield what comes out, one object for each effect.

    Raises ApplianceError when the file is no recording or does not fit the configuration.
    """
    cores: dict[tuple[str, str], Core] = {}
    seed = 0
    with Path(path).open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                if number == 1:
                    if line["version"] != VERSION:
                        raise ApplianceError(f"{path}: version {line['version']}, not {VERSION}")
                    seed = line["seed"]
                    for anchor in configuration.anchors:
                        cores |= make_cores(anchor, seed)
                    for mag in configuration.mag_services:
                        cores |= make_cores(mag, seed)
                    for client in configuration.mn_clients:
                        cores |= make_cores(client, seed)
                    continue
                if "begin" in line:
                    cores |= make_cores(from_json(line["begin"]), seed)
                    continue
                core, now = cores[line["service"], line["core"]], Now(*line["now"])
                event = from_json(line["input"])
            except (ValueError, KeyError, TypeError) as error:
                text = "not a recorded input of this configuration"
                raise ApplianceError(f"{path}:{number}: {text}") from error
            if event is None:
                core.tick(now)
            else:
                core.receive(event, now)
            for effect in core.take():
                yield {"line": number, "service": line["service"], "effect": to_json(effect)}
