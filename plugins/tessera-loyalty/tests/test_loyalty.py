"""Points over HTTP: earned, given, and paying for orders."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import select

from core.plugin import CheckContext, Refused
from core.testing import AppFactory, SyncKitSession
from modules.orders.events import OrderCreated
from tessera_loyalty.models import Movement
from tessera_loyalty.module import gives_money_away, manifest
from tessera_loyalty.settings import LoyaltySettings

ANN, BOB = 11, 12


def test_an_account_in_both_versions(shop: Any) -> None:
    """v1 tells cents, v2 an amount; whoever never had points has none."""
    assert shop.as_ann("v1").get("/loyalty/me").json() == {
        "user_id": ANN,
        "points": 0,
        "value_cents": 0,
        "currency": "USD",
        "redeem": False,
    }
    shop.grant(250)
    assert shop.as_ann("v2").get("/loyalty/me").json() == {
        "user_id": ANN,
        "points": 250,
        "value": {"amount": "2.50", "currency": "USD"},
        "redeem": False,
    }


def test_points_pay_a_part(shop: Any) -> None:
    """Points pay as discounts of lines, cent for cent; the rest earns a point a dollar."""
    tea, jam = shop.product("18.00"), shop.product("5.00")
    shop.grant(600)
    shop.redeem()
    answer = shop.order((tea, 1), (jam, 2)).json()
    assert answer["total"] == {"amount": "22.00", "currency": "USD"}
    assert [line["total"]["amount"] for line in answer["lines"]] == ["12.00", "10.00"]
    assert [line["unit_price"]["amount"] for line in answer["lines"]] == ["18.00", "5.00"]
    assert shop.points() == 22


def test_what_points_paid_is_not_told_as_sold(shop: Any) -> None:
    """Whoever hears of an order is told what remained to be paid, line by line."""
    tea = shop.product("18.00")
    shop.grant(600)
    shop.redeem()
    assert shop.total((tea, 1)) == "12.00"
    [told] = shop.app.events.of(OrderCreated)
    assert (told.total_minor, [it.total_minor for it in told.lines]) == (1200, [1200])


def test_points_do_not_pay_unasked(shop: Any) -> None:
    """Without `redeem` an order earns and spends nothing; it can be switched off again."""
    tea = shop.product("18.99")
    assert shop.total((tea, 1)) == "18.99"
    assert shop.points() == 18
    shop.redeem()
    shop.redeem(False)
    assert shop.total((tea, 1)) == "18.99"
    assert shop.points() == 36


def test_an_order_may_come_to_nothing(shop: Any) -> None:
    """Points may pay all of it; then nothing is earned."""
    tea = shop.product("18.00")
    shop.grant(2000)
    shop.redeem()
    assert shop.total((tea, 1)) == "0.00"
    assert shop.points() == 200


def test_settings_count(generous: Any) -> None:
    """Value, share, currency and rate of earning are those of the settings."""
    tea = generous.product("10.00", "EUR")
    generous.grant(100)
    generous.redeem()
    assert generous.total((tea, 1)) == "5.00"
    assert generous.points() == 100 - 20 + 10
    dollars = generous.product("10.00", "USD")
    assert generous.total((dollars, 1)) == "10.00"
    assert generous.points() == 90


def test_an_order_that_fails_costs_no_points(shop: Any) -> None:
    """There is no order without its points, and no points without their order."""
    tea = shop.product("18.00")
    shop.grant(500)
    shop.redeem()
    assert shop.order((tea, 101)).status_code == 409
    assert shop.points() == 500


def test_points_are_spent_once(shop: Any) -> None:
    """Of orders placed at once each spends what the others left."""
    tea = shop.product("10.00")
    shop.grant(2500)
    shop.redeem()
    with ThreadPoolExecutor(5) as threads:
        placed = [threads.submit(shop.total, (tea, 1)) for _ in range(5)]
    cents = [int(it.result().replace(".", "")) for it in placed]
    spent, earned = 5000 - sum(cents), sum(it // 100 for it in cents)
    # What one order earns may pay for the next: all in all nothing is lost and nothing is made up.
    assert spent >= 2500
    assert shop.points() == 2500 - spent + earned


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_who_may_grant(shop: Any, version: str) -> None:
    """Grants need loyalty:grant; a full account is a 409, an empty grant a 422."""
    path, body = "/loyalty/grants", {"user_id": BOB, "points": 10}
    assert shop.app.client(version).post(path, json=body).status_code == 401
    assert shop.as_ann(version).post(path, json=body).status_code == 403
    given = shop.as_admin(version).post(path, json=body)
    assert (given.status_code, given.json()) == (201, {**body, "balance": 10})
    full = shop.as_admin(version).post(path, json={**body, "points": 10_000_000_000})
    assert (full.status_code, full.json()["type"]) == (409, "/problems/too-many-points")
    for wrong in ({"points": 0}, {"points": -5}, {"user_id": 0}, {"points": "7"}, {"more": 1}):
        assert shop.as_admin(version).post(path, json={**body, **wrong}).status_code == 422
    assert shop.points(BOB) == 10


def test_nobody_signed_in(shop: Any) -> None:
    """One's own account needs a caller."""
    client = shop.app.client("v2")
    assert client.get("/loyalty/me").status_code == 401
    assert client.put("/loyalty/me", json={"redeem": True}).status_code == 401


