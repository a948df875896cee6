"""Every status that a home agent can answer a host with, where it stands, and what shows it.

``KIND/NUMBER``: of the Binding Acknowledgement itself, of the Binding Identifier and IPv4 Address
Acknowledgement options in it, and of the Binding Error. The names of numbers are those of the RFCs.

There is none of the Binding Revocation Acknowledgement: only a home agent revokes a host's binding (RFC 5846
section 10), so it never answers an indication of a host.
"""

from collections.abc import Iterable
from typing import Any

from scripts.counting import wire

ACK, BINDING, IPV4, ERROR = (
    "binding-acknowledgement", "binding-identifier", "ipv4-address-acknowledgement", "binding-error"
)  # fmt: skip


def _of(kind: str, names: dict[int, str]) -> dict[str, str]:
    return {f"{kind}/{number}": name for number, name in names.items()}


#: What each means.
STATUSES: dict[str, str] = {
    **_of(ACK, {
        0: "accepted", 1: "accepted, but prefix discovery necessary", 4: "MCoA notcomplete",
        5: "MCoA return home without NDP",
        128: "reason unspecified", 129: "administratively prohibited", 130: "insufficient resources",
        131: "home registration not supported", 132: "not home subnet",
        133: "not home agent for this mobile node", 134: "duplicate address detection failed",
        135: "sequence number out of window", 139: "registration type change disallowed",
        140: "mobile router operation not permitted", 141: "invalid prefix",
        142: "not authorized for prefix", 143: "forwarding setup failed", 144: "MIPv6-ID-mismatch",
        145: "MIPv6-MESG-ID-required", 146: "MIPv6-auth-fail", 151: "service authorization failed",
        152: "proxy registration not enabled", 164: "MCoA malformed", 165: "MCoA non-MCoA binding exists",
        166: "MCoA prohibited", 167: "MCoA unknown CoA", 168: "MCoA bulk registration prohibited",
        169: "MCoA simultaneous home and foreign prohibited", 174: "invalid care-of address",
    }),
    **_of(BINDING, {
        0: "accepted", 5: "return home without NDP", 130: "insufficient resources",
        133: "not registered", 164: "malformed", 166: "prohibited", 167: "unknown CoA",
        168: "bulk registration prohibited", 169: "simultaneous home and foreign prohibited",
    }),
    **_of(IPV4, {
        0: "success", 128: "failure, reason unspecified", 129: "administratively prohibited",
        130: "incorrect IPv4 home address", 131: "invalid IPv4 address",
        132: "dynamic IPv4 home address assignment not available", 133: "prefix allocation unauthorized",
    }),
    **_of(ERROR, {1: "unknown binding for Home Address option", 2: "unrecognized MH type"}),
}  # fmt: skip

#: Those that no packet can bring about, and why.
IMPOSSIBLE: dict[str, str] = {}


def said(mh: bytes) -> list[str]:
    """The statuses in a mobility message."""
    if mh[2] == wire.ERROR:
        return [f"{ERROR}/{mh[6]}"]
    if mh[2] != wire.ACKNOWLEDGEMENT:
        return []
    found = [f"{ACK}/{mh[6]}"]
    for code, data in wire.options_of(mh, 12):
        if code == wire.BID:
            found.append(f"{BINDING}/{data[2]}")
        elif code == wire.IPV4_ACK:
            found.append(f"{IPV4}/{data[0]}")
    return found


def silent(wanted: Iterable[str], heard: Iterable[bytes]) -> str:
    """Which statuses were wanted, and came in no message; empty: all came."""
    there = {each for mh in heard for each in said(mh)}
    missing = [each for each in wanted if each not in there]
    return f"no answer with {', '.join(missing)}" if missing else ""


def rows(outcomes: Iterable[Any]) -> list[dict[str, Any]]:
    """A row for each status: the first case that has shown it, or why there is none."""
    shown: dict[str, Any] = {}
    for outcome in outcomes:
        for key in outcome.case.statuses:
            if key not in shown or (shown[key].problem and not outcome.problem):
                shown[key] = outcome
    found = []
    for key, meaning in STATUSES.items():
        outcome = shown.get(key)
        row = {"status": key, "meaning": meaning, "what": "", "ok": None}
        if outcome is None:
            row["what"] = IMPOSSIBLE.get(key, "no case has been run")
        else:
            row |= {"what": outcome.case.what, "ok": not outcome.problem}
            if outcome.problem:
                row["problem"] = f"{outcome.case.name}: {outcome.problem}"
        found.append(row)
    return found


def report(found: Iterable[dict[str, Any]], say: Any) -> None:
    """The table, for a person."""
    for row in found:
        ok = "-" if row["ok"] is None else "ok" if row["ok"] else "NO"
        say(f"{row['status']:<32} {row['meaning']:<52} {ok:<3} {row['what']}")


def figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "statuses_moved": sum(row["ok"] is True for row in found),
        "statuses_total": len(found),
        "statuses_not_moved": [
            {"status": row["status"], "reason": row.get("problem", row["what"])}
            for row in found
            if not row["ok"]
        ],
        "statuses": found,
    }
