"""Runs a list of lines in a shell, as ``appliance cli`` does with standard input."""

from collections.abc import Callable, Iterable, Iterator

from appliance.cli.shell import Result

Execute = Callable[[str], Result]


def run(lines: Iterable[str], execute: Execute, write: Callable[[str], None], keep_going: bool = False) -> int:
    """Do lines one after the other and write what they give; failures name their line.

    Stops at the first failure unless ``keep_going``. Returns the exit status: 0 all
    worked, 1 a command failed.
    """
    status = 0
    for number, line in enumerate(lines, 1):
        result = execute(line)
        for text in result.lines:
            write(f"line {number}: {text}" if result.status else text)
        if result.status:
            status = 1
            if not keep_going:
                break
    return status


def unfinished(lines: Iterable[str]) -> Iterator[str]:
    """Lines without their line ends."""
    for line in lines:
        yield line.rstrip("\r\n")
