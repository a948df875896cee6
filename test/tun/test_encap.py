"""The encapsulation table against verified packets and against Scapy."""

import os
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA, MAG
from appliance.tun import encap
from appliance.tun import packet as ip
from appliance.tun.encap import ENCAPSULATIONS, LENGTH_ERROR, PROTOCOL_ERROR, Opened, choose, parse
from test.fuzz import DECODER_CASES
from test.tun.vectors import INNER4_DOWN, INNER6_DOWN, PACKETS, WITH_LIMIT

CASES = int(os.environ.get("FUZZ", "200"))
BY_NAME = {row.name: row for row in ENCAPSULATIONS}


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


class VectorTests(SynchronousTestCase):
    def test_build(self) -> None:
        """Every verified packet comes out of its row octet for octet."""
        for name, (whole, source, destination, key, inner) in PACKETS.items():
            built = BY_NAME[name].build(packed(source), packed(destination), inner, key)
            self.assertEqual(built.hex(), whole.hex(), name)

    def test_parse(self) -> None:
        """Every verified packet is recognised, with its key and the place of the inner packet."""
        for name, (whole, _, _, key, inner) in PACKETS.items():
            opened = parse(whole)
            self.assertIsInstance(opened, Opened, name)
            self.assertEqual((opened.row.name, opened.key, whole[opened.offset :]), (name, key, inner))

    def test_overhead(self) -> None:
        """The overhead of a row is exactly what the packet has more than its inner packet."""
        for name, (whole, _, _, key, inner) in PACKETS.items():
            self.assertEqual(BY_NAME[name].overhead(key is not None), len(whole) - len(inner), name)

    def test_encapsulation_limit(self) -> None:
        """RFC 2473 section 4.1.1: decapsulated through a Destination Options header, the limit is read."""
        opened = parse(WITH_LIMIT)
        self.assertEqual((opened.row.name, opened.limit), ("6in6", 4))
        self.assertEqual(WITH_LIMIT[opened.offset :], INNER6_DOWN)

    def test_every_row_by_scapy(self) -> None:
        """Scapy reads every row as it was meant: protocol, lengths, checksums, GRE key, inner packet."""
        for row in ENCAPSULATIONS:
            inner = INNER6_DOWN if row.inner == 6 else INNER4_DOWN
            local, peer = ("2001:db8::1", "2001:db8::2") if row.outer == 6 else ("192.0.2.1", "192.0.2.2")
            whole = row.build(packed(local), packed(peer), inner, 0x1234 if row.gre else None)
            self.assertTrue(ip.length_fits(whole), row.name)
            read = (IPv6 if row.outer == 6 else IP)(whole)
            self.assertEqual((read.src, read.dst), (local, peer))
            self.assertEqual(read.nh if row.outer == 6 else read.proto, row.protocol)
            layer = read.payload
            if row.outer == 4:
                again = IP(whole)
                del again.chksum
                self.assertEqual(bytes(again)[:20], whole[:20], row.name)
            if row.protocol == ip.UDP:
                self.assertIsInstance(layer, UDP)
                self.assertEqual((layer.dport, layer.len), (5437, len(whole) - 20))
                del layer.chksum
                self.assertEqual(bytes(read), whole, row.name)
                body = whole[28 + (4 if row.tlv else 0) :]
                layer = GRE(body) if row.gre else (IPv6 if row.inner == 6 else IP)(body)
            if row.gre:
                self.assertIsInstance(layer, GRE)
                self.assertEqual((layer.key_present, layer.key), (1, 0x1234))
                layer = layer.payload
            self.assertEqual(bytes(layer), inner, row.name)
            opened = parse(whole)
            self.assertEqual((opened.row, opened.key), (row, 0x1234 if row.gre else None))

    def test_counter_rows_exist(self) -> None:
        """Each row has its counters in both tables."""
        for table in (LMA, MAG):
            for row in ENCAPSULATIONS:
                for way in ("received", "sent"):
                    for what in ("packets", "bytes"):
                        table.index(f"tunnel-data-{way}/total-{what}/{row.counter}")

    def test_choice(self) -> None:
        """RFC 5844 and RFC 5845: which row a session uses follows from what was agreed."""
        for arguments, name in (
            ((6, False, False, 6), "6in6"),
            ((6, False, False, 4), "4in6"),
            ((6, True, False, 4), "IPv6 GRE (IPv4)"),
            ((6, False, True, 6), "6in6"),
            ((4, False, False, 4), "4in4"),
            ((4, False, False, 6), "6in4"),
            ((4, False, True, 4), "IPv4 UDP (IPv4)"),
            ((4, True, False, 6), "IPv4 GRE (IPv6)"),
            ((4, True, True, 6), "IPv4 UDP TLV GRE (IPv6)"),
        ):
            self.assertEqual(choose(*arguments).name, name)


