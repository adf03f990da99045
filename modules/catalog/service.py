"""The rules of the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from modules.catalog.contracts import PRODUCT_TAG, ProductDTO, Sold
from modules.catalog.events import ProductChanged
from modules.catalog.models import NewProduct, ProductChanges


class CatalogService:
    """Implements `modules.catalog.contracts.Catalog`, and what the catalogue's own routes need."""

    def __init__(self, *, cache: Cache = NO_CACHE) -> None:
        self.cache = cache

    @cached(PRODUCT_TAG, ttl=300, tags=[PRODUCT_TAG])
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
        product, version = await repository.add(session, new)
        self._tell(session, {product.id: version})
        return product

    async def change(
        self, session: WritableSession, product_id: int, changes: ProductChanges
    ) -> ProductDTO:
        changed = await repository.change(session, product_id, changes)
        if changed is None:
            raise _no_product(product_id)
        product, version = changed
        self._tell(session, {product_id: version})
        return product

    async def remove(self, session: WritableSession, product_id: int) -> None:
        version = await repository.remove(session, product_id)
        if version is None:
            raise _no_product(product_id)
        self._tell(session, {product_id: version})

    async def take_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> list[Sold]:
        sold, versions = await stock.take(session, dict(lines))
        self._tell(session, versions)
        return [sold[product_id] for product_id, _ in lines]

    async def return_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> None:
        quantities: dict[int, int] = {}
        for product_id, quantity in lines:
            quantities[product_id] = quantities.get(product_id, 0) + quantity
        self._tell(session, await stock.put_back(session, quantities))

    def _tell(self, session: WritableSession, versions: Mapping[int, int]) -> None:
        """Of products that have changed: others by event, whoever has cached them here at once."""
        for product_id, version in sorted(versions.items()):
            record(session, ProductChanged(product_id=product_id), version=version)
        # After the commit, never before: a reader in between would keep the old row.
        if versions and self.cache is not NO_CACHE:
            tags = [PRODUCT_TAG.format(product_id=product_id) for product_id in versions]
            session.after_commit(partial(self.cache.invalidate, *tags))


def _no_product(product_id: int) -> NotFound:
    return NotFound(f"There is no product {product_id}.")
