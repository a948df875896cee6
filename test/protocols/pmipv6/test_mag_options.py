"""Access networks, vendor options, user-plane address and delegated prefixes at the gateway."""

from typing import Any

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility import status as codes
from appliance.protocols.mobility.access_network import called_station
from appliance.protocols.pmipv6.events import Advertise, Install, MobileDetached, PrefixesWanted
from appliance.protocols.pmipv6.option_settings import AccessNetwork, Delegation, VendorOption
from test.protocols.pmipv6.lma_fakes import packed
from test.protocols.pmipv6.mag_fakes import ATTACH, LMA_ADDRESS, MN, NAI, MagTestCase, of, one

LINK = AccessNetwork(
    interface="acc0",
    network=b"cafe",
    access_point=b"00-10-A4-23-19-C0",
    latitude=-7 * 32768,
    longitude=13 * 32768,
    realm=b"example.org",
)
D6, D4 = (packed("2001:db8:d::"), 56), (packed("10.0.0.0"), 28)


def dmnp(pair: tuple[bytes, int]) -> opt.DelegatedMobileNetworkPrefix:
    """The option for a prefix."""
    return opt.DelegatedMobileNetworkPrefix(pair[1], pair[0])


class OptionTests(MagTestCase):
    """What is sent, and what is taken."""

    def details(self) -> dict[str, str]:
        """What the session shows."""
        return dict(self.core.details(self.entry()))

    def test_access_network(self) -> None:
        """RFC 6757 section 4.1: in every update, octet by octet; no echo is logged."""
        self.make(access_networks=(LINK,))
        request = self.attach()
        items = one(request, opt.AccessNetworkIdentifier).suboptions
        self.assertEqual(
            items,
            [
                (1, b"\x80\4cafe\x1100-10-A4-23-19-C0"),
                (2, bytes.fromhex("fc8000 068000")),
                (3, b"\2example.org"),
            ],
        )
        self.assertEqual(called_station(tuple(items)), "00-10-A4-23-19-C0:cafe")
        self.answer(request, replace={opt.AccessNetworkIdentifier: opt.VendorSpecific(1, 1, b"x")})
        self.assertEqual(len(self.log), 1)
        self.assertEqual(self.details()["Geo Location"], "-7.00000 13.00000")
        leaving = self.request(self.feed(MobileDetached("acc0")))
        self.assertEqual(one(leaving, opt.AccessNetworkIdentifier).suboptions, items)

    def test_vendor_options(self) -> None:
        """Those for all and those for this one are sent; what comes is kept and shown."""
        lines = (
            VendorOption(vendor=10415, subtype=17, data=b"\5"),
            VendorOption(vendor=9, subtype=1, data=b"x", mn_id=NAI),
            VendorOption(vendor=9, subtype=2, data=b"y", mn_id=b"other@example.org"),
        )
        self.make(vendor_options=lines)
        request = self.attach()
        self.assertEqual(
            of(request, opt.VendorSpecific),
            [opt.VendorSpecific(10415, 17, b"\5"), opt.VendorSpecific(9, 1, b"x")],
        )
        self.answer(request, replace={opt.VendorSpecific: opt.VendorSpecific(10415, 7, b"\0\0\0\1")})
        self.assertEqual(self.details(), {"Vendor Option": "3GPP 7 (Charging ID) 00000001"})

    def test_user_plane(self) -> None:
        """RFC 7389: a zero-length field asks; the tunnel goes where the answer says, signalling does not."""
        plane = packed("2001:db8:ffff::99")
        self.make(user_plane=True)
        request = self.attach()
        self.assertEqual(one(request, opt.LmaUserPlaneAddress).address, b"")
        effects = self.answer(request, replace={opt.LmaUserPlaneAddress: opt.LmaUserPlaneAddress(plane)})
        self.assertEqual([each.peer for each in effects if isinstance(each, Install)], [plane])
        self.assertEqual((self.entry().lma, self.entry().user_plane), (LMA_ADDRESS, plane))
        # Domain-wide support: not asked, used all the same. Not switched on: not used.
        for switched, peer in (({"user_plane_domain_wide": True}, plane), ({}, LMA_ADDRESS)):
            self.make(**switched)
            request = self.attach()
            self.assertEqual(of(request, opt.LmaUserPlaneAddress), [])
            effects = self.answer(request, extra=[opt.LmaUserPlaneAddress(plane)])
            self.assertEqual([each.peer for each in effects if isinstance(each, Install)], [peer])

    def test_user_plane_that_is_none(self) -> None:
        """Multicast, ourselves, the other family: the anchor's own address."""
        for address in (packed("ff02::1"), packed("2001:db8:ffff::a1"), packed("192.0.2.1"), b""):
            self.make(user_plane=True)
            effects = self.answer(
                self.attach(), replace={opt.LmaUserPlaneAddress: opt.LmaUserPlaneAddress(address)}
            )
            self.assertEqual([each.peer for each in effects if isinstance(each, Install)], [LMA_ADDRESS])


