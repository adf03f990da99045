"""The pool: in turn, within its size, for a limited time, and healthy after every accident."""

import asyncio

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.db import engine as engines
from core.db.engine import Database
from core.errors import Unavailable
from tests.support.notes import database_at, write_note


async def test_serves_in_turn(database_url: str) -> None:
    """Those who wait for the only connection get it in the order in which they came."""
    database = database_at(database_url, pool_size=1)
    order: list[int] = []

    async def caller(i: int) -> None:
        async with database.write() as session:
            await session.exec(select(1))
            order.append(i)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(caller(i) for i in range(20)))
    assert order == list(range(20))
    await database.close()


async def test_newcomers_do_not_pass_those_who_wait(database_url: str) -> None:
    """Callers who ask again at once do not keep the connection among themselves."""
    database = database_at(database_url, pool_size=1)
    turns = [0] * 8

    async def greedy(i: int) -> None:
        while sum(turns) < 400:
            await database.read().exec(select(1))
            turns[i] += 1

    await asyncio.gather(*(greedy(i) for i in range(8)))
    assert max(turns) - min(turns) <= 2
    await database.close()


async def test_time_limit_is_a_503(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for a connection gets Unavailable and leaves no trace."""
    monkeypatch.setattr(engines, "POOL_SECONDS", 0.1)
    database = database_at(database_url, pool_size=1)
    async with database.write() as session:
        await session.exec(select(1))
        with pytest.raises(Unavailable) as caught:
            await write_note(database, "too late")
    assert caught.value.headers["Retry-After"] == "1"
    assert (await database.read().exec(select(1))).one() == 1
    await database.close()


async def test_cancelled_while_waiting(database_url: str) -> None:
    """A caller who goes away while it waits does not take its turn with it."""
    database = database_at(database_url, pool_size=1)

    async def ask() -> int:
        async with database.write() as session:
            return int((await session.exec(select(1))).one())

    for delay in (0, 0.0005, 0.001, 0.002):
        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await asyncio.sleep(delay)
        for task in tasks[::2]:
            task.cancel()
        async with asyncio.timeout(4):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [1] * 5
    await database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_connections_never_exceed_the_size(database: Database, database_url: str) -> None:
    """Fifty callers on a pool of three, reading and writing, have three connections in all."""
    watched = database_at(database_url, pool_size=3)
    await asyncio.gather(
        *(write_note(watched, str(i)) for i in range(25)),
        *(watched.read().exec(select(1)) for _ in range(25)),
    )
    async with database.reader.connect() as connection:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tessera' "
        mine = "AND datname = current_database() AND pid <> pg_backend_pid()"
        assert (await connection.scalar(text(count + mine))) <= 3 + 2  # and the fixture's own
    await watched.close()


async def test_close_and_use_again(database: Database) -> None:
    """After close() every connection is gone, and a next use makes new ones."""
    await write_note(database, "before")
    await database.close()
    await write_note(database, "after")
    await database.ping()
