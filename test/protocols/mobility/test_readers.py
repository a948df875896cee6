"""What we send, read by Scapy and by tshark: a codec must not be checked only against itself."""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from scapy.layers import inet6
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import more_options as more
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.options import OPTIONS
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from test.protocols.mobility.test_messages import WIRE as MESSAGE_WIRE
from test.protocols.mobility.test_options import WIRE as OPTION_WIRE
from test.protocols.mobility.vectors import PACKETS

MAG, ANCHOR = IPv6Address("2001:db8:a::1"), IPv6Address("2001:db8:ffff::1")
SOME, SOME4 = IPv6Address("2001:db8:77::7"), IPv4Address("203.0.113.7")

# Options with what tshark has to say of them; every row is here or in OPTION_WIRE. Octets of the options
# 9, 12-14, 16 and 18 are not compared: tshark 4.0 shows them without the last two.
OPTIONS_SENT: list[tuple[o.Option, dict[str, str]]] = [
    (o.BindingRefreshAdvice(30), {"mip6.bra.interval": "30"}),
    (o.AlternateCareOfAddress(SOME.packed), {"mip6.acoa.acoa": str(SOME)}),
    (o.NonceIndices(3, 4), {"mip6.ni.hni": "3", "mip6.ni.cni": "4"}),
    (o.BindingAuthorizationData(b"authenticate"), {"mip6.bad.auth": b"authenticate".hex()}),
    (o.MobileNetworkPrefix(48, SOME.packed), {"mip6.nemo.mnp.pfl": "48", "mip6.nemo.mnp.mnp": str(SOME)}),
    (o.LinkLayerAddress(2, b"\2\0\x5e\x10\0\1"), {"mip6.lla.optcode": "2", "mip6.lla": "02:00:5e:10:00:01"}),
    (o.MobileNodeIdentifier(1, b"mn1@example.org"), {"mip6.mnid.identifier": "mn1@example.org"}),
    (o.Authentication(1, 256, b"authenticate"), {"mip6.auth.subtype": "1", "mip6.auth.mobility_spi": "256"}),
    (o.MessageIdentification(0xE8FE6F8040000000), {}),  # tshark 4.0 is 70 years late
    (o.DnsUpdate(0, 0x80, b"mn.example.org"), {"mip6.dnsu.flag.r": "1"}),
    (o.VendorSpecific(10415, 4, b"\0\1"), {"mip6.vsm.vendorId": "10415", "mip6.vsm.subtype": "4"}),
    (o.ServiceSelection(b"internet"), {"mip6.ss.identifier": "internet"}),
    (o.HomeNetworkPrefix(64, SOME.packed), {"mip6.nemo.mnp.pfl": "64", "mip6.nemo.mnp.mnp": str(SOME)}),
    (o.HandoffIndicator(3), {"mip6.hi": "3"}),
    (o.AccessTechnologyType(8), {"mip6.att": "8"}),
    (o.MobileNodeLinkLayerIdentifier(b"\2\0\x5e\x10\0\1"), {"mip6.mnlli.lli": "02005e100001"}),
    (o.LinkLocalAddress(IPv6Address("fe80::1").packed), {"mip6.lila_lla": "fe80::1"}),
    (o.Timestamp(0x6553F1008000), {"mip6.timestamp_tmp": "Nov 14, 2023 22:13:20.500000000 UTC"}),
    (o.RestartCounter(7), {"mip6.rc": "7"}),
    (o.IPv4HomeAddress(24, 1, SOME4.packed), {"mip6.ipv4ha.preflen": "24", "mip6.ipv4ha.p_flag": "1"}),
    (o.IPv4AddressAcknowledgement(129, 32, SOME4.packed), {"mip6.ipv4aa.sts": "129"}),
    (o.NatDetection(1, 110), {"mip6.natd.f_flag": "1", "mip6.natd.refresh_t": "110"}),
    (o.IPv4CareOfAddress(SOME4.packed), {"mip6.ipv4coa.addr": str(SOME4)}),
    (o.GreKey(0x1001), {"mip6.gre_key": "4097"}),
    (
        more.MobilityHeaderAddress(1, 64, SOME.packed),
        {"mip6.mhipv6ap.opt_code": "1", "mip6.mhipv6ap.len": "64"},
    ),
    (o.BindingIdentifier(7, 164, 1, SOME.packed), {"mip6.bi.bid": "7", "mip6.bi.coa_ipv6": str(SOME)}),
    (o.BindingIdentifier(7, 0, 0, SOME4.packed), {"mip6.bi.h_flag": "0", "mip6.bi.coa_ipv4": str(SOME4)}),
    (o.IPv4DefaultRouterAddress(SOME4.packed), {"mip6.ipv4dra.dra": str(SOME4)}),
    (o.IPv4DhcpSupportMode(1), {"mip6.ipv4dsm.s_flag": "1"}),
    (
        more.LocalMobilityAnchorAddress(1, SOME.packed),
        {"mip6.lmaa.opt_code": "1", "mip6.lmaa.ipv6": str(SOME)},
    ),
    (more.LocalMobilityAnchorAddress(2, SOME4.packed), {"mip6.lmaa.ipv4": str(SOME4)}),
    (more.ContextRequest([(22, b""), (8, b"\1")]), {}),
    (more.CgaParametersRequest(), {}),
    (more.CgaParameters(b"parameters"), {}),
    (more.Signature(b"signed"), {}),
    (more.PermanentHomeKeygenToken(b"token"), {}),
    (more.CareOfTestInitOption(), {}),
    (more.CareOfTestOption(b"01234567"), {}),
    (more.Experimental(b"data"), {}),
    (more.FastBindingAuthorizationData(bytes(3) + b"\7authenticate"), {"mip6.badff.spi": "7"}),
    (more.LinkLocalInterfaceIdentifier(b"01234567"), {}),
    (
        o.Redirect(SOME.packed),
        {"mip6.redir.k": "1", "mip6.redir.n": "0", "mip6.redir.addr_r2lma_ipv6": str(SOME)},
    ),
    (
        o.Redirect(SOME4.packed),
        {"mip6.redir.k": "0", "mip6.redir.n": "1", "mip6.redir.addr_r2lma_ipv4": str(SOME4)},
    ),
    (
        o.LoadInformation(1, 2, 3, 4, 5),
        {"mip6.load_inf.priority": "1", "mip6.load_inf.sessions_in_use": "2"}
        | {"mip6.load_inf.maximum_sessions": "3", "mip6.load_inf.used_capacity": "4"}
        | {"mip6.load_inf.maximum_capacity": "5"},
    ),
    (o.AlternateIPv4CareOfAddress(SOME4.packed), {"mip6.alt_ip4": str(SOME4)}),
    (o.MobileNodeGroupIdentifier(1, 77), {"mip6.mng.sub_type": "1", "mip6.mng.mng_id": "77"}),
    (o.MagIPv6Address(128, SOME.packed), {"mip6.mag_ipv6.address_length": "128"}),
    (o.AccessNetworkIdentifier([(1, b"\x80\4ssid\2ap")]), {"mip6.acc_net_id.net_name_len": "4"}),
    (
        o.DelegatedMobileNetworkPrefix(56, SOME.packed),
        {"mip6.dmnp.v_flag": "0", "mip6.dmnp.prefix_len": "56"},
    ),
    (
        o.DelegatedMobileNetworkPrefix(24, SOME4.packed),
        {"mip6.dmnp.v_flag": "1", "mip6.dmnp.dmnp_ipv4": str(SOME4)},
    ),
    (more.ActiveMulticastSubscriptionIPv4(0x22, bytes(8)), {}),
    (more.ActiveMulticastSubscriptionIPv6(143, bytes(20)), {}),
    (more.AnchoredPrefix(64, SOME.packed), {}),
    (more.LocalPrefix(64, SOME.packed), {}),
    (more.PreviousMaar(64, SOME.packed, SOME.packed), {}),
    (more.ServingMaar(SOME.packed), {}),
    (more.DlifLinkLocalAddress(SOME.packed), {}),
    (more.DlifLinkLayerAddress(b"\2\0\x5e\x10\0\1"), {}),
    (more.FlowSummary(b"\0\1\0\2"), {}),
    (more.FlowIdentification(bytes(6)), {}),
    (more.IPv4TrafficOffloadSelector(bytes(6)), {}),
    (more.DynamicMulticastSelector(bytes(6)), {}),
    (more.MulticastMobility(bytes(6)), {}),
    (more.MulticastAcknowledgement(bytes(6)), {}),
]

