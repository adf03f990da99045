"""Make the tables of credentials, refresh sessions and attempts to sign in."""

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        autoincrement=True,
        nullable=False,
    )


def upgrade() -> None:
    op.create_table(
        "auth_credentials",
        _id(),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", sqlmodel.AutoString(length=255), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_auth_credentials"),
        sa.UniqueConstraint("user_id", name="uq_auth_credentials_user_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "auth_sessions",
        _id(),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("family", sqlmodel.AutoString(length=32), nullable=False),
        sa.Column("token_hash", sqlmodel.AutoString(length=64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("rotated_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_auth_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_auth_sessions_token_hash"),
        sqlite_autoincrement=True,
    )
    for column in ("user_id", "family", "expires_at"):
        op.create_index(f"ix_auth_sessions_{column}", "auth_sessions", [column])
    op.create_table(
        "auth_attempts",
        sa.Column("subject", sqlmodel.AutoString(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("window_ends", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_auth_attempts"),
    )
    op.create_index("ix_auth_attempts_window_ends", "auth_attempts", ["window_ends"])


def downgrade() -> None:
    op.drop_table("auth_attempts")
    op.drop_table("auth_sessions")
    op.drop_table("auth_credentials")
