"""What ``show aaa group`` says about a group's settings. Pure functions of the settings; labels are ours."""

from appliance.facts_words import Facts, amount
from appliance.protocols.diameter.settings import GroupSettings, ServerGroup

POLICIES = {
    "deny": "Deny",
    "local": "Local profile",
    "queue": "Queue for {} seconds, then deny",
}


def _side(title: str, side: ServerGroup, application: str) -> Facts:
    if not side.endpoint:
        return [(f"{title} Endpoint", "None")]
    servers = [f"{server.host} priority {server.priority}" for server in side.servers]
    return [
        (f"{title} Endpoint", side.endpoint),
        (f"{title} Realm", side.realm or "that of the user"),
        (f"{title} Dictionary", side.application or application),
        (f"{title} Request Timeout", amount(side.request_timeout, "second")),
        (f"{title} Max Retries", str(side.max_retries)),
        *((f"{title} Server", text) for text in servers or ["any of the realm"]),
    ]


def _seconds(value: int, none: str) -> str:
    return amount(value, "second") if value else none


def _yes(value: bool) -> str:
    return "Enabled" if value else "Disabled"


def group_facts(settings: GroupSettings) -> Facts:
    """Label and value pairs of an AAA group in screen order."""
    return [
        ("AAA Group", settings.name),
        ("Context", settings.context),
        *_side("Authentication", settings.authentication, "nasreq"),
        ("Failure Policy", POLICIES[settings.failure_policy].format(settings.queue_time)),
        *_side("Accounting", settings.accounting, "base"),
        ("Interim Interval", _seconds(settings.interim_interval, "as the server says")),
        ("Interim On Handoff", _yes(settings.interim_on_handoff)),
        ("Interim On Refresh", _yes(settings.interim_on_refresh)),
        ("Event On Denial", _yes(settings.event_on_denial)),
        ("Sub-Sessions", _yes(settings.sub_sessions)),
        ("Realtime", settings.realtime),
        ("Spool Limit", f"{settings.spool_limit} octets"),
    ]
