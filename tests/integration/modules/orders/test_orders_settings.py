"""The settings of the orders."""

from __future__ import annotations

import pytest

from tests.support.shop import open_shop, problem


def test_the_most_lines(sqlite_url: str) -> None:
    """`max_lines` is what one order may have: as many pass, one more is a 422 that says so."""
    with open_shop(sqlite_url, modules={"orders": {"max_lines": 2}}) as shop:
        lines = [(shop.product(), 1) for _ in range(3)]
        assert shop.order(shop.ann, *lines[:2]).status_code == 201
        document = problem(shop.order(shop.ann, *lines), 422)
        assert "at most 2 lines" in document["detail"]
        assert {shop.stock(product) for product, _ in lines[2:]} == {10}


@pytest.mark.parametrize("most", [0, 1001, "many"])
def test_what_is_no_limit(sqlite_url: str, most: object) -> None:
    """An impossible `max_lines` keeps the orders out, with a reason; the rest serve."""
    with open_shop(sqlite_url, modules={"orders": {"max_lines": most}}) as shop:
        assert shop.call("GET", "/v2/products").status_code == 200
        problem(shop.call("GET", "/v2/orders", shop.ann), 404)
