"""The import of past orders, on both databases."""

from __future__ import annotations

import csv
import itertools
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from tests.support.people import Person
from tests.support.shop import MISSING, Shop, problem

NORTHWIND = Path(__file__).parents[4] / "demo" / "data" / "northwind"
_refs = itertools.count(1)


def past(shop: Shop, product: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An order of the past, of three pieces at 14.00 with 15 % off, by Ann."""
    return {
        "external_ref": f"REF-{next(_refs)}",
        "customer_email": shop.ann.email,
        "placed_at": "1996-07-04",
        "currency": "USD",
        "lines": [line(product)],
        **changes,
    }


def line(product: dict[str, Any], **changes: Any) -> dict[str, Any]:
    sent = {"product_id": product["id"], "quantity": 3, "unit_price": "14.00", "discount": 0.15}
    return {**sent, **changes}


def send(shop: Shop, *orders: dict[str, Any], by: Person | None = None) -> Response:
    return shop.call("POST", "/v2/orders/import", by or shop.admin, {"orders": list(orders)})


def mine(shop: Shop, who: Person) -> list[dict[str, Any]]:
    return list(shop.call("GET", "/v2/orders?limit=100", who).json()["items"])


def test_an_order_of_the_past(shop: Shop) -> None:
    """It is there as it was: customer, time, price, discount, reference; no stock is taken."""
    cleo, tea = shop.people.somebody(), shop.product(stock=1)
    order = past(
        shop, tea, customer_email=cleo.email.upper(), placed_at="1996-07-04T10:00:00+02:00"
    )
    answer = send(shop, order)
    assert (answer.status_code, answer.json()) == (200, {"created": 1, "skipped": 0})
    [shown] = mine(shop, cleo)
    assert shown == {
        "id": shown["id"],
        "user_id": cleo.id,
        "status": "delivered",
        "currency": "USD",
        "total": {"amount": "35.70", "currency": "USD"},
        "placed_at": "1996-07-04T08:00:00Z",
        "external_ref": order["external_ref"],
        "lines": [
            {
                "product_id": tea["id"],
                "quantity": 3,
                "unit_price": {"amount": "14.00", "currency": "USD"},
                "discount": 0.15,
                "total": {"amount": "35.70", "currency": "USD"},
            }
        ],
    }
    old = shop.call("GET", f"/v1/orders/{shown['id']}", cleo).json()
    assert (old["total_cents"], old["lines"][0]["unit_price_cents"]) == (3570, 1400)
    assert shop.stock(tea) == 1


def test_ways_to_write_a_price(shop: Shop) -> None:
    """Text, number and money, with the discount as text or number, say the same."""
    dora, tea = shop.people.somebody(), shop.product()
    prices = ["14.00", "14", 14, 14.0, {"amount": "14.00", "currency": "USD"}]
    lines = [line(tea, unit_price=it, discount="0.15") for it in prices]
    assert send(shop, past(shop, tea, customer_email=dora.email, lines=lines)).status_code == 200
    [shown] = mine(shop, dora)
    assert {it["total"]["amount"] for it in shown["lines"]} == {"35.70"}
    assert len(shown["lines"]) == len(prices)  # history keeps its lines, though the product repeats


def test_a_line_is_rounded_half_up(shop: Shop) -> None:
    """0.50 with 5 % off is 0.475: each line becomes 0.48, and the order is the sum of its lines."""
    emil, tea = shop.people.somebody(), shop.product()
    lines = [line(tea, quantity=1, unit_price="0.50", discount="0.05")] * 3
    send(shop, past(shop, tea, customer_email=emil.email, lines=lines))
    [shown] = mine(shop, emil)
    assert [it["total"]["amount"] for it in shown["lines"]] == ["0.48"] * 3
    assert shown["total"]["amount"] == "1.44"


def test_a_known_reference_is_skipped(shop: Shop) -> None:
    """A second import doubles nothing, and adds what is new; of one reference twice, the first."""
    frida, tea = shop.people.somebody(), shop.product()
    first, second = (past(shop, tea, customer_email=frida.email) for _ in range(2))
    assert send(shop, first).json() == {"created": 1, "skipped": 0}
    twice = {**second, "lines": [line(tea, quantity=99)]}
    assert send(shop, first, second, twice).json() == {"created": 1, "skipped": 2}
    assert send(shop, first, second).json() == {"created": 0, "skipped": 2}
    assert [it["lines"][0]["quantity"] for it in mine(shop, frida)] == [3, 3]


def test_a_known_order_of_one_who_left(shop: Shop) -> None:
    """A known order is skipped even when its customer is gone meanwhile."""
    leaver, tea = shop.people.somebody(), shop.product()
    order = past(shop, tea, customer_email=leaver.email)
    send(shop, order)
    shop.call("DELETE", f"/v2/users/{leaver.id}", shop.admin)
    assert send(shop, order).json() == {"created": 0, "skipped": 1}


def test_an_unknown_customer(shop: Shop) -> None:
    """422 names the customer and the place, and nothing of the whole call is written."""
    gina, tea = shop.people.somebody(), shop.product()
    good = past(shop, tea, customer_email=gina.email)
    bad = past(shop, tea, customer_email="nobody@nowhere.example")
    document = problem(send(shop, good, bad), 422, "unknown-customer")
    assert "nobody@nowhere.example" in document["detail"]
    assert document["errors"][0]["loc"] == ["body", "orders", 1, "customer_email"]
    assert mine(shop, gina) == []
    assert send(shop, good).json()["created"] == 1


def test_an_unknown_product(shop: Shop) -> None:
    """422 names the product and the place, and nothing of the whole call is written."""
    hugo, tea = shop.people.somebody(), shop.product()
    good = past(shop, tea, customer_email=hugo.email)
    bad = past(shop, tea, lines=[line(tea), line({"id": MISSING})])
    document = problem(send(shop, good, bad), 422, "unknown-product")
    assert document["product_id"] == MISSING
    assert document["errors"][0]["loc"] == ["body", "orders", 1, "lines", 1, "product_id"]
    assert mine(shop, hugo) == []


def test_a_sum_beyond_measure(shop: Shop) -> None:
    """An order that comes to more than can be written is a 422 that says which."""
    tea = shop.product()
    dear = line(tea, quantity=10_000, unit_price="999999999999.99", discount=0)
    document = problem(send(shop, past(shop, tea), past(shop, tea, lines=[dear] * 50)), 422)
    assert document["errors"][0]["loc"] == ["body", "orders", 1, "lines"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_moments_at_the_edge(shop: Shop, moment: str) -> None:
    """The first and the last moment of the calendar are kept."""
    ida, tea = shop.people.somebody(), shop.product()
    assert send(shop, past(shop, tea, customer_email=ida.email, placed_at=moment)).is_success
    assert mine(shop, ida)[0]["placed_at"] == moment


@pytest.mark.parametrize(
    "changes",
    [
        {"external_ref": None},
        {"external_ref": "a\x00b"},
        {"customer_email": "a\x00@b.example"},
        {"placed_at": "9999-12-31T23:59:59-23:00"},
        {"placed_at": None},
        {"currency": "dollars"},
        {"lines": []},
        {"total": "1.00"},
    ],
)
def test_what_is_no_past_order(shop: Shop, changes: dict[str, Any]) -> None:
    """Null, unstorable, off the calendar, empty, unknown: 422 at the field."""
    document = problem(send(shop, past(shop, shop.product(), **changes)), 422)
    assert document["errors"][0]["loc"][:4] == ["body", "orders", 0, next(iter(changes))]


PRICE = (
    'a price is written "14.00", 14.0 or {"amount": "14.00", "currency": "USD"}: '
    "not negative, with a point and at most two decimals"
)
SHARE = (
    'a discount is a share of one, 0.15 or "0.15" for 15 %: '
    "from 0 to 1, with a point and at most four decimals"
)


@pytest.mark.parametrize(
    ("field", "sent", "message"),
    [
        ("unit_price", "1,00", PRICE),
        ("unit_price", -1, PRICE),
        ("unit_price", 1.001, PRICE),
        ("unit_price", 1e300, PRICE),
        ("unit_price", None, PRICE),
        ("unit_price", [], PRICE),
        ("unit_price", {"amount": "1.00", "currency": "usd"}, PRICE),
        ("unit_price", {"amount": "1.00"}, PRICE),
        ("discount", "15%", SHARE),
        ("discount", 15, SHARE),
        ("discount", "1.5", SHARE),
        ("discount", 0.00001, SHARE),
        ("discount", None, SHARE),
        ("discount", {}, SHARE),
    ],
)
def test_how_a_price_and_a_discount_are_written(
    shop: Shop, field: str, sent: object, message: str
) -> None:
    """Each is one error, at the field, in one sentence that shows the allowed forms."""
    order = past(shop, tea := shop.product(), lines=[line(tea, **{field: sent})])
    [error] = problem(send(shop, order), 422)["errors"]
    assert error["loc"] == ["body", "orders", 0, "lines", 0, field]
    assert error["msg"] == message


def test_sizes(shop: Shop) -> None:
    """None and 500 orders in a call pass; 501 are a 422 and nothing is written."""
    jana, tea = shop.people.somebody(), shop.product()
    many = [past(shop, tea, customer_email=jana.email) for _ in range(501)]
    problem(send(shop, *many), 422)
    assert mine(shop, jana) == []
    assert send(shop).json() == {"created": 0, "skipped": 0}
    assert send(shop, *many[:500]).json() == {"created": 500, "skipped": 0}


def test_who_may_import(shop: Shop) -> None:
    """Importing is the admin's: 401 for nobody, 403 for others, and v1 does not have it."""
    order = past(shop, shop.product())
    problem(shop.call("POST", "/v2/orders/import", None, {"orders": [order]}), 401)
    for other in (shop.ann, shop.moderator):
        problem(send(shop, order, by=other), 403)
    problem(shop.call("POST", "/v1/orders/import", shop.admin, {"orders": [order]}), 405)


def test_two_imports_at_once(shop: Shop) -> None:
    """Imports of the same orders at the same time, in opposite order, write each order once."""
    karl, tea = shop.people.somebody(), shop.product()
    orders = [past(shop, tea, customer_email=karl.email) for _ in range(60)]
    answers: list[Response] = []

    def bring(batch: list[dict[str, Any]]) -> Response:
        answers.append(send(shop, *batch))
        return answers[-1]

    shop.at_once([partial(bring, orders), partial(bring, orders[::-1])] * 3)
    assert [it.status_code for it in answers] == [200] * 6
    assert sum(it.json()["created"] for it in answers) == 60
    assert all(sum(it.json().values()) == 60 for it in answers)
    shown = mine(shop, karl)
    assert Counter(it["external_ref"] for it in shown) == Counter(
        it["external_ref"] for it in orders
    )
    assert all(len(it["lines"]) == 1 for it in shown)


def test_northwind_adds_up(shop: Shop) -> None:
    """830 orders, 51,317 units and 1,265,793.29 by API, year by year as they are published."""
    products = {
        row["product_id"]: shop.product(
            name=row["product_name"], price={"amount": row["unit_price"], "currency": "NWD"}
        )
        for row in rows("products")
    }
    buyer = shop.people.somebody()
    lines = defaultdict(list)
    for row in rows("order_lines"):
        it = products[row["product_id"]]
        change = {"unit_price": row["unit_price"], "discount": row["discount"]}
        lines[row["order_id"]].append(line(it, quantity=int(row["quantity"]), **change))
    orders = [
        {
            "external_ref": f"NW-{row['order_id']}",
            "customer_email": buyer.email,
            "placed_at": row["order_date"],
            "currency": "NWD",
            "lines": lines[row["order_id"]],
        }
        for row in rows("orders")
    ]
    created = [send(shop, *orders[i : i + 500]).json()["created"] for i in (0, 500)]
    assert created == [500, 330]
    count, units, cents = Counter[str](), 0, Counter[str]()
    for skip in range(0, 900, 100):
        query = {"skip": skip, "limit": 100}
        for order in shop.call("GET", "/v1/orders", buyer, params=query).json():
            count[order["placed_at"][:4]] += 1
            cents[order["placed_at"][:4]] += order["total_cents"]
            units += sum(it["quantity"] for it in order["lines"])
    assert count == {"1996": 152, "1997": 408, "1998": 270}
    assert cents == {"1996": 20808399, "1997": 61708535, "1998": 44062395}
    assert units == 51_317
    assert cents.total() == 126579329


def rows(name: str) -> list[dict[str, str]]:
    with (NORTHWIND / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
