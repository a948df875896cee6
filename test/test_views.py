"""What services tell the shell: choosing, counting and ending sessions in slices; pools and queues."""

import ipaddress
import socket
import time
from collections.abc import Iterator
from typing import Any

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from appliance.lma_service import LmaService
from appliance.ports import Census, SessionFilter
from appliance.protocols.pmipv6.pools import HomePools, Numbers
from appliance.protocols.pmipv6.settings import AddressPool, LmaSettings, PrefixPool, Profile
from appliance.protocols.timers import Now
from appliance.views import PASSED, SLICE, clear, is_imsi, pool_views, queue_view, select, tally


def packed(text: str) -> bytes:
    """An address as octets."""
    return ipaddress.ip_address(text).packed


@define
class Entry:
    """What the views read of a core's entry."""

    call_id: int
    mn_id: bytes = b"mn@example.org"
    state: str = "active"
    prefixes: tuple[tuple[bytes, int], ...] = ((bytes(16), 64),)
    ipv4_address: bytes | None = None
    created: float = 0.0
    of_host: bool = False

    def holds(self, address: bytes) -> bool:
        """By IPv4 address only."""
        return address == self.ipv4_address


def entries(count: int) -> Iterator[Any]:
    """``count`` entries with names of their own."""
    return iter([Entry(number, b"mn%d@example.org" % number) for number in range(count)])


class ImsiTests(SynchronousTestCase):
    def test_identifiers(self) -> None:
        """A 3GPP NAI with and without the digit of the method, and the subtype of RFC 8371."""
        fits = is_imsi("240999990000001")
        for name, expected in (
            (b"240999990000001@nai.epc.mnc099.mcc240.3gppnetwork.org", True),
            (b"0240999990000001@nai.epc.example.org", True),
            (b"6240999990000001@nai.epc.example.org", True),
            (b"9240999990000001@nai.epc.example.org", False),
            (b"240999990000001", True),
            (b"2409999900000012@x", False),
            (b"\0\x03240999990000001", True),
            (b"\0\x03" + bytes.fromhex("42909999000000f1"), True),
            (b"\0\x03" + bytes.fromhex("42909999000000f2"), False),
            (b"\0\x04240999990000001", False),
            (b"mn@example.org", False),
            (b"", False),
        ):
            self.assertEqual(fits(name), expected, name)


class SelectTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Without a test of its own it gives what the core has found."""
        self.assertEqual(len(list(select(entries(1000), SessionFilter(username="mn1@example.org")))), 1000)

    def test_wildcards_in_slices(self) -> None:
        """What does not match is passed over in slices."""
        found = list(select(entries(1000), SessionFilter(username="mn99$@*")))
        self.assertEqual([entry.call_id for entry in found if entry], list(range(990, 1000)))
        self.assertEqual(found.count(None), 990 // PASSED)

    def test_all_tests_together(self) -> None:
        """An entry has to pass each of them."""
        one = Entry(1, b"240999990000001@x.org", ipv4_address=b"\xcb\0\x71\7")
        wanted = SessionFilter(username="*@x.org", imsi="240999990000001")
        self.assertEqual(list(select(iter([one]), wanted, b"\xcb\0\x71\7")), [one])
        self.assertEqual(list(select(iter([one]), wanted, b"\xcb\0\x71\x08")), [])


class TallyTests(SynchronousTestCase):
    def test_census(self) -> None:
        """By state, family and age; ages at a limit are of the next class, the future is of the first."""
        found = [
            Entry(1, created=1_000.0), Entry(2, created=940.0), Entry(3, state="deleting", created=2_000.0),
            Entry(4, prefixes=(), ipv4_address=b"\xcb\0\x71\7", created=-90_000.0, of_host=True),
        ]  # fmt: skip
        *pauses, census = tally(iter(found), 1_000.0)
        assert isinstance(census, Census)
        self.assertEqual(pauses, [])
        wanted = {
            ("active", True, False, False): 2,
            ("deleting", True, False, False): 1,
            ("active", False, True, True): 1,
        }
        self.assertEqual(census.kinds, wanted)
        self.assertEqual(census.ages, [2, 1, 0, 0, 0, 0, 0, 0, 1])

    def test_slices(self) -> None:
        """Counting pauses, also while nothing matches."""
        *pauses, census = tally(entries(1_000), 0.0)
        self.assertEqual((len(pauses), set(pauses)), (1_000 // SLICE, {None}))
        *pauses, census = tally(select(entries(10_000), SessionFilter(username="*x")), 0.0)
        assert isinstance(census, Census)
        self.assertEqual((len(pauses), census.kinds), (10_000 // SLICE, {}))

    def test_clear(self) -> None:
        """One is ended at each step, none before it is asked for."""
        ended: list[int] = []
        steps = clear(select(entries(200), SessionFilter(username="mn1$$@*")), ended.append)
        self.assertEqual(ended, [])
        self.assertEqual(sum(steps), 100)
        self.assertEqual(ended, list(range(100, 200)))


class PoolTests(SynchronousTestCase):
    def test_usable(self) -> None:
        """Reserved numbers, also beyond the end, are not counted."""
        self.assertEqual(Numbers(100).usable, 100)
        self.assertEqual(Numbers(100, [(0, 9), (5, 19), (95, 200)]).usable, 75)

    def test_views(self) -> None:
        """IPv6 first; the size has no addresses that are never handed out."""
        settings = LmaSettings(
            name="lma1",
            prefix_pools=(PrefixPool(name="p6", prefix=packed("2001:db8:1::"), prefix_length=56, group="g"),),
            address_pools=(
                AddressPool(
                    name="p4", network=packed("203.0.113.0"), prefix_length=24, first=packed("203.0.113.0"),
                    last=packed("203.0.113.255"), default_router=packed("203.0.113.1"), static=True,
                ),
            ),
        )  # fmt: skip
        pools = HomePools(settings)
        pools.take_prefix(Profile(name="x"))
        six, four = pool_views(pools, "lma1", "anchor")
        self.assertEqual((six.first, six.length, six.size, six.in_use), ("2001:db8:1::/56", 64, 256, 1))
        self.assertEqual((six.group, six.static, six.family), ("g", False, 6))
        self.assertEqual((four.first, four.last, four.size), ("203.0.113.0", "203.0.113.255", 253))
        self.assertEqual((four.static, four.family, four.context), (True, 4, "anchor"))


class ServiceTests(SynchronousTestCase):
    def test_not_started(self) -> None:
        """A service that is not started has pools and a device's name, and nothing else."""
        service = LmaService(
            LmaSettings(name="lma1", context="anchor"), reactor=None, random_bits=lambda bits: 1,
            clock=lambda: Now(0.0, time.time()), tell=lambda level, text: None,
        )  # fmt: skip
        self.assertEqual((service.pools(), service.queues(), service.devices()), ([], [], ["tun-lma1"]))
        self.assertEqual(list(service.sessions(SessionFilter())), [])
        self.assertEqual(list(service.clear_sessions(SessionFilter())), [])
        (census,) = service.census(SessionFilter())
        assert census is not None
        self.assertEqual(sum(census.ages), 0)


class QueueTests(SynchronousTestCase):
    def test_kernel_numbers(self) -> None:
        """What waits in a socket is counted by the kernel."""
        receiver = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(receiver.close)
        receiver.bind(("::1", 0))
        address = packed("::1")
        self.assertEqual(queue_view("lma x", address, receiver, 3, 4096).receive, 0)
        sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        sender.sendto(b"x" * 100, receiver.getsockname())
        view = queue_view("lma x", address, receiver, 3, 4096)
        self.assertGreaterEqual(view.receive, 100)
        self.assertGreater(view.receive_limit, view.receive)
        self.assertEqual((view.send, view.send_limit, view.dropped, view.address), (3, 4096, 0, "::1"))
