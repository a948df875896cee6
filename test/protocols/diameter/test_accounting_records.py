"""The AVPs of accounting records: the messages of the reference, every application, every kind."""

from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.diameter.client.accounting_records import (
    APPLICATIONS,
    NOTHING,
    Facts,
    RecordBuilder,
    closing,
    mobile_addresses,
)
from appliance.protocols.diameter.client.spool_format import EVENT, INTERIM, START, STOP
from appliance.protocols.diameter.message.codec import Group, Message, frame
from appliance.protocols.diameter.message.dictionary import standard
from appliance.protocols.diameter.message.faults import check
from appliance.protocols.diameter.message.text import texts_of
from appliance.protocols.mobility.aaa import Grant, Subject, Usage
from test.protocols.diameter.accounting_fakes import subject
from test.protocols.diameter.golden import MESSAGES

_D = standard()
COUNTERS = {
    "Accounting-Input-Octets",
    "Accounting-Output-Octets",
    "Accounting-Input-Packets",
    "Accounting-Output-Packets",
    "Acct-Session-Time",
}
ALWAYS = {
    "Session-Id",
    "Origin-Host",
    "Origin-Realm",
    "Destination-Realm",
    "Accounting-Record-Type",
    "Accounting-Record-Number",
    "Acct-Application-Id",
    "User-Name",
    "Event-Timestamp",
    "MIP-Mobile-Node-Address",
    "MIP-Careof-Address",
    "Calling-Station-Id",
    "Service-Selection",
}
OF = {
    "base": {"MIP-Home-Agent-Address", "MIP6-Agent-Info", "MIP6-Feature-Vector"},
    "mip6a": {"MIP6-Agent-Info", "MIP6-Feature-Vector"},
    "mobile-ip": {"MIP-Home-Agent-Address", "MIP-Feature-Vector", *COUNTERS},
    "nasreq": {
        "MIP-Home-Agent-Address",
        "MIP6-Agent-Info",
        "MIP6-Feature-Vector",
        "Acct-Session-Id",
        "Acct-Authentic",
        "NAS-IPv6-Address",
        "NAS-Port-Type",
        "Service-Type",
        "Framed-IP-Address",
        "Framed-IPv6-Prefix",
    },
}
PREFIX = bytes.fromhex("20010db8000000010000000000000000")


def facts(kind: int = START, number: int = 0, **more: Any) -> Facts:
    """What a record of the session of the reference says."""
    return Facts(
        kind=kind,
        number=number,
        session_id="lma1.home.example;3973075200;1",
        realm="home.example",
        wall=1_795_417_200.7 + 300 * number,
        **more,
    )


def pairs(body: bytes) -> dict[str, str]:
    """Names and values as text; of several with one name the last."""
    return dict(texts_of(_D).pairs(body))


def fault(body: bytes, application: str) -> Any:
    """What the checks of a server find."""
    return check(Message(frame(271, APPLICATIONS[application], 0xC0, 1, 1, body)), _D)


class GoldenTests(SynchronousTestCase):
    def build(self, name: str, made: Facts) -> None:
        """The record is that of the reference, but for what the sender adds and for the flags of its HA."""
        builder = RecordBuilder("lma1.home.example", "home.example", "mobile-ip", 1_795_417_122)
        made.multi_session_id, made.sub_session = "lma1.home.example;3973075200;0", 1
        who = Subject(
            call_id=1,
            mn_id=b"mn1@home.example",
            local=ip_address("2001:db8:1::1").packed,
            home_address=ip_address("2001:db8:1:2::100").packed,
        )
        found = {f"{name} = {value}" for name, value in pairs(builder.build(made, who, NOTHING)).items()}
        wanted = set(MESSAGES[name].lines)
        self.assertEqual(found - wanted, {"MIP-Feature-Vector = 0"})
        left_out = {line.partition(" ")[0] for line in wanted - found}
        self.assertEqual(
            left_out - {"Proxy-Info", "Route-Record"}, {"Destination-Host", "MIP-Feature-Vector"}
        )

    def test_start(self) -> None:
        """ACR START of Mobile IPv4 (7.7)."""
        self.build("acr start", facts())

    def test_interim(self) -> None:
        """ACR INTERIM (7.9), without what a relay has added."""
        usage = Usage(1_500_000, 1_200, 9_000_000, 7_200)
        self.build("acr interim relayed", facts(INTERIM, 1, usage=usage, seconds=300))

    def test_stop(self) -> None:
        """ACR STOP (7.10) with counters above 2**32."""
        usage = Usage(5_368_709_120, 4_194_304, 7_516_192_768, 5_242_880)
        self.build("acr stop", facts(STOP, 2, usage=usage, seconds=600, cause=1))


