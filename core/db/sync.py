"""The sessions of plain ``def`` routes, which run in a thread.

They stand before the very same async session, in the same transaction on the same connection: each
call hops from the route's thread to the loop and waits there. A second, synchronous driver would
be a second pool, and a transaction that the route's own dependencies are not part of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

import anyio.from_thread

if TYPE_CHECKING:
    from sqlalchemy.engine import CursorResult, ScalarResult, TupleResult
    from sqlalchemy.sql.dml import UpdateBase
    from sqlmodel.sql.expression import Select, SelectOfScalar

    from core.db.session import Session, WritableSession
    from core.events.event import Event

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Run = Callable[..., Any]
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class SyncReadableSession:
    """`ReadableSession` for a thread."""

    def __init__(self, session: Session, *, run: Run = anyio.from_thread.run) -> None:
        """`run` awaits an async function on the session's loop, and gives its result."""
        self._session = session
        self._run = run

    @overload
    def exec(
        self, statement: Select[*Ts], *, params: Params | None = None
    ) -> TupleResult[tuple[*Ts]]: ...

    @overload
    def exec(
        self, statement: SelectOfScalar[T], *, params: Params | None = None
    ) -> ScalarResult[T]: ...

    @overload
    def exec(
        self, statement: UpdateBase, *, params: Params | None = None
    ) -> CursorResult[*tuple[Any, ...]]: ...

    def exec(self, statement: Any, *, params: Params | None = None) -> Any:
        """Run a statement; its rows are here when it returns."""
        return self._run(partial(self._session.exec, statement, params=params))

    def get(self, entity: type[T], ident: Any, *, with_for_update: bool = False) -> T | None:
        """The entity with this primary key, or None."""
        get = partial(self._session.get, entity, ident, with_for_update=with_for_update or None)
        found: T | None = self._run(get)
        return found

    def refresh(self, instance: object) -> None:
        """Read an entity again."""
        self._run(self._session.refresh, instance)


class SyncWritableSession(SyncReadableSession):
    """`WritableSession` for a thread."""

    _session: WritableSession

    def __init__(self, session: WritableSession, *, run: Run = anyio.from_thread.run) -> None:
        super().__init__(session, run=run)

    def add(self, instance: object) -> None:
        """Put a new entity into the transaction."""
        self._session.add(instance)

    def add_all(self, instances: Iterable[object]) -> None:
        """Put several new entities into the transaction."""
        self._session.add_all(instances)

    def delete(self, instance: object) -> None:
        """Take an entity out."""
        self._run(self._session.delete, instance)

    def flush(self) -> None:
        """Send what is pending to the database; new entities have their ids then."""
        self._run(self._session.flush)

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Await `callback` on the loop once the transaction is committed."""
        self._session.after_commit(callback)

    def record(self, happened: Event, *, version: int | None = None) -> None:
        """See `core.events.recording.record`."""
        self._run(partial(self._record, happened, version))

    async def _record(self, happened: Event, version: int | None) -> None:
        self._session.record(happened, version=version)
