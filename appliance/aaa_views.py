"""What an AAA server tells the shell about itself: sessions, users, records, figures."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from appliance.aaa.context import Statistics
from appliance.aaa.records import DAY, MICROSECONDS, Record, UserDay
from appliance.aaa.sessions import IDLE, MIP4, End, Session
from appliance.aaa.settings import User
from appliance.aaa.writer import WriterStatistics
from appliance.ports_aaa import DiameterSessionView, RecordView, UsageView, UserView
from appliance.protocols.diameter.message.codec import Malformed
from appliance.protocols.diameter.message.dictionary import Dictionary, standard
from appliance.protocols.diameter.message.text import Texts, time_text
from appliance.protocols.timers import Now

KINDS = {1: "EVENT", 2: "START", 3: "INTERIM", 4: "STOP"}
_D = standard()
FEATURES_4, FEATURES_6 = _D["MIP-Feature-Vector"], _D["MIP6-Feature-Vector"]
CAUSES = _D["Termination-Cause"].values


def cause_text(cause: int | None) -> str:
    """Name of a Termination-Cause; empty for none."""
    return "" if not cause else CAUSES.get(cause, str(cause))


def address_text(packed: bytes) -> str:
    """Text of a packed address; empty for none."""
    return str(ipaddress.ip_address(packed)) if packed else ""


def prefix_text(prefix: tuple[bytes, int]) -> str:
    """Text of a prefix, or of an address that is one of 128 bits."""
    text = address_text(prefix[0])
    return text if prefix[1] == 128 else f"{text}/{prefix[1]}"


# ---- records


def record_view(record: Record, server: str, texts: Texts | None) -> RecordView:
    """One record; with ``texts`` also all its attributes."""
    attributes: tuple[tuple[str, str], ...] = ()
    if texts is not None:
        try:
            attributes = tuple(texts.pairs(record.raw))
        except Malformed:
            attributes = (("raw", f"0x{record.raw.hex()}"),)
    return RecordView(
        server=server,
        received=record.received / MICROSECONDS,
        end_to_end=record.end_to_end,
        origin=record.host,
        user=record.user,
        session_id=record.session,
        kind=KINDS.get(record.type, str(record.type)),
        number=record.number,
        seconds=record.duration or 0,
        octets_in=record.octets_in or 0,
        octets_out=record.octets_out or 0,
        packets_in=record.packets_in or 0,
        packets_out=record.packets_out or 0,
        cause=cause_text(record.cause),
        attributes=attributes,
    )


def usage_view(usage: UserDay, server: str) -> UsageView:
    """Totals of a user on a day."""
    return UsageView(
        server=server,
        user=usage.user,
        day=time_text(usage.day * (DAY // MICROSECONDS))[:10],
        sessions=usage.sessions,
        seconds=usage.duration,
        octets_in=usage.octets_in,
        octets_out=usage.octets_out,
    )


# ---- sessions


def _moment(seconds: float) -> str:
    return time_text(int(seconds)) if seconds else ""


def _end_details(title: str, end: End | None) -> list[tuple[str, str]]:
    if end is None:
        return []
    return [
        (f"{title}-Realm", end.realm),
        (f"{title}-DiamIdent", end.host),
        (f"{title}-Session-Id", end.session),
    ]


def session_view(session: Session, server: str, now: Now, dictionary: Dictionary) -> DiameterSessionView:
    """One session of a server."""
    end = next(iter(session.ends), None)
    features = FEATURES_4 if session.kind == MIP4 else FEATURES_6
    addresses = [prefix_text(prefix) for prefix in session.prefixes]
    if session.ipv4_address:
        addresses.append(address_text(session.ipv4_address))
    application = dictionary.applications.get(session.application)
    details = [
        ("Session-Timeout", str(session.session_timeout) if session.session_timeout else ""),
        ("Session-Timeout-Expiration-Time", _moment(session.session_end_at)),
        ("Auth-Lifetime-Expiration-Time", _moment(session.authorized_until_at)),
        ("Key-Lifetime-Expiration-Time", _moment(session.key_until_at)),
        ("FeatureVector", _features(session.features, features.values)),
        *_end_details("FA", session.foreign),
        *_end_details("HA", session.home),
        ("Home-Agent", address_text(session.home_agent)),
        ("Service-Selection", session.service),
        ("Termination-Cause", cause_text(session.cause)),
    ]
    live = session.state != IDLE
    return DiameterSessionView(
        role="server",
        owner=server,
        session_id=session.id,
        user=session.user,
        application=application.name if application is not None else str(session.application),
        state={"Disconnected": "Discon"}.get(session.state, session.state),
        peer=end.host if end is not None else "",
        realm=end.realm if end is not None else "",
        started=session.started_at,
        handed_over=session.handoff_at,
        ended=session.ended_at,
        authorization_left=_left(session.authorized_until_at, now) if live else None,
        timeout_left=_left(session.session_end_at, now) if live else None,
        multi_session_id=session.multi,
        addresses=tuple(addresses),
        details=tuple((label, text) for label, text in details if text),
    )


def _left(until: float, now: Now) -> float | None:
    return max(0.0, until - now.wall) if until else None


def _features(value: int, names: dict[int, str]) -> str:
    found = [name for bit, name in names.items() if value & bit]
    return "|".join(found)


# ---- users


def user_view(user: User, server: str, source: str, sessions: int) -> UserView:
    """One user, without keys."""
    services = {"pmipv6": user.pmipv6, "mipv6": user.mip6, "mobile-ip": user.mip4}
    details: list[tuple[str, Any]] = [
        *(("Home-Network-Prefix", prefix_text(prefix)) for prefix in user.prefixes),
        *(("Mobile-Network-Prefix", prefix_text(prefix)) for prefix in user.networks),
        ("Home-Address", address_text(user.ipv4_address or b"")),
        ("Home-Agent", address_text(user.home_agent or b"")),
        *(("Service-Selection", service) for service in user.services),
        ("Authorization-Lifetime", user.authorization_lifetime),
        ("Auth-Grace-Period", user.grace_period),
        ("Session-Timeout", user.session_timeout),
        ("Acct-Interim-Interval", user.interim_interval),
        ("Class", _octets(user.class_)),
        ("Chargeable-User-Identity", _octets(user.charge)),
        ("Bandwidth-Up", user.bandwidth_up),
        ("Bandwidth-Down", user.bandwidth_down),
        ("MN-AAA-SPI", user.spi),
        ("MN-HA-SPI", user.mn_ha_spi),
        ("MN-HA-Key", "present" if user.mn_ha_key else ""),
    ]
    return UserView(
        server=server,
        user=user.nai,
        source=source,
        enabled=user.enabled,
        services=tuple(name for name, allowed in services.items() if allowed),
        key=bool(user.key),
        sessions=sessions,
        max_sessions=user.max_sessions,
        details=tuple((label, str(value)) for label, value in details if value),
    )


def _octets(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return text if text.isprintable() else f"0x{data.hex()}"


# ---- figures


def counters(statistics: Statistics, numbers: WriterStatistics) -> dict[str, int]:
    """All figures of a server by label, in the order in which they are shown."""
    found: dict[str, int] = {}
    for name, count in sorted(statistics.requests.items()):
        found[f"{name} received"] = count
    for (name, result), count in sorted(statistics.answers.items()):
        found[f"{_answer(name)} {result} sent"] = count
    for name, count in sorted(statistics.sent.items()):
        found[f"{name} sent"] = count
    for (name, result), count in sorted(statistics.answered.items()):
        found[f"{_answer(name)} {result} received" if result else f"{name} not answered"] = count
    found.update(
        {
            "Records stored": numbers.stored,
            "Records repeated": numbers.repeated,
            "Records not stored": numbers.failed,
            "Records refused by the database": numbers.refused,
            "Records put on disk": numbers.spooled,
            "Records taken from disk": numbers.drained,
            "Records deleted": numbers.pruned,
            "Records that found the queue full": numbers.overflowed,
            "Records waiting": numbers.waiting,
            "Commits": numbers.batches,
            "Records in the largest commit": numbers.largest,
        }
    )
    return found


def _answer(request: str) -> str:
    """``ACA`` of ``ACR``."""
    return f"{request[:-1]}A" if request.endswith("R") else f"{request} answer"


def sliced(items: Iterator[Any], every: int = 64) -> Iterator[Any]:
    """The items, with a ``None`` now and then so that others have their turn."""
    for number, item in enumerate(items):
        if number and number % every == 0:
            yield None
        yield item