MESSAGES_SENT: list[tuple[m.Message, dict[str, str]]] = [
    (
        m.BindingUpdate(7, m.BU_A | m.BU_P | m.BU_T | m.BU_B, 900),
        {"mip6.bu.seqnr": "7", "mip6.bu.a_flag": "1", "mip6.bu.p_flag": "1", "mip6.bu.t_flag": "1"}
        | {"mip6.bu.b_flag": "1", "mip6.bu.h_flag": "0", "mip6.bu.f_flag": "0", "mip6.bu.lifetime": "900"},
    ),
    (
        m.BindingAcknowledgement(155, m.BA_P | m.BA_B, 7, 900),
        {"mip6.ba.status": "155", "mip6.ba.p_flag": "1", "mip6.ba.b_flag": "1", "mip6.ba.t_flag": "0"}
        | {"mip6.ba.seqnr": "7", "mip6.ba.lifetime": "900"},
    ),
    (m.BindingError(1, SOME.packed), {"mip6.be.status": "1", "mip6.be.haddr": str(SOME)}),
    (
        m.HomeTest(7, b"cookie-1", b"token--1"),
        {"mip6.hot.nindex": "7", "mip6.hot.cookie": "0x" + b"cookie-1".hex()},
    ),
    (m.CareOfTest(8, b"cookie-2", b"token--2"), {"mip6.cot.nindex": "8"}),
    (m.FastBindingUpdate(1, m.BU_A | m.BU_K, 2), {"mip6.fbu.seqnr": "1", "mip6.fbu.k_flag": "1"}),
    (m.FastBindingAcknowledgment(128, 0x80, 1, 2), {"mip6.fback.status": "128", "mip6.fback.k_flag": "1"}),
    (m.Heartbeat(m.HB_R, 77), {"mip6.hb.r_flag": "1", "mip6.hb.u_flag": "0", "mip6.hb.seqnr": "77"}),
    (
        m.BindingRevocationIndication(2, 77, m.BR_P),
        {"mip6.bri_br.type": "1", "mip6.bri_r.trigger": "2", "mip6.bri_seqnr": "77", "mip6.bri_ip": "1"}
        | {"mip6.bri_iv": "0", "mip6.bri_ig": "0"},
    ),
    (
        m.BindingRevocationAcknowledgement(1, 77, m.BR_G),
        {"mip6.bri_br.type": "2", "mip6.bri_status": "1", "mip6.bri_seqnr": "77", "mip6.bri_ag": "1"},
    ),
    (m.HandoverInitiate(1, 0x80, 2), {"mip6.hi.seqnr": "1", "mip6.hi.s_flag": "1", "mip6.hi.code": "2"}),
    (m.HandoverAcknowledge(1, 0, 128), {"mip6.hack.seqnr": "1", "mip6.hack.code": "128"}),
]