class AttributeTests(SynchronousTestCase):
    def test_each_application_and_kind(self) -> None:
        """Exactly the attributes of the table, and nothing a server would object to."""
        for application, special in OF.items():
            builder = RecordBuilder("lma1.home.example", "home.example", application)
            for kind in (START, INTERIM, STOP, EVENT):
                cause = 1 if kind == STOP else 0
                body = builder.build(facts(kind, cause=cause), subject(), NOTHING)
                wanted = ALWAYS | special
                if kind in (INTERIM, STOP):
                    wanted = wanted | COUNTERS
                if kind == STOP:
                    wanted = wanted | {"Termination-Cause"}
                self.assertEqual(set(pairs(body)), wanted, f"{application} {kind}")
                self.assertIsNone(fault(body, application), f"{application} {kind}")
                self.assertEqual(Group(body).first(_D["Acct-Application-Id"]), APPLICATIONS[application])

    def test_access_network_and_delegated_prefixes(self) -> None:
        """RFC 7155 section 4.2.5 and RFC 4818; of IPv4 a Framed-Route (RFC 7155 section 4.4.10.5.3)."""
        who = subject()
        who.access_network = ((2, bytes(6)), (1, b"\x80\5caf\xc3\xa9\x1100-10-A4-23-19-C0"))
        who.delegated = (
            (ip_address("2001:db8:d::").packed, 56),
            (ip_address("10.9.0.16").packed, 28),
        )
        for application in OF:
            body = RecordBuilder("l.h", "h", application).build(facts(), who, NOTHING)
            found = pairs(body)
            self.assertEqual(found["Called-Station-Id"], '"00-10-A4-23-19-C0:caf\\\\xe9"')
            self.assertEqual(
                Group(body).first(_D["Delegated-IPv6-Prefix"]), bytes.fromhex("003820010db8000d00")
            )
            self.assertEqual(found["Framed-Route"], '"10.9.0.16/28 0.0.0.0 1"')
            self.assertIsNone(fault(body, application), application)

    def test_values_of_the_mobile_node(self) -> None:
        """Addresses, anchor, care-of address, link-layer identifier as the RFCs write them."""
        body = RecordBuilder("l.h", "h", "nasreq").build(facts(), subject(), NOTHING)
        found = pairs(body)
        self.assertEqual(found["Calling-Station-Id"], '"00-23-32-C9-79-38"')
        self.assertEqual(found["MIP-Careof-Address"], "2001:db8:99::10")
        self.assertEqual(found["NAS-Port-Type"], "IEEE_802_11")
        self.assertEqual(found["Acct-Authentic"], "LOCAL")
        self.assertEqual(found["Framed-IPv6-Prefix"], "0x004020010db800000001")
        self.assertEqual(
            found["MIP6-Agent-Info"],
            "{ MIP-Home-Agent-Address = 2001:db8:1::1, MIP6-Home-Link-Prefix = 2001:db8:0:1::/64, "
            "PMIP6-IPv4-Home-Address = 10.0.0.1 }",
        )
        self.assertEqual(
            Group(body).all(_D["MIP-Mobile-Node-Address"]), [PREFIX, ip_address("10.0.0.1").packed]
        )

    def test_one_address_for_mobile_ipv4(self) -> None:
        """RFC 4004 has one address: the IPv4 one, if there is one."""
        builder = RecordBuilder("l.h", "h", "mobile-ip")
        both = Group(builder.build(facts(), subject(), NOTHING))
        self.assertEqual(both.all(_D["MIP-Mobile-Node-Address"]), [ip_address("10.0.0.1").packed])
        one = Group(builder.build(facts(), subject(ipv4_address=None), NOTHING))
        self.assertEqual(one.all(_D["MIP-Mobile-Node-Address"]), [PREFIX])

    def test_what_the_server_granted(self) -> None:
        """Class, Chargeable-User-Identity, features and bandwidths go into every record."""
        grant = Grant(
            classes=(b"gold", b"\xff\0"),
            charge=b"cui-1",
            features=0x3,
            bandwidth_up=8_000,
            bandwidth_down=16_000,
        )
        for application in OF:
            body = RecordBuilder("l.h", "h", application).build(facts(), subject(), grant)
            group = Group(body)
            self.assertEqual(group.all(_D["Class"]), [b"gold", b"\xff\0"])
            self.assertEqual(group.first(_D["Chargeable-User-Identity"]), b"cui-1")
            rules = group.first(_D["QoS-Resources"]).all(_D["Filter-Rule"])
            self.assertEqual(
                [rule.first(_D["QoS-Parameters"]).first(_D["Bandwidth"]) for rule in rules],
                [1_000.0, 2_000.0],
            )
            if application != "mobile-ip":
                self.assertEqual(group.first(_D["MIP6-Feature-Vector"]), 3)
            self.assertIsNone(fault(body, application))

    def test_an_identifier_that_is_no_text(self) -> None:
        """Octets that are no UTF-8 are written so that they can be told."""
        body = RecordBuilder("l.h", "h", "").build(facts(), subject(mn_id=b"a\xff@h"), NOTHING)
        self.assertEqual(Group(body).first(_D["User-Name"]), "a\\xff@h")
        self.assertIsNone(fault(body, "base"))

    def test_addresses(self) -> None:
        """MIPv6: the home address; PMIPv6: prefix and IPv4 address; none at all."""
        self.assertEqual(mobile_addresses(subject(home_address=PREFIX[:15] + b"\1")), [
            PREFIX[:15] + b"\1", ip_address("10.0.0.1").packed,
        ])  # fmt: skip
        self.assertEqual(mobile_addresses(subject(prefixes=(), ipv4_address=None)), [])

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_any_session(self, data: st.DataObject) -> None:
        """Whatever a session has, its records are good Diameter."""
        address = st.binary(min_size=16, max_size=16)
        four = st.binary(min_size=4, max_size=4)
        who = Subject(
            call_id=1,
            mn_id=data.draw(st.binary(min_size=1, max_size=60)),
            local=data.draw(st.one_of(address, four)),
            care_of=data.draw(st.one_of(st.just(b""), address, four)),
            prefixes=tuple(
                (each, length)
                for each, length in data.draw(st.lists(st.tuples(address, st.integers(0, 128)), max_size=3))
            ),
            ipv4_address=data.draw(st.one_of(st.none(), four)),
            home_address=data.draw(st.one_of(st.just(b""), address)),
            link_layer=data.draw(st.binary(max_size=16)),
            technology=data.draw(st.integers(0, 255)),
            service=data.draw(st.binary(max_size=30)),
        )
        application = data.draw(st.sampled_from(sorted(OF)))
        builder = RecordBuilder("l.h", "h", application, data.draw(st.integers(0, 5)))
        made = facts(
            data.draw(st.integers(1, 4)),
            data.draw(st.integers(0, 2**32 - 2)),
            multi_session_id=data.draw(st.text(max_size=10)),
            sub_session=data.draw(st.integers(0, 2**64 - 1)),
            usage=Usage(*(data.draw(st.integers(0, 2**64 - 1)) for _ in range(4))),
            seconds=data.draw(st.integers(0, 2**33)),
            cause=data.draw(st.integers(0, 32)),
            text=data.draw(st.text(max_size=10)),
        )
        made.wall = data.draw(st.floats(0, 4e9))
        body = builder.build(made, who, NOTHING)
        if application != "mobile-ip" or mobile_addresses(who):
            self.assertIsNone(fault(body, application))
        self.assertEqual(Group(body).first(_D["Accounting-Record-Number"]), made.number)
        if made.kind in (START, INTERIM):
            stop, ended = closing(body, 21, made.wall + 5)
            self.assertEqual(Group(stop).first(_D["Accounting-Record-Number"]), made.number + 1)
            self.assertGreaterEqual(ended, int(made.wall))


