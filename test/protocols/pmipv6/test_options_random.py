"""Options of all kinds in any combination: nothing is raised, nothing leaks, and others read what is sent."""

import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from scapy.layers import inet6
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from appliance.protocols.mobility import options as opt
from appliance.protocols.mobility.codec import decode, encode, seal
from appliance.protocols.mobility.messages import BA_P, BindingAcknowledgement
from appliance.protocols.mobility.packet import MobilityPacket, build_ipv6
from appliance.protocols.pmipv6.events import Install, MobileAttached, PacketReceived, Reconfigure, Remove
from appliance.protocols.pmipv6.option_settings import (
    AccessNetwork,
    Delegation,
    DelegationPool,
    RedirectTarget,
    ServiceProfile,
    VendorOption,
)
from appliance.protocols.pmipv6.settings import Profile
from test.fuzz import CASES
from test.protocols.mobility.test_readers import capture_file
from test.protocols.pmipv6.lma_fakes import LMA_ADDRESS, MAG1, MAG2, MN1, World, packed
from test.protocols.pmipv6.mag_fakes import NAI
from test.protocols.pmipv6.test_redirect import ASKED, FIRST, GATEWAY, MAC, Net

D6 = DelegationPool(name="D6", prefix=packed("2001:db8:d::"), prefix_length=54, delegated_length=56)
D4 = DelegationPool(name="D4", prefix=packed("10.0.0.0"), prefix_length=26, delegated_length=28)

octets = st.binary(max_size=20)
v6 = st.sampled_from([bytes(16), *(packed(f"2001:db8:d:{n}00::") for n in range(6)), packed("ff02::1")])
v4 = st.sampled_from([bytes(4), *(packed(f"10.0.0.{16 * n}") for n in range(6)), packed("224.0.0.0")])
items = st.lists(st.tuples(st.integers(0, 9), octets), max_size=4)
any_option = st.one_of(
    st.builds(opt.DelegatedMobileNetworkPrefix, st.sampled_from([0, 28, 56, 64, 200]), st.one_of(v6, v4)),
    st.builds(opt.AccessNetworkIdentifier, items),
    st.builds(opt.VendorSpecific, st.sampled_from([9, 10415]), st.integers(0, 255), octets),
    st.builds(opt.LmaUserPlaneAddress, st.one_of(st.just(b""), v6, v4)),
    st.builds(opt.ServiceSelection, st.sampled_from([b"internet", b"v4", b"x", b"\xff"])),
    st.builds(opt.LoadInformation, *[st.integers(0, 9)] * 5),
    st.builds(opt.Redirect, st.one_of(v6, v4)),
    st.builds(opt.RedirectCapability),
    st.builds(opt.AlternateIPv4CareOfAddress, v4),
)
#: Options that may be in a message once only.
ONCE = (
    opt.AccessNetworkIdentifier, opt.ServiceSelection, opt.LoadInformation, opt.Redirect,
    opt.RedirectCapability, opt.AlternateIPv4CareOfAddress,
)  # fmt: skip


def single(options: list[Any]) -> list[Any]:
    """Options without those that may not be repeated."""
    found: list[Any] = []
    for each in options:
        if not isinstance(each, ONCE) or type(each) not in {type(other) for other in found}:
            found.append(each)
    return found


