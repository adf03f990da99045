"""What becomes of points when their order is cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import func, select

from tessera_loyalty.models import Movement

ANN, BOB = 11, 12


@pytest.fixture
def shop(by_hand: Any) -> Any:
    """Here a shop tells what happened when a test says so."""
    return by_hand


def placed(shop: Any, product: int) -> int:
    """The id of an order of one."""
    answer = shop.order((product, 1))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def cancel(shop: Any, *orders: int) -> None:
    """The customer cancels these orders, and everybody has heard of it."""
    for order in orders:
        answer = shop.as_ann().post(f"/orders/{order}/cancel")
        assert answer.status_code == 200, answer.text
    shop.app.events.deliver()


def booked(shop: Any) -> int:
    """What all movements come to."""

    async def summed() -> int:
        async with shop.app.context("loyalty").read() as session:
            return int((await session.exec(select(func.sum(Movement.points)))).one() or 0)

    return int(shop.app.run(summed))


def test_orders_that_are_cancelled_earn_nothing(shop: Any) -> None:
    """Whoever orders and cancels again and again has no more points than before."""
    tea = shop.product("1234.00")
    shop.grant(5)
    orders = [placed(shop, tea) for _ in range(5)]
    assert shop.points() == 5 + 5 * 1234
    cancel(shop, *orders)
    assert (shop.points(), booked(shop)) == (5, 5)


def test_points_spent_come_back(shop: Any) -> None:
    """What an order was paid with is there again, what the rest of it earned is not."""
    tea = shop.product("18.00")
    shop.grant(600)
    shop.redeem()
    order = placed(shop, tea)
    assert shop.points() == 12
    cancel(shop, order)
    assert (shop.points(), booked(shop)) == (600, 600)


def test_the_steps_before_move_nothing(shop: Any) -> None:
    """Paid or not, an order keeps its points until it is cancelled, by whomever."""
    order = placed(shop, shop.product("18.00"))
    path = f"/orders/{order}"
    assert shop.as_admin().patch(path, json={"status": "paid"}).status_code == 200
    shop.app.events.deliver()
    assert shop.points() == 18
    assert shop.as_admin().patch(path, json={"status": "cancelled"}).status_code == 200
    shop.app.events.deliver()
    assert shop.points() == 0


@pytest.mark.parametrize(
    ("version", "value"),
    [("v1", {"value_cents": 0}), ("v2", {"value": {"amount": "0.00", "currency": "USD"}})],
)
def test_points_that_were_spent_meanwhile_are_owed(
    shop: Any, version: str, value: dict[str, Any]
) -> None:
    """An account that has spent what a cancelled order earned is below nothing: it is worth
    nothing, pays for nothing, and what comes next makes up for it."""
    dear, tea = shop.product("500.00"), shop.product("18.00")
    first = placed(shop, dear)
    shop.redeem()
    assert shop.total((tea, 1)) == "13.00"
    assert shop.points() == 13
    cancel(shop, first)
    shown = shop.as_ann(version).get("/loyalty/me").json()
    assert {name: shown[name] for name in ("points", *value)} == {"points": 13 - 500, **value}
    assert shop.total((tea, 1)) == "18.00"
    assert shop.points() == 13 - 500 + 18
    shop.grant(500)
    assert (shop.points(), booked(shop)) == (31, 31)


def test_only_the_points_of_that_order_move(shop: Any) -> None:
    """Other orders of the same person keep theirs, and so do grants and other people."""
    tea, jam = shop.product("18.00"), shop.product("5.00")
    shop.grant(7, to=BOB)
    kept, lost = placed(shop, tea), placed(shop, jam)
    assert shop.total((tea, 1), who=BOB) == "18.00"
    cancel(shop, lost)
    assert (shop.points(), shop.points(BOB)) == (18, 25)
    cancel(shop, kept)
    assert shop.points() == 0


def test_an_account_that_is_full(shop: Any) -> None:
    """Points that no longer fit into the account do not come back."""
    tea = shop.product("18.00")
    shop.grant(1800)
    shop.redeem()
    order = placed(shop, tea)
    shop.grant(10_000_000_000 - 300)
    cancel(shop, order)
    assert shop.points() == booked(shop) == 10_000_000_000


def test_an_order_that_moved_no_points(shop: Any) -> None:
    """Cancelling an order in another currency makes no account and moves nothing."""
    order = placed(shop, shop.product("18.00", "EUR"))
    cancel(shop, order)
    assert (shop.points(), booked(shop)) == (0, 0)


def test_a_deleted_users_orders(shop: Any) -> None:
    """When the order of a deleted user is cancelled, no point comes back to nobody."""
    admin = shop.as_admin()
    body = {"name": "Carol", "email": "carol@loyalty.example"}
    carol = admin.post("/users", json=body).json()["id"]
    order = shop.order((shop.product("18.00"), 1), who=carol).json()["id"]
    assert admin.delete(f"/users/{carol}").status_code == 204
    shop.app.events.deliver()
    assert admin.patch(f"/orders/{order}", json={"status": "cancelled"}).status_code == 200
    shop.app.events.deliver()
    assert (shop.points(carol), booked(shop)) == (0, 0)
