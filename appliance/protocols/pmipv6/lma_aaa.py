"""What an anchor asks the AAA client about registrations, and what it tells it of sessions (RFC 5779).

::

    Updates ─ask─▶ Questions ──Authorize──▶ AAA client        a mobile's update waits here, others go on
            ◀────── Authorized ────────────
    Sessions ─start, refresh, handoff, pause, stop──Account──▶ AAA client
"""

from collections import OrderedDict

from appliance.counters import LMA
from appliance.protocols.mobility import aaa, status
from appliance.protocols.mobility.aaa import Authorize, Grant, Subject
from appliance.protocols.pmipv6 import lma_request as verdicts
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.lma_request import Request, Verdict
from appliance.protocols.pmipv6.settings import LmaSettings

_HEADING = "mip-aaa-authentication/"
ATTEMPTS = LMA.index(_HEADING + "attempts")
SUCCESS = LMA.index(_HEADING + "success")
#: Counters of what is no success: the server's no, and everything else.
REFUSED = LMA.index(_HEADING + "actual-auth-failures")
FAILED = LMA.index(_HEADING + "misc-auth-failures")

_UNSPECIFIED = "update-denied-unspecified-reason/"
NO_ANSWER = Verdict(status.REASON_UNSPECIFIED, _UNSPECIFIED + "other")
#: How an update ends that the AAA server, or its silence, has refused.
VERDICTS = {
    aaa.REJECT: verdicts.NOT_ENTITLED,
    aaa.BAD_CREDENTIALS: Verdict(status.MIPV6_AUTH_FAIL),
    aaa.UNKNOWN_USER: verdicts.NOT_SERVED,
    aaa.ROAMING: verdicts.NOT_AUTHORIZED_MAG,
    aaa.SERVICE: verdicts.NO_SERVICE,
    aaa.RESOURCES: Verdict(
        status.INSUFFICIENT_RESOURCES, "update-denied-insufficient-resource-reasons/other"
    ),
    aaa.NEWER: Verdict(status.REASON_UNSPECIFIED, _UNSPECIFIED + "newer-session-detected-by-aaa"),
    aaa.NEWER_PCRF: Verdict(status.REASON_UNSPECIFIED, _UNSPECIFIED + "newer-session-detected-by-pcrf"),
    aaa.NEWER_PCS: Verdict(status.REASON_UNSPECIFIED, _UNSPECIFIED + "newer-session-detected-by-pcs"),
    aaa.NO_ANSWER: NO_ANSWER,
}
#: The AAA client answers within the patience that it is told; this is for one that does not.
GRACE = 1.0

#: What a session is known by while it is asked about: its call id, or what it will be looked up by.
Key = int | tuple[bytes, int, bytes]


def asks(settings: LmaSettings) -> bool:
    """Whether registrations have to be authorized by AAA."""
    return settings.aaa is not None and bool(settings.aaa.authentication.endpoint)


def accounts(settings: LmaSettings) -> bool:
    """Whether the AAA client wants to hear what becomes of sessions."""
    group = settings.aaa
    return group is not None and (
        bool(group.authentication.endpoint) or (settings.aaa_accounting and bool(group.accounting.endpoint))
    )


def authority(settings: LmaSettings) -> object:
    """What tells whose word counts; ``None``: nobody is asked."""
    return settings.aaa.authority if settings.aaa is not None and asks(settings) else None


def key_of(request: Request) -> Key:
    """What the session that an update means is known by; the update has passed the content checks."""
    if request.entry is not None:
        return request.entry.call_id
    return request.mn_id, request.technology.value, request.link_layer_id


class Question:
    """One question that has no answer yet."""

    __slots__ = ("call_id", "key", "new", "request", "stamp", "token", "until")

    def __init__(self, token: int, key: Key, call_id: int, new: bool, until: float) -> None:
        self.token = token
        self.key = key
        self.call_id = call_id
        #: The session is still to be made, and ``call_id`` kept for it.
        self.new = new
        #: When it is given up, in monotonic seconds.
        self.until = until
        #: The update that waits for the answer; ``None``: nobody waits, the session goes on meanwhile.
        self.request: Request | None = None
        #: Timestamp and sequence number of the session when the update came in.
        self.stamp = (0, 0)


