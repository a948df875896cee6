"""The messages of ``test/golden/diameter/messages.txt``."""

from pathlib import Path

from attrs import define, field

from appliance.protocols.diameter.message.codec import HEADER_SIZE

FILE = Path(__file__).parents[2] / "golden" / "diameter" / "messages.txt"


@define(slots=True)
class Golden:
    """One message: its octets, and its AVPs as text."""

    name: str
    octets: bytes = b""
    lines: list[str] = field(factory=list)

    @property
    def body(self) -> bytes:
        """The octets of its AVPs."""
        return self.octets[HEADER_SIZE:]


def read() -> dict[str, Golden]:
    """All of them by name."""
    found: dict[str, Golden] = {}
    last = Golden("")
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            last = found[line[3:]] = Golden(line[3:])
        elif " = " in line:
            last.lines.append(line)
        elif line and not line.startswith("#"):
            last.octets += bytes.fromhex(line)
    return found


MESSAGES = read()
