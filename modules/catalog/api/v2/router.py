"""Version 2 of the catalogue's routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from core.plugin import (
    Cursor,
    Page,
    PathId,
    ReadSession,
    WriteSession,
    public,
    requires,
    service,
)
from modules.catalog.api.fields import InCategory, Search
from modules.catalog.api.v2.schemas import Product, ProductCreate, ProductPatch
from modules.catalog.contracts import Catalog
from modules.catalog.service import CatalogService

Products = Annotated[CatalogService, service(Catalog)]
SKU_TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "another product has this SKU"}}


def router() -> APIRouter:
    """Fresh at every call, as a generation needs it."""
    routes = APIRouter(prefix="/products", tags=["catalog"])
    may_write = [requires("catalog:write")]
    routes.get("", dependencies=[public])(list_products)
    routes.get("/{product_id}", dependencies=[public])(get_product)
    routes.post("", status_code=201, dependencies=may_write, responses=SKU_TAKEN)(create_product)
    routes.patch("/{product_id}", dependencies=may_write, responses=SKU_TAKEN)(change_product)
    routes.delete("/{product_id}", status_code=204, dependencies=may_write)(delete_product)
    return routes


async def list_products(
    products: Products,
    session: ReadSession,
    page: Cursor,
    q: Search = "",
    category: InCategory = "",
) -> Page[Product]:
    """Products in the order of their ids, those no longer sold included."""
    found = await products.find(
        session, q=q, category=category, after=page.after, limit=page.limit + 1
    )
    return Page.of([Product.of(product) for product in found], page, key=lambda shown: shown.id)


async def get_product(products: Products, session: ReadSession, product_id: PathId) -> Product:
    """One product."""
    return Product.of(await products.product(session, product_id))


async def create_product(products: Products, session: WriteSession, body: ProductCreate) -> Product:
    """Add a product."""
    return Product.of(await products.create(session, body.values()))


async def change_product(
    products: Products, session: WriteSession, product_id: PathId, body: ProductPatch
) -> Product:
    """Change what was sent of a product."""
    return Product.of(await products.change(session, product_id, body.changes()))


async def delete_product(products: Products, session: WriteSession, product_id: PathId) -> None:
    """Delete a product; the orders that name it stay."""
    await products.remove(session, product_id)
