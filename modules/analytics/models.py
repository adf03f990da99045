"""The table of analytics: one row an order, so that a cancelled one can be taken out again."""

from datetime import date

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from core.plugin import table_registry


class Base(SQLModel, registry=table_registry("analytics")):
    """The ground of this module's tables."""


class Sale(Base, table=True):
    """An order that counts: `placed_on` is its day in UTC; money in minor units of `currency`."""

    __tablename__ = "analytics_sales"

    order_id: int = Field(sa_type=BigInteger, primary_key=True)
    placed_on: date = Field(index=True)
    currency: str = Field(max_length=3)
    units: int = Field(sa_type=BigInteger)
    revenue_minor: int = Field(sa_type=BigInteger)
