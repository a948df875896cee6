"""Configuration commands of IPv4 transport (RFC 5844 section 4): UDP, TLV header, NAT."""

from appliance.cli.commands.configuration import LMA, MAG, number, toggle

toggle(
    MAG,
    "force_udp_encapsulation",
    "force-udp-encapsulation",
    "Tunnels over IPv4 in UDP, which passes a NAT (ForceIPv4UDPEncapsulationSupport, RFC 5844 section 5.2)",
)
toggle(MAG, "tlv", "tlv-header", "Ask for the TLV header that GRE in UDP needs (RFC 5845 section 7.2)")
toggle(LMA, "tlv", "tlv-header", "Accept the TLV header in UDP (RFC 5845 section 7.2), else status 3")
number(LMA, "nat-keepalive <nat_keepalive:NUMBER>", "Refresh time told to gateways behind a NAT")
number(MAG, "nat-keepalive <nat_keepalive:NUMBER>", "Time between keep-alives if the anchor names none")
