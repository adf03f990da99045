"""The bell between processes: a NOTIFY without data, on a connection of its own.

A NOTIFY inside the transactions of requests would make their commits queue behind each other
(PostgreSQL takes a lock for it); so one is sent afterwards for all that were committed meanwhile.
It may be lost with its connection: whoever waits for it looks now and then anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from core.events.bell import Bell, News

log = structlog.get_logger("tessera.events")

NEWS: Mapping[str, News] = {"tessera_recorded": "recorded", "tessera_due": "due"}
"""By channel."""
CONNECT_SECONDS = 3.0
SEND_SECONDS = 5.0
PAUSE_SECONDS = 0.01
"""At most a hundred notifications a second and process, however many commits there are."""
AGAIN_SECONDS = 2.0
GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Signals:
    """Rings the bells of the processes that share a PostgreSQL database; one a process."""

    def __init__(self, url: URL, bell: Bell) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._bell = bell
        self._rung = asyncio.Event()
        self._news: set[News] = set()

    async def run(self) -> None:
        """Listen and tell until cancelled; a lost connection is made again."""
        self._bell.on_ring = self._note
        try:
            while True:
                try:
                    async with self._listening() as connection:
                        await self._tell(connection)
                except GONE as error:
                    log.warning("no signals from other processes just now", reason=str(error))
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._bell.on_ring = None

    def _note(self, news: News) -> None:
        self._news.add(news)
        self._rung.set()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(
            self._address,
            timeout=CONNECT_SECONDS,
            command_timeout=SEND_SECONDS,
            server_settings={"application_name": "tessera signals"},
        )
        try:
            own = connection.get_server_pid()

            def heard(_: Any, pid: int, channel: str, __: Any) -> None:
                if pid != own:
                    self._bell.ring_here(NEWS[channel])

            connection.add_termination_listener(lambda _: self._rung.set())
            for channel in NEWS:
                await connection.add_listener(channel, heard)
            self._bell.ring_here()  # for what was missed meanwhile
            yield connection
        finally:
            connection.terminate()

    async def _tell(self, connection: asyncpg.Connection) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            channels = [name for name, news in NEWS.items() if news in self._news]
            self._news.clear()
            # Empty it only asks whether the connection is still there, and raises if not.
            await connection.execute("; ".join(f"NOTIFY {name}" for name in channels) or "SELECT 1")
            await asyncio.sleep(PAUSE_SECONDS)
