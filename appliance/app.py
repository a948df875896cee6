"""The composition root: options, boot configuration, services, and an orderly end.

::

    appliance run -c FILE ──▶ config.load ──▶ lock state directory ──▶ kernel.recover
                                                  │
       SIGTERM/SIGINT ◀── "Appliance ready" ◀── control socket ◀── services start

Exit status: 0 stopped on request, 2 when the configuration or something of the host
does not allow a start; then standard error names all that is wrong.
"""

import argparse
import asyncio
import contextlib
import fcntl
import gc
import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.cli.passwords import hash_password
from appliance.cli.values import visible
from appliance.config import Configuration, ConfigurationErrors, build, parse
from appliance.config_secrets import in_clear, seal
from appliance.config_tree import Section
from appliance.errors import ApplianceError, ResourceError
from appliance.protocols.timers import Now
from appliance.record import Recorder


def run(argv: Sequence[str]) -> int:
    """Run ``appliance`` with these arguments and return its exit status."""
    parser = argparse.ArgumentParser(prog="appliance", description="PMIPv6 mobility anchor and gateway.")
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,cli,user}")
    serve = commands.add_parser("run", help="run the services of a configuration file in the foreground")
    serve.add_argument("-c", "--config", required=True, metavar="FILE", help="configuration; - is stdin")
    serve.add_argument("--check", action="store_true", help="only parse the configuration")
    serve.add_argument("--state-dir", metavar="DIR", help="overrides 'system state-directory'")
    serve.add_argument("--socket", metavar="PATH", help="overrides 'system control-socket'")
    serve.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    serve.add_argument("--record", metavar="FILE", help="write every input of the cores, for scripts/replay")
    commands.add_parser("cli", help="attach to a running appliance", add_help=False)
    commands.add_parser("user", help="add, list or remove operators in a boot file", add_help=False)
    arguments, rest = parser.parse_known_args(argv)
    if arguments.command == "cli":
        from appliance.cli.client import main as attach

        return attach(list(argv[argv.index("cli") + 1 :]))
    if arguments.command == "user":
        from appliance.cli.users import main as edit_users

        return edit_users(list(argv[argv.index("user") + 1 :]))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return _serve(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    try:
        configuration = _read(arguments.config, arguments.check)
    except ConfigurationErrors as error:
        print("\n".join(map(visible, str(error).split("\n"))), file=sys.stderr)
        return 2
    except ApplianceError as error:
        print(f"Failure: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        return _confirm(f"{arguments.config}: the configuration is valid")
    if arguments.state_dir:
        configuration.state_directory = arguments.state_dir
    if arguments.socket:
        configuration.control_socket = arguments.socket
    try:
        with state_lock(Path(configuration.state_directory)):
            recorder = Recorder(arguments.record, secrets.randbits(64)) if arguments.record else None
            try:
                boot_file = "" if arguments.config == "-" else os.path.abspath(arguments.config)
                return _react(configuration, arguments.log_level, recorder, boot_file)
            finally:
                if recorder is not None:
                    recorder.close()
    except ApplianceError as error:
        print(f"Failure: {error}", file=sys.stderr)
        return 2


def _confirm(text: str) -> int:
    try:
        print(text, flush=True)
    except OSError as error:
        print(f"Failure: standard output: {error.strerror}", file=sys.stderr)
        # The interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return 0


def _read(name: str, only_check: bool) -> Configuration:
    try:
        if name == "-":
            # Without a standard input Python has None there.
            text = sys.stdin.read() if sys.stdin else ""
        else:
            text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise ApplianceError(f"{name}: {error.strerror}; name a readable file with -c") from error
    except UnicodeDecodeError as error:
        raise ApplianceError(f"{name}: not UTF-8 text ({error.reason} at octet {error.start})") from error
    filename = "<stdin>" if name == "-" else name
    # Some editors begin a file with a mark of their own.
    tree = parse(text.removeprefix("\ufeff"), filename)
    configuration = build(tree, filename)
    # What runs keeps hashes only, and shows nothing else; a check does not need them.
    return configuration if only_check else build(_sealed(tree), filename)


def _sealed(tree: Section) -> Section:
    return seal(tree, {text: hash_password(text) for text in in_clear(tree)})


@contextlib.contextmanager
def state_lock(directory: Path) -> Any:
    """Hold the state directory for this process; it is made if absent.

    Raises :class:`ResourceError` when it cannot be made or another process holds it.
    """
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ResourceError(
            f"state directory {directory}: {error.strerror}; choose another with --state-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise ResourceError(
            f"state directory {directory} is in use by process {owner or 'unknown'}; "
            "stop it or choose another with --state-dir"
        ) from error
    try:
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise ResourceError(
                f"state directory {directory}: {error.strerror}; make room there "
                "or choose another with --state-dir"
            ) from error
        yield
    finally:
        os.close(lock)


def read_clocks() -> Now:
    """Read the monotonic and the wall clock."""
    return Now(time.monotonic(), time.time())


def steady(reactor: Any) -> None:
    """Make the timers of ``reactor`` follow the monotonic clock; to be called before the first one is set.

    Twisted counts on the wall clock: set back an hour, no lifetime would end and no binding be
    refreshed for that hour.
    """
    reactor.seconds = time.monotonic


def _react(configuration: Configuration, log_level: str, recorder: Recorder | None, boot_file: str) -> int:
    """Install the reactor, start everything, run until a signal, and stop everything."""
    from twisted.internet import asyncioreactor

    asyncioreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor as installed
    from twisted.internet.defer import CancelledError, Deferred
    from twisted.internet.error import ReactorNotRunning
    from twisted.logger import Logger

    from appliance import log
    from appliance.system import System

    # Its type is a module's, as far as a type checker can tell.
    reactor: Any = installed
    steady(reactor)
    lines = log.begin(sys.stderr, log_level, reactor.callFromThread)
    logger = Logger(namespace="appliance")
    system = System(
        configuration,
        reactor=reactor,
        clock=read_clocks,
        random_bits=secrets.randbits,
        logger=logger,
        log=lines,
        recorder=recorder,
        boot_file=boot_file,
    )
    status = 0
    starting: Any = None

    def on_loop(coroutine: Any) -> Any:
        # The kernel's netlink calls are asyncio's; here is the one seam to Twisted.
        return Deferred.fromFuture(asyncio.ensure_future(coroutine))

    def complain(failure: Any) -> None:
        logger.error("stopping: {reason}", reason=failure.getErrorMessage())

    def failed(failure: Any) -> None:
        nonlocal status
        if failure.check(asyncio.CancelledError, CancelledError):
            # A signal came while starting.
            return
        status = 2
        if failure.check(ApplianceError):
            print(f"Failure: {failure.value}", file=sys.stderr)
        else:
            logger.failure("start failed", failure)
        with contextlib.suppress(ReactorNotRunning):
            reactor.stop()

    def started(_: object) -> None:
        # Sessions by the hundred thousand are no garbage: a full collection would only stop the
        # loop for as long as it takes to look at each of them, so the oldest generation is left alone.
        # The young ones are kept small: with a million objects in the middle one, its turn took 90 ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 5, 1_000_000)
        logger.info("Appliance ready: {what}", what=system.summary())

    def begin() -> None:
        nonlocal starting
        starting = asyncio.ensure_future(system.start())
        Deferred.fromFuture(starting).addCallbacks(started, failed)

    async def end() -> None:
        # What is half started must not go on while it is taken down.
        if starting is not None and not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
        await system.stop()

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: on_loop(end()).addErrback(complain))
    reactor.run()
    return status
