"""Where two features of a gateway meet."""

import gc
import weakref

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import BR_G, BR_P, UPN_A, UpdateNotification
from appliance.protocols.pmipv6.events import Began, ClearSessions, MobileAttached, PacketReceived, Send
from appliance.protocols.pmipv6.qos import ALLOCATE
from test.protocols.pmipv6.lma_fakes import packed
from test.protocols.pmipv6.mag_fakes import LMA_ADDRESS, MAG_ADDRESS, MagTestCase
from test.protocols.pmipv6.revocation_fakes import indication


class NotificationTests(MagTestCase):
    """One notification for all sessions of an anchor."""

    def test_quality_of_all_sessions(self):
        """The answer says once what was done, however many sessions it was done to."""
        for number in range(80):
            event = MobileAttached("acc0", bytes((2, 0, 0, 0, 0, number)), b"m%d@x" % number)
            self.answer(self.attach(event), hnp=[(packed(f"2001:db8:1:{number:x}::"), 64)])
        wanted = [opt.QualityOfService(1, 40, ALLOCATE, [(3, bytes(4) + b"\1\0")])]
        options = [opt.MobileNodeGroupIdentifier(1, 1), *wanted]
        message = UpdateNotification(7, codes.UPN_QOS_SERVICE_REQUEST, UPN_A, options)
        data = seal(encode(message), LMA_ADDRESS, MAG_ADDRESS)
        effects = self.feed(PacketReceived(data, LMA_ADDRESS, MAG_ADDRESS))
        (sent,) = [each for each in effects if isinstance(each, Send)]
        answer = decode(sent.data).message
        self.assertEqual((answer.status, len(answer.options)), (0, 2))
        self.assertTrue(all(len(entry.qos) == 1 for entry in self.core.sessions()))


class MemoryTests(MagTestCase):
    """Without the collector of cycles."""

    def test_nothing_is_left(self):
        """A service that goes takes all with it, whatever it was doing."""
        self.make(revocation=True, revocation_global=True, heartbeat_interval=60, request_bulk=True)
        self.feed(Began(3, ()))
        for number in range(5):
            event = MobileAttached("acc0", bytes((2, 0, 0, 0, 0, number)), b"m%d@x" % number)
            self.answer(self.attach(event), hnp=[(packed(f"2001:db8:1:{number:x}::"), 64)])
        self.until(200)
        options = [opt.MobileNodeGroupIdentifier(1, 1)]
        for message in (
            seal(encode(UpdateNotification(7, codes.UPN_FORCE_REREGISTRATION, UPN_A, options)), LMA_ADDRESS,
                 MAG_ADDRESS),
            indication(128, [], LMA_ADDRESS, MAG_ADDRESS, BR_P | BR_G),
        ):  # fmt: skip
            self.feed(PacketReceived(message, LMA_ADDRESS, MAG_ADDRESS))
        self.feed(ClearSessions())
        revocation = self.core._revocation
        self.assertTrue(revocation._sweeps and revocation._initiator.open)
        del revocation
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        sessions = self.core._sessions
        kept = [weakref.ref(each) for each in (self.core, sessions, *sessions.features.all)]
        del sessions
        self.core.close()
        del self.core
        self.assertEqual([each() for each in kept if each() is not None], [])
