"""The rules of analytics: how days become months and years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.plugin import Session
from modules.analytics import repository
from modules.analytics.contracts import By, PeriodSales

_LENGTH: dict[By, int] = {"year": 4, "month": 7, "day": 10}
"""How much of an ISO date names the period."""


class SalesService:
    """What was sold when."""

    async def sales(self, session: Session, *, by: By) -> Sequence[PeriodSales]:
        """Each period that had sales, the earliest first; one line a currency."""
        found: dict[tuple[str, str], PeriodSales] = {}
        for day in await repository.by_day(session):
            period = day.day.isoformat()[: _LENGTH[by]]
            before = found.get((period, day.currency)) or PeriodSales(period, day.currency, 0, 0, 0)
            found[period, day.currency] = replace(
                before,
                orders=before.orders + day.orders,
                units=before.units + day.units,
                revenue_minor=before.revenue_minor + day.revenue_minor,
            )
        return [found[key] for key in sorted(found)]
