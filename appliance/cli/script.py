"""Runs a list of lines in a shell, as ``appliance cli`` does with standard input."""

from collections.abc import Callable, Iterable, Iterator

from appliance.cli.shell import Result

Execute = Callable[[str], Result]
Write = Callable[[str, int], None]
"""Takes a line of text and the status of the command that it came from."""


def run(
    lines: Iterable[str], execute: Execute, write: Write, keep_going: bool = False, numbered: bool = True
) -> int:
    """Do lines one after the other and write what they give; if ``numbered``, failures name their line.

    Stops at the first failure unless ``keep_going``. Returns the exit status: 0 all worked, 1 a
    command failed.
    """
    status = 0
    for number, line in enumerate(lines, 1):
        result = execute(line)
        for text in result.lines:
            write(f"line {number}: {text}" if result.status and numbered else text, result.status)
        if result.status:
            status = 1
            if not keep_going:
                break
    return status


def without_ends(lines: Iterable[str]) -> Iterator[str]:
    """Lines without their line ends."""
    for line in lines:
        yield line.rstrip("\r\n")
