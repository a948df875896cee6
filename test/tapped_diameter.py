"""Diameter messages as the tap tells them, golden ones and others, for the tests of monitors and captures."""

from pathlib import Path
from typing import Any

from appliance.protocols.diameter.message.codec import frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.tap import INBOUND, OUTBOUND, TappedDiameter
from test.tapped import WALL

FILE = Path(__file__).parent / "golden" / "diameter" / "messages.txt"
OURS, THEIRS = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 9))
OURS6 = bytes.fromhex("20010db8000000000000000000000001")
THEIRS6 = bytes.fromhex("20010db8000000000000000000000009")
SESSION = "lma1.home.example;1;7"
USER = "mn1@home.example"

_D = standard()


def golden() -> dict[str, bytes]:
    """The octets of the golden messages, by name."""
    found: dict[str, bytes] = {}
    name = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            name = line[3:]
        elif line and name and not line.startswith("#") and " = " not in line:
            found[name] = found.get(name, b"") + bytes.fromhex(line)
    return found


def seen(data: bytes, direction: str = INBOUND, **changes: Any) -> TappedDiameter:
    """A message of an endpoint, as it was seen."""
    inbound = direction == INBOUND
    fields: dict[str, Any] = {
        "wall": WALL, "service": "aaa", "direction": direction, "data": data, "name": "aaa1.home.example",
        "source": THEIRS if inbound else OURS, "source_port": 3868 if inbound else 40001,
        "destination": OURS if inbound else THEIRS, "destination_port": 40001 if inbound else 3868,
        "transport": "tcp",
    }  # fmt: skip
    return TappedDiameter(**{**fields, **changes})


def made(code: int, *avps: tuple[str, Any], request: bool = True, application: int = 1) -> bytes:
    """A message of these AVPs; a value of a group is a sequence of encoded ones."""
    body = b"".join(avp(name, value) for name, value in avps)
    return frame(code, application, 0xC0 if request else 0x40, 1, 2, body)


def avp(name: str, value: Any) -> bytes:
    """One AVP."""
    return _D[name].encode(value)


def aar(user: str = USER, session: str = SESSION, *more: tuple[str, Any], **changes: Any) -> TappedDiameter:
    """An AA-Request that we send."""
    data = made(265, ("Session-Id", session), ("User-Name", user), *more)
    return seen(data, OUTBOUND, **changes)


def aaa(session: str = SESSION, *more: tuple[str, Any], **changes: Any) -> TappedDiameter:
    """Its answer, which does not name the user."""
    return seen(made(265, ("Session-Id", session), ("Result-Code", 2001), *more, request=False), **changes)


__all__ = ["OURS", "OUTBOUND", "SESSION", "THEIRS", "USER", "aaa", "aar", "avp", "golden", "made", "seen"]
