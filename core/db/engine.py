"""The process-wide database: engines, pools, and the one place that commits."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg
from sqlalchemy import NullPool, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.db.pool import FairPool
from core.db.session import ReadableSession, Reading, WritableSession, Writing
from core.db.trouble import cannot_connect, translate
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from core.settings import DatabaseSettings

SCOPE_DATABASE: Final = "tessera.database"


class Database:
    """Engines and pools of one process; connects when it is first used."""

    def __init__(self, settings: DatabaseSettings) -> None:
        url = make_url(settings.url)
        self.url = url
        self.dialect: Literal["sqlite", "postgresql"]
        if url.drivername == "sqlite+aiosqlite":
            self.dialect = "sqlite"
            self.reader, self.writer = _sqlite_engines(url, settings)
        elif url.drivername == "postgresql+asyncpg":
            self.dialect = "postgresql"
            self.reader, self.writer = _postgresql_engines(url, settings)
        else:
            raise ConfigurationError(
                f"database.url: {url.drivername}:// is not known; "
                "use sqlite+aiosqlite:// or postgresql+asyncpg://"
            )

    def read(self) -> AbstractAsyncContextManager[ReadableSession]:
        """A session that only reads."""
        return Reading(self.reader)

    def write(self) -> AbstractAsyncContextManager[WritableSession]:
        """A session whose block is one transaction."""
        return Writing(self.writer)

    def maintenance_engine(self) -> AsyncEngine:
        """An engine of its own for migrations; whoever asks for it disposes of it."""
        if self.dialect == "postgresql":
            return _postgresql_engine(self.url, statement_timeout=0, poolclass=NullPool)
        engine = _sqlite_engine(self.url, foreign_keys=False, poolclass=NullPool)
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine

    async def ping(self) -> None:
        """Ask the database for an answer; raises Unavailable when there is none."""
        async with self.reader.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.writer.dispose()
        await self.reader.dispose()


POOL_TIMEOUT = 5.0
CONNECT_TIMEOUT = 3.0


def _postgresql_engines(url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
    reader = _postgresql_engine(
        url,
        echo=settings.echo,
        statement_timeout=settings.statement_timeout_seconds,
        poolclass=FairPool,
        pool_size=settings.pool_size,
        pool_timeout=POOL_TIMEOUT,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )
    return reader, reader.execution_options(isolation_level="READ COMMITTED")


def _postgresql_engine(url: URL, *, statement_timeout: float, **options: Any) -> AsyncEngine:
    async def connect(*args: Any, **kw: Any) -> Any:
        try:
            return await asyncpg.connect(*args, **kw)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise cannot_connect(error) from error

    engine = create_async_engine(
        url,
        connect_args={
            "async_creator_fn": connect,
            "timeout": CONNECT_TIMEOUT,
            "server_settings": {
                "application_name": "tessera",
                "statement_timeout": str(int(statement_timeout * 1000)),
            },
        },
        **options,
    )
    event.listen(engine.sync_engine, "handle_error", translate)
    return engine


def _sqlite_engines(url: URL, settings: DatabaseSettings) -> tuple[AsyncEngine, AsyncEngine]:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    pooled: dict[str, Any] = {
        "echo": settings.echo,
        "poolclass": FairPool,
        "pool_timeout": POOL_TIMEOUT,
    }
    reader = _sqlite_engine(
        url,
        **pooled,
        pool_size=settings.pool_size,
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
    )
    writer = _sqlite_engine(url, **pooled, pool_size=1)
    event.listen(writer.sync_engine, "begin", _begin_immediate)
    return reader, writer


def _sqlite_engine(url: URL, *, foreign_keys: bool = True, **options: Any) -> AsyncEngine:
    engine = create_async_engine(url, **options)

    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"foreign_keys={int(foreign_keys)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "handle_error", translate)
    return engine


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
