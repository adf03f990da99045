"""Sessions: what repositories are handed, and the dependencies through which routes get them.

A write session is one transaction, and this is the one place that commits it: after the route has
returned and before its response is sent. A read session has no transaction at all: each statement
runs in autocommit on a connection that it gives back at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Protocol, Self

from fastapi import Depends
from sqlalchemy import ColumnElement, Connection, CursorResult, Executable, Select, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.util import greenlet_spawn
from sqlmodel import Session as SyncSession
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar
from starlette.requests import HTTPConnection

from core.db.sync import SyncReadableSession, SyncWritableSession
from core.db.trouble import refuse_lost_transaction
from core.events.failpoints import failpoint
from core.tracing import handled

SCOPE_DATABASE: Final = "tessera.database"
"""Where the ASGI entry puts the process's `Database` in a request's scope."""

READ_ONLY = "this session only reads, a change would be lost: take WriteSession"
ENDED = (
    "this session has ended with the block or the request that it was opened for, and what it did "
    "now would be lost: open one of your own with context.write()"
)
NOT_YOURS = (
    "a session ends where it was opened: use the one you were given as it is, without `async with`,"
    " and begin_nested() to try a part of the work"
)
if TYPE_CHECKING:
    from core.events.event import Event

AfterCommit = Callable[[], Awaitable[None]]
log = logging.getLogger("tessera.database")


class Session(AsyncSession):
    """What a repository takes: ``exec``, ``get``, ``add``, ``flush``, ``delete``.

    It comes to life when it is first used: a route that never asks for data costs no connection,
    no BEGIN, and none of the ORM's machinery.
    """

    _has_ended = False

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    if not TYPE_CHECKING:  # to a type checker every name would be an attribute

        def __getattr__(self, name: str) -> Any:
            if self._is_used:
                raise AttributeError(name)
            if self._has_ended:
                raise RuntimeError(ENDED)
            super().__init__(self._engine, expire_on_commit=False)
            return getattr(self, name)

    @property
    def _is_used(self) -> bool:
        return "sync_session" in self.__dict__

    async def commit(self) -> NoReturn:
        """Refused: whoever opened the session commits it."""
        raise RuntimeError("a session is committed where it was opened; use flush() to see ids")

    async def rollback(self) -> NoReturn:
        """Refused: raise an error, and whoever opened the session rolls it back."""
        raise RuntimeError("raise an error to roll back, or try a part in begin_nested()")

    def begin(self) -> NoReturn:
        """Refused: a session is one transaction already."""
        raise RuntimeError("a session is one transaction already; for a part use begin_nested()")


class ReadOnlySyncSession(SyncSession):
    """Where a read session's changes would be written, if there were any."""

    def flush(self, objects: Any = None) -> None:
        """Raise RuntimeError when there is something to write."""
        if self.new or self.deleted or self.dirty:
            raise RuntimeError(READ_ONLY)


class ReadableSession(Session):
    """Reads; holds a connection only while a statement runs, and refuses to write.

    So a request may hold a read session while it waits for others, or a write session beside it,
    without two requests waiting for each other's connection.

    Select columns where the response is all that is wanted: they take a short way past the ORM. A
    row by key costs 220 µs of processor time so, 375 the ORM's way, and 625 as an entity. A
    statement that is put together anew each time costs 280 more; keep it in a constant, with
    ``bindparam`` in it, and give the values as ``params=``. (PostgreSQL, eight columns.)
    """

    sync_session_class = ReadOnlySyncSession

    if not TYPE_CHECKING:  # the types are those of AsyncSession

        async def exec(self, statement: Executable, *, params: Any = None, **options: Any) -> Any:
            if statement.is_dml:
                raise RuntimeError(READ_ONLY)
            if options or not _selects_columns(statement):
                return await self._briefly(super().exec(statement, params=params, **options))
            result = await greenlet_spawn(self._fetch, statement, params)
            return result.scalars() if isinstance(statement, SelectOfScalar) else result

        async def execute(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().execute(*args, **options))

        async def scalar(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().scalar(*args, **options))

        async def scalars(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().scalars(*args, **options))

        async def get(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().get(*args, **options))

        async def get_one(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().get_one(*args, **options))

        async def refresh(self, *args: Any, **options: Any) -> None:
            await self._briefly(super().refresh(*args, **options))

        async def run_sync(self, *args: Any, **options: Any) -> Any:
            return await self._briefly(super().run_sync(*args, **options))

    def add(self, instance: object, *, _warn: bool = True) -> NoReturn:
        """Refused."""
        raise RuntimeError(READ_ONLY)

    async def delete(self, instance: object) -> NoReturn:
        """Refused."""
        raise RuntimeError(READ_ONLY)

    async def __aexit__(self, type_: Any, value: Any, traceback: Any) -> None:
        """Refuse what was changed and never written, then close."""
        if not self._is_used:
            return
        try:
            if value is None:
                self.sync_session.flush()
        finally:
            await self.close()

    def __del__(self) -> None:
        """A dependency has no end of its own here (see `read_session`); a lost change is said."""
        if self._is_used and self.sync_session.dirty:
            log.error("a read session changed %s, which was lost", list(self.sync_session.dirty))

    def _fetch(self, statement: Executable, params: Any) -> CursorResult[Any]:
        """Run a statement in one hop; the driver has read all rows when it returns."""
        with self._engine.sync_engine.connect() as connection:
            return connection.execute(statement, params)

    async def _briefly(self, operation: Awaitable[Any]) -> Any:
        """Give the connection back after the operation; in autocommit nothing is sent for it."""
        try:
            result = await operation
        except BaseException:
            await AsyncSession.rollback(self)
            raise
        await AsyncSession.commit(self)
        return result


