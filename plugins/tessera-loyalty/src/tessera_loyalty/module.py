"""Loyalty as a module: what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import SQLModel

from core.plugin import (
    CheckContext,
    Context,
    Finding,
    Manifest,
    Permission,
    Subscription,
    hookimpl,
    on,
)
from modules.orders.contracts import NoteOrder, PriceLines
from modules.orders.events import OrderStatusChanged
from modules.users.events import UserDeleted
from tessera_loyalty import handlers
from tessera_loyalty.api.v1.router import router as v1
from tessera_loyalty.api.v2.router import router as v2
from tessera_loyalty.models import Account, Movement
from tessera_loyalty.service import MINOR, LoyaltyService
from tessera_loyalty.settings import LoyaltySettings


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="loyalty",
        version="1.0.0",
        requires=("users", "orders"),
        summary="Points: earned by orders, and paying for orders.",
    )


@hookimpl
def settings() -> type[BaseModel]:
    return LoyaltySettings


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    build = {"v1": v1, "v2": v2}.get(version)
    return [build()] if build else []


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    return [Account, Movement]


@hookimpl
def migrations() -> str:
    return "tessera_loyalty:migrations"


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {LoyaltyService: LoyaltyService}


@hookimpl
def permissions() -> Sequence[Permission]:
    return [Permission("loyalty:grant", summary="Give points away.")]


@hookimpl
def subscriptions() -> Sequence[Subscription]:
    return [
        on(UserDeleted, handlers.user_deleted),
        on(OrderStatusChanged, handlers.order_status_changed),
    ]


@hookimpl
def orders_pricing(context: Context) -> PriceLines:
    return context.service(LoyaltyService).price


@hookimpl
def orders_placed(context: Context) -> NoteOrder:
    return context.service(LoyaltyService).settle


@hookimpl
def checks() -> Sequence[Callable[[CheckContext], Iterable[Finding]]]:
    return [gives_money_away]


def gives_money_away(context: CheckContext) -> Iterator[Finding]:
    """LOYALTY001: an order earns points that are worth as much as the order, or more."""
    chosen: LoyaltySettings = context.settings
    if chosen.points_per_unit * chosen.point_value_minor >= MINOR:
        yield Finding(
            "LOYALTY001",
            "modules.loyalty.points_per_unit",
            "an order earns points that are worth all that was paid for it",
            "lower points_per_unit or point_value_minor",
            severity="warning",
        )
