"""What our screens say where StarOS's own words are not known: our choices, kept in one place.

The layouts of the other screens were measured on captures of the real system. Whatever stands here
was not: its labels, letters and mappings are ours, and the documentation says so.
"""

#: Kinds of service as titles and sentences name them.
TITLES = {"lma": "LMA", "mipv6ha": "MIPv6HA", "mag": "MAG"}

_ANCHOR_REASONS = {
    "Lifetime expiry": "Absolute-timeout",
    "Deregistrations": "Remote-disconnect",
    "Admin Drops": "Admin-disconnect",
    "Other Reasons": "Local-disconnect",
}
#: Our counters of ended sessions, by service kind and the label under ``Total Disconnects``: the StarOS
#: disconnect reason that comes closest. The reasons' names are StarOS's, the mapping is ours.
DISCONNECT_REASONS: dict[str, dict[str, str]] = {
    "lma": _ANCHOR_REASONS,
    "mipv6ha": _ANCHOR_REASONS,
    "mag": {
        "Lifetime expiry": "Absolute-timeout",
        "Detach": "Remote-disconnect",
        "Denied": "call-internal-reject",
        "Admin Drops": "Admin-disconnect",
        "Link Loss": "path-failure",
        "Other Reasons": "Local-disconnect",
    },
}

#: Reasons in the order of ``show session disconnect-reasons``; ``verbose`` shows those at zero too.
REASON_ORDER = (
    "Admin-disconnect", "Remote-disconnect", "Local-disconnect", "No-resource", "Idle-Inactivity-timeout",
    "Absolute-timeout", "Session-setup-timeout", "internal-error", "path-failure", "Long-duration-timeout",
    "Auth-failed", "No-response", "unknown-apn", "call-internal-reject",
)  # fmt: skip

#: States of ``show session progress`` in the digest's order, and which of our session states they are.
PROGRESS = (
    "ARRIVED", "AUTHENTICATING", "AUTHENTICATED", "MOBILE-IPv6 CONNECTED", "PROXY-MOBILE-IP CONNECTING",
    "PROXY-MOBILE-IP CONNECTED", "PDN-TYPE-IPv4 CONNECTED", "PDN-TYPE-IPv6 CONNECTED",
    "PDN-TYPE-IPv4+IPv6 CONNECTED", "DISCONNECTING",
)  # fmt: skip
CONNECTING, DISCONNECTING = ("registering", "waiting"), ("deregistering", "deleting")
CONNECTED = {
    (False, True): "PDN-TYPE-IPv4 CONNECTED",
    (True, False): "PDN-TYPE-IPv6 CONNECTED",
    (True, True): "PDN-TYPE-IPv4+IPv6 CONNECTED",
    (False, False): "PROXY-MOBILE-IP CONNECTED",
}

HOST_CONNECTED = "MOBILE-IPv6 CONNECTED"

#: An anchor's sessions are the P-GW's, a gateway's are the HSGW's: beginning of the access type's name. Those
#: of hosts have one name, whatever addresses they have and wherever they are.
HOST_TYPE = "ha-mobile-ipv6"
ACCESS_TYPES = {"lma": "pgw-pmip", "mipv6ha": HOST_TYPE, "mag": "hsgw"}


def access_type(kind: str, family: str, of_host: bool) -> str:
    """Access type of a session at a service of this kind, with addresses of this family."""
    return HOST_TYPE if of_host else f"{ACCESS_TYPES[kind]}-{family}"


#: Letters of the subscriber list. Those of technologies and of the network type are StarOS's.
HOST_LETTER = "V"
TYPE_LETTERS = {"lma": "P", "mipv6ha": HOST_LETTER, "mag": "H"}
TECHNOLOGY_LETTERS = {4: "W", 5: "M", 6: "E", 7: "U", 10: "D", 11: "X"}
NETWORK_LETTER, HOST_NETWORK_LETTER = "P", "M"
#: Only the beginning of the first line is known; the rest of the legend, the heading and what the sixth
#: letter means are ours.
LEGEND = """\
+-----Access  (S) - pdsn-simple-ip     (M) - pdsn-mobile-ip     (P) - pgw-pmip
|     Type    (H) - hsgw             (V) - ha-mobile-ipv6
|+----Access  (X) - CDMA 1xRTT         (E) - GPRS GERAN         (D) - CDMA EV-DO
||    Tech    (U) - WCDMA UTRAN        (W) - Wireless LAN       (M) - WiMAX
||            (.) - other
||+---Call    (C) - Connected          (c) - Connecting         (d) - Disconnecting
|||   State
|||+--Link    (A) - Active             (D) - Dormant
||||  Status
||||+-Network (P) - Proxy-Mobile-IP    (M) - Mobile-IP
||||| Type
|||||+PDN     (4) - IPv4               (6) - IPv6               (b) - IPv4 and IPv6
|||||| Type
vvvvvv CALLID   MSID            USERNAME                 IP                       TIME-LEFT
------ -------- --------------- ------------------------ ------------------------ ---------""".splitlines()
LEGEND_LINE = "{} {} {:<15} {:<24} {:<24} {:>9}".format

NO_SESSIONS = "No sessions match the specified criteria"

#: States and address families of the session summary.
STATES = ("active", "registering", "deregistering", "deleting", "waiting")
FAMILIES = ("IPv6 Only", "IPv4 Only", "IPv4 and IPv6")

