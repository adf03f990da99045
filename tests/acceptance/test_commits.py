"""What a 2xx promises: it is committed, and everybody can read it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import module_database_url
from tests.support.processes import Headers, Installation, Server
from tests.support.rows import query

__all__ = ["module_database_url"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WRITES = 1000

# A constraint of the database's own that is looked at when the transaction commits, and fails then.
FAILING_COMMIT = {
    "sqlite": """
        CREATE TABLE emptiness (id INTEGER PRIMARY KEY);
        CREATE TABLE doom (id INTEGER REFERENCES emptiness (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER doomed AFTER INSERT ON {table} BEGIN INSERT INTO doom VALUES (1); END;
    """,
    "postgresql": """
        CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
        CREATE CONSTRAINT TRIGGER doomed AFTER INSERT ON {table}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION doom();
    """,
}


def execute(database_url: str, script: str) -> None:
    """Run statements behind the application's back."""
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        with sqlite3.connect(url.database or "", timeout=10) as connection:
            connection.executescript(script)
        return
    asyncio.run(_execute(url.set(drivername="postgresql"), script))


async def _execute(url: object, script: str) -> None:
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))  # type: ignore[attr-defined]
    try:
        await connection.execute(script)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def server(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Headers, str]]:
    """A server, its admin, and the address of its database."""
    folder = tmp_path_factory.mktemp("commits")
    there = Installation(folder, module_database_url, server={"access_log": False})
    there.create_admin()
    with there.serving() as running:
        yield running, running.login(), module_database_url


def test_a_thousand_writes_are_read_back_at_once(server: tuple[Server, Headers, str]) -> None:
    """1,000 writes, each answered 201, are each found at once on another connection."""
    running, admin, database_url = server

    def write_and_read(numbers: range) -> list[int]:
        wrong = []
        with running.client(headers=admin) as writer, running.client() as reader:
            for number in numbers:
                body = {"sku": f"C-{number}", "name": f"Commit {number}", "price_cents": number}
                made = writer.post("/v1/products", json=body)
                found = reader.get(f"/v2/products/{made.json()['id']}")
                good = (made.status_code, found.status_code) == (201, 200)
                if not good or found.json()["name"] != f"Commit {number}":
                    wrong.append(number)
        return wrong

    share = WRITES // 4
    with ThreadPoolExecutor(4) as threads:
        parts = [range(first, first + share) for first in range(0, WRITES, share)]
        assert [wrong for part in threads.map(write_and_read, parts) for wrong in part] == []
    counted = query(database_url, "SELECT count(*) FROM catalog_products WHERE sku LIKE 'C-%'")
    assert counted == [(WRITES,)]


@pytest.mark.parametrize(
    ("table", "path", "body"),
    [
        ("catalog_products", "/v1/products", {"sku": "D", "name": "Doomed", "price_cents": 1}),
        ("users_users", "/v2/users", {"name": "Doomed", "email": "doomed@tessera.example"}),
    ],
)
def test_a_failing_commit_is_no_success(
    server: tuple[Server, Headers, str], table: str, path: str, body: dict[str, object]
) -> None:
    """When the commit fails, the answer is a problem and no 2xx, and nothing is written."""
    running, admin, database_url = server
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    count = f"SELECT count(*) FROM {table}"
    before = query(database_url, count)
    execute(database_url, FAILING_COMMIT[kind].format(table=table))
    try:
        answer = running.call("POST", path, headers=admin, json=body)
    finally:
        on_table = f" ON {table}" if kind == "postgresql" else ""
        drop = "DROP FUNCTION doom;" if on_table else "DROP TABLE doom; DROP TABLE emptiness;"
        execute(database_url, f"DROP TRIGGER doomed{on_table}; {drop}")
    assert answer.status_code >= 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert query(database_url, count) == before
    assert running.call("POST", path, headers=admin, json=body).status_code == 201
