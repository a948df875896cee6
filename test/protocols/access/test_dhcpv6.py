"""DHCPv6 messages and the delegating router, against Scapy."""

from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Rebind,
    DHCP6_RelayForward,
    DHCP6_RelayReply,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptIAPrefix,
    DHCP6OptIfaceId,
    DHCP6OptRapidCommit,
    DHCP6OptRelayMsg,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
)
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.access import dhcpv6 as dhcp
from appliance.protocols.access.dhcp6_server import PrefixServer
from appliance.protocols.access.dhcpv6 import Association, Leased, Message, Prefix
from appliance.protocols.bits import DecodeError
from test.protocols.pmipv6.lma_fakes import packed

FIRST, SECOND = (packed("2001:db8:f001::"), 56), (packed("2001:db8:f002::"), 56)
CLIENT = DUID_LL(lladdr="02:00:5e:10:00:01")
SERVER = bytes.fromhex("0003001b0000000000000001")

_OCTET = st.integers(0, 255)


class Shelf:
    """Two prefixes for whoever asks."""

    valid = 1000

    def __init__(self) -> None:
        self.leases: dict[tuple[bytes, int], Prefix] = {}

    def _free(self, wanted: tuple[Prefix, ...], exactly: bool) -> list[Prefix]:
        free = [each for each in (FIRST, SECOND) if each not in self.leases.values()]
        return [each for each in wanted if each in free] + ([] if exactly else free)

    def held(self, client: bytes, iaid: int) -> tuple[Prefix, ...]:
        """What is leased now."""
        return (self.leases[client, iaid],) if (client, iaid) in self.leases else ()

    def offer(self, client: bytes, iaid: int, wanted: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
        """What would be leased."""
        return self.held(client, iaid) or tuple(self._free(wanted, False)[:1])

    def lease(
        self, client: bytes, iaid: int, wanted: tuple[Prefix, ...], exactly: bool
    ) -> tuple[Prefix, ...]:
        """Lease one."""
        found = self.held(client, iaid) or tuple(self._free(wanted, exactly)[:1])
        for prefix in found:
            self.leases[client, iaid] = prefix
        return found

    def release(self, client: bytes, iaid: int) -> bool:
        """Take one back."""
        return self.leases.pop((client, iaid), None) is not None


def prefix(pair: Prefix) -> Any:
    """An IA Prefix option of Scapy."""
    return DHCP6OptIAPrefix(prefix=str(ip_address(pair[0])), plen=pair[1], preflft=0, validlft=0)


class ServerCase(SynchronousTestCase):
    """A server with two prefixes."""

    def setUp(self) -> None:
        """Build it."""
        self.shelf = Shelf()
        self.server = PrefixServer(SERVER)

    def ask(self, kind: Any, *options: Any, server: bool = False, iaid: int = 7, client: bool = True) -> Any:
        """Send a message of Scapy with an IA_PD; the answer as Scapy reads it, or ``None``."""
        message = kind(trid=0x112233)
        if client:
            message /= DHCP6OptClientId(duid=CLIENT)
        if server:
            message /= DHCP6OptServerId(duid=SERVER)
        for option in options or (DHCP6OptIA_PD(iaid=iaid),):
            message /= option
        answer = self.server.answer(bytes(message), self.shelf)
        return None if answer is None else DHCP6_Reply(answer)

    def prefixes(self, answer: Any) -> list[tuple[str, int, int, int]]:
        """The IA Prefix options of the first IA_PD."""
        inner = answer[DHCP6OptIA_PD].iapdopt
        return [
            (each.prefix, each.plen, each.preflft, each.validlft)
            for each in inner
            if isinstance(each, DHCP6OptIAPrefix)
        ]

    def status(self, answer: Any) -> int:
        """The status in the first IA_PD."""
        (found,) = [each for each in answer[DHCP6OptIA_PD].iapdopt if isinstance(each, DHCP6OptStatusCode)]
        return int(found.statuscode)


class ServerTests(ServerCase):
    """RFC 8415 section 18.3."""

    def test_four_messages(self) -> None:
        """Solicit and Advertise keep nothing; Request and Reply do; T1 and T2 are half and four fifths."""
        answer = self.ask(DHCP6_Solicit)
        self.assertEqual((answer.msgtype, answer.trid, self.shelf.leases), (dhcp.ADVERTISE, 0x112233, {}))
        self.assertEqual(bytes(answer[DHCP6OptServerId].duid), SERVER)
        self.assertEqual(bytes(answer[DHCP6OptClientId].duid), bytes(CLIENT))
        self.assertEqual(self.prefixes(answer), [("2001:db8:f001::", 56, 1000, 1000)])
        answer = self.ask(DHCP6_Request, DHCP6OptIA_PD(iaid=7, iapdopt=[prefix(SECOND)]), server=True)
        self.assertEqual((answer.msgtype, self.prefixes(answer)[0][0]), (dhcp.REPLY, "2001:db8:f002::"))
        ia = answer[DHCP6OptIA_PD]
        self.assertEqual((ia.iaid, ia.T1, ia.T2), (7, 500, 800))

    def test_rapid_commit(self) -> None:
        """Section 18.3.1: two messages are enough."""
        answer = self.ask(DHCP6_Solicit, DHCP6OptRapidCommit(), DHCP6OptIA_PD(iaid=7))
        self.assertEqual((answer.msgtype, DHCP6OptRapidCommit in answer), (dhcp.REPLY, True))
        self.assertEqual(self.shelf.leases, {(bytes(CLIENT), 7): FIRST})

    def test_none_left(self) -> None:
        """NoPrefixAvail; addresses are refused with NoAddrsAvail."""
        for iaid in (1, 2):
            self.ask(DHCP6_Request, server=True, iaid=iaid)
        self.assertEqual(self.status(self.ask(DHCP6_Solicit, iaid=3)), dhcp.NO_PREFIXES)
        answer = self.ask(DHCP6_Solicit, DHCP6OptIA_NA(iaid=9))
        inner = answer[DHCP6OptIA_NA].ianaopts[0]
        self.assertEqual((answer[DHCP6OptIA_NA].iaid, inner.statuscode), (9, dhcp.NO_ADDRESSES))

    def test_renew_rebind_release(self) -> None:
        """Known ones are extended; an unknown one comes back if it is free, else NoBinding."""
        self.ask(DHCP6_Request, server=True)
        both = DHCP6OptIA_PD(iaid=7, iapdopt=[prefix(FIRST), prefix(SECOND)])
        answer = self.ask(DHCP6_Renew, both, server=True)
        self.assertEqual(
            self.prefixes(answer),
            [("2001:db8:f001::", 56, 1000, 1000), ("2001:db8:f002::", 56, 0, 0)],
        )
        answer = self.ask(DHCP6_Rebind, DHCP6OptIA_PD(iaid=8, iapdopt=[prefix(SECOND)]))
        self.assertEqual(self.prefixes(answer)[0][0], "2001:db8:f002::")
        answer = self.ask(DHCP6_Rebind, DHCP6OptIA_PD(iaid=9, iapdopt=[prefix(SECOND)]))
        self.assertEqual(self.status(answer), dhcp.NO_BINDING)
        answer = self.ask(DHCP6_Release, server=True, iaid=8)
        self.assertEqual((answer[DHCP6OptStatusCode].statuscode, DHCP6OptIA_PD in answer), (0, False))
        answer = self.ask(DHCP6_Release, server=True, iaid=8)
        self.assertEqual(self.status(answer), dhcp.NO_BINDING)

    def test_not_answered(self) -> None:
        """Section 16: no client's DUID, a server's name where it may not be or not ours, other messages."""
        self.assertIsNone(self.ask(DHCP6_Solicit, client=False))
        self.assertIsNone(self.ask(DHCP6_Solicit, server=True))
        self.assertIsNone(self.ask(DHCP6_Request))
        self.assertIsNone(self.ask(DHCP6_Rebind, server=True))
        for kind in (dhcp.CONFIRM, dhcp.DECLINE, dhcp.REPLY, 10, 200):
            self.assertIsNone(self.server.answer(bytes((kind, 1, 2, 3)), self.shelf))

    def test_relayed(self) -> None:
        """Section 19.3: the answer goes back the way that the message came, agent by agent."""
        inner = DHCP6_Solicit(trid=1) / DHCP6OptClientId(duid=CLIENT) / DHCP6OptIA_PD(iaid=7)
        for hops, name in ((0, b"eth0"), (1, b"tun0")):
            inner = (
                DHCP6_RelayForward(hopcount=hops, linkaddr=f"2001:db8::{hops}", peeraddr="fe80::1")
                / DHCP6OptIfaceId(ifaceid=name)
                / DHCP6OptRelayMsg(message=inner)
            )
        answer = DHCP6_RelayReply(self.server.answer(bytes(inner), self.shelf))
        self.assertEqual((answer.hopcount, answer.linkaddr, answer.peeraddr), (1, "2001:db8::1", "fe80::1"))
        self.assertEqual(answer[DHCP6OptIfaceId].ifaceid, b"tun0")
        answer = answer[DHCP6OptRelayMsg].message
        self.assertEqual((answer.hopcount, answer[DHCP6OptIfaceId].ifaceid), (0, b"eth0"))
        self.assertEqual(answer[DHCP6OptRelayMsg].message.msgtype, dhcp.ADVERTISE)

    def test_too_many_agents(self) -> None:
        """Section 7.6: no more than HOP_COUNT_LIMIT."""
        inner = bytes(DHCP6_Solicit(trid=1) / DHCP6OptClientId(duid=CLIENT))
        for hops in range(9):
            self.assertIsNotNone(self.server.answer(inner, self.shelf))
            inner = bytes((12, hops)) + bytes(32) + dhcp.pack([(dhcp.RELAY_MESSAGE, inner)])
        self.assertIsNone(self.server.answer(inner, self.shelf))

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from((1, 3, 5, 6, 8, 11, 12)), st.binary(max_size=80), st.integers(0, 60), _OCTET)
    def test_anything(self, kind: int, octets: bytes, place: int, value: int) -> None:
        """Random and changed octets raise nothing but DecodeError; what is leased stays of the shelf."""
        good = bytes(DHCP6_Request(trid=1) / DHCP6OptClientId(duid=CLIENT) / DHCP6OptServerId(duid=SERVER)
                     / DHCP6OptIA_PD(iaid=7, iapdopt=[prefix(FIRST)]))  # fmt: skip
        place = min(place, len(good) - 1)
        changed = good[:place] + bytes((value,)) + good[place + 1 :]
        for data in (bytes((kind,)) + octets, changed, good[:place]):
            try:
                self.server.answer(data, self.shelf)
            except DecodeError:
                continue
        self.assertLessEqual(set(self.shelf.leases.values()), {FIRST, SECOND})


