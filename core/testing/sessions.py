"""Sessions for tests: a write session that may be committed, and is rolled back otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from core.db.engine import Database
from core.db.session import AfterCommit, EventRecorder, WritableSession
from core.db.sync import SyncWritableSession
from core.events.recording import Recorder

if TYPE_CHECKING:
    from core.settings import DatabaseSettings


class KitSession(WritableSession):
    """One transaction that a test holds, on a connection of its own beside the application's.

    It connects when it is first used. On SQLite, which has one writer at a time, a request that
    writes waits for it: commit before you make one.
    """

    def __init__(self, settings: Callable[[], DatabaseSettings]) -> None:
        """`settings` is asked for the database when the session is first used."""
        self._settings = settings
        self._database: Database | None = None
        self._after_commit: list[AfterCommit] = []
        self._recorder: EventRecorder | None = Recorder()
        self._recorded = []

    @property
    def _engine(self) -> AsyncEngine:  # type: ignore[override]  # found late, where theirs is given
        if self._database is None:
            self._database = Database(self._settings())
        return self._database.writer

    @property
    def is_used(self) -> bool:
        """Whether anything was asked of it yet."""
        return self._is_used

    async def commit(self) -> None:  # type: ignore[override]  # refused elsewhere: who opens commits
        """Let requests see what was written; what comes next is a transaction of its own."""
        if self._is_used or self._recorded:
            await greenlet_spawn(self._commit)
        self._recorded = []
        await self._run_after_commit()
        self._after_commit.clear()

    async def finish(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        if self._is_used:
            await self._close()
        if self._database is not None:
            await self._database.close()


class SyncKitSession(SyncWritableSession):
    """`KitSession` for plain ``def`` tests."""

    _session: KitSession

    def __init__(self, session: KitSession, *, run: Callable[..., Any]) -> None:
        super().__init__(session, run=run)

    def commit(self) -> None:
        """Let requests see what was written; what comes next is a transaction of its own."""
        self._run(self._session.commit)
