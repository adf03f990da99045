"""Sessions: what repositories are handed, and the dependencies that make them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio.from_thread
from fastapi import Depends
from sqlalchemy import ColumnElement
from sqlalchemy import Select as SelectBase
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util.concurrency import await_only, greenlet_spawn
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar
from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from core.db.engine import Database

T = TypeVar("T")
log = logging.getLogger(__name__)
SCOPE_DATABASE = "tessera.database"
AfterCommit = Callable[[], Awaitable[None]]


class Session(AsyncSession):
    """What a repository takes: ``exec``, ``get``, ``add``, ``flush``, ``delete``; it never commits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        if "sync_session" in self.__dict__:
            raise AttributeError(name)
        super().__init__(self._engine, expire_on_commit=False)
        return getattr(self, name)

    @property
    def used(self) -> bool:
        return "sync_session" in self.__dict__


class ReadableSession(Session):
    """Reads in autocommit; refuses to write."""

    async def flush(self, objects: Any = None) -> None:
        """Refuses."""
        raise RuntimeError("this is a read session: take WriteSession to change anything")

    async def exec(self, statement: Any, *, params: Any = None, **options: Any) -> Any:
        if not options and _selects_columns(statement):
            result = await greenlet_spawn(self._fetch, statement, params)
            return result.scalars() if isinstance(statement, SelectOfScalar) else result
        return await super().exec(statement, params=params, **options)

    def _fetch(self, statement: Any, params: Any) -> Any:
        with self._engine.sync_engine.connect() as connection:
            result = connection.execute(statement, params)
            if result.cursor is not None:
                await_only(result.cursor._async_soft_close())
            return result


def _selects_columns(statement: Any) -> bool:
    return isinstance(statement, SelectBase) and all(
        isinstance(column, ColumnElement) for column in statement._raw_columns
    )


class WritableSession(Session):
    """One transaction, committed by whoever opened the session."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._after_commit: list[AfterCommit] = []

    def after_commit(self, callback: AfterCommit) -> None:
        """Await `callback` once the transaction is committed; never when it is rolled back."""
        self._after_commit.append(callback)

    async def run_after_commit(self) -> None:
        """Run the callbacks; one that raises is logged and keeps none from running."""
        for callback in self._after_commit:
            try:
                await callback()
            except Exception:
                log.exception("a callback after commit failed")


class Reading:
    """The block of a read session."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.session = ReadableSession(engine)

    async def __aenter__(self) -> ReadableSession:
        return self.session

    async def __aexit__(self, *_: object) -> None:
        if self.session.used:
            await self.session.close()


class Writing:
    """The block of a write session: commits at its end, or rolls back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.session = WritableSession(engine)

    async def __aenter__(self) -> WritableSession:
        return self.session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self.session.commit()
        finally:
            await self.session.close()
        if error is None:
            await self.session.run_after_commit()


def _database(connection: HTTPConnection) -> "Database":
    database: Database = connection.scope[SCOPE_DATABASE]
    return database


async def read_session(connection: HTTPConnection) -> AsyncIterator[ReadableSession]:
    """Dependency: see `ReadSession`."""
    async with _database(connection).read() as session:
        yield session


async def write_session(connection: HTTPConnection) -> AsyncIterator[WritableSession]:
    """Dependency: see `WriteSession`."""
    async with _database(connection).write() as session:
        yield session


ReadSession = Annotated[ReadableSession, Depends(read_session, scope="function")]
"""A session that only reads; a route that never uses it costs no connection."""

WriteSession = Annotated[WritableSession, Depends(write_session, scope="function")]
"""One transaction: committed before the response is sent, rolled back when the route raises."""


class SyncReadableSession:
    """The same session for a plain ``def`` route: each call hops from its thread to the loop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def exec(self, statement: Any, **options: Any) -> Any:
        """Run a statement; the rows are already fetched."""
        return anyio.from_thread.run(partial(self._session.exec, statement, **options))

    def get(self, entity: type[T], ident: Any, **options: Any) -> T | None:
        """An entity by primary key."""
        return anyio.from_thread.run(partial(self._session.get, entity, ident, **options))

    def refresh(self, entity: object) -> None:
        """Read an entity again."""
        anyio.from_thread.run(self._session.refresh, entity)


class SyncWritableSession(SyncReadableSession):
    """A write session for a plain ``def`` route."""

    _session: WritableSession

    def __init__(self, session: WritableSession) -> None:
        super().__init__(session)

    def add(self, entity: object) -> None:
        """Put a new entity into the transaction."""
        self._session.add(entity)

    def add_all(self, entities: Iterable[object]) -> None:
        """Put several."""
        self._session.add_all(entities)

    def flush(self) -> None:
        """Send what is pending to the database; new entities have their ids then."""
        anyio.from_thread.run(self._session.flush)

    def delete(self, entity: object) -> None:
        """Delete an entity."""
        anyio.from_thread.run(self._session.delete, entity)

    def after_commit(self, callback: AfterCommit) -> None:
        """Await `callback` on the loop once the transaction is committed."""
        self._session.after_commit(callback)


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
