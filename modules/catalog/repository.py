"""Every query of the catalogue. Reads select columns: a response needs no entity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, insert, or_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel.sql.expression import Select, SelectOfScalar

from core.plugin import Session
from modules.catalog.contracts import ProductDTO, SkuTaken
from modules.catalog.models import NewProduct, Product, ProductChanges

products = Product.metadata.tables["catalog_products"]
_c = products.c
FIRST_VERSION = 1
COLUMNS = tuple(_c[name] for name in ProductDTO.__slots__)

_BY_ID: Select[*tuple[Any, ...]] = Select(*COLUMNS).where(_c.id == bindparam("product_id"))
"""Made once: this is the busiest read, and making a statement costs as much as running it."""


async def get(session: Session, product_id: int) -> ProductDTO | None:
    """One product by its id."""
    row = (await session.exec(_BY_ID, params={"product_id": product_id})).first()
    return ProductDTO(*row) if row else None


async def find(
    session: Session, *, q: str, category: str, after: int, skip: int, limit: int
) -> list[ProductDTO]:
    """Products in the order of their ids; an empty `q` or `category` leaves nothing out."""
    statement: Select[*tuple[Any, ...]] = Select(*COLUMNS).where(
        _c.id > after, *_conditions(q, category)
    )
    rows = await session.exec(statement.order_by(_c.id).offset(skip or None).limit(limit))
    return [ProductDTO(*row) for row in rows]


def _conditions(q: str, category: str) -> list[ColumnElement[bool]]:
    conditions = []
    if q:
        # Folded here, not by the database: SQLite's lower() knows only ASCII.
        folded = q.casefold()
        conditions.append(
            or_(
                _c.name_folded.contains(folded, autoescape=True),
                _c.sku_folded.contains(folded, autoescape=True),
            )
        )
    if category:
        conditions.append(_c.category == category)
    return conditions


async def known(session: Session, product_ids: Collection[int]) -> set[int]:
    """Those of the ids that there are."""
    statement: SelectOfScalar[int] = SelectOfScalar(_c.id).where(_c.id.in_(product_ids))
    return set(await session.exec(statement))


async def several(session: Session, product_ids: Collection[int]) -> dict[int, ProductDTO]:
    """Products by id; those that do not exist are left out."""
    statement: Select[*tuple[Any, ...]] = Select(*COLUMNS).where(_c.id.in_(product_ids))
    return {row[0]: ProductDTO(*row) for row in await session.exec(statement)}


async def add(session: Session, new: NewProduct) -> tuple[ProductDTO, int]:
    """A new row and its version. Raises SkuTaken."""
    now = datetime.now(UTC)
    statement = (
        insert(products)
        .values(**new, **_folded(new), created_at=now, updated_at=now, version=FIRST_VERSION)
        .returning(*COLUMNS)
    )
    try:
        return ProductDTO(*(await session.exec(statement)).one()), FIRST_VERSION
    except IntegrityError as error:
        raise _sku_taken(new["sku"]) from error


async def change(
    session: Session, product_id: int, changes: ProductChanges
) -> tuple[ProductDTO, int] | None:
    """The row as changed and its new version, None when there is none. Raises SkuTaken."""
    statement = (
        update(products)
        .where(_c.id == product_id)
        .values(**changes, **_folded(changes), updated_at=datetime.now(UTC), version=_c.version + 1)
        .returning(*COLUMNS, _c.version)
    )
    try:
        row = (await session.exec(statement)).first()
    except IntegrityError as error:
        raise _sku_taken(changes.get("sku", "")) from error
    return (ProductDTO(*row[:-1]), row[-1]) if row else None


async def remove(session: Session, product_id: int) -> int | None:
    """Delete it; the version with which it ends, None when there was none."""
    statement = delete(products).where(_c.id == product_id).returning(_c.version + 1)
    row = (await session.exec(statement)).first()
    return row[0] if row else None


def _folded(values: Mapping[str, Any]) -> dict[str, str]:
    return {f"{name}_folded": values[name].casefold() for name in ("sku", "name") if name in values}


def _sku_taken(sku: str) -> SkuTaken:
    return SkuTaken(f"There is already a product with the SKU {sku!r}.")
