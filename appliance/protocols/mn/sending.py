"""Putting a mobility message of a mobile node on its way (RFC 6275 section 11.7.1, RFC 5555 section 4.4.2).

::

    on an IPv6 link  IPv6(care-of address) / Home Address option / message
    on an IPv4 link  IPv4(care-of address) / UDP 4191 / IPv6(home address) / message
    at home          IPv6(home address) / message
"""

from appliance.protocols.mn.agents import Agent
from appliance.protocols.mn.events import Link, SendMessage
from appliance.protocols.mn.state import Shared
from appliance.protocols.mobility.codec import seal

DSMIPV6_PORT = 4191


def packet(shared: Shared, agent: Agent, mh: bytes, link: Link, *, at_home: bool = False) -> SendMessage:
    """A message to the home agent; ``mh`` has a zero checksum."""
    home, target = shared.home, agent.address
    data = seal(mh, home, target)
    if at_home:
        return SendMessage(data, home, target, interface=link.interface)
    if len(link.address) == 4:
        return SendMessage(
            data,
            home,
            target,
            interface=link.interface,
            outer_source=link.address,
            outer=agent.ipv4,
            port=DSMIPV6_PORT,
        )
    return SendMessage(data, link.address, target, home, interface=link.interface)
