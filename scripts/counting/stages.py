"""The configurations of the anchor: one boot each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.labnet import HOME_POOL, HOME_POOL_4, LMA_ADDRESS, MAG_ADDRESSES

#: Functions of an anchor beside the plain registration, all on at once: lines of the service, and others.
FEATURES = (
    "heartbeat interval 30",
    "revocation enable",
    "max-memory 65536",
    "forced-udp-encapsulation",
    "mipv6 enable",
    "mipv6 home-address-pool HOSTS",
)
FEATURES_CONTEXT = ("ipv6 pool HOSTS prefix 2001:db8:100::/64 delegated-length 128 static",)


#: The laboratory shares its processors: a late process is not a congested one.
PATIENT = "congestion-control threshold loop-lag 10000"


@dataclass
class Stage:
    """One configuration."""

    name: str
    config: str
    #: Makes what there has to be beside the anchor, before it starts; ``World.extra`` is what it returns.
    opens: Callable[[Any], object] | None = None
    #: Kind and name of the service that is counted.
    kind: str = "lma"
    service: str = "lma1"


def anchor(service: tuple[str, ...] = (), context: tuple[str, ...] = (), bind: str = "") -> str:
    """A configuration with more lines for the service and for its context."""
    lines = [
        "config",
        PATIENT,
        "context anchor",
        f"ipv6 pool HOME prefix {HOME_POOL}",
        f"ip pool HOME4 {HOME_POOL_4} default-router 203.0.113.1",
        "subscriber default",
        "permission pmipv6",
        "ipv4 access",
        "exit",
        *context,
        "lma-service lma1",
        f"bind address {LMA_ADDRESS} ipv4-address 198.51.100.1{bind}",
        *(f"mag-peer {address}" for address in MAG_ADDRESSES.values()),
        "min-delay-before-bce-delete 0",
        # The laboratory shares its processors: a late message is not a wrong clock.
        "timestamp-validity-window 3000",
        *service,
        "exit",
        "exit",
        "end",
    ]
    return "\n".join(lines) + "\n"


def home_agent(service: tuple[str, ...], context: tuple[str, ...]) -> str:
    """A configuration with a ``mipv6ha-service`` and these lines in it and in its context."""
    lines = [
        "config",
        PATIENT,
        "context anchor",
        *context,
        "mipv6ha-service ha1",
        f"bind address {LMA_ADDRESS} ipv4-address 198.51.100.1",
        *service,
        "exit",
        "exit",
        "end",
    ]
    return "\n".join(lines) + "\n"
