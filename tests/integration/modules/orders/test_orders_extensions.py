"""What other modules add to placing an order: prices, vetoes, rates of exchange."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.databases import database_url
from tests.support.plants import Garden, minimal
from tests.support.shop import Shop, open_shop, problem

__all__ = ["database_url"]

HEAD = """
from dataclasses import replace
from decimal import Decimal
from sqlalchemy import text
from modules.orders.contracts import DraftLine, ExchangeRates, OrderDraft
"""


def plant(garden: Garden, hook: str, body: str, *, name: str = "guest") -> None:
    """A module that implements `hook` by an async function of `body`."""
    source = f"""
{HEAD}
async def added(session, draft):
{textwrap.indent(textwrap.dedent(body), "    ")}

@hookimpl
def {hook}(context): return added
"""
    garden.plant(name, minimal(name, source, manifest="requires=('orders',)"))


@contextmanager
def shop_with(
    garden: Garden, url: str, hook: str, body: str, *, name: str = "guest"
) -> Iterator[Shop]:
    """A shop in which a stranger's module takes part."""
    plant(garden, hook, body, name=name)
    with open_shop(url, name) as shop:
        yield shop


# --- orders_pricing ---

OFF = "return [replace(line, discount_bp=2500) for line in draft.lines]"


def test_a_pricing_extension_changes_lines(garden: Garden, sqlite_url: str) -> None:
    """`orders_pricing` sees prices and stock as taken; the totals of its lines are orders' own."""
    body = """
    assert draft.currency == "USD" and draft.total_minor == 3 * 1801 + 1800
    first, second = draft.lines
    return [replace(first, discount_bp=2500), replace(second, unit_price_minor=1000)]
    """
    with shop_with(garden, sqlite_url, "orders_pricing", body) as shop:
        odd, tea = shop.product(price={"amount": "18.01", "currency": "USD"}), shop.product()
        shown = shop.placed(shop.ann, (odd, 3), (tea, 1))
        first, second = shown["lines"]
        assert (first["unit_price"]["amount"], first["discount"]) == ("18.01", 0.25)
        assert first["total"]["amount"] == "40.52"  # 40.5225, by the line
        assert (second["unit_price"]["amount"], second["discount"]) == ("10.00", 0)
        assert shown["total"]["amount"] == "50.52"
        assert shop.stock(odd) == 7
        path = f"/v1/orders/{shown['id']}"
        assert shop.call("GET", path, shop.ann).json()["total_cents"] == 5052


def test_pricing_extensions_build_on_each_other(garden: Garden, sqlite_url: str) -> None:
    """Each sees the lines as the one before it left them, in the order of the settings."""
    plant(garden, "orders_pricing", OFF, name="first")
    body = "return [replace(it, discount_bp=it.discount_bp * 2) for it in draft.lines]"
    plant(garden, "orders_pricing", body, name="second")
    with open_shop(sqlite_url, "first", "second") as shop:
        assert shop.placed(shop.ann)["total"]["amount"] == "9.00"
    with open_shop(sqlite_url, "second", "first") as shop:
        assert shop.placed(shop.ann)["total"]["amount"] == "13.50"


def test_a_failing_pricing_extension_fails_the_order(garden: Garden, database_url: str) -> None:
    """One that raises fails the order with 500 by name; nothing is written, the stock stays."""
    body = "raise RuntimeError('secret inside')"
    with shop_with(garden, database_url, "orders_pricing", body) as shop:
        tea = shop.product()
        answer = shop.order(shop.ann, (tea, 1))
        document = problem(answer, 500, "extension-failed")
        assert document["detail"] == "guest failed in orders_pricing."
        assert "secret" not in answer.text
        assert shop.stock(tea) == 10
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []


@pytest.mark.parametrize(
    "body",
    [
        "return None",
        "return 'cheap'",
        "return [it.total_minor for it in draft.lines]",
        "return draft.lines[:1]",
        "return [*draft.lines, draft.lines[0]]",
        "return draft.lines[::-1]",
        "return [replace(it, quantity=it.quantity + 1) for it in draft.lines]",
        "return [replace(it, product_id=it.product_id + 1) for it in draft.lines]",
        "return [replace(it, unit_price_minor=-1) for it in draft.lines]",
        "return [replace(it, unit_price_minor=17.5) for it in draft.lines]",
        "return [replace(it, unit_price_minor=10**14) for it in draft.lines]",
        "return [replace(it, discount_bp=-1) for it in draft.lines]",
        "return [replace(it, discount_bp=10001) for it in draft.lines]",
        "return [replace(it, discount_bp=True) for it in draft.lines]",
        "draft.lines[0].unit_price_minor = 0",
    ],
)
def test_what_pricing_may_not_do(garden: Garden, sqlite_url: str, body: str) -> None:
    """Products, quantities, number of lines are orders' own; prices and discounts have bounds."""
    with shop_with(garden, sqlite_url, "orders_pricing", body) as shop:
        tea, jam = shop.product(), shop.product()
        problem(shop.order(shop.ann, (tea, 1), (jam, 2)), 500, "extension-failed")
        assert (shop.stock(tea), shop.stock(jam)) == (10, 10)


def test_a_free_order_is_an_order(garden: Garden, sqlite_url: str) -> None:
    """A discount of all of it is allowed: the order comes to nothing."""
    body = "return [replace(it, discount_bp=10000) for it in draft.lines]"
    with shop_with(garden, sqlite_url, "orders_pricing", body) as shop:
        assert shop.placed(shop.ann)["total"]["amount"] == "0.00"


def test_a_problem_of_an_extension_is_the_answer(garden: Garden, sqlite_url: str) -> None:
    """A Problem that an extension raises on purpose reaches whoever orders."""
    body = "raise Conflict('no prices on Sundays')"
    with shop_with(garden, sqlite_url, "orders_pricing", body) as shop:
        assert problem(shop.order(shop.ann, (shop.product(), 1)), 409)["detail"] == (
            "no prices on Sundays"
        )


# --- orders_veto ---

VETO = "return 'too dear' if draft.total_minor > 2000 else None"


def test_a_veto_refuses_with_its_reason(garden: Garden, sqlite_url: str) -> None:
    """A reason is a 409 that says who and why, and nothing is ordered; None lets the order be."""
    with shop_with(garden, sqlite_url, "orders_veto", VETO) as shop:
        tea = shop.product()
        document = problem(shop.order(shop.ann, (tea, 2)), 409, "order-vetoed")
        assert (document["detail"], document["vetoed_by"]) == ("too dear", "guest")
        assert shop.stock(tea) == 10
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []
        assert shop.order(shop.ann, (tea, 1)).status_code == 201
        assert "not allowed" in shop.call("GET", "/problems/order-vetoed").text


def test_vetoes_see_what_pricing_left(garden: Garden, sqlite_url: str) -> None:
    """Vetoes are asked after all pricing, whatever the order of the modules."""
    plant(garden, "orders_veto", VETO, name="strict")
    half = "return [replace(it, discount_bp=5000) for it in draft.lines]"
    plant(garden, "orders_pricing", half, name="half")
    with open_shop(sqlite_url, "strict", "half") as shop:
        assert shop.order(shop.ann, (shop.product(), 2)).status_code == 201


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('secret')", "return True", "return ''", "return 0"]
)
def test_a_failing_veto_is_left_out(garden: Garden, sqlite_url: str, body: str) -> None:
    """A veto that raises, or gives what is no reason, does not stop the sales."""
    with shop_with(garden, sqlite_url, "orders_veto", body) as shop:
        assert shop.placed(shop.ann)["total"]["amount"] == "18.00"


def test_the_next_veto_is_asked_after_a_failing_one(garden: Garden, sqlite_url: str) -> None:
    """One that is left out leaves the others their say."""
    plant(garden, "orders_veto", "raise RuntimeError", name="broken")
    plant(garden, "orders_veto", VETO, name="strict")
    with open_shop(sqlite_url, "broken", "strict") as shop:
        document = problem(shop.order(shop.ann, (shop.product(), 2)), 409, "order-vetoed")
        assert document["vetoed_by"] == "strict"


def test_a_veto_whose_statement_fails_costs_nobody_the_order(
    garden: Garden, database_url: str
) -> None:
    """What a failing veto wrote is undone, and the order's own transaction goes on after it."""
    body = """
    await session.exec(text("UPDATE catalog_products SET stock = 0"))
    await session.exec(text("SELECT nothing FROM nowhere"))
    """
    with shop_with(garden, database_url, "orders_veto", body) as shop:
        tea = shop.product()
        assert shop.order(shop.ann, (tea, 1)).status_code == 201
        assert shop.stock(tea) == 9


