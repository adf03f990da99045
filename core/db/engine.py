"""The process-wide database: its engines, their pools, and how a session is come by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import aiosqlite
from sqlalchemy import Connection, NullPool, PoolResetState, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.db import files
from core.db.pool import FairPool
from core.db.session import SCOPE_DATABASE, EventRecorder, ReadableSession, WritableSession
from core.db.trouble import refuse_stale, translate, unreachable
from core.errors import ConfigurationError
from core.events.recording import Recorder

if TYPE_CHECKING:
    import asyncpg

    from core.settings import DatabaseSettings

__all__ = ["SCOPE_DATABASE", "Database"]

CONNECT_SECONDS = 3.0
"""How long a server may take to accept a connection."""
CLOSE_SECONDS = 2.0
"""How long a server may take to see its connections go."""
ANSWER_SECONDS = 5.0
"""How long an answer is waited for beyond a statement's limit: a network may swallow it."""
POOL_SECONDS = 5.0
"""How long a request waits for a connection before it is answered with 503."""
BUSY_SECONDS = 5.0
"""How long a SQLite statement waits for another process's transaction."""
PATIENCE = 500_000
"""After how many of its steps (some 10 ms) a SQLite statement asks whether its caller is there."""
STATEMENTS = 2_000
"""Compiled statements that are kept: a thousand routes have more than SQLAlchemy's 500."""
PREPARED = 500
"""Prepared statements a connection keeps on the server; beyond it each costs a round trip."""
_LOCK_LIMIT = text("SELECT set_config('lock_timeout', :limit, true)")


class Database:
    """The database of one process: two engines on one set of connections.

    It connects when it is first used. It lives as long as the process: a generation borrows it, so
    that swapping one for the next never doubles the pool. `reader` runs each statement in
    autocommit; `writer` has transactions.

    Raises ConfigurationError for a driver that is not known.
    """

    dialect: Literal["sqlite", "postgresql"]

    def __init__(
        self, settings: DatabaseSettings, *, recorder: EventRecorder | None = None
    ) -> None:
        """`recorder` writes the events that write sessions record; else one that wakes nobody."""
        self.recorder = recorder or Recorder()
        self.url = make_url(settings.url)
        self._statement_seconds = settings.statement_timeout_seconds
        if self.url.drivername == "postgresql+asyncpg":
            self.dialect = "postgresql"
            self.reader, self.writer = _postgresql(self.url, settings)
        elif self.url.drivername == "sqlite+aiosqlite":
            self.dialect = "sqlite"
            self.reader, self.writer = _sqlite(self.url, settings)
        else:
            raise ConfigurationError(
                f"database.url: {self.url.drivername}:// is not known; "
                "use sqlite+aiosqlite:// or postgresql+asyncpg://"
            )

    def read(self) -> ReadableSession:
        """``async with database.read() as session``: see `ReadableSession`."""
        return ReadableSession(self.reader)

    def write(self) -> WritableSession:
        """``async with database.write() as session``: one transaction, committed at the end."""
        return WritableSession(self.writer, recorder=self.recorder)

    @asynccontextmanager
    async def write_at_length(self) -> AsyncIterator[WritableSession]:
        """`write` for a command that may go through millions of rows: no statement has a limit.

        A wait for somebody's lock has, since others queue behind whoever waits. Raises Unavailable.
        """
        if self.dialect == "sqlite":  # nothing of that has a limit there
            async with self.write() as session:
                yield session
            return
        engine = self.maintenance_engine()
        like_others = engine.execution_options(isolation_level="READ COMMITTED")
        try:
            async with WritableSession(like_others, recorder=self.recorder) as session:
                limit = {"limit": f"{self._statement_seconds * 1000:.0f}"}
                await session.exec(_LOCK_LIMIT, params=limit)  # type: ignore[call-overload]
                yield session
        finally:
            await engine.dispose()

    def maintenance_engine(self) -> AsyncEngine:
        """An engine apart, for migrations: no pool, no time limit; its user disposes of it.

        On SQLite without foreign keys, since a table is changed there by dropping it.
        """
        if self.dialect == "postgresql":
            return _postgresql_engine(self.url, statement_seconds=0, poolclass=NullPool)
        return _sqlite_writer(self.url, foreign_keys=False, poolclass=NullPool)

    async def ping(self) -> None:
        """Ask for an answer. Raises Unavailable when there is none."""
        async with self.reader.connect() as connection:
            await connection.execute(text("SELECT 1"))

    @property
    def at_once(self) -> int:
        """How many transactions there can be at a time."""
        pool = self.writer.pool
        return pool.size if isinstance(pool, FairPool) else 1

    def connections(self) -> dict[str, int]:
        """How many connections are in use and idle, over all pools."""
        pools = {id(e.pool): e.pool for e in (self.reader, self.writer)}.values()
        counted = [pool.usage() for pool in pools if isinstance(pool, FairPool)]
        return {"used": sum(u for u, _ in counted), "idle": sum(i for _, i in counted)}

    async def close(self) -> None:
        """Close every connection; those in use when they are given back."""
        for engine in (self.writer, self.reader):
            pool = engine.pool
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await engine.dispose()
            except TimeoutError:
                if isinstance(pool, FairPool):
                    pool.abandon()


