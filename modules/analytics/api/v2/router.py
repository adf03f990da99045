"""Version 2 of the routes of analytics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from core.plugin import ReadSession, requires, service
from modules.analytics.api.v2.schemas import Sales
from modules.analytics.contracts import By
from modules.analytics.service import SalesService

Service = Annotated[SalesService, service(SalesService)]
Period = Annotated[By, Query(description="the length of a period")]


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/analytics", tags=["analytics"])
    routes.get("/sales", dependencies=[requires("analytics:read")])(sales)
    return routes


async def sales(analytics: Service, session: ReadSession, by: Period = "month") -> list[Sales]:
    """What was sold, the earliest period first; cancelled orders are left out."""
    return [Sales.of(it) for it in await analytics.sales(session, by=by)]
