"""The tables of the orders. User and product ids are no foreign keys: those tables are others'."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlmodel import Field, SQLModel

from core.plugin import BigId, table_registry


class Base(SQLModel, registry=table_registry("orders")):
    """The ground of this module's tables."""


class Order(Base, table=True):
    """An order. `version` counts its changes, `external_ref` is set on imported ones only."""

    __tablename__ = "orders_orders"
    __table_args__ = (
        CheckConstraint(
            "status IN ('created', 'paid', 'shipped', 'delivered', 'cancelled')", name="status"
        ),
        CheckConstraint("total_minor >= 0", name="total_not_negative"),
        Index(None, "user_id", "id"),
        Index(None, "status", "id"),
    )

    id: int | None = BigId()
    user_id: int = Field(sa_type=BigInteger)
    status: str = Field(max_length=16)
    currency: str = Field(max_length=3)
    total_minor: int = Field(sa_type=BigInteger)
    placed_at: datetime
    external_ref: str | None = Field(default=None, max_length=64, unique=True)
    created_at: datetime
    version: int = 1


class Line(Base, table=True):
    """A line of an order; `discount_bp` is in basis points."""

    __tablename__ = "orders_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("discount_bp BETWEEN 0 AND 10000", name="discount_is_a_share"),
    )

    order_id: int = Field(
        sa_type=BigInteger,
        primary_key=True,
        sa_column_args=(ForeignKey("orders_orders.id", ondelete="CASCADE"),),
    )
    position: int = Field(primary_key=True)
    product_id: int = Field(sa_type=BigInteger)
    quantity: int
    unit_price_minor: int = Field(sa_type=BigInteger)
    discount_bp: int
    total_minor: int = Field(sa_type=BigInteger)
