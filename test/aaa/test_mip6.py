"""MIPv6: authenticators, home addresses, keys and times (RFC 5778, RFC 4285)."""

import hashlib
import hmac
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.settings import HomeAgent
from appliance.protocols.diameter.client.auth_answers import MIP6A, read
from appliance.protocols.diameter.message.codec import Message
from test.aaa.fakes import KEY, LMA_ADDRESS, PREFIX, D, World, avp, changed, result, with_user
from test.aaa.vectors import message

STAMP = bytes.fromhex("eeae62f080000000")


def mir(*more: bytes, without: tuple[str, ...] = ()) -> Message:
    """The reference's request with other AVPs."""
    return changed(message("MIR"), *more, without=without)


def address(text: str) -> bytes:
    return avp("MIP-Mobile-Node-Address", bytes.fromhex(text))


class MobileIpv6Tests(SynchronousTestCase):
    """MIR and MIA."""

    def refused(self, code: int, text: str, asked: Message, **user: Any) -> Message:
        world = World(with_user(**user))
        answer = world.ask(asked)
        self.assertEqual(result(answer), code)
        self.assertRegex(answer.first(D["Error-Message"]), text)
        self.assertEqual(answer.octets(D["Auth-Request-Type"]), asked.octets(D["Auth-Request-Type"]))
        self.assertEqual(len(world.server.sessions), 0)
        return answer

    def test_authentication(self) -> None:
        """Key, SPI, digest: each of them has to be right."""
        self.refused(4001, "mismatch", mir(), key=b"x")
        self.refused(4001, "no MN-AAA key", mir(), key=b"")
        self.refused(4001, "SPI 3", mir(), spi=7)
        self.assertEqual(result(World(with_user(spi=3)).ask(mir())), 2001)
        other = avp("MIP-MAC-Mobility-Data", bytes(20))
        self.refused(4001, "mismatch", mir(other, without=("MIP-MAC-Mobility-Data",)))
        short = avp("MIP-MAC-Mobility-Data", bytes(19))
        answer = self.refused(5004, "19 octets", mir(short, without=("MIP-MAC-Mobility-Data",)))
        self.assertEqual(answer.first(D["Failed-AVP"]).octets(D["MIP-MAC-Mobility-Data"]), [short])

    def test_mode(self) -> None:
        """5041 for what is not MIP6_AUTH_MN_AAA; its parts have to be there."""
        self.refused(5041, "MIP6_AUTH_MN_AAA", mir(avp("MIP6-Auth-Mode", 2), without=("MIP6-Auth-Mode",)))
        asked = mir(avp("Auth-Request-Type", 2), without=("Auth-Request-Type",))
        self.refused(5041, "AUTHORIZE_AUTHENTICATE", asked)
        answer = self.refused(5005, "MIP-Authenticator is missing", mir(without=("MIP-Authenticator",)))
        self.assertEqual(
            answer.first(D["Failed-AVP"]).octets(D["MIP-Authenticator"]), [avp("MIP-Authenticator", b"")]
        )

    def test_users_that_may_not(self) -> None:
        """Unknown, disabled, no MIPv6, not this service."""
        self.refused(5003, "unknown", mir(), nai="other@home.example")
        self.refused(5003, "disabled", mir(), enabled=False)
        self.refused(5003, "may not use Mobile IPv6", mir(), mip6=False)
        self.refused(5003, "not subscribed", mir(), services=("corp",))

    def test_made_key(self) -> None:
        """Without a key of its own the mobile node makes the same one from timestamp and name."""
        answer = World().ask(mir())
        association = answer.first(D["MIP-MN-HA-MSA"])
        key = hmac.new(KEY, STAMP + b"mn1@home.example", hashlib.sha1).digest()[:16]
        self.assertEqual(association.first(D["MIP-Session-Key"]), key)
        self.assertEqual(association.first(D["MIP-Replay-Mode"]), 2)
        self.assertGreater(association.first(D["MIP-MN-HA-SPI"]), 255)
        self.assertEqual(association.first(D["MIP-MSA-Lifetime"]), 7_200)
        answer = World().ask(mir(avp("MIP-MN-HA-SPI", 0x777), without=("MIP-Timestamp",)))
        association = answer.first(D["MIP-MN-HA-MSA"])
        self.assertEqual(association.first(D["MIP-Replay-Mode"]), 1)
        self.assertEqual(association.first(D["MIP-MN-HA-SPI"]), 0x777, "the one that the update had")

    def test_assigned_addresses(self) -> None:
        """Unset ones are assigned: a prefix with zeros behind it, the user's IPv4 address."""
        both = mir(address("00" * 16), address("00" * 4), without=("MIP-Mobile-Node-Address",))
        answer = World(with_user(ipv4_address=bytes((10, 0, 0, 7)))).ask(both)
        addresses = answer.all(D["MIP-Mobile-Node-Address"])
        self.assertEqual(addresses, [PREFIX[0], bytes((10, 0, 0, 7))])
        only = World().ask(both)
        self.assertEqual(only.all(D["MIP-Mobile-Node-Address"]), [PREFIX[0]])
        self.refused(5012, "no home address", both, prefixes=())

    def test_reported_addresses(self) -> None:
        """They have to be the user's, if it has some."""
        self.assertEqual(result(World(with_user(prefixes=())).ask(mir())), 2001)
        other = mir(address("20010db8ffff00000000000000000001"), without=("MIP-Mobile-Node-Address",))
        self.refused(5003, "not in a prefix", other)
        four = mir(address("0a000009"), without=("MIP-Mobile-Node-Address",))
        self.refused(5003, "not the user's", four, ipv4_address=bytes((10, 0, 0, 7)))

    def test_mobile_networks(self) -> None:
        """Prefixes of a mobile router (RFC 4818); the client reads what the server says."""
        first, second = (bytes.fromhex(f"20010db800{each}") + bytes(10) for each in ("a0", "b1"))
        networks = ((first, 48), (second, 53))
        answer = World(with_user(networks=networks)).ask(mir())
        self.assertEqual(
            [each.hex() for each in answer.all(D["Delegated-IPv6-Prefix"])],
            ["003020010db800a0", "003520010db800b100"],
        )
        self.assertEqual(read(answer, answer.first(D["Session-Id"]), MIP6A).grant.delegated, networks)

    def test_another_home_agent(self) -> None:
        """2009 with the address, and the name if it is known; no session yet."""
        wanted = bytes.fromhex("20010db8000100000000000000000002")
        agent = HomeAgent(host="ha2.home.example", realm="home.example", address=wanted)
        world = World(with_user(home_agent=wanted), home_agents=(agent,))
        answer = world.ask(mir())
        self.assertEqual(result(answer), 2009)
        info = answer.first(D["MIP6-Agent-Info"])
        self.assertEqual(info.first(D["MIP-Home-Agent-Address"]), wanted)
        self.assertEqual(
            info.first(D["MIP-Home-Agent-Host"]).first(D["Destination-Host"]), "ha2.home.example"
        )
        self.assertEqual(len(world.server.sessions), 0)
        self.assertEqual(result(World(with_user(home_agent=LMA_ADDRESS)).ask(mir())), 2001)

    def test_times(self) -> None:
        """A renewed authorization moves the end; the session's own end stays."""
        world = World(with_user(authorization_lifetime=600, grace_period=60, session_timeout=1_000))
        answer = world.ask(mir())
        self.assertEqual(answer.first(D["Authorization-Lifetime"]), 600)
        self.assertEqual(answer.first(D["Session-Timeout"]), 1_000)
        world.pass_time(500)
        answer = world.ask(mir())
        self.assertEqual(answer.first(D["Authorization-Lifetime"]), 500, "not longer than the session")
        self.assertEqual(answer.first(D["Session-Timeout"]), 500)
        world.pass_time(499)
        self.assertEqual(len(world.server.sessions), 1)
        world.pass_time(2)
        self.assertEqual(len(world.server.sessions), 0)
        self.assertEqual(world.server.sessions.history[-1].cause, 8)

    def test_hint(self) -> None:
        """A client may ask for less, not for more."""
        for hint, told in ((60, 60), (100_000, 3_600), (0xFFFFFFFF, 3_600), (0, 3_600)):
            answer = World().ask(mir(avp("Authorization-Lifetime", hint)))
            self.assertEqual(answer.first(D["Authorization-Lifetime"]), told)

    def test_policies(self) -> None:
        """Class, Chargeable-User-Identity, QoS, Session-Binding, interim interval."""
        user = with_user(class_=b"gold", charge=b"c1", bandwidth_up=8_000_000, bandwidth_down=16_000_000)
        answer = World(user, session_binding=4).ask(mir())
        self.assertEqual(answer.first(D["Class"]), b"gold")
        self.assertEqual(answer.first(D["Chargeable-User-Identity"]), b"c1")
        self.assertEqual(answer.first(D["Session-Binding"]), 4)
        self.assertEqual(answer.first(D["Acct-Interim-Interval"]), 300)
        rates = {}
        for rule in answer.first(D["QoS-Resources"]).all(D["Filter-Rule"]):
            direction = rule.first(D["Classifier"]).first(D["Direction"])
            rates[direction] = rule.first(D["QoS-Parameters"]).first(D["Bandwidth"])
        self.assertEqual(rates, {0: 1_000_000.0, 1: 2_000_000.0})

    def test_stateless(self) -> None:
        """A client that wants no state gets none."""
        world = World()
        answer = world.ask(mir(avp("Auth-Session-State", 1), without=("Auth-Session-State",)))
        self.assertEqual((result(answer), answer.first(D["Auth-Session-State"])), (2001, 1))
        self.assertEqual(len(world.server.sessions), 0)
