"""What the AAA client of one service tells the shell: its settings, its spool, its counters, its sessions.

::

    AuthorizationClient (core) ──sessions, statistics──▶ ClientRows ──▶ ClientView, DiameterSessionView
    AccountingDriver ───────────statistics────────────▶
"""

from collections.abc import Callable, Iterator
from math import inf

from appliance.diameter_rows import application_name
from appliance.ports_aaa import ClientView, DiameterSessionView
from appliance.protocols.diameter.client.accounting_events import Statistics
from appliance.protocols.diameter.client.auth_requests import user_name
from appliance.protocols.diameter.client.auth_sessions import DISCON, AuthSession, AuthSessions
from appliance.protocols.diameter.client.authorization import AuthorizationClient
from appliance.protocols.diameter.settings import GroupSettings
from appliance.protocols.pmipv6.settings import LmaSettings
from appliance.protocols.timers import Now
from appliance.service import address_text, prefix_text
from appliance.views import matcher
from appliance.wildcards import is_wild

#: Sessions that are passed over between two chances for others.
PASSED = 64
NORMAL, CLOSED = "Normal", "Closed"


class ClientRows:
    """The AAA client of one service, as :class:`~appliance.aaa_port.AaaClient` wants it.

    ``core``: its authorization client; ``settings``: of the service, with its AAA group; ``accounting``: what
    its records have come to, ``None`` while its accounting is closed.
    """

    def __init__(
        self,
        core: AuthorizationClient,
        settings: Callable[[], LmaSettings],
        accounting: Callable[[], Statistics | None],
        clock: Callable[[], Now],
    ) -> None:
        self._core = core
        self._settings = settings
        self._accounting = accounting
        self._clock = clock

    def client_view(self) -> ClientView:
        """What it asks, reports and keeps."""
        settings, accounting = self._settings(), self._accounting()
        group = settings.aaa or GroupSettings(name="")
        counters = _authorization_counters(self._core) | _accounting_counters(accounting)
        oldest = accounting.oldest if accounting is not None else 0.0
        return ClientView(
            service=settings.name,
            group=group.name,
            authentication=group.authentication.endpoint,
            accounting=group.accounting.endpoint if settings.aaa_accounting else "",
            policy=group.failure_policy,
            spool_records=accounting.waiting if accounting is not None else 0,
            spool_octets=accounting.waiting_octets if accounting is not None else 0,
            spool_oldest=max(0.0, self._clock().wall - oldest) if oldest else None,
            spool_state=_spool_state(accounting),
            counters=counters,
        )

    def client_sessions(self, user: str, session_id: str) -> Iterator[DiameterSessionView | None]:
        """Its sessions that match; ``*`` and ``$`` are wildcards in ``user``; ``None``: still looking."""
        sessions, owner = self._core.sessions, self._settings().name
        if session_id:
            found = sessions.ids.get(session_id)
            every = [] if found is None else [found]
        else:
            every = list(sessions.ids.values())
        fits = matcher(user) if is_wild(user) else user.__eq__ if user else None
        passed = 0
        for session in every:
            if fits is None or fits(user_name(session.user)):
                yield session_row(session, owner, sessions, self._clock())
                continue
            passed += 1
            if passed % PASSED == 0:
                yield None


def session_row(session: AuthSession, owner: str, sessions: AuthSessions, now: Now) -> DiameterSessionView:
    """A session with an AAA server."""
    grant = session.grant
    wanted = sessions.calls.get(session.call_id) is session
    prefixes = grant.prefixes if grant is not None else ()
    ipv4 = grant.ipv4_address if grant is not None else None
    details = [
        ("Session-Server", session.host),
        ("Authorized By", "local profile" if grant is not None and grant.local else ""),
        ("Server Keeps State", "yes" if session.stateful else "no"),
    ]
    return DiameterSessionView(
        role="client",
        owner=owner,
        session_id=session.session_id,
        user=user_name(session.user),
        application=application_name(session.application),
        state=session.state if wanted else DISCON,
        peer=session.host,
        realm=session.server_realm or session.realm,
        started=session.started,
        authorization_left=_left(session.again, now),
        timeout_left=_left(session.ends, now),
        call_id=session.call_id,
        multi_session_id=grant.multi_session_id if grant is not None else "",
        addresses=(*map(prefix_text, prefixes), *([address_text(ipv4)] if ipv4 else [])),
        details=tuple((label, text) for label, text in details if text),
    )


def _left(until: float, now: Now) -> float | None:
    return None if until == inf else max(0.0, until - now.mono)


def _spool_state(accounting: Statistics | None) -> str:
    if accounting is None:
        return CLOSED
    if accounting.full:
        return f"Full: {accounting.full}"
    down = [f"{host or realm} {how}" for realm, host, how in accounting.routes if how != "up"]
    return "; ".join(down) if down else NORMAL if accounting.counted else "Counting what was left"


def _authorization_counters(core: AuthorizationClient) -> dict[str, int]:
    statistics = core.statistics
    found = {
        "Sessions": len(core.sessions.calls),
        "Accepted": statistics.accepted,
        "Refused": statistics.refused,
        "Answers Of No Use": statistics.useless,
        "Allowed By Local Profile": statistics.local,
        "Denied Without Answer": statistics.denied,
        "Ended By Server Or Time": statistics.ended,
        "Ends To Be Told": core.busy,
        "Ends Not Told": statistics.forgotten,
    }
    return {f"Authentication/{label}": value for label, value in found.items()}


def _accounting_counters(statistics: Statistics | None) -> dict[str, int]:
    if statistics is None:
        return {}
    found: dict[str, int] = {"Sessions": statistics.sessions}
    for kind, counts in statistics.kinds.items():
        title = kind.upper()
        found[f"{title} Sent"] = counts.sent
        found[f"{title} Acknowledged"] = counts.acknowledged
        found[f"{title} Sent Again"] = counts.repeated
        found[f"{title} Refused"] = counts.refused
        found[f"{title} Lost"] = counts.lost
        found[f"{title} Waiting"] = statistics.waiting_kinds.get(kind, 0)
    found |= {
        "Under Way": statistics.under_way,
        "In Memory Only": statistics.in_memory_only,
        "Server Busy": statistics.busy,
        "No Answer": statistics.unanswered,
        "Sessions Ended By Policy": statistics.ended_by_policy,
        "Sessions Of Earlier Processes": statistics.left_behind,
    }
    return {f"Accounting/{label}": value for label, value in found.items()}
