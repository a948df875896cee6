"""What a MAG makes of a Proxy Binding Acknowledgement (RFC 5213 section 6.9.1.2)."""

from typing import Any

from appliance.counters import denied_by_lma_key
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, from_timestamp, mh_type, seal, verify
from appliance.protocols.mobility.messages import BA_B, BindingAcknowledgement, BindingError
from appliance.protocols.pmipv6 import mag_ipv4, mag_status
from appliance.protocols.pmipv6.events import PacketReceived, Send, Withdraw
from appliance.protocols.pmipv6.features import CHECKSUM, LENGTH, Handler, reason
from appliance.protocols.pmipv6.lma_checks import is_unicast
from appliance.protocols.pmipv6.mag_bulk import group_in
from appliance.protocols.pmipv6.mag_entry import (
    ACTIVE,
    DEREG,
    DROP_IPV4,
    INIT,
    BindingUpdateListEntry,
)
from appliance.protocols.pmipv6.mag_messages import (
    STATE_UNKNOWN,
    Answer,
    asks_any_prefix,
    exchange_rows,
    read_answer,
)
from appliance.protocols.pmipv6.mag_policy import NoticeLimiter
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.reports import Reports
from appliance.protocols.timers import Now

#: Requests that may be changed and sent again at once before it counts as a denial.
MAX_CORRECTIONS = 4
#: Longest time between attempts to register a mobile node that the LMA denies, seconds.
MAX_DENIAL_DELAY = 600.0

_ERRORS = "binding-acknowledgement-errors/"
_RECEIVED = "binding-acknowledgement-rcvd/"
_OTHER = "other-mobility-messages/"


