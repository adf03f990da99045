"""Lists of orders: whose, which, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.people import Person
from tests.support.shop import Shop, problem

both = pytest.mark.parametrize("version", ["v1", "v2"])


def listed(shop: Shop, version: str, who: Person, **query: Any) -> list[dict[str, Any]]:
    answer = shop.call("GET", f"/{version}/orders", who, params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json() if version == "v1" else answer.json()["items"])


@contextmanager
def statements(shop: Shop) -> Iterator[list[str]]:
    """Every statement that reaches the database in the block."""
    database = shop.client.app.generation.world.resources.database  # type: ignore[attr-defined] # a Tessera
    seen: list[str] = []
    executions: list[Any] = []  # PostgreSQL's two engines are kin: one statement may be told twice

    def note(_: Any, __: Any, statement: str, ___: Any, execution: Any, ____: bool) -> None:
        if not any(execution is known for known in executions):
            executions.append(execution)
            seen.append(statement)

    engines = [database.reader.sync_engine, database.writer.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@both
def test_ones_own(shop: Shop, version: str) -> None:
    """A user's list has that user's orders, all with their lines, and no other's."""
    cleo = shop.people.somebody()
    tea, jam = shop.product(), shop.product()
    mine = [shop.placed(cleo, (tea, 1), (jam, 2))["id"] for _ in range(3)]
    shop.placed(shop.ann)
    found = listed(shop, version, cleo)
    assert [order["id"] for order in found] == mine
    for order in found:
        assert [line["product_id"] for line in order["lines"]] == [tea["id"], jam["id"]]
        assert order == shop.call("GET", f"/{version}/orders/{order['id']}", cleo).json()


@both
def test_everybodys(shop: Shop, version: str) -> None:
    """Those with orders:read-all see every order."""
    ids = {shop.placed(who)["id"] for who in (shop.ann, shop.bob, shop.admin)}
    for reader in (shop.moderator, shop.admin):
        seen: set[int] = set()
        after: dict[str, Any] = {}
        while True:
            answer = shop.call("GET", f"/{version}/orders", reader, params={"limit": 50, **after})
            page = answer.json() if version == "v1" else answer.json()["items"]
            seen |= {order["id"] for order in page}
            if version == "v1":
                after = {"skip": after.get("skip", 0) + 50}
                if not page:
                    break
            else:
                after = {"cursor": answer.json()["next_cursor"]}
                if after["cursor"] is None:
                    break
        assert ids <= seen


@both
def test_by_status(shop: Shop, version: str) -> None:
    """`status` keeps the orders that stand there."""
    dora = shop.people.somebody()
    first, second, _ = (shop.placed(dora) for _ in range(3))
    shop.move(first, "paid")
    shop.move(second, "paid", "shipped")
    for status, ids in {"paid": [first["id"]], "shipped": [second["id"]], "cancelled": []}.items():
        assert [order["id"] for order in listed(shop, version, dora, status=status)] == ids


def test_pages(shop: Shop) -> None:
    """v1 skips and v2 follows the cursor through the same orders, each once."""
    emil = shop.people.somebody()
    tea = shop.product()
    ids = [shop.placed(emil, (tea, 1))["id"] for _ in range(5)]
    assert [it["id"] for it in listed(shop, "v1", emil, skip=2, limit=2)] == ids[2:4]
    seen, cursor = [], ""
    while cursor is not None:
        query = {"limit": 2, "cursor": cursor}
        page = shop.call("GET", "/v2/orders", emil, params=query).json()
        seen += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids


@both
@pytest.mark.parametrize("query", ["status=lost", "status=", "limit=0", "limit=101", "limit=x"])
def test_queries_that_are_refused(shop: Shop, version: str, query: str) -> None:
    """An unknown status and an impossible limit are a 422."""
    problem(shop.call("GET", f"/{version}/orders?{query}", shop.ann), 422)


@pytest.mark.parametrize("cursor", ["x", "aWQ6", "aWQ6LTE", "%00", "💥", "a" * 65])
def test_garbage_cursors(shop: Shop, cursor: str) -> None:
    """A cursor that this service did not give is a 422."""
    problem(shop.call("GET", "/v2/orders", shop.ann, params={"cursor": cursor}), 422)


@both
def test_the_number_of_statements(shop: Shop, version: str) -> None:
    """A page of many orders costs as many statements as a page of one."""
    frida = shop.people.somebody()
    tea, jam = shop.product(stock=99), shop.product(stock=99)
    for _ in range(8):
        shop.placed(frida, (tea, 1), (jam, 1))
    counts = []
    for limit in (1, 8):
        with statements(shop) as seen:
            assert len(listed(shop, version, frida, limit=limit)) == limit
        counts.append(len([s for s in seen if "orders_" in s]))
    assert counts == [2, 2]


@pytest.mark.parametrize("lines", [1, 5])
def test_the_statements_of_an_order(shop: Shop, lines: int) -> None:
    """Placing an order takes three statements, however many lines it has."""
    products = [(shop.product(), 1) for _ in range(lines)]
    with statements(shop) as seen:
        shop.placed(shop.ann, *products)
    assert len([s for s in seen if "orders_" in s or "catalog_" in s]) == 3
