"""The published lists of counters, and everything that is run to move them."""

import re
from pathlib import Path

from scripts.counting import (
    aaa,
    agent,
    agent_answers,
    agent_messages,
    agent_policies,
    agent_tunnels,
    denials,
    discards,
    hosts,
    ipv4,
    policies,
    revocations,
    routers,
    tunnels,
    updates,
)
from scripts.counting.cases import CASES
from scripts.counting.stages import Stage, anchor

_GOLDEN = Path(__file__).parents[2] / "test" / "golden" / "lma-service-statistics.tsv"


def _key(*names: str) -> str:
    """How ``| json`` spells a row: heading, sub-heading and label in small letters with hyphens."""
    return "/".join(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names if name)


#: Keys in the order of the screen.
COUNTERS = [_key(*line.split("\t")[:3]) for line in _GOLDEN.read_text(encoding="utf-8").splitlines()[1:]]

#: What a home agent of hosts has beside the published list.
OF_HOSTS = [
    "other-mobility-messages/unknown-type",
    "other-mobility-messages/binding-error-sent",
    *(
        f"home-agent-discovery/{each}"
        for each in (
            "requests-received", "replies-sent", "router-advertisements-received",
            "router-advertisements-sent", "discarded",
        )
    ),
    *(
        f"mobile-prefix-discovery/{each}"
        for each in (
            "solicitations-received", "solicited-sent", "unsolicited-sent", "retries-sent",
            "not-acknowledged", "discarded",
        )
    ),
    "messages-to-hosts/binding-refresh-requests-sent",
    *(f"messages-to-hosts/home-agent-switch-{each}" for each in ("sent", "retries", "done", "unknown")),
    "messages-to-hosts/home-addresses-assigned",
]  # fmt: skip
#: Rows of the published list that a home agent of hosts does not show.
_OF_GATEWAYS = (
    *(f"binding-update-deny-reasons/{each}" for each in (
        "timestamp-mismatch", "timestamp-lower-than-expected", "missing-mn-id-option", "missing-hnp-option",
        "missing-access-tech-option", "missing-handoff-ind-option", "not-authorized-for-hnp",
        "not-authorized-for-proxy-reg", "bce-prefix-do-not-match", "gre-key-option-required",
    )),
)  # fmt: skip
#: Keys of a home agent, in the order of its screen.
AGENT_COUNTERS = [
    *(key for key in COUNTERS if key not in _OF_GATEWAYS and "ipv6-gre" not in key),
    *OF_HOSTS,
]
_PROXY = "only a proxy binding update can be refused or dropped so, and each of those gets status 152"
_TEN_MINUTES = "an unasked advertisement comes after ten minutes at the earliest (RFC 6275 section 10.6.2)"
_GLOBAL = "global triggers are for gateways: hosts are told one by one (RFC 5846 sections 7 and 8.1)"
#: Of those, what no packet moves in a laboratory, and why.
AGENT_WAITING = {
    "binding-update-deny-reasons/not-lma-for-mobile": _PROXY,
    "update-denied-admin-prohibited-reasons/bad-request": _PROXY,
    "binding-updates-discard-reasons/session-not-found": _PROXY,
    "binding-revocation/rcvd": "only gateways are revoked by, and none is served (RFC 5846 section 10)",
    "binding-revocation/ack-sent": "only gateways are revoked by, and none is served (RFC 5846 section 10)",
    "sent-revocation-trigger-reasons/per-peer-policy": _GLOBAL,
    "sent-revocation-trigger-reasons/revoking-node-local-policy": _GLOBAL,
    "mobile-prefix-discovery/unsolicited-sent": _TEN_MINUTES,
    "mobile-prefix-discovery/retries-sent": _TEN_MINUTES,
    "mobile-prefix-discovery/not-acknowledged": _TEN_MINUTES,
}  # fmt: skip

STAGES = [Stage("plain", anchor()), ipv4.STAGE, revocations.STAGE, hosts.STAGE, routers.STAGE, aaa.STAGE]
STAGES.append(agent.STAGE)
_KINDS = {stage.name: stage.kind for stage in STAGES}

#: Cases run in this order, and where several move a counter, the first is shown.
MODULES = [
    module.__name__
    for module in (
        updates, denials, discards, tunnels, ipv4, revocations, hosts, routers, aaa, policies,
        agent, agent_policies, agent_answers, agent_tunnels, agent_messages,
    )
]  # fmt: skip
CASES.sort(key=lambda case: MODULES.index(case.deed.__module__))

_MOVED = {key for case in CASES if _KINDS[case.stage] == "lma" for key in case.counters}
#: Counters that no case moves, and why.
WAITING: dict[str, str] = {key: "no case moves it" for key in COUNTERS if key not in _MOVED}
