"""What stands between the prices of the catalogue and the total: currencies, extensions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.plugin import (
    Context,
    Extension,
    ExtensionFailed,
    Unprocessable,
    WritableSession,
    round_half_up,
)
from modules.catalog.contracts import Sold
from modules.orders.contracts import (
    WHOLE,
    DraftLine,
    ExchangeRates,
    OrderDraft,
    OrderDTO,
    OrderVetoed,
)
from modules.orders.extensions import orders_placed, orders_pricing, orders_veto
from modules.orders.pricing import MAX_TOTAL

S = TypeVar("S")
"""What an extension is shown: the draft, or the order."""
T = TypeVar("T")
log = structlog.get_logger("tessera.orders")


class OwnRates:
    """The `ExchangeRates` of orders itself: a currency is worth itself, and nobody knows more."""

    async def rate(self, *, source: str, target: str) -> Decimal | None:
        return Decimal(1) if source == target else None


async def in_one_currency(sold: Sequence[Sold], rates: ExchangeRates) -> Sequence[Sold]:
    """The same with every price in the currency of the first, rounded half up to the minor unit.

    Raises Unprocessable when there is no rate for one, or a price cannot be written in it.
    """
    target = sold[0].currency
    foreign = {one.currency for one in sold if one.currency != target}
    if not foreign:
        return sold
    asked = {source: await rates.rate(source=source, target=target) for source in sorted(foreign)}
    known = {source: _positive(rate) for source, rate in asked.items() if rate is not None}
    if unknown := foreign - set(known):
        named = " and ".join(sorted({target, *unknown}))
        text = f"the products have prices in {named}: order them apart"
        raise Unprocessable.at("body", "lines", msg=text, kind="currencies")
    return [_converted(one, target, known.get(one.currency)) for one in sold]


def _positive(rate: Decimal) -> Decimal:
    if not (rate.is_finite() and rate > 0):
        raise ValueError(f"a rate of exchange of {rate}")
    return rate


def _converted(one: Sold, target: str, rate: Decimal | None) -> Sold:
    if rate is None:
        return one
    exact = one.unit_price_minor * rate
    if exact > MAX_TOTAL:
        text = f"product {one.product_id} costs more in {target} than can be billed"
        raise Unprocessable.at("body", "lines", msg=text)
    return replace(one, unit_price_minor=round_half_up(exact), currency=target)


class Extensions:
    """What other modules add to placing an order; false when nobody has a say in its draft."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __bool__(self) -> bool:
        return bool(self._pricing or self._vetoes)

    @property
    def _pricing(self) -> Sequence[Extension[..., Any]]:
        return self._context.extensions(orders_pricing)

    @property
    def _vetoes(self) -> Sequence[Extension[..., Any]]:
        return self._context.extensions(orders_veto)

    async def apply(self, session: WritableSession, draft: OrderDraft) -> OrderDraft:
        """The draft as the extensions leave it.

        Raises OrderVetoed, ExtensionFailed, and any Problem that an extension raises.
        """
        for extension in self._pricing:
            lines = await _held(extension, _lines_that_may_be)(session, draft)
            draft = replace(draft, lines=lines)
        for extension in self._vetoes:
            if reason := await _held(extension, _a_reason)(session, draft):
                raise OrderVetoed(reason, vetoed_by=extension.module)
        return draft

    async def note(self, session: WritableSession, order: OrderDTO) -> None:
        """Show the others the order as it was written.

        Raises ExtensionFailed, and any Problem that an extension raises.
        """
        for extension in self._context.extensions(orders_placed):
            await _held(extension, _nothing)(session, order)


def _held(
    extension: Extension[..., Any], rule: Callable[[S, Any], T]
) -> Callable[[WritableSession, S], Awaitable[Any]]:
    """The same extension, whose answer keeps to `rule`, and of which nothing stays if it fails.

    Without a savepoint PostgreSQL would refuse every statement after one of its that failed.
    """

    async def call(session: WritableSession, shown: S) -> T:
        async with _savepoint(session, extension):
            kept = rule(shown, await extension.implementation(session, shown))
            await session.flush()  # what is wrong with its rows is its failure, too
            return kept

    return replace(extension, implementation=call)


@asynccontextmanager
async def _savepoint(
    session: WritableSession, extension: Extension[..., Any]
) -> AsyncIterator[None]:
    """Keep what is done in the block, or nothing of it when it raises.

    Raises ExtensionFailed, whatever the point says, where the order's own transaction is gone: the
    stock that was taken went with it, or was kept without an order.
    """
    whole = session.sync_session.get_transaction()
    savepoint = await session.begin_nested()
    end = savepoint.rollback
    try:
        yield
        end = savepoint.commit
    finally:
        try:
            await end()
            is_whole = whole is None or session.sync_session.get_transaction() is whole
        except SQLAlchemyError:
            is_whole = False
        if not is_whole:
            log.error("an extension ended the transaction", module=extension.module)
            raise ExtensionFailed(f"{extension.module} ended the order's transaction.")


def _lines_that_may_be(draft: OrderDraft, lines: Any) -> tuple[DraftLine, ...]:
    """Raises TypeError or ValueError naming the first breach."""
    if not isinstance(lines, Sequence) or not all(isinstance(it, DraftLine) for it in lines):
        raise TypeError(f"it returned {type(lines).__name__}, not the lines of the draft")
    if len(lines) != len(draft.lines):
        raise ValueError(f"it returned {len(lines)} lines for {len(draft.lines)}")
    for old, new in zip(draft.lines, lines, strict=True):
        if (new.product_id, new.quantity) != (old.product_id, old.quantity):
            raise ValueError(f"it changed the product or the quantity of {old}")
        _check_whole("unit price", new.unit_price_minor, most=MAX_TOTAL)
        _check_whole("discount", new.discount_bp, most=WHOLE)
    return tuple(lines)


def _check_whole(what: str, value: Any, *, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"it gave the {what} {value!r}, not a whole number from 0 to {most}")


def _nothing(_: OrderDTO, __: Any) -> None:
    """What it gives says nothing."""


def _a_reason(_: OrderDraft, reason: Any) -> str | None:
    if reason is None:
        return None
    if not isinstance(reason, str) or not reason.strip():
        raise TypeError(f"it returned {reason!r}, not a reason or None")
    return reason
