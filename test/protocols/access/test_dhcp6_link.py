"""A gateway that delegates prefixes on its access links, by frames in and frames out (RFC 7148, RFC 8415)."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Advertise,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_PD,
    DHCP6OptIAPrefix,
    DHCP6OptServerId,
    DHCP6OptStatusCode,
)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from appliance.protocols.access.events import SendFrame
from appliance.protocols.pmipv6.events import Advertise, MobileAttached, PrefixesWanted, Reconfigure
from appliance.protocols.timers import Now
from test.protocols.access.test_attach import HNP, MN, Base

NETWORK = (bytes.fromhex("20010db80f00") + bytes(10), 48)
CLIENT = DUID_LL(lladdr="02:00:5e:10:00:01")
SERVER = DUID_LL(lladdr="00:00:5e:00:52:13")


def frame(kind: Any, *options: Any, iaid: int = 1, server: bool = False, source: str = "fe80::5") -> bytes:
    """The frame of a mobile router's client."""
    message = kind(trid=7) / DHCP6OptClientId(duid=CLIENT)
    if server:
        message /= DHCP6OptServerId(duid=SERVER)
    message /= DHCP6OptIA_PD(iaid=iaid, iapdopt=list(options))
    to = Ether(src=MN.hex(":"), dst="33:33:00:01:00:02") / IPv6(src=source, dst="ff02::1:2")
    return bytes(to / UDP(sport=546, dport=547) / message)


class LinkTests(Base):
    """One mobile router."""

    def assigned(self, *prefixes: tuple[bytes, int]) -> None:
        """Its session has these for its network."""
        self.feed(Advertise("acc0", MN, HNP, 600, 1460, delegated=prefixes))

    def ask(self, *arguments: Any, **fields: Any) -> Any:
        """Send a frame; the answer as Scapy reads it, or ``None``."""
        found = [each for each in self.frame(frame(*arguments, **fields)) if isinstance(each, SendFrame)]
        return Ether(found[0].frame) if found else None

    def test_a_solicit_attaches(self) -> None:
        """RFC 7148 section 5.1.3: it is a trigger; the answer waits for the session."""
        self.assertEqual(self.frame(frame(DHCP6_Solicit)), [MobileAttached("acc0", MN)])

    def test_delegation(self) -> None:
        """What the anchor has delegated, for as long as the binding lasts; the checksum is right."""
        self.frame(frame(DHCP6_Solicit))
        self.assigned(NETWORK)
        answer = self.ask(DHCP6_Solicit)
        self.assertEqual((answer.dst, answer[IPv6].dst, answer[UDP].dport), (MN.hex(":"), "fe80::5", 546))
        told = answer[UDP].chksum
        del answer[UDP].chksum
        self.assertEqual(Ether(bytes(answer))[UDP].chksum, told)
        lease = answer[DHCP6_Advertise][DHCP6OptIA_PD].iapdopt[0]
        self.assertEqual((lease.prefix, lease.plen, lease.validlft), ("2001:db8:f00::", 48, 600))
        self.assertEqual(bytes(answer[DHCP6OptServerId].duid), bytes(SERVER))
        self.assertIn(DHCP6_Reply, self.ask(DHCP6_Request, server=True))
        other = self.ask(DHCP6_Request, server=True, iaid=2)[DHCP6OptIA_PD].iapdopt[0]
        self.assertEqual(other[DHCP6OptStatusCode].statuscode, 6)
        self.assertEqual(self.counters.value("dhcp/delegation-sent"), 3)

    def test_a_router_that_has_moved_goes_on(self) -> None:
        """At the next gateway nothing is known of the client, and its prefixes are the same."""
        self.frame(frame(DHCP6_Solicit))
        self.assigned(NETWORK)
        mine = DHCP6OptIAPrefix(prefix="2001:db8:f00::", plen=48)
        self.assertEqual(self.ask(DHCP6_Renew, mine, server=True)[DHCP6OptIA_PD].iapdopt[0].validlft, 600)
        other = DHCP6OptIAPrefix(prefix="2001:db8:bad::", plen=48)
        answer = self.ask(DHCP6_Renew, mine, other, server=True)
        self.assertEqual(answer[DHCP6OptIA_PD].iapdopt[1].validlft, 0)
        self.assertEqual(self.ask(DHCP6_Release, server=True)[DHCP6OptStatusCode].statuscode, 0)

    def test_nothing_delegated(self) -> None:
        """NoPrefixAvail; a message for another server is ignored, and one that is no client's no message."""
        self.frame(frame(DHCP6_Solicit))
        self.assigned()
        answer = self.ask(DHCP6_Solicit)[DHCP6OptIA_PD].iapdopt[0]
        self.assertEqual(answer[DHCP6OptStatusCode].statuscode, 6)
        self.assertIsNone(self.ask(DHCP6_Request))
        self.assertEqual(self.counters.value("dhcp/ignored"), 1)
        self.assertIsNone(self.ask(DHCP6_Solicit, source="2001:db8::1"))

    def test_on_demand(self) -> None:
        """RFC 7148 section 5.1.3.1: the anchor is asked first; after a while the client is refused."""
        self.core.receive(Reconfigure(evolve(self.settings, delegation_on_demand=True)), Now(self.mono, 0.0))
        wanted = PrefixesWanted("acc0", MN)
        self.frame(frame(DHCP6_Solicit))
        self.assigned()
        self.assertEqual(self.frame(frame(DHCP6_Solicit)), [wanted])
        self.mono += 1
        self.assertEqual(self.frame(frame(DHCP6_Solicit)), [])
        self.mono += 3
        self.assertIsNotNone(self.ask(DHCP6_Solicit))
        self.assigned(NETWORK)
        self.assertIn(DHCP6_Reply, self.ask(DHCP6_Request, server=True))
        self.assertEqual(self.frame(frame(DHCP6_Release, server=True))[1:], [evolve(wanted, wanted=False)])

    @settings(max_examples=100, deadline=None)
    @given(st.integers(14, 120), st.integers(0, 255), st.integers(0, 30))
    def test_anything(self, place: int, value: int, cut: int) -> None:
        """A damaged frame is counted or answered, never an exception."""
        self.frame(frame(DHCP6_Solicit))
        self.assigned(NETWORK)
        octets = bytearray(frame(DHCP6_Request, server=True))
        octets[min(place, len(octets) - 1)] = value
        self.frame(bytes(octets[: len(octets) - cut]))
