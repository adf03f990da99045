"""A database that goes away: 503 while it is gone, no 500 ever, and good again at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from time import monotonic

import pytest
from sqlmodel import select

from core.db.engine import Database
from core.errors import Unavailable
from tests.support.notes import Note, database_at, make_tables, write_note
from tests.support.postgres import PrivateServer, private_server

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    """A running private server."""
    with private_server() as running:
        yield running


@pytest.fixture
async def database(server: PrivateServer) -> AsyncIterator[Database]:
    """A database on the private server, with the table of notes."""
    database = database_at(server.url, pool_size=5)
    await make_tables(database)
    yield database
    await database.close()


class Load:
    """Callers who read and write without pause and count what they are told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.told: Counter[str] = Counter()
        self.good_at = 0.0
        self.stopped = False
        self._number = 0

    async def run(self, callers: int) -> None:
        await asyncio.gather(*(self._caller(i % 2 == 0) for i in range(callers)))

    async def _caller(self, writing: bool) -> None:
        while not self.stopped:
            try:
                await (self._write() if writing else self._read())
                self.told["good"] += 1
                self.good_at = monotonic()
            except Unavailable as problem:
                self.told["503" if "Retry-After" in problem.headers else "bare 503"] += 1
                await asyncio.sleep(0.01)
            except Exception as error:
                self.told[repr(error)[:300]] += 1

    async def _write(self) -> None:
        self._number += 1
        await write_note(self.database, str(self._number))

    async def _read(self) -> None:
        async with self.database.read() as session:
            (await session.exec(select(Note.id, Note.text).limit(5))).all()
            await session.get(Note, 1)


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_ten_restarts_under_load(server: PrivateServer, database: Database) -> None:
    """Ten restarts, each harder than a client likes: only 503, and good again within 5 seconds."""
    load = Load(database)
    running = asyncio.create_task(load.run(8))
    for i in range(10):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.stop, "immediate" if i % 2 else "fast")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.start)
        up = monotonic()
        while load.good_at < up and monotonic() < up + 5:
            await asyncio.sleep(0.01)
        assert load.good_at >= up, f"not good again 5 s after restart {i}: {load.told}"
    load.stopped = True
    await running
    assert set(load.told) == {"good", "503"}


async def test_idle_connections_of_a_restarted_server(
    server: PrivateServer, database: Database
) -> None:
    """Connections that a restart cut while nobody used them cost no request an error."""
    await asyncio.gather(*(write_note(database, str(i)) for i in range(5)))
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await asyncio.gather(*(write_note(database, f"again {i}") for i in range(5)))


async def test_nobody_listens(server: PrivateServer, database: Database) -> None:
    """A refused connection is Unavailable at once; only operators are told where and why."""
    await asyncio.to_thread(server.stop)
    started = monotonic()
    for attempt in (
        database.ping(),
        database.read().exec(select(Note.id)),
        write_note(database, "x"),
    ):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.detail == "The database cannot be reached just now."
        assert caught.value.for_operators.endswith(f":{server.port}/postgres: Connection refused")
    assert monotonic() - started < 2