# tshark 4.0 takes the addresses of a Home Agent Switch for options, and reads both localized routing messages
# from their first octet as if the header were not there (compare RFC 5142 section 4, RFC 6705 section 10).
NOT_READ = (m.HomeAgentSwitch, m.LocalizedRoutingInitiation, m.LocalizedRoutingAcknowledgment)

# tshark 4.0 wants an identifier in a Mobile Node Identifier, which RFC 5213 section 5.3.6 leaves out, and
# 16 octets in a MAG IPv6 Address, for which RFC 6705 section 11.1 says 18.
WRONG_COMPLAINTS = (
    "Mobile Node Identifier (with option length = 1 byte; should be >= 2)",
    "MAG IPv6 Address (with option length = 18 bytes; should be 16)",
    "IE data not dissected yet",
)


def carrier(option: o.Option) -> m.Message:
    """A message with one option."""
    return m.BindingUpdate(1, m.BU_A | m.BU_P, 9, [option])


def in_ipv6(message: m.Message) -> bytes:
    """The whole packet with ``message`` from the MAG to the LMA."""
    return build_ipv6(MobilityPacket(MAG.packed, ANCHOR.packed, encode(message)))


def sent() -> Iterable[tuple[str, bytes, dict[str, str]]]:
    """Everything that is sent: what it is, the packet, fields that tshark has to find."""
    for name, (packet, message) in PACKETS.items():
        whole = in_ipv6(message) if packet[0] >> 4 == 6 else packet[: -len(encode(message))] + encode(message)
        yield name, whole, {"mip6.mhtype": str(message.TYPE)}
    for message, _ in MESSAGE_WIRE:
        if not isinstance(message, NOT_READ):
            yield repr(message), in_ipv6(message), {"mip6.mhtype": str(message.TYPE)}
    for message, fields in MESSAGES_SENT:
        yield repr(message), in_ipv6(message), fields
    for option, _ in OPTION_WIRE:
        yield repr(option), in_ipv6(carrier(option)), {"mip6.bu.seqnr": "1"}
    for option, fields in OPTIONS_SENT:
        yield repr(option), in_ipv6(carrier(option)), fields


