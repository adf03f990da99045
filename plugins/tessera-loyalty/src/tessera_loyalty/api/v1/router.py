"""Version 1 of loyalty's routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from core.plugin import CurrentPrincipal, ReadSession, WriteSession, requires, service
from tessera_loyalty.api.v1.schemas import Account, Grant, Granted, Redeeming
from tessera_loyalty.service import LoyaltyService

Service = Annotated[LoyaltyService, service(LoyaltyService)]
FULL: dict[int | str, dict[str, Any]] = {409: {"description": "the account cannot hold so many"}}


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/loyalty", tags=["loyalty"])
    signed_in, may_grant = [requires()], [requires("loyalty:grant")]
    routes.get("/me", dependencies=signed_in)(show_account)
    routes.put("/me", dependencies=signed_in)(set_redeeming)
    routes.post("/grants", status_code=201, dependencies=may_grant, responses=FULL)(grant)
    return routes


async def show_account(
    loyalty: Service, session: ReadSession, principal: CurrentPrincipal
) -> Account:
    """One's own points."""
    return Account.of(await loyalty.account(session, principal.id), loyalty)


async def set_redeeming(
    loyalty: Service, session: WriteSession, principal: CurrentPrincipal, body: Redeeming
) -> Account:
    """Pay with points on one's next orders, or stop doing so."""
    account = await loyalty.set_redeem(session, principal.id, redeem=body.redeem)
    return Account.of(account, loyalty)


async def grant(loyalty: Service, session: WriteSession, body: Grant) -> Granted:
    """Give points to somebody; nobody asks whether there is such a user."""
    account = await loyalty.grant(session, body.user_id, body.points)
    return Granted(user_id=body.user_id, points=body.points, balance=account.points)
