"""Stock across several real servers on one PostgreSQL: nothing is sold twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.databases import empty_database
from tests.support.processes import Installation, Server
from tests.support.rows import query

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


@pytest.fixture
def installation(tmp_path: Path, database: str) -> Installation:
    """A deployment on it; its servers make the tables when they start."""
    return Installation(tmp_path / "deployment", database)


def buy(client: httpx2.Client, *product_ids: int) -> httpx2.Response | None:
    """The answer to an order of one piece each; None when the server died over it."""
    lines = [{"product_id": product_id, "quantity": 1} for product_id in product_ids]
    try:
        return client.post("/v1/orders", json={"lines": lines})
    except httpx2.TransportError:
        return None


def together(calls: Sequence[tuple[httpx2.Client, int]]) -> list[httpx2.Response | None]:
    """The answers to calls that are made at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(buy, *call) for call in calls]]


def stock_of(server: Server, product_id: int) -> int:
    """What this server says is left."""
    return int(server.call("GET", f"/v1/products/{product_id}").json()["stock"])


def test_fifty_buyers_of_ten_on_three_servers(installation: Installation, database: str) -> None:
    """Of fifty buyers at three servers exactly ten get one of ten pieces; forty are told 409."""
    with installation.serving_many(3) as servers:
        installation.create_admin()
        buyer = servers[0].register()[1]
        product = servers[0].product(servers[0].login(), stock=10)
        with ExitStack() as stack:
            clients = [stack.enter_context(it.client(headers=buyer)) for it in servers]
            answers = together([(clients[i % 3], product) for i in range(50)])
        codes = [answer.status_code for answer in answers if answer]
        assert (codes.count(201), codes.count(409)) == (10, 40)
        assert [stock_of(server, product) for server in servers] == [0, 0, 0]
    sold = query(database, f"SELECT sum(quantity) FROM orders_lines WHERE product_id = {product}")
    assert sold == [(10,)]


def test_a_server_killed_while_it_sells(installation: Installation, database: str) -> None:
    """After kill -9 amid orders each is there whole, its stock taken, or not at all."""
    stock = 500
    with installation.serving() as stays, ThreadPoolExecutor(8) as threads:
        dies = installation.start()
        try:
            dies.wait_ready()
            installation.create_admin()
            admin, buyer = stays.login(), stays.register()[1]
            tea, jam = (stays.product(admin, stock=stock) for _ in range(2))
            with dies.client(headers=buyer) as client:
                under_way: list[Future[httpx2.Response | None]] = [
                    threads.submit(buy, client, tea, jam) for _ in range(120)
                ]
                for future in under_way[:40]:
                    future.result()
                dies.kill()
                answers = [future.result() for future in under_way]
        finally:
            dies.kill()
        assert None in answers  # it was killed before it was done
        promised = sum(1 for answer in answers if answer and answer.status_code == 201)
        left = [stock_of(stays, product) for product in (tea, jam)]
        with stays.client(headers=buyer) as client:
            again = buy(client, tea, jam)
        assert again is not None
        assert again.status_code == 201
    whole = query(
        database,
        "SELECT o.id FROM orders_orders o JOIN orders_lines l ON l.order_id = o.id "
        "GROUP BY o.id, o.total_minor HAVING count(*) = 2 AND sum(l.total_minor) = o.total_minor",
    )
    assert query(database, "SELECT count(*) FROM orders_orders") == [(len(whole),)]
    assert left == [stock - (len(whole) - 1)] * 2
    assert len(whole) - 1 >= promised
