"""Route optimization of a mobile node (RFC 6275 sections 11.6 and 11.7.2).

::

    packet through the tunnel ─▶ TESTING ── both tokens ─▶ BINDING ── acknowledged ─▶ OPTIMIZED
             Home Test Init through the tunnel      Binding Update with         │ expires, moves,
             Care-of Test Init from the care-of     Authorization Data          ▼ Binding Error
                 └─ no answer, ICMPv6, denial ─▶ TUNNEL, for a while         TESTING, or forgotten
    at home: LEAVING: lifetime 0, by the home keygen token alone
"""

from functools import partial
from math import inf

from appliance.protocols.mn import routability
from appliance.protocols.mn.events import EndOptimize, Link, MessageReceived, Optimize, SendMessage
from appliance.protocols.mn.icmp import UNRECOGNIZED_HEADER, Quoted
from appliance.protocols.mn.state import Backoff, Rate, Shared
from appliance.protocols.mobility import messages as msg
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import encode, seal
from appliance.protocols.timers import Deadlines, Now

TESTING, BINDING, OPTIMIZED, LEAVING, TUNNEL = "testing", "registering", "optimized", "leaving", "tunnel"
#: RFC 6275 section 12, seconds and repetitions.
MAX_TOKEN_LIFETIME, MAX_RR_BINDING_LIFETIME, MAX_RO_FAILURE = 210.0, 420, 3
#: A binding is made anew when so much of its lifetime is over, if there is traffic.
RENEW = 0.8
_IGNORED = "mobility-messages-ignored/"
_INDICES = {
    codes.EXPIRED_HOME_NONCE_INDEX: (True, False),
    codes.EXPIRED_CARE_OF_NONCE_INDEX: (False, True),
    codes.EXPIRED_NONCES: (True, True),
}


class Test:
    """One half of the procedure: a cookie that is out, or the token that came for it."""

    __slots__ = ("address", "backoff", "cookie", "index", "token", "until")

    def __init__(self) -> None:
        self.address = b""
        self.cookie = b""
        self.token = b""
        self.index = 0
        self.until = 0.0
        self.backoff: Backoff | None = None

    def valid(self, address: bytes, mono: float) -> bool:
        """Whether there is a token for this address (RFC 6275 section 5.2.7)."""
        return bool(self.token) and self.address == address and mono < self.until

    def forget(self) -> None:
        """Neither token nor cookie."""
        self.token = self.cookie = b""
        self.backoff = None


class Correspondent:
    """One entry of the binding update list."""

    __slots__ = (
        "address", "bound", "care", "due", "expires", "failures", "home", "key", "lifetime", "rates", "seen",
        "sent", "sequence", "state", "update",
    )  # fmt: skip

    def __init__(self, address: bytes, sequence: int) -> None:
        self.address = address
        self.state = TESTING
        self.home, self.care = Test(), Test()
        self.update: Backoff | None = None
        #: The care-of address that it has; ``None``: none.
        self.bound: Link | None = None
        self.expires = 0.0
        self.lifetime = 0
        self.sequence = sequence
        #: When the last update was sent.
        self.sent = 0.0
        self.key = b""
        #: When there was traffic last.
        self.seen = 0.0
        #: Denials in a row.
        self.failures = 0
        #: Of Home Test Init, Care-of Test Init, Binding Update.
        self.rates = (Rate(), Rate(), Rate())
        self.due = inf


