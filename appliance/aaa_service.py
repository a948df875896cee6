"""A Mobile AAA server as a service: its core on a Diameter node, its store, its users files.

::

    AaaDesk ──start, reconfigure, stop──▶ AaaService ── AaaServerDriver ── core
                                             │   └── RecordWriter (thread) ── database, spool, text log
    Shell ──view, users, sessions──▶─────────┤
          ──records, usage (pages)─▶ threads ┴── readers of the database
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

from appliance.aaa import users_file
from appliance.aaa.accounting import parse
from appliance.aaa.addresses import is_postgres
from appliance.aaa.driver import AaaServerDriver, Outcome
from appliance.aaa.events import LoadedUsers, Notify, Reconfigure
from appliance.aaa.postgres import PostgresDatabase
from appliance.aaa.query import Attribute, Matcher, OpenSessions, Query, matcher
from appliance.aaa.records import DAY, MICROSECONDS, Database, RecordReader, Selection
from appliance.aaa.server import MobileAaaServer
from appliance.aaa.settings import AaaServerSettings, Realm, TextLog, User
from appliance.aaa.spool import Spool
from appliance.aaa.sqlite import SqliteDatabase
from appliance.aaa.textlog import TextLog as TextLogFiles
from appliance.aaa.users_file import UsersFileError
from appliance.aaa.writer import RecordWriter
from appliance.aaa_views import counters, record_view, session_view, sliced, usage_view, user_view
from appliance.cli.pipes import expression
from appliance.errors import ResourceError
from appliance.ports_aaa import (
    DiameterSessionView,
    RecordFilter,
    RecordView,
    ServerView,
    UsageView,
    UserView,
)
from appliance.protocols.diameter.events import NodePort
from appliance.protocols.diameter.message.dictionary import current
from appliance.protocols.diameter.message.text import Texts
from appliance.protocols.diameter.message.types import fold
from appliance.protocols.timers import Now
from appliance.views import matcher as name_matcher
from appliance.wildcards import is_wild

#: Octets of a users file, at most.
LARGEST_USERS_FILE = 256 << 20
#: Threads that read records for operators; more wait for one.
READERS = 4
#: Records of a page: with all attributes, and without.
FULL_PAGE, SHORT_PAGE = 32, 256
#: Seconds that a stop waits for records that are being written.
STOP_SECONDS = 20.0


def make_database(settings: AaaServerSettings, state_directory: str) -> Database:
    """The database of a server. Raises ResourceError without what it needs, or for no address."""
    address = settings.database
    if is_postgres(address):
        return PostgresDatabase(address)
    path = address.removeprefix("sqlite:")
    return SqliteDatabase(path or str(Path(state_directory) / "aaa" / f"{settings.name}.db"))


def read_users(path: str, realm: str) -> dict[str, User]:
    """Read a users file; blocks, but gives other threads their turn. Raises ResourceError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ResourceError(f"users file {path} is no regular file; name another")
        with open(path, encoding="utf-8", errors="strict") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_USERS_FILE:
                raise ResourceError(f"users file {path} is longer than {LARGEST_USERS_FILE} octets")
            return users_file.parse(file, path, realm, lambda: sleep(0.0005))
    except OSError as error:
        raise ResourceError(f"users file {path}: {error.strerror}; name a readable file") from error
    except UnicodeDecodeError as error:
        raise ResourceError(f"users file {path}: not UTF-8 text ({error.reason})") from error
    except UsersFileError as error:
        raise ResourceError(str(error)) from error


