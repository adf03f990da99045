"""An empty database of each kind, and a place to plant modules with migrations."""

from collections.abc import AsyncIterator

import pytest

from core.db.engine import Database
from tests.support.databases import database_url
from tests.support.migrating import Nursery
from tests.support.notes import database_at
from tests.support.plants import Garden

__all__ = ["database_url"]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database."""
    database = database_at(database_url)
    yield database
    await database.close()


@pytest.fixture
def nursery(garden: Garden) -> Nursery:
    """Where modules with migrations are planted."""
    return Nursery(garden)