class ClosingTests(SynchronousTestCase):
    def close(self, kind: int, application: str, ended: float) -> tuple[dict[str, str], float]:
        builder = RecordBuilder("lma1.home.example", "home.example", application)
        usage = Usage(10, 1, 1 << 40, 2)
        body, when = closing(
            builder.build(facts(kind, 3, usage=usage, seconds=900), subject(), NOTHING), 21, ended
        )
        self.assertIsNone(fault(body, application))
        return pairs(body), when

    def test_from_an_interim_record(self) -> None:
        """Its counters, one number more, and the time until the process was last seen alive."""
        found, when = self.close(INTERIM, "base", 1_795_418_110.0)
        self.assertEqual(when, 1_795_418_110.0)
        self.assertEqual(found["Accounting-Record-Type"], "STOP_RECORD")
        self.assertEqual(found["Accounting-Record-Number"], "4")
        self.assertEqual(found["Accounting-Output-Octets"], str(1 << 40))
        self.assertEqual(found["Acct-Session-Time"], "910")
        self.assertEqual(found["Event-Timestamp"], "2026-11-23T07:15:10Z")
        self.assertEqual(found["Termination-Cause"], "NAS_REBOOT")

    def test_from_a_start(self) -> None:
        """A START has no counters: its STOP has them all the same, for nothing is known to have passed."""
        found, _ = self.close(START, "base", 0.0)
        self.assertEqual({name: found[name] for name in COUNTERS}, dict.fromkeys(COUNTERS, "0"))
        self.assertEqual(found["Event-Timestamp"], "2026-11-23T07:15:00Z")

    def test_every_application(self) -> None:
        """What a server wants of a STOP is there."""
        for application in OF:
            for kind in (START, INTERIM):
                self.close(kind, application, 1_795_418_110.0)
