"""Every row of the statistics screen about binding updates: a packet that moves it, and what goes with it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile_of
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.counters import LMA
from appliance.counters_table import slug
from appliance.protocols.mobility import aaa
from appliance.protocols.mobility.codec import seal
from appliance.protocols.mobility.messages import BU_A, BU_P
from appliance.protocols.mobility.options import HomeNetworkPrefix, ServiceSelection
from appliance.protocols.pmipv6.events import Capacity, Reconfigure
from appliance.protocols.pmipv6.settings import Profile
from test.fuzz import CASES
from test.protocols.pmipv6.aaa_fakes import AaaWorld
from test.protocols.pmipv6.lma_fakes import LL2, MAG1, MAG2, STRANGER, World
from test.protocols.pmipv6.test_lma_random import random_update

DENY, DROP = "binding-update-deny-reasons/", "binding-updates-discard-reasons/"
RESOURCE = "update-denied-insufficient-resource-reasons/"
ADMIN, UNSPECIFIED = "update-denied-admin-prohibited-reasons/", "update-denied-unspecified-reason/"
RECEIVED, ACK = "binding-updates-received/", "binding-acknowledgements-sent/"
AUTH = "mip-aaa-authentication/"
CLASSES = ("initial-binding-update-requests/", "refresh-binding-update-requests/",
           "dereg-requests/", "handoff-requests/")  # fmt: skip
INITIAL, REFRESH, DEREG, HANDOFF = CLASSES

#: Rows of other functions, which have tests of their own: bindings of hosts, overload, revocation.
ELSEWHERE = {
    DENY + "mismatched-id", DENY + "msg-id-required", DENY + "dad-failed", DENY + "not-home-subnet",
    DENY + "reg-type-change-disallowed", DENY + "mcoa-unknown-coa",
    ADMIN + "mn-aaa-auth-option-missing", ADMIN + "invalid-mn-aaa-option-spi",
    ADMIN + "invalid-mn-ha-option-spi", ADMIN + "congestion-control-denied",
    DROP + "congestion-discarded", DROP + "revocation-pending",
}  # fmt: skip

Case = Callable[[], World]


def sent(make: type[World] = World, before: tuple[dict[str, Any], ...] = (), **what: Any) -> World:
    """A world in which the last update was sent; ``settings`` of it, and updates ``before``."""
    world = make(**what.pop("settings", {}))
    for each in before:
        assert world.send(**each) is not None
    world.send(**what)
    return world


def raw(change: Callable[[bytearray], Any], right: bool = True) -> World:
    """A world that got an update with changed octets."""
    world = World()
    data = bytearray(world.build()[0])
    change(data)
    octets = bytes(data)
    if right:
        octets = seal(octets[:4] + b"\0\0" + octets[6:], MAG1, world.settings.address)
    world._before = world.counters.snapshot()
    world.packet(octets)
    return world


def asked(verdict: str) -> World:
    """A world whose AAA server has answered an update by a verdict."""
    world = AaaWorld()
    world.reply(world.ask(), verdict)
    return world


def without(**capacity: bool) -> World:
    """A world whose process or host cannot carry new sessions."""
    world = World()
    world.lma.receive(Capacity(**capacity), world.now)
    world.send()
    return world


def profile(**fields: Any) -> dict[str, Any]:
    """Settings with such a default profile."""
    return {"default_profile": Profile(name="default", **fields)}


def late() -> World:
    """An update that waits for AAA, and an older one behind it."""
    world = AaaWorld()
    world.ask()
    world.send(time=world.now.wall - 0.1)
    return world


def unsent() -> World:
    """An acknowledgement that the host does not take."""
    world = sent()
    world._before = world.counters.snapshot()
    world.lma.send_failed()
    return world


def _longer(data: bytearray) -> None:
    data[1] += 1


def _option(data: bytearray) -> None:
    data[13] += 200


def _checksum(data: bytearray) -> None:
    data[4] ^= 0xFF


FIRST = ({},)
MOVED = {"source": MAG2, "hi": 3}
LEAVES = {"lifetime": 0}
NEW = {INITIAL + "received": 1}

#: By row: how it is moved. What else moves is worked out from the row.
DENIALS: dict[str, Case] = {
    DENY + "mn-auth-failure": lambda: asked(aaa.BAD_CREDENTIALS),
    DENY + "sequence-out-of-window": lambda: sent(before=({"time": None},), time=None, sequence=0, hi=5),
    DENY + "service-authorization-failed": lambda: sent(
        settings=profile(services=(b"ims",)), extra=[ServiceSelection(b"web")]
    ),
    DENY + "proxy-reg-not-enabled": lambda: sent(settings=profile(pmipv6=False)),
    DENY + "timestamp-mismatch": lambda: sent(time=5.0),
    DENY + "timestamp-lower-than-expected": lambda: sent(before=FIRST, time=5.0, hi=5),
    DENY + "missing-mn-id-option": lambda: sent(mn=None),
    DENY + "missing-hnp-option": lambda: sent(prefixes=[]),
    DENY + "missing-access-tech-option": lambda: sent(att=None),
    DENY + "missing-handoff-ind-option": lambda: sent(hi=None),
    DENY + "not-authorized-for-hnp": lambda: sent(prefixes=[("2001:db8:9::", 64)]),
    DENY + "not-lma-for-mobile": lambda: sent(settings={"unknown_subscriber": "reject"}),
    DENY + "not-authorized-for-proxy-reg": lambda: sent(source=STRANGER),
    DENY + "bce-prefix-do-not-match": lambda: other_prefixes(),
    DENY + "gre-key-option-required": lambda: sent(settings={"gre": "required"}),
    DENY + "other": lambda: sent(settings=profile(ipv6=False)),
    RESOURCE + "no-session-manager": lambda: sent(settings={"newcall_policy": "busyout"}),
    RESOURCE + "no-memory": lambda: without(memory=False),
    RESOURCE + "session-manager-rejected": lambda: sent(settings={"max_subscribers": 0}),
    RESOURCE + "input-q-exceeded": lambda: queue_full(),
    RESOURCE + "simul-bindings-exceeded": lambda: sent(
        before=FIRST, settings={"simul_bindings": 1}, ll=LL2, att=3
    ),
    RESOURCE + "address-alloc-failed": lambda: sent(settings={"prefix_pools": ()}),
    ADMIN + "h-bit-not-set": lambda: sent(settings={"h_bit_required": True}),
    ADMIN + "policy-rejected": lambda: sent(settings={"newcall_policy": "reject"}),
    ADMIN + "hoa-not-authorized": lambda: sent(ipv4=["192.0.2.200"]),
    ADMIN + "no-permission": lambda: sent(settings=profile(enabled=False)),
    ADMIN + "bad-request": lambda: sent(flags=BU_P),
    UNSPECIFIED + "newer-session-detected-by-aaa": lambda: asked(aaa.NEWER),
    UNSPECIFIED + "newer-session-detected-by-pcrf": lambda: asked(aaa.NEWER_PCRF),
    UNSPECIFIED + "newer-session-detected-by-pcs": lambda: asked(aaa.NEWER_PCS),
}
DISCARDS: dict[str, Case] = {
    DROP + "checksum-error": lambda: raw(_checksum, right=False),
    DROP + "initial-auth-pending": late,
    DROP + "session-not-found": lambda: sent(lifetime=0),
    DROP + "hamgr-not-ready": lambda: sent(settings={"shutdown": True}),
    DROP + "decode-failure": lambda: raw(_option),
    DROP + "invalid-buffer-length": lambda: raw(_longer),
    DROP + "other": lambda: sent(settings={"unknown_peer": "discard"}, source=STRANGER),
}
REGISTERED = {ACK + "accepted-reg": 1}
ACCEPTED: dict[str, tuple[Case, dict[str, int]]] = {
    INITIAL: (sent, {**REGISTERED, ACK + "accepted-init-reg": 1}),
    REFRESH: (lambda: sent(before=FIRST, hi=5), REGISTERED),
    HANDOFF: (lambda: sent(before=FIRST, **MOVED), REGISTERED),
    DEREG: (lambda: sent(before=FIRST, **LEAVES), {ACK + "accepted-dereg": 1}),
}
DENIED: dict[str, Case] = {
    INITIAL: lambda: sent(time=5.0),
    REFRESH: lambda: sent(before=FIRST, time=5.0, hi=5),
    HANDOFF: lambda: sent(before=FIRST, time=5.0, **MOVED),
    DEREG: lambda: sent(before=FIRST, time=5.0, **LEAVES),
}


def other_prefixes() -> World:
    """A session of two prefixes, and an update that names one of them."""
    world = sent(settings=profile(prefix_count=2))
    (entry,) = world.lma.sessions()
    world.send(prefixes=[], extra=[HomeNetworkPrefix(64, entry.prefixes[0][0])], hi=5)
    return world


def queue_full() -> World:
    """One update waits for AAA, and no more may."""
    world = AaaWorld(max_pending=1)
    world.ask()
    world.send(mn=b"mn2@x")
    return world


CHANGES: tuple[dict[str, Any], ...] = (
    {"newcall_policy": "reject"}, {"newcall_policy": "busyout"}, {"newcall_policy": "none"},
    {"shutdown": True}, {"shutdown": False}, {"shutdown": False},
    {"simul_bindings": 1}, {"simul_bindings": 0},
    {"max_pending": 1}, {"max_pending": 10_000}, {"max_subscribers": 2}, {"max_subscribers": 1_000},
    profile(enabled=False), profile(ipv4=True),
)  # fmt: skip


class Balance(SynchronousTestCase):
    """What every test needs."""

    def reconfigure(self, world: World, **changes: Any) -> None:
        """Give the anchor other settings."""
        world.settings = evolve(world.settings, **changes)
        world.lma.receive(Reconfigure(world.settings), world.now)
        world.lma.take()

    def check(self, world: World) -> None:
        """What balances whatever happens."""
        value = world.value
        parts = ("total-accepted", "total-denied", "total-discarded", "pending")
        self.assertEqual(value(RECEIVED + "total-received"), sum(value(RECEIVED + part) for part in parts))
        for row in ("accepted", "denied"):
            self.assertEqual(value(f"{RECEIVED}total-{row}"), sum(value(each + row) for each in CLASSES))
        reasons = [row.key for row in LMA.rows if row.key.startswith(DENY)]
        self.assertEqual(value(RECEIVED + "total-denied"), sum(map(value, reasons)))
        self.assertEqual(value(ACK + "denied"), value(RECEIVED + "total-denied"))
        self.assertEqual(
            value(ACK + "accepted-reg") + value(ACK + "accepted-dereg"), value(RECEIVED + "total-accepted")
        )
        self.assertEqual(
            value(ACK + "total"), value(RECEIVED + "total-accepted") + value(RECEIVED + "total-denied")
        )
        for label, heading in (("insufficient-resources", RESOURCE), ("admin-prohibited", ADMIN),
                               ("unspecified-reason", UNSPECIFIED)):  # fmt: skip
            parts = [row.key for row in LMA.rows if row.key.startswith(heading)]
            self.assertEqual(value(DENY + label), sum(map(value, parts)))


class TestEach(Balance):
    def moves(self, world: World, *rows: str) -> dict[str, int]:
        """These rows went up by one by the last packet, and the identities hold; returns all that moved."""
        self.check(world)
        moved = {key: count for key, count in world.moved().items() if not key.startswith(AUTH)}
        for row in rows:
            self.assertEqual(moved.get(row), 1, f"{row} in {moved}")
        return moved

    def test_denials(self) -> None:
        """A denial moves its reason, one class and the acknowledgement; and its reason's sum."""
        for row, case in DENIALS.items():
            world = case()
            moved = self.moves(world, row, ACK + "denied")
            moved.pop(RECEIVED + "pending", None)
            kinds = [each for each in CLASSES if each + "denied" in moved]
            self.assertEqual(len(kinds), 1, moved)
            rows = {row, ACK + "denied", kinds[0] + "received", kinds[0] + "denied"}
            self.assertEqual(set(moved), rows, row)
            for label, heading in (("insufficient-resources", RESOURCE), ("admin-prohibited", ADMIN),
                                   ("unspecified-reason", UNSPECIFIED)):  # fmt: skip
                self.assertEqual(world.value(DENY + label), row.startswith(heading))

    def test_discards(self) -> None:
        """A discard is not answered and moves its reason, beside what is received of a class at most."""
        for row, case in DISCARDS.items():
            world = case()
            moved = self.moves(world, row)
            self.assertIsNone(world.answer(), row)
            self.assertLessEqual(set(moved) - {row}, {each + "received" for each in CLASSES}, row)
            self.assertEqual(world.value(RECEIVED + "total-discarded"), 1)

    def test_accepted(self) -> None:
        """Each class of updates, accepted."""
        for kind, (case, more) in ACCEPTED.items():
            moved = self.moves(case())
            self.assertEqual(moved, {kind + "received": 1, kind + "accepted": 1, **more})

    def test_denied(self) -> None:
        """Each class of updates, denied."""
        for kind, case in DENIED.items():
            self.moves(case(), kind + "received", kind + "denied", ACK + "denied")

    def test_send_error(self) -> None:
        """An acknowledgement that cannot be sent counts beside what it is."""
        self.assertEqual(self.moves(unsent()), {ACK + "send-error": 1})

    def test_complete(self) -> None:
        """No published row about binding updates is left out."""
        tried = {*DENIALS, *DISCARDS, ACK + "send-error", *ELSEWHERE}
        tried |= {each + row for each in CLASSES for row in ("received", "accepted", "denied")}
        for _, more in ACCEPTED.values():
            tried |= set(more)
        table = Path(__file__).parents[2] / "golden" / "lma-service-statistics.tsv"
        sums = {row.key for row in LMA.rows if row.kind == "sum"}
        groups = {key.partition("/")[0] for key in (*tried, RECEIVED)} - {AUTH[:-1]}
        for line in table.read_text().splitlines()[1:]:
            group, subgroup, field = line.split("\t")[:3]
            key = "/".join(slug(part) for part in (group, subgroup, field) if part)
            if key.partition("/")[0] in groups and key not in sums | {ACK + "denied"}:
                self.assertIn(key, tried)