def test_every_movement_is_kept(app_factory: AppFactory, sync_session: SyncKitSession) -> None:
    """The movements add up to the account, each with its reason."""
    app = app_factory(modules=["loyalty"])
    client = app.client("v2").as_user("admin", id=ANN)
    price = {"amount": "9.99", "currency": "USD"}
    body = {"sku": "T", "name": "Tea", "stock": 5, "price": price}
    tea = client.post("/products", json=body).json()["id"]
    client.post("/loyalty/grants", json={"user_id": ANN, "points": 99})
    client.put("/loyalty/me", json={"redeem": True})
    placed = client.post("/orders", json={"lines": [{"product_id": tea, "quantity": 1}]}).json()
    columns = (Movement.reason, Movement.points, Movement.order_id)
    found = sync_session.exec(select(*columns).order_by(Movement.id))
    order = placed["id"]
    assert list(found) == [("granted", 99, None), ("spent", -99, order), ("earned", 9, order)]
    assert client.get("/loyalty/me").json()["points"] == 9


@pytest.mark.parametrize(
    "wrong",
    [{"point_value_minor": 0}, {"redeem_percent": 101}, {"currency": "dollars"}, {"pionts": 1}],
)
def test_settings_that_make_no_sense(app_factory: AppFactory, wrong: dict[str, Any]) -> None:
    """A wrong setting is named, and the module does not start with it."""
    with pytest.raises(Refused, match=rf"modules\.loyalty\.{next(iter(wrong))}"):
        app_factory(modules=["loyalty"], settings={"modules": {"loyalty": wrong}})


@pytest.mark.parametrize(("points", "value", "codes"), [(1, 99, []), (4, 25, ["LOYALTY001"])])
def test_points_that_give_everything_back(
    shop: Any, points: int, value: int, codes: list[str]
) -> None:
    """`tessera check` warns of orders that earn as much as they cost."""
    chosen = LoyaltySettings(points_per_unit=points, point_value_minor=value)
    context = CheckContext("loyalty", manifest(), settings=chosen, app=shop.app.settings)
    assert [found.code for found in gives_money_away(context)] == codes


def test_points_go_with_whom_they_belonged_to(shop: Any) -> None:
    """When a user is deleted, the account and what moved on it are gone soon, and no other's."""
    admin = shop.as_admin()
    body = {"name": "Carol", "email": "carol@loyalty.example"}
    carol = admin.post("/users", json=body).json()["id"]
    shop.grant(50, to=carol)
    shop.grant(7, to=BOB)
    assert admin.delete(f"/users/{carol}").status_code == 204
    deadline = time.monotonic() + 10
    while shop.points(carol):
        assert time.monotonic() < deadline, "Carol still has points"
        time.sleep(0.05)
    assert shop.points(BOB) == 7
