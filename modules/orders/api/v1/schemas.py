"""Bodies of version 1: money is an integer of cents in the order's currency."""

from __future__ import annotations

from typing import Self

from core.plugin import Schema, UtcTime
from modules.orders.contracts import OrderDTO, OrderLineDTO, Status
from modules.orders.pricing import WHOLE


class OrderLine(Schema):
    """A line of an order; the discount is a share of one."""

    product_id: int
    quantity: int
    unit_price_cents: int
    discount: float
    total_cents: int

    @classmethod
    def of(cls, line: OrderLineDTO) -> Self:
        """The line as version 1 shows it."""
        return cls(
            product_id=line.product_id,
            quantity=line.quantity,
            unit_price_cents=line.unit_price_minor,
            discount=line.discount_bp / WHOLE,
            total_cents=line.total_minor,
        )


class Order(Schema):
    """An order with its lines."""

    id: int
    user_id: int
    status: Status
    currency: str
    total_cents: int
    placed_at: UtcTime
    external_ref: str | None
    lines: list[OrderLine]

    @classmethod
    def of(cls, order: OrderDTO) -> Self:
        """The order as version 1 shows it."""
        return cls(
            id=order.id,
            user_id=order.user_id,
            status=order.status,
            currency=order.currency,
            total_cents=order.total_minor,
            placed_at=order.placed_at,
            external_ref=order.external_ref,
            lines=[OrderLine.of(line) for line in order.lines],
        )
