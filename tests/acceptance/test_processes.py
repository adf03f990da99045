"""The program as a process: how it starts, refuses to, ends, and comes back after kill -9."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import database_url, empty_database
from tests.support.processes import Headers, Installation, Server
from tests.support.rows import query, tables

__all__ = ["database_url"]
pytestmark = pytest.mark.timeout(600)
MIGRATED = ("core", "users", "auth", "catalog", "orders")
"""Whose tables there are: core's own first."""
PRODUCTION = {"environment": "production", "secret_key": "b2f0c6c1d94e4bb7a1c8e1f1d3c59a70"}


@pytest.fixture
def postgres_url(tmp_path: Path) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


def sqlite_in(folder: Path) -> str:
    """An empty SQLite file."""
    return f"sqlite+aiosqlite:///{folder / 'tessera.db'}"


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """All that a command said on stderr, which must be one line and no traceback."""
    assert done.returncode == code, done
    [line] = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stdout
    return line


# ── refusing ─────────────────────────────────────────────────────────────────────────────────────


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody holds: exit 1 and one line that names it and says what to do."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = Installation(tmp_path, sqlite_in(tmp_path)).run("serve", "--port", str(port))
    line = one_line(done, 1)
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


BROKEN = {
    "unknown key": ("[server]\nprot = 1\n", ("settings.toml", "server.prot", "server.port")),
    "unknown section": ("[databse]\nurl = ''\n", ("settings.toml", "databse", "database")),
    "wrong type": ("[server]\nport = 'many'\n", ("settings.toml", "server.port")),
    "broken TOML": ("[server\nport = 1\n", ("settings.toml", "line 1")),
    "no TOML": ("\x00\xff", ("settings.toml",)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_settings_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    """Wrong core settings: exit 2 within 5 s, one line with file, key and nearest key."""
    toml, named = BROKEN[name]
    there = Installation(tmp_path, sqlite_in(tmp_path))
    (tmp_path / "settings.toml").write_text(toml, encoding="latin-1")
    before = os.times()
    line = one_line(there.run("serve", "--port", "0"), 2)
    after = os.times()
    # Processor time and not the clock's: the machine may be busy with other suites.
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 5
    for word in named:
        assert word in line
    assert tables(sqlite_in(tmp_path)) == [] if (tmp_path / "tessera.db").exists() else True


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    """A file named by TESSERA_SETTINGS that does not exist: exit 2, one line that names it."""
    there = Installation(tmp_path, sqlite_in(tmp_path))
    there.environ["TESSERA_SETTINGS"] = "elsewhere.toml"
    line = one_line(there.run("serve", "--port", "0"), 2)
    assert "elsewhere.toml" in line


def test_production_waits_for_db_upgrade(tmp_path: Path, database_url: str) -> None:
    """Production refuses to start while migrations wait, until `db upgrade`; docs are off."""
    there = Installation(tmp_path / "there", database_url, app=PRODUCTION)
    refused = there.run("serve", "--port", "0")
    assert refused.returncode == 1, refused
    *logged, told = refused.stderr.splitlines()
    waiting = ", ".join(rf"{module} \(\d+\)" for module in MIGRATED)
    assert re.fullmatch(
        rf"tessera: migrations wait: {waiting}; run `tessera db upgrade` first", told
    ), told
    assert all(line.startswith("{") for line in logged)  # the log; no traceback
    assert there.run("db", "upgrade").returncode == 0
    with there.serving() as server:
        assert server.call("GET", "/v1/products").status_code == 200
        for page in ("docs", "redoc", "openapi.json"):
            assert server.call("GET", f"/v2/{page}").status_code == 404
        assert "strict-transport-security" in server.call("GET", "/").headers


# ── starting together ────────────────────────────────────────────────────────────────────────────


def assert_migrated_once(servers: list[Server], *modules: str) -> None:
    """Each of the modules was migrated by exactly one of the servers, and none had a fault."""
    assert [server.faults() for server in servers] == [[] for _ in servers]
    said = [line for server in servers for line in server.log.splitlines() if "migrated" in line]
    migrated = sorted(line.rpartition("module=")[2] for line in said)
    assert migrated == sorted(modules)


def test_two_servers_at_once_on_an_empty_database(tmp_path: Path, database_url: str) -> None:
    """Started at the same moment on an empty database, both come up, and one of them migrates."""
    with Installation(tmp_path / "there", database_url).serving_many(2) as servers:
        for server in servers:
            assert server.call("GET", "/v2/products").json()["items"] == []
    assert_migrated_once(servers, *MIGRATED)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("done", [(), ("users", "catalog")], ids=["empty", "half-migrated"])
def test_four_servers_at_once(tmp_path: Path, postgres_url: str, done: tuple[str, ...]) -> None:
    """Four at once on an empty or half-migrated database: one migrates, all ready, no error."""
    there = Installation(tmp_path / "there", postgres_url)
    for module in done:
        assert there.run("db", "upgrade", "--module", module).returncode == 0
    with there.serving_many(4) as servers:
        for server in servers:
            assert server.call("GET", "/v2/products").json()["items"] == []
    assert_migrated_once(servers, *(set(MIGRATED) - set(done)))


# ── ending ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def nobody_writes(database_url: str) -> AsyncIterator[None]:
    """Hold what an order needs, so that a request is under way for as long as this block."""
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        holder = sqlite3.connect(url.database or "", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.rollback()
            holder.close()
        return
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(address)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE catalog_products IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_in_the_middle_of_a_request(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    """SIGTERM while an order is being placed: it is answered, and exit code 0 within 30 s."""
    there = Installation(tmp_path / "there", database_url)
    server = there.start("--workers", str(workers))
    try:
        await asyncio.to_thread(server.wait_ready)
        await asyncio.to_thread(there.create_admin)
        admin = server.login()
        body = {"lines": [{"product_id": server.product(admin), "quantity": 3}]}
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            async with nobody_writes(database_url):
                answer = asyncio.create_task(client.post("/v2/orders", json=body, headers=admin))
                await asyncio.sleep(1)
                assert not answer.done()
                server.process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                await asyncio.sleep(1)
                assert not answer.done()
            assert (await answer).status_code == 201
        code = await asyncio.to_thread(server.process.wait, 30)
        assert (code, time.monotonic() - began < 30) == (0, True), server.log
        statement = "SELECT count(*), sum(quantity) FROM orders_lines"
        assert await asyncio.to_thread(query, database_url, statement) == [(1, 3)]
        assert server.faults() == []
    finally:
        server.kill()


# ── kill -9 ──────────────────────────────────────────────────────────────────────────────────────

STOCK = 1_000_000
LINES_WITHOUT_ORDER = """
    SELECT o.id FROM orders_orders o LEFT JOIN orders_lines l ON l.order_id = o.id
    GROUP BY o.id, o.total_minor
    HAVING count(l.position) <> 3 OR sum(l.total_minor) <> o.total_minor
"""
ORPHANS = """
    SELECT l.order_id FROM orders_lines l
    LEFT JOIN orders_orders o ON o.id = l.order_id WHERE o.id IS NULL
"""
GONE = """
    SELECT p.id, p.stock + coalesce(sum(l.quantity), 0) FROM catalog_products p
    LEFT JOIN orders_lines l ON l.product_id = p.id
        AND l.order_id IN (SELECT id FROM orders_orders WHERE status <> 'cancelled')
    GROUP BY p.id, p.stock
"""


class Buyers:
    """Callers who order and cancel without pause until the server dies under them."""

    def __init__(self, server: Server, buyer: Headers, products: list[int]) -> None:
        self.server, self.buyer, self.products = server, buyer, products
        self.acknowledged: set[int] = set()
        self.cancelled: set[int] = set()
        self._threads = [threading.Thread(target=self._buy) for _ in range(6)]

    def __enter__(self) -> Buyers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(timeout=60)

    def _buy(self) -> None:
        lines = [{"product_id": product, "quantity": 2} for product in self.products]
        try:
            with self.server.client(headers=self.buyer) as client:
                while True:
                    placed = client.post("/v2/orders", json={"lines": lines})
                    if placed.status_code == 201:
                        self._remember(client, placed.json()["id"])
        except httpx2.TransportError:
            return  # the server is dead: what this test is about

    def _remember(self, client: httpx2.Client, order_id: int) -> None:
        self.acknowledged.add(order_id)
        if order_id % 3 == 0:
            cancelled = client.post(f"/v2/orders/{order_id}/cancel")
            if cancelled.status_code == 200:
                self.cancelled.add(order_id)


@pytest.mark.slow
def test_kill_9_leaves_no_order_half_there(tmp_path: Path, database_url: str) -> None:
    """Five times kill -9 under a load of orders: the next start works, and every order is whole.

    Each has its lines, its total is their sum, stock and what was sold add up, and what was
    acknowledged is there.
    """
    there = Installation(tmp_path / "there", database_url, server={"access_log": False})
    there.create_admin()
    moments = random.Random(9)
    placed, cancelled = set[int](), set[int]()
    prepared: tuple[Headers, list[int]] | None = None
    for _ in range(5):
        server = there.start()
        try:
            server.wait_ready()
            if prepared is None:
                admin = server.login()
                prepared = admin, [server.product(admin, stock=STOCK) for _ in range(3)]
            with Buyers(server, *prepared) as buyers:
                wait_for(lambda buyers=buyers: len(buyers.acknowledged) >= 5)
                time.sleep(moments.uniform(0, 1.5))
                server.kill()
        finally:
            server.kill()
        placed |= buyers.acknowledged
        cancelled |= buyers.cancelled
    with there.serving() as server:
        assert server.call("GET", "/v2/products").status_code == 200
    assert query(database_url, LINES_WITHOUT_ORDER) == []
    assert query(database_url, ORPHANS) == []
    assert {total for _, total in query(database_url, GONE)} == {STOCK}
    found = dict(query(database_url, "SELECT id, status FROM orders_orders"))
    assert placed <= found.keys()
    assert {found[order] for order in cancelled} <= {"cancelled"}
    assert len(placed) >= 25


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
