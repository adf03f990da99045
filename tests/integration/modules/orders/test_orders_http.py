"""The orders' routes in both versions, on both databases: placing, reading, who may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.shop import MISSING, Shop, problem

both = pytest.mark.parametrize("version", ["v1", "v2"])


def test_an_order_in_v2(shop: Shop) -> None:
    """201 with today's prices, the sum of the lines, in the order of the lines sent."""
    tea, jam = shop.product(), shop.product(price={"amount": "0.05", "currency": "USD"})
    order = shop.order(shop.ann, (jam, 3), (tea, 2))
    assert order.status_code == 201
    shown = order.json()
    placed_at = datetime.fromisoformat(shown.pop("placed_at"))
    assert timedelta(0) <= datetime.now(UTC) - placed_at < timedelta(seconds=30)
    assert shown == {
        "id": shown["id"],
        "user_id": shop.ann.id,
        "status": "created",
        "currency": "USD",
        "total": {"amount": "36.15", "currency": "USD"},
        "external_ref": None,
        "lines": [
            {
                "product_id": jam["id"],
                "quantity": 3,
                "unit_price": {"amount": "0.05", "currency": "USD"},
                "discount": 0,
                "total": {"amount": "0.15", "currency": "USD"},
            },
            {
                "product_id": tea["id"],
                "quantity": 2,
                "unit_price": {"amount": "18.00", "currency": "USD"},
                "discount": 0,
                "total": {"amount": "36.00", "currency": "USD"},
            },
        ],
    }
    assert (shop.stock(tea), shop.stock(jam)) == (8, 7)


def test_an_order_in_v1(shop: Shop) -> None:
    """The same in cents, the currency beside the total."""
    tea = shop.product()
    order = shop.order(shop.ann, (tea, 2), version="v1")
    assert order.status_code == 201
    shown = order.json()
    assert shown.pop("placed_at").endswith("Z")
    assert shown == {
        "id": shown["id"],
        "user_id": shop.ann.id,
        "status": "created",
        "currency": "USD",
        "total_cents": 3600,
        "external_ref": None,
        "lines": [
            {
                "product_id": tea["id"],
                "quantity": 2,
                "unit_price_cents": 1800,
                "discount": 0,
                "total_cents": 3600,
            }
        ],
    }


@both
def test_an_order_is_read_back(shop: Shop, version: str) -> None:
    """GET gives what POST answered, to its owner and to those who may read all."""
    placed = shop.order(shop.ann, (shop.product(), 1), version=version).json()
    for reader in (shop.ann, shop.moderator, shop.admin):
        answer = shop.call("GET", f"/{version}/orders/{placed['id']}", reader)
        assert (answer.status_code, answer.json()) == (200, placed)


@both
def test_anothers_order_is_not_there(shop: Shop, version: str) -> None:
    """To another user an order is a 404, exactly like one that does not exist."""
    order_id = shop.placed(shop.ann)["id"]
    theirs = problem(shop.call("GET", f"/{version}/orders/{order_id}", shop.bob), 404)
    none = problem(shop.call("GET", f"/{version}/orders/{MISSING}", shop.bob), 404)
    assert theirs["detail"].replace(str(order_id), "N") == none["detail"].replace(str(MISSING), "N")
    problem(shop.call("POST", f"/{version}/orders/{order_id}/cancel", shop.bob), 404)


@both
def test_nobody_has_no_orders(shop: Shop, version: str) -> None:
    """Every route of the orders wants to know who calls: 401."""
    order_id = shop.placed(shop.ann)["id"]
    one = f"/{version}/orders/{order_id}"
    problem(shop.order(None, (1, 1), version=version), 401)
    problem(shop.call("GET", f"/{version}/orders"), 401)
    problem(shop.call("GET", one), 401)
    problem(shop.call("POST", f"{one}/cancel"), 401)
    problem(shop.call("PATCH", one, None, {"status": "paid"}), 401)


@both
def test_who_moves_orders(shop: Shop, version: str) -> None:
    """PATCH is for holders of orders:manage: not even the owner may without."""
    order = shop.placed(shop.ann)
    path = f"/{version}/orders/{order['id']}"
    problem(shop.call("PATCH", path, shop.ann, {"status": "paid"}), 403)
    moved = shop.call("PATCH", path, shop.moderator, {"status": "paid"})
    assert (moved.status_code, moved.json()["status"]) == (200, "paid")
    assert shop.call("GET", path, shop.ann).json() == moved.json()


@both
def test_a_product_named_twice(shop: Shop, version: str) -> None:
    """Two lines of one product become one line of the sum."""
    tea = shop.product()
    shown = shop.order(shop.ann, (tea, 2), (tea, 3), version=version).json()
    assert [(it["product_id"], it["quantity"]) for it in shown["lines"]] == [(tea["id"], 5)]
    assert shop.stock(tea) == 5


@both
def test_too_few_in_stock(shop: Shop, version: str) -> None:
    """409 says which product is short and what is left; nothing of the order is taken."""
    plenty, short = shop.product(stock=50), shop.product(stock=2, name="Chai")
    answer = shop.order(shop.ann, (plenty, 1), (short, 3), version=version)
    document = problem(answer, 409, "out-of-stock")
    assert (document["product_id"], document["available"]) == (short["id"], 2)
    assert "Chai" in document["detail"]
    assert (shop.stock(plenty), shop.stock(short)) == (50, 2)


@both
def test_the_last_pieces(shop: Shop, version: str) -> None:
    """All that is left may be bought; after that there is nothing."""
    tea = shop.product(stock=2)
    assert shop.order(shop.ann, (tea, 2), version=version).status_code == 201
    assert problem(shop.order(shop.ann, (tea, 1), version=version), 409)["available"] == 0


