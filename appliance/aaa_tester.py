"""``test aaa``: a question and a record, sent as a service of the group would send them, and no trace left.

::

    test aaa authenticate ─▶ an AuthorizationClient of its own ──Ask──▶ node ──▶ servers of the group
                                  └─ accepted: STR, so that the server forgets the session again
    test aaa accounting ───▶ one EVENT record, not stored here

What is sent is not counted as a service's. A node that nobody uses yet has nothing to say to its peers, so
for as long as the test lasts it is used here.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from attrs import evolve

from appliance.config import Configuration
from appliance.diameter_hub import HeldNode, Hub
from appliance.errors import ApplianceError
from appliance.facts_words import amount
from appliance.protocols.diameter.client.accounting import AccountingClient
from appliance.protocols.diameter.client.accounting_records import DESTINATION_HOST, RecordBuilder
from appliance.protocols.diameter.client.auth_events import Ask, Got
from appliance.protocols.diameter.client.auth_requests import APPLICATIONS, MIP6A, S6B, Origin, realm_of
from appliance.protocols.diameter.client.auth_sessions import SessionIds
from appliance.protocols.diameter.client.authorization import AuthorizationClient
from appliance.protocols.diameter.events import NO_PEER, TIMEOUT, Advertised, Answered, Incoming, Submit
from appliance.protocols.diameter.message.codec import ORIGIN_HOST, Message
from appliance.protocols.diameter.message.describe import result_text
from appliance.protocols.diameter.message.dictionary import current
from appliance.protocols.diameter.settings import GroupSettings, ServerGroup
from appliance.protocols.mobility import aaa, rfc4285
from appliance.protocols.mobility.aaa import Abandon, Account, Authorize, Authorized, Grant, Subject, Usage
from appliance.protocols.pmipv6.events import Notify
from appliance.protocols.timers import Now
from appliance.service import address_text, prefix_text

ACR = 271
_NAMES = {265: "AAR", 325: "MIR", 275: "STR", ACR: "ACR"}
TOKEN = 1
UNKNOWN_SESSION_ID = 5002
_3GPP = 10_415
#: Seconds that a peer may take to be connected.
PATIENCE = 5.0


class Guest:
    """What a node serves while a test lasts, so that it connects to its peers."""

    realms: frozenset[str] = frozenset()

    def __init__(self, node: HeldNode, number: int, accounting: bool) -> None:
        vendor = _3GPP if number == S6B else 0
        self.advertised = (Advertised(number, auth=not accounting, acct=accounting, vendor=vendor),)
        self._node = node

    def request(self, incoming: Incoming) -> None:
        """A test has no sessions that a server could want something of."""
        node = self._node
        incoming.reply(incoming.message.answer(UNKNOWN_SESSION_ID, node.identity, node.realm))


class AaaTester:
    """Tries AAA groups out."""

    def __init__(
        self,
        hub: Hub,
        configuration: Callable[[], Configuration],
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        ids: SessionIds,
    ) -> None:
        """``ids`` makes the Session-Ids of all clients of this process."""
        self._hub = hub
        self._configuration = configuration
        self._clock = clock
        self._random_bits = random_bits
        self._ids = ids

    def _node(self, group: GroupSettings, side: ServerGroup, what: str) -> HeldNode:
        """The node that a group's requests go by. Raises ApplianceError."""
        if not side.endpoint:
            raise ApplianceError(f"aaa group {group.name} has no endpoint for {what}")
        node = self._hub.node(group.context, side.endpoint)
        if not node.running:
            raise ApplianceError(f"diameter endpoint {side.endpoint} is not started")
        return node

    @asynccontextmanager
    async def _connected(
        self, node: HeldNode, realm: str, number: int, *, accounting: bool
    ) -> AsyncIterator[None]:
        """Have the node connected to a peer for an application, if it can be; the test says if it cannot."""
        if node.usable(realm, number, accounting):
            yield
            return
        came = asyncio.Event()
        unwatch = node.on_usable(came.set)
        guest = Guest(node, number, accounting)
        node.serve(guest)
        try:
            async with asyncio.timeout(PATIENCE):
                while not node.usable(realm, number, accounting):
                    await came.wait()
                    came.clear()
        except TimeoutError:
            # The request will tell that there is no peer.
            pass
        try:
            yield
        finally:
            unwatch()
            node.withdraw(guest)

    def _address(self, group: GroupSettings, side: ServerGroup) -> bytes:
        """An address of ours, which a server may want to know."""
        for endpoint in self._configuration().endpoints:
            if (endpoint.context, endpoint.name) == (group.context, side.endpoint) and endpoint.addresses:
                return endpoint.addresses[0]
        return bytes(16)

    # ---- authentication

    async def authenticate(self, group: GroupSettings, user: str, key: bytes, spi: int) -> list[str]:
        """Ask the servers of a group about a user, and end the session again.

        With a key the user is authenticated as a mobile node is by RFC 4285. Returns what the servers say, a
        line each. Raises ApplianceError when none says anything about the user.
        """
        side = group.authentication
        node = self._node(group, side, "authentication")
        # The policy is for mobile nodes; an operator wants to know that nobody answers.
        asked = evolve(group, failure_policy="deny")
        origin = Origin(node.identity, node.realm, node.origin_state_id)
        talk = _Conversation(AuthorizationClient(asked, origin, self._ids), node, self._clock)
        subject = Subject(
            call_id=self._random_bits(31) + 1,
            mn_id=user.encode(),
            local=self._address(group, side),
            care_of=bytes(16),
            created=self._clock().wall,
        )
        patience = float(side.request_timeout * (side.max_retries + 1) * max(1, len(side.servers)) + 1)
        question = Authorize(token=TOKEN, subject=subject, patience=patience)
        if key:
            question.proof = _proof(key, spi, subject.care_of)
        number = MIP6A if key else APPLICATIONS[side.application]
        realm = side.realm or realm_of(subject.mn_id) or node.realm
        async with self._connected(node, realm, number, accounting=False):
            try:
                verdict = await talk.go(question)
                if verdict is not None and verdict.verdict == aaa.ACCEPT:
                    talk.lines += grant_lines(verdict.grant)
                    await talk.go(Account(what=aaa.STOP, subject=subject, cause=aaa.ADMINISTRATIVE))
            except asyncio.CancelledError:
                talk.drop(Abandon(TOKEN, subject.call_id))
                raise
        if verdict is None or verdict.verdict == aaa.NO_ANSWER:
            lines = [*talk.lines, *talk.notes, "no server has decided about the user"]
            raise ApplianceError("\n".join(lines))
        return [*talk.lines, f"Verdict: {verdict.verdict}"]

    # ---- accounting

    async def account(self, group: GroupSettings, user: str) -> list[str]:
        """Send one EVENT record. Raises ApplianceError when nobody acknowledges it."""
        side = group.accounting
        node = self._node(group, side, "accounting")
        builder = RecordBuilder(node.identity, node.realm, side.application, node.origin_state_id)
        bits = self._random_bits
        core = AccountingClient(group, builder, lambda _: Usage(), bits, lambda: bits(32), "test")
        body, application, realm = core.test_record(user.encode(), self._address(group, side), self._clock())
        prefer = tuple((server.host, server.priority) for server in side.servers)
        host = side.servers[0].host if len(side.servers) == 1 else ""
        body += DESTINATION_HOST.encode(host) if host else b""
        submit = Submit(
            ACR, application, body, realm, host, float(side.request_timeout), accounting=True, prefer=prefer
        )
        async with self._connected(node, realm, application, accounting=True):
            text, result = await _sent(node, submit, self._clock)
        if result // 1000 != 2:
            raise ApplianceError(text)
        return [text]


