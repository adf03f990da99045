"""Version 1 of the orders' routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from core.plugin import (
    CurrentPrincipal,
    Offset,
    PathId,
    Principal,
    ReadSession,
    WriteSession,
    requires,
    service,
)
from modules.orders.api.fields import OrderCreate, OrderPatch, WithStatus, whose
from modules.orders.api.v1.schemas import Order
from modules.orders.contracts import Orders
from modules.orders.service import OrderService

Service = Annotated[OrderService, service(Orders)]
Buyer = Annotated[Principal, requires("orders:create")]
Problems = dict[int | str, dict[str, Any]]
SHORT: Problems = {409: {"description": "not enough in stock, or a product is not for sale"}}
NO_STEP: Problems = {409: {"description": "the order cannot take this step from where it stands"}}


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/orders", tags=["orders"])
    signed_in, may_manage = [requires()], [requires("orders:manage")]
    routes.get("", dependencies=signed_in)(list_orders)
    routes.post("", status_code=201, responses=SHORT)(place_order)
    routes.get("/{order_id}", dependencies=signed_in)(get_order)
    routes.post("/{order_id}/cancel", dependencies=signed_in, responses=NO_STEP)(cancel_order)
    routes.patch("/{order_id}", dependencies=may_manage, responses=NO_STEP)(change_order)
    return routes


async def list_orders(
    orders: Service,
    session: ReadSession,
    principal: CurrentPrincipal,
    page: Offset,
    status: WithStatus = None,
) -> list[Order]:
    """One's own orders in the order of their ids; everybody's for those who may read all."""
    found = await orders.find(
        session, user_id=whose(principal), status=status, skip=page.skip, limit=page.limit
    )
    return [Order.of(order) for order in found]


async def place_order(
    orders: Service, session: WriteSession, principal: Buyer, body: OrderCreate
) -> Order:
    """Order at today's prices; the stock is taken in the same transaction, or nothing happens."""
    placed = await orders.place(session, user_id=principal.id, wanted=body.wanted())
    return Order.of(placed)


async def get_order(
    orders: Service, session: ReadSession, principal: CurrentPrincipal, order_id: PathId
) -> Order:
    """One order; somebody else's is not found, unless one may read all."""
    return Order.of(await orders.get(session, order_id, user_id=whose(principal)))


async def cancel_order(
    orders: Service, session: WriteSession, principal: CurrentPrincipal, order_id: PathId
) -> Order:
    """Cancel an order of one's own that is not shipped yet; its stock returns."""
    moved = await orders.move(session, order_id, "cancelled", user_id=principal.id)
    return Order.of(moved)


async def change_order(
    orders: Service, session: WriteSession, order_id: PathId, body: OrderPatch
) -> Order:
    """Take anybody's order to its next state; a cancelled one gives its stock back."""
    return Order.of(await orders.move(session, order_id, body.status))
