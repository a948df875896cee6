"""The messages of the reference go through the server, and its answers are those of the reference."""

import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.events import Abort, Keep
from appliance.protocols.diameter.message.codec import Message
from appliance.protocols.diameter.message.faults import check
from test.aaa.fakes import HOME_ADDRESS, KEY, D, World, changed, result, with_user
from test.aaa.vectors import message

#: What the reference says only sometimes.
OFTEN = {"Origin-State-Id"}


def pairs(answer: Message, without: set[str]) -> list[tuple[int, int, bytes]]:
    """Code, flags and data of the AVPs, in an order of their own."""
    codes = {D[name].code for name in without}
    return sorted((each.code, each.flags, each.data) for each in answer.avps if each.code not in codes)


class GoldenTests(SynchronousTestCase):
    """Requests 7.7 to 7.21, answers 7.8 to 7.23."""

    def same(self, answer: Message, name: str, *without: str) -> None:
        """Header and AVPs are those of the reference."""
        expected = message(name)
        for field in ("flags", "code", "application"):
            self.assertEqual(getattr(answer, field), getattr(expected, field), field)
        left = OFTEN | set(without)
        self.assertEqual(pairs(answer, left), pairs(expected, left))

    def test_requests_pass_the_grammar(self) -> None:
        """The server is only given what the node has checked: these are."""
        for name in ("ACR_START", "ACR_INTERIM", "ACR_STOP", "MIR", "AMR", "AAR", "STR", "ASR"):
            self.assertIsNone(check(message(name), D), name)

    def test_accounting_start(self) -> None:
        """7.7, 7.8: interim interval and real-time policy; Acct-Multi-Session-Id is echoed besides."""
        answer = World().account(message("ACR_START"))
        self.same(answer, "ACA_START", "Acct-Multi-Session-Id")
        self.assertEqual((answer.hop_by_hop, answer.end_to_end), (0x10000010, 0xA0000010))
        self.assertEqual(answer.first(D["Acct-Multi-Session-Id"]), "lma1.home.example;3973075200;0")
        self.assertEqual(answer.first(D["Origin-State-Id"]), 1_795_417_000)

    def test_accounting_record(self) -> None:
        """7.10: what is kept of a STOP, counters above 2^32 among it."""
        world = World()
        (keep,) = [each for each in world.give(message("ACR_STOP")) if isinstance(each, Keep)]
        record = keep.record
        self.assertEqual(record.received, 1_795_417_200_000_000)
        self.assertEqual(record.key, ("lma1.home.example;3973075200;1", 1, 2, 4, "lma1.home.example"))
        self.assertEqual((record.user, record.host), ("mn1@home.example", "lma1.home.example"))
        self.assertEqual((record.octets_in, record.octets_out), (5 << 30, 7 << 30))
        self.assertEqual((record.packets_in, record.packets_out), (4_194_304, 5_242_880))
        self.assertEqual((record.duration, record.cause, record.event), (600, 1, 1_795_417_800))
        self.assertEqual((record.multi, record.application), ("lma1.home.example;3973075200;0", 2))
        self.assertEqual((record.end_to_end, record.raw), (0xA0000012, message("ACR_STOP").body))

    def test_accounting_behind_a_relay(self) -> None:
        """7.9: Proxy-Info comes back, at the end."""
        answer = World().account(message("ACR_INTERIM"))
        self.assertEqual(answer.octets(D["Proxy-Info"]), message("ACR_INTERIM").octets(D["Proxy-Info"]))
        self.assertEqual(answer.avps[-1].code, 284)
        self.assertIsNone(answer.first(D["Acct-Interim-Interval"]), "that is for START")

    def test_accounting_counter_missing(self) -> None:
        """7.23: RFC 4004 requires the counters in every record."""
        answer = World().ask(changed(message("ACR_START"), without=("Accounting-Input-Octets",)))
        expected = message("ACA_MISSING")
        left = OFTEN | {"Acct-Application-Id"}
        self.assertEqual(pairs(answer, left), pairs(expected, left))

    def test_mobile_ipv6(self) -> None:
        """7.12, 7.13: authenticator checked, key and times given."""
        user = with_user(
            mn_ha_key=bytes(range(16, 32)), mn_ha_spi=0x1234, session_timeout=7_200, interim_interval=0
        )
        answer = World(user).ask(message("MIR"))
        self.same(answer, "MIA", "Auth-Grace-Period")
        self.assertEqual(answer.first(D["Auth-Grace-Period"]), 60)

    def test_mobile_ipv6_refused(self) -> None:
        """7.14: the authenticator was made with another key."""
        self.same(World(with_user(key=b"another key")).ask(message("MIR")), "MIA_REFUSED")

    def test_mobile_ipv4_co_located(self) -> None:
        """7.15, 7.16: the same AVPs, but for SPIs, nonce and key, which are new each time."""
        user = with_user(ipv4_address=HOME_ADDRESS)
        answer = World(user).ask(message("AMR"), secure=True)
        keys = ("MIP-HA-to-MN-MSA", "MIP-MN-to-HA-MSA")
        self.same(answer, "AMA", *keys)
        association, nonces = (answer.first(D[name]) for name in keys)
        nonce = nonces.first(D["MIP-Nonce"])
        self.assertEqual(len(nonce), 16)
        # RFC 3957 section 5.
        key = hmac.new(KEY, nonce + b"mn1@home.example", hashlib.sha1).digest()
        self.assertEqual(association.first(D["MIP-Session-Key"]), key)
        for group in (association, nonces):
            self.assertEqual(group.first(D["MIP-Algorithm-Type"]), 2)
            self.assertEqual(group.first(D["MIP-Replay-Mode"]), 2)
            self.assertGreater(group.first(D["MIP-MN-HA-SPI"]), 255)

    def test_proxy_mobile_ipv6_refused(self) -> None:
        """7.17, 7.18: the service is not one of the user's."""
        answer = World(with_user(services=("corporate",))).ask(message("AAR"))
        self.same(answer, "AAA_REFUSED")

    def test_proxy_mobile_ipv6(self) -> None:
        """7.17: the prefix is the user's own, the IPv4 address is left to the LMA."""
        world = World()
        answer = world.ask(message("AAR"))
        self.assertEqual(result(answer), 2001)
        self.assertEqual(answer.first(D["Service-Selection"]), "internet")
        self.assertEqual(answer.first(D["MIP6-Feature-Vector"]), 0x30000000000)
        self.assertEqual(answer.first(D["Authorization-Lifetime"]), 3_600)
        self.assertEqual(answer.first(D["Re-Auth-Request-Type"]), 0)

    def test_termination(self) -> None:
        """7.19, 7.20: the session of 7.12 ends; a second time it is unknown."""
        world = World()
        world.ask(message("MIR"))
        self.same(world.ask(message("STR")), "STA")
        self.assertEqual(len(world.server.sessions), 0)
        self.assertEqual(result(world.ask(message("STR"))), 5002)

    def test_abort(self) -> None:
        """7.21, 7.22: the ASR is the reference's; the client does not know the session any more."""
        world = World()
        world.ask(message("MIR"))
        send = world.sent(world.feed(Abort("lma1.home.example;3973075200;1;mip6a")))
        expected = message("ASR")
        submit = send.submit
        self.assertEqual((submit.code, submit.application, submit.host), (274, 8, "lma1.home.example"))
        ours = Message(expected.data[:20] + submit.avps)
        self.assertEqual(pairs(ours, OFTEN), pairs(expected, OFTEN))
        answer = message("ASA")
        world.answered(send, *(each.octets for each in answer.avps[1:]))
        self.assertEqual(len(world.server.sessions), 0)
        self.assertEqual(world.server.sessions.history[-1].cause, 4)
