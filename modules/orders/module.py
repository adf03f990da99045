"""The orders as a module: what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import SQLModel

from core.plugin import Context, Event, Manifest, Permission, hookimpl
from modules.catalog.contracts import Catalog
from modules.orders import extensions
from modules.orders.api.v1.router import router as v1
from modules.orders.api.v2.router import router as v2
from modules.orders.contracts import ExchangeRates, Orders
from modules.orders.drafting import Extensions, OwnRates
from modules.orders.events import OrderCreated, OrderStatusChanged
from modules.orders.models import Line, Order
from modules.orders.service import OrderService
from modules.orders.settings import OrdersSettings
from modules.users.contracts import Users


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="orders",
        version="1.0.0",
        requires=("users", "catalog"),
        summary="Orders: placed, paid, shipped, delivered, cancelled, imported.",
    )


@hookimpl
def settings() -> type[BaseModel]:
    return OrdersSettings


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    build = {"v1": v1, "v2": v2}.get(version)
    return [build()] if build else []


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    return [Order, Line]


@hookimpl
def migrations() -> str:
    return "modules.orders:migrations"


@hookimpl
def events() -> Sequence[type[Event]]:
    return [OrderCreated, OrderStatusChanged]


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {Orders: _service, ExchangeRates: lambda _: OwnRates()}


def _service(context: Context) -> OrderService:
    # mypy takes no Protocol for a type[T], python/mypy#4717
    return OrderService(
        catalog=context.service(Catalog),  # type: ignore[type-abstract]
        users=context.service(Users),  # type: ignore[type-abstract]
        rates=context.service(ExchangeRates),  # type: ignore[type-abstract]
        extensions=Extensions(context),
        settings=context.settings_as(OrdersSettings),
    )


@hookimpl
def hookspecs() -> ModuleType:
    return extensions


@hookimpl
def permissions() -> Sequence[Permission]:
    return [
        Permission("orders:create", roles=("user",), summary="Place orders."),
        Permission("orders:read-all", roles=("moderator",), summary="See everybody's orders."),
        Permission("orders:manage", roles=("moderator",), summary="Move orders on, cancel them."),
        Permission("orders:import", summary="Write orders of the past."),
    ]
