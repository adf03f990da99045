"""SQLite as a real database: shared by processes, safe from kill -9."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import select, text

from core.db import engine as engines
from core.db.engine import Database
from core.errors import ConfigurationError, Unavailable
from tests.support.notes import Note, database_at, make_tables, write_note

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be: in folders that are not there yet."""
    return tmp_path / "deep" / "down" / "tessera.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """A database in that file."""
    database = database_at(f"sqlite+aiosqlite:///{path}")
    await make_tables(database)
    yield database
    await database.close()


async def test_makes_its_folder(database: Database, path: Path) -> None:
    """The folders of the file are made when they are missing."""
    await database.ping()
    assert path.is_file()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 5000), ("synchronous", 1)],
)
async def test_settings_of_a_connection(database: Database, pragma: str, value: str | int) -> None:
    """Readers and the writer have WAL, foreign keys, 5 s of patience and synchronous=NORMAL."""
    for engine in (database.reader, database.writer):
        async with engine.connect() as connection:
            assert (await connection.scalar(text(f"PRAGMA {pragma}"))) == value


async def test_foreign_keys_hold(database: Database) -> None:
    """A row that points to nothing is refused."""
    async with database.writer.begin() as connection:
        await connection.execute(
            text("CREATE TABLE notes_tags (note INTEGER NOT NULL REFERENCES notes_notes (id))")
        )
    with pytest.raises(IntegrityError):
        await _insert(database, "notes_tags", 7)


async def _insert(database: Database, table: str, value: int) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(text(f"INSERT INTO {table} VALUES ({value})"))


async def test_locked_by_another_process(
    path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that another process does not give up is Unavailable, and readers go on reading."""
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    await database.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await write_note(database, "locked out")
    assert (await database.read().exec(select(Note.text))).all() == []
    other.execute("ROLLBACK")
    other.close()
    await write_note(database, "again")


async def test_survives_kill_nine(path: Path, database: Database) -> None:
    """Every write that a process reported before kill -9 is there, and the file is sound."""
    writer = textwrap.dedent("""
        import asyncio, sys
        from tests.support.notes import database_at, write_note

        async def main():
            database = database_at(sys.argv[1])
            for i in range(100_000):
                await write_note(database, str(i))
                print(i, flush=True)

        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        writer,
        f"sqlite+aiosqlite:///{path}",
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    for _ in range(200):
        await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    reported = 200 + (await process.stdout.read()).count(b"\n")
    await process.wait()
    written = (await database.read().exec(select(Note.text))).all()
    assert len(written) in (reported, reported + 1)
    async with database.reader.connect() as connection:
        assert (await connection.scalar(text("PRAGMA integrity_check"))) == "ok"


def test_other_drivers_are_refused() -> None:
    """An address of another kind names the two that there are."""
    with pytest.raises(ConfigurationError, match="postgresql\\+asyncpg"):
        database_at("mysql+aiomysql://root@localhost/x")


async def test_a_writer_who_is_cancelled_leaves_no_lock(database: Database) -> None:
    """Whenever in its transaction a writer is cancelled, the next ones write at once."""

    async def ask() -> int:
        async with database.write() as session:
            return int((await session.exec(select(1))).one())

    for step in range(200):
        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await asyncio.sleep(step % 10 / 2500)
        for task in tasks[::2]:
            task.cancel()
        async with asyncio.timeout(4):  # a lock that stays would be waited for for five
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [1] * 5


async def test_a_long_statement_ends_with_its_caller(database: Database) -> None:
    """Who is cancelled in a statement of minutes keeps nobody out for longer than a second."""
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000000000)"

    async def count() -> None:
        async with database.write() as session:
            await session.exec(text(f"{counting} SELECT count(*) FROM n"))

    counter = asyncio.create_task(count())
    await asyncio.sleep(0.2)
    assert not counter.done()
    counter.cancel()
    async with asyncio.timeout(1):
        await write_note(database, "at once")
    assert counter.cancelled()


async def test_a_commit_that_fails_leaves_no_lock(database: Database) -> None:
    """After a commit that the database refused, others can write."""
    deferred = "REFERENCES emptiness (id) DEFERRABLE INITIALLY DEFERRED"
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE emptiness (id INTEGER PRIMARY KEY)"))
        await connection.execute(text(f"CREATE TABLE doom (id INTEGER {deferred})"))
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            await session.exec(text("INSERT INTO doom VALUES (1)"))
    await write_note(database, "after all")
