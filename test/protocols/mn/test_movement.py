"""Which addresses of a host can be care-of addresses (RFC 6275 section 11.5)."""

from ipaddress import ip_address

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.protocols.mn.movement import (
    DEPRECATED,
    PERMANENT,
    TEMPORARY,
    TENTATIVE,
    Address,
    Device,
    Movement,
    Snapshot,
)
from appliance.protocols.mn.settings import MnSettings, MobileInterface


def packed(text: str) -> bytes:
    """An address as octets."""
    return ip_address(text).packed


HOME = packed("2001:db8:1::5")
SETTINGS = MnSettings(
    name="mn1",
    home_address=HOME,
    home_agent=packed("2001:db8:ffff::1"),
    home_agent_ipv4=packed("198.51.100.1"),
    interfaces=(MobileInterface(name="wlan0"), MobileInterface(name="cell0")),
)
A, B = packed("2001:db8:a::2"), packed("2001:db8:b::2")
EVERYWHERE = {("wlan0", bytes(16), 0), ("cell0", bytes(16), 0), ("cell0", bytes(4), 0)}


def snapshot(*addresses: Address, name: str = "wlan0", since: float = 0.0, up: bool = True) -> Snapshot:
    """A host with one device."""
    return Snapshot({name: Device(name, up, since, list(addresses))}, set(EVERYWHERE))


class MovementTests(SynchronousTestCase):
    """The choice."""

    def chosen(self, seen: Snapshot, now: float = 100.0, movement: Movement | None = None) -> list[bytes]:
        """The addresses of the links."""
        return [link.address for link in (movement or Movement()).links(seen, SETTINGS, now)]

    def test_addresses_that_cannot_be_used(self) -> None:
        """Not before its test is over (11.5.3), not link-local, not the home address, not without a route."""
        for address in (
            Address(A, 64, TENTATIVE),
            Address(packed("fe80::1"), 64, scope=253),
            Address(HOME, 128),
        ):
            self.assertEqual(self.chosen(snapshot(address)), [], address)
        self.assertEqual(self.chosen(snapshot(Address(A, 64), up=False)), [])
        self.assertEqual(self.chosen(evolve(snapshot(Address(A, 64)), routes=set())), [])
        self.assertEqual(self.chosen(snapshot(Address(A, 64), name="other0")), [])
        self.assertEqual(self.chosen(snapshot(Address(A, 64))), [A])

    def test_a_route_to_the_home_agent_is_enough(self) -> None:
        """A default route is not needed."""
        seen = snapshot(Address(A, 64))
        seen.routes = {("wlan0", packed("2001:db8:ffff::"), 64)}
        self.assertEqual(self.chosen(seen), [A])
        seen.routes = {("wlan0", packed("2001:db8:fffe::"), 64)}
        self.assertEqual(self.chosen(seen), [])

    def test_rank(self) -> None:
        """One that is not deprecated, not temporary, and the latest; the one before as long as it is good."""
        movement = Movement()
        old, new = Address(A, 64, 0, confirmed=1.0), Address(B, 64, 0, confirmed=2.0)
        self.assertEqual(self.chosen(snapshot(old, new), movement=movement), [B])
        newer = evolve(old, confirmed=3.0)
        self.assertEqual(self.chosen(snapshot(newer, new), movement=movement), [B])
        self.assertEqual(
            self.chosen(snapshot(newer, evolve(new, flags=DEPRECATED)), movement=movement), [A]
        )
        self.assertEqual(self.chosen(snapshot(Address(A, 64, TEMPORARY), Address(B, 64, 0))), [B])

    def test_an_address_of_before_the_carrier_came(self) -> None:
        """It counts when a router has confirmed it; meanwhile routers are asked, three times."""
        movement = Movement()
        stale = Address(A, 64, 0, confirmed=90.0)
        seen = snapshot(stale, since=100.0)
        asked = 0
        now = 100.0
        while True:
            self.assertEqual(self.chosen(seen, now, movement), [])
            asked += len(movement.ask)
            if movement.deadline is None:
                break
            self.assertGreater(movement.deadline, now)
            now = movement.deadline
        self.assertEqual(asked, 4)
        self.assertEqual(self.chosen(snapshot(evolve(stale, confirmed=101.0), since=100.0)), [A])
        self.assertEqual(self.chosen(snapshot(evolve(stale, flags=PERMANENT), since=100.0)), [A])

    def test_home(self) -> None:
        """An address of the home prefix says that the link is the home link; no route is needed there."""
        home = Address(packed("2001:db8:1::77"), 64)
        seen = evolve(snapshot(home, Address(A, 64)), routes=set())
        (link,) = Movement().links(seen, SETTINGS, 0.0)
        self.assertEqual((link.address, link.home), (home.address, True))

    def test_both_families(self) -> None:
        """An interface is named for each of them, in the order of the configuration."""
        seen = snapshot(Address(packed("10.0.0.2"), 24), Address(B, 64), name="cell0")
        seen.devices["wlan0"] = Device("wlan0", True, 0.0, [Address(A, 64)])
        links = Movement().links(seen, SETTINGS, 0.0)
        self.assertEqual(
            [(link.interface, link.address) for link in links],
            [("wlan0", A), ("cell0", B), ("cell0", packed("10.0.0.2"))],
        )

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([A, B, HOME, packed("10.0.0.2")]),
                st.integers(0, 255),
                st.sampled_from([0, 253]),
                st.floats(0, 200),
            ),
            max_size=6,
        ),
        st.floats(0, 200),
        st.floats(0, 200),
    )
    def test_anything(
        self, found: list[tuple[bytes, int, int, float]], since: float, now: float
    ) -> None:
        """Whatever the kernel says: at most one address a family, never the home address."""
        addresses = [Address(address, 64, *rest) for address, *rest in found]
        movement = Movement()
        for _ in range(2):
            links = movement.links(snapshot(*addresses, since=since), SETTINGS, now)
            self.assertLessEqual(len(links), 2)
            self.assertNotIn(HOME, [link.address for link in links])
            self.assertTrue(movement.deadline is None or movement.deadline > now)
