"""A shop with loyalty, from the kit that Tessera brings, and what the tests do in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from core.testing import RunningApp, start_app

ANN, BOB = 11, 12


class Shop:
    """One application, and people by their ids: orders needs no account behind them."""

    def __init__(self, app: RunningApp) -> None:
        self.app = app
        self._numbers = itertools.count(1)

    def as_ann(self, version: str = "v2", *, id: int = ANN) -> Any:
        """A customer's requests."""
        return self.app.client(version).as_user("user", id=id)

    def as_admin(self, version: str = "v2") -> Any:
        """An admin's requests."""
        return self.app.client(version).as_user("admin", id=1)

    def product(self, amount: str = "18.00", currency: str = "USD") -> int:
        """A new product's id."""
        price = {"amount": amount, "currency": currency}
        body = {"sku": f"S{next(self._numbers)}", "name": "Tea", "stock": 100, "price": price}
        made = self.as_admin().post("/products", json=body)
        assert made.status_code == 201, made.text
        return int(made.json()["id"])

    def grant(self, points: int, *, to: int = ANN) -> None:
        """Give somebody points."""
        given = self.as_admin().post("/loyalty/grants", json={"user_id": to, "points": points})
        assert given.status_code == 201, given.text

    def redeem(self, on: bool = True, *, who: int = ANN) -> None:
        """Pay with points from now on."""
        assert self.as_ann(id=who).put("/loyalty/me", json={"redeem": on}).status_code == 200

    def order(self, *lines: tuple[int, int], who: int = ANN) -> Any:
        """Order (product, quantity); the answer."""
        wanted = [{"product_id": product, "quantity": quantity} for product, quantity in lines]
        return self.as_ann(id=who).post("/orders", json={"lines": wanted})

    def total(self, *lines: tuple[int, int], who: int = ANN) -> str:
        """What an order of these lines came to."""
        answer = self.order(*lines, who=who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["total"]["amount"])

    def points(self, who: int = ANN) -> int:
        """What somebody has."""
        return int(self.as_ann(id=who).get("/loyalty/me").json()["points"])


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with the settings that loyalty has by itself."""
    with start_app(["loyalty"]) as app:
        yield Shop(app)


@pytest.fixture
def by_hand() -> Iterator[Shop]:
    """The same shop, whose subscribers hear of events when a test delivers them."""
    with start_app(["loyalty"], by_hand=True) as app:
        yield Shop(app)


@pytest.fixture
def generous() -> Iterator[Shop]:
    """A shop whose points are worth 25 cents, in euros, for half of an order at most."""
    chosen = {"currency": "EUR", "points_per_unit": 2, "point_value_minor": 25}
    settings = {"modules": {"loyalty": {**chosen, "redeem_percent": 50}}}
    with start_app(["loyalty"], settings=settings) as app:
        yield Shop(app)
