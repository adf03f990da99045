"""Empty databases for tests: each test that asks runs once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The address of a database that is gone at the end; skips where there is no PostgreSQL."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'tessera.db'}"
        return
    server = os.environ.get("TESSERA_TEST_POSTGRES_URL")
    if not server:
        if "postgres" in os.environ.get("TESSERA_TEST_REQUIRE", ""):
            pytest.fail("PostgreSQL is required, and TESSERA_TEST_POSTGRES_URL is not set")
        pytest.skip("TESSERA_TEST_POSTGRES_URL is not set")
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: str, statement: str) -> None:
    address = make_url(server).set(drivername="postgresql")
    connection = await asyncpg.connect(address.render_as_string(hide_password=False))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database for one test."""
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=KINDS)
def module_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty database that the tests of one file share."""
    with empty_database(request.param, tmp_path_factory.mktemp("database")) as url:
        yield url
