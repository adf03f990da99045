"""The Northwind sample: a trading company's customers, products and orders of 1996 to 1998.

Microsoft published it for SQL Server under the Microsoft Public License (see NOTICE).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files

CURRENCY = "USD"
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Customer:
    """A company that buys; here it becomes a user without a password."""

    id: str
    company: str

    @property
    def email(self) -> str:
        """A made-up address in a domain that is nobody's (RFC 2606)."""
        return f"{self.id.lower()}@northwind.example"


@dataclass(frozen=True, slots=True)
class Product:
    """A thing that is sold; `price` in US dollars."""

    id: int
    name: str
    category: str
    price: Decimal
    stock: int
    discontinued: bool

    @property
    def sku(self) -> str:
        """The number by which the product is found again: ``NW-007``."""
        return f"NW-{self.id:03}"


@dataclass(frozen=True, slots=True)
class Line:
    """One product on an order; `discount` is a share: 0.15 is 15 %."""

    product_id: int
    unit_price: Decimal
    quantity: int
    discount: Decimal

    @property
    def total(self) -> Decimal:
        """What the line comes to, rounded half up to the cent."""
        exact = self.unit_price * self.quantity * (1 - self.discount)
        return exact.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Order:
    """An order and the day (UTC) on which it was placed, as ``1996-07-04``."""

    id: int
    customer_id: str
    day: str
    lines: tuple[Line, ...]

    @property
    def external_ref(self) -> str:
        """The name by which an import knows that it has seen the order."""
        return f"northwind-{self.id}"


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold: orders, pieces and money."""

    orders: int = 0
    units: int = 0
    revenue: Decimal = Decimal(0)

    def __add__(self, other: Sales) -> Sales:
        return Sales(
            self.orders + other.orders, self.units + other.units, self.revenue + other.revenue
        )


@dataclass(frozen=True, slots=True)
class Northwind:
    """The whole data set."""

    customers: tuple[Customer, ...]
    products: tuple[Product, ...]
    orders: tuple[Order, ...]

    def emails(self) -> dict[str, str]:
        """customer id -> address."""
        return {customer.id: customer.email for customer in self.customers}


def sales_by_year(sales: Iterable[tuple[str, Sales]]) -> dict[str, Sales]:
    """Add up what was sold by the year in which each day (``1996-07-04…``) lies."""
    years: dict[str, Sales] = {}
    for day, sold in sales:
        years[day[:4]] = years.get(day[:4], Sales()) + sold
    return dict(sorted(years.items()))


def sold(order: Order) -> Sales:
    """What one order comes to."""
    units = sum(line.quantity for line in order.lines)
    return Sales(1, units, sum((line.total for line in order.lines), Decimal(0)))


def _rows(name: str) -> Iterator[dict[str, str]]:
    source = files("demo").joinpath("data", "northwind", f"{name}.csv")
    yield from csv.DictReader(source.read_text(encoding="utf-8").splitlines())


def _product(row: dict[str, str]) -> Product:
    return Product(
        id=int(row["product_id"]),
        name=row["product_name"],
        category=row["category_name"],
        price=Decimal(row["unit_price"]),
        stock=int(row["units_in_stock"]),
        discontinued=row["discontinued"] == "1",
    )


def _lines() -> dict[int, list[Line]]:
    lines: dict[int, list[Line]] = {}
    for row in _rows("order_lines"):
        line = Line(
            product_id=int(row["product_id"]),
            unit_price=Decimal(row["unit_price"]),
            quantity=int(row["quantity"]),
            discount=Decimal(row["discount"]),
        )
        lines.setdefault(int(row["order_id"]), []).append(line)
    return lines


def read() -> Northwind:
    """Read the data set that lies in this package."""
    lines = _lines()
    return Northwind(
        customers=tuple(
            Customer(it["customer_id"], it["company_name"]) for it in _rows("customers")
        ),
        products=tuple(_product(row) for row in _rows("products")),
        orders=tuple(
            Order(number, it["customer_id"], it["order_date"], tuple(lines[number]))
            for it in _rows("orders")
            for number in (int(it["order_id"]),)
        ),
    )
