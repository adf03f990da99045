"""What analytics does when something happened to an order."""

from __future__ import annotations

from core.plugin import Delivery, WritableSession
from modules.analytics import repository
from modules.orders.events import OrderCreated, OrderStatusChanged


async def order_created(session: WritableSession, event: OrderCreated, _: Delivery) -> None:
    """Count it among the sales of the day on which it was placed."""
    await repository.add(
        session,
        order_id=event.order_id,
        placed_on=event.placed_at.date(),
        currency=event.currency,
        units=event.units,
        revenue_minor=event.total_minor,
    )


async def order_status_changed(
    session: WritableSession, event: OrderStatusChanged, _: Delivery
) -> None:
    """A cancelled order was no sale."""
    if event.new == "cancelled":
        await repository.remove(session, event.order_id)


async def start_anew(session: WritableSession) -> None:
    """Forget everything: it is told again."""
    await repository.clear(session)
