"""Configuration commands of congestion control, for all anchors of the appliance.

``congestion-control``, its ``policy`` and the names of the thresholds on queues, memory, sessions and
``tolerance`` are those of StarOS; ``loop-lag`` is ours, in the place of its thresholds on processors.
"""

from appliance.cli.commands.configuration import ROOT, choice, number, toggle
from appliance.cli.grammar import setting
from appliance.config_tree import SETTINGS, limits

_WORDS = {
    "congestion-control": "What is done when there is too much to do",
    "policy": "What updates of new mobile nodes get",
    "lma-service": "Local mobility anchors",
    "threshold": "From when on that is so",
}


def _declare() -> None:
    text = "Congestion control of the anchors"
    toggle(ROOT, "congestion_control", "congestion-control", text, _WORDS)
    choice(
        ROOT,
        "congestion-control policy lma-service action <congestion_action:none|drop|reject|redirect>",
        "Nothing, silence, status 129, or another anchor (RFC 6463)",
        _WORDS,
    )
    for word, name, text in (
        ("loop-lag", "loop_lag", "How late the process is before no new mobile node is let in"),
        ("system-memory-utilization", "memory_utilization", "Memory in use before no new one is let in"),
        ("message-queue-utilization", "queue_utilization", "Receive buffer used before messages are sorted"),
        ("message-queue-wait-time", "queue_wait_time", "Longest wait of an update of a new mobile node"),
        ("tolerance", "congestion_tolerance", "How far below a threshold the congestion is over"),
    ):
        number(ROOT, f"congestion-control threshold {word} <{name}:NUMBER>", text, words=_WORDS)
    word, name = "max-sessions-per-service-utilization", "session_utilization"
    setting(
        ROOT,
        name,
        f"congestion-control threshold {word} <{name}:NUMBER>",
        no=f"congestion-control threshold {word}",
        default=f"congestion-control threshold {word}",
        help={
            **_WORDS,
            word: "Share of max-subscribers before no new mobile node is let in",
            name: "1 to 100 percent; factory value none",
        },
        ranges=limits(SETTINGS[ROOT]),
    )


_declare()
