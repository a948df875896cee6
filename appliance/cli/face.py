"""Who a shell talks to: a person at a terminal or a script. Interfaces only.

::

    terminal.py, control.py, ssh.py ──lines──▶ Shell.execute(line, face) ──Face.write──▶ the same

A face belongs to one operator. All its coroutines are awaited on the reactor's asyncio loop;
each of them lets other work have a turn before it returns, also when it had nothing to wait for.
"""

from collections.abc import Sequence
from typing import Protocol


class Interrupted(Exception):
    """The operator wants no more of the running command: ``q`` at the page break, or ^C."""


class ConnectionLost(Exception):
    """The client of a session is gone."""


class Transport(Protocol):
    """The octets' way to one client: an SSH channel, a connection to the control socket."""

    def write(self, data: bytes) -> None:
        """Send octets; what the client does not take yet is kept."""

    async def drain(self) -> None:
        """Return when the client has taken enough of what was written. Raises :class:`ConnectionLost`."""


class Face(Protocol):
    """One operator's lines in and out."""

    interactive: bool
    """A person is there: questions can be asked, long output stops at the end of each page, and a
    caret line follows an error."""

    async def write(self, lines: Sequence[str], *, failed: bool = False, paged: bool = True) -> None:
        """Show lines (without line ends, harmless for a terminal); waits while the operator takes none.

        ``failed``: they tell why a command failed; ``paged``: they may be stopped at the end of a
        page. Raises :class:`Interrupted`.
        """

    async def ask(self, question: str) -> str:
        """What the operator answers to a question; asked only if ``interactive``. Raises Interrupted."""

    async def key(self, timeout: float) -> str:
        """The next key that is typed, or an empty text after ``timeout`` seconds or without a person.

        Raises :class:`Interrupted` for ^C.
        """
