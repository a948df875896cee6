"""Random configurations that are valid, out of few parts, so that two of them have much in common."""

from typing import Any

from hypothesis import strategies as st

HOST = {"2001:db8:ffff::1": "eth0", "2001:db8:ffff::2": "eth0", "192.0.2.1": "eth0"}
"""Addresses that the host has by itself."""
ADDRESSES = ("2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::8", "2001:db8:ffff::9")
POOLS = (
    "ipv6 pool P1 prefix 2001:db8:1::/48",
    "ipv6 pool P2 prefix 2001:db8:2::/48 delegated-length 60 group-name G",
    "ipv6 pool P3 prefix 2001:db8:3::/49 static",
    "ipv6 pool P3 prefix 2001:db8:3:8000::/49",
    "ipv6 pool P1 prefix 2001:db8:1::/47",
    "ipv6 pool P4 prefix 2001:db8:100::/64 delegated-length 128 static",
    "ip pool V4 203.0.113.0/24",
    "ip pool V4 203.0.113.0/24 default-router 203.0.113.9",
    "ip pool R4 range 198.51.100.5 198.51.100.9 mask-length 24",
)
SUBSCRIBER = (
    "permission pmipv6", "no service enable", "ipv4 access", "any-home-network-prefix", "allowed-service net",
    "home-network-prefix 2001:db8:1:7::/64", "home-network-prefix 2001:db8:77::/64",
    "ipv4-home-address 203.0.113.20", "allowed-mag 2001:db8:ffff::9", "no permission mipv6",
    "mn-ha-spi spi-number 256 secret abcdefgh", "mipv6-home-address 2001:db8:100::5",
    "mobile-network-prefix 2001:db8:a0::/48", "no permission mobile-router",
)  # fmt: skip
LMA = (
    "reg-lifetime 500", "reg-lifetime 900", "mag-peer 2001:db8:ffff::a1", "mag-peer 2001:db8:a::/48",
    "mag-peer 2001:db8:ffff::a1 prohibited", "path-mtu 1400", "tunnel-traffic-class 8", "gre required",
    "mag-peer 2001:db8:ffff::a1 no-heartbeat whole-payload access-technology-0", "newcall policy busyout",
    "simul-bindings 2", "max-memory 900", "shutdown", "max-pending 7",
    "policy unknown-subscriber reject", "min-delay-before-bce-delete 0", "timestamp-option-validation",
    "mipv6 enable", "mipv6 home-address-pool P4", "mn-ha-spi spi-number 300 secret abcdefgh",
    "mipv6 mobile-routers", "mipv6 flow-policy round-robin", "mipv6 delegation-lifetime 600",
    "mipv6 dhcpv6-prefix-delegation", "simul-bindings 2",
)  # fmt: skip
HOME_AGENT = (
    "reg-lifetime 500", "no reg-lifetime", "path-mtu 1400", "newcall policy reject", "simul-bindings 2",
    "home-address-pool P4", "mn-ha-spi spi-number 300 secret abcdefgh", "shutdown", "no aaa accounting",
    "default subscriber a@example.org", "timestamp-replay-protection", "policy unknown-subscriber reject",
)  # fmt: skip
MAG = (
    "lma-address 2001:db8:ffff::1", "lma-address 2001:db8:ffff::2", "reg-lifetime 700", "path-mtu 1380",
    "mag-local-routing", "prefix-delegation dhcpv6", "encapsulation ipip", "access-interface acc0",
    "access-interface acc1",
    "access-interface acc0 access-technology 3", "mobile-node 02:00:5e:10:00:01 nai mn1@example.org",
    "mobile-node 02:00:5e:10:00:02 nai mn2@example.org ipv4", "router lifetime 900", "reachable-time 9",
    "fixed-link-layer-address 02:00:00:00:00:09",
    "lma-peer 2001:db8:ffff::1 plain-acknowledgement no-revocation",
)  # fmt: skip


def some(lines: tuple[str, ...], most: int = 5) -> Any:
    """Some of these lines."""
    return st.lists(st.sampled_from(lines), max_size=most, unique=True)


@st.composite
def service(draw: Any, kind: str, name: str, address: str) -> list[str]:
    """A service, bound or not."""
    lines = [f"{kind}-service {name}"]
    if draw(st.integers(0, 4)):
        ipv4 = " ipv4-address 192.0.2.1" if address == ADDRESSES[0] and draw(st.booleans()) else ""
        lines.append(f"bind address {address}{ipv4}")
    return [*lines, *draw(some({"lma": LMA, "mipv6ha": HOME_AGENT, "mag": MAG}[kind])), "exit"]


@st.composite
def texts(draw: Any) -> str:
    """A configuration; it may still contradict itself."""
    lines = ["config"]
    if draw(st.booleans()):
        lines.append("system hostname other")
    if not draw(st.integers(0, 3)):
        lines.append("system control-socket /run/other.sock")
    addresses = list(draw(st.permutations(ADDRESSES)))
    pools = draw(some(POOLS))
    for context in ("one", "two"):
        lines.append(f"context {context}")
        for device in ("eth0", "eth1"):
            if (device == "eth0") == (context == "one") and draw(st.booleans()):
                lines.append(f"interface {device}")
                for address in draw(some(ADDRESSES[1:], 3)):
                    lines.append(f"ipv6 address {address}/{draw(st.sampled_from((64, 64, 56)))}")
                lines.append("exit")
        lines += pools if context == "one" else []
        for name in draw(st.lists(st.sampled_from(("a", "b")), max_size=2, unique=True)):
            lines += [f"subscriber name {name}@example.org", *draw(some(SUBSCRIBER, 3)), "exit"]
        kinds = ("lma", "lma1"), ("lma", "lma2"), ("mipv6ha", "ha1"), ("mag", "mag1")
        for kind, name in kinds if context == "one" else kinds[1:]:
            if draw(st.booleans()) and not any(line.endswith(f"-service {name}") for line in lines):
                lines += draw(service(kind, name, addresses.pop()))
        lines.append("exit")
    return "\n".join([*lines, "end", ""])
