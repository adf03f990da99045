"""Bodies of version 2: money is an amount as text with its currency."""

from __future__ import annotations

from typing import Self

from core.plugin import Money, Schema
from modules.analytics.contracts import PeriodSales


class Sales(Schema):
    """What was sold in one period; periods are in UTC, one entry a currency."""

    period: str
    orders: int
    units: int
    revenue: Money

    @classmethod
    def of(cls, sales: PeriodSales) -> Self:
        """As version 2 shows it."""
        return cls(
            period=sales.period,
            orders=sales.orders,
            units=sales.units,
            revenue=Money.of_minor(sales.revenue_minor, sales.currency),
        )
