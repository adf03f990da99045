"""What happens to orders, for other modules to act on. Money is in minor units of `currency`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from core.plugin import Event
from modules.orders.contracts import OrderDTO, Status


class OrderedLine(BaseModel):
    """A line of an order that was placed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_id: int
    quantity: int
    unit_price_minor: int
    total_minor: int


class OrderCreated(Event, type="orders.order_created.v1", aggregate="order", key="order_id"):
    """An order was placed, or (`imported`) written as history."""

    order_id: int
    user_id: int
    placed_at: datetime
    imported: bool
    currency: str
    total_minor: int
    units: int
    lines: tuple[OrderedLine, ...]

    @classmethod
    def of(cls, order: OrderDTO, *, imported: bool = False) -> OrderCreated:
        """The event that tells of this order."""
        return cls(
            order_id=order.id,
            user_id=order.user_id,
            placed_at=order.placed_at,
            imported=imported,
            currency=order.currency,
            total_minor=order.total_minor,
            units=sum(line.quantity for line in order.lines),
            lines=tuple(
                OrderedLine(
                    product_id=line.product_id,
                    quantity=line.quantity,
                    unit_price_minor=line.unit_price_minor,
                    total_minor=line.total_minor,
                )
                for line in order.lines
            ),
        )


class OrderStatusChanged(
    Event, type="orders.order_status_changed.v1", aggregate="order", key="order_id"
):
    """An order took a step: it was paid, shipped, delivered or cancelled."""

    order_id: int
    user_id: int
    old: Status
    new: Status
