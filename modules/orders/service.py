"""The rules of the orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from core.plugin import NotFound, Session, Unprocessable, WritableSession, record
from modules.catalog.contracts import Catalog
from modules.orders import pricing, repository, states
from modules.orders.contracts import (
    DraftLine,
    ExchangeRates,
    IllegalStep,
    OrderDraft,
    OrderDTO,
    OrderLineDTO,
    Status,
)
from modules.orders.drafting import Extensions, in_one_currency
from modules.orders.events import OrderCreated, OrderStatusChanged
from modules.orders.history import History, Imported, PastOrder
from modules.orders.settings import OrdersSettings
from modules.users.contracts import Users

MAX_QUANTITY = 10_000
"""Pieces of one product in an order."""


class OrderService:
    """Implements `modules.orders.contracts.Orders`, and what the orders' own routes need."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        users: Users,
        rates: ExchangeRates,
        extensions: Extensions,
        settings: OrdersSettings,
    ) -> None:
        self._catalog = catalog
        self._rates = rates
        self._extensions = extensions
        self._settings = settings
        self._history = History(users=users, catalog=catalog)

    async def get(self, session: Session, order_id: int, *, user_id: int | None = None) -> OrderDTO:
        order = await repository.get(session, order_id, user_id=user_id)
        if order is None:
            raise _no_order(order_id)
        return order

    async def find(
        self,
        session: Session,
        *,
        user_id: int | None,
        status: Status | None = None,
        after: int = 0,
        skip: int = 0,
        limit: int,
    ) -> list[OrderDTO]:
        return await repository.find(
            session, user_id=user_id, status=status, after=after, skip=skip, limit=limit
        )

    async def place(
        self, session: WritableSession, *, user_id: int, wanted: Sequence[tuple[int, int]]
    ) -> OrderDTO:
        """Order (product id, quantity) at today's prices; a product named twice is one line.

        A price in another currency than the first's is converted. Raises Unprocessable,
        OrderVetoed, what `Catalog.take_stock` raises and what extensions of others raise.
        """
        taken = await self._catalog.take_stock(session, self._merged(wanted))
        sold = await in_one_currency(taken, self._rates)
        lines = [
            pricing.line(s.product_id, quantity=s.quantity, unit_price_minor=s.unit_price_minor)
            for s in sold
        ]
        if self._extensions:
            lines = await self._extended(session, user_id, sold[0].currency, lines)
        placed = await self._write(session, user_id, sold[0].currency, lines)
        await self._extensions.note(session, placed)
        return placed

    async def _extended(
        self, session: WritableSession, user_id: int, currency: str, lines: Sequence[OrderLineDTO]
    ) -> list[OrderLineDTO]:
        """The lines as the extensions of other modules leave them; the totals stay our own."""
        draft = OrderDraft(
            user_id,
            currency,
            tuple(DraftLine(it.product_id, it.quantity, it.unit_price_minor) for it in lines),
        )
        draft = await self._extensions.apply(session, draft)
        return [pricing.line(**asdict(it)) for it in draft.lines]

    async def _write(
        self, session: WritableSession, user_id: int, currency: str, lines: Sequence[OrderLineDTO]
    ) -> OrderDTO:
        order = OrderDTO(
            id=0,
            user_id=user_id,
            status="created",
            currency=currency,
            total_minor=pricing.order_total(lines),
            placed_at=datetime.now(UTC),
            external_ref=None,
            lines=tuple(lines),
        )
        placed = await repository.add(session, order)
        record(session, OrderCreated.of(placed), version=repository.FIRST_VERSION)
        return placed

    async def move(
        self,
        session: WritableSession,
        order_id: int,
        new: Status,
        *,
        user_id: int | None = None,
    ) -> OrderDTO:
        """Take an order to its next state; a cancelled one gives its stock back.

        With `user_id`, only that user's. Raises NotFound, IllegalStep.
        """
        moved = await self._step(session, order_id, new, user_id)
        if moved is None:
            raise await self._refusal(session, order_id, new, user_id)
        [order] = await repository.with_lines(session, [moved])
        if new == "cancelled":
            await self._catalog.return_stock(
                session, [(line.product_id, line.quantity) for line in order.lines]
            )
        return order

    async def _step(
        self, session: WritableSession, order_id: int, new: Status, user_id: int | None
    ) -> OrderDTO | None:
        """The order as moved, without its lines, and told; None when it may not take the step.

        An order only goes forward, so that trying the earlier state first misses none.
        """
        for old in states.before(new):
            moved = await repository.move(session, order_id, new, old=old, user_id=user_id)
            if moved is not None:
                order, version = moved
                step = OrderStatusChanged(
                    order_id=order.id, user_id=order.user_id, old=old, new=new
                )
                record(session, step, version=version)
                return order
        return None

    async def import_orders(
        self, session: WritableSession, orders: Sequence[PastOrder]
    ) -> Imported:
        """Write history; see `History.write`."""
        return await self._history.write(session, orders)

    async def _refusal(
        self, session: Session, order_id: int, new: Status, user_id: int | None
    ) -> NotFound | IllegalStep:
        status = await repository.status_of(session, order_id, user_id=user_id)
        if status is None:
            return _no_order(order_id)
        return IllegalStep(f"An order that is {status} cannot become {new}.", order_status=status)

    def _merged(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        if len(wanted) > self._settings.max_lines:
            most = self._settings.max_lines
            raise Unprocessable.at("body", "lines", msg=f"an order has at most {most} lines")
        quantities: dict[int, int] = {}
        for product_id, quantity in wanted:
            quantities[product_id] = quantities.get(product_id, 0) + quantity
        for product_id, quantity in quantities.items():
            if quantity > MAX_QUANTITY:
                text = f"at most {MAX_QUANTITY} pieces of a product, {quantity} of {product_id}"
                raise Unprocessable.at("body", "lines", msg=text)
        return list(quantities.items())


def _no_order(order_id: int) -> NotFound:
    return NotFound(f"There is no order {order_id}.")
