"""What the shell sees of the peers of services: heartbeats, and notifications on request."""

from typing import Protocol

from attrs import define

from appliance.ports import ServicePort

#: Notification Reasons (RFC 7077 section 4.1, RFC 7222 section 5.2) by the words of the command line.
UPDATE_REASONS = {
    "force-reregistration": 1,
    "update-session-parameters": 2,
    "vendor-specific": 3,
    "ani-params-requested": 4,
    "qos-service-request": 5,
}


@define(slots=True, frozen=True, kw_only=True)
class HeartbeatView:
    """One peer that sessions are, or were a moment ago, shared with."""

    peer: str
    state: str
    """``unknown`` (no answer yet), ``up``, ``failed``, ``unsupported``."""
    sessions: int
    last_seen: float | None
    """When it answered last, seconds since 1970; ``None``: never."""
    restart_counter: int | None
    misses: int
    """Requests in a row without an answer."""


class HealthPort(ServicePort, Protocol):
    """A service and its peers."""

    def restart_counter(self) -> int:
        """Its own Restart Counter (RFC 5847 section 3.2)."""

    def heartbeats(self) -> list[HeartbeatView]:
        """Its peers."""


class NotifyPort(ServicePort, Protocol):
    """An anchor that notifies its gateways."""

    def notify_update(self, username: str, reason: int, vendor: tuple[int, int, bytes]) -> tuple[int, str]:
        """Send Update Notifications about a mobile node, or about all (empty ``username``).

        Returns how many gateways or sessions are concerned, and why it cannot be done (empty: it is).
        """
