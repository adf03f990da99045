"""A table of notes, and a database that has it: what tests of `core.db` work on."""

from datetime import UTC, datetime

from sqlmodel import Field, SQLModel

from core.db.engine import Database
from core.db.tables import BigId, table_registry
from core.settings import Settings


class Base(SQLModel, registry=table_registry("notes")):
    """The ground of the tables of these tests."""


class Note(Base, table=True):
    """Something to remember."""

    __tablename__ = "notes_notes"

    id: int | None = BigId()
    text: str = Field(default="", unique=True)
    count: int = 0
    written_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


def database_at(url: str, **options: object) -> Database:
    """The database at an address; not connected yet."""
    return Database(Settings.for_tests(database={"url": url, **options}).database)


async def make_tables(database: Database) -> None:
    """Make the table of notes."""
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def write_note(database: Database, text: str) -> int:
    """Write a note in a transaction of its own; gives its id."""
    async with database.write() as session:
        note = Note(text=text)
        session.add(note)
        await session.flush()
        assert note.id is not None
        return note.id
