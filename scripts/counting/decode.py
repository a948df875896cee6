"""Every message that went by, read by tshark."""

import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.labnet import LabError

MARKS = ("_ws.malformed", "_ws.expert.message")
FIELDS = ("frame.number", "mip6.mhtype", "gre.proto", "frame.protocols", *MARKS)
#: What tshark 4.0 says of messages that are right: an empty Mobile Node Identifier in a refusal is what
#: RFC 5213 section 5.3.6 wants, and it does not know the rest of what a tunnel may carry.
WRONG_COMPLAINTS = (
    "Mobile Node Identifier (with option length = 1 byte; should be >= 2)",
    "MAG IPv6 Address (with option length = 18 bytes; should be 16)",
    "IE data not dissected yet",
)
#: MH types whose options tshark 4.0 looks for six octets too early: Home Agent Switch.
MISREAD = ("12",)
#: Remarks of tshark that say nothing about the form of a message.
REMARKS = (
    "Connection ",
    "Duplicate IP address",
    "This frame ",
    "Header checksum",
    "No response seen",
    "TCP ",
    "ACK",
    "Possible traceroute",
)

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")


def frames(capture: Path) -> Iterator[bytes]:
    """The records of a capture file of tcpdump, each with its header."""
    data = capture.read_bytes()
    at = _FILE.size
    while at + _RECORD.size <= len(data):
        size = _RECORD.size + _RECORD.unpack_from(data, at)[2]
        yield data[at : at + size]
        at += size


def join(captures: Iterable[Path], target: Path) -> list[bytes]:
    """Put captures of one kind of link into one file; returns the frames."""
    found: list[bytes] = []
    head = b""
    with target.open("wb") as out:
        for capture in captures:
            if not head:
                head = capture.read_bytes()[: _FILE.size]
                out.write(head)
            for record in frames(capture):
                out.write(record)
                found.append(record[_RECORD.size :])
    return found


class Reading:
    """What tshark made of the frames."""

    def __init__(self) -> None:
        self.messages = 0
        """Mobility messages that it has read."""
        self.wrong = 0
        """Frames that were meant to be malformed."""
        self.complaints: list[str] = []


def read(captures: Iterable[Path], work: Path, wrong: Iterable[bytes]) -> Reading:
    """Have all frames decoded; those that have something of ``wrong`` in them may be malformed."""
    if shutil.which("tshark") is None:
        raise LabError("the program tshark is missing (package tshark)")
    joined = work / "all.pcap"
    found = join(captures, joined)
    words = ["tshark", "-n", "-r", str(joined), "-T", "fields", "-E", "separator=/t"]
    for name in FIELDS:
        words += ["-e", name]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise LabError(f"tshark: {done.stderr.strip()}")
    meant = tuple(set(wrong))
    reading = Reading()
    for line in done.stdout.splitlines():
        number, kind, _, protocols, *marks = line.split("\t")
        frame = found[int(number) - 1]
        reading.messages += bool(kind)
        if any(octets in frame for octets in meant):
            reading.wrong += 1
            continue
        if kind in MISREAD:
            continue
        for mark in ",".join(text for text in marks if text).split(","):
            if mark and mark not in WRONG_COMPLAINTS and not mark.startswith(REMARKS):
                reading.complaints.append(f"frame {number} ({protocols}): {mark}")
    return reading
