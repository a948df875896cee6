"""A PostgreSQL cluster of the tests' own: on a socket in its directory, as an unprivileged user."""

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

#: Where Debian has the server's programs, which are not on the path.
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
SECONDS = 60


def missing() -> str:
    """Why no cluster can be made here; empty: it can."""
    if program("initdb") is None:
        return "PostgreSQL is not installed (Debian package postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'psycopg[binary]')"
    return ""


def program(name: str) -> str | None:
    """Path of one of its programs."""
    for place in PLACES:
        if (place / name).exists():
            return str(place / name)
    return shutil.which(name)


class Cluster:
    """One cluster."""

    def __init__(self) -> None:
        # A socket's path is short, and others may not look in.
        self.directory = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._who: dict[str, object] = {}
        if os.getuid() == 0:
            # The server refuses to run as root.
            user = pwd.getpwnam("nobody")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self._who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.data = self.directory / "data"
        self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "appliance",
            "-A",
            "trust",
            "-N",
            "--no-locale",
            "-E",
            "UTF8",
        )
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\n")
            file.write("shared_buffers = 16MB\nmax_connections = 20\n")

    def _run(self, name: str, *arguments: str) -> None:
        path = program(name)
        assert path is not None
        done = subprocess.run(
            [path, *arguments],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            **self._who,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stdout.decode(errors='replace')}")

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        log = str(self.directory / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", str(SECONDS), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate``: as if it had died."""
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", str(SECONDS), "stop")

    @property
    def address(self) -> str:
        """Its address for a configuration."""
        return self.of("postgres")

    def of(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://appliance@/{database}?host={self.directory}"

    def create(self, database: str) -> str:
        """Make a database; returns its address."""
        self._run("createdb", "-h", str(self.directory), "-U", "appliance", database)
        return self.of(database)

    def remove(self) -> None:
        """Delete all its files."""
        shutil.rmtree(self.directory)


@cache
def shared() -> Cluster:
    """One that runs until the end of the process: making one takes seconds."""
    cluster = Cluster()

    def end() -> None:
        try:
            cluster.stop("immediate")
        finally:
            cluster.remove()

    atexit.register(end)
    cluster.start()
    return cluster