class Correspondents:
    """All correspondent nodes of one mobile node.

    ``review`` is told where the node is: the care-of address that its home agent has, and until when.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.all: dict[bytes, Correspondent] = {}
        self._link: Link | None = None
        self._until = 0.0
        self._at_home = False
        self._wanted = False
        self._touched: list[bytes] = []
        # Not a method of ours, which would refer back to us.
        self._deadlines = Deadlines(partial(_due, self.all))

    @property
    def deadline(self) -> float | None:
        """When :meth:`review` has something to do."""
        return self._deadlines.next

    # ---- what others tell

    def seen(self, address: bytes, agent: bytes, now: Now) -> None:
        """There was traffic with this node."""
        shared = self._shared
        entry = self.all.get(address)
        if entry is not None:
            entry.seen = now.mono
            return
        usable = len(address) == 16 and address[0] != 0xFF and any(address) and address[:2] != b"\xfe\x80"
        own = address in (agent, shared.home)
        if not shared.settings.route_optimization or self._link is None or not usable or own:
            return
        if len(self.all) >= shared.settings.max_correspondents and not self._make_room():
            shared.count("return-routability/table-full")
            return
        # RFC 6275 section 11.7.2: the first number is random.
        entry = self.all[address] = Correspondent(address, shared.random_bits(16))
        entry.seen = now.mono
        self._touched.append(address)

    def _make_room(self) -> bool:
        """Forget one that is only remembered because it knows nothing of this."""
        for address, entry in self.all.items():
            if entry.state == TUNNEL:
                del self.all[address]
                return True
        return False

    def review(self, link: Link | None, until: float, at_home: bool, now: Now) -> None:
        """Follow the registration with the home agent."""
        wanted = self._shared.settings.route_optimization
        before = self._link, self._at_home, self._wanted
        moved = link != self._link
        self._link, self._until, self._at_home, self._wanted = link, until, at_home, wanted
        touched = list(self.all) if (link, at_home, wanted) != before else self._touched
        self._touched = []
        for address in [*touched, *self._deadlines.pop_due(now.mono)]:
            entry = self.all.get(address)
            if entry is None:
                continue
            if at_home or not wanted:
                self._leave(entry, now)
            elif moved and entry.state != TUNNEL:
                self._moved(entry)
            self._step(entry, now)
            if entry.due != inf:
                self._deadlines.set(address, entry.due)

    def forget_all(self) -> None:
        """There is no home address any more."""
        for entry in list(self.all.values()):
            self._end(entry)
        self.all.clear()

    def _moved(self, entry: Correspondent) -> None:
        """RFC 6275 section 11.7.2: a new care-of address; the home keygen token may still be good."""
        self._end(entry)
        entry.state, entry.update = TESTING, None
        if self._link is None or entry.care.address != self._link.address:
            entry.care.forget()

    def _leave(self, entry: Correspondent, now: Now) -> None:
        """The binding of a correspondent is not wanted any more."""
        if entry.state == LEAVING:
            return
        had = entry.state != TUNNEL and (entry.expires > now.mono or entry.state == BINDING)
        self._end(entry)
        if had and self._at_home:
            entry.state, entry.update = LEAVING, None
            entry.care.forget()
        else:
            self.all.pop(entry.address, None)

    # ---- the procedure

    def _step(self, entry: Correspondent, now: Now) -> None:
        """Do what is due for one correspondent."""
        if entry.address not in self.all:
            return
        if entry.bound is not None and entry.expires <= now.mono:
            self._end(entry)
            if entry.state == OPTIMIZED:
                del self.all[entry.address]
                return
        if entry.state == TUNNEL:
            if entry.expires <= now.mono:
                del self.all[entry.address]
            else:
                entry.due = entry.expires
            return
        if entry.state == OPTIMIZED:
            self._renew(entry, now)
        if entry.state != OPTIMIZED:
            self._go_on(entry, now)

    def _renew(self, entry: Correspondent, now: Now) -> None:
        renew = entry.expires - (1 - RENEW) * entry.lifetime
        idle = entry.seen + self._shared.settings.correspondent_idle
        if now.mono < renew:
            entry.due = renew
        elif now.mono < idle and self._link is not None:
            entry.state, entry.update = TESTING, None
        else:
            entry.due = entry.expires

    def _go_on(self, entry: Correspondent, now: Now) -> None:
        """Send what is missing: test messages, or the update."""
        shared = self._shared
        leaving = entry.state == LEAVING
        if self._link is None and not leaving:
            # Without a binding at the home agent there is none elsewhere (section 11.7.2).
            self._end(entry)
            entry.due = inf
            return
        care_of = self._link.address if self._link is not None and not leaving else b""
        home = entry.home.valid(shared.home, now.mono)
        care = leaving or entry.care.valid(care_of, now.mono)
        if self._exhausted(entry, now, home, care):
            return
        times = []
        if not home:
            times.append(self._test(entry, entry.home, 0, shared.home, now))
        if not care:
            times.append(self._test(entry, entry.care, 1, care_of, now))
        if home and care:
            times.append(self._update(entry, now))
        entry.due = min(times, default=inf)

    def _exhausted(self, entry: Correspondent, now: Now, home: bool, care: bool) -> bool:
        """RFC 6275 section 5.2.9: after MAX_RO_FAILURE repetitions the tunnel is used."""
        waiting = [
            each
            for each, done in ((entry.home.backoff, home), (entry.care.backoff, care), (entry.update, False))
            if each is not None and not done
        ]
        if not any(each.tries > MAX_RO_FAILURE and each.due <= now.mono for each in waiting):
            return False
        self._refuse(entry, now)
        return True

    def _test(self, entry: Correspondent, test: Test, which: int, address: bytes, now: Now) -> float:
        """Send a test message if it is time; returns when the next one is due (section 11.6.1)."""
        shared = self._shared
        if test.backoff is None or test.address != address:
            test.forget()
            test.backoff = self._backoff()
            test.address = address
        backoff = test.backoff
        allowed = max(backoff.due, entry.rates[which].allowed(now.mono))
        if allowed > now.mono:
            return allowed
        # RFC 6275 section 11.8: a repetition has a new cookie.
        test.cookie = shared.random_octets(8)
        made = (msg.HomeTestInit, msg.CareOfTestInit)[which](test.cookie)
        data = seal(encode(made), address, entry.address)
        self._send(entry, data, address, home=b"", tunnelled=which == 0 and not self._at_home)
        shared.count("return-routability/" + ("home-test-init-sent", "care-of-test-init-sent")[which])
        entry.rates[which].spend(now.mono)
        backoff.sent(now.mono)
        return backoff.due

    def _update(self, entry: Correspondent, now: Now) -> float:
        """Send an update if it is time; returns when the next one is due (section 11.7.2)."""
        shared, settings = self._shared, self._shared.settings
        leaving = entry.state == LEAVING
        if entry.update is None:
            entry.update = self._backoff()
            entry.state = LEAVING if leaving else BINDING
        allowed = max(entry.update.due, entry.rates[2].allowed(now.mono))
        if allowed > now.mono:
            return allowed
        link = self._link
        care_of = shared.home if leaving or link is None else link.address
        left = min(settings.correspondent_lifetime, MAX_RR_BINDING_LIFETIME, int(self._until - now.mono))
        lifetime = 0 if leaving else max(1, left // 4)
        nonces = (entry.home.index, 0 if leaving else entry.care.index)
        entry.sequence = (entry.sequence + 1) & 0xFFFF
        entry.key = routability.binding_key(entry.home.token, b"" if leaving else entry.care.token)
        wants = settings.correspondent_acknowledgement
        mh = routability.update(entry.key, care_of, entry.address, entry.sequence, lifetime, nonces, wants)
        data = seal(mh, shared.home, entry.address)
        self._send(entry, data, care_of, home=b"" if leaving else shared.home)
        shared.count("return-routability/binding-update-sent")
        entry.rates[2].spend(now.mono)
        entry.update.sent(now.mono)
        entry.sent, entry.lifetime = now.mono, 4 * lifetime
        if not wants:
            self._accepted(entry, now)
            return entry.due
        return entry.update.due

    def _send(
        self, entry: Correspondent, data: bytes, source: bytes, home: bytes, tunnelled: bool = False
    ) -> None:
        link = self._shared.home_link if self._at_home else self._link
        interface = link.interface if link is not None and not tunnelled else ""
        self._shared.out.append(
            SendMessage(data, source, entry.address, home, tunnelled=tunnelled, interface=interface)
        )

    def _backoff(self) -> Backoff:
        settings = self._shared.settings
        return Backoff(settings.retransmission_initial / 1000, settings.retransmission_maximum / 1000)

    def _accepted(self, entry: Correspondent, now: Now) -> None:
        """The correspondent has the binding, or has none any more."""
        entry.update = None
        if entry.state == LEAVING:
            self.all.pop(entry.address, None)
            return
        shared, link = self._shared, self._link
        assert link is not None
        if entry.bound is None:
            shared.count("return-routability/optimized")
        entry.state, entry.failures = OPTIMIZED, 0
        entry.expires = entry.sent + entry.lifetime
        if entry.bound != link:
            entry.bound = link
            shared.out.append(Optimize(entry.address, link.interface, link.address))
        entry.due = entry.expires - (1 - RENEW) * entry.lifetime

    def _end(self, entry: Correspondent) -> None:
        """Traffic goes through the tunnel again."""
        if entry.bound is not None:
            entry.bound = None
            self._shared.out.append(EndOptimize(entry.address))

    def _refuse(self, entry: Correspondent, now: Now) -> None:
        """Leave a correspondent alone that does not do this."""
        self._end(entry)
        if entry.state == LEAVING:
            self.all.pop(entry.address, None)
            return
        self._shared.count("return-routability/not-supported")
        entry.state, entry.update = TUNNEL, None
        entry.home.forget()
        entry.care.forget()
        entry.expires = entry.due = now.mono + self._shared.settings.correspondent_retry

    # ---- answers

    def tested(self, event: MessageReceived, message: msg.HomeTest | msg.CareOfTest, now: Now) -> None:
        """RFC 6275 section 11.6.2."""
        shared, entry = self._shared, self.all.get(event.source)
        home = isinstance(message, msg.HomeTest)
        test = None if entry is None else entry.home if home else entry.care
        # A Home Test has to come through the tunnel; at home there is none.
        way = event.tunnelled or self._at_home if home else not event.tunnelled
        fits = test is not None and not test.token and bool(test.cookie) and test.cookie == message.cookie
        if entry is None or test is None or not fits or not way:
            shared.count(_IGNORED + ("home-test" if home else "care-of-test"))
            return
        if event.destination != test.address or event.home:
            shared.count(_IGNORED + ("home-test" if home else "care-of-test"))
            return
        test.token, test.index = message.token, message.nonce_index
        test.until = now.mono + MAX_TOKEN_LIFETIME
        test.cookie, test.backoff = b"", None
        self._touched.append(entry.address)

    def answered(
        self, event: MessageReceived, message: msg.BindingAcknowledgement, faulty: bool, now: Now
    ) -> None:
        """RFC 6275 section 11.7.3."""
        shared, entry = self._shared, self.all.get(event.source)
        ignored = _IGNORED + "binding-acknowledgement"
        about = event.home or event.destination
        if entry is None or entry.update is None or faulty or about != shared.home:
            shared.count(ignored)
            return
        self._touched.append(entry.address)
        care_of = shared.home if entry.state == LEAVING or self._link is None else self._link.address
        proved = routability.proved(event.data, message.options, entry.key, care_of, entry.address)
        fits = message.sequence == entry.sequence
        if fits and message.status in _INDICES:
            # Section 9.5.4: these have no authenticator, since there is no key.
            self._test_again(entry, message.status, now)
        elif not proved or not (fits or message.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW):
            shared.count(ignored)
        elif message.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            self._failed(entry, now)
            entry.sequence = message.sequence
            if entry.update is not None:
                entry.update.due = now.mono
        elif message.status >= codes.REASON_UNSPECIFIED:
            shared.count("return-routability/denied")
            text = f"a correspondent node has refused a binding: status {message.status}"
            shared.notice("correspondent", text, now)
            self._refuse(entry, now)
        else:
            entry.lifetime = min(entry.lifetime, 4 * message.lifetime)
            self._accepted(entry, now)

    def _failed(self, entry: Correspondent, now: Now) -> bool:
        """Count what can be tried again; whether that was once too often."""
        entry.failures += 1
        if entry.failures > MAX_RO_FAILURE:
            entry.failures = 0
            self._refuse(entry, now)
            return True
        return False

    def _test_again(self, entry: Correspondent, status: int, now: Now) -> None:
        """RFC 6275 section 5.2.7: a nonce is not known any more."""
        home, care = _INDICES[status]
        if self._failed(entry, now):
            return
        entry.update = None
        if entry.state != LEAVING:
            entry.state = TESTING
        if home:
            entry.home.forget()
        if care:
            entry.care.forget()

    def refresh_requested(self, event: MessageReceived) -> bool:
        """RFC 6275 section 11.7.4; False: it is not from one of ours."""
        entry = self.all.get(event.source)
        if entry is None or entry.bound is None:
            return False
        if entry.state == OPTIMIZED:
            entry.state, entry.update = TESTING, None
            self._touched.append(entry.address)
        return True

    def error(self, event: MessageReceived, message: msg.BindingError, now: Now) -> bool:
        """RFC 6275 section 11.3.6; False: it is not from one of ours."""
        entry = self.all.get(event.source)
        if entry is None or message.home_address not in (self._shared.home, bytes(16)):
            return False
        # Who has given a token, or taken a binding, knows these messages, whoever says the contrary.
        knows = entry.bound is not None or entry.home.token or entry.care.token
        waits = entry.state in (TESTING, BINDING, LEAVING) and not knows
        if message.status == codes.BE_UNKNOWN_MH_TYPE and waits:
            self._refuse(entry, now)
        elif message.status == codes.BE_UNKNOWN_BINDING and entry.bound is not None:
            # The next packet through the tunnel starts the procedure anew.
            self._end(entry)
            self.all.pop(entry.address, None)
        return True

    def problem(self, quoted: Quoted, now: Now) -> bool:
        """RFC 6275 section 11.3.5: it does not know the Mobility Header; what we have sent is quoted."""
        entry = self.all.get(quoted.destination)
        if entry is None or quoted.code != UNRECOGNIZED_HEADER:
            return False
        cookies = [test.cookie for test in (entry.home, entry.care) if test.cookie]
        if quoted.message[8:16] not in cookies:
            return False
        self._refuse(entry, now)
        return True


def _due(entries: dict[bytes, Correspondent], address: bytes) -> float | None:
    """When a correspondent is due, for the heap of deadlines."""
    entry = entries.get(address)
    return None if entry is None or entry.due == inf else entry.due
