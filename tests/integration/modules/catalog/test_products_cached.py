"""With the cache in front of it a product is never shown as it was before a change of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import KINDS, empty_database
from tests.support.shop import Shop, open_shop, problem


@pytest.fixture(scope="module", params=KINDS)
def cached(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop with the cache switched on."""
    folder: Path = tmp_path_factory.mktemp("shop")
    with empty_database(request.param, folder) as url, open_shop(url, "cache") as opened:
        yield opened


def read(shop: Shop, product: dict[str, Any]) -> dict[str, Any]:
    """The product as it is shown; asked twice, so that the second answer is the cache's."""
    answers = [shop.call("GET", f"/v2/products/{product['id']}").json() for _ in range(2)]
    assert answers[0] == answers[1]
    return dict(answers[1])


def test_a_second_read_is_a_hit(cached: Shop) -> None:
    """The cache counts a hit when a product is read again."""
    product = cached.product()
    read(cached, product)
    hits = cached.call("GET", "/v2/cache/stats", cached.admin).json()["hits"]
    read(cached, product)
    assert cached.call("GET", "/v2/cache/stats", cached.admin).json()["hits"] == hits + 2


def test_a_change_is_seen(cached: Shop) -> None:
    """PATCH is seen by the next read, in both versions; a deleted product is gone."""
    product = cached.product()
    read(cached, product)
    path = f"/v2/products/{product['id']}"
    cached.call("PATCH", path, cached.moderator, {"name": "New"})
    assert read(cached, product)["name"] == "New"
    assert cached.call("GET", f"/v1/products/{product['id']}").json()["name"] == "New"
    cached.call("DELETE", path, cached.moderator)
    problem(cached.call("GET", path), 404)


def test_stock_is_seen(cached: Shop) -> None:
    """Buying and cancelling are seen by the next read of every product of the order."""
    tea, jam = cached.product(), cached.product()
    assert [read(cached, it)["stock"] for it in (tea, jam)] == [10, 10]
    order = cached.placed(cached.ann, (tea, 1), (jam, 2))
    assert [read(cached, it)["stock"] for it in (tea, jam)] == [9, 8]
    cached.call("POST", f"/v2/orders/{order['id']}/cancel", cached.ann)
    assert [read(cached, it)["stock"] for it in (tea, jam)] == [10, 10]


def test_what_was_refused_changes_nothing(cached: Shop) -> None:
    """An order that is short leaves every product as it was shown."""
    tea, jam = cached.product(), cached.product(stock=0)
    read(cached, tea)
    assert cached.order(cached.ann, (tea, 1), (jam, 1)).status_code == 409
    assert read(cached, tea)["stock"] == 10


def test_readers_beside_buyers(cached: Shop) -> None:
    """After many read and buy at once, the cache shows what the database holds."""
    tea = cached.product(stock=20)
    buy = partial(cached.order, cached.ann, (tea, 1))
    look = partial(cached.call, "GET", f"/v2/products/{tea['id']}")
    codes = cached.at_once([buy, look, look] * 10)
    assert codes.count(201) == 10
    assert read(cached, tea)["stock"] == 10