class DelegationTests(MagTestCase):
    """RFC 7148 section 5.1."""

    def asked(self, request: Any) -> list[tuple[bytes, int]]:
        """What a request asks for."""
        return [(each.prefix, each.prefix_length) for each in of(request, opt.DelegatedMobileNetworkPrefix)]

    def make_router(self, *wishes: tuple[bytes, int]) -> None:
        """A gateway with a mobile router."""
        self.make(delegations=tuple(Delegation(mn_id=NAI, prefix=p, length=n) for p, n in wishes))

    def given(self, request: Any, *pairs: tuple[bytes, int], status: int = 0) -> list[Any]:
        """Answer with these prefixes; the ones that were asked for are not echoed."""
        request.options = [
            each for each in request.options if not isinstance(each, opt.DelegatedMobileNetworkPrefix)
        ]
        return self.answer(request, status=status, extra=[dmnp(pair) for pair in pairs])

    def test_life(self) -> None:
        """Zero asks for one of each family; they are in the tunnel, in the refresh, and gone at the end."""
        self.make_router((bytes(16), 0), (bytes(4), 0))
        request = self.attach()
        self.assertEqual(self.asked(request), [(bytes(16), 0), (bytes(4), 0)])
        effects = self.given(request, D6, D4)
        (install,) = [each for each in effects if isinstance(each, Install)]
        self.assertEqual(install.prefixes[1:], (D6, D4))
        self.assertEqual(
            [text for _, text in self.core.details(self.entry())], ["2001:db8:d::/56", "10.0.0.0/28"]
        )
        (refresh,) = [self.request([effect]) for _, effect in self.until(self.mono + 460)[:1]]
        self.assertEqual(self.asked(refresh), [D6, D4])
        # The anchor has taken one back.
        effects = self.given(refresh, D6)
        self.assertEqual([each.prefixes[1:] for each in effects if isinstance(each, Install)], [(D6,)])
        self.assertEqual(self.asked(self.request(self.feed(MobileDetached("acc0")))), [])

    def test_refusals(self) -> None:
        """178: any one instead; 177: none, and the session is made without."""
        self.make_router(D6)
        request = self.attach()
        self.assertEqual(self.asked(request), [D6])
        again = self.request(self.given(request, status=codes.REQUESTED_DMNP_IN_USE))
        self.assertEqual(self.asked(again), [(bytes(16), 0)])
        last = self.request(self.given(again, status=codes.NOT_AUTHORIZED_FOR_DELEGATED_MNP))
        self.assertEqual(self.asked(last), [])
        self.given(last)
        self.assertEqual(self.entry().state, "active")

    def test_on_demand(self) -> None:
        """Section 5.1.3.1: one is asked for when the router wants one, and given back when it does not."""
        self.make(delegation_on_demand=True)
        request = self.attach()
        self.assertEqual(self.asked(request), [])
        self.given(request)
        update = self.request(self.feed(PrefixesWanted("acc0", MN)))
        self.assertEqual(self.asked(update), [(bytes(16), 0)])
        effects = self.given(update, D6)
        (told,) = [each for each in effects if isinstance(each, Advertise)]
        self.assertEqual((told.delegated, self.entry().delegated), ((D6,), (D6,)))
        update = self.request(self.feed(PrefixesWanted("acc0", MN, False)))
        self.assertEqual(self.asked(update), [])
        self.given(update)
        self.assertEqual(self.entry().delegated, ())

    def test_prefixes_that_are_none(self) -> None:
        """Zero, multicast, link-local, with bits behind the length; and any that was not asked for."""
        bad = [
            (bytes(16), 0), (packed("ff00::"), 16), (packed("fe80::"), 64), (packed("2001:db8::1"), 64),
            (packed("224.0.0.0"), 8),
        ]  # fmt: skip
        self.make_router((bytes(16), 0))
        self.given(self.attach(), *bad, D6)
        self.assertEqual(self.entry().delegated, (D6,))
        self.make()
        self.given(self.request(self.feed(ATTACH)), D6)
        self.assertEqual(self.entry().delegated, ())
