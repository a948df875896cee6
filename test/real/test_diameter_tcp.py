"""Two of our nodes over loopback: TCP, TLS both ways, IPv4 and IPv6."""

import contextlib
import socket
import ssl
import time
from typing import Any

from attrs import evolve

from appliance.errors import ResourceError
from appliance.protocols.diameter.events import Incoming, Submit
from appliance.protocols.diameter.node.events import Command
from appliance.protocols.diameter.settings import Listener
from appliance.protocols.diameter.transport import link as transport
from appliance.protocols.diameter.transport import tcp
from test.real.diameter_case import (
    ACCOUNTING,
    ACR,
    REALM,
    Accountant,
    D,
    NodeCase,
    acr,
    cer,
    free_port,
)
from test.real.pki import Authority, authority


class PlainTests(NodeCase):
    def test_both_families(self) -> None:
        """A request is answered over IPv4 and IPv6; each side knows who the other is and where it is."""
        for address in ("127.0.0.1", "::1"):
            server, client, accountant = self.pair(address=address)
            self.assert_success(self.ask(client))
            [got] = accountant.got
            self.assertEqual((got.peer, got.secure), ("client.example", False))
            view = self.view(client, "server.example")
            self.assertEqual((view.transport, view.secure), ("tcp", False))
            connections = {each.peer for each in server.connections._all}
            self.assertEqual(connections, {"client.example"})
            self.do(client.stop())
            self.do(server.stop())

    def test_a_long_message(self) -> None:
        """A message of nearly a mebibyte goes through; one that is longer costs the connection."""
        server, client, accountant = self.pair()
        self.assert_success(self.ask(client, self.submit(client, (1 << 20) - 300)))
        self.assertEqual(len(accountant.got), 1)
        self.call(client.send, evolve(self.submit(client, 1 << 20), timeout=2.0), lambda _: None)
        self.wait(lambda: server.connections.counters.garbage == 1)
        self.wait(lambda: self.said("lost", "server.example") or self.said("closed"))

    def submit(self, client: Any, filling: int) -> Submit:
        return Submit(ACR, ACCOUNTING, acr(client.identity, filling=filling), REALM, accounting=True)

    def test_many_at_once(self) -> None:
        """Ten thousand requests are answered, and what is written in one turn is read in few reads."""
        _, client, accountant = self.pair(client={"window": 256})
        got: list[Any] = []
        submit = self.submit(client, 0)

        def send() -> None:
            for _ in range(10_000):
                client.send(submit, got.append)

        self.call(send)
        self.wait(lambda: len(got) == 10_000, 60)
        self.assertEqual({each.reason for each in got}, {""})
        self.assertEqual(len(accountant.got), 10_000)

    def test_the_server_comes_later(self) -> None:
        """A refused connection is tried again, and named in the log."""
        _, client, _ = self.pair(start=False)
        settings = client.settings
        [peer] = settings.peers
        spare = free_port()
        self.do(client.reconfigure(evolve(settings, peers=(evolve(peer, port=spare),))))
        self.do(client.start())
        self.wait(lambda: self.said("server.example", "refused"))
        late = self.node(
            self.settings(
                "server",
                listeners=(Listener(address=peer.addresses[0], port=spare),),
                peers=(evolve(peer, name="client.example", addresses=()),),
            ),
            Accountant("server.example", REALM),
        )
        self.wait(lambda: client.usable(REALM, ACCOUNTING, True))
        self.assert_success(self.ask(client))
        self.assertEqual(late.connections.count, 1)

    def test_addresses_are_tried_in_turn(self) -> None:
        """The second address of a peer is used when nobody is at the first."""
        dead = socket.inet_aton("127.9.9.9")
        _, client, _ = self.pair(peer={"addresses": (dead, socket.inet_aton("127.0.0.1"))})
        self.assert_success(self.ask(client))

    def test_our_address_is_the_source(self) -> None:
        """The configured address is what the peer sees, and a foreign one is named in the log."""
        own = socket.inet_aton("127.1.2.3")
        server, client, _ = self.pair(client={"addresses": (own,)})
        self.assertEqual({each.remote for each in server.connections._all}, {own})
        self.do(client.stop())
        _, client, _ = self.pair(client={"addresses": (socket.inet_aton("192.0.2.77"),)}, start=False)
        self.do(client.start())
        self.wait(lambda: self.said("own address", "192.0.2.77") or self.said("own address"))

    def test_stop(self) -> None:
        """Good-bye is said, requests without an answer end, nothing is left open."""
        server, client, accountant = self.pair()
        accountant.mute = True
        ends: list[Any] = []
        submit = Submit(ACR, ACCOUNTING, acr(client.identity), REALM, accounting=True)
        self.call(client.send, submit, ends.append)
        self.wait(lambda: accountant.got)
        began = time.monotonic()
        self.do(client.stop())
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual([each.reason for each in ends], ["stopped"])
        self.wait(lambda: not server.connections.count and not client.connections.count)
        self.assertTrue(self.said("good-bye"))
        self.call(accountant.got[0].reply, accountant.answer(accountant.got[0]))

    def test_after_the_stop(self) -> None:
        """Requests end at once, answers and all else go nowhere, and nothing raises."""
        server, client, accountant = self.pair()
        accountant.mute = True
        submit = Submit(ACR, ACCOUNTING, acr(client.identity), REALM, accounting=True)
        self.call(client.send, submit, lambda _: None)
        self.wait(lambda: accountant.got)
        self.do(server.stop())
        self.do(client.stop())
        self.call(accountant.got[0].reply, accountant.answer(accountant.got[0]))
        self.assertEqual(self.ask(client).reason, "stopped")
        self.call(client.cancel, 1)
        self.call(client.command, Command("connect"))
        self.call(client.serve, accountant)
        self.call(client.withdraw, accountant)
        self.do(client.stop())

    def test_an_application_that_raises(self) -> None:
        """The request is answered with 5012, the next one as ever."""
        _, client, accountant = self.pair()
        good = accountant.request

        def bad(incoming: Incoming) -> None:
            accountant.request = good  # type: ignore[method-assign]
            raise ValueError("on purpose")

        accountant.request = bad  # type: ignore[method-assign]
        answered = self.ask(client)
        assert answered.message is not None
        self.assertEqual(answered.message.first(D["Result-Code"]), 5012)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assert_success(self.ask(client))

    def test_listeners_change(self) -> None:
        """Listeners move with the settings; an address that cannot be had leaves everything as it was."""
        server, client, _ = self.pair()
        [listener] = server.settings.listeners
        other = evolve(listener, port=free_port())
        self.do(server.reconfigure(evolve(server.settings, listeners=(listener, other))))
        self.assertEqual(len(server.connections.ports), 2)
        foreign = evolve(listener, address=socket.inet_aton("192.0.2.77"))
        error = self.assertRaises(
            ResourceError, self.do, server.reconfigure(evolve(server.settings, listeners=(other, foreign)))
        )
        self.assertIn("192.0.2.77", str(error))
        self.assertIn("not on this host", str(error))
        self.assertEqual(len(server.connections.ports), 2)
        self.assert_success(self.ask(client))
        self.do(server.reconfigure(evolve(server.settings, listeners=(other,))))
        with self.assertRaises(OSError), socket.create_connection(("127.0.0.1", listener.port), 1):
            pass
        with contextlib.closing(socket.create_connection(("127.0.0.1", other.port), 1)):
            self.assert_success(self.ask(client))


