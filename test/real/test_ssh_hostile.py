"""What strangers and broken clients do to the SSH server, and that its loop does not care."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from typing import Any

from twisted.conch.ssh.common import NS

from appliance.cli import ssh_transport
from test.real.ssh_client import RawClient
from test.real.test_ssh import PASSWORD, SshTests

BUSY = 50.0
"""Milliseconds that the loop may work without a pause."""
LAG = 400.0
"""Milliseconds that it may be late: a machine that does other things as well may be at fault."""


class HostileTests(SshTests):
    """After each attack an operator logs in as if nothing had been."""

    def setUp(self) -> None:
        super().setUp()
        # What the start took does not count.
        self.server.report()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.server.port), 10, (source, 0))
        self.addCleanup(connection.close)
        return connection

    def raw(self, exchange: bool = True) -> RawClient:
        client = RawClient(self.server.port, exchange)
        self.addCleanup(client.socket.close)
        return client

    def is_closed(self, connection: socket.socket, seconds: float = 10.0) -> bool:
        """Whether the server ends a connection within a time."""
        connection.settimeout(seconds)
        try:
            while connection.recv(65_536):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return True

    def about(self, report: dict[str, Any]) -> list[str]:
        return [line for line in report["log"] if line.startswith("ssh 127.0.0.1")]

    def never_stalled(self, report: dict[str, Any]) -> None:
        """The loop did not stop for anything."""
        self.assertLess(report["busy"], BUSY)
        self.assertLess(report["lag"], LAG)

    def figures(self, report: dict[str, Any]) -> str:
        return f"loop busy {report['busy']:.1f} ms, late {report['lag']:.1f} ms"

    def works(self) -> None:
        """An operator gets in, and no connection of a stranger is left."""
        self.assertEqual(self.client.run("admin", "echo in", key="id").stdout, b"in\n")
        self.assertEqual(self.server.report()["open"], 0)


class GarbageTests(HostileTests):
    """Octets that are no SSH."""

    def test_garbage(self) -> None:
        """A web client, random octets, an endless version line, a huge packet: ended, logged once."""
        huge = b"SSH-2.0-x\r\n" + struct.pack(">LB", 1_000_000, 4) + bytes(100_000)
        for garbage in (
            b"GET / HTTP/1.0\r\n\r\n",
            os.urandom(1000),
            b"SSH-" + b"x" * 10_000,
            b"\n",
            b"SSH\n",
            huge,
            b"SSH-2.0-x\r\n" + bytes(64),
            b"SSH-2.0-x\n" + b"\0" + os.urandom(500),
            b"SSH-9-x\r\n",
        ):
            connection = self.connect()
            connection.sendall(garbage)
            self.assertTrue(self.is_closed(connection), garbage[:20])
        report = self.server.report()
        self.assertEqual(len(self.about(report)), 1, report["log"])
        self.assertNotIn("Traceback", str(report["log"]))
        self.never_stalled(report)
        self.works()

    def test_half_open(self) -> None:
        """Who says nothing, half a line, or half a packet is cut off when the time is over."""
        self.server.ask({"constants": {"ssh_transport.GRACE": 1.0}})
        connections = [self.connect() for _ in range(4)]
        connections[1].sendall(b"SSH-2.0")
        connections[2].sendall(b"SSH-2.0-x\r\n" + struct.pack(">L", 40_000) + bytes(100))
        silent = self.raw()
        silent.start_login()
        for connection in (*connections, silent.socket):
            self.assertTrue(self.is_closed(connection, 5.0))
        self.assertLessEqual(len(self.about(self.server.report())), 1)
        self.works()

    def test_two_sources_do_not_fill_the_house(self) -> None:
        """They have all places and would keep them; an operator from elsewhere gets in all the same."""
        held = [self.connect() for _ in range(20)] + [self.connect("127.0.0.2") for _ in range(10)]
        result = self.client.run("admin", "echo in", key="id", options=("-b", "127.0.0.3"))
        self.assertEqual(result.stdout, b"in\n", result.stderr)
        # The oldest one of the busiest source had to go.
        self.assertTrue(self.is_closed(held[0], 5.0))
        self.assertFalse(self.is_closed(held[-1], 0.2))

    def test_200_connects_in_a_second(self) -> None:
        """Most are refused at once, one line is logged, and operators get in a few seconds later."""
        begin = time.monotonic()
        refused = 0
        connections = []
        for _ in range(200):
            connection = self.connect()
            connections.append(connection)
        taken = time.monotonic() - begin
        time.sleep(0.2)
        for connection in connections:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                try:
                    refused += not connection.recv(100)
                except ConnectionResetError:
                    refused += 1
        report = self.server.report()
        self.assertEqual(report["open"], 20)
        self.assertGreaterEqual(refused, 180)
        self.assertEqual(len(self.about(report)), 1)
        self.assertIn("connections of it have not logged in", self.about(report)[0])
        self.never_stalled(report)
        for connection in connections:
            connection.close()
        print(f"200 connects in {taken:.2f} s, {refused} refused, {self.figures(report)}")
        time.sleep(1.0)
        self.works()

    def test_200_connects_while_operators_work(self) -> None:
        """A session that is open feels nothing of a flood."""
        terminal = self.terminal()
        terminal.expect("prompt# ")
        self.server.report()
        for number in range(200):
            connection = self.connect()
            connection.sendall(b"SSH-2.0-x\r\n")
            connection.close()
            if number % 50 == 0:
                terminal.type(f"echo number {number}\r")
                terminal.expect(f"\nnumber {number}")
        report = self.server.report()
        self.never_stalled(report)
        self.assertLessEqual(len(self.about(report)), 1)


class OrderTests(HostileTests):
    """Messages at the wrong time."""

    def cut(self, client: RawClient) -> None:
        """The server ends the connection without a word of success."""
        numbers = client.read_to_end()
        self.assertNotIn(52, numbers)
        self.assertNotIn(91, numbers)
        report = self.server.report()
        self.assertNotIn("Traceback", str(report["log"]))

    def test_before_the_keys(self) -> None:
        """Nothing but the key exchange is taken in the clear: no service, log-in, ignored text, new keys."""
        for number, payload in ((5, NS(b"ssh-userauth")), (2, NS(b"x")), (50, b""), (21, b""), (90, b"")):
            client = self.raw(exchange=False)
            client._keyExchangeState = client._KEY_EXCHANGE_NONE
            client.sendPacket(number, payload)
            self.cut(client)
        self.works()

    def test_new_keys_without_an_exchange(self) -> None:
        """The keys are not switched on before there are any."""
        client = self.raw(exchange=False)
        client.read_until(lambda: hasattr(client, "otherKexInitPayload"))
        client.sendPacket(21, b"")
        self.cut(client)

    def test_new_keys_again_and_again(self) -> None:
        """Before the log-in one key exchange has to do: each costs the server a millisecond."""
        client = self.raw()
        client.sendKexInit()
        self.cut(client)

    def test_before_the_log_in(self) -> None:
        """No channel, no other service, no second service request, no message for a service that is none."""
        for packets in (
            [(5, NS(b"ssh-connection"))],
            [(90, NS(b"session") + struct.pack(">3L", 0, 65_536, 32_768))],
            [(5, NS(b"ssh-userauth")), (5, NS(b"ssh-userauth"))],
            [(5, NS(b"ssh-userauth")), (90, NS(b"session") + struct.pack(">3L", 0, 1, 1)), (20, b"")],
            [(5, NS(b"ssh-userauth")), (50, NS(b"admin") + NS(b"ssh-userauth") + NS(b"none"))],
            [(5, NS(b"ssh-userauth")), (50, b"\0\0")],
            [(31, b"")],
            [(32, b"")],
        ):
            client = self.raw()
            for number, payload in packets:
                with contextlib.suppress(OSError):
                    client.sendPacket(number, payload)
            self.cut(client)
        self.works()

    def test_two_passwords_at_a_time(self) -> None:
        """Who does not wait for an answer before the next guess is cut off."""
        client = self.raw()
        client.start_login()
        for password in ("one", "two", PASSWORD):
            client.try_password("watch", password)
        self.cut(client)
        self.works()

    def test_a_flood_of_ignored_messages(self) -> None:
        """A stranger's packets are dealt with in turns: the loop is never late."""
        client = self.raw()
        self.server.report()
        for _ in range(20_000):
            client.sendPacket(2, NS(b""))
        client.start_login()
        client.read_until(lambda: bool(client.messages))
        self.assertEqual(client.messages[0][0], 6)
        report = self.server.report()
        print(f"20,000 packets, {self.figures(report)}")
        self.never_stalled(report)

    def test_guesses_do_not_stop_the_loop(self) -> None:
        """Hashing goes on in threads; more than fit are refused at once."""
        self.configure(max_failed_logins=500)
        clients = [self.raw() for _ in range(19)]
        self.server.report()
        for client in clients:
            client.start_login()
            client.try_password("watch", "wrong")
        for client in clients:
            client.read_until(lambda: 51 in [number for number, _ in client.messages])  # noqa: B023
        report = self.server.report()
        print(f"19 passwords at once, {self.figures(report)}")
        self.never_stalled(report)
        for client in clients:
            client.socket.close()
        self.works()


