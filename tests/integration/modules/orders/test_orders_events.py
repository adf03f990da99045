"""What orders tell others, as a module's author would test it."""

from __future__ import annotations

import pytest

from core.testing import AppFactory, Client, Events, RunningApp
from modules.orders.events import OrderCreated, OrderStatusChanged
from tests.support.databases import database_url

__all__ = ["database_url"]


@pytest.fixture
def app(database_url: str, app_factory: AppFactory) -> RunningApp:
    """Orders, and analytics to hear of them; events are delivered by hand."""
    return app_factory(["orders", "analytics"], database_url=database_url, by_hand=True)


@pytest.fixture
def admin(app: RunningApp) -> Client:
    """Who may do everything."""
    return app.client("v2").as_user("admin")


@pytest.fixture
def tea(admin: Client) -> int:
    """A product of 18.00 of which there are five."""
    price = {"amount": "18.00", "currency": "USD"}
    body = {"sku": "TEA", "name": "Tea", "stock": 5, "price": price}
    return int(admin.post("/products", json=body).json()["id"])


def place(who: Client, product: int, quantity: int) -> int:
    """An order, which must be accepted; its id."""
    answer = who.post("/orders", json={"lines": [{"product_id": product, "quantity": quantity}]})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_an_order_that_is_placed_is_told_once(app: RunningApp, tea: int, published: Events) -> None:
    """What was ordered stands in the event; a refused order tells nothing."""
    ann = app.client("v2").as_user(id=7)
    order = place(ann, tea, 2)
    [created] = published.of(OrderCreated)
    assert (created.order_id, created.user_id, created.units) == (order, 7, 2)
    assert (created.total_minor, created.currency, created.imported) == (3600, "USD", False)
    refused = ann.post("/orders", json={"lines": [{"product_id": tea, "quantity": 4}]})
    assert refused.status_code == 409
    assert len(published.of(OrderCreated)) == 1


def test_each_step_is_told_in_its_order(
    app: RunningApp, admin: Client, tea: int, published: Events
) -> None:
    """Paid, then cancelled: two events after the first; a step that is refused tells nothing."""
    order = place(app.client("v2").as_user(id=7), tea, 1)
    for status in ("paid", "cancelled", "shipped"):
        admin.patch(f"/orders/{order}", json={"status": status})
    told = [(it.order_id, it.old, it.new) for it in published.of(OrderStatusChanged)]
    assert told == [(order, "created", "paid"), (order, "paid", "cancelled")]


def test_what_is_sold_is_counted_when_it_is_delivered(
    app: RunningApp, admin: Client, tea: int
) -> None:
    """Analytics knows of an order once it was told, and no more once it was told that it was
    cancelled."""

    def orders() -> list[int]:
        return [it["orders"] for it in admin.get("/analytics/sales?by=year").json()]

    order = place(admin, tea, 1)
    place(admin, tea, 2)
    assert orders() == []
    assert app.events.deliver() == 2
    assert orders() == [2]
    cancelled = admin.post(f"/orders/{order}/cancel")
    assert cancelled.status_code == 200, cancelled.text
    assert app.events.deliver() == 1
    assert orders() == [1]
