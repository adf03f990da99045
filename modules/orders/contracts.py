"""What other modules may use of the orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from core.plugin import Conflict, Session, Unprocessable

Status = Literal["created", "paid", "shipped", "delivered", "cancelled"]
"""Where an order stands."""


@dataclass(frozen=True, slots=True)
class OrderLineDTO:
    """A line: the price of one piece in minor units, the discount in basis points (1500: 15 %)."""

    product_id: int
    quantity: int
    unit_price_minor: int
    discount_bp: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class OrderDTO:
    """An order with its lines; `total_minor` is their sum, in minor units of `currency`."""

    id: int
    user_id: int
    status: Status
    currency: str
    total_minor: int
    placed_at: datetime
    external_ref: str | None
    lines: tuple[OrderLineDTO, ...] = ()


class IllegalStep(Conflict):
    """An order goes from created to paid, shipped and delivered; it can be cancelled until it is
    shipped. `order_status` says where this one stands."""

    slug = "illegal-step"
    title = "The order cannot take this step"


class UnknownCustomer(Unprocessable):
    """An imported order names a customer whom nobody knows. Nothing of the import was written."""

    slug = "unknown-customer"
    title = "There is no such customer"


class Orders(Protocol):
    """Orders as other modules see them. Nothing here commits."""

    async def get(self, session: Session, order_id: int, *, user_id: int | None = None) -> OrderDTO:
        """One order; with `user_id`, only if it is that user's. Raises NotFound."""
        ...
