"""The neutral form of a configuration: sections of settings, as the grammar stores them.

::

    text ──config_text.parse──▶ Section tree ──config.build──▶ Configuration (typed)
      ▲                              │
      └────────config_text.show──────┘

A tree knows nothing of what a setting means; two trees are equal if they would print
the same settings, wherever the lines stood.
"""

from typing import Any

from attrs import AttrsInstance, define, evolve, field, fields, fields_dict

from appliance.aaa.settings import AaaServerSettings, TextLog, User
from appliance.errors import ConfigurationError
from appliance.protocols.diameter.settings import (
    EndpointSettings,
    GroupSettings,
    PeerSettings,
    RouteSettings,
    Server,
    ServerGroup,
)
from appliance.protocols.mipv6.settings import HomeAgentSettings
from appliance.protocols.mn.settings import MnSettings, MobileInterface
from appliance.protocols.pmipv6.congestion_settings import Congestion
from appliance.protocols.pmipv6.option_settings import ServiceProfile
from appliance.protocols.pmipv6.settings import (
    AccessInterface,
    LmaSettings,
    MagSettings,
    PrefixPool,
    Profile,
    QosWish,
)

Key = tuple[Any, ...]

DEFAULT_HOSTNAME = "appliance"
DEFAULT_STATE_DIRECTORY = "/var/lib/appliance"
DEFAULT_CONTROL_SOCKET = "/run/appliance/appliance.sock"


class ConfigurationErrors(ConfigurationError):
    """All that is wrong with a configuration; ``lines`` holds one ``FILE:LINE: Failure: ...`` each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@define
class Entry:
    """One line: its arguments, and whether it is a kept ``no``."""

    args: dict[str, Any]
    negated: bool = False
    line: int = field(default=0, eq=False)
    """Where it stood in the file, from 1; 0: it was not in a file."""


@define
class Section:
    """The settings of one mode, and the sections inside it."""

    mode: str
    args: dict[str, Any] = field(factory=dict)
    """Arguments of the line that opened it, for example its name."""
    settings: dict[str, dict[Key, Entry]] = field(factory=dict)
    """Setting path → key of the line → entry."""
    sections: dict[tuple[str, Key], "Section"] = field(factory=dict)
    """(path, key) of the opening line → section."""
    line: int = field(default=0, eq=False)

    @property
    def name(self) -> str:
        """The ``name`` of the opening line; empty if it has none."""
        return str(self.args.get("name", ""))

    def store(self, path: str, key: Key, entry: Entry) -> None:
        """Set a line; one of the same path and key is replaced in its place."""
        self.settings.setdefault(path, {})[key] = entry

    def remove(self, path: str, key: Key) -> None:
        """Take a line or a section away; an absent one is no error."""
        self.sections.pop((path, key), None)
        lines = self.settings.get(path, {})
        lines.pop(key, None)
        if not lines:
            self.settings.pop(path, None)

    def has(self, path: str, key: Key) -> bool:
        """Whether there is a line or a section of that path and key."""
        return (path, key) in self.sections or key in self.settings.get(path, {})

    def copy(self) -> "Section":
        """A section to change: its tables are its own, what they hold is shared."""
        return evolve(self, settings=dict(self.settings), sections=dict(self.sections))

    def all(self, path: str) -> list["Section"]:
        """The sections opened by lines of this path, in their order."""
        return [section for (where, _), section in self.sections.items() if where == path]

    def entries(self, path: str) -> list[Entry]:
        """The lines of this path, in their order."""
        return list(self.settings.get(path, {}).values())

    def only(self, section_path: str, name: str) -> "Section":
        """The same tree with just the sections of this path and name, and no settings beside them."""
        kept = {
            key: section for key, section in self.sections.items()
            if key[0] == section_path and section.name == name
        }  # fmt: skip
        return evolve(self, settings={}, sections=kept)


def limits(kind: type) -> dict[str, tuple[int, int, str]]:
    """Low, high and unit of each number of a settings class, by field name."""
    return {
        attribute.name: (*attribute.metadata["range"], attribute.metadata["unit"])
        for attribute in fields(kind)
        if "range" in attribute.metadata
    }


def factory_value(kind: type, name: str) -> Any:
    """The value of a field that no line sets."""
    return getattr(fields(kind), name).default


def values_of(section: Section, kind: type[AttrsInstance]) -> dict[str, Any]:
    """Values for the fields that lines name: on/off by their path, others by their placeholders.

    Lines that there may be several of (with a key) are not among them.
    """
    known = fields_dict(kind)
    found: dict[str, Any] = {}
    for path, entries in section.settings.items():
        for entry in entries.values():
            if not entry.args and path in known:
                found[path] = not entry.negated
            elif () in entries:
                found.update((name, value) for name, value in entry.args.items() if name in known)
    return found


#: Settings class of each mode whose numbers have ranges.
SETTINGS: dict[str, type] = {
    "config": Congestion,
    "lma-service": LmaSettings,
    "mipv6ha-service": HomeAgentSettings,
    "mag-service": MagSettings,
    "mn-client": MnSettings,
    "mn-interface": MobileInterface,
    "subscriber": Profile,
    "service-profile": ServiceProfile,
    "ipv6 pool": PrefixPool,
    "access-interface": AccessInterface,
    "qos-request": QosWish,
    "diameter-endpoint": EndpointSettings,
    "peer": PeerSettings,
    "route-entry": RouteSettings,
    "aaa-group": GroupSettings,
    "server-group": ServerGroup,
    "server": Server,
    "aaa-server": AaaServerSettings,
    "text-log": TextLog,
    "aaa-user": User,
}
