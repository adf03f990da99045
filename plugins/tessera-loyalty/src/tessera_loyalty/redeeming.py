"""How points become discounts: whole numbers only, and what is spent is what is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modules.orders.contracts import WHOLE, DraftLine, line_total


@dataclass(frozen=True, slots=True)
class Redemption:
    """The lines after points have paid, and how many points did."""

    lines: tuple[DraftLine, ...]
    spent: int


def redeem(
    lines: Sequence[DraftLine], *, points: int, value_minor: int, percent: int = 100
) -> Redemption:
    """Pay with up to `points`, each worth `value_minor`, at most `percent` of what the lines cost.

    ``spent * value_minor`` is exactly what the lines cost less than before.
    """
    total = sum(line.total_minor for line in lines)
    left = min(points, total * percent // 100 // value_minor) * value_minor
    paid: list[DraftLine] = []
    saved = 0
    for line in lines:
        cheaper = _cheaper(line, most=left - saved, value_minor=value_minor)
        saved += line.total_minor - cheaper.total_minor
        paid.append(cheaper)
    return Redemption(tuple(paid), saved // value_minor)


def _cheaper(line: DraftLine, *, most: int, value_minor: int) -> DraftLine:
    """The line with the largest discount that saves at most `most`, in whole points.

    A discount counts in steps of 0.01 %, which above 100.00 are more than a cent: the savings that
    can be had have gaps, so it goes down step by step until one fits. None at all always does.
    """
    most = min(most, line.total_minor) // value_minor * value_minor
    if not most:
        return line
    for discount_bp in range(_largest(line, most=most), line.discount_bp, -1):
        total = line_total(line.unit_price_minor, line.quantity, discount_bp)
        if (line.total_minor - total) % value_minor == 0:
            return replace(line, discount_bp=discount_bp)
    return line


def _largest(line: DraftLine, *, most: int) -> int:
    """The largest discount with which the line still costs what it costs now, less `most`.

    From ``(price * (WHOLE - discount) + WHOLE // 2) // WHOLE >= least``, solved for the discount.
    """
    price = line.unit_price_minor * line.quantity
    least = line.total_minor - most
    share = -((WHOLE // 2 - least * WHOLE) // price)  # rounded up
    return max(line.discount_bp, min(WHOLE, WHOLE - share))
