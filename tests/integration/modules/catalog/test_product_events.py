"""What the catalogue tells of its products: every change that somebody could see, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.support.databases import database_url
from tests.support.rows import query
from tests.support.shop import Shop, open_shop, problem

__all__ = ["database_url"]


def told(shop: Shop, *products: dict[str, Any]) -> list[tuple[int, int]]:
    """(product id, version) of each event of these products, in the order of their recording."""
    app: Any = shop.client.app
    found = query(
        app.resources.database.url,
        "SELECT payload, aggregate_version FROM core_outbox "
        "WHERE type = 'catalog.product_changed.v1' ORDER BY seq",
    )
    events = [(json.loads(payload)["product_id"], version) for payload, version in found]
    return [it for it in events if it[0] in {product["id"] for product in products}]


def test_a_product_tells_of_each_of_its_changes(shop: Shop) -> None:
    """Added, changed, sold, given back and deleted: an event each, numbered without a gap."""
    tea = shop.product()
    path = f"/v2/products/{tea['id']}"
    shop.call("PATCH", path, shop.moderator, {"name": "New"})
    order = shop.placed(shop.ann, (tea, 2))
    shop.call("POST", f"/v2/orders/{order['id']}/cancel", shop.ann)
    shop.call("DELETE", path, shop.moderator)
    assert told(shop, tea) == [(tea["id"], version) for version in (1, 2, 3, 4, 5)]


def test_an_order_tells_of_each_product_once(shop: Shop) -> None:
    """An order of two products, one of them named twice, changes each of the two once."""
    tea, jam = shop.product(), shop.product()
    shop.placed(shop.ann, (tea, 1), (jam, 2), (tea, 3))
    expected = [(tea["id"], 1), (jam["id"], 1), (tea["id"], 2), (jam["id"], 2)]
    assert told(shop, tea, jam) == expected


def test_what_is_refused_tells_nothing(shop: Shop) -> None:
    """An order that is short, and a change to an SKU that is taken, leave no event."""
    tea, jam = shop.product(), shop.product(stock=0)
    before = told(shop, tea, jam)
    assert shop.order(shop.ann, (tea, 1), (jam, 1)).status_code == 409
    changed = shop.call("PATCH", f"/v2/products/{tea['id']}", shop.moderator, {"sku": jam["sku"]})
    problem(changed, 409, "sku-taken")
    assert told(shop, tea, jam) == before


def test_buyers_at_once_are_told_in_order(shop: Shop) -> None:
    """However many buy a product at once, its versions count up by one without a gap."""
    tea = shop.product(stock=20)
    calls = [lambda: shop.order(shop.ann, (tea, 1))] * 20
    assert set(shop.at_once(calls)) == {201}
    assert sorted(told(shop, tea)) == [(tea["id"], version) for version in range(1, 22)]


@contextmanager
def statements(shop: Shop) -> Iterator[list[str]]:
    """The statements of transactions while the block runs."""
    seen: list[str] = []
    app: Any = shop.client.app

    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    engine = app.resources.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_events_cost_an_order_one_statement(database_url: str) -> None:
    """An order of three products sends one statement for its four events, and no other more."""
    counts: dict[bool, list[str]] = {}
    for recording in (True, False):
        sections = {"events": {"recording": recording}, "server": {"role": "api"}}
        with open_shop(database_url, **sections) as shop:
            lines = [(shop.product(), 1) for _ in range(3)]
            with statements(shop) as seen:
                shop.placed(shop.ann, *lines)
            counts[recording] = seen
    more = [it for it in counts[True] if "core_outbox" in it]
    assert (len(more), len(counts[True])) == (1, len(counts[False]) + 1)