def _proof(key: bytes, spi: int, care_of: bytes) -> aaa.MobileProof:
    """What a binding update with an MN-AAA option would show of the key."""
    digest = rfc4285.mac_mobility_data(care_of, bytes(16), os.urandom(16))
    return aaa.MobileProof(
        spi=spi or rfc4285.HMAC_SHA1_SPI,
        authenticator=rfc4285.mn_aaa_authenticator(key, digest),
        mac_mobility_data=digest,
    )


class _Conversation:
    """Everything that one question makes the client send, and what comes back."""

    def __init__(self, core: AuthorizationClient, node: HeldNode, clock: Callable[[], Now]) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._core = core
        self._node = node
        self._clock = clock
        self._open: dict[int, tuple[int, Submit, float]] = {}
        self._ended: asyncio.Queue[tuple[int, Answered]] = asyncio.Queue()

    async def go(self, event: Any) -> Authorized | None:
        """Give the client an event, and go on until nothing is under way any more."""
        verdict: Authorized | None = None
        self._core.receive(event, self._clock())
        while True:
            for effect in self._core.take():
                if isinstance(effect, Ask):
                    self._send(effect)
                elif isinstance(effect, Authorized):
                    verdict = effect
                elif isinstance(effect, Notify):
                    self.notes.append(effect.text)
            if not self._open:
                return verdict
            number, answered = await self._ended.get()
            _, submit, begun = self._open.pop(number)
            self.lines.append(answer_text(submit, answered, self._clock().mono - begun))
            self._core.receive(Got(number, answered), self._clock())

    def _send(self, ask: Ask) -> None:
        ended = self._ended
        number = ask.number
        sent = self._node.send(ask.submit, lambda answered: ended.put_nowait((number, answered)))
        self._open[number] = sent, ask.submit, self._clock().mono

    def drop(self, event: Any) -> None:
        """Nobody waits any more: what is under way is forgotten, a session that there may be is ended."""
        for sent, _, _ in self._open.values():
            self._node.cancel(sent)
        self._core.receive(event, self._clock())
        for effect in self._core.take():
            if isinstance(effect, Ask):
                self._node.send(effect.submit, lambda answered: None)


