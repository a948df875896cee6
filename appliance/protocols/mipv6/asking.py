"""What the AAA server is asked about hosts, and how its answer is counted (RFC 5778 section 5)."""

from appliance.counters import CounterSet
from appliance.protocols.mipv6 import request as verdicts
from appliance.protocols.mipv6.auth import proof, right
from appliance.protocols.mipv6.request import HostRequest
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.aaa import Authorize, Authorized, Subject
from appliance.protocols.mobility.options import IPv4HomeAddress
from appliance.protocols.pmipv6.lma_aaa import ATTEMPTS, FAILED, REFUSED, SUCCESS
from appliance.protocols.pmipv6.lma_aaa import VERDICTS as OF_GATEWAYS
from appliance.protocols.pmipv6.lma_request import POLICY, Verdict

#: How an update ends that the AAA server, or its silence, has refused.
VERDICTS: dict[str, Verdict] = {
    **OF_GATEWAYS,
    aaa.REJECT: verdicts.NO_PERMISSION,
    aaa.BAD_CREDENTIALS: verdicts.AUTH_FAILED,
    aaa.UNKNOWN_USER: verdicts.NOT_OURS,
    aaa.ROAMING: POLICY,
}


def _asked(request: HostRequest) -> bytes | None:
    """The IPv4 home address that it asks for, zero for any; ``None``: it wants none (RFC 5555)."""
    wish = request.other(IPv4HomeAddress)
    return None if wish is None or wish.prefix_request else wish.address


def subject(request: HostRequest, call_id: int) -> Subject:
    """The host of an update as AAA sees it."""
    entry, address = request.entry, _asked(request)
    return Subject(
        call_id=call_id,
        mn_id=request.mn_id,
        local=request.destination,
        care_of=request.care_of,
        home_address=request.signed,
        ipv4_address=address if address and any(address) else None,
        service=b"" if request.service is None else request.service.identifier,
        created=request.now.wall if entry is None else entry.created,
    )


def question(request: HostRequest, token: int, call_id: int, patience: float) -> Authorize:
    """The effect that asks about an update; its MN-AAA option is the proof."""
    return Authorize(
        token=token,
        subject=subject(request, call_id),
        ipv6=False,
        ipv4=_asked(request) is not None,
        lifetime=4 * request.lifetime,
        proof=proof(request),
        patience=patience,
    )


class Asking:
    """Counts the questions of one service."""

    __slots__ = ("_values",)

    def __init__(self, counters: CounterSet) -> None:
        self._values = counters.values

    def asked(self) -> None:
        """A question goes out."""
        self._values[ATTEMPTS] += 1

    def dropped(self) -> None:
        """A question has no answer, or none that is wanted."""
        self._values[FAILED] += 1

    def answered(self, answer: Authorized) -> None:
        """The AAA client has answered."""
        if answer.verdict == aaa.ACCEPT:
            self._values[FAILED if answer.grant.local else SUCCESS] += 1
        else:
            self._values[FAILED if answer.verdict == aaa.NO_ANSWER else REFUSED] += 1


def proved(request: HostRequest, answer: Authorized) -> Verdict | None:
    """What the answer means for the update: its MN-HA option is right by the key that AAA has given.

    A grant that only the configured policy has given (no server was asked) proves nothing.
    """
    grant = answer.grant
    if answer.verdict != aaa.ACCEPT:
        return VERDICTS[answer.verdict]
    if grant.local:
        return VERDICTS[aaa.NO_ANSWER] if not request.key else None
    if grant.key and not request.key:
        named = request.mn_ha
        if named is not None and grant.key_spi not in (0, named.spi):
            return verdicts.UNKNOWN_HA_SPI
        request.spi = named.spi if named is not None else grant.key_spi
        request.key = grant.key
        if named is not None and not right(request, grant.key):
            return verdicts.AUTH_FAILED
    elif request.mn_ha is not None and not request.key:
        return verdicts.UNKNOWN_HA_SPI
    return None
