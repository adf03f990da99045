"""A pool that serves those who wait in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import Pool
from sqlalchemy.pool.base import ConnectionPoolEntry
from sqlalchemy.util.concurrency import await_only

from core.errors import Unavailable


class FairPool(Pool):
    """At most `pool_size` connections; the longest waiting is served first."""

    _is_asyncio = True

    def __init__(
        self, creator: Callable[..., Any], pool_size: int = 5, timeout: float = 5.0, **kw: Any
    ) -> None:
        super().__init__(creator, **kw)
        self._size, self._timeout = pool_size, timeout
        self._idle: list[ConnectionPoolEntry] = []
        self._permits = asyncio.Semaphore(pool_size)

    def _do_get(self) -> ConnectionPoolEntry:
        if self._permits.locked():
            await_only(self._wait())
        else:
            self._permits._value -= 1
        try:
            return self._idle.pop() if self._idle else self._create_connection()
        except BaseException:
            self._permits.release()
            raise

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._permits.acquire()
        except TimeoutError:
            raise Unavailable("The database is busy; try again.") from None

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._idle.append(record)
        self._permits.release()

    def recreate(self) -> FairPool:
        """A new, empty pool like this one (SQLAlchemy asks for it after `dispose`)."""
        return FairPool(
            self._creator,
            pool_size=self._size,
            timeout=self._timeout,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def status(self) -> str:
        """One line for the log."""
        return f"FairPool of {self._size}, {len(self._idle)} idle"