async def _sent(node: HeldNode, submit: Submit, clock: Callable[[], Now]) -> tuple[str, int]:
    """Send a request; returns what came of it in words, and its Result-Code (0: none)."""
    ended: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
    begun = clock().mono

    def done(answered: Answered) -> None:
        if not ended.done():
            ended.set_result(answered)

    number = node.send(submit, done)
    try:
        answered = await ended
    except asyncio.CancelledError:
        node.cancel(number)
        raise
    return answer_text(submit, answered, clock().mono - begun), result_of(answered.message)


def result_of(message: Message | None) -> int:
    """Result-Code of an answer; 0: it has none that can be read."""
    if message is None:
        return 0
    try:
        return int(message.first(current()["Result-Code"]) or 0)
    except ValueError:
        return 0


def answer_text(submit: Submit, answered: Answered, seconds: float) -> str:
    """What became of a request, in words."""
    name = _NAMES.get(submit.code, str(submit.code))
    way = f" by way of {answered.peer}" if answered.peer else ""
    if answered.message is None:
        to = submit.host or f"realm {submit.realm}"
        if answered.reason == NO_PEER and not answered.peer:
            # How long that took has nothing to do with a server.
            return f"{name} to {to}: no peer is connected that takes it; see 'show diameter peers'"
        if answered.reason == TIMEOUT and not answered.peer:
            return f"{name} to {to}: no peer for {seconds:.3f} seconds; see 'show diameter peers'"
        return f"{name} to {to}: {answered.reason}{way} after {seconds:.3f} seconds"
    result = result_text(answered.message, current()) or "no result"
    try:
        host = answered.message.first(ORIGIN_HOST) or "somebody"
    except ValueError:
        host = "somebody"
    return f"{name}: {result} from {host}{way if host != answered.peer else ''} after {seconds:.3f} seconds"


def grant_lines(grant: Grant) -> list[str]:
    """What a server has granted, without keys."""
    interim = grant.interim_interval
    found: list[tuple[str, str]] = [
        *(("Home Network Prefix", prefix_text(prefix)) for prefix in grant.prefixes),
        ("IPv4 Home Address", address_text(grant.ipv4_address)),
        ("Home Address", address_text(grant.home_address)),
        ("Home Agent", address_text(grant.home_agent)),
        ("Authorization Lifetime", "" if grant.lifetime is None else amount(grant.lifetime, "second")),
        ("Session Timeout", "" if grant.session_timeout is None else amount(grant.session_timeout, "second")),
        ("Interim Interval", amount(interim, "second") if interim is not None else ""),
        ("Services", ", ".join(each.decode("utf-8", "backslashreplace") for each in grant.services)),
        ("MN-HA Key", "given" if grant.key else ""),
        ("Accounting Server", grant.host),
    ]
    return [f"  {label}: {text}" for label, text in found if text]
