"""An order's way through its states, by one caller and by many at once."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from modules.orders.contracts import Status
from modules.orders.states import may_follow
from tests.support.shop import MISSING, Shop, problem

both = pytest.mark.parametrize("version", ["v1", "v2"])
WAYS: dict[str, tuple[str, ...]] = {
    "created": (),
    "paid": ("paid",),
    "shipped": ("paid", "shipped"),
    "delivered": ("paid", "shipped", "delivered"),
    "cancelled": ("cancelled",),
}


@both
@pytest.mark.parametrize(("old", "new"), list(product(get_args(Status), repeat=2)))
def test_every_pair_of_states(shop: Shop, version: str, old: Status, new: Status) -> None:
    """A step of the machine is a 200; everything else is a 409 that says where the order stands."""
    order = shop.placed(shop.ann)
    if WAYS[old]:
        assert shop.move(order, *WAYS[old]).status_code == 200
    answer = shop.move(order, new, version=version)
    if may_follow(old, new):
        assert (answer.status_code, answer.json()["status"]) == (200, new)
    else:
        assert problem(answer, 409, "illegal-step")["order_status"] == old
        current = shop.call("GET", f"/v2/orders/{order['id']}", shop.ann).json()
        assert current["status"] == old


@both
@pytest.mark.parametrize("old", get_args(Status))
def test_an_owner_cancels(shop: Shop, version: str, old: Status) -> None:
    """The owner may cancel until the order is shipped; the stock returns then, and only then."""
    tea = shop.product()
    order = shop.placed(shop.ann, (tea, 4))
    if WAYS[old]:
        shop.move(order, *WAYS[old])
    answer = shop.call("POST", f"/{version}/orders/{order['id']}/cancel", shop.ann)
    if old in ("created", "paid"):
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert shop.stock(tea) == 10
    else:
        problem(answer, 409, "illegal-step")
        assert shop.stock(tea) == (10 if old == "cancelled" else 6)


@both
def test_only_the_owner_cancels(shop: Shop, version: str) -> None:
    """Cancelling is the owner's: others get 404, and those who manage orders use PATCH."""
    order = shop.placed(shop.ann)
    for other in (shop.bob, shop.moderator, shop.admin):
        problem(shop.call("POST", f"/{version}/orders/{order['id']}/cancel", other), 404)
    assert shop.move(order, "cancelled").status_code == 200


@both
def test_a_manager_cancels(shop: Shop, version: str) -> None:
    """PATCH to cancelled gives the stock of every line back."""
    tea, jam = shop.product(), shop.product()
    order = shop.placed(shop.ann, (tea, 4), (jam, 1))
    shop.move(order, "paid")
    assert shop.move(order, "cancelled", version=version).status_code == 200
    assert (shop.stock(tea), shop.stock(jam)) == (10, 10)


@both
def test_orders_that_are_not_there(shop: Shop, version: str) -> None:
    """Moving or cancelling an unknown order is a 404."""
    problem(shop.move({"id": MISSING}, "paid", version=version), 404)
    problem(shop.call("POST", f"/{version}/orders/{MISSING}/cancel", shop.ann), 404)


@both
@pytest.mark.parametrize(
    "body", [{}, {"status": "lost"}, {"status": None}, {"status": "paid", "x": 1}]
)
def test_what_is_no_state(shop: Shop, version: str, body: dict[str, object]) -> None:
    """A missing, unknown or null state, or a field beside it, is a 422."""
    order = shop.placed(shop.ann)
    problem(shop.call("PATCH", f"/{version}/orders/{order['id']}", shop.moderator, body), 422)


def test_cancelled_once(shop: Shop) -> None:
    """Of many who cancel one order at once, one succeeds, and the stock returns once."""
    tea, jam = shop.product(), shop.product()
    order = shop.placed(shop.ann, (tea, 3), (jam, 2))
    path = f"/v2/orders/{order['id']}"
    cancel = lambda: shop.call("POST", f"{path}/cancel", shop.ann)  # noqa: E731
    patch = lambda: shop.call("PATCH", path, shop.moderator, {"status": "cancelled"})  # noqa: E731
    assert sorted(shop.at_once([cancel, patch] * 6)) == [200] + [409] * 11
    assert (shop.stock(tea), shop.stock(jam)) == (10, 10)


def test_one_step_at_a_time(shop: Shop) -> None:
    """Paying and cancelling at once end in a state that their order explains, stock included."""
    for _ in range(5):
        tea = shop.product()
        order = shop.placed(shop.ann, (tea, 3))
        path = f"/v2/orders/{order['id']}"
        pay = lambda path=path: shop.call("PATCH", path, shop.moderator, {"status": "paid"})  # noqa: E731
        cancel = lambda path=path: shop.call("POST", f"{path}/cancel", shop.ann)  # noqa: E731
        codes = shop.at_once([pay, cancel, pay, cancel])
        assert sorted(codes[1::2]) == [200, 409]  # created or paid: one cancel always succeeds
        assert shop.call("GET", path, shop.ann).json()["status"] == "cancelled"
        assert shop.stock(tea) == 10


def test_shipped_or_cancelled(shop: Shop) -> None:
    """A paid order that is shipped and cancelled at once is one of the two, with its stock."""
    for _ in range(5):
        tea = shop.product()
        order = shop.placed(shop.ann, (tea, 3))
        shop.move(order, "paid")
        path = f"/v2/orders/{order['id']}"
        ship = lambda path=path: shop.call("PATCH", path, shop.moderator, {"status": "shipped"})  # noqa: E731
        cancel = lambda path=path: shop.call("POST", f"{path}/cancel", shop.ann)  # noqa: E731
        assert sorted(shop.at_once([ship, cancel, ship, cancel])) == [200, 409, 409, 409]
        status = shop.call("GET", path, shop.ann).json()["status"]
        assert (status, shop.stock(tea)) in {("shipped", 7), ("cancelled", 10)}
