"""The Northwind data set, as it is read and added up."""

from decimal import Decimal

import pytest

from demo.northwind import Line, Sales, read, sales_by_year, sold


def line(price: str, quantity: int, discount: str) -> Line:
    """A line of one product."""
    return Line(1, Decimal(price), quantity, Decimal(discount))


@pytest.mark.parametrize(
    ("price", "quantity", "discount", "total"),
    [
        ("14.00", 12, "0.00", "168.00"),
        ("16.80", 6, "0.05", "95.76"),
        ("0.05", 1, "0.10", "0.05"),  # 0.045: half goes up
        ("0.03", 1, "0.50", "0.02"),  # 0.015: half goes up, also where the even cent is below
        ("0.05", 1, "0.50", "0.03"),  # 0.025: half goes up, where banker's rounding goes down
        ("263.50", 1, "1", "0.00"),
    ],
)
def test_a_line_is_rounded_half_up(price: str, quantity: int, discount: str, total: str) -> None:
    """A line comes to unit price x quantity x (1 - discount), rounded half up to the cent."""
    assert line(price, quantity, discount).total == Decimal(total)


def test_the_data_set_is_whole() -> None:
    """91 customers, 77 products, 830 orders and 2,155 lines are read."""
    data = read()
    lines = sum(len(order.lines) for order in data.orders)
    assert (len(data.customers), len(data.products), len(data.orders), lines) == (91, 77, 830, 2155)


def test_the_data_set_adds_up_to_the_published_figures() -> None:
    """Orders, units and revenue by year are the published ones, rounded a line."""
    years = sales_by_year((order.day, sold(order)) for order in read().orders)
    assert {year: (it.orders, it.revenue) for year, it in years.items()} == {
        "1996": (152, Decimal("208083.99")),
        "1997": (408, Decimal("617085.35")),
        "1998": (270, Decimal("440623.95")),
    }
    assert sum(years.values(), Sales()) == Sales(830, 51317, Decimal("1265793.29"))


def test_unrounded_it_is_the_published_total() -> None:
    """Without rounding the lines come to 1,265,793.04, so that no line was lost or doubled."""
    lines = [line for order in read().orders for line in order.lines]
    exact = sum((it.unit_price * it.quantity * (1 - it.discount) for it in lines), Decimal(0))
    assert exact.quantize(Decimal("0.01")) == Decimal("1265793.04")


def test_names_are_unique() -> None:
    """No two customers share an address, no two products a number, no two orders a reference."""
    data = read()
    for names in (
        [it.email for it in data.customers],
        [it.sku for it in data.products],
        [it.external_ref for it in data.orders],
    ):
        assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere() -> None:
    """Each order's customer and each line's product is in the data set."""
    data = read()
    emails, products = data.emails(), {product.id for product in data.products}
    assert all(order.customer_id in emails for order in data.orders)
    assert {line.product_id for order in data.orders for line in order.lines} <= products


def test_names_outside_ascii_survive() -> None:
    """Company names keep their accents."""
    names = {customer.id: customer.company for customer in read().customers}
    assert names["ANTON"] == "Antonio Moreno Taquería"
