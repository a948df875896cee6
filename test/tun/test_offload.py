"""Super-packets: split, complete, coalesce."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.bits import ones_complement_sum, pseudo_header
from appliance.tun import native, offload
from appliance.tun.offload import HEADER_SIZE, NEEDS_CSUM, Coalescer, Offload, complete, read_header, split
from appliance.tun.packet import addresses, checksum_good
from test.fuzz import DECODER_CASES

CASES = int(os.environ.get("FUZZ", "200"))
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]


def segment(version: int, payload: bytes, sequence: int = 1000, flags: str = "A", **fields: object) -> bytes:
    """A TCP packet with correct checksums, made by Scapy."""
    outer = (
        IPv6(src="2001:db8:1::5", dst="2001:db8:eeee::80")
        if version == 6
        else IP(src="203.0.113.10", dst="192.0.2.80", flags="DF")
    )
    tcp = TCP(sport=5000, dport=80, seq=sequence, ack=7, flags=flags, window=500, options=OPTIONS, **fields)
    return bytes(outer / tcp / payload)


def partial(packet: bytes, protocol: int = 6, offset: int = 16) -> bytes:
    """The packet with only the pseudo-header's sum in its checksum field, as the kernel hands it over."""
    start = 40 if packet[0] >> 4 == 6 else 20
    source, destination = addresses(packet)
    total = ones_complement_sum(pseudo_header(source, destination, len(packet) - start, protocol)) % 0xFFFF
    return packet[: start + offset] + total.to_bytes(2, "big") + packet[start + offset + 2 :]


def super_packet(
    version: int, payload: bytes, step: int, flags: str = "A", ecn: int = 0
) -> tuple[bytes, Offload]:
    """A super-packet as the kernel hands it over."""
    start = 40 if version == 6 else 20
    kind = (offload.GSO_TCPV6 if version == 6 else offload.GSO_TCPV4) | ecn
    # The stated header length is wrong on purpose: it must not be trusted.
    return partial(segment(version, payload, flags=flags)), Offload(NEEDS_CSUM, kind, 1, step, start, 16)