class CodecTests(SynchronousTestCase):
    """The wire format alone."""

    def test_there_and_back(self) -> None:
        """What is written is read again, and Scapy reads the same."""
        made = Association(5, 10, 20, [Leased(*FIRST, 30, 40)], 6)
        message = Message(dhcp.REPLY, b"\1\2\3", [dhcp.pack_association(made), dhcp.status(2, "no")])
        data = dhcp.encode(message)
        again = dhcp.decode(data)
        self.assertEqual(again, message)
        self.assertEqual(dhcp.association(again.first(dhcp.IA_PD) or b""), made)
        seen = DHCP6_Reply(data)
        self.assertEqual((seen[DHCP6OptIA_PD].T2, seen[DHCP6OptIA_PD].iapdopt[0].plen), (20, 56))

    def test_cut_short(self) -> None:
        """Octets that end too early are no message."""
        option = dhcp.pack_association(Association(1, 2, 3, [Leased(*FIRST)]))
        whole = dhcp.encode(Message(1, b"abc", [option]))
        for end in range(len(whole)):
            if end != 4:
                self.assertRaises(DecodeError, dhcp.decode, whole[:end])
        for end in (0, 11, 15, 25):
            self.assertRaises(DecodeError, dhcp.association, whole[8 : 8 + end])
        self.assertRaises(DecodeError, dhcp.decode, bytes((12,)) + bytes(32))
        self.assertRaises(DecodeError, dhcp.status_of, b"\0")
