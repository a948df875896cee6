"""What goes into the accounting client and what comes out of it, beside the mobility cores' own events.

::

    LMA, HA core ──Account──▶ AccountingClient ──Store──────▶ spool, delivery ──▶ node
    delivery ──────Outcome──▶                  ──SessionEnds▶ LMA, HA core
    spool ─────────LeftBehind▶                 ──Release────▶ spool
    spool ─────────StoredAgain▶                ──Notify─────▶ log
    operator ──────Reconfigure, Finish▶
"""

from attrs import define, field

from appliance.protocols.diameter.client.spool_format import Entry
from appliance.protocols.diameter.settings import GroupSettings

# Accounting-Realtime-Required (RFC 6733 section 9.8.7).
DELIVER_AND_GRANT, GRANT_AND_STORE, GRANT_AND_LOSE = 1, 2, 3
REALTIME = {
    "deliver-and-grant": DELIVER_AND_GRANT,
    "grant-and-store": GRANT_AND_STORE,
    "grant-and-lose": GRANT_AND_LOSE,
}

# Termination-Cause values of RADIUS (RFC 2866 section 5.10), which Diameter carries 10 higher.
ADMIN_REBOOT, NAS_REBOOT, SERVICE_UNAVAILABLE = 17, 21, 25


@define(slots=True, eq=False)
class Outcome:
    """What became of a record; the words are those of :mod:`.delivery`."""

    entry: Entry
    what: str
    interim_interval: int | None = None
    """Of the answer, seconds."""
    realtime: int | None = None
    """Of the answer."""


@define(slots=True)
class LeftBehind:
    """The latest record of each of some sessions that were open when an earlier process died."""

    entries: list[Entry]
    ended: float
    """Until when that process is known to have lived, seconds since 1970; 0: not known."""


@define(slots=True)
class Reconfigure:
    """The AAA group is this from now on."""

    settings: GroupSettings


@define(slots=True)
class StoredAgain:
    """The disk takes records again: sessions that it does not know, or not well, get an INTERIM soon."""


@define(slots=True)
class Finish:
    """The service ends: sessions that are open get their STOP, some of them with each event."""

    cause: int = ADMIN_REBOOT
    most: int = 256


@define(slots=True)
class Store:
    """Put a record on the disk, then send it."""

    entry: Entry


@define(slots=True)
class Release:
    """The entry with this serial need not be kept for the STOP of its session any more."""

    serial: int


@define(slots=True)
class Counts:
    """Records of one kind since the start."""

    made: int = 0
    stored: int = 0
    sent: int = 0
    """Each try counts."""
    repeated: int = 0
    """Of those sent: with the T flag."""
    acknowledged: int = 0
    refused: int = 0
    """By a lasting failure; they are not sent again."""
    replaced: int = 0
    """Interim records that a newer one made needless."""
    lost: int = 0
    """Given up because there was no room, as the policy allows."""


@define(slots=True)
class Statistics:
    """What ``show accounting`` and ``show aaa`` want to know of a client."""

    kinds: dict[str, Counts] = field(factory=dict)
    """By ``event``, ``start``, ``interim``, ``stop``."""
    sessions: int = 0
    """Open now."""
    waiting: int = 0
    """Records on the disk or in memory without an answer."""
    waiting_kinds: dict[str, int] = field(factory=dict)
    waiting_octets: int = 0
    spool_limit: int = 0
    oldest: float = 0.0
    """When the oldest of them was made, seconds since 1970; 0: none waits."""
    under_way: int = 0
    in_memory_only: int = 0
    busy: int = 0
    """Answers that told to try again later."""
    unanswered: int = 0
    """Tries without an answer."""
    ended_by_policy: int = 0
    """Sessions that were ended because their records could not be delivered or stored."""
    left_behind: int = 0
    """Sessions of earlier processes that got their STOP."""
    counted: bool = True
    """False: what earlier processes left is still being counted."""
    full: str = ""
    """Why the disk takes no records at the moment; empty: it does."""
    routes: list[tuple[str, str, str]] = field(factory=list)
    """Realm, host, and how it is: ``up``, or ``down`` with the seconds until the next try."""
