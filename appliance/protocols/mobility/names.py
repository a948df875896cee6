"""What the numbers in mobility messages and options are called, for people.

Keys name the row and the field: ``5.flags`` is the field ``flags`` of message 5, ``16.1.trigger`` that of
Binding Revocation type 1, ``o24.value`` the field ``value`` of option 24. A field that is not in here is
shown as its layout says; nothing has to be added for a new row of the tables.
"""

from appliance.protocols.mobility.status import NAMES, REVOCATION_NAMES, TRIGGER_NAMES

# Names of the registry "Status Codes" of the Mobile IPv6 parameters; from RFC 4285 on the documents
# name their values like constants, and these are taken from the status table.
_STATUS = NAMES | {
    0: "Binding Update accepted",
    1: "Accepted but prefix discovery necessary",
    128: "Reason unspecified",
    129: "Administratively prohibited",
    130: "Insufficient resources",
    131: "Home registration not supported",
    132: "Not home subnet",
    133: "Not home agent for this mobile node",
    134: "Duplicate Address Detection failed",
    135: "Sequence number out of window",
    136: "Expired home nonce index",
    137: "Expired care-of nonce index",
    138: "Expired nonces",
    139: "Registration type change disallowed",
    140: "Mobile Router Operation not permitted",
    141: "Invalid Prefix",
    142: "Not Authorized for Prefix",
    143: "Forwarding Setup failed",
    147: "Permanent home keygen token unavailable",
    148: "CGA and signature verification failed",
    149: "Permanent home keygen token exists",
    150: "Non-null home nonce index expected",
    174: "Invalid Care-of Address",
}
_IDENTIFIER = {1: "NAI", 2: "IPv6 Address", 3: "IMSI", 4: "P-TMSI", 5: "EUI-48", 6: "EUI-64", 7: "GUTI"}

#: Names of values.
VALUES: dict[str, dict[int, str]] = {
    "6.status": _STATUS,
    # RFC 6275 section 6.1.9.
    "7.status": {1: "Unknown binding for Home Address destination option", 2: "Unrecognized MH Type value"},
    # RFC 5568 section 6.2.3.
    "9.status": {
        0: "Fast Binding Update accepted",
        1: "Accepted but use supplied NCoA",
        128: "Reason unspecified",
        129: "Administratively prohibited",
        130: "Insufficient resources",
        131: "Incorrect interface identifier length",
    },
    "16.1.trigger": TRIGGER_NAMES,
    "16.2.status": REVOCATION_NAMES,
    # RFC 6705 section 6.2.
    "18.status": {0: "Success", 128: "Localized Routing Not Allowed", 129: "MN Not Attached"},
    # RFC 7077 section 4.1, RFC 7222, RFC 7864.
    "19.reason": {
        0: "Reserved",
        1: "FORCE-REREGISTRATION",
        2: "UPDATE-SESSION-PARAMETERS",
        3: "VENDOR-SPECIFIC-REASON",
        4: "ANI-PARAMS-REQUESTED",
        5: "QOS_SERVICE_REQUEST",
        8: "FLOW-MOBILITY",
    },
    # RFC 7077 section 4.2.
    "20.status": {
        0: "SUCCESS",
        128: "FAILED-TO-UPDATE-SESSION-PARAMETERS",
        129: "MISSING-VENDOR-SPECIFIC-OPTION",
        130: "CANNOT_MEET_QOS_SERVICE_REQUEST",
    },
    "o8.subtype": _IDENTIFIER,
    "o9.subtype": {1: "MN-HA", 2: "MN-AAA"},
    # RFC 5026 section 8.1.
    "o17.status": {
        0: "DNS update performed",
        128: "Reason unspecified",
        129: "Administratively prohibited",
        130: "DNS Update Failed",
    },
    # RFC 5213 section 8.4.
    "o23.value": {
        0: "Reserved",
        1: "Attachment over a new interface",
        2: "Handoff between two different interfaces of the mobile node",
        3: "Handoff between mobile access gateways for the same interface",
        4: "Handoff state unknown",
        5: "Handoff state not changed (Re-registration)",
    },
    # Registry "Access Technology Type Option type values".
    "o24.value": {
        0: "Reserved",
        1: "Virtual",
        2: "PPP",
        3: "IEEE 802.3",
        4: "IEEE 802.11a/b/g",
        5: "IEEE 802.16e",
        6: "3GPP GERAN",
        7: "3GPP UTRAN",
        8: "3GPP E-UTRAN",
        9: "3GPP2 eHRPD",
        10: "3GPP2 HRPD",
        11: "3GPP2 1xRTT",
        12: "3GPP2 UMB",
        13: "3GPP NB-IOT",
    },
    # RFC 5555 section 3.2.1.
    "o30.status": {
        0: "Success",
        128: "Failure, reason unspecified",
        129: "Administratively prohibited",
        130: "Incorrect IPv4 home address",
        131: "Invalid IPv4 address",
        132: "Dynamic IPv4 home address assignment not available",
        133: "Prefix allocation unauthorized",
    },
    # RFC 5844 section 3.3.2.
    "o37.status": {
        0: "Success",
        128: "Failure, reason unspecified",
        129: "Administratively prohibited",
        130: "Incorrect IPv4 home address",
        131: "Invalid IPv4 address",
        132: "Dynamic IPv4 home address assignment not available",
    },
    "o35.status": _STATUS,
    "o39.server": {0: "DHCP relay", 1: "DHCP server"},
    "o50.subtype": {1: "Bulk Binding Update Group"},
    "o64.subtype": _IDENTIFIER,
}