class AnswerReader:
    """Takes mobility messages from LMAs and does to the sessions what they say."""

    def __init__(self, sessions: MagSessions) -> None:
        self._sessions = sessions
        # RFC 6275 section 9.3.3: Binding Errors are rate-limited; one a second, one per peer in ten.
        self._errors = NoticeLimiter(again=10.0)
        self._reports = Reports()

    # ---- receiving -------------------------------------------------------------------------

    def receive(self, event: PacketReceived, now: Now) -> None:
        """Take a mobility message: checks of RFC 6275 section 9.2, then RFC 5213 section 6.9.1.2."""
        data = event.data
        handler = self._sessions.features.handlers.get(mh_type(data))
        if len(data) < 8 or len(data) < 8 * data[1] + 8:
            self._unusable(handler, event, LENGTH, "invalid-buffer-length", now)
            return
        if len(event.source) == 4 and not event.port:
            # RFC 768: source port 0 wants no answer, and it is not to be taken for a message in IPv6.
            if mh_type(data) == BindingAcknowledgement.TYPE:
                self._sessions.count(_ERRORS + "no-matching-request")
            else:
                self._sessions.count(_OTHER + "received")
                self.ignored()
            return
        # Over UDP the kernel has verified the checksum that counts (RFC 5844 section 4.1.3.1).
        if event.port == 0 and not verify(data, event.source, event.destination):
            self._unusable(handler, event, CHECKSUM, "checksum-error", now)
            return
        if handler is not None:
            self._handled(handler, event, now)
            return
        if mh_type(data) != BindingAcknowledgement.TYPE:
            self._other(event, now)
            return
        decoded = decode(data)
        if decoded.faults or not isinstance(decoded.message, BindingAcknowledgement):
            self._problem(event, decoded.faults, now)
            short = any(fault.kind == "too-short" for fault in decoded.faults)
            self._sessions.count(_ERRORS + ("invalid-buffer-length" if short else "decode-failure"))
            return
        answer = read_answer(decoded.message, self._words(event.source))
        entry = None if answer is None else self._match(answer, event.source)
        if decoded.message.flags & BA_B and group_in(decoded.message) is None:
            # RFC 6602 section 5.1.2: malformed, and ignored.
            self._sessions.count(_ERRORS + "decode-failure")
        elif answer is None or entry is None:
            if answer is None or not self._sessions.features.unmatched(event, decoded.message, now):
                self._sessions.count(_ERRORS + "no-matching-request")
        elif not answer.fits(entry):
            self._mismatched(entry, now)
        elif why := self._sessions.features.unusable(entry, decoded.message):
            self._sessions.count(_ERRORS + "unusable-parameters")
            text = f"Answer of LMA for {self._sessions.name(entry)} ignored: {why}"
            self._sessions.notify_seldom(("unusable", entry.lma), text, now)
        else:
            self._answered(entry, answer, decoded.message, now)
            if entry.call_id in self._sessions.list.by_call_id:
                self._sessions.arm(entry)

    def ignored(self) -> None:
        """Count a message, received already, that nobody has a use for."""
        self._sessions.count(_OTHER + "ignored")

    def _words(self, source: bytes) -> tuple[str, ...]:
        """What is to be borne with in an LMA."""
        for anchor in self._sessions.settings.anchors:
            if anchor.address == source:
                return anchor.interop
        return ()

    def _unusable(
        self, handler: Handler | None, event: PacketReceived, why: str, row: str, now: Now
    ) -> None:
        """A message that cannot be used: its handler counts it; one without a type is an acknowledgement."""
        if handler is None and mh_type(event.data) in (BindingAcknowledgement.TYPE, -1):
            self._sessions.count(_ERRORS + row)
            return
        self._sessions.count(_OTHER + "received")
        if handler is None:
            self.ignored()
        else:
            handler.discarded(event, why, now)

    def _handled(self, handler: Handler, event: PacketReceived, now: Now) -> None:
        self._sessions.count(_OTHER + "received")
        message, faults = decode(event.data)
        if message is not None and not faults:
            handler.receive(event, message, now)
        else:
            handler.discarded(event, reason({fault.kind for fault in faults}), now)
            self._problem(event, faults, now)

    def _problem(self, event: PacketReceived, faults: tuple[Any, ...], now: Now) -> None:
        """RFC 6275 section 9.2: tell of a wrong Payload Proto or too small a Header Len."""
        for fault in faults:
            if fault.kind in ("payload-proto", "too-short"):
                if (
                    fault.offset < 2
                    and is_unicast(event.source)
                    and self._reports.parameter_problem(event, fault.offset, now, self._sessions.effects)
                ):
                    self._sessions.count(_OTHER + "parameter-problem-sent")
                return

    def _other(self, event: PacketReceived, now: Now) -> None:
        """Count a message that is no acknowledgement; tell its sender of a type that nobody knows."""
        self._sessions.count(_OTHER + "received")
        known = decode(event.data)
        if any(fault.kind == "unknown-type" for fault in known.faults):
            self._sessions.count(_OTHER + "unknown-type")
            # RFC 6275 section 9.2: Binding Error, status 2, rate-limited (section 9.3.3).
            if event.port == 0 and self._errors.allows(event.source, now.mono):
                error = BindingError(codes.BE_UNKNOWN_MH_TYPE, bytes(16))
                data = seal(encode(error), event.destination, event.source)
                self._sessions.effects.append(Send(data, event.destination, event.source))
                self._sessions.count(_OTHER + "binding-error-sent")
        else:
            self.ignored()
            self._problem(event, known.faults, now)

    def _match(self, answer: Answer, source: bytes) -> BindingUpdateListEntry | None:
        """Find whose request this answers: MN-ID, LMA and sequence number.

        An acceptance of an earlier sending of the same request is as good as one of the latest;
        a denial of it says nothing about the latest.
        """
        for entry in self._sessions.list.of_mobile(answer.mn_id):
            if not entry.exchange or entry.lma != source:
                continue
            if answer.status == codes.SEQUENCE_NUMBER_OUT_OF_WINDOW:
                # RFC 6275 section 9.5.1: this one carries the last number that was accepted.
                if answer.link_layer is None or answer.link_layer == entry.link_layer:
                    return entry
            elif answer.sequence == entry.sequence or (answer.status < 128 and answer.sequence in entry.sent):
                return entry
        return None

    def _mismatched(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """Ignore it and send no more until an operator acts (RFC 5213 section 6.9.1.2 item 6)."""
        self._sessions.count(_ERRORS + "mismatched-options")
        text = f"LMA answered for {self._sessions.name(entry)} with options that are not those of the request"
        self._sessions.notify_seldom(("mismatch", entry.lma), text, now)
        if entry.exchange == DEREG:
            return
        if entry.state == ACTIVE:
            entry.exchange, entry.sent, entry.next_at = "", (), None
        else:
            self._sessions.wait(entry, None, now)

    def _answered(
        self, entry: BindingUpdateListEntry, answer: Answer, message: BindingAcknowledgement, now: Now
    ) -> None:
        kind = entry.exchange
        self._sessions.count(exchange_rows(kind)[2])
        what = mag_status.reaction(answer.status)
        if answer.status < 128:
            self._sessions.count(_RECEIVED + "accepted")
            if kind == INIT:
                self._sessions.count(_RECEIVED + "init-accepted")
        else:
            self._sessions.count(_RECEIVED + "denied")
            self._sessions.count(denied_by_lma_key(answer.status))
        if kind == DEREG:
            self._dereg_answered(entry, answer, what)
        elif kind == DROP_IPV4:
            # Whatever it says: the address is not used any more, and the session goes on.
            mag_ipv4.returned(self._sessions, entry, now)
        elif what == mag_status.ACCEPT:
            self._accepted(entry, answer, message, now)
        else:
            self._denied(entry, answer, what, now)

    def _dereg_answered(self, entry: BindingUpdateListEntry, answer: Answer, what: str) -> None:
        if what == mag_status.SEQUENCE:
            entry.sequence, entry.own_sequence = answer.sequence, True
        elif what != mag_status.AGAIN:
            # Accepted, or denied for good: nothing of this session is left for us to do.
            self._sessions.remove(entry)

    # ---- acceptance ------------------------------------------------------------------------

    def _accepted(
        self, entry: BindingUpdateListEntry, answer: Answer, message: BindingAcknowledgement, now: Now
    ) -> None:
        """Take over what was granted (RFC 5213 section 6.9.1.2 items 12-14, RFC 5844 section 3.2.3)."""
        ipv4 = answer.ipv4_status is not None and answer.ipv4_status < 128 and any(answer.ipv4_address)
        if not answer.prefixes and not ipv4:
            self._useless(entry, "assigned no prefix and no address", now)
            return
        if answer.lifetime == 0:
            self._useless(entry, "granted no lifetime", now)
            return
        objection = self._sessions.features.objection(entry, message, now)
        if objection:
            self._useless(entry, objection, now)
            return
        gone = tuple(prefix for prefix in entry.prefixes if prefix not in answer.prefixes)
        if gone and entry.installed is not None:
            self._sessions.effects.append(Withdraw(entry.interface, entry.link_layer, gone))
        entry.prefixes = answer.prefixes
        entry.ipv4_address = answer.ipv4_address if ipv4 else None
        entry.ipv4_prefix_length = answer.ipv4_prefix_length if ipv4 else 0
        entry.ipv4_router = answer.ipv4_router if ipv4 else None
        entry.dhcp_server = ipv4 and answer.dhcp_server
        # RFC 5845 section 3.3.1: no option in the answer means no GRE, status 2 also not to ask again.
        entry.gre = entry.gre_wanted and answer.gre
        entry.send_key = answer.send_key if entry.gre else None
        if answer.status == codes.GRE_KEY_OPTION_NOT_REQUIRED:
            entry.gre_wanted = False
        self._granted(entry, answer, now)
        self._sessions.features.answered(entry, message, now)
        self._sessions.install(entry)
        self._sessions.advertise(entry, now)
        mag_ipv4.ask_again(self._sessions, entry, now)

    def _granted(self, entry: BindingUpdateListEntry, answer: Answer, now: Now) -> None:
        """Set lifetime and refresh, counted from the sending of the request (RFC 6275 section 11.7.3)."""
        settings = self._sessions.settings
        granted = min(answer.lifetime, -(-settings.reg_lifetime // 4) * 4)
        renew = granted * settings.renew_percent_time / 100
        if 0 < answer.refresh < granted:
            renew = min(renew, float(answer.refresh))
        # At 100 percent there must still be time for one exchange.
        renew = min(renew, granted - self._sessions.first_timeout(entry))
        entry.lifetime = granted
        entry.expires = entry.sent_at + granted
        entry.state, entry.exchange, entry.sent = ACTIVE, "", ()
        entry.corrections = entry.failures = 0
        entry.updated = now.wall
        entry.next_at = entry.renew_at = entry.sent_at + max(1.0, renew)

    def _useless(self, entry: BindingUpdateListEntry, text: str, now: Now) -> None:
        self._sessions.notify_seldom(
            ("useless", entry.mn_id), f"LMA accepted {self._sessions.name(entry)} but {text}: no service", now
        )
        self._reject(entry, now)
        entry.maybe_bound = True

    # ---- denial ----------------------------------------------------------------------------

    def _denied(self, entry: BindingUpdateListEntry, answer: Answer, what: str, now: Now) -> None:
        """Do what the status asks for (RFC 5213 section 6.9.1.2 items 7-11)."""
        if what == mag_status.AGAIN:
            self._again(entry, answer, now)
            return
        if entry.corrections < MAX_CORRECTIONS and self._correct(entry, answer, what, now):
            entry.corrections += 1
            if entry.exchange == INIT or entry.bound:
                self._sessions.start(entry, entry.exchange, entry.handoff, now)
            else:
                self._sessions.start(entry, INIT, STATE_UNKNOWN, now)
            return
        name = self._sessions.name(entry)
        text = f"LMA denied {name}: status {mag_status.describe(answer.status)}"
        if what in (mag_status.BLOCK, mag_status.NO_IPV4, mag_status.NO_IPV6):
            self._sessions.refuse(entry.mn_id, "pmipv6")
            text += "; not asked again until it is attached by hand"
            self._sessions.notify_seldom((entry.mn_id, answer.status), text, now)
            self._reject(entry, now)
            entry.next_at = None
            return
        self._sessions.notify_seldom((entry.mn_id, answer.status), text, now)
        self._reject(entry, now)

    def _correct(self, entry: BindingUpdateListEntry, answer: Answer, what: str, now: Now) -> bool:
        """Change what is asked for; False: there is nothing that could be asked instead."""
        if what == mag_status.SEQUENCE:
            entry.sequence, entry.own_sequence = answer.sequence, True
            return True
        if what == mag_status.ANY_PREFIX and entry.policy.ipv6 and not asks_any_prefix(entry):
            self._sessions.end_session(entry, "denied")
            entry.any_prefix = True
            return True
        if what == mag_status.ANY_ADDRESS and entry.ipv4_address is not None:
            entry.ipv4_address, entry.ipv4_prefix_length = None, 0
            return True
        if what == mag_status.WITH_KEY and not entry.gre_wanted:
            entry.gre_wanted = True
            name = self._sessions.name(entry)
            text = f"LMA insists on GRE for {name}: encapsulation gre is used"
            self._sessions.notify_seldom(("gre", entry.lma), text, now)
            return True
        if what == mag_status.NO_DELEGATION and entry.delegation_refused != answer.status:
            # RFC 7148 section 5.1.2: without them, or with any of them.
            entry.delegation_refused, entry.delegated = answer.status, ()
            return True
        refused = self._sessions.refused.get(entry.mn_id, ())
        if what == mag_status.NO_IPV4 and entry.policy.ipv6 and not {"ipv4", "ipv6"} & set(refused):
            self._sessions.refuse(entry.mn_id, "ipv4")
            return True
        if what == mag_status.NO_IPV6 and entry.policy.ipv4 and not {"ipv4", "ipv6"} & set(refused):
            self._sessions.refuse(entry.mn_id, "ipv6")
            return True
        return False

    def _again(self, entry: BindingUpdateListEntry, answer: Answer, now: Now) -> None:
        """Register again with a fresh timestamp; never set the clock by the LMA's (item 9)."""
        if answer.status == codes.TIMESTAMP_MISMATCH and answer.timestamp is not None:
            off = now.wall - from_timestamp(answer.timestamp)
            text = f"Clocks differ: ours is {off:+.3f} s off that of the LMA; set both from one time source"
            self._sessions.notify_seldom(("clock", entry.lma), text, now)
        # Clocks are put right sooner or later: then service should not be minutes away.
        settings = self._sessions.settings
        first, longest = settings.retransmission_timeout / 1000, settings.retransmission_maximum / 1000
        delay = min(self._denial_delay(entry, first), longest)
        if entry.state == ACTIVE:
            # The refusal is of this request; the binding goes on until its lifetime ends.
            entry.exchange, entry.sent, entry.next_at = "", (), now.mono + delay
        else:
            was_bound = entry.bound
            self._sessions.silent(entry, delay, now)
            entry.maybe_bound = was_bound

    def _denial_delay(self, entry: BindingUpdateListEntry, first: float) -> float:
        delay = min(MAX_DENIAL_DELAY, first * 2.0 ** min(entry.failures, 16))
        entry.failures += 1
        return delay

    def _reject(self, entry: BindingUpdateListEntry, now: Now) -> None:
        """No service: nothing advertised, nothing forwarded (item 11); try again later."""
        # A refresh that is denied leaves the old binding at the LMA, to be given back on detachment.
        was_bound = entry.bound
        self._sessions.end_session(entry, "denied")
        entry.corrections = 0
        first = self._sessions.settings.retransmission_maximum / 1000
        self._sessions.wait(entry, self._denial_delay(entry, first), now)
        entry.maybe_bound = was_bound
