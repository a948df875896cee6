"""What a Diameter dictionary is made of: AVPs, grammars and applications (RFC 6733 sections 3.2 and 4)."""

from typing import Any

from attrs import define, evolve, field

from appliance.errors import ApplianceError
from appliance.protocols.diameter.message.types import ENUMERATED, GROUPED, DataType

FLAG_V, FLAG_M, FLAG_P = 0x80, 0x40, 0x20
#: Nobody may send more of an AVP than fits one message.
MANY = 1 << 24
#: Name of a rule for any AVP that no other rule names.
ANY = "AVP"
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class DictionaryError(ApplianceError):
    """A dictionary file that cannot be used; the text names file and line."""


@define(slots=True, frozen=True)
class Rule:
    """How often an AVP may stand in a command or group."""

    name: str
    """``AVP``: any other one."""
    low: int
    high: int
    """0: it must not be there."""
    fixed: bool = False
    """True: it stands at its place in the order of the rules."""


@define(slots=True, eq=False)
class AvpDef:
    """One AVP. Definitions are the same object as long as the dictionary lives."""

    name: str
    code: int
    vendor: int
    type: DataType
    must: bool | None
    """The M bit has to be set, has to be clear, or may be either (``None``)."""
    values: dict[int, str] = field(factory=dict)
    """Names of the values of an Enumerated, or of the bits of a mask."""
    rules: tuple[Rule, ...] = ()
    """Grammar of a Grouped AVP; empty: anything goes."""
    sets: bool = False
    """With ``must`` ``None``: whether we set the M bit when we send it."""
    mask: bool = False
    """``values`` names bits."""
    closed: bool = False
    """Other values than those of ``values`` are wrong (5004)."""
    key: int = field(init=False, default=0)
    """Code and vendor in one number; the index of a message is by it."""
    _front: int = field(init=False, default=0)
    _extra: bytes = field(init=False, default=b"")

    def __attrs_post_init__(self) -> None:
        self.key = self.vendor << 32 | self.code
        flags = (FLAG_V if self.vendor else 0) | (FLAG_M if self.must or self.sets else 0)
        self._front = self.code << 32 | flags << 24 | (12 if self.vendor else 8)
        self._extra = self.vendor.to_bytes(4, "big") if self.vendor else b""

    @property
    def grouped(self) -> bool:
        """Whether its data are AVPs."""
        return self.type is GROUPED

    @property
    def enumerated(self) -> bool:
        """Whether its value is one of ``values``, not a mask of them."""
        return self.type is ENUMERATED

    @property
    def flags(self) -> int:
        """Flags that it is sent with."""
        return self._front >> 24 & 0xFF

    def encode(self, value: Any) -> bytes:
        """The whole AVP with header and padding. Raises BadValue."""
        data = self.type.encode(value)
        size = len(data)
        return (self._front + size).to_bytes(8, "big") + self._extra + data + _PADDING[size & 3]

    def wrap(self, data: bytes) -> bytes:
        """The whole AVP around data that is encoded already; its length is not checked against the type."""
        size = len(data)
        return (self._front + size).to_bytes(8, "big") + self._extra + data + _PADDING[size & 3]

    def example(self) -> bytes:
        """One of zeros and as short as can be, as Failed-AVP tells what is missing (RFC 6733 section 7.5)."""
        return self.wrap(bytes(self.type.minimum))

    def number(self, name: str) -> int:
        """The value, or bit, of that name. Raises KeyError."""
        for value, known in self.values.items():
            if known == name:
                return value
        raise KeyError(name)

    def changed(self, **fields: Any) -> "AvpDef":
        """Another definition with these fields instead; its ``values`` are its own."""
        return evolve(self, **{"values": dict(self.values), **fields})


@define(slots=True, frozen=True)
class CommandDef:
    """A request or an answer."""

    name: str
    """Abbreviation, as in ``ACR``."""
    code: int
    request: bool
    proxiable: bool
    rules: tuple[Rule, ...]
    application: int | None = None
    """Where the grammar is for one application only; ``None``: for all."""


@define(slots=True, frozen=True)
class ApplicationDef:
    """An application."""

    id: int
    name: str
    vendor: int = 0
