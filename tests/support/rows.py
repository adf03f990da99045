"""What lies in a database, asked behind the application's back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url


def query(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, on a connection of its own."""
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        connection = sqlite3.connect(f"file:{url.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return [tuple(row) for row in asyncio.run(_fetch(address, statement))]


async def _fetch(address: str, statement: str) -> Sequence[Any]:
    connection = await asyncpg.connect(address)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def tables(database_url: str) -> list[str]:
    """The names of all tables."""
    if make_url(database_url).drivername.startswith("sqlite"):
        found = query(database_url, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        found = query(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return sorted(row[0] for row in found if not row[0].startswith("sqlite_"))


def contents(database_url: str, *, without: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Every row of every table, but for those in `without`; for comparing before with after.

    Core's own tables move by themselves while events are delivered: of them only which events
    were ever recorded.
    """
    chosen = [table for table in tables(database_url) if table not in without]
    statements = {it: f'SELECT * FROM "{it}"' for it in chosen if not it.startswith("core_")}
    if "core_outbox" in chosen:
        statements["core_outbox"] = "SELECT id FROM core_outbox"
    return {
        table: sorted(map(repr, query(database_url, statement)))
        for table, statement in statements.items()
    }