def _selects_columns(statement: Executable) -> bool:
    """Whether no entity is asked for. Its public sibling, column_descriptions, costs 60 µs."""
    return isinstance(statement, Select) and all(
        isinstance(column, ColumnElement) for column in statement._raw_columns
    )


class EventRecorder(Protocol):
    """What writes the events that a session recorded: `core.events.recording.Recorder`."""

    enabled: bool

    def payload_of(self, event: "Event") -> str:
        """What `write` is to be given for it. Raises ValueError for what cannot be written."""
        ...

    def write(
        self,
        connection: Connection,
        recorded: "Sequence[tuple[Event, int | None, str]]",
        *,
        traces: Sequence[str | None] = (),
    ) -> None:
        """Write them in the connection's transaction, just before its commit.

        `traces` are those of the events in whose handlers they were recorded, one for each or none.
        """
        ...

    def committed(self) -> None:
        """They are there for everybody to see now."""
        ...


class HeldSyncSession(SyncSession):
    """What is behind a write session: nobody but its opener ends the transaction, this way either.

    An extension that could would take an order's stock out of the order, or commit it alone.
    """

    def commit(self) -> NoReturn:
        """Refused, like all of these."""
        raise RuntimeError(NOT_YOURS)

    rollback = close = reset = invalidate = commit


