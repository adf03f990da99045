"""The catalogue as a module: what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from sqlmodel import SQLModel

from core.plugin import Context, Event, Manifest, Permission, hookimpl
from modules.catalog.api.v1.router import router as v1
from modules.catalog.api.v2.router import router as v2
from modules.catalog.contracts import Catalog
from modules.catalog.events import ProductChanged
from modules.catalog.models import Product
from modules.catalog.service import CatalogService


@hookimpl
def manifest() -> Manifest:
    return Manifest(id="catalog", version="1.0.0", summary="Products, prices and stock.")


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    build = {"v1": v1, "v2": v2}.get(version)
    return [build()] if build else []


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    return [Product]


@hookimpl
def migrations() -> str:
    return "modules.catalog:migrations"


@hookimpl
def events() -> Sequence[type[Event]]:
    return [ProductChanged]


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {Catalog: lambda context: CatalogService(cache=context.cache)}


@hookimpl
def permissions() -> Sequence[Permission]:
    return [
        Permission(
            "catalog:write", roles=("moderator",), summary="Add, change and delete products."
        )
    ]
