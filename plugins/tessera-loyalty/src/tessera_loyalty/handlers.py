"""What loyalty does when something happened to a user or an order."""

from __future__ import annotations

from core.plugin import Delivery, WritableSession
from modules.orders.events import OrderStatusChanged
from modules.users.events import UserDeleted
from tessera_loyalty import repository
from tessera_loyalty.service import LoyaltyService


async def user_deleted(session: WritableSession, event: UserDeleted, _: Delivery) -> None:
    """Points go with whom they belonged to. No foreign key reaches across modules; this does."""
    await repository.forget(session, event.user_id)


async def order_status_changed(
    session: WritableSession, event: OrderStatusChanged, delivery: Delivery
) -> None:
    """A cancelled order has earned nothing, and nothing was spent on it."""
    if event.new == "cancelled":
        loyalty = delivery.context.service(LoyaltyService)
        await loyalty.cancel(session, event.user_id, order_id=event.order_id)
