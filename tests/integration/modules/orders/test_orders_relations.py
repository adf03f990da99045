"""Orders and their lines: a relation inside one module."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import delete, select

from core.testing import AppFactory
from modules.orders.models import Line, Order
from tests.support.databases import database_url

__all__ = ["database_url"]

NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


def line_of(order_id: int) -> Line:
    """One piece of product 1 for 5.00."""
    return Line(
        order_id=order_id,
        position=1,
        product_id=1,
        quantity=1,
        unit_price_minor=500,
        discount_bp=0,
        total_minor=500,
    )


def test_lines_go_with_their_order(app_factory: AppFactory, database_url: str) -> None:
    """Deleting an order deletes its lines (cascade); no other module's rows hang on it."""
    app = app_factory(["orders"], database_url=database_url)

    async def lines_after_deleting() -> list[int]:
        async with app.context("orders").write() as session:
            order = Order(
                user_id=1,
                status="created",
                currency="USD",
                total_minor=500,
                placed_at=NOW,
                created_at=NOW,
            )
            session.add(order)
            await session.flush()
            assert order.id is not None
            session.add(line_of(order.id))
            await session.flush()
            await session.exec(delete(Order))
            return list((await session.exec(select(Line.position))).all())

    assert app.run(lines_after_deleting) == []


def test_a_line_has_an_order(app_factory: AppFactory, database_url: str) -> None:
    """A line of an order that does not exist is refused by the database itself."""
    app = app_factory(["orders"], database_url=database_url)

    async def write() -> None:
        async with app.context("orders").write() as session:
            session.add(line_of(404))

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        app.run(write)
