"""Every query of analytics."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.sql.expression import Select

from core.plugin import Session, WritableSession
from modules.analytics.contracts import DaySales
from modules.analytics.models import Sale

sales = Sale.metadata.tables["analytics_sales"]
_s = sales.c
_BY_DAY: Select[*tuple[Any, ...]] = (
    Select(
        _s.placed_on,
        _s.currency,
        func.count(),
        func.sum(_s.units),
        func.sum(_s.revenue_minor),
    )
    .group_by(_s.placed_on, _s.currency)
    .order_by(_s.placed_on, _s.currency)
)


async def add(
    session: WritableSession,
    *,
    order_id: int,
    placed_on: date,
    currency: str,
    units: int,
    revenue_minor: int,
) -> None:
    """A sale; one that is there already (a replay tells it again) is put right."""
    row = {
        "order_id": order_id,
        "placed_on": placed_on,
        "currency": currency,
        "units": units,
        "revenue_minor": revenue_minor,
    }
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(sales)
    told = {name: statement.excluded[name] for name in row if name != "order_id"}
    await session.exec(
        statement.on_conflict_do_update(index_elements=[_s.order_id], set_=told), params=row
    )


async def remove(session: WritableSession, order_id: int) -> None:
    """It is no sale any more."""
    await session.exec(delete(sales).where(_s.order_id == order_id))


async def clear(session: WritableSession) -> None:
    """No sale is left."""
    await session.exec(delete(sales))


async def by_day(session: Session) -> Sequence[DaySales]:
    """The sales of each day that had any, a currency apart from the other."""
    rows = await session.exec(_BY_DAY)
    return [
        DaySales(day, code, orders, int(units), int(sum_))
        for day, code, orders, units, sum_ in rows
    ]
