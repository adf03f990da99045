"""What a line and an order cost, in whole numbers: no float ever holds money."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from core.plugin import Unprocessable
from modules.orders.contracts import WHOLE, OrderLineDTO, line_total

__all__ = ["MAX_TOTAL", "WHOLE", "line", "line_total", "order_total"]

MAX_TOTAL: Final = 10**14 - 1
"""The largest sum that an order may come to, in minor units: what v2 can still write."""


def line(
    product_id: int, *, quantity: int, unit_price_minor: int, discount_bp: int = 0
) -> OrderLineDTO:
    """A line with its total."""
    total = line_total(unit_price_minor, quantity, discount_bp)
    return OrderLineDTO(product_id, quantity, unit_price_minor, discount_bp, total)


def order_total(lines: Iterable[OrderLineDTO], *, loc: tuple[str | int, ...] = ("body",)) -> int:
    """The sum of the lines. Raises Unprocessable at `loc` when it is more than can be written."""
    total = sum(one.total_minor for one in lines)
    if total > MAX_TOTAL:
        raise Unprocessable.at(*loc, "lines", msg="the order comes to more than can be billed")
    return total
