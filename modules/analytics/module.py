"""Analytics as a module: a projection of the orders' events, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from sqlmodel import SQLModel

from core.plugin import (
    Context,
    Manifest,
    Permission,
    Replayable,
    Subscription,
    hookimpl,
    on,
    on_replay,
)
from modules.analytics import handlers
from modules.analytics.api.v1.router import router as v1
from modules.analytics.api.v2.router import router as v2
from modules.analytics.models import Sale
from modules.analytics.service import SalesService
from modules.orders.events import OrderCreated, OrderStatusChanged


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="analytics",
        version="1.0.0",
        requires=("orders",),
        summary="Sales by day, month and year, put together from the events of orders.",
    )


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    build = {"v1": v1, "v2": v2}.get(version)
    return [build()] if build else []


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    return [Sale]


@hookimpl
def migrations() -> str:
    return "modules.analytics:migrations"


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {SalesService: lambda _: SalesService()}


@hookimpl
def subscriptions() -> Sequence[Subscription | Replayable]:
    return [
        on(OrderCreated, handlers.order_created),
        on(OrderStatusChanged, handlers.order_status_changed),
        on_replay(handlers.start_anew),
    ]


@hookimpl
def permissions() -> Sequence[Permission]:
    return [Permission("analytics:read", roles=("moderator",), summary="See what was sold.")]
