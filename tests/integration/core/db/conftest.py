"""A database with a table of notes, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from core.db.engine import Database
from tests.support.databases import database_url
from tests.support.notes import database_at, make_tables

__all__ = ["database_url"]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database that has the table of notes."""
    database = database_at(database_url, pool_size=3)
    await make_tables(database)
    yield database
    await database.close()
