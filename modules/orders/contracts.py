"""What other modules may use of the orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, Protocol

from core.plugin import Conflict, Session, Unprocessable, WritableSession

WHOLE: Final = 10_000
"""Basis points in one: a discount of 1500 is 15 %."""

Status = Literal["created", "paid", "shipped", "delivered", "cancelled"]
"""Where an order stands."""


def line_total(unit_price_minor: int, quantity: int, discount_bp: int) -> int:
    """Unit price × quantity × (1 − discount), rounded half up to the minor unit."""
    return (unit_price_minor * quantity * (WHOLE - discount_bp) + WHOLE // 2) // WHOLE


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


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A line of an order that is being placed, before its total is fixed."""

    product_id: int
    quantity: int
    unit_price_minor: int
    discount_bp: int = 0

    @property
    def total_minor(self) -> int:
        """What the line would come to now."""
        return line_total(self.unit_price_minor, self.quantity, self.discount_bp)


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """An order that is being placed: its stock is taken, its prices are known, no row is written.

    Money is in minor units of `currency`.
    """

    user_id: int
    currency: str
    lines: tuple[DraftLine, ...]

    @property
    def total_minor(self) -> int:
        """What the order would come to now."""
        return sum(line.total_minor for line in self.lines)


class PriceLines(Protocol):
    """What an implementation of `orders_pricing` returns."""

    async def __call__(self, session: WritableSession, draft: OrderDraft, /) -> Sequence[DraftLine]:
        """The draft's lines with other prices or discounts: as many, in the same order.

        Runs in the order's transaction, which the caller commits. A `Problem` that it raises is the
        answer to whoever orders.
        """
        ...


class VetoOrder(Protocol):
    """What an implementation of `orders_veto` returns."""

    async def __call__(self, session: WritableSession, draft: OrderDraft, /) -> str | None:
        """Why this order must not be, for the eyes of whoever orders; None when it may be."""
        ...


class NoteOrder(Protocol):
    """What an implementation of `orders_placed` returns."""

    async def __call__(self, session: WritableSession, order: OrderDTO, /) -> None:
        """Write down what belongs to this order, which is written and has its id.

        Runs in the order's transaction, which the caller commits. A `Problem` that it raises is the
        answer to whoever orders; there is no order then.
        """
        ...


class OrderVetoed(Conflict):
    """A part of this service does not allow the order. `detail` is its reason, `vetoed_by` names
    it. Nothing was ordered."""

    slug = "order-vetoed"
    title = "The order is not allowed"


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


class ExchangeRates(Protocol):
    """A port of this module: what one currency is worth in another.

    Orders itself knows only that a currency is worth itself; a module that requires orders may take
    its place, ``services()`` returning ``{ExchangeRates: replacing(factory)}``.
    """

    async def rate(self, *, source: str, target: str) -> Decimal | None:
        """How many units of `target` one unit of `source` is worth; None when nobody knows.

        Both are ISO 4217 codes. Asked inside an order's transaction: answer from memory.
        """
        ...
