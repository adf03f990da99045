"""The table of users."""

from datetime import UTC, datetime

from sqlmodel import Field, SQLModel

from core.plugin import BigId, table_registry


class Base(SQLModel, registry=table_registry("users")):
    """The ground of this module's tables."""


def _now() -> datetime:
    return datetime.now(UTC)


class User(Base, table=True):
    """Somebody who may sign in; `email` is kept in lower case, `epoch` see `contracts.Standing`."""

    __tablename__ = "users_users"

    id: int | None = BigId()
    name: str = Field(max_length=200)
    email: str = Field(max_length=254, unique=True)
    role: str = Field(default="user", max_length=20, index=True)
    is_active: bool = True
    epoch: int = 0
    created_at: datetime = Field(default_factory=_now)
