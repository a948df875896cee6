"""What mobile nodes show to, and do for, the command line. Interfaces and plain data only."""

from typing import Any, Protocol

from attrs import define

from appliance.counters import CounterSet


@define(slots=True, kw_only=True)
class BindingView:
    """One entry of the binding update list, ready to be printed; addresses are text, times are seconds."""

    client: str
    peer: str
    """Home agent, or correspondent node."""
    kind: str
    """``home`` or ``correspondent``."""
    state: str
    interface: str
    care_of: str
    bid: int
    """0: the only one."""
    encapsulation: str
    lifetime: int
    remaining: int
    sequence: int
    status: int
    """Of the last acknowledgement; -1: there was none."""
    details: tuple[tuple[str, str], ...] = ()
    """Only on the full screen."""


class MnPort(Protocol):
    """One configured mobile node."""

    kind: str
    name: str
    context: str
    state: str
    """``Started``, or ``Initialized`` while a line is missing."""
    counters: CounterSet

    def facts(self) -> list[tuple[str, str]]:
        """Label and value pairs of ``show mn-client name NAME``."""

    def overview(self) -> list[tuple[str, str]]:
        """How it is doing: label and value pairs of ``show mn-client session``."""

    def bindings(self) -> list[BindingView]:
        """Its bindings, those with home agents first."""

    def command(self, what: str) -> str:
        """Have it ``register``, ``refresh`` or ``deregister``; returns an empty text, or why it cannot."""


class MobilePort(Protocol):
    """All mobile nodes."""

    def clients(self, name: str = "") -> list[Any]:
        """Those of a name; empty: all."""
