"""Read sessions: what they read, that they hold nothing, and that they refuse to write."""

import asyncio
import gc
import logging
from typing import Any

import pytest
from sqlalchemy import bindparam, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from core.db.engine import Database
from core.db.session import ReadableSession
from tests.support.notes import Note, database_at, write_note


async def test_reads_columns_scalars_and_entities(database: Database) -> None:
    """A read session gives rows of columns, single columns and entities, each with its type."""
    number = await write_note(database, "milk")
    async with database.read() as session:
        rows = (await session.exec(select(Note.id, Note.text))).all()
        texts = (await session.exec(select(Note.text))).all()
        entities = (await session.exec(select(Note))).all()
        entity = await session.get(Note, number)
    assert rows == [(number, "milk")]
    assert texts == ["milk"]
    assert [note.text for note in entities] == ["milk"]
    assert entity is entities[0]


async def test_statement_in_a_constant(database: Database) -> None:
    """A statement with bind parameters can be kept and used again with other values."""
    first, second = await write_note(database, "a"), await write_note(database, "b")
    by_id = select(Note.text).where(col(Note.id) == bindparam("id"))
    async with database.read() as session:
        assert (await session.exec(by_id, params={"id": first})).one() == "a"
        assert (await session.exec(by_id, params={"id": second})).one() == "b"


async def test_types_are_the_same_on_the_short_way(database: Database) -> None:
    """A time read as a column is the aware time that the entity has."""
    number = await write_note(database, "now")
    async with database.read() as session:
        time = (await session.exec(select(Note.written_at))).one()
        note = await session.get_one(Note, number)
    assert time.utcoffset() is not None
    assert time == note.written_at


async def test_holds_no_connection_between_statements(database_url: str) -> None:
    """Twenty read sessions that are open at once share a single connection."""
    database = database_at(database_url, pool_size=1)
    sessions = [database.read() for _ in range(20)]
    for session in sessions:
        assert (await session.exec(select(1))).one() == 1
        assert (await session.scalar(select(2))) == 2
    assert len({id(session) for session in sessions}) == 20
    await database.close()


async def test_write_session_inside_a_read_session(database_url: str) -> None:
    """Requests that read and write at once do not wait for each other's connections."""
    database = database_at(database_url, pool_size=1)

    async def request() -> None:
        async with database.read() as reading:
            await reading.exec(select(1))
            async with database.write() as writing:
                await writing.exec(select(1))
                await asyncio.sleep(0)
            await reading.exec(select(1))

    async with asyncio.timeout(4):
        await asyncio.gather(*(request() for _ in range(10)))
    await database.close()


@pytest.mark.parametrize("change", ["add", "delete", "commit", "begin"])
async def test_refuses_to_write(database: Database, change: str) -> None:
    """Adding, deleting, committing and beginning are refused with the way out in the text."""
    session = database.read()
    arguments = [Note(text="x")] if change in ("add", "delete") else []
    with pytest.raises(RuntimeError, match=r"WriteSession|where it was opened|one transaction"):
        await call(session, change, *arguments)


async def call(session: Any, method: str, *arguments: object) -> None:
    """Call a method, and await it if it is one of those."""
    result = getattr(session, method)(*arguments)
    if asyncio.iscoroutine(result):
        await result


async def change_note(database: Database, number: int, *, then_read: bool) -> None:
    async with database.read() as session:
        note = await session.get_one(Note, number)
        note.text = "new"
        if then_read:
            await session.exec(select(Note))


@pytest.mark.parametrize("then_read", [False, True])
async def test_refuses_what_was_changed(database: Database, then_read: bool) -> None:
    """An entity that was changed in a read session raises at the next step, and is not written."""
    number = await write_note(database, "old")
    with pytest.raises(RuntimeError, match="take WriteSession"):
        await change_note(database, number, then_read=then_read)
    async with database.read() as session:
        assert (await session.exec(select(Note.text))).one() == "old"


async def test_says_what_was_lost(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A change in a session that nobody closes, as a route's, is at least logged."""
    session: ReadableSession | None = database.read()
    assert session is not None
    note = await session.get_one(Note, await write_note(database, "old"))
    note.text = "new"
    with caplog.at_level(logging.ERROR, "tessera.database"):
        session = None
        gc.collect()
    assert "was lost" in caplog.text


async def test_error_gives_the_connection_back(database_url: str) -> None:
    """After a statement that fails, the only connection is there for the next one."""
    database = database_at(database_url, pool_size=1)
    for entity in (select(Note), select(Note.id)):
        with pytest.raises(DBAPIError):
            await database.read().exec(entity)
    assert (await database.read().exec(select(1))).one() == 1
    await database.close()


async def test_bulk_update_is_not_lost_in_silence(database: Database) -> None:
    """An UPDATE statement has no place in a read session."""
    with pytest.raises(RuntimeError, match="take WriteSession"):
        await database.read().exec(update(Note).values(count=1))
