"""Log lines as operators see them, on demand and live. The form is ours."""

import time
from collections.abc import Iterator
from typing import Any

from attrs import asdict, define

from appliance.ports import LogLine


def log_lines(line: LogLine) -> list[str]:
    """The lines of one log line: ``DATE [level] [facility] text``, then what belongs to it, indented."""
    stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(line.wall))
    first, *rest = line.text.split("\n")
    # Indented, so that nothing that a peer sent can look like a log line of its own.
    return [f"{stamp} [{line.level}] [{line.facility}] {first}", *(f"  {text}" for text in rest if text)]


@define(slots=True)
class LogScreen:
    """Log lines, oldest first."""

    found: list[LogLine]

    def lines(self, width: int) -> Iterator[str]:
        """Yield the texts."""
        if not self.found:
            yield "No log lines match the specified criteria"
        for line in self.found:
            yield from log_lines(line)

    def data(self) -> Iterator[dict[str, Any]]:
        """Yield an object for each."""
        return (asdict(line) for line in self.found)


@define(slots=True)
class AuditScreen:
    """Events of the audit log, oldest first, as ``audit.py`` keeps them."""

    found: list[dict[str, Any]]

    def lines(self, width: int) -> Iterator[str]:
        """Yield a line for each: when, who, from where, what, and what came of it."""
        if not self.found:
            yield "The audit log is empty"
        for each in self.found:
            who = f"{each.get('user') or '-'} from {each.get('origin') or '-'}"
            what = f"{each.get('event', '')} {each.get('text', '')}".strip()
            yield f"{each.get('time', '')} {who}: {what}: {each.get('result', '')}"

    def data(self) -> Iterator[dict[str, Any]]:
        """Yield an object for each."""
        return iter(self.found)
