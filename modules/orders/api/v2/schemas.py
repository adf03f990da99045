"""Bodies of version 2: money is an amount as text with its currency."""

from __future__ import annotations

from typing import Self

from core.plugin import Money, Schema, UtcTime
from modules.orders.contracts import OrderDTO, OrderLineDTO, Status
from modules.orders.pricing import WHOLE


class OrderLine(Schema):
    """A line of an order; the discount is a share of one."""

    product_id: int
    quantity: int
    unit_price: Money
    discount: float
    total: Money

    @classmethod
    def of(cls, line: OrderLineDTO, currency: str) -> Self:
        """The line as version 2 shows it."""
        return cls(
            product_id=line.product_id,
            quantity=line.quantity,
            unit_price=Money.of_minor(line.unit_price_minor, currency),
            discount=line.discount_bp / WHOLE,
            total=Money.of_minor(line.total_minor, currency),
        )


class Order(Schema):
    """An order with its lines."""

    id: int
    user_id: int
    status: Status
    currency: str
    total: Money
    placed_at: UtcTime
    external_ref: str | None
    lines: list[OrderLine]

    @classmethod
    def of(cls, order: OrderDTO) -> Self:
        """The order as version 2 shows it."""
        return cls(
            id=order.id,
            user_id=order.user_id,
            status=order.status,
            currency=order.currency,
            total=Money.of_minor(order.total_minor, order.currency),
            placed_at=order.placed_at,
            external_ref=order.external_ref,
            lines=[OrderLine.of(line, order.currency) for line in order.lines],
        )
