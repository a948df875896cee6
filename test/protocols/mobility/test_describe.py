"""Mobility messages as text: golden texts, what tshark calls the same things, and any octets at all."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o
from appliance.protocols.mobility.codec import encode
from appliance.protocols.mobility.describe import LEVELS, describe, hexdump
from appliance.protocols.mobility.names import CLOCKS, FLAGS, LABELS, SECONDS, VALUES
from appliance.protocols.mobility.options import OPTIONS
from appliance.protocols.mobility.rows import MESSAGES
from test.fuzz import CASES, DECODER_CASES
from test.protocols.mobility.support import any_option, messages_of
from test.protocols.mobility.test_readers import (
    MESSAGES_SENT,
    NOT_READ,
    OPTIONS_SENT,
    capture_file,
    carrier,
    in_ipv6,
)
from test.protocols.mobility.vectors import FIELD, PACKETS

#: Names in ``tshark -G values`` beside ours.
TSHARK_NAMES = {
    "mip6.ba.status": "6.status",
    "mip6.be.status": "7.status",
    "mip6.fback.status": "9.status",
    "mip6.bri_r.trigger": "16.1.trigger",
    "mip6.bri_status": "16.2.status",
    "mip6.dnsu.status": "o17.status",
    "mip6.hi": "o23.value",
    "mip6.att": "o24.value",
    "mip6.mng.sub_type": "o50.subtype",
}
# tshark 4.0 has 143 to 148 from drafts (compare RFC 3963, 4285 and 4866) and the status of revocations
# from 2 on (compare RFC 5846 section 6.2: failures begin at 128).
TSHARK_WRONG = {("mip6.ba.status", n) for n in range(143, 149)} | {
    ("mip6.bri_status", n) for n in range(2, 7)
}

#: Fields of tshark whose value has to be in the line of that label.
TSHARK_FIELDS = {
    "mip6.bu.seqnr": "Sequence Number",
    "mip6.bu.lifetime": "Lifetime",
    "mip6.ba.seqnr": "Sequence Number",
    "mip6.ba.lifetime": "Lifetime",
    "mip6.ba.status": "Status",
    "mip6.bri_seqnr": "Sequence Number",
    "mip6.bri_r.trigger": "Revocation Trigger",
    "mip6.bri_status": "Status",
    "mip6.hb.seqnr": "Sequence Number",
    "mip6.be.status": "Status",
    "mip6.be.haddr": "Home Address",
    "mip6.mnid.identifier": "Identifier",
    "mip6.nemo.mnp.pfl": "Prefix Length",
    "mip6.nemo.mnp.mnp": "Prefix",
    "mip6.hi": "Handoff Indicator",
    "mip6.att": "Access Technology Type",
    "mip6.lila_lla": "Address",
    "mip6.rc": "Restart Counter",
    "mip6.gre_key": "GRE Key Identifier",
    "mip6.ipv4dra.dra": "Address",
    "mip6.ipv4dsm.s_flag": "S",
    "mip6.auth.mobility_spi": "Mobility SPI",
    "mip6.ipv4ha.ha": "Address",
    "mip6.ipv4coa.addr": "Address",
    "mip6.natd.refresh_t": "Refresh Time",
    "mip6.csum": "Checksum",
    "mip6.hlen": "Header Len",
    "mip6.proto": "Payload Proto",
}


def message_of(name: str) -> bytes:
    """The octets of the mobility message of a vector."""
    packet, message = PACKETS[name]
    return packet[-len(encode(message)) :]


def plain(text: str) -> str:
    """A name without what spellings differ in."""
    return re.sub("[^a-z0-9]+", " ", text.lower()).strip()


def tshark(*arguments: str) -> str:
    """What tshark prints; skips the test where there is none."""
    program = shutil.which("tshark")
    if program is None:
        raise SkipTest("tshark is not installed")
    return subprocess.run(
        [program, *arguments], check=True, capture_output=True, text=True, env={"TZ": "UTC"}
    ).stdout


class GoldenTest(SynchronousTestCase):
    """The text of each level."""

    maxDiff = None

    def test_level_1_is_one_line(self) -> None:
        """One line names the message, its numbers, its flags and the mobile node."""
        self.assertEqual(
            describe(message_of("PBU initial")),
            [
                "Proxy Binding Update (5), Sequence Number 1, Flags A P (0x8200), "
                "Lifetime 900 (3600 seconds), mn1@example.org"
            ],
        )
        for name in PACKETS:
            self.assertEqual(len(describe(message_of(name), 1)), 1, name)

    def test_level_2_has_the_header(self) -> None:
        """The fields of the header follow, a status with its name."""
        self.assertEqual(
            describe(message_of("PBA denied 156, clock 4.75 s off"), 2)[1:],
            [
                "  Status: TIMESTAMP_MISMATCH (156)",
                "  Flags: P (0x20)",
                "  Sequence Number: 1",
                "  Lifetime: 0 (0 seconds)",
            ],
        )

    def test_level_3_has_the_options(self) -> None:
        """A line for each option, prefixes and addresses as text."""
        name = "PBA accepted with IPv4 HoA reply, default router, DHCP mode, GRE key"
        self.assertEqual(
            describe(message_of(name), 3)[5:],
            [
                "  Mobility Options:",
                "    Mobile Node Identifier (8): NAI (1), mn2@example.org",
                "    Home Network Prefix (22): 2001:db8:1:2::/64",
                "    Handoff Indicator (23): Attachment over a new interface (1)",
                "    Access Technology Type (24): 3GPP E-UTRAN (8)",
                "    Timestamp (27): 2023-11-14 22:13:21.000000 UTC",
                "    IPv4 Home Address Reply (37): Status Success (0), 203.0.113.10/24",
                "    IPv4 Default-Router Address (38): 203.0.113.1",
                "    IPv4 DHCP Support Mode (39): DHCP server (1)",
                "    GRE Key (33): 8193",
            ],
        )

    def test_level_4_has_raw_values(self) -> None:
        """Every field with what is on the wire."""
        self.assertEqual(
            describe(FIELD["A PBU"], 4)[1:14],
            [
                "  Payload Proto: 59",
                "  Header Len: 7 (64 octets)",
                "  MH Type: Binding Update (5)",
                "  Checksum: 0xc0f6",
                "  Sequence Number: 62072 [0xf278]",
                "  Flags: A P (0x8200) [0x8200]",
                "  Lifetime: 15 (60 seconds) [0xf]",
                "  Mobility Options:",
                "    Mobile Node Identifier (8), offset 12, length 16:",
                "      Subtype: NAI (1) [0x1]",
                "      Identifier: mn0@example.org [6d6e30406578616d706c652e6f7267]",
                "    Home Network Prefix (22), offset 30, length 18:",
                "      Prefix Length: 64 [0x40]",
            ],
        )

    def test_level_5_has_the_octets(self) -> None:
        """A hex dump with offsets and text."""
        data = message_of("heartbeat request")
        self.assertEqual(
            describe(data, 5)[-1], "  0000  3b 01 0d 00 5a e6 00 00 00 00 00 01 01 02 00 00  ;...Z..........."
        )
        self.assertEqual(hexdump(data, False), ["0000  3b 01 0d 00 5a e6 00 00 00 00 00 01 01 02 00 00"])

    def test_unknown_option(self) -> None:
        """An option that no row knows is shown in hexadecimal."""
        data = bytes.fromhex("3b010500910575ebc000545fc7020303")
        self.assertEqual(describe(data, 3)[-1], "    Unknown option (199): 0303")

    def test_faults(self) -> None:
        """What the codec found wrong is said, with the octets."""
        self.assertEqual(
            describe(bytes.fromhex("3b01050091")),
            [
                "Binding Update, 5 octets, not decoded: 5 octets are no Mobility Header",
                "  Fault: 5 octets are no Mobility Header (octet 8)",
                "  Octets: 3b01050091",
            ],
        )
        overrun = bytes.fromhex("3b010500910575ebc000545f16120303")
        self.assertIn("MALFORMED: option 22 runs past the end", describe(overrun, 1)[0])
        self.assertIn("  Fault: option 22 runs past the end of the message (octet 12)", describe(overrun, 2))
        short = bytes.fromhex("3b010500910575ebc000545f1c020303")
        self.assertIn("    Restart Counter (28): malformed, 0303", describe(short, 3))
        self.assertIn("type 77", describe(bytes.fromhex("3b014d0091050000"))[0])
        self.assertIn("Binding Revocation type 9", describe(bytes.fromhex("3b01100091050900"))[0])

    def test_overwrite_flag(self) -> None:
        """The bit of B is O in a Binding Update that is no proxy one (RFC 5648 section 4.2)."""
        self.assertIn("Flags A O", describe(encode(m.BindingUpdate(1, m.BU_A | m.BU_B, 9)))[0])
        self.assertIn("Flags A P B", describe(encode(m.BindingUpdate(1, m.BU_A | m.BU_P | m.BU_B, 9)))[0])

    def test_terminal_is_safe(self) -> None:
        """An identifier that could steer a terminal is shown in hexadecimal."""
        data = encode(carrier(o.MobileNodeIdentifier(1, b"\x1b[2Jmn1@example.org")))
        self.assertIn("1b5b324a", describe(data)[0])
        self.assertTrue(all(line.isprintable() for line in describe(data, 5)))


class TableTest(SynchronousTestCase):
    """The tables of names fit the tables of messages and options."""

    def test_every_key_is_a_field(self) -> None:
        """No name belongs to a field that is not there, and flags have a letter for each bit."""
        known: dict[str, str] = {}
        for number, row in OPTIONS.items():
            known |= {f"o{number}.{n}": s for n, s in re.findall(r"(\w+):(\w+)", row.layout)}
        for (number, subtype), message in MESSAGES.items():
            start = f"{number}" if subtype is None else f"{number}.{subtype}"
            known |= {f"{start}.{n}": s for n, s in re.findall(r"(\w+):(\w+)", message.layout)}
        for table in (VALUES, FLAGS, SECONDS, CLOCKS, {k: 0 for k in LABELS if "." in k}):
            self.assertEqual(set(table) - set(known), set())
        names = {key.rpartition(".")[2] for key in known}
        self.assertEqual({k for k in LABELS if "." not in k} - names, set())
        for key, letters in FLAGS.items():
            self.assertEqual(f"u{len(letters)}", known[key], key)


class TsharkTest(SynchronousTestCase):
    """tshark says the same, in its own words where they are only spelled otherwise."""

    def test_names(self) -> None:
        """Values that tshark has a name for have the same name here."""
        compared, wrong = 0, []
        for line in tshark("-G", "values").splitlines():
            parts = line.split("\t")
            if parts[0] == "V" and parts[1] in TSHARK_NAMES:
                field, number, name = parts[1], int(parts[2], 0), parts[3]
                ours = VALUES[TSHARK_NAMES[field]].get(number)
                if (field, number) in TSHARK_WRONG or (field == "mip6.mng.sub_type" and number == 0):
                    continue
                compared += 1
                if ours is None or plain(ours) != plain(name):
                    wrong.append((field, number, name, ours))
        self.assertEqual(wrong, [])
        self.assertGreater(compared, 80)

    def test_values(self) -> None:
        """Every field that tshark finds in the vectors has its value in the line of its label."""
        names = list(TSHARK_FIELDS)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "vectors.pcap")
            file.write_bytes(capture_file(packet for packet, _ in PACKETS.values()))
            options = ["-T", "fields", "-E", "separator=|", "-d", "udp.port==4191,ipv6"]
            output = tshark("-r", str(file), *options, *(word for name in names for word in ("-e", name)))
        compared = 0
        for vector, line in zip(PACKETS, output.splitlines(), strict=True):
            text = describe(message_of(vector), 4)
            for name, found in zip(names, line.split("|"), strict=True):
                label = TSHARK_FIELDS[name]
                values = [one.split(": ", 1)[1] for one in text if one.strip().startswith(f"{label}: ")]
                for value in filter(None, found.split(",")):
                    words = {word.strip("()[],") for one in values for word in one.split()}
                    self.assertIn(value, words, f"{vector}: {name}")
                    compared += 1
        self.assertGreater(compared, 150)

    def test_options_and_messages(self) -> None:
        """What tshark is known to find in each row's option or message is in its text, too."""
        cases = [(carrier(option), fields) for option, fields in OPTIONS_SENT]
        cases += [(message, fields) for message, fields in MESSAGES_SENT if not isinstance(message, NOT_READ)]
        for message, fields in cases:
            text = "\n".join(describe(encode(message), 4))
            for name, value in fields.items():
                if name.endswith(
                    ("_flag", "timestamp_tmp", "_ip", "_iv", "_ig", "_ag", "redir.k", "redir.n")
                ):
                    continue  # shown as letters, in another form, or not a field but a length
                if name in ("mip6.dnsu.flag.r", "mip6.dmnp.v_flag", "mip6.acc_net_id.net_name_len"):
                    continue  # the same
                if name == "mip6.badff.spi":
                    continue  # octets here
                value = value.removeprefix("0x")
                self.assertIn(value, text, name)