class TlsTests(NodeCase):
    """TLS on its own port and in-band."""

    authority: Authority

    def setUp(self) -> None:
        """Make an authority."""
        super().setUp()
        self.authority = authority(self.work)

    def secure_pair(self, kind: str, **names: Any) -> Any:
        """A pair whose certificates are for ``names`` (default: their identities)."""
        tls = {
            name: names.get(name) or self.authority.issue(f"{name}.example") for name in ("server", "client")
        }
        return self.pair(
            kind,
            server={"tls": tls["server"]},
            client={"tls": tls["client"]},
            start="server" not in names and "client" not in names,
        )

    def test_both_ways(self) -> None:
        """A request goes over TLS from the first octet on, and over TLS that begins behind the CEA."""
        for kind in ("tls", "tls-inband"):
            server, client, accountant = self.secure_pair(kind)
            self.assert_success(self.ask(client))
            [got] = accountant.got
            self.assertTrue(got.secure)
            self.assertEqual({each.names for each in client.connections._all}, {("server.example",)})
            self.assertEqual({each.names for each in server.connections._all}, {("client.example",)})
            self.do(client.stop())
            self.do(server.stop())

    def test_common_name(self) -> None:
        """A certificate without DNS names is read by its Common Name."""
        old = self.authority.issue("client.example", dns=[])
        server, client, _ = self.secure_pair("tls", client=old)
        self.do(client.start())
        self.wait(lambda: client.usable(REALM, ACCOUNTING, True))
        self.assertEqual({each.names for each in server.connections._all}, {("client.example",)})

    def refused(self, side: str, tls: Any, kind: str, *wanted: tuple[str, ...]) -> None:
        """With this certificate at one side nothing comes about, and the log says why, at both ends."""
        self.lines.clear()
        server, client, _ = self.secure_pair(kind, **{side: tls})
        self.do(client.start())
        for parts in wanted:
            self.wait(lambda parts=parts: self.said(*parts))
        self.assertFalse(self.call(client.usable, REALM, ACCOUNTING, True))
        self.do(client.stop())
        self.do(server.stop())

    def test_wrong_authority(self) -> None:
        """A certificate of another authority is refused; both sides say so."""
        other = authority(self.work, "other")
        foreign = evolve(other.issue("client.example"), authorities=self.authority.path)
        ours = ("endpoint server", "client.example", "none of our authorities")
        theirs = ("endpoint client", "server.example", "the peer refuses")
        for kind in ("tls", "tls-inband"):
            self.refused("client", foreign, kind, ours, theirs)
        foreign = evolve(other.issue("server.example"), authorities=self.authority.path)
        self.refused(
            "server", foreign, "tls",
            ("endpoint client", "none of our authorities"), ("endpoint server", "the peer refuses"),
        )  # fmt: skip

    def test_expired(self) -> None:
        """A certificate that has expired is refused."""
        old = self.authority.issue("client.example", days=-1)
        self.refused("client", old, "tls", ("endpoint server", "expired"), ("endpoint client", "expired"))

    def test_wrong_name(self) -> None:
        """A good certificate of another name than the peer's identity is refused, at either side."""
        for kind in ("tls", "tls-inband"):
            stranger = self.authority.issue("stranger.example")
            self.refused("client", stranger, kind, ("endpoint server", "stranger.example"))
            self.refused("server", stranger, kind, ("endpoint client", "stranger.example"))

    def test_no_certificate(self) -> None:
        """A client of TLS that shows no certificate gets nothing."""
        server, client, _ = self.secure_pair("tls")
        [listener] = server.settings.listeners
        context = ssl.create_default_context(cafile=self.authority.path)
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", listener.port), 5) as plain,
            self.assertRaises((ssl.SSLError, ConnectionError)),
            context.wrap_socket(plain) as secure,
        ):
            secure.settimeout(5)
            if not secure.recv(1):
                raise ConnectionError("closed")
        self.wait(lambda: self.said("127.0.0.1", "certificate"))
        self.assertEqual(server.connections.counters.handshakes_failed, 1)
        self.assert_success(self.ask(client))

    def test_old_version(self) -> None:
        """TLS 1.1 is not spoken."""
        server, _, _ = self.secure_pair("tls")
        [listener] = server.settings.listeners
        context = ssl.create_default_context(cafile=self.authority.path)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        plain = socket.create_connection(("127.0.0.1", listener.port), 5)
        with plain, self.assertRaises(ssl.SSLError):
            context.wrap_socket(plain)
        self.wait(lambda: self.said("127.0.0.1", "TLS"))

    def test_certificates_are_read_again(self) -> None:
        """After a reconfiguration new connections use what the files hold; a bad file changes nothing."""
        server, client, _ = self.secure_pair("tls")
        tls = server.settings.tls
        assert tls is not None
        renewed = self.authority.issue("server.example", days=7)
        before = server.connections.keeper.current
        with open(tls.private_key, "rb") as file:
            kept = file.read()
        with open(tls.private_key, "wb") as file:
            file.write(b"nothing")
        error = self.assertRaises(ResourceError, self.do, server.reconfigure(server.settings))
        self.assertIn(tls.private_key, str(error))
        self.assertIs(server.connections.keeper.current, before)
        for source, target in (
            (renewed.certificate, tls.certificate),
            (renewed.private_key, tls.private_key),
        ):
            with open(source, "rb") as file, open(target, "wb") as copy:
                copy.write(file.read())
        self.assertNotEqual(kept, b"")
        self.do(server.reconfigure(server.settings))
        current = server.connections.keeper.current
        assert current is not None and before is not None
        self.assertNotEqual(current.expires, before.expires)
        self.assert_success(self.ask(client))

    def test_a_handshake_that_never_comes(self) -> None:
        """Whoever agrees to TLS and then says nothing is thrown out."""
        self.patch(tcp, "FIRST_MESSAGE_TIME", 1.0)
        server, client, _ = self.secure_pair("tls-inband")
        self.do(client.stop())
        [listener] = server.settings.listeners
        with socket.create_connection(("127.0.0.1", listener.port), 5) as plain:
            plain.sendall(cer("client.example", inband=1))
            self.wait(lambda: server.connections.counters.slow == 1)
        self.wait(lambda: self.said("handshake was not done"))

    def test_clear_text_behind_the_answer(self) -> None:
        """Whoever goes on in clear text where TLS was to begin is thrown out."""
        self.patch(transport, "MESSAGE_TIME", 1.0)
        server, client, _ = self.secure_pair("tls-inband")
        self.do(client.stop())
        self.wait(lambda: not server.connections.count)
        captured: list[bytes] = []
        [listener] = server.settings.listeners
        with socket.create_connection(("127.0.0.1", listener.port), 5) as plain:
            plain.sendall(cer("client.example", inband=1) + b"\x01\x00\x00\x14")
            plain.settimeout(5)
            with contextlib.suppress(ConnectionError):
                while data := plain.recv(4096):
                    captured.append(data)
        self.wait(lambda: not server.connections.count)
        self.assertTrue(self.said("clear text"))