class SlowTests(HostileTests):
    """Clients that log in and do not read."""

    def log_in(self) -> RawClient:
        client = self.raw()
        client.start_login()
        client.try_password("watch", PASSWORD)
        client.read_until(lambda: 52 in [number for number, _ in client.messages])
        return client

    def open_channel(self, client: RawClient, window: int, command: bytes) -> None:
        client.sendPacket(90, NS(b"session") + struct.pack(">3L", 0, window, 32_768))
        client.read_until(lambda: 91 in [number for number, _ in client.messages])
        client.sendPacket(98, struct.pack(">L", 0) + NS(b"exec") + b"\1" + NS(command))

    def test_a_shut_window_holds_the_command(self) -> None:
        """A client that opens its window for 1,000 octets costs no more memory than that."""
        client = self.log_in()
        before = self.server.report()["memory"]
        self.open_channel(client, 1000, b"big 1000000")
        time.sleep(1.5)
        report = self.server.report()
        self.assertLess(report["memory"] - before, 4096)
        self.assertEqual(len(report["operators"]), 1)
        self.never_stalled(report)
        client.socket.close()
        time.sleep(0.3)
        self.assertEqual(self.server.report()["operators"], [])

    def test_a_client_that_stops_reading(self) -> None:
        """With a window of 2 GiB TCP is what holds the command."""
        client = self.log_in()
        before = self.server.report()["memory"]
        self.open_channel(client, 1 << 31, b"big 10000000")
        time.sleep(3.0)
        report = self.server.report()
        self.assertLess(report["memory"] - before, 8192)
        self.never_stalled(report)

    def test_a_client_that_does_not_close(self) -> None:
        """A session that is over, and a connection without one, end though the client does nothing."""
        self.server.ask({"constants": {"ssh_session.LINGER": 1.0}})
        client = self.log_in()
        self.open_channel(client, 65_536, b"echo over")
        self.assertTrue(self.is_closed(client.socket, 5.0))
        self.assertTrue(self.is_closed(self.log_in().socket, 5.0))
        self.works()

    def test_requests_without_reading_the_answers(self) -> None:
        """Who asks and does not read is not listened to any more."""
        client = self.log_in()
        before = self.server.report()["memory"]
        client.socket.settimeout(2.0)
        request = NS(b"keepalive@openssh.com") + b"\1"
        with contextlib.suppress(TimeoutError):
            for _ in range(400_000):
                client.sendPacket(80, request)
        report = self.server.report()
        self.assertLess(report["memory"] - before, 8192)
        self.works()

    def test_a_stopped_client_in_a_terminal(self) -> None:
        """A stopped OpenSSH client holds its own command and nothing else; continued, it gets all."""
        process = self.client.start("admin", "big 100000", key="id")
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.read(80)
        os.kill(process.pid, signal.SIGSTOP)
        before = self.server.report()["memory"]
        time.sleep(1.0)
        report = self.server.report()
        self.assertLess(report["memory"] - before, 8192)
        self.assertEqual(self.client.run("watch", "echo in", password=PASSWORD).stdout, b"in\n")
        os.kill(process.pid, signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(len(out), 99_999 * 80)

    def test_broken_channels(self) -> None:
        """Messages for channels that do not exist, and fields that are cut off, end the connection only."""
        for number, payload in (
            (94, struct.pack(">L", 7) + NS(b"x")),
            (93, b"\0"),
            (98, struct.pack(">L", 9) + NS(b"shell") + b"\1"),
            (81, b""),
        ):
            client = self.log_in()
            client.sendPacket(number, payload)
            client.read_to_end()
        client = self.log_in()
        client.sendPacket(90, NS(b"session") + struct.pack(">3L", 0, 65_536, 32_768))
        client.read_until(lambda: 91 in [number for number, _ in client.messages])
        for request in (b"pty-req", b"window-change", b"exec", b"signal", b"\xff\xfe", b"env"):
            client.sendPacket(98, struct.pack(">L", 0) + NS(request) + b"\1" + b"\0\0")
        refusals = [100] * 6
        client.read_until(lambda: [number for number, _ in client.messages][-6:] == refusals)
        self.assertEqual([number for number, _ in client.messages][-6:], refusals)
        self.works()


class AlgorithmTests(HostileTests):
    """What is offered, as OpenSSH's client sees it."""

    def test_old_algorithms_are_refused(self) -> None:
        """A client that knows nothing modern gets nowhere."""
        for option in (
            "KexAlgorithms=diffie-hellman-group14-sha1",
            "KexAlgorithms=diffie-hellman-group1-sha1",
            "KexAlgorithms=diffie-hellman-group-exchange-sha256",
            "MACs=hmac-sha1",
            "MACs=hmac-md5",
            "Ciphers=aes128-cbc",
            "Ciphers=3des-cbc",
            "HostKeyAlgorithms=ssh-rsa",
            "HostKeyAlgorithms=ecdsa-sha2-nistp256",
        ):
            options = ("-o", option, "-o", "LogLevel=INFO")
            result = self.client.run("admin", "echo in", key="id", options=options)
            self.assertEqual(result.returncode, 255, option)
            # Either side may be the first to find out.
            self.assertRegex(result.stderr, b"no matching|couldn't match", option)
        self.works()

    def test_every_offered_algorithm_works(self) -> None:
        """Each key exchange, cipher and MAC that the client knows too, on its own."""
        for name, option, offered in (
            ("kex", "KexAlgorithms", ssh_transport.KEY_EXCHANGES),
            ("cipher", "Ciphers", ssh_transport.CIPHERS),
            ("mac", "MACs", ssh_transport.MACS),
        ):
            listed = subprocess.run(["ssh", "-Q", name], capture_output=True, check=True)
            known = listed.stdout.split()
            for algorithm in offered:
                if algorithm in known:
                    options = ("-o", f"{option}={algorithm.decode()}")
                    result = self.client.run("admin", "echo in", key="id", options=options)
                    self.assertEqual(result.stdout, b"in\n", algorithm)

    def test_the_offer(self) -> None:
        """Exactly these, and no compression."""
        result = self.client.run("admin", "echo in", key="id", options=("-vv", "-o", "LogLevel=DEBUG2"))
        text = result.stderr.decode().partition("peer server KEXINIT proposal")[2]
        for line in (
            "host key algorithms: ssh-ed25519\r\n",
            "ciphers ctos: aes256-ctr,aes192-ctr,aes128-ctr\r\n",
            "ciphers stoc: aes256-ctr,aes192-ctr,aes128-ctr\r\n",
            "MACs ctos: hmac-sha2-512,hmac-sha2-256\r\n",
            "MACs stoc: hmac-sha2-512,hmac-sha2-256\r\n",
            "compression ctos: none\r\n",
        ):
            self.assertIn(line, text)
        self.assertNotIn("sha1", text.partition("reserved")[0])
        self.assertNotIn("diffie-hellman-group", text.partition("reserved")[0])
