"""Sales as analytics tells them, from nothing but events, on both databases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import KINDS, empty_database
from tests.support.shop import Shop, open_shop, problem
from tests.support.tower import QUICK


@pytest.fixture(scope="module", params=KINDS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop with analytics."""
    folder = tmp_path_factory.mktemp("analytics")
    with empty_database(request.param, folder) as url:
        with open_shop(url, "analytics", events=QUICK) as opened:
            yield opened


def sales(shop: Shop, by: str, *, version: str = "v2") -> list[dict[str, Any]]:
    """What the API says."""
    answer = shop.call("GET", f"/{version}/analytics/sales?by={by}", shop.moderator)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def soon(told: Callable[[], Any], expected: Any, *, seconds: float = 15) -> None:
    """What is told is as expected, at the latest after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := told()) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def imported(shop: Shop, ref: str, day: str, price: str, *, currency: str = "USD") -> None:
    """An order of the past, of three pieces."""
    product = shop.product()
    order = {
        "external_ref": ref,
        "customer_email": shop.ann.email,
        "placed_at": day,
        "currency": currency,
        "lines": [
            {"product_id": product["id"], "quantity": 3, "unit_price": price, "discount": 0.15}
        ],
    }
    answer = shop.call("POST", "/v2/orders/import", shop.admin, {"orders": [order]})
    assert answer.json() == {"created": 1, "skipped": 0}


def test_sales_add_up_by_day_month_and_year(shop: Shop) -> None:
    """Orders of two years, imported and placed, cancelled ones left out; each currency apart."""
    imported(shop, "A-1", "1996-07-04", "14.00")
    imported(shop, "A-2", "1996-07-31T23:59:59Z", "0.33")
    imported(shop, "A-3", "1996-08-01T00:30:00+02:00", "1.00")
    imported(shop, "A-4", "1997-01-01", "2.00")
    imported(shop, "A-5", "1997-01-01", "2.00", currency="EUR")

    def period(name: str, orders: int, units: int, amount: str, code: str = "USD") -> Any:
        money = {"amount": amount, "currency": code}
        return {"period": name, "orders": orders, "units": units, "revenue": money}

    soon(
        lambda: sales(shop, "year"),
        [
            period("1996", 3, 9, "39.09"),
            period("1997", 1, 3, "5.10", "EUR"),
            period("1997", 1, 3, "5.10"),
        ],
    )
    assert sales(shop, "month")[0] == period("1996-07", 3, 9, "39.09")
    assert sales(shop, "day")[0] == period("1996-07-04", 1, 3, "35.70")
    assert sales(shop, "year", version="v1")[0] == {
        "period": "1996",
        "orders": 3,
        "units": 9,
        "revenue_cents": 3909,
        "currency": "USD",
    }


def test_a_cancelled_order_was_no_sale(shop: Shop) -> None:
    """An order counts once it is placed, and no more once it is cancelled."""
    before = sales(shop, "year")
    order = shop.placed(shop.ann)
    soon(lambda: len(sales(shop, "year")), len(before) + 1)
    this_year = sales(shop, "year")[-1]
    assert (this_year["period"], this_year["orders"]) == (order["placed_at"][:4], 1)
    shop.move(order, "paid", "cancelled")
    soon(lambda: sales(shop, "year"), before)


def test_sales_are_for_those_who_may_read_them(shop: Shop) -> None:
    """A user may not, nobody may not; a period that there is not is a 422."""
    problem(shop.call("GET", "/v2/analytics/sales?by=year", shop.ann), 403)
    problem(shop.call("GET", "/v1/analytics/sales?by=year"), 401)
    problem(shop.call("GET", "/v2/analytics/sales?by=week", shop.moderator), 422)


def test_a_module_that_was_off_catches_up(tmp_path: Path) -> None:
    """Orders placed while analytics is disabled are counted once it is enabled again."""
    with empty_database("sqlite", tmp_path) as url:
        with open_shop(url, "analytics", events=QUICK) as opened:
            opened.placed(opened.ann)
            soon(lambda: [it["orders"] for it in sales(opened, "year")], [1])
        with open_shop(url, events=QUICK) as opened:
            for _ in range(5):
                opened.placed(opened.ann)
        with open_shop(url, "analytics", events=QUICK) as opened:
            soon(lambda: [it["orders"] for it in sales(opened, "year")], [6])
