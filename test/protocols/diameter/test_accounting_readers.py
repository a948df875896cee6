"""What the accounting client sends, read by tshark: records must not be checked only by our own codec."""

from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.accounting_records import (
    APPLICATIONS,
    DELAY_TIME,
    DESTINATION_HOST,
    NOTHING,
    Facts,
    RecordBuilder,
    closing,
)
from appliance.protocols.diameter.client.spool_format import EVENT, INTERIM, KINDS, START, STOP
from appliance.protocols.diameter.message.codec import frame
from appliance.protocols.mobility.aaa import Grant, Usage
from test.protocols.diameter import test_readers
from test.protocols.diameter.accounting_fakes import EPOCH, subject

GRANT = Grant(classes=(b"gold",), charge=b"cui", features=3, bandwidth_up=8_000, bandwidth_down=16_000)
USAGE = Usage(1 << 33, 1 << 20, 1 << 40, 1 << 30)


class RecordTests(SynchronousTestCase):
    """Records of every application and kind, first and repeated."""

    def records(self) -> dict[str, bytes]:
        """By application, kind and what is special."""
        found: dict[str, bytes] = {}
        for application, number in APPLICATIONS.items():
            builder = RecordBuilder("lma1.home.example", "home.example", application, 1_795_417_122)
            for kind in (START, INTERIM, STOP, EVENT):
                for name, who, grant in (
                    ("both families", subject(), GRANT),
                    ("MIPv6", subject(home_address=bytes(15) + b"\1", ipv4_address=None), NOTHING),
                ):
                    facts = Facts(
                        kind=kind,
                        number=kind,
                        session_id="lma1.home.example;1795417200;1;lma1",
                        multi_session_id="lma1.home.example;1795417200;1;lma1",
                        sub_session=1,
                        realm="home.example",
                        wall=EPOCH,
                        usage=USAGE,
                        seconds=600,
                        cause=1 if kind == STOP else 4 if kind == EVENT else 0,
                        text="registration refused with status 153" if kind == EVENT else "",
                    )
                    body = builder.build(facts, who, grant)
                    where = f"{application} {KINDS[kind]} {name}"
                    found[where] = frame(271, number, 0xC0, len(found) + 1, len(found) + 1, body)
                    if kind == INTERIM:
                        stop, _ = closing(body, 21, EPOCH + 9)
                        stop += DESTINATION_HOST.encode("aaa1.home.example") + DELAY_TIME.encode(77)
                        found[f"{where} closed"] = frame(271, number, 0xD0, len(found) + 1, 1, stop)
        return found

    def test_read_by_tshark(self) -> None:
        """Every AVP by its name and value, and nothing malformed."""
        found = self.records()
        self.assertEqual(len(found), 40)
        test_readers.Tshark().read(found)
