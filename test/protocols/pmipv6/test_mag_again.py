"""A mobile node whose session was revoked is still on its link: what registers it again."""

from typing import Any

from appliance.counters import MAG, CounterSet
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.access.events import FrameReceived
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode
from appliance.protocols.mobility.messages import BR_G, BR_P, BindingUpdate
from appliance.protocols.pmipv6.events import (
    AddressWanted,
    Advertise,
    MobileAttached,
    PacketReceived,
    Send,
    Withdraw,
)
from test.protocols.access.test_dhcpv4 import client
from test.protocols.access.test_ndp import solicitation
from test.protocols.pmipv6.mag_fakes import HNP, LMA_ADDRESS, MAG_ADDRESS, MN, NAI, MagTestCase
from test.protocols.pmipv6.revocation_fakes import indication


class RevokedTests(MagTestCase):
    """The two cores of a gateway, joined as its driver joins them."""

    def make(self, policy: Any = None, **values: Any) -> None:
        """With the function, and with IPv4."""
        super().make({"ipv4": True, **(policy or {})}, revocation=True, **values)
        self.link = AccessLink(self.settings, CounterSet(MAG))

    def exchange(self, frame: bytes = b"", packet: bytes = b"") -> list[Any]:
        """Give one of the cores something; the updates that come of it."""
        sent, frames, events = [], [FrameReceived("acc0", frame)] if frame else [], []
        if packet:
            events.append(PacketReceived(packet, LMA_ADDRESS, MAG_ADDRESS))
        while frames or events:
            if frames:
                self.link.receive(frames.pop(0), self.now)
                found = self.link.take()
                events += [each for each in found if isinstance(each, MobileAttached | AddressWanted)]
            else:
                found = self.feed(events.pop(0))
                frames += [each for each in found if isinstance(each, Advertise | Withdraw)]
                sent += [decode(each.data).message for each in found if isinstance(each, Send)]
        return [each for each in sent if isinstance(each, BindingUpdate)]

    def test_registered_again(self) -> None:
        """RFC 5846 section 9.1 ends the session, whatever the trigger; what comes then is a new attachment.

        RFC 5213 section 6.9.1.1 and RFC 5844 section 3.4.3: a Router Solicitation or a DHCP message is one.
        """
        address = "203.0.113.9"
        asks = (
            solicitation(),
            client("discover"),
            client("request", ciaddr=address),
            client("request", options=[("requested_addr", address)]),
        )
        for trigger, flags in ((0, BR_P), (1, BR_P), (5, BR_P), (6, BR_P), (7, BR_P), (128, BR_P | BR_G)):
            for ask in asks:
                self.make()
                (update,) = self.exchange(solicitation())
                for each in self.answer(update):
                    if isinstance(each, Advertise):
                        self.link.receive(each, self.now)
                self.mono += 10
                named = [] if flags & BR_G else [opt.MobileNodeIdentifier(1, NAI)]
                self.exchange(packet=indication(trigger, named, LMA_ADDRESS, MAG_ADDRESS, flags))
                self.until(self.mono + 10)
                self.assertEqual(list(self.core.sessions()), [])
                self.link.receive(Withdraw("acc0", MN, HNP), self.now)
                self.link.take()
                (update,) = self.exchange(ask)
                (indicator,) = [each for each in update.options if isinstance(each, opt.HandoffIndicator)]
                # Whether it was at another gateway meanwhile is not known.
                self.assertEqual((indicator.value, self.entry().state), (4, "registering"))
