"""Orders that were placed elsewhere, written as history: few statements for many orders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.plugin import WritableSession, record
from modules.catalog.contracts import Catalog, UnknownProduct
from modules.orders import repository
from modules.orders.contracts import OrderDTO, OrderLineDTO, UnknownCustomer
from modules.orders.events import OrderCreated
from modules.orders.pricing import order_total
from modules.users.contracts import Users


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order of the past; `index` is its place in the request, for what is said of it."""

    index: int
    external_ref: str
    customer_email: str
    placed_at: datetime
    currency: str
    lines: tuple[OrderLineDTO, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many orders were written, and how many were known already."""

    created: int
    skipped: int


class History:
    """Writes past orders: all that are new, or none. It takes no stock; they are delivered."""

    def __init__(self, *, users: Users, catalog: Catalog) -> None:
        self._users = users
        self._catalog = catalog

    async def write(self, session: WritableSession, orders: Sequence[PastOrder]) -> Imported:
        """Raises UnknownCustomer, UnknownProduct; a reference that is known is skipped unread."""
        new = await _unknown(session, orders)
        ids: dict[str, int] = {}
        customers: dict[str, int] = {}
        if new:
            customers = await self._customers(session, new)
            await self._check_products(session, new)
            rows = [_row(order, customers[order.customer_email]) for order in new]
            ids = await repository.add_by_ref(session, rows)
        written = [order for order in new if order.external_ref in ids]
        if written:
            lines_of = [(ids[order.external_ref], order.lines) for order in written]
            await repository.add_lines(session, lines_of)
            for order in written:
                _tell(session, order, ids[order.external_ref], customers[order.customer_email])
        return Imported(created=len(written), skipped=len(orders) - len(written))

    async def _customers(
        self, session: WritableSession, orders: Sequence[PastOrder]
    ) -> dict[str, int]:
        found = await self._users.ids_by_email(session, {o.customer_email for o in orders})
        for order in orders:
            if order.customer_email not in found:
                raise _unknown_customer(order)
        return found

    async def _check_products(self, session: WritableSession, orders: Sequence[PastOrder]) -> None:
        wanted = {line.product_id for order in orders for line in order.lines}
        known = await self._catalog.known(session, wanted)
        if known != wanted:
            _name_unknown_product(orders, known)


async def _unknown(session: WritableSession, orders: Sequence[PastOrder]) -> list[PastOrder]:
    """Those whose reference no order has yet; of several with one reference, the first."""
    known = await repository.known_refs(session, {order.external_ref for order in orders})
    first: dict[str, PastOrder] = {}
    for order in orders:
        first.setdefault(order.external_ref, order)
    return [order for ref, order in first.items() if ref not in known]


def _row(order: PastOrder, user_id: int) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "status": "delivered",
        "currency": order.currency,
        "total_minor": order_total(order.lines, loc=("body", "orders", order.index)),
        "placed_at": order.placed_at,
        "external_ref": order.external_ref,
    }


def _tell(session: WritableSession, order: PastOrder, order_id: int, user_id: int) -> None:
    written = OrderDTO(id=order_id, lines=order.lines, **_row(order, user_id))
    record(session, OrderCreated.of(written, imported=True), version=repository.FIRST_VERSION)


def _unknown_customer(order: PastOrder) -> UnknownCustomer:
    text = f"There is no customer {order.customer_email}."
    loc = ["body", "orders", order.index, "customer_email"]
    error = {"loc": loc, "msg": text, "type": "unknown_customer"}
    return UnknownCustomer(text, errors=[error], customer_email=order.customer_email)


def _name_unknown_product(orders: Sequence[PastOrder], known: Collection[int]) -> None:
    for order in orders:
        for position, line in enumerate(order.lines):
            if line.product_id not in known:
                loc = ("body", "orders", order.index, "lines", position, "product_id")
                raise UnknownProduct(line.product_id, loc=loc)
