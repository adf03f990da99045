"""Accounts and movements of points."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "loyalty_accounts",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("redeem", sa.Boolean(), nullable=False),
        sa.CheckConstraint("points >= 0", name=op.f("ck_loyalty_accounts_points_not_negative")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_loyalty_accounts")),
    )
    op.create_table(
        "loyalty_movements",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", AutoString(length=16), nullable=False),
        sa.Column("moved_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('granted', 'earned', 'spent')", name=op.f("ck_loyalty_movements_reason")
        ),
        sa.CheckConstraint("points <> 0", name=op.f("ck_loyalty_movements_points_moved")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_loyalty_movements")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_loyalty_movements_user_id_id"), "loyalty_movements", ["user_id", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_loyalty_movements_user_id_id"), table_name="loyalty_movements")
    op.drop_table("loyalty_movements")
    op.drop_table("loyalty_accounts")
