"""What leads to a mail. It leaves the house, so no transaction is open meanwhile."""

from __future__ import annotations

from core.plugin import Delivery
from modules.notifications.service import NotificationService
from modules.orders.events import OrderCreated
from modules.users.events import UserRegistered


async def user_registered(event: UserRegistered, delivery: Delivery) -> None:
    """Welcome."""
    await _service(delivery).welcome(event, effect_id=delivery.effect_id)


async def order_created(event: OrderCreated, delivery: Delivery) -> None:
    """Confirm the order."""
    await _service(delivery).order_confirmation(event, effect_id=delivery.effect_id)


def _service(delivery: Delivery) -> NotificationService:
    return delivery.context.service(NotificationService)