def test_what_an_extension_writes_is_kept_with_the_order(garden: Garden, database_url: str) -> None:
    """An extension's statements are in the order's transaction: kept with it, gone with it."""
    body = """
    await session.exec(text("UPDATE catalog_products SET category = 'sold'"))
    return "no more" if draft.lines[0].quantity > 1 else None
    """
    with shop_with(garden, database_url, "orders_veto", body) as shop:
        tea = shop.product(category="tea")
        path = f"/v2/products/{tea['id']}"
        problem(shop.order(shop.ann, (tea, 2)), 409, "order-vetoed")
        assert shop.call("GET", path).json()["category"] == "tea"
        assert shop.order(shop.ann, (tea, 1)).status_code == 201
        assert shop.call("GET", path).json()["category"] == "sold"


ENDING = (
    "await session.close()",
    "await session.reset()",
    "await session.invalidate()",
    "await session.rollback()",
    "await session.commit()",
    "session.sync_session.rollback()",
    "session.sync_session.commit()",
    "await session.get_transaction().rollback()",
    "await session.get_transaction().commit()",
    "async with session: await session.exec(text('SELECT 1'))",
)


@pytest.mark.parametrize("body", ENDING)
def test_a_veto_that_ends_the_transaction_is_left_out(
    garden: Garden, database_url: str, body: str
) -> None:
    """Nobody but who opened it ends it: the veto fails as any may, and the order is whole."""
    with shop_with(garden, database_url, "orders_veto", body) as shop:
        tea = shop.product()
        assert shop.order(shop.ann, (tea, 2)).status_code == 201
        assert shop.stock(tea) == 8


@pytest.mark.parametrize("body", ENDING)
def test_a_price_that_ends_the_transaction_fails_the_order(
    garden: Garden, database_url: str, body: str
) -> None:
    """Nothing is ordered and nothing taken."""
    body += "\nreturn draft.lines"
    with shop_with(garden, database_url, "orders_pricing", body) as shop:
        tea = shop.product()
        problem(shop.order(shop.ann, (tea, 2)), 500, "extension-failed")
        assert shop.stock(tea) == 10
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []


@pytest.mark.parametrize(
    "body",
    [
        "await (await session.connection()).rollback()",
        "await session.exec(text('ROLLBACK'))",
        "session.sync_session.get_transaction().rollback()",
    ],
)
def test_no_order_is_kept_without_what_was_done_for_it(
    garden: Garden, database_url: str, body: str
) -> None:
    """Where a veto gets round all this and the order's transaction is gone, so is the order."""
    with shop_with(garden, database_url, "orders_veto", body) as shop:
        tea = shop.product()
        assert shop.order(shop.ann, (tea, 2)).status_code == 500
        assert shop.stock(tea) == 10
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []


# --- orders_placed ---

PRICES_AND_NOTES = """
async def half(session, draft):
    session.info["before"] = draft.total_minor
    return [replace(line, discount_bp=5000) for line in draft.lines]

async def note(session, order):
    told = f"{order.id}: {session.info['before']} {order.total_minor} {order.status}"
    await session.exec(text("UPDATE catalog_products SET category = :told"), params={"told": told})
    if order.lines[0].quantity > 1:
        raise RuntimeError("too many")

@hookimpl
def orders_pricing(context): return half

@hookimpl
def orders_placed(context): return note
"""


def test_what_is_noted_of_a_placed_order(garden: Garden, database_url: str) -> None:
    """`orders_placed` sees the order with its id in the session that priced it; what it writes is
    kept with the order, and there is no order where it fails."""
    source = HEAD + PRICES_AND_NOTES
    garden.plant("guest", minimal("guest", source, manifest="requires=('orders',)"))
    with open_shop(database_url, "guest") as shop:
        tea = shop.product(category="tea")
        path = f"/v2/products/{tea['id']}"
        document = problem(shop.order(shop.ann, (tea, 2)), 500, "extension-failed")
        assert document["detail"] == "guest failed in orders_placed."
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []
        assert (shop.stock(tea), shop.call("GET", path).json()["category"]) == (10, "tea")
        placed = shop.placed(shop.ann, (tea, 1))
        noted = f"{placed['id']}: 1800 900 created"
        assert shop.call("GET", path).json()["category"] == noted


