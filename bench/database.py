"""A PostgreSQL database of the bench's own, dropped when it is done."""

from __future__ import annotations

import asyncio
import csv
import os
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from bench.machine import LOAD_CORE, RigError
from bench.server import ROOT

VARIABLE = "TESSERA_TEST_POSTGRES_URL"
SERVICES = [str(ROOT / "dev" / "services")]
PRODUCTS = ROOT / "demo" / "data" / "northwind" / "products.csv"
ENOUGH = 10**9


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Do it now; the rig itself is no asynchronous program."""
    return asyncio.run(work)


def address() -> str | None:
    """Where PostgreSQL is, None when there is none."""
    if given := os.environ.get(VARIABLE):
        return given
    found = subprocess.run([*SERVICES, "env"], capture_output=True, text=True, check=False)
    lines = dict(line.partition("=")[::2] for line in found.stdout.splitlines())
    return lines.get(VARIABLE)


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a new, empty database. Raises RigError when no server can be had."""
    started = address() is None
    if started:
        subprocess.run([*SERVICES, "up", "postgres"], capture_output=True, check=False)
    try:
        server = address()
        if server is None:
            raise RigError(f"no PostgreSQL: set {VARIABLE}, or dev/services up --install")
        with own_database(server) as url:
            yield url
    finally:
        if started:
            subprocess.run([*SERVICES, "down", "postgres"], capture_output=True, check=False)


@contextmanager
def own_database(server: str) -> Iterator[str]:
    """A database that lives as long as the block."""
    name = f"tessera_bench_{os.getpid()}"
    run(statement(server, f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        run(statement(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def connect(url: str) -> Any:
    """asyncpg's own connection."""
    return await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))


async def statement(url: str, text: str, *values: Any) -> Any:
    """Run one statement on a connection of its own; gives its rows."""
    connection = await connect(url)
    try:
        return await connection.fetch(text, *values)
    finally:
        await connection.close()


def seed_products(url: str) -> int:
    """The 77 products of Northwind, with stock that no run uses up; gives their number."""
    now = datetime.now(UTC)
    with PRODUCTS.open(newline="", encoding="utf-8") as file:
        names = [row["product_name"] for row in csv.DictReader(file)]
    rows = [
        (n, f"NW-{n:03}", name, "Food", 100 + n, "USD", ENOUGH, True, f"nw-{n:03}", name.lower())
        for n, name in enumerate(names, start=1)
    ]
    run(_insert(url, [(*row, now, now) for row in rows]))
    return len(rows)


async def _insert(url: str, rows: list[tuple[Any, ...]]) -> None:
    columns = (
        "id, sku, name, category, price_minor, currency, stock, is_active, "
        "sku_folded, name_folded, created_at, updated_at"
    )
    places = ", ".join(f"${number}" for number in range(1, 13))
    connection = await connect(url)
    try:
        await connection.executemany(
            f"INSERT INTO catalog_products ({columns}) VALUES ({places})", rows
        )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def keep_off_the_servers_core(url: str) -> None:
    """Bind PostgreSQL's processes of this database to the core of the load, where that is allowed.

    So a contender has its core to itself, whichever core the kernel would choose.
    """
    name = make_url(url).database
    rows = run(statement(url, "SELECT pid FROM pg_stat_activity WHERE datname = $1", name))
    for row in rows:
        with suppress(OSError):  # another machine's, another user's, or gone already
            os.sched_setaffinity(row["pid"], {LOAD_CORE})
