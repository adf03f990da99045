"""Products with their stock."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalog_products",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("sku", AutoString(length=64), nullable=False),
        sa.Column("name", AutoString(length=200), nullable=False),
        sa.Column("category", AutoString(length=100), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", AutoString(length=3), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("sku_folded", AutoString(), nullable=False),
        sa.Column("name_folded", AutoString(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_catalog_products_stock_not_negative")),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_catalog_products_price_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_products")),
        sa.UniqueConstraint("sku", name=op.f("uq_catalog_products_sku")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_catalog_products_category"), "catalog_products", ["category"])


def downgrade() -> None:
    op.drop_index(op.f("ix_catalog_products_category"), table_name="catalog_products")
    op.drop_table("catalog_products")