@both
def test_an_unknown_product(shop: Shop, version: str) -> None:
    """422 names the product that does not exist; the known one keeps its stock."""
    tea = shop.product()
    answer = shop.order(shop.ann, (tea, 1), (MISSING, 1), version=version)
    document = problem(answer, 422, "unknown-product")
    assert document["product_id"] == MISSING
    assert document["errors"]
    assert shop.stock(tea) == 10


@both
def test_a_product_that_is_not_sold(shop: Shop, version: str) -> None:
    """409 for an inactive product, however many there are of it."""
    retired = shop.product(is_active=False)
    document = problem(shop.order(shop.ann, (retired, 1), version=version), 409)
    assert document["type"] == "/problems/product-inactive"
    assert document["product_id"] == retired["id"]


@both
def test_one_currency(shop: Shop, version: str) -> None:
    """Products in two currencies are a 422, and the stock stays."""
    dollars = shop.product()
    euros = shop.product(price={"amount": "1.00", "currency": "EUR"})
    document = problem(shop.order(shop.ann, (dollars, 1), (euros, 1), version=version), 422)
    assert "EUR and USD" in document["detail"]
    assert (shop.stock(dollars), shop.stock(euros)) == (10, 10)


@both
def test_a_sum_beyond_measure(shop: Shop, version: str) -> None:
    """An order that comes to more than can be written is a 422, and the stock stays."""
    gold = shop.product(price={"amount": "999999999999.99", "currency": "USD"})
    problem(shop.order(shop.ann, (gold, 2), version=version), 422)
    assert shop.stock(gold) == 10
    assert shop.order(shop.ann, (gold, 1), version=version).status_code == 201


@both
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lines": []},
        {"lines": None},
        {"lines": [{}]},
        {"lines": [{"product_id": 1}]},
        {"lines": [{"product_id": 1, "quantity": 0}]},
        {"lines": [{"product_id": 1, "quantity": -1}]},
        {"lines": [{"product_id": 1, "quantity": 10_001}]},
        {"lines": [{"product_id": 1, "quantity": 1.5}]},
        {"lines": [{"product_id": 1, "quantity": True}]},
        {"lines": [{"product_id": 1, "quantity": "1"}]},
        {"lines": [{"product_id": 0, "quantity": 1}]},
        {"lines": [{"product_id": 2**63, "quantity": 1}]},
        {"lines": [{"product_id": 10**300, "quantity": 1}]},
        {"lines": [{"product_id": 1, "quantity": 1, "unit_price": "0.01"}]},
        {"lines": [{"product_id": 1, "quantity": 1}], "user_id": 1},
        {"lines": [{"product_id": 1, "quantity": 1}] * 101},
        {"lines": [{"product_id": 1, "quantity": 6000}] * 2},
    ],
)
def test_what_is_no_order(shop: Shop, version: str, body: Any) -> None:
    """Missing, empty, out of range, mistyped, unknown or too many: 422 with errors."""
    assert problem(shop.call("POST", f"/{version}/orders", shop.ann, body), 422)["errors"]


@both
@pytest.mark.parametrize("wrong", [0, -1, 2**63, 10**400, "x", "1.5"])
def test_ids_in_the_path(shop: Shop, version: str, wrong: Any) -> None:
    """What can be no id is a 422 on every route."""
    path = f"/{version}/orders/{wrong}"
    problem(shop.call("GET", path, shop.ann), 422)
    problem(shop.call("POST", f"{path}/cancel", shop.ann), 422)
    problem(shop.call("PATCH", path, shop.moderator, {"status": "paid"}), 422)


def test_a_long_order(shop: Shop) -> None:
    """A hundred lines are one order, in the order in which they were sent."""
    products = [shop.product() for _ in range(100)][::-1]
    order = shop.placed(shop.ann, *((product, 2) for product in products))
    assert [line["product_id"] for line in order["lines"]] == [it["id"] for it in products]
    assert shop.call("GET", f"/v2/orders/{order['id']}", shop.ann).json() == order
    assert {shop.stock(it) for it in products} == {8}


@pytest.mark.parametrize("slug", ["out-of-stock", "illegal-step", "unknown-customer", "sku-taken"])
def test_problems_are_explained(shop: Shop, slug: str) -> None:
    """The type of each problem leads to a page that explains it."""
    page = shop.call("GET", f"/problems/{slug}")
    assert page.status_code == 200
    assert slug in page.text


def test_the_orders_of_one_who_left(shop: Shop) -> None:
    """A deleted user's orders stay, with the user's id."""
    leaver = shop.people.somebody()
    order = shop.placed(leaver)
    assert shop.call("DELETE", f"/v2/users/{leaver.id}", shop.admin).status_code == 204
    assert shop.call("GET", f"/v2/orders/{order['id']}", shop.admin).json() == order


def test_an_order_outlives_its_product(shop: Shop) -> None:
    """A product may be deleted: orders that name it are shown, and can be cancelled."""
    gone, stays = shop.product(), shop.product()
    order = shop.placed(shop.ann, (gone, 1), (stays, 1))
    assert shop.call("DELETE", f"/v2/products/{gone['id']}", shop.admin).status_code == 204
    assert shop.call("GET", f"/v2/orders/{order['id']}", shop.ann).json() == order
    cancelled = shop.call("POST", f"/v2/orders/{order['id']}/cancel", shop.ann)
    assert cancelled.json()["status"] == "cancelled"
    assert shop.stock(stays) == 10
