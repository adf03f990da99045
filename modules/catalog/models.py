"""The catalogue's table."""

from datetime import datetime
from typing import TypedDict

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from core.plugin import BigId, table_registry


class Base(SQLModel, registry=table_registry("catalog")):
    """The ground of this module's tables."""


class Product(Base, table=True):
    """What can be ordered; `version` counts its changes, those of its stock included.

    The folded columns are what a search without regard to case reads.
    """

    __tablename__ = "catalog_products"
    __table_args__ = (
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
    )

    id: int | None = BigId()
    sku: str = Field(max_length=64, unique=True)
    name: str = Field(max_length=200)
    category: str | None = Field(default=None, max_length=100, index=True)
    price_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(max_length=3)
    stock: int = Field(sa_type=BigInteger)
    is_active: bool
    sku_folded: str
    name_folded: str
    created_at: datetime
    updated_at: datetime
    version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": "1"})


class NewProduct(TypedDict):
    """What a product is made of."""

    sku: str
    name: str
    category: str | None
    price_minor: int
    currency: str
    stock: int
    is_active: bool


class ProductChanges(TypedDict, total=False):
    """What is to change of a product; what is absent stays."""

    sku: str
    name: str
    category: str | None
    price_minor: int
    currency: str
    stock: int
    is_active: bool
