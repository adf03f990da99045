"""What other modules may use of the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.plugin import Conflict, Session, Unprocessable, WritableSession

PRODUCT_TAG: Final = "catalog:product:{product_id}"
"""The tag in the cache of all that is made of one product."""


@dataclass(frozen=True, slots=True)
class ProductDTO:
    """A product; `price_minor` is in minor units of `currency`, `stock` in pieces."""

    id: int
    sku: str
    name: str
    category: str | None
    price_minor: int
    currency: str
    stock: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class Sold:
    """Pieces of one product taken out of stock, and the price of each at that moment."""

    product_id: int
    quantity: int
    unit_price_minor: int
    currency: str


class SkuTaken(Conflict):
    """Another product already has this SKU. A SKU names one product only."""

    slug = "sku-taken"
    title = "The SKU is taken"


class OutOfStock(Conflict):
    """There are fewer pieces than were asked for. `product_id` and `available` say what is left."""

    slug = "out-of-stock"
    title = "Not enough in stock"


class ProductInactive(Conflict):
    """The product is in the catalogue but is not being sold. `product_id` says which."""

    slug = "product-inactive"
    title = "The product is not for sale"


class UnknownProduct(Unprocessable):
    """The request speaks of a product that does not exist. `product_id` says which."""

    slug = "unknown-product"
    title = "There is no such product"

    def __init__(self, product_id: int, *, loc: Sequence[str | int] = ("body",)) -> None:
        """`loc` is where in the request the product was named."""
        text = f"There is no product {product_id}."
        errors = [{"loc": list(loc), "msg": text, "type": "unknown_product"}]
        super().__init__(text, errors=errors, product_id=product_id)


class Catalog(Protocol):
    """The catalogue as other modules see it. Nothing here commits."""

    async def product(self, session: Session, product_id: int) -> ProductDTO:
        """One product, perhaps from the cache. Raises NotFound."""
        ...

    async def known(self, session: Session, product_ids: Collection[int]) -> set[int]:
        """Those of the ids that are products, active or not."""
        ...

    async def take_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> list[Sold]:
        """Take (product id, quantity) out of stock, each product once, all of them or none.

        The answer is in the order of `lines`. Safe under concurrency: never below zero, and no
        deadlock, since rows are locked in the order of their ids.
        Raises UnknownProduct, ProductInactive, OutOfStock; the caller's transaction must then end.
        """
        ...

    async def return_stock(
        self, session: WritableSession, lines: Sequence[tuple[int, int]]
    ) -> None:
        """Put (product id, quantity) back; a product that is gone meanwhile is passed over."""
        ...