class WritableSession(Session):
    """One transaction: commits where the block ends, rolls back when it ends with an error."""

    sync_session_class = HeldSyncSession
    _is_open = False

    def __init__(self, engine: AsyncEngine, *, recorder: EventRecorder | None = None) -> None:
        """Without a `recorder` no event can be recorded."""
        super().__init__(engine)
        self._after_commit: list[AfterCommit] = []
        self._recorder = recorder
        self._recorded: list[
            tuple[Event, int | None, str, tuple[SessionTransaction, ...], str | None]
        ] = []

    def record(self, happened: "Event", *, version: int | None = None) -> None:
        """See `core.events.recording.record`."""
        if self._recorder is None:
            raise RuntimeError("this session was opened without a recorder: it takes no events")
        if self._has_ended:
            raise RuntimeError(ENDED)
        if self._recorder.enabled:
            # Now: what cannot be written is told to who recorded it.
            payload = self._recorder.payload_of(happened)
            self._recorded.append((happened, version, payload, self._savepoints(), handled()))

    def _savepoints(self) -> tuple[SessionTransaction, ...]:
        """Those that are open, the innermost first; what is recorded in one goes with it."""
        found: list[SessionTransaction] = []
        current = self.sync_session.get_nested_transaction() if self._is_used else None
        if current is not None and not event.contains(
            self.sync_session, "after_soft_rollback", self._forget_events_of
        ):
            event.listen(self.sync_session, "after_soft_rollback", self._forget_events_of)
        while current is not None and current.nested:
            found.append(current)
            current = current.parent
        return tuple(found)

    def _forget_events_of(self, _: SyncSession, ended: SessionTransaction) -> None:
        self._recorded = [it for it in self._recorded if ended not in it[3]]

    def after_commit(self, callback: AfterCommit) -> None:
        """Await `callback` once the transaction is committed, and never if it is rolled back.

        Callbacks run in the order in which they were given. One that raises is logged and hurts
        nobody: what they do must be what can be lost, such as dropping a cached value.
        """
        if self._has_ended:
            raise RuntimeError(ENDED)
        self._after_commit.append(callback)

    async def close(self) -> NoReturn:
        """Refused, like `reset`, `invalidate` and a second ``async with``."""
        raise RuntimeError(NOT_YOURS)

    aclose = reset = invalidate = close

    def get_transaction(self) -> NoReturn:
        """Refused: through it the transaction could be ended as well."""
        raise RuntimeError(NOT_YOURS)

    async def __aenter__(self) -> Self:
        """Raises RuntimeError for a session that is open already."""
        if self._is_open:
            raise RuntimeError(NOT_YOURS)
        self._is_open = True
        return self

    async def __aexit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the transaction; a cancellation that comes now waits, so that nothing is half done.

        Raises Unavailable when the database cannot be reached: then whether it was committed is
        not known.
        """
        ending = asyncio.ensure_future(self._end(succeeded=value is None))
        await asyncio.shield(ending)

    async def _end(self, *, succeeded: bool) -> None:
        try:
            if succeeded and (self._is_used or self._recorded):
                await greenlet_spawn(self._commit)
                if self._recorded:
                    failpoint("record.after_commit")
        finally:
            await self._close_for_good()
        if succeeded:
            if self._recorded and self._recorder is not None:
                self._recorder.committed()
            await self._run_after_commit()

    async def _close_for_good(self) -> None:
        """SQLAlchemy would begin anew: on SQLite that would keep every other writer waiting."""
        self._has_ended = True
        if self._is_used:
            await self._close()
            del self.sync_session, self._proxied

    async def _close(self) -> None:
        await greenlet_spawn(SyncSession.close, self.sync_session)

    def _commit(self) -> None:
        """In one greenlet, with the events: each hop into another one costs an order 3%."""
        session = self.sync_session
        session.flush()
        if session.in_transaction() or self._recorded:
            connection = session.connection()
            refuse_lost_transaction(connection)
            self._write_events(connection)
        SyncSession.commit(session)

    def _write_events(self, connection: Connection) -> None:
        if self._recorded and self._recorder is not None:
            recorded, traces = [it[:3] for it in self._recorded], [it[4] for it in self._recorded]
            self._recorder.write(connection, recorded, traces=traces)
            failpoint("record.before_commit")

    async def _run_after_commit(self) -> None:
        for callback in self._after_commit:
            try:
                await callback()
            except Exception:
                log.exception("a callback after the commit failed")


async def read_session(connection: HTTPConnection) -> ReadableSession:
    """Dependency: see `ReadSession`.

    It needs no end, since a read session holds no connection; as a generator it would cost a
    request 75 µs of 560.
    """
    session: ReadableSession = connection.scope[SCOPE_DATABASE].read()
    return session


async def write_session(connection: HTTPConnection) -> AsyncIterator[WritableSession]:
    """Dependency: see `WriteSession`."""
    async with connection.scope[SCOPE_DATABASE].write() as session:
        yield session


# The scope "function" ends a dependency before the response is sent. FastAPI's default ends it
# afterwards, where a failing commit has already been answered with 200.
ReadSession = Annotated[ReadableSession, Depends(read_session, scope="function")]
"""A session that only reads."""

WriteSession = Annotated[WritableSession, Depends(write_session, scope="function")]
"""One transaction: committed before the response is sent, rolled back when the route raises."""


async def sync_read_session(session: ReadSession) -> SyncReadableSession:
    """Dependency: see `SyncReadSession`."""
    return SyncReadableSession(session)


async def sync_write_session(session: WriteSession) -> SyncWritableSession:
    """Dependency: see `SyncWriteSession`."""
    return SyncWritableSession(session)


SyncReadSession = Annotated[SyncReadableSession, Depends(sync_read_session, scope="function")]
"""`ReadSession` for a plain ``def`` route."""

SyncWriteSession = Annotated[SyncWritableSession, Depends(sync_write_session, scope="function")]
"""`WriteSession` for a plain ``def`` route."""
