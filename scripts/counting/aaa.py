"""Updates that an AAA server has a say in; the server is a script on a TCP port (RFC 6733)."""

import socket
import struct
import threading
from typing import Any

from scripts.counting.cases import AAA, DENY, DISCARD, UNSPECIFIED, Steps, accepted, case, denied, plus
from scripts.counting.gateway import inside
from scripts.counting.stages import Stage, anchor
from scripts.counting.world import World
from scripts.labnet import AAA_ADDRESS, LMA_ADDRESS, LabError

CAPABILITIES, WATCHDOG, DISCONNECT, ABORT = 257, 280, 282, 274
DESTINATION_HOST, DESTINATION_REALM = 293, 283
SESSION_ID, ORIGIN_HOST, ORIGIN_REALM, RESULT, EXPERIMENTAL = 263, 264, 296, 268, 297
EXPERIMENTAL_CODE, VENDOR, AUTH_APPLICATION, REQUEST_TYPE, USER = 298, 266, 258, 274, 1
ERROR_REPORTING_HOST = 294
#: RFC 4004 section 7.3: the home address, which a MIP6-Answer repeats too (RFC 5778 section 6).
MOBILE_NODE_ADDRESS = 333
ACCOUNTING_APPLICATION, VENDOR_APPLICATION, RECORD_TYPE, RECORD_NUMBER = 259, 260, 480, 485
#: AVPs of a request that its answer repeats.
_REPEATED = (
    SESSION_ID, AUTH_APPLICATION, REQUEST_TYPE, ACCOUNTING_APPLICATION, RECORD_TYPE, RECORD_NUMBER,
    MOBILE_NODE_ADDRESS,
)  # fmt: skip
SUCCESS, SILENCE = 2001, 0
VENDOR_3GPP = 10_415


def avp(code: int, data: bytes, vendor: int = 0) -> bytes:
    """One AVP, mandatory, padded (RFC 6733 section 4.1)."""
    head = struct.pack(">I", code) + bytes((0xC0 if vendor else 0x40,))
    size = 8 + (4 if vendor else 0) + len(data)
    body = size.to_bytes(3, "big") + (vendor.to_bytes(4, "big") if vendor else b"") + data
    return head + body + bytes(-len(data) % 4)


def avps(data: bytes) -> list[tuple[int, bytes]]:
    """Codes and data of AVPs."""
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 5 : at + 8], "big")
        begin = at + (12 if data[at + 4] & 0x80 else 8)
        found.append((int.from_bytes(data[at : at + 4], "big"), data[begin : at + size]))
        at += size + -size % 4
    return found