class AnchorTests(SynchronousTestCase):
    """An anchor that does everything."""

    def world(self) -> World:
        """It redirects to an anchor elsewhere once it has three sessions."""
        return World(
            prefix_delegation=True,
            delegation_pools=(D6, D4),
            user_plane_address=packed("2001:db8:ffff::99"),
            load_information=True,
            alt_coa_allowed=True,
            redirect_targets=(RedirectTarget(address=packed("2001:db8:ffff::2")),),
            redirect_threshold=3,
            service_profiles=(ServiceProfile(name="internet", service_lifetime=300),),
            vendor_options=(VendorOption(vendor=9, subtype=1, data=b"x"),),
            profiles=(Profile(name="no", mn_id=b"no@x"),),
            default_profile=Profile(name="d", ipv4=True, delegation=True, default_service="internet"),
        )

    @given(st.lists(st.lists(any_option, max_size=5), max_size=8), st.integers(0, 2**32))
    @profile(max_examples=CASES // 2, deadline=None)
    def test_any_options(self, messages: list[list[Any]], seed: int) -> None:
        """Forwarding is what the sessions have; counters add up; at the end all prefixes are free."""
        chance, world = random.Random(seed), self.world()
        installed: dict[int, Install] = {}
        for extra in messages:
            what = {
                "mn": chance.choice([b"a@x", b"b@x", b"no@x"]),
                "source": chance.choice([MAG1, MAG2]),
                "hi": chance.choice([1, 3, 4, 5]),
                "lifetime": chance.choice([0, 30, 900, 900]),
                "extra": single(extra),
            }
            data, source, port = world.build(**what)
            if chance.random() < 0.2:
                place = chance.randrange(8, len(data))
                data = data[:place] + bytes((chance.randrange(256),)) + data[place + 1 :]
                data = seal(data[:4] + b"\0\0" + data[6:], source, LMA_ADDRESS)
            self.follow(world.packet(data, source, port), installed)
            world.mono += 0.2
            self.check(world, installed)
        for seconds in (4000, 4000, 20):
            self.follow(world.pass_time(seconds), installed)
        self.check(world, installed)
        self.assertEqual((world.lma.session_count, installed), (0, {}))

    def follow(self, effects: list[Any], installed: dict[int, Install]) -> None:
        """Do what the tunnel engine does."""
        for effect in effects:
            if isinstance(effect, Install):
                installed[effect.call_id] = effect
            elif isinstance(effect, Remove):
                del installed[effect.call_id]

    def check(self, world: World, installed: dict[int, Install]) -> None:
        """Everything that must hold at any time."""
        held: list[Any] = []
        for entry in world.lma.sessions():
            extras = entry.extras
            delegated = () if extras is None else extras.delegated
            held += delegated
            if not entry.deleting:
                local = (extras.user_plane if extras is not None else b"") or entry.local
                install = installed[entry.call_id]
                self.assertEqual(install.prefixes, entry.prefixes + delegated)
                self.assertEqual((install.local, install.peer), (local, entry.care_of))
        self.assertEqual(len(held), len(set(held)))
        (delegation,) = [each for each in world.lma._features.all if hasattr(each, "prefixes")]
        self.assertEqual(set(delegation.prefixes.owners), set(held))
        used = sum(numbers.in_use for _, numbers in delegation.prefixes._pools)
        self.assertEqual(used, len(held))
        total, value = "binding-updates-received/total-", world.value
        self.assertEqual(
            value(total + "received"),
            sum(value(total + kind) for kind in ("accepted", "denied", "discarded"))
            + value("binding-updates-received/pending"),
        )


class GatewayTests(SynchronousTestCase):
    """A gateway that does everything."""

    GATEWAY = {
        "redirect_allowed": ((packed("2001:db8:ffff::"), 48),),
        "user_plane": True,
        "access_networks": (
            AccessNetwork(interface="acc0", network=b"cafe", access_point=b"ap", latitude=5, enterprise=9),
        ),
        "vendor_options": (VendorOption(vendor=10415, subtype=17, data=b"\5"),),
        "delegations": (
            Delegation(mn_id=NAI, prefix=bytes(16)),
            Delegation(mn_id=NAI, prefix=packed("10.0.0.16"), length=28),
        ),
    }  # fmt: skip

    @given(st.lists(any_option, max_size=6), st.sampled_from([0, 1, 128, 151, 177, 178]))
    @profile(max_examples=CASES // 2, deadline=None)
    def test_any_answer(self, extra: list[Any], status: int) -> None:
        """A session goes where it may, and carries prefixes that can be carried."""
        net = Net(gateway=self.GATEWAY)
        net.feed(GATEWAY, MobileAttached("acc0", MAC, handoff=1))
        for _ in range(2):
            request: Any = decode(net.sent[-1].data).message
            options = [
                opt.HomeNetworkPrefix(64, packed("2001:db8:1:7::"))
                if isinstance(o, opt.HomeNetworkPrefix)
                else o
                for o in request.options
                if isinstance(o, opt.MobileNodeIdentifier | opt.HomeNetworkPrefix | opt.HandoffIndicator)
            ]
            message = BindingAcknowledgement(status, BA_P, request.sequence, 100, options + single(extra))
            data = seal(encode(message), ASKED, GATEWAY)
            net.feed(GATEWAY, PacketReceived(data, ASKED, GATEWAY))
        for install in net.installed[GATEWAY].values():
            self.assertTrue(
                install.peer.startswith(packed("2001:db8::")[:4]) or install.peer in (ASKED, FIRST)
            )
            for prefix, length in install.prefixes:
                self.assertFalse(int.from_bytes(prefix, "big") & ((1 << (8 * len(prefix) - length)) - 1))

    def everything(self) -> list[tuple[bytes, bytes, bytes]]:
        """Source, destination and octets of an exchange in which all options are sent."""
        net = Net(gateway=self.GATEWAY, remote=True)
        changed = evolve(
            net.settings[FIRST],
            prefix_delegation=True,
            delegation_pools=(D6, D4),
            default_profile=Profile(name="d", delegation=True),
            user_plane_address=packed("2001:db8:ffff::99"),
        )
        net.feed(FIRST, Reconfigure(changed))
        net.attach()
        return [(each.source, each.destination, each.data) for each in net.sent]

    def test_tshark_and_scapy_read_it(self) -> None:
        """Independent readers find the options, and nothing malformed."""
        packets = [
            build_ipv6(MobilityPacket(source, destination, data))
            for source, destination, data in self.everything()
        ]
        self.assertEqual(len(packets), 4)
        for packet in packets:
            read = inet6.IPv6(packet)
            self.assertEqual(bytes(read), packet)
        tshark = shutil.which("tshark")
        if tshark is None:
            raise SkipTest("tshark is not installed")
        names = ("_ws.malformed", "mip6.mhtype", "mip6.acc_net_id.net_name_len", "mip6.redir.addr_r2lma_ipv6",
                 "mip6.vsm.subtype", "mip6.dmnp.prefix_len", "mip6.load_inf.sessions_in_use",
                 "mip6.acoa.acoa")  # fmt: skip
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "sent.pcap")
            file.write_bytes(capture_file(packets))
            words = [word for name in names for word in ("-e", name)]
            command = [tshark, "-r", str(file), "-T", "fields", "-E", "separator=|", *words]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        self.assertEqual(
            [line.split("|") for line in out.splitlines()],
            [
                ["", "5", "4", "", "17,17", "0,28", "", ""],
                ["", "5", "4", "", "17,17", "0,28", "", "2001:db8:ffff::a1"],
                ["", "6", "4", "", "17,17", "28,56", "1", ""],
                ["", "6", "4", "2001:db8:ffff::2", "17,17", "28,56", "1", ""],
            ],
        )

    def test_golden(self) -> None:
        """The request of a mobile router on a named link, as tshark 4.0 and Scapy 2.6 have read it."""
        _, _, data = self.everything()[0]
        self.assertIn(bytes.fromhex("2e020000"), data)
        self.assertIn(bytes.fromhex("3b020000"), data)
        self.assertIn(bytes.fromhex("34170109 80 04 63616665 02 61700206 000005 0000000302 0109"), data)
        self.assertIn(bytes.fromhex("1306 000028af 11 05"), data)
        self.assertIn(bytes.fromhex("3706 80 1c 0a000010"), data)
        self.assertIn(MN1, data)