def capture_file(packets: Iterable[bytes]) -> bytes:
    """A capture file of link type 101, raw IP."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    return head + b"".join(struct.pack("<IIII", 0, 0, len(p), len(p)) + p for p in packets)


class TsharkTest(SynchronousTestCase):
    def test_nothing_malformed(self) -> None:
        """tshark finds the fields that were sent and nothing malformed."""
        tshark = shutil.which("tshark")
        if tshark is None:
            raise SkipTest("tshark is not installed")
        cases = list(sent())
        names = sorted({name for _, _, fields in cases for name in fields})
        marks = ["_ws.malformed", "_ws.expert.message"]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "sent.pcap")
            file.write_bytes(capture_file(packet for _, packet, _ in cases))
            command = [
                tshark,
                "-r",
                str(file),
                "-d",
                "udp.port==4191,ipv6",
                "-T",
                "fields",
                "-E",
                "separator=|",
            ]
            command += [word for name in marks + names for word in ("-e", name)]
            output = subprocess.run(
                command, check=True, capture_output=True, text=True, env={"TZ": "UTC"}
            ).stdout
        lines = output.splitlines()
        self.assertEqual(len(lines), len(cases))
        wrong = []
        for (what, _, fields), line in zip(cases, lines, strict=True):
            found = dict(zip(marks + names, line.split("|"), strict=True))
            self.assertEqual(found["_ws.malformed"], "", what)
            self.assertIn(found["_ws.expert.message"], ("", *WRONG_COMPLAINTS), what)
            wrong += [f"{what}: {n} is {found[n]!r}, not {v!r}" for n, v in fields.items() if found[n] != v]
        self.assertEqual(wrong, [])

    def test_every_row_is_sent(self) -> None:
        """No option row is left out of what tshark reads."""
        options = {option.TYPE for option, _ in OPTIONS_SENT} | {option.TYPE for option, _ in OPTION_WIRE}
        self.assertEqual(options, set(OPTIONS))


class ScapyTest(SynchronousTestCase):
    def option(self, option: o.Option) -> Any:
        """``option`` as Scapy reads it; Scapy builds the whole packet again to the same octets."""
        packet = in_ipv6(carrier(option))
        read = inet6.IPv6(packet)
        found = [x for x in read[inet6.MIP6MH_BU].options if x.otype > 1]
        self.assertEqual(len(found), 1, option)
        self.assertEqual(found[0].otype, option.TYPE)
        return found[0]

    def test_binding_update(self) -> None:
        """Scapy reads number, flags and lifetime of a Binding Update, and makes the same checksum."""
        packet = in_ipv6(
            m.BindingUpdate(7, m.BU_A | m.BU_H | m.BU_P, 900, [o.MobileNodeIdentifier(1, b"a@b")])
        )
        read = inet6.IPv6(packet)
        update = read[inet6.MIP6MH_BU]
        self.assertEqual((update.seq, update.mhtime, str(update.flags)), (7, 900, "PHA"))
        sealed = update.cksum
        del update.cksum
        self.assertEqual(inet6.IPv6(bytes(read))[inet6.MIP6MH_BU].cksum, sealed)

    def test_binding_acknowledgement(self) -> None:
        """Scapy reads status, flags, number and lifetime of a Binding Acknowledgement."""
        answer = inet6.IPv6(in_ipv6(m.BindingAcknowledgement(130, m.BA_P, 7, 900)))[inet6.MIP6MH_BA]
        self.assertEqual((answer.status, answer.seq, answer.mhtime, str(answer.flags)), (130, 7, 900, "P"))

    def test_other_messages(self) -> None:
        """Scapy reads the other messages of RFC 6275."""
        error = inet6.IPv6(in_ipv6(m.BindingError(2, SOME.packed)))[inet6.MIP6MH_BE]
        self.assertEqual((error.status, error.ha), (2, str(SOME)))
        self.assertTrue(inet6.IPv6(in_ipv6(m.BindingRefreshRequest())).haslayer(inet6.MIP6MH_BRR))
        for message, cls in (
            (m.HomeTestInit(b"cookie-1"), inet6.MIP6MH_HoTI),
            (m.CareOfTestInit(b"cookie-1"), inet6.MIP6MH_CoTI),
        ):
            self.assertEqual(inet6.IPv6(in_ipv6(message))[cls].cookie, b"cookie-1")
        for test, cls in (
            (m.HomeTest(7, b"cookie-1", b"token--1"), inet6.MIP6MH_HoT),
            (m.CareOfTest(7, b"cookie-1", b"token--1"), inet6.MIP6MH_CoT),
        ):
            read = inet6.IPv6(in_ipv6(test))[cls]
            self.assertEqual((read.index, read.cookie, read.token), (7, b"cookie-1", b"token--1"))

    def test_options(self) -> None:
        """Scapy reads the options it knows with the values that were sent."""
        self.assertEqual(self.option(o.BindingRefreshAdvice(30)).rinter, 30)
        self.assertEqual(self.option(o.AlternateCareOfAddress(SOME.packed)).acoa, str(SOME))
        nonces = self.option(o.NonceIndices(3, 4))
        self.assertEqual((nonces.hni, nonces.coni), (3, 4))
        data = self.option(o.BindingAuthorizationData(b"authenticate"))
        self.assertEqual(data.authenticator, int.from_bytes(b"authenticate"))
        prefix = self.option(o.MobileNetworkPrefix(48, SOME.packed))
        self.assertEqual((prefix.plen, prefix.prefix), (48, str(SOME)))
        identifier = self.option(o.MobileNodeIdentifier(1, b"mn1@example.org"))
        self.assertEqual((identifier.subtype, identifier.id), (1, b"mn1@example.org"))
        signed = self.option(o.Authentication(1, 256, b"authenticate"))
        self.assertEqual((signed.subtype, signed.mspi, signed.authdata), (1, 256, b"authenticate"))
        self.option(o.MessageIdentification(0xE8FE6F8040000000))
        self.assertEqual(self.option(more.CgaParameters(b"parameters")).cgaparams, b"parameters")
        self.assertEqual(self.option(more.Signature(b"signed")).sig, b"signed")
        self.assertEqual(self.option(more.PermanentHomeKeygenToken(b"token")).hkt, b"token")
        self.assertEqual(self.option(more.CareOfTestOption(b"01234567")).cokt, b"01234567")
        self.assertEqual(self.option(more.CareOfTestInitOption()).olen, 0)
        self.assertEqual(self.option(more.CgaParametersRequest()).olen, 0)

    def test_options_it_does_not_know(self) -> None:
        """Scapy splits all other options of one message where we put them."""
        sent_options = [option for option, _ in OPTION_WIRE]
        read = inet6.IPv6(in_ipv6(m.BindingUpdate(1, m.BU_A, 9, sent_options)))[inet6.MIP6MH_BU]
        found = [(x.otype, x.odata) for x in read.options if x.otype > 1]
        self.assertEqual(
            found, [(bytes.fromhex(wire)[0], bytes.fromhex(wire)[2:]) for _, wire in OPTION_WIRE]
        )

    def test_home_address_headers(self) -> None:
        """Scapy reads the Home Address option and the type 2 routing header of a packet."""
        mh = encode(m.Heartbeat(0, 1))
        packet = MobilityPacket(
            MAG.packed, ANCHOR.packed, mh, home_source=SOME.packed, home_destination=SOME.packed
        )
        read = inet6.IPv6(build_ipv6(packet))
        homes = [x for x in read[inet6.IPv6ExtHdrDestOpt].options if isinstance(x, inet6.HAO)]
        self.assertEqual([x.hoa for x in homes], [str(SOME)])
        routing = read[inet6.IPv6ExtHdrRouting]
        self.assertEqual((routing.type, routing.segleft, routing.addresses), (2, 1, [str(SOME)]))