class AnyOctetsTest(SynchronousTestCase):
    """No octets make it raise, and the text is bounded."""

    def check(self, data: bytes) -> None:
        """Describe at every level."""
        for level in LEVELS:
            lines = describe(data, level)
            self.assertLess(sum(map(len, lines)), 80_000)
            self.assertTrue(all(line.isprintable() for line in lines), lines)

    @settings(max_examples=DECODER_CASES, deadline=None)
    @given(st.binary(max_size=300))
    def test_random_octets(self, data: bytes) -> None:
        """Octets that mean nothing."""
        self.check(data)

    @settings(max_examples=DECODER_CASES, deadline=None)
    @given(st.integers(0, 22), st.integers(0, 40), st.binary(max_size=330))
    def test_a_header_and_random_octets(self, kind: int, length: int, data: bytes) -> None:
        """Octets behind a header of a known type."""
        self.check(bytes((59, length, kind, 0)) + data)

    @settings(max_examples=CASES, deadline=None)
    @given(st.one_of([messages_of(row) for row in MESSAGES.values()]), st.data())
    def test_messages(self, message: m.Message, data: st.DataObject) -> None:
        """Messages of every row, as they are and with an octet changed or cut off."""
        octets = encode(message)
        self.check(octets)
        at = data.draw(st.integers(0, len(octets) - 1))
        self.check(octets[:at])
        self.check(octets[:at] + bytes((data.draw(st.integers(0, 255)),)) + octets[at + 1 :])

    @settings(max_examples=CASES, deadline=None)
    @given(any_option())
    def test_every_option_is_shown(self, option: o.Option) -> None:
        """An option is named, whatever is in it, and not called malformed."""
        text = "\n".join(describe(encode(carrier(option)), 3))
        self.assertIn(f"{option.NAME} ({option.TYPE}): ", text)
        self.assertNotIn("malformed", text)

    def test_largest_message(self) -> None:
        """A message of nothing but the shortest options is cut, and says so."""
        data = bytes((59, 255, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0)) + bytes((200, 0)) * 1018
        self.check(data)
        self.assertIn("    ... 918 more options", describe(data, 5))
        self.check(in_ipv6(m.Heartbeat(0, 1)) * 60)
