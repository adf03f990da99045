"""The rules of the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from core.plugin import (
    NO_CACHE,
    Cache,
    NotFound,
    Session,
    WritableSession,
    cached,
    record,
)
from modules.catalog import repository, stock
from modules.catalog.contracts import ProductDTO, Sold
from modules.catalog.events import ProductChanged
from modules.catalog.models import NewProduct, ProductChanges

TAG = "catalog:product:{product_id}"


class CatalogService:
    """Implements `modules.catalog.contracts.Catalog`, and what the catalogue's own routes need."""

    def __init__(self, *, cache: Cache = NO_CACHE) -> None:
        self.cache = cache

    @cached(TAG, ttl=300, tags=[TAG])
    async def product(self, session: Session, product_id: int) -> ProductDTO:
        product = await repository.get(session, product_id)
        if product is None:
            raise _no_product(product_id)
        return product

    async def find(
        self,
        session: Session,
        *,
        q: str = "",
        category: str = "",
        after: int = 0,
        skip: int = 0,
        limit: int,
    ) -> list[ProductDTO]:
        return await repository.find(
            session, q=q, category=category, after=after, skip=skip, limit=limit
        )

    async def known(self, session: Session, product_ids: Collection[int]) -> set[int]:
        return await repository.known(session, product_ids)

    async def create(self, session: WritableSession, new: NewProduct) -> ProductDTO:
        product = await repository.add(session, new)
        record(session, ProductChanged(product_id=product.id))
        return product

    async def change(
        self, session: WritableSession, product_id: int, changes: ProductChanges
    ) -> ProductDTO:
        product = await repository.change(session, product_id, changes)
        if product is None:
            raise _no_product(product_id)
        record(session, ProductChanged(product_id=product_id))
        self._forget(session, [product_id])
        return product

    async def remove(self, session: WritableSession, product_id: int) -> None:
        if not await repository.remove(session, product_id):
            raise _no_product(product_id)
        record(session, ProductChanged(product_id=product_id))
        self._forget(session, [product_id])

    async def take_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> list[Sold]:
        sold = await stock.take(session, dict(lines))
        self._forget(session, sold)
        return [sold[product_id] for product_id, _ in lines]

    async def return_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> None:
        quantities: dict[int, int] = {}
        for product_id, quantity in lines:
            quantities[product_id] = quantities.get(product_id, 0) + quantity
        await stock.put_back(session, quantities)
        self._forget(session, quantities)

    def _forget(self, session: WritableSession, product_ids: Iterable[int]) -> None:
        """After the commit, never before: a reader in between would keep the old row."""
        if self.cache is not NO_CACHE:
            tags = [TAG.format(product_id=product_id) for product_id in product_ids]
            session.after_commit(partial(self.cache.invalidate, *tags))


def _no_product(product_id: int) -> NotFound:
    return NotFound(f"There is no product {product_id}.")
