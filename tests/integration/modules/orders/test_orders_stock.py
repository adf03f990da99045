"""Stock is never oversold, whoever buys at the same time."""

from __future__ import annotations

from functools import partial

from tests.support.shop import Shop


def test_fifty_buyers_of_ten(shop: Shop) -> None:
    """Of fifty who buy one of ten pieces at once, exactly ten get one; the rest are told."""
    tea = shop.product(stock=10)
    codes = shop.at_once([partial(shop.order, shop.ann, (tea, 1))] * 50)
    assert (codes.count(201), codes.count(409)) == (10, 40)
    assert shop.stock(tea) == 0


def test_the_same_products_in_opposite_order(shop: Shop) -> None:
    """Orders that name the same products in opposite order do not wait for each other."""
    tea, jam, eel = (shop.product(stock=20) for _ in range(3))
    there = partial(shop.order, shop.ann, (tea, 1), (jam, 1), (eel, 1))
    back = partial(shop.order, shop.bob, (eel, 1), (jam, 1), (tea, 1))
    codes = shop.at_once([there, back] * 15)
    assert (codes.count(201), codes.count(409)) == (20, 10)
    assert [shop.stock(it) for it in (tea, jam, eel)] == [0, 0, 0]


def test_buying_and_cancelling(shop: Shop) -> None:
    """While some buy and others cancel, every piece is either at hand or in a standing order."""
    tea, jam = shop.product(stock=30), shop.product(stock=30)
    mine = [shop.placed(shop.ann, (tea, 1), (jam, 1)) for _ in range(10)]
    cancels = [
        partial(shop.call, "POST", f"/v2/orders/{order['id']}/cancel", shop.ann) for order in mine
    ]
    codes = shop.at_once(cancels + [partial(shop.order, shop.bob, (jam, 2), (tea, 2))] * 10)
    assert codes[:10] == [200] * 10
    bought = codes[10:].count(201)
    assert (shop.stock(tea), shop.stock(jam)) == (30 - 2 * bought, 30 - 2 * bought)


def test_a_price_of_the_moment(shop: Shop) -> None:
    """An order keeps the price at which it was placed, whatever the catalogue says later."""
    tea = shop.product()
    order = shop.placed(shop.ann, (tea, 1))
    price = {"price": {"amount": "99.00", "currency": "USD"}}
    assert shop.call("PATCH", f"/v2/products/{tea['id']}", shop.admin, price).status_code == 200
    assert shop.call("GET", f"/v2/orders/{order['id']}", shop.ann).json() == order
    assert shop.placed(shop.ann, (tea, 1))["total"]["amount"] == "99.00"
