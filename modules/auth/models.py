"""The tables of auth. They hold ids of users and no foreign key: users is another module's."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from core.plugin import BigId, table_registry


class Base(SQLModel, registry=table_registry("auth")):
    """The ground of this module's tables."""


def _now() -> datetime:
    return datetime.now(UTC)


class Credential(Base, table=True):
    """The password of a user, hashed."""

    __tablename__ = "auth_credentials"

    id: int | None = BigId()
    user_id: int = Field(sa_type=BigInteger, unique=True)
    password_hash: str = Field(max_length=255)
    changed_at: datetime = Field(default_factory=_now)


class RefreshSession(Base, table=True):
    """One refresh token. Those that came from one sign-in by rotation are a `family`."""

    __tablename__ = "auth_sessions"

    id: int | None = BigId()
    user_id: int = Field(sa_type=BigInteger, index=True)
    family: str = Field(max_length=32, index=True)
    token_hash: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default_factory=_now)
    expires_at: datetime = Field(index=True)
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None


class Attempt(Base, table=True):
    """Sign-ins to one account, or from one address, that failed or are being checked."""

    __tablename__ = "auth_attempts"

    subject: str = Field(primary_key=True, max_length=80)
    failures: int = 0
    pending: int = 0
    window_ends: datetime = Field(index=True)
