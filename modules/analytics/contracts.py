"""What analytics knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

By = Literal["day", "month", "year"]
"""How sales are put together."""


@dataclass(frozen=True, slots=True)
class DaySales:
    """What was sold on one day (UTC) in one currency; `revenue_minor` is in its minor units."""

    day: date
    currency: str
    orders: int
    units: int
    revenue_minor: int


@dataclass(frozen=True, slots=True)
class PeriodSales:
    """What was sold in one period, as 1996, 1996-07 or 1996-07-04, in one currency."""

    period: str
    currency: str
    orders: int
    units: int
    revenue_minor: int
