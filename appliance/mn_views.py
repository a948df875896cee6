"""What a mobile node's core reports, as the shell shows it."""

from appliance.ports_mn import BindingView
from appliance.protocols.mn.events import Optimized, Registered, Report
from appliance.service import address_text, prefix_text
from appliance.tun.homeward import Homeward, Way

Facts = list[tuple[str, str]]


def overview(name: str, device: str, report: Report, rules: Homeward | None) -> Facts:
    """How a client is doing, in screen order."""
    usage = rules.usage if rules is not None else [0, 0, 0, 0]
    ipv4 = prefix_text((report.home_ipv4, report.home_ipv4_prefix_length)) if report.home_ipv4 else "None"
    registered = [each for each in report.registrations if each.state == "registered"]
    return [
        ("Client Name", name),
        ("State", report.state),
        ("Home Agent", address_text(report.home_agent) or "None"),
        ("Home Address", address_text(report.home_address) or "None"),
        ("IPv4 Home Address", ipv4),
        ("Care-of Addresses", ", ".join(address_text(each.care_of) for each in registered) or "None"),
        ("Tunnel Device", device),
        ("Tunnel", _tunnel(rules) or "None"),
        ("Handoffs", str(report.handoffs)),
        ("Known Home Agents", ", ".join(map(address_text, report.home_agents)) or "None"),
        ("Home Network Prefixes", ", ".join(prefix_text(each[:2]) for each in report.prefixes) or "None"),
        ("Mobile Network Prefixes", ", ".join(map(prefix_text, report.networks)) or "None"),
        ("Correspondents", str(len(report.correspondents))),
        ("Packets Sent", str(usage[0])),
        ("Octets Sent", str(usage[1])),
        ("Packets Received", str(usage[2])),
        ("Octets Received", str(usage[3])),
    ]


def _tunnel(rules: Homeward | None) -> str:
    """The path that is used to send."""
    if rules is None or not rules.ways:
        return ""
    way = rules.ways[0]
    path = way.path
    ends = f"{address_text(path.local)} to {address_text(path.peer)}"
    return f"{encapsulations(way, rules.home_ipv4 is not None)} by {path.interface}, {ends}, MTU {way.mtu}"


def encapsulations(way: Way, ipv4: bool) -> str:
    """Names of the forms of a tunnel, as they are counted."""
    return f"{way.row6.name}, {way.row4.name}" if ipv4 else way.row6.name


def bindings(name: str, report: Report, rules: Homeward | None) -> list[BindingView]:
    """All bindings, those with home agents first."""
    ways = {way.path.local: way for way in rules.ways} if rules is not None else {}
    ipv4 = rules is not None and rules.home_ipv4 is not None
    return [
        *(_home(name, report, each, ways.get(each.care_of), ipv4) for each in report.registrations),
        *(_correspondent(name, each) for each in report.correspondents),
    ]


def _home(name: str, report: Report, each: Registered, way: Way | None, ipv4: bool) -> BindingView:
    keepalive = f"every {each.keepalive} seconds" if each.keepalive else "None"
    return BindingView(
        client=name,
        peer=address_text(report.home_agent),
        kind="home",
        state=each.state,
        interface=each.interface,
        care_of=address_text(each.care_of),
        bid=each.bid,
        encapsulation=encapsulations(way, ipv4) if way is not None else "-",
        lifetime=each.lifetime,
        remaining=round(each.expires),
        sequence=each.sequence,
        status=each.status,
        details=(
            ("Next Update In", f"{each.refresh:.1f} seconds"),
            ("Retransmissions", str(each.retransmissions)),
            ("NAT Found", "Yes" if each.nat else "No"),
            ("Keepalive", keepalive),
        ),
    )


def _correspondent(name: str, each: Optimized) -> BindingView:
    return BindingView(
        client=name,
        peer=address_text(each.address),
        kind="correspondent",
        state=each.state,
        interface="-",
        care_of=address_text(each.care_of) or "-",
        bid=0,
        encapsulation="-",
        lifetime=each.lifetime,
        remaining=round(each.expires),
        sequence=each.sequence,
        status=-1,
        details=(
            ("Home Nonce Index", str(each.home_nonce)),
            ("Care-of Nonce Index", str(each.care_of_nonce)),
        ),
    )