@pytest.mark.parametrize("body", ["await session.close()", "await session.exec(text('ROLLBACK'))"])
def test_what_notes_an_order_cannot_end_its_transaction_either(
    garden: Garden, database_url: str, body: str
) -> None:
    """Of `orders_placed` it holds like of the others: there is no order, and nothing is taken."""
    with shop_with(garden, database_url, "orders_placed", body) as shop:
        tea = shop.product()
        problem(shop.order(shop.ann, (tea, 2)), 500, "extension-failed")
        assert shop.stock(tea) == 10
        assert shop.call("GET", "/v1/orders", shop.ann).json() == []


# --- ExchangeRates ---

RATES = """
class Rates:
    def __init__(self, context): pass

    async def rate(self, *, source, target):
        {body}

@hookimpl
def services(): return {{ExchangeRates: replacing(Rates)}}
"""


@contextmanager
def shop_at(garden: Garden, url: str, body: str) -> Iterator[Shop]:
    """A shop whose rates of exchange are another module's."""
    source = HEAD + RATES.format(body=body)
    garden.plant("bank", minimal("bank", source, manifest="requires=('orders',)"))
    with open_shop(url, "bank") as shop:
        yield shop


def priced(shop: Shop, amount: str, currency: str) -> dict[str, Any]:
    return shop.product(price={"amount": amount, "currency": currency})


def test_prices_are_converted_to_the_first_lines_currency(garden: Garden, sqlite_url: str) -> None:
    """The order is in the currency of its first line, others half up to the cent a piece."""
    body = (
        "return {('EUR', 'USD'): Decimal('1.085'), ('USD', 'EUR'): Decimal('0.5')}[source, target]"
    )
    with shop_at(garden, sqlite_url, body) as shop:
        euro, dollar = priced(shop, "1.00", "EUR"), priced(shop, "0.01", "USD")
        shown = shop.placed(shop.ann, (dollar, 1), (euro, 3))
        assert shown["currency"] == "USD"
        assert [line["unit_price"]["amount"] for line in shown["lines"]] == ["0.01", "1.09"]
        assert shown["total"] == {"amount": "3.28", "currency": "USD"}
        shown = shop.placed(shop.ann, (euro, 1), (dollar, 1))
        assert shown["total"] == {"amount": "1.01", "currency": "EUR"}


def test_without_a_rate_the_order_is_refused(garden: Garden, sqlite_url: str) -> None:
    """No rate is a 422 that names the currencies, and the stock stays."""
    with shop_at(garden, sqlite_url, "return None") as shop:
        euro, dollar = priced(shop, "1.00", "EUR"), priced(shop, "1.00", "USD")
        document = problem(shop.order(shop.ann, (euro, 1), (dollar, 1)), 422)
        assert "EUR and USD" in document["detail"]
        assert (shop.stock(euro), shop.stock(dollar)) == (10, 10)


def test_a_price_beyond_what_can_be_billed_is_refused(garden: Garden, sqlite_url: str) -> None:
    """A conversion to more than money can be written as is a 422, not an overflow."""
    with shop_at(garden, sqlite_url, "return Decimal(10) ** 14") as shop:
        euro, dollar = priced(shop, "1.00", "EUR"), priced(shop, "1.00", "USD")
        assert "billed" in problem(shop.order(shop.ann, (euro, 1), (dollar, 1)), 422)["detail"]


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity"])
def test_what_is_no_rate(garden: Garden, sqlite_url: str, rate: str) -> None:
    """A rate that is no positive number sells nothing."""
    with shop_at(garden, sqlite_url, f"return Decimal('{rate}')") as shop:
        euro, dollar = priced(shop, "1.00", "EUR"), priced(shop, "1.00", "USD")
        problem(shop.order(shop.ann, (euro, 1), (dollar, 1)), 500, "internal")
        assert (shop.stock(euro), shop.stock(dollar)) == (10, 10)


def test_rates_that_cannot_be_made_leave_the_shop_open(garden: Garden, sqlite_url: str) -> None:
    """A replacement that cannot be made fails its own module; orders goes on with its own rates."""
    source = HEAD + RATES.format(body="return None").replace(
        "pass", "raise RuntimeError('no file')"
    )
    garden.plant("bank", minimal("bank", source, manifest="requires=('orders',)"))
    with open_shop(sqlite_url, "bank") as shop:
        modules = shop.call("GET", "/readyz").json()["modules"]
        assert modules["orders"] == {"state": "enabled"}
        assert "no file" in modules["bank"]["reason"]
        assert shop.order(shop.ann, (shop.product(), 1)).status_code == 201
