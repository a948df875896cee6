"""The mobility messages: every MH type from 0 to 20, one class a row of the message table.

Each class says its fields once, in wire order; :mod:`rows` makes its reader and writer of them.
Reserved bits are sent zero and ignored. Lifetimes are in the units of the wire: 4 s in Binding
Updates and Acknowledgements (RFC 6275 section 6.1.7), 1 s in localized routing (RFC 6705).
"""

from attrs import field

from appliance.protocols.mobility.rows import MESSAGES, Message, MessageRow, Option, message

__all__ = ["MESSAGES", "Message", "MessageRow"]

# Binding Update flags (RFC 6275, 4140, 3963, 5213, 5555, 5845, 6602, 7161, 8885).
BU_A, BU_H, BU_L, BU_K, BU_M, BU_R = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 0x0400
BU_P, BU_F, BU_T, BU_B, BU_S, BU_D = 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
# The same bit as B; it means "overwrite" when P is 0 (RFC 5648 section 4.2).
BU_O = BU_B

# Binding Acknowledgement flags.
BA_K, BA_R, BA_P, BA_T, BA_B, BA_S, BA_D = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02

# Heartbeat flags (RFC 5847 section 3.2): unsolicited, response.
HB_U, HB_R = 0x0002, 0x0001

# Binding Revocation flags (RFC 5846 section 6.1): proxy, IPv4 only, global.
BR_P, BR_V, BR_G = 0x8000, 0x4000, 0x2000

# Update Notification flags (RFC 7077 section 4.1): acknowledgement requested, retransmission.
UPN_A, UPN_D = 0x8000, 0x4000

# Localized routing names two mobile nodes (RFC 6705 section 6), each with its own identifier.
_TWO_MOBILES = (8, 20, 25)


@message(0, "Binding Refresh Request", "z16", rfc="6275 6.1.2")
class BindingRefreshRequest(Message):
    """Asks a mobile node to renew its binding."""

    options: list[Option] = field(factory=list)


@message(1, "Home Test Init", "z16 cookie:b8", rfc="6275 6.1.3")
class HomeTestInit(Message):
    """Starts the return routability test through the home agent."""

    cookie: bytes
    options: list[Option] = field(factory=list)


@message(2, "Care-of Test Init", "z16 cookie:b8", rfc="6275 6.1.4")
class CareOfTestInit(Message):
    """Starts the return routability test from the care-of address."""

    cookie: bytes
    options: list[Option] = field(factory=list)


@message(3, "Home Test", "nonce_index:u16 cookie:b8 token:b8", rfc="6275 6.1.5")
class HomeTest(Message):
    """Answers a Home Test Init."""

    nonce_index: int
    cookie: bytes
    token: bytes
    options: list[Option] = field(factory=list)


@message(4, "Care-of Test", "nonce_index:u16 cookie:b8 token:b8", rfc="6275 6.1.6")
class CareOfTest(Message):
    """Answers a Care-of Test Init."""

    nonce_index: int
    cookie: bytes
    token: bytes
    options: list[Option] = field(factory=list)


@message(5, "Binding Update", "sequence:u16 flags:u16 lifetime:u16", rfc="6275 6.1.7, 5213 8.1")
class BindingUpdate(Message):
    """Registers a binding; with the P flag a Proxy Binding Update."""

    sequence: int
    flags: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(
    6, "Binding Acknowledgement", "status:u8 flags:u8 sequence:u16 lifetime:u16", rfc="6275 6.1.8, 5213 8.2"
)
class BindingAcknowledgement(Message):
    """Answers a Binding Update."""

    status: int
    flags: int
    sequence: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(7, "Binding Error", "status:u8 z8 home_address:b16", rfc="6275 6.1.9")
class BindingError(Message):
    """Tells of a packet without binding or a message type that is not known."""

    status: int
    home_address: bytes
    options: list[Option] = field(factory=list)