class TestPolicies(Balance):
    def test_known_sessions_go_on(self) -> None:
        """Whatever new sessions meet: known ones are refreshed, moved and de-registered."""
        for change in ({"newcall_policy": "reject"}, {"newcall_policy": "busyout"}, {"max_subscribers": 0}):
            world = sent()
            self.reconfigure(world, **change)
            for what in ({"hi": 5}, {"source": MAG2, "hi": 3}, {"source": MAG2, "lifetime": 0}):
                answer = world.send(**what)
                assert answer is not None
                self.assertEqual(answer.status, 0, (change, what))

    def test_capacity_comes_back(self) -> None:
        """A tunnel device that is down, or memory, refuses new sessions until they are there again."""
        for lack, row in (({"tunnel": False}, "no-session-manager"), ({"memory": False}, "no-memory")):
            world = without(**lack)
            self.assertEqual(world.value(RESOURCE + row), 1)
            world.lma.receive(Capacity(), world.now)
            answer = world.send()
            assert answer is not None
            self.assertEqual(answer.status, 0)

    def test_shutdown(self) -> None:
        """While it is shut down nothing is answered; sessions last their lifetime; then it goes on."""
        world = sent(lifetime=25)
        self.reconfigure(world, shutdown=True)
        for what in ({"hi": 5}, {"lifetime": 0}, {"mn": None}, {"source": STRANGER}):
            self.assertIsNone(world.send(**what))
        self.assertEqual(world.value(DROP + "hamgr-not-ready"), 4)
        self.assertEqual(world.lma.session_count, 1)
        self.reconfigure(world, shutdown=False)
        answer = world.send(hi=5)
        assert answer is not None
        self.assertEqual(answer.status, 0)
        self.reconfigure(world, shutdown=True)
        world.pass_time(3601)
        self.assertEqual(world.lma.session_count, 0)

    def test_shutdown_of_what_waits(self) -> None:
        """An update that waits when the service is shut down is not answered either."""
        world = sent()
        world.send(source=MAG2, ll=LL2, hi=4)
        self.reconfigure(world, shutdown=True)
        world.pass_time(2)
        self.assertEqual(world.value(DROP + "hamgr-not-ready"), 1)
        self.assertEqual(world.value(RECEIVED + "pending"), 0)

    def test_no_question_for_what_is_refused(self) -> None:
        """AAA is not asked about a session that would be refused anyway."""
        world = AaaWorld(newcall_policy="reject")
        answer = world.send()
        assert answer is not None
        self.assertEqual((answer.status, world.asked()[0]), (129, 0))

    def test_simul_bindings(self) -> None:
        """Sessions at a time, of one mobile; one that is being de-registered is none."""
        world = World(simul_bindings=2)
        interfaces = [{"ll": b"\2\0\0\0\0%c" % n, "att": 4} for n in range(3)]
        for what, status in zip(interfaces, (0, 0, 130), strict=True):
            answer = world.send(**what)
            assert answer is not None
            self.assertEqual(answer.status, status)
        world.send(**interfaces[0], lifetime=0)
        answer = world.send(**interfaces[2])
        assert answer is not None
        self.assertEqual(answer.status, 0)
        answer = world.send(**interfaces[0])
        assert answer is not None
        self.assertEqual(answer.status, 0, "it comes back to a session that it still has")

    def test_barred(self) -> None:
        """A subscriber without any permission is told so before all that is about proxy registrations."""
        own = Profile(name="mn1@example.org", mn_id=b"mn1@example.org", enabled=False, pmipv6=False)
        world = World(profiles=(own,))
        answer = world.send()
        assert answer is not None
        self.assertEqual((answer.status, world.value(ADMIN + "no-permission")), (129, 1))
        answer = world.send(mn=b"mn2@example.org", flags=BU_A | BU_P)
        assert answer is not None
        self.assertEqual(answer.status, 0)