def _postgresql(url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
    """One pool of `pool_size` connections for reads and writes, so that the number is the number.

    Its connections are in autocommit, where nothing but the statement itself is sent; a write takes
    one out of it for its transaction. The other way round a read would pay 50 µs for that, and two
    pools would have to be divided between them.
    """
    reader = _postgresql_engine(
        url,
        statement_seconds=settings.statement_timeout_seconds,
        echo=settings.echo,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        poolclass=FairPool,
        pool_size=settings.pool_size,
        pool_timeout=POOL_SECONDS,
    )
    return reader, reader.execution_options(isolation_level="READ COMMITTED")


def _postgresql_engine(url: URL, *, statement_seconds: float, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        query_cache_size=STATEMENTS,
        connect_args={
            "async_creator_fn": partial(_connect_postgresql, url),
            "timeout": CONNECT_SECONDS,
            "command_timeout": statement_seconds + ANSWER_SECONDS if statement_seconds else None,
            "prepared_statement_cache_size": PREPARED,
            "server_settings": {
                "application_name": "tessera",
                "statement_timeout": f"{statement_seconds * 1000:.0f}",
            },
        },
        **options,
    )
    event.listen(engine.sync_engine, "handle_error", translate)

    @event.listens_for(engine.sync_engine, "checkout")
    def checkout(_: Any, record: Any, __: Any) -> None:
        refuse_stale(record.driver_connection)

    return engine


async def _connect_postgresql(url: URL, *args: Any, **options: Any) -> asyncpg.Connection:
    import asyncpg  # on SQLite no process pays for it

    try:
        return await asyncpg.connect(*args, **options)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unreachable(error, url) from error


def _sqlite(url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
    """A pool to read from and one connection to write with.

    SQLite has one writer at a time. Those of this process queue for its connection in the order in
    which they came; the busy time-out, by which SQLite makes them try again and again and lets
    whoever is lucky win, is left for other processes.
    """
    pool: dict[str, Any] = {
        "echo": settings.echo,
        "poolclass": FairPool,
        "pool_timeout": POOL_SECONDS,
    }
    reader = _sqlite_engine(
        url,
        pool_size=settings.pool_size,
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        **pool,
    )
    return reader, _sqlite_writer(url, pool_size=1, **pool)


def _sqlite_writer(url: URL, **options: Any) -> AsyncEngine:
    engine = _sqlite_engine(url, **options)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # With the plain BEGIN two who have read both go on to write, and one update is lost: 359
        # of 500 were in a test. IMMEDIATE asks for the right to write before it reads.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine.sync_engine, "reset")
    def end(connection: Any, record: Any, state: PoolResetState) -> None:
        # A COMMIT that fails leaves the transaction open, and SQLAlchemy takes it for ended: nobody
        # could write any more.
        if state.asyncio_safe and record.driver_connection.in_transaction:
            connection.rollback()

    return engine


def _sqlite_engine(url: URL, *, foreign_keys: bool = True, **options: Any) -> AsyncEngine:
    engine = create_async_engine(url, query_cache_size=STATEMENTS, **options)
    event.listen(engine.sync_engine, "handle_error", translate)

    @event.listens_for(engine.sync_engine, "do_connect")
    def make_folder(*_: Any) -> None:
        if url.database and url.database != ":memory:":
            files.prepare(url.database)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver shall begin nothing by itself
        record.info[_Caller] = caller = _Caller()
        cursor = connection.cursor()
        try:
            connection.run_async(lambda driver: driver.set_progress_handler(caller, PATIENCE))
            for pragma in _pragmas(foreign_keys):
                cursor.execute(pragma)
        except BaseException:
            connection.close()  # SQLAlchemy forgets it, and its thread would outlive the loop
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def abandon(connection: Any, record: Any, _: Any) -> None:
        record.info[_Caller].is_gone = True
        with suppress(MissingGreenlet):  # found by the garbage collector: nobody can wait
            connection.run_async(_abandon)

    return engine


class _Caller:
    """Whether whoever a SQLite connection works for is still there: its progress handler."""

    def __init__(self) -> None:
        self.is_gone = False

    def __call__(self) -> bool:
        """SQLite asks in the connection's thread, and ends the running statement if this holds."""
        return self.is_gone


async def _abandon(driver: aiosqlite.Connection) -> None:
    """End the transaction of somebody who was cancelled: it would keep all other writers out.

    Closing the connection would not do, as long as anything refers to one of its statements. The
    rollback waits in the thread behind the statement that still runs, which its `_Caller` ends. An
    interrupt would hold until no statement is open; that of somebody who was cancelled between
    execute and fetch stays open, so it would strike the rollback, and the lock would stay for ever.
    """
    await driver.rollback()


def _pragmas(foreign_keys: bool) -> list[str]:
    """What each SQLite connection is told; the time-out first, since the others may have to wait.

    WAL lets readers read while one writes. With synchronous=NORMAL it is written to the operating
    system at each commit and to the disk at each checkpoint: what was committed survives a killed
    process; a power failure may take the last commits with it but never damages the file. FULL
    would keep those too, at one fsync a commit: that deployment wants PostgreSQL.
    """
    return [
        f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=NORMAL",
        f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}",
    ]
