"""Write sessions: one transaction each, committed whole or not at all."""

import asyncio
import logging
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from core.db.engine import Database
from core.db.session import AfterCommit
from core.errors import Unprocessable
from core.events.event import Event
from tests.support.notes import Note, database_at, write_note


async def texts(database: Database) -> list[str]:
    """What is written, seen on another connection."""
    async with database.read() as session:
        return list((await session.exec(select(Note.text).order_by(Note.text))).all())


async def test_commits_at_the_end(database: Database) -> None:
    """What a block wrote is there for others once it has ended, and not before."""
    async with database.write() as session:
        session.add(Note(text="milk"))
        await session.flush()
        assert await texts(database) == []
    assert await texts(database) == ["milk"]


async def test_rolls_back_on_error(database: Database) -> None:
    """A block that raises writes nothing, and the error is the caller's."""
    with pytest.raises(ValueError, match="stop"):
        await write_and_stop(database, "milk")
    assert await texts(database) == []


async def write_and_stop(database: Database, words: str, *after: AfterCommit) -> None:
    async with database.write() as session:
        for callback in after:
            session.after_commit(callback)
        session.add(Note(text=words))
        await session.flush()
        raise ValueError("stop")


async def test_cancelled_rolls_back_and_heals(database_url: str) -> None:
    """A task that is cancelled in mid-statement writes nothing and leaves a healthy connection."""
    database = database_at(database_url, pool_size=1)
    slow = (
        "SELECT pg_sleep(30)"
        if database.dialect == "postgresql"
        else (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) "
            "SELECT count(*) FROM n"
        )
    )
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), database.write() as session:
                await (await session.connection()).execute(text(slow))
    async with asyncio.timeout(10), database.write() as session:
        assert (await session.exec(select(1))).one() == 1
    await database.close()


async def test_unused_session_costs_nothing(database_url: str) -> None:
    """A session that is never used neither connects nor begins: no server need be there."""
    nowhere = "postgresql+asyncpg://nobody@127.0.0.1:1/none"
    database = database_at(nowhere if "postgres" in database_url else "sqlite+aiosqlite:////proc/x")
    done: list[str] = []

    async def callback() -> None:
        done.append("after")

    async with database.read(), database.write() as session:
        session.after_commit(callback)
    assert done == ["after"]
    await database.close()


async def test_twenty_callers_lose_no_update(database: Database) -> None:
    """Of 20 × 25 read-modify-writes of one row none is lost."""
    number = await write_note(database, "counter")

    async def count() -> None:
        for _ in range(25):
            async with database.write() as session:
                note = await session.get_one(Note, number, with_for_update=True)
                note.count += 1

    await asyncio.gather(*(count() for _ in range(20)))
    async with database.read() as session:
        assert (await session.exec(select(Note.count))).one() == 500


async def test_a_thousand_writes_are_there_at_once(database: Database) -> None:
    """Each of 1,000 writes is read on another connection as soon as its block has ended."""
    missing = 0
    for i in range(1_000):
        number = await write_note(database, f"note {i}")
        async with database.read() as session:
            found = (await session.exec(select(Note.text).where(Note.id == number))).first()
        missing += found is None
    assert missing == 0


