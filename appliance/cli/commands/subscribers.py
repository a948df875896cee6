"""``show`` and ``clear subscribers``, and ``show session``: mobile nodes over all services."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from appliance.cli import ours
from appliance.cli.commands.sessions import CHOICES, FILTERS, clear, count, views, wanted
from appliance.cli.commands.sessions import HELP as SESSION_HELP
from appliance.cli.grammar import command
from appliance.cli.render import LABEL, VALUE, Screen, TextScreen, key_of
from appliance.cli.render_sessions import (
    SessionCountersScreen,
    SessionFullScreen,
    SubscriberListScreen,
    family,
)
from appliance.counters import slug
from appliance.ports import Census, SessionFilter, SessionView

HELP = {
    **SESSION_HELP,
    "disconnect-reasons": "Why sessions have ended",
    "duration": "How old the sessions are",
    "progress": "How far the sessions have come",
    "session": "Sessions of all services",
    "subscribers": "Mobile nodes of all services",
    "verbose": "Shows the reasons that did not occur, too",
}

#: Access type of hosts at home agents and anchors.
HOSTS = ours.HOST_TYPE
#: Columns of the last value of a line: screens of this kind are padded to the end of the field.
LAST_VALUE = 10
#: Lines of ``show session duration``: upper ends of ``ports.AGES``, then the rest.
DURATIONS = ("<1min", "<2min", "<5min", "<15min", "<1hr", "<4hr", "<12hr", "<24hr", ">24hr")


def _pair(left: tuple[str, int], right: tuple[str, int] | None = None) -> str:
    """One line of the subscriber summary: fields 31, 14, 31 and 10 wide, the last one padded too."""
    text = f"{left[0] + ':':<{LABEL}}"
    if right is None:
        return f"{text}{left[1]:<{LAST_VALUE}}"
    return f"{text}{left[1]:<{VALUE}}{right[0] + ':':<{LABEL}}{right[1]:<{LAST_VALUE}}"


async def _census(shell: Any, which: SessionFilter) -> dict[str, Census]:
    """Count the sessions of each kind of service."""
    return {kind: await count(shell, shell.system.services(kind), which) for kind in ours.ACCESS_TYPES}


def summary(censuses: dict[str, Census]) -> Screen:
    """``show subscribers summary``: how many there are, active or not, and by access type."""
    types: Counter[str] = Counter()
    active = total = 0
    for kind, census in censuses.items():
        for (state, ipv6, ipv4, of_host), number in census.kinds.items():
            types[ours.access_type(kind, family(ipv6, ipv4), of_host)] += number
            total += number
            active += number if state == "active" else 0
    # The order of the vendor's screen, which lists many more access types.
    names = ["hsgw-ipv6", "hsgw-ipv4", "hsgw-ipv4-ipv6", "pgw-pmip-ipv6", "pgw-pmip-ipv4"]
    names.append("pgw-pmip-ipv4-ipv6")
    lines = [
        _pair(("Total Subscribers", total)),
        _pair(("Active", active), ("Dormant", total - active)),
        *(
            _pair((left, types[left]), (right, types[right]))
            for left, right in zip(names[::2], names[1::2], strict=True)
        ),
        _pair((HOSTS, types[HOSTS])),
    ]
    values = {"total_subscribers": total, "active": active, "dormant": total - active}
    return TextScreen(lines, {**values, **{name: types[name] for name in (*names, HOSTS)}})


@command(
    "exec", f"show subscribers [ all ] [ summary | full | counters ] {FILTERS}", help=HELP, rights="inspector"
)
async def _show_subscribers(shell: Any, args: dict[str, Any]) -> Screen:
    which = wanted(args)
    if "summary" in args:
        return summary(await _census(shell, which))
    services = shell.system.services()
    if "full" in args:
        return SessionFullScreen(views(services, which))
    if "counters" in args:
        return SessionCountersScreen(views(services, which))

    def each() -> Iterator[tuple[str, SessionView] | None]:
        for service in services:
            for view in service.sessions(which):
                yield None if view is None else (service.kind, view)

    return SubscriberListScreen(each())


@command("exec", f"clear subscribers {{ all | {CHOICES} }} [ -noconfirm ]", help=HELP, rights="administrator")
async def _clear_subscribers(shell: Any, args: dict[str, Any]) -> list[str]:
    return await clear(shell, args, shell.system.services(), "subscribers")


# ---- show session


def disconnects(shell: Any) -> Counter[str]:
    """How many sessions have ended for each StarOS reason, over all services."""
    reasons: Counter[str] = Counter()
    for service in shell.system.services():
        for label, reason in ours.DISCONNECT_REASONS[service.kind].items():
            reasons[reason] += service.counters.value(f"total-disconnects/{slug(label)}")
    return reasons


@command("exec", "show session disconnect-reasons [ verbose ]", help=HELP)
def _disconnect_reasons(shell: Any, args: dict[str, Any]) -> Screen:
    reasons = disconnects(shell)
    total = sum(reasons.values())
    shown = [name for name in ours.REASON_ORDER if reasons[name] or "verbose" in args]
    share = {name: 100 * reasons[name] / total if total else 0.0 for name in shown}
    lines = [
        "Session Disconnect Statistics",
        "",
        f"Total Disconnects: {total}",
        "",
        f"{'Disconnect Reason':<53}{'Num Disc':>12}{'Percentage':>12}",
        f"{'-' * 53}  {'-' * 10}  {'-' * 10}",
        *(f"{name:<53}{reasons[name]:>12}{share[name]:>12.5f}" for name in shown),
    ]
    rows = [{"reason": name, "count": reasons[name], "percentage": round(share[name], 5)} for name in shown]
    return TextScreen(lines, {"total_disconnects": total, "reasons": rows})


@command("exec", "show session duration", help=HELP)
async def _duration(shell: Any, _args: dict[str, Any]) -> Screen:
    ages = (await count(shell, shell.system.services(), SessionFilter())).ages
    return TextScreen(
        [
            "In-Progress Call Duration Statistics",
            *(f"     {label:<8}{number:>12}" for label, number in zip(DURATIONS, ages, strict=True)),
        ],
        dict(zip(DURATIONS, ages, strict=True)),
    )


def progress(censuses: dict[str, Census]) -> Screen:
    """``show session progress``: how many sessions are in which state of the vendor's."""
    states: Counter[str] = Counter()
    active = total = 0
    for kind, census in censuses.items():
        for (state, ipv6, ipv4, of_host), number in census.kinds.items():
            total += number
            active += number if state == "active" else 0
            if state in ours.CONNECTING:
                states["PROXY-MOBILE-IP CONNECTING"] += number
            elif state in ours.DISCONNECTING:
                states["DISCONNECTING"] += number
            else:
                # An anchor ends the connection to the packet network, a gateway is on the way to it.
                name = ours.CONNECTED[ipv6, ipv4] if kind == "lma" else "PROXY-MOBILE-IP CONNECTED"
                states[ours.HOST_CONNECTED if of_host else name] += number
    plain = {
        "In-progress calls": total,
        "In-progress active calls": active,
        "In-progress dormant calls": total - active,
        "In-progress always-on calls": 0,
    }
    lines = [f"{number:>8} {label}" for label, number in plain.items()]
    lines += [f"{states[name]:>8} In-progress calls @ {name} state" for name in ours.PROGRESS]
    values = {key_of(label): number for label, number in plain.items()}
    return TextScreen(lines, {**values, "states": {name: states[name] for name in ours.PROGRESS}})


@command("exec", "show session progress", help=HELP)
async def _progress(shell: Any, _args: dict[str, Any]) -> Screen:
    return progress(await _census(shell, SessionFilter()))