class AaaService:
    """One ``aaa-server``."""

    kind = "aaa-server"

    def __init__(
        self,
        settings: AaaServerSettings,
        node: NodePort,
        *,
        reactor: Any,
        clock: Callable[[], Now],
        random_bits: Callable[[int], int],
        tell: Callable[[str, str], None],
        state_directory: str,
        record: Callable[[Any, Now], None] | None = None,
    ) -> None:
        """``tell(level, text)`` writes a log line; ``record`` as of CoreDriver."""
        self.settings = settings
        self.name = settings.name
        self.state = "Initialized"
        self._reactor = reactor
        self._clock = clock
        self._tell = tell
        self._state_directory = state_directory
        self._core = MobileAaaServer(settings, random_bits)
        self._database = make_database(settings, state_directory)
        self._driver = AaaServerDriver(
            reactor, clock, self._core, node, self._make_writer, self._notify, record
        )
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"records of {settings.name}")

    # ---- start, change, stop

    async def start(self) -> None:
        """Read the users files, open the store, and serve. Raises ResourceError."""
        await self._load(self.settings, self.settings.realms)
        self._driver.start()
        self.state = "Started"

    async def reconfigure(self, settings: AaaServerSettings) -> None:
        """Go on by other settings of the same endpoint and store. Raises ResourceError: by the old ones."""
        before = {realm.name: realm for realm in self.settings.realms}
        changed = [realm for realm in settings.realms if before.get(realm.name) != realm]
        loaded = [(realm, await self._read(realm)) for realm in changed if realm.users_file]
        self.settings = settings
        self._driver.reconfigure(Reconfigure(settings))
        for realm, users in loaded:
            self._driver.feed(LoadedUsers(realm.name, users))
        self._driver.writer.reconfigure(
            self._journal(settings.text_log), settings.duplicate_days * DAY, settings.keep_records * DAY
        )

    async def stop(self) -> None:
        """Take no more requests, and wait a bounded time for the records that were taken."""
        if self.state == "Started":
            self.state = "Initialized"
            wait = self._driver.stop()
            try:
                await asyncio.wait_for(asyncio.to_thread(wait, STOP_SECONDS), STOP_SECONDS + 1)
            except TimeoutError:
                self._tell("error", f"aaa-server {self.name}: records were not stored before it was stopped")
            # What the thread has told the reactor last is dealt with first.
            await asyncio.sleep(0)
        self._driver.finish()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _make_writer(self, done: Outcome) -> RecordWriter:
        settings = self.settings
        directory = Path(self._state_directory) / "aaa" / f"{settings.name}.spool"
        return RecordWriter(
            self._reactor,
            self._database,
            done,
            lambda level, text: self._tell(level, f"aaa-server {self.name}: {text}"),
            name=settings.name,
            spool=Spool(str(directory), settings.spool_limit, parse),
            spooling=settings.storage_failure == "spool",
            journal=self._journal(settings.text_log),
            window=settings.duplicate_days * DAY,
            keep=settings.keep_records * DAY,
        )

    def _journal(self, log: TextLog | None) -> TextLogFiles | None:
        if log is None:
            return None
        directory = log.directory or str(Path(self._state_directory) / "accounting")
        return TextLogFiles(directory, log.names, log.local_time, log.keep, lambda: self._clock().wall)

    def _notify(self, effect: Notify) -> None:
        self._tell(effect.level, f"aaa-server {self.name}: {effect.text}")

    # ---- users

    async def _read(self, realm: Realm) -> dict[str, User]:
        return await asyncio.to_thread(read_users, realm.users_file, realm.name)

    async def _load(self, settings: AaaServerSettings, realms: Sequence[Realm]) -> list[str]:
        lines = []
        for realm in realms:
            if realm.users_file:
                users = await self._read(realm)
                self._driver.feed(LoadedUsers(realm.name, users))
                lines.append(f"{len(users)} users of {realm.name} read from {realm.users_file}")
        return lines

    async def reload_users(self) -> list[str]:
        """Read the users files again; returns a line for each. Raises ResourceError: its users stay."""
        return await self._load(self.settings, self.settings.realms)

    def users(self, wanted: str = "") -> Iterator[UserView | None]:
        """Its users; ``*`` and ``$`` are wildcards; ``None``: still looking."""
        fits = name_matcher(wanted) if is_wild(wanted) else None
        files = {fold(realm.name): realm.users_file for realm in self.settings.realms}
        users = self._core.users
        for number, user in enumerate(users.listed()):
            if number % 64 == 63:
                yield None
            if (fits is not None and not fits(user.nai)) or (wanted and fits is None and user.nai != wanted):
                continue
            source = "configuration" if users.configured(user.nai) else files[user.nai.rpartition("@")[2]]
            yield user_view(user, self.name, source, len(self._core.sessions.of_user(user.nai)))

    # ---- sessions

    def sessions(self, user: str = "", session_id: str = "") -> Iterator[DiameterSessionView | None]:
        """Live sessions, then those that have ended; ``None``: still looking."""
        fits = name_matcher(user) if is_wild(user) else None
        found = self._core.find("" if is_wild(user) else user)
        if session_id:
            session = self._core.sessions.find(session_id)
            found = iter(() if session is None else (session,))
        now, dictionary = self._clock(), current()
        for each in sliced(self._with_history(found)):
            if each is None:
                yield None
                continue
            if session_id and all(end.session != session_id for end in each.ends):
                continue
            if (fits is not None and not fits(each.user)) or (user and fits is None and each.user != user):
                continue
            yield session_view(each, self.name, now, dictionary)

    def _with_history(self, live: Iterator[Any]) -> Iterator[Any]:
        yield from live
        yield from list(self._core.sessions.history)

    async def abort(self, session_id: str) -> str:
        """Have a session ended by its client (ASR); returns what came of it."""
        return await self._order(self._driver.abort, session_id)

    async def reauthorize(self, session_id: str) -> str:
        """Have a session authorized again by its client (RAR); returns what came of it."""
        return await self._order(self._driver.reauthorize, session_id)

    async def _order(self, order: Callable[[str, Callable[[str], None]], None], session_id: str) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def told(text: str) -> None:
            if not answer.done():
                answer.set_result(text)

        order(session_id, told)
        return await answer

    # ---- figures

    def view(self) -> ServerView:
        """What it is and how it is."""
        settings, core, writer = self.settings, self._core, self._driver.writer
        return ServerView(
            name=self.name,
            context=settings.context,
            endpoint=settings.endpoint,
            state=self.state,
            realms=tuple(realm.name for realm in settings.realms),
            users=sum(core.users.counts().values()),
            sessions=len(core.sessions),
            storage=self._database.description,
            storage_state=writer.error or ("Normal" if writer.opened else "Opening"),
            records=writer.statistics.stored,
            waiting=writer.statistics.waiting,
            spool=writer.spool_octets,
            counters=counters(core.statistics, writer.statistics),
        )

    def clear_statistics(self) -> None:
        """Count requests and answers from zero again."""
        self._core.clear_statistics()

    # ---- records

    async def _thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, work, *arguments)

    def records(self, wanted: RecordFilter, full: bool) -> AsyncIterator[Sequence[RecordView]]:
        """Records in pages; some pages are empty. Raises ApplianceError."""
        reader = self._database.reader()
        page = FULL_PAGE if full else SHORT_PAGE
        query = Query(reader, selection(wanted), condition(wanted), wanted.newest, page)
        return self._pages(reader, query, Texts(current()) if full else None)

    def open_accounting(self, wanted: RecordFilter) -> AsyncIterator[Sequence[RecordView]]:
        """The newest record of each session that has not ended, in pages. Raises ApplianceError."""
        reader = self._database.reader()
        query = OpenSessions(reader, selection(wanted), FULL_PAGE)
        return self._pages(reader, query, Texts(current()))

    async def _pages(
        self, reader: RecordReader, query: Query | OpenSessions, texts: Texts | None
    ) -> AsyncIterator[Sequence[RecordView]]:
        def fetch() -> list[RecordView]:
            return [record_view(each, self.name, texts) for each in query.next_page()]

        try:
            while query.more:
                yield await self._thread(fetch)
        finally:
            await self._thread(reader.close)

    async def usage(self, wanted: RecordFilter) -> AsyncIterator[Sequence[UsageView]]:
        """Totals of each user on each day, in pages. Raises ApplianceError."""
        reader = self._database.reader()
        found = reader.summary(selection(wanted))

        def fetch() -> list[UsageView]:
            rows = (next(found, None) for _ in range(SHORT_PAGE))
            return [usage_view(row, self.name) for row in rows if row is not None]

        try:
            while page := await self._thread(fetch):
                yield page
        finally:
            await self._thread(reader.close)


def selection(wanted: RecordFilter) -> Selection:
    """What a database looks for itself."""
    return Selection(
        user=wanted.user,
        session=wanted.session,
        after=round(wanted.after * MICROSECONDS) if wanted.after else None,
        before=round(wanted.before * MICROSECONDS) if wanted.before else None,
    )


def condition(wanted: RecordFilter) -> Matcher | None:
    """What is looked for in the attributes. Raises ApplianceError."""
    if not wanted.attribute:
        return None
    compiled = expression(wanted.value, "attribute") if wanted.matches else None
    return matcher(Attribute(wanted.attribute, wanted.value, compiled), current())
