"""One migration at a time, however many servers start at once."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.db import files
from core.errors import Refused

log = structlog.get_logger("tessera.migrations")

WAIT_SECONDS = 120.0
"""How long a server waits for another one's migrations before it gives up."""
POLL_SECONDS = 0.1
ADVISORY_KEY = 0x7E55E7A
"""Which of PostgreSQL's 2**64 advisory locks is ours; a constant, for all who share a database."""


@asynccontextmanager
async def migration_lock(engine: AsyncEngine, *, wait: float = WAIT_SECONDS) -> AsyncIterator[None]:
    """Hold the lock of this database; it goes with the process, so kill -9 leaves nothing behind.

    On PostgreSQL an advisory lock on a connection of its own, on SQLite a locked file beside the
    database. Raises Refused after `wait` seconds, ConfigurationError where no file can be.
    """
    database = engine.url.database
    if engine.dialect.name == "postgresql":
        # In autocommit: a transaction would be idle for as long as the migrations take.
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as connection:
            await _acquire(lambda: _try_advisory(connection), wait)
            yield  # the lock ends with its connection
    elif database and database != ":memory:":
        files.prepare(database)
        descriptor = _open(f"{database}.migrating")
        try:
            await _acquire(lambda: _try_file(descriptor), wait)
            yield
        finally:
            os.close(descriptor)
    else:
        yield  # a database in memory has nobody else


async def _acquire(attempt: Callable[[], Awaitable[bool]], wait: float) -> None:
    if await attempt():
        return
    log.info("waiting for another process that migrates this database", at_most_seconds=wait)
    try:
        async with asyncio.timeout(wait):
            while not await attempt():  # noqa: ASYNC110 - another process has no event to give
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise Refused(
            f"another process has been migrating this database for {wait:.0f} seconds; "
            "look at it, then try again"
        ) from None


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise files.unusable(path, error) from error


async def _try_advisory(connection: AsyncConnection) -> bool:
    row = await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_KEY})
    return bool(row.scalar_one())


async def _try_file(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
