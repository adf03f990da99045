"""The routes of currency, which version 1 does not have."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from core.plugin import Amount, Currency, Money, Unprocessable, public, round_half_up, service
from tessera_currency.api.v2.schemas import Conversion, RateTable
from tessera_currency.contracts import NoRate
from tessera_currency.rates import Rates

MAX_MINOR = 10**14 - 1
"""The most that version 2 can write."""
Table = Annotated[Rates, service(Rates)]


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/currency", tags=["currency"], dependencies=[public])
    routes.get("/rates")(show_rates)
    routes.get("/convert")(convert)
    return routes


async def show_rates(rates: Table) -> RateTable:
    """Every rate that there is."""
    return RateTable(rates=rates.table)


async def convert(
    rates: Table,
    amount: Annotated[Amount, Query(description="what to convert")],
    source: Annotated[Currency, Query(alias="from", description="its currency")],
    target: Annotated[Currency, Query(alias="to", description="the currency wanted")],
) -> Conversion:
    """An amount in another currency, rounded half up to the cent."""
    money = Money(amount=amount, currency=source)
    rate = rates.between(source, target)
    if rate is None:
        raise _no_rate(rates, source, target)
    minor = round_half_up(money.minor * rate)
    if minor > MAX_MINOR:
        raise Unprocessable.at("query", "amount", msg=f"in {target} it is more than can be told")
    return Conversion(
        source=Money.of_minor(money.minor, source), target=Money.of_minor(minor, target), rate=rate
    )


def _no_rate(rates: Rates, source: str, target: str) -> NoRate:
    name, code = ("from", source) if source not in rates.table else ("to", target)
    text = f"There is no rate for {code}."
    return NoRate(text, errors=[{"loc": ["query", name], "msg": text, "type": "no_rate"}])