async def test_callbacks_run_in_order_after_the_commit(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Callbacks run in order once others see the rows; one that raises is logged and passed by."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(await texts(database))

    async def fail() -> None:
        raise ValueError("broken callback")

    async def last() -> None:
        seen.append("last")

    with caplog.at_level(logging.ERROR, "tessera.database"):
        async with database.write() as session:
            for callback in (look, fail, last):
                session.after_commit(callback)
            session.add(Note(text="milk"))
    assert seen == [["milk"], "last"]
    assert "broken callback" in caplog.text


async def test_callbacks_do_not_run_after_a_rollback(database: Database) -> None:
    """Neither an error in the block nor one at the commit lets a callback run."""
    seen: list[str] = []

    async def callback() -> None:
        seen.append("ran")

    await write_note(database, "taken")
    with pytest.raises(IntegrityError):
        await write_and_stop(database, "taken", callback)
    with pytest.raises(ValueError, match="stop"):
        await write_and_stop(database, "new", callback)
    assert seen == []


async def test_cancelled_at_the_commit_is_whole(database: Database) -> None:
    """A cancellation during the commit neither splits it nor skips what follows it."""
    seen: list[str] = []

    async def callback() -> None:
        seen.append("ran")

    async def write(i: int) -> None:
        async with database.write() as session:
            session.after_commit(callback)
            session.add(Note(text=str(i)))
            await session.flush()
            ready.set()

    for i in range(10):
        ready = asyncio.Event()
        task = asyncio.create_task(write(i))
        await ready.wait()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    async with asyncio.timeout(5):
        while len(seen) != len(await texts(database)):
            await asyncio.sleep(0.01)


async def test_savepoint_keeps_the_rest(database: Database) -> None:
    """What fails inside begin_nested() is undone alone; the transaction goes on and commits."""
    await write_note(database, "taken")
    async with database.write() as session:
        session.add(Note(text="kept"))
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(Note(text="taken"))
    assert await texts(database) == ["kept", "taken"]


STEPS = ("commit", "rollback", "begin", "close", "aclose", "reset", "invalidate", "get_transaction")


@pytest.mark.parametrize("step", [*STEPS, "__aenter__"])
async def test_nobody_else_commits(database: Database, step: str) -> None:
    """A service that commits, rolls back, begins or closes is told where that is done, and what
    was written before is kept."""
    async with database.write() as session:
        session.add(Note(text="kept"))
        await session.flush()
        with pytest.raises(RuntimeError, match=r"begin_nested|opened"):
            await getattr(session, step)()
    assert await texts(database) == ["kept"]


@pytest.mark.parametrize("step", ["commit", "rollback", "close", "reset", "invalidate"])
async def test_nor_through_what_is_behind(database: Database, step: str) -> None:
    """The synchronous session behind it refuses the same."""
    async with database.write() as session:
        session.add(Note(text="kept"))
        await session.flush()
        with pytest.raises(RuntimeError, match="ends where it was opened"):
            await session.run_sync(lambda behind: getattr(behind, step)())
    assert await texts(database) == ["kept"]


async def insert_twice(database: Database) -> None:
    """Write "kept", then "taken", which is taken, and swallow the error of that."""
    insert = "INSERT INTO notes_notes (text, count, written_at) VALUES ('{}', 0, '2026-01-01')"
    async with database.write() as session:
        connection = await session.connection()
        await connection.execute(text(insert.format("kept")))
        with pytest.raises(IntegrityError):
            await connection.execute(text(insert.format("taken")))


async def test_swallowed_error_does_not_look_like_success(database: Database) -> None:
    """PostgreSQL gives up the transaction, so the block raises; SQLite goes on, and so it commits.

    In no case does a block that wrote nothing look like one that did.
    """
    await write_note(database, "taken")
    if database.dialect == "postgresql":
        with pytest.raises(RuntimeError, match="begin_nested"):
            await insert_twice(database)
        assert await texts(database) == ["taken"]
    else:
        await insert_twice(database)
        assert await texts(database) == ["kept", "taken"]


@pytest.mark.parametrize(
    "values",
    [{"text": "lone \ud800 surrogate"}, {"text": "x", "count": 2**63}],
    ids=["surrogate", "number"],
)
async def test_values_that_cannot_be_stored(database: Database, values: dict[str, Any]) -> None:
    """A value that the database cannot hold is the caller's fault (422), not the server's."""
    with pytest.raises(Unprocessable):
        async with database.write() as session:
            session.add(Note(**values))


async def test_nul_is_stored_or_refused(database: Database) -> None:
    """A NUL in text is a 422 on PostgreSQL, which has none, and text like any other on SQLite."""
    if database.dialect == "postgresql":
        with pytest.raises(Unprocessable):
            await write_note(database, "a\0b")
    else:
        await write_note(database, "a\0b")
        assert await texts(database) == ["a\0b"]


async def test_id_of_a_deleted_row_is_not_given_again(database: Database) -> None:
    """The next row does not inherit the id of one that was deleted."""
    number = await write_note(database, "first")
    async with database.write() as session:
        await session.delete(await session.get_one(Note, number))
    assert await write_note(database, "second") > number


@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
async def test_a_session_that_has_ended_does_nothing_more(database: Database, used: bool) -> None:
    """A task that outlives the block and uses its session is told so, and blocks nobody."""
    async with database.write() as session:
        if used:
            session.add(Note(text="in time"))
    for late in (
        lambda: session.add(Note(text="too late")),
        lambda: session.after_commit(nothing),
        lambda: session.record(Struck(bell=1)),
    ):
        with pytest.raises(RuntimeError, match="has ended"):
            late()
    for late_too in (
        lambda: session.exec(select(Note)),
        lambda: session.flush(),
        lambda: session.get(Note, 1),
    ):
        with pytest.raises(RuntimeError, match="has ended"):
            await late_too()
    async with asyncio.timeout(2):
        await write_note(database, "another's")


async def test_a_session_that_was_rolled_back_has_ended_too(database: Database) -> None:
    """After an error it is as after a commit."""
    with pytest.raises(ZeroDivisionError):
        async with database.write() as session:
            session.add(Note(text="gone"))
            await session.flush()
            raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="has ended"):
        await session.flush()


async def nothing() -> None:
    """What may be called after a commit."""


class Struck(Event, type="notes.bell_struck.v1", aggregate="bell", key="bell"):
    """For a session that takes no events any more."""

    bell: int
