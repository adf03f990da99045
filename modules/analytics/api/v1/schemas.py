"""Bodies of version 1: money is an integer of cents with its currency."""

from __future__ import annotations

from typing import Self

from core.plugin import Schema
from modules.analytics.contracts import PeriodSales


class Sales(Schema):
    """What was sold in one period; periods are in UTC, one entry a currency."""

    period: str
    orders: int
    units: int
    revenue_cents: int
    currency: str

    @classmethod
    def of(cls, sales: PeriodSales) -> Self:
        """As version 1 shows it."""
        return cls(
            period=sales.period,
            orders=sales.orders,
            units=sales.units,
            revenue_cents=sales.revenue_minor,
            currency=sales.currency,
        )
