"""Quality of service at a gateway (RFC 7222): it asks for what is configured."""

from collections.abc import Sequence
from typing import Any

from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.messages import BindingAcknowledgement, BindingUpdate
from appliance.protocols.mobility.options import QualityOfService
from appliance.protocols.pmipv6 import qos
from appliance.protocols.pmipv6.mag_entry import DEREG, BindingUpdateListEntry
from appliance.protocols.pmipv6.mag_features import MagFeature
from appliance.protocols.pmipv6.mag_sessions import MagSessions
from appliance.protocols.pmipv6.qos import ALLOCATE, NEGOTIATE, RESPONSE, ServiceRequest
from appliance.protocols.pmipv6.settings import MagSettings, QosWish
from appliance.protocols.timers import Now


class MagQualityOfService(MagFeature):
    """The feature."""

    def __init__(self, settings: MagSettings, sessions: MagSessions) -> None:
        self._wishes = settings.qos_requests
        self._sessions = sessions
        #: Options for the answer to the notification in hand.
        self.reply: list[Any] = []

    def reconfigure(self, settings: MagSettings, now: Now) -> None:
        """Ask for other things at the next registration of a mobile node."""
        self._wishes = settings.qos_requests

    def _wish(self, entry: BindingUpdateListEntry) -> QosWish | None:
        """The line that fits best: of the mobile node, of the link, of all."""
        if not self._wishes:
            return None
        for mn_id, interface in ((entry.mn_id, ""), (b"", entry.interface), (b"", "")):
            for wish in self._wishes:
                if wish.mn_id == mn_id and wish.interface == interface:
                    return wish
        return None

    def request(self, entry: BindingUpdateListEntry, update: BindingUpdate, now: Now) -> None:
        """RFC 7222 section 5.2: ask, once, or agree to what the anchor has offered."""
        if entry.exchange == DEREG or entry.qos_settled:
            return
        if entry.qos_offer:
            update.options += [
                QualityOfService(0, each.traffic_class, ALLOCATE, each.attributes) for each in entry.qos_offer
            ]
            return
        wish = self._wish(entry)
        if wish is not None:
            attributes = qos.rate_attributes(wish.bandwidth_up, wish.bandwidth_down)
            if wish.priority:
                # No pre-emption of others (0), and it may be pre-empted itself (0).
                attributes.append((qos.PRIORITY, bytes((0, wish.priority << 4))))
            update.options.append(QualityOfService(0, wish.dscp << 2, ALLOCATE, attributes))

    def answered(self, entry: BindingUpdateListEntry, answer: BindingAcknowledgement, now: Now) -> None:
        """Take what is agreed; what is offered instead is asked for at once, one time."""
        options = [each for each in answer.options if isinstance(each, QualityOfService)][: qos.MOST]
        agreed = [each for each in options if each.operation == RESPONSE]
        refused = answer.status == codes.CANNOT_MEET_QOS_SERVICE_REQUEST
        if refused and not options:
            entry.qos, entry.qos_offer, entry.qos_settled = (), (), True
        elif agreed:
            entry.qos = tuple(
                ServiceRequest(each.sr_id, each.traffic_class, readable(each.attributes)) for each in agreed
            )
            entry.qos_offer, entry.qos_settled = (), True
        elif not entry.qos_settled:
            offered = tuple(each for each in options if each.operation == NEGOTIATE)
            if offered and not entry.qos_offer:
                entry.qos_offer, entry.next_at = offered, now.mono
            elif entry.qos_offer or self._wish(entry) is not None:
                # An anchor that knows nothing of this, or one that does not stand by its offer.
                entry.qos_offer, entry.qos_settled = (), True

    def ended(self, entry: BindingUpdateListEntry) -> None:
        """There is no binding: the next one is asked for from the beginning."""
        entry.qos, entry.qos_offer, entry.qos_settled = (), (), False

    def details(self, entry: BindingUpdateListEntry) -> list[tuple[str, str]]:
        """What is agreed, and what is enforced of it."""
        held = list(entry.qos)
        return [*qos.texts(held), qos.enforced(qos.rates(held, qos.NO_RATES))] if held else []

    def notified(self, entries: Sequence[BindingUpdateListEntry], options: Sequence[Any], now: Now) -> int:
        """The anchor wants other requests for sessions of ours (RFC 7222 section 5.2): status of the answer.

        What the answer says of them goes to :attr:`reply`.
        """
        asked = [each for each in options if isinstance(each, QualityOfService)]
        status = codes.UPA_SUCCESS
        for entry in entries:
            if not self._updated(entry, asked):
                status = codes.UPA_CANNOT_MEET_QOS
            elif not self.reply:
                # One answer, however many sessions it is about.
                self.reply.extend(self._replies(entry, asked))
        return status

    def _updated(self, entry: BindingUpdateListEntry, asked: list[QualityOfService]) -> bool:
        held = {each.sr_id: each for each in entry.qos}
        for each in asked:
            if each.operation == qos.DE_ALLOCATE:
                held.pop(each.sr_id, None)
            elif each.operation in (ALLOCATE, qos.MODIFY):
                held[each.sr_id] = ServiceRequest(each.sr_id, each.traffic_class, readable(each.attributes))
        if not asked or len(held) > qos.MOST:
            return False
        entry.qos, entry.qos_settled = tuple(held.values()), True
        if entry.installed is not None:
            self._sessions.install(entry)
        return True

    @staticmethod
    def _replies(entry: BindingUpdateListEntry, asked: list[QualityOfService]) -> list[QualityOfService]:
        done = [
            QualityOfService(each.sr_id, each.traffic_class, RESPONSE, each.attributes)
            for each in asked
            if each.operation != qos.QUERY
        ]
        if any(each.operation == qos.QUERY for each in asked):
            done += [each.option() for each in entry.qos]
        return done


def readable(attributes: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """The attributes that this gateway can act by."""
    return qos.judge(attributes, qos.NO_RATES)
