"""Stock under concurrency: one statement takes all lines of an order, or what is left is told.

The rows are locked in the order of their ids before any is changed (two orders with the same
products in opposite order would wait for each other otherwise), and the UPDATE itself asks whether
there is enough: it sees the row as the last committed order left it. SQLite has one writer and
leaves the lock out. https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Update, case, literal, select, update

from core.plugin import WritableSession
from modules.catalog.contracts import OutOfStock, ProductInactive, Sold, UnknownProduct
from modules.catalog.repository import products, several

_c = products.c


Versions = dict[int, int]
"""The version of each product after its stock changed, by id."""


async def take(
    session: WritableSession, quantities: Mapping[int, int]
) -> tuple[dict[int, Sold], Versions]:
    """Take pieces by product id. Raises UnknownProduct, ProductInactive, OutOfStock."""
    pieces = _pieces(quantities)
    statement = _update(quantities, _c.stock - pieces).where(_c.stock >= pieces, _c.is_active)
    columns = (_c.id, _c.price_minor, _c.currency, _c.version)
    taken = list(await session.exec(statement.returning(*columns)))
    sold = {i: Sold(i, quantities[i], price, currency) for i, price, currency, _ in taken}
    if len(sold) < len(quantities):
        await _refuse(session, {i: n for i, n in quantities.items() if i not in sold})
    return sold, {row[0]: row[-1] for row in taken}


async def put_back(session: WritableSession, quantities: Mapping[int, int]) -> Versions:
    """Add pieces by product id; those that are gone are passed over."""
    statement = _update(quantities, _c.stock + _pieces(quantities))
    raised = await session.exec(statement.returning(_c.id, _c.version))
    return {row[0]: row[1] for row in raised}


def _pieces(quantities: Mapping[int, int]) -> ColumnElement[int]:
    """How many of the product of the row at hand."""
    kind = _c.stock.type
    if len(quantities) == 1:
        return literal(next(iter(quantities.values())), kind)
    return case(*((_c.id == i, literal(quantity, kind)) for i, quantity in quantities.items()))


def _update(quantities: Mapping[int, int], stock: ColumnElement[int]) -> Update:
    """One row locks itself; several are locked in order first."""
    statement = update(products).values(
        stock=stock, updated_at=datetime.now(UTC), version=_c.version + 1
    )
    if len(quantities) == 1:
        return statement.where(_c.id == next(iter(quantities)))
    return statement.where(_c.id == _locked(quantities).c.id)


def _locked(quantities: Mapping[int, int]) -> CTE:
    rows = select(_c.id).where(_c.id.in_(sorted(quantities))).order_by(_c.id)
    return rows.with_for_update().cte("locked")


async def _refuse(session: WritableSession, quantities: Mapping[int, int]) -> None:
    found: dict[int, Any] = await several(session, quantities)
    for product_id, quantity in quantities.items():
        product = found.get(product_id)
        if product is None:
            raise UnknownProduct(product_id, loc=("body", "lines"))
        if not product.is_active:
            raise ProductInactive(f"{product.name} is not for sale.", product_id=product_id)
        raise OutOfStock(
            f"{quantity} of {product.name} were asked for, {product.stock} are left.",
            product_id=product_id,
            available=product.stock,
        )
