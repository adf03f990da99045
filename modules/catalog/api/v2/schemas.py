"""Bodies of version 2: money is an amount as text with its currency."""

from __future__ import annotations

from typing import Self, cast

from pydantic import MISSING, ConfigDict

from core.plugin import Money, Schema
from modules.catalog.api.fields import Category, Name, Sku, Stock
from modules.catalog.contracts import ProductDTO
from modules.catalog.models import NewProduct, ProductChanges


class Product(Schema):
    """A product."""

    id: int
    sku: str
    name: str
    category: str | None
    price: Money
    stock: int
    is_active: bool

    @classmethod
    def of(cls, product: ProductDTO) -> Self:
        """The product as version 2 shows it."""
        return cls(
            id=product.id,
            sku=product.sku,
            name=product.name,
            category=product.category,
            price=Money.of_minor(product.price_minor, product.currency),
            stock=product.stock,
            is_active=product.is_active,
        )


class ProductCreate(Schema):
    """A new product."""

    model_config = ConfigDict(strict=True)

    sku: Sku
    name: Name
    category: Category | None = None
    price: Money
    stock: Stock = 0
    is_active: bool = True

    def values(self) -> NewProduct:
        """In the catalogue's own terms."""
        return NewProduct(
            sku=self.sku,
            name=self.name,
            category=self.category,
            price_minor=self.price.minor,
            currency=self.price.currency,
            stock=self.stock,
            is_active=self.is_active,
        )


class ProductPatch(Schema):
    """What is to change; what is left out stays, and null takes the category away."""

    model_config = ConfigDict(strict=True)

    sku: Sku | MISSING = MISSING
    name: Name | MISSING = MISSING
    category: Category | MISSING | None = MISSING
    price: Money | MISSING = MISSING
    stock: Stock | MISSING = MISSING
    is_active: bool | MISSING = MISSING

    def changes(self) -> ProductChanges:
        """In the catalogue's own terms."""
        sent = self.model_dump(exclude={"price"})
        if self.price is not MISSING:
            sent |= {"price_minor": self.price.minor, "currency": self.price.currency}
        return cast("ProductChanges", sent)
