"""The tables of loyalty. A user's id is no foreign key: that table is another module's."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

from core.plugin import BigId, table_registry


class Base(SQLModel, registry=table_registry("loyalty")):
    """The ground of this module's tables."""


class Account(Base, table=True):
    """What somebody has now; below nothing, what he owes. Its row is locked by who changes it."""

    __tablename__ = "loyalty_accounts"

    user_id: int = Field(
        sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    points: int = Field(sa_type=BigInteger)
    redeem: bool


class Movement(Base, table=True):
    """Points that came or went; the sum of somebody's is what the account has.

    Those of a cancelled order are there once more, the other way round.
    """

    __tablename__ = "loyalty_movements"
    __table_args__ = (
        CheckConstraint("reason IN ('granted', 'earned', 'spent')", name="reason"),
        CheckConstraint("points <> 0", name="points_moved"),
        Index(None, "user_id", "id"),
        Index(None, "order_id"),
    )

    id: int | None = BigId()
    user_id: int = Field(sa_type=BigInteger)
    points: int = Field(sa_type=BigInteger)
    reason: str = Field(max_length=16)
    moved_at: datetime
    order_id: int | None = Field(default=None, sa_type=BigInteger)
