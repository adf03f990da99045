"""Sales, one row an order."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "analytics_sales",
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("placed_on", sa.Date(), nullable=False),
        sa.Column("currency", AutoString(length=3), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("revenue_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_analytics_sales")),
    )
    op.create_index(op.f("ix_analytics_sales_placed_on"), "analytics_sales", ["placed_on"])


def downgrade() -> None:
    op.drop_table("analytics_sales")
