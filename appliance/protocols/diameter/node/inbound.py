"""Requests that peers send: for a local application, for somebody else, or wrong.

::

    request ──▶ decide (remembered by Destination-Host, Destination-Realm, application)
                  ├─ local ────▶ seen before? ──yes──▶ the first answer again, or wait for it
                  │                  └─no──▶ grammar ──▶ Deliver ──Reply──▶ answer, kept for repetitions
                  ├─ forward ──▶ loops? ──▶ Route-Record [Proxy-Info] ──▶ outbound ──▶ answer back
                  ├─ redirect ─▶ 3006
                  └─ refuse ───▶ 3002, 3003, 3007
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import define

from appliance.protocols.diameter.message.codec import (
    ERROR,
    PROXIABLE,
    RETRANSMITTED,
    SESSION_ID,
    BadValue,
    Malformed,
    Message,
)
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.diameter.node import capabilities as cap
from appliance.protocols.diameter.node.context import Context
from appliance.protocols.diameter.node.duplicates import Duplicates, Key, again
from appliance.protocols.diameter.node.events import Deliver, Reply, Serve, Transmit
from appliance.protocols.diameter.node.outbound import LOOP, TOO_BUSY, UNABLE_TO_DELIVER, Outbound
from appliance.protocols.diameter.node.peer import Peer
from appliance.protocols.diameter.node.peer_states import Link
from appliance.protocols.diameter.node.pending import Pending, Wheel
from appliance.protocols.diameter.node.proxying import ROUTE_RECORD, Proxy, records
from appliance.protocols.diameter.node.redirecting import Redirecting
from appliance.protocols.diameter.node.routing import RoutingTable
from appliance.protocols.diameter.node.speaking import objection
from appliance.protocols.diameter.settings import RouteSettings
from appliance.protocols.timers import Now

_D = standard()
DESTINATION_HOST, DESTINATION_REALM = _D["Destination-Host"], _D["Destination-Realm"]

REALM_NOT_SERVED, APPLICATION_UNSUPPORTED, INVALID_HDR_BITS = 3003, 3007, 3008
UNABLE_TO_COMPLY = 5012
#: Seconds that an application may take for an answer.
PATIENCE = 300.0
#: Decisions that are remembered, and copies of one request that wait for its answer.
REMEMBERED, MOST_COPIES = 10_000, 16
#: Octets of all requests without an answer.
MOST_OCTETS = 64 << 20
PER_TICK = 1_000

LOCAL, FORWARD, PROXY, REDIRECT, REFUSE = "local", "relay", "proxy", "redirect", "refuse"


class Decision(NamedTuple):
    """What is done with requests of one kind."""

    action: str
    application: int = -1
    """Of a local one: its number."""
    realm: str = ""
    host: str = ""
    code: int = 0
    """Of a refusal."""
    text: str = ""
    routes: tuple[RouteSettings, ...] = ()


@define(slots=True, eq=False)
class Inbound:
    """One request without an answer that came from a peer."""

    number: int
    link: Link
    peer: Peer
    message: Message
    application: int
    """Local application; -1: it is forwarded."""
    due: float = 0.0
    key: Key | None = None
    copies: list[tuple[Link, Peer, Message]] | None = None
    """The same request again, before there was an answer."""
    proxied: bool = False
    bucket: int = -1


class InboundRequests:
    """Requests that came to one node."""

    def __init__(
        self,
        context: Context,
        routes: RoutingTable,
        redirecting: Redirecting,
        proxy: Proxy,
        peers: Mapping[str, Peer],
    ) -> None:
        self.wheel = Wheel()
        self.duplicates = Duplicates(context.settings.duplicate_time)
        self.open: dict[int, Inbound] = {}
        #: Octets of requests without an answer, relayed ones included.
        self.octets = 0
        self._context = context
        self._routes = routes
        self._redirecting = redirecting
        self._proxy = proxy
        self._peers = peers
        self._serving: dict[int, Serve] = {}
        self._ids: frozenset[int] = frozenset()
        self._busy: dict[Key, Inbound] = {}
        self._decisions: dict[tuple[Any, ...], Decision] = {}
        self._key = 0

    # Applications.

    def serve(self, event: Serve) -> None:
        """An application serves from now on."""
        self._serving[event.application] = event
        self._applications_changed()

    def withdraw(self, application: int) -> None:
        """An application serves no more."""
        self._serving.pop(application, None)
        self._applications_changed()
        for inbound in [each for each in self.open.values() if each.application == application]:
            self._fail(inbound, UNABLE_TO_DELIVER, "the application has ended")

    def _applications_changed(self) -> None:
        advertised = [each for serve in self._serving.values() for each in serve.advertised]
        self._context.us.serve(advertised)
        self._ids = frozenset(each.id for each in advertised)
        self.forget()

    def forget(self) -> None:
        """Decide anew: applications, routes or peers have changed."""
        self._decisions.clear()

    # Requests.

    def request(self, peer: Peer, link: Link, message: Message, outbound: Outbound, now: Now) -> None:
        """Take one request of an application; ``outbound`` takes it on if it is for somebody else."""
        statistics, flags = peer.statistics, message.flags
        statistics.requests_received += 1
        if flags & RETRANSMITTED:
            statistics.repeats_received += 1
        # An agent has to know first whether the request is for somebody else.
        checked = message.application in self._ids and self._context.us.agent == "none"
        if checked and self._faulty(peer, link, message):
            return
        try:
            key = (
                message.raw(DESTINATION_HOST),
                message.raw(DESTINATION_REALM),
                message.application,
                message.code == cap.ACCOUNTING,
                flags & PROXIABLE,
                peer.settings.compat,
            )
            foreign = objection(peer, message, self._peers)
        except Malformed as error:
            failed = cap.FAILED.encode(error.failed) if error.failed else b""
            self._refuse(peer, link, message, error.code, str(error), failed)
            return
        if foreign:
            self._disown(peer, link, message, foreign, now)
            return
        decision = self._decisions.get(key)
        if decision is None:
            if max(len(key[0] or b""), len(key[1] or b"")) > cap.LONGEST_NAME:
                self._refuse(peer, link, message, cap.INVALID_VALUE, "a destination is too long for a name")
                return
            decision = self._decide(*key)
            if len(self._decisions) >= REMEMBERED:
                self._decisions.clear()
            self._decisions[key] = decision
        if decision.action is LOCAL:
            self._deliver(peer, link, message, decision.application, checked, now)
        elif flags & ERROR:
            self._refuse(peer, link, message, INVALID_HDR_BITS, "a request has the E bit")
        elif decision.action is REFUSE:
            self._refuse(peer, link, message, decision.code, decision.text)
        elif decision.action is REDIRECT:
            self._redirect(peer, link, message, decision)
        else:
            self._forward(peer, link, message, decision, outbound, now)

    def _decide(
        self, host: bytes | None, realm: bytes | None, number: int, accounting: bool, flag: int, compat: bool
    ) -> Decision:
        """RFC 6733 section 6.1: local, forwarded, routed, or 3002."""
        us = self._context.us
        for_host = fold((host or b"").decode(errors="replace"))
        for_realm = fold((realm or b"").decode(errors="replace"))
        routes = self._routes.match(for_realm, for_host, number)
        action = routes[0].action if routes else ""
        meant = for_host == us.folded
        served = self._application(number, accounting, compat, "" if meant or not realm else for_realm)
        ours = for_realm == us.folded_realm or action == LOCAL or served >= 0
        if meant or (not host and not realm) or not flag:
            if served >= 0 and (meant or not host):
                return Decision(LOCAL, served)
            if meant or not host:
                return self._no(APPLICATION_UNSUPPORTED, f"application {number} is not served here")
            return self._no(
                UNABLE_TO_DELIVER, "the request is for another host, but it must not be forwarded"
            )
        if not host and ours:
            if served < 0 and action == LOCAL:
                served = self._application(number, accounting, compat, "")
            if served >= 0:
                return Decision(LOCAL, served)
        if host and not realm:
            return self._no(UNABLE_TO_DELIVER, "there is a Destination-Host, but no Destination-Realm")
        if us.agent == "none":
            if host:
                return self._no(UNABLE_TO_DELIVER, f"{for_host} is another host, and this is no agent")
            if ours:
                return self._no(APPLICATION_UNSUPPORTED, f"application {number} is not served here")
            return self._no(REALM_NOT_SERVED, f"realm {for_realm} is not served here")
        # An entry that says only "relay", as entries do by default, means what this agent is.
        chosen = action if action in (PROXY, REDIRECT) else us.agent
        return Decision(_ACTIONS[chosen], -1, for_realm, for_host, routes=routes)

    @staticmethod
    def _no(code: int, text: str) -> Decision:
        return Decision(REFUSE, code=code, text=text)

    def _application(self, number: int, accounting: bool, compat: bool, realm: str) -> int:
        """The local application for an id; ``realm``: folded, empty: any. -1: there is none."""
        if compat and number == cap.DRAFT_MOBILE_IPV4:
            number = cap.MOBILE_IPV4
        ours = self._context.us.folded_realm
        for key, serve in self._serving.items():
            if realm and not (realm in serve.realms if serve.realms else realm == ours):
                continue
            for each in serve.advertised:
                if each.id == number and (each.acct if accounting else each.auth):
                    return key
        return -1

    def _send(self, link: Link, peer: Peer, data: bytes) -> None:
        statistics = peer.statistics
        statistics.answers_sent += 1
        statistics.octets_sent += len(data)
        if data[4] & ERROR:
            statistics.errors_sent += 1
        self._context.effects.append(Transmit(link.number, data))

    def _refuse(
        self, peer: Peer, link: Link, message: Message, code: int, text: str, failed: bytes = b""
    ) -> None:
        """The node's own error answer."""
        self._context.statistics.faults += 1
        self._send(link, peer, self._context.us.answer(message, code, *cap.faulty(text, failed)))

    def _disown(self, peer: Peer, link: Link, message: Message, text: str, now: Now) -> None:
        """A request in somebody else's name."""
        context = self._context
        context.statistics.foreign_origins += 1
        context.hushed(now, f"origin {peer.folded}", "warning", f"request refused: {text}")
        failed = cap.FAILED.encode(message.octets(cap.ORIGIN_HOST)[0])
        self._refuse(peer, link, message, cap.INVALID_VALUE, text, failed)

    # For a local application.

    def _deliver(
        self, peer: Peer, link: Link, message: Message, application: int, checked: bool, now: Now
    ) -> None:
        context = self._context
        origin = message.raw(cap.ORIGIN_HOST)
        key: Key | None = None
        if origin is not None and self.duplicates.seconds:
            key = (origin.lower(), message.end_to_end, message.code, message.raw(SESSION_ID))
            answer = self.duplicates.get(key, now.mono)
            if answer is not None:
                context.statistics.duplicates += 1
                self._send(link, peer, again(answer, message))
                return
            first = self._busy.get(key)
            if first is not None:
                self._absorb(first, peer, link, message)
                return
        if not checked and self._faulty(peer, link, message):
            return
        size = len(message.data)
        if len(self.open) >= context.settings.request_limit or self.octets + size > MOST_OCTETS:
            self._too_many(peer, link, message)
            return
        self.octets += size
        self._key = number = self._key + 1
        inbound = Inbound(number, link, peer, message, application, now.mono + PATIENCE, key)
        self.open[number] = inbound
        if key is not None:
            self._busy[key] = inbound
        self.wheel.put(inbound)
        context.statistics.delivered += 1
        context.effects.append(
            Deliver(application, number, message, peer.name, peer.settings.compat, link.secure)
        )

    def _faulty(self, peer: Peer, link: Link, message: Message) -> bool:
        """Whether a request is wrong; then it is answered. A good one is faster to read afterwards."""
        context = self._context
        fault = context.check(message, context.dictionary, context.settings.strict_bits, peer.settings.compat)
        if fault is None:
            return False
        context.statistics.faults += 1
        self._send(link, peer, context.refuse(message, fault))
        return True

    def _too_many(self, peer: Peer, link: Link, message: Message) -> None:
        """RFC 6733 section 7.1.3: TOO_BUSY only for who wants this very host."""
        self._context.statistics.too_busy += 1
        code = UNABLE_TO_DELIVER if message.raw(DESTINATION_HOST) is None else TOO_BUSY
        self._refuse(peer, link, message, code, "too many requests wait for an answer")

    def _absorb(self, first: Inbound, peer: Peer, link: Link, message: Message) -> None:
        """It is being worked on: the answer is for this one too."""
        self._context.statistics.duplicates_absorbed += 1
        if first.copies is None:
            first.copies = []
        size = len(message.data)
        if len(first.copies) < MOST_COPIES and self.octets + size <= MOST_OCTETS:
            self.octets += size
            first.copies.append((link, peer, message))

    def reply(self, event: Reply, now: Now) -> None:
        """An application's answer."""
        inbound = self.open.get(event.key)
        if inbound is None or inbound.application < 0 or len(event.answer) < 20:
            self._context.statistics.late_replies += 1
            return
        self._context.statistics.replied += 1
        self._close(inbound)
        if inbound.key is not None:
            self.duplicates.put(inbound.key, event.answer, now.mono)
        self._answer(inbound, event.answer)

    def _close(self, inbound: Inbound) -> None:
        del self.open[inbound.number]
        self._free(inbound)
        self.wheel.drop(inbound)
        if inbound.key is not None:
            del self._busy[inbound.key]

    def _free(self, inbound: Inbound) -> None:
        self.octets -= len(inbound.message.data)
        for _, _, message in inbound.copies or ():
            self.octets -= len(message.data)

    def _answer(self, inbound: Inbound, answer: bytes) -> None:
        """Send an answer where its request came from, and to those who have asked the same since."""
        self._put(inbound.link, inbound.peer, answer)
        if inbound.copies is not None:
            for link, peer, message in inbound.copies:
                self._put(link, peer, again(answer, message))

    def _put(self, link: Link, peer: Peer, data: bytes) -> None:
        if self._context.links.get(link.number) is link:
            self._send(link, peer, data)
        else:
            self._context.statistics.late_replies += 1

    def _fail(self, inbound: Inbound, code: int, text: str) -> None:
        """The node answers in place of the application."""
        self._context.statistics.faults += 1
        self._close(inbound)
        self._answer(inbound, self._context.us.answer(inbound.message, code, *cap.faulty(text)))

    # For somebody else.

    def _redirect(self, peer: Peer, link: Link, message: Message, decision: Decision) -> None:
        answer = self._redirecting.indicate(message, decision.routes)
        if answer is None:
            text = f"no host is known for realm {decision.realm}"
            self._refuse(peer, link, message, UNABLE_TO_DELIVER, text)
        else:
            self._send(link, peer, answer)

    def _forward(
        self, peer: Peer, link: Link, message: Message, decision: Decision, outbound: Outbound, now: Now
    ) -> None:
        """Relay or proxy (RFC 6733 section 6.1.9)."""
        context = self._context
        try:
            path = records(message)
        except (Malformed, BadValue) as error:
            self._refuse(peer, link, message, getattr(error, "code", 5004), str(error))
            return
        if context.us.folded in path:
            context.statistics.loops += 1
            self._refuse(peer, link, message, LOOP, f"{context.us.identity} is in a Route-Record")
            return
        size = len(message.data)
        if outbound.count >= context.settings.request_limit or self.octets + size > MOST_OCTETS:
            self._too_many(peer, link, message)
            return
        known = self._routes.serves(decision.realm, decision.host, message.application)
        if not known and not context.settings.discovery:
            text = f"nobody is known for realm {decision.realm}"
            self._refuse(peer, link, message, REALM_NOT_SERVED, text)
            return
        assert peer.capabilities is not None
        extra = ROUTE_RECORD.encode(peer.capabilities.host)
        proxied = decision.action is PROXY
        if proxied:
            context.statistics.proxied += 1
            extra += self._proxy.info(context.us.identity, message, peer.folded)
        else:
            context.statistics.relayed += 1
        self.octets += size
        self._key += 1
        inbound = Inbound(self._key, link, peer, message, -1, proxied=proxied)
        avoid = path | {peer.folded}
        outbound.relay(inbound, message, extra, decision.realm, decision.host, avoid, now)

    def finish(self, pending: Pending, answer: Message | None, now: Now) -> None:
        """The end of a relayed request: its answer goes back (RFC 6733 section 6.2.2)."""
        inbound: Inbound = pending.source
        self._free(inbound)
        request = inbound.message
        if answer is None:
            text = f"no peer could deliver it to {pending.host or pending.realm}"
            self._context.statistics.faults += 1
            data = self._context.us.answer(request, UNABLE_TO_DELIVER, *cap.faulty(text))
        elif inbound.proxied:
            data = self._stripped(answer, inbound)
        else:
            data = answer.with_hop_by_hop(request.hop_by_hop)
        self._put(inbound.link, inbound.peer, data)

    def _stripped(self, answer: Message, inbound: Inbound) -> bytes:
        try:
            data, good = self._proxy.strip(
                answer, self._context.us.identity, inbound.message, inbound.peer.folded
            )
        except (Malformed, BadValue):
            data, good = answer.with_hop_by_hop(inbound.message.hop_by_hop), False
        if not good:
            self._context.statistics.bad_proxy_state += 1
        return data

    # Time.

    def tick(self, now: Now) -> None:
        """Answer for applications that have taken too long."""
        for inbound in self.wheel.pop_due(now.mono, PER_TICK):
            self._context.statistics.unreplied += 1
            self._fail(inbound, UNABLE_TO_COMPLY, "the application has not answered in time")


_ACTIONS = {"relay": FORWARD, "proxy": PROXY, "redirect": REDIRECT}
