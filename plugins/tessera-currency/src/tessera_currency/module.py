"""Currency as a module: what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from core.plugin import Context, Manifest, hookimpl, replacing
from modules.orders.contracts import ExchangeRates
from tessera_currency import rates
from tessera_currency.api.v2.router import router as v2
from tessera_currency.rates import Rates
from tessera_currency.settings import CurrencySettings


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="currency",
        version="1.0.0",
        requires=("orders",),
        summary="Rates of exchange, from a file.",
    )


@hookimpl
def settings() -> type[BaseModel]:
    return CurrencySettings


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    return [v2()] if version == "v2" else []


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {
        Rates: lambda context: rates.read(context.settings_as(CurrencySettings).rates_file),
        ExchangeRates: replacing(lambda context: context.service(Rates)),
    }
