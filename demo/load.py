"""Puts the Northwind data set into a running server; done again, it doubles nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from demo.client import Client, DemoError
from demo.northwind import CURRENCY, Customer, Northwind, Order, Product, Sales

ORDERS_A_CALL = 100

Progress = Callable[[str, int], None]
"""Called with the name of the step and how many more items are done."""


@dataclass(slots=True)
class Loaded:
    """What a run made, and what had been there before."""

    created: int = 0
    known: int = 0


def load_customers(client: Client, customers: Sequence[Customer], progress: Progress) -> Loaded:
    """A user for each customer."""
    done = Loaded()
    for customer in customers:
        made = client.post("/v2/users", {"name": customer.company, "email": customer.email})
        done.created += made is not None
        done.known += made is None
        progress("customers", 1)
    return done


def _create(client: Client, product: Product) -> Any:
    body = {
        "sku": product.sku,
        "name": product.name,
        "category": product.category,
        "price": {"amount": str(product.price), "currency": CURRENCY},
        "stock": product.stock,
        "is_active": not product.discontinued,
    }
    return client.post("/v2/products", body)


def load_products(
    client: Client, products: Sequence[Product], progress: Progress
) -> tuple[Loaded, dict[int, int]]:
    """The products, and Northwind's number -> the server's id of each."""
    done, ids = Loaded(), {}
    there: dict[str, Any] = {it["sku"]: it for it in client.pages("/v2/products")}
    for product in products:
        item = there.get(product.sku)
        done.known += item is not None
        if item is None:
            item = _create(client, product)
            done.created += 1
        if item is None:
            raise DemoError(f"{product.sku} is taken, but not in the list of products")
        ids[product.id] = int(item["id"])
        progress("products", 1)
    return done, ids


def _order(order: Order, emails: dict[str, str], products: dict[int, int]) -> dict[str, Any]:
    return {
        "external_ref": order.external_ref,
        "customer_email": emails[order.customer_id],
        "placed_at": f"{order.day}T00:00:00Z",
        "currency": CURRENCY,
        "lines": [
            {
                "product_id": products[line.product_id],
                "quantity": line.quantity,
                "unit_price": str(line.unit_price),
                "discount": str(line.discount),
            }
            for line in order.lines
        ],
    }


def load_orders(
    client: Client, data: Northwind, products: dict[int, int], progress: Progress
) -> Loaded:
    """The orders, a batch a call: each batch is written whole or not at all."""
    done, emails = Loaded(), data.emails()
    for start in range(0, len(data.orders), ORDERS_A_CALL):
        batch = data.orders[start : start + ORDERS_A_CALL]
        body = {"orders": [_order(order, emails, products) for order in batch]}
        answer = client.post("/v2/orders/import", body)
        if answer is None:
            raise DemoError("POST /v2/orders/import failed: the server says that it clashes")
        done.created += answer["created"]
        done.known += answer["skipped"]
        progress("orders", len(batch))
    return done


def sales(client: Client) -> Iterator[tuple[str, Sales]]:
    """(time placed, what was sold) of each Northwind order that the server holds now."""
    for order in client.pages("/v2/orders"):
        if (order["external_ref"] or "").startswith("northwind-"):
            units = sum(line["quantity"] for line in order["lines"])
            yield order["placed_at"], Sales(1, units, Decimal(order["total"]["amount"]))