class SplitTests(SynchronousTestCase):
    def read(self, packet: bytes) -> TCP:
        """The TCP layer of a packet."""
        return (IPv6 if packet[0] >> 4 == 6 else IP)(packet)[TCP]

    def test_sizes(self) -> None:
        """The table of payload and segment sizes gives the right segments for both IP versions."""
        for version in (4, 6):
            for size, step, sizes in (
                (2800, 1400, [1400, 1400]),
                (2801, 1400, [1400, 1400, 1]),
                (100, 1400, [100]),
                (3, 1, [1, 1, 1]),
                (60000, 1398, [1398] * 42 + [1284]),
            ):
                payload = os.urandom(size)
                parts = split(*super_packet(version, payload, step))
                self.assertEqual([len(self.read(part).payload) for part in parts], sizes)
                self.assertEqual(b"".join(bytes(self.read(part).payload) for part in parts), payload)

    def test_checksums(self) -> None:
        """Scapy computes the same checksums and lengths for every segment."""
        for version in (4, 6):
            for part in split(*super_packet(version, os.urandom(5001), 1001)):
                read = (IPv6 if version == 6 else IP)(part)
                del read[TCP].chksum
                if version == 4:
                    del read.chksum, read.len
                else:
                    del read.plen
                self.assertEqual(bytes(read).hex(), part.hex())
                self.assertTrue(checksum_good(part))

    def test_flags(self) -> None:
        """PSH and FIN only on the last segment, CWR only on the first (RFC 3168 section 6.1.2)."""
        parts = split(*super_packet(6, bytes(3000), 1000, "FPAC", offload.GSO_ECN))
        self.assertEqual([str(self.read(part).flags) for part in parts], ["AC", "A", "FPA"])
        self.assertTrue(all(map(checksum_good, parts)))

    def test_sequence_wraps(self) -> None:
        """The sequence number goes round at 2**32."""
        packet = partial(segment(6, bytes(2000), sequence=0xFFFFFF00))
        parts = split(packet, Offload(NEEDS_CSUM, offload.GSO_TCPV6, 0, 1000, 40, 16))
        self.assertEqual([self.read(part).seq for part in parts], [0xFFFFFF00, 744])
        self.assertTrue(all(map(checksum_good, parts)))

    def test_ipv4_identification(self) -> None:
        """IPv4 segments count their identification up."""
        packet = bytes(IP(src="1.2.3.4", dst="5.6.7.8", id=65535) / TCP(flags="A") / bytes(2000))
        parts = split(partial(packet), Offload(NEEDS_CSUM, offload.GSO_TCPV4, 0, 1000, 20, 16))
        self.assertEqual([IP(part).id for part in parts], [65535, 0])

    def test_udp(self) -> None:
        """A super-packet of datagrams is split into datagrams with their own lengths and checksums."""
        for version, outer in (
            (6, IPv6(src="2001:db8::1", dst="2001:db8::2")),
            (4, IP(src="1.2.3.4", dst="4.3.2.1")),
        ):
            packet = partial(bytes(outer / UDP(sport=1, dport=2) / os.urandom(2500)), 17, 6)
            header = Offload(NEEDS_CSUM, offload.GSO_UDP_L4, 0, 1000, 40 if version == 6 else 20, 6)
            parts = split(packet, header)
            self.assertEqual(
                [(IPv6 if version == 6 else IP)(part)[UDP].len for part in parts], [1008, 1008, 508]
            )
            self.assertTrue(all(map(checksum_good, parts)))

    def test_complete(self) -> None:
        """A partial checksum is completed to what Scapy computes."""
        for version in (4, 6):
            whole = segment(version, os.urandom(777))
            self.assertEqual(complete(partial(whole), 40 if version == 6 else 20, 16), whole)
        self.assertIsNone(complete(bytes(50), 40, 16))

    def test_refused(self) -> None:
        """Headers that do not fit the packet give no segments."""
        packet, good = super_packet(6, bytes(3000), 1000)
        for change in (
            {"gso_size": 0},
            {"gso_type": 1},
            {"gso_type": 3},
            {"gso_type": 77},
            {"checksum_start": 39},
            {"checksum_start": 9000},
            {"checksum_start": 0},
        ):
            self.assertEqual(split(packet, good._replace(**change)), [])

    @settings(deadline=None, max_examples=DECODER_CASES)
    @given(st.binary(max_size=200), st.tuples(*[st.integers(0, 255)] * 2, *[st.integers(0, 300)] * 4))
    def test_any_octets(self, packet: bytes, fields: tuple[int, ...]) -> None:
        """No packet and no header make the splitter raise."""
        header = Offload(*fields)
        if packet:
            split(packet, header)
            complete(packet, header.checksum_start, header.checksum_offset)


class CoalesceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Collect what is written."""
        self.written: list[list[bytes]] = []
        self.coalescer = Coalescer(self.written.append)

    def run_through(self, packets: list[bytes], prefix: bytes = b"") -> list[bytes]:
        """Everything that was written, split again into packets."""
        for packet in packets:
            self.coalescer.add(packet, prefix)
        self.coalescer.flush()
        result = []
        for parts in self.written:
            whole = b"".join(parts)
            header, packet = read_header(whole), whole[HEADER_SIZE + len(prefix) :]
            if header.gso_type:
                header = header._replace(checksum_start=header.checksum_start - len(prefix))
                result += split(packet, header)
            else:
                result.append(packet)
        return result

    def test_joins(self) -> None:
        """Consecutive segments go out as one super-packet that Scapy reads as one TCP packet."""
        for version in (4, 6):
            self.setUp()
            packets = [segment(version, bytes([i]) * 1000, 1000 + 1000 * i) for i in range(5)]
            packets.append(segment(version, b"end", 6000, "PA"))
            if version == 4:
                packets = [packet[:4] + i.to_bytes(2, "big") + packet[6:] for i, packet in enumerate(packets)]
                packets = [bytes(IP(self.without_checksum(packet))) for packet in packets]
            self.assertEqual(self.run_through(packets), packets)
            self.assertEqual(len(self.written), 1)
            whole = b"".join(self.written[0])[HEADER_SIZE:]
            read = (IPv6 if version == 6 else IP)(whole)
            self.assertEqual(len(read[TCP].payload), 5003)
            self.assertEqual(str(read[TCP].flags), "PA")

    @staticmethod
    def without_checksum(packet: bytes) -> bytes:
        """The packet with its IPv4 checksum made anew by Scapy."""
        read = IP(packet)
        del read.chksum
        return bytes(read)

    def test_not_joined(self) -> None:
        """A gap, another acknowledgement, other flags, a bad checksum or a pure ACK is not joined."""
        first = segment(6, bytes(100), 1000)
        good = segment(6, bytes(100), 1100)
        bad = good[:-1] + b"\1"
        for second in (
            segment(6, bytes(100), 1101),
            segment(6, bytes(100), 1100, "FA"),
            segment(6, b"", 1100),
            bad,
            segment(6, bytes(101), 1100),
            segment(6, bytes(100), 1100, urgptr=3),
            segment(6, bytes(100), 1100)[:7] + b"\1" + segment(6, bytes(100), 1100)[8:],
        ):
            self.setUp()
            self.assertEqual(self.run_through([first, second]), [first, second])
            self.assertEqual(len(self.written), 2)

    def test_two_flows(self) -> None:
        """Interleaved flows are joined each for itself."""
        other = bytes(IPv6(src="2001:db8:1::6", dst="2001:db8::9") / TCP(seq=1, flags="A") / bytes(50))
        self.run_through([segment(6, bytes(100), 1000), other, segment(6, bytes(100), 1100)])
        self.assertEqual(sorted(len(b"".join(parts)) for parts in self.written), [10 + 110, 10 + 72 + 200])

    def test_prefix(self) -> None:
        """A link-layer header moves the checksum position and the header length."""
        packets = [segment(6, bytes(100), 1000), segment(6, bytes(100), 1100)]
        self.assertEqual(self.run_through(packets, b"ethernet-head:"), packets)
        header = read_header(self.written[0][0])
        self.assertEqual((header.checksum_start, header.header_length), (54, 86))

    def test_limit(self) -> None:
        """A super-packet never grows over 65535 octets."""
        packets = [segment(6, bytes(1400), 1000 + 1400 * i) for i in range(60)]
        self.assertEqual(self.run_through(packets), packets)
        self.assertEqual(len(self.written), 2)
        self.assertLessEqual(max(len(b"".join(parts)) for parts in self.written), 65535 + HEADER_SIZE)

    @settings(deadline=None, max_examples=max(20, CASES // 4))
    @given(st.sampled_from((4, 6)), st.binary(min_size=1, max_size=4000), st.integers(1, 1500))
    def test_there_and_back(self, version: int, payload: bytes, step: int) -> None:
        """What is split and coalesced again carries the same stream, checksums right."""
        self.setUp()
        step = max(step, len(payload) // 50 + 1)
        parts = split(*super_packet(version, payload, step))
        again = self.run_through(parts)
        self.assertEqual(again, parts)
        self.assertTrue(all(map(checksum_good, parts)))

    @settings(deadline=None, max_examples=CASES)
    @given(
        st.lists(
            st.tuples(st.sampled_from((b"\x60", b"\x45")), st.binary(min_size=39, max_size=90)), max_size=5
        )
    )
    def test_any_packet(self, packets: list[tuple[bytes, bytes]]) -> None:
        """Packets with any octets behind the version go through unchanged."""
        self.setUp()
        whole = [first + rest for first, rest in packets]
        for packet in whole:
            self.coalescer.add(packet)
        self.coalescer.flush()
        self.assertEqual(sorted(b"".join(parts)[HEADER_SIZE:] for parts in self.written), sorted(whole))


class SumTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=CASES)
    @given(st.binary(max_size=2000))
    def test_fast_sum(self, data: bytes) -> None:
        """The fast sum is the plain sum modulo 0xffff (RFC 1071)."""
        self.assertEqual(native.fast_sum()(data) % 0xFFFF, ones_complement_sum(data) % 0xFFFF)
