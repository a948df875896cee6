"""What a case has at hand: a running anchor, two scripted gateways, a correspondent, an operator."""

import json
import select
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.cli.client import AttachError, Connection
from scripts.counting import wire
from scripts.counting.gateway import PATIENCE, Gateway, Mobile, inside
from scripts.counting.stages import Stage
from scripts.labnet import BACKHAUL, CN_ADDRESS, CN_ADDRESS_4, MN_LINK_LAYER, Lab, LabError
from scripts.labrun import Appliance, stop, wait_for

__all__ = ["MN_LINK_LAYER", "World"]

#: A port where the correspondent listens, and one that a mobile would.
PORT, MOBILE_PORT = 4000, 5000


class Correspondent:
    """The host behind the anchor: sends datagrams to mobiles and hears theirs."""

    def __init__(self, lab: Lab) -> None:
        self.address, self.address4 = wire.packed(CN_ADDRESS), wire.packed(CN_ADDRESS_4)
        self._sockets: dict[int, socket.socket] = {}
        with inside(lab, "cn"):
            for size, text in ((16, CN_ADDRESS), (4, CN_ADDRESS_4)):
                sock = socket.socket(wire.family_of(wire.packed(text)), socket.SOCK_DGRAM)
                sock.bind((text, PORT))
                self._sockets[size] = sock

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._sockets.values():
            sock.close()

    def send(self, destination: bytes, payload: bytes) -> int:
        """Send a datagram to a mobile; returns how many octets its IP packet has."""
        sock = self._sockets[len(destination)]
        sock.sendto(payload, (socket.inet_ntop(sock.family, destination), MOBILE_PORT))
        return (40 if len(destination) == 16 else 20) + 8 + len(payload)

    def socket(self, size: int) -> socket.socket:
        """The socket of an address family, named by the size of its addresses."""
        return self._sockets[size]

    def hear(self, size: int, timeout: float = PATIENCE) -> bytes:
        """The next datagram of a mobile; ``size`` is that of an address of the family."""
        if not select.select([self._sockets[size]], [], [], timeout)[0]:
            raise LabError(f"nothing came to the correspondent within {timeout:g} s")
        return self._sockets[size].recv(65_536)


class World:
    """One stage that is up: the anchor runs and everybody can talk to it."""

    def __init__(self, lab: Lab, stage: Stage, work: Path) -> None:
        self.lab, self.stage = lab, stage
        self.work = work / stage.name
        self.work.mkdir()
        config = self.work / "lma.conf"
        config.write_text(stage.config)
        self.anchor = Appliance(lab, "lma", config, self.work)
        self.capture = self.work / "backhaul.pcap"
        self._mobiles = 0
        #: Called before each case, to throw away what has come and was not read.
        self.drains: list[Callable[[], object]] = []
        #: Mobility messages that hosts and gateways have read, since the case began.
        self.heard: list[bytes] = []
        self._closers: list[Callable[[], object]] = []
        self._line: Connection | None = None

    def __enter__(self) -> "World":
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def _open(self) -> None:
        (anchor, anchor4) = BACKHAUL["lma"]
        self.mag1 = Gateway(self.lab, "mag1", *BACKHAUL["mag1"], anchor, anchor4)
        self._closers.append(self.mag1.close)
        self.mag2 = Gateway(self.lab, "mag2", *BACKHAUL["mag2"], anchor, anchor4)
        self._closers.append(self.mag2.close)
        for gateway in (self.mag1, self.mag2):
            gateway.heard = self.heard
            self.drains.append(gateway.drain)
        self.cn = Correspondent(self.lab)
        self._closers.append(self.cn.close)
        self._watch()
        self.extra: Any = self.stage.opens(self) if self.stage.opens is not None else None
        self._closers.append(self.anchor.stop)
        self.anchor.start()
        self.anchor.wait_ready()
        self._line = Connection(str(self.anchor.socket))

    def _watch(self) -> None:
        """Record what goes by on the anchor's cable."""
        words = (
            "tcpdump",
            "-i",
            "backhaul",
            "-U",
            "--immediate-mode",
            "-B",
            "16384",
            "-w",
            str(self.capture),
        )
        process = self.lab.popen("lma", *words, stderr=subprocess.PIPE)
        self._closers.append(lambda: stop(process))
        assert process.stderr is not None
        line = process.stderr.readline()
        if "listening" not in line:
            raise LabError(f"tcpdump: {line.strip()}")

    def drain(self) -> None:
        """Begin anew: nothing that came before is read, or was heard."""
        for drain in self.drains:
            drain()
        self.heard.clear()

    def on_close(self, closer: Callable[[], object]) -> None:
        """Have something called at the end."""
        self._closers.append(closer)

    def close(self) -> None:
        """End everything."""
        if self._line is not None:
            self._line.close()
            self._line = None
        while self._closers:
            self._closers.pop()()

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the operator

    def type(self, *lines: str) -> str:
        """Type lines into one session of ``appliance cli``; :class:`LabError` when one fails."""
        assert self._line is not None
        said: list[str] = []
        try:
            for line in lines:
                answer = [text for part, _ in self._line.execute(line) for text in part]
                if self._line.status:
                    # Out of the configuration, if we were in it.
                    list(self._line.execute("end"))
                    raise LabError(f"operator's line {line!r}: {' '.join(answer)}")
                said += answer
        except AttachError as error:
            raise LabError(str(error)) from error
        return "\n".join(said)

    def begin(self, *lines: str) -> None:
        """Type lines into another session of ``appliance cli``, and do not wait for the last one's end."""
        line = Connection(str(self.anchor.socket))
        self._closers.append(line.close)
        for text in lines[:-1]:
            list(line.execute(text))
        line.send({"line": lines[-1]})

    def configure(self, *lines: str) -> None:
        """Configure the service while it runs."""
        service = f"{self.stage.kind}-service {self.stage.service}"
        self.type("configure", "context anchor", service, *lines, "end")

    def configure_context(self, *lines: str) -> None:
        """Configure the context of the service while it runs."""
        self.type("configure", "context anchor", *lines, "end")

    def configure_root(self, *lines: str) -> None:
        """Configure what is of no context while it runs."""
        self.type("configure", *lines, "end")

    def configure_group(self, *lines: str) -> None:
        """Configure the AAA group of the context while it runs."""
        self.type("configure", "context anchor", "aaa group mobile", *lines, "end")

    def show(self, what: str) -> Any:
        """The data of a show command."""
        return json.loads(self.type(f"show {what} | json"))

    def counters(self) -> dict[str, int]:
        """What the screen says now."""
        found: dict[str, int] = self.show(f"{self.stage.kind}-service statistics")
        return found

    def settled(self) -> dict[str, int]:
        """What the screen says once it does not change any more."""
        before: dict[str, int] = {}
        while before != (before := self.counters()):
            time.sleep(0.2)
        return before

    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self.show("lma-service session"))

    # ---- mobiles

    def mobile(self, name: str = "") -> Mobile:
        """A mobile node that the anchor has not seen before."""
        self._mobiles += 1
        return Mobile(name or f"mn{self._mobiles}@example.org", self._mobiles)

    def attached(self, gateway: Gateway | None = None, **how: Any) -> Mobile:
        """A new mobile node with a session at a gateway; ``how`` as of :meth:`Gateway.register`."""
        mobile = self.mobile(how.pop("name", ""))
        mobile.extra = how.pop("extra", [])
        (gateway or self.mag1).register(mobile, **how)
        return mobile

    def until(self, what: str, probe: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait for something."""
        wait_for(what, probe, timeout)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Let time go by."""
        time.sleep(seconds)
