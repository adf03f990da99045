"""Bodies of version 1: money is an integer of cents beside a currency."""

from __future__ import annotations

from typing import Self, cast

from pydantic import MISSING, ConfigDict

from core.plugin import Currency, MinorUnits, Schema
from modules.catalog.api.fields import Category, Name, Sku, Stock
from modules.catalog.contracts import ProductDTO
from modules.catalog.models import NewProduct, ProductChanges


class Product(Schema):
    """A product."""

    id: int
    sku: str
    name: str
    category: str | None
    price_cents: int
    currency: str
    stock: int
    is_active: bool

    @classmethod
    def of(cls, product: ProductDTO) -> Self:
        """The product as version 1 shows it."""
        return cls(
            id=product.id,
            sku=product.sku,
            name=product.name,
            category=product.category,
            price_cents=product.price_minor,
            currency=product.currency,
            stock=product.stock,
            is_active=product.is_active,
        )


class ProductCreate(Schema):
    """A new product."""

    model_config = ConfigDict(strict=True)

    sku: Sku
    name: Name
    category: Category | None = None
    price_cents: MinorUnits
    currency: Currency = "USD"
    stock: Stock = 0
    is_active: bool = True

    def values(self) -> NewProduct:
        """In the catalogue's own terms."""
        return NewProduct(
            sku=self.sku,
            name=self.name,
            category=self.category,
            price_minor=self.price_cents,
            currency=self.currency,
            stock=self.stock,
            is_active=self.is_active,
        )


class ProductPatch(Schema):
    """What is to change; what is left out stays, and null takes the category away."""

    model_config = ConfigDict(strict=True)

    sku: Sku | MISSING = MISSING
    name: Name | MISSING = MISSING
    category: Category | MISSING | None = MISSING
    price_cents: MinorUnits | MISSING = MISSING
    currency: Currency | MISSING = MISSING
    stock: Stock | MISSING = MISSING
    is_active: bool | MISSING = MISSING

    def changes(self) -> ProductChanges:
        """In the catalogue's own terms."""
        sent = self.model_dump()
        if "price_cents" in sent:
            sent["price_minor"] = sent.pop("price_cents")
        return cast("ProductChanges", sent)
