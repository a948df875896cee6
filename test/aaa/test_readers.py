"""What the server sends, read by tshark: a server must not be checked only by our own codec."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.aaa.events import Abort, Reauthorize, Reply, Send
from appliance.protocols.diameter.message.codec import frame
from test.aaa.fakes import HOME_ADDRESS, HOME_AGENTS, LMA_ADDRESS, World, avp, with_user
from test.aaa.test_mip4 import FA_HA, GOOD, MN_FA, MN_HA, amr, haa
from test.aaa.test_pmip6 import ANY_IPV4, ANY_PREFIX, IPV4, S6B, aar, info
from test.aaa.test_server import DER, acr
from test.aaa.vectors import message
from test.protocols.diameter import test_readers


class ServerTests(SynchronousTestCase):
    """Answers of all kinds, and requests of the server's own."""

    def said(self) -> dict[str, bytes]:
        """By what they are answers to."""
        found: dict[str, bytes] = {}

        def note(name: str, effects: list[Any]) -> list[Any]:
            for each in effects:
                if isinstance(each, Reply):
                    found[name] = each.answer
                elif isinstance(each, Send):
                    submit = each.submit
                    found[name] = frame(submit.code, submit.application, 0xC0, 7, 8, submit.avps)
            return effects

        user = with_user(
            services=("internet", "corp"),
            class_=b"gold",
            charge=b"c1",
            bandwidth_up=1_000_000,
            bandwidth_down=2_000_000,
            session_timeout=7_200,
            mn_ha_key=b"k" * 16,
        )
        world = World(user, session_binding=3, home_agents=HOME_AGENTS)
        lma = aar(info(ANY_PREFIX, ANY_IPV4), avp("MIP6-Feature-Vector", 3 << 40))
        note("MIR", world.give(message("MIR")))
        note("AAR of an LMA", world.give(lma))
        note("AAR refused", world.give(aar(info(), user="x@home.example", session="s;2")))
        note("AAR of a MAG", world.give(aar(session="mag1;1;1")))
        note("AAR of S6b", world.give(aar(application=S6B, session="p;1")))
        note("AAR of S6b refused", world.give(aar(application=S6B, session="p;2", user="x@home.example")))
        note("DER", world.give(DER))
        note("ASR", world.feed(Abort("lma1;1;1")))
        note("RAR", world.feed(Reauthorize("mag1;1;1")))
        note("STR", world.give(message("STR")))
        note("STR again", world.give(message("STR")))
        asked = amr(MN_HA | MN_FA | FA_HA, "fa1;1;1", avp("MIP-HA-to-FA-SPI", 0x503))
        send = world.sent(note("HAR", world.give(asked, secure=True)))
        note("AMR", world.answered(send, *GOOD))
        refused = world.sent(world.give(amr(0, "fa1;1;2")))
        note("AMR refused", world.answered(refused, *haa(code=4005)))
        note("AMR without TLS", world.give(amr(MN_FA)))
        co_located = World(with_user(ipv4_address=HOME_ADDRESS))
        note("AMR co-located", co_located.give(message("AMR"), secure=True))
        moved = World(with_user(home_agent=bytes(15) + b"\1"))
        note("MIR of another home agent", moved.give(message("MIR")))
        note("ACR", [Reply(1, world.account(message("ACR_START")).data)])
        note("ACR relayed", [Reply(1, world.account(message("ACR_INTERIM")).data)])
        note("ACR not stored", [Reply(1, world.account(acr(), "failed").data)])
        static = World(with_user(ipv4_address=IPV4, home_agent=LMA_ADDRESS, services=("a", "b")))
        note("AAR of a MAG for LMA", static.give(aar(session="mag1;1;1")))
        return found

    def test_read_by_tshark(self) -> None:
        """Every AVP by its name and value, and nothing malformed."""
        found = self.said()
        self.assertEqual(len(found), 21)
        # What it thinks of MD5-Challenge is in the docstring of the module that speaks it.
        self.patch(test_readers, "COMPLAINTS", (*test_readers.COMPLAINTS, "Vulnerable to MITM attacks"))
        test_readers.Tshark().read(found)
