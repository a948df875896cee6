"""What the session and subscriber commands share: filters, counting, and ending in slices."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from appliance.cli.values import CommandError
from appliance.ports import Census, ServicePort, SessionFilter, SessionView
from appliance.wildcards import is_wild

#: Sessions that are ended between two chances for others: each may send a message and change tunnels.
CLEARED_AT_ONCE = 20

#: Filters of show commands: any of them together. Of clear commands: one of them.
FILTERS = (
    "[ username <username:NAI> ] [ ip-address <address:ADDRESS> ] [ callid <callid:HEX> ]"
    " [ imsi <imsi:NAME 6-15> | msid <imsi:NAME 7-16> ]"
)
CHOICES = (
    "username <username:NAI> | ip-address <address:ADDRESS> | callid <callid:HEX> | imsi <imsi:NAME 6-15>"
    " | msid <imsi:NAME 7-16>"
)

#: Words for the revocation triggers (RFC 5846 section 5.1); ``testing`` is one that no peer knows.
TRIGGERS = {
    "unspecified": 0,
    "administrative": 1,
    "handoff-same-access": 2,
    "handoff-other-access": 3,
    "handoff-unknown": 4,
    "user": 5,
    "access-network": 6,
    "out-of-sync": 7,
    "per-peer-policy": 128,
    "local-policy": 129,
    "testing": 250,
}
#: More of anchors' clear commands: a group of RFC 6602, and what gateways are told.
GROUP_CHOICE = " | bulk-group <group:NUMBER 1-4294967295>"
REVOCATION = f" [ ipv4-only ] [ revocation-trigger {{ {' | '.join(TRIGGERS)} }} ]"
#: The same of home agents: nothing is told to all hosts at once.
_OF_ONE = [word for word in TRIGGERS if word not in ("per-peer-policy", "local-policy")]
HOST_REVOCATION = f" [ revocation-trigger {{ {' | '.join(_OF_ONE)} }} ]"

HELP = {
    "all": "All of them",
    "full": "Everything about each session",
    "summary": "How many there are of each sort",
    "counters": "Packets and octets of each session",
    "username": "Network access identifier; * and $ are wildcards",
    "ip-address": "Sessions with an IPv4 home address or a home network prefix",
    "address": "IPv4 home address, home network prefix or an address inside it",
    "callid": "One session by its call id",
    "imsi": "Sessions of a subscriber by the number in its identifier",
    "msid": "Sessions of a mobile station by the number in its identifier",
    "-noconfirm": "Does not ask whether you are sure",
    "bulk-group": "Sessions of a bulk group of the anchor, by one message to each gateway (RFC 6602)",
    "group": "Number of the group; 1 is all that are in a group at all",
    "ipv4-only": "Only their IPv4 home addresses go; sessions that have a prefix go on",
    "revocation-trigger": "What gateways and hosts are told, if revocation is on; otherwise: administrative",
    "unspecified": "No reason is told (0)",
    "administrative": "The operator wants it so (1)",
    "handoff-same-access": "The mobile node is at another gateway of the same access technology (2)",
    "handoff-other-access": "The mobile node is at a gateway of another access technology (3)",
    "handoff-unknown": "The mobile node is perhaps at another gateway (4)",
    "user": "The user has ended the session (5)",
    "access-network": "The access network has ended the session (6)",
    "out-of-sync": "The gateway has a session that the anchor has not (7)",
    "per-peer-policy": "All sessions of each gateway by one message; needs all (128)",
    "local-policy": "All sessions of a realm by one message to each gateway; needs username @REALM (129)",
    "testing": "A trigger that no peer knows (250)",
}


def wanted(args: dict[str, Any]) -> SessionFilter:
    """Make the filter out of a command's ``username``, ``address``, ``callid`` and ``imsi`` values.

    Raises CommandError for call id 0, which no session has and which would match all, and for an
    IMSI that is no number.
    """
    if args.get("callid") == 0:
        raise CommandError("00000000 is no call id; show sessions lists those that there are")
    imsi = args.get("imsi", "")
    if imsi and not (imsi.isascii() and imsi.isdigit()):
        raise CommandError(f"Invalid value '{imsi}': only digits are wanted")
    return SessionFilter(
        username=args.get("username", ""),
        ip_address=args.get("address", ""),
        call_id=args.get("callid", 0),
        imsi=imsi,
    )


def views(services: Iterable[ServicePort], which: SessionFilter) -> Iterator[SessionView | None]:
    """The sessions of several services that match; ``None``: still looking."""
    for service in services:
        yield from service.sessions(which)


async def count(shell: Any, services: Iterable[ServicePort], which: SessionFilter) -> Census:
    """Count the sessions of several services that match; the loop turns between two slices."""
    total = Census()
    for service in services:
        for step in service.census(which):
            if step is None:
                await shell.face.write([])
                continue
            for kind, number in step.kinds.items():
                total.kinds[kind] = total.kinds.get(kind, 0) + number
            total.ages = [mine + more for mine, more in zip(total.ages, step.ages, strict=True)]
    return total


def manner(args: dict[str, Any], which: SessionFilter) -> dict[str, Any]:
    """What a clear command says beside which sessions it means; turns ``@realm`` in ``which`` into a pattern.

    Raises CommandError for what one message to each gateway cannot say.
    """
    how: dict[str, Any] = {}
    word = next((each for each in TRIGGERS if each in args), "")
    if word:
        how["trigger"] = TRIGGERS[word]
    if "ipv4-only" in args:
        how["ipv4_only"] = True
    if "group" in args:
        how["group"] = args["group"]
        if word or "ipv4-only" in args:
            raise CommandError("bulk-group goes without ipv4-only and revocation-trigger")
    if word in ("per-peer-policy", "local-policy") and "ipv4-only" in args:
        raise CommandError(f"{word} goes without ipv4-only")
    if word == "per-peer-policy" and "all" not in args:
        raise CommandError("per-peer-policy revokes all sessions of a gateway: it needs all")
    if word == "local-policy":
        realm = which.username.removeprefix("*")
        if realm[:1] != "@" or len(realm) < 2 or is_wild(realm):
            raise CommandError("local-policy revokes the sessions of a realm: it needs username @realm")
        which.username = f"*{realm}"
    return how


async def clear(shell: Any, args: dict[str, Any], services: Sequence[ServicePort], noun: str) -> list[str]:
    """End the sessions that ``args`` name, after asking; the lines that tell how many they were.

    Who interrupts it leaves the rest of the sessions alone. Raises CommandError when it is not confirmed.
    """
    which = wanted(args)
    how = manner(args, which)
    if "group" in args:
        await shell.confirm(args, [f"This ends the sessions of bulk group {args['group']}"])
        number = 0
    elif "all" in args:
        number = sum(service.session_count() for service in services)
    else:
        number = sum((await count(shell, services, which)).kinds.values())
    if number:
        await shell.confirm(args, [f"This ends {number} session{'' if number == 1 else 's'}"])
    ended = steps = 0
    for service in services:
        for done in service.clear_sessions(which, **how):
            ended += done
            steps += 1
            if steps % CLEARED_AT_ONCE == 0:
                await shell.face.write([])
    return [f"Number of {noun} cleared: {ended}"]