#: The session lists: fixed columns, so that the first line is out before the last session was looked at.
LIST_LINE = "{:<8}  {:<13}  {:<12}  {:<32}  {:<24}  {:<15}  {:<24}  {:>9}".format
LIST_DASHES = (8, 13, 12, 32, 24, 15, 24, 9)
COUNTERS_LINE = "{:<8}  {:<12}  {:<32}  {:>12}  {:>16}  {:>12}  {:>16}".format
COUNTERS_HEADINGS = (
    "Call ID", "Service", "Username", "Pkts From MN", "Octets From MN", "Pkts To MN", "Octets To MN",
)  # fmt: skip
COUNTERS_DASHES = (8, 12, 32, 12, 16, 12, 16)

#: Diameter and AAA: no capture of these lists is known, so their columns are ours. A process of ours is one
#: task, and knows no cards and no processors.
TASK = "diameter"
NO_PEERS = "No peers match the specified criteria"
PEER_LINE = "{:<36}  {:<16}  {:<14}  {:<8}  {:<9}  {:<26}  {:>7}  {:>6}".format
PEER_HEADINGS = ("Peer", "Endpoint", "State", "Watchdog", "Transport", "Address", "Pending", "Queued")
PEER_DASHES = (36, 16, 14, 8, 9, 26, 7, 6)
QUEUE_LINE = "{:<16}  {:<32}  {:<3}  {:<7}  {:<7}  {:<30}  {:<10}  {:<10}  {:>9}  {:<1}  {}".format
QUEUE_HEADINGS = (
    "Endpoint", "Peer", "Way", "State", "Command", "Application", "Hop-by-Hop", "End-to-End", "Time Left",
    "T", "Session-Id",
)  # fmt: skip
QUEUE_DASHES = (16, 32, 3, 7, 7, 30, 10, 10, 9, 1, 10)
DIAMETER_SESSION_LINE = "{:<6}  {:<12}  {:<8}  {:<32}  {:<34}  {:<32}  {:>9}  {}".format
DIAMETER_SESSION_HEADINGS = (
    "Role", "Owner", "State", "Username", "Application", "Peer", "Time Left", "Session-Id",
)  # fmt: skip
DIAMETER_SESSION_DASHES = (6, 12, 8, 32, 34, 32, 9, 10)

#: Users of AAA servers.
USER_LINE = "{:<36}  {:<12}  {:<7}  {:<24}  {:<3}  {:>8}  {:>5}  {}".format
USER_HEADINGS = ("User", "Server", "Enabled", "Permissions", "Key", "Sessions", "Limit", "Source")
USER_DASHES = (36, 12, 7, 24, 3, 8, 5, 13)

#: Accounting records and what they sum up to.
NO_RECORDS = "No accounting records match the specified criteria"
RECORD_LINE = "{:<19}  {:<12}  {:<7}  {:>6}  {:<32}  {:>9}  {:>16}  {:>16}  {}".format
RECORD_HEADINGS = (
    "Received (UTC)", "Server", "Type", "Number", "Username", "Seconds", "Octets From MN", "Octets To MN",
    "Session-Id",
)  # fmt: skip
RECORD_DASHES = (19, 12, 7, 6, 32, 9, 16, 16, 10)
USAGE_LINE = "{:<10}  {:<12}  {:<32}  {:>8}  {:>12}  {:>16}  {:>16}".format
USAGE_HEADINGS = ("Day (UTC)", "Server", "Username", "Sessions", "Seconds", "Octets From MN", "Octets To MN")
USAGE_DASHES = (10, 12, 32, 8, 12, 16, 16)

#: What ``show tech-support`` shows, in this order; a privilege that is not enough leaves a line out.
TECH_SUPPORT = (
    "show version", "show clock", "show system uptime", "show system", "show context all", "show service all",
    "show configuration", "show ip interface", "show ipv6 interface", "show ip route", "show ipv6 route",
    "show ip pool", "show ipv6 pool", "show subscribers summary", "show session progress",
    "show session duration", "show session disconnect-reasons verbose", "show lma-service all",
    "show lma-service statistics", "show lma-service heartbeat", "show mipv6ha-service all",
    "show mipv6ha-service statistics", "show congestion-control",
    "show mag-service all", "show mag-service statistics", "show mag-service heartbeat",
    "show mn-client all", "show mn-client session", "show mn-client bindings full",
    "show mn-client statistics",
    "show configuration errors verbose",
    "show diameter endpoint all", "show diameter peers verbose", "show diameter routes",
    "show diameter statistics", "show diameter aaa-statistics", "show aaa group", "show aaa clients",
    "show aaa servers", "show aaa statistics", "show accounting spool", "show administrators",
    "show logs last 500",
)  # fmt: skip

#: The menu behind option 75 of ``monitor``: key, name, application ids. The digits are StarOS's, which has
#: more of them; the letters, and which ids belong where, are ours. What is in none belongs to the last.
MONITORED: dict[str, tuple[str, tuple[int, ...]]] = {
    "1": ("DIABASE", (0,)),
    "7": ("Rf", (3,)),
    "8": ("EAP/STa/S6a/S6d/S6b/S13/SWm/SGd", (5, 16777250, 16777251, 16777264, 16777272, 16777313)),
    "N": ("NASREQ", (1,)),
    "M": ("Mobile IPv4/MIP6I/MIP6A", (2, 7, 8)),
    "O": ("Other applications", ()),
}


def monitored(application: int) -> str:
    """Key of the menu that an application belongs to."""
    found = (key for key, (_, ids) in MONITORED.items() if application in ids)
    return next(found, list(MONITORED)[-1])


#: Debian packages of the programs behind ``ping`` and ``traceroute``.
PACKAGES = {"ping": "iputils-ping", "traceroute": "traceroute", "tracepath": "iputils-tracepath"}