#: Letters of flags from the highest bit on; ``-`` is a reserved bit.
FLAGS: dict[str, str] = {
    "5.flags": "AHLKMRPFTBSD----",
    "6.flags": "KRPTBSD-",
    "8.flags": "AHLK------------",
    "9.flags": "K-------",
    "13.flags": "--------------UR",
    "14.flags": "SUPF----",
    "15.flags": "UPF-----",
    "16.1.flags": "PVG-------------",
    "16.2.flags": "PVG-------------",
    "19.flags": "AD--------------",
    "o17.flags": "R-------",
}

#: Seconds of one unit.
SECONDS: dict[str, float] = {
    "5.lifetime": 4,
    "6.lifetime": 4,
    "8.lifetime": 4,
    "9.lifetime": 4,
    "17.lifetime": 1,
    "18.lifetime": 1,
    "o2.interval": 4,
    "o31.refresh_time": 1,
    "o43.lifetime": 0.1,
}

#: Times: how many units make a second and when they began, in seconds before 1970.
CLOCKS: dict[str, tuple[int, int]] = {
    "o10.timestamp": (1 << 32, 2_208_988_800),  # RFC 4285 section 6
    "o27.value": (1 << 16, 0),  # RFC 5213 section 8.8
}

#: Labels of fields that the documents call otherwise than the tables; by key or by name alone.
LABELS: dict[str, str] = {
    "sequence": "Sequence Number",
    "spi": "Mobility SPI",
    "bid": "Binding ID",
    "token": "Keygen Token",
    "trigger": "Revocation Trigger",
    "vendor": "Vendor ID",
    "sr_id": "SR-ID",
    "if_att": "Interface ATT",
    "if_label": "Interface Label",
    "3.nonce_index": "Home Nonce Index",
    "4.nonce_index": "Care-of Nonce Index",
    "19.reason": "Notification Reason",
    "o2.interval": "Refresh Interval",
    "o4.home": "Home Nonce Index",
    "o4.care_of": "Care-of Nonce Index",
    "o23.value": "Handoff Indicator",
    "o24.value": "Access Technology Type",
    "o27.value": "Timestamp",
    "o28.counter": "Restart Counter",
    "o29.prefix_request": "P",
    "o31.force": "F",
    "o33.key": "GRE Key Identifier",
    "o35.home": "H",
    "o35.care_of": "Care-of Address",
    "o39.server": "S",
    "o43.latch": "L",
    "o50.group": "Mobile Node Group ID",
}