class FaultTests(SynchronousTestCase):
    def check(self, packet: bytes, fault: str) -> None:
        """The packet is refused as ``fault``."""
        self.assertEqual(parse(packet), fault)

    def test_lengths(self) -> None:
        """A packet cut off anywhere is an invalid length, in every encapsulation."""
        for name, (whole, *_) in PACKETS.items():
            for size in range(len(whole)):
                self.assertEqual(parse(whole[:size]), LENGTH_ERROR, f"{name} {size}")

    def test_inner_length(self) -> None:
        """An inner packet whose own length disagrees with the outer one is an invalid length."""
        whole = bytearray(PACKETS["6in6"][0])
        whole[45] += 1
        self.check(bytes(whole), LENGTH_ERROR)

    def test_tlv_length(self) -> None:
        """RFC 5845 section 6.2: a TLV length that is not the rest of the datagram."""
        whole = bytearray(PACKETS["IPv4 UDP TLV GRE (IPv4)"][0])
        whole[31] -= 1
        self.check(bytes(whole), LENGTH_ERROR)

    def test_inner_version(self) -> None:
        """Protocol 41 with an IPv4 packet inside is a protocol type error."""
        whole = ip.ipv6_packet(bytes(16), bytes(16), 41, INNER4_DOWN)
        self.check(whole, PROTOCOL_ERROR)

    def test_gre_bits(self) -> None:
        """RFC 2784 section 2.2: reserved bits, a version or an unknown protocol are refused."""
        whole = PACKETS["IPv6 GRE (IPv4)"][0]
        for octet, value in ((40, 0x60), (40, 0x28), (41, 0x01), (43, 0x01)):
            changed = bytearray(whole)
            changed[octet] = value
            self.check(bytes(changed), PROTOCOL_ERROR)

    def test_gre_checksum_and_sequence(self) -> None:
        """RFC 2784 section 2.3: a checksum is verified; RFC 2890: a sequence number is skipped."""
        body = b"\xb0\0\x08\0" + bytes(4) + b"\0\0\x10\x01" + b"\0\0\0\7" + INNER4_DOWN
        check = ip.internet_checksum(body).to_bytes(2, "big")
        good = ip.ipv6_packet(bytes(16), bytes(16), 47, body[:4] + check + body[6:])
        self.assertEqual(parse(good).key, 0x1001)
        self.check(ip.ipv6_packet(bytes(16), bytes(16), 47, body), LENGTH_ERROR)

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.sampled_from((4, 6)), st.sampled_from((4, 17, 41, 47, 99)), st.binary(max_size=120))
    def test_any_payload(self, outer: int, protocol: int, data: bytes) -> None:
        """No octets behind an outer header make the parser raise."""
        encap.open_payload(outer, protocol, data)

    @settings(deadline=None, max_examples=CASES)
    @given(st.data())
    def test_damaged_packets(self, data: st.DataObject) -> None:
        """No damage to a good packet makes the parser raise."""
        whole = bytearray(data.draw(st.sampled_from([p[0] for p in PACKETS.values()] + [WITH_LIMIT])))
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        parse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