@message(8, "Fast Binding Update", "sequence:u16 flags:u16 lifetime:u16", rfc="5568 6.2.2")
class FastBindingUpdate(Message):
    """A Binding Update to the previous access router."""

    sequence: int
    flags: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(9, "Fast Binding Acknowledgment", "status:u8 flags:u8 sequence:u16 lifetime:u16", rfc="5568 6.2.3")
class FastBindingAcknowledgment(Message):
    """Answers a Fast Binding Update."""

    status: int
    flags: int
    sequence: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(10, "Fast Neighbor Advertisement", "z16", rfc="4068 6.3.2")
class FastNeighborAdvertisement(Message):
    """Deprecated by RFC 5568."""

    options: list[Option] = field(factory=list)


@message(11, "Experimental Mobility Header", "data:b*", rfc="5096 2")
class ExperimentalMessage(Message):
    """Data to the end of the message; ``options`` stays empty."""

    data: bytes
    options: list[Option] = field(factory=list)


@message(12, "Home Agent Switch", "#addresses z8 addresses:a16", rfc="5142 4")
class HomeAgentSwitch(Message):
    """Tells a mobile node to take another home agent, one of ``addresses`` (16 octets each)."""

    addresses: list[bytes]
    options: list[Option] = field(factory=list)


@message(13, "Heartbeat", "flags:u16 sequence:u32", rfc="5847 3.2")
class Heartbeat(Message):
    """Asks or tells whether a peer is alive."""

    flags: int
    sequence: int
    options: list[Option] = field(factory=list)


@message(14, "Handover Initiate", "sequence:u16 flags:u8 code:u8", rfc="5568 6.2.1.1, 5949 6.1.1")
class HandoverInitiate(Message):
    """Sent between access routers to start a fast handover."""

    sequence: int
    flags: int
    code: int
    options: list[Option] = field(factory=list)


@message(15, "Handover Acknowledge", "sequence:u16 flags:u8 code:u8", rfc="5568 6.2.1.2, 5949 6.1.2")
class HandoverAcknowledge(Message):
    """Answers a Handover Initiate."""

    sequence: int
    flags: int
    code: int
    options: list[Option] = field(factory=list)


@message(
    16, "Binding Revocation Indication", "=1 trigger:u8 sequence:u16 flags:u16", subtype=1, rfc="5846 6.1"
)
class BindingRevocationIndication(Message):
    """Takes bindings back."""

    trigger: int
    sequence: int
    flags: int
    options: list[Option] = field(factory=list)


@message(
    16, "Binding Revocation Acknowledgement", "=2 status:u8 sequence:u16 flags:u16", subtype=2, rfc="5846 6.2"
)
class BindingRevocationAcknowledgement(Message):
    """Answers a Binding Revocation Indication."""

    status: int
    sequence: int
    flags: int
    options: list[Option] = field(factory=list)


@message(
    17, "Localized Routing Initiation", "sequence:u16 z16 lifetime:u16", repeats=_TWO_MOBILES, rfc="6705 6.1"
)
class LocalizedRoutingInitiation(Message):
    """Starts or ends localized routing; ``lifetime`` in seconds, 0xFFFF is for ever, 0 stops."""

    sequence: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(
    18,
    "Localized Routing Acknowledgment",
    "sequence:u16 unsolicited:u1 z7 status:u8 lifetime:u16",
    repeats=_TWO_MOBILES,
    rfc="6705 6.2",
)
class LocalizedRoutingAcknowledgment(Message):
    """Answers a Localized Routing Initiation, or asks for a new lifetime (``unsolicited``)."""

    sequence: int
    unsolicited: int
    status: int
    lifetime: int
    options: list[Option] = field(factory=list)


@message(19, "Update Notification", "sequence:u16 reason:u16 flags:u16", rfc="7077 4.1")
class UpdateNotification(Message):
    """Tells a MAG to do something about a session."""

    sequence: int
    reason: int
    flags: int
    options: list[Option] = field(factory=list)


@message(20, "Update Notification Acknowledgement", "sequence:u16 status:u8 z24", rfc="7077 4.2")
class UpdateNotificationAcknowledgement(Message):
    """Answers an Update Notification."""

    sequence: int
    status: int
    options: list[Option] = field(factory=list)