class TestRandom(Balance):
    @profile_of(max_examples=min(CASES, 400), deadline=None)
    @given(st.integers(0, 1 << 32))
    def test_any_order(self, seed: int) -> None:
        """Policies that come and go among updates, answers of AAA and time: everything is counted once."""
        chance = random.Random(seed)
        world = AaaWorld() if chance.random() < 0.5 else World(**profile(any_prefix=True, ipv4=True))
        sent = 0
        for _ in range(25):
            pick = chance.randrange(10)
            if pick == 0:
                self.reconfigure(world, **chance.choice(CHANGES))
            elif pick == 1:
                capacity = Capacity(chance.random() < 0.7, chance.random() < 0.7)
                world.lma.receive(capacity, world.now)
            elif pick == 2:
                world.pass_time(chance.choice([0.2, 2.0, 70.0]))
            elif pick == 3:
                verdict = chance.choice([aaa.ACCEPT, aaa.NEWER, aaa.NEWER_PCRF, aaa.NEWER_PCS, aaa.ROAMING])
                world.lma.receive(aaa.Authorized(token=chance.randrange(1, 9), verdict=verdict), world.now)
                world.lma.take()
            else:
                world.mono += 0.01
                world.packet(*world.build(**random_update(chance, world)))
                sent += 1
            self.check(world)
        world.pass_time(400)
        self.check(world)
        self.assertEqual(world.value(RECEIVED + "pending"), 0)
        self.assertEqual(world.value(RECEIVED + "total-received"), sent)
