"""A MAG core with a scripted LMA around it, for the tests of the MAG."""

import ipaddress
import os

from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import MAG, CounterSet
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal, verify
from appliance.protocols.mobility.messages import (
    BA_P,
    BindingAcknowledgement,
    BindingUpdate,
)
from appliance.protocols.pmipv6.events import (
    MobileAttached,
    Notify,
    PacketReceived,
    Send,
)
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import AccessInterface, MagSettings, MobilePolicy
from appliance.protocols.timers import Now

FUZZ = int(os.environ.get("FUZZ", "200"))
MAG_ADDRESS = ipaddress.IPv6Address("2001:db8:ffff::a1").packed
LMA_ADDRESS = ipaddress.IPv6Address("2001:db8:ffff::1").packed
MN = bytes.fromhex("02005e100001")
NAI = b"mn1@example.org"
HNP = ((ipaddress.IPv6Address("2001:db8:1:1::").packed, 64),)
OTHER_HNP = ((ipaddress.IPv6Address("2001:db8:1:9::").packed, 64),)
ANY = ((bytes(16), 0),)
IPV4, ROUTER_V4 = bytes((203, 0, 113, 10)), bytes((203, 0, 113, 1))
WALL = 1_700_000_000.0
ATTACH = MobileAttached("acc0", MN)


def of(message, kind):
    """Give the options of one class in a message."""
    return [option for option in message.options if isinstance(option, kind)]


def one(message, kind):
    """Give the only option of one class in a message."""
    (option,) = of(message, kind)
    return option


def prefixes(message):
    """Give the prefixes of a message's Home Network Prefix options."""
    return tuple((o.prefix, o.prefix_length) for o in of(message, opt.HomeNetworkPrefix))


class MagTestCase(SynchronousTestCase):
    """Drives one MAG core by hand; ``log`` has the lines that it wrote."""

    def setUp(self):
        """Make a core with one known mobile and plain tunnels."""
        self.make()

    def make(self, policy=None, **values):
        """Make a core; ``policy`` overrides fields of the mobile's policy, ``values`` of the service."""
        self.counters = CounterSet(MAG)
        values.setdefault("encapsulation", "ipip")
        self.settings = MagSettings(
            name="mag1",
            address=MAG_ADDRESS,
            lma=LMA_ADDRESS,
            access_interfaces=(AccessInterface(name="acc0"), AccessInterface(name="acc1", technology=3)),
            policies=(MobilePolicy(**{"link_layer": MN, "mn_id": NAI, **(policy or {})}),),
            **values,
        )
        self.core = MobileAccessGateway(self.settings, self.counters, lambda bits: 7)
        self.mono = 100.0
        self.log = []

    @property
    def now(self):
        """Give both clocks."""
        return Now(self.mono, WALL + self.mono)

    def take(self):
        """Give the effects, with the log lines put aside."""
        effects = self.core.take()
        self.log += [effect.text for effect in effects if isinstance(effect, Notify)]
        return [effect for effect in effects if not isinstance(effect, Notify)]

    def feed(self, event):
        """Give the core an event now; give its effects."""
        self.core.receive(event, self.now)
        return self.take()

    def until(self, mono):
        """Let time pass, tick by tick; give what came out as (time, effect)."""
        found = []
        while self.core.deadline is not None and self.core.deadline <= mono:
            self.mono = max(self.mono, self.core.deadline)
            self.core.tick(self.now)
            found += [(self.mono - 100, effect) for effect in self.take()]
        self.mono = mono
        return found

    def request(self, effects):
        """Take the one PBU out of effects and check its packet."""
        (effect,) = [effect for effect in effects if isinstance(effect, Send)]
        self.assertEqual((effect.source, effect.destination), (MAG_ADDRESS, LMA_ADDRESS))
        self.assertTrue(verify(effect.data, effect.source, effect.destination))
        decoded = decode(effect.data)
        self.assertEqual((type(decoded.message), decoded.faults), (BindingUpdate, ()))
        return decoded.message

    def attach(self, event=ATTACH):
        """Attach the mobile; give the PBU."""
        return self.request(self.feed(event))

    def answer(self, request, status=0, sequence=None, lifetime=None, hnp=HNP, extra=(), replace=None):
        """Answer a PBU as an LMA does; give the effects."""
        options = []
        for option in request.options:
            kind = type(option)
            if kind is opt.HomeNetworkPrefix:
                continue
            if kind in (replace or {}):
                options.append(replace[kind])
            elif kind not in (opt.GreKey, opt.IPv4HomeAddressRequest, opt.ServiceSelection):
                options.append(option)
        options += [opt.HomeNetworkPrefix(length, prefix) for prefix, length in hnp]
        options += extra
        message = BindingAcknowledgement(
            status,
            BA_P,
            request.sequence if sequence is None else sequence,
            request.lifetime if lifetime is None else lifetime,
            options,
        )
        data = seal(encode(message), LMA_ADDRESS, MAG_ADDRESS)
        return self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))

    def session(self):
        """Bring the mobile to a session; give the effects of the answer."""
        return self.answer(self.attach())

    def entry(self):
        """Give the only entry."""
        (entry,) = self.core.sessions()
        return entry

    def count(self, key):
        """Give a counter."""
        return self.counters.value(key)
