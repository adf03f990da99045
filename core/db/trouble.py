"""What goes wrong in a database, in the words of `core.errors`.

SQLAlchemy asks `translate` about every error, wherever it arises: in a statement, at BEGIN, at
commit. So no caller has to, and a server that goes away in the middle of a route is a 503.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from core.db import files
from core.errors import Unavailable, Unprocessable

# SQLSTATEs (PostgreSQL, appendix A) after which the same request may succeed a moment later.
GONE = ("08", "57P")  # connection exceptions; shutdown, crash, starting up
PASSING = (
    "53",  # insufficient resources: too many connections, disk full
    "40",  # a deadlock, or two transactions that could not be put in an order
    "55P03",  # a lock was not to be had in time
    "57014",  # the statement took longer than statement_timeout
    "25006",  # read-only: the server has just become a standby
)
SQLITE_BUSY = ("database is locked", "database table is locked", "database schema is locked")
WRONG_DATA = ("22",)  # data exceptions: a NUL in text, a number out of range

RETRY_AFTER = 1
"""Seconds: a PostgreSQL that restarts is back within a few."""
FAILED = "tessera.failed"


def unreachable(error: BaseException, url: URL | None = None) -> Unavailable:
    """No connection could be made, or it broke; where and why is for operators alone."""
    where = f" at {_place(url)}" if url is not None else ""
    return Unavailable(
        "The database cannot be reached just now.",
        retry_after=RETRY_AFTER,
        for_operators=f"the database cannot be reached{where}: {_reason(error)}",
    )


def _place(url: URL) -> str:
    """Host, port and database; neither the user nor the password."""
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or "localhost"
    return f"{host}:{url.port or 5432}/{url.database or ''}"


def _reason(error: BaseException) -> str:
    """Why, in one line, as the operating system or the server says it."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)  # asyncio's own text names the address once more
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]


def translate(context: ExceptionContext) -> Exception | None:
    """SQLAlchemy's `handle_error` hook: what to raise in place of the driver's error, if anything.

    A broken constraint stays SQLAlchemy's IntegrityError, for services to catch.
    """
    error = context.original_exception
    if not isinstance(error, Exception):
        return None  # a cancellation
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith(GONE) or isinstance(error, OSError):
        context.is_disconnect = True
    url = context.engine.url if context.engine is not None else None
    if context.is_disconnect:
        return unreachable(error, url)
    if (told := files.explain(error, (url.database if url else None) or ":memory:")) is not None:
        return told
    if context.connection is not None:
        context.connection.info[FAILED] = True
    if state.startswith(PASSING) or any(words in str(error) for words in SQLITE_BUSY):
        return Unavailable("The database is too busy just now.", retry_after=RETRY_AFTER)
    if _is_stale(error, context):
        return Unavailable("The database has just been migrated.", retry_after=RETRY_AFTER)
    if state.startswith(WRONG_DATA) or _never_sent(error, context):
        return Unprocessable("A value cannot be stored: a NUL, or a number that is too large.")
    return None


def _is_stale(error: Exception, context: ExceptionContext) -> bool:
    """Whether a prepared statement is of a schema that is no more."""
    if context.dialect.name != "postgresql":
        return False
    import asyncpg  # on SQLite no process pays for it (6% of a start)

    return isinstance(error.__cause__, asyncpg.InvalidCachedStatementError)


def _never_sent(error: Exception, context: ExceptionContext) -> bool:
    """Whether the driver refused a value before the database saw it."""
    refused: tuple[type[Exception], ...] = (OverflowError, UnicodeError)
    if context.dialect.name == "postgresql":
        import asyncpg

        refused += (asyncpg.DataError,)
    return isinstance(error, refused) or isinstance(error.__cause__, refused)


def refuse_stale(connection: Any) -> None:
    """Asked when a connection leaves the pool, at no round trip: its socket says if it was closed.

    Raises InvalidatePoolError; SQLAlchemy then makes a new one, and does so for all older ones.
    """
    if connection.is_closed():
        raise InvalidatePoolError("the server has closed this connection")


def refuse_lost_transaction(connection: Connection) -> None:
    """Before a commit: the transaction must still be there after an error that somebody swallowed.

    PostgreSQL answers COMMIT in an aborted transaction with a rollback and no error, SQLite may
    have rolled back by itself: the route would say 200 and nothing would be written. Costs nothing
    unless there was an error. Raises RuntimeError.
    """
    if not connection.info.pop(FAILED, False):
        return
    try:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT 1")
        elif not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            raise RuntimeError
    except (DBAPIError, RuntimeError) as error:
        raise RuntimeError(
            "the transaction was lost with an error that was caught: "
            "do in begin_nested() what may fail"
        ) from error