class Questions:
    """The open questions of one service."""

    __slots__ = ("open", "_keys", "_mobiles", "_token", "new")

    def __init__(self) -> None:
        #: By token, the oldest first.
        self.open: OrderedDict[int, Question] = OrderedDict()
        self._keys: dict[Key, Question] = {}
        #: How many sessions of each mobile are still to be made.
        self._mobiles: dict[bytes, int] = {}
        self._token = 0
        #: How many sessions are still to be made.
        self.new = 0

    def about(self, key: Key) -> Question | None:
        """The open question about a session."""
        return self._keys.get(key)

    def of(self, mn_id: bytes) -> int:
        """How many sessions of a mobile are still to be made."""
        return self._mobiles.get(mn_id, 0)

    def put(self, key: Key, call_id: int, until: float) -> Question:
        """Open a question."""
        self._token += 1
        new = isinstance(key, tuple)
        question = Question(self._token, key, call_id, new, until)
        self.open[question.token] = question
        self._keys[key] = question
        if isinstance(key, tuple):
            self.new += 1
            self._mobiles[key[0]] = self._mobiles.get(key[0], 0) + 1
        return question

    def pop(self, token: int) -> Question | None:
        """Close a question; ``None``: it is closed already."""
        question = self.open.pop(token, None)
        if question is None:
            return None
        key = question.key
        del self._keys[key]
        if isinstance(key, tuple):
            self.new -= 1
            self._mobiles[key[0]] -= 1
            if not self._mobiles[key[0]]:
                del self._mobiles[key[0]]
        return question


def same_wish(older: Request, newer: Request) -> bool:
    """Whether the answer about one update is as good for another one of the same session."""
    return (
        bool(older.prefix_options) == bool(newer.prefix_options)
        and (older.ipv4 is None) == (newer.ipv4 is None)
        and older.prefixes == newer.prefixes
        and older.address == newer.address
        and _service(older) == _service(newer)
    )


def _service(request: Request) -> bytes:
    return b"" if request.service is None else request.service.identifier


def question_about(request: Request, question: Question, patience: float) -> Authorize:
    """The effect that asks about an update that makes, changes or moves a session."""
    entry, profile = request.entry, request.profile
    service = _service(request)
    prefixes = request.prefixes or profile.prefixes
    address = request.address or profile.ipv4_address
    if entry is not None:
        prefixes = entry.prefixes or prefixes
        address = entry.ipv4_address or address
        service = service or entry.service
    subject = Subject(
        call_id=question.call_id,
        mn_id=request.mn_id,
        local=request.destination,
        care_of=request.care_of,
        prefixes=tuple(prefixes) if request.prefix_options else (),
        ipv4_address=address if request.ipv4 is not None else None,
        link_layer=request.link_layer_id,
        technology=request.technology.value,
        service=service,
        created=request.now.wall if entry is None else entry.created,
    )
    return Authorize(
        token=question.token,
        subject=subject,
        ipv6=bool(request.prefix_options),
        ipv4=request.ipv4 is not None,
        lifetime=4 * request.lifetime,
        patience=patience,
    )


def subject_of_denied(request: Request, call_id: int) -> Subject:
    """What is known of a registration that was refused."""
    return Subject(
        call_id=call_id,
        mn_id=request.mn_id,
        local=request.destination,
        care_of=request.care_of,
        prefixes=tuple(request.prefixes),
        ipv4_address=request.address,
        link_layer=request.link_layer_id,
        technology=0 if request.technology is None else request.technology.value,
        service=_service(request),
        created=request.now.wall,
    )


def question_again(entry: BindingCacheEntry, token: int, patience: float) -> Authorize:
    """The effect that asks again about a session as it is."""
    return Authorize(
        token=token,
        subject=subject_of(entry),
        ipv6=entry.prefix is not None,
        ipv4=entry.ipv4_address is not None,
        lifetime=4 * entry.lifetime,
        patience=patience,
    )


def subject_of(entry: BindingCacheEntry) -> Subject:
    """A session as AAA sees it."""
    subject = Subject(
        call_id=entry.call_id,
        mn_id=entry.mn_id,
        local=entry.local,
        care_of=entry.care_of,
        home_address=(entry.prefix or b"") if entry.of_host else b"",
        prefixes=entry.prefixes,
        ipv4_address=entry.ipv4_address,
        link_layer=entry.link_layer,
        technology=entry.technology,
        service=entry.service,
        created=entry.created,
    )
    extras = entry.extras
    if extras is not None:
        subject.access_network = extras.network
        subject.delegated = extras.delegated
    return subject


def not_granted(request: Request, grant: Grant) -> Verdict | None:
    """Why an update asks for more than what AAA has granted; a family it says nothing of is the profile's."""
    if grant.services and request.service is not None and request.service.identifier not in grant.services:
        return verdicts.NO_SERVICE
    profile = request.profile
    if request.prefix_options and not _may(grant.ipv6_allowed, bool(grant.prefixes) or profile.ipv6):
        return verdicts.NO_IPV6
    has_address = grant.ipv4_address is not None
    if request.ipv4 is not None and not _may(grant.ipv4_allowed, has_address or profile.ipv4):
        return verdicts.NO_IPV4
    return None


def _may(said: bool | None, otherwise: bool) -> bool:
    return otherwise if said is None else said
