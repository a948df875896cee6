"""Where two features of a gateway meet."""

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import UPN_A, UpdateNotification
from appliance.protocols.pmipv6.events import MobileAttached, PacketReceived, Send
from appliance.protocols.pmipv6.qos import ALLOCATE
from test.protocols.pmipv6.lma_fakes import packed
from test.protocols.pmipv6.mag_fakes import LMA_ADDRESS, MAG_ADDRESS, MagTestCase


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
