"""Configuration commands about peers: heartbeats, update notifications, timers that gateways are given."""

from appliance.cli.commands.configuration import LMA, MAG, WORDS, choice, number, toggle

_WORDS = {
    **WORDS,
    "heartbeat": "Heartbeats between the mobility entities (RFC 5847)",
    "mag-parameters": "Timers that gateways are to use (RFC 8127)",
    "re-registration": "Renewal of bindings by the gateway",
    "update-notification": "Update notifications to gateways (RFC 7077)",
}


def _heartbeat(mode: str) -> None:
    number(
        mode,
        "heartbeat interval <heartbeat_interval:NUMBER>",
        "Time between heartbeats to a peer that sessions are shared with",
        no="heartbeat",
        note="no heartbeats",
    )
    number(
        mode,
        "heartbeat retransmission max <heartbeat_max_retransmissions:NUMBER>",
        "Repetitions of a request without an answer; after the last one the path has failed",
    )
    number(mode, "heartbeat retransmission timeout <heartbeat_timeout:NUMBER>", "Time to wait for an answer")
    kept = "keep-sessions|end-sessions"
    choice(
        mode,
        f"heartbeat path-failure <heartbeat_path_failure:{kept}>",
        "Sessions with a peer that does not answer any more",
    )
    choice(
        mode,
        f"heartbeat peer-restart <heartbeat_peer_restart:{kept}>",
        "Sessions with a peer that has restarted and lost them",
    )


def _notifications() -> None:
    number(
        LMA,
        "update-notification retransmission max <update_notification_retransmissions:NUMBER>",
        "MAX_UPDATE_NOTIFICATION_RETRANSMIT_COUNT (RFC 7077 section 7)",
        words=_WORDS,
    )
    number(
        LMA,
        "update-notification retransmission delay <update_notification_delay:NUMBER>",
        "MIN_DELAY_BETWEEN_UPDATE_NOTIFICATION_REPLAY (RFC 7077 section 7)",
        words=_WORDS,
    )
    toggle(
        LMA,
        "update_notification_on_change",
        "update-notification on-change",
        "Gateways register anew when lifetime, GRE, refresh advice or mag-parameters are changed",
        words=_WORDS,
    )


def _parameters() -> None:
    head = "mag-parameters re-registration"
    toggle(
        LMA,
        "mag_reregistration_control",
        f"{head} control",
        "The three values of re-registration are sent to gateways",
        words=_WORDS,
    )
    for word, field, text in (
        ("start-time", "mag_reregistration_start", "Renewal begins so long before a binding ends"),
        ("initial-retransmission", "mag_retransmission_initial", "First time-out of a Binding Update"),
        ("maximum-retransmission", "mag_retransmission_maximum", "Longest time-out of a Binding Update"),
    ):
        number(LMA, f"{head} {word} <{field}:NUMBER>", text, words=_WORDS)
    head = "mag-parameters heartbeat"
    toggle(
        LMA,
        "mag_heartbeat_control",
        f"{head} control",
        "The three values of heartbeats are sent to gateways",
        words=_WORDS,
    )
    for word, field, text in (
        ("interval", "mag_heartbeat_interval", "Time between heartbeats of a gateway"),
        ("retransmission-delay", "mag_heartbeat_delay", "Time until a heartbeat is repeated"),
        ("max-retransmissions", "mag_heartbeat_retransmissions", "Repetitions of a heartbeat"),
    ):
        number(LMA, f"{head} {word} <{field}:NUMBER>", text, words=_WORDS)


for _mode in (LMA, MAG):
    _heartbeat(_mode)
_notifications()
_parameters()
