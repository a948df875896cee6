"""The authentication protocol at the mobile node (RFC 4285), against answers made by hand."""

import hmac

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.events import SendMessage
from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.codec import to_ntp
from test.protocols.mipv6.fakes import AAA_KEY, HOME, KEY
from test.protocols.mn.fakes import NET1, WLAN1, WLAN2, Node

MESG, AUTH = opt.MessageIdentification, opt.Authentication


class AuthenticationTest(SynchronousTestCase):
    """RFC 4285: modes, MESG-ID."""

    def test_aaa_in_the_first_only(self) -> None:
        """``mn-aaa-initial``: both options without a binding, the MN-HA option alone with one."""
        node = Node(authentication="mn-aaa-initial", aaa_key=AAA_KEY)
        node.links(WLAN1)
        subtypes = [each.subtype for each in node.updates()[0].options if isinstance(each, AUTH)]
        self.assertEqual(subtypes, [1, 2])
        node.answer()
        node.links(WLAN2)
        subtypes = [each.subtype for each in node.updates()[0].options if isinstance(each, AUTH)]
        self.assertEqual(subtypes, [1])
        # The home agent may have lost its bindings, and with them the key that AAA gave it.
        node.pass_time(2)
        subtypes = [each.subtype for each in node.updates()[0].options if isinstance(each, AUTH)]
        self.assertEqual(subtypes, [1, 2])

    def test_none(self) -> None:
        """Without authentication an answer needs none."""
        node = Node(authentication="none", associations=())
        node.links(WLAN1)
        node.answer(key=None)
        self.assertEqual(node.state, "registered")

    def test_timestamps_grow(self) -> None:
        """RFC 4285 section 6: each is greater than the one before, even if the clock stands still."""
        node = Node(mesg_id=True)
        node.links(WLAN1)
        node.answer()
        stamps = []
        for _ in range(3):
            node.mono, node.skew = node.mono + 1, node.skew - 1
            node.command("refresh")
            (update,) = node.updates()
            stamps += [each.timestamp for each in update.options if isinstance(each, MESG)]
            node.answer()
        self.assertEqual(stamps, sorted(set(stamps)))
        self.assertLess(abs(stamps[0] - to_ntp(node.now.wall)), 1 << 32)

    def test_other_timestamp(self) -> None:
        """RFC 4285 section 6: an answer that echoes another one is discarded."""
        node = Node(mesg_id=True)
        node.links(WLAN1)
        node.answer(bare=True, options=[opt.MessageIdentification(5)])
        self.assertEqual(node.value("binding-acknowledgement-discarded/mesg-id-mismatch"), 1)

    def test_wanted(self) -> None:
        """Status 145: the option is sent from then on."""
        node = Node()
        node.links(WLAN1)
        node.answer(codes.MIPV6_MESG_ID_REQD)
        self.assertEqual(len(node.updates()), 1)
        node.answer()
        node.command("refresh")
        (update,) = node.updates()
        self.assertTrue(any(isinstance(each, MESG) for each in update.options))

    def test_resynchronized(self) -> None:
        """Status 144: by the seconds of the home agent's clock (the low 32 bits are ours)."""
        node = Node(mesg_id=True)
        node.skew = 3_600.0
        node.links(WLAN1)
        (update,) = node.updates()
        (ours,) = (each.timestamp for each in update.options if isinstance(each, MESG))
        theirs = (ours - (3_600 << 32)) & ~0xFFFFFFFF | ours & 0xFFFFFFFF
        node.answer(codes.MIPV6_ID_MISMATCH, bare=True, options=[opt.MessageIdentification(theirs)])
        (again,) = node.updates()
        (stamp,) = (each.timestamp for each in again.options if isinstance(each, MESG))
        self.assertLess(abs(stamp - theirs), 2 << 32)

    def test_key_of_the_digest(self) -> None:
        """RFC 4285 section 5.1: the authenticator of the update, calculated by hand."""
        node = Node()
        node.links(WLAN1)
        (sent,) = node.of(SendMessage)
        covered = NET1 + HOME + sent.data[:4] + b"\0\0" + sent.data[6:-12]
        self.assertEqual(sent.data[-12:], hmac.new(KEY, covered, "sha1").digest()[:12])