class Server:
    """An AAA server that says about each user what it is told to.

    ``verdicts`` maps a user to a Result-Code, ``(vendor, code)`` to an Experimental-Result, or
    :data:`SILENCE`; whoever is not named is accepted.
    """

    def __init__(self, world: World) -> None:
        self.verdicts: dict[str, Any] = {}
        #: By user, who is named as the one who has said so (Error-Reporting-Host).
        self.reporters: dict[str, str] = {}
        #: By user: the connection, the application and the Session-Id of the last request.
        self.sessions: dict[str, tuple[socket.socket, bytes, bytes]] = {}
        self.asked = 0
        self.connected = threading.Event()
        self._peers: list[socket.socket] = []
        with inside(world.lab, "aaa"):
            self._listener = socket.create_server((AAA_ADDRESS, 3868), family=socket.AF_INET6)
        threading.Thread(target=self._listen, daemon=True).start()
        world.on_close(self.close)

    def close(self) -> None:
        """Close all; the threads end by that."""
        for sock in (self._listener, *self._peers):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                sock.close()

    def _listen(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        stream = peer.makefile("rb")
        try:
            while len(head := stream.read(20)) == 20:
                body = stream.read(int.from_bytes(head[1:4], "big") - 20)
                answer = self._answer(peer, head, avps(body)) if head[4] & 0x80 else b""
                if answer:
                    peer.sendall(answer)
                if int.from_bytes(head[5:8], "big") == CAPABILITIES:
                    self.connected.set()
        except (OSError, ValueError):
            return

    def abort(self, user: str) -> None:
        """Have the anchor end the session of a user (RFC 6733 section 8.5)."""
        peer, application, session = self.sessions[user]
        body = avp(SESSION_ID, session) + avp(ORIGIN_HOST, b"aaa1.example.org")
        body += avp(ORIGIN_REALM, b"example.org") + avp(DESTINATION_REALM, b"example.org")
        body += avp(DESTINATION_HOST, b"lma1.example.org") + avp(AUTH_APPLICATION, application)
        head = b"\1" + (20 + len(body)).to_bytes(3, "big") + b"\xc0" + ABORT.to_bytes(3, "big")
        peer.sendall(head + application + b"\0\0\0\7\0\0\0\7" + body)

    def _answer(self, peer: socket.socket, head: bytes, asked: list[tuple[int, bytes]]) -> bytes:
        """The answer to a request; empty: none."""
        command = int.from_bytes(head[5:8], "big")
        verdict: Any = SUCCESS
        reporter = ""
        if command not in (CAPABILITIES, WATCHDOG, DISCONNECT):
            self.asked += 1
            user = dict(asked).get(USER, b"").decode()
            reporter = self.reporters.get(user, "")
            self.sessions[user] = peer, head[8:12], dict(asked).get(SESSION_ID, b"")
            verdict = self.verdicts.get(user, SUCCESS)
            if verdict == SILENCE:
                return b""
        body = b"".join(avp(code, data) for code, data in asked if code == SESSION_ID)
        if isinstance(verdict, tuple):
            code = avp(VENDOR, verdict[0].to_bytes(4, "big"))
            code += avp(EXPERIMENTAL_CODE, verdict[1].to_bytes(4, "big"))
            body += avp(EXPERIMENTAL, code)
        else:
            body += avp(RESULT, verdict.to_bytes(4, "big"))
        body += avp(ORIGIN_HOST, b"aaa1.example.org") + avp(ORIGIN_REALM, b"example.org")
        if reporter:
            body += avp(ERROR_REPORTING_HOST, reporter.encode())
        if command == CAPABILITIES:
            body += avp(257, b"\0\2" + socket.inet_pton(socket.AF_INET6, AAA_ADDRESS))
            body += avp(VENDOR, bytes(4)) + avp(269, b"scripted")
            wanted = (AUTH_APPLICATION, ACCOUNTING_APPLICATION, VENDOR_APPLICATION)
            body += b"".join(avp(code, data) for code, data in asked if code in wanted)
        else:
            body += b"".join(
                avp(code, data) for code, data in asked if code in _REPEATED and code != SESSION_ID
            )
        flags = head[4] & 0x40
        return head[:1] + (20 + len(body)).to_bytes(3, "big") + bytes((flags,)) + head[5:] + body


STAGE = Stage(
    "aaa",
    anchor(
        ("aaa group mobile", "setup-timeout 2"),
        (
            "diameter endpoint lma-aaa",
            "origin realm example.org",
            f"origin host lma1.example.org address {LMA_ADDRESS}",
            f"peer aaa1.example.org realm example.org address {AAA_ADDRESS}",
            "exit",
            "aaa group mobile",
            "diameter authentication endpoint lma-aaa",
            "exit",
        ),
    ),
    Server,
)

ASKED = {f"{AAA}/attempts": 1}
REFUSED = plus(ASKED, {f"{AAA}/actual-auth-failures": 1})


def server(world: World) -> Server:
    """The scripted server, once the anchor has come to it."""
    found: Server = getattr(world.extra, "server", world.extra)
    if not found.connected.wait(10):
        raise LabError("the anchor has not connected to the AAA server")
    return found


@case("aaa", ASKED, {f"{AAA}/success": 1}, accepted("initial"))
def granted(world: World) -> Steps:
    """A registration that the AAA server grants"""
    server(world)
    mobile = world.mobile()
    yield
    world.mag1.register(mobile)


@case("aaa", REFUSED, denied("initial", f"{DENY}/proxy-reg-not-enabled"))
def rejected(world: World) -> Steps:
    """A registration that the AAA server refuses (5003 DIAMETER_AUTHORIZATION_REJECTED)"""
    mobile = world.mobile()
    server(world).verdicts[mobile.nai] = 5003
    yield
    world.mag1.register(mobile, status=152)


@case("aaa", REFUSED, denied("initial", f"{DENY}/mn-auth-failure"))
def bad_credentials(world: World) -> Steps:
    """A registration whose credentials the AAA server refuses (4001 DIAMETER_AUTHENTICATION_REJECTED)"""
    mobile = world.mobile()
    server(world).verdicts[mobile.nai] = 4001
    yield
    world.mag1.register(mobile, status=146)


@case("aaa", REFUSED, denied("initial", f"{UNSPECIFIED}/newer-session-detected-by-aaa"))
def newer_session(world: World) -> Steps:
    """A registration older than one that the AAA server knows (3GPP 5453 LATE_OVERLAPPING_REQUEST)"""
    mobile = world.mobile()
    server(world).verdicts[mobile.nai] = (VENDOR_3GPP, 5453)
    yield
    world.mag1.register(mobile, status=128)


@case("aaa", ASKED, {f"{AAA}/misc-auth-failures": 1}, denied("initial", f"{UNSPECIFIED}/other"))
def no_answer(world: World) -> Steps:
    """A registration about which the AAA server says nothing in all the time that it has"""
    mobile = world.mobile()
    server(world).verdicts[mobile.nai] = SILENCE
    yield
    world.mag1.update(mobile)
    answer = world.mag1.answer(timeout=8)
    if answer.status != 128:
        raise LabError(f"answered with status {answer.status}")


@case(
    "aaa", ASKED, {f"{AAA}/misc-auth-failures": 1}, denied("initial", f"{UNSPECIFIED}/other"),
    {f"{DISCARD}/initial-auth-pending": 1, "initial-binding-update-requests/received": 1},
)  # fmt: skip
def repeated_meanwhile(world: World) -> Steps:
    """The same registration again while the AAA server has not answered about the first one"""
    mobile = world.mobile()
    known = server(world)
    known.verdicts[mobile.nai] = SILENCE
    yield
    asked = known.asked
    world.mag1.update(mobile)
    world.until("the AAA server has been asked", lambda: known.asked > asked)
    world.mag1.update(mobile)
    world.mag1.answer(timeout=8)
