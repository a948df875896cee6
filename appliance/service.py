"""The service tree: one object per configured service, and the system that holds them.

::

    app ──▶ System ──┬─ Kernel        addresses, routes, forwarding; undone at the end
                     ├─ LmaService    core + sockets + engine + TUN device + pool routes
                     ├─ MagService    core + access core + sockets + engine + access links
                     └─ control socket ──▶ Shell ──▶ ports (this module implements them)
"""

import ipaddress
import resource
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate
from pathlib import Path
from re import compile as pattern
from typing import Any

from twisted.internet.task import LoopingCall

from appliance import counters, facts
from appliance.config import Configuration
from appliance.errors import ApplianceError
from appliance.ports import ServicePort, SessionFilter, SessionView
from appliance.protocols.access.attach import AccessLink
from appliance.protocols.pmipv6.bce import BindingCacheEntry
from appliance.protocols.pmipv6.driver import LmaDriver, MagDriver
from appliance.protocols.pmipv6.events import ClearSessions, MobileAttached, MobileDetached, Notify
from appliance.protocols.pmipv6.lma import LocalMobilityAnchor
from appliance.protocols.pmipv6.mag import MobileAccessGateway
from appliance.protocols.pmipv6.settings import LmaSettings, MagSettings
from appliance.protocols.timers import Now
from appliance.tun.engine import Engine
from appliance.tun.kernel import Kernel

Clock = Callable[[], Now]
LAG_INTERVAL = 0.1
