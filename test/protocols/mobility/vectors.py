"""Complete packets with what is in them, built and checked by other programs than this codec.

Made by a stand-alone script, read by tshark 4.0.17, checksums made again by Scapy 2.8.0, authenticators
by OpenSSL. Each is a packet from the IP header on: MAG 2001:db8:a::1 / 192.0.2.1, LMA and home agent
2001:db8:ffff::1 / 198.51.100.1.
"""

from appliance.protocols.mobility import messages as m
from appliance.protocols.mobility import options as o

ZERO = bytes(16)

PACKETS: dict[str, tuple[bytes, m.Message]] = {
    "PBU initial": (
        bytes.fromhex(
            "600000000070874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b0d0500652c0001820003840810016d6e31406578616d706c652e6f726701040000000016120000"
            "0000000000000000000000000000000017020001180200041908000002005e100001010200001a10"
            "0000000000000000000000000000000001001b0800006553f100800001020000"
        ),
        m.BindingUpdate(
            sequence=1,
            flags=0x8200,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(prefix_length=0, prefix=ZERO),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
                o.MobileNodeLinkLayerIdentifier(identifier=bytes.fromhex("02005e100001")),
                o.LinkLocalAddress(address=ZERO),
                o.Timestamp(value=0x6553F1008000),
            ],
        ),
    ),
    "PBA accepted": (
        bytes.fromhex(
            "600000000070874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b0d0600087d0020000103840810016d6e31406578616d706c652e6f726701040000000016120040"
            "20010db800010001000000000000000017020001180200041908000002005e100001010200001a10"
            "fe8000000000000002005efffe00521301001b0800006553f100800001020000"
        ),
        m.BindingAcknowledgement(
            status=0,
            flags=32,
            sequence=1,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(
                    prefix_length=64, prefix=bytes.fromhex("20010db8000100010000000000000000")
                ),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
                o.MobileNodeLinkLayerIdentifier(identifier=bytes.fromhex("02005e100001")),
                o.LinkLocalAddress(address=bytes.fromhex("fe8000000000000002005efffe005213")),
                o.Timestamp(value=0x6553F1008000),
            ],
        ),
    ),
    "PBU dual-stack with IPv4 HoA request and GRE key": (
        bytes.fromhex(
            "600000000060874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b0b050024560002820003840810016d6e32406578616d706c652e6f726701040000000016120000"
            "00000000000000000000000000000000170200011802000801001b0800006553f101000024060000"
            "00000000210600000000100101020000"
        ),
        m.BindingUpdate(
            sequence=2,
            flags=0x8200,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn2@example.org"),
                o.HomeNetworkPrefix(prefix_length=0, prefix=ZERO),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=8),
                o.Timestamp(value=0x6553F1010000),
                o.IPv4HomeAddressRequest(prefix_length=0, address=bytes.fromhex("00000000")),
                o.GreKey(key=0x1001),
            ],
        ),
    ),
    "PBA accepted with IPv4 HoA reply, default router, DHCP mode, GRE key": (
        bytes.fromhex(
            "600000000068874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b0c0600a1bc0020000203840810016d6e32406578616d706c652e6f726701040000000016120040"
            "20010db8000100020000000000000000170200011802000801001b0800006553f101000025060060"
            "cb00710a26060000cb007101270200012106000000002001"
        ),
        m.BindingAcknowledgement(
            status=0,
            flags=32,
            sequence=2,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn2@example.org"),
                o.HomeNetworkPrefix(
                    prefix_length=64, prefix=bytes.fromhex("20010db8000100020000000000000000")
                ),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=8),
                o.Timestamp(value=0x6553F1010000),
                o.IPv4HomeAddressReply(status=0, prefix_length=24, address=bytes.fromhex("cb00710a")),
                o.IPv4DefaultRouterAddress(address=bytes.fromhex("cb007101")),
                o.IPv4DhcpSupportMode(server=1),
                o.GreKey(key=0x2001),
            ],
        ),
    ),
    "PBU de-registration": (
        bytes.fromhex(
            "600000000058874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b0a0500d4850003820000000810016d6e31406578616d706c652e6f726701040000000016120040"
            "20010db800010001000000000000000017020004180200041908000002005e1000011b0800006553"
            "f358000001020000"
        ),
        m.BindingUpdate(
            sequence=3,
            flags=0x8200,
            lifetime=0,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(
                    prefix_length=64, prefix=bytes.fromhex("20010db8000100010000000000000000")
                ),
                o.HandoffIndicator(value=4),
                o.AccessTechnologyType(value=4),
                o.MobileNodeLinkLayerIdentifier(identifier=bytes.fromhex("02005e100001")),
                o.Timestamp(value=0x6553F3580000),
            ],
        ),
    ),
    "PBA denied 156, clock 4.75 s off": (
        bytes.fromhex(
            "600000000070874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b0d06008d8b9c20000100000810016d6e31406578616d706c652e6f726701040000000016120000"
            "0000000000000000000000000000000017020001180200041908000002005e100001010200001a10"
            "0000000000000000000000000000000001001b0800006553f105400001020000"
        ),
        m.BindingAcknowledgement(
            status=156,
            flags=32,
            sequence=1,
            lifetime=0,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(prefix_length=0, prefix=ZERO),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
                o.MobileNodeLinkLayerIdentifier(identifier=bytes.fromhex("02005e100001")),
                o.LinkLocalAddress(address=ZERO),
                o.Timestamp(value=0x6553F1054000),
            ],
        ),
    ),
    "PBA denied 160 (PBU had no MN-ID)": (
        bytes.fromhex(
            "600000000030874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b050600717ea0200009000008010101030000001612000000000000000000000000000000000000"
            "1702000118020004"
        ),
        m.BindingAcknowledgement(
            status=160,
            flags=32,
            sequence=9,
            lifetime=0,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b""),
                o.HomeNetworkPrefix(prefix_length=0, prefix=ZERO),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
            ],
        ),
    ),
    "BRI per-MN, trigger 2": (
        bytes.fromhex(
            "600000000038874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b0610006d8501027a0180000810016d6e31406578616d706c652e6f726701040000000016120040"
            "20010db8000100010000000000000000"
        ),
        m.BindingRevocationIndication(
            trigger=2,
            sequence=0x7A01,
            flags=0x8000,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(
                    prefix_length=64, prefix=bytes.fromhex("20010db8000100010000000000000000")
                ),
            ],
        ),
    ),
    "BRA success": (
        bytes.fromhex(
            "600000000010874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b0110005be502007a01800001020000"
        ),
        m.BindingRevocationAcknowledgement(status=0, sequence=0x7A01, flags=0x8000),
    ),
    "BRI global, per-peer policy (LMA to MAG, no options)": (
        bytes.fromhex(
            "600000000010874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b0110003c6401807a02a00001020000"
        ),
        m.BindingRevocationIndication(trigger=128, sequence=0x7A02, flags=0xA000),
    ),
    "BRA 132 MN is attached": (
        bytes.fromhex(
            "600000000020874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b031000b02d02847a0380000810016d6e31406578616d706c652e6f72670100"
        ),
        m.BindingRevocationAcknowledgement(
            status=132,
            sequence=0x7A03,
            flags=0x8000,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
            ],
        ),
    ),
    "heartbeat request": (
        bytes.fromhex(
            "600000000010874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b010d005ae600000000000101020000"
        ),
        m.Heartbeat(flags=0, sequence=1),
    ),
    "heartbeat response with restart counter": (
        bytes.fromhex(
            "600000000018874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b020d003dd100010000000101001c040000000701020000"
        ),
        m.Heartbeat(
            flags=1,
            sequence=1,
            options=[
                o.RestartCounter(counter=7),
            ],
        ),
    ),
    "unsolicited heartbeat response": (
        bytes.fromhex(
            "600000000018874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b020d003dcf00030000000001001c040000000801020000"
        ),
        m.Heartbeat(
            flags=3,
            sequence=0,
            options=[
                o.RestartCounter(counter=8),
            ],
        ),
    ),
    "BU (MIPv6, RFC 4285: MN-ID, MESG-ID, MN-HA, MN-AAA)": (
        bytes.fromhex(
            "6000000000783c4020010db8000c0000000000000000009920010db8ffff00000000000000000001"
            "870201020000c91020010db80100000000000000000000053b0b050046120064c000009608120161"
            "6c696365406578616d706c652e6f726701000a08e8fe6f801234567800091101000001009e734553"
            "50dbec3a033859470103000000091902000000031d7b09fd4b1e3d7ced6a2f55c81b4eefafa745a2"
        ),
        m.BindingUpdate(
            sequence=100,
            flags=0xC000,
            lifetime=150,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"alice@example.org"),
                o.MessageIdentification(timestamp=0xE8FE6F8012345678),
                o.Authentication(
                    subtype=1, spi=0x100, authenticator=bytes.fromhex("9e73455350dbec3a03385947")
                ),
                o.Authentication(
                    subtype=2, spi=3, authenticator=bytes.fromhex("1d7b09fd4b1e3d7ced6a2f55c81b4eefafa745a2")
                ),
            ],
        ),
    ),
    "BA (type 2 routing header, MN-HA authenticated)": (
        bytes.fromhex(
            "6000000000582b4020010db8ffff0000000000000000000120010db8000c00000000000000000099"
            "870202010000000020010db80100000000000000000000053b0706008c9a00000064009608120161"
            "6c696365406578616d706c652e6f726701000a08e8fe6f801234567800091101000001007ae1b296"
            "ff557ad515172c77"
        ),
        m.BindingAcknowledgement(
            status=0,
            flags=0,
            sequence=100,
            lifetime=150,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"alice@example.org"),
                o.MessageIdentification(timestamp=0xE8FE6F8012345678),
                o.Authentication(
                    subtype=1, spi=0x100, authenticator=bytes.fromhex("7ae1b296ff557ad515172c77")
                ),
            ],
        ),
    ),
    "UPN force-reregistration": (
        bytes.fromhex(
            "600000000020874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b03130097801234000100000810016d6e31406578616d706c652e6f72670100"
        ),
        m.UpdateNotification(
            sequence=0x1234,
            reason=1,
            flags=0,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
            ],
        ),
    ),
    "UPN update-session-parameters, A and D set (retransmission)": (
        bytes.fromhex(
            "600000000020874020010db8ffff0000000000000000000120010db8000a00000000000000000001"
            "3b031300d77d12350002c0000810016d6e31406578616d706c652e6f72670100"
        ),
        m.UpdateNotification(
            sequence=0x1235,
            reason=2,
            flags=0xC000,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
            ],
        ),
    ),
    "UPA 128": (
        bytes.fromhex(
            "600000000020874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b03140016801235800000000810016d6e31406578616d706c652e6f72670100"
        ),
        m.UpdateNotificationAcknowledgement(
            sequence=0x1235,
            status=128,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
            ],
        ),
    ),
    "binding error status 2": (
        bytes.fromhex(
            "600000000018874020010db8000a0000000000000000000120010db8ffff00000000000000000001"
            "3b0207005fe0020000000000000000000000000000000000"
        ),
        m.BindingError(status=2, home_address=ZERO),
    ),
    "PBU over IPv4/UDP 5436 (MH checksum zero), F set": (
        bytes.fromhex(
            "4500006c0000000040118e4bc0000201c6336401153c153c0058bd5c3b0905000000000483000384"
            "0810016d6e31406578616d706c652e6f726701040000000016120000000000000000000000000000"
            "00000000170200011802000401001b0800006553f102000001020000"
        ),
        m.BindingUpdate(
            sequence=4,
            flags=0x8300,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(prefix_length=0, prefix=ZERO),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
                o.Timestamp(value=0x6553F1020000),
            ],
        ),
    ),
    "DSMIPv6 BU over IPv4/UDP 4191 through a NAT": (
        bytes.fromhex(
            "450000740000000040118d7cc00002c8c63364019c41105f00607ed6600000000030874020010db8"
            "01000000000000000000000520010db8ffff000000000000000000013b050500ce640007c0000096"
            "081201616c696365406578616d706c652e6f72671d06800000000000200600000a000007"
        ),
        m.BindingUpdate(
            sequence=7,
            flags=0xC000,
            lifetime=150,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"alice@example.org"),
                o.IPv4HomeAddress(prefix_length=32, prefix_request=0, address=bytes.fromhex("00000000")),
                o.IPv4CareOfAddress(address=bytes.fromhex("0a000007")),
            ],
        ),
    ),
    "DSMIPv6 BA over UDP: IPv4 address ack + NAT detection": (
        bytes.fromhex(
            "450000740000000040118d7cc6336401c00002c8105f9c4100607ed6600000000030874020010db8"
            "ffff0000000000000000000120010db80100000000000000000000053b050600da69000000070096"
            "081201616c696365406578616d706c652e6f72671e060080cb0071141f0600000000006e"
        ),
        m.BindingAcknowledgement(
            status=0,
            flags=0,
            sequence=7,
            lifetime=150,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"alice@example.org"),
                o.IPv4AddressAcknowledgement(status=0, prefix_length=32, address=bytes.fromhex("cb007114")),
                o.NatDetection(force=0, refresh_time=110),
            ],
        ),
    ),
    "PBA over IPv4/UDP 5436 granting UDP encapsulation": (
        bytes.fromhex(
            "450000740000000040118e43c6336401c0000201153c153c0060722a3b0a06000000002000040384"
            "0810016d6e31406578616d706c652e6f72670104000000001612004020010db80001000100000000"
            "00000000170200011802000401001b0800006553f10200001f068000ffffffff01020000"
        ),
        m.BindingAcknowledgement(
            status=0,
            flags=32,
            sequence=4,
            lifetime=900,
            options=[
                o.MobileNodeIdentifier(subtype=1, identifier=b"mn1@example.org"),
                o.HomeNetworkPrefix(
                    prefix_length=64, prefix=bytes.fromhex("20010db8000100010000000000000000")
                ),
                o.HandoffIndicator(value=1),
                o.AccessTechnologyType(value=4),
                o.Timestamp(value=0x6553F1020000),
                o.NatDetection(force=1, refresh_time=4294967295),
            ],
        ),
    ),
}

# What other implementations send, seen on the wire: A is a PMIPv6 LMA and MAG, C a MIPv6 home agent and node.
FIELD: dict[str, bytes] = {
    "A PBU": bytes.fromhex(
        "3b070500c0f6f2788200000f0810016d6e30406578616d706c652e6f72671612004020010db81000"
        "000000000000000000001702000418020000000000000000"
    ),
    "A PBA": bytes.fromhex(
        "3b07060041d70020f278000f0810016d6e30406578616d706c652e6f72671612004020010db81000"
        "000000000000000000001702000418020000000000000000"
    ),
    "C BU": bytes.fromhex("3b030500910575ebc000545f0100031020010db8000f000060f17efffec03707"),
    "C BA": bytes.fromhex("3b01060096a7000075eb545f01020000"),
}
